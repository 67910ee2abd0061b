"""A trained net → one ONNX file with its front end inside: sound goes in, an opinion and where it comes from come out.

    samples (clips, n) float32, any clips, any n ─▶ logit (clips,) fake minus real, activation (clips, h, w), distance (clips,)
    crops (rows, frames, 3, s, s) uint8          ─▶ logit (rows,), frame_logit (rows, frames), activation, distance
    vectors (rows, n) float32, NaN = not known   ─▶ logit (rows,); of a fusion `logits` (rows, members)
    crops, seconds (rows, frames), sound (rows, n), lengths (rows, 2) ─▶ logit (rows,), head_logit (rows, 3): picture, voice, pairing

distance: from what training saw (models/embedding.py), only where the run knows it. What detection must know (sample rate, windows,
calibration) and where the weights come from travel in the file's metadata.
No lengths go in: all clips of a batch have the same n, for a detector cuts windows of one length.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter
from torch import Tensor, nn

from ffdv.data.shards import open_shards
from ffdv.errors import CheckpointError
from ffdv.features.networks import runtime
from ffdv.features.spectrogram import FrontEndSpec
from ffdv.features.windows import window_fault
from ffdv.models.audio import SoundPictureNet, SpectrogramLayer
from ffdv.models.checkpoint import Checkpoint, CheckpointHeader, load_checkpoint
from ffdv.models.embedding import EmbeddingRange
from ffdv.models.joint import JointNet
from ffdv.models.late import LateNet
from ffdv.models.motion import VectorNet
from ffdv.models.visual import FaceNet
from ffdv.records import FAKE, REAL
from ffdv.training.int8 import measure_loss, rounded, store_in_bytes, with_loss
from ffdv.training.kinds import restore_embedding_range, restore_net
from ffdv.training.plan import recipe_from
from ffdv.whole_file import write_atomically

if TYPE_CHECKING:
    import onnx

FORMAT_VERSION = 1
N = TypeVar("N", bound=nn.Module)

MODEL_NAME, INT8_NAME, BEST_NAME = "model.onnx", "model-int8.onnx", "best.safetensors"
OPSET = 18  # the first with all that we use; onnxruntime 1.19 reads it
LARGEST_DIFFERENCE = 1e-3  # of a logit between torch and onnxruntime; measured: below 2e-5

_Json = TypeAdapter[JsonValue](JsonValue)


class ExportMetadata(BaseModel):
    """What travels inside the ONNX file, each value as JSON text under its name.

    kind: of the recipe, what the net looks at; sample_rate in Hz; window_seconds and hop_seconds: how a clip is cut (None: whole,
    and end to end); calibration: as metrics/calibration
    writes it, None where none was fitted; decision: thresholds, band and what training saw, as metrics/decision writes it;
    recipe, provenance: as the run wrote them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    kind: str = "sound"
    sample_rate: int = Field(gt=0)
    window_seconds: float | None = None
    hop_seconds: float | None = None
    calibration: dict[str, JsonValue] | None = None
    decision: dict[str, JsonValue] | None = None
    recipe: dict[str, JsonValue] = {}
    provenance: dict[str, JsonValue] = {}

    def as_text(self) -> dict[str, str]:
        """Every value as JSON text."""
        return {name: _Json.dump_json(value).decode() for name, value in self.model_dump(mode="json").items()}


