from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffdv.errors import MetricError
from ffdv.metrics import ranking
from ffdv.metrics.calibration import sigmoid
from ffdv.metrics.uncertainty import (
    METRICS,
    Difference,
    Estimate,
    bootstrap,
    compare,
    compare_delong,
    delong,
    enough_reals,
    share_above,
    tpr_metric,
)

quick = settings(max_examples=25, deadline=None)
Data = tuple[np.ndarray, np.ndarray, np.ndarray]


def draw(rng: np.random.Generator, *, people: int, clips: int, apart: float, alike: float) -> Data:
    """Labels, scores, groups: `people` a class with `clips` each; `alike` is the share of variance that a person makes."""
    groups = np.repeat(np.arange(2 * people), clips)
    labels = (groups >= people).astype(int)
    own = np.sqrt(1 - alike) * rng.normal(size=len(groups))
    return labels, apart * labels + np.sqrt(alike) * rng.normal(size=2 * people)[groups] + own, groups


def true_auc(apart: float) -> float:
    from scipy.special import ndtr

    return float(ndtr(apart / np.sqrt(2)))


def share_held(
    interval: Callable[[Data], Estimate | Difference], truth: float, *, rounds: int, seed: int = 0, **design: float
) -> float:
    rng = np.random.default_rng(seed)
    estimates = [interval(draw(rng, **design)) for _ in range(rounds)]  # type: ignore[arg-type]
    return float(np.mean([estimate.low <= truth <= estimate.high for estimate in estimates]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("people", "clips", "apart", "alike"), [(50, 1, 1.0, 0.0), (40, 1, 2.0, 0.0), (25, 4, 1.0, 0.5)]
)
def test_bootstrap_intervals_hold_their_confidence(people: int, clips: int, apart: float, alike: float) -> None:
    """Ninety-five in a hundred intervals, give or take two, hold the true AUC."""
    held = share_held(
        lambda data: bootstrap(data[0], data[1], groups=data[2], resamples=300),
        true_auc(apart), rounds=500, people=people, clips=clips, apart=apart, alike=alike,
    )  # fmt: skip

    assert 0.93 <= held <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(
    ("people", "clips", "apart", "alike"), [(80, 1, 1.0, 0.0), (40, 1, 2.5, 0.0), (25, 4, 1.0, 0.5), (30, 3, 2.0, 0.6)]
)
def test_delong_intervals_hold_their_confidence(people: int, clips: int, apart: float, alike: float) -> None:
    held = share_held(
        lambda data: delong(data[0], data[1], groups=data[2]),
        true_auc(apart), rounds=1000, people=people, clips=clips, apart=apart, alike=alike,
    )  # fmt: skip

    assert 0.93 <= held <= 0.97


@pytest.mark.slow
def test_intervals_over_clips_are_too_narrow_when_people_are_alike() -> None:
    """Why groups are asked for: the same clips, counted as if independent, hold the truth far too seldom."""
    held = share_held(
        lambda data: delong(data[0], data[1]), true_auc(1.0), rounds=400, people=20, clips=10, apart=1.0, alike=0.6
    )

    assert held < 0.7


@pytest.mark.slow
def test_equal_models_are_told_apart_five_times_in_a_hundred() -> None:
    """Two models with the same true AUC: p falls below 0.05 in 5 % of trials, for both tests."""
    rng = np.random.default_rng(3)
    found = {"bootstrap": 0, "delong": 0}
    for _ in range(300):
        labels, shared, groups = draw(rng, people=30, clips=3, apart=1.5, alike=0.4)
        noise = 0.7 * rng.normal(size=(2, 60))[:, groups]
        found["delong"] += compare_delong(labels, shared + noise[0], shared + noise[1], groups=groups).p_value < 0.05
        found["bootstrap"] += (
            compare(labels, shared + noise[0], shared + noise[1], groups=groups, resamples=200).p_value < 0.05
        )

    assert 0.02 <= found["delong"] / 300 <= 0.075
    assert 0.02 <= found["bootstrap"] / 300 <= 0.075


@quick
@given(st.integers(0, 10_000), st.sampled_from(sorted(METRICS)), st.booleans(), st.sampled_from(["bca", "percentile"]))
def test_an_interval_holds_its_number_and_stays_in_range(seed: int, metric: str, grouped: bool, method: str) -> None:
    rng = np.random.default_rng(seed)
    labels, logits, groups = draw(rng, people=12, clips=3, apart=1.0, alike=0.3)

    bounds = replace(METRICS[metric], fewest_reals=0)
    estimate = bootstrap(
        labels, sigmoid(logits), metric=bounds, groups=groups if grouped else None, resamples=200, method=method
    )

    assert bounds.lowest <= estimate.low <= estimate.high <= bounds.highest
    assert estimate.low - 0.02 <= estimate.value <= estimate.high + 0.02
    assert estimate.num_groups == (12 if grouped else 36)


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("auc", ranking.roc_auc),
        ("eer", ranking.eer),
        ("average_precision", ranking.average_precision),
        ("accuracy", ranking.accuracy),
    ],
)
def test_the_number_is_the_metrics_own(name: str, plain: Callable[..., float]) -> None:
    labels, logits, _ = draw(np.random.default_rng(0), people=50, clips=1, apart=1.0, alike=0.0)

    assert bootstrap(labels, sigmoid(logits), metric=name, resamples=20).value == pytest.approx(
        plain(labels, sigmoid(logits))
    )


