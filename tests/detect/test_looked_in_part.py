"""That only a part of a clip was looked at reaches whoever reads many verdicts: the terminal, lines of JSON, the list."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ffdv.app import console
from ffdv.app.show_scan import show_summary, summary_lines
from ffdv.data.pool import ClipsProgress
from ffdv.detect.index_page import IndexRow, index_page
from ffdv.detect.scan import ScannedClip, ScanSummary
from ffdv.sentences import LANGUAGES, Lang

PART = {
    "en": "looked at the first 3 seconds of the sound (max_seconds is 3).",
    "zh": "只检查了声音的前 3 秒（max_seconds 为 3）。",
}


def many(lang: Lang, *, parts: int) -> ScanSummary:
    """Five clips; of the first of them only a part was looked at."""
    clips = [ScannedClip(f"{k}.mp4", "ok", "real", 0.1, limited=PART[lang] if k < parts else "") for k in range(5)]
    return ScanSummary((*clips, ScannedClip("no.mp4", "failed", reason="gone", code="not_found")), None, 0, 1.0)


@pytest.mark.parametrize(
    ("lang", "parts", "told"),
    [
        ("en", 0, ""),
        ("en", 2, "note: of 2 of these clips only a part was looked at (0.mp4, 1.mp4)"),
        ("en", 4, "note: of 4 of these clips only a part was looked at (0.mp4, 1.mp4, 2.mp4, …)"),
        ("zh", 1, "注意：其中 1 个片段只检查了一部分（0.mp4）"),
    ],
)
def test_the_terminal_says_of_how_many_only_a_part_was_looked_at(
    lang: Lang, parts: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show_summary(many(lang, parts=parts), lang)
    lines = capsys.readouterr().err.splitlines()

    assert [line for line in lines if "no.mp4" not in line] == ([told] if told else [])


def test_a_line_of_json_says_it_too() -> None:
    first, second, *_, failed = map(json.loads, summary_lines(many("en", parts=1)))

    assert (first["limited"], second["limited"], "limited" in failed) == (PART["en"], "", False)
    text = (Path(__file__).parents[2] / "docs" / "scan-json.md").read_text(encoding="utf-8")
    assert all(f"`{key}`" in text for key in (*first, *failed))


@pytest.mark.parametrize("lang", LANGUAGES)
def test_the_list_joins_its_sentences_as_the_language_does(lang: Lang) -> None:
    why = {"en": "It is calm.", "zh": "没有迹象。"}[lang]
    row = IndexRow("a.mp4", "ok", "real", 0.1, {}, why, "", "", limited=PART[lang])
    gap = {"en": " ", "zh": ""}[lang]

    assert f"{PART[lang][1:]}{gap}{why}" in index_page([row], lang=lang)


@pytest.mark.parametrize(("total", "lines"), [(1, 0), (2, 1)])
def test_without_a_terminal_progress_is_told_of_many_clips_only(
    total: int, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(console, "LOG_SECONDS", -1.0)
    with console.progress_bar("scan") as bar:
        console.follow_clips(bar)(ClipsProgress(0, total, 0, 0.0, None))

    assert len(capsys.readouterr().err.splitlines()) == lines
