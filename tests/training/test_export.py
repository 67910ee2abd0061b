from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ffdv.detect.network import NetworkFacts
from ffdv.errors import CheckpointError
from ffdv.features.spectrogram import FrontEndSpec
from ffdv.models.audio import SoundPictureNet
from ffdv.models.checkpoint import CheckpointHeader, save_checkpoint
from ffdv.models.zoo import ModelSpec, build_model
from ffdv.training import export as export_room
from ffdv.training.export import ExportMetadata, export, export_module, metadata_of
from ffdv.training.plan import load_recipe

SMALL: dict[str, Any] = {"sample_rate": 8_000, "n_fft": 256, "hop_length": 128, "n_bands": 20}
METADATA = ExportMetadata(sample_rate=8_000)
LENGTHS = (2, 127, 128, 1_000, 8_192, 30_001)  # also whole numbers of hops


def build(backbone: str = "test_resnet", picture_size: Any = (64, 64), **front_end: Any) -> SoundPictureNet:
    torch.manual_seed(0)
    return build_model(ModelSpec(backbone=backbone, picture_size=picture_size), FrontEndSpec(**{**SMALL, **front_end}))


def largest_difference(path: Path, net: SoundPictureNet, lengths: tuple[int, ...] = LENGTHS) -> float:
    """Of logits and activations between onnxruntime and torch, over lengths and batches."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    generator = torch.Generator().manual_seed(1)
    worst = 0.0
    for clips, length in enumerate(lengths, start=1):
        samples = 0.1 * torch.randn(clips, length, generator=generator)
        with torch.inference_mode():
            logits, activation = net.eval().activation_map(samples)
        theirs = session.run(["logit", "activation"], {"samples": samples.numpy()})
        assert theirs[0].shape == (clips,)
        assert theirs[1].shape == activation.shape
        margin = (logits[:, 1] - logits[:, 0]).numpy()
        worst = max(worst, np.abs(theirs[0] - margin).max(), np.abs(theirs[1] - activation.numpy()).max())
    return worst


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SoundPictureNet, Path]:
    """A run folder as training leaves it, its net, and its exported file."""
    folder = tmp_path_factory.mktemp("run")
    net = build()
    tables = {"model": ModelSpec(backbone="test_resnet", picture_size=(64, 64)), "front_end": net.front_end.spec}
    recipe: dict[str, Any] = {name: table.model_dump(mode="json") for name, table in tables.items()}
    recipe |= {"name": "tiny", "loader": {"window_seconds": 4.0, "hop_seconds": None}}
    header = CheckpointHeader(
        recipe=recipe, calibration={"version": 1, "slope": 1.5}, provenance={"git": {"commit": "0abc"}, "ffdv": "0.1.0"}
    )
    save_checkpoint(folder / "best.safetensors", net.state_dict(), header)
    return folder, net, export(folder)


def test_onnxruntime_agrees_with_torch_at_every_length(run: tuple[Path, SoundPictureNet, Path]) -> None:
    folder, net, path = run

    assert path == folder / "model.onnx"
    assert largest_difference(path, net) < 1e-4


def test_the_file_says_what_detection_must_know(run: tuple[Path, SoundPictureNet, Path]) -> None:
    _, _, path = run
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    said = {name: json.loads(text) for name, text in session.get_modelmeta().custom_metadata_map.items()}

    assert said["format_version"] == 1
    assert (said["sample_rate"], said["window_seconds"], said["hop_seconds"]) == (8_000, 4.0, None)
    assert said["calibration"] == {"version": 1, "slope": 1.5}
    assert said["recipe"]["front_end"]["n_bands"] == 20
    assert said["provenance"]["git"] == {"commit": "0abc"}


def test_the_file_holds_no_path_of_this_machine(run: tuple[Path, SoundPictureNet, Path]) -> None:
    content = run[2].read_bytes()

    assert b".py" not in content
    assert str(Path(torch.__file__).parents[2]).encode() not in content


def test_the_file_is_sound_and_alone(run: tuple[Path, SoundPictureNet, Path]) -> None:
    folder, _, path = run

    onnx.checker.check_model(path, full_check=True)
    assert sorted(each.name for each in folder.iterdir()) == ["best.safetensors", "model.onnx"]


@pytest.fixture
def already_traced(run: tuple[Path, SoundPictureNet, Path], monkeypatch: pytest.MonkeyPatch) -> SoundPictureNet:
    """The run's net, with its graph at hand: tracing takes seconds and is not what these tests are about."""
    graph = onnx.load(run[2])
    del graph.metadata_props[:]
    monkeypatch.setattr(export_room, "_as_onnx", lambda *_, **__: graph)
    return run[1]


