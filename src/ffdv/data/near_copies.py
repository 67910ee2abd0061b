"""Clips that are near-copies of each other, by their fingerprints: one recording twice, also re-encoded or a little cut."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ffdv.features.fingerprints import NUM_BITS
from ffdv.metrics.ranking import Indices, Truths

# Of 240 bits. Measured on the project's clips (docs/decisions/0006): other recordings of one speaker differ in 83 and more,
# other scenes in 34 and more; one utterance through another vocoder, or one video with another voice, in less.
SOUND_BITS, PICTURE_BITS = 60, 30
# All pairs are compared up to so many clips (2 GFlop a thousand squared); beyond, only those that share a stretch of bits.
COMPARE_ALL = 12_000
STRETCH = 16  # bits: near-copies of 30 differing bits share one of 15 stretches in 88 % of cases
BLOCK_ROWS = 2048


def near_copies(bits: Truths, known: Truths, *, most_bits: int) -> Indices:
    """Pairs (k, 2) of clips, first < second, whose fingerprints (n, 240) differ in at most `most_bits` bits."""
    rows = np.flatnonzero(known)
    if len(rows) < 2:
        return np.empty((0, 2), np.int64)
    chosen = bits[rows]
    found = list(_all_pairs(chosen, most_bits) if len(rows) <= COMPARE_ALL else _stretch_pairs(chosen, most_bits))
    pairs = np.unique(np.concatenate(found), axis=0)
    joined: Indices = rows[pairs]
    return joined


def _all_pairs(bits: Truths, most_bits: int) -> Iterator[Indices]:
    """Differing bits of every pair from one product of ±1: (240 - product) / 2."""
    signs = np.where(bits, np.float32(1), np.float32(-1))
    least = NUM_BITS - 2 * most_bits
    for start in range(0, len(signs), BLOCK_ROWS):
        product = signs[start : start + BLOCK_ROWS] @ signs[start:].T
        first, second = np.nonzero(product >= least)
        later = second > first
        yield np.stack([first[later], second[later]], axis=1) + start


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
