"""A label table: any CSV or TSV with a file column and a label column; further columns become groups."""

from __future__ import annotations

import codecs
import csv
import io
import os
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ffdv.data.corpus import Corpus, Problem, ProblemKind, forged_seconds, group_spellings
from ffdv.data.sources.roots import VARIABLE, leads_outside, lies_within, trusted_roots
from ffdv.errors import ManifestError
from ffdv.records import FAKE, REAL, Clip
from ffdv.sentences import Sentence, foreign, joined

# Spellings seen in the field's corpora, the most telling first.
FILE_COLUMNS = (
    "video_name",
    "file",
    "path",
    "filename",
    "file_name",
    "filepath",
    "file_path",
    "video",
    "audio_path",
    "video_path",
    "clip",
    "name",
)
LABEL_COLUMNS = ("target", "label", "is_fake", "class")
SPLIT_COLUMNS = ("split", "subset", "partition")
# Columns that later steps group by; of several tables in one folder the one that has most of them is taken.
GROUP_COLUMNS = (
    "method",
    "generator",
    "identity",
    "speaker",
    "source_repo",
    "source",
    "dataset",
    "language",
    "pair_id",
    "open",
)

LABELS = {
    **dict.fromkeys(
        ("0", "0.0", "real", "bonafide", "bona-fide", "bona fide", "genuine", "authentic", "真", "真实"), REAL
    ),
    **dict.fromkeys(("1", "1.0", "fake", "spoof", "spoofed", "deepfake", "假", "伪造"), FAKE),
}
MAX_TABLE_BYTES = 1_000_000_000
TABLE_SUFFIXES = (".csv", ".tsv", ".txt")
# What is wrong with rows, for a count of them.
_KINDS: Mapping[ProblemKind, Sentence] = {
    "missing": Sentence("missing"),
    "outside": Sentence("outside"),
    "duplicate": Sentence("duplicate"),
    "conflict": Sentence("conflict"),
    "label": Sentence("label"),
    "unlabelled": Sentence("unlabelled"),
    "segments": Sentence("segments"),
    "row": Sentence("row"),
    "skipped": Sentence("skipped"),
}
SHOWN_CHARACTERS = 120
MANY = 5  # problems that an error message spells out


