"""One clip or many: pages, JSON and scores that agree, resuming, and every odd file a verdict or one clear sentence."""

from __future__ import annotations

import csv
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from face_clips import RATE, speaking, voice, write_clip
from stand_ins import stand_in_detector

from ffdv.app.show_scan import show_summary, summary_lines
from ffdv.data.pool import ClipsProgress
from ffdv.data.scores import read_scores
from ffdv.detect import scan as scanning
from ffdv.detect.judging import CAUTION, Detector
from ffdv.detect.scan import ScanJob, ScanSummary, clips_of, page_of, scan, scan_clip, scan_clips
from ffdv.detect.scan_json import SCHEMA, verdict_json
from ffdv.detect.senses import SenseOpinion
from ffdv.detect.shipped_scores import score_shipped
from ffdv.detect.told import base_of, page_name, told_of
from ffdv.detect.verdict import Verdict
from ffdv.errors import ManifestError, MediaError, RecipeError, SubmissionError
from ffdv.media.write import write_media
from ffdv.records import Clip, Samples

ODD_MEDIA = Path(__file__).resolve().parents[3] / "shared" / "data" / "odd_media"
NAMES = ("quiet.wav", "a<b>&.wav", "sub/loud.wav")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "sub").mkdir(parents=True)
    for name, factor in zip(NAMES, (0.3, 1.0, 2.5), strict=True):
        sound = voice(1.5)
        write_media(data / name, sound=replace(sound, values=np.float32(factor) * sound.values))
    (data / "broken.mp4").write_bytes(b"not a film")
    return data


