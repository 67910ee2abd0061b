"""Scans that write into one report at once: every clip keeps its own verdict, and the lists hold them all."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from face_clips import voice
from stand_ins import stand_in_detector

from ffdv.app.show_scan import summary_lines
from ffdv.data.scores import read_scores
from ffdv.detect import own_names, shipped_scores
from ffdv.detect import scan as scanning
from ffdv.detect.own_names import apart, claimed
from ffdv.detect.scan import ScanJob, clips_of, scan, scan_clips
from ffdv.detect.shipped_scores import score_shipped
from ffdv.detect.told import base_of, page_name
from ffdv.errors import SubmissionError
from ffdv.media.write import write_media
from ffdv.records import Clip


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with clips of the same names, soft ones in A and loud ones in B."""
    folders = tmp_path / "A", tmp_path / "B"
    for folder, factor in zip(folders, (0.3, 2.5), strict=True):
        folder.mkdir()
        sound = voice(1.2)
        for name in ("x1.wav", "x2.wav"):
            write_media(folder / name, sound=replace(sound, values=np.float32(factor) * sound.values))
    return folders


def job(out: Path) -> ScanJob:
    return ScanJob(out, make=stand_in_detector)


def numbers(folder: Path, out: Path) -> dict[str, float | None]:
    summary = scan_clips(clips_of(folder).clips, job(out), workers=1)
    return {clip.name: clip.fake_probability for clip in summary.clips}


def test_two_scans_of_same_names_into_one_folder_keep_their_verdicts_apart(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pair
    alone = {folder: numbers(folder, tmp_path / f"alone-{folder.name}") for folder in pair}
    run_parts = scanning.run_parts
    second: list[dict[str, float | None]] = []

    def beside(*parts: Any, **how: Any) -> Any:
        monkeypatch.setattr(scanning, "run_parts", run_parts)
        second.append(
            numbers(theirs, tmp_path / "out")
        )  # begins and ends while the first has begun and written nothing
        yield from run_parts(*parts, **how)

    monkeypatch.setattr(scanning, "run_parts", beside)
    first = numbers(ours, tmp_path / "out")

    assert first == alone[ours]
    assert second == [{str(theirs / name): number for name, number in alone[theirs].items()}]
    scores = {score.name: score.y_pred for score in read_scores(tmp_path / "out" / "scores.csv")}
    assert scores == first | second[0]
    assert not list((tmp_path / "out" / "clips").glob(".*"))


@pytest.mark.slow
def test_processes_that_scan_into_one_folder_lose_nothing(pair: tuple[Path, Path], tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda folder: numbers(folder, tmp_path / "out"), pair))

    assert len(both[0] | both[1]) == 4
    assert len(read_scores(tmp_path / "out" / "scores.csv")) == 4


def test_a_result_that_another_scan_wrote_over_is_never_given_to_the_clip(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = pair
    run_parts = scanning.run_parts

    def overwritten(*parts: Any, **how: Any) -> Any:
        yield from run_parts(*parts, **how)
        path = base_of("x1.wav", tmp_path / "out").with_suffix(".json")
        told = json.loads(path.read_text(encoding="utf-8"))
        told["request"] |= {"file": str(theirs / "x1.wav"), "file_bytes": 1}
        path.write_text(json.dumps(told))

    monkeypatch.setattr(scanning, "run_parts", overwritten)
    summary = scan_clips(clips_of(ours).clips, job(tmp_path / "out"), workers=1)

    assert [(clip.name, clip.reason) for clip in summary.failures] == [
        ("x1.wav", "another scan wrote over its result; scan it again")
    ]
    assert any('"failed"' in line for line in summary_lines(summary))


def test_what_a_killed_scan_left_holds_the_name_for_the_same_clip_alone(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = (Clip("x1.wav", folder / "x1.wav") for folder in pair)
    (tmp_path / "clips").mkdir()
    claim = tmp_path / "clips" / f".{page_name('x1.wav')}.claim"
    claim.write_bytes(str(ours.path.resolve()).encode())

    with claimed([ours], tmp_path) as same, claimed([theirs], tmp_path) as other:
        assert (same[0].name, other[0].name) == ("x1.wav", str(theirs.path))
    claim.write_bytes(b"")  # of a scan that was killed before it had written whose it is
    monkeypatch.setattr(own_names, "PATIENCE_SECONDS", 0.01)
    with claimed([ours], tmp_path) as same:
        assert same[0].name == str(ours.path)
    claim.unlink()
    with claimed([ours], tmp_path) as same:
        assert (same[0].name, claim.is_file()) == ("x1.wav", True)
    assert not claim.exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="cannot write into"), claimed([Clip("a", tmp_path / "a")], tmp_path):
        pass


def test_a_clip_keeps_the_name_that_a_report_has_it_under(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "shipped_detector", stand_in_detector)
    for folder in pair:
        scan(folder / "x1.wav", out=tmp_path / "out")
    (pair[0] / "x1.wav").unlink()

    assert apart(Clip("x1.wav", pair[1] / "x1.wav"), tmp_path / "out").name == str(pair[1] / "x1.wav")


def test_a_result_that_comes_while_lists_are_written_is_listed_too(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "shipped_detector", stand_in_detector)
    listed, late = scanning._earlier, [pair[1] / "x2.wav"]

    def slow(*asked: Any) -> list[scanning.ScannedClip]:
        found = listed(*asked)
        if late:
            scan(late.pop(), out=tmp_path / "out")  # its lists are there before ours, which do not know it
        return found

    monkeypatch.setattr(scanning, "_earlier", slow)
    scan(pair[0] / "x1.wav", out=tmp_path / "out")

    assert len(read_scores(tmp_path / "out" / "scores.csv")) == 2


def test_a_row_of_scores_keeps_its_name_where_a_stopped_job_left_another_file_under_it(
    pair: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, loud = (folder / "x1.wav" for folder in pair)
    given, out = pair[0] / "given.wav", tmp_path / "s.csv"
    loud = loud.rename(pair[0] / "loud.wav")
    monkeypatch.setattr(shipped_scores.shutil, "rmtree", lambda *_, **__: None)  # as if the job had been stopped

    named = []
    for target in (soft, loud):
        given.unlink(missing_ok=True)
        given.symlink_to(target)
        named.append(score_shipped(pair[0], out=out, workers=1, make=stand_in_detector)[0])

    scores = [{one.name: one.y_pred for one in rows} for rows in named]
    assert scores[0]["given.wav"] != scores[1]["given.wav"]
    assert list(scores[1]) == [one.name for one in read_scores(out)]