def test_resampling_agrees_with_a_slow_bootstrap() -> None:
    """Independent reference: draw groups one by one and recompute the AUC of the repeated clips."""
    labels, scores, groups = draw(np.random.default_rng(1), people=15, clips=4, apart=1.0, alike=0.5)
    rng = np.random.default_rng(2)
    slow = []
    for _ in range(1500):
        drawn = np.concatenate([rng.integers(0, 15, 15), rng.integers(15, 30, 15)])
        clips = np.concatenate([np.flatnonzero(groups == group) for group in drawn])
        slow.append(ranking.roc_auc(labels[clips], scores[clips]))

    ours = bootstrap(labels, scores, groups=groups, resamples=4000, method="percentile", confidence=0.9)

    # few groups widen our quantiles a little: from the 5th to the 3.9th in a hundred
    assert (ours.low, ours.high) == pytest.approx(tuple(np.quantile(slow, [0.039, 0.961])), abs=0.015)


def test_delong_agrees_with_the_definition() -> None:
    """Independent reference: structural components by comparing every pair (DeLong 1988, equations 5 and 6)."""
    labels, scores, _ = draw(np.random.default_rng(4), people=30, clips=1, apart=1.0, alike=0.0)
    reals, fakes = np.round(scores[labels == 0], 1), np.round(scores[labels == 1], 1)
    kernel = (fakes[:, None] > reals) + 0.5 * (fakes[:, None] == reals)
    variance = kernel.mean(axis=1).var(ddof=1) / 30 + kernel.mean(axis=0).var(ddof=1) / 30
    area = kernel.mean()
    from scipy.stats import t

    spread = t.ppf(0.975, 58) * np.sqrt(variance) / (area * (1 - area))
    middle = np.log(area / (1 - area))

    ours = delong(labels, np.round(scores, 1))

    assert ours.value == pytest.approx(area)
    assert (ours.low, ours.high) == pytest.approx((sigmoid(middle - spread), sigmoid(middle + spread)))


def test_paired_delong_agrees_with_the_definition() -> None:
    rng = np.random.default_rng(4)
    labels, first, _ = draw(rng, people=40, clips=1, apart=1.0, alike=0.0)
    second = first + rng.normal(size=len(first))
    parts = []
    for scores in (first, second):
        kernel = (scores[labels == 1][:, None] > scores[labels == 0]).astype(float)
        parts.append((kernel.mean(axis=1), kernel.mean(axis=0), kernel.mean()))
    over_fakes, over_reals = parts[1][0] - parts[0][0], parts[1][1] - parts[0][1]
    error = np.sqrt(over_fakes.var(ddof=1) / 40 + over_reals.var(ddof=1) / 40)
    from scipy.stats import t

    ours = compare_delong(labels, first, second)

    assert ours.value == pytest.approx(parts[1][2] - parts[0][2])
    assert ours.p_value == pytest.approx(2 * t.sf(abs(ours.value) / error, 78))
    assert ours.high - ours.value == pytest.approx(t.ppf(0.975, 78) * error)


