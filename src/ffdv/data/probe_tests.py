"""Which facts tell two classes apart better than chance, when many are looked at: honest one by one and as a whole.

A fact's AUC is read in its better direction, so it is above 0.5 by chance alone, and the best of eighty more so. Labels
are therefore shuffled a thousand times, as the clips allow it (people stay whole); a fact counts as found when it stands
out more than the most outstanding of all facts does in 95 % of the shufflings (Westfall and Young 1993, max-T). A folder
without shortcuts then says "nothing found" in 95 % of cases, however many facts there are and however they hang together.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffdv.metrics.ranking import Indices, Numbers, Truths

# Shuffled labels (and their products with the ranks) are made so many cells at a time: 64 MB.
BLOCK_CELLS = 8_000_000
SHUFFLES, FEWEST_SHUFFLES = 1999, 499
# So many clips times shufflings are looked at; more clips get fewer shufflings.
SHUFFLE_BUDGET = 60_000_000


@dataclass(frozen=True)
class SeparationTest:
    """How well each of p columns separates the classes.

    auc (p,): share of pairs in which the fake has the higher value, of the clips that have one; p_value (p,): chance that
    the most outstanding of all columns stands out so much in shuffled labels; chance_deviation (p,): of auc in shuffled
    labels; critical: how many of these deviations a column must be away from 0.5 to be found.
    """

    auc: Numbers
    p_value: Numbers
    chance_deviation: Numbers
    critical: float
    error: float

    @property
    def found(self) -> Truths:
        """Which columns separate the classes better than chance."""
        found: Truths = self.p_value <= self.error
        return found

    @property
    def detectable_auc(self) -> float:
        """The AUC that a column known for all clips would be found at, in one case of two."""
        least = self.chance_deviation[self.chance_deviation > 0]
        return min(1.0, 0.5 + self.critical * float(np.median(least))) if len(least) else 1.0


def separation_test(
    columns: Numbers, fake: Truths, group: Indices, *, error: float = 0.05, seed: int = 0
) -> SeparationTest:
    """Test columns (n, p), NaN where unknown, against labels fake (n,), keeping groups (n,) whole.

    Labels are shuffled among groups of one class each, and within groups that hold both.
    """
    ranks, known = centred_ranks(columns)
    observed = _deviations(fake[None], ranks, known)[0]
    shuffles = int(np.clip(SHUFFLE_BUDGET // max(1, len(fake)), FEWEST_SHUFFLES, SHUFFLES))
    drawn = np.concatenate(
        [_deviations(labels, ranks, known) for labels in shuffled_labels(fake, group, shuffles, seed)]
    )
    deviation = np.sqrt(np.mean(drawn**2, axis=0))
    alive = deviation > 0
    scale = np.where(alive, deviation, np.inf)
    most = np.sort(np.abs(drawn / scale).max(axis=1))
    beyond = len(most) - np.searchsorted(most, np.abs(observed) / scale - 1e-9)
    return SeparationTest(
        auc=0.5 + observed,
        p_value=np.where(alive, (beyond + 1) / (len(most) + 1), 1.0),
        chance_deviation=deviation,
        critical=float(np.quantile(most, 1.0 - error)),
        error=error,
    )


def least_p_value(fake: Truths, group: Indices) -> float:
    """The smallest p that shuffling whole groups can give: one over the number of arrangements, two where their mirror is one too.

    >>> round(least_p_value(np.arange(12) % 2 == 1, np.arange(12) % 6), 2)  # three people of each class
    0.1
    """
    size = np.bincount(group)
    fakes = np.bincount(group, weights=fake).astype(np.int64)[size > 0]
    size = size[size > 0]
    mixed = (fakes > 0) & (fakes < size)
    pure, of_fakes = int((~mixed).sum()), int((fakes[~mixed] > 0).sum())
    arrangements = math.comb(pure, of_fakes)
    for whole, part in zip(size[mixed].tolist(), fakes[mixed].tolist(), strict=True):
        if arrangements > SHUFFLES:
            break
        arrangements *= math.comb(whole, part)
    mirrored = 2 * of_fakes == pure and bool((2 * fakes[mixed] == size[mixed]).all())
    return min(1.0, (1 + mirrored) / arrangements)


def centred_ranks(columns: Numbers) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Midranks (n, p) less their mean, over their number; 0 where unknown. And 1.0 where known, else 0.0."""
    ranks = np.zeros(columns.shape, np.float32)
    known = np.isfinite(columns)
    for at in range(columns.shape[1]):
        mine = known[:, at]
        values = columns[mine, at]
        rising = np.sort(values)
        middle = (np.searchsorted(rising, values, "left") + np.searchsorted(rising, values, "right")) / 2
        ranks[mine, at] = (middle - len(values) / 2) / max(1, len(values))
    return ranks, known.astype(np.float32)


def shuffled_labels(fake: Truths, group: Indices, count: int, seed: int) -> Iterator[Truths]:
    """Labels (block, n), `count` in all: shuffled among whole groups of one class, and within groups of both."""
    rng = np.random.default_rng(seed)
    size = np.bincount(group)
    fakes = np.bincount(group, weights=fake)
    mixed = ((fakes > 0) & (fakes < size))[group]
    pure_groups = np.flatnonzero((size > 0) & ((fakes == 0) | (fakes == size)))
    pure_labels = fakes[pure_groups] > 0
    place = np.zeros(len(size), np.int64)
    place[pure_groups] = np.arange(len(pure_groups))
    inside = np.flatnonzero(mixed)
    inside = inside[np.argsort(group[inside], kind="stable")]
    block = max(1, BLOCK_CELLS // max(1, len(fake)))
    for start in range(0, count, block):
        rows = min(block, count - start)
        labels = np.empty((rows, len(fake)), dtype=bool)
        shuffled = rng.permuted(np.broadcast_to(pure_labels, (rows, len(pure_labels))), axis=1)
        labels[:, ~mixed] = shuffled[:, place[group[~mixed]]]
        if len(inside):
            # A random number below 1 beside the group's own: sorting moves clips within their group only.
            order = np.argsort(rng.random((rows, len(inside))) + group[inside], axis=1)
            labels[:, inside] = fake[inside][order]
        yield labels


def _deviations(labels: Truths, ranks: npt.NDArray[np.float32], known: npt.NDArray[np.float32]) -> Numbers:
    """AUC less 0.5 of every column (resamples, p) for labels (resamples, n); 0 where a class has no known value."""
    fake = labels.astype(np.float32)
    total = known.sum(axis=0, dtype=np.float64)
    fakes = (fake @ known).astype(np.float64)
    reals = total - fakes
    sums = (fake @ ranks).astype(np.float64) * total
    both = (fakes > 0) & (reals > 0)
    away: Numbers = np.divide(sums, fakes * reals, out=np.zeros_like(sums), where=both)
    return away