def export(
    run: Path | str, *, out: Path | str | None = None, int8: bool = False, data: Path | str | None = None
) -> Path:
    """Write a run's best epoch as ONNX and return the file; out=None writes RUN/model.onnx, with int8 RUN/model-int8.onnx.

    run: the folder that ffdv train wrote, or one of its safetensors files. int8: store weights in eight bits (int8.py); data: the shards on
    which its cost is measured, needed then; int8.read_int8_loss tells it. Raises CheckpointError when there is no finished epoch in it,
    when it cannot be read, or when the exported net does not agree with torch.
    """
    run = Path(run)
    path = run / BEST_NAME if run.is_dir() else run
    if run.is_dir() and not path.is_file():
        raise CheckpointError(
            f"{run}: holds no {BEST_NAME}, no epoch was finished; train it first: ffdv train --out {run}"
        )
    checkpoint = load_checkpoint(path)
    if data is not None and not int8:
        raise CheckpointError(f"{path}: only eight bits are measured on data; give --int8, or leave --data out")
    if int8:
        if data is None:
            raise CheckpointError(f"{path}: what eight bits cost is measured before it is written; give --data SHARDS")
        checkpoint = _in_eight_bits(path, checkpoint, data)
    net = restore_net(checkpoint)
    target = Path(out) if out is not None else path.with_name(INT8_NAME if int8 else MODEL_NAME)
    front_end = recipe_from(checkpoint.header.recipe, where=str(path), trained_before=True).front_end
    try:
        metadata = metadata_of(checkpoint.header, front_end)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    near = restore_embedding_range(checkpoint)
    if isinstance(net, SoundPictureNet):
        return export_module(net, out=target, metadata=metadata, near=near, int8=int8)
    return export_graph(_graph_of(net, near), out=target, metadata=metadata, int8=int8)


def _in_eight_bits(path: Path, checkpoint: Checkpoint, data: Path | str) -> Checkpoint:
    """The checkpoint with rounded weights and what they cost."""
    try:
        small = rounded(restore_net(checkpoint), checkpoint.tensors)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from None
    return with_loss(checkpoint, small, measure_loss(path, checkpoint, small, open_shards(data)))


def metadata_of(header: CheckpointHeader, front_end: FrontEndSpec) -> ExportMetadata:
    """What the ONNX file says of a checkpoint; windows are those of the recipe's table `loader`.

    Raises CheckpointError when detection would refuse them.
    """
    loader = header.recipe.get("loader")
    windows: dict[str, Any] = loader if isinstance(loader, dict) else {}
    fault = window_fault(windows.get("window_seconds"), windows.get("hop_seconds"))
    if fault:
        raise CheckpointError(f"its recipe's table loader cannot be used: {fault}; train it again with another")
    return ExportMetadata(
        kind=str(header.recipe.get("kind", "sound")),
        sample_rate=front_end.sample_rate,
        window_seconds=windows.get("window_seconds"),
        hop_seconds=windows.get("hop_seconds"),
        calibration=header.calibration or None,
        decision=header.decision or None,
        recipe=header.recipe,
        provenance=header.provenance,
    )


def export_module(
    net: SoundPictureNet,
    *,
    out: Path | str,
    metadata: ExportMetadata,
    near: EmbeddingRange | None = None,
    int8: bool = False,
) -> Path:
    """Write a net as ONNX to `out`, whole or not at all, after onnxruntime has agreed with torch on it; the net stays as it is.

    near: what training saw, for the output `distance`; None: the file has no such output. int8: its weights are rounded; store the steps.
    Raises CheckpointError when they disagree by more than LARGEST_DIFFERENCE of a logit.
    """
    out = Path(out)
    alone = _for_export(net, near)
    outputs = ("logit", "activation", *_distance_name(near))
    model = _as_onnx(alone, outputs, samples=_trial_samples(net.front_end.spec, clips=2, hops=40))
    _name_outputs(model)
    content = _as_bytes(model, metadata, int8=int8)
    _check_agreement(content, net, name=out)
    write_atomically(out, content)
    return out


@dataclass(frozen=True)
class Graph:
    """What becomes an ONNX file: a module in evaluation mode on the CPU; its inputs and outputs by name, the first output is the
    logit; example inputs, of two shapes that the free axes allow; free: axis numbers of the inputs whose length is free, by name.
    """

    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    examples: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
    free: tuple[Mapping[int, str], ...]


