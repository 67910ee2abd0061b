"""A folder of clips without labels, or one clip: names are paths below the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ffdv.data.corpus import Corpus, Problem
from ffdv.data.sources.roots import leads_outside, lies_within, trusted_roots
from ffdv.errors import ManifestError
from ffdv.records import Clip
from ffdv.sentences import Sentence

_PICTURE = ".mp4 .m4v .mov .mkv .webm .avi .flv .3gp .3g2 .ts .mts .m2ts .mpg .mpeg .ogv .wmv"
_SOUND = ".wav .flac .mp3 .ogg .oga .opus .m4a .m4b .aac .amr .aif .aiff .mka .wma"
MEDIA_SUFFIXES = frozenset(f"{_PICTURE} {_SOUND}".split())
MANY = 3  # names that the sentence on skipped files spells out


def load_folder(folder: Path, *, split: str | None = None) -> Corpus:
    """Every media file below `folder`, by name; other files are counted in one problem. Linked folders are entered only
    where they lead into a trusted root (sources/roots).

    Raises ManifestError when there is none.
    """
    root = folder.resolve()
    clips: dict[Path, Clip] = {}
    skipped: list[str] = []
    problems: list[Problem] = []
    unentered: list[Path] = []
    for path in _files(root, unentered):
        # A name whose bytes are no text is shown with backslashes; the path keeps the bytes.
        name = path.relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode()
        if path.suffix.lower() not in MEDIA_SUFFIXES or path.name.startswith("."):
            skipped.append(name)
        elif path.is_symlink() and not lies_within(path.resolve(), root):
            why = leads_outside()
            problems.append(Problem("outside", Sentence("{name}: {problem}", name=repr(name), problem=why), name))
        elif not path.is_file():
            why = Sentence("not a regular file")
            problems.append(Problem("missing", Sentence("{name}: {problem}", name=repr(name), problem=why), name))
        elif (first := clips.get(path.resolve())) is not None:
            why = Sentence("the same file as {other}; taken once", other=repr(first.name))
            problems.append(Problem("duplicate", Sentence("{name}: {problem}", name=repr(name), problem=why), name))
        else:
            clips[path.resolve()] = Clip(name, path.resolve(), split=split)
    for path in unentered:
        name = path.relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode()
        problems.append(
            Problem("outside", Sentence("{name}: {problem}", name=repr(name), problem=leads_outside()), name)
        )
    if skipped:
        problems.append(Problem("skipped", _skipped(skipped)))
    if not clips and (root / "shards.json").is_file():
        raise ManifestError(
            f"{folder}: holds prepared clips, no media files; give the folder or the table that they were prepared from"
        )
    if not clips:
        reasons = " ".join(problem.text for problem in problems[:MANY]) or "it is empty"
        raise ManifestError(f"{folder}: holds no media files: {reasons}")
    return Corpus(root, tuple(clips.values()), tuple(problems))


def load_file(path: Path) -> Corpus:
    """One media file as a corpus of one clip."""
    return Corpus(path.parent.resolve(), (Clip(path.name, path.resolve()),))


def _files(root: Path, unentered: list[Path]) -> Iterator[Path]:
    """Every file below; a folder that several links lead to is entered once. unentered: takes the links that lead outside."""
    trusted = bool(trusted_roots())
    entered: set[Path] = set()
    for folder, folders, files in os.walk(root, followlinks=trusted):
        linked = {name: target for name in folders if (target := _link(Path(folder, name))) is not None}
        folders[:] = sorted(
            name
            for name in folders
            if name not in linked or (trusted and lies_within(linked[name], root) and linked[name] not in entered)
        )
        unentered += [Path(folder, name) for name, target in linked.items() if not lies_within(target, root)]
        entered.update(linked[name] for name in folders if name in linked)
        yield from (Path(folder, name) for name in sorted(files))


def _link(folder: Path) -> Path | None:
    """Where a linked folder leads; None of one that is no link."""
    return folder.resolve() if folder.is_symlink() else None


def _skipped(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:MANY])
    more = f" and {len(names) - MANY} more" if len(names) > MANY else ""
    return f"{len(names)} files without a media suffix were not looked at ({shown}{more}); name them in a table to have them read"
