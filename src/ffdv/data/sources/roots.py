"""Where a corpus's files may lie: below its own folder, and below the folders that the user trusts by name.

A label table from elsewhere must not make us read files of this machine, so links and absolute paths are followed no further.
Who keeps clips on another disk names it: FFDV_DATA_ROOTS=/mnt/clips, several with the system's path separator between them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ffdv.errors import ManifestError
from ffdv.sentences import Sentence

VARIABLE = "FFDV_DATA_ROOTS"


def trusted_roots(*, must_exist: bool = True) -> tuple[Path, ...]:
    """The folders that FFDV_DATA_ROOTS names, resolved; () when it is not set.

    Raises ManifestError where one is none; without must_exist that one is left out.
    """
    named = [Path(name) for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name.strip()]
    for folder in named:
        if must_exist and not folder.is_dir():
            raise ManifestError(f"{VARIABLE}: {folder} is no folder; name those that hold the clips")
    return tuple(folder.resolve() for folder in named if folder.is_dir())


def lies_within(path: Path, roots: Sequence[Path]) -> bool:
    """Whether a resolved path lies below one of the roots."""
    return any(path.is_relative_to(root) for root in roots)


def leads_outside() -> Sentence:
    """Why a link is not followed, and what to do."""
    return Sentence(
        "a link that leads outside the data's folder; copy the file into it, or name where the link leads in {variable}",
        variable=VARIABLE,
    )
