"""A folder of clips without labels, or one clip: names are paths below the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ffdv.data.corpus import Corpus, Problem
from ffdv.errors import ManifestError
from ffdv.records import Clip
from ffdv.sentences import Sentence

_PICTURE = ".mp4 .m4v .mov .mkv .webm .avi .flv .3gp .3g2 .ts .mts .m2ts .mpg .mpeg .ogv .wmv"
_SOUND = ".wav .flac .mp3 .ogg .oga .opus .m4a .m4b .aac .amr .aif .aiff .mka .wma"
MEDIA_SUFFIXES = frozenset(f"{_PICTURE} {_SOUND}".split())
MANY = 3  # names that the sentence on skipped files spells out


def load_folder(folder: Path, *, split: str | None = None) -> Corpus:
    """Every media file below `folder`, by name; other files are counted in one problem, linked folders are not entered.

    Raises ManifestError when there is none.
    """
    root = folder.resolve()
    clips: list[Clip] = []
    skipped: list[str] = []
    problems: list[Problem] = []
    for path in _files(root):
        # A name whose bytes are no text is shown with backslashes; the path keeps the bytes.
        name = path.relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode()
        if path.suffix.lower() not in MEDIA_SUFFIXES or path.name.startswith("."):
            skipped.append(name)
        elif path.is_symlink() and not path.resolve().is_relative_to(root):
            why = Sentence("a link that leads outside the data's folder; copy the file into it")
            problems.append(Problem("outside", Sentence("{name}: {problem}", name=repr(name), problem=why), name))
        elif not path.is_file():
            why = Sentence("not a regular file")
            problems.append(Problem("missing", Sentence("{name}: {problem}", name=repr(name), problem=why), name))
        else:
            clips.append(Clip(name, path.resolve(), split=split))
    if skipped:
        problems.append(Problem("skipped", _skipped(skipped)))
    if not clips:
        reasons = " ".join(problem.text for problem in problems[:MANY]) or "it is empty"
        raise ManifestError(f"{folder}: holds no media files: {reasons}")
    return Corpus(root, tuple(clips), tuple(problems))


def load_file(path: Path) -> Corpus:
    """One media file as a corpus of one clip."""
    return Corpus(path.parent.resolve(), (Clip(path.name, path.resolve()),))


def _files(root: Path) -> Iterator[Path]:
    for folder, folders, files in os.walk(root):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(files))


def _skipped(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:MANY])
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return f"{len(names)} files without a media suffix were not looked at ({shown}{more}); name them in a table to have them read"