@dataclass(frozen=True)
class TableRow:
    """One row as written: `row` is its line in the file (the header is 1)."""

    row: int
    name: str
    label: str
    split: str | None = None
    groups: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelTable:
    """A parsed table: its usable rows, and those whose cells do not fit the header."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[TableRow, ...]
    problems: tuple[Problem, ...]

    @property
    def num_known_columns(self) -> int:
        """How many columns later steps have a use for."""
        known = {*FILE_COLUMNS, *LABEL_COLUMNS, *SPLIT_COLUMNS, *GROUP_COLUMNS}
        return sum(column.lower() in known for column in self.columns)


@dataclass(frozen=True)
class _Columns:
    names: tuple[str, ...]
    file: int
    label: int | None
    split: int | None


def load_table(path: Path, *, labelled: bool = True) -> Corpus:
    """The corpus that one table describes; its files lie under the table's folder. labelled: False, labels are neither needed nor looked at.

    Raises ManifestError when the table cannot be read or no row of it can be used.
    """
    root = path.parent.resolve()
    table = read_table(path, labelled=labelled)
    clips, problems = check_rows(table, root=root, folders=(root,))
    refuse_when_empty(path, clips, problems)
    return Corpus(root, clips, problems)


def read_table(path: Path, *, labelled: bool = True) -> LabelTable:
    """Parse a table; every fault of the whole file is one ManifestError, faults of single rows are problems. labelled: as in load_table."""
    text = _decode(path)
    try:
        records = _records(path, text)
    except csv.Error as error:
        told = Sentence(
            "{path}: not a readable table ({why}); check its quotes and separators", path=path, why=foreign(error)
        )
        raise ManifestError(told) from error
    columns = _find_columns(path, records[0][1], labelled=labelled)
    rows: list[TableRow] = []
    problems: list[Problem] = []
    for line, cells in records[1:]:
        row = _row(columns, line, cells)
        if isinstance(row, Problem):
            problems.append(row)
        else:
            rows.append(row)
    if not rows and not problems:
        raise ManifestError(Sentence("{path}: has a header but no rows; add one row per clip", path=path))
    return LabelTable(path, columns.names, tuple(rows), tuple(problems))


def has_label_header(path: Path) -> bool:
    """Whether the first line names a file column and a label column; False for anything that is no such table."""
    try:
        with path.open("rb") as file:
            head = file.read(65536).decode("utf-8-sig", errors="replace").splitlines()
    except OSError:
        return False
    if not head:
        return False
    names = {cell.strip().strip('"').lower() for cell in head[0].split("\t" if "\t" in head[0] else ",")}
    return bool(names & set(FILE_COLUMNS)) and bool(names & set(LABEL_COLUMNS))


def check_rows(
    table: LabelTable, *, root: Path, folders: Sequence[Path], split: str | None = None
) -> tuple[tuple[Clip, ...], tuple[Problem, ...]]:
    """Rows → clips whose file is a regular file under `root`, looked for in `folders` in turn.

    Of equal rows the first is kept; a clip with two labels is dropped, for neither can be trusted.
    """
    finder = _FileFinder(root)
    found: dict[Path, tuple[TableRow, Clip]] = {}
    distrusted: set[Path] = set()
    problems = list(table.problems)
    for row in table.rows:
        label = LABELS.get(row.label.strip().lower())
        if label is None and row.label.strip():
            text = Sentence("unknown label {label}; write 0 or real, 1 or fake", label=_shown(row.label))
            problems.append(_problem("label", row, text))
            continue
        path = finder.find(row.name, folders)
        if isinstance(path, Sentence):
            problems.append(_problem("outside" if "outside" in path else "missing", row, path))
            continue
        if path in found:
            problems.append(_repeated(row, label, found[path]))
            if problems[-1].kind == "conflict":
                distrusted.add(path)
            continue
        if label is None:
            problems.append(_problem("unlabelled", row, Sentence("the label is empty; kept without one")))
        groups = row.groups
        try:
            forged_seconds(groups)
        except ValueError as error:
            text = Sentence(
                "its forged seconds are {why}; write [[start, stop], ...], or leave the cell empty; kept without them",
                why=foreign(error),
            )
            problems.append(_problem("segments", row, text))
            groups = {name: value for name, value in groups.items() if name not in group_spellings("segments")}
        found[path] = row, Clip(row.name, path, label, row.split or split, groups)
    clips = tuple(clip for path, (_, clip) in found.items() if path not in distrusted)
    return clips, tuple(sorted(problems, key=lambda problem: problem.row or 0))


def refuse_when_empty(path: Path, clips: Sequence[Clip], problems: Sequence[Problem]) -> None:
    """Raise ManifestError, with the first rows by number, when nothing of the table can be used."""
    if clips:
        return
    kinds = Counter(problem.kind for problem in problems).most_common()
    counts = joined([Sentence("{count} {kind}", count=count, kind=_KINDS[kind]) for kind, count in kinds], comma=True)
    shown = [foreign(problem.text) for problem in problems[:MANY]]
    if len(problems) > MANY:
        shown.append(Sentence("and {count} more", count=len(problems) - MANY))
    raise ManifestError(
        Sentence("{path}: no row can be used ({counts}): {shown}", path=path, counts=counts, shown=joined(shown))
    )


def _decode(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ManifestError(Sentence("{path}: not a regular file; give a CSV table", path=path))
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise ManifestError(
                Sentence(
                    "{path}: larger than {most} bytes, so it is hardly a label table; split it",
                    path=path,
                    most=MAX_TABLE_BYTES,
                )
            )
        raw = path.read_bytes()
    except OSError as error:
        why = foreign(error.strerror or error)
        raise ManifestError(Sentence("{path}: cannot be read ({why}); give a CSV table", path=path, why=why)) from error
    if not raw.strip():
        raise ManifestError(
            Sentence(
                "{path}: the file is empty; it needs a header such as video_name,target and one row per clip",
                path=path,
            )
        )
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in raw[:4096]:
        raise ManifestError(Sentence("{path}: the text is UTF-16 (or binary); save the table as UTF-8", path=path))
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        told = Sentence(
            "{path}: row {row} is not UTF-8 (GBK from a spreadsheet?); save the table as 'CSV UTF-8'",
            path=path,
            row=line,
        )
        raise ManifestError(told) from error


def _records(path: Path, text: str) -> list[tuple[int, list[str]]]:
    """Non-blank records with the line each begins at; the separator is a tab where the header has one, else a comma."""
    first = text.lstrip("\r\n").split("\n", 1)[0]
    if ";" in first and "," not in first and "\t" not in first:
        raise ManifestError(Sentence("{path}: the separator is ';'; save the table with commas or tabs", path=path))
    if "，" in first and "," not in first and "\t" not in first:
        raise ManifestError(
            Sentence(
                "{path}: the separator is '，', the full-width comma of Chinese text; replace it by plain commas",
                path=path,
            )
        )
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if "\t" in first else ",", strict=True)
    records: list[tuple[int, list[str]]] = []
    start = 1
    for cells in reader:
        if any(cell.strip() for cell in cells):
            records.append((start, cells))
        start = reader.line_num + 1
    return records


def _find_columns(path: Path, header: list[str], *, labelled: bool) -> _Columns:
    names = tuple(name.strip() for name in header)
    lowered = [name.lower() for name in names]
    position = {name: index for index, name in reversed(list(enumerate(lowered)))}
    file = next((position[name] for name in FILE_COLUMNS if name in position), None)
    label = next((position[name] for name in LABEL_COLUMNS if name in position), None)
    if file is None and label is None and any(name in LABELS or Path(name).suffix for name in lowered):
        raise ManifestError(
            Sentence(
                "{path}: there is no header row; the first line must name the columns, e.g. video_name,target",
                path=path,
            )
        )
    if file is None:
        raise ManifestError(
            Sentence(
                "{path}: no file column among {names}; call it video_name, file or path", path=path, names=_list(names)
            )
        )
    if label is None and labelled:
        raise ManifestError(
            Sentence(
                "{path}: no label column among {names}; call it target or label (0 = real, 1 = fake)",
                path=path,
                names=_list(names),
            )
        )
    twice = next((name for name in lowered if name and lowered.count(name) > 1), None)
    if twice:
        raise ManifestError(Sentence("{path}: column {name!r} is there twice; rename one", path=path, name=twice))
    split = next((position[name] for name in SPLIT_COLUMNS if name in position), None)
    return _Columns(names, file, label if labelled else None, split)


def _row(columns: _Columns, line: int, cells: list[str]) -> TableRow | Problem:
    if len(cells) != len(columns.names):
        text = Sentence(
            "row {row}: {cells} cells where the header has {expected}; quote names that hold the separator",
            row=line,
            cells=len(cells),
            expected=len(columns.names),
        )
        return Problem("row", text, cells[columns.file] if columns.file < len(cells) else "", line)
    name = cells[columns.file].strip()
    if not name:
        return Problem("row", Sentence("row {row}: the file name is empty", row=line), "", line)
    special = {columns.file, columns.label, columns.split}
    # An empty cell is unknown, not a group of its own.
    groups = {
        column: cell.strip()
        for index, (column, cell) in enumerate(zip(columns.names, cells, strict=True))
        if index not in special and column and cell.strip()
    }
    split = cells[columns.split].strip() or None if columns.split is not None else None
    return TableRow(line, name, "" if columns.label is None else cells[columns.label], split, groups)


def _repeated(row: TableRow, label: int | None, first: tuple[TableRow, Clip]) -> Problem:
    """A file that an earlier row named: harmless with the same label, else neither row can be trusted."""
    earlier, clip = first
    if label == clip.label:
        same = Sentence("the same clip as row {row}; the first is kept", row=earlier.row)
        return _problem("duplicate", row, same)
    text = Sentence(
        "labelled {label} here and {other} in row {row}; neither is kept",
        label=_shown(row.label),
        other=_shown(earlier.label),
        row=earlier.row,
    )
    return _problem("conflict", row, text)


def _problem(kind: ProblemKind, row: TableRow, problem: Sentence) -> Problem:
    text = Sentence("row {row}: {name}: {problem}", row=row.row, name=_shown(row.name), problem=problem)
    return Problem(kind, text, row.name, row.row)


def _shown(cell: str) -> str:
    """A cell for a sentence: quoted, on one line, and not longer than a person reads."""
    return repr(cell) if len(cell) <= SHOWN_CHARACTERS else f"{cell[:SHOWN_CHARACTERS]!r}..."


def _list(names: Iterable[str]) -> str:
    return ", ".join(_shown(name) for name in names)


class _FileFinder:
    """Finds named files under a root without leaving it; folders are listed once, so 300,000 rows take seconds.

    A plain file in a folder that was resolved lies inside by construction; only links are resolved one by one.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._roots = (root, *trusted_roots())
        self._listings: dict[str, tuple[Path, dict[str, os.DirEntry[str]]] | None] = {}

    def find(self, name: str, folders: Sequence[Path]) -> Path | Sentence:
        """The resolved regular file, or a sentence that says why there is none."""
        parts = name.replace("\\", "/").split("/")
        if ".." in parts:
            return Sentence("leads outside the data's folder; write names below it, without '..'")
        if "\0" in name:
            return Sentence("no such file (a zero byte in the name)")
        if (Path(name).is_absolute() or (len(name) > 1 and name[1] == ":")) and not lies_within(
            Path(name), self._roots
        ):
            return Sentence(
                "an absolute path outside the data's folder {root}; write names relative to it, or name the file's folder in {variable}",
                root=self._root,
                variable=VARIABLE,
            )
        answers = [self._look(folder / name) for folder in folders]
        return next((answer for answer in answers if isinstance(answer, Path)), answers[0])

    def _look(self, path: Path) -> Path | Sentence:
        listing = self._list(str(path.parent))
        if listing is None:
            return Sentence("no such file in {folder}", folder=path.parent)
        folder, entries = listing
        if not lies_within(folder, self._roots):
            return Sentence(
                "in a linked folder outside the data's folder; copy the files into it, or name where the link leads in {variable}",
                variable=VARIABLE,
            )
        entry = entries.get(path.name)
        if entry is None:
            return Sentence("no such file in {folder}", folder=path.parent)
        if not entry.is_symlink():
            return folder / path.name if entry.is_file() else Sentence("not a regular file")
        target = (folder / path.name).resolve()
        if not lies_within(target, self._roots):
            return leads_outside()
        return target if target.is_file() else Sentence("a link to nothing")

    def _list(self, folder: str) -> tuple[Path, dict[str, os.DirEntry[str]]] | None:
        if folder not in self._listings:
            resolved = Path(folder).resolve()
            try:
                with os.scandir(resolved) as entries:
                    self._listings[folder] = resolved, {entry.name: entry for entry in entries}
            except OSError:
                self._listings[folder] = None
        return self._listings[folder]
