"""Music for tests: tones with an instrument's envelope, struck, plucked, bowed or blown, in keys and rhythms that are drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ffdv.records import FloatArray

RATE = 16_000
SCALE = (0, 2, 3, 5, 7, 9, 10)  # semitones
KINDS = ("piano", "strings", "bell", "guitar", "brass", "drums")

Sound = npt.NDArray[np.float64]


def music(kind: str, seed: int, *, seconds: float = 5.0) -> FloatArray:
    """A tune with chords on one kind of instrument, -22 dBFS, mono at 16 kHz."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    line = np.zeros(round(seconds * RATE))
    root, beat = rng.uniform(110, 220), rng.uniform(0.25, 0.5)
    place, degree = 0.0, 0
    while place < seconds:
        degree = int(np.clip(degree + rng.integers(-2, 3), 0, 10))
        length = beat * rng.choice([0.5, 1, 2])
        for step in (degree, degree + 2, degree + 4)[: rng.integers(1, 4)]:
            octave, key = divmod(step, len(SCALE))
            tone = _tone(kind, root * 2 ** (octave + SCALE[key] / 12), length * 1.3, rng)
            start = round(place * RATE)
            line[start : start + len(tone)] += tone[: len(line) - start]
        place += length
    scaled: FloatArray = (line / np.sqrt(np.mean(line**2)) * 10 ** (-22 / 20)).astype(np.float32)
    return scaled


def _tone(kind: str, hz: float, seconds: float, rng: np.random.Generator) -> Sound:
    time = np.arange(round(seconds * RATE)) / RATE
    swell = np.clip(np.minimum(time / 0.08, (seconds - time) / 0.1), 0, 1)
    harmonics = np.arange(1, int(min(14, 7_000 / hz)) + 1)[:, None]
    if kind == "piano":
        return np.asarray(
            (np.sin(2 * np.pi * hz * harmonics * time) / harmonics**1.5).sum(axis=0) * np.exp(-time / 0.4)
        )
    if kind == "strings":
        phase = 2 * np.pi * hz * (time + 0.008 / (2 * np.pi * 5.5) * np.sin(2 * np.pi * 5.5 * time))
        return np.asarray((np.sin(harmonics * phase) / harmonics).sum(axis=0) * swell)
    if kind == "bell":
        return np.asarray(
            np.sin(2 * np.pi * hz * time + 3 * np.exp(-time / 0.5) * np.sin(7 * np.pi * hz * time))
            * np.exp(-time / 0.6)
        )
    if kind == "brass":
        return np.asarray(
            (swell ** (1 + 0.3 * harmonics) * np.sin(2 * np.pi * hz * harmonics * time) / harmonics**0.7).sum(axis=0)
        )
    if kind == "guitar":  # Karplus and Strong
        string, turns = rng.standard_normal(round(RATE / hz)), []
        for _ in range(len(time) // len(string) + 1):
            turns.append(string)
            string = 0.498 * (string + np.roll(string, 1))
        return np.concatenate(turns)[: len(time)]
    drum = np.sin(2 * np.pi * np.cumsum(50 + 120 * np.exp(-time / 0.03)) / RATE) * np.exp(-time / 0.1)
    return np.asarray(drum + 0.3 * rng.standard_normal(len(time)) * np.exp(-time / 0.02))
