"""The loop: batches and a net → a trained net, its scores, and a state that can be saved and continued bit for bit.

    train_epochs ──▶ train_epoch ──▶ validate ──▶ report ──▶ better? ──▶ save ──▶ enough?
                          ▲                                                 │
                          └─────────────────────────────────────────────────┘

Nothing here knows files: what to do at a save is handed in. Ctrl-C is honoured between two optimiser steps, so the
state is always whole; a second Ctrl-C stops at once. Lightning Fabric decides device, precision and processes.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Annotated, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from lightning_fabric import Fabric
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from ffdv.errors import TrainingDiverged
from ffdv.metrics.aggregation import Aggregation, aggregate
from ffdv.metrics.calibration import sigmoid
from ffdv.models.embedding import EmbeddingRange, Embeds
from ffdv.training.augmenting import Mix
from ffdv.training.averaging import NormStart, WeightAverage
from ffdv.training.losses import Loss, overall_labels, overall_logits
from ffdv.training.optimiser import ScheduleSpec, rate_share, set_rate

FloatArray64 = npt.NDArray[np.float64]
# A window's clip, label, logit, distance from what training saw, start and stop
_Row = tuple[str, int, float, float, float, float]
IntArray = npt.NDArray[np.int64]

_ROWS_AT_ONCE = 64  # pictures of 256 x 256 in ResNet-18 take 1 GB


class TrainingSpec(BaseModel):
    """How long and how carefully to train, and which epoch to keep.

    accumulate_batches: batches whose gradients make one step; clip_norm: longest gradient, None = as it is;
    average_decay: keep and validate a moving average of the weights, None = the weights themselves;
    early_stop_epochs: stop after so many epochs without a better one; choose_by: what `better` means, on the
    validation part; save_minutes: at most so much work is lost when the machine dies; seed: of the start, the order
    and the dropout; aggregate: how a clip's windows or faces become its score (metrics/aggregation.py), a number: that sharpness,
    learned: the sharpness that tells the validation clips best, auto: the one of mean, max, top and learned with the best validation
    AUC; both are settled when an epoch is kept (mean until then), and the saved recipe then names what came of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    epochs: int = Field(default=10, ge=1)
    seed: int = Field(default=0, ge=0)
    accumulate_batches: int = Field(default=1, ge=1)
    clip_norm: float | None = Field(default=None, gt=0.0)
    average_decay: float | None = Field(default=None, gt=0.0, lt=1.0)
    early_stop_epochs: int | None = Field(default=None, ge=1)
    choose_by: Literal["auc", "accuracy", "eer"] = "auc"
    aggregate: Annotated[float, Field(ge=0.0, le=100.0)] | Literal["mean", "max", "top", "learned", "auto"] = "mean"
    precision: Literal["32-true", "bf16-mixed", "16-mixed"] = "32-true"
    save_minutes: float = Field(default=10.0, gt=0.0)

    @property
    def aggregation(self) -> Aggregation:
        """How windows are put together; the mean where that is still open."""
        return "mean" if self.aggregate == "auto" or self.aggregate == "learned" else self.aggregate  # noqa: PLR1714 -- mypy narrows


class ClipBatch(Protocol):
    """What the loop needs of a batch: what the net looks at, lengths (rows,), labels (rows,), names."""

    @property
    def samples(self) -> Tensor | tuple[Tensor, ...]:
        """Sound (rows, n) float32, crops of faces (rows, frames, 3, s, s), vectors (rows, n), or several of these."""

    @property
    def lengths(self) -> Tensor:
        """How much of each row is real, (rows,): samples of sound, crops of a face."""

    @property
    def labels(self) -> Tensor:
        """1 = fake, (rows,)."""

    @property
    def names(self) -> Sequence[str]:
        """The clip that each row is a window of."""

    @property
    def spans(self) -> FloatArray64 | None:
        """Start and stop of each row on its clip's clock (rows, 2), in seconds; None where rows are not stretches of its time."""


