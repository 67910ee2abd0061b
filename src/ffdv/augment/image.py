"""Picture transforms: torchvision's by their own names, and what forensics needs beside them.

    array uint8 (h, w), (h, w, 3) or (frames, h, w, 3), or torch tensor (…, c, h, w)  ─ chain of steps ─▶  the same kind

Frames of one clip share what is drawn (AugMix alone mixes each frame its own way). torchvision draws from torch's global
CPU generator; it is seeded from the sample's rng and put back afterwards, so the same rng gives the same picture in any
worker.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ffdv.augment.codec import PictureCodecName, transcode_frames, transcode_jpeg
from ffdv.augment.pixels import resized
from ffdv.augment.spans import Span, draw, draw_count
from ffdv.augment.steps import Step, checked, fields_of, step_rngs, unknown
from ffdv.errors import RecipeError
from ffdv.records import FloatArray, PixelArray
from ffdv.torchvision_import import import_torchvision

if TYPE_CHECKING:
    from torch import Tensor

Picture = Any  # PixelArray or Tensor, see the module's drawing

_RESIZING = ("size", "interpolation", "antialias")
_WARPING = ("interpolation", "fill")

# torchvision.transforms.v2 by name: the parameters that a recipe may set (tests hold this against the library).
TORCHVISION_PARAMETERS: dict[str, tuple[str, ...]] = {
    "Resize": (*_RESIZING, "max_size"),
    "RandomCrop": ("size", "padding", "pad_if_needed", "fill", "padding_mode"),
    "RandomResizedCrop": (*_RESIZING, "scale", "ratio"),
    "CenterCrop": ("size",),
    "Pad": ("padding", "fill", "padding_mode"),
    "RandomHorizontalFlip": ("p",),
    "RandomVerticalFlip": ("p",),
    "RandomRotation": ("degrees", "expand", "center", *_WARPING),
    "RandomAffine": ("degrees", "translate", "scale", "shear", "center", *_WARPING),
    "RandomPerspective": ("distortion_scale", "p", *_WARPING),
    "ElasticTransform": ("alpha", "sigma", *_WARPING),
    "ColorJitter": ("brightness", "contrast", "saturation", "hue"),
    "Grayscale": ("num_output_channels",),
    "RandomGrayscale": ("p",),
    "GaussianBlur": ("kernel_size", "sigma"),
    "RandomAdjustSharpness": ("sharpness_factor", "p"),
    "RandomAutocontrast": ("p",),
    "RandomEqualize": ("p",),
    "RandomInvert": ("p",),
    "RandomPosterize": ("bits", "p"),
    "RandomSolarize": ("threshold", "p"),
    "RandomErasing": ("p", "scale", "ratio", "value"),
    "AutoAugment": ("policy", *_WARPING),
    "RandAugment": ("num_ops", "magnitude", "num_magnitude_bins", *_WARPING),
    "TrivialAugmentWide": ("num_magnitude_bins", *_WARPING),
    "AugMix": ("severity", "mixture_width", "chain_depth", "alpha", "all_ops", *_WARPING),
    "ToTensor": (),
    "ToImage": (),
    "ToDtype": ("dtype", "scale"),
    "Normalize": ("mean", "std"),
}
# Those of them without a default.
TORCHVISION_NEEDED: dict[str, tuple[str, ...]] = {
    "Resize": ("size",),
    "RandomCrop": ("size",),
    "RandomResizedCrop": ("size",),
    "CenterCrop": ("size",),
    "Pad": ("padding",),
    "RandomRotation": ("degrees",),
    "RandomAffine": ("degrees",),
    "GaussianBlur": ("kernel_size",),
    "RandomAdjustSharpness": ("sharpness_factor",),
    "RandomPosterize": ("bits",),
    "RandomSolarize": ("threshold",),
    "ToDtype": ("dtype",),
    "Normalize": ("mean", "std"),
    "Compose": ("transforms",),
    "RandomApply": ("transforms",),
    "RandomChoice": ("transforms",),
    "RandomOrder": ("transforms",),
}
# Steps made of steps.
_NESTING: dict[str, tuple[str, ...]] = {
    "Compose": ("transforms",),
    "RandomApply": ("transforms", "p"),
    "RandomChoice": ("transforms", "p"),
    "RandomOrder": ("transforms",),
}


def jpeg(
    picture: PixelArray, rng: np.random.Generator, *, quality: Annotated[tuple[int, int], Span(1, 95)] = (40, 95)
) -> PixelArray:
    """Through JPEG 4:2:0 and back."""
    level = draw_count(rng, quality)
    if picture.ndim == 4:
        return np.stack([transcode_jpeg(frame, quality=level) for frame in picture])
    return transcode_jpeg(picture, quality=level)


def h264(
    picture: PixelArray, rng: np.random.Generator, *, quality: Annotated[tuple[int, int], Span(0, 51)] = (20, 38)
) -> PixelArray:
    """Through H.264 4:2:0 and back, constant rate factor 0 (best) to 51; one picture becomes one key frame."""
    return _through_video(picture, "h264", draw_count(rng, quality))


def hevc(
    picture: PixelArray, rng: np.random.Generator, *, quality: Annotated[tuple[int, int], Span(0, 51)] = (22, 40)
) -> PixelArray:
    """Through HEVC 4:2:0 and back, constant rate factor 0 (best) to 51; one picture becomes one key frame."""
    return _through_video(picture, "hevc", draw_count(rng, quality))


def rescale(
    picture: PixelArray,
    rng: np.random.Generator,
    *,
    scale: Annotated[tuple[float, float], Span(0.02, 1)] = (0.3, 1.0),
    filters: tuple[Literal["nearest", "bilinear", "bicubic", "lanczos"], ...] = ("bilinear", "bicubic", "lanczos"),
) -> PixelArray:
    """Made smaller by `scale` and brought back to its size, each way with one of `filters`."""
    height, width = picture.shape[:2] if picture.ndim < 4 else picture.shape[1:3]
    share = draw(rng, scale)
    small = (max(1, round(height * share)), max(1, round(width * share)))
    down, up = (filters[int(rng.integers(len(filters)))] for _ in range(2))
    frames = picture if picture.ndim == 4 else picture[None]
    changed = np.stack([resized(resized(frame, small, down), (height, width), up) for frame in frames])
    return changed if picture.ndim == 4 else changed[0]


def pixel_noise(
    picture: PixelArray, rng: np.random.Generator, *, sigma: Annotated[tuple[float, float], Span(0, 128)] = (0.0, 8.0)
) -> PixelArray:
    """Gaussian noise of `sigma` grey levels (of 255) on every value, rounded and clipped."""
    noise = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(draw(rng, sigma))
    return np.clip(np.rint(picture + noise), 0, 255).astype(np.uint8)


# Ours, under names in torchvision's style.
PICTURE_TRANSFORMS: dict[str, Callable[..., PixelArray]] = {
    "JPEG": jpeg,
    "H264": h264,
    "HEVC": hevc,
    "Rescale": rescale,
    "PixelNoise": pixel_noise,
}


class ViewSpec(BaseModel):
    """Several looks at one picture when it is judged; the model's opinions on them are averaged.

    FiveCrop: corners and centre; TenCrop: these and their mirror images. size: (h, w) of a crop.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["FiveCrop", "TenCrop"]
    size: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
    vertical_flip: bool = False

    @property
    def count(self) -> int:
        """Views of one picture."""
        return 5 if self.name == "FiveCrop" else 10


