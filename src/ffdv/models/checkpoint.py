"""Weights and what they are, in one file: safetensors with a JSON header. Never pickle, which runs code when read.

8 bytes   length of the header, little endian        ← checked against the file's size before anything is parsed
header    JSON: tensor names, shapes, offsets, and under "__metadata__" → "ffdv" our own CheckpointHeader
data      the tensors
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from torch import Tensor

from ffdv.errors import CheckpointError

FORMAT_VERSION = 1
MAX_HEADER_BYTES = 64 * 2**20  # a net of 10,000 tensors with its recipe needs 1.5 MB

BESIDE = "embedding_range."  # begins the names of tensors that are not the net's

_LENGTH_BYTES = 8
_METADATA_KEY = "ffdv"
# What people give instead of a run, and what it is for.
_OTHERS = {
    ".csv": "a table, which holds no net (ffdv evaluate and compare take tables of scores)",
    ".onnx": "an exported net, which keeps nothing of its training (ffdv predict and stress take it)",
}
_ZIP_MAGIC, _PICKLE_MAGIC = b"PK\x03\x04", b"\x80"


class CheckpointHeader(BaseModel):
    """What is known of the weights beside them, as JSON values.

    recipe: the resolved recipe, with tables `front_end` and `model`; metrics, calibration, provenance (git state, data hash, versions):
    as the run wrote them; decision: thresholds, the "cannot tell" band and what training saw, as metrics/decision writes it; state:
    counters of an unfinished run, empty in a finished one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    recipe: dict[str, JsonValue] = {}
    metrics: dict[str, JsonValue] = {}
    calibration: dict[str, JsonValue] = {}
    decision: dict[str, JsonValue] = {}
    provenance: dict[str, JsonValue] = {}
    state: dict[str, JsonValue] = {}


@dataclass(frozen=True, repr=False)
class Checkpoint:
    """A read checkpoint: where it came from, its header, its tensors by name (on the CPU).

    embedding_range: the tensors of models/embedding.py beside the net's, by their own names; none in older files.
    """

    path: Path
    header: CheckpointHeader
    tensors: Mapping[str, Tensor]
    embedding_range: Mapping[str, Tensor] = field(default_factory=dict)

    def __repr__(self) -> str:
        """One line: the numbers would fill a book."""
        count = sum(tensor.numel() for tensor in self.tensors.values())
        return f"Checkpoint({str(self.path)!r}, recipe={self.header.recipe.get('name')!r}, {len(self.tensors)} tensors, {count:,} numbers)"


def save_checkpoint(path: Path | str, tensors: Mapping[str, Tensor], header: CheckpointHeader) -> Path:
    """Write tensors (a module's state_dict, or any names) and header to path; the old file stays until the new one is whole."""
    from safetensors.torch import save_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    own = {
        name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()
    }  # views share memory, which the format refuses
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    try:
        save_file(own, temporary, metadata={_METADATA_KEY: header.model_dump_json()})
        with Path(temporary).open("rb") as written:
            os.fsync(written.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)
    return path


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Read a checkpoint of this format; raises CheckpointError with one sentence for anything else."""
    path = Path(path)
    header = read_header(path)
    tensors = load_tensors(path)
    beside = {name.removeprefix(BESIDE): tensors.pop(name) for name in list(tensors) if name.startswith(BESIDE)}
    return Checkpoint(path, header, tensors, beside)


def read_header(path: Path | str) -> CheckpointHeader:
    """The header alone, without reading the weights; raises CheckpointError as load_checkpoint."""
    path = Path(path)
    text = _safetensors_metadata(path).get(_METADATA_KEY)
    if text is None:
        raise CheckpointError(
            f"{path}: safetensors without ffdv's header; it is no checkpoint of ffdv train (foreign weights: --set model.initial_weights={path})"
        )
    try:
        values = json.loads(text)
        version = values["format_version"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise CheckpointError(
            f"{path}: its ffdv header is no JSON with a format_version; the file is damaged, train or copy it again"
        ) from None
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: checkpoint format {version!r:.40}, this ffdv reads {FORMAT_VERSION}; use the ffdv that wrote it, or a newer one"
        )
    try:
        return CheckpointHeader.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise CheckpointError(
            f"{path}: its ffdv header is not valid at {where!r}: {first['msg']}; the file is damaged or foreign"
        ) from None


def load_tensors(path: Path | str) -> dict[str, Tensor]:
    """The tensors of any safetensors file, on the CPU; raises CheckpointError for anything else."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(path)
    _safetensors_metadata(path)
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not a whole safetensors file ({str(error).splitlines()[0]}); copy or train it again"
        ) from None


def _safetensors_metadata(path: Path) -> dict[str, str]:
    """The "__metadata__" of a safetensors file whose size and kind have been checked first."""
    if not path.is_file():
        raise CheckpointError(f"{path}: there is no such file; give a run's folder or its best.safetensors")
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(_LENGTH_BYTES)
        length = int.from_bytes(start, "little")
        if len(start) < _LENGTH_BYTES or length > min(size - _LENGTH_BYTES, MAX_HEADER_BYTES):
            raise _no_safetensors(path, start, f"it claims a header of {length} bytes and has {size} in all")
        raw = file.read(length)
    return _metadata_of(path, raw)


def _no_safetensors(path: Path, start: bytes, found: str) -> CheckpointError:
    """What to say of a file whose first bytes are no header's length; a pickle's never are, they would be a huge one."""
    if start.startswith((_ZIP_MAGIC, _PICKLE_MAGIC)):
        return CheckpointError(
            f"{path}: a PyTorch pickle, which can run any code when it is read; ffdv reads safetensors only "
            "(where you trust it, convert it with safetensors.torch.save_file)"
        )
    if path.suffix.lower() in _OTHERS:
        return CheckpointError(f"{path}: {_OTHERS[path.suffix.lower()]}; give a run's folder or its best.safetensors")
    return CheckpointError(f"{path}: not a whole safetensors file: {found}; copy or train it again")


def _metadata_of(path: Path, raw: bytes) -> dict[str, str]:
    try:
        header: Any = json.loads(raw)
    except (ValueError, RecursionError):
        header = None
    metadata = header.get("__metadata__", {}) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise CheckpointError(f"{path}: not a safetensors file, its header is no JSON; give one that ffdv train wrote")
    return metadata
