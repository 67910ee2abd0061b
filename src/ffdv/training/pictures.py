"""What may happen to spectrogram pictures while training, between front end and network."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor


class AugmentSpec(BaseModel):
    """Chances, per picture, of mirroring it in time and in frequency (the published pipeline does both)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flip_time: float = Field(default=0.0, ge=0.0, le=1.0)
    flip_frequency: float = Field(default=0.0, ge=0.0, le=1.0)


def flip_pictures(pictures: Tensor, spec: AugmentSpec) -> Tensor:
    """Pictures (clips, channels, h, w), each mirrored by its own chance in time (w) and in frequency (h); torch's generator."""
    for axis, chance in ((-1, spec.flip_time), (-2, spec.flip_frequency)):
        if chance > 0.0:
            mirrored = torch.rand(len(pictures), 1, 1, 1, device=pictures.device) < chance
            pictures = torch.where(mirrored, pictures.flip(axis), pictures)
    return pictures
