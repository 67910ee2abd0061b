"""The short-time spectrum and its way back in numpy: what copy-synthesis and noise shaping stand on.

The model's own front end lives elsewhere and is exported with it; this one only has to be quick and invertible.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import scipy.fft

from ffdv.records import FloatArray

ComplexArray = npt.NDArray[np.complex64]


def stft(samples: FloatArray, *, n_fft: int, hop_length: int) -> ComplexArray:
    """Samples (n,) → spectrum (frames, n_fft // 2 + 1); Hann window, frame k is centred on sample k * hop_length."""
    frames = windows(samples, size=n_fft, hop_length=hop_length)
    spectrum: ComplexArray = scipy.fft.rfft(frames * hann(n_fft), axis=1)
    return spectrum


def istft(spectrum: ComplexArray, *, n_fft: int, hop_length: int, length: int) -> FloatArray:
    """The samples (length,) whose `stft` is nearest to the spectrum in squared error (Griffin and Lim 1984)."""
    frames = scipy.fft.irfft(spectrum, n=n_fft, axis=1).astype(np.float32, copy=False) * hann(n_fft)
    weight = _overlap_weight(len(frames), n_fft, hop_length)
    samples = overlap_add(frames, hop_length) / weight
    start = n_fft // 2
    return samples[start : start + length]


def windows(samples: FloatArray, *, size: int, hop_length: int) -> FloatArray:
    """Stretches of the sound (frames, size), zeros beyond its ends, frame k centred on sample k * hop_length.

    A view: copy before you write.
    """
    num_frames = 1 + -(-len(samples) // hop_length)
    padded = np.zeros((num_frames - 1) * hop_length + size, np.float32)
    padded[size // 2 : size // 2 + len(samples)] = samples
    return np.lib.stride_tricks.sliding_window_view(padded, size)[::hop_length]


def overlap_add(frames: FloatArray, hop_length: int) -> FloatArray:
    """Frames (frames, size) laid hop_length apart and summed; size must be a multiple of hop_length.

    Adding whole columns of hops takes size / hop_length additions instead of one a frame.
    """
    count, size = frames.shape
    parts = size // hop_length
    blocks = np.zeros((count + parts - 1, hop_length), np.float32)
    pieces = frames.reshape(count, parts, hop_length)
    for part in range(parts):
        blocks[part : part + count] += pieces[:, part]
    return blocks.reshape(-1)


@lru_cache(maxsize=16)
def hann(size: int) -> FloatArray:
    """The periodic Hann window."""
    window: FloatArray = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)).astype(np.float32)
    window.flags.writeable = False
    return window


@lru_cache(maxsize=16)
def mel_filters(rate: int, n_fft: int, n_bands: int) -> FloatArray:
    """Triangles (n_bands, n_fft // 2 + 1) evenly spaced on the mel scale from 0 to rate / 2 (O'Shaughnessy's formula)."""
    top = 2595.0 * np.log10(1.0 + rate / 2 / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, top, n_bands + 2) / 2595.0) - 1.0)
    hertz = np.arange(n_fft // 2 + 1) * rate / n_fft
    rising = (hertz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - hertz) / np.diff(edges)[1:, None]
    filters: FloatArray = np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)
    filters.flags.writeable = False
    return filters


@lru_cache(maxsize=16)
def mel_inverse(rate: int, n_fft: int, n_bands: int) -> FloatArray:
    """Bands back to bins (n_fft // 2 + 1, n_bands): the pseudo-inverse of `mel_filters`; negative results are cut by the user."""
    inverse: FloatArray = np.linalg.pinv(mel_filters(rate, n_fft, n_bands).astype(np.float64)).astype(np.float32)
    inverse.flags.writeable = False
    return inverse


@lru_cache(maxsize=32)
def _overlap_weight(num_frames: int, n_fft: int, hop_length: int) -> FloatArray:
    squared = np.broadcast_to(hann(n_fft) ** 2, (num_frames, n_fft))
    return np.maximum(overlap_add(squared, hop_length), 1e-6)