@pytest.fixture
def shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-ins in the place of the shipped senses, for this process."""
    monkeypatch.setattr(scanning, "shipped_detector", stand_in_detector)


def job(out: Path | None, **changes: object) -> ScanJob:
    return ScanJob(out, make=stand_in_detector, **changes)  # type: ignore[arg-type]


def scanned(data: Path, plan: ScanJob) -> scanning.ScanSummary:
    clips, unusable, _ = clips_of(data)
    return scan_clips(clips, plan, unusable=unusable, workers=1)


def test_a_single_file_that_needs_too_much_memory_is_one_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Greedy(Detector):
        def judge(self, *_: object, **__: object) -> Verdict:
            raise MemoryError

        def on_one_thread(self) -> Detector:
            return self

    monkeypatch.setattr(scanning, "shipped_detector", lambda: Greedy(()))
    (tmp_path / "clips").mkdir()

    with pytest.raises(MediaError, match="more memory than there is") as caught:
        scan(folder / "quiet.wav")
    in_a_batch = scan_clip(
        Clip("a", folder / "quiet.wav"), tmp_path, ScanJob(None, make=lambda: Greedy(())), pages=False
    )
    assert in_a_batch == caught.value.reason
    told = told_of("a", tmp_path)
    assert told is not None
    assert told.code == caught.value.code == "memory"


def test_a_folder_gives_pages_json_an_index_and_scores_that_agree(folder: Path, tmp_path: Path) -> None:
    summary = scanned(folder, job(tmp_path / "out"))

    assert [clip.name for clip in summary.clips] == ["sub/loud.wav", "a<b>&.wav", "quiet.wav", "broken.mp4"]
    assert [clip.name for clip in summary.failures] == ["broken.mp4"]
    index = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    scores = {score.name: score for score in read_scores(tmp_path / "out" / "scores.csv")}
    for clip in summary.clips[:3]:
        assert clip.page is not None
        assert clip.page.is_file()
        told = json.loads(clip.page.with_suffix(".json").read_text(encoding="utf-8"))
        assert told["fake_probability"] == clip.fake_probability == scores[clip.name].y_pred
        assert told["senses"]["voice"]["probability"] == scores[clip.name].senses["voice"]
        assert f'href="clips/{clip.page.name}"' in index
    assert scores["broken.mp4"].reason == summary.failures[0].reason
    assert "a&lt;b&gt;&amp;.wav" in index


def test_a_scan_goes_on_where_it_was_and_looks_again_at_what_changed(folder: Path, tmp_path: Path) -> None:
    first = scanned(folder, job(tmp_path / "out"))
    again = scanned(folder, job(tmp_path / "out"))
    write_media(folder / "quiet.wav", sound=voice(1.2))
    changed = scanned(folder, job(tmp_path / "out"))

    assert (first.resumed, again.resumed, changed.resumed) == (0, 3, 2)  # one failed, and is tried each time
    assert not any(
        scanning.is_done(clip, tmp_path / "out", job(tmp_path / "out", lang="zh")) for clip in clips_of(folder)[0]
    )
    assert [(c.name, c.fake_probability) for c in again.clips] == [(c.name, c.fake_probability) for c in first.clips]


@pytest.mark.parametrize(
    "table",
    ["video_name,target\nquiet.wav,0\n", "id,url\n1,http://x\n"],
    ids=["names one clip", "is of something else"],
)
def test_no_table_in_a_folder_hides_its_other_clips(folder: Path, table: str) -> None:
    (folder / "labels.csv").write_text(table)

    clips = clips_of(folder).clips

    assert sorted(clip.name for clip in clips) == sorted([*NAMES, "broken.mp4"])


def test_a_table_of_clips_to_judge_needs_no_labels(folder: Path) -> None:
    (folder / "template.csv").write_text("video_name,y_pred\nquiet.wav,\nsub/loud.wav,0.5\n")

    clips, unusable, _ = clips_of(folder / "template.csv")

    assert [clip.name for clip in clips] == ["quiet.wav", "sub/loud.wav"]
    assert unusable == {}


def test_clips_of_several_folders_are_named_by_their_folder(tmp_path: Path) -> None:
    for name in ("aa", "bb"):
        (tmp_path / name).mkdir()
        write_media(tmp_path / name / "clip.wav", sound=voice(1.2))

    clips, *_ = clips_of([tmp_path / "aa", tmp_path / "bb"])

    assert [clip.name for clip in clips] == ["aa/clip.wav", "bb/clip.wav"]


@pytest.mark.usefixtures("shipped")
def test_a_report_lists_all_that_was_ever_scanned_into_it(folder: Path, tmp_path: Path) -> None:
    for name in NAMES[:2]:
        scan(folder / name, out=tmp_path / "out")

    index = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert [score.name for score in read_scores(tmp_path / "out" / "scores.csv")] == ["a<b>&.wav", "quiet.wav"]
    assert all(f'href="clips/{page_name(name)}.html"' in index for name in NAMES[:2])


def test_files_of_one_name_from_two_folders_have_each_their_line(tmp_path: Path) -> None:
    for name in ("aa", "bb"):
        (tmp_path / name).mkdir()
        write_media(tmp_path / name / "clip.wav", sound=voice(1.2))

    scanned(tmp_path / "aa", job(tmp_path / "out"))
    scanned(tmp_path / "bb", job(tmp_path / "out"))
    again = scanned(tmp_path / "bb", job(tmp_path / "out"))

    other = str((tmp_path / "bb/clip.wav").resolve())
    assert {score.name for score in read_scores(tmp_path / "out" / "scores.csv")} == {"clip.wav", other}
    assert again.resumed == 1
    (tmp_path / "aa").rename(tmp_path / "cc")  # the same file elsewhere is no other
    assert scanned(tmp_path / "cc", job(tmp_path / "out")).resumed == 1


def test_a_file_that_changes_while_it_is_looked_at_gets_no_verdict(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = next(clip for clip in clips_of(folder)[0] if clip.name == "quiet.wav")
    plan = job(tmp_path / "out")
    (tmp_path / "out" / "clips").mkdir(parents=True)

    class Slow(Detector):
        def judge(self, path: Path | str, **how: Any) -> Verdict:
            verdict = stand_in_detector().judge(path, **how)
            write_media(Path(path), sound=voice(1.3))
            return verdict

    monkeypatch.setattr(scanning, "_detector", lambda _: Slow(()))

    reason = scanning.scan_clip(clip, tmp_path / "out", plan, pages=True)

    assert reason.startswith("the file changed while it was looked at")
    assert not scanning.is_done(clip, tmp_path / "out", plan)


def cut_short(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def put_another_in_its_place(path: Path) -> None:
    write_media(path.with_name("other.wav"), sound=voice(1.3)).replace(path)


def lead_elsewhere(path: Path) -> None:
    moved = path.rename(path.with_name("moved.wav"))
    path.symlink_to(moved)


@pytest.mark.parametrize("change", [cut_short, put_another_in_its_place, lead_elsewhere, Path.unlink])
def test_a_single_file_that_changes_while_it_is_looked_at_gets_no_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    clip = write_media(tmp_path / "clip.wav", sound=voice(1.5))

    class Slow(Detector):
        def judge(self, path: Path | str, **how: Any) -> Verdict:
            verdict = stand_in_detector().judge(path, **how)
            change(Path(path))
            return verdict

    monkeypatch.setattr(scanning, "shipped_detector", lambda: Slow(()))

    with pytest.raises(MediaError, match="changed while it was looked at") as caught:
        scan(clip, out=tmp_path / "out")
    assert caught.value.code == "changed"
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("shipped")
def test_a_page_never_holds_a_file_that_was_put_in_the_clips_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", seconds=1.0)
    (tmp_path / "secret").write_bytes(b"TOP-SECRET" * 30)
    asked = scanning._request(scanning.Clip("clip.mp4", clip), job(None))

    media_of = scanning._media_of

    def swapped(*given: Any) -> Any:
        clip.unlink()
        clip.symlink_to(tmp_path / "secret")
        return media_of(*given)

    monkeypatch.setattr(scanning, "_media_of", swapped)  # after it was judged, before the page is made
    scan(clip, out=tmp_path / "out")

    (page,) = (tmp_path / "out" / "clips").glob("*.html")
    assert "<video" not in page.read_text(encoding="utf-8")
    told = told_of("clip.mp4", tmp_path / "out")
    assert told is not None
    assert told.request == asked  # the JSON tells of the file that was judged, so the other one is not taken for done


@pytest.mark.usefixtures("shipped")
def test_a_report_from_before_pages_had_long_names_goes_on(folder: Path, tmp_path: Path) -> None:
    scanned(folder, job(tmp_path / "out"))
    for path in (tmp_path / "out" / "clips").iterdir():
        name, digest = path.stem.rsplit("-", 1)
        path.rename(path.with_name(f"{name}-{digest[:8]}{path.suffix}"))
    before = sorted((tmp_path / "out" / "clips").iterdir())

    again = scanned(folder, job(tmp_path / "out"))
    scan(folder / "quiet.wav", out=tmp_path / "out")

    assert again.resumed == 3
    assert sorted((tmp_path / "out" / "clips").iterdir()) == before
    index = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert all(f'"clips/{path.name}"' in index for path in before if path.suffix != ".json")


def test_names_that_once_shared_a_page_have_each_their_verdict(tmp_path: Path) -> None:
    names = {"a  !=+b.wav", "a % ,=b.wav"}
    (tmp_path / "data").mkdir()
    for name in names:
        write_media(tmp_path / "data" / name, sound=voice(1.2))

    summary = scanned(tmp_path / "data", job(tmp_path / "out"))
    scores, _ = score_shipped(tmp_path / "data", out=tmp_path / "s.csv", workers=1, make=stand_in_detector)

    assert {clip.name for clip in summary.clips} == {score.name for score in scores} == names
    assert len({clip.page for clip in summary.clips}) == 2


def test_what_a_stranger_laid_into_a_report_is_passed_over(folder: Path, tmp_path: Path) -> None:
    clips = tmp_path / "out" / "clips"
    clips.mkdir(parents=True)
    scanned(folder, job(tmp_path / "out"))
    ours = json.loads(base_of("quiet.wav", tmp_path / "out").with_suffix(".json").read_text(encoding="utf-8"))
    (clips / "deep.json").write_text('{"schema": "ffdv.scan/1", "x": ' + "[" * 100_000)
    (clips / "twin.json").write_text(json.dumps(ours))
    (clips / f"{page_name('other.wav')}.json").write_text(json.dumps({**ours, "name": "other.wav", "senses": []}))
    (clips / "endless.json").symlink_to("/dev/zero")
    os.mkfifo(clips / "pipe.json")

    again = scanned(folder, job(tmp_path / "out"))

    assert again.resumed == 3
    assert sorted(score.name for score in read_scores(tmp_path / "out" / "scores.csv")) == sorted(
        [*NAMES, "broken.mp4"]
    )


def test_predict_takes_no_results_from_a_folder_that_it_did_not_make(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "planted").mkdir()

    def planted(*_: object, **how: Any) -> Any:
        raise KeyboardInterrupt
        yield

    with monkeypatch.context() as stopped:
        stopped.setattr(scanning, "run_parts", planted)
        with pytest.raises(KeyboardInterrupt):
            score_shipped(folder, out=tmp_path / "s.csv", workers=1, make=stand_in_detector)
    (kept,) = tmp_path.glob(".s.csv.*.scans")
    assert kept.stat().st_mode & 0o777 == 0o700
    kept.rename(tmp_path / "planted" / "kept")
    kept.symlink_to(tmp_path / "planted" / "kept")

    with pytest.raises(SubmissionError, match="is a link"):
        score_shipped(folder, out=tmp_path / "s.csv", workers=1, make=stand_in_detector)


@pytest.mark.usefixtures("shipped")
def test_single_files_of_one_name_have_each_the_page_that_is_told(tmp_path: Path) -> None:
    for name in ("aa", "bb"):
        (tmp_path / name).mkdir()
        verdict = scan(write_media(tmp_path / name / "clip.wav", sound=voice(1.2)), out=tmp_path / "out")
        assert isinstance(verdict, Verdict)
        told = json.loads(page_of(verdict, tmp_path / "out").with_suffix(".json").read_text(encoding="utf-8"))
        assert told["request"]["file"] == str((tmp_path / name / "clip.wav").resolve())


@pytest.mark.usefixtures("shipped")
def test_threads_may_write_into_one_report(folder: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda name: scan(folder / name, out=tmp_path / "out"), NAMES * 2))

    assert len(read_scores(tmp_path / "out" / "scores.csv")) == 3


@pytest.mark.usefixtures("shipped")
def test_a_verdict_gives_its_json_and_a_line_about_itself(tmp_path: Path) -> None:
    verdict = scan(write_clip(tmp_path / "clip.mp4", seconds=1.0))

    assert isinstance(verdict, Verdict)
    assert verdict.to_json() == verdict_json(verdict, "clip.mp4")
    assert verdict.to_json(name="x", lang="zh")["language"] == "zh"
    assert "clip.mp4" in repr(verdict)
    assert len(repr(verdict)) < 300
    assert verdict == verdict  # noqa: PLR0124 -- arrays inside used to make this an error


def test_failures_have_a_code_and_lines_a_schema_of_their_own(folder: Path) -> None:
    (folder / "empty.mp4").touch()

    told = {line["name"]: line for line in map(json.loads, summary_lines(scanned(folder, job(None))))}

    assert {name: told[name].get("code") for name in ("broken.mp4", "empty.mp4", "quiet.wav")} == {
        "broken.mp4": "unreadable",
        "empty.mp4": "unreadable",
        "quiet.wav": None,
    }
    assert {line["schema"] for line in told.values()} == {"ffdv.scan-line/1"}


def test_a_folder_without_clips_among_others_is_a_row(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    clips, unusable, _ = clips_of([folder, tmp_path / "empty"])

    assert len(clips) == 4
    assert "holds no media files" in unusable[str(tmp_path / "empty")]


def test_a_damaged_stream_is_unlike_what_taught_and_widens_the_band(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mp4", seconds=2.0).read_bytes()
    broken, middle = bytearray(whole), len(whole) // 2
    broken[middle : middle + 2000 : 40] = bytes(len(broken[middle : middle + 2000 : 40]))
    (tmp_path / "broken.mp4").write_bytes(bytes(broken))

    verdicts = [stand_in_detector().judge(tmp_path / name) for name in ("whole.mp4", "broken.mp4")]

    assert [any(note.code == "damaged" for note in one.notes) for one in verdicts] == [False, True]
    assert [any("is damaged" in text for text in outside_of(one)) for one in verdicts] == [False, True]


def test_a_video_without_sound_that_is_cut_off_is_unlike_what_taught_and_widens_the_band(tmp_path: Path) -> None:
    whole = write_media(tmp_path / "whole.mp4", frames=speaking(4.0), container_options={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 7 // 10])

    verdicts = [stand_in_detector().judge(path) for path in (whole, cut)]

    assert [any(note.code == "truncated" for note in one.notes) for one in verdicts] == [False, True]
    assert [outside_of(one) for one in verdicts] == [[], ["the file seems cut off before its end"]]
    bands = [one.asked for one in verdicts]
    assert bands[0] is not None
    assert bands[1] == bands[0].widened(CAUTION)


def outside_of(verdict: Verdict) -> list[str]:
    return [text for one in verdict.opinions.values() if isinstance(one, SenseOpinion) for text in one.outside]


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_scan_that_is_stopped_leaves_a_list_of_what_is_done(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: BaseException
) -> None:
    def stopped_after_one(parts: list[Any], work: Any, **_: object) -> Any:
        work(parts[0], lambda *_: None)
        raise stop
        yield

    monkeypatch.setattr(scanning, "run_parts", stopped_after_one)

    with pytest.raises(type(stop)):
        scanned(folder, job(tmp_path / "out"))

    assert len(read_scores(tmp_path / "out" / "scores.csv")) == 1


def test_without_a_folder_nothing_is_left_behind(folder: Path) -> None:
    before = sorted(folder.rglob("*"))

    summary = scanned(folder, job(None))

    assert summary.out is None
    assert all(clip.page is None for clip in summary.clips)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.usefixtures("shipped")
def test_one_file_gives_its_verdict_and_a_page_that_holds_it(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", seconds=1.0)

    verdict = scan(clip, out=tmp_path / "out")

    assert isinstance(verdict, Verdict)
    (page,) = (tmp_path / "out" / "clips").glob("*.html")
    assert 'src="data:video/mp4;base64,' in page.read_text(encoding="utf-8")
    assert (tmp_path / "out" / "index.html").is_file()


def test_a_list_gives_a_summary_however_long_it_is(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "scan_clips", lambda clips, *_, **__: ScanSummary(tuple(clips), None, 0, 0.0))

    for names in (NAMES[:1], NAMES[:2]):
        found = scan([folder / name for name in names])
        assert isinstance(found, ScanSummary)
        assert [clip.name for clip in found.clips] == list(names)


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("nothing", ["nope.mp4", "empty", "nope\0.mp4"])
def test_a_list_of_one_that_cannot_be_used_is_a_row_as_among_others(tmp_path: Path, nothing: str) -> None:
    (tmp_path / "empty").mkdir()

    found = scan([tmp_path / nothing])

    assert [one.status for one in found.clips] == ["failed"]
    with pytest.raises((MediaError, ManifestError)):
        scan(tmp_path / nothing)


@pytest.mark.usefixtures("shipped")
def test_each_input_finds_its_row_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "run_parts", one_after_the_other)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "b").mkdir()
    for name in ("x.wav", "b/x.wav"):
        write_media(tmp_path / name, sound=voice(1.2))
    inputs = ["x.wav", "b/x.wav", Path("b/../x.wav"), "gone.wav", "b/x.wav"]

    found = scan(inputs)

    rows = {one.path: one for one in found.clips}
    assert len(rows) == len(found.clips) == 3
    assert [rows[Path(item).resolve()].status for item in inputs] == ["ok", "ok", "ok", "failed", "ok"]


def one_after_the_other(parts: Sequence[Any], work: Any, **_: object) -> list[Any]:
    """What the pool does, in this process."""
    for part in parts:
        work(part, lambda *_: None)
    return []


@pytest.mark.usefixtures("shipped")
def test_a_single_file_tells_of_its_progress_and_may_be_stopped_by_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ffdv.detect.looking.PIECE_SECONDS", 2.0)
    clip = write_media(tmp_path / "clip.wav", sound=voice(5.9))
    told: list[ClipsProgress] = []

    scan(clip, progress=told.append)

    assert [(one.done, one.total) for one in told] == [(0, 1)] * 4 + [(1, 1)]

    def stop(state: ClipsProgress) -> None:
        raise InterruptedError(state.total)

    with pytest.raises(InterruptedError):
        scan(clip, progress=stop, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("minutes", [np.int64(1), np.float32(0.02), Fraction(1, 50)])
def test_a_number_of_another_kind_is_a_number(tmp_path: Path, minutes: Any) -> None:
    clip = write_clip(tmp_path / "clip.mp4", seconds=1.5)

    verdict = scan(clip, max_minutes=minutes, out=tmp_path / "out")

    assert isinstance(verdict, Verdict)
    assert json.loads(json.dumps(verdict.to_json())) == verdict.to_json()


class Named:
    """A path that is no Path."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __fspath__(self) -> str:
        return str(self._path)