def test_repeating_every_clip_of_a_person_teaches_nothing() -> None:
    """Ten copies of each clip, grouped: the same interval; ungrouped it would shrink by a factor of three."""
    labels, scores, groups = draw(np.random.default_rng(5), people=30, clips=1, apart=1.0, alike=0.0)
    many = [np.repeat(values, 10) for values in (labels, scores, groups)]

    once, copied = delong(labels, scores), delong(many[0], many[1], groups=many[2])

    assert (copied.low, copied.high) == pytest.approx((once.low, once.high))
    grouped = bootstrap(many[0], many[1], groups=many[2])
    assert (grouped.low, grouped.high) == pytest.approx((once.low, once.high), abs=0.02)
    alone = delong(many[0], many[1])
    assert (once.high - once.low) / (alone.high - alone.low) > 3


def test_people_with_real_and_fake_clips_are_drawn_whole() -> None:
    """Every person has one real and one fake clip that the net tells apart by a hair: the person's level cancels out."""
    rng = np.random.default_rng(6)
    level = 100 * rng.normal(size=200)
    labels, groups = np.tile([0, 1], 200), np.repeat(np.arange(200), 2)
    scores = np.repeat(level, 2) + labels * 1e-3

    paired, apart = delong(labels, scores, groups=groups), delong(labels, scores)

    assert paired.high - paired.low < (apart.high - apart.low) / 5
    drawn = bootstrap(labels, scores, groups=groups)
    assert drawn.high - drawn.low < (apart.high - apart.low) / 5


@pytest.mark.parametrize("interval", [bootstrap, delong])
def test_perfect_scores_are_not_certain(interval: Callable[..., Estimate]) -> None:
    """Ten of each class without a mistake allow a lower bound of (0.025)^(1/10)."""
    perfect = interval([0] * 10 + [1] * 10, np.linspace(0, 1, 20))
    wrong = interval([1] * 10 + [0] * 10, np.linspace(0, 1, 20))

    assert (perfect.value, perfect.high) == (1.0, 1.0)
    assert perfect.low == pytest.approx(0.025 ** (1 / 10))
    assert (wrong.value, wrong.low, wrong.high) == (0.0, 0.0, pytest.approx(1 - 0.025 ** (1 / 10)))


@pytest.mark.parametrize("interval", [bootstrap, delong])
def test_one_person_says_nothing(interval: Callable[..., Estimate]) -> None:
    lone = interval([0, 0, 1, 1], [0.1, 0.2, 0.3, 0.15], groups=["ann", "ann", "bob", "cat"])

    assert (lone.low, lone.high, lone.num_groups) == (0.0, 1.0, 1)
    assert lone.value == 0.75


def test_one_person_says_nothing_about_a_difference() -> None:
    data = [0, 0, 1, 1], [0.1, 0.2, 0.3, 0.15], [0.1, 0.2, 0.3, 0.4]

    for test in (compare, compare_delong):
        assert test(*data, groups=["ann", "ann", "bob", "cat"]).p_value == 1.0
        assert not test(*data, groups=["ann", "ann", "bob", "cat"]).significant


def test_clips_of_unknown_people_stand_alone() -> None:
    labels, scores, _ = draw(np.random.default_rng(7), people=20, clips=1, apart=1.0, alike=0.0)

    unknown = delong(labels, scores, groups=["", None, float("nan"), *[""] * 37])

    assert str(unknown) == str(delong(labels, scores))
    assert unknown.num_groups == 20


def test_the_same_seed_gives_the_same_interval() -> None:
    labels, scores, groups = draw(np.random.default_rng(7), people=20, clips=2, apart=1.0, alike=0.5)

    assert bootstrap(labels, scores, groups=groups, seed=5) == bootstrap(labels, scores, groups=groups, seed=5)
    assert bootstrap(labels, scores, groups=groups, seed=5) != bootstrap(labels, scores, groups=groups, seed=6)


def test_a_model_does_not_differ_from_itself() -> None:
    labels, scores, _ = draw(np.random.default_rng(8), people=30, clips=1, apart=1.0, alike=0.0)

    for test in (compare, compare_delong):
        assert test(labels, scores, 2 * scores + 1).value == 0.0
        assert test(labels, scores, 2 * scores + 1).p_value == 1.0