class EpochBatches(Protocol):
    """Batches that know which epoch they are for: the same epoch is always the same batches in the same order."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, epoch: int, *, skip: int = 0) -> Iterable[ClipBatch]:
        """The batches of one epoch (from 1), without the first `skip`."""


@dataclass(frozen=True)
class Progress:
    """What a run tells while it works.

    kind: `step` after an optimiser step, `validate` after a batch of the validation part, `epoch` at an epoch's end;
    epoch from 1; step of steps of that kind; seconds since the run (re)started; loss and accuracy of the training so far
    in this epoch, at its end those of the validation part, with its AUC; best: the epoch is the best so far. Before all these
    comes one `audit`: what the shortcuts reach on the validation part, in `text`. member: the recipe within a fusion that is trained,
    "" where it is the run itself.
    """

    kind: Literal["step", "validate", "epoch", "audit"]
    epoch: int
    epochs: int
    step: int
    steps: int
    seconds: float
    loss: float
    accuracy: float
    auc: float | None = None
    best: bool = False
    text: str = ""
    member: str = ""


ReportProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class ScoredClips:
    """Opinions on clips: logits (n,) fake minus real, labels (n,), names; loss is the mean over windows (NaN: not asked);
    windows: the logits of each clip's windows, in order; spans: start and stop of each of them (k, 2), NaN where they are not
    stretches of time; distances (n,): how far each clip lies from what training saw (models/embedding.py), the mean of its windows,
    None: not asked.
    """

    names: tuple[str, ...]
    labels: IntArray
    logits: FloatArray64
    loss: float = math.nan
    windows: tuple[FloatArray64, ...] = ()
    spans: tuple[FloatArray64, ...] = ()
    distances: FloatArray64 | None = None

    def aggregated(self, how: Aggregation) -> ScoredClips:
        """The same windows put together in another way."""
        return replace(self, logits=np.array([aggregate(windows, how) for windows in self.windows], np.float64))

    @property
    def scores(self) -> FloatArray64:
        """Probability of fake, (n,), 1 = fake, not calibrated."""
        return sigmoid(self.logits)


@dataclass(frozen=True)
class EpochRow:
    """One line of log.csv: what an epoch cost (seconds since the run started) and gave; the learning rate of its last step."""

    epoch: int
    seconds: float
    learning_rate: float
    train_loss: float
    train_accuracy: float
    loss: float
    accuracy: float
    auc: float
    eer: float


@dataclass(frozen=True)
class Sums:
    """Running totals of an epoch's training, kept so that a resumed epoch reports the same means."""

    loss: float = 0.0
    correct: int = 0
    clips: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(self.loss + other.loss, self.correct + other.correct, self.clips + other.clips)

    @property
    def mean_loss(self) -> float:
        """Mean loss per clip so far."""
        return self.loss / max(self.clips, 1)

    @property
    def accuracy(self) -> float:
        """Share of clips on the right side so far."""
        return self.correct / max(self.clips, 1)


@dataclass
class TrainingState:
    """Everything that changes while training; what a checkpoint holds.

    net: the bare module (its weights are the ones being trained); batches_done: of the running epoch, at the last
    optimiser step; rows: the epochs validated so far; best_epoch 0 = none yet; random: torch's generators as they were
    when a broken-off epoch was saved, None when the next epoch starts anew.
    """

    net: nn.Module
    optimiser: torch.optim.Optimizer
    average: WeightAverage | None = None
    epochs_done: int = 0
    batches_done: int = 0
    sums: Sums = field(default_factory=Sums)
    rows: tuple[EpochRow, ...] = ()
    best_epoch: int = 0
    random: Mapping[str, Tensor] | None = None

    def __post_init__(self) -> None:
        """Remember the batch norms' own momenta, before the first batch changes them."""
        self.norm_start = NormStart(self.net)

    @property
    def judged_net(self) -> nn.Module:
        """The net that is validated and kept: the average where there is one."""
        return self.net if self.average is None else self.average.net

    @property
    def best_row(self) -> EpochRow | None:
        """The best epoch so far."""
        return self.rows[self.best_epoch - 1] if self.best_epoch else None


