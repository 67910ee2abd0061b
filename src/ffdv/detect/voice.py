"""The voice sense: does this speech sound grown or made? Statistics, traces of a generator's frames, and a small net.

    sound ─ 16 kHz ─┬─ stretches ─ beats and tones of frames ─ FrameTraces ─▶ evidence ────────────────────┐
                    └─ 7 kHz, one level ─┬─ stretches of at most 10 s ─ voice_statistics ─ KernelMachine ──┤
                                         └─ windows of 2.24 s ─ net (voice.onnx) ─▶ logits, activation ────┴▶ opinion

All are averaged over the clip; their weighted sum is the logit, calibrated on development clips that none was trained on. Noise,
rooms, telephones and few bits wear genuine voices like made ones, so the statistics are also asked how worn the sound is, and worn
sound has a calibration of its own.
How it was trained: scripts/weights/voice.py; what it reaches: weights/MODEL_CARD.md; why so: docs/decisions/0015, 0024 and 0025.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ffdv.detect.kernel import KernelMachine, load_kernel_machine
from ffdv.detect.senses import Looked, SenseAbsent, SenseName, SenseOpinion, nobody_speaks
from ffdv.errors import CheckpointError
from ffdv.features import fourier
from ffdv.features.frame_lines import FRAME_RATES, LineScale
from ffdv.features.frame_tones import FOLDED_HZ, TONE_RATES
from ffdv.features.frame_traces import FrameTraces
from ffdv.features.networks import open_session
from ffdv.features.recipe import MIN_SOUND_RATE, resample_mono
from ffdv.features.voice_activity import SpeechHeard
from ffdv.features.voice_statistics import statistic_names, voice_statistics
from ffdv.metrics.calibration import Calibration, logit, sigmoid
from ffdv.records import FloatArray, MediaFacts, Samples
from ffdv.sentences import Sentence

RATE = 16_000
TOP_HZ = 7_000.0  # the training sound ends here
LEVEL_DBFS, NOISE_DBFS = -25.0, -70.0  # the training sound's level and the faint noise under it
STRETCH_SECONDS = 10.0  # training clips are 2 … 9.5 s long
WINDOW = 35_840  # 2.24 s, as the net was trained
HOP = WINDOW // 2
WINDOWS_AT_ONCE = 4
LEAST_ACTIVE_SECONDS = 0.6
TRAINED_SECONDS = 2.0  # the shortest training clip
CLEAR_TRACES = 4.0  # evidence of frames that 23 % of closed forged clips exceed,
TRACED_GENUINE = (2, 223)  # and so many of so many genuine ones
WORN = 0.5  # above it the sound is told to be worn
WEAR_RANGE = (-2.0, 6.0)  # of the logit of wear, where it shifts what worn sound is worth: beyond, nothing is known
LEAST_KBPS = 36.0  # of the sound's stream; the training clips have 40 to 64
# Nothing within so many dB of the speech between 4.4 and 6.8 kHz: a telephone, or a very low bit rate.
EMPTY_TOP_DB = -68.0
STATISTICS_NAME, NET_NAME = "voice.npz", "voice.onnx"


@dataclass(frozen=True)
class _Heard:
    """One clip through all: what is heard in stretches and in windows, where they lie in samples, and the net's maps."""

    stretches: npt.NDArray[np.float64]  # (k, 2)
    statistics: npt.NDArray[np.float64]  # (k,)
    traces: FrameTraces  # of frames, (k, rates)
    unlikeness: npt.NDArray[np.float64]  # (k,)
    wear: float  # 0: as clean as the training clips, 1: surely worn
    windows: npt.NDArray[np.float64]  # (m, 2)
    net: npt.NDArray[np.float64]  # (m,)
    maps: FloatArray  # (m, h, w)

    def logits(self, trace_share: float) -> npt.NDArray[np.float64]:
        """What statistics and traces of frames say of each stretch (k,)."""
        return self.statistics + trace_share * self.traces.evidence()


