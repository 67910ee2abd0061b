"""Files to scores: every input a row, a failure with its reason, a stopped job goes on."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ffdv.data.corpus import Corpus
from ffdv.data.pool import ClipsProgress
from ffdv.data.scores import read_scores
from ffdv.detect import detector
from ffdv.detect.detector import predict, score_clip
from ffdv.detect.network import KINDS, Network, find_network
from ffdv.detect.scorers import ask_faces
from ffdv.errors import CheckpointError, ManifestError, SubmissionError
from ffdv.features.recipe import finish_sound
from ffdv.media.write import write_media
from ffdv.metrics.abstention import AbstentionBand
from ffdv.metrics.calibration import Calibration
from ffdv.metrics.decision import Decision, SeenRange
from ffdv.records import Clip, FacesSeen, FaceTrack, Features, MediaFacts, Samples

RATE = 16_000
WINDOW_SECONDS = 0.5


def write_loudness_net(path: Path, *, metadata: dict[str, str] | None = None) -> Path:
    """An exported file whose logit is 20 · mean |sample| - 2: what it should answer can be worked out by hand."""
    nodes = [
        helper.make_node("Abs", ["samples"], ["size"]),
        helper.make_node("ReduceMean", ["size"], ["loudness"], axes=[1], keepdims=0),
        helper.make_node("Mul", ["loudness", "twenty"], ["scaled"]),
        helper.make_node("Sub", ["scaled", "two"], ["logit"]),
        helper.make_node("Unsqueeze", ["samples", "one"], ["activation"]),
    ]
    graph = helper.make_graph(
        nodes,
        "loudness",
        [helper.make_tensor_value_info("samples", TensorProto.FLOAT, ["clips", "n"])],
        [
            helper.make_tensor_value_info("logit", TensorProto.FLOAT, ["clips"]),
            helper.make_tensor_value_info("activation", TensorProto.FLOAT, ["clips", 1, "n"]),
        ],
        [
            helper.make_tensor("twenty", TensorProto.FLOAT, [], [20.0]),
            helper.make_tensor("two", TensorProto.FLOAT, [], [2.0]),
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    standard = {
        "format_version": "1",
        "sample_rate": str(RATE),
        "window_seconds": str(WINDOW_SECONDS),
        "hop_seconds": "null",
        "calibration": "null",
        "recipe": "{}",
        "provenance": "{}",
    }
    for key, value in (standard | (metadata or {})).items():
        model.metadata_props.add(key=key, value=value)
    onnx.save(model, path)
    return path


@pytest.fixture
def net(tmp_path: Path) -> Path:
    return write_loudness_net(tmp_path / "loudness.onnx")


@pytest.fixture
def corpus(tmp_path: Path, tone: Samples) -> Path:
    """A label table that names a good clip, a louder one, a broken one, a silent film and one that is not there."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_media(folder / "soft.wav", sound=tone)
    write_media(folder / "loud.wav", sound=Samples(tone.values * 3, RATE))
    write_media(folder / "film.mp4", frames=[np.zeros((32, 32, 3), np.uint8)] * 5)
    (folder / "broken.mp4").write_bytes(b"nothing that plays")
    names = ("soft.wav", "loud.wav", "broken.mp4", "film.mp4", "absent.wav")
    (folder / "label.csv").write_text("video_name,target\n" + "".join(f"{name},0\n" for name in names))
    return folder


