"""Stress: clips are compared with themselves, at a threshold fixed before they change; a stopped job goes on."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from stand_ins import BrightPicture, LoudVoice
from test_detector import write_loudness_net

from ffdv.augment.alterations import FAMILIES
from ffdv.detect import judges
from ffdv.detect.judges import DetectorJudge, find_judge, hold, write_held
from ffdv.detect.judging import Detector
from ffdv.detect.own_files import own_folder
from ffdv.detect.stress import _SHIPPED, Item, _choose, _first_failure, _limited, _StressPart, stress
from ffdv.detect.stress_page import CHINESE, ENGLISH, Words, as_html, as_png, findings
from ffdv.detect.stress_table import OVERALL, UNALTERED, WORDS, Answers, StressTable, tabulate
from ffdv.detect.words import say
from ffdv.errors import CheckpointError, ManifestError, RecipeError, SubmissionError
from ffdv.media.read import open_media, read_frames, read_samples
from ffdv.media.write import write_media
from ffdv.records import Clip, Samples
from ffdv.sentences import Sentence, worded
from visible import english_sentences, visible_texts

RATE = 16_000


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Ten soft real tones and ten louder fakes of five people, one of them broken."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    seconds = np.arange(RATE // 2) / RATE
    lines = ["file,label,identity"]
    for number in range(20):
        fake = number % 2
        level = (0.12 if fake else 0.06) + 0.002 * number
        values = (level * np.sin(2 * np.pi * 300 * seconds)).astype(np.float32)
        write_media(folder / f"{number:02d}.wav", sound=Samples(values[None], RATE))
        lines.append(f"{number:02d}.wav,{fake},person{number // 4}")
    (folder / "20.wav").write_bytes(b"nothing that plays")
    lines.append("20.wav,0,person9")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def table_of(answers: Answers) -> StressTable:
    rows, thresholds = tabulate(answers, wanted=0.05, resamples=200)
    return StressTable("run", "data", "all labelled clips", 0.05, thresholds, "", rows, 10.0, 0.1)


def answers_of(num: int = 60, *, shift: float = 0.3) -> Answers:
    """Scores of half real and half fake clips; under `opus` the reals rise by `shift`; `gain` changes nothing."""
    labels = np.arange(num) % 2
    plain = np.clip(np.random.default_rng(0).normal(0.3 + 0.4 * labels, 0.12), 0.0, 1.0)
    harmed = np.clip(plain + shift * (labels == 0), 0.0, 1.0)
    return Answers(
        labels,
        None,
        {
            (UNALTERED, ""): {OVERALL: plain},
            ("opus", "8 kbit/s"): {OVERALL: harmed},
            ("gain", "6 dB louder"): {OVERALL: plain},
        },
    )


def test_the_threshold_stays_where_unaltered_reals_put_it_and_changes_are_paired() -> None:
    table = table_of(answers_of())
    plain, opus, gain = table.rows

    assert plain.false_alarms.value <= 0.05
    assert opus.false_alarms.value > 0.3
    assert opus.false_alarms_change.value == pytest.approx(opus.false_alarms.value - plain.false_alarms.value)
    assert opus.auc_change.high < 0
    assert opus.hits == plain.hits
    assert gain.auc_change.value == gain.auc_change.low == gain.auc_change.high == 0.0
    assert not gain.auc_change.significant


def test_clips_that_fail_under_an_alteration_are_counted_and_left_out_of_its_pair() -> None:
    answers = answers_of()
    answers.by_alteration["opus", "8 kbit/s"][OVERALL][:10] = np.nan

    _, opus, _ = table_of(answers).rows

    assert (opus.num_real, opus.num_fake, opus.num_failed) == (25, 25, 10)


def test_verdicts_are_counted_for_each_class_beside_the_fixed_threshold() -> None:
    answers = answers_of()
    words = np.where(answers.labels == 1, "fake", "cannot tell")
    harmed = words.copy()
    harmed[:6] = "fake"  # three real clips among them
    harmed[-1] = ""  # a clip that could not be judged under the alteration
    answers.by_alteration["opus", "8 kbit/s"][OVERALL][-1] = np.nan
    verdicts = {(UNALTERED, ""): words, ("opus", "8 kbit/s"): harmed, ("gain", "6 dB louder"): words}
    table = table_of(replace(answers, verdicts=verdicts))

    plain, opus, _ = table.rows

    assert (plain.called.real, plain.called.fake) == ((0, 30, 0), (30, 0, 0))
    assert (opus.called.real, opus.called.fake) == ((3, 27, 0), (29, 0, 0))
    assert findings(table)[-1].startswith(
        "By the verdict: 0 of 30 real clips are called fake as they are; most, 3 of 30,"
    )
    assert dict(zip(table.headings(), table.cells()[1], strict=True))["real_called_cannot_tell"] == "27"
    assert "未发现伪造迹象" in as_html(table, lang="zh")
    assert "What the verdict says" not in as_html(table_of(answers))  # a model without thresholds


def test_too_few_clips_give_no_number_rather_than_a_bad_one() -> None:
    answers = answers_of()
    answers.by_alteration["opus", "8 kbit/s"][OVERALL][8:] = np.nan

    _, opus, _ = table_of(answers).rows

    assert opus.auc is None
    assert "–" in as_html(table_of(answers))


def test_the_page_stands_alone_in_both_languages_and_names_the_worst() -> None:
    table = replace(table_of(answers_of()), model="<script>x</script>")

    english, chinese = as_html(table), as_html(table, lang="zh")

    for page in (english, chinese):
        assert not re.search(r"https?://|<script", page)
    assert "Opus 8 kbit/s" in findings(table)[1]
    assert "固定阈值" in chinese
    assert len(Image.open(BytesIO(as_png(table))).size) == 2
    with pytest.raises(RecipeError, match="en, zh"):
        as_html(table, lang="xx")


def test_a_chinese_page_holds_no_english_sentence() -> None:
    part = Sentence(
        "{part}, {kept} of {total} clips drawn by seed {seed}",
        part=Sentence("the run's test part"),
        kept=40,
        total=60,
        seed=0,
    )
    failed = [("a.wav", "opus", "8 kbit/s", "", "failed", "the sound is silent")]  # as scores.csv has it
    warnings = (_SHIPPED, _first_failure(failed))
    table = replace(table_of(answers_of()), part=part, warnings=warnings)

    shown = visible_texts(as_html(table, lang="zh"))

    assert english_sentences(shown) == []
    assert any("该次训练的测试部分，从 60 个片段中按种子 0 抽取 40 个" in text for text in shown)
    assert "第一个是 a.wav，opus 8 kbit/s：声音完全无声" in shown


def test_every_family_and_named_level_has_a_chinese_word() -> None:
    levels = [one.level for rows in FAMILIES.values() for one in rows]
    named = {level for level in levels if not re.search(r"\d", level)}
    words = {word for level in levels if level not in named for word in re.findall(r"[A-Za-z]{4,}|SNR", level)}

    assert set(FAMILIES) == set(CHINESE.families)
    assert named | words - {"kbit"} == set(CHINESE.levels)
    assert set(ENGLISH.senses) == set(CHINESE.senses)


def test_half_of_the_drawn_clips_are_fake_and_the_draw_is_repeatable() -> None:
    items = [Item(Clip(f"{number}", Path("x"), int(number < 20))) for number in range(100)]

    part = Sentence("all labelled clips")

    kept, said = _limited(items, 40, 1, part=part)

    assert sum(item.clip.label for item in kept) == 20
    assert [item.clip.name for item in kept] == [item.clip.name for item in _limited(items, 40, 1, part=part)[0]]
    assert said == "all labelled clips, 40 of 100 clips drawn by seed 1"
    assert worded(said, "zh") == "全部有标签的片段，从 100 个片段中按种子 1 抽取 40 个"
    assert len(_limited(items, 60, 1, part=part)[0]) == 60  # all fakes, the rest reals


@pytest.mark.slow
def test_the_whole_road_writes_every_file_and_a_stopped_job_goes_on(corpus: Path, tmp_path: Path) -> None:
    net = write_loudness_net(tmp_path / "net.onnx", metadata={"window_seconds": "null"})
    out = tmp_path / "out"

    numbers: Any = {"max_seconds": np.float32(10), "false_alarms": np.float32(0.1)}  # numpy's are numbers too
    table = stress(model=net, data=corpus, out=out, only=("gain", "trim"), workers=1, resamples=100, **numbers)

    quieter = next(row for row in table.rows if row.level == "20 dB quieter")
    assert quieter.auc.value == table.unaltered(OVERALL).auc.value == 1.0  # the order stays,
    assert quieter.hits.value == 0.0  # the threshold too
    assert table.groups_by == "identity"
    assert {path.name for path in out.iterdir()} == {
        "stress.csv",
        "stress.json",
        "stress.html",
        "stress.png",
        "scores.csv",
    }
    rows = list(csv.DictReader((out / "scores.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 21 * 8
    broken = [row for row in rows if row["clip"] == "20.wav"]
    assert {row["status"] for row in broken} == {"failed"}
    assert all(row["reason"] for row in broken)
    assert "8 of 168 scores failed" in table.warnings[-1]
    assert json.loads((out / "stress.json").read_text())["version"] == 1


def test_a_part_that_is_there_is_not_judged_again(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = write_loudness_net(tmp_path / "net.onnx")
    done: list[int] = []

    def run_here(parts, work, **_):  # noqa: ANN001, ANN003, ANN202 -- the pool without processes; stops after a part
        for part in parts:
            work(part, lambda *_: None)
            done.append(part.number)
            if len(done) == 2:
                raise KeyboardInterrupt
        return iter(())

    monkeypatch.setattr("ffdv.detect.stress.run_parts", run_here)
    settings = {"model": net, "data": corpus, "only": ("gain",), "resamples": 50}
    with pytest.raises(KeyboardInterrupt):
        stress(out=tmp_path / "out", **settings)
    stress(out=tmp_path / "out", **settings)

    assert done == [0, 1, 2, 3, 4, 5]


def test_clips_of_one_class_are_refused(tmp_path: Path, tone: Samples) -> None:
    write_media(tmp_path / "a.wav", sound=tone)
    (tmp_path / "labels.csv").write_text("file,label\na.wav,1\n")

    with pytest.raises(ManifestError, match="one class only"):
        stress(model=write_loudness_net(tmp_path / "net.onnx"), data=tmp_path / "labels.csv", out=tmp_path / "out")


def test_clips_without_labels_that_were_never_prepared_are_not_to_be_prepared_again(
    tmp_path: Path, tone: Samples
) -> None:
    (tmp_path / "clips").mkdir()
    write_media(tmp_path / "clips" / "a.wav", sound=tone)

    with pytest.raises(ManifestError, match="no clip has a label; give its folder a label table") as caught:
        stress(model=write_loudness_net(tmp_path / "net.onnx"), data=tmp_path / "clips", out=tmp_path / "out")

    assert "prepare" not in str(caught.value)


def test_results_are_not_taken_from_a_folder_that_somebody_else_laid(corpus: Path, tmp_path: Path) -> None:
    settings = {"model": write_loudness_net(tmp_path / "net.onnx"), "data": corpus, "only": ("gain",), "workers": 1}
    (tmp_path / "out").mkdir()
    (tmp_path / "planted").mkdir()
    made: list[Path] = []

    def laid_before(path: Path) -> Path:
        made.append(path)
        path.symlink_to(tmp_path / "planted")
        return own_folder(path)

    with pytest.MonkeyPatch.context() as swapped:
        swapped.setattr("ffdv.detect.stress.own_folder", laid_before)
        with pytest.raises(SubmissionError, match="is a link"):
            stress(out=tmp_path / "out", **settings)  # type: ignore[arg-type]

    assert made[0].parent == tmp_path / "out"


def test_clips_that_a_run_was_trained_on_are_left_out(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    write_loudness_net(run / "model.onnx")
    parts = [(f"{number:02d}.wav", "train" if number < 8 else "test") for number in range(20)]
    (run / "parts.csv").write_text("name,part\n" + "".join(f"{name},{part}\n" for name, part in parts))

    chosen = _choose(corpus, find_judge(run), run, None)

    assert {item.clip.name for item in chosen.items} == {name for name, part in parts if part == "test"}
    assert chosen.part == "the run's test part"


def test_a_held_clip_survives_its_file_without_loss(tmp_path: Path, tone: Samples) -> None:
    frames = [np.random.default_rng(k).integers(0, 255, (64, 80, 3), np.uint8) for k in range(10)]
    film = write_media(tmp_path / "film.mp4", sound=tone, frames=frames, fps=25, video_options={"crf": "0"})
    held = hold("film", film, looks_at=frozenset(("sound", "picture")), max_seconds=10.0)

    copy = write_held(held, tmp_path)

    with open_media(film) as first, open_media(copy) as second:
        seen, again = ([frame.pixels for frame in read_frames(media)] for media in (first, second))
        heard, heard_again = (read_samples(media) for media in (first, second))
    assert np.array_equal(np.stack(seen), np.stack(again))
    assert heard.values.shape[1] == pytest.approx(heard_again.values.shape[1], abs=2048)
    assert np.abs(heard.values[:, :8000] - heard_again.values[:, :8000]).max() < 1e-4


def test_the_whole_detector_judges_altered_pictures_and_sound(
    tmp_path: Path, tone: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = write_media(tmp_path / "film.mp4", sound=tone, frames=[np.full((64, 64, 3), 90, np.uint8)] * 25)
    monkeypatch.setattr(judges, "_detector", lambda: Detector([LoudVoice(), BrightPicture()], threads=1))
    altered = (FAMILIES["gain"][1], FAMILIES["resize"][1], FAMILIES["speed"][3])
    part = _StressPart(DetectorJudge(), altered, None, tmp_path, 10.0, 0)

    plain, quiet, small, fast = (score for _, score, _ in part._scores(Item(Clip("film", film, 0))))

    assert {plain.verdict, quiet.verdict} <= set(WORDS)
    assert plain.senses["voice"] == pytest.approx(3 * 0.3 / np.sqrt(2), abs=0.05)
    assert quiet.senses["voice"] == pytest.approx(plain.senses["voice"] / 10, abs=0.02)
    assert small.senses["voice"] == pytest.approx(plain.senses["voice"], abs=0.02)
    assert "picture" not in plain.senses  # a grey wall shows no face
    assert fast.status == "ok"


def test_each_kind_of_net_is_altered_in_what_it_looks_at(tmp_path: Path) -> None:
    sound = write_loudness_net(tmp_path / "sound.onnx")
    faces = write_loudness_net(tmp_path / "faces.onnx", metadata={"kind": '"faces"'})

    assert find_judge(sound).looks_at == {"sound"}
    assert find_judge(faces).looks_at == {"picture"}


def test_a_net_that_reads_files_gives_a_reason_where_there_is_no_face(tmp_path: Path) -> None:
    film = write_media(tmp_path / "film.mp4", frames=[np.full((64, 64, 3), 90, np.uint8)] * 10)
    judge = find_judge(write_loudness_net(tmp_path / "faces.onnx", metadata={"kind": '"faces"'}))
    part = _StressPart(judge, (FAMILIES["blur"][0],), None, tmp_path, 10.0, 0)

    plain, soft = (score for _, score, _ in part._scores(Item(Clip("film", film, 0))))

    assert plain.status == soft.status == "failed"
    assert "face" in plain.reason


def test_the_shipped_detector_comes_with_a_warning_of_what_it_may_have_seen(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_here(parts, work, **_):  # noqa: ANN001, ANN003, ANN202 -- the pool without processes
        for part in parts:
            work(part, lambda *_: None)
        return iter(())

    monkeypatch.setattr("ffdv.detect.stress.run_parts", run_here)
    monkeypatch.setattr(judges, "_detector", lambda: Detector([LoudVoice()], threads=1))

    table = stress(data=corpus, out=tmp_path / "out", only=("gain",), limit=16, resamples=50)

    assert "trained on" in table.warnings[0]
    assert "本软件包自带的检测器" in as_html(table, lang="zh")
    assert "the detector of this package" in as_html(table)
    assert table.unaltered(OVERALL).auc.value == 1.0


def test_a_net_that_judges_no_clips_is_refused_at_once(tmp_path: Path) -> None:
    net = write_loudness_net(tmp_path / "odd.onnx", metadata={"kind": '"taste"'})

    with pytest.raises(CheckpointError, match=r"'taste'.*sound"):
        find_judge(net)


def called_of(plain: str, harmed: str) -> StressTable:
    """Every real clip gets one word as it is, another under Opus; fakes are called fake."""
    answers = answers_of(shift=0.0)
    before, after = (np.where(answers.labels == 1, "fake", word) for word in (plain, harmed))
    verdicts = {(UNALTERED, ""): before, ("opus", "8 kbit/s"): after, ("gain", "6 dB louder"): before}
    return table_of(replace(answers, verdicts=verdicts))


@pytest.mark.parametrize(("words", "lang"), [(ENGLISH, "en"), (CHINESE, "zh")])
def test_no_alteration_is_blamed_for_what_it_did_not_do(words: Words, lang: str) -> None:
    calm, harmed = (findings(called_of("cannot tell", word), words) for word in ("cannot tell", "fake"))

    assert "Opus" not in calm[-1]
    assert "Opus" in harmed[-1]
    assert words.steady in calm
    assert len(calm) == 3, "that nothing is worse is said once"


def test_verdicts_are_told_apart_without_colour_and_numbers_are_read_on_theirs() -> None:
    page = as_html(called_of("cannot tell", "fake"))

    pieces = re.findall(r'aria-hidden="true">(.)</span><span class="unseen">([^<]+)</span> (\d+)', page)
    assert {(mark, word) for mark, word, _ in pieces} == {("▲", "probably fake"), ("◆", "cannot tell")}
    assert not re.search(r'<td style="background[^>]*>[^<]*<span class="soft">', page)
    assert re.findall(r"<th(?! scope)[ >]", page) == []
    assert page.count("<thead>") == 2


def test_lips_have_one_name_on_all_pages() -> None:
    assert ENGLISH.senses["agreement"] == say("agreement")
    assert CHINESE.senses["agreement"] == say("agreement", "zh")
    assert all(words.verdicts["fake"].casefold() == say("word_fake", lang) for words, lang in ((ENGLISH, "en"), (CHINESE, "zh")))  # fmt: skip
    assert '<html lang="zh-CN">' in as_html(table_of(answers_of()), lang="zh")
