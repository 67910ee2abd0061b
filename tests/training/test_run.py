"""A recipe and shards become a run: what lies in its folder, how it goes on, what it refuses."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tiny_corpus import RATE, corpus_clips, sound_of, tiny_recipe, write_shards

from ffdv.data.seen import read_parts
from ffdv.detect.network import NetworkFacts
from ffdv.errors import CheckpointError, RecipeError
from ffdv.features.recipe import finish_sound
from ffdv.metrics.calibration import Calibration
from ffdv.metrics.ranking import roc_auc
from ffdv.models.checkpoint import load_checkpoint, load_tensors, read_header, save_checkpoint
from ffdv.training.engine import Progress
from ffdv.training.evaluate import BEST_NAME, LAST_NAME, evaluate
from ffdv.training.export import export
from ffdv.training.plan import Recipe, load_recipe
from ffdv.training.run import LOG_NAME, METRICS_NAME, ONNX_NAME, RECIPE_NAME, RunSummary
from ffdv.training.run import train as train_and_export

train = partial(train_and_export, export=False)  # the export takes longer than these runs


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("data") / "shards", corpus_clips(), silent=("clip005.wav",))


@pytest.fixture(scope="module")
def finished(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> RunSummary:
    recipe = tiny_recipe(training={"epochs": 6, "average_decay": 0.9})
    return train(recipe, data=shards, out=tmp_path_factory.mktemp("run") / "run")


def tensors(path: Path) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in load_checkpoint(path).tensors.items()}


def assert_equal_runs(one: Path, other: Path) -> None:
    for name in (BEST_NAME, LAST_NAME):
        left, right = tensors(one / name), tensors(other / name)
        assert left.keys() == right.keys()
        assert [key for key in left if not np.array_equal(left[key], right[key])] == []


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / LOG_NAME).open(newline="") as file:
        return [row | {"seconds": ""} for row in csv.DictReader(file)]


def test_a_run_learns_and_leaves_everything_that_was_promised(finished: RunSummary) -> None:
    folder = finished.folder

    assert (finished.outcome, finished.epochs_done, finished.chosen_by) == ("finished", 6, "auc")
    assert finished.best is not None
    assert finished.best.auc > 0.8
    assert finished.clips == {"train": 35, "validation": 12, "left_out": 1}
    assert load_recipe(folder / RECIPE_NAME).training.epochs == 6
    assert [row["epoch"] for row in rows_of(folder)] == ["1", "2", "3", "4", "5", "6"]
    assert list(folder.glob("events.*"))
    assert not list(folder.glob("*.part")) + list(folder.glob(".*part"))


def test_the_header_says_what_the_weights_are_and_where_from(finished: RunSummary) -> None:
    header = read_header(finished.folder / BEST_NAME)

    assert Recipe.model_validate(header.recipe).name == "tiny"
    assert header.metrics["epoch"] == finished.best.epoch
    assert header.metrics["part"] == "validation"
    assert header.provenance["data"]["clips"] == {"train": 35, "validation": 12, "left_out": 1}
    assert header.provenance["packages"]["torch"] == torch.__version__
    assert Calibration.from_json(json.dumps(header.calibration)).num_real == 6
    assert read_header(finished.folder / LAST_NAME).state["epochs_done"] == 6


def test_metrics_json_holds_the_summary_and_every_epoch(finished: RunSummary) -> None:
    written = json.loads((finished.folder / METRICS_NAME).read_text())

    assert written["version"] == 1
    assert written["best"]["auc"] == finished.best.auc
    assert len(written["epochs"]) == 6
    assert written["audit"]["text"] == finished.audit.text


def test_tensorboard_reads_the_epochs(finished: RunSummary) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(finished.folder))
    events.Reload()

    assert [(event.step, event.value) for event in events.Scalars("epoch/auc")] == [
        (int(row["epoch"]), pytest.approx(float(row["auc"]))) for row in rows_of(finished.folder)
    ]


@pytest.mark.slow
def test_the_exported_file_scores_the_validation_clips_as_the_kept_epoch_did(shards: Path, tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    summary = train_and_export(tiny_recipe(training={"epochs": 1}), data=shards, out=tmp_path / "run")
    session = onnxruntime.InferenceSession(summary.onnx, providers=["CPUExecutionProvider"])
    clips = [clip for clip in corpus_clips() if clip.split == "val"]

    logits = []
    for clip in clips:
        windows, _ = finish_sound(sound_of(clip), rate=RATE, window_seconds=0.4, hop_seconds=None)
        logits.append(float(session.run(["logit"], {"samples": windows})[0].mean()))

    assert summary.onnx == tmp_path / "run" / ONNX_NAME
    assert roc_auc([clip.label for clip in clips], logits) == pytest.approx(summary.best.auc)


def test_four_epochs_are_two_and_a_resume_to_four_bit_for_bit(shards: Path, tmp_path: Path) -> None:
    """With dropout, masks, MixUp, a moving average, class balance and a learning rate that moves."""
    recipe = tiny_recipe(
        training={"average_decay": 0.9, "accumulate_batches": 2, "clip_norm": 1.0},
        loader={"balance_classes": True},
        augment={
            "sound": [{"name": "gain"}],
            "spectrogram": [{"name": "time_mask"}],
            "picture": [{"name": "RandomHorizontalFlip"}],
            "mix": {"mixup_alpha": 0.4},
        },
    )

    train(recipe, data=shards, out=tmp_path / "straight", epochs=4)
    train(recipe, data=shards, out=tmp_path / "twice", epochs=2)
    torch.manual_seed(999)
    train(recipe, data=shards, out=tmp_path / "twice", epochs=4, resume=True)

    assert_equal_runs(tmp_path / "straight", tmp_path / "twice")
    assert rows_of(tmp_path / "straight") == rows_of(tmp_path / "twice")


@pytest.mark.parametrize("stop_after", [4, 9])
def test_ctrl_c_leaves_a_run_that_can_be_used_and_resumed(shards: Path, tmp_path: Path, stop_after: int) -> None:
    """In the first epoch, before anything was validated, and in the second one; the cosine is not disturbed."""
    recipe = tiny_recipe(schedule={"kind": "cosine", "step_epochs": None, "factor": None})
    seen: list[Progress] = []

    def interrupt(progress: Progress) -> None:
        seen.append(progress)
        if len(seen) == stop_after:
            raise KeyboardInterrupt

    train(recipe, data=shards, out=tmp_path / "straight")
    broken_off = train(recipe, data=shards, out=tmp_path / "twice", progress=interrupt)
    usable = load_checkpoint(tmp_path / "twice" / BEST_NAME)
    train(recipe, data=shards, out=tmp_path / "twice", resume=True)

    assert broken_off.outcome == "interrupted"
    assert (broken_off.best is None) == ("no epoch was finished" in " ".join(broken_off.notes)) == (stop_after == 4)
    assert bool(usable.header.calibration) == (stop_after == 9)
    assert_equal_runs(tmp_path / "straight", tmp_path / "twice")


def test_the_shortcuts_are_told_before_any_result(shards: Path, tmp_path: Path) -> None:
    told: list[Progress] = []

    summary = train(tiny_recipe(training={"epochs": 1}), data=shards, out=tmp_path / "run", progress=told.append)

    assert [now.kind == "audit" for now in told] == [True] + [False] * (len(told) - 1)
    assert told[0].text.startswith("shortcuts: ")
    assert summary.audit.text.startswith(told[0].text)


def test_a_finished_run_resumed_without_more_epochs_stays_as_it_is(shards: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(training={"epochs": 1})
    train(recipe, data=shards, out=tmp_path / "run")
    before = tensors(tmp_path / "run" / LAST_NAME)

    again = train(recipe, data=shards, out=tmp_path / "run", resume=True)

    assert again.epochs_done == 1
    assert all(np.array_equal(value, before[name]) for name, value in tensors(tmp_path / "run" / LAST_NAME).items())


def test_a_run_is_never_written_over_nor_mixed_with_another(shards: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(training={"epochs": 1})
    train(recipe, data=shards, out=tmp_path / "run")
    clips = [replace(clip, groups={}) for clip in corpus_clips()]
    other_data = write_shards(tmp_path / "other", clips)

    with pytest.raises(CheckpointError, match="holds a run already; resume it"):
        train(recipe, data=shards, out=tmp_path / "run")
    with pytest.raises(
        RecipeError, match=r"another recipe; leave --recipe .*: optimiser.learning_rate was 0.003, is 0.1"
    ):
        train(recipe, data=shards, out=tmp_path / "run", overrides=("optimiser.learning_rate=0.1",), resume=True)
    with pytest.raises(CheckpointError, match="begun on other clips"):
        train(recipe, data=other_data, out=tmp_path / "run", resume=True)


def test_resume_without_a_run_begins_one_and_says_so(
    shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    summary = train(tiny_recipe(), data=shards, out=tmp_path / "new", epochs=1, resume=True)

    assert summary.epochs_done == 1
    assert [record.getMessage() for record in caplog.records] == [f"{tmp_path / 'new'} holds no run yet; beginning one"]


def test_a_run_is_resumed_by_its_own_recipe_where_none_is_given(
    shards: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train(tiny_recipe(training={"epochs": 1}), data=shards, out=tmp_path / "run", overrides="model.dropout=0.2")

    summary = train(data=shards, out=tmp_path / "run", resume=True, epochs=2)

    assert (summary.recipe, summary.epochs_done) == ("tiny", 2)
    assert load_recipe(tmp_path / "run" / RECIPE_NAME).model.dropout == 0.2
    assert caplog.records == []


def test_of_many_differences_a_refused_resume_shows_three_and_the_cure_first(shards: Path, tmp_path: Path) -> None:
    train(tiny_recipe(training={"epochs": 1}), data=shards, out=tmp_path / "run")

    with pytest.raises(RecipeError, match=r"leave --recipe and --set out") as caught:
        train("voice", data=shards, out=tmp_path / "run", resume=True)

    assert str(caught.value).count(" was ") == 1 + 3  # "was begun with"
    assert str(caught.value).endswith(" more")


def test_an_export_that_fails_takes_nothing_of_the_run_away(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(*_: object, **__: object) -> Path:
        assert (tmp_path / "run" / METRICS_NAME).is_file()  # what was learnt is written by then
        raise CheckpointError("the exported net differs from torch by 0.0029 of a logit")

    monkeypatch.setattr("ffdv.training.export.export", export)

    summary = train_and_export(tiny_recipe(training={"epochs": 1}), data=shards, out=tmp_path / "run")

    assert (summary.onnx, summary.outcome, summary.epochs_done) == (None, "finished", 1)
    assert summary.unexported == "the exported net differs from torch by 0.0029 of a logit"
    assert "the run is whole" in summary.notes[-1]
    assert f"ffdv export {tmp_path / 'run'}" in summary.notes[-1]
    assert json.loads((tmp_path / "run" / METRICS_NAME).read_text())["unexported"] == summary.unexported


@pytest.mark.parametrize("accelerator", ["gpuu", "mps"])
def test_an_accelerator_that_is_not_there_is_one_sentence(shards: Path, tmp_path: Path, accelerator: str) -> None:
    with pytest.raises(RecipeError, match="choose"):
        train(tiny_recipe(), data=shards, out=tmp_path / "run", accelerator=accelerator)


def test_links_that_were_laid_into_a_runs_folder_are_not_followed(shards: Path, tmp_path: Path) -> None:
    run, target = tmp_path / "run", tmp_path / "precious"
    run.mkdir()
    target.write_text("precious")
    for name in (".parts.csv.part", ".recipe.toml.part", "log.csv.part", ".metrics.json.part", "parts.csv"):
        (run / name).symlink_to(target)

    train(tiny_recipe(training={"epochs": 1}), data=shards, out=run)

    assert target.read_text() == "precious"
    assert not (run / "parts.csv").is_symlink()


def test_the_seed_decides_everything_and_worker_processes_nothing(shards: Path, tmp_path: Path) -> None:
    recipe = tiny_recipe(training={"epochs": 1})

    train(recipe, data=shards, out=tmp_path / "a", seed=5)
    train(recipe, data=shards, out=tmp_path / "b", seed=5, overrides=("loader.workers=2",))
    train(recipe, data=shards, out=tmp_path / "c", seed=6)

    assert_equal_runs(tmp_path / "a", tmp_path / "b")
    a, c = tensors(tmp_path / "a" / LAST_NAME), tensors(tmp_path / "c" / LAST_NAME)
    assert any(not np.array_equal(a[name], c[name]) for name in a)


def test_clips_that_took_no_part_are_told(shards: Path, tmp_path: Path) -> None:
    clips = corpus_clips()
    clips[0] = replace(clips[0], split="val")
    folder = write_shards(tmp_path / "leaky", clips)

    summary = train(tiny_recipe(), data=folder, out=tmp_path / "run", epochs=1)

    assert any("identity person0" in note for note in summary.notes)


def test_several_folders_of_shards_are_one_corpus(tmp_path: Path) -> None:
    half = corpus_clips(24)
    data = [write_shards(tmp_path / name, half) for name in ("old", "new")]

    summary = train(tiny_recipe(split={"by": "corpus"}), data=data, out=tmp_path / "run", epochs=1, export=False)

    assert sum(summary.clips.values()) == 48
    assert {name.split("/")[0] for name in read_parts(tmp_path / "run")} == {"old", "new"}
    table = evaluate(tmp_path / "run", data=tmp_path / "run" / "shards", resamples=20)
    assert table.part == "the run's validation part"


def test_a_run_of_an_earlier_version_is_judged_exported_and_gone_on_with(shards: Path, tmp_path: Path) -> None:
    """Its hop skips seconds, its windows are longer than max_seconds: a new run is refused that."""
    folder = train(tiny_recipe(), data=shards, out=tmp_path / "run").folder
    for name in (BEST_NAME, LAST_NAME):
        found = load_checkpoint(folder / name)
        loader = {**found.header.recipe["loader"], "hop_seconds": 0.5, "max_seconds": 0.3}  # type: ignore[dict-item]
        header = found.header.model_copy(update={"recipe": {**found.header.recipe, "loader": loader}})
        own = load_tensors(folder / name)
        save_checkpoint(folder / name, own, header)
    text = (folder / RECIPE_NAME).read_text()
    earlier = text.replace('hop_seconds = "none"', "hop_seconds = 0.5").replace(
        "max_seconds = 30.0", "max_seconds = 0.3"
    )
    (folder / RECIPE_NAME).write_text(earlier)

    assert evaluate(folder, data=shards, resamples=50).overall.num_real
    assert NetworkFacts.read(folder, metadata_in(export(folder))).hop_seconds == 0.5
    assert train(data=shards, out=folder, resume=True, epochs=3).epochs_done == 3
    with pytest.raises(RecipeError, match="raise max_seconds too"):
        train(folder / RECIPE_NAME, data=shards, out=tmp_path / "new")


def metadata_in(model: Path) -> dict[str, str]:
    """What an ONNX file says of itself."""
    return {one.key: one.value for one in onnx.load(model).metadata_props}
