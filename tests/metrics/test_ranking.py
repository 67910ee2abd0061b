from __future__ import annotations

import doctest
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffdv.errors import MetricError
from ffdv.metrics import ranking
from ffdv.metrics.ranking import (
    accuracy,
    average_precision,
    clopper_pearson,
    eer,
    lowest_fpr,
    precision_recall_curve,
    rank,
    reals_needed,
    roc_auc,
    roc_curve,
    tpr_at_fpr,
    weighted_average_precision,
    weighted_eer,
    weighted_roc_auc,
    weighted_tpr_at_fpr,
)

Labelled = tuple[list[int], list[float]]

# Few distinct scores, so that ties are the rule
labelled = (
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6)), min_size=2, max_size=40)
    .filter(lambda rows: len({label for label, _ in rows}) == 2)
    .map(lambda rows: ([label for label, _ in rows], [score / 6 for _, score in rows]))
)
quick = settings(max_examples=40, deadline=None)


def test_the_examples_in_the_docs_hold() -> None:
    assert doctest.testmod(ranking).failed == 0


@quick
@given(labelled)
def test_auc_is_the_share_of_pairs_in_the_right_order(data: Labelled) -> None:
    labels, scores = data
    pairs = [
        (fake > real) + 0.5 * (fake == real)
        for (a, real), (b, fake) in itertools.product(zip(*data, strict=True), repeat=2)
        if a == 0 and b == 1
    ]

    assert roc_auc(labels, scores) == pytest.approx(np.mean(pairs))


@quick
@given(labelled)
def test_ranking_metrics_agree_with_scikit_learn(data: Labelled) -> None:
    from sklearn.metrics import accuracy_score, average_precision_score, roc_auc_score

    labels, scores = data

    assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    assert average_precision(labels, scores) == pytest.approx(average_precision_score(labels, scores))
    assert accuracy(labels, scores) == pytest.approx(accuracy_score(labels, np.array(scores) > 0.5))


@quick
@given(labelled)
def test_curves_agree_with_scikit_learn(data: Labelled) -> None:
    from sklearn import metrics

    labels, scores = data
    false_alarms, hits, thresholds = metrics.roc_curve(labels, scores, drop_intermediate=False)
    precision, recall, _ = metrics.precision_recall_curve(labels, scores)

    ours, theirs = roc_curve(labels, scores), (false_alarms, hits, thresholds)
    for mine, other in zip((ours.false_alarms, ours.hits, ours.threshold), theirs, strict=True):
        np.testing.assert_allclose(mine, other)
    np.testing.assert_allclose(ours.misses, 1 - hits)
    np.testing.assert_allclose(precision_recall_curve(labels, scores).precision, precision[-2::-1])
    np.testing.assert_allclose(precision_recall_curve(labels, scores).recall, recall[-2::-1])


@quick
@given(labelled)
def test_eer_is_where_the_interpolated_curve_meets_the_diagonal(data: Labelled) -> None:
    labels, scores = data
    curve = roc_curve(labels, scores)
    # an independent road: walk the polyline in ten thousand steps by its length in (false alarms - hits)
    along = np.linspace(0, 1, 10_001)
    position = (curve.false_alarms + curve.hits) / 2
    false_alarms, hits = np.interp(along, position, curve.false_alarms), np.interp(along, position, curve.hits)
    nearest = np.argmin(np.abs(1 - hits - false_alarms))

    assert eer(labels, scores) == pytest.approx(false_alarms[nearest], abs=2e-4)


@quick
@given(labelled)
def test_only_the_order_of_scores_counts(data: Labelled) -> None:
    labels, scores = data
    stretched = 3 * np.array(scores) + 1

    for metric in (roc_auc, average_precision, eer):
        assert metric(labels, stretched) == metric(labels, scores)
    assert tpr_at_fpr(labels, stretched, fpr=0.2).tpr == tpr_at_fpr(labels, scores, fpr=0.2).tpr


@quick
@given(labelled)
def test_swapping_the_classes_and_the_sign_changes_nothing(data: Labelled) -> None:
    labels, scores = data
    swapped, turned = 1 - np.array(labels), -np.array(scores)

    assert roc_auc(swapped, turned) == pytest.approx(roc_auc(labels, scores))
    assert eer(swapped, turned) == pytest.approx(eer(labels, scores))
    assert roc_auc(labels, turned) == pytest.approx(1 - roc_auc(labels, scores))


