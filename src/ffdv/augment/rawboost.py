"""RawBoost: the disturbances of telephone and microphone channels, without any recorded noise.

Written anew from Tak, Kamble, Patino, Todisco and Evans, "RawBoost: a raw data boosting and augmentation method applied
to automatic speaker verification anti-spoofing", ICASSP 2022. Defaults are the paper's.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import scipy.fft
import scipy.signal

from ffdv.augment.levels import add_at_snr, amplitude
from ffdv.augment.spans import Span, draw, draw_count
from ffdv.records import FloatArray

_NOTCHES = 5
_NOTCH_WIDTH_HZ = (100.0, 1000.0)
_NOTCH_TAPS = (10, 100)


def convolutive_noise(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    orders: Annotated[tuple[int, int], Span(1, 9)] = (5, 5),
    nonlinear_decibels: Annotated[tuple[float, float], Span(-60, 0)] = (-20.0, -5.0),
) -> FloatArray:
    """Linear and non-linear convolutive noise: Σ over k of notch-filtered samples^k (a Hammerstein system).

    orders: highest power; nonlinear_decibels: gain of each power above the first.
    """
    disturbed = _notch_filtered(samples, rate, rng)
    power = samples
    for _ in range(2, draw_count(rng, orders) + 1):
        power = power * samples
        harmonics = _notch_filtered(power, rate, rng)
        disturbed = disturbed + np.float32(amplitude(draw(rng, nonlinear_decibels))) * harmonics
    return _within_one(disturbed - disturbed.mean(dtype=np.float64).astype(np.float32) if disturbed.size else disturbed)


def impulsive_noise(
    samples: FloatArray,
    rate: int,  # noqa: ARG001 -- all sound transforms are (samples, rate, rng)
    rng: np.random.Generator,
    *,
    share: Annotated[tuple[float, float], Span(0, 1)] = (0.0, 0.1),
    strength: Annotated[tuple[float, float], Span(0, 10)] = (2.0, 2.0),
) -> FloatArray:
    """Impulsive signal-dependent noise: single samples pushed by up to `strength` times their own value, either way.

    share: of samples that are hit, drawn for each sound.
    """
    count = int(draw(rng, share) * len(samples))
    hit = rng.permutation(len(samples))[:count]
    push = rng.uniform(-1, 1, count) * rng.uniform(-1, 1, count) * draw(rng, strength)
    disturbed = samples.copy()
    disturbed[hit] += (push * samples[hit]).astype(np.float32)
    return _within_one(disturbed)


def stationary_noise(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    snr_db: Annotated[tuple[float, float], Span(-20, 100)] = (10.0, 40.0),
) -> FloatArray:
    """Stationary signal-independent noise: white noise through random notch filters, at an SNR."""
    white = rng.standard_normal(len(samples), dtype=np.float32)
    return add_at_snr(samples, _notch_filtered(white, rate, rng), snr_db=draw(rng, snr_db))


def rawboost(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    share: Annotated[tuple[float, float], Span(0, 1)] = (0.0, 0.1),
    snr_db: Annotated[tuple[float, float], Span(-20, 100)] = (10.0, 40.0),
) -> FloatArray:
    """All three in series, the paper's fourth algorithm."""
    disturbed = convolutive_noise(samples, rate, rng)
    disturbed = impulsive_noise(disturbed, rate, rng, share=share)
    return stationary_noise(disturbed, rate, rng, snr_db=snr_db)


def _notch_filtered(samples: FloatArray, rate: int, rng: np.random.Generator) -> FloatArray:
    """Through five random band-stop filters in a row (one FIR), its highest gain 0 dB; same length, delay taken off."""
    if samples.size == 0:
        return samples
    filters = np.ones(1)
    for _ in range(_NOTCHES):
        centre, width = rng.uniform(20.0, rate / 2), draw(rng, _NOTCH_WIDTH_HZ)
        edges = np.clip([centre - width / 2, centre + width / 2], 1.0, rate / 2 - 1.0)
        taps = draw_count(rng, _NOTCH_TAPS) // 2 * 2 + 1
        filters = np.convolve(filters, scipy.signal.firwin(taps, edges, fs=rate))
    filters /= np.abs(scipy.fft.rfft(filters, 1024)).max()
    delay = len(filters) // 2
    filtered: FloatArray = scipy.signal.oaconvolve(samples, filters.astype(np.float32))[delay : delay + len(samples)]
    return filtered


def _within_one(samples: FloatArray) -> FloatArray:
    """Scaled down only where it would clip."""
    peak = float(np.abs(samples).max(initial=0.0))
    return samples / np.float32(peak) if peak > 1.0 else samples
