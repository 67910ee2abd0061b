"""How many samples the boxes of an MP4 claim, before FFmpeg, which makes room for each that is claimed, believes them.

    stsz count ─┐                    a track      samples x the edits that show them
    stts, stsc ─┼─▶ Claims ─▶ total  fragments    the counts of all trun
    elst, trun ─┘

FFmpeg takes 24 to 80 bytes a sample and again for each edit that shows it, so that 652 bytes of header took 3 GB. Sound whose samples all last one
tick (PCM, and QuickTime's old codecs) is indexed by chunks of 1,024 samples instead.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from ffdv.media.edits import (
    Numbers,
    Place,
    Table,
    entries_shown,
    listed_edits,
    number_at,
    rate_of,
    read_at,
    sample_spans,
)

# Of all tracks, also those that are never read. With AAC at 48 kHz a day of 25 pictures a second has 6.2 million, a day of 60 has 9.2 million,
# and six hours of a screen at 60 with six tracks of sound 7.4 million. FFmpeg takes 36 to 40 bytes for each: half a gigabyte.
MAX_SAMPLES = 12_000_000
# Shown by all edits together. A film cut into pieces shows hardly more than it holds; twenty edits without a length of a film of an hour are
# counted as if each showed all of it, 7 million.
MAX_SHOWN_SAMPLES = 16_000_000
CHUNK_SAMPLES = 1024  # of sound with samples of one tick, to an entry of FFmpeg's index
# Such samples to a byte of the file: MACE holds 6, GSM 5, QDesign some 10.
MAX_SAMPLES_A_BYTE = 16
MAX_LAYOUT_ROWS = 6_000_000
# FFmpeg walks from a track's begin to each edit: half a second for so many samples, or whatever the edits show.
MAX_WALKED_SAMPLES = 1 << 30

COUNTED = frozenset({b"hdlr", b"mdhd", b"stsz", b"stz2", b"stts", b"ctts", b"stss", b"stsc", b"stco", b"co64", b"elst"})
_OF_EDITS = frozenset({b"mdhd", b"stts", b"ctts", b"stss", b"stsc", b"elst"})  # what tells how much an edit shows
# Handlers by which FFmpeg tells a track's kind; others say where the media or the tags are.
_KINDS = frozenset({b"vide", b"soun", b"m1a ", b"subp", b"clcp"})


@dataclass
class TrackClaims:
    """What one track's boxes claim, the most where a box stands twice; one_tick: every stts says that each sample lasts one tick.

    shown: entries of FFmpeg's index behind the edits, once all boxes have been noted.
    """

    samples: int = 0
    chunk_samples: int = 0
    chunks: int = 0
    edits: int = 0
    shown: int = 0
    handlers: set[bytes] = field(default_factory=set)
    one_tick: bool = True
    _boxes: dict[bytes, list[Place]] = field(default_factory=dict)

    def note(self, kind: bytes, file: BinaryIO, place: tuple[int, int]) -> None:
        """Take in one of the COUNTED boxes, whose content lies at [begin, end)."""
        begin, end = place
        if kind in _OF_EDITS:
            self._boxes.setdefault(kind, []).append((file, begin, end))
        if kind == b"hdlr":
            self.handlers.add(read_at(file, begin + 8, 4))
        elif kind in (b"stsz", b"stz2"):
            self.samples = max(self.samples, number_at(file, begin + 8))
        elif kind == b"stts":
            self.one_tick &= (number_at(file, begin + 4), number_at(file, begin + 12)) == (1, 1)
        elif kind in (b"stco", b"co64"):
            self.chunks = max(self.chunks, number_at(file, begin + 4))

    def finish(self, movie_rate: int) -> None:
        """Add up what needs several boxes, once all have been noted; movie_rate: the movie's ticks a second, 0 where it is not known."""
        for place in self._boxes.get(b"stsc", ()):
            held, per_chunk = self._layout(place)
            self.chunk_samples = max(self.chunk_samples, int((held * per_chunk).sum()))
        self.shown = self.indexed
        lists = [listed_edits(place) for place in self._boxes.get(b"elst", ())]
        self.edits = max((len(edits) + more for edits, more in lists), default=0)
        if self.edits > 1:
            known = self._shown(lists[0][0], movie_rate)
            whole = self.edits if known is None else lists[0][1]
            self.shown = self.indexed * whole + (known or 0)
        self._boxes.clear()

    def _layout(self, place: Place) -> tuple[Numbers, Numbers]:
        """Chunks, and samples in each, of every row of an stsc."""
        file, begin, _ = place
        rows = min(number_at(file, begin + 4), MAX_LAYOUT_ROWS)
        # FFmpeg, too, reads on behind the box where there are more rows than room.
        raw = read_at(file, begin + 8, rows * 12)
        table = np.frombuffer(raw, ">u4", len(raw) // 12 * 3).astype(np.int64).reshape(-1, 3)
        ends = np.append(table[1:, 0], self.chunks + 1)
        return np.clip(ends - table[:, 0], 0, None).astype(np.float64), table[:, 1].astype(np.float64)

    def _shown(self, edits: Table, movie_rate: int) -> int | None:
        """Entries that these edits show together at most; None where each is to be taken to show all."""
        if any(len(places) > 1 for places in self._boxes.values()) or self.edits * self.indexed > MAX_WALKED_SAMPLES:
            return None
        boxes = {kind: places[0] for kind, places in self._boxes.items()}
        if not self.in_chunks:
            spans = sample_spans(boxes, self.samples)
        elif b"stsc" in boxes and b"stss" not in boxes:
            held, per_chunk = self._layout(boxes[b"stsc"])
            spans = np.stack([held * (1 + np.ceil(per_chunk / CHUNK_SAMPLES)), held * per_chunk], axis=1)
        else:
            return None
        shown = None if spans is None else entries_shown(edits, boxes, spans, movie_rate)
        return None if shown is None else int(shown.sum())

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
    _movies: list[Place] = field(default_factory=list)

    def note(self, kind: bytes, file: BinaryIO, place: tuple[int, int]) -> None:
        """Take in one box; those of a track follow its trak."""
        if kind == b"trak":
            self.tracks.append(TrackClaims())
        elif kind == b"trun":
            self.fragments += number_at(file, place[0] + 4)
        elif kind == b"mvhd":
            self._movies.append((file, *place))
        elif kind in COUNTED and self.tracks:
            self.tracks[-1].note(kind, file, place)

    def finish(self) -> None:
        """Add up what needs several boxes of a track, once all have been noted, while the file is open."""
        movie_rate = rate_of(self._movies[0]) if len(self._movies) == 1 else 0
        for track in self.tracks:
            track.finish(movie_rate)
        self._movies.clear()

    def beyond(self, file_bytes: int) -> int | None:
        """How many samples are claimed, where that is more than such a file can hold or FFmpeg should index; else None."""
        told = sum(track.indexed for track in self.tracks) + self.fragments
        shown = sum(track.shown for track in self.tracks) + self.fragments
        if told > MAX_SAMPLES or shown > MAX_SHOWN_SAMPLES or self.bytes_needed > file_bytes:
            return max(shown, self.bytes_needed)
        return None

    @property
    def bytes_needed(self) -> int:
        """How large a file that holds what is claimed is at least."""
        return max(self.fragments, *(track.bytes_needed for track in self.tracks), 0)
