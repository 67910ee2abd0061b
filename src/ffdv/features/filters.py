"""Smoothing, assignment and runs in numpy alone: the base install holds no scipy (143 MB), and these few were what it needed.

Each gives scipy's numbers (tests compare them): edges are mirrored or held, kernels end at four deviations.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from ffdv.records import FloatArray

Edge = Literal["reflect", "nearest"]  # d c b a | a b c d | d c b a   or   a a a | a b c d | d d d
_PADDING: dict[Edge, Literal["symmetric", "edge"]] = {"reflect": "symmetric", "nearest": "edge"}


def runs(flags: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Runs of True in order, each as [start, stop).

    >>> runs(np.array([True, True, False, True]))
    [(0, 2), (3, 4)]
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def longest_run(flags: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """The longest run of True as [start, stop), the first of equals; (0, 0) where there is none."""
    return max(runs(flags), key=lambda run: run[1] - run[0], default=(0, 0))


def gaussian_filter1d(
    values: npt.ArrayLike, deviation: float, *, axis: int = -1, mode: Edge = "reflect"
) -> npt.NDArray[np.float64]:
    """Values smoothed along an axis by a Gaussian of `deviation` samples."""
    kernel = _gaussian(deviation)
    moved = np.moveaxis(np.asarray(values, np.float64), axis, 0)
    reach = len(kernel) // 2
    padded = np.pad(moved, [(reach, reach)] + [(0, 0)] * (moved.ndim - 1), mode=_PADDING[mode])
    total = np.zeros(moved.shape)
    for k, weight in enumerate(kernel):
        total += weight * padded[k : k + len(moved)]
    smooth: npt.NDArray[np.float64] = np.moveaxis(total, 0, axis)
    return smooth


def uniform_filter(picture: FloatArray, size: int) -> FloatArray:
    """The mean over size × size pixels (odd) about each pixel of a picture (height, width), edges mirrored."""
    return np.asarray(uniform_filter1d(uniform_filter1d(picture, size, axis=0), size, axis=1), np.float32)


def uniform_filter1d(values: npt.ArrayLike, size: int, *, axis: int) -> npt.NDArray[np.float64]:
    """The mean over `size` values (odd) about each one of (n, m) along an axis, edges mirrored."""
    mean = np.asarray(values, np.float64)
    reach = size // 2
    padding = [(reach, reach) if axis == other else (0, 0) for other in (0, 1)]
    padded = np.pad(mean, padding, mode="symmetric")
    sums = np.insert(np.cumsum(padded, axis=axis), 0, 0.0, axis=axis)
    count = mean.shape[axis]
    upper, lower = np.arange(size, size + count), np.arange(count)
    return np.asarray((np.take(sums, upper, axis=axis) - np.take(sums, lower, axis=axis)) / size)


def assignment(cost: npt.ArrayLike) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Rows and columns of a matrix (n, m), each used once, whose costs have the least sum; min(n, m) pairs, rows in order.

    Shortest augmenting paths (Jonker and Volgenant 1987), one row after another; meant for tens of rows.
    """
    table = np.asarray(cost, np.float64)
    if table.shape[0] > table.shape[1]:
        columns, rows = assignment(table.T)
        order = np.argsort(rows)
        return rows[order], columns[order]
    count, width = table.shape
    row_of = np.full(width, -1, np.intp)
    price_row, price_column = np.zeros(count), np.zeros(width)
    for first in range(count):
        _augment(table, first, row_of, (price_row, price_column))
    columns = np.flatnonzero(row_of >= 0)
    order = np.argsort(row_of[columns])
    return row_of[columns][order], columns[order]


def _augment(
    table: npt.NDArray[np.float64],
    first: int,
    row_of: npt.NDArray[np.intp],
    prices: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]],
) -> None:
    """Give one more row a column along the cheapest chain of exchanges; row_of and prices are brought up to date."""
    price_row, price_column = prices
    width = len(row_of)
    least = np.full(width, math.inf)
    came_from = np.full(width, -1, np.intp)
    done = np.zeros(width, bool)
    row, column = first, -1
    reached = 0.0
    rows_seen = [(first, 0.0)]
    while True:
        through = reached + table[row] - price_row[row] - price_column
        better = ~done & (through < least)
        least[better], came_from[better] = through[better], row
        column = int(np.where(done, math.inf, least).argmin())
        reached, done[column] = float(least[column]), True
        if row_of[column] < 0:
            break
        row = int(row_of[column])
        rows_seen.append((row, reached))
    for seen, cost in rows_seen:
        price_row[seen] += reached - cost
    price_column[done] -= reached - least[done]
    while column >= 0:
        row = int(came_from[column])
        before = np.flatnonzero(row_of == row)
        row_of[column] = row
        column = int(before[0]) if row != first else -1


@cache
def _gaussian(deviation: float) -> npt.NDArray[np.float64]:
    reach = int(4.0 * deviation + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    kernel /= kernel.sum()
    return kernel
