"""What PyAV does not tell of an MP4 file, from its boxes: protection, rotation, where its tables lie and what they claim. Only headers are read,
boundedly.

moov ── pssh
     ├─ mvhd
     └─ trak ── tkhd (track number, display matrix)
             ├─ edts ─ elst
             └─ mdia ┬ mdhd, hdlr
                     └ minf ─ stbl ─ stsd ─ encv | enca (└─ sinf)
moof ── pssh                      └─ stts, stsz, ...
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from ffdv.media.claims import Claims
from ffdv.media.orientation import orientation

# Real files have some hundred boxes outside their fragments; a hostile one may claim any number.
MAX_BOXES = 10_000
# A fragment has seven, and an hour of fragments of one frame and one packet of sound each has 1.7 million of them.
MAX_FRAGMENT_BOXES = 2_000_000
MAX_ENTRY_BYTES = 1 << 20  # a colour profile may be half of it
MAX_HEADER_BYTES = 1 << 26  # of a header that QuickTime has compressed

# All that FFmpeg looks into, whatever they stand in.
NESTS = frozenset({
    b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"moof", b"traf", b"mvex",
    b"dinf", b"ilst", b"ipro", b"iprp", b"schi", b"sinf", b"tapt", b"tref", b"udta", b"wave",
})  # fmt: skip
SPARE = frozenset({b"free", b"hoov"})  # and these, where it finds no moov otherwise
FRAGMENTED = frozenset({b"moof", b"mvex"})
IN_FRAGMENTS = frozenset({
    b"moof", b"mfhd", b"traf", b"tfhd", b"tfdt", b"trun", b"mdat", b"styp", b"sidx", b"ssix", b"prft", b"emsg", b"uuid",
    b"saiz", b"saio", b"senc", b"sbgp", b"sgpd", b"subs",
})  # fmt: skip
TABLES = frozenset({b"tkhd", b"elst", b"mdhd", b"stsd", b"stts", b"ctts", b"stsz", b"stsc", b"stco", b"co64", b"stss"})
PROTECTED_ENTRIES = frozenset({b"encv", b"enca", b"enct", b"encs"})


@dataclass
class BoxFacts:
    """encrypted: any protection box; rotations: degrees clockwise by track number.

    movie: (begin, end) of the movie header's content; tracks: the same of each track's boxes by kind, in the file's order;
    plain: no table twice and no fragments, so that the tables tell of all packets; claims: how many these are by what they say;
    whole: all boxes were looked at, and none hides tables where there are none in a real file.
    """

    encrypted: bool = False
    rotations: dict[int, int] = field(default_factory=dict)
    movie: tuple[int, int] | None = None
    tracks: list[dict[bytes, tuple[int, int]]] = field(default_factory=list)
    plain: bool = True
    claims: Claims = field(default_factory=Claims)
    whole: bool = True


def scan_boxes(path: Path) -> BoxFacts:
    """Facts from the boxes of an MP4 or MOV file; what is broken is left out, what is beyond MAX_BOXES too (not whole), never an error."""
    with path.open("rb") as file:
        size = path.stat().st_size
        facts = _scanned(file, size, NESTS)
        return facts if facts.movie is not None else _scanned(file, size, NESTS | SPARE)


def _scanned(file: BinaryIO, size: int, nests: frozenset[bytes]) -> BoxFacts:
    facts = BoxFacts()
    for kind, begin, end in _boxes(file, size, nests, facts):
        if kind == b"cmov":
            _note_compressed(file, begin, end, facts)
        else:
            _note(file, kind, (begin, end), facts)
    facts.claims.finish()
    return facts


def _note(file: BinaryIO, kind: bytes, place: tuple[int, int], facts: BoxFacts) -> None:
    """Remember what one box says."""
    begin, end = place
    if kind == b"pssh":
        facts.encrypted = True
    elif kind == b"stsd":
        entries = _read(file, begin + 8, end)
        facts.encrypted |= _is_protected(entries)
        facts.whole &= end - begin <= MAX_ENTRY_BYTES
        facts.whole &= not any(table in entries for table in (b"stsz", b"stz2", b"trun", b"elst"))
    elif kind == b"tkhd":
        _note_rotation(_read(file, begin, end), facts)
    _note_place(kind, place, facts)
    facts.claims.note(kind, file, place)


def _note_compressed(file: BinaryIO, begin: int, end: int, facts: BoxFacts) -> None:
    """Remember what the boxes of a compressed header say; they lie in no place of the file."""
    facts.plain = False
    file.seek(begin + 24)  # behind the kind of compression and the size
    unpacking = zlib.decompressobj()
    try:
        content = unpacking.decompress(file.read(max(0, min(end - begin - 24, MAX_HEADER_BYTES))), MAX_HEADER_BYTES)
    except zlib.error:
        return
    facts.whole &= not unpacking.unconsumed_tail
    inner = io.BytesIO(content)
    for kind, *place in _boxes(inner, len(content), NESTS, facts):
        facts.whole &= kind != b"cmov"
        _note(inner, kind, (place[0], place[1]), facts)


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


def _boxes(file: BinaryIO, file_end: int, nests: frozenset[bytes], facts: BoxFacts) -> Iterator[tuple[bytes, int, int]]:
    """Each box as (kind, begin of content, end), walking into nests; at most MAX_BOXES outside fragments, or facts are not whole."""
    pending = [(0, file_end)]
    left = {False: MAX_BOXES, True: MAX_FRAGMENT_BOXES}
    while pending:
        begin, stop = pending.pop()
        file.seek(begin)
        header = file.read(16)
        if len(header) < 8 or begin + 8 > stop:
            continue
        size, kind = struct.unpack(">I4s", header[:8])
        lead = 8
        if size == 1 and len(header) == 16:
            size, lead = struct.unpack(">Q", header[8:])[0], 16
        end = stop if size == 0 else min(begin + size, stop)  # a copy may have been cut off: FFmpeg reads what there is
        if end < begin + lead:
            continue
        left[kind in IN_FRAGMENTS] -= 1
        if min(left.values()) < 0:
            facts.whole = False
            return
        pending.append((end, stop))
        if kind in nests:
            pending.append((begin + lead, end))
        elif kind == b"meta":  # QuickTime's holds boxes at once, others have version and flags before them
            pending.append((begin + lead + (4 if header[lead : lead + 4] == bytes(4) else 0), end))
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
