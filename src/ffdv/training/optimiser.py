"""Which optimiser, and how its learning rate moves over the run.

The rate is a pure function of the share of training done: nothing to save, nothing to step at the wrong moment.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import nn

_FIRST_SHARE = 0.1  # of the rate, where a warm-up starts: at zero a run of one step would learn nothing


class OptimiserSpec(BaseModel):
    """The optimiser and its rate; weight decay spares biases and norms (they have one dimension)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["adam", "adamw", "sgd"] = "adamw"
    learning_rate: float = Field(default=1e-3, gt=0.0)
    weight_decay: float = Field(default=0.0, ge=0.0)
    momentum: float | None = Field(default=None, ge=0.0, lt=1.0)

    @model_validator(mode="after")
    def _momentum_belongs_to_sgd(self) -> OptimiserSpec:
        """Refuse a momentum that would be ignored."""
        if self.momentum is not None and self.kind != "sgd":
            raise ValueError(f"momentum = {self.momentum} has no effect on {self.kind}; set kind = 'sgd' or remove it")
        return self


class ScheduleSpec(BaseModel):
    """How the learning rate moves.

    kind: `constant`; `step` (times `factor` after every `step_epochs` whole epochs, as torch's StepLR stepped once an
    epoch after the optimiser's steps); `cosine` (from 1 to `final_share` over the run).
    warm_up_epochs: the rate first rises linearly from a tenth over so many epochs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["constant", "step", "cosine"] = "cosine"
    step_epochs: int | None = Field(default=None, ge=1)
    factor: float | None = Field(default=None, gt=0.0, le=1.0)
    warm_up_epochs: float = Field(default=0.0, ge=0.0)
    final_share: float | None = Field(default=None, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _only_what_the_kind_uses(self) -> ScheduleSpec:
        """Refuse settings that would be ignored, and a step schedule without its two numbers."""
        steps = {"step_epochs": self.step_epochs, "factor": self.factor}
        if self.kind == "step":
            missing = [name for name, value in steps.items() if value is None]
            if missing:
                raise ValueError(f"kind = 'step' needs {' and '.join(missing)}")
        idle = {} if self.kind == "step" else steps
        if self.kind != "cosine":
            idle = idle | {"final_share": self.final_share}
        for name, value in idle.items():
            if value is not None:
                raise ValueError(f"{name} = {value} has no effect on kind = {self.kind!r}; remove it")
        return self


def rate_share(spec: ScheduleSpec, epochs_done: float, epochs: int) -> float:
    """Share of the full learning rate to use now, in [0, 1].

    epochs_done: training done before this step, in epochs (2.5 = in the middle of the third); epochs: the whole run.

    >>> published = ScheduleSpec(kind="step", step_epochs=4, factor=0.85)
    >>> [round(rate_share(published, epoch, 10), 4) for epoch in (0, 3.9, 4, 8)]
    [1.0, 1.0, 0.85, 0.7225]
    """
    if epochs_done < spec.warm_up_epochs:
        return _FIRST_SHARE + (1.0 - _FIRST_SHARE) * epochs_done / spec.warm_up_epochs
    if spec.kind == "step":
        assert spec.step_epochs is not None  # the model refused its absence
        assert spec.factor is not None
        return spec.factor ** (math.floor(epochs_done) // spec.step_epochs)
    if spec.kind == "cosine":
        rest = max(epochs - spec.warm_up_epochs, 1e-9)
        way = min((epochs_done - spec.warm_up_epochs) / rest, 1.0)
        final_share = spec.final_share or 0.0
        return final_share + (1.0 - final_share) * 0.5 * (1.0 + math.cos(math.pi * way))
    return 1.0


def build_optimiser(spec: OptimiserSpec, net: nn.Module) -> torch.optim.Optimizer:
    """The optimiser over the trainable parameters of `net`; weight decay only on weights of two and more dimensions."""
    trainable = [parameter for parameter in net.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": spec.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if spec.kind == "sgd":
        return torch.optim.SGD(groups, lr=spec.learning_rate, momentum=spec.momentum or 0.0)
    kind = torch.optim.Adam if spec.kind == "adam" else torch.optim.AdamW
    return kind(groups, lr=spec.learning_rate)


def set_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Use this learning rate from the next step on."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
