"""A net, batches and a loop small enough to train in milliseconds, with everything in them that could break a resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from ffdv.metrics.ranking import accuracy, eer, roc_auc
from ffdv.training.averaging import WeightAverage
from ffdv.training.engine import Progress, ScoredClips, TrainingSpec, TrainingState, Work
from ffdv.training.losses import LossSpec, build_loss
from ffdv.training.optimiser import OptimiserSpec, ScheduleSpec, build_optimiser

NUM_SAMPLES = 16


def do_nothing(*_: object) -> None:
    """A callback that does not care."""


@dataclass(frozen=True)
class TinyBatch:
    samples: Tensor
    lengths: Tensor
    labels: Tensor
    names: tuple[str, ...]
    spans: np.ndarray | None = None


class TinyBatches:
    """`clips` noises, fakes with a constant added; order and a little noise are drawn anew for each epoch."""

    def __init__(self, clips: int, batch_size: int, *, shuffled: bool = True, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.labels = torch.arange(clips) % 2
        self.samples = torch.randn(clips, NUM_SAMPLES, generator=generator) + 0.5 * self.labels[:, None]
        self.batch_size = batch_size
        self.shuffled = shuffled
        self.epochs_asked: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return math.ceil(len(self.labels) / self.batch_size)

    def epoch(self, epoch: int, *, skip: int = 0) -> Iterator[TinyBatch]:
        self.epochs_asked.append((epoch, skip))
        torch.rand(3)  # loaders draw from torch's own generator when they start
        generator = torch.Generator().manual_seed(epoch)
        order = (
            torch.randperm(len(self.labels), generator=generator) if self.shuffled else torch.arange(len(self.labels))
        )
        for index in range(skip, len(self)):
            rows = order[index * self.batch_size : (index + 1) * self.batch_size]
            noise = torch.randn(len(rows), NUM_SAMPLES, generator=torch.Generator().manual_seed(1000 * epoch + index))
            yield TinyBatch(
                samples=self.samples[rows] + 0.01 * noise,
                lengths=torch.full((len(rows),), NUM_SAMPLES),
                labels=self.labels[rows],
                names=tuple(f"clip{row}" for row in rows.tolist()),
            )


class TinyNet(nn.Module):
    """Samples, lengths → logits (rows, 2)."""

    def __init__(self, *, dropout: float = 0.3, norm: bool = True) -> None:
        super().__init__()
        self.first = nn.Linear(NUM_SAMPLES, 8)
        self.norm = nn.BatchNorm1d(8) if norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.last = nn.Linear(8, 2)

    def forward(self, samples: Tensor, _lengths: Tensor) -> Tensor:
        return self.last(self.dropout(self.norm(self.first(samples)).relu()))


def measured(scored: ScoredClips) -> Mapping[str, float]:
    labels, scores = scored.labels, scored.scores
    return {"auc": roc_auc(labels, scores), "accuracy": accuracy(labels, scores), "eer": eer(labels, scores)}


def tiny_state(
    spec: TrainingSpec, *, net: nn.Module | None = None, optimiser: OptimiserSpec | None = None
) -> TrainingState:
    torch.manual_seed(7)
    net = TinyNet() if net is None else net
    average = None if spec.average_decay is None else WeightAverage(net, spec.average_decay)
    return TrainingState(net, build_optimiser(optimiser or OptimiserSpec(learning_rate=0.01), net), average)


def tiny_work(
    state: TrainingState,
    spec: TrainingSpec,
    *,
    training: TinyBatches | None = None,
    schedule: ScheduleSpec | None = None,
    learning_rate: float = 0.01,
    report: Callable[[Progress], None] = do_nothing,
    measure: Callable[[ScoredClips], Mapping[str, float]] = measured,
) -> Work:
    fabric = Fabric(accelerator="cpu", devices=1)
    net, optimiser = fabric.setup(state.net, state.optimiser)
    return Work(
        fabric=fabric,
        net=net,
        optimiser=optimiser,
        training=training or TinyBatches(22, 4),
        validation=TinyBatches(16, 5, shuffled=False, seed=1),
        loss=build_loss(LossSpec(), [0, 1]),
        learning_rate=learning_rate,
        schedule=schedule or ScheduleSpec(),
        spec=spec,
        measure=measure,
        report=report,
        started=time.monotonic(),
    )


def weights_of(net: nn.Module) -> dict[str, np.ndarray]:
    return {name: value.detach().numpy().copy() for name, value in net.state_dict().items()}


def same_weights(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)