class VoiceSense:
    """The shipped voice detector. folder: where voice.npz and voice.onnx lie; None = inside the package.

    Raises CheckpointError when they are missing, damaged, or of another version.
    """

    def __init__(self, folder: Path | None = None) -> None:
        if folder is None:
            with as_file(files("ffdv.detect").joinpath("weights")) as inside:
                self._machine, self._session, self._beat_scale = _load(inside)
        else:
            self._machine, self._session, self._beat_scale = _load(folder)
        facts = self._machine.facts
        self._net_share = float(facts["net_share"])
        self._calibration = Calibration(kind="platt", **facts["calibration"])
        self._worn_calibration = Calibration(kind="platt", **facts["worn_calibration"])
        self._span_calibration = Calibration(kind="platt", **facts["span_calibration"])
        self._wear_weights = np.asarray(facts["wear"]["weights"], dtype=np.float64)
        self._wear_bias = float(facts["wear"]["bias"])
        self._wear_share = float(facts["wear"]["share"])
        self._unlike = float(facts["unlike_above"])
        self._trace_share = float(facts["traces"]["share"])

    @property
    def name(self) -> SenseName:
        """Voice."""
        return "voice"

    @property
    def machine(self) -> KernelMachine:
        """The statistics' half; its facts hold provenance and calibration."""
        return self._machine

    def judge(self, looked: Looked) -> SenseOpinion | SenseAbsent:
        """What the sound of one piece sounds like. Absent: no_sound, low_rate, too_short, silent_sound, no_speech, telephone_band."""
        sound = looked.features.sound
        if sound is None or sound.num_samples == 0:
            return SenseAbsent("voice", "no_sound", Sentence("there is no sound to judge a voice by"))
        if sound.rate < MIN_SOUND_RATE:
            text = Sentence("the sound has {rate} samples a second, too few to judge a voice by", rate=sound.rate)
            return SenseAbsent("voice", "low_rate", text)
        samples = resample_mono(sound, RATE)
        speech = looked.speech
        unfit = _unfit(samples, speech)
        if unfit is not None:
            return unfit
        heard = self._hear(samples)
        if heard is None:
            text = Sentence("there is less than {least:g} s of speech, too little to judge", least=LEAST_ACTIVE_SECONDS)
            return SenseAbsent("voice", "too_short", text)
        kbps = _sound_kbps(looked.features.facts)
        outside = self._outside(heard, speech.active_seconds, kbps)
        return self._opinion(heard, sound, len(samples), speech, outside=outside)

    def _hear(self, as_it_is: FloatArray) -> _Heard | None:
        """Mono sound (n,) at 16 kHz. Traces of frames are looked for in the sound as it is: the faint noise of training hides half of them."""
        samples = as_trained(as_it_is)
        places, values, parts = [], [], []
        for start, stop in stretches(len(samples)):
            measured = voice_statistics(samples[start:stop])
            if measured is not None:
                places.append((start, stop))
                values.append(measured.values)
                parts.append(as_it_is[start:stop])
        if not values:
            return None
        stacked = np.stack(values)
        wear = self._wear(stacked)
        starts = window_starts(len(samples))
        logits, maps = [], []
        for first in range(0, len(starts), WINDOWS_AT_ONCE):
            batch = np.stack([cut_window(samples, start) for start in starts[first : first + WINDOWS_AT_ONCE]])
            logit, activation = self._session.run(["logit", "activation"], {"samples": batch})
            logits.append(logit)
            maps.append(activation)
        return _Heard(
            np.asarray(places, dtype=np.float64),
            self._machine.logits(stacked),
            FrameTraces.of(parts, self._beat_scale).heard_in(wear),
            self._machine.unlikeness(stacked),
            wear,
            np.asarray([(start, min(start + WINDOW, len(samples))) for start in starts], dtype=np.float64),
            np.concatenate(logits).astype(np.float64),
            np.concatenate(maps).astype(np.float32),
        )

    def _wear(self, statistics: FloatArray) -> float:
        """How likely the sound is noisy, re-recorded or heavily compressed, from statistics of its stretches (k, n)."""
        scores = self._machine.standings(statistics) @ self._wear_weights + self._wear_bias
        return float(sigmoid([scores.mean()])[0])

    def _calibrated(self, logits: npt.ArrayLike, clean: Calibration, wear: float) -> npt.NDArray[np.float64]:
        """Probabilities of logits (n,), between the calibration of clean sound and that of worn sound, which the wear itself shifts."""
        how_worn = float(np.clip(logit(np.array([wear])), *WEAR_RANGE)[0])
        worn = np.asarray(logits, np.float64) + self._wear_share * how_worn
        odds = [
            logit(np.asarray(one.apply(given), np.float64))
            for one, given in ((clean, logits), (self._worn_calibration, worn))
        ]
        return np.asarray(sigmoid((1.0 - wear) * odds[0] + wear * odds[1]), np.float64)

    def _opinion(
        self, heard: _Heard, sound: Samples, length: int, speech: SpeechHeard, *, outside: tuple[Sentence, ...]
    ) -> SenseOpinion:
        stretch_logits, net = heard.logits(self._trace_share), float(heard.net.mean())
        frames = heard.traces.clearest(CLEAR_TRACES)
        all_three = float(stretch_logits.mean()) + self._net_share * net
        edges = spoken(_cells(length), speech.talking * RATE)
        local = _cover(edges, heard.stretches, stretch_logits) + self._net_share * _cover(
            edges, heard.windows, heard.net
        )
        return SenseOpinion(
            "voice",
            all_three,
            float(self._calibrated([all_three], self._calibration, heard.wear)[0]),
            edges / RATE + sound.start_seconds,
            self._calibrated(local, self._span_calibration, heard.wear),
            activation=_stitched(heard, length, speech.talking * RATE),
            outside=outside,
            signs=() if frames is None else (_of_frames(*frames),),
            numbers={
                "statistics_logit": float(heard.statistics.mean()),
                "net_logit": net,
                "frame_traces": float(heard.traces.evidence().mean()),
                **({} if frames is None or frames[0] == FOLDED_HZ else {"frame_rate_hz": frames[0]}),
                "speech_seconds": speech.active_seconds,
                "unlikeness": float(heard.unlikeness.mean()),
                "wear": heard.wear,
            },
            activation_hz=(0.0, TOP_HZ),
            activation_span=(sound.start_seconds, sound.start_seconds + length / RATE),
        )

    def _outside(self, heard: _Heard, active_seconds: float, kbps: float | None) -> tuple[Sentence, ...]:
        reasons = []
        if active_seconds < TRAINED_SECONDS:
            reasons.append(
                Sentence(
                    "there is {seconds:.1f} s of speech, less than the {least:.0f} s of the shortest training clip",
                    seconds=active_seconds,
                    least=TRAINED_SECONDS,
                )
            )
        if float(heard.unlikeness.mean()) > self._unlike:
            reasons.append(Sentence("the sound is unlike nearly all that the voice detector was trained on"))
        if heard.wear > WORN:
            reasons.append(
                Sentence(
                    "the sound is noisy, re-recorded or heavily compressed, which can make a genuine voice sound synthetic"
                )
            )
        elif kbps is not None and kbps < LEAST_KBPS:
            reasons.append(
                Sentence(
                    "the sound is compressed to {kbps:.0f} kbit/s, which can make a genuine voice sound synthetic",
                    kbps=kbps,
                )
            )
        return tuple(reasons)


