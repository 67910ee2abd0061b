"""CSV files in and out: UTF-8, every broken row named by its number, written whole or not at all."""

from __future__ import annotations

import csv
import io
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ffdv.errors import SubmissionError
from ffdv.sentences import Sentence, foreign
from ffdv.whole_file import whole_file, write_atomically

# What makes a spreadsheet take a cell for a formula (OWASP, CSV injection), East Asian full-width forms included.
FORMULA_STARTS = frozenset("=+-@\t\r\n＝＋－＠")
MOST_TABLE_BYTES = 200_000_000  # a million clips with long names


@dataclass(frozen=True)
class Table:
    """A CSV file as written: header, and rows with the number of the line that each begins at (from 1)."""

    path: Path
    header: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def column(self, names: Sequence[str]) -> int | None:
        """Where the first of these columns stands, None when there is none of them."""
        plain = [title.strip().lower() for title in self.header]
        return next((plain.index(name) for name in names if name in plain), None)


def read_table(path: Path | str, *, what: str) -> Table:
    """Read a CSV with a header; a byte order mark is dropped and blank lines are skipped. `what` names it in errors.

    Raises SubmissionError when there is no such file (a pipe or a device is none), it is larger than MOST_TABLE_BYTES, it is not
    UTF-8, it has no header, or a row is longer than that.
    """
    path = Path(path)
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise SubmissionError(f"{what} {path.name!r} is not a regular file; give a CSV table")
        if facts.st_size > MOST_TABLE_BYTES:
            raise SubmissionError(
                f"{what} {path.name!r} is larger than {MOST_TABLE_BYTES} bytes, so it is hardly a table of clips; check the path"
            )
        with path.open(encoding="utf-8-sig", newline="") as stream:
            header, rows = _parse(stream)
    except OSError as error:
        raise SubmissionError(
            f"{what} {path.name!r} cannot be read: {error.strerror or error}; check the path"
        ) from error
    except UnicodeDecodeError as error:
        raise SubmissionError(
            f"{what} {path.name!r} is not UTF-8 text (byte {error.start}); save it as CSV UTF-8"
        ) from error
    except csv.Error as error:
        raise SubmissionError(f"{what} {path.name!r} is not a CSV file: {error}") from error
    if not header:
        raise SubmissionError(f"{what} {path.name!r} is empty; its first line must name the columns")
    longer = [str(line) for line, row in rows if len(row) > len(header)]
    if longer:
        raise SubmissionError(
            f"{what} {path.name!r}: more cells than the header has columns in line {listing(longer)}; quote names that hold a comma"
        )
    return Table(path, header, tuple(rows))


def _parse(lines: Iterable[str]) -> tuple[tuple[str, ...], list[tuple[int, tuple[str, ...]]]]:
    reader = csv.reader(lines, strict=True)
    header: tuple[str, ...] = ()
    rows: list[tuple[int, tuple[str, ...]]] = []
    start = 1
    for row in reader:
        if any(cell.strip() for cell in row):
            if not header:
                header = tuple(row)
            else:
                rows.append((start, tuple(row)))
        start = reader.line_num + 1
    return header, rows


def write_table(path: Path | str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Path:
    """Write a CSV (UTF-8, rows end in LF) under a temporary name, then rename it: a reader sees all of it or none.

    Names that are not valid text (lone surrogates of undecodable file names) are written with backslashes.
    """
    path = Path(path)
    try:
        with whole_file(path) as file:
            _write_rows(file, [header, *rows])
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def write_whole(path: Path, content: bytes) -> None:
    """A file that appears whole or not at all. Raises SubmissionError when it cannot be written."""
    try:
        write_atomically(path, content, durable=False)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> SubmissionError:
    return SubmissionError(Sentence("cannot write {path}: {why}", path=path, why=foreign(error.strerror or error)))


def _write_rows(file: BinaryIO, rows: Iterable[Sequence[str]]) -> None:
    stream = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    plain = csv.writer(stream, lineterminator="\n")
    # Python quotes a lone carriage return from 3.13 on; before, it would end the row when it is read back.
    quoted = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        (quoted if any("\r" in cell for cell in row) else plain).writerow(row)
    stream.detach()  # flushed; the file stays open


def guard_formula(text: str) -> str:
    """Text that no spreadsheet takes for a formula: an apostrophe before a risky first character; see unguard_formula.

    >>> guard_formula("=1+1"), guard_formula("clip.mp4"), guard_formula("'=1")
    ("'=1+1", 'clip.mp4', "''=1")
    """
    return f"'{text}" if text.lstrip("'")[:1] in FORMULA_STARTS else text


def unguard_formula(text: str) -> str:
    """Undo guard_formula, for every text.

    >>> unguard_formula("'=1+1"), unguard_formula("'twas.mp4")
    ('=1+1', "'twas.mp4")
    """
    return text[1:] if text.startswith("'") and text.lstrip("'")[:1] in FORMULA_STARTS else text


def listing(items: Sequence[str], *, most: int = 5) -> str:
    """The first few of a list for a sentence: 'a, b and 3 more'."""
    shown = ", ".join(items[:most])
    return shown if len(items) <= most else f"{shown} and {len(items) - most} more"
