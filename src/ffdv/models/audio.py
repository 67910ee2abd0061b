"""Samples → spectrogram → picture → logits, in one module on one device, so that training and the exported net hear the same.

    samples (clips, n) ─ SpectrogramLayer ─ scale ─ resize ─ normalise ─ encoder ─▶ map (clips, channels, h, w) ─ head ─▶ logits (clips, 2)
                                                                                                          └──▶ activation (clips, h, w)

Rows of logits are (real, fake); fake minus real is the log-odds of fake. The sums and fixed matrices are those of
features/spectrogram.py, and tests hold the two together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ffdv.augment.image import ViewSpec, average_views, make_views
from ffdv.errors import RecipeError
from ffdv.features.spectrogram import PUBLISHED_TOP_DB, SMALLEST_POWER, FrontEndSpec, cosine_transform
from ffdv.models.power import BandPower, BandPowerByProducts, ConstantQPower
from ffdv.records import FAKE, REAL

PictureSize = tuple[int, int] | Literal["native"]
PictureChange = Callable[[Tensor], Tensor]


class SpectrogramLayer(nn.Module):
    """samples (clips, n) float32 at spec.sample_rate → dB (clips, spec.num_rows, spec.num_frames(n)), as log_spectrogram.

    lengths (clips,): how many samples of each row are sound, None = all; what lies beyond is heard as silence, and frames beyond
    spec.num_frames(length) hold the floor (lfcc: zero). Always computed in float32, also under autocast. by_products: the same without
    an FFT operator, for export. Holds nothing that is trained or saved.
    """

    cosines: Tensor

    def __init__(self, spec: FrontEndSpec, *, by_products: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.power: nn.Module
        if spec.kind == "cqt":
            self.power = ConstantQPower(spec)
        else:
            self.power = BandPowerByProducts(spec) if by_products else BandPower(spec)
        if spec.kind == "lfcc":
            cosines = torch.tensor(cosine_transform(spec.n_bands, spec.num_rows))
            self.register_buffer("cosines", cosines, persistent=False)

    def forward(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """The spectrogram in dB, (clips, rows, frames)."""
        if samples.ndim != 2:
            raise ValueError(
                f"samples must be (clips, n), got {tuple(samples.shape)}; one clip is samples.reshape(1, -1)"
            )
        with _full_precision(samples):
            return self._decibels(samples.float(), lengths)

    def _decibels(self, samples: Tensor, lengths: Tensor | None) -> Tensor:
        if lengths is not None:
            heard = torch.arange(samples.shape[1], device=samples.device) < lengths.unsqueeze(1)
            samples = samples.masked_fill(~heard, 0.0)
        reference = self.spec.reference
        smallest = max(SMALLEST_POWER, reference * 10.0 ** (self.spec.floor_db / 10.0))
        power = self.power(samples).clamp(min=smallest)
        decibels: Tensor = 10.0 * torch.log10(power) - 10.0 * math.log10(max(reference, SMALLEST_POWER))
        if self.spec.kind == "lfcc":
            decibels = self.cosines @ decibels
        if lengths is None:
            return decibels
        beyond = frames_beyond(decibels, self.num_frames(lengths))
        return decibels.masked_fill(beyond, 0.0 if self.spec.kind == "lfcc" else self.spec.floor_db)

    def num_frames(self, lengths: Tensor) -> Tensor:
        """Frames of so many samples (clips,)."""
        return 1 + lengths.div(self.spec.hop_length, rounding_mode="floor")


def _full_precision(samples: Tensor) -> AbstractContextManager[object]:
    """No autocast within; a graph that is being exported has none to switch off."""
    if torch.compiler.is_exporting():
        return nullcontext()
    return torch.autocast(samples.device.type, enabled=False)


def frames_beyond(spectrogram: Tensor, num_frames: Tensor) -> Tensor:
    """True where a frame of (clips, rows, frames) lies beyond its clip's num_frames (clips,): (clips, 1, frames)."""
    positions = torch.arange(spectrogram.shape[2], device=spectrogram.device)
    return (positions >= num_frames.unsqueeze(1)).unsqueeze(1)


