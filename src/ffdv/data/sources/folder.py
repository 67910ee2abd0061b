"""A folder of clips without labels, or one clip: names are paths below the folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from ffdv.data.corpus import Corpus, Problem, ProblemKind
from ffdv.data.sources.roots import leads_outside, lies_within, trusted_roots
from ffdv.errors import ManifestError
from ffdv.records import Clip
from ffdv.sentences import Sentence, foreign, joined

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
    trusted = trusted_roots()
    roots = (root, *trusted)

    def tell(kind: ProblemKind, name: str, why: Sentence) -> None:
        problems.append(Problem(kind, Sentence("{name}: {problem}", name=repr(name), problem=why), name))

    unentered: list[Path] = []
    for path in _files(root, trusted, unentered):
        name, target = _shown(path, root), path.resolve()
        if path.suffix.lower() not in MEDIA_SUFFIXES or path.name.startswith("."):
            skipped.append(name)
        elif not lies_within(target, roots):
            tell("outside", name, leads_outside())
        elif not path.is_file():
            tell("missing", name, Sentence("not a regular file"))
        elif (first := clips.get(target)) is not None:
            tell("duplicate", name, Sentence("the same file as {other}; taken once", other=repr(first.name)))
        else:
            clips[target] = Clip(name, target, split=split)
    for path in unentered:
        tell("outside", _shown(path, root), leads_outside())
    if skipped:
        problems.append(Problem("skipped", _skipped(skipped)))
    if not clips:
        raise _empty(folder, problems)
    return Corpus(root, tuple(clips.values()), tuple(problems))


def _empty(folder: Path, problems: Sequence[Problem]) -> ManifestError:
    """Why there is nothing in a folder."""
    if (folder / "shards.json").is_file():
        return ManifestError(
            Sentence(
                "{folder}: holds prepared clips, no media files; give the folder or the table that they were prepared from",
                folder=folder,
            )
        )
    if not problems:
        return ManifestError(
            Sentence(
                "{folder}: holds no media files, it is empty; give a media file, a folder or a table of clips",
                folder=folder,
            )
        )
    why = joined([foreign(problem.text) for problem in problems[:MANY]])
    return ManifestError(Sentence("{folder}: holds no media files: {why}", folder=folder, why=why))


def load_file(path: Path) -> Corpus:
    """One media file as a corpus of one clip."""
    return Corpus(path.parent.resolve(), (Clip(path.name, path.resolve()),))


def _files(root: Path, trusted: Sequence[Path], unentered: list[Path]) -> Iterator[Path]:
    """Every file below; linked folders are entered where they lead into a trusted one, each once; `unentered` takes those that lead outside."""
    entered: set[Path] = set()
    for folder, folders, files in os.walk(root, followlinks=True):
        plain: list[str] = []
        for name in sorted(folders):
            path = Path(folder, name)
            if not path.is_symlink():
                plain.append(name)
            elif lies_within(target := path.resolve(), trusted) and target not in entered:
                entered.add(target)
                plain.append(name)
            elif not lies_within(target, (root, *trusted)):
                unentered.append(path)
        folders[:] = plain
        yield from (Path(folder, name) for name in sorted(files))


def _shown(path: Path, root: Path) -> str:
    """A file's name below the root; bytes that are no text are shown with backslashes, the path keeps them."""
    return path.relative_to(root).as_posix().encode("utf-8", "backslashreplace").decode()


def _skipped(names: list[str]) -> Sentence:
    shown = ", ".join(repr(name) for name in names[:MANY])
    return Sentence(
        "{count} files without a media suffix were not looked at ({shown}); name them in a table to have them read",
        count=len(names),
        shown=shown + (", ..." if len(names) > MANY else ""),
    )
