"""Many verdicts as one page: ranked by suspicion, to be sorted and filtered, each row leading to its clip's page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ffdv.detect.report import TONES, page_file, script_hash, shown_name
from ffdv.detect.senses import SENSES
from ffdv.detect.words import capitalised, counted, percent, say, stopped
from ffdv.page import own_markup, render
from ffdv.sentences import GAPS, Lang

WORDS = ("fake", "cannot tell", "real", "failed")


@dataclass(frozen=True)
class IndexRow:
    """One clip in the list; page and thumb are relative addresses, "" where there is none. limited: that only a part was looked at, "" where
    all was.
    """

    name: str
    status: str
    word: str
    fake_probability: float | None
    senses: Mapping[str, float]
    reason: str
    page: str
    thumb: str
    limited: str = ""


def index_page(rows: Sequence[IndexRow], *, lang: Lang = "en") -> str:
    """The list in the order given; self-contained but for thumbnails and pages beside it."""
    from ffdv import __version__

    t, script = partial(say, lang=lang), page_file("index.js")
    counts = Counter(_word(row) for row in rows)
    number = "number"
    columns = [("name", t("clip"), "", False), ("word", t("verdict"), "", False)]
    columns.append(("p", t("overall"), number, False))
    columns += [(sense, t(sense), number, True) for sense in SENSES]
    return render(
        page_file("index.html"),
        lang=lang,
        t=t,
        counts=counted(
            lang,
            total=len(rows),
            fake=counts["fake"],
            cannot=counts["cannot tell"],
            real=counts["real"],
            failed=counts["failed"],
        ),
        filters=[(word, f"{_label(word, lang)} ({counts[word]})") for word in WORDS],
        columns=columns,
        rows=[_row(row, lang) for row in rows],
        script=own_markup(script),
        script_hash=script_hash(script),
        version=__version__,
    )


def _word(row: IndexRow) -> str:
    return "failed" if row.status == "failed" else row.word


def _label(word: str, lang: Lang) -> str:
    return say("failed", lang) if word == "failed" else say(f"word_{word}", lang)


def _row(row: IndexRow, lang: Lang) -> dict[str, Any]:
    def text(value: float | None) -> str:
        return "" if value is None else percent(value)

    word = _word(row)
    shown: dict[str, Any] = {
        "name": shown_name(row.name),
        "word": word,
        "label": _label(word, lang),
        "tone": TONES.get(word, "unsure"),
        "p": "" if row.fake_probability is None else row.fake_probability,
        "p_text": text(row.fake_probability),
        "why": GAPS[lang].join(capitalised(stopped(text, lang)) for text in (row.limited, row.reason) if text),
        "needed": row.fake_probability is None or bool(row.limited),
        "page": row.page,
        "thumb": row.thumb,
    }
    for sense in SENSES:
        value = row.senses.get(sense)
        shown |= {sense: "" if value is None else value, f"{sense}_text": text(value)}
    return shown
