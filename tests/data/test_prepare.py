"""Every clip exactly once, whatever is killed when; every failure a row with a reason; the same bytes always."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ffdv.data.pool import ClipsProgress
from ffdv.data.prepare import ALL_SENSES, extract_spec, prepare, take_in_proportion
from ffdv.data.shards import open_shards
from ffdv.data.sources.drawn_face import draw_face
from ffdv.errors import ManifestError, RecipeError, ShardError
from ffdv.features.motion import VECTOR_NAMES
from ffdv.features.recipe import extract
from ffdv.media.write import write_media
from ffdv.records import Clip, Samples

MakeCorpus = Callable[..., Path]
WriteTable = Callable[..., Path]

SCRIPT = """
import sys
from ffdv.data.prepare import prepare
if __name__ == "__main__":
    prepare(sys.argv[1], out=sys.argv[2], workers=2)
"""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


def test_every_clip_is_a_row_in_the_corpuss_order_and_failures_have_a_reason(
    tmp_path: Path, tone_corpus: MakeCorpus
) -> None:
    data = tone_corpus(12)
    (data / "003.wav").write_bytes(b"no media at all")
    (data / "004.wav").write_bytes(b"")
    (data / "005.wav").unlink()

    summary = prepare(data, out=tmp_path / "out", workers=2)

    shards = open_shards(tmp_path / "out")
    assert shards.names == tuple(f"{number:03d}.wav" for number in range(12) if number != 5)
    assert [failure.name for failure in summary.failures] == ["003.wav", "004.wav"]
    assert "not readable" in summary.failures[0].reason
    assert "empty" in summary.failures[1].reason
    assert [problem.row for problem in summary.problems] == [7]
    assert (summary.clips, summary.resumed, summary.dry_run) == (11, 0, False)
    assert shards.index.problems == (summary.problems[0].text,)
    assert shards.group("method")[:3] == ("real", "vocoder1", "real")
    assert shards.splits[:3] == ("dev", "train", "train")
    for number in (0, 10):
        read, wanted = shards.features(number), extract(data / shards.names[number])
        assert (read.facts, read.probes, read.notes) == (wanted.facts, wanted.probes, wanted.notes)
        np.testing.assert_allclose(read.sound.values, wanted.sound.values, atol=2e-5)  # type: ignore[union-attr]


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path, tone_corpus: MakeCorpus) -> None:
    data = tone_corpus(40)

    for workers in (1, 3):
        prepare(data, out=tmp_path / str(workers), workers=workers)

    assert contents(tmp_path / "1") == contents(tmp_path / "3")
    assert len(contents(tmp_path / "1")) == 2 * 5


def test_a_lost_part_is_made_again_and_the_others_are_not_touched(tmp_path: Path, tone_corpus: MakeCorpus) -> None:
    data = tone_corpus(24)
    prepare(data, out=tmp_path / "out", workers=1)
    before, kept = contents(tmp_path / "out"), (tmp_path / "out/sound/00000.parquet").stat().st_mtime_ns
    (tmp_path / "out/light/00001.parquet").unlink()
    (tmp_path / "out/light/.00002.parquet.1-ab.part").write_bytes(b"left by a killed run")

    summary = prepare(data, out=tmp_path / "out", workers=1)

    assert summary.resumed == 16
    assert contents(tmp_path / "out") == before
    assert (tmp_path / "out/sound/00000.parquet").stat().st_mtime_ns == kept
    assert not list((tmp_path / "out").glob("**/*.part"))


def test_resuming_with_other_settings_or_clips_is_refused_with_the_cure(
    tmp_path: Path, tone_corpus: MakeCorpus
) -> None:
    data = tone_corpus(4)
    prepare(data, out=tmp_path / "out", workers=1)

    with pytest.raises(ShardError, match=r"sample_rate=22050.*now asked for sample_rate=16000.*another out"):
        prepare(data, out=tmp_path / "out", workers=1, sample_rate=16_000)
    with pytest.raises(ShardError, match="4 clips then, 3 now"):
        prepare(data, out=tmp_path / "out", workers=1, limit=3)


def test_a_changed_label_is_brought_up_to_date_and_nothing_decoded_again(
    tmp_path: Path, tone_corpus: MakeCorpus
) -> None:
    data = tone_corpus(24)
    prepare(data, out=tmp_path / "out", workers=1)
    before = contents(tmp_path / "out")
    table = data / "manifest.csv"
    table.write_text(table.read_text().replace("000.wav,0", "000.wav,1"))
    untouched = [tmp_path / "out" / part for part in ("sound/00000.parquet", "light/00001.parquet")]
    then = [path.stat().st_mtime_ns for path in untouched]

    summary = prepare(data, out=tmp_path / "out", workers=1)

    assert (summary.resumed, summary.relabelled) == (24, 1)
    assert open_shards(tmp_path / "out").labels[0] == 1
    assert [path.stat().st_mtime_ns for path in untouched] == then
    prepare(data, out=tmp_path / "fresh", workers=1)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh") != before
    assert prepare(data, out=tmp_path / "out", workers=1).relabelled == 0


def test_a_failed_clip_is_tried_again_on_request(tmp_path: Path, tone_corpus: MakeCorpus) -> None:
    data = tone_corpus(24)
    whole = (data / "009.wav").read_bytes()
    (data / "009.wav").write_bytes(bytes(len(whole)))
    assert [failure.name for failure in prepare(data, out=tmp_path / "out", workers=1).failures] == ["009.wav"]
    (data / "009.wav").write_bytes(whole)

    assert prepare(data, out=tmp_path / "out", workers=1).resumed == 24
    summary = prepare(data, out=tmp_path / "out", workers=1, retry_failed=True)

    assert (summary.resumed, summary.failures) == (16, ())
    prepare(data, out=tmp_path / "fresh", workers=1)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_a_full_disk_is_no_fault_of_the_clips(tmp_path: Path, tone_corpus: MakeCorpus) -> None:
    data = tone_corpus(16)
    code = f"""
