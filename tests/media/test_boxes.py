"""Boxes are walked boundedly, whatever they claim."""

from __future__ import annotations

import struct
import time
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ffdv.media.boxes import scan_boxes


def box(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


def scanned(tmp_path: Path, content: bytes) -> bool:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    return scan_boxes(path).encrypted


def nested(entry: bytes) -> bytes:
    content = box(b"stsd", bytes(8) + entry)
    for kind in (b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        content = box(kind, content)
    return box(b"ftyp", b"isom") + content


def test_protection_is_found_where_it_stands(tmp_path: Path) -> None:
    scheme = box(b"sinf", box(b"frma", b"avc1") + box(b"schm", bytes(12)))

    assert scanned(tmp_path, nested(box(b"encv", bytes(78))))
    assert scanned(tmp_path, nested(box(b"avc1", bytes(78)) + box(b"enca", bytes(28))))
    assert scanned(tmp_path, nested(box(b"avc1", bytes(78) + scheme)))
    assert scanned(tmp_path, box(b"moof", box(b"pssh", bytes(20))))
    assert not scanned(tmp_path, nested(box(b"avc1", bytes(78))))
    assert not scanned(tmp_path, box(b"mdat", box(b"pssh", bytes(20))))


def test_large_and_endless_boxes_are_walked_over(tmp_path: Path) -> None:
    large = struct.pack(">I4sQ", 1, b"free", 16 + 100) + bytes(100)
    endless = struct.pack(">I4s", 0, b"moov") + box(b"pssh", bytes(20))

    assert scanned(tmp_path, large + endless)


def test_a_million_boxes_cost_no_time(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(box(b"free") * 1_000_000)
    began = time.process_time()

    assert not scan_boxes(path).encrypted
    assert time.process_time() - began < 1.0


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_nonsense_is_no_error(tmp_path_factory, content: bytes) -> None:  # noqa: ANN001
    path = tmp_path_factory.getbasetemp() / "nonsense.mp4"
    path.write_bytes(b"\0\0\0\x08moov" + content)

    scan_boxes(path)
