"""Cross-validation from the outside: rows with intervals, worst first, gone on with where it stopped."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import corpus_clips, tiny_recipe, write_shards

from ffdv.data.shards import Shards, open_shards
from ffdv.errors import CheckpointError, ManifestError, TrainingDiverged
from ffdv.metrics.ranking import roc_auc
from ffdv.records import Clip
from ffdv.training import crossval as room
from ffdv.training.crossval import CrossvalTable, crossval, read_scored
from ffdv.training.engine import ScoredClips
from ffdv.training.evaluate import BEST_NAME, RunOpinions
from ffdv.training.run import GivenParts


def methods(clips: int = 160) -> list[Clip]:
    return [
        replace(clip, groups={**clip.groups, "method": f"vocoder{at // 2 % 2}" if clip.label else "real"})
        for at, clip in enumerate(corpus_clips(clips, splits=False))
    ]


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    return write_shards(tmp_path / "shards", methods())


@pytest.fixture
def no_net(monkeypatch: pytest.MonkeyPatch) -> list[GivenParts]:
    """Instead of nets: opinions that are right about everything but vocoder1, about which they know nothing. Returns the trainings."""
    trained: list[GivenParts] = []

    def train(recipe: object, given: GivenParts, **_: object) -> object:
        trained.append(given)
        given.folder.mkdir(parents=True, exist_ok=True)
        (given.folder / BEST_NAME).write_text("a net")
        return replace_outcome("finished")

    def opinions(path: Path, shards: Shards, rows: np.ndarray) -> RunOpinions:
        assert path.is_file()
        names = tuple(shards.names[row] for row in rows)
        noise = np.random.default_rng(0).normal(size=len(rows))
        known = np.array([shards.group("method")[row] != "vocoder1" for row in rows])
        return RunOpinions(
            ScoredClips(names, shards.labels[rows], 5.0 * shards.labels[rows] * known + noise), None, None
        )

    monkeypatch.setattr(room, "train_given", train)
    monkeypatch.setattr(room, "score_run", opinions)
    return trained


class replace_outcome:  # noqa: N801 -- stands for a RunSummary, of which only this is asked
    def __init__(self, outcome: str) -> None:
        self.outcome = outcome


def run(shards: Path | list[Path], out: Path, **how: object) -> CrossvalTable:
    arguments = {"by": "method", "resamples": 50, "recipe": tiny_recipe()} | how
    return crossval(data=shards, out=out, **arguments)  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_recipe_is_trained_without_each_method_and_judged_on_it(shards: Path, tmp_path: Path) -> None:
    table = run(shards, tmp_path / "out", epochs=3)

    assert {row.name for row in table.rows} == {"vocoder0", "vocoder1"}
    assert all(row.auc is not None and row.num_fake == 40 and row.num_real >= 10 for row in table.rows)
    assert table.mean_auc is not None
    assert table.mean_auc > 0.7  # both methods leave the same whistle
    fold = next((tmp_path / "out" / "folds").iterdir())
    assert sorted(path.name for path in fold.iterdir() if path.suffix in {".json", ".safetensors"}) == [
        "best.safetensors",
        "fold.json",
        "metrics.json",
    ]


def test_rows_are_worst_first_with_the_numbers_of_their_own_clips(
    shards: Path, tmp_path: Path, no_net: list[GivenParts]
) -> None:
    table = run(shards, tmp_path / "out")

    assert [row.name for row in table.rows] == ["vocoder1", "vocoder0"]
    assert table.worst is table.rows[0]
    for row in table.rows:
        scored = read_scored(tmp_path / "out" / "folds" / row.fold / "fold.json")
        assert scored is not None
        assert row.auc is not None
        assert row.auc.value == pytest.approx(roc_auc(scored.labels, scored.logits))
        assert row.auc.low <= row.auc.value <= row.auc.high
        assert row.tpr is None  # 16 reals carry no false-alarm rate of ours
        assert "TPR takes 42 reals, at FPR 0.001 4,380" in row.reason
    assert table.mean_auc == pytest.approx(np.mean([row.auc.value for row in table.rows if row.auc]))
    assert len(no_net) == 2


def test_the_false_alarm_rate_is_the_lowest_that_the_reals_can_carry(tmp_path: Path, no_net: list[GivenParts]) -> None:
    data = write_shards(tmp_path / "many", methods(960))

    table = run(data, tmp_path / "out")

    assert all(row.num_real == 96 and row.tpr_fpr == 0.05 and row.tpr is not None for row in table.rows)


def test_what_is_finished_is_not_trained_again(shards: Path, tmp_path: Path, no_net: list[GivenParts]) -> None:
    first = run(shards, tmp_path / "out")
    (tmp_path / "out" / "folds" / "vocoder1" / "fold.json").unlink()
    (tmp_path / "out" / "folds" / "vocoder1" / BEST_NAME).unlink()

    again = run(shards, tmp_path / "out")

    assert [given.folder.name for given in no_net] == ["vocoder0", "vocoder1", "vocoder1"]
    assert again == first


def test_another_request_into_the_same_folder_is_refused(
    shards: Path, tmp_path: Path, no_net: list[GivenParts]
) -> None:
    run(shards, tmp_path / "out")

    with pytest.raises(CheckpointError, match=r"cross-validation with another recipe; choose another folder"):
        run(shards, tmp_path / "out", epochs=9)
    with pytest.raises(CheckpointError, match=r"another by, folds"):
        run(shards, tmp_path / "out", by="source_repo", folds=2)
    (tmp_path / "out" / "folds" / "vocoder0" / "fold.json").write_text("{}")
    damaged = run(shards, tmp_path / "out")
    assert "no finished fold" in damaged.rows[-1].reason
    assert "delete it" in damaged.failures[0][1]


def test_a_fold_that_fails_is_a_row_with_its_reason(
    shards: Path, tmp_path: Path, no_net: list[GivenParts], monkeypatch: pytest.MonkeyPatch
) -> None:
    trains: Callable[..., object] = room.train_given

    def fail(recipe: object, given: GivenParts, **how: object) -> object:
        if given.folder.name == "vocoder0":
            raise TrainingDiverged("the loss is no longer a number")
        return trains(recipe, given, **how)

    monkeypatch.setattr(room, "train_given", fail)
    table = run(shards, tmp_path / "out")

    assert [row.name for row in table.rows] == ["vocoder1", "vocoder0"]
    assert table.rows[1].auc is None
    assert "no longer a number" in table.rows[1].reason
    assert table.failures == (("vocoder0", "the loss is no longer a number"),)


def test_data_sets_are_held_out_in_turn(tmp_path: Path, no_net: list[GivenParts]) -> None:
    folders = [
        write_shards(
            tmp_path / name,
            [replace(clip, groups={"identity": f"{name} {clip.groups['identity']}"}) for clip in methods(96)],
        )
        for name in ("one", "two")
    ]

    table = run(folders, tmp_path / "out", by="dataset")

    assert {row.name: (row.num_real, row.num_fake, row.against) for row in table.rows} == {
        "one": (48, 48, "same dataset"),
        "two": (48, 48, "same dataset"),
    }
    given = next(given for given in no_net if given.folder.name == "one")
    assert {
        name.split("/")[0] for name, part in zip(given.parts.names, given.parts.of_row, strict=True) if part == "train"
    } == {"two"}
    assert len(open_shards(tmp_path / "out" / "shards")) == 192


def test_training_here_and_judging_there_is_one_training(
    shards: Path, tmp_path: Path, no_net: list[GivenParts]
) -> None:
    there = [
        write_shards(tmp_path / "there", methods(40)),
        write_shards(tmp_path / "fakes", [c for c in methods(60) if c.label]),
    ]

    table = run(shards, tmp_path / "out", by=None, test=there)
    again = run(shards, tmp_path / "out", by=None, test=there)

    assert len(no_net) == 1
    assert again == table
    assert [(row.name, row.num_real, row.num_fake) for row in table.rows] == [("there", 20, 20), ("fakes", 0, 30)]
    assert table.rows[1].auc is None
    assert "undefined without both" in table.rows[1].reason
    assert any("70 test clips are named like clips of the training data" in note for note in table.notes)


def test_the_files_hold_the_table(shards: Path, tmp_path: Path, no_net: list[GivenParts]) -> None:
    table = run(shards, tmp_path / "out")

    with (tmp_path / "out" / "crossval.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["held_out"] for row in rows] == ["vocoder1", "vocoder0"]
    assert table.rows[0].auc is not None
    assert float(rows[0]["auc"]) == pytest.approx(table.rows[0].auc.value, rel=1e-5)
    assert float(rows[0]["auc_low"]) <= float(rows[0]["auc"]) <= float(rows[0]["auc_high"])
    assert rows[0]["tpr"] == ""
    assert int(rows[0]["num_groups"]) == table.rows[0].auc.num_groups
    written = json.loads((tmp_path / "out" / "crossval.json").read_text())
    assert written["mean_auc"] == table.mean_auc
    assert (tmp_path / "out" / "crossval.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"by": None}, "either a column to hold out"),
        ({"test": ["elsewhere"]}, "either a column to hold out"),
        ({"by": None, "test": ["elsewhere"], "folds": 3}, "leave --folds out"),
        ({"by": "dataset"}, "is one data set; to hold out data sets give several"),
    ],
)
def test_requests_that_contradict_themselves_are_refused(
    shards: Path, tmp_path: Path, how: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ManifestError, match=sentence):
        run(shards, tmp_path / "out", **how)
    with pytest.raises(ManifestError, match="both trained on and tested on"):
        run(shards, tmp_path / "out", by=None, test=[shards])


def test_a_request_that_is_refused_leaves_the_folder_to_another(
    shards: Path, tmp_path: Path, no_net: list[GivenParts]
) -> None:
    with pytest.raises(ManifestError):
        run(shards, tmp_path / "out", by="nothing")

    assert run(shards, tmp_path / "out", by="method").rows
    assert no_net
