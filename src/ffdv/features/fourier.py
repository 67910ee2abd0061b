"""Fourier and cosine transforms: scipy's where it is installed (training; up to four times as fast on float32), else numpy's.

The base install holds no scipy. Both give the same numbers to float precision, and tests compare them.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt


def rfft(values: npt.NDArray[Any], n: int | None = None, *, axis: int = -1) -> npt.NDArray[Any]:
    """Spectrum of real values along an axis, complex64 for float32."""
    spectrum: npt.NDArray[Any] = _library().rfft(values, n, axis=axis)
    return spectrum


def irfft(spectrum: npt.NDArray[Any], n: int | None = None, *, axis: int = -1) -> npt.NDArray[Any]:
    """Real values of a spectrum along an axis, float32 for complex64."""
    values: npt.NDArray[Any] = _library().irfft(spectrum, n, axis=axis)
    return values


def dct(values: npt.NDArray[Any], *, axis: int = -1) -> npt.NDArray[Any]:
    """Orthonormal cosine transform (type 2) along an axis."""
    moved = np.moveaxis(values, axis, -1)
    transformed: npt.NDArray[Any] = np.moveaxis(moved @ _cosines(moved.shape[-1]).astype(values.dtype).T, -1, axis)
    return transformed


def next_fast_length(least: int) -> int:
    """The smallest length from `least` on that has no prime factor beyond 5.

    >>> next_fast_length(7), next_fast_length(1025)
    (8, 1080)
    """
    length = max(1, least)
    while not _is_smooth(length):
        length += 1
    return length


def _is_smooth(number: int) -> bool:
    for factor in (2, 3, 5):
        while number % factor == 0:
            number //= factor
    return number == 1


@cache
def _cosines(count: int) -> npt.NDArray[np.float64]:
    places = np.arange(count)
    matrix = np.cos(np.pi * places[:, None] * (2 * places[None] + 1) / (2 * count)) * np.sqrt(2 / count)
    matrix[0] /= np.sqrt(2)
    cosines: npt.NDArray[np.float64] = matrix
    return cosines


@cache
def _library() -> Any:
    if find_spec("scipy") is None:
        return np.fft
    import scipy.fft

    return scipy.fft
