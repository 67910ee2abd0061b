"""What is said of probabilities and verdicts agrees with the metrics themselves, and goes into JSON as it is."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from ffdv.errors import MetricError
from ffdv.metrics.abstention import risk_coverage
from ffdv.metrics.calibration import Calibration, brier, ece, sigmoid
from ffdv.metrics.confidence import CURVE_POINTS, RISK, measure_confidence
from ffdv.metrics.decision import fit_decision


@pytest.fixture
def clips() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 2, 900)
    return (rng.random(900) < sigmoid(truth)).astype(int), 4.0 * truth


def test_before_and_after_are_the_metrics_of_raw_and_calibrated_scores(clips: tuple[np.ndarray, np.ndarray]) -> None:
    labels, logits = clips
    calibration = Calibration(slope=0.25)

    found = measure_confidence(labels, logits, calibration=calibration)

    assert found.ece_before == ece(labels, sigmoid(logits))
    assert found.ece_after == ece(labels, calibration.apply(logits)) < found.ece_before / 2
    assert found.brier_after == brier(labels, calibration.apply(logits)) < found.brier_before
    assert sum(found.reliability_after.count) == 900


def test_coverage_is_that_of_the_whole_curve_though_fewer_points_are_kept(clips: tuple[np.ndarray, np.ndarray]) -> None:
    labels, logits = clips
    whole = risk_coverage(labels, sigmoid(logits))

    found = measure_confidence(labels, logits, calibration=None)

    assert found.coverage_at_risk == whole.coverage_at(RISK)
    assert len(found.coverage) == len(found.risk) <= CURVE_POINTS
    assert (found.coverage[-1], found.risk[-1]) == (1.0, whole.risk[-1])
    assert list(found.coverage) == sorted(found.coverage)


def test_band_and_thresholds_are_counted_on_these_clips(clips: tuple[np.ndarray, np.ndarray]) -> None:
    labels, logits = clips
    scores = sigmoid(logits)
    decision = fit_decision(labels, scores)

    found = measure_confidence(labels, logits, calibration=None, decision=decision)

    assert found.band is not None
    called_fake = sum(decision.judge(score).verdict == "fake" for score in scores[labels == 0])
    assert found.band.false_alarms == pytest.approx(called_fake / (labels == 0).sum())
    assert found.band.false_alarms <= 0.05
    assert found.band.decided == pytest.approx(np.mean([decision.judge(s).verdict != "cannot tell" for s in scores]))
    assert [each.wanted for each in found.thresholds] == [0.05, 0.01, 0.001]
    assert [each.promised for each in found.thresholds] == [True, True, False]


def test_it_goes_into_json_whole(clips: tuple[np.ndarray, np.ndarray]) -> None:
    found = measure_confidence(*clips, calibration=None)

    assert json.loads(json.dumps(asdict(found)))["reliability_before"]["count"] == list(found.reliability_before.count)


def test_one_class_is_refused() -> None:
    with pytest.raises(MetricError, match="one class"):
        measure_confidence([1, 1], [0.0, 1.0], calibration=None)