@pytest.mark.usefixtures("shipped")
def test_whatever_names_a_file_is_taken(tmp_path: Path) -> None:
    clip = Named(write_media(tmp_path / "clip.wav", sound=voice(1.2)))

    verdict = scan(clip, out=Named(tmp_path / "out"))

    assert isinstance(verdict, Verdict)
    assert verdict.path == tmp_path / "clip.wav"
    assert [one.path for one in clips_of([clip]).clips] == [tmp_path / "clip.wav"]


@pytest.mark.usefixtures("shipped")
def test_what_is_found_may_be_compared_and_shown(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", seconds=1.5)
    one, other = stand_in_detector().judge(clip), stand_in_detector().judge(clip)

    for part in ("timeline", "opinions", "evidence"):
        assert getattr(one, part) == getattr(one, part)
        assert getattr(one, part) != getattr(other, part)
    assert one.to_json() == other.to_json()
    assert len(repr(one.evidence)) < 6000
    many = tuple(scanning.ScannedClip(f"{number}.mp4", "ok", "fake", 0.9) for number in range(25))
    assert repr(ScanSummary(many, None, 0, 1.0)) == "ScanSummary(25 clips, 0 without a verdict, out=None)"


def test_what_a_terminal_leaves_out_is_said_to_be_in_the_list_that_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = tuple(scanning.ScannedClip(f"{number}.mp4", "ok", "fake", 0.9) for number in range(25))

    for out, said in ((None, "--out 文件夹 会列出全部"), (tmp_path, "index.html 列出全部")):
        show_summary(ScanSummary(clips, out, 0, 1.0), "zh")
        shown = capsys.readouterr().out
        assert f"……另有 5 段；{said}" in shown


@pytest.mark.usefixtures("shipped")
def test_requests_that_make_no_sense_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="en, zh"):
        scan(tmp_path, lang="fr")
    for senseless in (0, math.nan, math.inf, "5", None):
        with pytest.raises(RecipeError, match="max-minutes"):
            scan(tmp_path, max_minutes=senseless)  # type: ignore[arg-type]
    for senseless in (-1, 1.5):
        with pytest.raises(RecipeError, match="workers must be a whole number of at least 0"):
            scan(tmp_path / "nowhere.mp4", workers=senseless)  # type: ignore[arg-type]
    with pytest.raises(MediaError, match="nowhere"):
        scan(tmp_path / "nowhere.mp4")
    with pytest.raises(MediaError, match="no such file"):
        scan("x" * 5000 + ".mp4")
    for nothing in ("", " ", b"clip.mp4", None, [None], 3):
        with pytest.raises(ManifestError, match="nothing to scan"):
            scan(nothing)  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="out"):
        scan(tmp_path / "clip.mp4", out="")
    with pytest.raises(ManifestError):
        scan(tmp_path)  # an empty folder


