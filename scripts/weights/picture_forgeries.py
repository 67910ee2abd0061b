"""Faces forged from open pictures, one at a time, for the net of scripts/weights/picture.py.

swapped: another person's face warped by its landmarks, its light and colours matched; redrawn: the face, its lower half or the
mouth through a bottleneck (small, smoothed or quantised) and back; self_blend is the package's own. Fake and real of a picture go
through one and the same chain of resizing, colour, noise and H.264, so that the chain tells nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.fft import dctn, idctn
from torch import Tensor
from torch.nn import functional

from ffdv.augment.codec import transcode_frames
from ffdv.augment.forge_picture import self_blend
from ffdv.features.landmarks import FACE_OVAL
from ffdv.records import PixelArray

Points = npt.NDArray[np.float64]
Rng = np.random.Generator

FIELD_CELLS = 64  # a displacement field is drawn on so many cells a side
MOUTH_OUTLINE = (50, 36, 206, 165, 4, 391, 426, 266, 280, 411, 434, 364, 379, 400, 152, 176, 150, 135, 214, 187)


@dataclass(frozen=True)
class Portrait:
    """One picture with its face: pixels uint8 (h, w, 3); mesh (468, 2) in pixels."""

    pixels: PixelArray
    mesh: Points


@dataclass(frozen=True)
class Redrawing:
    """How texture is lost and made anew."""

    kind: str
    scale: float
    sharpening: float
    radius: int
    smoothing: float
    step: float
    phase: tuple[int, int]


def swapped(target: Portrait, donor: Portrait, rng: Rng) -> PixelArray:
    """The donor's face in the target's place."""
    height, width = target.pixels.shape[:2]
    redrawing, grow, blur = draw_redrawing(rng), int(rng.integers(-6, 2)), float(rng.uniform(2, 6))
    scale, here, there = _similarity(target.mesh, donor.mesh)
    straight = (_complex(target.mesh) - here) * scale + there
    rest = donor.mesh - np.stack([straight.real, straight.imag], axis=1)
    columns, rows = _grid(height, width)
    moved = (columns.numpy() + 1j * rows.numpy() - here) * scale + there
    shift = torch.from_numpy(np.stack([moved.real, moved.imag]).astype(np.float32)) - torch.stack([columns, rows])
    face = _redrawn(_warped(_tensor(donor.pixels), shift + _field(target.mesh, rest, height, width)), redrawing)
    picture = _tensor(target.pixels)
    mask = _outline_mask(target.mesh, FACE_OVAL, height, width, blur=blur, grow=grow)
    inside = mask > 0.5
    if int(inside.sum()) < 50:
        return target.pixels
    gain = (picture[:, inside].std(dim=1) / face[:, inside].std(dim=1).clamp(min=1)).clamp(0.6, 1.6)
    face = (face - face[:, inside].mean(dim=1)[:, None, None]) * gain[:, None, None]
    face = face + picture[:, inside].mean(dim=1)[:, None, None]
    face = face + 0.6 * (_light(picture) - _light(face))  # the target's shading, as gradient blending would keep it
    return _pixels(picture * (1 - mask) + face * mask)


def redrawn(target: Portrait, rng: Rng) -> PixelArray:
    """A part of the face drawn anew, a little moved and coloured."""
    height, width = target.pixels.shape[:2]
    part = ("face", "face", "mouth", "lower")[int(rng.integers(4))]
    redrawing = draw_redrawing(rng, small=True)
    gain, offset = 1 + rng.uniform(-0.06, 0.06, 3), rng.uniform(-8, 8, 3)
    grow, blur = int(rng.integers(-4, 5)), float(rng.uniform(2, 7))
    shift, zoom = rng.normal(0, 0.6, 2), float(rng.uniform(-0.03, 0.03))
    picture, middle = _tensor(target.pixels), target.mesh.mean(axis=0)
    columns, rows = _grid(height, width)
    places = torch.stack([(columns - middle[0]) * zoom + shift[0], (rows - middle[1]) * zoom + shift[1]]).float()
    face = _warped(_redrawn(picture, redrawing), places)
    face = face * torch.tensor(gain, dtype=torch.float32)[:, None, None]
    face = face + torch.tensor(offset, dtype=torch.float32)[:, None, None]
    outline = MOUTH_OUTLINE if part == "mouth" else FACE_OVAL
    nose = int(target.mesh[4, 1]) if part == "lower" else 0
    mask = _outline_mask(target.mesh, outline, height, width, blur=blur, grow=grow, first_row=nose)
    return _pixels(picture * (1 - mask) + face * mask)


def blended(target: Portrait, rng: Rng) -> PixelArray:
    """The package's self-blend, on the face or its lower half."""
    return self_blend(
        target.pixels,
        rng,
        landmarks=target.mesh[list(FACE_OVAL)],
        regions=("face", "face", "lower"),
        ratios=(0.75, 1.0, 1.0),
        strength=(0.5, 1.2),
    ).pixels