def make_views(pictures: Tensor, spec: ViewSpec) -> Tensor:
    """Pictures (clips, c, h, w) → crops (views, clips, c, size h, size w). Raises RecipeError when they are too small."""
    import torch

    import_torchvision()
    from torchvision.transforms import v2

    height, width = pictures.shape[-2:]
    if height < spec.size[0] or width < spec.size[1]:
        raise RecipeError(f"{spec.name}: a crop of {spec.size} does not fit a picture of {(height, width)}")
    size = list(spec.size)
    crop = v2.FiveCrop(size) if spec.name == "FiveCrop" else v2.TenCrop(size, vertical_flip=spec.vertical_flip)
    return torch.stack(crop(pictures))


def average_views(outputs: Any) -> Any:
    """The mean over views of (views, clips, …), for arrays and tensors."""
    return outputs.mean(0)


@dataclass(frozen=True)
class PictureChain:
    """Steps applied in order: (picture, rng) → picture. See the module's drawing for kinds and shapes.

    An array comes back as an array unless a step made floats of it (ToTensor, ToDtype, Normalize); those come last.
    """

    steps: tuple[Step, ...]

    def __call__(self, picture: Picture, rng: np.random.Generator) -> Picture:
        """The changed picture; the same rng state gives the same one."""
        was_array = isinstance(picture, np.ndarray)
        for step, own in zip(self.steps, step_rngs(self.steps, rng), strict=True):
            if own is not None:
                picture = _apply(step, picture, own)
        return _as_array(picture) if was_array and _is_bytes(picture) else picture

    def build(self) -> None:
        """Build torchvision's steps now, so that a wrong value is told (RecipeError) before the work starts."""
        for step in self.steps:
            if step.name in _NESTING:
                PictureChain(step.settings["transforms"]).build()
            elif step.name in TORCHVISION_PARAMETERS:
                _built(step.name, json.dumps(step.settings, default=list))

    def on_batch(self, pictures: Tensor, rngs: list[np.random.Generator]) -> Tensor:
        """Float pictures in [0, 1] (clips, c, h, w), each by its own generator, as 8-bit pictures (1/255 a step).

        This is the way for spectrogram pictures, which are made on the model's device within the batch.
        """
        import torch

        levels = (pictures.detach().clamp(0, 1) * 255).round().to(torch.uint8)
        changed = [self(picture, rng) for picture, rng in zip(levels, rngs, strict=True)]
        return torch.stack([item.to(pictures.dtype) / 255 if _is_bytes(item) else item for item in changed])


