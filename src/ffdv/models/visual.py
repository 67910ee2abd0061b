"""Crops of a face → logits: an image net looks at each crop, then time is pooled.

    crops (rows, frames, 3, s, s) ─ pixels | noise residual ─ encoder ─▶ maps ─ mean ─▶ tokens (rows, frames, c)
                                                                          │         └ mean | max | attention | gru | transformer ─▶ logits (rows, 2)
                                                                          └ classifier's weights ─▶ activation (rows, frames, h', w')

Rows of logits are (real, fake). A row may have fewer crops than the batch is wide; those beyond are never looked at.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from ffdv.errors import RecipeError
from ffdv.models.zoo import Levels, ModelSpec, image_encoder, load_encoder
from ffdv.records import FAKE, REAL

# Residuals of neighbouring pixels: 5 × 5 and 3 × 3 of the second order in all directions, 1 × 3 along the rows; beyond so many
# grey levels they are edges, not noise. Source: Fridrich and Kodovsky, "Rich models for steganalysis of digital images",
# 2012; for forged faces Zhou et al. 2018.
_RESIDUALS = (
    ((-1, 2, -2, 2, -1), (2, -6, 8, -6, 2), (-2, 8, -12, 8, -2), (2, -6, 8, -6, 2), (-1, 2, -2, 2, -1)),
    ((0, 0, 0, 0, 0), (0, -1, 2, -1, 0), (0, 2, -4, 2, 0), (0, -1, 2, -1, 0), (0, 0, 0, 0, 0)),
    ((0, 0, 0, 0, 0), (0, 0, 0, 0, 0), (0, 1, -2, 1, 0), (0, 0, 0, 0, 0), (0, 0, 0, 0, 0)),
)
_RESIDUAL_SCALES = (12.0, 4.0, 2.0)
LARGEST_RESIDUAL = 3.0  # grey levels

Pooling = Literal["mean", "max", "attention", "gru", "transformer"]


class VisualSpec(BaseModel):
    """How crops of a face become an opinion; the image net itself is the recipe's table `model`.

    inputs: `pixels`, `residual` (what a high-pass leaves of their grey levels), or `both`; pooling of the frames: mean, max of each
    feature, attention (a learnt weight a frame), gru or transformer (frames in their order, then mean); width: of the last two;
    frozen: the image net keeps its initial weights, only what follows learns.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    inputs: Literal["pixels", "residual", "both"] = "pixels"
    pooling: Pooling = "mean"
    width: int = Field(default=128, ge=8, le=1024)
    frozen: bool = False


def build_visual(model: ModelSpec, visual: VisualSpec, *, initial: bool = True) -> FaceNet:
    """The net of a recipe's tables `model` and `visual`; random where no weights were asked for, from torch's generator.

    Raises RecipeError (unfit backbone) and WeightsError (weights that are not to be had here).
    """
    if model.picture_size == "native" or model.picture_size[0] != model.picture_size[1]:
        raise RecipeError(f"faces are square; give model.picture_size = [160, 160], not {model.picture_size}")
    encoder, num_features, levels = image_encoder(model, channels=6 if visual.inputs == "both" else 3)
    net = FaceNet(encoder, num_features, visual, levels=levels, dropout=model.dropout, side=model.picture_size[0])
    if initial and model.initial_weights != "none":
        load_encoder(net, model, channels=6 if visual.inputs == "both" else 3)
    return net


class NoiseResidual(nn.Module):
    """RGB in grey levels (n, 3, h, w) → three high-pass residuals of their mean, in [-1, 1], same size."""

    kernels: Tensor

    def __init__(self) -> None:
        super().__init__()
        kernels = torch.tensor(_RESIDUALS, dtype=torch.float32) / torch.tensor(_RESIDUAL_SCALES).view(3, 1, 1)
        self.register_buffer("kernels", kernels.unsqueeze(1), persistent=False)  # (3, 1, 5, 5)

    def forward(self, pictures: Tensor) -> Tensor:
        """(n, 3, h, w)."""
        grey = functional.pad(pictures.mean(1, keepdim=True), (2, 2, 2, 2), mode="replicate")
        return functional.conv2d(grey, self.kernels).clamp(-LARGEST_RESIDUAL, LARGEST_RESIDUAL) / LARGEST_RESIDUAL


