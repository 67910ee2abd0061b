"""Sound and face of one stretch together: each looks at the other where their times meet, and four questions are answered.

    crops ─ image net ─▶ tokens at their seconds  ┐   ┌ cross-attention, feed-forward ┐ × layers    ┌ overall
                                                  ├──▶┤  face asks sound, sound asks  ├──▶ pooled ──┤ picture, from the face's
    sound ─ log spectrogram ─ convolutions ─▶ … ──┘   └ face                          ┘             ├ voice, from the sound's
                                                                                                    └ pairing, from both
A sense that is missing is one learnt token that says so; in training each is sometimes dropped. Rows of logits are (real, fake).
"""

from __future__ import annotations

import math

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional

from ffdv.errors import RecipeError
from ffdv.features.spectrogram import FrontEndSpec
from ffdv.models.audio import SpectrogramLayer, scale_pictures
from ffdv.models.visual import FacePictures, masked_mean
from ffdv.models.zoo import Levels, ModelSpec, image_encoder, load_encoder

HEADS = 4  # overall, picture, voice, pairing
_STEPS_PER_TOKEN = 8  # hops of the spectrogram: 80 ms at 10 ms a hop, two frames of 25 a second


class JointSpec(BaseModel):
    """How the two are brought together.

    width: of a token; layers: of cross-attention; drop_sense: how often in training one of two senses is taken away; head_weight: of
    the three partial questions beside the whole one in the loss; frozen: the image net keeps its initial weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = Field(default=96, ge=8, le=1024, multiple_of=4)
    layers: int = Field(default=2, ge=1, le=12)
    drop_sense: float = Field(default=0.3, ge=0.0, lt=1.0)
    head_weight: float = Field(default=0.5, ge=0.0)
    frozen: bool = False


def build_joint(model: ModelSpec, front_end: FrontEndSpec, joint: JointSpec, *, initial: bool = True) -> JointNet:
    """The net of a recipe's tables `model`, `front_end` and `joint`. Raises RecipeError and WeightsError as build_visual."""
    encoder, num_features, levels = image_encoder(model, channels=3)
    net = JointNet(encoder, num_features, front_end, joint, levels=levels, dropout=model.dropout, side=_side(model))
    if initial and model.initial_weights != "none":
        load_encoder(net, model, channels=3)
    return net


def _side(model: ModelSpec) -> int:
    if model.picture_size == "native" or model.picture_size[0] != model.picture_size[1]:
        raise RecipeError(f"faces are square; give model.picture_size = [128, 128], not {model.picture_size}")
    return model.picture_size[0]


