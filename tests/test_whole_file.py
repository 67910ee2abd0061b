"""A file appears whole or not at all, and nothing is left of one that failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ffdv.whole_file import whole_file, write_atomically


def test_a_file_is_there_when_it_is_whole_and_the_old_one_until_then(tmp_path: Path) -> None:
    target = tmp_path / "new" / ("名" * 80 + ".json")  # 245 bytes
    write_atomically(target, b"old")

    with whole_file(target, durable=False) as file:
        file.write(b"new")
        file.flush()
        assert target.read_bytes() == b"old"

    assert target.read_bytes() == b"new"
    assert [path.name for path in target.parent.iterdir()] == [target.name]


def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path) -> None:
    with pytest.raises(TypeError), whole_file(tmp_path / "a") as file:
        file.writelines([b"half", 0])  # type: ignore[list-item]

    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_files_place_is_replaced_and_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"mine")
    (tmp_path / "a").symlink_to(tmp_path / "secret")

    write_atomically(tmp_path / "a", b"theirs")

    assert (tmp_path / "secret").read_bytes() == b"mine"
    assert not (tmp_path / "a").is_symlink()
