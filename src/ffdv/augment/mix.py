"""Two clips made into one, labels mixed alike: MixUp (Zhang et al. 2018) and CutMix (Yun et al. 2019) on batches.

Arrays and torch tensors alike; a batch is one array for each sense, labels and what each clip has:

    inputs    one array (clips, …) for each sense: sound (clips, n), pictures (clips, c, h, w), faces (clips, frames, c, h, w)
    labels    (clips,) or (clips, questions), in [0, 1]; NaN = unknown, and what is mixed with unknown stays unknown
    present   (clips, senses) bool, or None for all: partners are drawn among clips with the same senses, so that no one is
              mixed with the zeros that stand for a missing sense; a clip without such a partner stays as it is
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

Array = Any  # numpy array or torch tensor

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class MixSpec(BaseModel):
    """When batches are mixed and how.

    mixup_alpha, cutmix_alpha: of Beta(α, α), 0 = off; cutmix_share: how often CutMix is taken where both are on.
    probability: of mixing a batch; from_progress, until_progress: in which part of the training, [0, 1] of all steps;
    it rises and falls over `ramp` of the training at both ends. labels: "area" mixes labels by weight, "any" calls a
    mixture with any fake in it fake (a spliced clip is a forgery).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mixup_alpha: Annotated[float, Field(ge=0.0)] = 0.0
    cutmix_alpha: Annotated[float, Field(ge=0.0)] = 0.0
    cutmix_share: Share = 0.5
    probability: Share = 1.0
    from_progress: Share = 0.0
    until_progress: Share = 1.0
    ramp: Share = 0.0
    labels: Literal["area", "any"] = "area"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        """Refuse a part of training that is empty."""
        if self.from_progress >= self.until_progress:
            raise ValueError(
                f"from_progress {self.from_progress:g} must lie before until_progress {self.until_progress:g}"
            )
        return self

    def probability_at(self, progress: float) -> float:
        """The probability of mixing a batch when `progress` in [0, 1] of the training is done."""
        if self.mixup_alpha == self.cutmix_alpha == 0.0 or not self.from_progress <= progress <= self.until_progress:
            return 0.0
        if self.ramp == 0.0:
            return self.probability
        inside = min(progress - self.from_progress, self.until_progress - progress)
        return self.probability * min(1.0, inside / self.ramp)


@dataclass(frozen=True)
class Mixed:
    """A mixed batch: inputs and labels as they came; partner (clips,) row that was mixed in; weight (clips,) of the own row.

    weight is 1 where nothing was mixed; lengths (clips,) as given, the longer of both where sounds were added.
    """

    inputs: tuple[Array, ...]
    labels: Array
    partner: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float64]
    lengths: Array | None = None


def mix_batch(
    inputs: Sequence[Array],
    labels: Array,
    rng: np.random.Generator,
    *,
    spec: MixSpec,
    progress: float = 0.0,
    present: npt.NDArray[np.bool_] | None = None,
    lengths: Array | None = None,
) -> Mixed:
    """The batch mixed as the settings and the progress of training say, often not at all."""
    if rng.random() >= spec.probability_at(progress):
        return _unmixed(inputs, labels, lengths)
    take_cutmix = spec.mixup_alpha == 0.0 or (spec.cutmix_alpha > 0.0 and rng.random() < spec.cutmix_share)
    mix, alpha = (cut_mix, spec.cutmix_alpha) if take_cutmix else (mix_up, spec.mixup_alpha)
    return mix(inputs, labels, rng, alpha=alpha, present=present, lengths=lengths, label_rule=spec.labels)


def mix_up(
    inputs: Sequence[Array],
    labels: Array,
    rng: np.random.Generator,
    *,
    alpha: float = 0.2,
    present: npt.NDArray[np.bool_] | None = None,
    lengths: Array | None = None,
    label_rule: Literal["area", "any"] = "area",
) -> Mixed:
    """weight * own + (1 - weight) * partner, weight from Beta(alpha, alpha) for each clip; all senses of a clip alike."""  # noqa: D403
    partner = draw_partners(len(labels), rng, present=present)
    weight = np.where(partner == np.arange(len(partner)), 1.0, rng.beta(alpha, alpha, len(partner)))
    mixed = tuple(_blend(values, partner, weight) for values in inputs)
    longer = None if lengths is None else _longer(lengths, lengths[partner])
    return Mixed(mixed, mix_labels(labels, partner, weight, rule=label_rule), partner, weight, longer)


