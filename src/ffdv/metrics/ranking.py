"""How well scores put fakes above reals: ROC and what is read off it.

Everywhere: labels (n,) of {0 real, 1 fake}; scores (n,), higher = more likely fake; a clip is called fake when its score
lies **above** a threshold. Every curve is one cumulative sum over clips sorted once, for one weighting or for a thousand
resamples at a time (weights (resamples, n)), so that the number and its bootstrap cannot disagree.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ffdv.errors import MetricError
from ffdv.sentences import Sentence

Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Truths = npt.NDArray[np.bool_]
# What clips share (identity, source): a name for each clip.
Groups = Sequence[object] | npt.NDArray[Any]


def check_labels(labels: npt.ArrayLike, num_scores: int) -> Truths:
    """Labels as booleans (True = fake), one for each score.

    Raises MetricError when they differ in number, hold anything but 0 and 1, or hold only one class.
    """
    raw = np.asarray(labels)
    if raw.ndim != 1 or len(raw) != num_scores:
        raise MetricError(f"{num_scores} scores need as many labels, got labels of shape {raw.shape}")
    if not np.isin(raw, (0, 1)).all():
        raise MetricError("labels must be 0 (real) or 1 (fake); leave out clips of unknown label")
    fake = raw.astype(bool)
    if fake.all() or not fake.any():
        only = "fake" if len(fake) and fake[0] else "real"
        raise MetricError(
            f"undefined for one class: {len(fake)} clips, all {only}; measure where both classes are present"
        )
    return fake


def check_scores(scores: npt.ArrayLike) -> Numbers:
    """Scores as finite float64 (n,); raises MetricError otherwise."""
    try:
        values = np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise MetricError(f"scores must be numbers: {error}; leave out clips that failed") from error
    if values.ndim != 1:
        raise MetricError(f"scores must be one number a clip, got shape {values.shape}")
    if not np.isfinite(values).all():
        bad = int((~np.isfinite(values)).sum())
        raise MetricError(f"{bad} of {len(values)} scores are not finite; leave out clips that failed")
    return values


def check_share(name: str, value: float) -> None:
    """Refuse a rate or a confidence that does not lie inside (0, 1); a percentage is told what it should have been.

    Raises MetricError.
    """
    if not 0.0 < value < 1.0:
        meant = f"; {value:g} percent is {value / 100:g}" if 1.0 < value < 100.0 else ""
        raise MetricError(f"{name} must lie inside (0, 1), got {value:g}{meant}")


def number_groups(num_clips: int, groups: Groups | None) -> Indices:
    """A number for each clip's group; clips of unknown group (empty, None or NaN) stand alone.

    >>> number_groups(4, ["ann", "", "ann", None]).tolist()
    [0, 1, 0, 2]
    """
    if groups is None:
        return np.arange(num_clips)
    if isinstance(groups, np.ndarray) and groups.dtype.kind in "iu" and len(groups) == num_clips:
        return np.unique(groups, return_inverse=True)[1].astype(np.int64)
    names = list(groups)
    if len(names) != num_clips:
        raise MetricError(f"{num_clips} clips need as many groups, got {len(names)}")
    numbers: dict[object, int] = {}
    for at, name in enumerate(names):
        unknown = name is None or name != name or name == ""  # noqa: PLR0124 -- NaN differs from itself
        names[at] = numbers.setdefault((at,) if unknown else str(name), len(numbers))
    return np.array(names, dtype=np.int64)


@dataclass(frozen=True)
class Ranking:
    """Clips sorted by falling score; equal scores form a block, within which there is no order.

    fake (n,) in the given order; order (n,) sorts by falling score; ends (k,) is the place of each block's last clip;
    values (k,) its score.
    """

    fake: Truths
    order: Indices
    ends: Indices
    values: Numbers

    def curves(self, weights: Numbers | None = None) -> tuple[Numbers, Numbers]:
        """Weight of reals and of fakes at or above each block: two arrays (resamples, k + 1), the first column 0.

        weights (resamples, n), None = every clip once.
        """
        whole = np.ones((1, len(self.order))) if weights is None else weights
        fakes = np.cumsum(whole[:, self.order] * self.fake[self.order], axis=1)[:, self.ends]
        every = np.cumsum(whole[:, self.order], axis=1)[:, self.ends]
        return _from_zero(every - fakes), _from_zero(fakes)


def rank(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Ranking:
    """Sort once. Raises MetricError on one class only, unequal lengths, labels other than 0/1, or non-finite scores."""
    values = check_scores(scores)
    fake = check_labels(labels, len(values))
    order = np.argsort(-values, kind="stable")
    falling = values[order]
    ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)
    return Ranking(fake, order, ends, falling[ends])


def roc_auc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Area under the ROC curve: the chance that a fake scores above a real one, ties counting half.

    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75

    Raises MetricError when only one class is present (the area is undefined, not 0.5).
    """
    return float(weighted_roc_auc(rank(labels, scores))[0])


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Mean precision over the fakes in falling order of score: a sum over steps, without interpolation.

    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333

    Raises MetricError when only one class is present.
    """
    return float(weighted_average_precision(rank(labels, scores))[0])


def eer(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Equal error rate: where false alarms equal misses, by linear interpolation on the ROC curve.

    >>> eer([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.5

    Raises MetricError when only one class is present (the rate is undefined, not 0.5).
    """
    return float(weighted_eer(rank(labels, scores))[0])


