"""One probability of several senses: monotonic, whole without any of them, and promised only where it was measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffdv.detect.fusion import Fusion, set_name, shipped_fusion, soft_maximum
from ffdv.detect.senses import SENSES, SenseName, SenseOpinion
from ffdv.errors import MetricError
from ffdv.metrics.abstention import AbstentionBand

BAND = AbstentionBand(0.3, 0.8, 0.05, 0.1, 40, 50)
WIDE = AbstentionBand(0.1, 0.9, 0.05, 0.1, 40, 50)
SHARES = st.floats(0.01, 0.99)


def fusion(sharpness: float = 2.0, **offsets: float) -> Fusion:
    return Fusion(sharpness, 0.8, {"all": -1.0, **offsets}, {"all": BAND, "voice": WIDE})


def opinion(sense: SenseName, probability: float) -> SenseOpinion:
    return SenseOpinion(sense, 0.0, probability, np.zeros((0, 2)), np.zeros(0))


@given(SHARES, SHARES, SHARES, st.sampled_from(SENSES), st.sampled_from([0.5, 1.0, 4.0]))
def test_more_suspicion_never_lowers_the_probability(
    voice: float, picture: float, agreement: float, sense: SenseName, sharpness: float
) -> None:
    shares: dict[SenseName, float] = {"voice": voice, "picture": picture, "agreement": agreement}

    more = {**shares, sense: min(0.99, shares[sense] + 0.1)}
    assert fusion(sharpness).probability(more) >= fusion(sharpness).probability(shares) - 1e-12


@given(SHARES, SHARES)
def test_the_soft_maximum_adds_odds_or_takes_the_largest(first: float, second: float) -> None:
    odds = [share / (1 - share) for share in (first, second)]

    assert soft_maximum([first, second], sharpness=1) == pytest.approx(np.log(sum(odds)))
    assert soft_maximum([first, second], sharpness=200) == pytest.approx(np.log(max(odds)), abs=0.01)


def test_each_set_of_senses_has_its_own_offset_and_band() -> None:
    both = fusion(voice=0.5)

    assert both.probability({"voice": 0.5}) == pytest.approx(1 / (1 + np.exp(-0.5)))
    assert both.fuse({"voice": opinion("voice", 0.5)}).band == WIDE
    assert both.fuse({"picture": opinion("picture", 0.5)}).band == BAND  # not fitted: that of all


def test_the_sense_that_suspects_most_leads() -> None:
    fused = fusion().fuse({"voice": opinion("voice", 0.6), "picture": opinion("picture", 0.9)})

    assert fused.leading == "picture"
    assert fused.measured


def test_a_sense_counts_as_far_as_it_is_trusted() -> None:
    doubted = replace(fusion(sharpness=1.0), trust={"agreement": 0.9})

    assert doubted.probability({"agreement": 1.0}) == pytest.approx(1 / (1 + np.exp(1 - 0.8 * np.log(9))))
    assert doubted.probability({"voice": 0.8}) == fusion(sharpness=1.0).probability({"voice": 0.8})
    opinions: dict[SenseName, SenseOpinion] = {"voice": opinion("voice", 0.95), "agreement": opinion("agreement", 1.0)}
    assert doubted.fuse(opinions).leading == "voice"


def test_a_fusion_survives_its_file() -> None:
    told = replace(fusion(voice=0.25), trust={"agreement": 0.9}, undecided={"all": 0.5, "voice": 0.25})

    assert Fusion.from_json(told.to_json()) == told


def test_how_often_clips_end_undecided_is_known_of_sound_and_of_videos() -> None:
    told = replace(fusion(), undecided={"all": 0.5, "voice": 0.25})

    assert told.fuse({"voice": opinion("voice", 0.5)}).undecided == 0.25
    assert told.fuse({"picture": opinion("picture", 0.5)}).undecided == 0.5
    assert fusion().fuse({"picture": opinion("picture", 0.5)}).undecided is None
    shipped = shipped_fusion()
    assert shipped is not None
    assert 0 < shipped.undecided["voice"] < shipped.undecided["all"] < 1


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 9}', "null"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(MetricError):
        Fusion.from_json(text)


def test_a_fusion_that_could_not_judge_every_set_is_refused() -> None:
    with pytest.raises(MetricError, match="positive"):
        Fusion(0.0, 1.0, {"all": 0.0}, {"all": BAND})
    with pytest.raises(MetricError, match="trusts its senses"):
        replace(fusion(), trust={"agreement": 1.5})
    with pytest.raises(MetricError, match="set 'all'"):
        Fusion(1.0, 1.0, {"voice": 0.0}, {"all": BAND})


def test_names_of_sets_do_not_depend_on_order() -> None:
    assert set_name(reversed(SENSES)) == "voice+picture+agreement"
