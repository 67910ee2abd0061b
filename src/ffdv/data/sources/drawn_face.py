"""A drawn face that face detectors take for one: for the demo, tests and benchmarks, where no real picture may be used."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ffdv.records import PixelArray

FINER = 4  # drawn this many times as large, then averaged: smooth edges
SKIN = (205, 160, 130)
HAIR, BROWS, LIPS, THROAT = (50, 35, 25), (60, 40, 30), (170, 70, 70), (60, 15, 15)
Colour = tuple[int, int, int]


def draw_face(
    size: int, *, mouth: float = 0.0, eyes: float = 1.0, skin: Colour = SKIN, background: Colour = (70, 90, 110)
) -> PixelArray:
    """A frontal head with neck on a plain ground, uint8 (size, size, 3); its face is about half as wide as the picture.

    mouth: 0 closed … 1 wide open; eyes: 0 closed … 1 open. At 48 pixels and more YuNet is 0.83 to 0.93 sure of it.
    """
    side = size * FINER
    image = Image.new("RGB", (side, side), background)
    pen = ImageDraw.Draw(image)

    def shade(factor: float) -> Colour:
        return int(skin[0] * factor), int(skin[1] * factor), int(skin[2] * factor)

    def ellipse(x: float, y: float, half: tuple[float, float], colour: Colour) -> None:
        pen.ellipse(
            [(x - half[0]) * side, (y - half[1]) * side, (x + half[0]) * side, (y + half[1]) * side], fill=colour
        )

    ellipse(0.5, 0.36, (0.29, 0.32), HAIR)
    pen.rectangle([0.4 * side, 0.75 * side, 0.6 * side, side], fill=shade(0.8))  # neck
    ellipse(0.5, 0.5, (0.25, 0.34), skin)
    for x in (0.24, 0.76):
        ellipse(x, 0.52, (0.035, 0.07), shade(0.9))  # ears
    ellipse(0.5, 0.25, (0.22, 0.09), HAIR)  # fringe
    for x in (0.39, 0.61):
        ellipse(x, 0.44, (0.07, 0.05), shade(0.75))  # socket
        ellipse(x, 0.45, (0.05, 0.024 * max(eyes, 0.05)), (240, 240, 240))
        ellipse(x, 0.45, (0.021, 0.022 * max(eyes, 0.05)), (40, 30, 20))
        brow = [((x - 0.065) * side, 0.385 * side), ((x + 0.065) * side, 0.385 * side)]
        pen.line(brow, fill=BROWS, width=max(1, int(0.018 * side)))
    ellipse(0.5, 0.58, (0.045, 0.03), shade(0.8))  # nose
    for x in (0.48, 0.52):
        ellipse(x, 0.59, (0.012, 0.008), shade(0.4))
    bridge = [(0.49, 0.45), (0.51, 0.45), (0.53, 0.58), (0.47, 0.58)]
    pen.polygon([(x * side, y * side) for x, y in bridge], fill=shade(0.95))
    ellipse(0.5, 0.7, (0.09, 0.02 + 0.06 * mouth), LIPS)
    ellipse(0.5, 0.7, (0.07, 0.006 + 0.05 * mouth), THROAT)
    soft = image.filter(ImageFilter.GaussianBlur(FINER * size / 120)).resize((size, size), Image.Resampling.BOX)
    light = 1.12 - 0.35 * np.clip(np.arange(size) / size - 0.35, 0, 1)  # from the left
    return np.clip(np.asarray(soft) * light[None, :, None], 0, 255).astype(np.uint8)