@dataclass(frozen=True)
class Work:
    """What an epoch is made of, apart from the state: fixed for the whole run.

    net, optimiser: those of the state as Fabric wrapped them; measure: scored clips → auc, accuracy, eer;
    started: time.monotonic() of then; mix: what makes one clip of two in a training batch.
    """

    fabric: Fabric
    net: nn.Module
    optimiser: torch.optim.Optimizer
    training: EpochBatches
    validation: EpochBatches
    loss: Loss
    learning_rate: float
    schedule: ScheduleSpec
    spec: TrainingSpec
    measure: Callable[[ScoredClips], Mapping[str, float]]
    report: ReportProgress
    started: float
    mix: Mix | None = None

    @property
    def steps(self) -> int:
        """Optimiser steps in an epoch."""
        return math.ceil(len(self.training) / self.spec.accumulate_batches)

    def rate_at(self, epochs_done: int, batches_done: int) -> float:
        """Learning rate of the step that follows so much training."""
        done = epochs_done + batches_done / len(self.training)
        return self.learning_rate * rate_share(self.schedule, done, self.spec.epochs)

    def share_done(self, epochs_done: int, batches_done: int) -> float:
        """Share of the whole training, [0, 1], that so much of it is."""
        return min((epochs_done + batches_done / len(self.training)) / self.spec.epochs, 1.0)

    @property
    def seconds(self) -> float:
        """Time since the run (re)started."""
        return time.monotonic() - self.started


class StopAsked(Exception):
    """Ctrl-C came; raised only between two optimiser steps."""


@dataclass(frozen=True)
class Saves:
    """What to do with a state that is whole: `last` often, `best` when an epoch beat all before it."""

    last: Callable[[TrainingState], None]
    best: Callable[[TrainingState, ScoredClips], None]


def train_epochs(state: TrainingState, work: Work, saves: Saves) -> Literal["finished", "stopped_early", "interrupted"]:
    """Train until the epochs are done, nothing improves any more, or Ctrl-C; says which.

    The state is saved whole after each epoch, every `save_minutes`, and when interrupted.
    Raises TrainingDiverged when the loss is no longer a number.
    """
    with _ctrl_c_asks() as asked:
        work = replace(work, report=_report_that_stops(work, asked))
        try:
            while state.epochs_done < work.spec.epochs:
                if _stalled(state, work.spec):
                    return "stopped_early"
                train_epoch(state, work, save=saves.last)
                scored = validate(state, work)
                _finish_epoch(state, work, scored)
                if state.best_epoch == state.epochs_done:
                    saves.best(state, scored)
                saves.last(state)
                _report_epoch(state, work)
        except StopAsked:
            saves.last(state)
            return "interrupted"
    return "finished"


def fit_once(
    state: TrainingState, work: Work, saves: Saves, fit: Callable[[nn.Module], None]
) -> Literal["finished", "interrupted"]:
    """For nets that are fitted in one go: that is their only epoch."""
    if state.epochs_done:
        return "finished"
    fit(state.net)
    if state.average is not None:
        state.average.net.load_state_dict(state.net.state_dict())
    scored = validate(state, work)
    state.sums = Sums(scored.loss, 0, 1)
    _finish_epoch(state, work, scored)
    saves.best(state, scored)
    saves.last(state)
    _report_epoch(state, work)
    return "finished"


def train_epoch(state: TrainingState, work: Work, *, save: Callable[[TrainingState], None] | None = None) -> None:
    """Train one epoch, or what is left of it: after each optimiser step `state` is whole.

    save: called every `save_minutes`. Raises TrainingDiverged when the loss is no longer a number, StopAsked after a Ctrl-C.
    """
    epoch = state.epochs_done + 1
    if state.batches_done == 0:
        state.sums = Sums()
        seed_torch(work.spec.seed, epoch, work.fabric.global_rank)
    work.net.train()
    saved_at = time.monotonic()
    for group in _in_groups(work.training.epoch(epoch, skip=state.batches_done), work.spec.accumulate_batches):
        if state.random is not None:  # only now: making and forwarding the loader draws from the generators as well
            restore_random(state.random)
            state.random = None
        set_rate(state.optimiser, work.rate_at(state.epochs_done, state.batches_done))
        state.sums = state.sums + _step(state, work, group)
        state.batches_done += len(group)
        if save is not None and time.monotonic() - saved_at > 60.0 * work.spec.save_minutes:
            save(state)
            saved_at = time.monotonic()
        _report(work, state, "step", math.ceil(state.batches_done / work.spec.accumulate_batches))
    state.random = None


