"""A state that went through a file is the state that went in."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tiny import TinyNet, do_nothing, same_weights, tiny_state, tiny_work, weights_of

from ffdv.errors import CheckpointError
from ffdv.models.checkpoint import CheckpointHeader, load_checkpoint, save_checkpoint
from ffdv.training.engine import Progress, Saves, TrainingSpec, TrainingState, train_epochs
from ffdv.training.optimiser import OptimiserSpec
from ffdv.training.saved import restore_state, state_counters, state_tensors

KINDS = ["adam", "adamw", "sgd"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stop_after", [2, 6, 11])
def test_a_run_resumed_from_its_file_equals_one_that_never_stopped(tmp_path: Path, kind: str, stop_after: int) -> None:
    """Every optimiser; stopped inside an epoch, in validation, and between epochs."""
    spec = TrainingSpec(epochs=3, average_decay=0.9)
    optimiser = OptimiserSpec.model_validate(
        {"kind": kind, "learning_rate": 0.01} | ({"momentum": 0.9} if kind == "sgd" else {})
    )
    straight = tiny_state(spec, optimiser=optimiser)
    train_epochs(straight, tiny_work(straight, spec), Saves(do_nothing, do_nothing))
    path = tmp_path / "last.safetensors"
    reports = 0

    def save(state: TrainingState) -> None:
        save_checkpoint(path, state_tensors(state), CheckpointHeader(state=state_counters(state)))

    def interrupt(progress: Progress) -> None:
        nonlocal reports
        reports += 1
        if reports == stop_after:
            raise KeyboardInterrupt

    broken_off = tiny_state(spec, optimiser=optimiser)
    train_epochs(broken_off, tiny_work(broken_off, spec, report=interrupt), Saves(save, do_nothing))
    torch.manual_seed(999)
    resumed = tiny_state(spec, net=TinyNet(), optimiser=optimiser)
    saved = load_checkpoint(path)
    restore_state(resumed, saved.tensors, saved.header.state)
    train_epochs(resumed, tiny_work(resumed, spec), Saves(save, do_nothing))

    assert same_weights(weights_of(resumed.net), weights_of(straight.net))
    assert same_weights(weights_of(resumed.judged_net), weights_of(straight.judged_net))
    assert [replace(row, seconds=0.0) for row in resumed.rows] == [replace(row, seconds=0.0) for row in straight.rows]


def test_counters_survive_json() -> None:
    spec = TrainingSpec(epochs=2)
    state = tiny_state(spec)
    train_epochs(state, tiny_work(state, spec), Saves(do_nothing, do_nothing))
    copy = tiny_state(spec)

    restore_state(copy, state_tensors(state), json.loads(json.dumps(state_counters(state))))

    assert (copy.epochs_done, copy.best_epoch, copy.rows, copy.sums) == (2, state.best_epoch, state.rows, state.sums)


def test_another_nets_state_is_refused_in_one_sentence() -> None:
    state = tiny_state(TrainingSpec())
    other = tiny_state(TrainingSpec(), net=TinyNet(norm=False))

    with pytest.raises(CheckpointError, match="another net or optimiser") as caught:
        restore_state(other, state_tensors(state), state_counters(state))

    assert "\n" not in str(caught.value)


def test_foreign_counters_are_refused() -> None:
    state = tiny_state(TrainingSpec())

    with pytest.raises(CheckpointError, match="counters cannot be read"):
        restore_state(state, state_tensors(state), {"epochs_done": "many"})
