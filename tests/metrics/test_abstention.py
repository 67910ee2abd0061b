from __future__ import annotations

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffdv.errors import MetricError
from ffdv.metrics import abstention
from ffdv.metrics.abstention import (
    AbstentionBand,
    abstention_band,
    false_alarm_threshold,
    groups_needed,
    risk_coverage,
)
from ffdv.metrics.calibration import sigmoid

quick = settings(max_examples=25, deadline=None)


def drawn(rng: np.random.Generator, num_groups: int, per_group: int, shift: float) -> tuple[np.ndarray, np.ndarray]:
    """Scores of clips of one class, alike within a group, and their groups."""
    groups = np.repeat(np.arange(num_groups), per_group)
    return sigmoid(shift + rng.normal(size=num_groups)[groups] + 0.3 * rng.normal(size=len(groups))), groups


def test_the_examples_in_the_docs_hold() -> None:
    assert doctest.testmod(abstention).failed == 0


@pytest.mark.slow
@pytest.mark.parametrize(("num_groups", "per_group", "shift"), [(40, 1, 1.0), (40, 8, 0.2), (25, 5, 6.0), (19, 3, 1.0)])
def test_the_promise_holds_for_clips_of_new_people(num_groups: int, per_group: int, shift: float) -> None:
    """Mistakes on one clip of a new person, averaged over many development sets, stay within the rates.

    With one clip a person and no ties the rate is also nearly used up: the band is no wider than it must be.
    """
    rng = np.random.default_rng(7)
    alarms = misses = 0.0
    rounds = 1000
    for _ in range(rounds):
        reals, real_groups = drawn(rng, num_groups, per_group, -shift)
        fakes, fake_groups = drawn(rng, num_groups, per_group, shift)
        band = abstention_band(
            np.repeat([0, 1], [len(reals), len(fakes)]),
            np.append(reals, fakes),
            false_alarm_rate=0.1,
            miss_rate=0.05,
            groups=np.append(real_groups, fake_groups + num_groups),
        )
        alarms += (drawn(rng, 50, 1, -shift)[0] > band.high).mean() / rounds
        misses += (drawn(rng, 50, 1, shift)[0] < band.low).mean() / rounds

    slack = 3 * np.sqrt(0.1 * 0.9 / rounds / 5)
    assert alarms <= 0.1 + slack
    assert misses <= 0.05 + slack
    if shift == 1.0 and per_group == 1:
        assert alarms >= 0.1 - 1 / num_groups - slack
        assert misses >= 0.05 - 1 / num_groups - slack


@pytest.mark.slow
def test_without_groups_the_promise_would_break_for_new_people() -> None:
    """Why groups are asked for: a hundred clips of three people are not a hundred observations."""
    rng = np.random.default_rng(8)
    alarms = {True: 0.0, False: 0.0}
    for _ in range(1000):
        reals, owners = drawn(rng, 20, 20, 0.0)
        labels, scores = np.append(np.zeros(400), 1), np.append(reals, 1.0)
        for grouped in alarms:
            threshold = false_alarm_threshold(
                labels, scores, rate=0.05, groups=np.append(owners, 99) if grouped else None
            )
            alarms[grouped] += (drawn(rng, 50, 1, 0.0)[0] > threshold.value).mean() / 1000

    assert alarms[True] <= 0.055
    assert alarms[False] > 0.06


def test_the_band_is_two_order_statistics_when_every_clip_stands_alone() -> None:
    """By hand: with 99 reals and 5 %, the 95th smallest; with 39 fakes and 10 %, the 4th smallest."""
    reals, fakes = np.linspace(0.01, 0.6, 99), np.linspace(0.3, 0.99, 39)
    labels = np.repeat([0, 1], [99, 39])
    shuffled = np.random.default_rng(0).permutation(138)

    band = abstention_band(labels[shuffled], np.append(reals, fakes)[shuffled], miss_rate=0.1)

    assert (band.low, band.high) == pytest.approx((fakes[3], reals[94]))
    assert (band.num_real_groups, band.num_fake_groups) == (99, 39)


def test_a_band_between_classes_that_lie_apart_holds_what_neither_class_does() -> None:
    band = abstention_band([0] * 99 + [1] * 99, [0.1] * 99 + [0.9] * 99)

    assert [band.verdict(score) for score in (0.05, 0.5, 0.95)] == ["real", "cannot tell", "fake"]


def test_with_too_few_clips_nothing_is_called() -> None:
    band = abstention_band([0] * 18 + [1] * 18, [0.1] * 18 + [0.9] * 18)

    assert (band.low, band.high) == (0.0, 1.0)
    assert [band.verdict(score) for score in (0.0, 0.5, 1.0)] == ["cannot tell"] * 3


