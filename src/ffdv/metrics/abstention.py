"""When to call a clip fake, when real, and when to say "cannot tell", with what is promised of each.

0 ────── real ──────┤ low   cannot tell   high ├────── fake ────── 1
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from ffdv.errors import MetricError
from ffdv.metrics.calibration import check_probabilities, read_json, write_json
from ffdv.metrics.ranking import Groups, Indices, Numbers, Truths, check_labels, number_groups

Verdict = Literal["real", "fake", "cannot tell"]


@dataclass(frozen=True)
class Threshold:
    """Call fake above `value`: of new real clips at most the share `wanted` is then called fake, see false_alarm_threshold.

    hits: share of the development fakes above it; num_groups: groups of reals behind it; groups_needed: with fewer the
    value is 1 and nothing is called fake.
    """

    value: float
    wanted: float
    hits: float
    num_groups: int
    groups_needed: int

    @property
    def enough(self) -> bool:
        """Whether there are reals enough to promise so low a rate."""
        return self.num_groups >= self.groups_needed


def false_alarm_threshold(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, rate: float, groups: Groups | None = None
) -> Threshold:
    """The lowest threshold that keeps false alarms on new real clips at `rate` or below, by split-conformal prediction.

    The promise is the one of abstention_band for real clips. Raises MetricError as that does.
    """
    values, fake, owner = _band_data(labels, scores, groups, rate)
    value = _conformal_bound(values[~fake], owner[~fake], rate)
    return Threshold(
        value=value,
        wanted=rate,
        hits=float((values[fake] > value).mean()),
        num_groups=len(np.unique(owner[~fake])),
        groups_needed=groups_needed(rate),
    )


def groups_needed(rate: float) -> int:
    """How many independent reals (or groups of them) it takes to promise a false-alarm rate.

    >>> groups_needed(0.05), groups_needed(1e-3)
    (19, 999)
    """
    return math.ceil((1.0 - rate) / rate - 1e-9)


@dataclass(frozen=True)
class AbstentionBand:
    """Scores below `low` are called real, above `high` fake, from low to high "cannot tell".

    What is promised (see abstention_band): of new real clips at most the share `false_alarm_rate` is called fake; of new
    fake clips at most the share `miss_rate` is called real.
    """

    low: float
    high: float
    false_alarm_rate: float
    miss_rate: float
    num_real_groups: int
    num_fake_groups: int

    def __post_init__(self) -> None:
        """Refuse a band that is none."""
        if not 0.0 <= self.low <= self.high <= 1.0:
            raise MetricError(f"a band lies in [0, 1] with low <= high, got {self.low} to {self.high}")

    def verdict(self, score: float) -> Verdict:
        """What to call one clip.

        >>> AbstentionBand(0.2, 0.7, 0.05, 0.05, 99, 99).verdict(0.5)
        'cannot tell'
        """
        if score > self.high:
            return "fake"
        return "real" if score < self.low else "cannot tell"

    def decided(self, scores: npt.ArrayLike) -> Truths:
        """For which scores (n,) the band dares a verdict."""
        values = check_probabilities(scores)
        outside: Truths = (values < self.low) | (values > self.high)
        return outside

    def widened(self, share: float) -> AbstentionBand:
        """The band with both edges moved outwards by a share of their way to 0 and 1; 1 = never dares a verdict.

        Fewer clips are called, so both promises still hold; this is for input unlike anything that was seen.

        >>> band = AbstentionBand(0.2, 0.6, 0.05, 0.05, 99, 99).widened(0.5)
        >>> band.low, band.high
        (0.1, 0.8)
        """
        if not 0.0 <= share <= 1.0:
            raise MetricError(f"a band is widened by a share in [0, 1], got {share}")
        low, high = self.low * (1.0 - share), self.high + (1.0 - self.high) * share
        return AbstentionBand(
            low, high, self.false_alarm_rate, self.miss_rate, self.num_real_groups, self.num_fake_groups
        )

    def to_json(self) -> str:
        """One line of JSON with the format's version."""
        return write_json(self)

    @classmethod
    def from_json(cls, text: str) -> AbstentionBand:
        """Read what to_json wrote. Raises MetricError on another version or anything else."""
        return read_json(cls, text)


