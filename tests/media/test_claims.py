"""What an MP4 claims is checked before FFmpeg makes room for it, wherever the claim stands; what real files claim passes."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import av
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


def pieces(count: int, seconds: float, *, of_seconds: float, rate: int) -> bytes:
    """So many edits of equal length from all over a track; the movie's clock has 1,000 ticks a second."""
    rows = [(round(seconds * 1000), round(of_seconds * rate * at / count), 0x10000) for at in range(count)]
    return box(b"edts", full(b"elst", count, *[number for row in rows for number in row]))


def track(
    count: int, *, kind: bytes = b"vide", ticks: int = 512, chunk: int = 1, edit_list: bytes = b"", more: bytes = b""
) -> bytes:
    """A track of `count` samples of one byte, `chunk` of them together."""
    chunks = -(-count // chunk)
    table = (
        full(b"stts", 1, count, ticks),
        full(b"stsc", 1, 1, chunk, 1),
        full(b"stsz", 1, count),
        full(b"stco", chunks, 40),  # as many rows as it says need not be there to be believed
    )
    return box(b"trak", edit_list, box(b"mdia", handler(kind), box(b"minf", box(b"stbl", *table, more))))


def movie(*parts: bytes) -> bytes:
    return box(b"moov", full(b"mvhd", *[0] * 24), *parts)


def clocked(content: bytes, rate: int) -> bytes:
    """A movie of one such track with clocks: 1,000 ticks a second for the movie, `rate` for the track."""
    return movie(box(b"trak", full(b"mdhd", 0, 0, rate, 0, 0), content[8:])).replace(
        full(b"mvhd", *[0] * 24), full(b"mvhd", 0, 0, 1000, *[0] * 21)
    )


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

    with pytest.raises(MediaLimit, match=r"its header .*(copy it into a new one|cut it into parts)"):
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


def test_days_of_film_are_believed_and_what_is_longer_is_to_be_cut(tmp_path: Path) -> None:
    day = [track(24 * HOUR * 60), track(24 * HOUR * 47, kind=b"soun", ticks=1024)]
    screen = [track(6 * HOUR * 60), *[track(6 * HOUR * 47, kind=b"soun", ticks=1024)] * 6]
    path = tmp_path / "b.mp4"
    path.write_bytes(FTYP + movie(*[track(MAX_SAMPLES // 2)] * 3) + bytes(MAX_SAMPLES // 2))

    assert claimed(tmp_path, FTYP + movie(*day), 10**10) is None
    assert claimed(tmp_path, FTYP + movie(*screen), 10**10) is None
    with pytest.raises(MediaLimit, match=r"lists 18000000 samples, .*; cut it into parts of an hour"):
        probe(path)


def test_a_film_cut_into_pieces_counts_once(tmp_path: Path) -> None:
    cut = pieces(160, 15.0, of_seconds=2400.0, rate=44_100)
    aac = track(103_000, kind=b"soun", ticks=1024, edit_list=cut)
    pcm = track(2400 * 44_100, kind=b"soun", ticks=1, chunk=4410, edit_list=cut)
    keys = full(b"stss", 300, *range(1, 72_001, 240))
    film = track(72_000, ticks=512, edit_list=pieces(160, 15.0, of_seconds=2400.0, rate=15_360), more=keys)

    for content, rate, entries in ((aac, 44_100, 103_000), (pcm, 44_100, 144_000), (film, 15_360, 72_000)):
        path = tmp_path / "a.mov"
        path.write_bytes(FTYP + clocked(content, rate))
        claims = scan_boxes(path).claims
        assert claims.tracks[0].edits == 160
        assert entries <= claims.tracks[0].shown <= 3 * entries
        assert claims.beyond(10**9) is None


NOTHING = pieces(1000, 0.001, of_seconds=50_000.0, rate=512)
MUCH_SHOWN: dict[str, bytes] = {
    "each shows all": track(50_000, edit_list=box(b"edts", full(b"elst", 1000, *[10**9, 0, 0x10000] * 1000))),
    "one key picture": track(50_000, edit_list=NOTHING, more=full(b"stss", 1, 1)),
    "no key picture": track(50_000, edit_list=NOTHING, more=full(b"stss", 0)),
    "shown long before": track(50_000, edit_list=NOTHING, more=full(b"ctts", 1, 50_000, 0x81000000)),
    "shown long behind": track(50_000, edit_list=NOTHING, more=full(b"ctts", 1, 50_000, 0x7F000000)),
    "all at one time": track(50_000, ticks=0, edit_list=NOTHING),
    "pauses behind an edit": track(
        50_000, edit_list=box(b"edts", full(b"elst", 1000, *[10**9, 0, 0x10000] + [10**9, 0xFFFFFFFF, 0x10000] * 999))
    ),
    "more than are looked at": track(50_000, edit_list=pieces(5000, 0.001, of_seconds=50_000.0, rate=512)),
    "two lists": track(50_000, edit_list=NOTHING + NOTHING),
    "two tables of times": track(50_000, edit_list=NOTHING, more=full(b"stts", 1, 50_000, 512)),
}


@pytest.mark.parametrize("name", MUCH_SHOWN)
def test_edits_that_show_a_track_again_and_again_are_refused(tmp_path: Path, name: str) -> None:
    assert claimed(tmp_path, FTYP + clocked(track(50_000, edit_list=NOTHING), 512), 10**6) is None
    assert claimed(tmp_path, FTYP + clocked(MUCH_SHOWN[name], 512), 10**6) is not None


@pytest.mark.parametrize("gop", [1, 10, 150])
def test_ffmpeg_makes_no_more_entries_than_are_counted(tmp_path: Path, gop: int) -> None:
    path = write_media(tmp_path / "a.mp4", frames=numbered(80), video_codec="mpeg4", video_options={"g": str(gop)})
    content = path.read_bytes()
    place = content.index(b"edts") - 4
    old = content[place : place + int.from_bytes(content[place : place + 4], "big")]
    with av.open(str(path)) as container:
        new = pieces(40, 0.08, of_seconds=3.2, rate=container.streams[0].time_base.denominator)
    for kind in (b"trak", b"moov"):
        at = content.index(kind) - 4
        size = int.from_bytes(content[at : at + 4], "big") + len(new) - len(old)
        content = content[:at] + struct.pack(">I", size) + content[at + 4 :]
    path.write_bytes(content.replace(old, new))

    claims = scan_boxes(path).claims.tracks[0]

    with av.open(str(path)) as container:
        entries = len(container.streams[0].index_entries)
    assert claims.edits == 40
    assert 80 <= entries <= claims.shown
    assert claims.shown < 40 * 80 or gop == 150


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