def scale_pictures(decibels: Tensor, num_frames: Tensor, spec: FrontEndSpec) -> Tensor:
    """Levels in dB (clips, rows, frames) → pictures around [0, 1] of the same shape, as to_picture does for one clip."""
    if spec.scaling == "fixed":
        return (decibels - spec.floor_db) / spec.span_db
    beyond = frames_beyond(decibels, num_frames)
    if spec.scaling == "picture":
        return _stretch(decibels, beyond)
    count = num_frames.view(-1, 1, 1)
    mean = decibels.masked_fill(beyond, 0.0).sum(2, keepdim=True) / count
    centred = (decibels - mean).masked_fill(beyond, 0.0)
    deviation = (centred.square().sum(2, keepdim=True) / count).sqrt()
    return 0.5 + 0.25 * centred / deviation.clamp(min=1e-3)


def _stretch(decibels: Tensor, beyond: Tensor) -> Tensor:
    """Each clip's own range stretched to [0, 1], at most 80 dB deep; a clip of one level is zero."""
    high = decibels.masked_fill(beyond, -math.inf).amax((1, 2), keepdim=True)
    lowest = decibels.masked_fill(beyond, math.inf).amin((1, 2), keepdim=True)
    low = torch.maximum(lowest, high - PUBLISHED_TOP_DB)
    span = high - low
    stretched = (decibels - low).clamp(min=0.0) / span.clamp(min=1e-6)
    return torch.where(span > torch.finfo(decibels.dtype).eps, stretched, torch.zeros_like(stretched))


def resize_pictures(pictures: Tensor, num_frames: Tensor, width: int, row_shares: Tensor) -> Tensor:
    """(clips, rows, frames) → (clips, height, width): the first num_frames (clips,) of each clip fill the width.

    row_shares (height, rows): from row_shares_of. Bilinear between pixel centres, edges repeated, no smoothing, as resize_bilinear;
    each clip by its own length in one gather.
    """
    steps = torch.arange(width, device=pictures.device, dtype=pictures.dtype) + 0.5
    last = (num_frames - 1).to(pictures.dtype).unsqueeze(1)
    centres = (steps * (num_frames.to(pictures.dtype).unsqueeze(1) / width) - 0.5).clamp(min=0.0)
    centres = torch.minimum(centres, last)  # (clips, width)
    before = centres.floor()
    after = torch.minimum(before + 1.0, last)
    rows = pictures.shape[1]
    left = pictures.gather(2, before.long().unsqueeze(1).expand(-1, rows, -1))
    right = pictures.gather(2, after.long().unsqueeze(1).expand(-1, rows, -1))
    across = left + (right - left) * (centres - before).unsqueeze(1)
    return row_shares @ across  # (height, rows) @ (clips, rows, width) -> (clips, height, width)


def row_shares_of(rows: int, height: int) -> Tensor:
    """Matrix (height, rows) that resizes columns bilinearly."""
    return functional.interpolate(torch.eye(rows).unsqueeze(0), size=height, mode="linear", align_corners=False)[0].T


class MeanMapHead(nn.Module):
    """A feature map's mean through one linear layer, so that every place's share of the verdict can be read off (CAM).

    Source: B. Zhou et al., Learning deep features for discriminative localization, CVPR 2016.
    """

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(channels, 2)

    def forward(self, feature_map: Tensor) -> Tensor:
        """(clips, channels, h, w) → logits (clips, 2)."""
        logits: Tensor = self.classifier(self.dropout(self.embed(feature_map)))
        return logits

    def embed(self, feature_map: Tensor) -> Tensor:
        """What the last layer looks at, (clips, channels), without dropout."""
        return feature_map.mean((2, 3))

    def activation(self, feature_map: Tensor) -> Tensor:
        """What each place says for fake, (clips, h, w): its mean plus the bias is the logit fake minus real."""
        weight = self.classifier.weight
        activation: Tensor = torch.einsum("bchw,c->bhw", feature_map, weight[FAKE] - weight[REAL])
        return activation


