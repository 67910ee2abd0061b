"""Filters and transforms of our own give scipy's numbers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import scipy.ndimage
import scipy.optimize

from ffdv.features import fourier
from ffdv.features.filters import assignment, gaussian_filter1d, uniform_filter

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("mode", ["reflect", "nearest"])
@pytest.mark.parametrize(("shape", "axis"), [((200,), -1), ((40, 3), 0), ((3, 5), 1)])
@pytest.mark.parametrize("deviation", [0.8, 2.5, 8.0])
def test_gaussian_smoothing_is_scipys(mode: str, shape: tuple[int, ...], axis: int, deviation: float) -> None:
    values = RNG.normal(size=shape)

    ours = gaussian_filter1d(values, deviation, axis=axis, mode=mode)  # type: ignore[arg-type]

    assert ours == pytest.approx(scipy.ndimage.gaussian_filter1d(values, deviation, axis=axis, mode=mode), abs=1e-12)


@pytest.mark.parametrize("shape", [(96, 96), (7, 30), (3, 4)])
def test_the_mean_of_windows_is_scipys(shape: tuple[int, int]) -> None:
    picture = RNG.uniform(0, 255, shape).astype(np.float32)

    assert uniform_filter(picture, 7) == pytest.approx(
        scipy.ndimage.uniform_filter(picture, 7, mode="reflect"), rel=1e-5
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (4, 4), (3, 7), (9, 4), (20, 20)])
def test_the_assignment_costs_what_scipys_does(shape: tuple[int, int]) -> None:
    for _ in range(20):
        cost = np.round(RNG.uniform(-3, 3, shape), 1)  # ties are frequent
        rows, columns = assignment(cost)
        best = scipy.optimize.linear_sum_assignment(cost)

        assert cost[rows, columns].sum() == pytest.approx(cost[best].sum())
        assert len(set(rows.tolist())) == len(set(columns.tolist())) == min(shape)
        assert rows.tolist() == sorted(rows.tolist())


def test_transforms_without_scipy_are_scipys(monkeypatch: pytest.MonkeyPatch) -> None:
    values = RNG.normal(size=(30, 200)).astype(np.float32)
    monkeypatch.setattr(fourier, "_library", lambda: np.fft)

    spectrum = fourier.rfft(values, 256, axis=1)

    assert spectrum.dtype == np.complex64
    assert np.abs(spectrum - scipy.fft.rfft(values, 256, axis=1)).max() < 1e-4
    assert np.abs(fourier.irfft(spectrum, axis=1) - scipy.fft.irfft(spectrum, axis=1)).max() < 1e-6
    assert np.abs(fourier.dct(values, axis=1) - scipy.fft.dct(values, axis=1, norm="ortho")).max() < 1e-5
    assert [fourier.next_fast_length(n) for n in range(1, 3000, 7)] == [
        scipy.fft.next_fast_len(n, real=True) for n in range(1, 3000, 7)
    ]
