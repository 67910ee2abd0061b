"""The moving average against its formula."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ffdv.training.averaging import NormStart, WeightAverage


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


@pytest.mark.parametrize(("momentum", "plain_until"), [(0.1, 10), (0.01, 100)])
def test_running_statistics_are_plain_means_until_their_own_momentum_takes_over(
    momentum: float, plain_until: int
) -> None:
    norm = nn.BatchNorm1d(1, momentum=momentum)
    start = NormStart(nn.Sequential(norm))
    generator = torch.Generator().manual_seed(0)
    means: list[float] = []

    for batch in range(plain_until + 5):
        values = torch.randn(8, 1, generator=generator) + batch
        means.append(values.mean().item())
        start.before_batch(batch)
        before = norm.running_mean.item()
        norm(values)

        if batch < plain_until:
            assert norm.running_mean.item() == pytest.approx(sum(means) / len(means), abs=1e-4)
        else:
            assert norm.running_mean.item() == pytest.approx((1 - momentum) * before + momentum * means[-1], abs=1e-4)


def test_a_norm_that_averages_for_ever_is_left_alone() -> None:
    norm = nn.BatchNorm1d(1, momentum=None)

    NormStart(norm).before_batch(0)

    assert norm.momentum is None
