from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ffdv.augment.masks import frequency_mask, time_mask


def changed_bars(masked: np.ndarray, spectrogram: np.ndarray, axis: int) -> np.ndarray:
    """Which bands (axis 0) or frames (axis 1) differ, all along the other axis."""
    different = masked != spectrogram
    assert (different.all(axis=1 - axis) | ~different.any(axis=1 - axis)).all(), "a mask is a whole bar"
    return different.any(axis=1 - axis)


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0.0, 1.0), seed=st.integers(0, 99), axis=st.sampled_from([0, 1]))
def test_one_mask_is_one_bar_of_the_wanted_size(share: float, seed: int, axis: int) -> None:
    spectrogram = np.random.default_rng(seed).standard_normal((40, 70))
    mask = (frequency_mask, time_mask)[axis]

    masked = mask(spectrogram, np.random.default_rng(seed), share=(share, share), count=1)

    bars = np.flatnonzero(changed_bars(masked, spectrogram, axis))
    assert len(bars) == round(share * spectrogram.shape[axis])
    assert len(bars) == 0 or bars[-1] - bars[0] + 1 == len(bars)
    if len(bars):
        taken = masked[bars] if axis == 0 else masked[:, bars]
        assert np.allclose(taken, spectrogram.mean())


def test_several_masks_stay_within_their_sum_and_are_drawn_apart() -> None:
    spectrogram = np.random.default_rng(0).standard_normal((100, 100))

    counts = {
        changed_bars(time_mask(spectrogram, np.random.default_rng(seed), share=(0, 0.1), count=3), spectrogram, 1).sum()
        for seed in range(20)
    }

    assert max(counts) <= 30
    assert len(counts) > 5


@pytest.mark.parametrize("mask", [frequency_mask, time_mask])
def test_tensors_are_masked_as_arrays_are_and_batches_share_a_mask(mask) -> None:  # noqa: ANN001
    spectrogram = np.random.default_rng(0).standard_normal((2, 3, 20, 30)).astype(np.float32)
    kept = spectrogram.copy()

    masked = mask(spectrogram, np.random.default_rng(3), share=(0.2, 0.2), count=2)
    as_tensor = mask(torch.from_numpy(spectrogram), np.random.default_rng(3), share=(0.2, 0.2), count=2)

    assert np.array_equal(spectrogram, kept)
    assert np.allclose(masked, as_tensor.numpy())
    different = masked != spectrogram
    assert (different == different[0, 0]).all()
