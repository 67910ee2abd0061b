"""Weights in eight bits: a third of the file, and what that costs, measured on clips that the run did not learn.

    best.safetensors ─ round each channel to 255 steps ─▶ rounded net ─┬─ judges beside the net as it was ─▶ Int8Loss
                                                                       └─ export, its weights stored as the steps ─▶ model-int8.onnx

Sums stay in float32, so the file computes what the rounded net computes to the last digits: only weights are rounded, symmetrically and
channel by channel (Krishnamoorthi, "Quantizing deep convolutional networks for efficient inference", 2018, section 3.1). It is smaller,
not faster. What is no weight of a convolution or a linear layer, or a narrow one, stays as it is.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from ffdv.data.seen import PARTS_NAME, LabelledClips, choose_clips, taught_clips
from ffdv.data.shards import Shards
from ffdv.errors import CheckpointError
from ffdv.metrics.ranking import roc_auc
from ffdv.metrics.uncertainty import compare
from ffdv.models.checkpoint import Checkpoint
from ffdv.records import FAKE, REAL

if TYPE_CHECKING:
    import onnx

STEPS = 127  # to either side of zero
LEAST_NUMBERS = 1024
LEAST_A_CHANNEL = 100  # narrow layers are few numbers, and their rounding costs as much as that of all others
OFF_GRID = 1e-3  # of a step: by so much float32 may miss one


class Int8Loss(BaseModel):
    """What rounding cost: part of the data that judged, real and fake clips, AUC before and after with the paired difference and
    its 95 % interval, by how much the logit of a clip moved at most, and what is to be said of the choice of clips.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    part: str
    num_real: int
    num_fake: int
    auc_before: float
    auc_after: float
    difference: tuple[float, float, float]
    largest_move: float
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        """One sentence."""
        value, low, high = self.difference
        return (
            f"AUC {self.auc_before:.4f} → {self.auc_after:.4f} on {self.num_real} real and {self.num_fake} fake clips ({self.part}), difference "
            f"{value:+.4f} [{low:+.4f}, {high:+.4f}]; a clip's logit moves by {self.largest_move:.2g} at most"
        )


