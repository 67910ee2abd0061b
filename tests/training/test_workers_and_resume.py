"""Neither who reads the clips nor where a run was broken off changes the net."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
from tiny_corpus import corpus_clips, tiny_recipe, write_shards

from ffdv.models.checkpoint import load_checkpoint
from ffdv.training.engine import Progress
from ffdv.training.evaluate import LAST_NAME
from ffdv.training.run import train as train_and_export

train = partial(train_and_export, export=False)


def test_a_run_with_workers_is_that_without_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    """With all that draws from torch's generator: dropout, MixUp, masks. In the first epoch of a process only they agreed."""
    shards = write_shards(tmp_path / "shards", corpus_clips())
    recipe = tiny_recipe(
        training={"epochs": 3, "average_decay": 0.9},
        augment={"spectrogram": [{"name": "time_mask"}], "mix": {"mixup_alpha": 0.4}},
    )

    def after_two(progress: Progress) -> None:
        if progress.kind == "epoch" and progress.epoch == 2:
            raise KeyboardInterrupt

    workers = ("loader.workers=1",)
    train(recipe, data=shards, out=tmp_path / "alone")
    train(recipe, data=shards, out=tmp_path / "straight", overrides=workers)
    train(recipe, data=shards, out=tmp_path / "twice", overrides=workers, progress=after_two)
    torch.manual_seed(999)
    train(recipe, data=shards, out=tmp_path / "twice", overrides=workers, resume=True)

    alone, *others = (load_checkpoint(tmp_path / name / LAST_NAME).tensors for name in ("alone", "straight", "twice"))
    for other in others:
        different = [name for name in alone if not np.array_equal(alone[name].numpy(), other[name].numpy())]
        assert different == []
