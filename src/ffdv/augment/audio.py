"""Sound transforms: (samples float32 (n,), rate in Hz, rng, own parameters) → samples float32.

All chance comes from rng: the same samples and the same rng state give the same result in any process. Parameters given
as (low, high) are drawn anew for each sound. Only `time_stretch`, `change_speed` and `trim_silence` change the length.
`SOUND_TRANSFORMS` at the end is the list of names that a recipe may use.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from ffdv.augment import neutralise
from ffdv.augment.codec import SoundCodecName, transcode_sound
from ffdv.augment.levels import add_at_snr, amplitude
from ffdv.augment.noise import (
    coloured_noise,
    read_impulse_response,
    read_stretch,
    sound_files,
)
from ffdv.augment.rawboost import (
    convolutive_noise,
    impulsive_noise,
    rawboost,
    stationary_noise,
)
from ffdv.augment.rooms import draw_room, reverberate_with
from ffdv.augment.rooms import impulse_response as room_impulse_response
from ffdv.augment.spans import Span, draw
from ffdv.errors import ExtraMissing, RecipeError
from ffdv.records import FloatArray

SoundTransform = Callable[..., FloatArray]
Channel = Literal["left", "right", "mid", "side"]


def time_stretch(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    factor: Annotated[tuple[float, float], Span(0.25, 4)] = (0.9, 1.1),
) -> FloatArray:
    """Faster (factor > 1) or slower speech at the same pitch; length becomes n / factor."""
    times = draw(rng, factor)
    stretch = _stretcher(rate, rng)
    stretch.setTimeFactor(times)
    return _stretched(stretch, samples, round(len(samples) / times))


def pitch_shift(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    semitones: Annotated[tuple[float, float], Span(-24, 24)] = (-2.0, 2.0),
) -> FloatArray:
    """Higher or lower voice at the same speed and length; the formants move with it."""
    shift = draw(rng, semitones)
    stretch = _stretcher(rate, rng)
    stretch.setTransposeSemitones(shift)
    return _stretched(stretch, samples, len(samples))


def change_speed(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    factor: Annotated[tuple[float, float], Span(0.25, 4)] = (0.9, 1.1),
) -> FloatArray:
    """A tape played faster or slower: pitch, formants and length (n / factor) together."""
    import soxr

    if samples.size == 0:
        return samples
    times = draw(rng, factor)
    resampled: FloatArray = soxr.resample(samples, rate * times, rate).astype(np.float32, copy=False)
    return resampled


def white_noise(
    samples: FloatArray,
    rate: int,  # noqa: ARG001 -- all sound transforms are (samples, rate, rng)
    rng: np.random.Generator,
    *,
    snr_db: Annotated[tuple[float, float], Span(-20, 100)] = (10.0, 40.0),
) -> FloatArray:
    """White Gaussian noise at an SNR over the whole sound."""
    level = draw(rng, snr_db)
    return add_at_snr(samples, coloured_noise(len(samples), rng, colour="white"), snr_db=level)


def pink_noise(
    samples: FloatArray,
    rate: int,  # noqa: ARG001 -- all sound transforms are (samples, rate, rng)
    rng: np.random.Generator,
    *,
    snr_db: Annotated[tuple[float, float], Span(-20, 100)] = (10.0, 40.0),
) -> FloatArray:
    """Pink noise (-3 dB an octave) at an SNR over the whole sound."""
    level = draw(rng, snr_db)
    return add_at_snr(samples, coloured_noise(len(samples), rng, colour="pink"), snr_db=level)


def noise_from_files(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    folder: Path,
    snr_db: Annotated[tuple[float, float], Span(-20, 100)] = (5.0, 30.0),
) -> FloatArray:
    """A random stretch of a random recording under the sound, at an SNR. Raises RecipeError when there is none."""
    files = sound_files(Path(folder))
    noise = read_stretch(files[int(rng.integers(len(files)))], rng, length=len(samples), rate=rate)
    return add_at_snr(samples, noise, snr_db=draw(rng, snr_db))


def reverberate(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    rt60_seconds: Annotated[tuple[float, float], Span(0.1, 5)] = (0.1, 0.6),
    distance_metres: Annotated[tuple[float, float], Span(0.1, 5)] = (0.3, 2.0),
) -> FloatArray:
    """In a simulated room of random size; same length, same RMS, direct sound in place."""
    room = draw_room(rng, rt60_seconds=draw(rng, rt60_seconds), distance_metres=draw(rng, distance_metres))
    return reverberate_with(samples, room_impulse_response(room, rng, rate=rate))


def impulse_response(samples: FloatArray, rate: int, rng: np.random.Generator, *, folder: Path) -> FloatArray:
    """In a measured room: a random impulse response of a folder; same length, same RMS, direct sound in place."""
    files = sound_files(Path(folder))
    return reverberate_with(samples, read_impulse_response(files[int(rng.integers(len(files)))], rate))


def separate_channels(
    samples: FloatArray,
    rate: int,  # noqa: ARG001 -- all sound transforms are (samples, rate, rng)
    rng: np.random.Generator,
    *,
    take: tuple[Channel, ...] = ("left", "right", "mid"),
) -> FloatArray:
    """One of left, right, mid (the mean) or side (half the difference) of stereo (2, n) → (n,), before any down-mix.

    (n,) and (1, n) have one channel, which is returned whatever is asked; of more than two channels the mean is taken.
    """
    if samples.ndim == 1:
        return samples
    mono: FloatArray = samples[0] if len(samples) == 1 else samples.mean(axis=0, dtype=np.float32)
    if len(samples) != 2:
        return mono
    left, right = samples
    picked = take[int(rng.integers(len(take)))]
    parts: dict[Channel, FloatArray] = {
        "left": left,
        "right": right,
        "mid": mono,
        "side": np.float32(0.5) * (left - right),
    }
    return parts[picked]


def gain(
    samples: FloatArray,
    rate: int,  # noqa: ARG001 -- all sound transforms are (samples, rate, rng)
    rng: np.random.Generator,
    *,
    decibels: Annotated[tuple[float, float], Span(-60, 40)] = (-12.0, 6.0),
) -> FloatArray:
    """Louder or quieter; values may pass ±1, nothing is clipped here."""
    return samples * np.float32(amplitude(draw(rng, decibels)))


def clip(
    samples: FloatArray,
    rate: int,  # noqa: ARG001 -- all sound transforms are (samples, rate, rng)
    rng: np.random.Generator,
    *,
    share: Annotated[tuple[float, float], Span(0, 1)] = (0.0, 0.05),
) -> FloatArray:
    """Overdriven: the loudest `share` of the samples is cut to one ceiling."""
    if samples.size == 0:
        return samples
    ceiling = np.float32(np.quantile(np.abs(samples), 1.0 - draw(rng, share)))
    return np.clip(samples, -ceiling, ceiling)


def band_limit(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    low_hz: Annotated[tuple[float, float], Span(0, 20_000)] = (0.0, 0.0),
    high_hz: Annotated[tuple[float, float], Span(50, 48_000)] = (3000.0, 7500.0),
) -> FloatArray:
    """Only low_hz to high_hz left, 60 dB down about 250 Hz beyond; 0 and anything from rate / 2 up are no limit."""
    low, high = draw(rng, low_hz), draw(rng, high_hz)
    if low >= high:
        raise RecipeError(f"band_limit: nothing is left between low_hz {low:g} and high_hz {high:g}; lower low_hz")
    return neutralise.band_pass(samples, rate, low_hz=low, high_hz=high)


def mp3(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    kbps: Annotated[tuple[float, float], Span(8, 320)] = (16.0, 128.0),
) -> FloatArray:
    """Through MP3 and back."""
    return transcode_sound(samples, rate=rate, name="mp3", kbps=_draw_kbps(rng, kbps))


def aac(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    kbps: Annotated[tuple[float, float], Span(8, 256)] = (16.0, 128.0),
) -> FloatArray:
    """Through AAC (low complexity) and back."""
    return transcode_sound(samples, rate=rate, name="aac", kbps=_draw_kbps(rng, kbps))


def opus(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    kbps: Annotated[tuple[float, float], Span(6, 256)] = (8.0, 64.0),
) -> FloatArray:
    """Through Opus and back."""
    return transcode_sound(samples, rate=rate, name="opus", kbps=_draw_kbps(rng, kbps))


def g711(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    laws: tuple[Literal["mu", "a"], ...] = ("mu", "a"),
) -> FloatArray:
    """Through the fixed-line telephone: 8 kHz, 8 bits, µ-law or A-law (one of `laws`), and back to `rate`."""
    law = laws[int(rng.integers(len(laws)))]
    name: SoundCodecName = "g711_mu" if law == "mu" else "g711_a"
    return transcode_sound(samples, rate=rate, name=name)


def g722(samples: FloatArray, rate: int, rng: np.random.Generator) -> FloatArray:  # noqa: ARG001 -- same form as all
    """Through wide-band telephony (G.722, 64 kbit/s) and back."""
    return transcode_sound(samples, rate=rate, name="g722")


def amr(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    kbps: Annotated[tuple[float, float], Span(4.75, 12.2)] = (4.75, 12.2),
) -> FloatArray:
    """Through the mobile telephone (AMR narrow band, 8 kHz) and back. Raises RecipeError where FFmpeg has no encoder."""
    return transcode_sound(samples, rate=rate, name="amr", kbps=_draw_kbps(rng, kbps))


def trim_silence(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    below_db: Annotated[tuple[float, float], Span(-90, 0)] = (-35.0, -35.0),
    keep_seconds: Annotated[tuple[float, float], Span(0, 10)] = (0.0, 0.0),
) -> FloatArray:
    """Without the quiet beginning and end (`neutralise.trim_silence`), the threshold and what is kept drawn anew."""
    level = draw(rng, below_db)
    return neutralise.trim_silence(samples, rate, below_db=level, keep_seconds=draw(rng, keep_seconds))


def set_rms(
    samples: FloatArray,
    rate: int,  # noqa: ARG001 -- all sound transforms are (samples, rate, rng)
    rng: np.random.Generator,
    *,
    dbfs: Annotated[tuple[float, float], Span(-90, 0)] = (-25.0, -25.0),
) -> FloatArray:
    """To one RMS in dB re full scale."""
    return neutralise.set_rms(samples, dbfs=draw(rng, dbfs))


def set_loudness(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    lufs: Annotated[tuple[float, float], Span(-70, 0)] = (-23.0, -23.0),
) -> FloatArray:
    """To one loudness by ITU-R BS.1770-4."""
    return neutralise.set_loudness(samples, rate, lufs=draw(rng, lufs))


def from_audiomentations(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    transform: str,
    settings: Mapping[str, Any] | None = None,
) -> FloatArray:
    """Any waveform transform of audiomentations by its class name and constructor arguments (its `p` is 1).

    That library draws from the process's global generators: they are seeded from rng and put back afterwards, so one
    thread a process may use it. Raises RecipeError for an unknown name or setting, ExtraMissing without the library.
    """
    try:
        import audiomentations
    except ModuleNotFoundError as error:
        raise ExtraMissing("audiomentations", "train") from error
    kind = getattr(audiomentations, transform, None)
    if kind is None:
        raise RecipeError(f"audiomentations has no transform {transform!r}; see its documentation for the names")
    try:
        effect = kind(**{"p": 1.0, **(settings or {})})
    except (TypeError, ValueError, AssertionError) as error:
        raise RecipeError(f"audiomentations.{transform}: {error}") from error
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 -- the library's, not ours
    try:
        random.seed(int(rng.integers(2**63)))
        np.random.seed(int(rng.integers(2**32)))  # noqa: NPY002
        changed = effect(samples, rate)
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
    return np.asarray(changed, dtype=np.float32)


SOUND_TRANSFORMS: dict[str, SoundTransform] = {
    "separate_channels": separate_channels,
    "time_stretch": time_stretch,
    "pitch_shift": pitch_shift,
    "change_speed": change_speed,
    "white_noise": white_noise,
    "pink_noise": pink_noise,
    "noise_from_files": noise_from_files,
    "reverberate": reverberate,
    "impulse_response": impulse_response,
    "gain": gain,
    "clip": clip,
    "band_limit": band_limit,
    "mp3": mp3,
    "aac": aac,
    "opus": opus,
    "g711": g711,
    "g722": g722,
    "amr": amr,
    "rawboost": rawboost,
    "convolutive_noise": convolutive_noise,
    "impulsive_noise": impulsive_noise,
    "stationary_noise": stationary_noise,
    "trim_silence": trim_silence,
    "set_rms": set_rms,
    "set_loudness": set_loudness,
    "audiomentations": from_audiomentations,
}


def _draw_kbps(rng: np.random.Generator, kbps: tuple[float, float]) -> float:
    """Evenly on a logarithmic scale: 16 and 32 differ as much to the ear as 64 and 128."""
    return float(np.exp(draw(rng, (float(np.log(kbps[0])), float(np.log(kbps[1]))))))


def _stretcher(rate: int, rng: np.random.Generator) -> Any:
    """The engine behind audiomentations' PitchShift and TimeStretch, seeded; without that library's 3 s of imports."""
    try:
        import python_stretch
    except ModuleNotFoundError as error:
        raise ExtraMissing("changing pitch or time", "train") from error
    stretch = python_stretch.Signalsmith.Stretch(int(rng.integers(2**31)))
    stretch.preset(1, rate)
    return stretch


def _stretched(stretch: Any, samples: FloatArray, length: int) -> FloatArray:
    """The engine's output, cut or padded by its rounding to `length`."""
    if samples.size == 0:
        return samples
    writable = np.require(samples[None], requirements=("C", "W"))  # the engine takes no read-only arrays
    changed = stretch.process(writable)[0][:length]
    return np.pad(changed, (0, length - len(changed)))
