"""Do lips and sound belong together: what was learned of it, applied in numpy.

    sound ─ log-mel 100 a second ─▶ phone networks ─▶ 24 numbers a frame ─ sound map ──▶ a ┐
    mouth 25 a second ─ lip curves │ small pictures ─ without trend, rates ─ mouth map ─▶ b ┴─ correlation of a(t + k) with b(t)

The maps are the canonical directions of sound and mouth (Hotelling 1936) on genuine clips; the phone networks learned to
tell phones on speech alone, so that a few minutes of talking faces are enough for the rest (docs/decisions/0016).
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ffdv.errors import CheckpointError
from ffdv.features.filters import gaussian_filter1d
from ffdv.features.lips import bridged, lip_curves, motion, mouth_pictures_seen, split_track
from ffdv.features.speech import TRACK_FPS, SpeechTrack, speech_track
from ffdv.records import MouthTrack, Samples
from ffdv.whole_file import write_atomically

FORMAT_VERSION = 1
WEIGHTS_NAME = "agreement.npz"
FPS = 25.0  # of mouths
MAX_OFFSET = 15  # frames to both sides
NEAR_FRAMES = 4  # genuine files are out of step by up to this much (docs/log.md, 2026-11-25)
FAR_FRAMES = 7  # a peak beyond is no delay of an encoder
LONGEST_SECONDS = 6.0  # of the clips that the odds were fitted on; more is weighed as so much
LEAST_FRAMES = 20  # a correlation over less is chance
SMOOTHED = 1.0  # Gaussian deviation in frames of the sound's numbers before they are mapped
DILATIONS = (1, 2, 2, 1)  # of the phone network's layers
MEASURES = ("near", "stands_out", "far", "seconds")  # what a pair is weighed by, by name
# Points that tremble (coarse pictures) and phones that are unclear (telephones, few bits, other tongues) lower every correlation, so that
# low ones say less: these weigh in by themselves and by their products with the correlations.
WEAR = {"rough": (-0.5, 0.15), "clarity": (0.33, 0.5)}  # where nine of ten worn clips lie: beyond, too little is known
USUAL = {"rough": -0.2, "clarity": 0.42}  # medians of genuine clips as they are
STILL = 0.002  # mean move of the points over two frames: 0.001 in a photograph, 0.003 and more in 216 talking faces
CORRELATIONS = MEASURES[:3]
WEIGHED = (*MEASURES, *WEAR, *(f"{measure}_{wear}" for wear in WEAR for measure in CORRELATIONS))

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PhoneWeights:
    """One phone network: convolutions over time (weight (out, in, taps), bias (out,)), the last but one giving the numbers
    that are used, the last the phones (0 = silence).
    """

    layers: tuple[tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]], ...]

    def hear(self, track: SpeechTrack) -> tuple[Array, Array, float]:
        """Numbers (n, 24) in (-1, 1) and the probability of speech (n,) for every frame; how sure of its phones the net is where somebody
        speaks: the mean probability of the likeliest.
        """
        x = track.bands
        for (weight, bias), dilation in zip(self.layers[:-2], DILATIONS, strict=False):
            x = np.maximum(_convolved(x, weight, bias, dilation), 0.0)
        numbers = np.tanh(_convolved(x, *self.layers[-2], 1))
        phones = _convolved(numbers, *self.layers[-1], 1)
        phones = np.exp(phones - phones.max(axis=1, keepdims=True))
        phones /= phones.sum(axis=1, keepdims=True)
        speech = 1.0 - phones[:, 0].astype(np.float64)
        return numbers.astype(np.float64), speech, float(phones[:, 1:].max(axis=1).sum() / max(speech.sum(), 1e-6))


@dataclass(frozen=True)
class View:
    """One way of seeing the mouth beside one way of hearing the sound.

    kind: curves or pictures; phones: which network hears; base (324, k) of the small pictures, empty for curves; scale (m,) of the
    motion; sound_map (context × 24, d) and mouth_map (m, d) to the canonical numbers; weights (d,) their correlations.
    """

    kind: str
    phones: int
    base: Array
    scale: Array
    sound_map: Array
    mouth_map: Array
    weights: Array


@dataclass(frozen=True)
class Weighing:
    """How the measures become the logit of 'they do not belong together': weights by name of WEIGHED, and a constant."""

    weights: Mapping[str, float]
    constant: float

    def logit(self, measures: Mapping[str, float]) -> float:
        """The natural logarithm of the odds."""
        return self.constant + sum(weight * measures[name] for name, weight in self.weights.items())


@dataclass(frozen=True)
class Seen:
    """A mouth's frames in sight: seconds (n,), for each view its canonical numbers (n, d), and how rough its points move."""

    seconds: Array
    numbers: tuple[Array, ...]
    rough: float


