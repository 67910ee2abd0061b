"""The moving average against its formula."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ffdv.training.averaging import WeightAverage


def test_average_follows_its_formula() -> None:
    net = nn.Linear(1, 1, bias=False)
    average = WeightAverage(net, decay=0.5)
    expected = net.weight.item()

    for step in range(20):
        with torch.no_grad():
            net.weight.fill_(float(step))
        average.update(net)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * step

        assert average.net.weight.item() == pytest.approx(expected, rel=1e-5)


def test_average_of_unchanging_weights_is_the_weights() -> None:
    net = nn.Linear(3, 3)
    average = WeightAverage(net, decay=0.9)

    average.update(net)

    assert torch.allclose(average.net.weight, net.weight, atol=1e-7)
    assert not average.net.weight.requires_grad


def test_running_statistics_are_copied() -> None:
    net = nn.BatchNorm1d(2)
    average = WeightAverage(net, decay=0.999)
    net(torch.randn(64, 2) + 5.0)

    average.update(net)

    assert torch.equal(average.net.running_mean, net.running_mean)
    assert torch.equal(average.net.num_batches_tracked, net.num_batches_tracked)
