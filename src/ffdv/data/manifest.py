"""A corpus on disk → its clips: the challenge's folder, a label table, or a folder of clips.

Rows that cannot be used are carried as problems, by row number; only a wholly unusable corpus is an error.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ffdv.arguments import one_path
from ffdv.data.corpus import Corpus, Problem
from ffdv.data.sources import challenge, folder, table
from ffdv.errors import ManifestError
from ffdv.sentences import Sentence

__all__ = ["Corpus", "Problem", "load_corpus", "load_every_clip"]


def load_corpus(data: Path | str) -> Corpus:
    """Read what `data` is: the challenge's folder, a CSV or TSV, a folder that holds one, a folder of clips, or one clip.

    Every clip's file is a regular file below the corpus's root. Raises ManifestError when nothing can be used,
    RecipeError for several paths.
    """
    path = one_path(data)
    if path.is_file():
        return _load_single(path)
    if not path.is_dir():
        raise ManifestError(
            Sentence(
                "{path}: no such file or folder; give the challenge's folder, a label table or a folder of clips",
                path=path,
            )
        )
    return _load_labelled(path) or folder.load_folder(path)


def _load_labelled(path: Path, *, labelled: bool = True) -> Corpus | None:
    """What a folder's own tables name, or those beside it; None where there is none. labelled: as in load_challenge."""
    tables = [candidate for candidate in sorted(path.iterdir()) if _is_table(candidate)]
    if tables:
        return table.load_table(max(tables, key=_richness))
    if challenge.is_challenge(path, labelled=labelled):
        return challenge.load_challenge(path, labelled=labelled)
    beside = challenge.find_label_file(path.resolve(), labelled=labelled)
    if beside is not None:
        return challenge.load_label_file(beside)
    return None


def load_every_clip(data: Path | str) -> Corpus:
    """What is to be judged rather than learnt from: load_corpus, and every other media file of a folder, which no table may hide.

    A table that is given needs no labels; one in a folder that cannot be used does not matter. Raises ManifestError when there is nothing at all.
    """
    path = one_path(data)
    if path.is_file() and path.suffix.lower() in table.TABLE_SUFFIXES and not challenge.is_label_file(path):
        return table.load_table(path, labelled=False)
    if not path.is_dir():
        return load_corpus(path)
    try:
        named = _load_labelled(path, labelled=False)
    except ManifestError as error:
        try:
            return folder.load_folder(path)
        except ManifestError:
            raise error from None
    if named is None:
        return folder.load_folder(path)
    try:
        found = folder.load_folder(path)
    except ManifestError:
        return named
    paths, names = {clip.path for clip in named.clips}, {clip.name for clip in named.clips}
    others = [
        replace(clip, name=str(clip.path)) if clip.name in names else clip
        for clip in found.clips
        if clip.path not in paths
    ]
    told = {problem.name for problem in named.problems}
    problems = [problem for problem in found.problems if problem.name and problem.name not in {*told, *names}]
    return Corpus(named.root, (*named.clips, *others), (*named.problems, *problems))


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