def checked_picture(raw: Any) -> dict[str, Any]:
    """The fields of a picture Step, names and parameters checked; values of torchvision's are checked when it is built.

    Raises ValueError with the nearest names.
    """
    fields = fields_of(raw)
    name = str(fields.get("name"))
    if name in ("FiveCrop", "TenCrop"):
        raise ValueError(f"{name} makes several views of one picture; set it as [augment.views] name = {name!r}")
    if name in PICTURE_TRANSFORMS:
        return checked(fields, PICTURE_TRANSFORMS, what="picture")
    known = TORCHVISION_PARAMETERS | _NESTING
    if name not in known:
        raise ValueError(unknown(fields.get("name"), {*known, *PICTURE_TRANSFORMS}, what="picture transform"))
    for key in fields:
        if key not in (*known[name], "name", "probability"):
            raise ValueError(f"{name}: {unknown(key, known[name], what='parameter')}")
    missing = [key for key in TORCHVISION_NEEDED.get(name, ()) if key not in fields]
    if missing:
        raise ValueError(f"{name}: needs {', '.join(missing)}")
    if name in _NESTING:
        fields["transforms"] = tuple(Step(**checked_picture(inner)) for inner in fields["transforms"])
    return fields


def _through_video(picture: PixelArray, name: PictureCodecName, quality: int) -> PixelArray:
    if picture.ndim == 4:
        return transcode_frames(picture, name=name, constant_quality=quality)
    colours = np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture
    changed: PixelArray = transcode_frames(colours[None], name=name, constant_quality=quality)[0]
    return changed[..., 1] if picture.ndim == 2 else changed


def _apply(step: Step, picture: Picture, rng: np.random.Generator) -> Picture:
    settings = step.settings
    if step.name in PICTURE_TRANSFORMS:
        return _apply_ours(PICTURE_TRANSFORMS[step.name], picture, rng, settings)
    if step.name in _NESTING:
        return _apply_nested(step, picture, rng)
    import torch

    transform = _built(step.name, json.dumps(settings, default=list))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(rng.integers(2**63)))
        changed = transform(_as_tensor(picture))
    return changed.as_subclass(torch.Tensor)  # ToImage marks what it makes; here every tensor is a picture


def _apply_ours(
    transform: Callable[..., PixelArray], picture: Picture, rng: np.random.Generator, settings: Mapping[str, Any]
) -> Picture:
    if isinstance(picture, np.ndarray):
        return transform(picture, rng, **settings)
    if not _is_bytes(picture):
        raise RecipeError(
            f"{transform.__name__} works on 8-bit pictures; put it before ToTensor, ToDtype and Normalize"
        )
    return _as_tensor(transform(_as_array(picture), rng, **settings)).to(picture.device)


def _apply_nested(step: Step, picture: Picture, rng: np.random.Generator) -> Picture:
    settings = step.settings
    steps: tuple[Step, ...] = settings["transforms"]
    if step.name == "RandomApply" and rng.random() >= settings.get("p", 0.5):
        return picture
    if step.name == "RandomChoice":
        weights = settings.get("p")
        share = np.asarray(weights) / np.sum(weights) if weights else None
        steps = (steps[int(rng.choice(len(steps), p=share))],)
    if step.name == "RandomOrder":
        steps = tuple(steps[place] for place in rng.permutation(len(steps)))
    for inner, own in zip(steps, step_rngs(steps, rng), strict=True):
        if own is not None:
            picture = _apply(inner, picture, own)
    return picture


@lru_cache(maxsize=256)
def _built(name: str, settings_json: str) -> Callable[[Tensor], Tensor]:
    """The torchvision transform. Raises RecipeError with the library's own complaint about a value."""
    import_torchvision()
    import torch
    from torchvision.transforms import v2

    settings = json.loads(settings_json)
    if "dtype" in settings:
        settings["dtype"] = getattr(torch, settings["dtype"])
    if "policy" in settings:
        settings["policy"] = v2.AutoAugmentPolicy(settings["policy"])
    try:
        if name == "ToTensor":  # v2.ToTensor is deprecated for exactly this pair
            return v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])  # type: ignore[no-any-return]
        return getattr(v2, name)(**settings)  # type: ignore[no-any-return]
    except (TypeError, ValueError) as error:
        raise RecipeError(f"{name}: {error}") from error


def _is_bytes(picture: Picture) -> bool:
    return str(picture.dtype) in ("uint8", "torch.uint8")


def _as_tensor(picture: Picture) -> Tensor:
    """(h, w) → (1, h, w), (…, h, w, c) → (…, c, h, w); a tensor stays."""
    import torch

    if not isinstance(picture, np.ndarray):
        return picture  # type: ignore[no-any-return]
    planes = picture[None] if picture.ndim == 2 else np.moveaxis(picture, -1, -3)
    return torch.from_numpy(np.require(planes, requirements=("C", "W")))  # torch warns of read-only arrays


def _as_array(picture: Picture) -> PixelArray | FloatArray:
    """The reverse of _as_tensor; one plane becomes (h, w)."""
    if isinstance(picture, np.ndarray):
        return picture
    planes: PixelArray = picture.cpu().numpy()
    return planes[0] if planes.ndim == 3 and len(planes) == 1 else np.ascontiguousarray(np.moveaxis(planes, -3, -1))
