"""What a run writes while it works: log.csv, one line an epoch, and TensorBoard's events."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from types import TracebackType
from typing import Self

from ffdv.training.engine import EpochRow, Progress
from ffdv.whole_file import write_atomically

_EVENTS_EVERY_STEPS = 10  # a point a step makes event files of gigabytes


def write_log(path: Path, rows: Sequence[EpochRow]) -> None:
    """Write log.csv anew, under a temporary name first: after a resume it holds every epoch exactly once."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(EpochRow)])
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    write_atomically(path, text.getvalue().encode())


class Events:
    """TensorBoard's events of one run: losses while training, and every number of an epoch's row.

    first_step: events from there on are hidden from an earlier, broken-off attempt.
    """

    def __init__(self, folder: Path, *, first_step: int = 0) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder), purge_step=first_step or None)

    def step(self, progress: Progress) -> None:
        """Enter the running training loss now and then."""
        step = (progress.epoch - 1) * progress.steps + progress.step
        if step % _EVENTS_EVERY_STEPS == 0:
            self._writer.add_scalar("step/train_loss", progress.loss, step)
            self._writer.add_scalar("step/train_accuracy", progress.accuracy, step)

    def epoch(self, row: EpochRow) -> None:
        """Enter an epoch's numbers."""
        for name, value in asdict(row).items():
            if name != "epoch":
                self._writer.add_scalar(f"epoch/{name}", value, row.epoch)
        self._writer.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write out what is left."""
        self._writer.close()