def _of_frames(rate: float, by_tones: bool) -> Sentence:
    few, many = TRACED_GENUINE
    if rate == FOLDED_HZ:
        return Sentence(
            "faint steady tones stand at {rate:.0f} Hz and at twice that, as flow vocoders leave; {few} of {many} genuine clips had a clear trace of a generator's frames, by tones or by a beat",
            rate=rate,
            few=few,
            many=many,
        )
    if by_tones:
        return Sentence(
            "faint steady tones stand at multiples of {rate:.1f} Hz, as where speech is generated, or passed through a neural codec, frame by frame; {few} of {many} genuine clips had a clear trace of that kind, by tones or by a beat",
            rate=rate,
            few=few,
            many=many,
        )
    return Sentence(
        "narrow bands of the sound swing {rate:.1f} times a second, as where speech is generated, or passed through a neural codec, frame by frame; {few} of {many} genuine clips had a clear trace of that kind, by tones or by a beat",
        rate=rate,
        few=few,
        many=many,
    )


def _sound_kbps(facts: MediaFacts) -> float | None:
    """Bit rate of the first sound; of the whole file where it holds nothing else; None where the headers do not tell."""
    if not facts.sounds:
        return None
    known = facts.sounds[0].bit_rate or (None if facts.has_picture else facts.bit_rate)
    return known / 1000 if known else None