def _step(state: TrainingState, work: Work, group: Sequence[ClipBatch]) -> Sums:
    """One optimiser step over a group of batches; returns the group's sums."""
    work.optimiser.zero_grad(set_to_none=True)
    clips = sum(len(batch.names) for batch in group)
    total, correct = 0.0, 0
    for position, batch in enumerate(group):
        samples, lengths, labels = work.fabric.to_device((batch.samples, batch.lengths, batch.labels))
        state.norm_start.before_batch(state.epochs_done * len(work.training) + state.batches_done + position)
        if work.mix is not None and isinstance(samples, Tensor):
            samples, lengths, labels = work.mix(
                samples, lengths, labels, work.share_done(state.epochs_done, state.batches_done)
            )
        with work.fabric.no_backward_sync(work.net, enabled=position < len(group) - 1):  # type: ignore[arg-type]
            loss = work.loss(logits := work.net(samples, lengths), labels)
            work.fabric.backward(loss * (len(batch.names) / clips))
        total += float(loss.detach()) * len(batch.names)
        correct += int((overall_logits(logits.detach()).argmax(dim=1) == (overall_labels(labels) > 0.5)).sum())
    if not math.isfinite(total):
        raise _diverged(state, work, f"the clips were {_some([name for batch in group for name in batch.names])}")
    if work.spec.clip_norm is not None:
        work.fabric.clip_gradients(work.net, work.optimiser, max_norm=work.spec.clip_norm, error_if_nonfinite=False)
    work.optimiser.step()
    if state.average is not None:
        state.average.update(state.net)
    return Sums(total, correct, clips)


def validate(state: TrainingState, work: Work) -> ScoredClips:
    """Scores of the validation part by the net that would be kept, with its mean loss. Raises StopAsked after a Ctrl-C."""

    def after_batch(step: int) -> None:
        """Tell, and let a Ctrl-C through; many processes have unequal shares here and cannot agree on a stop."""
        if work.fabric.world_size == 1:
            _report(work, state, "validate", step)

    batches, how = work.validation.epoch(1), work.spec.aggregation
    return predict(work.fabric, state.judged_net, batches, loss=work.loss, after_batch=after_batch, how=how)


def predict(
    fabric: Fabric,
    net: nn.Module,
    batches: Iterable[ClipBatch],
    *,
    loss: Loss | None = None,
    after_batch: Callable[[int], None] | None = None,
    how: Aggregation = "mean",
    near: EmbeddingRange | None = None,
) -> ScoredClips:
    """Logits of every clip in `batches`, in order of first sight; `how` the windows of a clip become one.

    near: measure distances too, on the same device, where the net embeds. With `loss`, also its mean over rows. In several
    processes each predicts its share and all get the whole.
    """
    was_training = net.training
    net.eval()
    rows: list[_Row] = []
    losses, num_rows = 0.0, 0
    with torch.inference_mode():
        for step, batch in enumerate(batches, start=1):
            logits, distances = _answers(fabric, net, batch, near)
            if loss is not None:
                losses += float(loss(logits, fabric.to_device(batch.labels))) * len(batch.names)
            whole = overall_logits(logits)
            margins = (whole[:, 1] - whole[:, 0]).double().cpu()
            labels = overall_labels(batch.labels).tolist()
            spans = np.full((len(batch.names), 2), np.nan) if batch.spans is None else batch.spans
            rows += zip(batch.names, labels, margins.tolist(), distances, *spans.T.tolist(), strict=True)
            num_rows += len(batch.names)
            if after_batch is not None:
                after_batch(step)
    net.train(was_training)
    rows, losses, num_rows = _gathered(fabric, rows, losses, num_rows)
    scored = _by_clip(rows, losses / num_rows if loss is not None and num_rows else math.nan).aggregated(how)
    return scored if near is not None else replace(scored, distances=None)


def embed(fabric: Fabric, net: nn.Module, batches: Iterable[ClipBatch], *, rows: int) -> tuple[Tensor, Tensor] | None:
    """Embeddings (n, c) and labels (n,) of the first `rows` rows or a little more, by a net in evaluation mode, on the CPU.

    In several processes each takes its part of them and all get the whole. None for a net that does not embed.
    """
    if not isinstance(net, Embeds):
        return None
    was_training = net.training
    net.eval()
    found: list[tuple[Tensor, Tensor]] = []
    with torch.inference_mode(), fabric.autocast():
        for batch in batches:
            parts = [net.embedded(*fabric.to_device(piece))[1].float().cpu() for piece in _pieces(batch)]
            found.append((torch.cat(parts), (overall_labels(batch.labels) > 0.5).long().cpu()))
            if sum(len(labels) for _, labels in found) * fabric.world_size >= rows:
                break
    net.train(was_training)
    if fabric.world_size > 1:
        everyone: list[Any] = [None] * fabric.world_size
        torch.distributed.all_gather_object(everyone, found)
        found = [part for each in everyone for part in each]
    return torch.cat([embeddings for embeddings, _ in found]), torch.cat([labels for _, labels in found])


