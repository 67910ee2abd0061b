"""A CSV of scores gets the same table as a run: the same numbers, matched by name, and no claim that cannot be kept."""

from __future__ import annotations

import csv
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import corpus_clips, tiny_recipe, write_shards

from ffdv.errors import CheckpointError, ManifestError, RecipeError, SubmissionError
from ffdv.metrics.ranking import roc_auc
from ffdv.records import Clip
from ffdv.training.compare import compare
from ffdv.training.evaluate import evaluate
from ffdv.training.export import export
from ffdv.training.run import train


def write_scores(path: Path, score_of: dict[str, str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("video_name", "y_pred"), *score_of.items()])
    return path


def guesses(clips: list[Clip], *, seed: int, apart: float = 0.3) -> dict[str, str]:
    rng = np.random.default_rng(seed)
    return {clip.name: f"{np.clip(rng.normal(0.4 + apart * (clip.label or 0), 0.2), 0, 1):.6f}" for clip in clips}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("data") / "shards", corpus_clips(96))


def labelled_corpus(folder: Path, clips: list[Clip]) -> Path:
    """The same clips as a label table that was never prepared; nothing is decoded, so the files are empty."""
    folder.mkdir()
    rows = [("video_name", "target", "method")]
    for clip in clips:
        (folder / clip.name).touch()
        rows.append((clip.name, str(clip.label), clip.groups.get("method", "")))
    with (folder / "label.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return folder


def test_a_table_of_scores_is_judged_on_shards_beside_the_shortcuts(shards: Path, tmp_path: Path) -> None:
    clips = corpus_clips(96)
    scores = guesses(clips, seed=0)

    table = evaluate(write_scores(tmp_path / "scores.csv", scores), data=shards, by="method", resamples=50)

    assert table.overall.numbers["auc"].value == pytest.approx(
        roc_auc([clip.label for clip in clips], [float(scores[clip.name]) for clip in clips])
    )
    assert table.overall.num_real + table.overall.num_fake == 96
    assert len(table.rows) > 1
    assert "shortcuts" in table.audit.text
    assert any("nobody knows what the detector behind" in text for text in table.warnings)
    assert not any("calibration" in text for text in table.warnings)


def test_a_labelled_corpus_needs_no_shards_and_gives_the_same_numbers(shards: Path, tmp_path: Path) -> None:
    clips = corpus_clips(96)
    scores = write_scores(tmp_path / "scores.csv", guesses(clips, seed=0))
    corpus = labelled_corpus(tmp_path / "corpus", clips)

    prepared, plain = (evaluate(scores, data=data, by="method", resamples=50) for data in (shards, corpus))

    assert plain.overall.num_fake == prepared.overall.num_fake
    assert plain.overall.numbers["auc"].value == prepared.overall.numbers["auc"].value
    assert [row.name for row in plain.rows] == [row.name for row in prepared.rows]
    assert plain.audit.text == "shortcuts: not measured, no probes are stored"


def test_clips_without_a_score_are_left_out_and_counted(shards: Path, tmp_path: Path) -> None:
    scores = guesses(corpus_clips(96), seed=0)
    first, second, *_ = scores
    scores[first] = ""
    del scores[second]

    table = evaluate(write_scores(tmp_path / "scores.csv", scores), data=shards, resamples=50)

    assert table.overall.num_real + table.overall.num_fake == 94
    assert any("2 of the 96 clips have no score" in text for text in table.warnings)


def test_names_match_with_or_without_their_folder(shards: Path, tmp_path: Path) -> None:
    scores = {f"some/folder/{name}": value for name, value in guesses(corpus_clips(96), seed=0).items()}

    table = evaluate(write_scores(tmp_path / "scores.csv", scores), data=shards, resamples=50)

    assert table.overall.num_real + table.overall.num_fake == 96


def test_scores_of_exactly_nought_and_one_keep_the_order(shards: Path, tmp_path: Path) -> None:
    labels = {clip.name: float(clip.label or 0) for clip in corpus_clips(96)}
    sure = write_scores(tmp_path / "sure.csv", {name: f"{label:g}" for name, label in labels.items()})

    assert evaluate(sure, data=shards, resamples=50).overall.numbers["auc"].value == 1.0


def test_a_table_that_cannot_be_judged_says_why(shards: Path, tmp_path: Path) -> None:
    clips = corpus_clips(96)
    good = write_scores(tmp_path / "scores.csv", guesses(clips, seed=0))

    with pytest.raises(ManifestError, match=r"no labelled clip of .* has a score in it; its names are like 'x\.wav'"):
        evaluate(write_scores(tmp_path / "x.csv", {"x.wav": "0.5"}), data=shards)
    with pytest.raises(ManifestError, match="holds no scores"):
        evaluate(write_scores(tmp_path / "none.csv", {}), data=shards)
    with pytest.raises(SubmissionError, match=r"outside \[0, 1\]; scores are probabilities"):
        evaluate(write_scores(tmp_path / "logits.csv", {clips[0].name: "3.5"}), data=shards)
    with pytest.raises(RecipeError, match="cannot be neutralised or get a report"):
        evaluate(good, data=shards, neutralise=True)
    with pytest.raises(RecipeError, match="cannot be neutralised or get a report"):
        evaluate(good, data=shards, report=tmp_path / "report")
    with pytest.raises(ManifestError, match="no clip has a 'colour'; group columns are"):
        evaluate(good, data=shards, by="colour")


def test_two_tables_are_compared_with_each_other_and_with_a_run(shards: Path, tmp_path: Path) -> None:
    clips = corpus_clips(96)
    poor = write_scores(tmp_path / "poor.csv", guesses(clips, seed=1, apart=0.0))
    good = write_scores(tmp_path / "good.csv", guesses(clips, seed=2, apart=0.6))
    corpus = labelled_corpus(tmp_path / "corpus", clips)
    run = train(tiny_recipe(), data=shards, out=tmp_path / "run", epochs=1, export=False).folder

    on_shards, on_corpus = (compare(poor, good, data=data, resamples=100) for data in (shards, corpus))
    against = compare(run, good, data=shards, resamples=100)

    assert on_shards.difference.value == on_corpus.difference.value > 0.2
    assert on_shards.num_real + on_shards.num_fake == 96
    assert against.num_real + against.num_fake < 96  # only what the run has not seen
    assert against.auc_b.value > 0.8
    assert sum("nobody knows what the detector behind" in text for text in against.warnings) == 1


@pytest.mark.parametrize(("name", "words"), [("scores.csv", "a table"), ("model.onnx", "an exported net")])
def test_where_a_run_is_wanted_other_files_are_called_by_their_name(name: str, words: str, tmp_path: Path) -> None:
    """It once claimed a header of 7020653801164269942 bytes."""
    (tmp_path / name).write_bytes(b"video_name,y_pred\na.mp4,0.5\n")

    with pytest.raises(CheckpointError, match=f"{name}: {words}.*give a run's folder"):
        export(tmp_path / name)


def test_scores_come_back_as_they_stood(shards: Path, tmp_path: Path) -> None:
    """They once came back as 1e-06, whatever was below."""
    clips = corpus_clips(96)
    texts = ["0.0", "1e-09", "1e-08", "0.1", "0.30000000000000004", "0.9999999999999", "1.0"]
    scores = {clip.name: texts[number % len(texts)] for number, clip in enumerate(clips)}

    evaluate(write_scores(tmp_path / "in.csv", scores), data=shards, scores=tmp_path / "out.csv", resamples=50)

    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        assert {row["video_name"]: row["y_pred"] for row in csv.DictReader(file)} == scores


def test_the_cure_is_that_of_the_data(shards: Path, tmp_path: Path) -> None:
    """A corpus that was never prepared was to be prepared again."""
    clips = corpus_clips(96)
    scores = write_scores(tmp_path / "scores.csv", guesses(clips, seed=0))
    corpus = labelled_corpus(tmp_path / "corpus", clips)
    unlabelled = tmp_path / "unlabelled"
    unlabelled.mkdir()
    (unlabelled / "clip000.wav").touch()

    for judge in (partial(evaluate, scores), partial(compare, scores, scores)):
        with pytest.raises(ManifestError, match=r"no clip has a label; .*\(label.csv: video_name,target\)$"):
            judge(data=unlabelled)
    with pytest.raises(ManifestError, match=r"add the column to the label table, or name another$"):
        evaluate(scores, data=corpus, by="colour")
    with pytest.raises(ManifestError, match="run ffdv prepare again"):
        evaluate(scores, data=shards, by="colour")


def test_a_missing_table_is_called_so(shards: Path, tmp_path: Path) -> None:
    """It was once about shards."""
    corpus = labelled_corpus(tmp_path / "corpus", corpus_clips(96))
    for data in (shards, corpus):
        with pytest.raises(SubmissionError, match=r"missing\.csv' cannot be read"):
            evaluate(tmp_path / "missing.csv", data=data)


def test_several_folders_at_once_are_refused_in_a_sentence(tmp_path: Path) -> None:
    scores = write_scores(tmp_path / "scores.csv", {"a": "0.5"})
    for judge in (partial(evaluate, scores), partial(compare, scores, scores)):
        with pytest.raises(RecipeError, match="data is a list of 1; give one path"):
            judge(data=[tmp_path])