class AlexNetHead(nn.Module):
    """AlexNet's own `first` and `second` layer on its 6 × 6 map, and a third one that ends in two classes.

    Source: A. Krizhevsky, One weird trick for parallelizing convolutional neural networks, arXiv:1404.5997, as in torchvision.
    """

    def __init__(self, first: nn.Linear, second: nn.Linear, dropout: float) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d((6, 6))
        self.dropout = nn.Dropout(dropout)
        self.first = first
        self.second = second
        self.classifier = nn.Linear(second.out_features, 2)

    def forward(self, feature_map: Tensor) -> Tensor:
        """(clips, 256, h, w) → logits (clips, 2)."""
        logits: Tensor = self.classifier(self.embed(feature_map))
        return logits

    def embed(self, feature_map: Tensor) -> Tensor:
        """What the last layer looks at, (clips, hidden units)."""
        pooled = self.pool(feature_map).flatten(1)
        hidden = functional.relu(self.first(self.dropout(pooled)))
        return functional.relu(self.second(self.dropout(hidden)))

    def activation(self, feature_map: Tensor) -> Tensor:
        """What each place says for fake, (clips, 6, 6): slope of the logit times the value, without autograd; scaled as MeanMapHead's.

        Between its kinks the head is linear, so the slope is the product of its weight matrices over the units that are on.
        """
        pooled = self.pool(feature_map)
        first = self.first(pooled.flatten(1))
        second = self.second(functional.relu(first))
        slope = (self.classifier.weight[FAKE] - self.classifier.weight[REAL]) * (second > 0)
        slope = ((slope @ self.second.weight) * (first > 0)) @ self.first.weight
        places = pooled.shape[2] * pooled.shape[3]
        activation: Tensor = (slope.view_as(pooled) * pooled).sum(1) * places
        return activation


