"""What a run's probabilities and verdicts are worth on labelled clips: before and after calibration, and when it may abstain.

Every field is a plain number or a tuple of them, so that the value goes into JSON as it is and a report can draw it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffdv.metrics.abstention import risk_coverage
from ffdv.metrics.calibration import Calibration, brier, ece, reliability_curve, sigmoid
from ffdv.metrics.decision import Decision
from ffdv.metrics.ranking import Numbers, Truths, check_labels, check_scores

RISK = 0.05  # coverage is reported at so many mistakes among the clips that are judged
CURVE_POINTS = 200


@dataclass(frozen=True)
class Reliability:
    """A reliability diagram: bins that hold clips, with mean score, share of fakes, its 95 % interval, and count; all (k,)."""

    mean_score: tuple[float, ...]
    fake_share: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    count: tuple[int, ...]


@dataclass(frozen=True)
class ThresholdCheck:
    """A stored threshold on these clips: the rate that was wanted, the false alarms and the hits that came, and whether it was promised."""

    wanted: float
    value: float
    false_alarms: float
    hits: float
    promised: bool


@dataclass(frozen=True)
class BandCheck:
    """The stored "cannot tell" band on these clips, low to high, widened for those that lie far from what training saw.

    unusual: share of clips that do, by their embedding distance, None where that is not known; decided: share of clips with a
    verdict; false_alarms: share of reals called fake; misses: share of fakes called real;
    wanted: the rates that were promised for clips like those in development.
    """

    low: float
    high: float
    decided: float
    false_alarms: float
    misses: float
    wanted: tuple[float, float]
    unusual: float | None = None

    @property
    def everything(self) -> bool:
        """Whether it leaves no score outside, so that no clip gets a verdict: too few clips were there to promise anything."""
        return self.low <= 0.0 and self.high >= 1.0


@dataclass(frozen=True)
class Confidence:
    """Calibration error before and after, reliability diagrams, risk against coverage, and the stored band and thresholds.

    before: the sigmoid of the logits; after: calibrated. coverage (k,) rises, risk (k,) is the share of mistakes among the
    surest share of clips; coverage_at_risk: the largest coverage with at most RISK mistakes on these clips. band and thresholds are
    empty where the run holds none.
    """

    ece_before: float
    ece_after: float
    brier_before: float
    brier_after: float
    reliability_before: Reliability
    reliability_after: Reliability
    coverage: tuple[float, ...]
    risk: tuple[float, ...]
    coverage_at_risk: float
    risk_area: float
    band: BandCheck | None = None
    thresholds: tuple[ThresholdCheck, ...] = ()


def measure_confidence(
    labels: npt.ArrayLike,
    logits: npt.ArrayLike,
    *,
    calibration: Calibration | None,
    decision: Decision | None = None,
    distances: npt.ArrayLike | None = None,
) -> Confidence:
    """All of it, from labels (n,) and logits (n,). Without a calibration, after is as before.

    distances (n,): from what training saw, as the net sees it (training/engine), None = not known. Raises MetricError when only
    one class is present, or logits are not finite.
    """
    values = check_scores(logits)
    fake = check_labels(labels, len(values))
    before = sigmoid(values)
    after = before if calibration is None else calibration.apply(values)
    curve = risk_coverage(fake, after)
    shown = np.unique(np.linspace(0, len(curve.coverage) - 1, CURVE_POINTS).round().astype(np.int64))
    return Confidence(
        ece_before=ece(fake, before),
        ece_after=ece(fake, after),
        brier_before=brier(fake, before),
        brier_after=brier(fake, after),
        reliability_before=_reliability(fake, before),
        reliability_after=_reliability(fake, after),
        coverage=tuple(curve.coverage[shown].tolist()),
        risk=tuple(curve.risk[shown].tolist()),
        coverage_at_risk=curve.coverage_at(RISK),
        risk_area=curve.area,
        band=None if decision is None else _band_check(fake, after, decision, distances),
        thresholds=() if decision is None else _threshold_checks(fake, after, decision),
    )


def _reliability(fake: Truths, scores: Numbers) -> Reliability:
    curve = reliability_curve(fake, scores)
    return Reliability(
        mean_score=tuple(curve.mean_score.tolist()),
        fake_share=tuple(curve.fake_share.tolist()),
        low=tuple(curve.low.tolist()),
        high=tuple(curve.high.tolist()),
        count=tuple(curve.count.tolist()),
    )


def _band_check(fake: Truths, scores: Numbers, decision: Decision, distances: npt.ArrayLike | None) -> BandCheck:
    band = decision.band
    far = np.full(len(scores), np.nan) if distances is None else np.asarray(distances, np.float64)
    pairs = zip(scores.tolist(), far.tolist(), strict=True)
    judged = [decision.judge(score, {"embedding_distance": distance}) for score, distance in pairs]
    verdicts = np.array([each.verdict for each in judged])
    return BandCheck(
        low=band.low,
        high=band.high,
        decided=float((verdicts != "cannot tell").mean()),
        false_alarms=float((verdicts[~fake] == "fake").mean()),
        misses=float((verdicts[fake] == "real").mean()),
        wanted=(band.false_alarm_rate, band.miss_rate),
        unusual=None if distances is None else float(np.mean([bool(each.unusual) for each in judged])),
    )


def _threshold_checks(fake: Truths, scores: Numbers, decision: Decision) -> tuple[ThresholdCheck, ...]:
    return tuple(
        ThresholdCheck(
            wanted=each.wanted,
            value=each.value,
            false_alarms=float((scores[~fake] > each.value).mean()),
            hits=float((scores[fake] > each.value).mean()),
            promised=each.enough,
        )
        for each in decision.thresholds
    )