def accuracy(labels: npt.ArrayLike, scores: npt.ArrayLike, *, threshold: float = 0.5) -> float:
    """Share of clips on the right side of the threshold; a score above it calls fake.

    >>> accuracy([0, 0, 1, 1], [0.1, 0.6, 0.5, 0.8])
    0.5

    Raises MetricError when only one class is present: the share then says nothing about the other.
    """
    values = check_scores(scores)
    return float(np.mean((values > threshold) == check_labels(labels, len(values))))


def weighted_roc_auc(ranking: Ranking, weights: Numbers | None = None) -> Numbers:
    """The roc_auc of each weighting, shape (resamples,); every weighting must leave both classes."""
    reals, fakes = ranking.curves(weights)
    area = np.einsum("rk,rk->r", np.diff(reals, axis=1), fakes[:, 1:] + fakes[:, :-1]) / 2
    share: Numbers = area / (reals[:, -1] * fakes[:, -1])
    return share


def weighted_average_precision(ranking: Ranking, weights: Numbers | None = None) -> Numbers:
    """The average_precision of each weighting, shape (resamples,)."""
    reals, fakes = ranking.curves(weights)
    every = reals[:, 1:] + fakes[:, 1:]
    precision = np.divide(fakes[:, 1:], every, out=np.zeros_like(every), where=every > 0)
    mean: Numbers = np.einsum("rk,rk->r", np.diff(fakes, axis=1), precision) / fakes[:, -1]
    return mean


def weighted_eer(ranking: Ranking, weights: Numbers | None = None) -> Numbers:
    """The eer of each weighting, shape (resamples,)."""
    reals, fakes = ranking.curves(weights)
    alarms, misses = reals / reals[:, -1:], 1.0 - fakes / fakes[:, -1:]
    gap = misses - alarms  # falls from 1 to -1 along the curve
    after = np.argmax(gap <= 0, axis=1)
    row = np.arange(len(gap))
    before = after - 1
    step = gap[row, before] / (gap[row, before] - gap[row, after])
    rate: Numbers = alarms[row, before] + step * (alarms[row, after] - alarms[row, before])
    return rate


def weighted_tpr_at_fpr(ranking: Ranking, weights: Numbers | None = None, *, fpr: float = 1e-3) -> Numbers:
    """Share of fakes found with at most `fpr` false alarms, for each weighting, shape (resamples,)."""
    reals, fakes = ranking.curves(weights)
    allowed = reals <= fpr * reals[:, -1:] * (1 + 1e-12)
    last = allowed.sum(axis=1) - 1
    share: Numbers = fakes[np.arange(len(fakes)), last] / fakes[:, -1]
    return share


@dataclass(frozen=True)
class RocCurve:
    """Points from (0, 0) to (1, 1): false_alarms (k,), hits (k,), and threshold (k,) at or above which they are called."""

    false_alarms: Numbers
    hits: Numbers
    threshold: Numbers

    @property
    def misses(self) -> Numbers:
        """1 - hits, for a DET curve."""
        return 1.0 - self.hits


def roc_curve(labels: npt.ArrayLike, scores: npt.ArrayLike) -> RocCurve:
    """The whole ROC curve, one point for each distinct score. Raises MetricError when only one class is present."""
    ranking = rank(labels, scores)
    reals, fakes = ranking.curves()
    return RocCurve(reals[0] / reals[0, -1], fakes[0] / fakes[0, -1], np.append(np.inf, ranking.values))


@dataclass(frozen=True)
class PrecisionRecallCurve:
    """precision (k,) and recall (k,) when all clips at or above threshold (k,) are called; recall rises."""

    precision: Numbers
    recall: Numbers
    threshold: Numbers


def precision_recall_curve(labels: npt.ArrayLike, scores: npt.ArrayLike) -> PrecisionRecallCurve:
    """Precision against recall, one point for each distinct score. Raises MetricError when only one class is present."""
    ranking = rank(labels, scores)
    reals, fakes = (curve[0, 1:] for curve in ranking.curves())
    return PrecisionRecallCurve(fakes / (reals + fakes), fakes / fakes[-1], ranking.values)