@quick
@given(labelled, st.integers(0, 2**32 - 1))
def test_a_weight_is_a_clip_repeated(data: Labelled, seed: int) -> None:
    labels, scores = map(np.array, data)
    times = np.random.default_rng(seed).integers(0, 3, size=len(labels))
    times[[labels.argmin(), labels.argmax()]] += 1  # both classes stay
    weights = np.stack([times, np.ones_like(times)]).astype(np.float64)
    repeated = np.repeat(labels, times), np.repeat(scores, times)
    ranked = rank(labels, scores)

    for weighted, plain in [
        (weighted_roc_auc, roc_auc),
        (weighted_average_precision, average_precision),
        (weighted_eer, eer),
    ]:
        np.testing.assert_allclose(weighted(ranked, weights), [plain(*repeated), plain(labels, scores)], atol=1e-12)
    np.testing.assert_allclose(
        weighted_tpr_at_fpr(ranked, weights, fpr=0.3),
        [tpr_at_fpr(*repeated, fpr=0.3).tpr, tpr_at_fpr(labels, scores, fpr=0.3).tpr],
    )


def test_scores_without_information_are_at_chance() -> None:
    labels = [0, 1, 1, 0, 1]

    assert (roc_auc(labels, [0.3] * 5), eer(labels, [0.3] * 5), average_precision(labels, [0.3] * 5)) == (0.5, 0.5, 0.6)


def test_perfect_scores_are_perfect() -> None:
    labels, scores = [0, 0, 1], [0.1, 0.2, 0.9]

    assert (roc_auc(labels, scores), eer(labels, scores), average_precision(labels, scores)) == (1.0, 0.0, 1.0)
    assert tpr_at_fpr(labels, scores).tpr == 1.0


@quick
@given(labelled, st.floats(0.01, 0.9))
def test_tpr_at_fpr_is_the_best_threshold_that_keeps_the_rate(data: Labelled, rate: float) -> None:
    labels, scores = map(np.array, data)
    best = max(
        (scores[labels == 1] > threshold).mean()
        for threshold in [*scores, -1.0]
        if (scores[labels == 0] > threshold).mean() <= rate
    )

    result = tpr_at_fpr(labels, scores, fpr=rate)

    assert result.tpr == pytest.approx(best)
    assert (scores[labels == 0] > result.threshold).mean() <= rate
    assert result.low <= result.tpr <= result.high


def test_too_few_reals_are_named_with_the_number_that_is_needed() -> None:
    result = tpr_at_fpr([0] * 100 + [1] * 100, [*np.linspace(0, 0.5, 100), *np.linspace(0.6, 1, 100)])

    assert (result.tpr, result.enough, result.low) == (1.0, False, 0.0)
    assert result.warning == (
        "TPR at FPR 0.001 cannot be measured on 100 real clips: it takes 4,380 for the interval to leave zero"
    )


@pytest.mark.parametrize("rate", [1e-3, 0.01, 0.1])
def test_from_the_needed_number_of_reals_on_the_interval_leaves_zero(rate: float) -> None:
    needed = reals_needed(rate)
    fakes = list(np.linspace(2, 3, 50))

    enough = tpr_at_fpr([0] * needed + [1] * 50, [*np.linspace(0, 1, needed), *fakes], fpr=rate)
    short = tpr_at_fpr([0] * (needed - 1) + [1] * 50, [*np.linspace(0, 1, needed - 1), *fakes], fpr=rate)

    assert enough.enough
    assert not enough.warning
    assert enough.low > 0.85
    assert short.low == 0.0
    assert not short.enough


@pytest.mark.parametrize("num_real", [1, 16, 437, 4380])
def test_the_lowest_rate_that_reals_carry_needs_so_many_reals(num_real: int) -> None:
    lowest = lowest_fpr(num_real)

    assert reals_needed(lowest * (1 + 1e-9)) == num_real
    assert reals_needed(lowest * 0.99) > num_real


