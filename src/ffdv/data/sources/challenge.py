"""The challenge's folder (multi-ffdv, audio-video track) in the spellings that its copies have.

    ROOT/phase1/trainset/*.mp4   trainset_label.txt | train_label.txt | .csv | .txt.csv     video_name,target
    ROOT/phase1/valset/*.mp4     valset_label.txt   | val_label.txt   | ...
    ROOT/phase2/testset1seen/*.mp4                                                          no labels

Copies lie with or without the phase folders, with one folder more around everything, or flat: clips beside the label table.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ffdv.data.corpus import Corpus, Problem
from ffdv.data.sources.folder import MEDIA_SUFFIXES, load_folder
from ffdv.data.sources.roots import lies_within, trusted_roots
from ffdv.data.sources.table import check_rows, has_label_header, read_table, refuse_when_empty
from ffdv.errors import ManifestError
from ffdv.records import Clip

_LABEL_FILE = re.compile(r"(train|val|valid|dev|test)(?:set\w*?)?[_-]?labels?(?:\.txt|\.csv|\.tsv)+", re.IGNORECASE)
_SET_FOLDER = re.compile(r"(train|val|test)set\w*", re.IGNORECASE)
_SPLITS = {"train": "train", "val": "val", "valid": "val", "dev": "val", "test": "test"}
_DEPTH = 3  # ROOT/copy/phase1/trainset


@dataclass(frozen=True)
class _Part:
    """One of the challenge's sets: where its clips may lie, and its label table if there is one."""

    split: str
    folders: tuple[Path, ...]
    table: Path | None


def is_challenge(folder: Path, *, labelled: bool = True) -> bool:
    """Whether there is a set's folder (trainset, valset, testset...) or a set's label table here or in a phase folder; labelled as in load_challenge."""
    return any(True for _ in _find_parts(folder, labelled=labelled))


def is_label_file(path: Path) -> bool:
    """Whether the name is that of one of the challenge's label tables.

    >>> is_label_file(Path("phase1/trainset_label.txt")), is_label_file(Path("val_label.txt.csv")), is_label_file(Path("label.csv"))
    (True, True, False)
    """
    return _LABEL_FILE.fullmatch(path.name) is not None


def load_challenge(folder: Path, *, labelled: bool = True) -> Corpus:
    """All sets below `folder`, with `split` train, val or test; sets without a label table have no labels.

    labelled: False, tables whose header cannot be used are passed over. Raises ManifestError when a label table is unreadable or none
    of its rows can be used.
    """
    return _merge(folder.resolve(), list(_find_parts(folder.resolve(), labelled=labelled)))


def find_label_file(folder: Path, *, labelled: bool = True) -> Path | None:
    """The label table beside a set's own folder (trainset beside trainset_label.txt), None when there is none; labelled as in load_challenge."""
    match = _SET_FOLDER.fullmatch(folder.name)
    if match is None:
        return None
    named = [path for path in sorted(folder.parent.iterdir()) if is_label_file(path) and path.is_file()]
    return _table_among([path for path in named if _split(path) == _SPLITS[match[1].lower()]], labelled=labelled)


def load_label_file(path: Path) -> Corpus:
    """The one set that a label table describes."""
    table = path.resolve()
    return _merge(table.parent, [_part_of(table)])


def _find_parts(root: Path, *, labelled: bool = True) -> Iterator[_Part]:
    """Labelled sets first (train, val, test), then folders that no table describes."""
    listings = dict(_folders(root, _DEPTH))
    named: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for folder, names in listings.items():
        for table in (folder / name for name in names if is_label_file(folder / name)):
            named[folder, _split(table)].append(table)
    chosen = (_table_among(tables, labelled=labelled) for tables in named.values())
    parts = [_part_of(table) for table in chosen if table is not None]
    order = ("train", "val", "test")
    yield from sorted(parts, key=lambda part: (order.index(part.split), str(part.table)))
    described = {folder for part in parts for folder in part.folders}
    for folder, names in listings.items():
        match = _SET_FOLDER.fullmatch(folder.name)
        if match and folder != root and folder not in described and _hold_media(names):
            yield _Part(_SPLITS[match[1].lower()], (folder,), None)


def _table_among(tables: Sequence[Path], *, labelled: bool) -> Path | None:
    """The table to read of those that a folder holds for one split: a copy often has the same one as .txt and as .csv.

    Where labels are wanted and no header can be used it is the first all the same, so that whoever reads it says what is wrong with
    it: passed over in silence, its clips would have no label and training would go on without them.
    """
    usable = next((table for table in tables if has_label_header(table)), None)
    return usable or (tables[0] if labelled and tables else None)


def _folders(root: Path, depth: int) -> Iterator[tuple[Path, list[str]]]:
    """A folder and those below it, each with the names of its files; a set's own folder is not entered further."""
    with os.scandir(root) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    yield root, [entry.name for entry in found if entry.is_file()]
    if depth == 0 or _SET_FOLDER.fullmatch(root.name):
        return
    for entry in found:
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        if not entry.is_symlink() or lies_within(Path(entry).resolve(), trusted_roots()):
            yield from _folders(root / entry.name, depth - 1)


def _part_of(table: Path) -> _Part:
    """The folders in which a table's clips may lie: its set's folders near it, else its own."""
    split = _split(table)
    near = [
        table.parent,
        *(
            child
            for child in sorted(table.parent.iterdir())
            if child.is_dir() and child.name.lower().startswith("phase")
        ),
    ]
    names = (split, f"{split}set")
    sets = [
        child
        for folder in near
        for child in sorted(folder.iterdir())
        if child.is_dir() and _belongs(child.name.lower(), names)
    ]
    return _Part(split, (*sets, table.parent), table)


def _belongs(name: str, names: tuple[str, str]) -> bool:
    return name == names[0] or name.startswith(names[1])


def _split(table: Path) -> str:
    match = _LABEL_FILE.fullmatch(table.name)
    if match is None:
        raise ManifestError(f"{table}: not a label table of the challenge; call it train_label.txt or val_label.txt")
    return _SPLITS[match[1].lower()]


def _hold_media(names: list[str]) -> bool:
    return any(Path(name).suffix.lower() in MEDIA_SUFFIXES for name in names)


def _merge(root: Path, parts: list[_Part]) -> Corpus:
    """All parts as one corpus; a name that an earlier part has is reported, for scores are joined by name."""
    clips: dict[str, Clip] = {}
    problems: list[Problem] = []
    for part in parts:
        corpus = _load_part(root, part)
        problems.extend(corpus.problems)
        for clip in corpus.clips:
            first = clips.setdefault(clip.name, clip)
            if first is not clip:
                text = f"{clip.name!r}: in the {clip.split} set and in the {first.split} set; the latter is kept"
                problems.append(Problem("duplicate", text, clip.name))
    return Corpus(root, tuple(clips.values()), tuple(problems))


def _load_part(root: Path, part: _Part) -> Corpus:
    if part.table is None:
        return load_folder(part.folders[0], split=part.split)
    clips, problems = check_rows(read_table(part.table), root=root, folders=part.folders, split=part.split)
    refuse_when_empty(part.table, clips, problems)
    source = part.table.name
    return Corpus(root, clips, tuple(replace(problem, text=f"{source} {problem.text}") for problem in problems))
