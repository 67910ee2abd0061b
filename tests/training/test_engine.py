"""The loop: what it computes, what it keeps, how it stops."""

from __future__ import annotations

import copy
import signal
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from tiny import (
    NUM_SAMPLES,
    TinyBatch,
    TinyBatches,
    TinyNet,
    do_nothing,
    same_weights,
    tiny_state,
    tiny_work,
    weights_of,
)
from torch import nn
from torch.nn.functional import cross_entropy

from ffdv.errors import TrainingDiverged
from ffdv.training.engine import (
    EpochRow,
    Progress,
    Saves,
    ScoredClips,
    TrainingSpec,
    TrainingState,
    better,
    predict,
    random_state,
    seed_torch,
    train_epoch,
    train_epochs,
    validate,
)
from ffdv.training.optimiser import OptimiserSpec, ScheduleSpec

NOTHING = Saves(last=do_nothing, best=do_nothing)


def test_published_settings_equal_a_loop_written_by_hand() -> None:
    """Adam 0.003, StepLR(4, 0.85) stepped once an epoch after the optimiser: the same weights, bit for bit."""
    spec = TrainingSpec(epochs=6)
    state = tiny_state(spec, optimiser=OptimiserSpec(kind="adam", learning_rate=0.003))
    net = copy.deepcopy(state.net)
    schedule = ScheduleSpec(kind="step", step_epochs=4, factor=0.85)
    optimiser = torch.optim.Adam(net.parameters(), lr=0.003)
    scheduler = torch.optim.lr_scheduler.StepLR(optimiser, step_size=4, gamma=0.85)
    batches = TinyBatches(22, 4)

    train_epochs(state, tiny_work(state, spec, schedule=schedule, learning_rate=0.003), NOTHING)
    for epoch in range(1, 7):
        net.train()
        seed_torch(0, epoch)
        for batch in batches.epoch(epoch):
            optimiser.zero_grad()
            cross_entropy(net(batch.samples, batch.lengths), batch.labels).backward()
            optimiser.step()
        scheduler.step()

    for name, value in net.named_parameters():
        assert torch.allclose(value, state.net.get_parameter(name), atol=1e-6), name


def test_the_net_learns_and_the_best_epoch_is_kept() -> None:
    spec = TrainingSpec(epochs=12)
    state = tiny_state(spec)
    kept: list[tuple[int, ScoredClips]] = []
    saves = Saves(last=do_nothing, best=lambda state, scored: kept.append((state.epochs_done, scored)))

    assert train_epochs(state, tiny_work(state, spec), saves) == "finished"

    aucs = [row.auc for row in state.rows]
    assert max(aucs) > 0.8
    assert kept[-1][0] == state.best_epoch == 1 + int(np.argmax(aucs))
    assert [row.epoch for row in state.rows] == list(range(1, 13))


