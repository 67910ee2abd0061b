"""A corpus on disk → its clips: the challenge's folder, a label table, or a folder of clips.

Rows that cannot be used are carried as problems, by row number; only a wholly unusable corpus is an error.
"""

from __future__ import annotations

from pathlib import Path

from ffdv.data.corpus import Corpus, Problem
from ffdv.data.sources import challenge, folder, table
from ffdv.errors import ManifestError

__all__ = ["Corpus", "Problem", "load_corpus"]


def load_corpus(data: Path | str) -> Corpus:
    """Read what `data` is: the challenge's folder, a CSV or TSV, a folder that holds one, a folder of clips, or one clip.

    Every clip's file is a regular file below the corpus's root. Raises ManifestError when nothing can be used.
    """
    path = Path(data)
    if path.is_file():
        return _load_single(path)
    if not path.is_dir():
        raise ManifestError(
            f"{path}: no such file or folder; give the challenge's folder, a label table or a folder of clips"
        )
    tables = [candidate for candidate in sorted(path.iterdir()) if _is_table(candidate)]
    if tables:
        return table.load_table(max(tables, key=_richness))
    if challenge.is_challenge(path):
        return challenge.load_challenge(path)
    beside = challenge.find_label_file(path.resolve())
    if beside is not None:
        return challenge.load_label_file(beside)
    return folder.load_folder(path)


def _load_single(path: Path) -> Corpus:
    if challenge.is_label_file(path):
        return challenge.load_label_file(path)
    if path.suffix.lower() in table.TABLE_SUFFIXES:
        return table.load_table(path)
    return folder.load_file(path)


def _is_table(path: Path) -> bool:
    """A table by its name, or by its header; the challenge's own label tables are read with their sets."""
    if path.suffix.lower() not in table.TABLE_SUFFIXES or not path.is_file() or challenge.is_label_file(path):
        return False
    return path.stem.lower() in {"manifest", "label", "labels"} or table.has_label_header(path)


def _richness(path: Path) -> tuple[int, bool]:
    """Order of choice among tables of one folder: the most columns that later steps know, then the name manifest."""
    return table.read_table(path).num_known_columns, path.stem.lower() == "manifest"
