"""One picture by Pillow, without luck: another size, another place, softer. uint8 (h, w, 3) or (h, w) in and out."""

from __future__ import annotations

import numpy as np

from ffdv.records import PixelArray


def resized(picture: PixelArray, size: tuple[int, int], how: str) -> PixelArray:
    """A picture at (h, w) by Pillow, which filters before it makes smaller."""
    from PIL import Image

    image = Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling[how.upper()])
    changed: PixelArray = np.array(image, dtype=np.uint8)
    return changed


def moved(picture: PixelArray, *, shift: tuple[float, float] = (0.0, 0.0), zoom: float = 1.0) -> PixelArray:
    """A picture (h, w, 3) zoomed about its centre, then shifted by (down, right) pixels; bilinear, the border carried on."""
    from PIL import Image

    height, width = picture.shape[:2]
    margin = 2 + int(np.ceil(max(abs(shift[0]), abs(shift[1])) + abs(zoom - 1) * max(height, width)))
    padded = np.pad(picture, ((margin, margin), (margin, margin), (0, 0)), mode="edge")
    y, x = padded.shape[0] / 2, padded.shape[1] / 2
    # Where each output pixel comes from: (X, Y) → ((X - x - right) / zoom + x, (Y - y - down) / zoom + y).
    matrix = (1 / zoom, 0.0, x - (x + shift[1]) / zoom, 0.0, 1 / zoom, y - (y + shift[0]) / zoom)
    size = (padded.shape[1], padded.shape[0])
    image = Image.fromarray(padded).transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    changed: PixelArray = np.array(image, dtype=np.uint8)[margin : margin + height, margin : margin + width]
    return changed


def blurred(picture: PixelArray, sigma: float) -> PixelArray:
    """A picture softened by (very nearly) a Gaussian of `sigma` pixels."""
    from PIL import Image, ImageFilter

    changed: PixelArray = np.array(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma)), dtype=np.uint8)
    return changed
