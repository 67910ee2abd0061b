"""What a person may look at, gathered piece by piece in bounded memory: spectrogram, faces, cues beside their usual range."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from ffdv.detect.senses import Looked, SenseAbsent, SenseName, SenseOpinion
from ffdv.detect.verdict import CueView, Evidence, FaceRow, FaceShot, Spectrogram
from ffdv.features.cues import CUE_KINDS
from ffdv.records import FaceTrack, FloatArray, PixelArray, Samples

Opinions = Mapping[SenseName, SenseOpinion | SenseAbsent]

MOST_COLUMNS = 1200  # of the spectrogram over the whole clip
COLUMN_SECONDS = 0.02  # the finest
ROWS = 96
TOP_HZ = 8000.0  # where speech and what the voice sense hears end
FLOOR_DB = 80.0
WINDOW_SECONDS = 0.032
STRIP_SHOTS = 16  # of one face through time
SUSPECTS = 6  # faces shown large,
APART_SECONDS = 0.5  # no two of them from nearly the same moment
MOST_FACES = 50  # listed; a crowd is not
RANGES_NAME = "cue_ranges.json"


class Gathering:
    """Takes one piece after another; `evidence` is the result so far. length_seconds bounds the columns of the picture."""

    def __init__(self, length_seconds: float) -> None:
        self._column_seconds = max(COLUMN_SECONDS, length_seconds / MOST_COLUMNS)
        self._columns: list[FloatArray] = []
        self._activations: list[FloatArray | None] = []
        self._sound_start: float | None = None
        self._strip_seconds = max(length_seconds, 0.1) / STRIP_SHOTS
        self._strip: list[FaceShot] = []
        self._suspects: list[FaceShot] = []
        self._faces: list[tuple[FaceRow, int]] = []
        self._cues: dict[str, list[float]] = {}

    def take(self, looked: Looked, opinions: Opinions) -> None:
        """Keep what is worth seeing of one piece and of what the senses said of it."""
        sound = looked.features.sound
        if sound is not None:
            self._take_sound(sound, opinions.get("voice"))
        tracks = looked.features.faces.tracks if looked.features.faces else ()
        picture = opinions.get("picture")
        judged = picture if isinstance(picture, SenseOpinion) else None
        if tracks:
            decides = next((one for one in tracks if judged is not None and one.track_id == judged.track_id), tracks[0])
            self._take_strip(decides, judged)
            self._take_suspects(decides, judged)
        for place, track in enumerate(tracks):
            self._faces.append((_face_row(track, judged), place))
        for cue in looked.cues:
            self._cues.setdefault(cue.code, []).append(cue.value)

    def evidence(self) -> Evidence:
        """What was gathered; cues of several pieces are their median."""
        rows = [row for row, _ in sorted(self._faces, key=lambda pair: pair[1])[:MOST_FACES]]
        return Evidence(
            spectrogram=self._spectrogram(),
            strip=tuple(self._strip),
            suspects=tuple(self._suspects),
            faces=tuple(sorted(rows, key=lambda row: row.track_id)),
            cues=cue_views({code: float(np.median(values)) for code, values in self._cues.items()}),
        )

    def _take_sound(self, sound: Samples, voice: SenseOpinion | SenseAbsent | None) -> None:
        if self._sound_start is None:
            self._sound_start = sound.start_seconds
        columns = max(1, round(sound.duration_seconds / self._column_seconds))
        self._columns.append(_decibels(sound, columns))
        activation = None
        if isinstance(voice, SenseOpinion) and voice.activation is not None and len(voice.spans):
            activation = _placed(voice, (sound.start_seconds, sound.duration_seconds), columns)
        self._activations.append(activation)

    def _spectrogram(self) -> Spectrogram | None:
        if not self._columns or self._sound_start is None:
            return None
        decibels = np.concatenate(self._columns, axis=1)
        loudest = float(decibels.max())
        levels = np.clip((decibels - loudest + FLOOR_DB) / FLOOR_DB, 0, 1) * 255
        activation = None
        if any(part is not None for part in self._activations):
            parts = [
                np.zeros((ROWS, columns.shape[1]), np.float32) if part is None else part
                for columns, part in zip(self._columns, self._activations, strict=True)
            ]
            activation = (np.clip(np.concatenate(parts, axis=1), 0, 1) * 255).astype(np.uint8)
        stop = self._sound_start + decibels.shape[1] * self._column_seconds
        return Spectrogram(levels.astype(np.uint8), self._sound_start, stop, TOP_HZ, activation)

    def _take_strip(self, track: FaceTrack, judged: SenseOpinion | None) -> None:
        """The face that decides, else the leading one, about every sixteenth of the clip."""
        for index, seconds in enumerate(track.seconds):
            due = not self._strip or seconds - self._strip[-1].seconds >= 0.95 * self._strip_seconds
            if due and len(self._strip) < STRIP_SHOTS + 2:
                self._strip.append(_apart(_shot(track, index, judged)))

    def _take_suspects(self, track: FaceTrack, judged: SenseOpinion | None) -> None:
        if judged is None or not len(judged.spans):
            return
        shots = [_shot(track, index, judged) for index in range(len(track.seconds))]
        if judged.activation is not None and judged.activation_seconds is not None:
            nearest = int(np.abs(track.seconds - judged.activation_seconds).argmin())
            shots[nearest] = replace(shots[nearest], activation=judged.activation)
        known = [shot for shot in shots if shot.probability is not None]
        ranked = sorted((*self._suspects, *known), key=lambda shot: (-(shot.probability or 0), shot.activation is None))
        kept: list[FaceShot] = []
        for shot in ranked:
            if len(kept) < SUSPECTS and all(abs(shot.seconds - other.seconds) >= APART_SECONDS for other in kept):
                kept.append(shot)
        self._suspects = [_apart(shot) for shot in kept]


def _shot(track: FaceTrack, index: int, judged: SenseOpinion | None) -> FaceShot:
    seconds = float(track.seconds[index])
    own = judged if judged is not None and judged.track_id in {None, track.track_id} else None
    return FaceShot(
        track.track_id, seconds, track.crops[index], probability_at(own, seconds) if own is not None else None
    )


def _apart(shot: FaceShot) -> FaceShot:
    """The same with pixels of its own: a view would keep all crops of its piece, 20 MB."""
    return shot if shot.pixels.base is None else replace(shot, pixels=shot.pixels.copy())


def _face_row(track: FaceTrack, judged: SenseOpinion | None) -> FaceRow:
    probability = judged.track_probabilities.get(track.track_id) if judged is not None else None
    if probability is None and judged is not None and judged.track_id == track.track_id:
        probability = judged.probability
    return FaceRow(track.track_id, float(track.seconds[0]), float(track.seconds[-1]), len(track.seconds), probability)


def probability_at(opinion: SenseOpinion, seconds: float) -> float | None:
    """The mean over the spans that hold a moment, or the nearest within half a second; None far from all."""
    if not len(opinion.spans):
        return None
    inside = (opinion.spans[:, 0] <= seconds) & (seconds < opinion.spans[:, 1])
    if inside.any():
        return float(opinion.span_probabilities[inside].mean())
    distance = np.maximum(opinion.spans[:, 0] - seconds, seconds - opinion.spans[:, 1])
    nearest = int(distance.argmin())
    return float(opinion.span_probabilities[nearest]) if distance[nearest] <= APART_SECONDS else None


def _decibels(sound: Samples, columns: int) -> FloatArray:
    """Power of the sound in dB (ROWS, columns), rows evenly from 0 to TOP_HZ; every sample counts."""
    mono, length = sound.mono(), max(64, round(WINDOW_SECONDS * sound.rate))
    hop = max(1.0, len(mono) / columns)
    inner = max(1, math.ceil(hop / length))  # windows a column, so that none of a long clip is skipped
    window = np.hanning(length).astype(np.float32)
    padded = np.pad(mono, (length // 2, length))
    edges = np.clip(np.round(np.linspace(0, TOP_HZ, ROWS + 1) * length / sound.rate).astype(int), 0, length // 2)
    starts = np.minimum(((np.arange(columns * inner) + 0.5) * hop / inner).astype(np.int64), len(mono) - 1)
    power = np.zeros((columns * inner, ROWS), np.float32)
    for block in np.array_split(np.arange(len(starts)), max(1, len(starts) // 512)):
        frames = padded[starts[block][:, None] + np.arange(length)] * window
        spectrum = np.abs(np.fft.rfft(frames, axis=1)).astype(np.float32) ** 2
        total = np.concatenate([np.zeros((len(block), 1), np.float32), np.cumsum(spectrum, axis=1)], axis=1)
        wide = np.maximum(edges[1:], edges[:-1] + 1)
        power[block] = (total[:, wide] - total[:, edges[:-1]]) / (wide - edges[:-1])
    mean = power.reshape(columns, inner, ROWS).mean(axis=1).T
    return np.asarray(10 * np.log10(np.maximum(mean, 1e-10)), np.float32)


def _placed(voice: SenseOpinion, piece: tuple[float, float], columns: int) -> FloatArray:
    """The activation of a voice at its place in the picture of a piece (ROWS, columns); 0 where it did not look."""
    activation = voice.activation
    assert activation is not None
    start, length = piece
    first, last = voice.activation_span or (float(voice.spans[0, 0]), float(voice.spans[-1, 1]))
    moments = start + (np.arange(columns) + 0.5) * length / columns
    hertz = (np.arange(ROWS) + 0.5) * TOP_HZ / ROWS
    across = (moments - first) / max(last - first, 1e-6) * activation.shape[1] - 0.5
    low, high = voice.activation_hz
    up = (hertz - low) / max(high - low, 1e-6) * activation.shape[0] - 0.5
    by_row = _interpolated(activation, up)
    placed = _interpolated(by_row.T, across).T
    placed[(hertz < low) | (hertz > high)] = 0
    placed[:, (moments < first) | (moments > last)] = 0
    return placed


def _interpolated(values: FloatArray, places: npt.NDArray[np.float64]) -> FloatArray:
    """Rows of `values` (n, m) at fractional places (k,): (k, m), linear, ends held."""
    clipped = np.clip(places, 0, len(values) - 1)
    below = np.floor(clipped).astype(int)
    above = np.minimum(below + 1, len(values) - 1)
    share = (clipped - below)[:, None].astype(np.float32)
    return np.asarray(values[below] * (1 - share) + values[above] * share, np.float32)


@dataclass(frozen=True)
class UsualRange:
    """What real development clips show of a cue: 5th, 50th and 95th percentile over num_clips."""

    low: float
    median: float
    high: float
    num_clips: int


@cache
def usual_ranges() -> Mapping[str, UsualRange]:
    """By cue; measured by benchmarks/cue_ranges.py on the real clips, looked at as `scan` looks."""
    text = files("ffdv.detect").joinpath(RANGES_NAME).read_text(encoding="utf-8")
    return {code: UsualRange(*numbers) for code, numbers in json.loads(text)["ranges"].items()}


def cue_views(values: Mapping[str, float]) -> tuple[CueView, ...]:
    """The cues with their usual range, in the order of CUE_KINDS; a cue without a measured range is left out."""
    views = []
    for code, kind in CUE_KINDS.items():
        usual = usual_ranges().get(code)
        if code not in values or usual is None:
            continue
        views.append(
            CueView(
                code=code,
                sense=kind.sense,
                value=values[code],
                unit=kind.unit,
                usual=(usual.low, usual.median, usual.high),
                suspicious=kind.suspicious,
                separates=kind.separates,
                auc=kind.auc,
            )
        )
    return tuple(views)


def shrunk_picture(pixels: PixelArray, side: int) -> PixelArray:
    """A square picture at `side` pixels, every pixel counted."""
    from PIL import Image

    shown: PixelArray = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
    return shown
