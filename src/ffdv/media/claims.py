"""How many samples the boxes of an MP4 claim, before FFmpeg, which makes room for each that is claimed, believes them.

    stsz count ─┐                    a track      samples x the edits that show them
    stts, stsc ─┼─▶ Claims ─▶ total  fragments    the counts of all trun
    elst, trun ─┘

FFmpeg takes 24 to 80 bytes a sample and nearly as much for each edit, so that 652 bytes of header took 3 GB. Sound whose samples all last one
tick (PCM, and QuickTime's old codecs) is indexed by chunks of 1,024 samples instead.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

# A day of AAC has 3.7 million, ten hours of 60 pictures a second with AAC 3.9 million; so many take FFmpeg half a gigabyte.
MAX_SAMPLES = 6_000_000
# Shown by all edits together: twenty edits of a film of an hour have 7 million, since each is counted as if it showed the whole track.
MAX_SHOWN_SAMPLES = 16_000_000
CHUNK_SAMPLES = 1024  # of sound with samples of one tick, to an entry of FFmpeg's index
# Such samples to a byte of the file: MACE holds 6, GSM 5, QDesign some 10.
MAX_SAMPLES_A_BYTE = 16
MAX_LISTED_EDITS = 4096  # looked at one by one; those behind are taken to show something

COUNTED = frozenset({b"hdlr", b"stsz", b"stz2", b"stts", b"stsc", b"stco", b"co64", b"elst"})
# Handlers by which FFmpeg tells a track's kind; others say where the media or the tags are.
_KINDS = frozenset({b"vide", b"soun", b"m1a ", b"subp", b"clcp"})


@dataclass
class TrackClaims:
    """What one track's boxes claim, the most where a box stands twice; one_tick: every stts says that each sample lasts one tick."""

    samples: int = 0
    chunk_samples: int = 0
    chunks: int = 0
    edits: int = 0
    handlers: set[bytes] = field(default_factory=set)
    one_tick: bool = True
    _layout: list[tuple[int, int]] = field(default_factory=list)

    def note(self, kind: bytes, file: BinaryIO, place: tuple[int, int]) -> None:
        """Take in one of the COUNTED boxes, whose content lies at [begin, end)."""
        begin, end = place
        if kind == b"hdlr":
            self.handlers.add(_read(file, begin + 8, 4))
        elif kind in (b"stsz", b"stz2"):
            self.samples = max(self.samples, _number(file, begin + 8))
        elif kind == b"stts":
            self.one_tick &= (_number(file, begin + 4), _number(file, begin + 12)) == (1, 1)
        elif kind == b"elst":
            self.edits = max(self.edits, _edits(file, begin, end))
        elif kind == b"stsc":
            self._layout.append((begin + 8, min(_number(file, begin + 4), MAX_SAMPLES)))
        else:
            self.chunks = max(self.chunks, _number(file, begin + 4))

    def finish(self, file: BinaryIO) -> None:
        """Add up the samples of all chunks, once all boxes have been noted."""
        for begin, rows in self._layout:
            raw = _read(
                file, begin, rows * 12
            )  # FFmpeg, too, reads on behind the box where there are more rows than room
            table = np.frombuffer(raw, ">u4", len(raw) // 12 * 3).astype(np.int64).reshape(-1, 3)
            ends = np.append(table[1:, 0], self.chunks + 1)
            held = np.clip(ends - table[:, 0], 0, None).astype(np.float64) * table[:, 1]
            self.chunk_samples = max(self.chunk_samples, int(held.sum()))
        self._layout.clear()

    @property
    def in_chunks(self) -> bool:
        """Whether FFmpeg indexes chunks instead of samples."""
        return self.one_tick and self.handlers & _KINDS == {b"soun"}

    @property
    def indexed(self) -> int:
        """Entries of FFmpeg's index before it looks at edits."""
        return self.chunk_samples // CHUNK_SAMPLES + self.chunks if self.in_chunks else self.samples

    @property
    def bytes_needed(self) -> int:
        """What the samples take in the file at least."""
        return self.chunk_samples // MAX_SAMPLES_A_BYTE if self.in_chunks else self.samples


@dataclass
class Claims:
    """What all tracks and fragments of a file claim; fragments: samples in all trun."""

    tracks: list[TrackClaims] = field(default_factory=list)
    fragments: int = 0

    def note(self, kind: bytes, file: BinaryIO, place: tuple[int, int]) -> None:
        """Take in one box; those of a track follow its trak."""
        if kind == b"trak":
            self.tracks.append(TrackClaims())
        elif kind == b"trun":
            self.fragments += _number(file, place[0] + 4)
        elif kind in COUNTED and self.tracks:
            self.tracks[-1].note(kind, file, place)

    def finish(self, file: BinaryIO) -> None:
        """Add up what needs several boxes of a track."""
        for track in self.tracks:
            track.finish(file)

    def beyond(self, file_bytes: int) -> int | None:
        """How many samples are claimed, where that is more than such a file can hold or FFmpeg should index; else None."""
        told = sum(track.indexed for track in self.tracks) + self.fragments
        shown = sum(track.indexed * max(1, track.edits) for track in self.tracks) + self.fragments
        needed = max((track.bytes_needed for track in self.tracks), default=0)
        if told > MAX_SAMPLES or shown > MAX_SHOWN_SAMPLES or max(needed, self.fragments) > file_bytes:
            return max(shown, needed)
        return None


def _edits(file: BinaryIO, begin: int, end: int) -> int:
    """How many edits show something (a media time of -1 is a pause)."""
    wide = _read(file, begin, 1) == b"\x01"
    row = struct.Struct(">QqI" if wide else ">IiI")
    count = min(_number(file, begin + 4), max(0, end - begin - 8) // row.size)
    listed = _read(file, begin + 8, min(count, MAX_LISTED_EDITS) * row.size)
    pauses = sum(1 for _, time, _ in row.iter_unpack(listed[: len(listed) // row.size * row.size]) if time == -1)
    return count - pauses


def _number(file: BinaryIO, at: int) -> int:
    """The four bytes at a place as a number; 0 where the file ends before."""
    raw = _read(file, at, 4)
    return int.from_bytes(raw, "big") if len(raw) == 4 else 0


def _read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)
