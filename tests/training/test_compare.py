"""Two runs on the same clips: the same numbers by two roads, and no run on what it was trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from tiny_corpus import corpus_clips, tiny_recipe, write_shards

from ffdv.data.shards import open_shards
from ffdv.errors import CheckpointError, ManifestError
from ffdv.records import Clip
from ffdv.training import compare as compare_room
from ffdv.training.compare import Comparison, compare
from ffdv.training.engine import ScoredClips
from ffdv.training.evaluate import RunOpinions
from ffdv.training.run import train

quick = partial(compare, resamples=100)


def clips_with_test(test_of_last: int = 24, *, shift: int = 0) -> list[Clip]:
    """96 clips, `test_of_last` of them kept for testing; `shift` moves which."""
    clips = corpus_clips(96)
    test = range(96 - test_of_last - shift, 96 - shift)
    return [
        replace(clip, split="test" if at in test else ("val" if 48 <= at < 72 else "train"))
        for at, clip in enumerate(clips)
    ]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("data") / "shards", clips_with_test())


@pytest.fixture(scope="module")
def runs(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A run of no training to speak of, and one of four epochs."""
    folder = tmp_path_factory.mktemp("runs")
    lazy = train(
        tiny_recipe(),
        data=shards,
        out=folder / "lazy",
        epochs=1,
        overrides=["optimiser.learning_rate=1e-7"],
        export=False,
    )
    keen = train(tiny_recipe(), data=shards, out=folder / "keen", epochs=4, export=False)
    return lazy.folder, keen.folder


def test_the_difference_is_that_of_the_two_aucs_on_the_test_part(
    runs: tuple[Path, Path], shards: Path, tmp_path: Path
) -> None:
    found = quick(*runs, data=shards, json=tmp_path / "out" / "compared.json")

    assert found.part == "the run's test part"
    assert (found.num_real, found.num_fake) == (12, 12)
    assert found.interval_groups == "identity"
    assert found.difference.value == pytest.approx(found.auc_b.value - found.auc_a.value)
    assert found.delong.value == pytest.approx(found.difference.value)
    assert found.difference.low <= found.difference.value <= found.difference.high
    assert json.loads((tmp_path / "out" / "compared.json").read_text())["difference"]["value"] == found.difference.value
    back = quick(*runs[::-1], data=shards)
    assert back.difference.value == pytest.approx(-found.difference.value)


def test_a_run_is_no_better_than_itself(runs: tuple[Path, Path], shards: Path) -> None:
    found = quick(runs[1], runs[1], data=shards)

    assert found.difference.value == 0.0
    assert found.delong.p_value == 1.0
    assert "too few to call one better" in found.sentence  # six people of a class


def test_the_better_one_is_named(shards: Path, runs: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Opinions made here: a knows half of the clips, b all of them."""

    def opinions(path: Path, data: object, rows: np.ndarray) -> RunOpinions:
        labels = data.labels[rows]  # type: ignore[attr-defined]
        names = tuple(data.names[row] for row in rows)  # type: ignore[attr-defined]
        noise = np.random.default_rng(0).normal(0, 6.0 if "lazy" in str(path) else 0.3, len(rows))
        return RunOpinions(ScoredClips(names, labels, 2.0 * labels + noise), None, None)

    monkeypatch.setattr(compare_room, "score_run", opinions)
    found = quick(
        *runs,
        data=write_shards(
            shards.parent / "other", [replace(c, name=c.name.replace("clip", "othr")) for c in corpus_clips(160)]
        ),
    )

    assert found.part == "all labelled clips"
    assert "keen ranks better than" in found.sentence
    assert found.difference.value > 0


def test_clips_that_a_run_was_trained_on_are_refused(runs: tuple[Path, Path], shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"lazy was trained on 48 of the 48 clips"):
        quick(*runs, data=shards, split="train")


def test_a_corpus_that_was_prepared_again_is_the_runs_own(
    runs: tuple[Path, Path], shards: Path, tmp_path: Path
) -> None:
    """Another column, a label less or a clip more make another hash, and must not make training clips unseen ones."""
    changed = [replace(clip, groups={**clip.groups, "language": "en"}) for clip in open_shards(shards).clips()]

    there, again = quick(*runs, data=shards), quick(*runs, data=write_shards(tmp_path / "third", changed))

    assert again.part == there.part == "the run's test part"
    assert (again.num_real, again.num_fake, again.difference) == (there.num_real, there.num_fake, there.difference)


def test_of_runs_with_other_splits_only_what_neither_knows_is_compared(
    runs: tuple[Path, Path], shards: Path, tmp_path: Path
) -> None:
    other = write_shards(tmp_path / "again", clips_with_test(shift=6))
    shifted = train(tiny_recipe(), data=other, out=tmp_path / "shifted", epochs=1, export=False)

    whole, found = quick(*runs, data=shards), quick(runs[1], shifted.folder, data=shards)

    assert found.num_real + found.num_fake < whole.num_real + whole.num_fake


def test_without_unseen_clips_in_common_nothing_is_compared(
    runs: tuple[Path, Path], shards: Path, tmp_path: Path
) -> None:
    ours = train(
        tiny_recipe(split={"test": ("val",), "validation": ("test",)}),
        data=shards,
        out=tmp_path / "run",
        epochs=1,
        export=False,
    )

    with pytest.raises(ManifestError, match="no unseen clip in common; train both with the same split"):
        quick(runs[0], ours.folder, data=shards)


def test_one_class_is_refused_with_its_counts(runs: tuple[Path, Path], tmp_path: Path) -> None:
    fakes = [replace(clip, name=clip.name.replace("clip", "othr")) for clip in corpus_clips(40) if clip.label == 1]

    with pytest.raises(ManifestError, match="0 real and 20 fake"):
        quick(*runs, data=write_shards(tmp_path / "fakes", fakes))


def test_a_run_that_is_not_there_is_named(shards: Path, runs: tuple[Path, Path]) -> None:
    with pytest.raises(CheckpointError, match="absent"):
        quick(runs[0], "absent", data=shards)


def test_both_intervals_and_enough_people_before_one_is_called_better() -> None:
    from ffdv.metrics.uncertainty import Difference, Estimate

    auc = Estimate(0.8, 0.7, 0.9, 0.95, "delong", 20)
    sure = Difference(0.1, 0.05, 0.15, 0.001, 0.95, "x", 20)
    unsure = Difference(0.1, -0.01, 0.2, 0.07, 0.95, "x", 20)

    few = replace(sure, num_groups=9)

    def sentence(one: Difference, other: Difference) -> str:
        return Comparison("A", "B", "d", "p", 10, 10, "identity", auc, auc, one, other).sentence

    assert "B ranks better than A: +0.100 AUC" in sentence(sure, sure)
    assert "too few to call one better: 9 independent groups" in sentence(few, few)
    assert "no difference can be shown" in sentence(sure, unsure)
    assert "no difference can be shown" in sentence(unsure, sure)