def cut_mix(
    inputs: Sequence[Array],
    labels: Array,
    rng: np.random.Generator,
    *,
    alpha: float = 1.0,
    present: npt.NDArray[np.bool_] | None = None,
    lengths: Array | None = None,
    label_rule: Literal["area", "any"] = "area",
) -> Mixed:
    """A box of the partner's picture, or a stretch of its sound, laid over the own; weight = the area that stays one's own.

    The box is drawn for the batch (its share of the area is 1 - Beta(alpha, alpha), centre anywhere, cut at the border).
    Sounds (clips, n) get a stretch, of `lengths` when given; pictures a box over (h, w). With several senses the weight
    is the mean over those that the clip has.
    """
    partner = draw_partners(len(labels), rng, present=present)
    share, centre = float(rng.beta(alpha, alpha)), rng.random(2)
    alone = partner == np.arange(len(partner))
    mixed, weights = [], []
    for values in inputs:
        changed, weight = _cut_in(values, partner, centre, share=share, lengths=lengths)
        mixed.append(changed)
        weights.append(weight)
    has = np.ones((len(inputs), len(partner))) if present is None else np.asarray(present, float).T
    kept = (has * weights).sum(axis=0) / np.maximum(has.sum(axis=0), 1.0)
    weight = np.where(alone | (has.sum(axis=0) == 0), 1.0, kept)
    return Mixed(tuple(mixed), mix_labels(labels, partner, weight, rule=label_rule), partner, weight, lengths)


def draw_partners(
    num_clips: int, rng: np.random.Generator, *, present: npt.NDArray[np.bool_] | None = None
) -> npt.NDArray[np.int64]:
    """For each clip another one with the same senses, (clips,): a cycle through each group in random order.

    Nobody is paired with oneself unless one is alone in its group.
    """
    partner = np.arange(num_clips)
    groups = np.zeros(num_clips, np.int64)
    if present is not None:
        groups = np.unique(np.asarray(present), axis=0, return_inverse=True)[1].reshape(-1)
    for group in np.unique(groups):
        members = rng.permutation(np.flatnonzero(groups == group))
        partner[members] = np.roll(members, 1)
    return partner


def mix_labels(
    labels: Array,
    partner: npt.NDArray[np.int64],
    weight: npt.NDArray[np.float64],
    *,
    rule: Literal["area", "any"] = "area",
) -> Array:
    """Labels of the mixture, same shape and kind; rows of weight 1 stay exactly as they are, unknown partners too.

    "area": weight * own + (1 - weight) * partner's; "any": the larger of the two. Raises ValueError for whole numbers.
    """
    if "float" not in str(labels.dtype):
        raise ValueError(f"labels must be floats to be mixed, got {labels.dtype}")
    rows = np.flatnonzero(weight < 1.0)
    mixed = _copied(labels)
    if len(rows) == 0:
        return mixed
    own, others = labels[rows], labels[partner[rows]]
    if rule == "any":
        mixed[rows] = _longer(own, others)  # NaN with anything is NaN in both libraries
        return mixed
    share = _like(weight[rows], own).reshape((-1,) + (1,) * (own.ndim - 1))
    mixed[rows] = share * own + (1 - share) * others
    return mixed


def _unmixed(inputs: Sequence[Array], labels: Array, lengths: Array | None) -> Mixed:
    return Mixed(tuple(inputs), labels, np.arange(len(labels)), np.ones(len(labels)), lengths)


def _blend(values: Array, partner: npt.NDArray[np.int64], weight: npt.NDArray[np.float64]) -> Array:
    share = _like(weight, values).reshape((-1,) + (1,) * (values.ndim - 1))
    return share * values + (1 - share) * values[partner]


def _cut_in(
    values: Array,
    partner: npt.NDArray[np.int64],
    centre: npt.NDArray[np.float64],
    *,
    share: float,
    lengths: Array | None,
) -> tuple[Array, npt.NDArray[np.float64]]:
    """The changed rows, and how much of each stays its own (clips,)."""
    mixed = _copied(values)
    if values.ndim == 2:
        weight = np.ones(len(partner))
        own = np.full(len(partner), values.shape[1]) if lengths is None else np.asarray([int(n) for n in lengths])
        for row, other in enumerate(partner):
            start, stop = _span(min(int(own[row]), int(own[other])), float(centre[0]), 1 - share)
            mixed[row, start:stop] = values[int(other), start:stop]
            weight[row] = 1 - (stop - start) / max(int(own[row]), 1)
        return mixed, weight
    height, width = values.shape[-2:]
    top, bottom = _span(height, float(centre[0]), np.sqrt(1 - share))
    left, right = _span(width, float(centre[1]), np.sqrt(1 - share))
    mixed[..., top:bottom, left:right] = values[partner][..., top:bottom, left:right]
    return mixed, np.full(len(partner), 1 - (bottom - top) * (right - left) / (height * width))


def _span(length: int, centre: float, share: float) -> tuple[int, int]:
    """A half-open stretch of `share` of the length around `centre` (a share of it too), cut at both ends."""
    middle, half = centre * length, share * length / 2
    return max(0, round(middle - half)), min(length, round(middle + half))


def _copied(values: Array) -> Array:
    return values.copy() if isinstance(values, np.ndarray) else values.clone()


def _like(weight: npt.NDArray[np.float64], values: Array) -> Array:
    """The weights in the array's own kind, precision and place."""
    if isinstance(values, np.ndarray):
        return weight.astype(values.dtype)
    import torch

    return torch.as_tensor(weight, dtype=values.dtype, device=values.device)


def _longer(first: Array, second: Array) -> Array:
    """The elementwise maximum."""
    if isinstance(first, np.ndarray):
        return np.maximum(first, second)
    import torch

    return torch.maximum(first, second)