@pytest.mark.parametrize("rate", [0.3, 0.05, 0.01, 1e-3])
def test_the_number_needed_is_just_enough(rate: float) -> None:
    needed = groups_needed(rate)
    for num_real in (needed - 1, needed):
        scores = np.append(np.linspace(0, 0.5, num_real), 1.0)

        threshold = false_alarm_threshold([0] * num_real + [1], scores, rate=rate)

        assert threshold.enough == (num_real == needed)
        assert (threshold.value, threshold.hits) == ((0.5, 1.0) if num_real == needed else (1.0, 0.0))


@quick
@given(st.integers(0, 10_000), st.floats(0, 1))
def test_widening_only_takes_verdicts_back(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    band = abstention_band(np.repeat([0, 1], 60), rng.random(120), false_alarm_rate=0.3, miss_rate=0.3)
    scores = rng.random(50)

    wide = band.widened(share)

    assert not (wide.decided(scores) & ~band.decided(scores)).any()
    for score in scores[wide.decided(scores)]:
        assert wide.verdict(score) == band.verdict(score)
    assert band.widened(0.0) == band
    assert not band.widened(1.0).decided(scores).any()


@quick
@given(st.integers(0, 10_000))
def test_decided_is_where_there_is_a_verdict(seed: int) -> None:
    rng = np.random.default_rng(seed)
    band = AbstentionBand(*sorted(rng.random(2)), 0.05, 0.05, 9, 9)
    scores = np.append(rng.random(20), [band.low, band.high, 0.0, 1.0])

    assert band.decided(scores).tolist() == [band.verdict(score) != "cannot tell" for score in scores]


def test_a_band_survives_json() -> None:
    band = AbstentionBand(0.2, 0.7, 0.05, 0.01, 120, 340)

    assert AbstentionBand.from_json(band.to_json()) == band
    with pytest.raises(MetricError, match="version 2"):
        AbstentionBand.from_json(band.to_json().replace('"version": 1', '"version": 2'))


@quick
@given(st.integers(0, 10_000), st.integers(2, 30))
def test_risk_and_coverage_agree_with_a_slow_count(seed: int, num_clips: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.append(rng.integers(0, 2, num_clips), [0, 1])
    scores = rng.integers(0, 11, num_clips + 2) / 10
    sureness = np.round(np.abs(scores - 0.5), 6)
    slow = []
    for least in np.unique(sureness)[::-1]:
        kept = sureness >= least
        slow.append((kept.mean(), ((scores > 0.5) != labels)[kept].mean()))

    curve = risk_coverage(labels, scores)

    np.testing.assert_allclose(np.stack([curve.coverage, curve.risk], axis=1), slow)
    assert curve.coverage_at(1.0) == 1.0
    assert curve.coverage_at(0.2) == max([share for share, risk in slow if risk <= 0.2], default=0.0)


def test_judging_only_the_sure_clips_is_safer() -> None:
    rng = np.random.default_rng(1)
    logits = 2 * rng.normal(size=5000)
    labels = rng.random(5000) < sigmoid(logits)

    curve = risk_coverage(labels, sigmoid(logits))

    assert curve.risk[-1] > 0.2
    assert curve.coverage_at(0.05) > 0.15
    assert curve.area < curve.risk[-1]


@pytest.mark.parametrize("rate", [0.0, 1.0, np.nan])
def test_an_error_rate_lies_inside_zero_and_one(rate: float) -> None:
    with pytest.raises(MetricError, match="inside"):
        abstention_band([0, 1], [0.1, 0.9], miss_rate=rate)
    with pytest.raises(MetricError, match="inside"):
        false_alarm_threshold([0, 1], [0.1, 0.9], rate=rate)


def test_nonsense_is_refused() -> None:
    with pytest.raises(MetricError, match="probabilities"):
        abstention_band([0, 1], [-3.0, 9.0])
    with pytest.raises(MetricError, match="one class"):
        abstention_band([1, 1], [0.1, 0.9])
    with pytest.raises(MetricError, match="as many groups"):
        abstention_band([0, 1], [0.1, 0.9], groups=["a"])
    with pytest.raises(MetricError, match="low <= high"):
        AbstentionBand(0.7, 0.2, 0.05, 0.05, 9, 9)
    with pytest.raises(MetricError, match="share in"):
        AbstentionBand(0.2, 0.7, 0.05, 0.05, 9, 9).widened(2.0)
