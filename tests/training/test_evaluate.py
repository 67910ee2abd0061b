"""The table: which clips it is over, what its numbers are, and what it warns of."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import corpus_clips, tiny_recipe, write_shards

from ffdv.data.shards import Shards, open_shards
from ffdv.detect.stress import stress
from ffdv.errors import CheckpointError, ManifestError, MetricError, RecipeError, ShardError
from ffdv.metrics.calibration import Calibration
from ffdv.metrics.ranking import roc_auc
from ffdv.models.checkpoint import load_checkpoint
from ffdv.training.compare import compare
from ffdv.training.crossval import crossval
from ffdv.training.engine import ScoredClips
from ffdv.training.evaluate import NUMBERS, EvaluationTable, TableNames, evaluate, tabulate
from ffdv.training.run import RunSummary, train

quick = partial(evaluate, resamples=50)


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("data") / "shards", corpus_clips(96), silent=("clip095.wav",))


@pytest.fixture(scope="module")
def run(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> RunSummary:
    return train(tiny_recipe(), data=shards, out=tmp_path_factory.mktemp("run") / "run", export=False)


def opinions(shards: Shards, quality: dict[str, float], seed: int = 0) -> ScoredClips:
    """Logits around `quality` of a fake's method, around 0 for reals."""
    rng = np.random.default_rng(seed)
    methods = shards.group("method")
    logits = [rng.normal() + (quality[methods[row]] if label else 0.0) for row, label in enumerate(shards.labels)]
    return ScoredClips(shards.names, shards.labels, np.array(logits))


def table_of(folder: Path, quality: dict[str, float], *, by: str | None = None, seed: int = 0) -> EvaluationTable:
    shards = open_shards(write_shards(folder / "shards", corpus_clips(160)))
    scored = opinions(shards, quality, seed)
    names = TableNames("run", "shards", "all")
    return tabulate(scored, shards, calibration=Calibration(), by=by, names=names, resamples=50)


def test_on_its_own_data_a_run_is_judged_on_validation_and_says_that_this_flatters(
    run: RunSummary, shards: Path
) -> None:
    table = quick(run.folder, data=shards)

    assert table.part == "the run's validation part"
    assert (table.overall.num_real, table.overall.num_fake) == (12, 11)
    assert table.overall.numbers["auc"].value == pytest.approx(run.best.auc)
    assert any("numbers flatter" in text for text in table.warnings)


def test_a_false_alarm_rate_that_the_reals_cannot_carry_has_no_number_and_says_what_it_takes(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"vocoder0": 3.0, "vocoder1": 0.5})

    missing = set(NUMBERS) - set(table.overall.numbers)
    assert missing == {"tpr_at_fpr", "tpr_at_fpr_0.01", "tpr_at_fpr_0.05"}
    assert any("cannot be measured on 80 real clips: it takes 4,380" in text for text in table.warnings)
    assert any("it takes 437" in text for text in table.warnings)
    assert all(table.cells()[0][table.headings().index(name)] == "" for name in missing)


def test_a_test_part_is_untouched_in_training_and_is_what_is_reported(tmp_path: Path) -> None:
    clips = corpus_clips(96)
    clips = [replace(clip, split="test") if number >= 84 else clip for number, clip in enumerate(clips)]
    folder = write_shards(tmp_path / "shards", clips)
    summary = train(tiny_recipe(), data=folder, out=tmp_path / "run", export=False, epochs=1)

    table = quick(summary.folder, data=folder)

    assert summary.clips == {"train": 72, "validation": 12, "test": 12}
    assert table.part == "the run's test part"
    assert (table.overall.num_real, table.overall.num_fake) == (6, 6)
    assert not any("flatter" in text for text in table.warnings)


def test_raw_and_neutralised_numbers_stand_side_by_side(run: RunSummary, shards: Path, tmp_path: Path) -> None:
    """The whistle at 2.5 kHz survives one loudness and one encoder, and does not survive a band that ends below it."""
    table = quick(run.folder, data=shards, by="method", neutralise=True, json=tmp_path / "table.json")

    beside = table.neutralised
    assert beside is not None
    assert beside.steps == ("trim", "band", "loudness", "re-encode")
    assert {row.name for row in beside.rows} == {row.name for row in table.rows}
    assert beside.rows[0].num_real == table.overall.num_real
    assert set(beside.rows[0].numbers) == set(table.overall.numbers)
    assert beside.rows[0].numbers["log_loss"] != table.overall.numbers["log_loss"]
    assert beside.row("nobody") is None
    written = json.loads((tmp_path / "table.json").read_text())
    assert written["neutralised"]["rows"][0]["numbers"]["auc"]["value"] == beside.rows[0].numbers["auc"].value


def test_a_choice_of_steps_implies_neutralising(run: RunSummary, shards: Path) -> None:
    table = quick(run.folder, data=shards, steps="loudness")

    assert table.neutralised is not None
    assert table.neutralised.steps == ("loudness",)
    assert quick(run.folder, data=shards).neutralised is None