def test_names_of_pages_are_plain_and_never_shared() -> None:
    names = [
        "a.mp4",
        "A.mp4",
        "a/b.mp4",
        "a-b.mp4",
        "--help.mp4",
        "\n",
        "😀",
        "x" * 244 + ".mp4",
        "../../etc.mp4",
        "a\udcff.mp4",
    ]

    pages = [page_name(name) for name in names]

    assert len(set(pages)) == len(names)
    for page in pages:
        assert page.isascii()
        assert page.replace("-", "").replace(".", "").replace("_", "").isalnum()
        assert not page.startswith((".", "-"))
        assert len(page) < 100


def test_json_has_every_field_that_its_description_names_and_no_other(tmp_path: Path) -> None:
    verdict = stand_in_detector().judge(write_clip(tmp_path / "clip.mp4", seconds=1.2))
    told = verdict_json(verdict, "clip.mp4")

    described = (Path(__file__).resolve().parents[2] / "docs" / "scan-json.md").read_text(encoding="utf-8")
    assert SCHEMA in described
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    for field in _fields(told):
        assert f"`{field}`" in described, field


def _fields(told: object) -> set[str]:
    """Every key of a nested value but those of free dictionaries."""
    if isinstance(told, list):
        return set().union(*map(_fields, told)) if told else set()
    if not isinstance(told, dict):
        return set()
    inner = [_fields(value) for key, value in told.items() if key not in {"numbers", "weights"}]
    return set(told).union(*inner)


