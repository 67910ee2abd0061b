"""One probability of several senses: monotonic, whole without any of them, and promised only where it was measured."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffdv.detect.fusion import Fusion, bent, set_name
from ffdv.detect.senses import SENSES, SenseName, SenseOpinion
from ffdv.errors import MetricError
from ffdv.metrics.abstention import AbstentionBand

BAND = AbstentionBand(0.3, 0.8, 0.05, 0.1, 40, 50)
WIDE = AbstentionBand(0.1, 0.9, 0.05, 0.1, 40, 50)
SHARES = st.floats(0.01, 0.99)


def fusion(bend: str = "softplus", **offsets: float) -> Fusion:
    weights: dict[SenseName, float] = {"voice": 1.0, "picture": 0.5, "agreement": 0.8}
    return Fusion(bend, weights, {"all": -1.0, **offsets}, {"all": BAND, "voice": WIDE})  # type: ignore[arg-type]


def opinion(sense: SenseName, probability: float) -> SenseOpinion:
    return SenseOpinion(sense, 0.0, probability, np.zeros((0, 2)), np.zeros(0))


@given(SHARES, SHARES, SHARES, st.sampled_from(SENSES), st.sampled_from(["none", "softplus"]))
def test_more_suspicion_never_lowers_the_probability(
    voice: float, picture: float, agreement: float, sense: SenseName, bend: str
) -> None:
    shares: dict[SenseName, float] = {"voice": voice, "picture": picture, "agreement": agreement}

    more = {**shares, sense: min(0.99, shares[sense] + 0.1)}
    assert fusion(bend).probability(more) >= fusion(bend).probability(shares) - 1e-12


@given(SHARES, SHARES)
def test_softplus_with_unit_weights_is_a_noisy_or(first: float, second: float) -> None:
    total = bent(first, "softplus") + bent(second, "softplus")

    assert 1 - np.exp(-total) == pytest.approx(1 - (1 - first) * (1 - second))


def test_each_set_of_senses_has_its_own_offset_and_band() -> None:
    both = fusion(voice=0.5)

    assert both.probability({"voice": 0.5}) == pytest.approx(1 / (1 + np.exp(-(np.log(2) + 0.5))))
    assert both.fuse({"voice": opinion("voice", 0.5)}).band == WIDE
    assert both.fuse({"picture": opinion("picture", 0.5)}).band == BAND  # not fitted: that of all


def test_the_sense_that_adds_most_leads() -> None:
    fused = fusion().fuse({"voice": opinion("voice", 0.6), "picture": opinion("picture", 0.9)})

    assert fused.leading == "picture"
    assert fused.measured


def test_a_fusion_survives_its_file() -> None:
    assert Fusion.from_json(fusion(voice=0.25).to_json()) == fusion(voice=0.25)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 9}', "null"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(MetricError):
        Fusion.from_json(text)


def test_a_fusion_that_could_not_judge_every_set_is_refused() -> None:
    with pytest.raises(MetricError, match="weight"):
        Fusion("none", {"voice": 1.0}, {"all": 0.0}, {"all": BAND})
    with pytest.raises(MetricError, match="set 'all'"):
        Fusion("none", dict.fromkeys(SENSES, 1.0), {"voice": 0.0}, {"all": BAND})


def test_names_of_sets_do_not_depend_on_order() -> None:
    assert set_name(reversed(SENSES)) == "voice+picture+agreement"
