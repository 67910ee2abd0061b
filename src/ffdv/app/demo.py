"""The whole road once, small enough for a coffee break: what `make demo` runs."""

from __future__ import annotations

import csv
import shlex
import time
from dataclasses import dataclass
from pathlib import Path

from ffdv.app import console

# Settings that make the published recipe small enough for two cores and a few minutes; the road is the same.
QUICK = ("model.picture_size=128", "loader.batch_size=12", "loader.workers=0")
EPOCHS = 4


@dataclass(frozen=True)
class DemoFiles:
    """Where the demo leaves its results."""

    corpus: Path
    shards: Path
    run: Path
    scores: Path
    submission: Path
