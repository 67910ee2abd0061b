"""A training state as named tensors and JSON, and back: what last.safetensors holds, so that a run continues bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from ffdv.errors import CheckpointError
from ffdv.training.engine import EpochRow, Sums, TrainingState, random_state

_NET, _AVERAGE, _OPTIMISER, _RANDOM = "net.", "average.", "optimiser.", "random."


class Counters(BaseModel):
    """The part of a training state that is no tensor."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs_done: int
    batches_done: int
    best_epoch: int
    average_updates: int
    sums: Sums
    rows: tuple[EpochRow, ...]


def state_tensors(state: TrainingState) -> dict[str, Tensor]:
    """Every tensor of the state, by a name that says whose it is; with torch's generators as they are now."""
    tensors = {_NET + name: value for name, value in state.net.state_dict().items()}
    if state.average is not None:
        tensors |= {_AVERAGE + name: value for name, value in state.average.tensors().items()}
    for index, values in state.optimiser.state_dict()["state"].items():
        tensors |= {f"{_OPTIMISER}{index}.{name}": value for name, value in values.items()}
    return tensors | {_RANDOM + device: value for device, value in random_state().items()}


def state_counters(state: TrainingState) -> dict[str, Any]:
    """The rest of the state, as JSON values."""
    counters = Counters(
        epochs_done=state.epochs_done,
        batches_done=state.batches_done,
        best_epoch=state.best_epoch,
        average_updates=0 if state.average is None else state.average.num_updates,
        sums=state.sums,
        rows=state.rows,
    )
    return counters.model_dump(mode="json") | {"rows": [asdict(row) for row in state.rows]}


def restore_state(state: TrainingState, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> None:
    """Make a freshly built `state` the saved one. Raises CheckpointError where it is another net or another optimiser."""
    try:
        counted = Counters.model_validate(counters)
    except ValidationError as error:
        raise CheckpointError(
            f"the saved run's counters cannot be read ({error.errors()[0]['msg']}); train anew"
        ) from error
    try:
        state.net.load_state_dict(_part(tensors, _NET))
        if state.average is not None:
            state.average.net.load_state_dict(_part(tensors, _AVERAGE))
            state.average.num_updates = counted.average_updates
        _restore_optimiser(state, _part(tensors, _OPTIMISER))
    except (RuntimeError, ValueError, KeyError) as error:
        first = str(error).splitlines()[0]
        raise CheckpointError(
            f"the saved run is of another net or optimiser ({first}); train anew, or with its own recipe"
        ) from error
    state.epochs_done, state.batches_done = counted.epochs_done, counted.batches_done
    state.best_epoch, state.sums, state.rows = counted.best_epoch, counted.sums, counted.rows
    # A whole epoch seeds the generators itself; only one that was broken off goes on with what they were.
    state.random = _part(tensors, _RANDOM) if counted.batches_done else None


def _restore_optimiser(state: TrainingState, tensors: Mapping[str, Tensor]) -> None:
    """Moments by parameter number; rates and decays are the recipe's, so the fresh ones stay."""
    whole = state.optimiser.state_dict()
    whole["state"] = {}
    for key, value in tensors.items():
        index, _, name = key.partition(".")
        whole["state"].setdefault(int(index), {})[name] = value
    state.optimiser.load_state_dict(whole)


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
