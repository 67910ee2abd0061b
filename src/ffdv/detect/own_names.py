"""Whose a name in a report is: scans that write into one folder at the same time never share one.

    x1.mp4 of A  ──▶ claimed first           ──▶ clips/x1.mp4-<digest>.json
    x1.mp4 of B  ──▶ taken, though no JSON   ──▶ under its whole path

A claim is a small file beside the clips' own, made in one step that also network file systems do for one writer alone (O_EXCL), so no lock is
waited for. It says whose the name is and nothing of time: what a killed scan leaves holds the name for the same file, and nobody up.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ffdv.detect.own_files import read_plain
from ffdv.detect.told import CLIPS, page_name, told_of
from ffdv.errors import SubmissionError
from ffdv.records import Clip
from ffdv.sentences import Sentence, foreign

LONGEST_PATH_BYTES = 1 << 17
# How long somebody else may take from making a claim to writing into it: after that the name counts as another's.
PATIENCE_SECONDS, LOOKS = 0.2, 10


def apart(clip: Clip, folder: Path) -> Clip:
    """The clip, under its whole path where the report holds another file of its name that is still there, or has it there already."""
    path = whole_path(clip)
    told = told_of(clip.name, folder)
    before = None if told is None else told.file
    if before == path:
        return clip
    if (before is None or not Path(before).is_file()) and told_of(path, folder) is None:
        return clip
    return Clip(path, clip.path)


@contextmanager
def claimed(clips: Sequence[Clip], folder: Path) -> Iterator[list[Clip]]:
    """The clips under names that are theirs alone as long as this lasts, whoever else writes into the folder."""
    claims: list[_Claim] = []
    try:
        yield [_claim(clip, folder, claims) for clip in clips]
    finally:
        for claim in claims:
            if claim.ours or _is_told(claim.clip, folder):
                with contextlib.suppress(OSError):
                    claim.path.unlink()


def whole_path(clip: Clip) -> str:
    """Where a clip's file lies, as text that tells it from all others."""
    return readable(str(clip.path.resolve()))


def readable(name: str) -> str:
    """A file's name as text: bytes that are none are shown with backslashes, the path keeps them."""
    return name.encode("utf-8", "backslashreplace").decode()


class _Claim(NamedTuple):
    """path: of its file; ours: made by this scan, else it was there for the same clip: of a scan that was killed, or works beside this one."""

    path: Path
    clip: Clip
    ours: bool


def _claim(clip: Clip, folder: Path, claims: list[_Claim]) -> Clip:
    if _is_told(clip, folder):
        return clip
    path = whole_path(clip)
    claim = folder / CLIPS / f".{page_name(clip.name)}.claim"
    try:
        with claim.open("xb") as file:
            file.write(path.encode())
        claims.append(_Claim(claim, clip, ours=True))
    except FileExistsError:
        if not _is_claim_of(path, claim):
            return Clip(path, clip.path)
        claims.append(_Claim(claim, clip, ours=False))
    except OSError as error:
        why = foreign(error.strerror or error)
        told = Sentence("cannot write into {folder} ({why}); give another folder (--out)", folder=folder, why=why)
        raise SubmissionError(told) from error
    # The JSON is asked after the claim is made: whoever had the claim before has written it by now.
    return apart(clip, folder)


def _is_told(clip: Clip, folder: Path) -> bool:
    """Whether the folder has a JSON of this very file under the clip's name: that holds the name for it."""
    told = told_of(clip.name, folder)
    return told is not None and told.file == whole_path(clip)


def _is_claim_of(path: str, claim: Path) -> bool:
    for _ in range(LOOKS):
        held = read_plain(claim, most_bytes=LONGEST_PATH_BYTES)
        if held:
            return held == path.encode()
        time.sleep(PATIENCE_SECONDS / LOOKS)
    return False