def rounded(net: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with the net's large weights rounded to their channels' steps. Raises CheckpointError where there are none."""
    large = {
        f"{name}.weight"
        for name, part in net.named_modules()
        if isinstance(part, nn.Conv1d | nn.Conv2d | nn.Linear) and _is_large(part.weight)
    }
    if not large & set(tensors):
        raise CheckpointError("its weights are so few that eight bits would save nothing; export it without --int8")
    return {name: _round(tensor) if name in large else tensor for name, tensor in tensors.items()}


def _is_large(weight: Tensor) -> bool:
    return weight.numel() >= LEAST_NUMBERS and weight[0].numel() >= LEAST_A_CHANNEL


def _round(weight: Tensor) -> Tensor:
    flat = weight.detach().double().flatten(1)
    step = flat.abs().amax(dim=1, keepdim=True) / STEPS
    step = torch.where(step > 0, step, torch.ones_like(step))
    return ((flat / step).round() * step).reshape(weight.shape).to(weight.dtype)


def measure_loss(path: Path, checkpoint: Checkpoint, small: Mapping[str, Tensor], shards: Shards) -> Int8Loss:
    """Let both nets judge the clips that `evaluate` would choose, less any that is called as one of training. path: of the checkpoint."""
    from ffdv.models.checkpoint import save_checkpoint
    from ffdv.training.evaluate import interval_groups, own_parts, score_run

    chosen = choose_clips(LabelledClips.of_shards(shards), own_parts(path, shards), None)
    taught = taught_clips(path.parent) if (path.parent / PARTS_NAME).is_file() else frozenset()
    rows = np.array([row for row in chosen.rows.tolist() if shards.names[row] not in taught], np.int64)
    if not len(rows):
        raise CheckpointError(
            f"{shards.folder}: the run was trained on all its clips; what rounding costs is measured on others"
        )
    with tempfile.TemporaryDirectory(prefix="ffdv-int8-") as beside:
        rounded_path = save_checkpoint(Path(beside) / path.name, small, checkpoint.header)
        judged = score_run(path, shards, rows)
        before, after = judged.scored, score_run(rounded_path, shards, rows).scored
    row_of = {name: row for row, name in enumerate(shards.names)}
    where = np.array([row_of[name] for name in before.names], np.int64)
    labels = shards.labels[where]
    if len(set(labels.tolist())) < 2:
        raise CheckpointError(
            f"{shards.folder}: what rounding costs cannot be measured there without real and fake clips"
        )
    found = compare(labels, before.logits, after.logits, groups=interval_groups(shards, where)[1])
    return Int8Loss(
        part=str(chosen.part),
        num_real=int((labels == REAL).sum()),
        num_fake=int((labels == FAKE).sum()),
        auc_before=float(roc_auc(labels, before.logits)),
        auc_after=float(roc_auc(labels, after.logits)),
        difference=(found.value, found.low, found.high),
        largest_move=float(np.abs(after.logits - before.logits).max()),
        warnings=tuple(map(str, (*chosen.warnings, *judged.warnings))),
    )


def with_loss(checkpoint: Checkpoint, small: Mapping[str, Tensor], loss: Int8Loss) -> Checkpoint:
    """The checkpoint with rounded weights, its provenance saying so."""
    provenance = {**checkpoint.header.provenance, "int8": loss.model_dump(mode="json")}
    header = checkpoint.header.model_copy(update={"provenance": provenance})
    return replace(checkpoint, tensors=dict(small), header=header)


def read_int8_loss(path: Path | str) -> Int8Loss:
    """What rounding cost, as the exported file says. Raises CheckpointError where it is no int8 file of ours."""
    import onnx

    said = {one.key: one.value for one in onnx.load(str(path), load_external_data=False).metadata_props}
    told = json.loads(said.get("provenance", "{}")).get("int8")
    if told is None:
        raise CheckpointError(f"{path}: was not exported with --int8")
    return Int8Loss.model_validate(told)


def store_in_bytes(model: onnx.ModelProto) -> None:
    """Replace every large weight that lies on its channels' steps by the steps, as int8, and their size."""
    from onnx import helper, numpy_helper

    graph = model.graph
    wanted = {name for node in graph.node if node.op_type in {"Conv", "Gemm", "MatMul"} for name in node.input[1:2]}
    added = []
    for tensor in [one for one in graph.initializer if one.name in wanted]:
        weight = numpy_helper.to_array(tensor)
        found = _steps_of(weight) if weight.dtype == np.float32 and weight.size >= LEAST_NUMBERS else None
        if found is None:
            continue
        steps, size, axis = found
        name = tensor.name
        graph.initializer.remove(tensor)
        graph.initializer.append(numpy_helper.from_array(steps, f"{name}_int8"))
        graph.initializer.append(numpy_helper.from_array(size, f"{name}_step"))
        added.append(helper.make_node("DequantizeLinear", [f"{name}_int8", f"{name}_step"], [name], axis=axis))
    for node in reversed(added):
        graph.node.insert(0, node)


def _steps_of(weight: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32], int] | None:
    """(steps, size of a step by channel, the channels' axis); None where the numbers are no steps of one size along any axis."""
    for axis in (0, weight.ndim - 1):
        others = tuple(one for one in range(weight.ndim) if one != axis)
        size = np.abs(weight).max(axis=others, keepdims=True).astype(np.float64) / STEPS
        size = np.where(size > 0, size, 1.0)
        exact = weight / size
        steps = np.rint(exact)
        if np.abs(exact - steps).max() < OFF_GRID:
            return steps.astype(np.int8), size.astype(np.float32).ravel(), axis
    return None
