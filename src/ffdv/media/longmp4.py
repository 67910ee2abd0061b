"""An MP4 of hours without FFmpeg's index of all its packets, which takes 36 bytes each on opening, and twice that under an edit list.

    file      |ftyp|moov: ... stsz 310140 ... stco 18003 ...|mdat ..............................|
    view      |ftyp|moov: ... stsz    256 ... stco    16 ...|mdat ..............................|   FFmpeg reads the first packets,
    tables                                                                  256, 257, ... 310139    we the others from where they lie

What FFmpeg knows of the file (facts, priming, edit lists, seeking among the first packets) it learns from the view as from the file, since only
the number of packets is another. LongMp4.of believes the tables only where the packets that FFmpeg gives are, byte for byte and tick for tick,
those that the tables tell of, and where nothing is unusual: one normal edit at most, and one empty one before it.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from io import BufferedReader
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Self

import av
from av.packet import Packet
from av.stream import Disposition

from ffdv.media.boxes import BoxFacts
from ffdv.media.decode import Reading
from ffdv.media.sampletable import PACKETS_AT_ONCE, Boxes, SampleTable, Unusual, table_in

# From so many packets in one track on (25 minutes of AAC) it is worth it: below, FFmpeg's indexes take less than 5 MB.
LONG_PACKETS = 65_536
MAX_PACKETS = 1 << 22  # of all tracks: a day of AAC; walking them takes 0.3 s
FIRST_PACKETS = 256
READ_BYTES = 1 << 16
LISTED_AT_ONCE = 256  # Python's integers take 32 bytes each

# Those whose packets FFmpeg hands on as they lie in the file; others (MP3, AC-3, VP9) it parses and cuts anew.
CODECS = frozenset({"aac", "alac", "flac", "opus", "h264", "hevc", "av1"})
NORMAL_RATE = 0x10000


@dataclass(frozen=True)
class _Edit:
    """What an edit list of the simple kind does: time shown = time in the track + shift, up to end (None: all), in ticks of the track."""

    shift: int = 0
    end: int | None = None


class LongTrack:
    """One track's packets by its tables; number is the track's in the file, count how many packets are shown at all."""

    def __init__(self, file: BinaryIO, boxes: Boxes, movie: tuple[int, int], file_bytes: int) -> None:
        self.is_sound = _read(file, boxes[b"hdlr"], 8, 4) == b"soun"
        self.number = _number(file, boxes)
        self.ticks_a_second, self._stated_ticks = _times(file, boxes[b"mdhd"])
        self.table = SampleTable(file, boxes, file_bytes)
        edit = _edit(file, boxes, movie, self.ticks_a_second)
        self.shift = edit.shift
        self.count = self.table.count if edit.end is None else self._shown(file, edit.end)
        self.first, self.first_rows = self.table.cut(file, FIRST_PACKETS)
        if self.is_sound and b"stss" in boxes:
            raise Unusual("sound with keyframes")

    @property
    def bit_rate(self) -> int:
        """What FFmpeg calls the track's bit rate, in bits a second."""
        ticks = min(self._stated_ticks, self.table.end_ticks)
        return self.table.total_bytes * 8 * self.ticks_a_second // ticks if ticks else 0

    def packets(self, file: BinaryIO, first: int) -> Iterator[tuple[int, int, int, int, int]]:
        """The packets from the `first` on: offset and size in bytes, when decoded and shown, and how long, in ticks."""
        for group in range(first // PACKETS_AT_ONCE, -(-self.count // PACKETS_AT_ONCE)):
            rows = self.table.packets(file, group)
            columns = (rows.offsets, rows.sizes, rows.decoded + self.shift, rows.shown + self.shift, rows.durations)
            begin, end = (
                max(0, first - group * PACKETS_AT_ONCE),
                min(len(rows.sizes), self.count - group * PACKETS_AT_ONCE),
            )
            for at in range(begin, end, LISTED_AT_ONCE):
                yield from zip(
                    *(column[at : min(at + LISTED_AT_ONCE, end)].tolist() for column in columns), strict=True
                )

    def keyframe_before(self, file: BinaryIO, ticks: int) -> tuple[int, int] | None:
        """Number of the last keyframe that is decoded by then, and when; None where there is none."""
        found = self.table.keyframe_before(file, ticks - self.shift)
        return None if found is None else (found[0], found[1] + self.shift)

    def _shown(self, file: BinaryIO, end: int) -> int:
        """How many packets there are up to the end of the edit: FFmpeg leaves out those behind it."""
        if not self.is_sound:
            if self.table.last_shown >= end:
                raise Unusual("pictures are cut off at the end")
            return self.table.count
        for group in range(-(-self.table.count // PACKETS_AT_ONCE)):
            packets = self.table.packets(file, group)
            beyond = (packets.shown + packets.durations >= end).nonzero()[0]
            if len(beyond):
                return group * PACKETS_AT_ONCE + int(beyond[0]) + 1
        return self.table.count


class LongMp4:
    """The tables of a long MP4, by the tracks' numbers; safe to share between readers, each of which opens the file for itself."""

    def __init__(self, path: Path, tracks: Mapping[int, LongTrack]) -> None:
        self.path = path
        self.tracks = tracks

    @classmethod
    def of(cls, path: Path, boxes: BoxFacts, options: dict[str, str]) -> Self | None:
        """The tables of a file with so many packets that it is worth it; None where it has fewer, or is in any way unusual.

        options are what av.open gets.
        """
        most = [_most_packets(track) for track in boxes.tracks]
        if not boxes.plain or boxes.movie is None or max(most, default=0) < LONG_PACKETS or sum(most) > MAX_PACKETS:
            return None
        try:
            with path.open("rb") as file:
                size = file.seek(0, io.SEEK_END)
                tracks = [
                    LongTrack(file, track, boxes.movie, size)
                    for track in boxes.tracks
                    if _read(file, track[b"hdlr"], 8, 4) in (b"soun", b"vide")
                ]
                long = cls(path, {track.number: track for track in tracks})
                if len(long.tracks) == len(tracks) and long._is_what_ffmpeg_reads(file, options):
                    return long
        except (Unusual, OSError, ValueError, KeyError, OverflowError, struct.error, av.FFmpegError):
            pass
        return None

    def view(self) -> View:
        """The file, opened, with the tables cut to the first packets."""
        rows = [item for track in self.tracks.values() for item in track.first_rows.items()]
        cuts = {table.begin - 4: struct.pack(">I", count) for table, count in rows}
        return View(self.path.open("rb", buffering=READ_BYTES), cuts)

    def _is_what_ffmpeg_reads(self, file: BinaryIO, options: dict[str, str]) -> bool:
        """Whether FFmpeg's packets of the view are those that the tables tell of."""
        with closing(self.view()) as view, av.open(view, "r", options=options, metadata_errors="replace") as container:
            kinds = [stream for stream in container.streams if stream.type in ("audio", "video")]
            streams = [stream for stream in kinds if not stream.disposition & Disposition.attached_pic]
            if {stream.id for stream in streams} != set(self.tracks) or len(streams) != len(self.tracks):
                return False
            for stream in streams:
                codec = stream.codec_context and stream.codec_context.codec.canonical_name
                if codec not in CODECS or stream.time_base != Fraction(1, self.tracks[stream.id].ticks_a_second):
                    return False
            told = {number: self._told(file, track) for number, track in self.tracks.items()}
            for packet in container.demux(streams):
                read = (packet.pts, packet.duration, packet.pos, bytes(packet))
                if packet.size and read != next(told[packet.stream.id], None):
                    return False
            return all(next(rest, None) is None for rest in told.values())

    def _told(self, file: BinaryIO, track: LongTrack) -> Iterator[tuple[int, int, int, bytes]]:
        """What the tables tell of the first packets: when shown, how long, place and content."""
        for offset, size, _, shown, duration in islice(track.packets(file, 0), track.first):
            file.seek(offset)
            yield shown, duration, offset, file.read(size)


class View:
    """A file in which a few bytes are read as others; closing it closes the file."""

    def __init__(self, file: BinaryIO, cuts: Mapping[int, bytes]) -> None:
        self.name = file.name
        self._file = file
        self._cuts = cuts

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As a file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As a file."""
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        """As a file, the other bytes in their places."""
        begin = self._file.tell()
        content = self._file.read(size)
        end = begin + len(content)
        for at, others in self._cuts.items():
            if at < end and at + len(others) > begin:
                changed = bytearray(content)
                first, last = max(at, begin), min(at + len(others), end)
                changed[first - begin : last - begin] = others[first - at : last - at]
                content = bytes(changed)
        return content

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


class LongReading:
    """The packets of one track of a long MP4: the first ones by FFmpeg from the view, the others by the tables."""

    def __init__(self, first: Reading, file: BufferedReader, track: LongTrack) -> None:
        self._first, self._file, self._track = first, file, track
        self._tick = Fraction(1, track.ticks_a_second)
        self._next: int | None = None  # None: FFmpeg is still reading
        self._keyframe: tuple[int, tuple[int, int] | None] = (0, None)  # the latest time asked for, and what was found

    def packets(self) -> Iterator[Packet[Any]]:
        """From where the reading stands to the end."""
        if self._next is None:
            yield from self._first.packets()
            self._next = self._track.first
        for row in self._track.packets(self._file, self._next):
            self._next += 1
            yield self._packet(row)

    def seek(self, ticks: int) -> None:
        """To the last keyframe that is decoded by then."""
        self._first.seek(ticks)
        found = self._found(ticks)
        self._next = None if found is None or found[0] < self._track.first else found[0]

    def keyframe_before(self, ticks: int) -> int | None:
        """When the last keyframe that is decoded by then is; None where there is none."""
        found = self._found(ticks)
        return None if found is None else found[1]

    def _found(self, ticks: int) -> tuple[int, int] | None:
        """Number and time of a keyframe; asked for again with every picture until its moment comes."""
        if self._keyframe[0] != ticks or self._keyframe[1] is None:
            self._keyframe = (ticks, self._track.keyframe_before(self._file, ticks))
        return self._keyframe[1]

    def _packet(self, row: tuple[int, int, int, int, int]) -> Packet[Any]:
        offset, size, decoded, shown, duration = row
        packet: Packet[Any] = Packet(size)
        self._file.seek(offset)
        if self._file.readinto(packet) < size:
            raise OSError("the file has become shorter")
        packet.dts, packet.pts, packet.duration = decoded, shown, duration
        packet.time_base = self._tick
        return packet


def _most_packets(boxes: Boxes) -> int:
    """How many packets there may be by the size of the table of their sizes."""
    begin, end = boxes.get(b"stsz", (0, 0))
    return (end - begin) // 4


def _read(file: BinaryIO, place: tuple[int, int], at: int, size: int) -> bytes:
    """Bytes of a box's content."""
    begin, end = place
    if begin + at + size > end:
        raise Unusual("a box is cut off")
    file.seek(begin + at)
    return file.read(size)


def _number(file: BinaryIO, boxes: Boxes) -> int:
    long = _read(file, boxes[b"tkhd"], 0, 1) == b"\x01"
    return int(struct.unpack(">I", _read(file, boxes[b"tkhd"], 20 if long else 12, 4))[0])


def _times(file: BinaryIO, place: tuple[int, int]) -> tuple[int, int]:
    """Ticks a second and length in ticks, from a movie's or a track's header."""
    long = _read(file, place, 0, 1) == b"\x01"
    ticks, length = struct.unpack(">IQ" if long else ">II", _read(file, place, 20 if long else 12, 12 if long else 8))
    if not ticks:
        raise Unusual("a clock that stands")
    return int(ticks), int(length)


def _edit(file: BinaryIO, boxes: Boxes, movie: tuple[int, int], ticks_a_second: int) -> _Edit:
    """The edit list: none, or a normal edit with or without an empty one before it."""
    if b"elst" not in boxes:
        return _Edit()
    long = _read(file, boxes[b"elst"], 0, 1) == b"\x01"
    table = table_in(file, boxes, b"elst", columns=20 if long else 12, width=1)
    file.seek(table.begin)
    content = file.read(min(table.count, 3) * table.columns)
    entries = list(struct.iter_unpack(">QqI" if long else ">IiI", content))
    movie_ticks, _ = _times(file, movie)
    delay = 0
    if len(entries) == 2 and entries[0][1] == -1:
        delay = _rescaled(entries.pop(0)[0], ticks_a_second, movie_ticks)
    if len(entries) != 1 or entries[0][0] == 0 or entries[0][1] < 0 or entries[0][2] != NORMAL_RATE:
        raise Unusual("an edit list of another kind")
    length, begin, _ = entries[0]
    return _Edit(delay - begin, begin + _rescaled(length, ticks_a_second, movie_ticks))


def _rescaled(value: int, numerator: int, denominator: int) -> int:
    """The nearest whole number to value * numerator / denominator, halves upwards: as FFmpeg rounds."""
    return (value * numerator + denominator // 2) // denominator