def test_accumulated_batches_step_like_one_large_batch() -> None:
    nets = []
    for batch_size, accumulate in ((12, 1), (4, 3)):
        spec = TrainingSpec(epochs=1, accumulate_batches=accumulate)
        torch.manual_seed(7)
        state = tiny_state(spec, net=TinyNet(dropout=0.0, norm=False), optimiser=OptimiserSpec(kind="sgd"))
        steady = ScheduleSpec(kind="constant")
        train_epoch(state, tiny_work(state, spec, training=QuietBatches(20, batch_size), schedule=steady))
        nets.append(state.net)

    for one, other in zip(nets[0].parameters(), nets[1].parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


class QuietBatches(TinyBatches):
    """The same clips in the same order without noise, whatever the batch size."""

    def epoch(self, epoch: int, *, skip: int = 0) -> Iterable[TinyBatch]:
        assert epoch == 1
        for start in range(skip * self.batch_size, len(self.labels), self.batch_size):
            rows = torch.arange(start, min(start + self.batch_size, len(self.labels)))
            lengths = torch.full((len(rows),), NUM_SAMPLES)
            yield TinyBatch(self.samples[rows], lengths, self.labels[rows], tuple(map(str, rows.tolist())))


def test_clipped_gradients_bound_the_step() -> None:
    spec = TrainingSpec(epochs=1, clip_norm=1e-3)
    state = tiny_state(spec, optimiser=OptimiserSpec(kind="sgd"))
    before = [parameter.detach().clone() for parameter in state.net.parameters()]

    train_epoch(state, tiny_work(state, spec, training=TinyBatches(4, 4), learning_rate=1.0))

    moved = torch.cat([(now - was).flatten() for was, now in zip(before, state.net.parameters(), strict=True)])
    assert 0.5e-3 < float(moved.detach().norm()) <= 1.01e-3


def test_the_average_is_what_is_judged_and_it_trails_the_weights() -> None:
    spec = TrainingSpec(epochs=2, average_decay=0.9)
    state = tiny_state(spec)
    work = tiny_work(state, spec)

    train_epochs(state, work, NOTHING)
    judged = validate(state, work)

    by_hand = predict(work.fabric, state.average.net, work.validation.epoch(1))
    assert np.array_equal(judged.logits, by_hand.logits)
    assert not same_weights(weights_of(state.net), weights_of(state.judged_net))


@pytest.mark.parametrize("stop_after", [1, 4, 6, 8, 11, 15, 17])
def test_a_run_broken_off_anywhere_continues_bit_for_bit(stop_after: int) -> None:
    """Also inside an epoch, and between training and validation; with dropout, accumulation and a moving average."""
    spec = TrainingSpec(epochs=3, accumulate_batches=2, average_decay=0.9, early_stop_epochs=3)
    straight = tiny_state(spec)
    train_epochs(straight, tiny_work(straight, spec), NOTHING)
    reports = 0

    def interrupt(progress: Progress) -> None:
        nonlocal reports
        reports += 1
        if reports == stop_after:
            raise KeyboardInterrupt

    state = tiny_state(spec)
    kept: list[dict[str, torch.Tensor]] = []
    saves = replace(NOTHING, last=lambda _: kept.append(random_state()))
    assert train_epochs(state, tiny_work(state, spec, report=interrupt), saves) == "interrupted"
    torch.manual_seed(999)  # another process knows nothing of the first one's generator
    state.random = kept[-1] if state.batches_done else None
    assert train_epochs(state, tiny_work(state, spec), NOTHING) == "finished"

    assert same_weights(weights_of(state.net), weights_of(straight.net))
    assert same_weights(weights_of(state.judged_net), weights_of(straight.judged_net))
    assert [replace(row, seconds=0.0) for row in state.rows] == [replace(row, seconds=0.0) for row in straight.rows]


def test_a_real_ctrl_c_stops_between_two_steps_and_gives_the_handler_back() -> None:
    spec = TrainingSpec(epochs=50)
    state = tiny_state(spec)
    before = signal.getsignal(signal.SIGINT)
    saved: list[int] = []

    def press(progress: Progress) -> None:
        if progress.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    saves = replace(NOTHING, last=lambda state: saved.append(state.batches_done))
    outcome = train_epochs(state, tiny_work(state, spec, report=press), saves)

    assert outcome == "interrupted"
    assert (state.epochs_done, state.batches_done, saved[-1]) == (1, 1, 1)
    assert signal.getsignal(signal.SIGINT) is before


def test_it_stops_when_nothing_improves() -> None:
    spec = TrainingSpec(epochs=50, early_stop_epochs=3)
    state = tiny_state(spec)
    aucs = iter([0.5, 0.7, 0.6, 0.7, 0.65, 0.9])
    work = tiny_work(state, spec, measure=lambda _: {"auc": next(aucs), "accuracy": 0.5, "eer": 0.5})

    assert train_epochs(state, work, NOTHING) == "stopped_early"

    assert (state.epochs_done, state.best_epoch) == (5, 2)


@pytest.mark.parametrize(("choose_by", "best"), [("auc", 1), ("accuracy", 2), ("eer", 3)])
def test_the_best_epoch_is_by_what_was_asked(choose_by: str, best: int) -> None:
    spec = TrainingSpec.model_validate({"epochs": 3, "choose_by": choose_by})
    state = tiny_state(spec)
    rows = iter(
        [
            {"auc": 0.9, "accuracy": 0.5, "eer": 0.3},
            {"auc": 0.8, "accuracy": 0.7, "eer": 0.2},
            {"auc": 0.8, "accuracy": 0.6, "eer": 0.1},
        ]
    )

    train_epochs(state, tiny_work(state, spec, measure=lambda _: next(rows)), NOTHING)

    assert state.best_epoch == best


def test_a_draw_keeps_the_earlier_epoch() -> None:
    row = EpochRow(1, 0.0, 0.1, 0.1, 0.9, 0.1, 0.9, 0.8, 0.2)

    for choose_by in ("auc", "accuracy", "eer"):
        assert not better(row, row, choose_by)


def test_a_loss_that_is_no_number_says_where_and_what_to_do() -> None:
    spec = TrainingSpec(epochs=2)
    state = tiny_state(spec)
    batches = TinyBatches(22, 4)
    batches.samples[13] = torch.nan

    with pytest.raises(TrainingDiverged, match=r"epoch 1.*learning_rate=0.001.*clip_norm.*clips were 'clip") as caught:
        train_epochs(state, tiny_work(state, spec, training=batches), NOTHING)

    assert "bf16" not in str(caught.value)
    assert all(torch.isfinite(parameter).all() for parameter in state.net.parameters())


def test_prediction_does_not_depend_on_batch_size_and_leaves_the_mode_alone() -> None:
    net = TinyNet()
    fabric = Fabric(accelerator="cpu", devices=1)

    small = predict(fabric, net, QuietBatches(11, 2).epoch(1))
    large = predict(fabric, net, QuietBatches(11, 11).epoch(1))

    assert net.training
    assert small.names == large.names == tuple(map(str, range(11)))
    assert np.allclose(small.logits, large.logits, atol=1e-5)
    assert np.all((small.scores > 0) & (small.scores < 1))


def test_windows_of_one_clip_are_one_opinion() -> None:
    rows = QuietBatches(4, 4)
    batch = next(iter(rows.epoch(1)))
    windows = replace(batch, names=("a", "b", "a", "b"), labels=torch.tensor([0, 1, 0, 1]))
    net, fabric = TinyNet().eval(), Fabric(accelerator="cpu", devices=1)

    apart, together = predict(fabric, net, [batch]), predict(fabric, net, [windows])

    assert together.names == ("a", "b")
    assert together.labels.tolist() == [0, 1]
    assert together.logits == pytest.approx([apart.logits[[0, 2]].mean(), apart.logits[[1, 3]].mean()])


def test_validation_loss_is_the_mean_over_clips() -> None:
    spec = TrainingSpec()
    state = tiny_state(spec)
    work = tiny_work(state, spec)
    state.net.eval()
    batches = list(work.validation.epoch(1))
    with torch.no_grad():
        losses = [cross_entropy(state.net(b.samples, b.lengths), b.labels, reduction="none") for b in batches]

    assert validate(state, work).loss == pytest.approx(float(torch.cat(losses).mean()), rel=1e-5)


def test_progress_counts_every_step_and_reports_auc_at_the_epochs_end() -> None:
    spec = TrainingSpec(epochs=2, accumulate_batches=4)
    state = tiny_state(spec)
    seen: list[Progress] = []

    train_epochs(state, tiny_work(state, spec, report=seen.append), NOTHING)

    steps = [(p.epoch, p.step, p.steps) for p in seen if p.kind == "step"]
    assert steps == [(1, 1, 2), (1, 2, 2), (2, 1, 2), (2, 2, 2)]
    assert [p.step for p in seen if p.kind == "validate"] == [1, 2, 3, 4] * 2
    assert [(p.auc, p.best) for p in seen if p.kind == "epoch"] == [
        (row.auc, row.epoch == 1 or row.auc > state.rows[0].auc) for row in state.rows
    ]


def test_different_seeds_train_different_nets_and_the_same_seed_the_same() -> None:
    nets = []
    for seed in (0, 0, 1):
        spec = TrainingSpec(epochs=1, seed=seed)
        state = tiny_state(spec)
        train_epochs(state, tiny_work(state, spec), NOTHING)
        nets.append(weights_of(state.net))

    assert same_weights(nets[0], nets[1])
    assert not same_weights(nets[0], nets[2])


def test_the_state_is_saved_within_a_long_epoch() -> None:
    spec = TrainingSpec(epochs=1, save_minutes=1e-9)
    state = tiny_state(spec)
    saved: list[int] = []

    def keep(state: TrainingState) -> None:
        saved.append(state.batches_done)

    train_epoch(state, tiny_work(state, spec), save=keep)

    assert saved == [1, 2, 3, 4, 5, 6]


def test_a_net_without_parameters_to_train_is_not_needed_to_predict() -> None:
    class Fixed(nn.Module):
        def forward(self, samples: torch.Tensor, _lengths: torch.Tensor) -> torch.Tensor:
            return torch.stack([torch.zeros(len(samples)), samples.mean(dim=1)], dim=1)

    scored = predict(Fabric(accelerator="cpu", devices=1), Fixed(), QuietBatches(6, 4).epoch(1))

    assert scored.logits == pytest.approx(QuietBatches(6, 4).samples.mean(dim=1).tolist(), abs=1e-6)