def better(row: EpochRow, than: EpochRow | None, choose_by: str) -> bool:
    """Whether an epoch beats the best so far; the earlier one wins a draw. AUC and accuracy up, EER down."""
    if than is None:
        return True
    if choose_by == "eer":
        return row.eer < than.eer
    return bool(getattr(row, choose_by) > getattr(than, choose_by))


def seed_torch(seed: int, epoch: int = 0, rank: int = 0) -> None:
    """Seed torch for one epoch of one process: a resumed run draws what an uninterrupted one would have drawn."""
    torch.manual_seed(int(np.random.SeedSequence([seed, epoch, rank]).generate_state(1, np.uint64)[0] >> np.uint64(1)))


def random_state() -> dict[str, Tensor]:
    """Torch's generators as they are now, by device."""
    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random(state: Mapping[str, Tensor]) -> None:
    """Set torch's generators to what `random_state` gave."""
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())


def _answers(
    fabric: Fabric, net: nn.Module, batch: ClipBatch, near: EmbeddingRange | None
) -> tuple[Tensor, list[float]]:
    """Logits (rows, 2) real, fake, float32, and distances (rows,), NaN where none are asked for.

    A long clip has many windows, so they go through the net some at a time.
    """
    if near is None or not isinstance(net, Embeds):
        with fabric.autocast():
            logits = torch.cat([net(*fabric.to_device(piece)) for piece in _pieces(batch)])
        return logits.float(), [math.nan] * len(logits)
    with fabric.autocast():
        parts = [net.embedded(*fabric.to_device(piece)) for piece in _pieces(batch)]
    distances = near(torch.cat([embeddings for _, embeddings in parts]))
    return torch.cat([logits for logits, _ in parts]).float(), distances.tolist()


