"""How far a number can be trusted: intervals, and whether one model is really better than another.

Clips of one person or one source resemble each other, so intervals are over groups (identity, source), not clips: a
hundred clips of three people are three observations. Without groups every clip stands for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal, TypeVar, get_args

import numpy as np
import numpy.typing as npt

from ffdv.errors import MetricError
from ffdv.metrics import calibration, ranking
from ffdv.metrics.ranking import Groups, Indices, Numbers, Truths

Class = Literal["both", "real", "fake"]
Method = Literal["bca", "percentile"]
Result = TypeVar("Result")
# weights (resamples, n) → the metric of each resample (resamples,)
Statistic = Callable[[Numbers], Numbers]

# Resamples are done so many weights at a time: 2 MB stay in the cache, and time is flat from 0.1 to 1 million.
BLOCK_WEIGHTS = 250_000
# Fewer people (or clips, where none are named) of a class: intervals are too short to be believed (docs/decisions/0006).
FEWEST_GROUPS = 10
FEW = f"* fewer than {FEWEST_GROUPS} independent groups of a class, or one has most of the clips: the interval cannot be relied on"
# With fewer resamples an interval's ends are its own luck; hundreds are usual.
FEWEST_RESAMPLES = 20
# The jackknife behind BCa looks at so many parts of each stratum: its skewness is then known to 0.002 (docs/decisions/0006).
JACKKNIFE_PARTS = 200
# The bounds of _truths are looked for by halving: to 0.001 of the value.
_HALVINGS, _LARGEST_FACTOR = 10, 64.0


@dataclass(frozen=True)
class Metric:
    """A number of labels and scores: prepare(labels, scores) sorts or bins once; it lies in [lowest, highest].

    parts: for a sum of absolute means, which luck alone makes larger than the truth, each clip's share of these means (n, k);
    fewest_reals: with fewer real clips the number would pretend, and bootstrap and compare refuse it; of: the class that it is made
    of, whose groups alone count then.
    """

    prepare: Callable[[npt.ArrayLike, npt.ArrayLike], Statistic]
    lowest: float = 0.0
    highest: float = 1.0
    parts: Callable[[npt.ArrayLike, npt.ArrayLike], Numbers] | None = None
    fewest_reals: int = 0
    of: Class = "both"


def _ranked(weighted: Callable[..., Numbers], *, fewest_reals: int = 0, **settings: float) -> Metric:
    return Metric(
        lambda labels, scores: partial(weighted, ranking.rank(labels, scores), **settings), fewest_reals=fewest_reals
    )


def _averaged(losses: Callable[[Truths, Numbers], Numbers], highest: float = 1.0) -> Metric:
    def prepare(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Statistic:
        values = ranking.check_scores(scores)
        each = losses(ranking.check_labels(labels, len(values)), values)
        return lambda weights: (weights @ each) / weights.sum(axis=1)

    return Metric(prepare, highest=highest)


def tpr_metric(fpr: float) -> Metric:
    """The share of fakes found at a false-alarm rate, as a metric for bootstrap and compare; see ranking.reals_needed.

    Raises MetricError when fpr is not inside (0, 1).
    """
    return _ranked(ranking.weighted_tpr_at_fpr, fewest_reals=ranking.reals_needed(fpr), fpr=fpr)


def share_above(threshold: float, *, of_fakes: bool) -> Metric:
    """The share of fakes (hits) or of reals (false alarms) that scores above a fixed threshold, as a metric for bootstrap and compare.

    >>> float(share_above(0.5, of_fakes=False).prepare([0, 0, 1], [0.1, 0.6, 0.9])(np.ones((1, 3)))[0])
    0.5
    """

    def prepare(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Statistic:
        values = ranking.check_scores(scores)
        fake = ranking.check_labels(labels, len(values))
        chosen = (fake if of_fakes else ~fake).astype(np.float64)
        above = chosen * (values > threshold)
        return lambda weights: (weights @ above) / (weights @ chosen)

    return Metric(prepare, of="fake" if of_fakes else "real")


METRICS: Mapping[str, Metric] = {
    "auc": _ranked(ranking.weighted_roc_auc),
    "average_precision": _ranked(ranking.weighted_average_precision),
    "eer": _ranked(ranking.weighted_eer),
    "tpr_at_fpr": tpr_metric(1e-3),
    "tpr_at_fpr_0.01": tpr_metric(0.01),
    "tpr_at_fpr_0.05": tpr_metric(0.05),
    "accuracy": _averaged(lambda fake, scores: ((scores > 0.5) == fake).astype(np.float64)),
    "log_loss": _averaged(calibration.log_losses, highest=np.inf),
    "brier": _averaged(calibration.squared_errors),
    "ece": Metric(calibration.prepare_ece, parts=calibration.excess_by_bin),
}


@dataclass(frozen=True)
class Estimate:
    """A number with its interval. num_groups: independent groups in the class that has fewer of them; effective_groups: as many of equal
    size would tell as much (Kish 1965), which is far fewer where one person has half of the clips; None: not known.
    """

    value: float
    low: float
    high: float
    confidence: float
    method: str
    num_groups: int
    effective_groups: float | None = None

    @property
    def few(self) -> bool:
        """Whether fewer than FEWEST_GROUPS stand behind it: its interval is then too short."""
        return _are_few(self.num_groups, self.effective_groups)

    def __str__(self) -> str:
        """As tables show it."""
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Difference:
    """Second model minus first, with interval and two-sided p: the chance of so large a difference if there were none."""

    value: float
    low: float
    high: float
    p_value: float
    confidence: float
    method: str
    num_groups: int
    effective_groups: float | None = None

    @property
    def few(self) -> bool:
        """Whether fewer than FEWEST_GROUPS stand behind it."""
        return _are_few(self.num_groups, self.effective_groups)

    @property
    def significant(self) -> bool:
        """Whether the interval leaves zero out."""
        return not self.low <= 0.0 <= self.high

    def __str__(self) -> str:
        """As tables show it."""
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}], p = {self.p_value:.3g}"


def check_settings(*, confidence: float = 0.95, method: str = "bca", resamples: int = FEWEST_RESAMPLES) -> None:
    """Refuse what no interval can be made of, before anything is measured.

    Raises MetricError unless confidence lies inside (0, 1), the method is known and there are FEWEST_RESAMPLES resamples.
    """
    ranking.check_share("confidence", confidence)
    if method not in get_args(Method):
        raise MetricError(f"method {method!r} is not known; choose one of {', '.join(get_args(Method))}")
    if resamples < FEWEST_RESAMPLES:
        raise MetricError(
            f"resamples = {resamples} make no interval; ask for at least {FEWEST_RESAMPLES}, 1000 are usual"
        )


def _are_few(num_groups: int, effective: float | None) -> bool:
    return num_groups < FEWEST_GROUPS or (effective is not None and effective < FEWEST_GROUPS)


def bootstrap(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    metric: str | Metric = "auc",
    groups: Groups | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    method: Method = "bca",
) -> Estimate:
    """A metric with its bootstrap interval over groups.

    metric: a name in METRICS, or a Metric; groups (n,): what clips share, an empty text or None stands alone.
    Groups are drawn with replacement among those of real clips only, of fakes only, and of both, so that both classes
    stay present. BCa (Efron 1987) corrects bias and skewness; both methods widen to Student's t for few groups
    (Hesterberg 2015). Where every resample gives the metric's best or worst value (all fakes above all reals) the bound is
    the one that as many groups without a failure allow: (error)^(1 / groups). Fewer than two groups in a class say
    nothing: the interval is the metric's whole range. A metric that luck alone makes larger (ece) gets those truths under which
    its value is not unusual, so that a calibrated net's interval reaches 0 (_truths).
    Raises MetricError on input that the metric refuses, too few reals for it (TPR at a low false-alarm rate), an unknown metric,
    or settings that check_settings refuses.
    """
    check_settings(confidence=confidence, method=method, resamples=resamples)
    chosen = _metric(metric)
    _refuse_few_reals(labels, chosen)
    statistic = chosen.prepare(labels, scores)
    plan = _Resampling.of(np.asarray(labels).astype(bool), groups)
    value = float(statistic(np.ones((1, plan.num_clips)))[0])
    count = plan.num_groups_of[chosen.of]
    road = method if chosen.parts is None else "inverted"
    estimate = plan.result(Estimate, value, confidence, f"bootstrap-{road}", of=chosen.of)
    if count < 2:
        return estimate(low=chosen.lowest, high=chosen.highest)
    drawn, means = plan.draw(resamples, seed), None
    if chosen.parts is None:
        draws = np.concatenate([statistic(weights) for weights in drawn])
    else:
        draws, means = _sums_of_means(chosen.parts(labels, scores), drawn)
    if np.ptp(draws) == 0 and value in (chosen.lowest, chosen.highest):
        reach = ((1.0 - confidence) / 2.0) ** (1.0 / count)
        low, high = (reach, 1.0) if value == chosen.highest else (0.0, 1.0 - reach)
        return estimate(low=low, high=high)
    error = _widened_error(confidence, count)
    if means is not None:
        low, high = _truths(*means, error)
        return estimate(low=min(low, value), high=min(max(high, value), chosen.highest))
    shares = (
        (error, 1.0 - error)
        if method == "percentile"
        else _bca_shares(draws, value, plan.jackknife(statistic, seed), error)
    )
    low, high = np.quantile(draws, shares)
    return estimate(low=float(low), high=float(high))


def compare(
    labels: npt.ArrayLike,
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    *,
    metric: str | Metric = "auc",
    groups: Groups | None = None,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Difference:
    """Model b minus model a on the same clips, by a bootstrap that gives both the same resamples.

    Percentile interval, widened to Student's t; p is twice the share of resamples on the far side of zero.
    Raises MetricError as bootstrap does.
    """
    check_settings(confidence=confidence, resamples=resamples)
    chosen = _metric(metric)
    _refuse_few_reals(labels, chosen)
    first, second = chosen.prepare(labels, scores_a), chosen.prepare(labels, scores_b)
    plan = _Resampling.of(np.asarray(labels).astype(bool), groups)
    once = np.ones((1, plan.num_clips))
    value = float((second(once) - first(once))[0])
    difference = plan.result(Difference, value, confidence, "bootstrap-paired")
    if plan.num_groups < 2:
        reach = chosen.highest - chosen.lowest
        return difference(low=-reach, high=reach, p_value=1.0)
    draws = np.concatenate([second(weights) - first(weights) for weights in plan.draw(resamples, seed)])
    error = _widened_error(confidence, plan.num_groups)
    low, high = np.quantile(draws, (error, 1.0 - error))
    beyond = min(int((draws <= 0).sum()), int((draws >= 0).sum()))
    p_value = min(1.0, 2.0 * (beyond + 1) / (len(draws) + 1))
    return difference(low=float(low), high=float(high), p_value=p_value)


def delong(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, groups: Groups | None = None, confidence: float = 0.95
) -> Estimate:
    """AUC with DeLong's interval (1988), over groups by Obuchowski's clustered variance (1997); no chance involved.

    The interval is made on the logit of the AUC, so that it stays inside (0, 1), with Student's t for few groups.
    With all fakes above all reals the variance is no measure; the bound is then as in bootstrap.
    Raises MetricError when only one class is present, or confidence is not inside (0, 1).
    """
    check_settings(confidence=confidence)
    areas, covariance, plan = _delong(labels, [scores], groups)
    area = float(areas[0])
    estimate = plan.result(Estimate, area, confidence, "delong")
    if plan.num_groups < 2:
        return estimate(low=0.0, high=1.0)
    if area in (0.0, 1.0):
        reach = ((1.0 - confidence) / 2.0) ** (1.0 / plan.num_groups)
        return estimate(low=reach if area else 0.0, high=1.0 if area else 1.0 - reach)
    spread = _student(confidence, plan.num_groups) * float(np.sqrt(covariance[0, 0])) / (area * (1.0 - area))
    middle = np.log(area / (1.0 - area))
    low, high = 1.0 / (1.0 + np.exp(-(middle - spread))), 1.0 / (1.0 + np.exp(-(middle + spread)))
    return estimate(low=float(low), high=float(high))


def compare_delong(
    labels: npt.ArrayLike,
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    *,
    groups: Groups | None = None,
    confidence: float = 0.95,
) -> Difference:
    """AUC of b minus AUC of a on the same clips: DeLong's paired test, over groups by Obuchowski's variance.

    Two models that rank every clip alike differ by 0 with p 1. Raises MetricError as delong does.
    """
    check_settings(confidence=confidence)
    areas, covariance, plan = _delong(labels, [scores_a, scores_b], groups)
    value = float(areas[1] - areas[0])
    difference = plan.result(Difference, value, confidence, "delong-paired")
    if plan.num_groups < 2:
        return difference(low=-1.0, high=1.0, p_value=1.0)
    error = float(np.sqrt(max(covariance[0, 0] + covariance[1, 1] - 2.0 * covariance[0, 1], 0.0)))
    if error < 1e-12:
        return difference(low=value, high=value, p_value=1.0 if value == 0.0 else 0.0)
    from scipy.special import stdtr

    reach = _student(confidence, plan.num_groups) * error
    p_value = 2.0 * float(stdtr(_freedom(plan.num_groups), -abs(value) / error))
    return difference(low=max(-1.0, value - reach), high=min(1.0, value + reach), p_value=p_value)


@dataclass(frozen=True)
class _Resampling:
    """Which clips go together, and which groups may replace each other: those with the same classes in them."""

    group: Indices  # (n,) number of each clip's group
    strata: tuple[Indices, ...]  # numbers of the groups of reals only, fakes only, and both (see `of` for lone groups)
    num_groups_of: Mapping[str, int]  # real, fake, and both: of the class that has fewer
    effective_of: Mapping[str, float]  # likewise, as many of equal size would tell as much

    @property
    def num_groups(self) -> int:
        """Of the class that has fewer."""
        return self.num_groups_of["both"]

    @classmethod
    def of(cls, fake: Truths, groups: Groups | None) -> _Resampling:
        number = ranking.number_groups(len(fake), groups)
        has_fake = np.bincount(number, weights=fake) > 0
        has_real = np.bincount(number, weights=~fake) > 0
        real_only, fake_only, both = has_real & ~has_fake, has_fake & ~has_real, has_real & has_fake
        kinds = [real_only, fake_only, both]
        if min(kind.sum() for kind in kinds) == 1:
            # A stratum of one group is drawn every time, as if it were sure. Joined to groups that hold its class it varies,
            # and the class that stays apart is in every resample all the same.
            kinds = [real_only, has_fake] if fake_only.sum() == 1 < real_only.sum() else [has_real, fake_only]
        strata = tuple(np.flatnonzero(kind) for kind in kinds if kind.any())
        counts = {"real": int(has_real.sum()), "fake": int(has_fake.sum())}
        effective = {}
        for name, own in (("real", ~fake), ("fake", fake)):
            sizes = np.bincount(number[own]).astype(np.float64)
            effective[name] = float(sizes.sum() ** 2 / (sizes**2).sum())
        return cls(
            number,
            strata,
            {**counts, "both": min(counts.values())},
            {**effective, "both": min(effective.values())},
        )

    def result(
        self, kind: Callable[..., Result], value: float, confidence: float, method: str, *, of: Class = "both"
    ) -> Callable[..., Result]:
        """An Estimate or a Difference on these groups that lacks only what its road finds: low, high, p_value."""
        behind = {"num_groups": self.num_groups_of[of], "effective_groups": self.effective_of[of]}
        return partial(kind, value, confidence=confidence, method=method, **behind)

    @property
    def num_clips(self) -> int:
        return len(self.group)

    def draw(self, resamples: int, seed: int) -> Iterator[Numbers]:
        """Weights (block, n), `resamples` in all: how often each clip's group was drawn."""
        rng = np.random.default_rng(seed)
        block = max(1, BLOCK_WEIGHTS // self.num_clips)
        for start in range(0, resamples, block):
            rows = min(block, resamples - start)
            times = np.zeros((rows, sum(map(len, self.strata))))
            for stratum in self.strata:
                size = len(stratum)
                drawn = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
                times[:, stratum] = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
            yield times[:, self.group]

    def jackknife(self, statistic: Statistic, seed: int) -> Numbers:
        """Influence of each part of each stratum: how the metric falls when it is left out, centred by stratum."""
        rng = np.random.default_rng(seed)
        influences = []
        for stratum in self.strata:
            num_parts = min(JACKKNIFE_PARTS, len(stratum))
            if num_parts == 1:
                continue
            part_of_group = np.full(int(self.group.max()) + 1, -1)
            part_of_group[rng.permutation(stratum)] = np.arange(len(stratum)) % num_parts
            part = part_of_group[self.group]
            block = max(1, BLOCK_WEIGHTS // self.num_clips)
            rows = [np.arange(start, min(start + block, num_parts)) for start in range(0, num_parts, block)]
            values = np.concatenate([statistic((part != row[:, None]).astype(np.float64)) for row in rows])
            influences.append(values.mean() - values)
        return np.concatenate(influences) if influences else np.zeros(1)


def _metric(metric: str | Metric) -> Metric:
    if isinstance(metric, Metric):
        return metric
    if metric not in METRICS:
        raise MetricError(f"unknown metric {metric!r}; there are {', '.join(METRICS)}")
    return METRICS[metric]


def enough_reals(metric: str, num_real: int) -> bool:
    """Whether so many real clips can carry the metric; only TPR at a low false-alarm rate asks for more than one.

    >>> enough_reals("tpr_at_fpr", 4379), enough_reals("tpr_at_fpr", 4380), enough_reals("auc", 1)
    (False, True, True)
    """
    return num_real >= _metric(metric).fewest_reals


def _refuse_few_reals(labels: npt.ArrayLike, metric: Metric) -> None:
    num_real = int((np.asarray(labels) == 0).sum())
    if num_real < metric.fewest_reals:
        raise MetricError(
            f"so low a false-alarm rate cannot be measured on {num_real:,} real clips, it takes {metric.fewest_reals:,}; "
            "add reals, or ask for a higher rate"
        )


def _freedom(num_groups: int) -> int:
    """Degrees of freedom: two classes of at least so many groups, a mean taken from each."""
    return 2 * num_groups - 2


def _student(confidence: float, num_groups: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(_freedom(num_groups), (1.0 + confidence) / 2.0))


def _widened_error(confidence: float, num_groups: int) -> float:
    """The quantile at which to cut so that few groups get the interval that Student's t would give (Hesterberg 2015)."""
    from scipy.special import ndtr

    return float(ndtr(-np.sqrt(num_groups / (num_groups - 1)) * _student(confidence, num_groups)))


def _sums_of_means(parts: Numbers, draws: Iterable[Numbers]) -> tuple[Numbers, tuple[Numbers, Numbers]]:
    """The sum of absolute means in each resample (resamples,), and what it is of: the means (k,) and each resample's (resamples, k).

    parts (n, k): each clip's share of the k means.
    """
    sums, totals = zip(*((weights @ parts, weights.sum(axis=1)) for weights in draws), strict=True)
    summed, total = np.concatenate(sums), np.concatenate(totals)
    return np.abs(summed).sum(axis=1) / total, (parts.mean(axis=0), summed / total[:, None])


def _truths(means: Numbers, drawn: Numbers, error: float) -> tuple[float, float]:
    """Bounds of a sum of absolute means: the truths under which the measured one is neither too large nor too small.

    means (k,), drawn (resamples, k): of _sums_of_means. The true means are taken for the measured ones, all shrunk or grown by one
    factor; luck is added to them as resampling adds it to the measured ones. With all errors luck the lower bound is 0.
    """
    luck = drawn - means
    value = float(np.abs(means).sum())

    def largest(factor: float, share: float) -> float:
        return float(np.quantile(np.abs(factor * means + luck).sum(axis=1), share))

    def crossing(share: float) -> float:
        """The factor from which on this quantile is above the value."""
        low, high = 0.0, 1.0
        if largest(low, share) >= value:
            return low
        while largest(high, share) < value and high < _LARGEST_FACTOR:
            high *= 2.0
        for _ in range(_HALVINGS):
            middle = (low + high) / 2.0
            low, high = (low, middle) if largest(middle, share) >= value else (middle, high)
        return high

    return value * crossing(1.0 - error), value * crossing(error)


def _bca_shares(draws: Numbers, value: float, influence: Numbers, error: float) -> tuple[float, float]:
    """Where to cut the sorted resamples: shifted for the median's bias and for skewness (Efron 1987)."""
    from scipy.special import ndtr, ndtri

    below = ((draws < value).sum() + 0.5 * (draws == value).sum() + 0.5) / (len(draws) + 1)
    bias = ndtri(below)
    squares = float((influence**2).sum())
    skew = 0.0 if squares == 0.0 else float((influence**3).sum()) / (6.0 * squares**1.5)
    shares = []
    for quantile in (ndtri(error), -ndtri(error)):
        stretch = 1.0 - skew * (bias + quantile)
        shares.append(float(ndtr(bias + (bias + quantile) / stretch)) if stretch > 0 else float(quantile > 0))
    return shares[0], shares[1]


def _delong(
    labels: npt.ArrayLike, models: Sequence[npt.ArrayLike], groups: Groups | None
) -> tuple[Numbers, Numbers, _Resampling]:
    """AUC of each model (m,) and their covariance (m, m), over groups.

    A real's component is the share of fakes above it, a fake's the share of reals below it (Sun and Xu 2014, by
    midranks); they are summed by group, and a group that holds both classes joins the two sums (Obuchowski 1997).
    """
    sheets = [ranking.check_scores(scores) for scores in models]
    fake = ranking.check_labels(labels, len(sheets[0]))
    if len({len(sheet) for sheet in sheets}) != 1:
        raise MetricError(
            f"models must score the same clips, got {', '.join(str(len(sheet)) for sheet in sheets)} scores"
        )
    plan = _Resampling.of(fake, groups)
    size = int(plan.group.max()) + 1
    areas, of_reals, of_fakes = [], [], []
    for scores in sheets:
        above_reals, below_fakes = _components(fake, scores)
        area = float(below_fakes.mean())
        areas.append(area)
        of_reals.append(np.bincount(plan.group[~fake], weights=above_reals - area, minlength=size) / len(above_reals))
        of_fakes.append(np.bincount(plan.group[fake], weights=below_fakes - area, minlength=size) / len(below_fakes))
    reals, fakes = np.array(of_reals), np.array(of_fakes)
    with_real = len(np.unique(plan.group[~fake]))
    with_fake = len(np.unique(plan.group[fake]))
    cross = reals @ fakes.T
    covariance = (
        reals @ reals.T * _unbiased(with_real)
        + fakes @ fakes.T * _unbiased(with_fake)
        + (cross + cross.T) * _unbiased(size)
    )
    return np.array(areas), covariance, plan


def _unbiased(num_groups: int) -> float:
    return num_groups / (num_groups - 1) if num_groups > 1 else 1.0


def _components(fake: Truths, scores: Numbers) -> tuple[Numbers, Numbers]:
    """For each real the share of fakes above it, for each fake the share of reals below it; ties count half."""
    reals, fakes = np.sort(scores[~fake]), np.sort(scores[fake])
    above = 1.0 - _share_below(fakes, scores[~fake])
    return above, _share_below(reals, scores[fake])


def _share_below(rising: Numbers, values: Numbers) -> Numbers:
    below = np.searchsorted(rising, values, side="left") + np.searchsorted(rising, values, side="right")
    share: Numbers = below / (2.0 * len(rising))
    return share