class SoundPictureNet(nn.Module):
    """A spectrogram as a picture through an image net: samples (clips, n), lengths (clips,) → logits (clips, 2) real, fake.

    picture_size: (width, height) that every clip is stretched to, or "native": one pixel per frame and row. A clip gets the same logits
    alone and in any batch of longer ones. in_channels 3 repeats the picture for encoders that expect colours; mean and deviation
    (in_channels,) are what the initial weights were made with, and are saved with them.
    picture_change: what training does to pictures (clips, 1, h, w) with values around [0, 1] (flips, masks); used in training mode only.
    views: crops of the picture (FiveCrop, TenCrop) whose logits are averaged in evaluation mode; the activation is the whole picture's.
    """

    mean: Tensor
    deviation: Tensor
    row_shares: Tensor

    directed = True  # what is compared of its embeddings (models/embedding)

    def __init__(
        self,
        front_end: FrontEndSpec,
        encoder: nn.Module,
        head: MeanMapHead | AlexNetHead,
        *,
        picture_size: PictureSize,
        mean: tuple[float, ...],
        deviation: tuple[float, ...],
    ) -> None:
        super().__init__()
        self.front_end = SpectrogramLayer(front_end)
        self.encoder = encoder
        self.head = head
        self.picture_size = picture_size
        self.picture_change: PictureChange | None = None
        self.views: ViewSpec | None = None
        if picture_size != "native":
            self.register_buffer("row_shares", row_shares_of(front_end.num_rows, picture_size[1]), persistent=False)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(1, -1, 1, 1))

    def forward(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (clips, 2); lengths None = all samples of every clip are sound."""
        groups = self._alike(samples, lengths)
        return _in_order([(rows, self._logits(some, theirs)) for rows, some, theirs in groups])

    def activation_map(self, samples: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (clips, 2), and where they come from: (clips, h, w), positive = speaks for fake, w along time, row 0 lowest.

        No gradients are needed. Clips of unequal length under a native time axis are zero-padded at the end.
        """
        logits, _, activation = self.look(samples, lengths)
        return logits, activation

    def embedded(self, samples: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (clips, 2), and what the last layer looks at, of the whole picture (clips, c); in evaluation mode."""
        logits, embeddings, _ = self.look(samples, lengths)
        return logits, embeddings

    def look(self, samples: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Logits and embeddings as of `embedded`, activation as of `activation_map`."""
        logits, embeddings, activations = [], [], []
        for rows, some, theirs in self._alike(samples, lengths):
            feature_map = self._feature_map(some, theirs)
            logits.append((rows, self.head(feature_map) if self.views is None else self._logits(some, theirs)))
            embeddings.append((rows, self.head.embed(feature_map)))
            activations.append((rows, self.head.activation(feature_map)))
        widest = max(activation.shape[2] for _, activation in activations)
        padded = [(rows, functional.pad(each, (0, widest - each.shape[2]))) for rows, each in activations]
        return _in_order(logits), _in_order(embeddings), _in_order(padded)

    def pictures(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """What the encoder gets to see, before normalising: (clips, 1, h, w), values around [0, 1]."""
        with _full_precision(samples):
            decibels = self.front_end(samples, lengths)
            if lengths is None:
                num_frames = torch.full((decibels.shape[0],), decibels.shape[2], device=decibels.device)
            else:
                num_frames = self.front_end.num_frames(lengths)
            pictures = scale_pictures(decibels, num_frames, self.front_end.spec)
            if self.picture_size != "native":
                pictures = resize_pictures(pictures, num_frames, self.picture_size[0], self.row_shares)
        return pictures.unsqueeze(1)  # (clips, h, w) -> (clips, 1, h, w)

    def _logits(self, samples: Tensor, lengths: Tensor | None) -> Tensor:
        """(clips, 2), the mean over views where there are any."""
        if self.training or self.views is None:
            logits: Tensor = self.head(self._feature_map(samples, lengths))
            return logits
        crops = make_views(self.pictures(samples, lengths), self.views)  # (views, clips, 1, h, w)
        feature_map: Tensor = self.encoder((crops.flatten(0, 1) - self.mean) / self.deviation)
        mean: Tensor = average_views(self.head(feature_map).unflatten(0, (self.views.count, -1)))
        return mean

    def _feature_map(self, samples: Tensor, lengths: Tensor | None) -> Tensor:
        """(clips, channels, h, w)."""
        pictures = self.pictures(samples, lengths)
        if self.training and self.picture_change is not None:
            pictures = self.picture_change(pictures)
        feature_map: Tensor = self.encoder((pictures - self.mean) / self.deviation)  # one channel becomes in_channels
        return feature_map

    def _alike(self, samples: Tensor, lengths: Tensor | None) -> list[tuple[Tensor | None, Tensor, Tensor | None]]:
        """The batch as (row numbers, samples, lengths) that can share a picture: all of it, or on a native time axis by length.

        An encoder blurs beyond the end of a clip, so padded clips would get other logits than alone.
        """
        if self.picture_size != "native" or lengths is None:
            return [(None, samples, lengths)]
        num_frames = self.front_end.num_frames(lengths)
        kinds = torch.unique(num_frames)
        if self.training and len(kinds) > 1:
            raise RecipeError(
                'model.picture_size = "native" trains on clips of one length, '
                f"this batch has {len(kinds)}; give the loader a window, or give picture_size as [width, height]"
            )
        groups: list[tuple[Tensor | None, Tensor, Tensor | None]] = []
        for kind in kinds:
            rows = (num_frames == kind).nonzero().squeeze(1)
            longest = int(lengths[rows].max())
            groups.append((rows, samples[rows, :longest], lengths[rows]))
        return groups


def _in_order(parts: list[tuple[Tensor | None, Tensor]]) -> Tensor:
    """Results of groups of rows, put back in the batch's order."""
    if len(parts) == 1:
        return parts[0][1]
    rows = torch.cat([rows for rows, _ in parts if rows is not None])
    return torch.cat([values for _, values in parts])[rows.argsort()]
