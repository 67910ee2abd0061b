"""Logits and labels → one number to descend: cross-entropy and focal loss, class-weighted, with smoothed or mixed labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor
from torch.nn.functional import log_softmax

from ffdv.errors import RecipeError

NUM_CLASSES = 2  # real, fake

Loss = Callable[[Tensor, Tensor], Tensor]


class LossSpec(BaseModel):
    """What is minimised.

    kind: `cross_entropy`, or `focal` (Lin et al. 2017: easy clips count less by (1 - p)^gamma);
    class_weights: `none`, or `balanced` (n / (2 n_class): the rarer class counts as much as the other in total);
    label_smoothing: share of every label spread over both classes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["cross_entropy", "focal"] = "cross_entropy"
    class_weights: Literal["none", "balanced"] = "none"
    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    gamma: float | None = Field(default=None, ge=0.0)

    @model_validator(mode="after")
    def _gamma_belongs_to_focal(self) -> LossSpec:
        """Refuse a gamma that would be ignored."""
        if self.gamma is not None and self.kind != "focal":
            raise ValueError(f"gamma = {self.gamma} has no effect on {self.kind}; set kind = 'focal' or remove gamma")
        return self


def class_weights(labels: Sequence[int]) -> Tensor:
    """Weight of each class, shape (2,): n / (2 n_class), so that both classes weigh the same in total.

    >>> class_weights([0, 1, 1, 1])
    tensor([2.0000, 0.6667])

    Raises RecipeError when one class is absent (its weight is undefined).
    """
    counts = torch.bincount(torch.tensor(labels, dtype=torch.int64), minlength=NUM_CLASSES)
    if int(counts.min()) == 0:
        raise RecipeError(
            f"class weights need both classes, the training part has {int(counts[0])} real and {int(counts[1])} fake "
            "clips; add the missing class, or choose another split"
        )
    return (len(labels) / (NUM_CLASSES * counts)).float()


def class_shares(labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """Labels as shares of each class, shape (clips, 2), rows summing to one.

    labels: (clips,) of {0, 1}, or of shares of fake in [0, 1] (mixed clips); smoothing: share spread over both classes.
    """
    shares = torch.stack([1.0 - labels.float(), labels.float()], dim=1)
    return shares * (1.0 - smoothing) + smoothing / NUM_CLASSES


def weighted_loss(logits: Tensor, shares: Tensor, *, weights: Tensor | None = None, gamma: float = 0.0) -> Tensor:
    """Weighted mean over clips of -(1 - p)^gamma log p, summed over classes by their shares; a scalar.

    logits, shares (clips, 2); weights (2,), of mean 1 over the training clips. gamma = 0 is cross-entropy. The sum is divided by the
    number of clips, not by the weights that they drew (as torch's cross_entropy does): in a batch of one these would cancel, and in
    small ones nearly. So weighting does not change the step size on average, and both classes pull alike in any batches.
    """
    log_p = log_softmax(logits.float(), dim=1)
    pull = shares if weights is None else shares * weights.to(shares.device)
    total = shares.sum()  # the clips: each has a share of one in all
    cost = -log_p if gamma == 0.0 else -((1.0 - log_p.exp()) ** gamma) * log_p
    return (pull * cost).sum() / total


def overall_logits(logits: Tensor) -> Tensor:
    """(rows, 2) of a net that answers one question, or the first of several (rows, questions, 2)."""
    return logits[:, 0] if logits.ndim == 3 else logits


def overall_labels(labels: Tensor) -> Tensor:
    """(rows,) likewise of (rows, questions)."""
    return labels[:, 0] if labels.ndim == 2 else labels


def build_loss(spec: LossSpec, labels: Sequence[int]) -> Loss:
    """The function (logits (clips, 2), labels) → scalar that `spec` asks for; labels of the training part set the weights."""
    weights = class_weights(labels) if spec.class_weights == "balanced" else None
    gamma = 0.0 if spec.kind == "cross_entropy" else (2.0 if spec.gamma is None else spec.gamma)

    def loss(logits: Tensor, labels_of_batch: Tensor) -> Tensor:
        """Descend this."""
        shares = class_shares(labels_of_batch, spec.label_smoothing)
        return weighted_loss(logits, shares, weights=weights, gamma=gamma)

    return loss
