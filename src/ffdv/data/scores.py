"""scores.csv: one row a clip, `video_name,y_pred`, a column for each sense that was judged, `status,reason`, and the verdict.

    video_name,y_pred,voice,picture,agreement,status,reason,verdict
    a.mp4,0.93,0.95,0.41,,ok,,fake
    c.mp4,0.61,0.61,,,ok,"damaged share of the file is 0.4, training saw 0",cannot tell
    b.mp4,,,,,failed,"no sound, and no picture that shows a face",cannot tell
    d.mp4,,,,,failed,"the file is empty (0 bytes); copy or download it again",

People open this file in spreadsheets, so a name or reason that would be taken for a formula is guarded by an
apostrophe; read_scores takes it off again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

from ffdv.data.tables import Table, guard_formula, read_table, unguard_formula, write_table
from ffdv.errors import SubmissionError
from ffdv.records import Score, Status

SENSES = ("voice", "picture", "agreement")
_NAMES = ("video_name", "name", "file", "path")
_VALUES = ("y_pred", "score")
_NO_NUMBER = "the score table holds no number for it"


def write_scores(path: Path | str, scores: Iterable[Score], *, all_senses: bool = False) -> Path:
    """Write every score as a row, in order; the file appears whole or not at all.

    Columns of senses are written where any score has that sense (all_senses: the three in any case): voice, picture, agreement,
    then others by name (read_scores knows the three); a column `verdict` with them, or where any score has one.
    Raises SubmissionError when the file cannot be written or two scores have one name.
    """
    table = tuple(scores)
    _refuse_twins("scores", [score.name for score in table])
    seen = {sense for score in table for sense in score.senses}
    senses = (*(sense for sense in SENSES if all_senses or sense in seen), *sorted(seen.difference(SENSES)))
    last = ("verdict",) if all_senses or any(score.verdict for score in table) else ()
    rows = ((*_row(score, senses), *((score.verdict,) if last else ())) for score in table)
    return write_table(path, ("video_name", "y_pred", *senses, "status", "reason", *last), rows)


def read_scores(path: Path | str) -> tuple[Score, ...]:
    """Read a table of scores; only a name and a `y_pred` (or `score`) column are needed.

    An empty or not-a-number value is a failed score. The columns voice, picture and agreement are senses.
    Raises SubmissionError, with line numbers, on values outside [0, 1], text for a number, and names that come twice.
    """
    table = read_table(path, what="score table")
    at_name, at_value = table.column(_NAMES), table.column(_VALUES)
    if at_name is None or at_value is None:
        raise SubmissionError(
            f"score table {table.path.name!r} has the columns {', '.join(table.header)}; "
            f"it needs video_name and y_pred, as `ffdv predict` writes them"
        )
    at_status, at_reason, at_verdict = (table.column((name,)) for name in ("status", "reason", "verdict"))
    senses = {sense: table.column((sense,)) for sense in SENSES}
    scores = []
    for line, row in table.rows:
        value = _number(table, line, _cell(row, at_value))
        failed = value is None or _cell(row, at_status) == "failed"
        status: Status = "failed" if failed else "ok"
        reason = unguard_formula(_cell(row, at_reason))
        judged = {sense: _number(table, line, _cell(row, at)) for sense, at in senses.items()}
        scores.append(
            Score(
                unguard_formula(_cell(row, at_name)),
                None if failed else value,
                status=status,
                reason=reason or _NO_NUMBER if failed else reason,
                senses={sense: number for sense, number in judged.items() if number is not None},
                verdict=_cell(row, at_verdict).strip(),
            )
        )
    lines = [line for line, _ in table.rows]
    _refuse_twins(f"score table {table.path.name!r}", [score.name for score in scores], lines)
    return tuple(scores)


def format_score(value: float) -> str:
    """The shortest text that reads back as the same number, so that no two scores become a tie.

    >>> format_score(0.1), format_score(1)
    ('0.1', '1.0')
    """
    return repr(float(value))


def _row(score: Score, senses: Sequence[str]) -> tuple[str, ...]:
    return (
        guard_formula(score.name),
        "" if score.y_pred is None else format_score(score.y_pred),
        *(format_score(score.senses[sense]) if sense in score.senses else "" for sense in senses),
        score.status,
        guard_formula(score.reason),
    )


def _cell(row: Sequence[str], at: int | None) -> str:
    return row[at] if at is not None and at < len(row) else ""


def _number(table: Table, line: int, text: str) -> float | None:
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError:
        raise SubmissionError(f"score table {table.path.name!r}, line {line}: {text!r} is no number") from None
    if math.isnan(value):
        return None
    if not 0.0 <= value <= 1.0:
        raise SubmissionError(
            f"score table {table.path.name!r}, line {line}: {text.strip()} is outside [0, 1]; "
            f"scores are probabilities of fake, not logits or percentages"
        )
    return value


def _refuse_twins(what: str, names: Sequence[str], lines: Sequence[int] | None = None) -> None:
    first: dict[str, int] = {}
    for at, name in enumerate(names):
        if name in first:
            where = "" if lines is None else f" (lines {lines[first[name]]} and {lines[at]})"
            raise SubmissionError(f"{what}: {name!r} comes twice{where}; keep one row a clip")
        first[name] = at
