"""Numbers that tell made voices from grown ones, none of which a level, a microphone's colour or a recording's length moves much.

    samples ─ frames of 32 and 64 ms every 10 ms, of 8 ms every 1 ms ─ only those with speech ─▶ about 700 statistics of one clip

What they look at, and why a generator gives itself away there: how fast each band moves when its mean and spread are taken off
(generators predict means: too smooth), how deep and how even harmonics are from low to high bands (vocoders lose the highs'
periodicity, or overdo it), how noise-like noise is (its spectrum should scatter by 5.6 dB), how pulses line up over bands and in phase.
All in numpy; designed here, after the ideas of Müller et al. 2022 (linear bands), Sahidullah et al.
2015 (motion features) and Yegnanarayana's group delay.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ffdv.features.fourier import irfft, rfft
from ffdv.records import FloatArray

RATE = 16_000
HOP = RATE // 100  # 10 ms
LOW_HZ, HIGH_HZ = 100.0, 6_800.0  # the training sound ends at 7 kHz: nothing above may be looked at
ACTIVE_DB = 32.0  # frames so far under the loud ones (95th percentile) are pauses
FEWEST_ACTIVE_FRAMES = 60  # 0.6 s of speech: spreads of fewer frames are luck

_Array = npt.NDArray[np.float64]
_SMALL = 1e-9


@dataclass(frozen=True)
class VoiceStatistics:
    """Statistics of one stretch: values float32 (n,) in the order of `statistic_names`; active_seconds: of speech that they rest on."""

    values: FloatArray
    active_seconds: float


def voice_statistics(samples: FloatArray) -> VoiceStatistics | None:
    """All statistics of mono sound (n,) at 16 kHz; None where fewer than FEWEST_ACTIVE_FRAMES hold speech-loud sound.

    The same whatever the level; always finite.
    """
    named = _measure(samples)
    if named is None:
        return None
    groups, active = named
    values = np.concatenate([np.ravel(group) for group in groups.values()])
    clean = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    return VoiceStatistics(np.clip(clean, -1e3, 1e3).astype(np.float32), active * HOP / RATE)


@lru_cache(maxsize=1)
def statistic_names() -> tuple[str, ...]:
    """What each value is called, group and place in it (motion_std[3]), in order."""
    rng = np.random.default_rng(0)
    named = _measure(rng.standard_normal(RATE).astype(np.float32))
    assert named is not None
    return tuple(f"{name}[{place}]" for name, group in named[0].items() for place in range(np.size(group)))


def active_frames(samples: FloatArray) -> npt.NDArray[np.bool_]:
    """Which 10 ms frames (num_frames,) are at most ACTIVE_DB under the loud ones."""
    power = _power(samples, 512, HOP)
    return _active(power)


def at_unit_level(samples: FloatArray) -> FloatArray | None:
    """The same sound with a mean square of 1; None of silence, and where a sample is no number."""
    level = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    if not np.isfinite(level) or level < 1e-6:
        return None
    return (samples / np.float32(level)).astype(np.float32)


# --- all groups -----------------------------------------------------------------------------------------------------------------


def _measure(samples: FloatArray) -> tuple[dict[str, Any], int] | None:
    if len(samples) < FEWEST_ACTIVE_FRAMES * HOP:
        return None
    sound = at_unit_level(samples)
    if sound is None:
        return None
    spectrum = _spectrum(sound, 512, HOP)
    power = spectrum.real**2 + spectrum.imag**2
    active = _active(power)
    count = int(active.sum())
    if count < FEWEST_ACTIVE_FRAMES:
        return None
    groups: dict[str, Any] = {}
    groups |= _motion(power, active)
    groups |= _modulation(power)
    periodic, fine = _fine_structure(sound, active)
    groups |= fine
    groups |= _phase(sound, spectrum, active, periodic)
    groups |= _pulses(sound, active, periodic)
    groups |= _noise(power, active, periodic)
    groups |= _ripple(sound, power, active, periodic)
    groups |= _residual(sound, active, periodic)
    return groups, count


def _motion(power: _Array, active: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """How bands move once mean and spread are taken off: spread, its change over 10 to 80 ms, the shape of both."""
    bands = _decibels(power @ _band_matrix(512, 24).T)
    groups: dict[str, Any] = {}
    level = bands[active]
    spread = level.std(axis=0) + _SMALL
    groups["motion_std"] = np.log(spread)
    for lag in (1, 2, 4, 8):
        step = _steps(bands, active, lag)
        groups[f"motion_step{lag}"] = np.log(step.std(axis=0) / spread + 1e-4)
    groups["motion_skew"], groups["motion_kurtosis"] = _shape(level)
    groups["motion_step_kurtosis"] = _shape(_steps(bands, active, 1))[1]
    curve = _steps(_steps_all(bands, 1), active[1:] & active[:-1], 1)
    groups["motion_curve"] = np.log(curve.std(axis=0) / spread + 1e-4)
    return groups


def _modulation(power: _Array) -> dict[str, Any]:
    """How fast envelopes swing: share of 7 modulation bands (1.5 … 50 Hz) in each of 8 frequency bands."""
    bands = _decibels(power @ _band_matrix(512, 8).T)
    bands = np.maximum(bands, np.percentile(bands, 95, axis=0) - ACTIVE_DB)
    size, step = 100, 25
    if len(bands) < size:
        bands = np.pad(bands, ((0, size - len(bands)), (0, 0)), mode="wrap")
    windows = np.lib.stride_tricks.sliding_window_view(bands, size, axis=0)[::step]  # (windows, bands, size)
    windows = (windows - windows.mean(axis=2, keepdims=True)) * np.hanning(size)
    swing = (np.abs(rfft(windows, axis=2)) ** 2).mean(axis=0)  # (bands, 51), 1 Hz a bin
    edges = (2, 4, 7, 11, 16, 23, 33, 50)
    share = np.stack([swing[:, low:high].mean(axis=1) for low, high in itertools.pairwise(edges)], axis=1)
    logs = np.log(share + _SMALL)
    return {"modulation": logs - logs.mean(axis=1, keepdims=True)}


def _fine_structure(sound: FloatArray, active: npt.NDArray[np.bool_]) -> tuple[_Array, dict[str, Any]]:
    """How periodic the spectrum is in 5 bands of 1.3 kHz (harmonics stand 70 … 400 Hz apart): depth, evenness, agreement.

    Also returns how periodic each frame is below 2.8 kHz (num_frames,), 0 … 1.
    """
    logs = np.log(_power(sound, 1024, HOP) + _SMALL)[: len(active)]
    starts = [round(hz / 15.625) for hz in (100.0, 1440.0, 2780.0, 4120.0, 5460.0)]
    width = round(1340.0 / 15.625)
    taper = np.hanning(width)
    lags = np.arange(5, 27)  # bins between harmonics: 78 … 406 Hz
    angles = 2 * np.pi * np.arange(width)[:, None] / lags[None, :]
    waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * taper[:, None]
    peaks, best, depth = [], [], []
    for start in starts:
        part = logs[:, start : start + width]
        part = part - part.mean(axis=1, keepdims=True)
        slope = np.linspace(-1, 1, width)
        part = part - (part @ slope / (slope @ slope))[:, None] * slope
        both = part @ waves
        energy = np.sqrt((part**2 * taper).sum(axis=1) * taper.sum()) + _SMALL
        strength = np.hypot(both[:, : len(lags)], both[:, len(lags) :]) / energy[:, None]
        peaks.append(strength.max(axis=1))
        best.append(lags[strength.argmax(axis=1)])
        ordered = np.sort(part, axis=1)
        depth.append(ordered[:, -width // 10 :].mean(axis=1) - ordered[:, : width // 10].mean(axis=1))
    peak, place, deep = np.stack(peaks, 1), np.stack(best, 1), np.stack(depth, 1)
    periodic = np.clip((peak[:, 0] + peak[:, 1]) / 2, 0, 1)
    voiced = active & (periodic > np.median(periodic[active]))
    rest = active & ~voiced
    groups: dict[str, Any] = {}
    for name, where in (("voiced", voiced), ("rest", rest)):
        chosen = peak[where]
        groups[f"fine_{name}_mean"] = chosen.mean(axis=0)
        groups[f"fine_{name}_std"] = chosen.std(axis=0)
        groups[f"fine_{name}_ends"] = np.percentile(chosen, [10, 90], axis=0)
        groups[f"depth_{name}_mean"] = deep[where].mean(axis=0)
        groups[f"depth_{name}_std"] = deep[where].std(axis=0)
    groups["fine_together"] = _upper(np.asarray(np.corrcoef(peak[active].T)))
    groups["depth_together"] = _upper(np.asarray(np.corrcoef(deep[active].T)))
    same = np.abs(place[voiced][:, 1:] - place[voiced][:, :1]) <= 1
    groups["fine_same_pitch"] = same.mean(axis=0)
    groups["fine_step"] = np.log(_steps(peak, active, 1).std(axis=0) / (peak[active].std(axis=0) + _SMALL) + 1e-4)
    groups["depth_step"] = np.log(_steps(deep, active, 1).std(axis=0) / (deep[active].std(axis=0) + _SMALL) + 1e-4)
    return periodic, groups


def _phase(sound: FloatArray, spectrum: Any, active: npt.NDArray[np.bool_], periodic: _Array) -> dict[str, Any]:
    """Group delay within a frame: its spread in 8 bands, and how well neighbouring bins agree, voiced and not."""
    power = spectrum.real**2 + spectrum.imag**2
    ramp = (np.arange(512) - 255.5) / 512.0
    weighted = _spectrum(sound, 512, HOP, extra=ramp.astype(np.float32))
    delay = (spectrum.real * weighted.real + spectrum.imag * weighted.imag) / (power + _SMALL)  # in windows
    delay = np.clip(delay, -1.0, 1.0)
    turn = spectrum[:, 1:] * np.conj(spectrum[:, :-1])
    turn = turn / (np.abs(turn) + _SMALL)
    groups: dict[str, Any] = {}
    voiced = active & (periodic > np.median(periodic[active]))
    edges = np.round(np.linspace(LOW_HZ, HIGH_HZ, 9) / 31.25).astype(int)
    for name, where in (("voiced", voiced), ("rest", active & ~voiced)):
        spreads, agrees, jitters = [], [], []
        for low, high in itertools.pairwise(edges):
            weight = power[where, low:high]
            total = weight.sum(axis=1) + _SMALL
            mean = (delay[where, low:high] * weight).sum(axis=1) / total
            square = (np.square(delay[where, low:high] - mean[:, None]) * weight).sum(axis=1) / total
            spreads.append(np.log(square + 1e-6))
            agrees.append(np.abs(turn[where, low:high].mean(axis=1)))
            jitters.append(mean)
        groups[f"delay_{name}_mean"] = [value.mean() for value in spreads]
        groups[f"delay_{name}_std"] = [value.std() for value in spreads]
        groups[f"agree_{name}_mean"] = [value.mean() for value in agrees]
        groups[f"agree_{name}_std"] = [value.std() for value in agrees]
        groups[f"delay_{name}_together"] = _upper(np.corrcoef(np.stack(jitters)))
    return groups


def _pulses(sound: FloatArray, active: npt.NDArray[np.bool_], periodic: _Array) -> dict[str, Any]:
    """Envelopes by the millisecond in 7 bands: how peaked within 32 ms, how they swing at 31 … 500 Hz, how they line up."""
    power = _power(sound, 128, 16)
    edges = np.round(np.linspace(200.0, HIGH_HZ, 8) / 125.0).astype(int)
    bands = np.stack([power[:, low:high].sum(axis=1) for low, high in itertools.pairwise(edges)], axis=1)
    size = 64
    frames = np.flatnonzero(active)
    frames = frames[(frames * 10 >= size // 2) & (frames * 10 + size // 2 <= len(bands))]
    groups: dict[str, Any] = {}
    windows = np.lib.stride_tricks.sliding_window_view(bands, size, axis=0)[frames * 10 - size // 2]  # (k, bands, size)
    peaked = np.log((windows**2).mean(axis=2) / (windows.mean(axis=2) ** 2 + _SMALL) + _SMALL)
    voiced = periodic[frames] > np.median(periodic[frames])
    for name, where in (("voiced", voiced), ("rest", ~voiced)):
        groups[f"peaked_{name}_mean"] = peaked[where].mean(axis=0)
        groups[f"peaked_{name}_std"] = peaked[where].std(axis=0)
    logs = np.log(windows[::2] + 1e-6)
    logs = (logs - logs.mean(axis=2, keepdims=True)).astype(np.float32)
    swing = np.abs(rfft(logs * np.hanning(size).astype(np.float32), axis=2)) ** 2  # 15.6 Hz a bin
    bins = (2, 4, 6, 9, 13, 19, 26, 33)
    share = np.stack([swing[:, :, low:high].mean(axis=2) for low, high in itertools.pairwise(bins)], axis=2)
    for name, where in (("voiced", voiced[::2]), ("rest", ~voiced[::2])):
        mean = np.log(share[where].mean(axis=0) + _SMALL)
        groups[f"swing_{name}"] = mean - mean.mean(axis=1, keepdims=True)
    groups |= _long_swing(bands, frames)
    normal = logs / (logs.std(axis=2, keepdims=True) + _SMALL)
    line = np.einsum("kbt,kct->kbc", normal, normal) / size
    groups["lined_up_voiced"] = _upper(line[voiced[::2]].mean(axis=0))
    groups["lined_up_rest"] = _upper(line[~voiced[::2]].mean(axis=0))
    return groups


def _long_swing(bands: _Array, frames: npt.NDArray[np.intp]) -> dict[str, Any]:
    """Envelopes over 128 ms: share of 12 modulation bands (16 … 500 Hz) in 7 bands, and how far single rates stand out."""
    size = 128
    frames = frames[(frames * 10 >= size // 2) & (frames * 10 + size // 2 <= len(bands))][::3]
    if len(frames) < 4:
        frames = np.array([size // 20 + 1] * 4)
    windows = np.lib.stride_tricks.sliding_window_view(bands, size, axis=0)[
        np.minimum(frames * 10 - size // 2, len(bands) - size)
    ]
    logs = np.log(windows + 1e-6)
    logs = (logs - logs.mean(axis=2, keepdims=True)).astype(np.float32) * np.hanning(size).astype(np.float32)
    swing = np.abs(rfft(logs, axis=2)) ** 2  # 7.8 Hz a bin
    mean = np.log(swing + 1e-6).mean(axis=0)
    bins = (2, 4, 6, 8, 10, 13, 16, 20, 26, 33, 42, 52, 65)
    share = np.stack([mean[:, low:high].mean(axis=1) for low, high in itertools.pairwise(bins)], axis=1)
    bump = mean[:, 1:-1] - (mean[:, :-2] + mean[:, 2:]) / 2
    return {
        "long_swing": share - share.mean(axis=1, keepdims=True),
        "long_swing_std": np.log(swing[:, :, 2:] + 1e-6).std(axis=0).mean(axis=1),
        "long_swing_bumps": np.log(bump[:, 8:].std(axis=1) + 1e-4),
        "long_swing_top": bump[:, 8:].max(axis=1),
    }


def _noise(power: _Array, active: npt.NDArray[np.bool_], periodic: _Array) -> dict[str, Any]:
    """How far log power scatters within 10 bands, frame by frame and from frame to frame: 5.6 dB where it is true noise."""
    logs = np.log(power + _SMALL)
    edges = np.round(np.linspace(LOW_HZ, HIGH_HZ, 11) / 31.25).astype(int)
    voiced = active & (periodic > np.median(periodic[active]))
    groups: dict[str, Any] = {}
    flat = np.stack(
        [
            logs[:, low:high].mean(axis=1) - np.log(power[:, low:high].mean(axis=1) + _SMALL)
            for low, high in itertools.pairwise(edges)
        ],
        axis=1,
    )
    change = np.diff(logs, axis=1)
    rough = np.stack([change[:, low:high].std(axis=1) for low, high in itertools.pairwise(edges)], axis=1)
    for name, where in (("voiced", voiced), ("rest", active & ~voiced)):
        groups[f"flat_{name}_mean"] = flat[where].mean(axis=0)
        groups[f"flat_{name}_std"] = flat[where].std(axis=0)
        groups[f"rough_{name}_mean"] = rough[where].mean(axis=0)
        groups[f"rough_{name}_std"] = rough[where].std(axis=0)
    # bins against their own past: sustained tones and frozen noise stand out
    past = logs[2:] - logs[:-2]
    both = active[2:] & active[:-2]
    groups["past"] = [
        np.log(past[both, low:high].std(axis=1).mean() + _SMALL) for low, high in itertools.pairwise(edges)
    ]
    return groups


def _ripple(sound: FloatArray, power: _Array, active: npt.NDArray[np.bool_], periodic: _Array) -> dict[str, Any]:
    """Bumps of single bins in long-term spectra of three resolutions: what up-sampling layers leave at fixed frequencies."""
    groups: dict[str, Any] = {}
    voiced = active & (periodic > np.median(periodic[active]))
    long = _power(sound, 2048, 4 * HOP)
    middle = _power(sound, 1024, 2 * HOP)
    parts = (
        ("fine", 2048, long[active[::4][: len(long)]]),
        ("middle", 1024, middle[active[::2][: len(middle)]]),
        ("voiced", 512, power[voiced]),
        ("rest", 512, power[active & ~voiced]),
        ("pauses", 512, power[~active] if (~active).sum() >= 10 else power[active]),
    )
    for name, n_fft, chosen in parts:
        mean = np.log(chosen + _SMALL).mean(axis=0)
        edges = np.round(np.linspace(LOW_HZ, HIGH_HZ, 9) / (RATE / n_fft)).astype(int)
        for lag in (1, 3):
            bump = mean[lag:-lag] - (mean[: -2 * lag] + mean[2 * lag :]) / 2
            bands = [bump[low - lag : high - lag] for low, high in itertools.pairwise(edges)]
            groups[f"ripple_{name}{lag}_std"] = [np.log(part.std() + 1e-4) for part in bands]
            groups[f"ripple_{name}{lag}_top"] = [np.abs(part).max() / (part.std() + _SMALL) for part in bands]
    return groups


def _residual(sound: FloatArray, active: npt.NDArray[np.bool_], periodic: _Array) -> dict[str, Any]:
    """Shape of what linear prediction (order 18) leaves, in frames of 32 ms: skew, tails, gain."""
    frames = np.lib.stride_tricks.sliding_window_view(np.pad(sound, 256), 512)[::HOP][: len(active)]
    window = np.hanning(512).astype(np.float32)
    chosen = np.flatnonzero(active)[::2]
    framed = frames[chosen] * window
    lags = irfft(np.abs(rfft(framed, 1024, axis=1)) ** 2, axis=1)[:, :19].astype(np.float64)
    lags[:, 0] *= 1.0 + 1e-4
    coefficients, error = _levinson(lags)
    whitened = irfft(rfft(framed, 1024, axis=1) * rfft(coefficients, 1024, axis=1), axis=1)[:, 40:472]
    centred = whitened - whitened.mean(axis=1, keepdims=True)
    scale = centred.std(axis=1) + _SMALL
    skew = np.abs((centred**3).mean(axis=1)) / scale**3
    tails = np.log((centred**4).mean(axis=1) / scale**4)
    gain = np.log(error / (lags[:, 0] + _SMALL) + _SMALL)
    voiced = periodic[chosen] > np.median(periodic[chosen])
    near = irfft(np.abs(rfft(centred, 1024, axis=1)) ** 2, axis=1)
    peak = (near[:, 40:220].max(axis=1)) / (near[:, 0] + _SMALL)
    crest = np.log(np.abs(centred).max(axis=1) / scale)
    half = np.stack([np.square(centred[:, k : k + 54]).sum(axis=1) for k in range(0, 432, 54)], axis=1)
    uneven = np.log(half.std(axis=1) / (half.mean(axis=1) + _SMALL) + 1e-4)
    values = np.stack([skew, tails, gain, peak, crest, uneven], axis=1)
    return {
        "residual_voiced": [values[voiced].mean(axis=0), values[voiced].std(axis=0)],
        "residual_rest": [values[~voiced].mean(axis=0), values[~voiced].std(axis=0)],
    }


# --- parts ----------------------------------------------------------------------------------------------------------------------


def _spectrum(sound: FloatArray, n_fft: int, hop: int, *, extra: FloatArray | None = None) -> Any:
    """Short-time spectrum (num_frames, n_fft / 2 + 1) complex64; frame i is centred on sample i * hop; extra: times the window."""
    window = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)
    if extra is not None:
        window = window * extra
    padded = np.pad(sound, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    return rfft(frames * window, axis=1)


def _power(sound: FloatArray, n_fft: int, hop: int) -> _Array:
    spectrum = _spectrum(sound, n_fft, hop)
    return np.asarray(spectrum.real**2 + spectrum.imag**2)


def _active(power: _Array) -> npt.NDArray[np.bool_]:
    level = 10.0 * np.log10(power[:, 4:218].sum(axis=1) + 1e-20)
    return np.asarray(level > np.percentile(level, 95) - ACTIVE_DB)


@lru_cache(maxsize=8)
def _band_matrix(n_fft: int, bands: int) -> _Array:
    """Triangles between LOW_HZ and HIGH_HZ on a linear scale (bands, n_fft / 2 + 1), each of sum 1."""
    hz = np.fft.rfftfreq(n_fft, 1.0 / RATE)
    corners = np.linspace(LOW_HZ, HIGH_HZ, bands + 2)
    rising = (hz[None, :] - corners[:-2, None]) / (corners[1:-1] - corners[:-2])[:, None]
    falling = (corners[2:, None] - hz[None, :]) / (corners[2:] - corners[1:-1])[:, None]
    weights = np.maximum(0.0, np.minimum(rising, falling))
    matrix: _Array = weights / weights.sum(axis=1, keepdims=True)
    matrix.flags.writeable = False
    return matrix


def _decibels(power: _Array) -> _Array:
    """Decibels, at most 70 under the loudest of all."""
    logs = 10.0 * np.log10(power + 1e-20)
    return np.asarray(np.maximum(logs, logs.max() - 70.0))


def _steps_all(values: _Array, lag: int) -> _Array:
    return values[lag:] - values[:-lag]


def _steps(values: _Array, active: npt.NDArray[np.bool_], lag: int) -> _Array:
    """Change over `lag` frames where both ends are active; zeros where there is none."""
    both = active[lag:] & active[:-lag]
    steps = _steps_all(values, lag)[both]
    return steps if len(steps) > 1 else np.zeros((2, values.shape[1]))


def _shape(values: _Array) -> tuple[_Array, _Array]:
    """Skewness and log kurtosis of each column."""
    centred = values - values.mean(axis=0)
    spread = centred.std(axis=0) + _SMALL
    normal = centred / spread
    return (normal**3).mean(axis=0), np.log((normal**4).mean(axis=0) + _SMALL)


def _upper(matrix: _Array) -> _Array:
    """The part of a symmetric matrix above its diagonal, as one row."""
    return np.asarray(matrix[np.triu_indices(len(matrix), 1)])


def _levinson(lags: _Array) -> tuple[_Array, _Array]:
    """Prediction filters (k, order + 1), first coefficient 1, and error powers (k,) from autocorrelations (k, order + 1)."""
    count, size = lags.shape
    filters = np.zeros((count, size))
    filters[:, 0] = 1.0
    error = lags[:, 0] + _SMALL
    for order in range(1, size):
        reflection = -(filters[:, :order] * lags[:, order:0:-1]).sum(axis=1) / error
        filters[:, 1 : order + 1] += reflection[:, None] * filters[:, order - 1 :: -1][:, :order]
        error = error * (1.0 - reflection**2) + _SMALL
    return filters, error
