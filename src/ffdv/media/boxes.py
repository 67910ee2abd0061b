"""What PyAV does not tell of an MP4 file, from its boxes: protection, rotation, and where its tables lie. Only headers are read, boundedly.

moov ── pssh
     ├─ mvhd
     └─ trak ── tkhd (track number, display matrix)
             ├─ edts ─ elst
             └─ mdia ┬ mdhd, hdlr
                     └ minf ─ stbl ─ stsd ─ encv | enca (└─ sinf)
moof ── pssh                      └─ stts, stsz, ...
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ffdv.media.orientation import orientation

# Real files have some hundred boxes outside their fragments; a hostile one may claim any number.
MAX_BOXES = 10_000
MAX_ENTRY_BYTES = 65_536

NESTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf"})
FRAGMENTED = frozenset({b"moof", b"mvex"})
TABLES = frozenset({b"tkhd", b"elst", b"mdhd", b"stsd", b"stts", b"ctts", b"stsz", b"stsc", b"stco", b"co64", b"stss"})
PROTECTED_ENTRIES = frozenset({b"encv", b"enca", b"enct", b"encs"})


@dataclass
class BoxFacts:
    """encrypted: any protection box; rotations: degrees clockwise by track number.

    movie: (begin, end) of the movie header's content; tracks: the same of each track's boxes by kind, in the file's order;
    plain: no table twice and no fragments, so that the tables tell of all packets.
    """

    encrypted: bool = False
    rotations: dict[int, int] = field(default_factory=dict)
    movie: tuple[int, int] | None = None
    tracks: list[dict[bytes, tuple[int, int]]] = field(default_factory=list)
    plain: bool = True


def scan_boxes(path: Path) -> BoxFacts:
    """Facts from the boxes of an MP4 or MOV file; what is broken or beyond MAX_BOXES is left out, never an error."""
    facts = BoxFacts()
    with path.open("rb") as file:
        for kind, begin, end in _boxes(file, path.stat().st_size):
            if kind == b"pssh":
                facts.encrypted = True
            elif kind == b"stsd":
                facts.encrypted |= _is_protected(_read(file, begin + 8, end))
            elif kind == b"tkhd":
                _note_rotation(_read(file, begin, end), facts)
            _note_place(kind, (begin, end), facts)
    return facts


def _note_place(kind: bytes, place: tuple[int, int], facts: BoxFacts) -> None:
    """Remember where a box lies; the boxes of a track follow its own."""
    if kind == b"mvhd":
        facts.plain &= facts.movie is None
        facts.movie = place
    elif kind == b"trak":
        facts.tracks.append({})
    elif kind in FRAGMENTED:
        facts.plain = False
    elif facts.tracks:
        facts.plain &= kind not in TABLES or kind not in facts.tracks[-1]
        facts.tracks[-1].setdefault(kind, place)  # QuickTime has a second hdlr further in


def _boxes(file: BinaryIO, file_end: int) -> Iterator[tuple[bytes, int, int]]:
    """Each box as (kind, begin of content, end), walking into NESTS; at most MAX_BOXES."""
    pending = [(0, file_end)]
    for _ in range(MAX_BOXES):
        if not pending:
            return
        begin, stop = pending.pop()
        file.seek(begin)
        header = file.read(16)
        if len(header) < 8 or begin + 8 > stop:
            continue
        size, kind = struct.unpack(">I4s", header[:8])
        lead = 8
        if size == 1 and len(header) == 16:
            size, lead = struct.unpack(">Q", header[8:])[0], 16
        end = stop if size == 0 else begin + size
        if end < begin + lead or end > stop:
            continue
        pending.append((end, stop))
        if kind in NESTS:
            pending.append((begin + lead, end))
        yield kind, begin + lead, end


def _read(file: BinaryIO, begin: int, end: int) -> bytes:
    file.seek(begin)
    return file.read(max(0, min(end - begin, MAX_ENTRY_BYTES)))


def _is_protected(entries: bytes) -> bool:
    """Whether one of the sample entries is of a protected kind, or holds a protection scheme."""
    position = 0
    while position + 8 <= len(entries):
        size, kind = struct.unpack(">I4s", entries[position : position + 8])
        body = entries[position : position + max(size, 8)]
        if kind in PROTECTED_ENTRIES or (b"sinf" in body and b"frma" in body):
            return True
        position += max(size, 8)
    return False


def _note_rotation(header: bytes, facts: BoxFacts) -> None:
    """Read track number and display matrix of a tkhd box (version 1 has longer times)."""
    longer = 12 if header[:1] == b"\x01" else 0
    if len(header) < 76 + longer:
        return
    at = 20 if longer else 12
    (track,) = struct.unpack(">I", header[at : at + 4])
    a, b, _, c, d = struct.unpack(">5i", header[40 + longer : 60 + longer])
    facts.rotations[track] = -90 * orientation(a, b, c, d)[0] % 360
