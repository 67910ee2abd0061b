"""The kind of calibration that is chosen: simple where that does, rich where it pays, judged on people not fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from ffdv.errors import MetricError
from ffdv.metrics.calibration import log_loss, sigmoid
from ffdv.metrics.calibration_choice import choose_calibration, grouped_folds


def test_well_made_logits_need_one_number_only() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 2, 800)
    labels = (rng.random(800) < sigmoid(truth)).astype(int)

    chosen = choose_calibration(labels, 3.0 * truth)

    assert chosen.calibration.kind == "temperature"
    assert chosen.calibration.slope == pytest.approx(1 / 3, rel=0.2)
    assert set(chosen.losses) == {"temperature", "platt"}


def test_logits_that_lean_to_one_side_get_an_intercept() -> None:
    rng = np.random.default_rng(1)
    truth = rng.normal(0, 2, 800)
    labels = (rng.random(800) < sigmoid(truth)).astype(int)

    chosen = choose_calibration(labels, truth + 2.0)

    assert chosen.calibration.kind == "platt"
    assert chosen.losses["platt"] < chosen.losses["temperature"] - 0.05


def test_many_clips_with_a_bent_curve_get_the_isotonic_map() -> None:
    rng = np.random.default_rng(2)
    logits = rng.uniform(-4, 4, 6000)
    labels = (rng.random(6000) < np.where(np.abs(logits) < 3, 0.5, sigmoid(3 * logits))).astype(int)

    chosen = choose_calibration(labels, logits)

    assert chosen.calibration.kind == "isotonic"
    assert chosen.losses["isotonic"] < chosen.losses["platt"]


def test_people_stay_whole_in_the_folds_and_both_classes_are_always_left() -> None:
    rng = np.random.default_rng(3)
    owner = rng.integers(0, 30, 300)
    fake = rng.random(300) < 0.3

    fold = grouped_folds(fake, np.unique(owner, return_inverse=True)[1], folds=5)

    assert fold is not None
    assert all(len(set(fold[owner == person].tolist())) == 1 for person in np.unique(owner))
    assert len(set(fold.tolist())) == 5
    assert all(len(set(fake[fold != number].tolist())) == 2 for number in range(5))


def test_with_one_person_a_class_nothing_can_be_tried_and_platt_is_taken() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])

    chosen = choose_calibration(labels, [-1.0, -2, 0, 1, 2, 0], groups=["a"] * 3 + ["b"] * 3)

    assert (chosen.calibration.kind, dict(chosen.losses)) == ("platt", {})


def test_one_class_is_refused() -> None:
    with pytest.raises(MetricError, match="one class"):
        choose_calibration([1, 1], [0.0, 1.0])


def test_the_losses_are_of_clips_that_the_map_did_not_see() -> None:
    """On noise a map fitted and judged on the same clips looks better than guessing; judged apart it cannot."""
    rng = np.random.default_rng(4)
    labels, logits = np.arange(40) % 2, rng.normal(0, 5, 40)

    chosen = choose_calibration(labels, logits)

    assert min(chosen.losses.values()) > log_loss(labels, chosen.calibration.apply(logits)) - 0.02
    assert chosen.losses["platt"] >= np.log(2) - 0.01
