"""Where each packet of an MP4 track lies and when it is shown, from the track's own tables, some thousands of packets at a time.

    stts  (count, duration) ...           ┐
    ctts  (count, shown - decoded) ...    │      offset  size  shown  duration
    stsz  size ...                        ├─▶    ......  ....  .....  ........     PACKETS_AT_ONCE rows
    stsc  (first chunk, packets each) ... │
    stco  offset of chunk ...             ┘

The tables stay in the file: what is kept is where every PACKETS_AT_ONCE-th packet stands in each of them. Only tables of the usual kind are
read (ISO/IEC 14496-12, 8.6 and 8.7); anything else is Unusual, and whoever asked reads the file in another way.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Boxes = Mapping[bytes, tuple[int, int]]

PACKETS_AT_ONCE = 4096
MAX_KEYFRAMES = 65_536
MAX_SHIFT = 1 << 28  # between decoding and showing, in ticks; FFmpeg ignores a table beyond it


class Unusual(Exception):
    """The tables are not of the kind that is read here."""


@dataclass(frozen=True)
class Table:
    """Rows of big-endian numbers in a file: where they begin, how many, how many columns of how many bytes."""

    begin: int
    count: int
    columns: int = 1
    width: int = 4

    def rows(self, file: BinaryIO, first: int, count: int) -> Integers:
        """At most `count` rows from `first` on, (n, columns)."""
        count = max(0, min(count, self.count - first))
        file.seek(self.begin + first * self.columns * self.width)
        content = file.read(count * self.columns * self.width)
        if len(content) < count * self.columns * self.width:
            raise Unusual("a table ends early")
        return np.frombuffer(content, f">u{self.width}").astype(np.int64).reshape(count, self.columns)


def table_in(file: BinaryIO, boxes: Boxes, kind: bytes, *, columns: int = 1, width: int = 4, lead: int = 4) -> Table:
    """The table of a box: version and flags (4 bytes), `lead` bytes whose last four are the number of rows, then the rows."""
    if kind not in boxes:
        raise Unusual(f"no {kind!r}")
    begin, end = boxes[kind]
    file.seek(begin + lead)
    raw = file.read(4)
    if len(raw) < 4:
        raise Unusual(f"{kind!r} is cut off")
    table = Table(begin + lead + 4, struct.unpack(">I", raw)[0], columns, width)
    if table.begin + table.count * columns * width > end:
        raise Unusual(f"{kind!r} has more rows than room")
    return table


@dataclass(frozen=True)
class Packets:
    """Packets in a row (n,): offset and size in bytes; when each is decoded and shown, and how long, in ticks of the track."""

    offsets: Integers
    sizes: Integers
    decoded: Integers
    shown: Integers
    durations: Integers


@dataclass(frozen=True)
class _Place:
    """Where a packet stands: the row of each table and how much of it lies before, in a chunk packets and bytes; when it is decoded."""

    chunk: tuple[int, int, int] = (0, 0, 0)
    layout: int = 0
    duration: tuple[int, int] = (0, 0)
    shift: tuple[int, int] = (0, 0)
    ticks: int = 0


class SampleTable:
    """All packets of one track; reading it needs the file, which the caller opens. Raises Unusual when it is made or read."""

    def __init__(self, file: BinaryIO, boxes: Boxes, file_bytes: int) -> None:
        self.sizes = table_in(file, boxes, b"stsz", lead=8)
        self.layout = table_in(file, boxes, b"stsc", columns=3)
        wide = b"co64" in boxes
        self.chunks = table_in(file, boxes, b"co64" if wide else b"stco", width=8 if wide else 4)
        self.shifts = table_in(file, boxes, b"ctts", columns=2) if b"ctts" in boxes else None
        self._durations = table_in(file, boxes, b"stts", columns=2)
        self.count = self.sizes.count
        file.seek(boxes[b"stsz"][0] + 4)
        if file.read(4) != bytes(4) or not self.count:
            raise Unusual("packets of one size, or none")
        self._places = [_Place()]
        self._survey(file, file_bytes)
        self._keys = self._keyframes(file, boxes)

    def packets(self, file: BinaryIO, group: int) -> Packets:
        """The packets [group * PACKETS_AT_ONCE, (group + 1) * PACKETS_AT_ONCE), as far as there are."""
        return self._read(file, group)[0]

    def keyframe_before(self, file: BinaryIO, ticks: int) -> tuple[int, int] | None:
        """Number and decoding time of the last keyframe that is decoded by then."""
        group = bisect_right(self._places, ticks, hi=len(self._places) - 1, key=lambda place: place.ticks) - 1
        if group < 0:
            return None
        decoded = self.packets(file, group).decoded
        number = group * PACKETS_AT_ONCE + int(np.searchsorted(decoded, ticks, "right")) - 1
        if self._keys is None:
            return number, int(decoded[number % PACKETS_AT_ONCE])
        number = int(self._keys[np.searchsorted(self._keys, number, "right") - 1])
        return number, int(self.packets(file, number // PACKETS_AT_ONCE).decoded[number % PACKETS_AT_ONCE])

    def cut(self, file: BinaryIO, least: int) -> tuple[int, dict[Table, int]]:
        """The packets of the fewest whole chunks that hold `least` of them (or all), and how many rows of each table tell of these."""
        layout = self.layout.rows(file, 0, least + 1)
        ends = np.cumsum(_packets_in(layout, 0, min(self.chunks.count, least)))
        chunks = min(int(np.searchsorted(ends, least)), len(ends) - 1) + 1
        packets = min(int(ends[chunks - 1]), self.count)
        rows = {self.sizes: packets, self.chunks: chunks}
        rows[self.layout] = int(np.searchsorted(layout[:, 0], chunks, "right"))
        if self.shifts is not None:
            rows[self.shifts] = min(self.shifts.count, packets)
        return packets, rows

    def _survey(self, file: BinaryIO, file_bytes: int) -> None:
        """Walk all packets once: where each group begins, how many bytes and ticks there are; that all lie in the file."""
        self.total_bytes = self.last_shown = self.end_ticks = 0
        for group in range(-(-self.count // PACKETS_AT_ONCE)):
            packets, following = self._read(file, group)
            if packets.offsets.min() < 0 or (packets.offsets + packets.sizes).max() > file_bytes:
                raise Unusual("a packet lies outside the file")
            self.total_bytes += int(packets.sizes.sum())
            self.last_shown = max(self.last_shown, int(packets.shown.max()))
            self.end_ticks = following.ticks
            self._places.append(following)
        rest = [(self._durations, following.duration), (self.shifts, following.shift)]
        if following.chunk != (self.chunks.count, 0, 0) or any(
            table is not None and place != (table.count, 0) for table, place in rest
        ):
            raise Unusual("the tables are not of one length")

    def _keyframes(self, file: BinaryIO, boxes: Boxes) -> Integers | None:
        """Numbers of the packets that are keyframes; None where all are."""
        if b"stss" not in boxes:
            return None
        table = table_in(file, boxes, b"stss")
        keys = table.rows(file, 0, min(table.count, MAX_KEYFRAMES))[:, 0] - 1
        if not 0 < table.count <= MAX_KEYFRAMES or keys[0] != 0 or (np.diff(keys) <= 0).any() or keys[-1] >= self.count:
            raise Unusual("too many keyframes, or out of order")
        return keys

    def _read(self, file: BinaryIO, group: int) -> tuple[Packets, _Place]:
        """A group's packets, and where the next group begins."""
        place = self._places[group]
        first = group * PACKETS_AT_ONCE
        count = min(PACKETS_AT_ONCE, self.count - first)
        sizes = self.sizes.rows(file, first, count)[:, 0]
        offsets, chunk, layout = self._offsets(file, place, sizes)
        durations, duration = _runs(self._durations, file, place.duration, count)
        if durations.min() < 1:
            raise Unusual("packets without duration")
        ends = place.ticks + np.cumsum(durations)
        decoded = ends - durations
        shown, shift = decoded, (0, 0)
        if self.shifts is not None:
            shifts, shift = _runs(self.shifts, file, place.shift, count)
            shifts = shifts.astype(np.uint32).view(np.int32).astype(np.int64)
            if np.abs(shifts).max() >= MAX_SHIFT:
                raise Unusual("packets shown long after they are decoded")
            shown = decoded + shifts
        following = _Place(chunk, layout, duration, shift, int(ends[-1]))
        return Packets(offsets, sizes, decoded, shown, durations), following

    def _offsets(self, file: BinaryIO, place: _Place, sizes: Integers) -> tuple[Integers, tuple[int, int, int], int]:
        """Where each packet lies; the chunk that the next one is in, with the packets and bytes before it there; its layout row."""
        first, packets_before, bytes_before = place.chunk
        rows = self.layout.rows(file, place.layout, len(sizes) + 1)
        counts = _packets_in(rows, first, min(self.chunks.count, first + len(sizes) + 1))
        counts[0] -= packets_before
        ends = np.cumsum(counts)
        at = int(np.searchsorted(ends, len(sizes)))
        if at == len(ends) or counts[0] < 1:
            raise Unusual("fewer packets in chunks than sizes")
        counts, spare = counts[: at + 1], int(ends[at]) - len(sizes)
        counts[at] -= spare
        begins = self.chunks.rows(file, first, at + 1)[:, 0]
        before = np.cumsum(sizes) - sizes
        shift = begins - before[np.cumsum(counts) - counts]
        shift[0] += bytes_before
        offsets = np.repeat(shift, counts) + before
        chunk = (first + at + 1, 0, 0)
        if spare:
            packets = int(counts[at]) + (packets_before if at == 0 else 0)
            chunk = (first + at, packets, int(offsets[-1] + sizes[-1] - begins[at]))
        layout = place.layout + int(np.searchsorted(rows[:, 0], chunk[0] + 1, "right")) - 1
        return offsets, chunk, layout