def test_confidence_tells_calibration_before_and_after_and_the_stored_band(run: RunSummary, shards: Path) -> None:
    table = quick(run.folder, data=shards)

    found = table.confidence
    assert found is not None
    assert found.ece_after == pytest.approx(table.overall.numbers["ece"].value)
    assert found.brier_after == pytest.approx(table.overall.numbers["brier"].value)
    assert found.band is not None
    assert [each.wanted for each in found.thresholds] == [0.05, 0.01, 0.001]


def test_training_clips_are_judged_only_on_request_and_it_says_so(run: RunSummary, shards: Path) -> None:
    table = quick(run.folder, data=shards, split="train")

    assert table.overall.num_real + table.overall.num_fake == 72
    assert any("72 of the 72 clips were trained on" in text for text in table.warnings)


def test_a_corpus_that_was_prepared_again_is_the_runs_own_still(run: RunSummary, tmp_path: Path) -> None:
    again = write_shards(tmp_path / "again", corpus_clips(96)[:-1])

    table = quick(run.folder, data=again)

    assert table.part == "the run's validation part"
    assert table.overall.num_real + table.overall.num_fake == 23


def test_clips_of_other_data_that_are_named_like_training_clips_are_told(run: RunSummary, tmp_path: Path) -> None:
    clips = [
        replace(clip, name=f"{'same' if number < 12 else 'new'}/{clip.name}")
        for number, clip in enumerate(corpus_clips(96))
    ]
    others = [replace(clip, name=clip.name.replace("new/clip", "new/other")) for clip in clips]

    table = quick(run.folder, data=write_shards(tmp_path / "moved", others))

    assert table.part == "all labelled clips"
    assert any("12 of the 96 clips are named like" in text for text in table.warnings)


def test_other_data_is_judged_whole(run: RunSummary, tmp_path: Path) -> None:
    clips = [replace(clip, name=f"other{clip.name}") for clip in corpus_clips(40)]
    other = write_shards(tmp_path / "other", clips, silent=("otherclip003.wav",), failed=("otherclip004.wav",))

    table = quick(run.folder, data=other)

    assert table.part == "all labelled clips"
    assert (table.overall.num_real, table.overall.num_fake) == (19, 19)
    assert any("1 without sound" in text for text in table.warnings)
    assert not any("named like" in text for text in table.warnings)


def test_the_file_for_machines_holds_the_table(run: RunSummary, shards: Path, tmp_path: Path) -> None:
    table = quick(run.folder, data=shards, by="method", json=tmp_path / "deep" / "table.json")

    written = json.loads((tmp_path / "deep" / "table.json").read_text())

    assert written["version"] == 1
    assert [row["name"] for row in written["rows"]] == [row.name for row in table.rows]
    assert written["rows"][0]["numbers"]["auc"]["value"] == table.overall.numbers["auc"].value
    assert written["audit"]["text"] == table.audit.text


def test_each_judged_clip_can_be_written_and_the_table_says_how_it_came_about(
    run: RunSummary, shards: Path, tmp_path: Path
) -> None:
    table = quick(run.folder, data=shards, scores=tmp_path / "clips.csv")

    with (tmp_path / "clips.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels, scores = [int(row["target"]) for row in rows], [float(row["y_pred"]) for row in rows]
    assert (labels.count(0), labels.count(1)) == (table.overall.num_real, table.overall.num_fake)
    assert roc_auc(labels, [float(row["logit"]) for row in rows]) == table.overall.numbers["auc"].value
    assert np.mean((np.array(scores) - labels) ** 2) == pytest.approx(table.overall.numbers["brier"].value)
    assert table.about["run"]["seeds"] == {"training": 0, "loader": 0, "split": 0}
    assert table.about["bootstrap"]["resamples"] == 50
    assert table.about["run"]["provenance"]["data"]["hash"] == table.about["data_hash"]


def test_groups_are_rows_worst_first_each_against_reals(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"vocoder0": 3.0, "vocoder1": 0.3}, by="method")

    assert [row.name for row in table.rows] == ["all", "vocoder1", "vocoder0"]
    assert [row.num_fake for row in table.rows] == [80, 40, 40]
    assert table.rows[1].numbers["auc"].value < 0.75
    assert table.rows[2].numbers["auc"].value > 0.95
    assert {row.reals for row in table.rows[1:]} == {"same source"}
    assert table.interval_groups == "identity"


def test_a_source_with_reals_of_its_own_is_judged_against_them(tmp_path: Path) -> None:
    shards = open_shards(write_shards(tmp_path / "shards", corpus_clips(160)))
    scored = opinions(shards, {"vocoder0": 2.0, "vocoder1": 2.0})
    by_hand = {}
    for source in set(shards.group("source")):
        rows = [row for row, value in enumerate(shards.group("source")) if value == source]
        by_hand[source] = roc_auc(scored.labels[rows], scored.logits[rows])

    few = tabulate(scored, shards, calibration=None, by="source", names=TableNames("", "", ""), resamples=20)

    assert {row.reals for row in few.rows[1:]} == {"all"}  # 4 reals a source are too few
    assert few.rows[1].num_real == 80
    assert len(by_hand) == len(few.rows) - 1