def _unfit(samples: FloatArray, speech: SpeechHeard) -> SenseAbsent | None:
    """Why mono sound at 16 kHz cannot be judged; None where it can."""
    if len(samples) < LEAST_ACTIVE_SECONDS * RATE:
        text = Sentence("the sound is {seconds:.1f} s long, too short to judge", seconds=len(samples) / RATE)
        return SenseAbsent("voice", "too_short", text)
    unheard = nobody_speaks("voice", speech)
    if unheard is not None:
        return unheard
    if top_band_db(samples) < EMPTY_TOP_DB:
        # Measured: of 70 real voices through G.711 and AMR 96 and 100 % would be called made (MODEL_CARD.md).
        return SenseAbsent(
            "voice",
            "telephone_band",
            Sentence(
                "the sound holds nothing above 4.4 kHz, as on a telephone, where genuine voices cannot be told from made ones"
            ),
        )
    return None


def as_trained(samples: FloatArray) -> FloatArray:
    """Mono sound (n,) at 16 kHz under the conditions of the training sound: nothing above 7 kHz, -25 dBFS, faint noise.

    The noise is the same every time, so a clip's score is too.
    """
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    scaled = samples * (10 ** (LEVEL_DBFS / 20) / max(level, 1e-9))
    noise = np.random.default_rng(0).standard_normal(len(samples)) * 10 ** (NOISE_DBFS / 20)
    spectrum = fourier.rfft((scaled + noise).astype(np.float32))
    hz = np.linspace(0.0, RATE / 2, len(spectrum))
    limited: FloatArray = fourier.irfft(spectrum * passing(hz).astype(np.float32), len(samples)).astype(np.float32)
    return limited


