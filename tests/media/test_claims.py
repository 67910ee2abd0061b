"""What an MP4 claims is checked before FFmpeg makes room for it, wherever the claim stands; what real files claim passes."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from media_clips import noise, numbered

from ffdv.errors import MediaLimit
from ffdv.media.boxes import MAX_BOXES, scan_boxes
from ffdv.media.claims import MAX_SAMPLES
from ffdv.media.probe import probe
from ffdv.media.write import write_media

MANY = 80_000_000
HOUR = 3600


def box(kind: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I4s", 8 + len(content), kind) + content


def full(kind: bytes, *numbers: int) -> bytes:
    """A box of version 0 and big-endian numbers."""
    return box(kind, bytes(4), struct.pack(f">{len(numbers)}I", *numbers))


def handler(kind: bytes) -> bytes:
    return box(b"hdlr", bytes(8), kind, bytes(13))


def edits(count: int) -> bytes:
    return box(b"edts", full(b"elst", count, *([1000, 0, 0x10000] * count)))


def track(count: int, *, kind: bytes = b"vide", ticks: int = 512, chunk: int = 1, edit_list: bytes = b"") -> bytes:
    """A track of `count` samples of one byte, `chunk` of them together."""
    chunks = -(-count // chunk)
    table = (
        full(b"stts", 1, count, ticks),
        full(b"stsc", 1, 1, chunk, 1),
        full(b"stsz", 1, count),
        full(b"stco", chunks, 40),  # as many rows as it says need not be there to be believed
    )
    return box(b"trak", edit_list, box(b"mdia", handler(kind), box(b"minf", box(b"stbl", *table))))


def movie(*parts: bytes) -> bytes:
    return box(b"moov", full(b"mvhd", *[0] * 24), *parts)


FTYP = box(b"ftyp", b"isom", bytes(4))
BOMB = track(MANY)


def claimed(folder: Path, content: bytes, file_bytes: int | None = None) -> int | None:
    path = folder / "a.mp4"
    path.write_bytes(content)
    return scan_boxes(path).claims.beyond(len(content) if file_bytes is None else file_bytes)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "samples of one size": lambda: FTYP + movie(BOMB),
    "no ftyp before it": lambda: movie(BOMB),
    "something else before it": lambda: box(b"wide") + movie(BOMB),
    "a box that is longer than the file": lambda: FTYP + b"\x7f" + movie(BOMB)[1:],
    "several tracks": lambda: FTYP + movie(*[track(MAX_SAMPLES // 3)] * 4) + bytes(MAX_SAMPLES // 3),
    "a second table": lambda: FTYP + movie(track(5).replace(b"stco", b"stsz", 1), full(b"stsz", 1, MANY), BOMB),
    "fragments": lambda: FTYP + movie() + box(b"moof", box(b"traf", full(b"trun", MANY, 0))),
    "very many edits": lambda: FTYP + movie(track(50_000, edit_list=edits(1000))) + bytes(50_000),
    "chunks of sound": lambda: FTYP + movie(track(1 << 31, kind=b"soun", ticks=1, chunk=1 << 30)),
    "sound that turns out as pictures": lambda: (
        FTYP + movie(box(b"trak", handler(b"soun"), track(MANY, ticks=1, chunk=MANY)[8:]))
    ),
    "inside user data": lambda: FTYP + movie(box(b"udta", BOMB)),
    "inside tags": lambda: FTYP + movie(box(b"udta", box(b"meta", bytes(4), handler(b"mdir"), BOMB))),
    "inside a sample entry": lambda: FTYP + movie(track(1), box(b"stsd", bytes(8), box(b"mp4v", bytes(78), BOMB[8:]))),
    "inside a spare box": lambda: box(b"free", movie(BOMB)[8:]),
    "behind very many boxes": lambda: FTYP + box(b"free") * MAX_BOXES + movie(BOMB),
    "compressed": lambda: FTYP + movie_of_compressed(movie(BOMB)),
    "compressed, and very large": lambda: FTYP + movie_of_compressed(bytes(1 << 27)),
}


def movie_of_compressed(header: bytes) -> bytes:
    packed = box(b"cmvd", struct.pack(">I", len(header)), zlib.compress(header))
    return box(b"moov", box(b"cmov", box(b"dcom", b"zlib"), packed))


@pytest.mark.parametrize("name", HOSTILE)
def test_more_than_a_file_can_hold_is_refused_before_it_is_opened(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(HOSTILE[name]())
    began = time.process_time()

    with pytest.raises(MediaLimit, match=r"its header .*copy it into a new one"):
        probe(path)
    assert time.process_time() - began < 2.0


def test_what_hours_of_film_and_sound_claim_is_believed(tmp_path: Path) -> None:
    film, aac = track(10 * HOUR * 60), track(10 * HOUR * 47, kind=b"soun", ticks=1024)
    edited = [track(HOUR * 30, edit_list=edits(20)), track(HOUR * 47, kind=b"soun", ticks=1024, edit_list=edits(20))]
    waves = track(10 * HOUR * 48_000, kind=b"soun", ticks=1, chunk=48_000)

    assert claimed(tmp_path, FTYP + movie(film, aac), 10 * HOUR * 100_000) is None
    assert claimed(tmp_path, FTYP + movie(*edited), HOUR * 100_000) is None
    assert claimed(tmp_path, FTYP + movie(waves), 10 * HOUR * 96_000) is None
    assert claimed(tmp_path, FTYP + movie(waves), HOUR) is not None


def test_pauses_before_a_track_are_no_edits_that_show_it(tmp_path: Path) -> None:
    pauses = box(b"edts", full(b"elst", 100, *[1000, 0xFFFFFFFF, 0x10000] * 99, 1000, 0, 0x10000))

    assert claimed(tmp_path, FTYP + movie(track(MAX_SAMPLES // 2, edit_list=pauses)), 10**9) is None


def test_fragments_by_the_ten_thousand_are_walked(tmp_path: Path) -> None:
    fragment = box(b"moof", full(b"mfhd", 1), box(b"traf", full(b"tfhd", 1), full(b"trun", 1, 0))) + box(b"mdat", b"x")
    path = tmp_path / "a.mp4"
    path.write_bytes(FTYP + movie(track(1)) + fragment * 20_000)

    boxes = scan_boxes(path)

    assert boxes.whole
    assert boxes.claims.fragments == 20_000
    assert boxes.claims.beyond(10**9) is None


@pytest.mark.parametrize("options", [{}, {"movflags": "frag_keyframe+empty_moov"}, {"movflags": "faststart"}])
def test_files_as_we_write_them_are_read_as_before(tmp_path: Path, options: dict[str, str]) -> None:
    path = write_media(tmp_path / "a.mp4", sound=noise(2.0), frames=numbered(20), container_options=options)

    assert probe(path).has_sound
    assert scan_boxes(path).whole