class FacePictures(nn.Module):
    """Crops uint8 → what the encoder gets: normalised pixels, residuals, or both."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, inputs: Literal["pixels", "residual", "both"], levels: Levels) -> None:
        super().__init__()
        self.inputs = inputs
        self.residual = NoiseResidual()
        self.register_buffer("mean", torch.tensor(levels[0]).view(1, -1, 1, 1))
        self.register_buffer("deviation", torch.tensor(levels[1]).view(1, -1, 1, 1))

    def forward(self, crops: Tensor) -> Tensor:
        """(n, 3, s, s) uint8 → (n, 3 or 6, s, s)."""
        values = crops.float()
        if self.inputs == "residual":
            return self.residual(values)  # type: ignore[no-any-return]
        pixels = (values / 255.0 - self.mean) / self.deviation
        return pixels if self.inputs == "pixels" else torch.cat([pixels, self.residual(values)], dim=1)


class FaceNet(nn.Module):
    """Crops (rows, frames, 3, s, s) uint8, how many of each row are real (rows,) → logits (rows, 2) real, fake.

    side: s in pixels. lengths None = all frames are real, as in an export. A row gets the same logits alone and in any batch.
    """

    directed = True  # what is compared of its embeddings (models/embedding)

    def __init__(
        self,
        encoder: nn.Module,
        num_features: int,
        visual: VisualSpec,
        *,
        levels: Levels,
        dropout: float,
        side: int,
    ) -> None:
        super().__init__()
        self.pictures = FacePictures(visual.inputs, levels)
        self.encoder = encoder
        self.side = side
        self.frozen = visual.frozen
        if visual.frozen:
            self.encoder.requires_grad_(requires_grad=False)
        self.time = TimePool(num_features, visual)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(num_features, 2)

    def forward(self, crops: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (rows, 2)."""
        tokens, present = self.tokens(crops, lengths)
        logits: Tensor = self.classifier(self.dropout(self.time(tokens, present)))
        return logits

    def embedded(self, crops: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (rows, 2), and what the last layer looks at (rows, c); in evaluation mode."""
        embeddings = self.time(*self.tokens(crops, lengths))
        return self.classifier(embeddings), embeddings

    def tokens(self, crops: Tensor, lengths: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """Features of each crop (rows, frames, c), zero where there is none, and which are real (rows, frames)."""
        rows, frames = crops.shape[:2]
        flat = crops.flatten(0, 1)  # (rows, frames, 3, s, s) -> (rows*frames, 3, s, s)
        if lengths is None:
            return self._maps(flat).mean((2, 3)).reshape(rows, frames, -1), None
        present = torch.arange(frames, device=crops.device) < lengths.unsqueeze(1)
        seen = self._maps(flat[present.flatten()]).mean((2, 3))
        tokens = torch.zeros(rows * frames, seen.shape[1], dtype=seen.dtype, device=seen.device)
        tokens = tokens.index_put((present.flatten().nonzero().squeeze(1),), seen)
        return tokens.reshape(rows, frames, -1), present  # (rows*frames, c) -> (rows, frames, c)

    def activation_map(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of rows whose crops are all real: logits (rows, 2), what each frame by itself says (rows, frames), and where in it,
        activation (rows, frames, h', w'), positive = speaks for fake. Gradients are not needed.
        """
        logits, _, frame_logits, activation = self.look(crops)
        return logits, frame_logits, activation

    def look(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Of rows whose crops are all real: logits and embeddings as of `embedded`, the rest as of `activation_map`."""
        rows, frames = crops.shape[:2]
        maps = self._maps(crops.flatten(0, 1))
        maps = maps.reshape(rows, frames, *maps.shape[1:])  # (rows*frames, c, h, w) -> (rows, frames, c, h, w)
        tokens = maps.mean((3, 4))
        embeddings = self.time(tokens, None)
        logits = self.classifier(embeddings)
        weight = self.classifier.weight[FAKE] - self.classifier.weight[REAL]
        bias = self.classifier.bias[FAKE] - self.classifier.bias[REAL]
        activation = torch.einsum("rfchw,c->rfhw", maps, weight)
        return logits, embeddings, tokens @ weight + bias, activation

    def _maps(self, crops: Tensor) -> Tensor:
        """(n, 3, s, s) -> (n, c, h', w')."""
        maps: Tensor = self.encoder(self.pictures(crops))
        return maps

    def train(self, mode: bool = True) -> FaceNet:
        """Training mode; a frozen encoder keeps its statistics too."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self


class TimePool(nn.Module):
    """Tokens (rows, frames, c), which are real (rows, frames) or None = all → (rows, c)."""

    def __init__(self, channels: int, visual: VisualSpec) -> None:
        super().__init__()
        self.kind = visual.pooling
        width = visual.width
        if self.kind == "attention":
            self.weigh = nn.Linear(channels, 1)
        if self.kind in ("gru", "transformer"):
            self.narrow, self.widen = nn.Linear(channels, width), nn.Linear(width, channels)
            nn.init.zeros_(self.widen.weight)  # it starts as the plain mean and learns what time adds
            nn.init.zeros_(self.widen.bias)
        if self.kind == "gru":
            self.recurrent = nn.GRU(width, width // 2, batch_first=True, bidirectional=True)
        if self.kind == "transformer":
            self.position = nn.Parameter(torch.zeros(1, 64, width))
            layer = nn.TransformerEncoderLayer(width, 4, 2 * width, batch_first=True, norm_first=True)
            self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)

    def forward(self, tokens: Tensor, present: Tensor | None) -> Tensor:
        """(rows, c)."""
        if self.kind == "max":
            kept = tokens if present is None else tokens.masked_fill(~present.unsqueeze(2), -torch.inf)
            return kept.amax(1)
        if self.kind == "attention":
            weights = self.weigh(tokens)
            if present is not None:
                weights = weights.masked_fill(~present.unsqueeze(2), -torch.inf)
            pooled: Tensor = (weights.softmax(1) * tokens).sum(1)
            return pooled
        if self.kind == "gru":
            tokens = tokens + self.widen(self._recurred(self.narrow(tokens), present))
        if self.kind == "transformer":
            steps = self.narrow(tokens) + self.position[:, : tokens.shape[1]]
            tokens = tokens + self.widen(self.layers(steps, src_key_padding_mask=None if present is None else ~present))
        return masked_mean(tokens, present)

    def _recurred(self, steps: Tensor, present: Tensor | None) -> Tensor:
        """Both directions over the real steps only: going backwards through padding would be seen."""
        if present is None:
            return self.recurrent(steps)[0]  # type: ignore[no-any-return]
        packed = pack_padded_sequence(steps, present.sum(1).cpu(), batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(self.recurrent(packed)[0], batch_first=True, total_length=steps.shape[1])[0]


def masked_mean(tokens: Tensor, present: Tensor | None) -> Tensor:
    """Mean over the real tokens (rows, n, c) -> (rows, c); zero where a row has none."""
    if present is None:
        return tokens.mean(1)
    shares = present.unsqueeze(2).to(tokens.dtype)
    return (tokens * shares).sum(1) / shares.sum(1).clamp(min=1.0)
