"""Decoded pictures to upright RGB with square pixels, and to the moments at which they are asked for."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from av.sidedata.sidedata import Type as SideDataType
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter

from ffdv.media.orientation import orientation, turned
from ffdv.records import PixelArray

# Shapes beyond this are errors of the header, not of the lens (anamorphic film is 2, DV up to 1.46).
MAX_SAMPLE_ASPECT = 8.0

Shown = tuple[float, VideoFrame]


@dataclass
class Upright:
    """Turns decoded frames into pixels as a viewer sees them; holds the converter, whose set-up is dear."""

    sample_aspect: float
    max_side: int
    threads: int = 0
    _reformatter: VideoReformatter = field(default_factory=VideoReformatter)
    _orientations: dict[int, tuple[int, bool]] = field(default_factory=dict)
    _latest: tuple[VideoFrame, PixelArray] | None = None

    def pixels(self, frame: VideoFrame) -> PixelArray:
        """uint8 (height, width, 3) RGB: pixels made square, then turned as the display matrix says.

        A frame that is asked for again at once (it is seen at several moments) gives the very same array, not to be written to: two
        frames of 4096x4096, 40 s apart, would else be converted a thousand times.
        """
        if self._latest is None or self._latest[0] is not frame:
            self._latest = frame, self._converted(frame)
        return self._latest[1]

    def _converted(self, frame: VideoFrame) -> PixelArray:
        width, height = square_size(frame.width, frame.height, self.sample_aspect, self.max_side)
        converted = self._reformatter.reformat(
            frame, width, height, "rgb24", interpolation="BICUBIC", threads=self.threads
        )
        rgb = np.asarray(converted.to_ndarray(), np.uint8)
        quarter_turns, mirrored = self._orientation(frame)
        return np.ascontiguousarray(turned(rgb, quarter_turns, mirrored=mirrored))

    def _orientation(self, frame: VideoFrame) -> tuple[int, bool]:
        """The frame's orientation, looked up once per angle.

        The matrix tells more than the angle (mirroring), but asking a frame for its side data makes a reference cycle
        that keeps the whole picture until the next garbage collection: 600 MB more for 1080p.
        """
        angle = frame.rotation
        if angle not in self._orientations:
            self._orientations[angle] = _matrix_orientation(frame)
        return self._orientations[angle]


def square_size(width: int, height: int, sample_aspect: float, max_side: int) -> tuple[int, int]:
    """Width and height with square pixels: the shorter-sampled side grows, unless it would pass max_side.

    >>> square_size(720, 576, 16 / 15, 4096), square_size(640, 480, 0.5, 4096), square_size(640, 480, 0.0, 4096)
    ((768, 576), (640, 960), (640, 480))
    """
    if not 1 / MAX_SAMPLE_ASPECT <= sample_aspect <= MAX_SAMPLE_ASPECT:
        return width, height
    if sample_aspect >= 1.0:
        width = round(width * sample_aspect)
    else:
        height = round(height / sample_aspect)
    shrink = min(1.0, max_side / max(width, height))
    return max(1, round(width * shrink)), max(1, round(height * shrink))


def _matrix_orientation(frame: VideoFrame) -> tuple[int, bool]:
    data = frame.side_data.get(SideDataType.DISPLAYMATRIX)  # type: ignore[call-overload]
    if data is None:
        return 0, False
    a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
    return orientation(a, b, c, d)


def every_frame(shown: Iterator[Shown], start_seconds: float, stop_seconds: float) -> Iterator[Shown]:
    """The frames that begin in [start, stop)."""
    for seconds, frame in shown:
        if seconds >= stop_seconds:
            return
        if seconds >= start_seconds:
            yield seconds, frame


def frames_at(
    shown: Iterator[Shown],
    moments: range,
    fps: float,
    *,
    end_seconds: Callable[[], float],
    tolerance_seconds: float,
    ask: Callable[[float], None],
) -> Iterator[Shown]:
    """The frame that is seen at each moment k/fps: the last one that began by then, to the end of the last frame.

        frames    |--- A ---|--- B ---|
        k/fps   0       1       2       3      →  (0, A) (1, A) (2, B);  A stands in for moments within 1/fps before it

    end_seconds: when the last frame ends, asked after the last one. tolerance_seconds: how inexact timestamps are.
    ask: is told the next moment that matters, so that the source may leap there.
    """
    k, last = moments.start, None
    for seconds, frame in shown:
        begin = seconds - tolerance_seconds
        while k < moments.stop:
            if last is None:
                if (k + 1) / fps > begin:
                    break
            elif k / fps < begin:
                yield k / fps, last
            else:
                break
            k += 1
        if k >= moments.stop:
            return
        last = frame
        ask(k / fps)
    end = end_seconds() - tolerance_seconds
    while last is not None and k < moments.stop and k / fps < end:
        yield k / fps, last
        k += 1


def moments_between(start_seconds: float, stop_seconds: float, fps: float) -> range:
    """The k with start <= k/fps < stop; the rounding of decimal seconds does not move them.

    >>> moments_between(0.1, 0.3, 10)
    range(1, 3)
    """
    return range(math.ceil(round(start_seconds * fps, 6)), math.ceil(round(stop_seconds * fps, 6)))