@dataclass(frozen=True)
class TprAtFpr:
    """Share of fakes found (tpr) while at most the share `fpr` of reals is called fake, and how much that is worth.

    low, high: interval at `confidence`, for the uncertain threshold and the finite number of fakes together;
    threshold: call fake above it; reals_needed: with fewer reals the interval reaches down to 0, whatever the scores.
    """

    fpr: float
    tpr: float
    low: float
    high: float
    confidence: float
    threshold: float
    num_real: int
    num_fake: int
    reals_needed: int

    @property
    def enough(self) -> bool:
        """Whether there are reals enough for the number to mean anything."""
        return self.num_real >= self.reals_needed

    @property
    def warning(self) -> Sentence | None:
        """One plain sentence when there are too few reals."""
        if self.enough:
            return None
        return Sentence(
            "TPR at FPR {fpr:g} cannot be measured on {real:,} real clips: it takes {needed:,} for the interval to leave zero",
            fpr=self.fpr,
            real=self.num_real,
            needed=self.reals_needed,
        )


def tpr_at_fpr(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, fpr: float = 1e-3, confidence: float = 0.95
) -> TprAtFpr:
    """Share of fakes found with at most `fpr` false alarms among the reals, with an interval free of assumptions.

    The reals give an interval for the true (1 - fpr) quantile of their scores by order statistics; the fakes above its
    two ends give Clopper-Pearson bounds; each of the four bounds may err in a quarter of 1 - confidence (Bonferroni),
    so the interval holds at least `confidence` for independent clips. For clips that share people use
    uncertainty.bootstrap with groups.
    Raises MetricError when only one class is present or fpr or confidence is not inside (0, 1).
    """
    check_share("fpr", fpr)
    check_share("confidence", confidence)
    values = check_scores(scores)
    fake = check_labels(labels, len(values))
    reals, fakes = -np.sort(-values[~fake]), values[fake]
    error = (1.0 - confidence) / 4.0
    few, many = _binomial_range(len(reals), fpr, error)
    threshold = _nth_largest(reals, int(fpr * len(reals) * (1 + 1e-12)) + 1)
    surely = 0 if few == 0 else int((fakes > reals[few - 1]).sum())
    at_most = int((fakes > _nth_largest(reals, many + 1)).sum())
    return TprAtFpr(
        fpr=fpr,
        tpr=float((fakes > threshold).mean()),
        low=clopper_pearson(surely, len(fakes), error=error)[0],
        high=clopper_pearson(at_most, len(fakes), error=error)[1],
        confidence=confidence,
        threshold=threshold,
        num_real=len(reals),
        num_fake=len(fakes),
        reals_needed=reals_needed(fpr, confidence=confidence),
    )


def reals_needed(fpr: float, *, confidence: float = 0.95) -> int:
    """How many reals it takes before a false-alarm rate of `fpr` can be told from zero in tpr_at_fpr's interval.

    With n reals, none of them lies above the true threshold with chance (1 - fpr)^n; that must not exceed the share of
    error which one of the four bounds may have.

    >>> reals_needed(1e-3), reals_needed(0.01)
    (4380, 437)

    Raises MetricError when one of them is not inside (0, 1).
    """
    check_share("fpr", fpr)
    check_share("confidence", confidence)
    return math.ceil(math.log((1.0 - confidence) / 4.0) / math.log1p(-fpr))


def lowest_fpr(num_real: int, *, confidence: float = 0.95) -> float:
    """The lowest false-alarm rate that so many reals can carry: reals_needed the other way round.

    >>> round(lowest_fpr(4380), 4), round(lowest_fpr(16), 2)
    (0.001, 0.24)

    Raises MetricError when confidence is not inside (0, 1).
    """
    check_share("confidence", confidence)
    return float(-math.expm1(math.log((1.0 - confidence) / 4.0) / max(1, num_real)))


def clopper_pearson(hits: int, trials: int, *, error: float = 0.025) -> tuple[float, float]:
    """Exact bounds of a share seen `hits` times in `trials`; each is wrong with chance `error` at most.

    >>> [round(bound, 4) for bound in clopper_pearson(8, 10)]
    [0.4439, 0.9748]

    Raises MetricError unless 0 <= hits <= trials, with at least one trial, and error lies inside (0, 1).
    """
    check_share("error", error)
    if not 0 <= hits <= trials or trials < 1:
        raise MetricError(
            f"a share needs 0 <= hits <= trials and at least one trial, got {hits} hits in {trials} trials"
        )
    from scipy.special import betaincinv

    low = 0.0 if hits == 0 else float(betaincinv(hits, trials - hits + 1, error))
    high = 1.0 if hits == trials else float(betaincinv(hits + 1, trials - hits, 1.0 - error))
    return low, high


def _binomial_range(trials: int, rate: float, error: float) -> tuple[int, int]:
    """few, many: a binomial count is below `few` with chance < error and above `many` with chance <= error."""
    from scipy.special import bdtr

    at_most = bdtr(np.arange(trials + 1), trials, rate)
    return int(np.searchsorted(at_most, error)), int(np.searchsorted(at_most, 1.0 - error))


def _nth_largest(falling: Numbers, nth: int) -> float:
    """The nth largest (from 1), below everything when there are fewer."""
    return float(falling[nth - 1]) if nth <= len(falling) else -math.inf


def _from_zero(sums: Numbers) -> Numbers:
    return np.concatenate((np.zeros((len(sums), 1)), sums), axis=1)
