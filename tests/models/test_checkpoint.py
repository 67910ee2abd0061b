from __future__ import annotations

import json
import os
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ffdv.errors import CheckpointError
from ffdv.models.checkpoint import (
    FORMAT_VERSION,
    MAX_HEADER_BYTES,
    CheckpointHeader,
    load_checkpoint,
    load_tensors,
    read_header,
    save_checkpoint,
)

HEADER = CheckpointHeader(
    recipe={"front_end": {"kind": "mel"}, "model": {"backbone": "resnet18"}}, metrics={"auc": 0.75}, state={"epoch": 3}
)
TENSORS = {"a": torch.arange(6.0).view(2, 3), "half": torch.ones(3, dtype=torch.bfloat16), "count": torch.tensor(7)}


class Trap:
    """A pickle that leaves a trace when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def refused(path: Path, sentence: str) -> None:
    """Loading is one line that names the file and says this."""
    for read in (load_checkpoint, read_header):
        with pytest.raises(CheckpointError, match=sentence) as caught:
            read(path)
        assert str(caught.value).startswith(str(path))
        assert "\n" not in str(caught.value)


def with_header(path: Path, header: bytes, data: bytes = b"", *, claimed: int | None = None) -> Path:
    path.write_bytes(struct.pack("<Q", len(header) if claimed is None else claimed) + header + data)
    return path


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "deep" / "net.safetensors", TENSORS, HEADER)

    checkpoint = load_checkpoint(path)

    assert checkpoint.header == HEADER == read_header(path)
    assert set(checkpoint.tensors) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert checkpoint.tensors[name].dtype == tensor.dtype
        assert torch.equal(checkpoint.tensors[name], tensor)


def test_views_of_one_memory_are_saved_whole(tmp_path: Path) -> None:
    whole = torch.arange(10.0)
    path = save_checkpoint(
        tmp_path / "net.safetensors", {"left": whole[:6], "right": whole[4:], "turned": whole.view(2, 5).T}, HEADER
    )

    tensors = load_tensors(path)

    assert torch.equal(tensors["right"], whole[4:])
    assert torch.equal(tensors["turned"], whole.view(2, 5).T)


def test_a_failed_save_leaves_the_old_file_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_checkpoint(tmp_path / "net.safetensors", TENSORS, HEADER)
    before = path.read_bytes()

    def broken(*_: object, **__: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="disk is full"):
        save_checkpoint(path, {"other": torch.zeros(1)}, HEADER)

    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["net.safetensors"]


@pytest.mark.parametrize("claimed", [2**63, 2**64 - 1, MAX_HEADER_BYTES + 1, 3])
def test_a_header_that_cannot_be_is_refused_before_it_is_read(tmp_path: Path, claimed: int) -> None:
    path = with_header(tmp_path / "bomb.safetensors", b"{}", claimed=claimed)

    refused(path, "claims a header of")


def test_a_header_over_the_limit_is_refused_even_where_the_file_is_as_large(tmp_path: Path) -> None:
    path = tmp_path / "sparse.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", MAX_HEADER_BYTES + 1))
        file.truncate(MAX_HEADER_BYTES + 100)

    refused(path, "claims a header of")


@pytest.mark.parametrize("kept", [0, 5, 8, 60])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int) -> None:
    path = save_checkpoint(tmp_path / "net.safetensors", TENSORS, HEADER)
    path.write_bytes(path.read_bytes()[:kept])

    refused(path, "not a whole safetensors file")


def test_a_file_that_lost_its_tail_is_refused(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path / "net.safetensors", TENSORS, HEADER)
    path.write_bytes(path.read_bytes()[:-3])

    with pytest.raises(CheckpointError, match="not a whole safetensors file"):
        load_checkpoint(path)


@pytest.mark.parametrize("header", [b"[1, 2]", b"not json", b"[" * 100_000, b'{"__metadata__": 3}', b"\xff\xfe"])
def test_a_header_that_is_no_safetensors_is_refused(tmp_path: Path, header: bytes) -> None:
    refused(with_header(tmp_path / "odd.safetensors", header), "not a safetensors file")


@pytest.mark.parametrize("name", ["net.pth", "net.safetensors"])
def test_pickles_are_refused_and_never_run(tmp_path: Path, name: str) -> None:
    trace = tmp_path / "trace"
    torch.save({"weights": Trap(trace)}, tmp_path / name)
    (tmp_path / "bare.pkl").write_bytes(pickle.dumps(Trap(trace), protocol=4))

    refused(tmp_path / name, "pickle")
    refused(tmp_path / "bare.pkl", "pickle")

    assert not trace.exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "none.safetensors", "no such file")


def test_safetensors_of_others_are_told_from_ours(tmp_path: Path) -> None:
    save_file({"conv.weight": torch.zeros(2)}, tmp_path / "foreign.safetensors")

    refused(tmp_path / "foreign.safetensors", "without ffdv's header")
    assert set(load_tensors(tmp_path / "foreign.safetensors")) == {"conv.weight"}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format_version": FORMAT_VERSION + 1}, f"checkpoint format {FORMAT_VERSION + 1}"),
        ({"format_version": None}, "checkpoint format None"),
        ({"surprise": 1}, "not valid at 'surprise'"),
        ({"recipe": 3}, "not valid at 'recipe'"),
    ],
)
def test_headers_of_other_versions_or_shapes_are_refused(
    tmp_path: Path, change: dict[str, object], sentence: str
) -> None:
    text = json.dumps({**HEADER.model_dump(mode="json"), **change})
    save_file({"a": torch.zeros(1)}, tmp_path / "net.safetensors", metadata={"ffdv": text})

    refused(tmp_path / "net.safetensors", sentence)


@pytest.mark.parametrize("text", ["", "[]", "nonsense", '{"recipe": {}}'])
def test_a_damaged_header_of_ours_is_refused(tmp_path: Path, text: str) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "net.safetensors", metadata={"ffdv": text})

    refused(tmp_path / "net.safetensors", "header")


@pytest.mark.data
@pytest.mark.parametrize("name", ["pickle_exec.pth", "not_a_ckpt.pth", "truncated.safetensors"])
def test_hostile_checkpoints_from_outside_are_one_line(shared_data: Path, name: str) -> None:
    path = shared_data / "odd_media" / "generated" / "ckpt" / name
    if not path.is_file():
        pytest.skip(f"{name} is not among the odd files")

    refused(path, "safetensors")
