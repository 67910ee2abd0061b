"""Scores become verdicts: what was promised is kept, and what is unlike training is not judged."""

from __future__ import annotations

import doctest
import json

import numpy as np
import pytest

from ffdv.errors import MetricError
from ffdv.metrics import decision
from ffdv.metrics.calibration import Calibration, fit_platt, sigmoid
from ffdv.metrics.decision import Decision, SeenRange, fit_decision, fit_seen_range


def drawn(rng: np.random.Generator, people: int, clips: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, logits and people: clips of one person resemble each other."""
    person = np.repeat(np.arange(people), clips)
    labels = person % 2
    logits = 2.0 * labels - 1.0 + rng.normal(size=people)[person] + rng.normal(size=len(person))
    return labels, logits, person


def decide(seed: int = 0, **measures: np.ndarray) -> Decision:
    labels, logits, person = drawn(np.random.default_rng(seed), 120)
    seen = fit_seen_range(measures, num_clips=len(labels))
    return fit_decision(labels, sigmoid(logits), groups=person, seen=seen)


def test_the_examples_in_the_docs_hold() -> None:
    assert doctest.testmod(decision).failed == 0


def test_the_bands_promise_holds_though_the_calibration_was_fitted_on_the_same_clips() -> None:
    """Over draws of development people and a new person: false alarms and misses at most as wanted, on average."""
    alarms, misses = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        labels, logits, person = drawn(rng, 80)
        calibration = fit_platt(labels, logits)
        fitted = fit_decision(labels, calibration.apply(logits), groups=person)
        new_labels, new_logits, _ = drawn(rng, 40)
        scores = calibration.apply(new_logits)
        alarms.append((scores[new_labels == 0] > fitted.band.high).mean())
        misses.append((scores[new_labels == 1] < fitted.band.low).mean())

    assert np.mean(alarms) <= 0.05 + 2 * np.std(alarms) / np.sqrt(60)
    assert np.mean(misses) <= 0.05 + 2 * np.std(misses) / np.sqrt(60)
    assert np.mean(alarms) > 0.01  # not by calling nothing


def test_a_calibration_moves_the_scores_and_not_the_verdicts() -> None:
    labels, logits, person = drawn(np.random.default_rng(3), 100)
    flat, steep = Calibration(slope=0.3, kind="platt", intercept=1.0), Calibration(slope=3.0)

    one = fit_decision(labels, flat.apply(logits), groups=person)
    other = fit_decision(labels, steep.apply(logits), groups=person)

    verdicts = [
        [fitted.judge(score).verdict for score in calibration.apply(logits)]
        for fitted, calibration in ((one, flat), (other, steep))
    ]
    assert verdicts[0] == verdicts[1]
    assert len(set(verdicts[0])) == 3


def test_a_clip_unlike_training_is_decided_less_and_it_is_said_why() -> None:
    rng = np.random.default_rng(0)
    fitted = decide(sound_seconds=rng.uniform(2, 8, 200), sound_rate_hz=np.full(200, 16_000.0))

    usual = fitted.judge(0.999, {"sound_seconds": 4.0, "sound_rate_hz": 16_000.0})
    short = fitted.judge(0.999, {"sound_seconds": 1.5, "sound_rate_hz": 16_000.0})
    strange = fitted.judge(0.999, {"sound_seconds": 0.2, "sound_rate_hz": 8_000.0})

    assert (usual.verdict, usual.outside) == ("fake", ())
    assert usual.band.high < short.band.high < strange.band.high == 1.0
    assert strange.verdict == "cannot tell"
    assert strange.unusual[0].share == 1.0
    assert "training saw 16000 Hz" in " ".join(strange.outside)
    assert len(strange.outside) == 2


def test_what_is_not_known_of_a_clip_is_no_reason_to_doubt_it() -> None:
    fitted = decide(sound_seconds=np.linspace(2, 8, 100))

    assert fitted.judge(0.999).verdict == fitted.judge(0.999, {"sound_seconds": float("nan")}).verdict == "fake"
    assert fitted.judge(0.999, {"face_pixels": 3.0}).outside == ()


def test_one_odd_clip_in_training_does_not_make_odd_clips_usual() -> None:
    seconds = np.append(np.linspace(2, 8, 399), 0.01)

    assert fit_seen_range({"sound_seconds": seconds}, num_clips=400).low[0] >= 2.0


def test_measures_known_of_few_clips_say_nothing() -> None:
    rare = np.append(np.full(390, np.nan), np.linspace(1, 2, 10))

    assert fit_seen_range({"face_pixels": rare}, num_clips=400).names == ()


def test_shares_are_compared_by_distance_and_sizes_by_ratio() -> None:
    seen = SeenRange(("damaged_share", "face_pixels"), (0.0, 100.0), (0.0, 200.0), 100)

    assert seen.unusual({"damaged_share": 0.025})[0].share == pytest.approx(0.5)
    assert seen.unusual({"face_pixels": 50.0})[0].share == pytest.approx(1.0)  # as far below as the range is wide
    assert seen.unusual({"face_pixels": 800.0})[0].share == 1.0


def test_too_few_people_promise_nothing_and_so_nothing_is_called() -> None:
    labels, logits, person = drawn(np.random.default_rng(0), 16)

    fitted = fit_decision(labels, sigmoid(logits), groups=person)

    assert {fitted.judge(score).verdict for score in (0.0001, 0.5, 0.9999)} == {"cannot tell"}
    assert [each.enough for each in fitted.thresholds] == [False, False, False]


def test_thresholds_are_found_by_their_rate() -> None:
    fitted = decide()

    assert fitted.threshold(0.05).enough
    assert fitted.threshold(0.05).value <= fitted.threshold(0.01).value == 1.0
    with pytest.raises(MetricError, match=r"rate of 0.2; there are 0.05, 0.01, 0.001"):
        fitted.threshold(0.2)


def test_it_travels_as_json_and_refuses_what_it_does_not_know() -> None:
    fitted = decide(sound_seconds=np.linspace(2, 8, 100))

    assert Decision.from_json(fitted.to_json()) == fitted
    for wrong in ("", "[]", '{"version": 1}', fitted.to_json().replace('"low"', '"lowest"', 1)):
        with pytest.raises(MetricError):
            Decision.from_json(wrong)
    newer = json.loads(fitted.to_json()) | {"version": 9}
    with pytest.raises(MetricError, match="version 9"):
        Decision.from_json(json.dumps(newer))


def test_a_distance_is_unusual_above_its_range_only() -> None:
    seen = SeenRange().with_range("embedding_distance", 0.0, 1.0)

    shares = [
        sum(found.share for found in seen.unusual({"embedding_distance": distance}))
        for distance in (-3.0, 0.01, 1.0, 1.25, 2.0, 9.0)
    ]

    assert shares == pytest.approx([0.0, 0.0, 0.0, 0.25, 1.0, 1.0])
    assert "unlike what training saw: its distance is 1.2" in seen.unusual({"embedding_distance": 1.2})[0].text
    assert not seen.unusual({"embedding_distance": np.nan})
    assert not SeenRange().unusual({"embedding_distance": 9.0})
