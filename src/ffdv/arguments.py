"""What a verb was called with: refused at the door, in one sentence that names the keyword, before anything is read or written.

From the command line typer checks most of this; from Python nobody did, and a letter was taken for a word, or a pool without workers
waited for itself. It lies in row 0 because the verbs of several rooms that do not know each other ask it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path

from ffdv.errors import RecipeError

# pydantic's context for the settings of a run that exists: what would be refused a new one as unwise passes, it was trained so.
TRAINED_BEFORE = "trained before"


def each(words: str | Iterable[str]) -> tuple[str, ...]:
    """The words of a list; a single text is one word, not its letters.

    >>> each("voice"), each(["voice", "picture"])
    (('voice',), ('voice', 'picture'))
    """
    return (words,) if isinstance(words, str) else tuple(words)


def one_path(given: Path | str, keyword: str = "data") -> Path:
    """The path that was given. Raises RecipeError for a list of them, or something else that names no file."""
    if isinstance(given, (str, os.PathLike)):
        return Path(given)
    raise RecipeError(f"{keyword} is {_kind(given)}; give one path: of a folder, a table or a file")


def one_file(given: Path | str, keyword: str = "file") -> Path:
    """The file that was given. Raises RecipeError for an empty name, which would be the working directory, and for what is no name."""
    if not isinstance(given, (str, os.PathLike)) or isinstance(os.fspath(given), bytes):
        raise RecipeError(f"{keyword} is {_kind(given)}; give the path of one file")
    if isinstance(given, str) and not given.strip():
        raise RecipeError(f"{keyword} is an empty name; give the path of one file")
    return Path(given)


def _kind(given: object) -> str:
    return f"a {type(given).__name__}" + (f" of {len(given)}" if isinstance(given, (list, tuple)) else "")


def whole_number(least: int, most: int | None = None, **named: int | None) -> None:
    """Refuse a value that is no whole number from `least` to `most`; None is none and passes. Raises RecipeError.

    >>> whole_number(1, limit=None, workers=4)
    """
    for keyword, value in named.items():
        if value is None:
            continue
        fits = isinstance(value, Integral) and value >= least and (most is None or value <= most)
        if not fits or isinstance(value, bool):
            span = f"of at least {least}" if most is None else f"from {least} to {most}"
            raise RecipeError(f"{keyword} must be a whole number {span}, got {value!r}")


def positive(*, endless: bool = False, **named: float) -> tuple[float, ...]:
    """The values as Python's own numbers, which JSON takes; one that is not above 0, or not finite unless `endless`, is refused.

    Raises RecipeError.

    >>> positive(max_seconds=0.5), positive(endless=True, timeout_seconds=math.inf)
    ((0.5,), (inf,))
    """
    for keyword, value in named.items():
        if not isinstance(value, Real) or not value > 0 or (math.isinf(value) and not endless):
            raise RecipeError(f"{keyword} must be a number above 0, got {value!r}")
    return tuple(map(float, named.values()))


def one_of(known: Sequence[str], **named: str) -> None:
    """Refuse a word that is not among those known. Raises RecipeError, which lists them."""
    for keyword, value in named.items():
        if value not in known:
            raise RecipeError(f"{keyword} {value!r} is not known; choose one of {', '.join(known)}")
