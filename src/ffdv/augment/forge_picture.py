"""Forged faces made from real frames: blends, cuts in time and mouths that speak at another moment.

All are (frames uint8 (frames, h, w, 3) or one picture (h, w, 3), rng, own parameters) → ForgedPicture, same rng, same
result. landmarks ((frames,) n, 2) and box ((frames,) 4) are in pixels of the frames; without them the frames are taken for
aligned face crops. fps turns frames into seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt

from ffdv.augment.codec import transcode_jpeg
from ffdv.augment.forge_sound import draw_stretch
from ffdv.augment.forgery import ForgedPicture, Segments
from ffdv.augment.outlines import Points, Region, deform, face_mask
from ffdv.augment.pixels import blurred, moved, resized
from ffdv.augment.spans import Span, draw, draw_count
from ffdv.records import FloatArray, PixelArray


def self_blend(
    frames: PixelArray,
    rng: np.random.Generator,
    *,
    landmarks: Points | None = None,
    box: Points | None = None,
    fps: float = 25.0,
    regions: tuple[Region, ...] = ("face", "face", "lower", "mouth"),
    ratios: tuple[float, ...] = (0.5, 0.75, 1.0, 1.0),
    strength: Annotated[tuple[float, float], Span(0, 3)] = (0.4, 1.0),
) -> ForgedPicture:
    """A face blended with a slightly changed copy of itself, so that only the blend is forged.

    Written anew from the idea of Shiohara and Yamasaki, "Detecting deepfakes with self-blended images", CVPR 2022: copy
    and original differ in colour, sharpness, resampling or compression, the copy is moved a little, the mask is bent
    and softened. regions, ratios: one of each is picked, a ratio of 1 shows the copy fully; strength scales the
    differences. Frames of one clip share everything that is drawn.
    """
    plan = draw_blend(rng, regions=regions, ratios=ratios, strength=draw(rng, strength))
    return _blended(frames, frames, plan, landmarks=landmarks, box=box, fps=fps, method="self_blend")


def blend_other(
    frames: PixelArray,
    rng: np.random.Generator,
    *,
    other: PixelArray,
    landmarks: Points | None = None,
    box: Points | None = None,
    fps: float = 25.0,
    regions: tuple[Region, ...] = ("face", "lower", "upper"),
    strength: Annotated[tuple[float, float], Span(0, 3)] = (0.2, 0.8),
) -> ForgedPicture:
    """Another face laid over this one, its colours matched within the mask: a face swap without a network.

    other: frames of an aligned crop of another person, repeated to the length and brought to the size of `frames`.
    """
    plan = draw_blend(rng, regions=regions, ratios=(1.0,), strength=draw(rng, strength))
    size = frames.shape[-3:-1]
    stack = other if other.ndim == 4 else other[None]
    count = len(frames) if frames.ndim == 4 else 1
    fitted = np.stack([resized(stack[k % len(stack)], size, "bilinear") for k in range(count)])
    donor = fitted if frames.ndim == 4 else fitted[0]
    return _blended(frames, donor, plan, landmarks=landmarks, box=box, fps=fps, method="blend_other", match_colour=True)


def temporal_splice(
    frames: PixelArray,
    rng: np.random.Generator,
    *,
    other: PixelArray | None = None,
    fps: float = 25.0,
    share: Annotated[tuple[float, float], Span(0, 1)] = (0.1, 0.5),
) -> ForgedPicture:
    """A stretch of frames replaced by a stretch from elsewhere: of `other` (any length, same size), or of the clip itself."""
    frames = _stack(frames)
    start, stop = draw_stretch(len(frames), rng, share=share)
    source = frames if other is None else other
    count = min(stop - start, len(source))
    first = int(rng.integers(0, len(source) - count + 1))
    if other is None and first == start:  # the same frames would be no forgery
        first = (start + max(1, count)) % (len(source) - count + 1)
    forged = frames.copy()
    forged[start : start + count] = source[first : first + count]
    changed = count > 0 and not (other is None and first == start)
    return ForgedPicture(forged, "temporal_splice", ((start / fps, (start + count) / fps),) if changed else ())


def drop_frames(
    frames: PixelArray,
    rng: np.random.Generator,
    *,
    fps: float = 25.0,
    drops: Annotated[tuple[int, int], Span(1, 20)] = (1, 3),
    run: Annotated[tuple[int, int], Span(1, 50)] = (1, 6),
    how: tuple[Literal["freeze", "skip"], ...] = ("freeze", "skip"),
) -> ForgedPicture:
    """Runs of frames lost: the frame before stays on ("freeze"), or the clip jumps and becomes shorter ("skip").

    Segments are the frozen stretches, or the frame after each jump, on the clock of the result. A clip too short to
    lose frames comes back whole, without segments.
    """
    frames = _stack(frames)
    way = how[int(rng.integers(len(how)))]
    order = np.arange(len(frames))
    segments = []
    for place in np.array_split(np.arange(1, len(frames)), draw_count(rng, drops)):
        count = min(draw_count(rng, run), len(place))
        if count == 0:
            continue
        start = int(place[0] + rng.integers(0, len(place) - count + 1))
        order[start : start + count] = start - 1
        segments.append((start, start + count))
    if way == "freeze":
        return ForgedPicture(
            frames[order], "freeze_frames", tuple((start / fps, stop / fps) for start, stop in segments)
        )
    kept = np.setdiff1d(np.arange(len(frames)), [frame for start, stop in segments for frame in range(start, stop)])
    jumps = np.flatnonzero(np.diff(kept) > 1) + 1
    return ForgedPicture(frames[kept], "skip_frames", tuple((jump / fps, (jump + 1) / fps) for jump in jumps.tolist()))


def jitter_face(
    frames: PixelArray,
    rng: np.random.Generator,
    *,
    landmarks: Points | None = None,
    box: Points | None = None,
    fps: float = 25.0,
    pixels: Annotated[tuple[float, float], Span(0, 20)] = (0.5, 2.0),
    brightness: Annotated[tuple[float, float], Span(0, 50)] = (0.0, 3.0),
) -> ForgedPicture:
    """The face trembles against its background, as when each frame is generated by itself.

    pixels: standard deviation of the shift of each frame; brightness: of its level, in grey levels.
    """
    frames = _stack(frames)
    amount, level = draw(rng, pixels), draw(rng, brightness)
    forged, masks = np.empty_like(frames), []
    for index, frame in enumerate(frames):
        hard = face_mask(frame.shape[:2], "face", landmarks=_at(landmarks, index, 2), box=_at(box, index, 1))
        mask = deform(hard, rng, strength=0.0, blur=0.02 * frame.shape[1])
        dy, dx = rng.standard_normal(2) * amount
        trembled = moved(frame, shift=(float(dy), float(dx))) + np.float32(level * rng.standard_normal())
        forged[index] = _mixed(frame, trembled, mask)
        masks.append(mask)
    return ForgedPicture(forged, "jitter_face", _all(frames, fps), mask=np.stack(masks) if masks else None)


def shift_mouth(
    frames: PixelArray,
    rng: np.random.Generator,
    *,
    landmarks: Points | None = None,
    box: Points | None = None,
    fps: float = 25.0,
    seconds: Annotated[tuple[float, float], Span(0.02, 5)] = (0.16, 0.8),
) -> ForgedPicture:
    """The mouth region of another moment in every frame: lips that do not belong to the sound, in a face that is real.

    seconds: how far it is moved, forwards or back; at least one frame. The clip's end is mirrored. With landmarks the
    mouth is carried along with the head.
    """
    frames = _stack(frames)
    offset = max(1, round(draw(rng, seconds) * fps)) * (1 if rng.random() < 0.5 else -1)
    sources = _mirrored(np.arange(len(frames)) + offset, len(frames))
    forged, masks = frames.copy(), []
    for index, source in enumerate(sources):
        here, there = _at(landmarks, index, 2), _at(landmarks, int(source), 2)
        hard = face_mask(frames.shape[1:3], "mouth", landmarks=here, box=_at(box, index, 1))
        mask = deform(hard, rng, strength=0.0, blur=0.02 * frames.shape[2])
        donor = frames[source]
        if here is not None and there is not None and np.isfinite(here).all() and np.isfinite(there).all():
            dx, dy = here[-2:].mean(axis=0) - there[-2:].mean(axis=0)
            donor = moved(donor, shift=(float(dy), float(dx)))
        forged[index] = _mixed(frames[index], donor, mask)
        masks.append(mask)
    return ForgedPicture(
        forged,
        "shift_mouth",
        _all(frames, fps) if len(frames) > 1 else (),
        mask=np.stack(masks) if masks else None,
        settings={"offset_frames": float(offset)},
    )


@dataclass(frozen=True)
class BlendPlan:
    """Everything that chance decides about a blend, so that all frames of a clip get the same."""

    region: Region
    ratio: float
    change_source: bool  # the copy is changed, or else the whole frame that it is laid on
    gains: tuple[float, float, float]
    offsets: tuple[float, float, float]  # grey levels
    saturation: float
    sharpness: Literal["soft", "sharp", "resized", "none"]
    sharpness_amount: float
    quality: int | None  # of JPEG
    noise: float  # grey levels
    shift: tuple[float, float]  # share of height and width
    zoom: float
    bend: float  # share of the width
    blur: float  # share of the width
    seed: int


def draw_blend(
    rng: np.random.Generator, *, regions: tuple[Region, ...], ratios: tuple[float, ...], strength: float
) -> BlendPlan:
    """Draw a plan; strength 1 gives differences of the size in the paper."""
    kinds: tuple[Literal["soft", "sharp", "resized", "none"], ...] = ("soft", "sharp", "resized", "none")
    red, green, blue = rng.uniform(-0.1, 0.1, 3) * strength
    shifts = rng.uniform(-20, 20, 3) * strength
    return BlendPlan(
        region=regions[int(rng.integers(len(regions)))],
        ratio=float(ratios[int(rng.integers(len(ratios)))]),
        change_source=bool(rng.random() < 0.5),
        gains=(1 + float(red), 1 + float(green), 1 + float(blue)),
        offsets=(float(shifts[0]), float(shifts[1]), float(shifts[2])),
        saturation=float(1 + rng.uniform(-0.3, 0.3) * strength),
        sharpness=kinds[int(rng.integers(len(kinds)))],
        sharpness_amount=float(rng.uniform(0.5, 1.0) * strength),
        quality=int(rng.integers(40, 95)) if rng.random() < 0.5 * min(strength, 1.0) else None,
        noise=float(rng.uniform(0, 4) * strength) if rng.random() < 0.3 else 0.0,
        shift=(float(rng.uniform(-0.015, 0.015) * strength), float(rng.uniform(-0.03, 0.03) * strength)),
        zoom=float(1 + rng.uniform(-0.05, 0.05) * strength),
        bend=float(rng.uniform(0.0, 0.06)),
        blur=float(rng.uniform(0.01, 0.05)),
        seed=int(rng.integers(2**32)),
    )


def _blended(
    frames: PixelArray,
    donors: PixelArray,
    plan: BlendPlan,
    *,
    landmarks: Points | None,
    box: Points | None,
    fps: float,
    method: str,
    match_colour: bool = False,
) -> ForgedPicture:
    stack, donor_stack = _stack(frames), _stack(donors)
    forged, masks = np.empty_like(stack), []
    for index, (target, source) in enumerate(zip(stack, donor_stack, strict=True)):
        rng = np.random.default_rng(plan.seed)
        width = target.shape[1]
        hard = face_mask(target.shape[:2], plan.region, landmarks=_at(landmarks, index, 2), box=_at(box, index, 1))
        mask = deform(hard, rng, strength=plan.bend * width, blur=plan.blur * width) * np.float32(plan.ratio)
        changed = _changed(source if plan.change_source else target, plan, rng)
        under, over = (target, changed) if plan.change_source else (changed, source)
        if match_colour:
            over = _with_colours_of(over, under, mask)
        shift = (plan.shift[0] * target.shape[0], plan.shift[1] * width)
        forged[index] = _mixed(under, moved(over, shift=shift, zoom=plan.zoom), mask)
        masks.append(mask)
    segments = _all(stack, fps) if plan.ratio > 0 else ()
    single = frames.ndim == 3
    return ForgedPicture(
        forged[0] if single else forged,
        method,
        segments,
        mask=masks[0] if single else np.stack(masks) if masks else None,
        settings={
            "region": plan.region,
            "ratio": plan.ratio,
            "changed": "copy" if plan.change_source else "frame",
            "sharpness": plan.sharpness,
        },
    )


def _changed(picture: PixelArray, plan: BlendPlan, rng: np.random.Generator) -> PixelArray:
    """Another camera's version of the picture: sharpness, colour, noise, compression."""
    # grey + saturation * (values - grey), then gain and offset of each colour: one matrix.
    to_grey = np.full((3, 3), 1 / 3)
    colours = (to_grey + plan.saturation * (np.eye(3) - to_grey)) * np.array(plan.gains)
    values = _sharpened(picture, plan) @ colours.astype(np.float32) + np.array(plan.offsets, np.float32)
    if plan.noise:
        values += np.float32(plan.noise) * rng.standard_normal(values.shape, dtype=np.float32)
    changed = _rounded(values)
    return changed if plan.quality is None else transcode_jpeg(changed, quality=plan.quality)


