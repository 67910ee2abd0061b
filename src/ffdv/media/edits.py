"""How many entries FFmpeg's index of a track gets by its edit list, by the tables of times and key pictures.

    track     K . . . . K . . . . K . . . . K . . . . K . . . .
    edit                      |------|
    entries             |-----------------------|                from the key picture before it to the second one behind it

An edit costs what it shows, so a film cut into hundreds of pieces costs no more than the film. Nothing here trusts a table: what cannot be
followed gives None, and the caller counts the whole track for each edit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

# What to read of a box: the open file, and [begin, end) of the content.
Place = tuple[BinaryIO, int, int]
Table = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]

MAX_LISTED_EDITS = 4096  # looked at one by one; those behind are taken to show something
MAX_ROWS = 1 << 20  # of a table: nine hours of pictures that all last differently
MOST_TICKS = 1 << 53  # beyond, float64 skips numbers
SPARE_ENTRIES = 4  # an edit may show more than its time says: a last sample, and one or two by rounding
_EDIT_ROWS = (
    np.dtype([("ticks", ">u4"), ("time", ">i4"), ("rate", ">u4")]),
    np.dtype([("ticks", ">u8"), ("time", ">i8"), ("rate", ">u4")]),
)


def listed_edits(place: Place) -> tuple[Table, int]:
    """The first MAX_LISTED_EDITS of an elst that show something, rows of (length in the movie's ticks, time in the track's), and how many
    more there are. A time of -1 is a pause; behind the first edit FFmpeg takes it for one that shows the track's begin.
    """
    file, begin, end = place
    dtype = _EDIT_ROWS[read_at(file, begin, 1) == b"\x01"]
    count = min(number_at(file, begin + 4), max(0, end - begin - 8) // dtype.itemsize)
    raw = read_at(file, begin + 8, min(count, MAX_LISTED_EDITS) * dtype.itemsize)
    rows = np.frombuffer(raw, dtype, len(raw) // dtype.itemsize)
    edits = np.stack([rows["ticks"].astype(np.int64), rows["time"].astype(np.int64)], axis=1)
    pauses = int(np.cumprod(edits[:, 1] == -1).sum())
    return edits[pauses:], count - len(rows)


def entries_shown(
    edits: Table, boxes: Mapping[bytes, Place], spans: Numbers, movie_rate: int
) -> npt.NDArray[np.int64] | None:
    """Entries that each edit (rows of listed_edits) takes at most; None where the tables do not tell.

    boxes: the track's own by kind; spans: rows of (entries, ticks that they last together), in order; movie_rate: the movie's ticks a second.
    """
    rate, offsets, keys = _rate(boxes), _offsets(boxes), _keys(boxes)
    knots = np.cumsum(np.concatenate([np.zeros((1, 2)), spans]), axis=0)
    if not rate or not movie_rate or offsets is None or keys is None or not 0 < knots[-1, 1] < MOST_TICKS:
        return None
    length, time = (edits[:, 0] * (rate / movie_rate), edits[:, 1].astype(np.float64))
    # Of sound FFmpeg begins a second earlier. It compares times as shown, which may be earlier or later than those of decoding.
    first = np.floor(_entries_at(knots, time - offsets[1] - rate, "left")) - SPARE_ENTRIES
    last = np.ceil(_entries_at(knots, time + length + 1 - offsets[0], "right")) + SPARE_ENTRIES
    if len(keys):
        bounds = np.concatenate([[0.0], keys, [knots[-1, 0]] * 2])
        first = bounds[np.searchsorted(keys, first, "right")]
        last = bounds[np.searchsorted(keys, last, "left") + 2] + 1
    total = int(np.ceil(knots[-1, 0]))
    shown = np.clip(last - np.clip(first, 0, None), 1, total).astype(np.int64)
    return np.where((edits[:, 0] <= 0) | (edits[:, 1] < -1), total, shown)


def sample_spans(boxes: Mapping[bytes, Place], samples: int) -> Numbers | None:
    """Rows of (samples, ticks) by the stts; None where it does not tell of all samples and no more, or several are of one time."""
    rows = _rows(boxes.get(b"stts"), 2)
    if rows is None or not len(rows) or rows[:, 0].sum() != samples or (rows[:, 1] >= 1 << 31).any():
        return None
    if (rows[:, 0] == 0).any() or (rows[:-1, 1] == 0).any() or (rows[-1, 1] == 0 and rows[-1, 0] > 1):
        return None
    return np.stack([rows[:, 0], rows[:, 0] * rows[:, 1]], axis=1).astype(np.float64)


def read_at(file: BinaryIO, at: int, size: int) -> bytes:
    """So many bytes at a place, fewer where the file ends before."""
    file.seek(at)
    return file.read(size)


def number_at(file: BinaryIO, at: int) -> int:
    """The four bytes at a place as a number; 0 where the file ends before."""
    raw = read_at(file, at, 4)
    return int.from_bytes(raw, "big") if len(raw) == 4 else 0


def rate_of(place: Place) -> int:
    """Ticks a second by an mvhd or mdhd."""
    file, begin, _ = place
    return number_at(file, begin + (20 if read_at(file, begin, 1) == b"\x01" else 12))


def _rate(boxes: Mapping[bytes, Place]) -> int:
    return rate_of(boxes[b"mdhd"]) if b"mdhd" in boxes else 0


def _offsets(boxes: Mapping[bytes, Place]) -> tuple[int, int] | None:
    """By how many ticks a sample is shown earlier (below 0) and later than it is decoded, at most."""
    if b"ctts" not in boxes:
        return 0, 0
    rows = _rows(boxes[b"ctts"], 2)
    if rows is None:
        return None
    signed = rows[:, 1].astype(np.uint32).view(np.int32)
    return min(0, int(signed.min(initial=0))), max(0, int(signed.max(initial=0)))


def _keys(boxes: Mapping[bytes, Place]) -> Numbers | None:
    """The key pictures by their place in the index, rising; empty where all are."""
    if b"stss" not in boxes:
        return np.zeros(0)
    rows = _rows(boxes[b"stss"], 1)
    if rows is None or not len(rows) or (np.diff(rows[:, 0]) <= 0).any():
        return None
    return rows[:, 0].astype(np.float64) - 1


def _rows(place: Place | None, columns: int) -> Table | None:
    """A table of 32-bit numbers behind their count; None where it is not whole or very long."""
    if place is None:
        return None
    file, begin, end = place
    count = number_at(file, begin + 4)
    if count > min(MAX_ROWS, (end - begin - 8) // (4 * columns)):
        return None
    raw = read_at(file, begin + 8, count * columns * 4)
    return np.frombuffer(raw, ">u4").astype(np.int64).reshape(-1, columns) if len(raw) == count * columns * 4 else None


def _entries_at(knots: Numbers, at: Numbers, side: str) -> Numbers:
    """Entries before a time ("left"), or before and at it ("right"); knots: rows of (entries, ticks) so far, along which both rise evenly."""
    entries, ticks = np.append(knots[:, 0], knots[-1, 0]), np.append(knots[:, 1], MOST_TICKS)
    at = np.clip(at, 0, knots[-1, 1] + 1)
    found = np.searchsorted(ticks, at, "left") if side == "left" else np.searchsorted(ticks, at, "right")
    row = np.clip(found - 1, 0, None)
    share = np.clip((at - ticks[row]) / np.maximum(1.0, ticks[row + 1] - ticks[row]), 0.0, 1.0)
    reached: Numbers = entries[row] + share * (entries[row + 1] - entries[row])
    return reached