def test_numbers_are_those_of_the_calibrated_scores(tmp_path: Path) -> None:
    shards = open_shards(write_shards(tmp_path / "shards", corpus_clips(160)))
    scored = opinions(shards, {"vocoder0": 2.0, "vocoder1": 2.0})
    names = TableNames("", "", "")

    raw = tabulate(scored, shards, calibration=None, by=None, names=names, resamples=20)
    flat = tabulate(scored, shards, calibration=Calibration(slope=0.02), by=None, names=names, resamples=20)

    assert raw.overall.numbers["auc"].value == flat.overall.numbers["auc"].value
    assert flat.overall.numbers["log_loss"].value == pytest.approx(np.log(2), abs=0.02)
    assert raw.overall.numbers["log_loss"].value < 0.6
    assert any("no calibration" in text for text in raw.warnings)


def test_logits_too_large_to_differ_as_probabilities_are_still_ranked(tmp_path: Path) -> None:
    shards = open_shards(write_shards(tmp_path / "shards", corpus_clips(160)))
    scored = opinions(shards, {"vocoder0": 1.0, "vocoder1": 1.0})
    sure = replace(scored, logits=scored.logits + 50.0)

    table = tabulate(sure, shards, calibration=None, by=None, names=TableNames("", "", ""), resamples=20)

    assert table.overall.numbers["auc"].value == pytest.approx(roc_auc(scored.labels, scored.logits))


def test_the_table_prints_as_text(tmp_path: Path) -> None:
    table = table_of(tmp_path, {"vocoder0": 3.0, "vocoder1": 0.5}, by="method")

    assert all(len(cells) == len(table.headings()) for cells in table.cells())
    assert table.cells()[0][4] == str(table.overall.numbers["auc"])
    assert table.cells()[1][5] == ""  # not asked of a group


def test_one_class_alone_has_no_numbers_but_a_sentence(run: RunSummary, tmp_path: Path) -> None:
    clips = [replace(clip, name=f"other{clip.name}") for clip in corpus_clips(40) if clip.label == 1]
    fakes = write_shards(tmp_path / "fakes", clips)

    table = quick(run.folder, data=fakes, by="method")

    assert table.overall.numbers == {}
    assert any("0 real and 20 fake clips" in text for text in table.warnings)


@pytest.mark.parametrize(
    ("wrong", "error", "sentence"),
    [
        (
            {"by": "planet"},
            ManifestError,
            r"no clip has a 'planet'; group columns are identity, method, source_repo; add the column to the label table",
        ),
        (
            {"split": "moon"},
            ManifestError,
            r"no labelled clip in a split 'moon'; there are left_out, train, val, validation",
        ),
        ({"data": "absent"}, ShardError, r"absent"),
        ({"model": "absent"}, CheckpointError, r"absent"),
        ({"steps": "trimm"}, RecipeError, r"no step 'trimm'; nearest: trim"),
    ],
)
def test_what_is_not_there_is_named_with_what_there_is(
    run: RunSummary, shards: Path, wrong: dict[str, str], error: type[Exception], sentence: str
) -> None:
    arguments = {"model": run.folder, "data": shards} | wrong

    with pytest.raises(error, match=sentence):
        quick(arguments.pop("model"), **arguments)


def test_too_few_resamples_are_refused_before_anything_is_judged() -> None:
    for verb in (
        lambda: evaluate("no-run", data="no-shards", resamples=1),
        lambda: compare("no-run", "no-run", data="no-shards", resamples=1),
        lambda: crossval(data="no-shards", out="nowhere", resamples=1),
        lambda: stress(data="no-data", out="nowhere", resamples=1),
    ):
        with pytest.raises(MetricError, match="resamples = 1 make no interval; ask for at least 20"):
            verb()


def test_what_a_notebook_shows_is_one_line(run: RunSummary, shards: Path) -> None:
    """A checkpoint once printed 838,309 characters."""
    opened, table = open_shards(shards), quick(run.folder, data=shards)

    assert repr(load_checkpoint(run.folder / "best.safetensors")).endswith("numbers)")
    assert repr(opened) == f"Shards({str(shards)!r}, 96 clips, sound)"
    assert repr(opened.features(0)) == "Features('clip000.wav', 0.5 s of sound, 2 probes, 0 notes)"
    assert repr(table).startswith(f"EvaluationTable({str(run.folder)!r} on {str(shards)!r}, ")
    assert "warnings)" in repr(table)
    assert max(len(repr(shown)) for shown in (opened, opened.features(0), table)) < 500
