"""Class weights that hold in batches of any size, and epochs judged by ranks that do not run together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ffdv.training.engine import ScoredClips
from ffdv.training.losses import LossSpec, build_loss
from ffdv.training.run import measure


@pytest.mark.parametrize("batch", [1, 2, 4, 50])
def test_both_classes_pull_alike_in_batches_of_any_size(batch: int) -> None:
    """A tenth are fakes; their share of the pull at even odds was 0.10 in batches of one, 0.26 in batches of four."""
    labels = torch.tensor([0] * 90 + [1] * 10)[torch.randperm(100, generator=torch.Generator().manual_seed(0))]
    loss = build_loss(LossSpec(class_weights="balanced"), labels.tolist())
    pulls = torch.zeros(2)
    for start in range(0, 100, batch):
        inside = labels[start : start + batch]
        logits = torch.zeros(len(inside), 2, requires_grad=True)
        (loss(logits, inside) * len(inside)).backward()
        assert logits.grad is not None
        for label in (0, 1):
            pulls[label] += logits.grad[inside == label, 1].abs().sum()

    assert pulls[1] == pytest.approx(float(pulls[0]), rel=1e-5)


def test_a_very_sure_net_is_still_ranked() -> None:
    """The probabilities are all 1.0 here, and the AUC of those is 0.5."""
    logits = np.array([37.5, 38.0, 39.0, 45.0, 60.0, 70.0])

    found = measure(ScoredClips(tuple("abcdef"), np.array([0, 0, 0, 1, 1, 1]), logits))

    assert found == {"auc": 1.0, "accuracy": 0.5, "eer": 0.0}
