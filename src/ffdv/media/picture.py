"""Decoded pictures to upright RGB with square pixels, at the asked moments."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from ffdv.records import PixelArray


def upright_rgb(frame: VideoFrame, reformatter: VideoReformatter, sample_aspect: float) -> PixelArray:
    """Pixels uint8 (height, width, 3) RGB as a viewer sees them: aspect applied, then rotated by multiples of 90."""
    width, height = frame.width, frame.height
    if sample_aspect > 1.0:
        width = round(width * sample_aspect)
    elif sample_aspect < 1.0:
        height = round(height / sample_aspect)
    rgb = reformatter.reformat(frame, width, height, "rgb24", interpolation="BICUBIC").to_ndarray()
    return np.ascontiguousarray(rotated(rgb, frame.rotation))


def rotated(pixels: PixelArray, counterclockwise: int) -> PixelArray:
    """Turned by a display rotation in degrees; anything but a multiple of 90 is garbage and ignored."""
    if counterclockwise % 90 or abs(counterclockwise) > 360:
        return pixels
    return np.rot90(pixels, counterclockwise // 90 % 4)


def frame_seconds(frame: VideoFrame, tick: Fraction, zero_seconds: float) -> float | None:
    """When the frame is shown, on the file's clock."""
    return None if frame.pts is None else float(frame.pts * tick) - zero_seconds