def export_graph(graph: Graph, *, out: Path | str, metadata: ExportMetadata, int8: bool = False) -> Path:
    """Write a graph as ONNX to `out`, whole or not at all, after onnxruntime has agreed with torch on its examples. int8: as above.

    Raises CheckpointError when they disagree by more than LARGEST_DIFFERENCE of a logit.
    """
    onnxruntime = runtime()

    out = Path(out)
    longest = {"n": 2**31}
    names = {name for axes in graph.free for name in axes.values()}
    dims = {name: torch.export.Dim(name, min=1, max=longest.get(name, 2**16)) for name in names}
    with warnings.catch_warnings(), torch.inference_mode(mode=False), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's exporter warns of its own insides
        program = torch.onnx.export(
            graph.module,
            graph.examples[0],
            input_names=list(graph.inputs),
            output_names=list(graph.outputs),
            dynamic_shapes=tuple({axis: dims[name] for axis, name in axes.items()} for axes in graph.free),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    content = _as_bytes(program.model_proto, metadata, int8=int8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    for example in graph.examples:
        with torch.inference_mode():
            answer = graph.module(*example)
        ours = (answer[0] if isinstance(answer, tuple) else answer).numpy()
        fed = {name: tensor.numpy() for name, tensor in zip(graph.inputs, example, strict=True)}
        difference = float(np.abs(session.run([graph.outputs[0]], fed)[0] - ours).max())
        if not difference <= LARGEST_DIFFERENCE:
            raise CheckpointError(
                f"{out}: not written, the exported net differs from torch by {difference:.2g} of a logit; another version of torch or "
                "onnxruntime may export it rightly (pip install -U onnxruntime)"
            )
    write_atomically(out, content)
    return out


def _copied(net: N) -> N:
    """The net by itself: on the CPU, in float32, evaluating. Its weights lie in torch's plain order again, since with channels last the
    exporter ties the length of a clip to its strides.
    """
    alone = copy.deepcopy(net).cpu().float().eval()
    alone.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch's stub leaves this form out
    return alone


def _graph_of(net: nn.Module, near: EmbeddingRange | None = None) -> Graph:
    """The graph of a net that does not look at sound alone."""
    alone = _copied(net)
    if isinstance(alone, FaceNet):
        return _face_graph(alone, near)
    if isinstance(alone, VectorNet):
        return _vector_graph(alone, near)
    if isinstance(alone, LateNet):
        return _late_graph(alone)
    if isinstance(alone, JointNet):
        return _joint_graph(alone, near)
    raise CheckpointError(f"a {type(net).__name__} cannot be exported")


class _FaceOpinion(nn.Module):
    """What the file of a net for faces computes."""

    def __init__(self, net: FaceNet, near: EmbeddingRange | None) -> None:
        super().__init__()
        self.net, self.near = net, near

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Logit (rows,), frame_logit (rows, frames), activation (rows, frames, h, w), and distance (rows,) where it is known."""
        logits, embeddings, frame_logits, activation = self.net.look(crops)
        distance = () if self.near is None else (self.near(embeddings),)
        return logits[:, FAKE] - logits[:, REAL], frame_logits, activation, *distance


def _face_graph(net: FaceNet, near: EmbeddingRange | None) -> Graph:
    rng = np.random.default_rng(0)

    def crops(rows: int, frames: int) -> tuple[Tensor]:
        coarse = rng.integers(0, 256, (rows, frames, 3, net.side // 8, net.side // 8), dtype=np.uint8)
        grown = coarse.repeat(8, axis=3).repeat(8, axis=4)
        return (torch.from_numpy(np.resize(grown, (rows, frames, 3, net.side, net.side))),)

    return Graph(
        _FaceOpinion(net, near).eval(),
        ("crops",),
        ("logit", "frame_logit", "activation", *_distance_name(near)),
        (crops(2, 3), crops(3, 5)),
        ({0: "rows", 1: "frames"},),
    )


class _VectorOpinion(nn.Module):
    """What the file of a light classifier computes."""

    def __init__(self, net: VectorNet | LateNet, near: EmbeddingRange | None = None) -> None:
        super().__init__()
        self.net, self.near = net, near

    def forward(self, vectors: Tensor) -> tuple[Tensor, ...]:
        """Logit (rows,), and distance (rows,) where it is known."""
        if self.near is None or not isinstance(self.net, VectorNet):
            logits: Tensor = self.net(vectors)
            return (logits[:, FAKE] - logits[:, REAL],)
        logits, embeddings = self.net.embedded(vectors)
        return logits[:, FAKE] - logits[:, REAL], self.near(embeddings)


def _vector_graph(net: VectorNet, near: EmbeddingRange | None) -> Graph:
    rng = np.random.default_rng(0)

    def vectors(rows: int) -> tuple[Tensor]:
        values = rng.standard_normal((rows, len(net.median))).astype(np.float32)
        values[0, ::3] = np.nan
        scale = torch.where(net.spread.isfinite(), net.spread, 1.0)
        return (net.median + scale * torch.from_numpy(values),)

    outputs = ("logit", *_distance_name(near))
    return Graph(_VectorOpinion(net, near).eval(), ("vectors",), outputs, (vectors(2), vectors(5)), ({0: "rows"},))


class _JointOpinion(nn.Module):
    """What the file of a net for sound and face computes."""

    def __init__(self, net: JointNet, near: EmbeddingRange | None) -> None:
        super().__init__()
        self.net, self.near = net, near

    def forward(self, crops: Tensor, seconds: Tensor, sound: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Logit (rows,), head_logit (rows, 3), and distance (rows,) where it is known."""
        logits, embeddings = self.net.embedded((crops, seconds, sound), lengths)
        margins = logits[..., FAKE] - logits[..., REAL]
        distance = () if self.near is None else (self.near(embeddings),)
        return margins[:, 0], margins[:, 1:], *distance


def _joint_graph(net: JointNet, near: EmbeddingRange | None) -> Graph:
    rng = np.random.default_rng(0)
    spec = net.front_end.spec
    net.front_end = SpectrogramLayer(spec, by_products=True)

    def example(rows: int, frames: int, hops: int) -> tuple[Tensor, ...]:
        crops = torch.from_numpy(rng.integers(0, 256, (rows, frames, 3, net.side, net.side), dtype=np.uint8))
        seconds = torch.arange(frames).repeat(rows, 1) / 8.0
        sound = _trial_samples(spec, clips=rows, hops=hops)
        lengths = torch.tensor([[frames, sound.shape[1]]] * (rows - 2) + [[0, sound.shape[1]], [frames - 1, 0]])
        return crops, seconds, sound, lengths

    return Graph(
        _JointOpinion(net, near).eval(),
        ("crops", "seconds", "sound", "lengths"),
        ("logit", "head_logit", *_distance_name(near)),
        (example(3, 4, 60), example(4, 6, 150)),
        ({0: "rows", 1: "frames"}, {0: "rows", 1: "frames"}, {0: "rows", 1: "n"}, {0: "rows"}),
    )


def _late_graph(net: LateNet) -> Graph:
    rng = np.random.default_rng(0)

    def vectors(rows: int) -> tuple[Tensor]:
        values = rng.standard_normal((rows, net.num_senses)).astype(np.float32)
        values[0, 0] = np.nan
        return (torch.from_numpy(values),)

    return Graph(_VectorOpinion(net).eval(), ("logits",), ("logit",), (vectors(2), vectors(5)), ({0: "rows"},))


class _LogitAndActivation(nn.Module):
    """What the file computes."""

    def __init__(self, net: SoundPictureNet, near: EmbeddingRange | None) -> None:
        super().__init__()
        self.net, self.near = net, near

    def forward(self, samples: Tensor) -> tuple[Tensor, ...]:
        """Logit (clips,), activation (clips, h, w), and distance (clips,) where it is known."""
        logits, embeddings, activation = self.net.look(samples)
        distance = () if self.near is None else (self.near(embeddings),)
        return logits[:, FAKE] - logits[:, REAL], activation, *distance


def _distance_name(near: EmbeddingRange | None) -> tuple[str, ...]:
    return () if near is None else ("distance",)


def _for_export(net: SoundPictureNet, near: EmbeddingRange | None) -> nn.Module:
    """A copy on the CPU, evaluating, its front end made of matrix products."""
    alone = _copied(net)
    alone.picture_change = None
    alone.front_end = SpectrogramLayer(net.front_end.spec, by_products=True)
    return _LogitAndActivation(alone, near).eval()


def _as_onnx(module: nn.Module, outputs: Sequence[str], *, samples: Tensor) -> onnx.ModelProto:
    """The module's graph with free batch and length."""
    free = {0: torch.export.Dim("clips", min=1, max=2**16), 1: torch.export.Dim("n", min=2, max=2**31)}
    with warnings.catch_warnings(), torch.inference_mode(mode=False), torch.no_grad():
        warnings.simplefilter("ignore")  # torch's exporter warns of its own insides
        program = torch.onnx.export(
            module,
            (samples,),
            input_names=["samples"],
            output_names=list(outputs),
            dynamic_shapes=(free,),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    return model


def _as_bytes(model: onnx.ModelProto, metadata: ExportMetadata, *, int8: bool) -> bytes:
    """The file: this machine forgotten, weights as they are or as steps, what detection must know beside them."""
    _forget_machine(model)
    if int8:
        store_in_bytes(model)
    for name, text in metadata.as_text().items():
        model.metadata_props.add(key=name, value=text)
    return bytes(model.SerializeToString())


def _forget_machine(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes: source paths of this machine, a third of the file."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("doc_string")
        part.ClearField("metadata_props")
    graph.ClearField("value_info")


def _name_outputs(model: onnx.ModelProto) -> None:
    """Call the free sizes of the outputs clips, h and w: the exporter writes pages of arithmetic there."""
    for output in model.graph.output:
        for size, name in zip(output.type.tensor_type.shape.dim, ("clips", "h", "w"), strict=False):
            if size.HasField("dim_param"):
                size.dim_param = name


def _check_agreement(content: bytes, net: SoundPictureNet, *, name: Path) -> None:
    """Run both on a short and a long trial sound."""
    onnxruntime = runtime()

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    device = net.mean.device
    was_training = net.training
    net.eval()
    for clips, hops in ((1, 1), (3, 150)):
        samples = _trial_samples(net.front_end.spec, clips=clips, hops=hops)
        with torch.inference_mode():
            logits = net(samples.to(device)).float().cpu()
        theirs = session.run(["logit"], {"samples": samples.numpy()})[0]
        difference = float(np.abs(theirs - (logits[:, FAKE] - logits[:, REAL]).numpy()).max())
        if not difference <= LARGEST_DIFFERENCE:
            raise CheckpointError(
                f"{name}: not written, the exported net differs from torch by {difference:.2g} of a logit on {samples.shape[1]} samples; "
                "another version of torch or onnxruntime may export it rightly (pip install -U onnxruntime)"
            )
    net.train(was_training)


def _trial_samples(spec: FrontEndSpec, *, clips: int, hops: int) -> Tensor:
    """A rising tone over faint noise, (clips, about hops * hop_length)."""
    rng = np.random.default_rng(0)
    n = hops * spec.hop_length + spec.hop_length // 3 + 2
    phase = np.cumsum(np.geomspace(spec.sample_rate / 100, spec.sample_rate / 5, n)) * (2 * np.pi / spec.sample_rate)
    sound = 0.3 * np.sin(phase) + 0.01 * rng.standard_normal((clips, n))
    return torch.tensor(sound, dtype=torch.float32)
