"""Two processes train one net."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_corpus import corpus_clips, write_shards

from ffdv.training.run import LOG_NAME

SCRIPT = """
import json, os, sys
from pathlib import Path
from tiny_corpus import tiny_recipe
from ffdv.training.run import train

folder = Path(sys.argv[1])
recipe = tiny_recipe(training={"epochs": 2, "average_decay": 0.9})
summary = train(recipe, data=folder / "shards", out=folder / "run", export=False, accelerator="cpu")
best = summary.best
said = [best.epoch, best.auc, best.train_loss, summary.outcome, summary.epochs_done]
(folder / f"{os.environ['RANK']}.json").write_text(json.dumps(said))
"""


@pytest.mark.slow
def test_two_processes_agree_on_everything_and_one_writes(tmp_path: Path) -> None:
    write_shards(tmp_path / "shards", corpus_clips())
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]

    done = subprocess.run(
        [*command, str(script), str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    said = [(tmp_path / f"{rank}.json").read_text() for rank in (0, 1)]
    assert said[0] == said[1]
    assert '"finished", 2' in said[0]
    with (tmp_path / "run" / LOG_NAME).open(newline="") as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["1", "2"]