def _sharpened(picture: PixelArray, plan: BlendPlan) -> FloatArray:
    values = picture.astype(np.float32)
    if plan.sharpness == "none":
        return values
    if plan.sharpness == "resized":
        height, width = picture.shape[:2]
        share = 1 - 0.75 * min(plan.sharpness_amount, 1.0)
        small = resized(picture, (max(1, round(height * share)), max(1, round(width * share))), "bilinear")
        return resized(small, (height, width), "bilinear").astype(np.float32)
    sign = 1.0 if plan.sharpness == "sharp" else -1.0
    return values + np.float32(sign * plan.sharpness_amount) * (values - blurred(picture, 1.0))


def _with_colours_of(picture: PixelArray, model: PixelArray, mask: FloatArray) -> PixelArray:
    """Mean and spread of each colour within the mask brought to the model's (Reinhard et al. 2001, in RGB)."""
    inside = mask > 0.5 * mask.max()
    if not inside.any():
        return picture
    own, wanted = picture[inside].astype(np.float32), model[inside].astype(np.float32)
    # Held within a factor of 1.5: a flat wall must not be stretched into a face.
    spread = np.clip(wanted.std(axis=0) / np.maximum(own.std(axis=0), 1.0), 1 / 1.5, 1.5)
    return _rounded((picture - own.mean(axis=0)) * spread + wanted.mean(axis=0))


def _mixed(under: PixelArray, over: PixelArray | FloatArray, mask: FloatArray) -> PixelArray:
    base = under.astype(np.float32)
    return _rounded(base + mask[..., None] * (over - base))


def _rounded(values: FloatArray) -> PixelArray:
    pixels: PixelArray = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return pixels


def _stack(frames: PixelArray) -> PixelArray:
    return frames if frames.ndim == 4 else frames[None]


def _all(frames: PixelArray, fps: float) -> Segments:
    return ((0.0, len(frames) / fps),) if len(frames) else ()


def _at(values: Points | None, index: int, dimensions: int) -> Points | None:
    """The frame's own points, or those that hold for all frames."""
    if values is None:
        return None
    return values if values.ndim == dimensions else values[index]


def _mirrored(indices: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """Indices folded back at both ends: -1 → 1, count → count - 2."""
    if count == 1:
        return np.zeros_like(indices)
    folded = np.abs(indices) % (2 * (count - 1))
    mirrored: npt.NDArray[np.int64] = np.minimum(folded, 2 * (count - 1) - folded)
    return mirrored
