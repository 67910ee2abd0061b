"""Clips of one person are one observation, however few people there are and whichever column names them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffdv.data.audit import audit_table
from ffdv.data.corpus import owners
from ffdv.data.probe_table import Fingerprints, ProbeTable
from ffdv.data.probe_tests import least_p_value
from ffdv.records import Clip
from ffdv.sentences import worded

FACTS, CLIPS = 20, 20


def own_microphones(
    rng: np.random.Generator, people: int, column: str, *, leak: float = 0.0, named: float = 1.0
) -> ProbeTable:
    """So many people of each class, all of whose clips share half of every fact's variance; the label is a coin a person."""
    own = np.repeat(np.arange(2 * people), CLIPS)
    fake = rng.permutation(np.arange(2 * people) % 2)[own]
    facts = 0.7 * rng.normal(size=(2 * people, FACTS))[own] + 0.7 * rng.normal(size=(len(own), FACTS))
    facts[:, 0] += leak * fake
    told = rng.random(len(own)) < named
    clips = tuple(
        Clip(f"{at}", Path("x"), int(fake[at]), None, {column: f"p{own[at]}"} if told[at] else {})
        for at in range(len(own))
    )
    none = Fingerprints(np.zeros((len(own), 240), bool), np.zeros(len(own), bool))
    return ProbeTable(clips, {f"fact {at}": facts[:, at] for at in range(FACTS)}, {}, none, none)


@pytest.mark.parametrize(("people", "column"), [(9, "identity"), (5, "identity"), (12, "source"), (4, "source")])
def test_few_people_with_microphones_of_their_own_are_not_accused(people: int, column: str) -> None:
    rng = np.random.default_rng(people)

    reports = [audit_table(own_microphones(rng, people, column), together=False, seed=seed) for seed in range(40)]

    # 4 % are promised; all 40 were accused when clips were shuffled one by one.
    assert sum(not report.clean for report in reports) <= 5
    assert {report.groups_by for report in reports} == {column}


def test_a_clear_leak_shows_with_five_people_a_class() -> None:
    rng = np.random.default_rng(0)

    reports = [audit_table(own_microphones(rng, 5, "identity", leak=4.0), together=False) for _ in range(20)]

    assert all("fact 0" in {fact.name for fact in report.found} for report in reports)


def test_three_people_a_class_decide_nothing_and_it_says_so() -> None:
    report = audit_table(own_microphones(np.random.default_rng(0), 3, "identity", leak=4.0))

    assert report.undecided
    assert not report.clean
    assert not report.found
    assert "none of 20 facts can be told from recognising these; the most outstanding: fact 0 (" in report.sentences[0]
    assert "无法与单纯认出这些取值区分开" in worded(report.sentences[0], "zh")


def test_unnamed_clips_make_the_verdict_careful() -> None:
    half = audit_table(own_microphones(np.random.default_rng(1), 12, "identity", named=0.5), together=False)
    none = audit_table(own_microphones(np.random.default_rng(1), 12, "identity", named=0.0), together=False)

    assert "clips name neither identity nor source" in half.sentences[0]
    assert "gives the label away, or only whose clips these are, " in half.sentences[1]
    assert "480 of 480 clips name neither identity nor source" in none.sentences[0]


def test_one_named_person_does_not_take_sources_apart() -> None:
    sources = [f"s{at % 12}" for at in range(1000)]

    assert owners(["ann", *[None] * 999], sources) == ("source", tuple(sources))
    assert owners([None, "", None], [None] * 3) == ("", None)
    by, values = owners(["ann", "bob", None, None], [None, None, None, "s0"])
    assert (by, values) == ("identity", ("ann", "bob", None, "source s0"))


def test_the_least_p_value_counts_arrangements() -> None:
    def least(real: int, fake: int) -> float:
        return least_p_value(np.arange(real + fake) < fake, np.arange(real + fake))

    assert least(3, 3) == pytest.approx(2 / 20)
    assert least(4, 4) == pytest.approx(2 / 70)
    assert least(3, 4) == pytest.approx(1 / 35)
    assert least(30, 1) == pytest.approx(1 / 31)
    # People of both classes: clips are shuffled within them.
    assert least_p_value(np.arange(40) % 2 == 1, np.repeat([0, 1], 20)) < 1e-3
