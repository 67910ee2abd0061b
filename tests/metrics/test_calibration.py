from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffdv.errors import MetricError
from ffdv.metrics import calibration
from ffdv.metrics.calibration import (
    FITS,
    Calibration,
    brier,
    ece,
    fit_isotonic,
    fit_platt,
    fit_temperature,
    log_loss,
    logit,
    reliability_curve,
    sigmoid,
)
from ffdv.metrics.ranking import roc_auc

quick = settings(max_examples=25, deadline=None)


def overconfident(
    num_clips: int, *, seed: int = 0, sure: float = 3.0, shift: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn by the true logit; the model says sure * logit + shift."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=num_clips) * 1.5
    return (rng.random(num_clips) < sigmoid(truth)).astype(int), sure * truth + shift


def test_the_examples_in_the_docs_hold() -> None:
    assert doctest.testmod(calibration).failed == 0


@quick
@given(st.integers(0, 10_000))
def test_losses_agree_with_scikit_learn(seed: int) -> None:
    from sklearn import metrics

    rng = np.random.default_rng(seed)
    labels, scores = np.append(rng.integers(0, 2, 20), [0, 1]), np.append(rng.random(20), [0.0, 1.0])

    assert log_loss(labels, scores) == pytest.approx(metrics.log_loss(labels, scores))
    assert brier(labels, scores) == pytest.approx(metrics.brier_score_loss(labels, scores))


@quick
@given(st.integers(0, 10_000))
def test_ece_agrees_with_a_count_by_hand(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels, scores = np.append(rng.integers(0, 2, 200), [0, 1]), np.append(rng.random(200), [0.0, 1.0])
    by_hand = 0.0
    for k in range(10):
        inside = (scores >= k / 10) & ((scores < (k + 1) / 10) | (k == 9))
        if inside.any():
            by_hand += inside.mean() * abs(scores[inside].mean() - labels[inside].mean())

    assert ece(labels, scores, bins=10) == pytest.approx(by_hand)


def test_the_reliability_curve_agrees_with_scikit_learn() -> None:
    from sklearn.calibration import calibration_curve

    labels, logits = overconfident(2000)
    scores = sigmoid(logits)
    share, mean = calibration_curve(labels, scores, n_bins=15)

    ours = reliability_curve(labels, scores)

    np.testing.assert_allclose(ours.fake_share, share)
    np.testing.assert_allclose(ours.mean_score, mean)
    assert ours.count.sum() == 2000
    assert (ours.low <= ours.fake_share).all()
    assert (ours.high >= ours.fake_share).all()


@pytest.mark.parametrize("kind", sorted(FITS))
def test_fitting_mends_an_overconfident_model_on_clips_it_did_not_see(kind: str) -> None:
    labels, logits = overconfident(4000, shift=0.0)
    new_labels, new_logits = overconfident(20_000, seed=1, shift=0.0)

    fitted = FITS[kind](labels, logits)

    before, after = sigmoid(new_logits), fitted.apply(new_logits)
    assert ece(new_labels, before) > 0.12
    assert ece(new_labels, after) < 0.03
    assert log_loss(new_labels, after) < log_loss(new_labels, before)
    assert (fitted.num_fake, fitted.num_real) == (labels.sum(), 4000 - labels.sum())


def test_temperature_finds_the_temperature_and_platt_the_line() -> None:
    labels, logits = overconfident(20_000)

    assert fit_temperature(*overconfident(20_000, shift=0.0)).slope == pytest.approx(1 / 3, rel=0.05)
    platt = fit_platt(labels, logits)
    assert platt.slope == pytest.approx(1 / 3, rel=0.05)
    assert platt.intercept == pytest.approx(-1 / 3, abs=0.05)


def test_platt_agrees_with_scikit_learn() -> None:
    from sklearn.calibration import _SigmoidCalibration

    labels, logits = overconfident(500)
    theirs = _SigmoidCalibration().fit(logits, labels)

    np.testing.assert_allclose(fit_platt(labels, logits).apply(logits), theirs.predict(logits), atol=1e-5)


def test_isotonic_agrees_with_scikit_learn() -> None:
    from sklearn.isotonic import IsotonicRegression

    labels, logits = overconfident(500)
    logits = np.round(logits, 1)  # ties
    theirs = IsotonicRegression(y_min=1 / 502, y_max=501 / 502, out_of_bounds="clip").fit(logits, labels)
    new = np.linspace(-20, 20, 777)

    np.testing.assert_allclose(fit_isotonic(labels, logits).apply(new), theirs.predict(new), atol=1e-9)


@quick
@given(st.integers(0, 10_000), st.sampled_from(sorted(FITS)), st.floats(0.001, 1000), st.integers(2, 40))
def test_every_fit_rises_stays_inside_and_survives_any_scale(
    seed: int, kind: str, scale: float, num_clips: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = np.append(rng.integers(0, 2, num_clips), [0, 1])
    logits = rng.normal(size=num_clips + 2).round(1) * scale

    fitted = FITS[kind](labels, logits)

    scores = fitted.apply(np.sort(np.append(logits, [-1e6, 1e6])))
    assert (np.diff(scores) >= 0).all()
    assert scores.min() > 0
    assert scores.max() < 1
    assert Calibration.from_json(fitted.to_json()) == fitted


@pytest.mark.parametrize("kind", ["temperature", "platt"])
def test_lines_keep_the_order_even_of_a_model_that_ranks_the_wrong_way(kind: str) -> None:
    labels, logits = overconfident(300)

    fitted = FITS[kind](labels, -logits)

    assert roc_auc(labels, fitted.apply(-logits)) == pytest.approx(roc_auc(labels, -logits))
    assert fitted.slope > 0


@pytest.mark.parametrize("kind", sorted(FITS))
def test_separable_scores_are_not_called_certain(kind: str) -> None:
    fitted = FITS[kind]([0] * 20 + [1] * 20, [-5.0] * 20 + [5.0] * 20)

    low, high = fitted.apply([-5.0, 5.0])
    assert 0.001 < low < 0.1
    assert 0.9 < high < 0.999


@pytest.mark.parametrize("kind", sorted(FITS))
def test_scores_that_never_differ_become_the_share_of_fakes_or_a_half(kind: str) -> None:
    fitted = FITS[kind]([0, 0, 0, 1] * 50, [0.0] * 200)

    assert fitted.apply([0.0])[0] == pytest.approx(0.5 if kind == "temperature" else 0.25, abs=0.01)


@pytest.mark.parametrize("kind", ["platt", "isotonic"])
def test_a_prior_moves_the_scores_to_where_they_will_be_used(kind: str) -> None:
    """Seven fakes in ten in development, one in two where the scores are used: the mean score follows."""
    rng = np.random.default_rng(2)
    labels = (rng.random(5000) < 0.7).astype(int)
    logits = rng.normal(size=5000) + 2 * labels
    balanced = np.concatenate([rng.permutation(logits[labels == k])[:1000] for k in (0, 1)])

    as_it_is = FITS[kind](labels, logits).apply(balanced).mean()
    moved = FITS[kind](labels, logits, fake_prior=0.5).apply(balanced).mean()

    assert as_it_is > 0.55
    assert moved == pytest.approx(0.5, abs=0.02)


def test_a_calibration_without_a_fit_is_the_sigmoid() -> None:
    logits = np.array([-30.0, -1.0, 0.0, 2.0])

    np.testing.assert_allclose(Calibration().apply(logits), np.clip(sigmoid(logits), 1e-6, None))


@quick
@given(st.floats(-13, 13))
def test_logit_and_sigmoid_undo_each_other(value: float) -> None:
    assert logit(sigmoid([value]))[0] == pytest.approx(value, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 99}',
        '{"version": 1, "kind": "platt"}',
        Calibration().to_json().replace("1.0", '"steep"'),
        Calibration().to_json().replace("1.0", "-1.0"),
        Calibration().to_json().replace("1.0", "NaN"),
        Calibration().to_json().replace("temperature", "pickle"),
        Calibration().to_json().replace('"knots": []', '"knots": [1.0]'),
        Calibration().to_json().replace('"slope"', '"__class__"'),
    ],
)
def test_a_foreign_calibration_is_refused(text: str) -> None:
    with pytest.raises(MetricError):
        Calibration.from_json(text)


@pytest.mark.parametrize(
    ("kind", "knots", "levels"),
    [
        ("isotonic", (), ()),
        ("isotonic", (0.0, 1.0), (0.9, 0.1)),
        ("isotonic", (1.0, 0.0), (0.1, 0.9)),
        ("platt", (1.0,), (1.0,)),
    ],
)
def test_a_map_that_falls_or_has_no_knots_is_refused(
    kind: str, knots: tuple[float, ...], levels: tuple[float, ...]
) -> None:
    with pytest.raises(MetricError):
        Calibration(kind=kind, knots=knots, levels=levels)


def test_logits_are_not_taken_for_probabilities() -> None:
    for metric in (log_loss, brier, ece, reliability_curve):
        with pytest.raises(MetricError, match="turn logits into probabilities"):
            metric([0, 1], [-1.0, 3.0])


@pytest.mark.parametrize("kind", sorted(FITS))
def test_a_fit_needs_both_classes_and_finite_logits(kind: str) -> None:
    with pytest.raises(MetricError, match="one class"):
        FITS[kind]([1, 1], [0.0, 1.0])
    with pytest.raises(MetricError, match="not finite"):
        FITS[kind]([0, 1], [0.0, np.inf])
    with pytest.raises(MetricError, match="fake_prior"):
        FITS[kind]([0, 1], [0.0, 1.0], fake_prior=1.0)
