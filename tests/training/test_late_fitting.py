"""Members are weighed on clips that chose nothing, where there are enough; else the run says that they were not."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_corpus import corpus_clips, tiny_recipe, write_shards

from ffdv.data.seen import read_parts
from ffdv.metrics.ranking import roc_auc
from ffdv.models.late import LateNet, fit_late
from ffdv.training.plan import Recipe, recipe_toml
from ffdv.training.run import train


def fusion(folder: Path) -> Recipe:
    for seed, name in enumerate("ab"):
        recipe = tiny_recipe(training={"epochs": 1, "seed": seed}).model_copy(update={"name": name})
        (folder / f"{name}.toml").write_text(recipe_toml(recipe))
    members = [str(folder / f"{name}.toml") for name in "ab"]
    late = tiny_recipe(fusion={"members": members, "fitting_share": 0.5}, training={"epochs": 1})
    return late.model_copy(update={"kind": "late"})


@pytest.mark.parametrize(("clips", "apart"), [(96, False), (400, True)])
def test_fitting_clips_choose_nothing_where_there_are_enough(tmp_path: Path, clips: int, apart: bool) -> None:
    data = write_shards(tmp_path / "shards", corpus_clips(clips))

    summary = train(fusion(tmp_path), data=data, out=tmp_path / "run", export=False)

    whole = read_parts(tmp_path / "run")
    member = read_parts(tmp_path / "run" / "members" / "a")
    of_training = Counter(part for name, part in member.items() if whole[name] == "train")
    assert ("left_out" in of_training) is apart
    assert of_training["validation"] >= 30
    assert of_training["train"] == pytest.approx(0.75 * clips * 0.5, abs=12)
    said = [note for note in summary.notes if "clips that chose their epochs too" in note]
    assert len(said) == (0 if apart else 1)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["notes"] == list(summary.notes)


def test_a_member_that_looked_best_by_luck_weighs_less_where_it_was_not_chosen() -> None:
    """A member that knows nothing, the best of twelve epochs by AUC: what its weight is where that was found, and elsewhere."""
    rng, labels = np.random.default_rng(0), np.tile([0, 1], 30)
    shares: dict[str, list[float]] = {"there": [], "elsewhere": []}
    for _ in range(20):
        epochs = rng.normal(size=(12, len(labels)))
        best = epochs[np.argmax([roc_auc(labels, epoch) for epoch in epochs])]
        for where, scores in (("there", best), ("elsewhere", rng.normal(size=len(labels)))):
            net, good = LateNet(2), rng.normal(size=len(labels)) + labels
            fit_late(net, np.stack([good, scores], axis=1).astype(np.float32), labels)
            with torch.no_grad():
                weights = net.weights[:2].numpy()
            shares[where].append(float(weights[1] / weights.sum()))

    assert np.mean(shares["there"]) > 1.5 * np.mean(shares["elsewhere"])
