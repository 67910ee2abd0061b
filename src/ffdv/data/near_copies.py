"""Clips that are near-copies of each other, by their fingerprints: one recording twice, also re-encoded or a little cut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffdv.features.fingerprints import NUM_BITS
from ffdv.metrics.ranking import Indices, Truths

# Of 240 bits. Measured on the project's clips (docs/decisions/0006): other recordings of one speaker differ in 83 and more,
# other scenes in 34 and more; one utterance through another vocoder, or one video with another voice, in less.
SOUND_BITS, PICTURE_BITS = 60, 30
# All pairs are compared up to so many clips: 50,000 take 15 s on one core, 100,000 a minute. Beyond, only those that share a stretch
# of bits, and who shows the pairs says that there may be more.
COMPARE_ALL = 100_000
STRETCH = 16  # bits: of near-copies with 30 differing bits 88 % share one of 15 stretches, of those with 60 a tenth
BLOCK_ROWS, BLOCK_COLUMNS = 2048, 8192  # 64 MB of products at a time


def near_copies(bits: Truths, known: Truths, *, most_bits: int) -> Indices:
    """Pairs (k, 2) of clips, first < second, whose fingerprints (n, 240) differ in at most `most_bits` bits."""
    rows = np.flatnonzero(known)
    if len(rows) < 2:
        return np.empty((0, 2), np.int64)
    chosen = bits[rows]
    found = list(_all_pairs(chosen, most_bits) if compares_all(known) else _stretch_pairs(chosen, most_bits))
    pairs = np.unique(np.concatenate(found), axis=0)
    joined: Indices = rows[pairs]
    return joined


def compares_all(known: Truths) -> bool:
    """Whether near_copies looks at every pair of so many fingerprints; else it may miss some."""
    return int(known.sum()) <= COMPARE_ALL


def _all_pairs(bits: Truths, most_bits: int) -> Iterator[Indices]:
    """Differing bits of every pair from one product of ±1: (240 - product) / 2."""
    signs = np.where(bits, np.float32(1), np.float32(-1))
    least = NUM_BITS - 2 * most_bits
    yield np.empty((0, 2), np.int64)
    for start in range(0, len(signs), BLOCK_ROWS):
        for from_column in range(start, len(signs), BLOCK_COLUMNS):
            product = signs[start : start + BLOCK_ROWS] @ signs[from_column : from_column + BLOCK_COLUMNS].T
            first, second = np.nonzero(product >= least)
            pairs = np.stack([first + start, second + from_column], axis=1)
            yield pairs[pairs[:, 1] > pairs[:, 0]]


def _stretch_pairs(bits: Truths, most_bits: int) -> Iterator[Indices]:
    """Pairs that agree in one of the 15 stretches of 16 bits, and in enough of all bits."""
    yield np.empty((0, 2), np.int64)
    words = np.packbits(bits, axis=1).view(np.uint16)
    for column in range(NUM_BITS // STRETCH):
        order = np.argsort(words[:, column], kind="stable")
        ordered = words[order, column]
        for apart in range(1, len(ordered)):
            same = np.flatnonzero(ordered[apart:] == ordered[:-apart])
            if not len(same):
                break
            pairs = np.sort(np.stack([order[same], order[same + apart]], axis=1), axis=1)
            differing = (bits[pairs[:, 0]] != bits[pairs[:, 1]]).sum(axis=1)
            yield pairs[differing <= most_bits]
