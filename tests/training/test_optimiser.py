"""The learning rate against torch's own schedulers, and what weight decay spares."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from torch import nn

from ffdv.training.optimiser import OptimiserSpec, ScheduleSpec, build_optimiser, rate_share, set_rate


@given(step_epochs=st.integers(1, 5), factor=st.floats(0.1, 1.0), steps=st.integers(1, 7))
@settings(max_examples=25, deadline=None)
def test_step_schedule_is_step_lr_stepped_once_an_epoch_after_the_optimiser(
    step_epochs: int, factor: float, steps: int
) -> None:
    optimiser = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=0.003)
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, step_epochs, factor)
    spec = ScheduleSpec(kind="step", step_epochs=step_epochs, factor=factor)

    for epoch in range(12):
        for step in range(steps):
            ours = 0.003 * rate_share(spec, epoch + step / steps, 12)

            assert ours == pytest.approx(optimiser.param_groups[0]["lr"], rel=1e-9)
            optimiser.step()
        scheduler.step()


def test_cosine_schedule_is_torchs_after_its_warm_up() -> None:
    spec = ScheduleSpec(kind="cosine", warm_up_epochs=2.0, final_share=0.1)
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=80, eta_min=0.1)

    for step in range(80):
        assert rate_share(spec, 2.0 + step / 10, 10) == pytest.approx(optimiser.param_groups[0]["lr"], abs=1e-9)
        optimiser.step()
        scheduler.step()


@given(epochs=st.integers(2, 30), warm_up=st.floats(0.0, 1.5), kind=st.sampled_from(["cosine", "constant"]))
@settings(max_examples=25, deadline=None)
def test_rate_rises_in_the_warm_up_then_never_rises_again(epochs: int, warm_up: float, kind: str) -> None:
    spec = ScheduleSpec.model_validate({"kind": kind, "warm_up_epochs": warm_up})
    times = [epochs * k / 200 for k in range(201)]
    shares = [rate_share(spec, time, epochs) for time in times]

    assert all(0.0 <= share <= 1.0 for share in shares)
    assert all(
        later >= earlier for earlier, later, time in zip(shares, shares[1:], times[1:], strict=False) if time < warm_up
    )
    after = [share for share, time in zip(shares, times, strict=True) if time >= warm_up]
    assert after[0] == pytest.approx(1.0, abs=0.02) or epochs * 0.99 < warm_up
    assert all(later <= earlier + 1e-12 for earlier, later in pairwise(after))


def test_cosine_ends_at_its_final_share_and_stays_there() -> None:
    spec = ScheduleSpec(final_share=0.2)

    assert rate_share(spec, 5.0, 5) == pytest.approx(0.2)
    assert rate_share(spec, 6.0, 5) == pytest.approx(0.2)
    assert math.isfinite(rate_share(ScheduleSpec(warm_up_epochs=1.0), 1.0, 1))


@pytest.mark.parametrize(
    ("settings_of_table", "sentence"),
    [
        ({"kind": "step"}, "needs step_epochs and factor"),
        ({"kind": "cosine", "factor": 0.5}, "no effect on kind = 'cosine'"),
        ({"kind": "step", "step_epochs": 4, "factor": 0.85, "final_share": 0.1}, "no effect on kind = 'step'"),
    ],
)
def test_schedule_refuses_what_it_would_ignore(settings_of_table: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ScheduleSpec.model_validate(settings_of_table)


def test_weight_decay_spares_biases_and_norms() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    optimiser = build_optimiser(OptimiserSpec(kind="adamw", learning_rate=0.1, weight_decay=0.5), net)
    before = [parameter.detach().clone() for parameter in net.parameters()]
    for parameter in net.parameters():
        parameter.grad = torch.zeros_like(parameter)

    optimiser.step()

    shrunk = [not torch.equal(was, now) for was, now in zip(before, net.parameters(), strict=True)]
    assert shrunk == [True, False, False, False]


def test_every_trainable_parameter_is_optimised_and_no_frozen_one() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    net[0].weight.requires_grad_(requires_grad=False)

    for kind in ("adam", "adamw", "sgd"):
        optimiser = build_optimiser(OptimiserSpec.model_validate({"kind": kind}), net)
        held = {id(parameter) for group in optimiser.param_groups for parameter in group["params"]}
        assert held == {id(parameter) for parameter in net.parameters() if parameter.requires_grad}


def test_set_rate_reaches_every_group() -> None:
    optimiser = build_optimiser(OptimiserSpec(), nn.Linear(2, 2))

    set_rate(optimiser, 0.125)

    assert [group["lr"] for group in optimiser.param_groups] == [0.125, 0.125]


def test_momentum_without_sgd_is_refused() -> None:
    with pytest.raises(ValidationError, match="no effect on adam"):
        OptimiserSpec(kind="adam", momentum=0.9)