@dataclass(frozen=True)
class Heard:
    """A sound: its track of m frames, for each view its canonical numbers (m, d), how likely somebody speaks (m,), and how clear its phones are."""

    track: SpeechTrack
    numbers: tuple[Array, ...]
    speech: Array
    clarity: float


@dataclass(frozen=True)
class AgreementModel:
    """All that was learned. context: sound frames about the moment, in frames of the track; lead_frames: how late the sound of
    genuine files is on average, called an offset of 0; provenance: what it was made from.
    """

    phones: tuple[PhoneWeights, ...]
    views: tuple[View, ...]
    context: tuple[int, ...]
    lead_frames: float
    weighing: Weighing
    provenance: Mapping[str, object] = field(default_factory=dict)

    def compare(self, mouth: MouthTrack, samples: Samples, *, max_offset: int = MAX_OFFSET) -> Comparison:
        """Mouth and sound side by side, at every offset up to max_offset frames."""
        return self.beside(self.see(mouth), self.hear(samples), max_offset=max_offset)

    def see(self, mouth: MouthTrack) -> Seen:
        """What the views see of a mouth. Raises ValueError when the track kept no points."""
        stretches = split_track(mouth.seconds, mouth.in_sight, fps=FPS)
        rows = np.concatenate([np.arange(part.start, part.stop) for part in stretches] or [np.zeros(0, np.int64)])
        curves, pictures = curves_and_pictures(mouth, stretches)
        numbers = []
        for view in self.views if len(rows) else ():
            parts = curves if view.kind == "curves" else [picture @ view.base for picture in pictures]
            numbers.append(np.concatenate([motion(part) for part in parts]) / view.scale @ view.mouth_map)
        return Seen(mouth.seconds[rows], tuple(numbers), roughness(mouth, stretches))

    def hear(self, samples: Samples) -> Heard:
        """What the views hear of a sound."""
        track = speech_track(samples)
        if not len(track.bands):
            return Heard(track, (), np.zeros(0), WEAR["clarity"][0])
        heard = [network.hear(track) for network in self.phones]
        numbers = [in_context(heard[view.phones][0], self.context) @ view.sound_map for view in self.views]
        speech = np.mean([one[1] for one in heard], axis=0)
        return Heard(track, tuple(numbers), speech, float(np.mean([one[2] for one in heard])))

    def beside(
        self, seen: Seen, heard: Heard, *, late_seconds: float = 0.0, max_offset: int = MAX_OFFSET
    ) -> Comparison:
        """A mouth beside a sound that is made late_seconds late."""
        lags = np.arange(-max_offset, max_offset + 1) + self.lead_frames
        frames = heard.track.at(seen.seconds[:, None] + lags / FPS - late_seconds)  # (n, lags)
        count = len(heard.track.bands)
        known = (frames >= 0) & (frames < count)
        frames = np.clip(frames, 0, max(0, count - 1))
        pairs = tuple(
            (sound[frames], mouth, view.weights)
            for sound, mouth, view in zip(heard.numbers, seen.numbers, self.views, strict=False)
        )
        spoken = (
            np.where(known[:, max_offset], heard.speech[frames[:, max_offset]], 0.0) if count else np.zeros(len(frames))
        )
        return Comparison(seen.seconds, known, pairs, spoken, max_offset, seen.rough, heard.clarity)

    def save(self, path: Path) -> None:
        """Write everything as one .npz without pickles."""
        header = {
            "format": "ffdv agreement",
            "version": FORMAT_VERSION,
            "context": self.context,
            "lead_frames": self.lead_frames,
            "weighing": {"weights": dict(self.weighing.weights), "constant": self.weighing.constant},
            "views": [{"kind": view.kind, "phones": view.phones} for view in self.views],
            "layers": [len(network.layers) for network in self.phones],
            "provenance": dict(self.provenance),
        }
        arrays: dict[str, npt.NDArray[np.generic]] = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
        for i, network in enumerate(self.phones):
            for j, (weight, bias) in enumerate(network.layers):
                arrays[f"phones.{i}.{j}.weight"] = weight.astype(np.float16)
                arrays[f"phones.{i}.{j}.bias"] = bias.astype(np.float32)
        for i, view in enumerate(self.views):
            for name in ("base", "scale", "sound_map", "mouth_map", "weights"):
                arrays[f"views.{i}.{name}"] = getattr(view, name).astype(np.float32)
        sink = io.BytesIO()
        np.savez_compressed(sink, **arrays)  # type: ignore[arg-type]
        write_atomically(path, sink.getvalue())

    @classmethod
    def load(cls, path: Path) -> AgreementModel:
        """Read what save wrote. Raises CheckpointError with the cure."""
        try:
            with np.load(path, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
            header = json.loads(arrays["header"].tobytes())
            if header.get("format") != "ffdv agreement" or header.get("version") != FORMAT_VERSION:
                raise CheckpointError(
                    f"{path}: holds {header.get('format')!r} version {header.get('version')!r}, this ffdv reads 'ffdv agreement' "
                    f"version {FORMAT_VERSION}; make it again with scripts/weights/agreement.py"
                )
            return cls._from(header, arrays)
        except (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"{path}: the weights for lips and sound are missing or damaged ({error}); install ffdv again"
            ) from error

    @classmethod
    def _from(cls, header: Mapping[str, object], arrays: Mapping[str, npt.NDArray[np.generic]]) -> AgreementModel:
        from typing import Any, cast

        stated = cast("Mapping[str, Any]", header)

        def layer(name: str) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
            return arrays[f"{name}.weight"].astype(np.float32), arrays[f"{name}.bias"].astype(np.float32)

        names = ("base", "scale", "sound_map", "mouth_map", "weights")
        return cls(
            phones=tuple(
                PhoneWeights(tuple(layer(f"phones.{i}.{j}") for j in range(count)))
                for i, count in enumerate(stated["layers"])
            ),
            views=tuple(
                View(one["kind"], one["phones"], *(arrays[f"views.{i}.{name}"].astype(np.float64) for name in names))
                for i, one in enumerate(stated["views"])
            ),
            context=tuple(stated["context"]),
            lead_frames=float(stated["lead_frames"]),
            weighing=Weighing(stated["weighing"]["weights"], float(stated["weighing"]["constant"])),
            provenance=stated["provenance"],
        )


def curves_and_pictures(mouth: MouthTrack, stretches: Sequence[slice]) -> tuple[list[Array], list[Array]]:
    """Lip curves (n, 21) and small pictures (n, 324) of each stretch, short gaps bridged.

    Raises ValueError when the track kept no points.
    """
    if mouth.points is None:
        raise ValueError("this mouth track was made without points; read the file again, or prepare the shards again")
    curves, pictures = [], []
    for part in stretches:
        known = mouth.in_sight[part]
        points = bridged(mouth.points[part].astype(np.float64), known)
        curves.append(lip_curves(points.astype(np.float32)))
        pictures.append(bridged(mouth_pictures_seen(mouth.crops[part], known), known))
    return curves, pictures


def worn_as_met(rough: float, clarity: float) -> dict[str, float]:
    """WEAR within what was met while fitting: each in its range, and no more than about one of them in full.

    >>> worn_as_met(-0.3, 0.42), worn_as_met(9.0, 0.42)
    ({'rough': -0.3, 'clarity': 0.42}, {'rough': 0.15, 'clarity': 0.42})
    """
    wear = {"rough": rough, "clarity": clarity}
    wear = {name: float(np.clip(value, *WEAR[name])) for name, value in wear.items()}
    worst = {"rough": WEAR["rough"][1], "clarity": WEAR["clarity"][0]}
    gone = {name: max(0.0, (wear[name] - USUAL[name]) / (worst[name] - USUAL[name])) for name in wear}
    excess = sum(gone.values())
    if excess <= 1:
        return wear
    return {
        name: value if gone[name] == 0 else USUAL[name] + (value - USUAL[name]) / excess for name, value in wear.items()
    }


def roughness(mouth: MouthTrack, stretches: Sequence[slice]) -> float:
    """How much of the points' movement is trembling: the logarithm of their mean second difference against the mean move over two frames.

    About -0.2 in good pictures, 0 and more in coarse ones and where there are few pictures a second; noise alone gives 0.5. A face that
    does not move, as a photograph's, tells nothing of it: then it is that of good pictures.
    """
    assert mouth.points is not None
    bends, moves, count = 0.0, 0.0, 0
    for part in stretches:
        points = mouth.points[part][mouth.in_sight[part]].astype(np.float64)
        if len(points) > 2:
            bends += float(np.abs(points[2:] - 2 * points[1:-1] + points[:-2]).sum())
            moves += float(np.abs(points[2:] - points[:-2]).sum())
            count += points[2:].size
    return math.log(bends / moves) if bends > 0 and moves > STILL * count else USUAL["rough"]


def packaged_model() -> AgreementModel:
    """The model inside the package. Raises CheckpointError when its weights are missing or damaged."""
    with as_file(files("ffdv").joinpath("detect", "weights", WEIGHTS_NAME)) as path:
        return AgreementModel.load(path)


@dataclass(frozen=True)
class Comparison:
    """A mouth beside a sound: seconds (n,) of frames that show the mouth; known (n, 2 max_offset + 1), whether there is sound at
    each offset; pairs: for each view the sound's numbers (n, 2 max_offset + 1, d), the mouth's (n, d) and their weights (d,);
    spoken (n,): how likely somebody speaks at each frame; rough, clarity: of Seen and Heard.
    """

    seconds: Array
    known: npt.NDArray[np.bool_]
    pairs: tuple[tuple[Array, Array, Array], ...]
    spoken: Array
    max_offset: int
    rough: float
    clarity: float

    @property
    def speech_seconds(self) -> float:
        """How long somebody speaks while the mouth is in sight."""
        return float(self.spoken.sum()) / FPS

    def curve(self, chosen: slice = slice(None)) -> Array:
        """Correlation at offsets -max_offset … max_offset (2 max_offset + 1,) over chosen frames; 0 where too few are known."""
        total, weight_sum = np.zeros(2 * self.max_offset + 1), 0.0
        known = self.known[chosen]
        counts = known.sum(axis=0)
        enough = counts >= LEAST_FRAMES
        shares = known / np.maximum(counts, 1)  # (n, lags)
        for sound, mouth, weights in self.pairs:
            a, b = sound[chosen], mouth[chosen]
            a = (a - np.einsum("nk,nkd->kd", shares, a)) * known[:, :, None]
            b_mean = shares.T @ b  # (lags, d): the mouth's mean differs with the frames that have sound
            product = np.einsum("nkd,nd->kd", a, b)  # a has no mean over known frames, so b's does not matter
            b_power = known.T @ b**2 - counts[:, None] * b_mean**2
            correlation = product / np.sqrt(np.maximum((a**2).sum(axis=0) * b_power, 1e-12))
            total += correlation @ weights
            weight_sum += float(weights.sum())
        return np.where(enough, total / max(weight_sum, 1e-12), 0.0)

    def measures(self, chosen: slice = slice(None)) -> dict[str, float]:
        """WEIGHED of the chosen frames: the best correlation near an offset of 0, by how much it stands out from the median, and from the
        best far from it; the root of the seconds that were compared; WEAR of the clip, and its products with the three correlations.
        """
        curve = self.curve(chosen)
        offsets = np.abs(np.arange(-self.max_offset, self.max_offset + 1))
        near = float(curve[offsets <= NEAR_FRAMES].max())
        correlations = {
            "near": near,
            "stands_out": near - float(np.median(curve)),
            "far": near - float(curve[offsets >= FAR_FRAMES].max()),
        }
        seconds = math.sqrt(min(self.known[chosen, self.max_offset].sum() / FPS, LONGEST_SECONDS))
        wear = worn_as_met(self.rough, self.clarity)
        products = {
            f"{name}_{what}": value * much for what, much in wear.items() for name, value in correlations.items()
        }
        return {**correlations, "seconds": seconds, **wear, **products}


def best_offset(curve: Array) -> float:
    """Offset in frames of a curve's highest point, between frames by the parabola through its neighbours."""
    best, middle = int(curve.argmax()), len(curve) // 2
    if not 0 < best < len(curve) - 1:
        return float(best - middle)
    before, here, after = curve[best - 1 : best + 2]
    bend = before - 2 * here + after
    return float(best - middle + (0.5 * (before - after) / bend if bend < 0 else 0.0))


def _convolved(
    x: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32], dilation: int
) -> npt.NDArray[np.float32]:
    """Frames (n, in) through a convolution over time with zeros beyond the ends (n, out)."""
    taps = weight.shape[2]
    reach = (taps - 1) * dilation // 2
    padded = np.pad(x, ((reach, reach), (0, 0)))
    total = np.tile(bias, (len(x), 1))
    for tap in range(taps):
        total += padded[tap * dilation : tap * dilation + len(x)] @ weight[:, :, tap].T
    return total


def in_context(numbers: Array, context: Sequence[int]) -> Array:
    """Each frame's smoothed numbers beside those of frames about it (n, len(context) × m); the ends are repeated."""
    smooth = gaussian_filter1d(numbers, SMOOTHED, axis=0)
    where = np.clip(np.arange(len(smooth))[:, None] + np.array(context), 0, len(smooth) - 1)
    beside: Array = smooth[where].reshape(len(smooth), -1)
    return beside


__all__ = ["TRACK_FPS", "AgreementModel", "Comparison", "PhoneWeights", "View", "Weighing", "best_offset"]