@pytest.mark.parametrize("name", sorted(METRICS))
def test_a_better_model_is_found(name: str) -> None:
    rng = np.random.default_rng(9)
    labels, good, groups = draw(rng, people=200, clips=2, apart=3.0, alike=0.2)
    metric = replace(METRICS[name], fewest_reals=0)
    poor = good + 4 * rng.normal(size=len(good))

    difference = compare(
        labels, sigmoid(poor - 1.5), sigmoid(2 * good - 3.0), metric=metric, groups=groups, resamples=200
    )

    better = -1 if name in {"eer", "log_loss", "brier", "ece"} else 1
    assert np.sign(difference.value) == better
    assert difference.significant
    assert difference.p_value < 0.02
    back = compare(labels, sigmoid(2 * good - 3.0), sigmoid(poor - 1.5), metric=metric, groups=groups, resamples=200)
    assert (back.value, back.low, back.high) == pytest.approx((-difference.value, -difference.high, -difference.low))


def test_an_estimate_reads_as_tables_show_it() -> None:
    assert str(Estimate(0.8123, 0.7, 0.9, 0.95, "delong", 30)) == "0.812 [0.700, 0.900]"


def test_another_false_alarm_rate_is_another_metric() -> None:
    labels, scores, _ = draw(np.random.default_rng(0), people=100, clips=1, apart=1.0, alike=0.0)

    ours = bootstrap(labels, scores, metric=tpr_metric(0.1), resamples=50)

    assert ours.value == pytest.approx(ranking.tpr_at_fpr(labels, scores, fpr=0.1).tpr)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(MetricError, match="unknown metric 'f1'; there are auc"):
        bootstrap([0, 1], [0.1, 0.9], metric="f1")
    with pytest.raises(MetricError, match="one class"):
        delong([1, 1], [0.1, 0.9])
    with pytest.raises(MetricError, match="same clips"):
        compare_delong([0, 1], [0.1, 0.9], [0.1, 0.9, 0.4])
    with pytest.raises(MetricError, match="labels"):
        compare([0, 1], [0.1, 0.9], [0.1, 0.9, 0.4])
    with pytest.raises(MetricError, match="as many groups"):
        bootstrap([0, 1], [0.1, 0.9], groups=["a"])
    with pytest.raises(MetricError, match="probabilities"):
        bootstrap([0, 1], [-1.0, 2.0], metric="brier")


@pytest.mark.parametrize("confidence", [95, 1.0, 0, -0.5, float("nan")])
def test_a_confidence_outside_zero_and_one_makes_no_interval(confidence: float) -> None:
    labels, scores = [0, 0, 1, 1], [0.1, 0.9, 0.2, 0.3]

    for measure in (bootstrap, delong):
        with pytest.raises(MetricError, match=r"confidence must lie inside \(0, 1\), got"):
            measure(labels, scores, confidence=confidence)
    for measure in (compare, compare_delong):
        with pytest.raises(MetricError, match=r"confidence must lie inside \(0, 1\), got"):
            measure(labels, scores, scores, confidence=confidence)


def test_settings_that_make_no_interval_are_refused() -> None:
    labels, scores = [0, 0, 1, 1], [0.1, 0.9, 0.2, 0.3]

    with pytest.raises(MetricError, match=r"got 95; 95 percent is 0\.95"):
        delong(labels, scores, confidence=95)
    with pytest.raises(MetricError, match="'bca2' is not known; choose one of bca, percentile"):
        bootstrap(labels, scores, method="bca2")  # type: ignore[arg-type]
    for few in (0, 1, 19):
        with pytest.raises(MetricError, match=f"resamples = {few} make no interval; ask for at least 20"):
            bootstrap(labels, scores, resamples=few)
        with pytest.raises(MetricError, match="ask for at least 20"):
            compare(labels, scores, scores, resamples=few)
    with pytest.raises(MetricError, match=r"fpr must lie inside \(0, 1\), got 0$"):
        tpr_metric(0.0)


def test_a_difference_reads_like_an_estimate() -> None:
    text = str(Difference(0.0512, -0.01, 0.11, 0.0312, 0.95, "delong-paired", 40))

    assert text == "+0.051 [-0.010, +0.110], p = 0.0312"


