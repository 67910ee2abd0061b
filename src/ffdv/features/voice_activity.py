"""Does anybody speak here? Silero's network, so that no voice is judged where there is silence, noise or music.

Silero Team, "Silero VAD", version 6.2 (weights/LICENSES.txt). It hears 32 ms at a time, with the 4 ms before them, and remembers what
came earlier (LSTM). How well it tells speech from the rest: docs/log.md, 2026-11-26.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ffdv.features.networks import open_packaged
from ffdv.records import FloatArray

RATE = 16_000
FRAME, CONTEXT = 512, 64  # samples, as the network was trained
FRAMES_AT_ONCE = 512  # 16 s: bounds the memory; the network's own memory is carried on
LEVEL_DBFS = -25.0  # the network hears loud sound better than soft; at one level every file gets the same chance
SMALLEST_RMS = 1e-4  # -80 dBFS: below that a file is silent
SPEECH = 0.5  # the network's probability above which a frame is speech
PAUSE_SECONDS = 1.0  # a shorter gap is a pause of somebody who speaks
# Of 4,781 clips of speech 3 hold less; of 356 of music and noise that chose nothing 5 hold more.
LEAST_SPEECH_SECONDS = 0.4


@dataclass(frozen=True)
class SpeechHeard:
    """active_seconds: of sound in which somebody speaks, without pauses; silent: there is no sound to speak of; talking (n, 2):
    half-open stretches in seconds from the sound's start, in which somebody speaks or pauses for less than PAUSE_SECONDS.
    """

    active_seconds: float
    silent: bool = False
    talking: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)), compare=False)

    @property
    def anybody(self) -> bool:
        """Whether somebody speaks, rather than nobody, or an instrument."""
        return self.active_seconds >= LEAST_SPEECH_SECONDS


def hear_speech(samples: FloatArray) -> SpeechHeard:
    """How much of mono sound (n,) at 16 kHz is speech; the same whatever the level, down to SMALLEST_RMS."""
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if len(samples) else 0.0
    if level < SMALLEST_RMS:
        return SpeechHeard(0.0, silent=True)
    chances = speech_chances(samples * np.float32(10 ** (LEVEL_DBFS / 20) / level))
    active = chances > SPEECH
    return SpeechHeard(float(active.sum()) * FRAME / RATE, talking=_stretches(active, len(samples) / RATE))


def _stretches(active: npt.NDArray[np.bool_], length_seconds: float) -> npt.NDArray[np.float64]:
    """Where frames are speech, in seconds (n, 2): what lies less than PAUSE_SECONDS apart, or from an end, is one stretch."""
    frames = np.flatnonzero(active) * (FRAME / RATE)
    if not len(frames):
        return np.zeros((0, 2))
    apart = np.flatnonzero(np.diff(frames) - FRAME / RATE >= PAUSE_SECONDS)
    starts, stops = frames[np.append(0, apart + 1)], frames[np.append(apart, len(frames) - 1)] + FRAME / RATE
    if starts[0] < PAUSE_SECONDS:
        starts[0] = 0.0
    if length_seconds - stops[-1] < PAUSE_SECONDS:
        stops[-1] = length_seconds
    return np.stack([starts, stops], axis=1)


def speech_chances(samples: FloatArray) -> FloatArray:
    """The network's probability of speech for each FRAME of mono sound (n,) at 16 kHz, the last one filled up with silence."""
    count = -(-len(samples) // FRAME)
    padded = np.pad(samples.astype(np.float32, copy=False), (CONTEXT, count * FRAME - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, CONTEXT + FRAME)[::FRAME]
    hidden = cell = np.zeros((1, 1, 128), np.float32)
    chances = [np.zeros(0, np.float32)]
    for first in range(0, count, FRAMES_AT_ONCE):
        given = {"input": np.ascontiguousarray(frames[first : first + FRAMES_AT_ONCE]), "h": hidden, "c": cell}
        part, hidden, cell = _network().run(["speech_probs", "hn", "cn"], given)
        chances.append(part.reshape(-1))
    return np.concatenate(chances)


@cache
def _network() -> Any:
    """The session inside the package, made once a process."""
    return open_packaged("speech.onnx")