def worn(pixels: PixelArray, rng: Rng) -> PixelArray:
    """Through what befalls a picture on its way: resized, sharpened, recoloured, noise, H.264. The same for real and fake.

    JPEG in place of H.264 teaches less of what films show: AUC of the net's vote on closed swaps 0.54 to 0.61, with H.264 0.65 (docs/log.md).
    """
    x = _tensor(pixels)[None]
    size = pixels.shape[:2]
    if rng.random() < 0.6:
        mode = "area" if rng.random() < 0.5 else "bilinear"
        x = functional.interpolate(x, scale_factor=float(rng.uniform(0.3, 1.0)), mode=mode)
        x = functional.interpolate(x, size=size, mode="bicubic", align_corners=False)
    if rng.random() < 0.3:
        x = x + float(rng.uniform(0.2, 1.2)) * (x - _box(x, 1))
    x = (x - 128) * float(rng.uniform(0.75, 1.25)) + 128 + float(rng.uniform(-20, 20))
    if rng.random() < 0.4:
        grey = x.mean(dim=1, keepdim=True)
        x = grey + float(rng.uniform(0.3, 1.4)) * (x - grey)
    if rng.random() < 0.3:
        x = x + torch.from_numpy(rng.standard_normal(x.shape).astype(np.float32)) * float(rng.uniform(1, 5))
    even = _pixels(x[0])[: size[0] // 2 * 2, : size[1] // 2 * 2]  # as the codec's halved colours want it
    return transcode_frames(even[None], name="h264", constant_quality=int(rng.integers(20, 41)))[0]


def draw_redrawing(rng: Rng, *, small: bool = False) -> Redrawing:
    """How a face is drawn anew; small: never untouched, and through fewer pixels."""
    kinds = ("small", "sharpened", "smooth", "smooth", "quantised", *(() if small else ("none",)))
    return Redrawing(
        kind=kinds[int(rng.integers(len(kinds)))],
        scale=float(rng.uniform(0.25, 0.65) if small else rng.uniform(0.45, 0.85)),
        sharpening=float(rng.uniform(0.3, 1.2)),
        radius=int(rng.integers(1, 4)),
        smoothing=float(rng.uniform(8, 80)),
        step=float(rng.uniform(4, 14)),
        phase=(int(rng.integers(8)), int(rng.integers(8))),
    )


def _redrawn(x: Tensor, how: Redrawing) -> Tensor:
    size = x.shape[-2:]
    if how.kind in ("small", "sharpened"):
        small = functional.interpolate(x[None], scale_factor=how.scale, mode="area")
        large = functional.interpolate(small, size=size, mode="bicubic", align_corners=False)[0]
        return large if how.kind == "small" else large + how.sharpening * (large - _box(large, 1))
    if how.kind == "smooth":  # guided filter (He et al. 2010), the picture its own guide
        mean = _box(x, how.radius)
        spread = _box(x * x, how.radius) - mean * mean
        slope = spread / (spread + how.smoothing)
        smooth = _box(slope, how.radius) * x + _box(mean - slope * mean, how.radius)
        return smooth + how.sharpening * (smooth - _box(smooth, 1))
    if how.kind == "quantised":
        return _quantised(x, how)
    return x


def _quantised(x: Tensor, how: Redrawing) -> Tensor:
    """Small coefficients of 8 × 8 blocks removed, the blocks at any phase."""
    channels, height, width = x.shape
    values = np.roll(x.numpy(), how.phase, (1, 2))[:, : height // 8 * 8, : width // 8 * 8]
    blocks = values.reshape(channels, height // 8, 8, width // 8, 8).transpose(0, 1, 3, 2, 4)
    coefficients = dctn(blocks, axes=(3, 4), norm="ortho")
    order = np.arange(8)
    least = how.step * (1 + 0.6 * np.hypot(order[:, None], order[None])) / 2
    kept = np.sign(coefficients) * np.maximum(np.abs(coefficients) - least, 0)
    back = idctn(kept, axes=(3, 4), norm="ortho").transpose(0, 1, 3, 2, 4).reshape(values.shape)
    whole = np.roll(x.numpy(), how.phase, (1, 2)).copy()
    whole[:, : back.shape[1], : back.shape[2]] = back
    return torch.from_numpy(np.roll(whole, (-how.phase[0], -how.phase[1]), (1, 2)).astype(np.float32))


def _field(points: Points, shifts: Points, height: int, width: int) -> Tensor:
    """Shifts at points as a smooth field (2, h, w) that fades to 0 far from them."""
    cells = FIELD_CELLS
    columns = np.clip(points[:, 0] / width * cells, 0, cells - 1).astype(int)
    rows = np.clip(points[:, 1] / height * cells, 0, cells - 1).astype(int)
    weight, sums = np.zeros((cells, cells)), np.zeros((2, cells, cells))
    np.add.at(weight, (rows, columns), 1)
    for axis in (0, 1):
        np.add.at(sums[axis], (rows, columns), shifts[:, axis])
    top, bottom = np.zeros_like(sums), np.full_like(weight, 1e-5)
    for sigma, share in ((1.0, 1.0), (2.5, 0.05), (7.0, 0.01)):
        top += share * np.stack([ndimage.gaussian_filter(part, sigma) for part in sums])
        bottom += share * ndimage.gaussian_filter(weight, sigma)
    field = torch.from_numpy((top / bottom).astype(np.float32))[None]
    return functional.interpolate(field, size=(height, width), mode="bicubic", align_corners=False)[0]


def _warped(x: Tensor, shift: Tensor) -> Tensor:
    """A picture (3, h, w) read at each pixel plus shift (2, h, w)."""
    height, width = x.shape[-2:]
    columns, rows = _grid(height, width)
    places = [(columns + shift[0] + 0.5) / width * 2 - 1, (rows + shift[1] + 0.5) / height * 2 - 1]
    grid = torch.stack(places, dim=-1)[None]
    return functional.grid_sample(x[None], grid, mode="bicubic", padding_mode="border", align_corners=False)[0]


def _outline_mask(
    mesh: Points, outline: tuple[int, ...], height: int, width: int, *, blur: float, grow: int, first_row: int = 0
) -> Tensor:
    image = Image.new("L", (width, height))
    ImageDraw.Draw(image).polygon([(float(x), float(y)) for x, y in mesh[list(outline)]], fill=255)
    mask = np.array(image, np.float32) / 255
    if grow:
        mask = (ndimage.grey_dilation if grow > 0 else ndimage.grey_erosion)(mask, size=2 * abs(grow) + 1)
    mask[: max(0, first_row)] = 0
    return torch.from_numpy(ndimage.gaussian_filter(mask, blur).astype(np.float32))


def _similarity(one: Points, other: Points) -> tuple[complex, complex, complex]:
    """Turn and size (complex), and the middles, that bring points (n, 2) nearest to others."""
    a, b = _complex(one), _complex(other)
    da, db = a - a.mean(), b - b.mean()
    return complex((da.conj() * db).sum() / (np.abs(da) ** 2).sum()), complex(a.mean()), complex(b.mean())


def _complex(points: Points) -> npt.NDArray[np.complex128]:
    return points[:, 0] + 1j * points[:, 1]


def _grid(height: int, width: int) -> tuple[Tensor, Tensor]:
    rows, columns = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    return columns, rows


def _light(x: Tensor) -> Tensor:
    small = functional.avg_pool2d(x[None], 16)
    return functional.interpolate(small, size=x.shape[-2:], mode="bicubic", align_corners=False)[0]


def _box(x: Tensor, radius: int) -> Tensor:
    batch = x if x.ndim == 4 else x[None]
    mean = functional.avg_pool2d(batch, 2 * radius + 1, 1, radius, count_include_pad=False)
    return mean if x.ndim == 4 else mean[0]


def _tensor(pixels: PixelArray) -> Tensor:
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)


def _pixels(x: Tensor) -> PixelArray:
    pixels: PixelArray = np.ascontiguousarray(x.clamp(0, 255).round().permute(1, 2, 0).to(torch.uint8).numpy())
    return pixels
