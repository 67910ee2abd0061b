"""Losses against torch's own and against sums written out."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch.nn.functional import cross_entropy

from ffdv.errors import RecipeError
from ffdv.training.losses import LossSpec, build_loss, class_shares, class_weights, weighted_loss


def some_clips(seed: int, clips: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 2, (clips,), generator=generator)
    labels[:2] = torch.tensor([0, 1])
    return torch.randn(clips, 2, generator=generator) * 3, labels


@given(seed=st.integers(0, 1000), smoothing=st.sampled_from([0.0, 0.1, 0.3]))
@settings(max_examples=25, deadline=None)
def test_plain_loss_is_torchs_cross_entropy(seed: int, smoothing: float) -> None:
    logits, labels = some_clips(seed)

    ours = build_loss(LossSpec(label_smoothing=smoothing), labels.tolist())(logits, labels)

    assert torch.allclose(ours, cross_entropy(logits, labels, label_smoothing=smoothing), atol=1e-6)


@given(seed=st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_balanced_loss_is_torchs_weighted_cross_entropy(seed: int) -> None:
    logits, labels = some_clips(seed)

    ours = build_loss(LossSpec(class_weights="balanced"), labels.tolist())(logits, labels)

    assert torch.allclose(ours, cross_entropy(logits, labels, weight=class_weights(labels.tolist())), atol=1e-6)


def test_balanced_classes_pull_equally_whatever_their_numbers() -> None:
    labels = torch.tensor([0] * 3 + [1] * 17)
    logits = torch.zeros(20, 2, requires_grad=True)

    build_loss(LossSpec(class_weights="balanced"), labels.tolist())(logits, labels).backward()

    assert logits.grad is not None
    assert torch.allclose(logits.grad[:3, 0].sum(), logits.grad[3:, 1].sum(), atol=1e-6)


@given(seed=st.integers(0, 1000), gamma=st.floats(0.5, 4.0))
@settings(max_examples=25, deadline=None)
def test_focal_loss_equals_its_formula_clip_by_clip(seed: int, gamma: float) -> None:
    logits, labels = some_clips(seed)
    by_hand = []
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        p = math.exp(row[label]) / (math.exp(row[0]) + math.exp(row[1]))
        by_hand.append(-((1 - p) ** gamma) * math.log(p))

    ours = build_loss(LossSpec(kind="focal", gamma=gamma), labels.tolist())(logits, labels)

    assert float(ours) == pytest.approx(sum(by_hand) / len(by_hand), rel=1e-4, abs=1e-6)


def test_focal_loss_cares_less_for_easy_clips_than_cross_entropy() -> None:
    easy, hard, label = torch.tensor([[0.0, 4.0]]), torch.tensor([[0.0, -1.0]]), torch.tensor([1])
    plain, focal = build_loss(LossSpec(), [0, 1]), build_loss(LossSpec(kind="focal"), [0, 1])

    assert focal(easy, label) / focal(hard, label) < 0.1 * plain(easy, label) / plain(hard, label)


def test_mixed_labels_cost_the_mixture_of_the_whole_ones() -> None:
    logits, _ = some_clips(3, clips=4)
    real, fake = torch.zeros(4, dtype=torch.long), torch.ones(4, dtype=torch.long)

    mixed = weighted_loss(logits, class_shares(torch.full((4,), 0.7)))

    assert torch.allclose(mixed, 0.3 * cross_entropy(logits, real) + 0.7 * cross_entropy(logits, fake), atol=1e-6)


def test_one_class_has_no_weights() -> None:
    with pytest.raises(RecipeError, match="0 real and 3 fake"):
        class_weights([1, 1, 1])


def test_a_gamma_without_focal_loss_is_refused() -> None:
    with pytest.raises(ValidationError, match="no effect on cross_entropy"):
        LossSpec(gamma=2.0)
