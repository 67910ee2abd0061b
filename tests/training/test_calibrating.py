"""Calibration clips are apart from those that chose the epoch, and what is fitted on them travels into the ONNX file."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tiny_corpus import RATE, corpus_clips, sound_of, tiny_recipe, write_shards

from ffdv.data.scores import read_scores
from ffdv.data.seen import read_parts
from ffdv.data.shards import open_shards
from ffdv.detect.detector import predict
from ffdv.detect.network import Network
from ffdv.media.write import write_media
from ffdv.metrics.calibration import Calibration
from ffdv.metrics.decision import Decision
from ffdv.models.audio import SoundPictureNet
from ffdv.models.checkpoint import BESIDE, load_checkpoint, read_header, save_checkpoint
from ffdv.records import Clip, Features, MediaFacts, Samples
from ffdv.training.calibrating import measures_of, seen_in_training
from ffdv.training.evaluate import BEST_NAME, evaluate
from ffdv.training.export import export
from ffdv.training.kinds import restore_embedding_range, restore_net
from ffdv.training.parts import ENOUGH_PER_CLASS, SplitSpec, choose_parts
from ffdv.training.run import RunSummary, train


def many_clips() -> list[Clip]:
    """64 to train on, then 160 that validate: 40 people, two of them a source."""
    return [replace(clip, split="train" if at < 64 else "val") for at, clip in enumerate(corpus_clips(224))]


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("data") / "shards", many_clips())


@pytest.fixture(scope="module")
def run(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> RunSummary:
    return train(tiny_recipe(), data=shards, out=tmp_path_factory.mktemp("run") / "run", epochs=1)


def test_validation_is_divided_in_whole_people_and_sources(shards: Path) -> None:
    opened = open_shards(shards)

    parts = choose_parts(opened, SplitSpec())

    assert parts.counts() == {"train": 64, "validation": 80, "calibration": 80}
    for by in ("identity", "source_repo"):
        sides = {
            part: {value for value, its in zip(opened.group(by), parts.of_row, strict=True) if its == part}
            for part in ("validation", "calibration")
        }
        assert not sides["validation"] & sides["calibration"]
    labels = Counter(
        label for label, its in zip(opened.labels.tolist(), parts.of_row, strict=True) if its == "calibration"
    )
    assert min(labels.values()) >= ENOUGH_PER_CLASS


def test_where_sources_cannot_be_divided_people_are(tmp_path: Path) -> None:
    clips = [replace(clip, groups={**clip.groups, "source_repo": "one"}) for clip in many_clips()]
    opened = open_shards(write_shards(tmp_path / "shards", clips))

    parts = choose_parts(opened, SplitSpec())

    assert parts.counts()["calibration"] == 80


@pytest.mark.parametrize("spec", [SplitSpec(calibration_share=0.0), SplitSpec(calibration_share=0.9)])
def test_it_is_not_divided_on_request_nor_where_a_side_would_have_too_few(shards: Path, spec: SplitSpec) -> None:
    assert choose_parts(open_shards(shards), spec).counts() == {"train": 64, "validation": 160}


def test_calibration_and_thresholds_come_from_the_calibration_part(run: RunSummary, shards: Path) -> None:
    header = read_header(run.folder / BEST_NAME)
    calibration = Calibration.from_json(json.dumps(header.calibration))
    decision = Decision.from_json(json.dumps(header.decision))

    assert run.clips == {"train": 64, "validation": 80, "calibration": 80}
    assert (calibration.num_real, calibration.num_fake) == (40, 40)
    assert decision.band.num_real_groups == 20  # people, of 40 in both halves together
    assert [each.wanted for each in decision.thresholds] == [0.05, 0.01, 0.001]
    assert Counter(read_parts(run.folder).values()) == {"train": 64, "validation": 80, "calibration": 80}
    assert not any("too few" in note for note in run.notes)


def test_without_a_test_part_a_run_is_judged_on_the_clips_that_chose_no_epoch(run: RunSummary, shards: Path) -> None:
    table = evaluate(run.folder, data=shards, resamples=20)

    assert table.part == "the run's calibration part"
    assert any("AUC, EER and TPR are honest" in text for text in table.warnings)


def test_small_runs_share_the_clips_and_say_so(tmp_path: Path) -> None:
    summary = train(
        tiny_recipe(),
        data=write_shards(tmp_path / "shards", corpus_clips()),
        out=tmp_path / "run",
        epochs=1,
        export=False,
    )

    assert "calibration" not in summary.clips
    assert any("too few validation clips" in note for note in summary.notes)
    assert "6 real and 6 fake validation clips are too few for an AUC: whatever it says is luck" in summary.notes


def test_the_range_seen_is_that_of_training_clips_as_the_net_sees_them(shards: Path) -> None:
    seen = seen_in_training(open_shards(shards), list(range(64)), tiny_recipe())

    ranges = dict(zip(seen.names, zip(seen.low, seen.high, strict=True), strict=True))
    assert seen.num_clips == 64
    assert ranges["sound_seconds"] == (0.4, 0.4)  # windows of 0.4 s, clips of 0.5 s
    assert ranges["sound_rate_hz"] == (RATE, RATE)
    assert ranges["damaged_share"] == (0.0, 0.0)
    assert ranges["sound_band_hz"][1] <= RATE / 2


def test_the_exported_file_judges_as_the_checkpoint_says(run: RunSummary, shards: Path) -> None:
    network = Network(run.folder / "model.onnx")
    header = read_header(run.folder / BEST_NAME)
    clip = many_clips()[-1]
    features = Features(MediaFacts(clip.path, 1, "wav", 0.5, None, (), (), encrypted=False, tags={}), sound_of(clip))

    judged = network.judge(0.7, features)

    assert network.facts.decision == Decision.from_json(json.dumps(header.decision))
    assert judged is not None
    recipe = tiny_recipe()
    assert judged == network.facts.decision.judge(0.7, measures_of(open_shards(shards), len(many_clips()) - 1, recipe))
    short = replace(features, sound=replace(sound_of(clip), values=sound_of(clip).values[:, :400]))
    strange = network.judge(0.999999, short)
    assert strange is not None
    assert strange.verdict == "cannot tell"
    assert "length of sound" in strange.outside[0]
    assert np.isclose(strange.band.high, 1.0)


def windows_of(sound: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """One window of 0.4 s, as the net takes it."""
    return sound[None, : round(0.4 * RATE)].astype(np.float32)


def far_off() -> dict[str, npt.NDArray[np.float64]]:
    """Sounds of 0.5 s that no clip of the corpus is like: those are noise."""
    rng, seconds = np.random.default_rng(3), np.arange(RATE // 2) / RATE
    return {
        "tone": 0.3 * np.sin(2 * np.pi * 300 * seconds),
        "silence": np.zeros(RATE // 2),
        "clicks": (rng.random(RATE // 2) < 0.002).astype(np.float64),
    }


def test_what_is_unlike_training_is_far_from_it_and_new_clips_of_its_kind_are_not(run: RunSummary) -> None:
    network = Network(run.folder / "model.onnx")

    fresh = np.concatenate([windows_of(sound_of(clip, seed=9).values[0]) for clip in many_clips()])
    usual = network.opinions(fresh)[1]

    assert np.mean(usual > 1) < 0.06
    for name, sound in far_off().items():
        assert network.opinions(windows_of(sound))[1][0] > 2, name


def test_far_off_sound_gets_no_verdict_and_a_reason(run: RunSummary, tmp_path: Path) -> None:
    write_media(tmp_path / "tone.wav", sound=Samples(far_off()["tone"][None].astype(np.float32), RATE))
    write_media(tmp_path / "usual.wav", sound=sound_of(many_clips()[0], seed=9))

    predict(tmp_path, model=run.folder, out=tmp_path / "scores.csv", workers=1)

    scores = {score.name: score for score in read_scores(tmp_path / "scores.csv")}
    assert scores["tone.wav"].verdict == "cannot tell"
    assert "to the net it is unlike what training saw" in scores["tone.wav"].reason
    assert "to the net" not in scores["usual.wav"].reason


def test_torch_and_the_exported_file_measure_one_distance(run: RunSummary) -> None:
    checkpoint = load_checkpoint(run.folder / BEST_NAME)
    net, near = restore_net(checkpoint), restore_embedding_range(checkpoint)
    assert isinstance(net, SoundPictureNet)
    assert near is not None
    sounds = [*far_off().values(), *(sound_of(clip).values[0] for clip in many_clips()[:5])]
    windows = np.concatenate([windows_of(sound) for sound in sounds])

    with torch.inference_mode():
        ours = near(net.embedded(torch.from_numpy(windows))[1]).numpy()

    np.testing.assert_allclose(Network(run.folder / "model.onnx").opinions(windows)[1], ours, rtol=1e-3)


def test_evaluate_widens_the_band_for_clips_that_lie_far_off(run: RunSummary, shards: Path, tmp_path: Path) -> None:
    shutil.copytree(run.folder, tmp_path / "strict")
    checkpoint = load_checkpoint(run.folder / BEST_NAME)
    beside = {f"{BESIDE}{name}": value for name, value in checkpoint.embedding_range.items()}
    beside[f"{BESIDE}edge"] = 0.02 * beside[f"{BESIDE}edge"]  # now everything lies far off
    beside[f"{BESIDE}middle"] = 0.01 * beside[f"{BESIDE}middle"]
    save_checkpoint(tmp_path / "strict" / BEST_NAME, {**checkpoint.tensors, **beside}, checkpoint.header)

    usual, strict = (
        evaluate(folder, data=shards, resamples=20).confidence for folder in (run.folder, tmp_path / "strict")
    )

    assert usual is not None
    assert strict is not None
    assert usual.band is not None
    assert strict.band is not None
    assert usual.band.unusual is not None
    assert usual.band.unusual < 0.1
    assert usual.band.decided > 0.5
    assert (strict.band.unusual, strict.band.decided) == (1.0, 0.0)


def test_runs_without_the_distance_are_judged_and_exported_as_before(
    run: RunSummary, shards: Path, tmp_path: Path
) -> None:
    checkpoint = load_checkpoint(run.folder / BEST_NAME)
    decision = Decision.from_json(json.dumps(checkpoint.header.decision))
    *names, last = decision.seen.names
    assert last == "embedding_distance"
    seen = replace(decision.seen, names=tuple(names), low=decision.seen.low[:-1], high=decision.seen.high[:-1])
    header = checkpoint.header.model_copy(update={"decision": json.loads(replace(decision, seen=seen).to_json())})
    shutil.copytree(run.folder, tmp_path / "old")
    save_checkpoint(tmp_path / "old" / BEST_NAME, checkpoint.tensors, header)

    network = Network(export(tmp_path / "old"))
    confidence = evaluate(tmp_path / "old", data=shards, resamples=20).confidence

    window = windows_of(far_off()["tone"])
    logits, distances = network.opinions(window)
    assert np.isnan(distances).all()
    np.testing.assert_allclose(logits, Network(run.folder / "model.onnx").opinions(window)[0], rtol=1e-4)
    assert confidence is not None
    assert confidence.band is not None
    assert confidence.band.unusual is None
