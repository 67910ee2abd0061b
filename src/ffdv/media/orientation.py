"""The display matrix of a picture track: quarter turns and mirroring, anything else is garbage and ignored."""

from __future__ import annotations

import numpy as np

from ffdv.records import PixelArray

ONE = 1 << 16  # the matrix counts in 16.16 fixed point

Signs = tuple[int, int, int, int]

# signs of the matrix (a b / c d) → quarter turns counterclockwise, then whether to mirror left and right
ORIENTATIONS: dict[Signs, tuple[int, bool]] = {
    (1, 0, 0, 1): (0, False),
    (0, -1, 1, 0): (1, False),
    (-1, 0, 0, -1): (2, False),
    (0, 1, -1, 0): (3, False),
    (-1, 0, 0, 1): (0, True),
    (0, -1, -1, 0): (1, True),
    (1, 0, 0, -1): (2, True),
    (0, 1, 1, 0): (3, True),
}


def orientation(a: int, b: int, c: int, d: int) -> tuple[int, bool]:
    """Quarter turns counterclockwise and mirroring, from the four coefficients in 16.16 fixed point.

    >>> orientation(0, 65536, -65536, 0), orientation(-2147483648, 7, 99, 12345)
    ((3, False), (0, False))
    """
    signs = (_sign(a), _sign(b), _sign(c), _sign(d))
    return ORIENTATIONS.get(signs, (0, False))


def turned(pixels: PixelArray, quarter_turns: int, *, mirrored: bool) -> PixelArray:
    """Pixels (height, width, 3) as the orientation says."""
    upright = np.rot90(pixels, quarter_turns)
    return upright[:, ::-1] if mirrored else upright


def _sign(coefficient: int) -> int:
    """-1, 0 or 1 for a coefficient near one of these; 2, which no orientation has, for anything else."""
    if abs(coefficient) < ONE // 100:
        return 0
    if not ONE // 2 <= abs(coefficient) <= 2 * ONE:
        return 2
    return 1 if coefficient > 0 else -1
