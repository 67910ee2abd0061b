"""Samples (clips, n) → power in bands (clips, bands, frames), three ways that agree; the fixed matrices are those of features/spectrogram.py.

    BandPower            torch.stft: fastest in torch, on every device
    BandPowerByProducts  the same numbers by matrix products and slices only: fastest in onnxruntime (docs/decisions/0004-front-end.md)
    ConstantQPower       windowed tones as strided convolutions: both

None of them holds trained weights: the buffers are made from the FrontEndSpec and are not saved.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ffdv.features.spectrogram import FrontEndSpec, constant_q_kernels, filter_bank, hann_window

_BANDS_AT_ONCE = (
    16  # as in the numpy sums: neighbours share one kernel length, which cuts the products to about a third
)
_MOST_SLICES = 64  # more than this many slices per frame and one gather is cheaper


class BandPower(nn.Module):
    """Power in triangular bands by torch.stft; as band_power."""

    window: Tensor
    filters: Tensor

    def __init__(self, spec: FrontEndSpec) -> None:
        super().__init__()
        self.n_fft, self.hop_length = spec.n_fft, spec.hop_length
        self.register_buffer("window", torch.tensor(hann_window(spec.n_fft)), persistent=False)
        self.register_buffer("filters", torch.tensor(filter_bank(spec)), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """(clips, bands, frames)."""
        spectrum = torch.stft(
            samples, self.n_fft, self.hop_length, window=self.window, pad_mode="constant", return_complex=True
        )
        power: Tensor = spectrum.real.square() + spectrum.imag.square()
        return self.filters @ power  # (bands, bins) @ (clips, bins, frames) -> (clips, bands, frames)


class BandPowerByProducts(nn.Module):
    """Power in triangular bands without an FFT operator: one step of Cooley and Tukey's splitting, as two matrix products.

    With n_fft = rows * columns, n = columns * r + c and k = p + rows * q,

        X[k] = sum over c of  e(c q / columns) * e(c p / n_fft) * (sum over r of  x[n] e(r p / rows)),     e(t) = exp(-2 pi i t)

    For real x, p from 0 to rows / 2 holds every bin once or as its mirror image; the filters are laid out in that order.
    Source: J. W. Cooley & J. W. Tukey, Mathematics of Computation 19 (1965) 297.
    """

    window: Tensor
    inner: Tensor
    twiddle: Tensor
    outer: Tensor
    filters: Tensor

    def __init__(self, spec: FrontEndSpec) -> None:
        super().__init__()
        self.n_fft, self.hop_length = spec.n_fft, spec.hop_length
        self.rows = _middle_divisor(spec.n_fft)
        self.columns = spec.n_fft // self.rows
        p = torch.arange(self.rows // 2 + 1)
        r, c = torch.arange(self.rows), torch.arange(self.columns)
        outer = _phases(c, c, self.columns)  # rows c, columns q
        bins = (p[:, None] + self.rows * c[None, :]).flatten()
        self._hold("window", torch.tensor(hann_window(spec.n_fft)).view(self.rows, self.columns))
        self._hold("inner", torch.cat([*_phases(p, r, self.rows)]))  # (2 * p, rows)
        self._hold("twiddle", _phases(p, c, spec.n_fft))  # (2, p, columns)
        self._hold("outer", torch.cat([torch.cat([outer[0], outer[1]], 1), torch.cat([-outer[1], outer[0]], 1)]))
        self._hold("filters", _filters_in_order(torch.tensor(filter_bank(spec)), bins, spec.n_fft))

    def _hold(self, name: str, values: Tensor) -> None:
        self.register_buffer(name, values.float().contiguous(), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """(clips, bands, frames)."""
        frames = cut_frames(samples, self.n_fft, self.hop_length)
        squares = frames.reshape(*frames.shape[:2], self.rows, self.columns) * self.window
        real, imaginary = (self.inner @ squares).chunk(2, dim=2)  # each (clips, frames, p, columns)
        cosine, sine = self.twiddle[0], self.twiddle[1]
        turned = torch.cat([real * cosine - imaginary * sine, real * sine + imaginary * cosine], dim=3)
        real, imaginary = (turned @ self.outer).chunk(2, dim=3)
        power = (real * real + imaginary * imaginary).flatten(2)  # (clips, frames, p, q) -> (clips, frames, bins)
        return (power @ self.filters).transpose(1, 2)


class ConstantQPower(nn.Module):
    """Power in constant-Q bands by strided convolution with windowed tones; as constant_q_power."""

    def __init__(self, spec: FrontEndSpec) -> None:
        super().__init__()
        self.n_fft, self.hop_length = spec.n_fft, spec.hop_length
        kernels = torch.tensor(constant_q_kernels(spec))  # (2, bands, n_fft)
        self.starts: list[int] = []
        for first in range(0, spec.n_bands, _BANDS_AT_ONCE):
            group = kernels[:, first : first + _BANDS_AT_ONCE]
            heard = group.abs().amax((0, 1)).nonzero()
            start, stop = int(heard[0]), int(heard[-1]) + 1
            tones = group[:, :, start:stop].flatten(0, 1).unsqueeze(1).contiguous()  # (2*bands, 1, samples)
            self.register_buffer(f"tones_{len(self.starts)}", tones, persistent=False)
            self.starts.append(start)

    def forward(self, samples: Tensor) -> Tensor:
        """(clips, bands, frames)."""
        num_frames = samples.shape[1] // self.hop_length + 1
        padded = _padded(samples, self.n_fft).unsqueeze(1)  # (clips, 1, n)
        parts = []
        for group, start in enumerate(self.starts):
            tones: Tensor = self.get_buffer(f"tones_{group}")
            stop = start + (num_frames - 1) * self.hop_length + tones.shape[2]
            cosine, sine = functional.conv1d(padded[:, :, start:stop], tones, stride=self.hop_length).chunk(2, dim=1)
            parts.append(cosine.square() + sine.square())
        return torch.cat(parts, dim=1)


def cut_frames(samples: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """(clips, n) → overlapping frames (clips, 1 + n // hop_length, n_fft), frame k centred on sample k * hop_length.

    By reshaping and slicing whole blocks where hop and frame share a divisor: a gather alone takes onnxruntime 20 ms for 10 s of sound.
    """
    num_frames = samples.shape[1] // hop_length + 1
    padded = _padded(samples, n_fft)
    block = math.gcd(n_fft, hop_length)
    if n_fft // block > _MOST_SLICES:
        starts = torch.arange(num_frames, device=samples.device).unsqueeze(1) * hop_length
        return padded[:, starts + torch.arange(n_fft, device=samples.device)]
    step = hop_length // block
    num_blocks = (num_frames - 1) * step + n_fft // block
    blocks = padded[:, : num_blocks * block].reshape(samples.shape[0], num_blocks, block)
    last = (num_frames - 1) * step + 1
    return torch.cat([blocks[:, first : first + last : step] for first in range(n_fft // block)], dim=2)


def _padded(samples: Tensor, n_fft: int) -> Tensor:
    """Half a frame of silence on both sides."""
    return functional.pad(samples, (n_fft // 2, n_fft // 2))


def _middle_divisor(n_fft: int) -> int:
    """The divisor of n_fft that is nearest to its square root, the larger one of a pair."""
    divisors = [each for each in range(1, n_fft + 1) if n_fft % each == 0]
    return min(divisors, key=lambda each: (abs(math.log(each * each / n_fft)), -each))


def _phases(left: Tensor, right: Tensor, period: int) -> Tensor:
    """Cos and sin of -2 pi left right / period, in double precision: (2, left, right)."""
    angle = (left[:, None] * right[None, :] % period).double() * (-2.0 * math.pi / period)
    return torch.stack([angle.cos(), angle.sin()])


def _filters_in_order(filters: Tensor, bins: Tensor, n_fft: int) -> Tensor:
    """Filters (bands, n_fft / 2 + 1) for a power spectrum in the order of `bins`, mirror images included once: (len(bins), bands)."""
    folded = torch.where(bins > n_fft // 2, n_fft - bins, bins)
    first_seen = torch.zeros(len(bins))
    first_seen[np.unique(folded.numpy(), return_index=True)[1]] = 1.0
    return (filters[:, folded] * first_seen).T
