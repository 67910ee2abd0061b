"""How a verdict looks in a terminal. Nothing here computes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ffdv.app import console
from ffdv.detect.report import MARKS, range_text
from ffdv.detect.scan import ScanSummary, page_of
from ffdv.detect.scan_json import LINE_SCHEMA
from ffdv.detect.senses import SENSES, SenseAbsent
from ffdv.detect.verdict import Verdict
from ffdv.detect.words import (
    COLONS,
    COMMAS,
    counted,
    how_sure,
    lacking,
    limited,
    no_ranges,
    note_text,
    percent,
    reasons,
    say,
)
from ffdv.sentences import Lang

COLOURS = {"fake": "bold yellow", "real": "bold cyan", "cannot tell": "bold magenta"}
FEW = 3  # names that stand for many
BAR = 20  # characters from 0 to 100 %


def show_verdict(verdict: Verdict, lang: Lang, out: Path | None) -> None:
    """One clip: overall, each sense, when, why, how sure, and what was looked at."""
    console.out.print(f"[bold]{console.printable(verdict.path.name)}[/]", soft_wrap=True)
    overall = "" if verdict.fake_probability is None else f"  {percent(verdict.fake_probability)}"
    console.out.print(f"[{COLOURS[verdict.word]}]{MARKS[verdict.word]} {say(verdict.word, lang)}{overall}[/]")
    for text in limited(verdict, lang):
        console.out.print(console.printable(text))
    console.table(("", "", ""), [_sense_row(verdict, sense, lang) for sense in SENSES], right=())
    ranges = [
        f"{range_text(one, lang)} · {say(one.sense, lang)} · {percent(one.probability)}" for one in verdict.top_ranges
    ]
    _lines(say("ranges", lang), ranges or [no_ranges(verdict, lang)])
    _lines(say("why", lang), reasons(verdict, lang))
    _lines(say("sure_heading", lang), how_sure(verdict, lang))
    seen = verdict.looked_at
    _lines(
        say("looked_at", lang),
        [
            say(
                "looked_line",
                lang,
                sound=seen.sound_seconds,
                picture=seen.picture_seconds,
                frames=seen.frames,
                shown=seen.frames_with_face,
                faces=seen.faces,
            )
        ],
    )
    left = lacking(verdict, lang)
    if left:
        _lines(say("missing", lang), left)
    console.out.print(f"\n[dim]{console.printable(say('limits', lang))}[/]")
    if out is not None:
        console.say(str(page_of(verdict, out)))


def show_summary(summary: ScanSummary, lang: Lang) -> None:
    """Many clips, most suspicious first; failures last."""
    rows = []
    for clip in summary.clips[: console.MANY]:
        if clip.status == "failed":
            continue
        numbers = [percent(clip.senses[sense]) if sense in clip.senses else "" for sense in SENSES]
        overall = "" if clip.fake_probability is None else percent(clip.fake_probability)
        rows.append((clip.name, say(f"word_{clip.word}", lang), overall, *numbers))
    headings = (say("clip", lang), say("verdict", lang), say("overall", lang), *(say(sense, lang) for sense in SENSES))
    if rows:
        console.table(headings, rows, right=headings[2:])
    judged = len(summary.clips) - len(summary.failures)
    if judged > len(rows):
        code = "more_clips" if summary.out is None else "more_clips_listed"
        console.say(say(code, lang, count=judged - len(rows)))
    for clip in summary.failures[: console.MANY]:
        console.warn(f"{clip.name}{COLONS[lang]}{clip.reason}", label=say("note_label", lang))
    for text in summary.skipped:
        console.warn(text, label=say("note_label", lang))
    partly = [clip.name for clip in summary.clips if clip.limited]
    if partly:
        named = COMMAS[lang].join(partly[:FEW]) + (COMMAS[lang] + "…" if len(partly) > FEW else "")
        console.warn(say("looked_in_part", lang, count=len(partly), names=named), label=say("note_label", lang))
    words = [clip.word for clip in summary.clips]
    console.say(
        counted(
            lang,
            total=len(summary.clips),
            fake=words.count("fake"),
            cannot=words.count("cannot tell"),
            real=words.count("real"),
            failed=len(summary.failures),
        )
    )
    if summary.out is not None:
        console.say(f"{summary.out / 'index.html'}, {summary.out / 'scores.csv'}")


def summary_lines(summary: ScanSummary) -> Iterator[str]:
    """One line of JSON a clip."""
    for clip in summary.clips:
        told: dict[str, object] = {"schema": LINE_SCHEMA, "name": clip.name, "status": clip.status}
        if clip.status == "failed":
            told |= {"code": clip.code, "reason": clip.reason}
        else:
            told |= {"verdict": clip.word, "fake_probability": clip.fake_probability}
            told["senses"] = {sense: clip.senses.get(sense) for sense in SENSES}
            told["limited"] = clip.limited
        told["page"] = None if clip.page is None else str(clip.page)
        yield json.dumps(told, ensure_ascii=False, allow_nan=False)


def _sense_row(verdict: Verdict, sense: str, lang: Lang) -> tuple[str, str, str]:
    opinion = next((one for one in verdict.opinions.values() if one.sense == sense), None)
    if opinion is None:
        return say(sense, lang), "", say("not_judged", lang)
    if isinstance(opinion, SenseAbsent):
        return say(sense, lang), "", f"{say('not_judged', lang)}{COLONS[lang]}{note_text(opinion, lang)}"
    filled = round(BAR * opinion.probability)
    return say(sense, lang), percent(opinion.probability), "█" * filled + "░" * (BAR - filled)


def _lines(heading: str, lines: list[str] | tuple[str, ...]) -> None:
    console.out.print(f"\n[bold]{console.printable(heading)}[/]")
    for line in lines:
        console.out.print(f"  {console.printable(line)}")
