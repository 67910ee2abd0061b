"""Scores merged into the challenge's template: its order, its columns, every row filled.

template prediction.txt.csv      scores.csv                     submit.csv
video_name,y_pred                video_name,y_pred,status       video_name,y_pred
b.mp4,                           a.mp4,0.25,ok             →    b.mp4,0.5       ← filled, and listed
a.mp4,                           b.mp4,,failed                  a.mp4,0.25
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ffdv.data.scores import format_score, read_scores
from ffdv.data.tables import FORMULA_STARTS, Table, listing, read_table, write_table
from ffdv.errors import SubmissionError

# Names taken from video sites begin with a minus or an @, and whoever named them cannot rename them: harmless without a call, a quote, a pipe
# or a path, for then a spreadsheet finds a sum, a name that it does not know or a cell of its own, and nothing runs or leaves. Nor does a sign.
_HARMLESS_NAME = re.compile(r"[=+@＝＋－＠-][\w .,+=@＝＋－＠-]*")
_PLAIN_AFTER_MINUS = re.compile(r"-[\w.-]*")
_SIGNED_NUMBER = re.compile(r"[+-]\d+(\.\d+)?([eE][+-]?\d+)?")


@dataclass(frozen=True)
class FilledClip:
    """A clip of the template that got the filling value, and why it has no score of its own."""

    name: str
    reason: str


@dataclass(frozen=True)
class SubmissionSummary:
    """What was handed in: rows in all, rows with a score of their own, the clips that were filled, and scores unused."""

    out: Path
    num_rows: int
    num_scored: int
    filled: tuple[FilledClip, ...]
    missing: float
    num_unused: int


def submit(*, scores: Path | str, template: Path | str, out: Path | str, missing: float = 0.5) -> SubmissionSummary:
    """Write `out`: the template's rows in its order with its columns, values from `scores`, `missing` where there is none.

    scores: a CSV with `video_name` and `y_pred` or `score`; template: a CSV with `video_name` and `y_pred` or `score`,
    whose values may be empty and are not looked at. The file appears whole or not at all.
    Raises SubmissionError when the template names a clip twice, a name is unsafe in a spreadsheet or on a line of text,
    or another cell or a heading would run there as a formula (it is refused, not altered: the rest must come back as it is), when
    a score lies outside [0, 1], and when no name of the template has a score while there are scores.
    """
    if not 0.0 <= missing <= 1.0:
        raise SubmissionError(f"missing clips cannot be filled with {missing}; scores lie in [0, 1]")
    if Path(out).resolve() in {Path(template).resolve(), Path(scores).resolve()}:
        raise SubmissionError(f"{out}: is the template or the score table itself; give another file (--out)")
    table = read_table(template, what="template")
    at_name, at_value = _columns(table)
    names = _names(table, at_name)
    _refuse_formulas(table, besides={at_name, at_value})
    known = {score.name: score for score in read_scores(scores)}
    _refuse_strangers(names, {name for name, score in known.items() if score.y_pred is not None}, scores)

    rows, filled = [], []
    for name, (_, row) in zip(names, table.rows, strict=True):
        score = known.get(name)
        if score is None or score.y_pred is None:
            filled.append(FilledClip(name, score.reason if score else "it is not in the score table"))
        value = missing if score is None or score.y_pred is None else score.y_pred
        cells = [*row, *[""] * (len(table.header) - len(row))]
        cells[at_value] = format_score(value)
        rows.append(cells)
    path = write_table(out, table.header, rows)
    return SubmissionSummary(
        out=path,
        num_rows=len(rows),
        num_scored=len(rows) - len(filled),
        filled=tuple(filled),
        missing=missing,
        num_unused=len(known.keys() - set(names)),
    )


def _columns(template: Table) -> tuple[int, int]:
    at_name, at_value = template.column(("video_name",)), template.column(("y_pred", "score"))
    if at_name is None or at_value is None:
        raise SubmissionError(
            f"template {template.path.name!r} has the columns {', '.join(template.header)}; "
            f"it needs video_name and y_pred, or video_name and score"
        )
    return at_name, at_value


def _names(template: Table, at_name: int) -> list[str]:
    """The clips that the template asks for; it must ask for each once, by a name that is safe to hand in."""
    first: dict[str, int] = {}
    twice, unsafe = [], []
    for line, row in template.rows:
        name = row[at_name]
        if name in first:
            twice.append(f"{name!r} in lines {first[name]} and {line}")
        first.setdefault(name, line)
        if not name.strip() or not name.isprintable() or (_is_formula(name) and not _HARMLESS_NAME.fullmatch(name)):
            unsafe.append(f"{name!r} in line {line}")
    if not first:
        raise SubmissionError(f"template {template.path.name!r} names no clips; it needs a row for each")
    if twice:
        raise SubmissionError(
            f"template {template.path.name!r} asks for a clip twice: {listing(twice)}; keep one row a clip"
        )
    if unsafe:
        raise SubmissionError(
            f"template {template.path.name!r} holds names that cannot be handed in safely: {listing(unsafe)}; "
            f"a name must not be empty, hold control characters, or start like a formula and go on with brackets, quotes or the like, so rename those clips"
        )
    return list(first)


def _refuse_formulas(template: Table, *, besides: set[int]) -> None:
    """Headings and cells that are handed in as they are must not run in the spreadsheet of whoever opens the file."""
    cells = [("the header", cell) for cell in template.header]
    cells += [(f"line {line}", cell) for line, row in template.rows for at, cell in enumerate(row) if at not in besides]
    found = [f"{cell!r:.60} in {place}" for place, cell in cells if cell and _is_formula(cell)]
    if found:
        raise SubmissionError(
            f"template {template.path.name!r} holds what a spreadsheet would run as a formula: {listing(found)}; "
            f"empty those cells, or leave out their column"
        )


def _is_formula(cell: str) -> bool:
    return cell[0] in FORMULA_STARTS and not (_PLAIN_AFTER_MINUS.fullmatch(cell) or _SIGNED_NUMBER.fullmatch(cell))


def _refuse_strangers(names: list[str], scored: set[str], scores: Path | str) -> None:
    """A file of nothing but filling values is a mistake in the names, not a submission."""
    if scored and scored.isdisjoint(names):
        raise SubmissionError(
            f"no clip of the template has a score: it asks for {listing([repr(name) for name in names], most=1)}, "
            f"while {Path(scores).name!r} holds {listing(sorted(repr(name) for name in scored), most=1)}; "
            f"the names must be written alike"
        )