def _packets_in(rows: Integers, first: int, last: int) -> Integers:
    """How many packets each of the chunks [first, last) holds."""
    numbers = np.arange(first + 1, last + 1)
    if not len(rows) or not len(numbers) or rows[0, 0] > first + 1 or (np.diff(rows[:, 0]) <= 0).any():
        raise Unusual("chunks out of order")
    held = rows[np.searchsorted(rows[:, 0], numbers, "right") - 1]
    if (held[:, 1] < 1).any() or (held[:, 2] != 1).any():
        raise Unusual("empty chunks, or several descriptions")
    return held[:, 1].copy()


def _runs(table: Table, file: BinaryIO, place: tuple[int, int], count: int) -> tuple[Integers, tuple[int, int]]:
    """`count` values of (times, value) rows from a place (row, how much of it is used) on, and the place behind them."""
    row, used = place
    rows = table.rows(file, row, count + 1)
    if not len(rows) or (rows[:, 0] < 1).any():
        raise Unusual("a run of nothing")
    times = rows[:, 0].copy()
    times[0] -= used
    ends = np.cumsum(times)
    at = int(np.searchsorted(ends, count))
    if at == len(ends):
        raise Unusual("fewer times than packets")
    spare = int(ends[at]) - count
    times[at] -= spare
    values = np.repeat(rows[: at + 1, 1], times[: at + 1])
    return values, (row + at, int(rows[at, 0]) - spare) if spare else (row + at + 1, 0)