def abstention_band(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    false_alarm_rate: float = 0.05,
    miss_rate: float = 0.05,
    groups: Groups | None = None,
) -> AbstentionBand:
    """The "cannot tell" band by split-conformal prediction, class by class (Mondrian; Vovk 2005).

    Promised, for any net and any distribution of scores: the chance that a new real clip is called fake is at most
    `false_alarm_rate`, and that a new fake one is called real at most `miss_rate`; over the draw of development clips
    and the new clip together, where the new clip is exchangeable with the development clips of its class, and the net
    and its calibration were not fitted on them. With groups (n,) (identity, source) the new clip may come from a new
    group that is exchangeable with the development groups (Lee, Barber and Willett 2023); without, clips must be
    independent. Not promised: anything for forgeries of another kind than those in development, the share of errors
    among the clips that are called, and rates for one particular development set.

    Raises MetricError when only one class is present, a score is no probability, or a rate is not inside (0, 1).
    """
    values, fake, owner = _band_data(labels, scores, groups, false_alarm_rate, miss_rate)
    real_below = _conformal_bound(values[~fake], owner[~fake], false_alarm_rate)
    fake_above = 1.0 - _conformal_bound(1.0 - values[fake], owner[fake], miss_rate)
    return AbstentionBand(
        low=min(real_below, fake_above),
        high=max(real_below, fake_above),
        false_alarm_rate=false_alarm_rate,
        miss_rate=miss_rate,
        num_real_groups=len(np.unique(owner[~fake])),
        num_fake_groups=len(np.unique(owner[fake])),
    )


def _band_data(
    labels: npt.ArrayLike, scores: npt.ArrayLike, groups: Groups | None, *rates: float
) -> tuple[Numbers, Truths, Indices]:
    for rate in rates:
        if not 0.0 < rate < 1.0:
            raise MetricError(f"a wanted error rate must lie inside (0, 1), got {rate}")
    values = check_probabilities(scores)
    return values, check_labels(labels, len(values)), number_groups(len(values), groups)


def _conformal_bound(values: Numbers, owner: Indices, rate: float) -> float:
    """The smallest value that a new clip exceeds with chance <= rate; 1 when there are too few groups to say.

    K groups weigh 1 / (K + 1) each, shared among their clips; the new group has the rest, at its worst.
    """
    _, place, size = np.unique(owner, return_inverse=True, return_counts=True)
    weight = 1.0 / (size[place] * (len(size) + 1))
    order = np.argsort(values)
    covered = np.cumsum(weight[order]) >= 1.0 - rate - 1e-9
    return float(values[order][np.argmax(covered)]) if covered.any() else 1.0


@dataclass(frozen=True)
class RiskCoverage:
    """Share of mistakes (risk) among the clips judged when only the surest share (coverage) is judged; both (k,)."""

    coverage: Numbers
    risk: Numbers

    @property
    def area(self) -> float:
        """Mean risk over all coverages (AURC), lower is better."""
        return float(np.sum(np.diff(self.coverage, prepend=0.0) * self.risk))

    def coverage_at(self, risk: float) -> float:
        """The largest share of clips that can be judged with at most this risk, on these clips; 0 when none can."""
        within = self.risk <= risk + 1e-12
        return float(self.coverage[within].max()) if within.any() else 0.0


def risk_coverage(labels: npt.ArrayLike, scores: npt.ArrayLike) -> RiskCoverage:
    """Mistakes against clips judged, surest first (farthest from 0.5); clips equally sure are judged together.

    Raises MetricError when only one class is present or a score is no probability.
    """
    values = check_probabilities(scores)
    wrong = (values > 0.5) != check_labels(labels, len(values))
    # Rounded: 0.1 and 0.9 are equally sure, although 0.5 - 0.1 and 0.9 - 0.5 differ in the last bit.
    doubt = -np.round(np.abs(values - 0.5), 12)
    order = np.argsort(doubt, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(doubt[order])), len(values) - 1)
    judged = ends + 1
    return RiskCoverage(judged / len(values), np.cumsum(wrong[order])[ends] / judged)