class JointNet(nn.Module):
    """(crops (rows, frames, 3, s, s) uint8, their seconds (rows, frames), sound (rows, n)), lengths (rows, 2) → logits
    (rows, 4, 2): for each question real, fake. lengths count the real crops and samples of a row; either may be 0, not both.
    """

    directed = False  # tokens were normalised one by one, so that the length of their mean says how alike they are (models/embedding)

    def __init__(
        self,
        encoder: nn.Module,
        num_features: int,
        front_end: FrontEndSpec,
        joint: JointSpec,
        *,
        levels: Levels,
        dropout: float,
        side: int,
    ) -> None:
        super().__init__()
        self.side = side
        width = joint.width
        self.front_end = SpectrogramLayer(front_end)
        self.hop_seconds = front_end.hop_length / front_end.sample_rate
        self.pictures = FacePictures("pixels", levels)
        self.encoder = encoder
        self.frozen = joint.frozen
        if joint.frozen:
            self.encoder.requires_grad_(requires_grad=False)
        self.from_face = nn.Sequential(nn.Linear(num_features, width), nn.LayerNorm(width))
        self.from_sound = SoundTokens(front_end.num_rows, width)
        self.no_face, self.no_sound = (nn.Parameter(0.02 * torch.randn(1, 1, width)) for _ in range(2))
        self.layers = nn.ModuleList([CrossLayer(width, dropout) for _ in range(joint.layers)])
        self.dropout = nn.Dropout(dropout)
        self.drop_sense = joint.drop_sense
        self.overall, self.pairing = nn.Linear(2 * width, 2), nn.Linear(2 * width, 2)
        self.picture, self.voice = nn.Linear(width, 2), nn.Linear(width, 2)
        self.width = width

    def forward(self, samples: tuple[Tensor, Tensor, Tensor], lengths: Tensor) -> Tensor:
        """Logits (rows, 4, 2)."""
        return self.embedded(samples, lengths)[0]

    def embedded(self, samples: tuple[Tensor, Tensor, Tensor], lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (rows, 4, 2), and the two pooled tokens, face and sound, that the first question's are made of (rows, 2 * width)."""
        crops, seconds, sound = samples
        lengths = self._dropped(lengths) if self.training and self.drop_sense else lengths
        faces, seen = self._face_tokens(crops, seconds, lengths[:, 0])
        sounds, heard = self._sound_tokens(sound, lengths[:, 1])
        for layer in self.layers:
            faces, sounds = layer(faces, seen, sounds, heard)
        face, voice = self.dropout(masked_mean(faces, seen)), self.dropout(masked_mean(sounds, heard))
        both = torch.cat([face, voice], dim=1)
        logits = torch.stack([self.overall(both), self.picture(face), self.voice(voice), self.pairing(both)], dim=1)
        return logits, both

    def _dropped(self, lengths: Tensor) -> Tensor:
        """Lengths without one of two senses, in a share of the rows that have both."""
        both = (lengths > 0).all(1) & (torch.rand(len(lengths), device=lengths.device) < self.drop_sense)
        which = torch.rand(len(lengths), device=lengths.device) < 0.5
        gone = torch.stack([both & which, both & ~which], dim=1)
        return lengths.masked_fill(gone, 0)

    def _face_tokens(self, crops: Tensor, seconds: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens (rows, 1 + frames, width), the first there only where no crop is, and which are real."""
        rows, frames = crops.shape[:2]
        present = torch.arange(frames, device=crops.device) < counts.unsqueeze(1)
        flat = crops.flatten(0, 1)  # (rows, frames, 3, s, s) -> (rows*frames, 3, s, s)
        if self.training:  # padding must not enter the batch norms
            chosen = present.flatten().nonzero().squeeze(1)
            seen = self.encoder(self.pictures(flat[chosen])).mean((2, 3)) if len(chosen) else None
            tokens = torch.zeros(rows * frames, self.width, device=crops.device)
            tokens = tokens if seen is None else tokens.index_put((chosen,), self.from_face(seen).to(tokens.dtype))
        else:
            tokens = self.from_face(self.encoder(self.pictures(flat)).mean((2, 3)))
        tokens = tokens.reshape(rows, frames, self.width) + times(seconds, self.width)
        return _with_none(tokens, present, self.no_face)

    def _sound_tokens(self, sound: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """Likewise of sound, one token each _STEPS_PER_TOKEN hops."""
        decibels = self.front_end(sound, counts)
        num_frames = self.front_end.num_frames(counts).clamp(max=decibels.shape[2])
        tokens = self.from_sound(scale_pictures(decibels, num_frames, self.front_end.spec), num_frames)
        steps = torch.arange(tokens.shape[1], device=sound.device)
        present = (steps * _STEPS_PER_TOKEN < num_frames.unsqueeze(1)) & (counts > 0).unsqueeze(1)
        middles = (steps + 0.5) * (_STEPS_PER_TOKEN * self.hop_seconds)
        return _with_none(tokens + times(middles.unsqueeze(0), self.width), present, self.no_sound)

    def train(self, mode: bool = True) -> JointNet:
        """Training mode; a frozen encoder keeps its statistics too."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self


class SoundTokens(nn.Module):
    """Spectrogram pictures (rows, bands, frames) → tokens (rows, frames / 8, width)."""

    def __init__(self, bands: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(bands, 2 * width, 5, stride=2, padding=2),
            nn.GroupNorm(4, 2 * width),
            nn.GELU(),
            nn.Conv1d(2 * width, 2 * width, 5, stride=2, padding=2),
            nn.GroupNorm(4, 2 * width),
            nn.GELU(),
            nn.Conv1d(2 * width, width, 5, stride=2, padding=2),
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, pictures: Tensor, num_frames: Tensor) -> Tensor:
        """(rows, tokens, width); num_frames (rows,) are real, what lies beyond changes nothing: a row says the same in any batch."""
        x = pictures * _real(pictures, num_frames)
        for layer in self.layers:
            if isinstance(layer, nn.Conv1d):
                num_frames = (num_frames + 1).div(2, rounding_mode="floor")
                x = layer(x)
                x = x * _real(x, num_frames)
            elif isinstance(layer, nn.GroupNorm):
                x = _group_norm(x, _real(x, num_frames), layer)
            else:
                x = layer(x)
        tokens: Tensor = self.norm(x.transpose(1, 2))
        return tokens


def _real(x: Tensor, num_frames: Tensor) -> Tensor:
    """1 where a frame of x (rows, channels, frames) is real, else 0: (rows, 1, frames)."""
    return (torch.arange(x.shape[2], device=x.device) < num_frames.unsqueeze(1)).unsqueeze(1).to(x.dtype)


def _group_norm(x: Tensor, real: Tensor, norm: nn.GroupNorm) -> Tensor:
    """GroupNorm over the real frames alone; the others stay 0."""
    # (rows, channels, frames) -> (rows, groups, channels, frames)
    groups = x.reshape(x.shape[0], norm.num_groups, x.shape[1] // norm.num_groups, x.shape[2])
    there = real.unsqueeze(1)
    count = (there.sum((2, 3), keepdim=True) * groups.shape[2]).clamp(min=1.0)
    centred = (groups - groups.sum((2, 3), keepdim=True) / count) * there
    variance = centred.square().sum((2, 3), keepdim=True) / count
    normal = (centred / (variance + norm.eps).sqrt()).flatten(1, 2)
    scaled: Tensor = (normal * norm.weight.unsqueeze(1) + norm.bias.unsqueeze(1)) * real
    return scaled


class CrossLayer(nn.Module):
    """Face tokens ask the sound's, sound tokens ask the face's; then each thinks for itself."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.face_asks, self.sound_asks = (
            nn.MultiheadAttention(width, 4, dropout=dropout, batch_first=True) for _ in range(2)
        )
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(4)])
        self.face_thinks, self.sound_thinks = (
            nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(2 * width, width))
            for _ in range(2)
        )

    def forward(self, faces: Tensor, seen: Tensor, sounds: Tensor, heard: Tensor) -> tuple[Tensor, Tensor]:
        """The same shapes; seen and heard say which tokens are real."""
        face, sound = self.norms[0](faces), self.norms[1](sounds)
        faces = faces + self.face_asks(face, sound, sound, key_padding_mask=~heard, need_weights=False)[0]
        sounds = sounds + self.sound_asks(sound, face, face, key_padding_mask=~seen, need_weights=False)[0]
        return faces + self.face_thinks(self.norms[2](faces)), sounds + self.sound_thinks(self.norms[3](sounds))


def times(seconds: Tensor, width: int) -> Tensor:
    """Moments (…,) as waves of periods from 0.1 to 20 s (…, width): tokens of one moment look alike in both senses."""
    rates = torch.exp(torch.linspace(math.log(0.1), math.log(20.0), width // 2, device=seconds.device))
    angles = 2 * math.pi * seconds.unsqueeze(-1) / rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def _with_none(tokens: Tensor, present: Tensor, none: Tensor) -> tuple[Tensor, Tensor]:
    """A first token that is there only where no other is."""
    first = none.expand(tokens.shape[0], -1, -1)
    absent = ~present.any(1, keepdim=True)
    return torch.cat([first, tokens], dim=1), torch.cat([absent, present], dim=1)


def heads_loss(logits: Tensor, labels: Tensor, *, smoothing: float, head_weight: float) -> Tensor:
    """Cross-entropy of logits (rows, 4, 2) against labels (rows, 4) of {0, 1}, NaN = not known; the first question counts fully."""
    known = ~torch.isnan(labels)
    wanted = torch.where(known, labels, 0.5) * (1 - smoothing) + smoothing / 2
    log_p = functional.log_softmax(logits.float(), dim=2)
    cost = -(wanted * log_p[..., 1] + (1 - wanted) * log_p[..., 0])
    weights = torch.ones(HEADS, device=logits.device)
    weights[1:] = head_weight
    per_head = (cost * known).sum(0) / known.sum(0).clamp(min=1)
    return (per_head * weights).sum()
