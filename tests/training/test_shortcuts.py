"""Planted shortcuts are named; where there are none, none is claimed."""

from __future__ import annotations

import numpy as np
import pytest

from ffdv.training.shortcuts import audit_line


def clips(num_clips: int = 120, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray], list[str]]:
    rng = np.random.default_rng(seed)
    labels = np.arange(num_clips) % 2
    probes = {name: rng.normal(size=num_clips) for name in ("duration_seconds", "level_db", "bit_rate")}
    return labels, probes, [f"person{index // 4}" for index in range(num_clips)]


def test_a_planted_shortcut_is_named_whichever_way_it_points() -> None:
    labels, probes, groups = clips()
    probes["trailing_silence_seconds"] = 0.02 - 0.01 * labels + 0.001 * probes["level_db"]

    line = audit_line(labels, probes, groups=groups, net_auc=0.99)

    assert line.best_probe == "trailing_silence_seconds"
    assert line.best_auc > 0.99
    assert line.all_auc > 0.99
    assert "do not believe its score" in line.text


def test_nothing_is_claimed_where_there_is_nothing() -> None:
    together = []
    for seed in range(8):
        labels, probes, groups = clips(seed=seed)
        line = audit_line(labels, probes, groups=groups, net_auc=0.9)
        together.append(line.all_auc)
        assert "do not believe" not in line.text

    assert np.mean(together) == pytest.approx(0.5, abs=0.08)


def test_a_probe_that_is_only_missing_in_fakes_is_a_shortcut() -> None:
    labels, probes, groups = clips()
    probes["picture_bit_rate"] = np.where(labels == 1, np.nan, 5.0 + probes["level_db"])

    line = audit_line(labels, probes, groups=groups)

    assert line.best_probe == "picture_bit_rate"
    assert line.all_auc > 0.95


def test_probes_that_only_know_the_person_do_not_pass_for_shortcuts() -> None:
    """Each person is wholly real or wholly fake: a random split would find the label through the person."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(12), 20)
    labels = person % 2
    voice = rng.normal(size=(12, 6))
    probes = {f"formant{k}": voice[person, k] + 0.01 * rng.normal(size=240) for k in range(6)}

    line = audit_line(labels, probes, groups=[f"p{number}" for number in person])

    assert line.all_auc < 0.8


@pytest.mark.parametrize("num_clips", [0, 8])
def test_few_clips_say_nothing(num_clips: int) -> None:
    labels, probes, groups = clips(num_clips)

    line = audit_line(labels, probes, groups=groups)

    assert line.best_auc is None
    assert "not measured" in line.text


def test_no_probes_say_nothing() -> None:
    labels, _, groups = clips()

    assert "no probes are stored" in audit_line(labels, {"empty": np.full(120, np.nan)}, groups=groups).text


def test_fingerprints_are_no_shortcut() -> None:
    """They know a clip, so they know its label: no fact about it."""
    labels = np.arange(40) % 2
    luck = np.random.default_rng(0).normal(size=40)

    line = audit_line(labels, {"fingerprint_sound_0": labels.astype(np.float64), "sound_dc": luck})

    assert (line.best_probe, line.num_probes) == ("sound_dc", 1)


def test_what_luck_alone_reaches_condemns_no_net() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 20)
    probes = {f"luck_{k}": rng.standard_normal(40) for k in range(24)}

    line = audit_line(labels, probes, net_auc=0.6)

    assert line.best_auc is not None
    assert 0.6 < line.best_auc < line.luck < 0.85
    assert "luck alone" in line.text
    assert "do not believe" not in line.text
    leak = audit_line(labels, {**probes, "leak": labels + 0.1 * rng.standard_normal(40)}, net_auc=0.6)
    assert "do not believe" in leak.text