def test_predict_without_a_model_has_a_column_for_each_sense_and_invents_none(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "scores.csv"

    scores, summary = score_shipped(folder, out=out, workers=1, make=stand_in_detector)

    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:7] == ["video_name", "y_pred", "voice", "picture", "agreement", "status", "reason"]
    assert [row["video_name"] for row in rows] == [clip.name for clip in clips_of(folder)[0]]
    assert {row["picture"] for row in rows} == {""}
    failed = [row for row in rows if row["status"] == "failed"]
    assert [row["video_name"] for row in failed] == ["broken.mp4"]
    assert failed[0]["y_pred"] == ""
    assert failed[0]["reason"]
    assert len(scores) == len(summary.clips) == 4
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_what_no_sense_could_judge_is_a_failed_row_with_the_reason(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    write_clip(data / "wall.mp4", seconds=1.0, sound=False, face=False)
    write_media(data / "click.wav", sound=Samples(voice(1.0).values[:, : RATE // 50], RATE))

    scores, _ = score_shipped(data, out=tmp_path / "scores.csv", workers=1, make=stand_in_detector)

    assert [(score.status, score.y_pred, score.verdict) for score in scores] == [("failed", None, "cannot tell")] * 2
    assert all("could be judged" in score.reason for score in scores)


def outcome_of(detector: Detector, name: str) -> tuple[dict[str, Any] | None, str]:
    """The verdict as JSON, or the sentence that stands for it."""
    try:
        return verdict_json(detector.judge(ODD_MEDIA / name, max_minutes=0.3), name), ""
    except MediaError as error:
        return None, str(error)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.skipif(
    not ODD_MEDIA.is_dir(), reason="the odd files (../shared/data/odd_media) are not beside the project"
)
def test_every_odd_file_gives_a_verdict_or_one_clear_sentence() -> None:
    detector = stand_in_detector().on_one_thread()
    with (ODD_MEDIA / "manifest.csv").open(encoding="utf-8", newline="") as file:
        names = [row["file"] for row in csv.DictReader(file)]

    for name in names:
        if name.startswith("generated/ckpt/"):
            continue
        began = time.monotonic()
        told, sentence = outcome_of(detector, name)
        if told is None:
            assert Path(name).name in sentence
            assert "\n" not in sentence
        else:
            json.dumps(told, allow_nan=False)
            assert told["reasons"]
        assert time.monotonic() - began < 60, name


def test_the_base_install_scans(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", seconds=1.2)
    absent = ("scipy", "torch", "torchvision", "sklearn", "pandas", "pyarrow", "timm", "matplotlib", "librosa", "onnx")
    code = f"""
import sys
for name in {absent!r}:
    sys.modules[name] = None
import ffdv
verdict = ffdv.scan({str(clip)!r}, out={str(tmp_path / "out")!r})
print(verdict.word, sorted(one.code for one in verdict.absent))
"""

    (tmp_path / "home").mkdir()
    home = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    home["HOME"] = str(tmp_path / "home")

    done = subprocess.run(
        [sys.executable, "-c", code], env=home, capture_output=True, text=True, check=False, timeout=120
    )

    assert list((tmp_path / "home").rglob("*")) == []  # neither ours nor what a library would report of us
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] in {"real", "fake", "cannot"}
    assert "No module" not in done.stdout


def test_files_that_a_folder_holds_beside_its_clips_are_told_in_either_language(tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    write_clip(folder / "a.mp4", seconds=0.6)
    (folder / "WA0003").write_bytes((folder / "a.mp4").read_bytes())

    told = {lang: scanning.scan(folder, lang=lang, workers=1) for lang in ("en", "zh")}

    assert isinstance(told["en"], scanning.ScanSummary)
    assert isinstance(told["zh"], scanning.ScanSummary)
    assert told["en"].skipped == (
        "1 files without a media suffix were not looked at ('WA0003'); name them in a table to have them read",
    )
    assert "'WA0003'" in told["zh"].skipped[0]
    assert "媒体后缀" in told["zh"].skipped[0]
