"""Shortcuts that only know a few people do not condemn a net; real ones do, however few the people."""

from __future__ import annotations

import numpy as np
import pytest

from ffdv.training.shortcuts import AuditLine, audit_line

PROBES, CLIPS = 30, 15


def line_of(rng: np.random.Generator, people: int, *, leak: float = 0.0) -> AuditLine:
    """Probes with a part of each person's own, which all of its clips share; labels by person; `leak` of a label in one probe."""
    own = np.repeat(np.arange(people), CLIPS)
    labels = own % 2
    probes = {f"probe{at}": 0.7 * rng.normal(size=people)[own] + rng.normal(size=len(own)) for at in range(PROBES)}
    probes["level_db"] = rng.normal(size=len(own)) + leak * labels
    return audit_line(labels, probes, groups=[f"person{one}" for one in own.tolist()], net_auc=0.6)


@pytest.mark.parametrize("people", [10, 20])
def test_probes_that_know_only_people_condemn_no_net(people: int) -> None:
    """Said of 98 % of such folders while 300 clips of 20 people counted as 300."""
    rng = np.random.default_rng(people)

    lines = [line_of(rng, people) for _ in range(12)]

    assert sum("do not believe" in line.text for line in lines) <= 3
    assert np.mean([line.best_auc or 0.0 for line in lines]) > 0.65
    assert all("luck alone lifts" in line.text for line in lines if "do not believe" not in line.text)


def test_a_shortcut_shows_beside_louder_people() -> None:
    """Its AUC is no higher than that of probes which know people, but no person's part is in it."""
    line = line_of(np.random.default_rng(1), 20, leak=0.9)

    assert 0.65 < (line.best_auc or 0.0) < 0.85
    assert "do not believe its score" in line.text


@pytest.mark.parametrize("people", [4, 6])
def test_a_shortcut_of_two_or_three_a_class_is_not_put_down_to_luck(people: int) -> None:
    """Nothing can be told from recognising these, and that speaks against the net too."""
    line = line_of(np.random.default_rng(0), people, leak=4.0)
    enough = line_of(np.random.default_rng(0), 10, leak=4.0)

    assert line.undecided
    assert "either may only recognise these, do not believe its score" in line.text
    assert "luck" not in line.text
    assert not enough.undecided
    assert "no more than they say, do not believe its score" in enough.text