def test_the_net_stays_as_it_was(already_traced: SoundPictureNet, tmp_path: Path) -> None:
    net = already_traced.train()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    front_end = net.front_end

    export_module(net, out=tmp_path / "model.onnx", metadata=METADATA)

    assert net.training
    assert net.front_end is front_end
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backbone", "picture_size", "front_end"),
    [
        ("test_resnet", "native", {"kind": "lfcc", "scaling": "bands", "n_coefficients": 13}),
        ("test_efficientnet", (64, 64), {"n_fft": 250, "hop_length": 77}),  # no shared divisor: frames by gathering
        ("test_vit", (64, 64), {"kind": "cqt", "fmin": 70.0}),
        ("alexnet", (64, 64), {"kind": "linear", "scaling": "picture"}),
        ("tf_efficientnet_lite0", (64, 64), {}),
    ],
)
def test_every_front_end_and_family_exports(
    backbone: str, picture_size: Any, front_end: dict[str, Any], tmp_path: Path
) -> None:
    net = build(backbone, picture_size, **front_end)

    path = export_module(net, out=tmp_path / "model.onnx", metadata=METADATA)

    assert largest_difference(path, net) < 1e-3


@pytest.mark.slow
def test_the_published_net_exports(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = build_model(ModelSpec(), FrontEndSpec(fmax=8_000, scaling="picture", floor_db=-100.0))

    path = export_module(net, out=tmp_path / "model.onnx", metadata=ExportMetadata(sample_rate=22_050))

    assert largest_difference(path, net, (22_050, 16_384, 163_170)) < 1e-3


def test_a_net_that_disagrees_is_not_written(
    already_traced: SoundPictureNet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with torch.no_grad():
        already_traced.head.classifier.bias[0] += 0.01

    with pytest.raises(CheckpointError, match=r"not written, the exported net differs from torch by 0\.01"):
        export_module(already_traced, out=tmp_path / "model.onnx", metadata=METADATA)
    with torch.no_grad():
        already_traced.head.classifier.bias[0] -= 0.01

    assert not list(tmp_path.iterdir())


def test_a_run_without_a_finished_epoch_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds no best\.safetensors, no epoch was finished"):
        export(tmp_path)


@pytest.mark.parametrize("window", ["whole", -1.0, True])
def test_windows_that_are_no_lengths_are_refused(window: Any) -> None:
    header = CheckpointHeader(recipe={"loader": {"window_seconds": window}})

    with pytest.raises(CheckpointError, match="no length in seconds"):
        metadata_of(header, FrontEndSpec(**SMALL))


def test_a_missing_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        export(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("voice", ("loader.window_seconds=none", "loader.max_seconds=600")),
        ("voice", ("loader.window_seconds=none", "loader.max_seconds=7200")),
        ("voice", ("loader.hop_seconds=0.02",)),
        ("mel-resnet18", ("front_end.sample_rate=384000", "front_end.n_fft=16384")),
    ],
)
def test_what_a_recipe_may_ask_detection_takes(name: str, settings: tuple[str, ...]) -> None:
    recipe = load_recipe(name, settings)
    header = CheckpointHeader(recipe=recipe.model_dump(mode="json"))

    facts = NetworkFacts.read(Path("model.onnx"), metadata_of(header, recipe.front_end).as_text())

    assert (facts.sample_rate, facts.window_seconds, facts.hop_seconds) == (
        recipe.front_end.sample_rate,
        recipe.loader.window_seconds,
        recipe.loader.hop_seconds,
    )
    assert facts.longest_clip_seconds == min(recipe.loader.max_seconds, 3600.0)


def test_what_detection_would_refuse_is_not_exported() -> None:
    header = CheckpointHeader(recipe={"loader": {"window_seconds": 60.0, "hop_seconds": 0.01}})

    with pytest.raises(CheckpointError, match="too short for windows of 60 s"):
        metadata_of(header, FrontEndSpec(**SMALL))