def _pieces(batch: ClipBatch) -> Iterator[tuple[Tensor | tuple[Tensor, ...], Tensor]]:
    """(samples, lengths) of some rows at a time: so many that a net sees _ROWS_AT_ONCE pictures."""
    several = batch.samples if isinstance(batch.samples, tuple) else (batch.samples,)
    pictures = max(part.shape[1] if part.ndim == 5 else 1 for part in several)  # (rows, frames, 3, s, s)
    size = max(1, _ROWS_AT_ONCE // pictures)
    for first in range(0, len(batch.names), size):
        some = tuple(part[first : first + size] for part in several)
        yield some if isinstance(batch.samples, tuple) else some[0], batch.lengths[first : first + size]


def _finish_epoch(state: TrainingState, work: Work, scored: ScoredClips) -> None:
    """Count the epoch as done and enter its row."""
    lost = [name for name, logit in zip(scored.names, scored.logits, strict=True) if not math.isfinite(logit)]
    if lost:
        raise _diverged(state, work, f"the net has no number for {_some(lost)} of the validation part")
    numbers = work.measure(scored)
    sums = _summed(work.fabric, state.sums)
    row = EpochRow(
        epoch=state.epochs_done + 1,
        seconds=work.seconds,
        learning_rate=work.rate_at(state.epochs_done, (work.steps - 1) * work.spec.accumulate_batches),
        train_loss=sums.mean_loss,
        train_accuracy=sums.accuracy,
        loss=scored.loss,
        accuracy=numbers["accuracy"],
        auc=numbers["auc"],
        eer=numbers["eer"],
    )
    best = better(row, state.best_row, work.spec.choose_by)
    state.rows = (*state.rows, row)
    state.epochs_done += 1
    state.batches_done = 0
    if best:
        state.best_epoch = state.epochs_done


def _report(work: Work, state: TrainingState, kind: Literal["step", "validate"], step: int) -> None:
    """Tell how far the running epoch is."""
    steps = work.steps if kind == "step" else len(work.validation)
    loss, accuracy = state.sums.mean_loss, state.sums.accuracy
    work.report(Progress(kind, state.epochs_done + 1, work.spec.epochs, step, steps, work.seconds, loss, accuracy))


def _report_epoch(state: TrainingState, work: Work) -> None:
    """Tell what an epoch gave."""
    row, best = state.rows[-1], state.best_epoch == state.epochs_done
    done = Progress("epoch", row.epoch, work.spec.epochs, work.steps, work.steps, work.seconds, row.loss, row.accuracy)
    work.report(replace(done, auc=row.auc, best=best))


def _stalled(state: TrainingState, spec: TrainingSpec) -> bool:
    """Whether the best epoch lies too far back."""
    return spec.early_stop_epochs is not None and state.epochs_done - state.best_epoch >= spec.early_stop_epochs


def _diverged(state: TrainingState, work: Work, where: str) -> TrainingDiverged:
    """What happened and what to change; `where` it showed."""
    rate = state.optimiser.param_groups[0]["lr"]
    cures = [f"a lower learning rate (--set optimiser.learning_rate={work.learning_rate / 10:.2g})"]
    if work.spec.clip_norm is None:
        cures.append("shorter gradients (--set training.clip_norm=1.0)")
    if work.spec.precision != "32-true":
        cures.append("full precision (--set training.precision=32-true)")
    return TrainingDiverged(
        f"the loss is no longer a number in epoch {state.epochs_done + 1}, after {state.batches_done} of "
        f"{len(work.training)} batches, at learning rate {rate:.3g}; try {', or '.join(cures)}; {where}"
    )


def _some(names: Sequence[str]) -> str:
    """The first of many names."""
    return ", ".join(repr(name) for name in names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _in_groups(batches: Iterable[ClipBatch], size: int) -> Iterator[list[ClipBatch]]:
    """Consecutive batches, `size` at a time; the last group may be smaller."""
    remaining = iter(batches)
    while group := list(islice(remaining, size)):
        yield group


def _by_clip(rows: Sequence[_Row], loss: float) -> ScoredClips:
    """Rows → the windows of each clip, not yet put together."""
    found: dict[str, list[tuple[float, ...]]] = {}
    labels: dict[str, int] = {}
    for name, label, *numbers in rows:
        found.setdefault(name, []).append(tuple(numbers))
        labels[name] = int(label)
    tables = [np.array(numbers, np.float64) for numbers in found.values()]  # of each clip (windows, 4)
    return ScoredClips(
        names=tuple(found),
        labels=np.array([labels[name] for name in found], dtype=np.int64),
        logits=np.full(len(found), np.nan),
        loss=loss,
        windows=tuple(table[:, 0] for table in tables),
        spans=tuple(table[:, 2:] for table in tables),
        distances=np.array([table[:, 1].mean() for table in tables], np.float64),
    )


def _gathered(fabric: Fabric, rows: list[_Row], losses: float, num_rows: int) -> tuple[list[_Row], float, int]:
    """The same from all processes together."""
    if fabric.world_size == 1:
        return rows, losses, num_rows
    parts: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(parts, (rows, losses, num_rows))
    return [row for part in parts for row in part[0]], sum(part[1] for part in parts), sum(part[2] for part in parts)


def _summed(fabric: Fabric, sums: Sums) -> Sums:
    """The sums of all processes together."""
    if fabric.world_size == 1:
        return sums
    parts: list[Any] = [None] * fabric.world_size
    torch.distributed.all_gather_object(parts, sums)
    return sum(parts, Sums())


def _report_that_stops(work: Work, asked: Callable[[], bool]) -> ReportProgress:
    """Report, then raise StopAsked when Ctrl-C came or the receiver of the report raised KeyboardInterrupt.

    Many processes stop together, at the same step, or they would wait for each other for ever.
    """

    def report_and_stop(progress: Progress) -> None:
        stop = False
        try:
            work.report(progress)
        except KeyboardInterrupt:
            stop = True
        stop = stop or asked()
        if work.fabric.world_size > 1:
            stop = bool(work.fabric.strategy.reduce_boolean_decision(stop, all=False))
        if stop:
            raise StopAsked

    return report_and_stop


@contextmanager
def _ctrl_c_asks() -> Iterator[Callable[[], bool]]:
    """Within, the first Ctrl-C is remembered and the second one stops at once; outside the main thread nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    asked = threading.Event()
    before = signal.getsignal(signal.SIGINT)

    def remember(*_: object) -> None:
        asked.set()
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, remember)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
