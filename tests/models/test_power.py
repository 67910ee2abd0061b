from __future__ import annotations

import pytest
import torch

from ffdv.features.spectrogram import FrontEndSpec
from ffdv.models.power import BandPower, BandPowerByProducts, cut_frames


@pytest.mark.parametrize(
    ("n_fft", "hop_length"),
    [
        (2_048, 512),
        (512, 160),
        (400, 160),
        (254, 100),
        (16, 5),
        (1_024, 441),
    ],  # powers of two, 2 times a prime, no shared divisor
)
@pytest.mark.parametrize("num_samples", [1, 1_000, 5_003])
def test_products_give_the_power_of_the_fft(n_fft: int, hop_length: int, num_samples: int) -> None:
    spec = FrontEndSpec(sample_rate=16_000, n_fft=n_fft, hop_length=hop_length, n_bands=3)
    samples = torch.randn(2, num_samples, generator=torch.Generator().manual_seed(0))

    by_products = BandPowerByProducts(spec)(samples)

    torch.testing.assert_close(by_products, BandPower(spec)(samples), rtol=1e-4, atol=1e-5 * float(by_products.max()))


@pytest.mark.parametrize(("n_fft", "hop_length"), [(8, 4), (8, 8), (12, 5), (400, 3)])
def test_frames_are_centred_on_every_hop(n_fft: int, hop_length: int) -> None:
    samples = torch.arange(1.0, 41.0).repeat(2, 1)

    frames = cut_frames(samples, n_fft, hop_length)

    assert frames.shape == (2, 40 // hop_length + 1, n_fft)
    for k in range(frames.shape[1]):
        for i in range(n_fft):
            place = k * hop_length + i - n_fft // 2
            assert frames[1, k, i] == (samples[1, place] if 0 <= place < 40 else 0.0)