import resource
from ffdv.data.prepare import prepare
if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, 4_000))
    prepare({str(data)!r}, out={str(tmp_path / "out")!r}, workers=2)
"""
    (tmp_path / "job.py").write_text(code)
    done = subprocess.run(
        [sys.executable, tmp_path / "job.py"], capture_output=True, text=True, check=False, timeout=120
    )

    assert "ShardError" in done.stderr
    assert "mend that and run the same command again, it resumes" in done.stderr
    assert prepare(data, out=tmp_path / "out", workers=1).failures == ()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, tone_corpus: MakeCorpus) -> None:
    data = tone_corpus(4)

    with pytest.raises(ShardError, match="not empty"):
        prepare(data, out=data, workers=1)


def test_two_at_once_in_one_folder_are_refused(tmp_path: Path, tone_corpus: MakeCorpus) -> None:
    import fcntl

    data = tone_corpus(4)
    (tmp_path / "out").mkdir()
    with (tmp_path / "out/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(ShardError, match="another prepare"):
            prepare(data, out=tmp_path / "out", workers=1)


def test_progress_ends_with_everything_and_never_goes_back(tmp_path: Path, tone_corpus: MakeCorpus) -> None:
    data = tone_corpus(24)
    (data / "007.wav").write_bytes(b"x")
    told: list[ClipsProgress] = []

    prepare(data, out=tmp_path / "out", workers=2, progress=told.append)

    done = [state.done for state in told]
    assert done == sorted(done)
    last = told[-1]
    assert (last.done, last.total, last.failures, last.eta_seconds) == (24, 24, 1, 0)
    assert last.clips_per_second > 0


def test_a_dry_run_writes_nothing_and_is_about_right(tmp_path: Path, tone_corpus: MakeCorpus) -> None:
    data = tone_corpus(60, seconds=1.0)

    guess = prepare(data, out=tmp_path / "out", workers=1, dry_run=True)

    assert guess.dry_run
    assert not (tmp_path / "out").exists()
    real = prepare(data, out=tmp_path / "out", workers=1)
    assert guess.clips == real.clips == 60
    assert guess.size_bytes == pytest.approx(real.size_bytes, rel=0.35)
    assert 0 < guess.seconds < 10 * real.seconds


def test_nothing_to_prepare_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(ManifestError):
        prepare(tmp_path / "data", out=tmp_path / "out")


def clips(counts: dict[tuple[int | None, str], int]) -> list[Clip]:
    keys = [key for key, count in counts.items() for _ in range(count)]
    return [Clip(f"{number}", Path(f"/{number}"), label, split) for number, (label, split) in enumerate(keys)]


@pytest.mark.parametrize("limit", [1, 3, 4, 10, 57, 99])
def test_a_limit_keeps_labels_and_splits_in_proportion(limit: int) -> None:
    counts = {(0, "train"): 28, (1, "train"): 52, (0, "val"): 7, (1, "val"): 13}
    every = clips(counts)

    taken = take_in_proportion(every, limit)

    found = Counter((clip.label, clip.split) for clip in taken)
    assert len(taken) == limit == len(set(taken_names := [clip.name for clip in taken]))
    assert taken_names == sorted(taken_names, key=int)
    assert all(abs(found[key] - count * limit / 100) <= 1 for key, count in counts.items())
    assert limit < 10 or set(found) == set(counts)


def test_a_larger_limit_holds_the_smaller_one() -> None:
    every = clips({(0, "train"): 40, (1, "train"): 60})

    sizes = [{clip.name for clip in take_in_proportion(every, limit)} for limit in (5, 20, 60, 200)]

    assert sizes[0] < sizes[1] < sizes[2] < sizes[3]
    assert len(sizes[3]) == 100


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        take_in_proportion(clips({(0, "train"): 4}), 0)


def marked_processes(mark: str) -> Iterator[int]:
    """Processes that were started with the mark in their environment, the dead ones not counted."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes() and ") Z " not in (folder / "stat").read_text():
                yield int(folder.name)
        except OSError:
            continue


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="counts processes by /proc")
def test_killed_at_any_moment_and_run_again_each_clip_is_there_once(tmp_path: Path, tone_corpus: MakeCorpus) -> None:
    """SIGKILL to the parent alone: its workers end by themselves at once, and what they were writing does no harm."""
    data, out, chance = tone_corpus(160, seconds=1.0), tmp_path / "out", random.Random(time.time_ns())  # noqa: S311 -- moments, not secrets
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    mark = f"FFDV_TEST_MARK={os.urandom(8).hex()}"
    environment = os.environ | dict([mark.split("=")])

    def parts_done() -> int:
        return len(list(out.glob("light/*.parquet")))

    killed = 0
    while killed < 3:
        process = subprocess.Popen([sys.executable, script, data, out], env=environment)
        before, moment = parts_done(), chance.uniform(0, 0.25)
        while process.poll() is None and parts_done() == before:
            time.sleep(0.005)
        time.sleep(moment)
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        process.wait()
        killed += 1
        deadline = time.monotonic() + 5
        while list(marked_processes(mark)) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert list(marked_processes(mark)) == []
        assert not (out / "shards.json").exists() or parts_done() <= 20
    subprocess.run([sys.executable, script, data, out], env=environment, check=True)

    assert killed
    assert open_shards(out).names == tuple(f"{number:03d}.wav" for number in range(160))
    assert not open_shards(out).failed.any()
    prepare(data, out=tmp_path / "whole", workers=2)
    assert contents(out) == contents(tmp_path / "whole")
    assert not list(out.glob("**/*.part"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by /proc")
def test_killed_workers_are_replaced_and_no_clip_is_lost(tmp_path: Path, tone_corpus: MakeCorpus) -> None:
    data, out, chance = tone_corpus(160, seconds=1.0), tmp_path / "out", random.Random(time.time_ns())  # noqa: S311 -- moments, not secrets
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    mark = f"FFDV_TEST_MARK={os.urandom(8).hex()}"
    process = subprocess.Popen([sys.executable, script, data, out], env=os.environ | dict([mark.split("=")]))

    killed = 0
    while process.poll() is None:
        time.sleep(chance.uniform(0, 0.1))
        busy = list(out.glob("light/*.parquet"))
        workers = [pid for pid in marked_processes(mark) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        if busy and workers and killed < 3:
            os.kill(chance.choice(workers), signal.SIGKILL)
            killed += 1

    assert process.returncode == 0
    assert killed
    assert open_shards(out).names == tuple(f"{number:03d}.wav" for number in range(160))
    assert open_shards(out).failed.sum() <= killed // 2, (
        "two kills may hit one clip, which is given up then; no more than that"
    )


def talking_clip(path: Path, *, frames: int = 30, face: bool = True) -> Path:
    """A drawn head that opens and closes its mouth before a grey ground, with a tone."""
    heads = [draw_face(120, mouth=mouth) for mouth in (0.0, 0.5, 1.0)]
    pictures = np.full((frames, 160, 160, 3), 120, np.uint8)
    if face:
        for number in range(frames):
            pictures[number, 20:140, 20:140] = heads[number // 3 % 3]
    tone = 0.3 * np.sin(2 * np.pi * 300 * np.arange(round(16_000 * frames / 25)) / 16_000)
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_media(path, frames=pictures, fps=25.0, sound=Samples(tone.astype(np.float32)[None], 16_000))


def test_a_talking_face_leaves_crops_movement_and_mouth_and_what_is_missing_is_counted_as_none(
    tmp_path: Path, write_tone: Callable[..., Path], write_table: Callable[..., Path]
) -> None:
    talking_clip(tmp_path / "data/a.mp4")
    talking_clip(tmp_path / "data/b.mp4", face=False)
    write_tone(tmp_path / "data/c.wav")
    write_table(tmp_path / "data/label.csv", [("file", "label"), ("a.mp4", 0), ("b.mp4", 1), ("c.wav", 1)])

    prepare(tmp_path / "data", out=tmp_path / "all", workers=1)
    prepare(tmp_path / "data", out=tmp_path / "sound", workers=1, senses=["voice"])

    shards = open_shards(tmp_path / "all")
    assert [number > 0 for number in shards.face_crops] == [True, False, False]
    assert [number > 0 for number in shards.mouth_frames] == [True, False, False]
    assert [number > 0 for number in shards.motion_numbers] == [True, True, False]
    assert [seconds > 0 for seconds in shards.sound_seconds] == [True, True, True]
    read, wanted = shards.features(0), extract(tmp_path / "data/a.mp4", extract_spec(ALL_SENSES))
    np.testing.assert_allclose(read.motion, wanted.motion, rtol=1e-6)
    assert wanted.mouth is not None
    assert read.mouth is not None
    np.testing.assert_array_equal(read.mouth.seconds, np.arange(30) / 25)
    assert np.abs(read.mouth.crops.astype(int) - wanted.mouth.crops).mean() < 2
    assert len(VECTOR_NAMES) == len(read.motion)  # type: ignore[arg-type]
    blind = open_shards(tmp_path / "sound")
    assert (blind.faces(0), blind.motion(0), blind.mouth(0)) == (None, None, None)
    assert not blind.face_crops.any()
    assert not (tmp_path / "sound/faces").exists()


def test_a_corpus_of_sounds_pays_nothing_for_pictures(tmp_path: Path, tone_corpus: MakeCorpus) -> None:
    prepare(tone_corpus(4), out=tmp_path / "out", workers=1)

    assert open_shards(tmp_path / "out").index.senses == ("sound",)
    assert open_shards(tmp_path / "out").index.extract.faces is None


def test_another_choice_of_senses_is_refused_and_an_unknown_one_named(tmp_path: Path, tone_corpus: MakeCorpus) -> None:
    data = tone_corpus(4)
    prepare(data, out=tmp_path / "out", workers=1)

    with pytest.raises(ShardError, match="prepared with senses=voice, now asked for senses=voice,motion;"):
        prepare(data, out=tmp_path / "out", workers=1, senses=["motion"])
    with pytest.raises(ManifestError, match="no sense 'smell'; the senses are voice, picture"):
        prepare(data, out=tmp_path / "out", workers=1, senses=["smell"])


@pytest.mark.slow
@pytest.mark.data
def test_the_shared_clips_are_prepared_without_a_failure(tmp_path: Path, shared_data: Path) -> None:
    summary = prepare(shared_data / "video/train", out=tmp_path / "out", senses=["voice"])

    shards = open_shards(tmp_path / "out")
    assert (summary.clips, summary.failures, summary.problems) == (239, (), ())
    assert int((shards.sound_seconds > 0).sum()) == 216
    assert set(shards.group("method")) == set(shards.group("generator"))


def test_clips_that_are_longer_than_what_is_read_are_named(tmp_path: Path, write_tone: Callable[..., Path]) -> None:
    write_tone(tmp_path / "data" / "long.wav", seconds=1.5)
    write_tone(tmp_path / "data" / "short.wav", seconds=0.5)

    summary = prepare(tmp_path / "data", out=tmp_path / "out", workers=1, max_seconds=1.0)

    assert summary.cut == ("long.wav",)
    assert open_shards(tmp_path / "out").sound_seconds.tolist() == pytest.approx([1.0, 0.5], abs=0.01)


def test_values_that_make_no_sense_are_refused_before_anything_is_written(
    tmp_path: Path, tone_corpus: MakeCorpus
) -> None:
    data, out = tone_corpus(4), tmp_path / "out"
    wrong: list[dict[str, Any]] = [
        {"workers": -1}, {"workers": -1, "dry_run": True}, {"limit": 0}, {"sample_rate": 0}, {"sample_rate": 8000.5}, {"max_seconds": -1},
        {"max_seconds": float("inf")}, {"max_seconds": 1e6}, {"sound_codec": "mp3"}, {"clip_timeout_seconds": 0},
    ]  # fmt: skip

    for keywords in wrong:
        with pytest.raises(RecipeError, match=next(iter(keywords))):
            prepare(data, out=out, **keywords)
    with pytest.raises(RecipeError, match="data is a list of 2; give one path"):
        prepare([data, data], out=out)  # type: ignore[arg-type]

    assert not out.exists()


def test_a_single_sense_is_a_word_and_not_its_letters(tmp_path: Path, tone_corpus: MakeCorpus) -> None:
    prepare(tone_corpus(4), out=tmp_path / "out", workers=1, senses="voice")

    assert open_shards(tmp_path / "out").index.senses == ("sound",)


@pytest.mark.parametrize("dry_run", [False, True])
def test_the_summary_says_how_many_clips_of_each_label_there_are(
    tmp_path: Path, write_tone: Callable[..., Path], write_table: WriteTable, dry_run: bool
) -> None:
    rows = [("file", "label"), ("a.wav", "0"), ("b.wav", "1"), ("c.wav", "1"), ("d.wav", "")]
    for name, _ in rows[1:]:
        write_tone(tmp_path / "corpus" / name)
    write_table(tmp_path / "corpus/manifest.csv", rows)

    summary = prepare(tmp_path / "corpus", out=tmp_path / "out", workers=1, dry_run=dry_run)

    assert summary.labels == (1, 2, 1)


def test_a_link_laid_in_the_locks_place_is_refused_and_its_target_left_alone(
    tmp_path: Path, tone_corpus: MakeCorpus
) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out/.lock").symlink_to(tmp_path / "precious")

    with pytest.raises(ShardError, match=r"\.lock: cannot be opened as a plain file"):
        prepare(tone_corpus(4), out=tmp_path / "out", workers=1)

    assert (tmp_path / "precious").read_text() == "precious"