def rows_of(path: Path) -> dict[str, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {row["video_name"]: row for row in csv.DictReader(file)}


def test_every_input_is_a_row_and_every_failure_has_a_reason(corpus: Path, net: Path, tmp_path: Path) -> None:
    summary = predict(corpus, model=net, out=tmp_path / "scores.csv", workers=1)

    rows = rows_of(tmp_path / "scores.csv")
    assert set(rows) == {"soft.wav", "loud.wav", "broken.mp4", "film.mp4", "absent.wav"}
    assert {name for name, row in rows.items() if row["status"] == "failed"} == {"broken.mp4", "film.mp4", "absent.wav"}
    assert all((row["y_pred"] == "") == (row["status"] == "failed") == bool(row["reason"]) for row in rows.values())
    assert "no sound" in rows["film.mp4"]["reason"]
    assert {score.name for score in summary.failures} == {"broken.mp4", "film.mp4", "absent.wav"}
    assert not list(tmp_path.glob(".scores*"))
    assert repr(summary) == f"PredictSummary({str(tmp_path / 'scores.csv')!r}, 5 clips, 3 without a score)"


def test_a_verdict_stands_beside_the_score_and_a_stranger_is_not_judged(tmp_path: Path, tone: Samples) -> None:
    """Louder is fake to this net; above 0.1 the band calls fake, but half a second of sound is less than it ever saw."""
    band = AbstentionBand(0.01, 0.1, 0.05, 0.05, 100, 100)
    decision = Decision(band, (), SeenRange(("sound_seconds",), (0.4,), (0.5,), 100))
    net = write_loudness_net(tmp_path / "net.onnx", metadata={"decision": decision.to_json()})
    folder = tmp_path / "corpus"
    folder.mkdir()
    write_media(folder / "usual.wav", sound=tone)
    write_media(folder / "short.wav", sound=Samples(tone.values[:, : RATE // 8], RATE))

    predict(folder, model=net, out=tmp_path / "scores.csv", workers=1)

    rows = rows_of(tmp_path / "scores.csv")
    assert {name: row["verdict"] for name, row in rows.items()} == {"usual.wav": "fake", "short.wav": "cannot tell"}
    assert float(rows["short.wav"]["y_pred"]) > 0.1
    assert rows["usual.wav"]["reason"] == ""
    assert "length of sound that is judged at once is 0.125 s" in rows["short.wav"]["reason"]
    assert rows["short.wav"]["status"] == "ok"
    assert {score.name: score.reason for score in read_scores(tmp_path / "scores.csv")}["short.wav"] == rows[
        "short.wav"
    ]["reason"]
    assert {score.verdict for score in read_scores(tmp_path / "scores.csv")} == {"fake", "cannot tell"}


def test_a_score_is_the_calibrated_mean_logit_over_windows(tmp_path: Path, tone: Samples) -> None:
    halves = np.concatenate([tone.values[:, : RATE // 2], 2 * tone.values[:, : RATE // 2]], axis=1)
    path = write_media(tmp_path / "halves.wav", sound=Samples(halves, RATE))
    calibration = Calibration(kind="platt", slope=0.5, intercept=0.25)
    network = Network(write_loudness_net(tmp_path / "net.onnx", metadata={"calibration": calibration.to_json()}))

    score = score_clip(Clip("halves", path), network)

    loudness = np.abs(tone.values).mean() * np.array([1, 2])
    wanted = 1 / (1 + np.exp(-(0.5 * (20 * loudness - 2).mean() + 0.25)))
    assert score.y_pred == pytest.approx(wanted, abs=1e-3)
    assert score.senses == {"voice": score.y_pred}


def test_a_stopped_job_goes_on_where_it_was(
    tmp_path: Path, tone: Samples, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in range(3):
        write_media(folder / f"{number}.wav", sound=Samples(tone.values * (number + 1), RATE))
    monkeypatch.setattr(detector, "CLIPS_PER_PART", 1)
    told: list[int] = []

    def stop_after_the_second(state: ClipsProgress) -> None:
        told.append(state.done)
        if state.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(folder, model=net, out=tmp_path / "scores.csv", workers=1, progress=stop_after_the_second)
    assert not (tmp_path / "scores.csv").exists()
    summary = predict(folder, model=net, out=tmp_path / "scores.csv", workers=1)
    fresh = predict(folder, model=net, out=tmp_path / "fresh.csv", workers=2)

    assert summary.resumed >= 1
    assert summary.scores == fresh.scores
    assert (tmp_path / "scores.csv").read_bytes() == (tmp_path / "fresh.csv").read_bytes()


def test_scores_are_not_taken_from_a_folder_that_somebody_else_laid(corpus: Path, net: Path, tmp_path: Path) -> None:
    def stop(_: ClipsProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(corpus, model=net, out=tmp_path / "scores.csv", workers=1, progress=stop)
    (kept,) = tmp_path.glob(".scores.csv.*.parts")
    assert kept.stat().st_mode & 0o777 == 0o700
    kept.rename(tmp_path / "planted")
    kept.symlink_to(tmp_path / "planted")

    with pytest.raises(SubmissionError, match="is a link or a file where results are kept"):
        predict(corpus, model=net, out=tmp_path / "scores.csv", workers=1)


def test_clips_that_came_or_changed_since_a_stop_leave_the_other_scores(
    tmp_path: Path, tone: Samples, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, out = tmp_path / "clips", tmp_path / "scores.csv"
    folder.mkdir()
    for number in (1, 3, 5):
        write_media(folder / f"{number}.wav", sound=Samples(tone.values * number, RATE))
    monkeypatch.setattr(detector, "CLIPS_PER_PART", 1)

    def stop_after_the_second(state: ClipsProgress) -> None:
        if state.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(folder, model=net, out=out, workers=1, progress=stop_after_the_second)
    write_media(folder / "0.wav", sound=tone)  # before all others
    write_media(folder / "3.wav", sound=Samples(tone.values * 2, RATE))

    summary = predict(folder, model=net, out=out, workers=1)
    fresh = predict(folder, model=net, out=tmp_path / "fresh.csv", workers=2)

    assert summary.resumed == 1  # of the two that were done one has changed
    assert [score.name for score in summary.scores] == ["0.wav", "1.wav", "3.wav", "5.wav"]
    assert summary.scores == fresh.scores
    assert not list(tmp_path.glob(".scores.csv*"))


def test_what_was_kept_is_of_the_same_files_and_a_damaged_part_is_scored_again(
    tmp_path: Path, tone: Samples, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "scores.csv"
    monkeypatch.setattr(detector, "CLIPS_PER_PART", 1)
    for folder, loud in (("a", 1), ("b", 3)):
        (tmp_path / folder).mkdir()
        for number in range(3):
            path = write_media(tmp_path / folder / f"{number}.wav", sound=Samples(tone.values * loud, RATE))
            os.utime(path, (0, 0))  # as unpacked archives have it: only the place differs

    def stop_at_the_third(state: ClipsProgress) -> None:
        if state.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict(tmp_path / "a", model=net, out=out, workers=1, progress=stop_at_the_third)
    (kept,) = tmp_path.glob(".scores.csv*")
    done = len(list(kept.glob("*.json")))  # the third may have been written just before the stop
    others = predict(tmp_path / "b", model=net, out=out, workers=1)
    first = min(kept.glob("*.json"))
    first.write_text(first.read_text()[:20])
    summary = predict(tmp_path / "a", model=net, out=out, workers=1)

    assert others.resumed == 0
    assert done >= 2
    assert summary.resumed == done - 1  # one of which was damaged
    assert summary.scores == predict(tmp_path / "a", model=net, out=tmp_path / "fresh.csv", workers=1).scores


def test_a_file_that_goes_while_it_is_asked_for_is_a_row(
    tmp_path: Path, tone: Samples, net: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "clips").mkdir()
    paths = [write_media(tmp_path / "clips" / f"{number}.wav", sound=tone) for number in range(2)]
    listed = detector.load_every_clip

    def gone(data: Path) -> Corpus:
        corpus = listed(data)
        paths[1].unlink()
        return corpus

    monkeypatch.setattr(detector, "load_every_clip", gone)
    summary = predict(tmp_path / "clips", model=net, out=tmp_path / "scores.csv", workers=1)

    assert [score.status for score in summary.scores] == ["ok", "failed"]


def test_a_run_without_an_export_says_how_to_get_one(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "voice"
    run.mkdir(parents=True)
    with pytest.raises(CheckpointError, match="is no run; give the folder"):
        find_network(run)
    (run / "best.safetensors").touch()
    with pytest.raises(CheckpointError, match="ffdv export"):
        find_network(run)
    (run / "model.onnx").touch()
    with pytest.raises(CheckpointError, match=r"is no run, but holds some; name one of them: voice$"):
        find_network(run.parent)
    with pytest.raises(CheckpointError, match="no such"):
        find_network(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("metadata", "says"),
    [
        ({"format_version": "7"}, "export format 7"),
        ({"calibration": json.dumps({"slope": "steep"})}, "damaged"),
        ({"sample_rate": "fast"}, "damaged"),
        ({"sample_rate": "0"}, "sample_rate is 0 Hz"),
        ({"sample_rate": "2000000000"}, "sample_rate is 2000000000 Hz"),
        ({"hop_seconds": "0"}, "hop_seconds is 0"),
        ({"hop_seconds": "0.00001"}, "hop_seconds is 1e-05"),
        ({"hop_seconds": "0.01", "window_seconds": "60"}, "too short for windows of 60 s"),
        ({"hop_seconds": "NaN"}, "hop_seconds is nan"),
        ({"window_seconds": "-1"}, "window_seconds is -1"),
        ({"window_seconds": "1e9"}, "window_seconds is 1000000000"),
        ({"window_seconds": '"a"'}, "window_seconds is 'a'"),
        ({"kind": '"<b>"'}, "kind is '<b>', not one of"),
        ({"recipe": "[]"}, "is no table"),
        ({"recipe": '{"loader": {"max_seconds": "long"}}'}, "max_seconds is 'long'"),
        ({"recipe": '{"loader": {"max_seconds": -1}}'}, "max_seconds is -1"),
        ({"recipe": "[" * 100_000}, "damaged"),
        ({"calibration": "[" * 100_000}, "damaged"),
    ],
)
def test_a_file_of_another_kind_or_version_is_refused(metadata: dict[str, str], says: str, tmp_path: Path) -> None:
    path = write_loudness_net(tmp_path / "odd.onnx", metadata=metadata)
    with pytest.raises(CheckpointError, match=says):
        Network(path)


def test_every_kind_that_a_file_may_have_can_be_asked() -> None:
    assert set(detector.SCORERS) == KINDS


def test_closely_overlapping_windows_are_not_all_held_at_once(tmp_path: Path, tone: Samples) -> None:
    path = write_media(tmp_path / "a.wav", sound=tone)
    network = Network(write_loudness_net(tmp_path / "close.onnx", metadata={"hop_seconds": "0.01"}))
    held: list[int] = []
    opinions = network.opinions
    network.opinions = lambda windows: (held.append(len(windows)), opinions(windows))[1]  # type: ignore[method-assign]

    score = score_clip(Clip("a", path), network)

    windows, _ = finish_sound(tone, rate=RATE, window_seconds=WINDOW_SECONDS, hop_seconds=0.01)
    assert max(held) <= 4 < sum(held) == len(windows)
    assert score.y_pred == pytest.approx(network.probability(20 * np.abs(windows).mean() - 2), abs=1e-3)


@pytest.mark.parametrize(("frames", "size"), [(8, [20_000, 20_000]), (0, [96, 96]), (8, []), (8, ["a"])])
def test_faces_of_a_size_that_cannot_be_are_refused(tmp_path: Path, frames: int, size: list[object]) -> None:
    recipe = json.dumps({"faces": {"frames": frames}, "model": {"picture_size": size}})
    network = Network(write_loudness_net(tmp_path / "faces.onnx", metadata={"kind": '"faces"', "recipe": recipe}))
    track = FaceTrack(
        0,
        np.zeros(1),
        np.zeros((1, 4), np.float32),
        np.zeros((1, 5, 2), np.float32),
        np.ones(1, np.float32),
        np.zeros((1, 96, 96, 3), np.uint8),
    )
    facts = MediaFacts(tmp_path / "a.mp4", 1, "mp4", 1.0, None, (), (), False, {}, ())

    with pytest.raises(CheckpointError, match="that can be; export the run again"):
        ask_faces(Features(facts, None, FacesSeen((track,), 1, 1, (96, 96)), {}, ()), network)


def test_what_is_no_onnx_file_is_refused_before_any_clip_is_read(corpus: Path, tmp_path: Path) -> None:
    fake = tmp_path / "model.onnx"
    fake.write_bytes(b"not a model")
    with pytest.raises(CheckpointError, match=r"model\.onnx"):
        predict(corpus, model=fake, out=tmp_path / "scores.csv")


def test_nothing_to_score_is_an_error(net: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError):
        predict(tmp_path / "empty", model=net, out=tmp_path / "scores.csv")


def test_a_long_clip_goes_piece_by_piece_through_a_net_of_whole_clips(tmp_path: Path, tone: Samples) -> None:
    path = write_media(tmp_path / "long.wav", sound=Samples(np.tile(tone.values, (1, 3)), RATE))
    metadata = {"window_seconds": "null", "recipe": json.dumps({"loader": {"max_seconds": 1.0}})}
    network = Network(write_loudness_net(tmp_path / "whole.onnx", metadata=metadata))
    heard: list[tuple[int, ...]] = []
    opinions = network.opinions
    network.opinions = lambda windows: (heard.append(windows.shape), opinions(windows))[1]  # type: ignore[method-assign]

    score_clip(Clip("long", path), network)

    assert heard == [(3, RATE)]


def test_a_score_of_a_beginning_says_so(net: Path, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sound = detector.SCORERS["sound"]
    short = replace(sound, spec=sound.spec.model_copy(update={"max_seconds": 0.6}))
    monkeypatch.setattr(detector, "SCORERS", {**detector.SCORERS, "sound": short})

    score = score_clip(Clip("soft.wav", corpus / "soft.wav"), Network(net))

    assert score.y_pred is not None
    assert score.reason == "looked at the first 0.6 seconds of the sound (max_seconds is 0.6)"
