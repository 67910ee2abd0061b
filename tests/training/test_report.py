"""The evaluation report: one page that stands alone and a card from the same numbers, whatever clips are called."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_corpus import corpus_clips, write_shards

from ffdv.data.audit_words import REMEDIES
from ffdv.data.seen import PARTS
from ffdv.data.shards import Shards, open_shards
from ffdv.errors import MetricError, RecipeError
from ffdv.media.write import write_media
from ffdv.metrics.calibration import Calibration
from ffdv.metrics.decision import fit_decision
from ffdv.metrics.uncertainty import FEWEST_GROUPS
from ffdv.models.checkpoint import CheckpointHeader
from ffdv.page import HTML_LANGUAGES
from ffdv.records import FacesSeen, FaceTrack, Samples
from ffdv.sentences import Sentence, joined
from ffdv.training.engine import ScoredClips
from ffdv.training.evaluate import (
    NUMBERS,
    EvaluationTable,
    Neutralised,
    TableNames,
    _clips_of,
    tabulate,
)
from ffdv.training.localising import Localisation
from ffdv.training.mistakes import MOST_FILM_BYTES, MOST_SECONDS, show_mistakes, spectrogram_png, surest_mistakes
from ffdv.training.model_card import as_markdown
from ffdv.training.report import JudgedClips, ReportData, gather, source_rows, write_report
from ffdv.training.report_page import as_html
from ffdv.training.report_words import CHINESE, CHINESE_NAMES, CHINESE_TERMS, ENGLISH, NAMES
from visible import english_sentences, visible_texts

HOSTILE = "clip000<img src=x onerror=alert(1)>|`.wav"


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Shards:
    clips = corpus_clips(48)
    clips[0] = replace(clips[0], name=HOSTILE, groups={**clips[0].groups, "source_repo": HOSTILE})
    return open_shards(write_shards(tmp_path_factory.mktemp("report") / "shards", clips))


def opinions(shards: Shards) -> ScoredClips:
    """A net that is mostly right, and sure that clip 0 (real) is fake and clip 1 (fake) is real."""
    labels = shards.labels
    logits = 2.0 * (2 * labels - 1) + np.random.default_rng(0).normal(0, 1.5, len(labels))
    logits[0], logits[1] = 9.0, -9.0
    return ScoredClips(shards.names, labels, logits, 1 / (1 + np.exp(-logits)))


def table_of(shards: Shards, **changes: object) -> tuple[EvaluationTable, JudgedClips]:
    scored, calibration = opinions(shards), Calibration()
    decision = fit_decision(scored.labels, scored.scores)
    table = tabulate(
        scored,
        shards,
        calibration=calibration,
        decision=decision,
        by="method",
        names=TableNames("runs/" + HOSTILE, "data", "all labelled clips"),
        resamples=50,
    )
    clips = _clips_of(scored, shards, calibration, 50)
    return replace(table, **changes), JudgedClips(clips.where, clips.labels, clips.logits, clips.scores, clips.groups)


@pytest.fixture(scope="module")
def data(shards: Shards) -> ReportData:
    table, clips = table_of(shards)
    header = CheckpointHeader(
        recipe={
            "name": "tiny",
            "about": "a test",
            "front_end": {"sample_rate": 8000},
            "loader": {"window_seconds": 0.4},
        },
        provenance={
            "ffdv": "0.1.0",
            "device": "cpu",
            "written": "2026-11-25T00:00:00",
            "data": {"name": "x/shards", "clips": {"train": 36}},
        },
        decision=json.loads(fit_decision(clips.labels, clips.scores).to_json()),
    )
    return gather(table, clips, shards, header, by_group={"method": table.rows[1:]}, resamples=50)


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_page_stands_alone_and_names_are_text(data: ReportData, lang: str) -> None:
    page = as_html(data, lang=lang)

    assert not re.search(r"https?://|<script|<link|<img src=x", page)
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    assert f'<html lang="{HTML_LANGUAGES[lang]}">' in page
    assert page.count("<svg") >= 7 + 2 + len(data.by_group["method"])


def test_both_languages_have_the_same_words_and_the_same_places_for_numbers() -> None:
    assert ENGLISH.keys() == CHINESE.keys()
    for key, text in ENGLISH.items():
        places = [sorted(re.findall(r"%(?:\.\d)?[sdgf]|%%(?! ?[a-z])", each)) for each in (text, CHINESE[key])]
        assert [place for place in places[0] if place != "%%"] == [place for place in places[1] if place != "%%"], key
    with pytest.raises(RecipeError, match="en, zh"):
        as_html.__globals__["words"]("xx")


def test_every_measure_remedy_shortcut_and_part_has_a_chinese_name() -> None:
    assert set(CHINESE_TERMS) == {*REMEDIES, *PARTS}
    assert {*NUMBERS} <= set(NAMES) == set(CHINESE_NAMES)
    assert all(re.search(r"[\u4e00-\u9fff]", text) for text in CHINESE_TERMS.values())


def test_a_chinese_report_holds_no_english_sentence(data: ReportData) -> None:
    """Warnings, the part that was judged, remedies and the best shortcut come from rooms below."""
    told = (
        Sentence("the run's epoch and calibration were chosen on these clips: the numbers flatter it"),
        joined([Sentence("left out: {counts}", counts=Sentence("{count} failed in prepare", count=3))] * 2),
    )
    same = Neutralised(("trim", "band"), data.table.rows, data.table.audit, told)
    part = Sentence("the corpus's split {name!r}", name="dev")
    audit = replace(data.table.audit, best_probe="sound_silent_share", best_auc=0.8, all_auc=0.7)
    table = replace(data.table, warnings=told, part=part, neutralised=same, audit=audit)

    shown = visible_texts(as_html(replace(data, table=table), lang="zh"))

    assert english_sentences(shown) == []
    assert "（剪切、频带）" in " ".join(shown)
    assert any("语料的 'dev' 部分" in text for text in shown)
    assert "最强的单个捷径：sound_silent_share（声音中静音所占的比例）" in shown
    assert any("训练 36 个" in text for text in shown)


def test_page_and_card_say_what_cannot_tell_means_here(data: ReportData) -> None:
    band = data.confidence.band
    assert band is not None

    said = f"“Cannot tell” from {band.low:.3f} to {band.high:.3f}: {band.decided:.1%} of the clips get a verdict"
    assert said in as_html(data)
    assert said in as_markdown(data)
    assert f"ECE {data.confidence.ece_before:.3f} before" in as_markdown(data)
    assert "“无法判断”：" in as_html(data, lang="zh")


def test_a_band_that_leaves_nothing_outside_is_said_to_be_none(data: ReportData) -> None:
    band = data.confidence.band
    assert band is not None
    found = replace(data.confidence, band=replace(band, low=0.0, high=1.0))
    void = replace(data, table=replace(data.table, confidence=found))

    assert "No range could be set: too few validation clips" in as_html(void)
    assert "No range could be set: too few validation clips" in as_markdown(void)
    assert "未能设定区间" in as_html(void, lang="zh")
    assert "from 0.000 to 1.000" not in as_html(void)


def test_rows_of_few_people_are_marked_and_said_to_be_so(data: ReportData) -> None:
    """Two fakes of one maker gave an AUC of 0.969 [0.969, 1.000]."""
    row = data.by_group["method"][0]
    auc = row.numbers["auc"]
    marked = {}
    for num_groups in (FEWEST_GROUPS - 1, FEWEST_GROUPS):
        changed = replace(
            row, numbers={**row.numbers, "auc": replace(auc, num_groups=num_groups, effective_groups=None)}
        )
        shown = replace(data, by_group={"method": (changed,)})
        marked[num_groups] = [
            f"{auc} *" in text and "cannot be relied on" in text for text in (as_html(shown), as_markdown(shown))
        ]

    assert marked == {FEWEST_GROUPS - 1: [True, True], FEWEST_GROUPS: [False, False]}


def test_page_and_card_say_the_numbers_of_the_table(data: ReportData) -> None:
    auc = data.table.overall.numbers["auc"]

    assert f"{auc.value:.4f}" in as_html(data)
    assert f"{auc.value:.4f} | {auc.low:.4f} to {auc.high:.4f}" in as_markdown(data)
    assert str(data.by_group["method"][0].numbers["auc"]) in as_html(data)


def test_the_surest_mistakes_come_first_with_sound_and_picture(data: ReportData) -> None:
    first = data.called_fake[0]

    assert first.name == HOSTILE
    assert data.called_real[0].name == "clip001.wav"
    assert first.sound.startswith("data:audio/mpeg;base64,")
    picture = Image.open(BytesIO(base64.b64decode(first.spectrogram.split(",")[1])))
    assert picture.size[1] == 128
    assert first.seconds <= MOST_SECONDS
    assert first.top_hz == 4000.0


def test_a_spectrogram_says_the_highest_frequency_that_it_shows(
    shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = Samples(np.random.default_rng(0).normal(0, 0.1, (1, 22_050)).astype(np.float32), 22_050)
    monkeypatch.setattr(Shards, "sound", lambda *_: wide)

    assert show_mistakes(shards, [2], [0.9])[0].top_hz == 8000.0


def test_media_stop_at_the_budget_and_never_by_an_error(shards: Shards) -> None:
    shown = show_mistakes(shards, [2, 4, 6], [0.9, 0.8, 0.7], budget=20_000)

    assert shown[0].sound
    assert not shown[-1].sound
    assert [one.name for one in shown] == [shards.names[row] for row in (2, 4, 6)]


def test_only_clips_on_the_wrong_side_are_mistakes() -> None:
    labels, scores = np.array([0, 0, 1, 1]), np.array([0.2, 0.4, 0.6, 0.9])

    assert surest_mistakes(labels, scores, label=0, most=3) == []
    assert surest_mistakes(labels, scores, label=1, most=3, threshold=0.7) == [2]


def test_a_tone_is_a_line_at_its_height() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)

    picture = np.array(Image.open(BytesIO(spectrogram_png(tone, 16_000))).convert("L"), float)

    assert abs(int(np.argmax(picture.mean(axis=1))) - (127 - round(128 * 1000 / 8000))) <= 1


def test_sources_are_counted_by_hand() -> None:
    clips = JudgedClips(np.arange(4), np.array([0, 0, 1, 1]), np.zeros(4), np.array([0.9, 0.1, 0.8, 0.2]), None)

    rows = {row.name: row for row in source_rows(clips, ["a", "a", "b", ""])}

    assert rows["a"].false_alarms[0] == 0.5
    assert rows["a"].hits is None
    assert rows["b"].hits[0] == 1.0
    assert set(rows) == {"a", "b"}


def test_neutralised_numbers_stand_beside_the_raw_ones(data: ReportData) -> None:
    same = Neutralised(("trim", "band"), data.table.rows, data.table.audit)
    both = replace(data, table=replace(data.table, neutralised=same))

    assert "(trim, band)" in as_html(both)
    assert "On the neutralised clips: " in as_markdown(both)
    assert "| measure | raw | neutralised |" in as_markdown(both)
    assert "neutralised |" not in as_markdown(data)


def test_where_clips_are_forged_stands_on_page_and_card(data: ReportData) -> None:
    found = Localisation(12, 11, 13, 70, 30, 2.0, {"ap_at_0.5": data.table.overall.numbers["auc"]})
    known = replace(data, table=replace(data.table, localisation=found))

    assert "Where clips are forged" not in as_html(data) + as_markdown(data)
    assert "AP @ IoU 0.5" in as_html(known)
    assert "以 2.0 秒的窗口判断，含 11 个已知伪造时间段的伪造片段（共 13 段）与 12 个真实片段" in as_html(
        known, lang="zh"
    )
    assert f"| AP @ IoU 0.5 | {data.table.overall.numbers['auc']} |" in as_markdown(known)


def test_a_name_cannot_break_the_card(data: ReportData) -> None:
    card = as_markdown(data)

    assert "<img" not in card
    assert all(line.count("|") in (0, *range(4, 30)) or "\\|" in line for line in card.splitlines())


def test_a_table_of_one_class_makes_no_report(shards: Shards, tmp_path: Path) -> None:
    table, clips = table_of(shards)
    empty = replace(table, rows=(replace(table.overall, numbers={}),))

    with pytest.raises(MetricError, match="real and fake"):
        write_report(tmp_path / "r", table=empty, clips=clips, shards=shards, header=CheckpointHeader(), by_group={})
    assert not (tmp_path / "r").exists()


def test_a_checkpoint_that_knows_little_still_has_a_report(shards: Shards, tmp_path: Path) -> None:
    table, clips = table_of(shards)

    write_report(
        tmp_path, table=table, clips=clips, shards=shards, header=CheckpointHeader(), by_group={}, resamples=50
    )

    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "model_card.md"}


def test_a_small_film_is_shown_whole_and_faces_are_spread_over_the_clip(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = write_media(tmp_path / "a.mp4", frames=[np.zeros((64, 64, 3), np.uint8)] * 5)
    crops = np.stack([np.full((32, 32, 3), 20 * k, np.uint8) for k in range(10)])
    many = np.arange(10.0)
    track = FaceTrack(
        0, many, np.zeros((10, 4), np.float32), np.zeros((10, 5, 2), np.float32), np.ones(10, np.float32), crops
    )
    clips = [replace(clip, path=film) for clip in shards.clips()]
    monkeypatch.setattr(Shards, "clips", lambda _: tuple(clips))
    monkeypatch.setattr(Shards, "faces", lambda *_: FacesSeen((track,), 10, 10, (64, 64)))
    monkeypatch.setattr(Shards, "file_bytes", lambda *_: film.stat().st_size)

    (shown,) = show_mistakes(shards, [2], [0.9])

    assert base64.b64decode(shown.film.split(",")[1]) == film.read_bytes()
    assert not shown.sound  # the film has it
    greys = [np.array(Image.open(BytesIO(base64.b64decode(face.split(",")[1])))).mean() for face in shown.faces]
    assert greys == pytest.approx([0, 60, 120, 180], abs=3)


def test_a_film_beyond_the_bound_stays_where_it_is(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.mp4").write_bytes(bytes(MOST_FILM_BYTES + 1))
    clips = [replace(clip, path=tmp_path / "a.mp4") for clip in shards.clips()]
    monkeypatch.setattr(Shards, "clips", lambda _: tuple(clips))
    monkeypatch.setattr(Shards, "file_bytes", lambda *_: MOST_FILM_BYTES + 1)

    (shown,) = show_mistakes(shards, [2], [0.9])

    assert not shown.film
    assert shown.sound


def test_another_file_than_was_prepared_is_not_put_on_the_page(
    shards: Shards, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shards of a stranger may name any folder of this machine."""
    (tmp_path / "a.mp4").write_bytes(b"a film of my own")
    clips = [replace(clip, path=tmp_path / "a.mp4") for clip in shards.clips()]
    monkeypatch.setattr(Shards, "clips", lambda _: tuple(clips))

    (shown,) = show_mistakes(shards, [2], [0.9])

    assert shards.file_bytes(2) != len(b"a film of my own")
    assert not shown.film
    assert shown.sound


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("sound", "mono sound at 8000 Hz, in windows of 0.4 s"),
        ("faces", "faces"),
        ("joint", "beside mono sound"),
        ("late", "other nets"),
    ],
)
def test_the_card_says_what_a_net_of_each_kind_is_given(data: ReportData, kind: str, says: str) -> None:
    header = data.header.model_copy(update={"recipe": {**data.header.recipe, "kind": kind}})

    (line,) = [line for line in as_markdown(replace(data, header=header)).splitlines() if line.startswith("- Input: ")]
    assert says in line