def test_a_rate_that_the_reals_cannot_carry_is_refused_with_how_many_it_takes() -> None:
    labels, scores = [0] * 100 + [1] * 50, np.linspace(0, 1, 150)

    with pytest.raises(MetricError, match="100 real clips, it takes 4,380"):
        bootstrap(labels, scores, metric="tpr_at_fpr")
    with pytest.raises(MetricError, match="100 real clips, it takes 437"):
        compare(labels, scores, scores, metric="tpr_at_fpr_0.01")
    assert bootstrap(labels, scores, metric="tpr_at_fpr_0.05", resamples=20).value == 1.0
    assert [enough_reals("tpr_at_fpr_0.05", num_real) for num_real in (85, 86)] == [False, True]


def test_a_share_above_a_threshold_is_what_counting_gives() -> None:
    labels, scores = np.array([0, 0, 0, 1, 1]), np.array([0.1, 0.6, 0.7, 0.6, 0.9])
    once = np.ones((1, 5))

    assert share_above(0.6, of_fakes=False).prepare(labels, scores)(once) == pytest.approx([1 / 3])
    assert share_above(0.6, of_fakes=True).prepare(labels, scores)(once) == pytest.approx([1 / 2])


def test_a_difference_of_areas_lies_between_minus_one_and_one() -> None:
    labels = [0, 0, 0, 1, 1, 1]

    found = compare_delong(labels, [0.0, 1, 2, 3, 4, 5], [5.0, 4, 1, 2, 3, 0])

    assert -1.0 <= found.low <= found.value <= found.high <= 1.0


@pytest.mark.parametrize("lone", ["both", "real", "fake"])
def test_a_group_that_is_alone_in_its_kind_is_not_taken_for_certain(lone: str) -> None:
    # 6 people with a real clip, 6 with a fake one, 6 with both; one kind has a single person, the only one called fake.
    people = {"real": [[0]], "fake": [[1]], "both": [[0, 1]]}
    kinds = [kind for kind in people for _ in range(1 if kind == lone else 6)]
    labels = [label for kind in kinds for label in people[kind][0]]
    groups = [f"{kind}{at}" for at, kind in enumerate(kinds) for _ in people[kind][0]]
    scores = [0.9 if group.startswith(lone) else 0.1 for group in groups]

    # Where one has both, it varies with the reals; the fakes keep their own stratum.
    estimate = bootstrap(labels, scores, metric=share_above(0.5, of_fakes=lone == "fake"), groups=groups)

    assert estimate.low == 0.0
    assert estimate.value < estimate.high <= 1.0


@pytest.mark.parametrize("clips", [134, 400])
def test_a_calibration_error_lies_within_its_own_interval(clips: int) -> None:
    """Resampling adds error of its own; BCa took that for a bias and put the interval beside the value."""
    rng = np.random.default_rng(clips)
    for _ in range(20):
        scores = rng.beta(2, 2, clips)
        labels = (rng.random(clips) < scores).astype(int)
        found = bootstrap(labels, scores, metric="ece", resamples=200)
        assert found.low <= found.value <= found.high
        assert 0.01 < found.high - found.low < 0.2


def test_a_share_of_reals_does_not_ask_how_many_fakes_there_are() -> None:
    labels, scores = np.array([0] * 300 + [1] * 28), np.array([0.1] * 300 + [0.9] * 28)

    found = bootstrap(labels, scores, metric=share_above(0.5, of_fakes=False), resamples=50)

    assert (found.value, found.low, found.num_groups) == (0.0, 0.0, 300)
    assert found.high == pytest.approx(1 - 0.025 ** (1 / 300))


def test_one_person_with_half_of_the_clips_is_no_crowd() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0] * 40 + [1] * 40)
    even = [f"p{k}" for k in range(80)]
    lopsided = [*even[:40], *["loud"] * 20, *even[60:]]
    scores = rng.normal(labels)

    crowd, few = (bootstrap(labels, scores, groups=groups, resamples=50) for groups in (even, lopsided))

    assert (crowd.num_groups, crowd.effective_groups, crowd.few) == (40, 40.0, False)
    assert few.num_groups == 21
    assert few.effective_groups == pytest.approx(40**2 / (20**2 + 20))
    assert few.few