def test_clopper_pearson_agrees_with_scipy() -> None:
    from scipy.stats import binomtest

    for hits, trials in [(0, 7), (3, 7), (7, 7), (120, 1000)]:
        theirs = binomtest(hits, trials).proportion_ci(0.95, method="exact")
        assert clopper_pearson(hits, trials) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.slow
def test_tpr_intervals_hold_their_confidence() -> None:
    """At least 95 % of intervals hold the true rate, be there few reals or many."""
    from scipy.special import ndtr, ndtri

    rng = np.random.default_rng(5)
    for num_real, rate in [(200, 0.05), (2000, 0.01), (5000, 1e-3)]:
        truth = ndtr(2.0 - ndtri(1 - rate))
        labels = np.repeat([0, 1], [num_real, 300])
        held = 0
        for _ in range(400):
            result = tpr_at_fpr(labels, rng.normal(size=len(labels)) + 2.0 * labels, fpr=rate)
            held += result.low <= truth <= result.high
        assert held >= 0.95 * 400


@pytest.mark.parametrize(
    ("labels", "scores", "message"),
    [
        ([1, 1], [0.1, 0.2], "2 clips, all fake"),
        ([0, 0], [0.1, 0.2], "all real"),
        ([], [], "one class"),
        ([0, 1, 2], [0.1, 0.2, 0.3], "must be 0"),
        ([0, None], [0.1, 0.2], "must be 0"),
        ([0, 1], [0.1], "1 scores need as many labels"),
        ([0, 1], [0.1, np.nan], "1 of 2 scores are not finite"),
        ([0, 1], [0.1, np.inf], "not finite"),
        ([0, 1], [0.1, None], "not finite|must be numbers"),
        ([0, 1], ["a", "b"], "must be numbers"),
        ([0, 1], [[0.1], [0.2]], "one number a clip"),
    ],
)
def test_undefined_numbers_are_refused(labels: list[int], scores: list[float], message: str) -> None:
    for metric in (roc_auc, average_precision, eer, accuracy, tpr_at_fpr, roc_curve, precision_recall_curve):
        with pytest.raises(MetricError, match=message):
            metric(labels, scores)


@pytest.mark.parametrize("rate", [0.0, 1.0, -1.0, np.nan])
def test_a_false_alarm_rate_lies_inside_zero_and_one(rate: float) -> None:
    with pytest.raises(MetricError, match="inside"):
        tpr_at_fpr([0, 1], [0.1, 0.2], fpr=rate)


def test_the_room_needs_numpy_alone_to_import() -> None:
    """Base detection applies a calibration: scikit-learn may be absent, and scipy would cost import time."""
    import subprocess
    import sys

    code = (
        "import sys; import ffdv.metrics.ranking, ffdv.metrics.calibration, ffdv.metrics.abstention, "
        "ffdv.metrics.uncertainty, ffdv.metrics.localisation; "
        "print(sorted({'scipy', 'sklearn', 'torch', 'pandas'} & {name.split('.')[0] for name in sys.modules}))"
    )

    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("fpr", [0, 0.0, 1.0, 5, float("nan")])
def test_a_rate_outside_zero_and_one_is_refused(fpr: float) -> None:
    with pytest.raises(MetricError, match=r"fpr must lie inside \(0, 1\), got"):
        ranking.reals_needed(fpr)
    with pytest.raises(MetricError, match=r"fpr must lie inside \(0, 1\), got"):
        ranking.tpr_at_fpr([0, 1], [0.1, 0.9], fpr=fpr)


def test_a_confidence_in_percent_is_refused_with_what_it_should_be() -> None:
    with pytest.raises(MetricError, match=r"95 percent is 0\.95"):
        ranking.reals_needed(0.01, confidence=95)
    with pytest.raises(MetricError, match=r"95 percent is 0\.95"):
        ranking.lowest_fpr(100, confidence=95)


@pytest.mark.parametrize(("hits", "trials"), [(3, 2), (-1, 2), (0, 0)])
def test_more_hits_than_trials_have_no_bounds(hits: int, trials: int) -> None:
    with pytest.raises(MetricError, match=f"got {hits} hits in {trials} trials"):
        ranking.clopper_pearson(hits, trials)
