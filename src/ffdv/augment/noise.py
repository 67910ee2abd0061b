"""Noise: of a wanted colour, or a stretch out of recordings in a folder."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.fft

from ffdv.errors import RecipeError
from ffdv.records import FloatArray

Colour = Literal["white", "pink", "brown"]

# The power of 1/f^k noise falls by 3.01 k dB an octave.
_POWER_EXPONENTS: dict[Colour, float] = {"white": 0.0, "pink": 1.0, "brown": 2.0}
_SOUND_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif"})


def coloured_noise(length: int, rng: np.random.Generator, *, colour: Colour) -> FloatArray:
    """Gaussian noise (length,) of unit RMS whose power falls as 1/f^k over the whole band: 0, 3 or 6 dB an octave.

    Shaped in the spectrum of the whole stretch, so the slope holds down to one cycle per stretch.
    """
    if length == 0:
        return np.zeros(0, np.float32)
    white = rng.standard_normal(length, dtype=np.float32)
    if colour == "white":
        return white
    size = scipy.fft.next_fast_len(length, real=True)
    spectrum = scipy.fft.rfft(white, size)
    bins = np.arange(len(spectrum), dtype=np.float32)
    bins[0] = np.inf  # no constant part
    shaped = scipy.fft.irfft(spectrum * bins ** (-_POWER_EXPONENTS[colour] / 2), size)[:length]
    level = float(np.sqrt(np.mean(np.square(shaped, dtype=np.float64))))
    noise: FloatArray = (shaped / max(level, 1e-30)).astype(np.float32)
    return noise


@lru_cache(maxsize=32)
def sound_files(folder: Path) -> tuple[Path, ...]:
    """Every sound file under a folder, in a fixed order. Raises RecipeError when there is none."""
    if not folder.is_dir():
        raise RecipeError(f"{folder}: is not a folder of sound files")
    found = tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SOUND_SUFFIXES))
    if not found:
        known = " ".join(sorted(_SOUND_SUFFIXES))
        raise RecipeError(f"{folder}: holds no sound files ({known})")
    return found


def read_stretch(path: Path, rng: np.random.Generator, *, length: int, rate: int) -> FloatArray:
    """A random stretch (length,) of a file at `rate`, mean of its channels; a shorter file is repeated from its start.

    Only the stretch is read, however long the file is. Raises RecipeError for a file that cannot be read.
    """
    import soundfile
    import soxr

    try:
        with soundfile.SoundFile(path) as file:
            wanted = min(file.frames, -(-length * file.samplerate // rate) + 1)
            if wanted == 0:
                raise RecipeError(f"{path}: holds no sound")
            file.seek(int(rng.integers(0, file.frames - wanted + 1)))
            values = file.read(wanted, dtype="float32", always_2d=True).mean(axis=1)
            file_rate = file.samplerate
    except soundfile.LibsndfileError as error:
        raise RecipeError(f"{path}: cannot be read as sound ({error}); take it out of the folder") from error
    if file_rate != rate:
        values = soxr.resample(values, file_rate, rate)
    return np.resize(values.astype(np.float32, copy=False), length)


@lru_cache(maxsize=256)
def read_impulse_response(path: Path, rate: int) -> FloatArray:
    """An impulse response at `rate`, from its loudest sample on, so that it adds no delay; kept in memory, read-only."""
    import soundfile
    import soxr

    try:
        values, file_rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise RecipeError(f"{path}: cannot be read as sound ({error}); take it out of the folder") from error
    mono = values.mean(axis=1)
    if file_rate != rate:
        mono = soxr.resample(mono, file_rate, rate).astype(np.float32)
    if mono.size == 0 or not np.any(mono):
        raise RecipeError(f"{path}: is silent; take it out of the folder")
    response: FloatArray = mono[int(np.argmax(np.abs(mono))) :]
    response.flags.writeable = False
    return response