def passing(hz: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How much of each frequency the training sound holds: 1 below TOP_HZ, 0 above, half a cosine of 100 Hz between."""
    return 0.5 + 0.5 * np.cos(np.pi * np.clip((hz - (TOP_HZ - 50.0)) / 100.0, 0.0, 1.0))


def stretches(length: int) -> list[tuple[int, int]]:
    """Equal parts (start, stop) of so many samples, none longer than STRETCH_SECONDS."""
    count = max(1, math.ceil(length / (STRETCH_SECONDS * RATE)))
    edges = np.linspace(0, length, count + 1).astype(int)
    return [(int(a), int(b)) for a, b in itertools.pairwise(edges)]


def window_starts(length: int) -> list[int]:
    """Where the net's windows begin: every HOP, and one that ends with the sound; a single one where it is shorter."""
    if length <= WINDOW:
        return [0]
    starts = list(range(0, length - WINDOW + 1, HOP))
    if starts[-1] + WINDOW < length - HOP // 4:
        starts.append(length - WINDOW)
    return starts


def cut_window(samples: FloatArray, start: int) -> FloatArray:
    """WINDOW samples from `start`; sound that is shorter is repeated, as in training."""
    if len(samples) < WINDOW:
        samples = np.tile(samples, math.ceil(WINDOW / len(samples)))
    return np.ascontiguousarray(samples[start : start + WINDOW], dtype=np.float32)


def top_band_db(samples: FloatArray) -> float:
    """Level of 4.4 … 6.8 kHz of mono sound at 16 kHz against all of it, in dB."""
    power = np.abs(fourier.rfft(samples)) ** 2
    hz = np.linspace(0.0, RATE / 2, len(power))
    top = power[(hz > 4400) & (hz < 6800)].sum()
    return float(10.0 * np.log10((top + 1e-20) / (power.sum() + 1e-20)))


def _cells(length: int) -> npt.NDArray[np.float64]:
    """Every HOP samples (k, 2), none much shorter: the opinion's spans where somebody speaks all the time."""
    starts = np.arange(0, length, HOP)
    cells = np.stack([starts, np.minimum(starts + HOP, length)], axis=1).astype(np.float64)
    if len(cells) > 1 and cells[-1, 1] - cells[-1, 0] < HOP / 2:
        cells = np.concatenate([cells[:-2], [[cells[-2, 0], cells[-1, 1]]]])
    return cells


def spoken(cells: npt.NDArray[np.float64], talking: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Cells (k, 2) cut down to the stretches (n, 2) in which somebody talks; without those in which nobody does.

    >>> spoken(np.array([[0.0, 2.0], [2.0, 4.0], [4.0, 6.0]]), np.array([[0.0, 1.5], [5.0, 9.0]])).tolist()
    [[0.0, 1.5], [5.0, 6.0]]
    """
    starts = np.maximum(cells[:, None, 0], talking[None, :, 0])
    stops = np.minimum(cells[:, None, 1], talking[None, :, 1])
    shared = stops > starts
    first = np.where(shared, starts, np.inf).min(axis=1, initial=np.inf)
    last = np.where(shared, stops, -np.inf).max(axis=1, initial=-np.inf)
    return np.stack([first, last], axis=1)[shared.any(axis=1)]


def _cover(
    cells: npt.NDArray[np.float64], pieces: npt.NDArray[np.float64], values: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """For each cell (k, 2) the mean of values (m,) over the pieces (m, 2) that overlap it, by length; their mean where none does."""
    shared = np.minimum(cells[:, None, 1], pieces[None, :, 1]) - np.maximum(cells[:, None, 0], pieces[None, :, 0])
    weight = np.maximum(shared, 0.0)
    total = weight.sum(axis=1)
    mean = np.divide(weight @ values, total, out=np.full(len(cells), values.mean()), where=total > 0)
    return np.asarray(mean)


def _stitched(heard: _Heard, length: int, talking: npt.NDArray[np.float64]) -> FloatArray:
    """The windows' maps as one picture over the whole sound, in [0, 1]; where windows overlap, their mean, and 0 where nobody talks."""
    step = WINDOW / heard.maps.shape[2]  # samples a column
    columns = max(1, math.ceil(length / step))
    total = np.zeros((heard.maps.shape[1], columns), dtype=np.float64)
    count = np.zeros(columns)
    for (start, _), one in zip(heard.windows, heard.maps, strict=True):
        first = round(start / step)
        width = min(one.shape[1], columns - first)
        total[:, first : first + width] += one[:, :width]
        count[first : first + width] += 1
    mean = total / np.maximum(count, 1.0)
    middles = (np.arange(columns)[:, None] + 0.5) * step
    mean[:, ~((talking[:, 0] <= middles) & (middles < talking[:, 1])).any(axis=1)] = 0.0
    return np.asarray(np.clip(mean, 0.0, 1.0), dtype=np.float32)


def _beat_scale(facts: Mapping[str, Any]) -> LineScale:
    """Raises KeyError, TypeError or ValueError where the facts hold none of these rates."""
    told = facts["traces"]
    if not (np.allclose(told["rates"], FRAME_RATES) and np.allclose(told["tone_rates"], TONE_RATES)):
        raise ValueError("traces of frames at other rates")
    return LineScale(*(np.asarray(told[name], np.float32) for name in ("centre", "spread", "rate_spread")))


def _load(folder: Path) -> tuple[KernelMachine, Any, LineScale]:
    machine = load_kernel_machine(folder / STATISTICS_NAME)
    told = machine.facts
    try:
        fits = list(told["statistics"]) == list(statistic_names()) and math.isfinite(
            told["wear"]["share"] + told["traces"]["share"]
        )
        scale = _beat_scale(told)
    except (KeyError, TypeError, ValueError):
        fits = False
    if not fits:
        raise CheckpointError(f"{folder / STATISTICS_NAME}: was made by another version; reinstall ffdv")
    path = folder / NET_NAME
    try:
        session = open_session(path)
    except Exception as error:
        raise CheckpointError(
            f"{path}: is missing or damaged ({str(error).splitlines()[0][:120]}); reinstall ffdv"
        ) from error
    version = session.get_modelmeta().custom_metadata_map.get("voice_format")
    if version != "1":
        raise CheckpointError(f"{path}: has voice format {version}, this ffdv reads 1; reinstall ffdv")
    return machine, session, scale
