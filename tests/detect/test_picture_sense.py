"""The sense of picture: what is missing is said, each vote counts its way, the face that looks most forged decides."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffdv.detect.picture import (
    CROPS_A_SPAN,
    MOST_CROPS,
    PictureSense,
    chosen_crops,
    shipped_net,
    shipped_weights,
)
from ffdv.detect.picture_model import FAMILIES, MOST_UNISON, NET_SIDE, WEIGHTS, PastedNet, read_weights
from ffdv.detect.senses import Looked, SenseAbsent, SenseOpinion
from ffdv.detect.words import say
from ffdv.errors import CheckpointError
from ffdv.features.head import HeadTrack
from ffdv.features.unison import NUM_PARTS
from ffdv.records import FacesSeen, FaceTrack, Features, MediaFacts, PictureFacts

PICTURE = PictureFacts(0, "h264", 256, 256, 25.0, "yuv420p", 0, 1.0, 0.0, 4.0, None, 100)
FACTS = MediaFacts(Path("clip.mp4"), 1, "mp4", 4.0, None, (PICTURE,), (), encrypted=False, tags={})


def a_track(number: int = 0, *, seconds: float = 3.0, side: float = 140.0, detail: float = 10.0) -> FaceTrack:
    count = round(seconds * 8)
    rng = np.random.default_rng(number)
    coarse = np.repeat(np.repeat(rng.normal(size=(count, 28, 28, 1)), 8, axis=1), 8, axis=2)
    crops = np.clip(120 + detail * coarse, 0, 255).astype(np.uint8).repeat(3, axis=3)
    box = np.array([128 - side / 2, 128 - side / 2, 128 + side / 2, 128 + side / 2], np.float32)
    eyes = np.array([[98, 110], [158, 110], [128, 135], [104, 165], [152, 165]], np.float32)
    return FaceTrack(
        number,
        np.arange(count) / 8,
        np.tile(box, (count, 1)),
        np.tile(eyes, (count, 1, 1)),
        np.full(count, 0.9, np.float32),
        crops,
    )


def a_head(count: int = 75, *, unrest: float = 0.0, unison: float = 0.0) -> HeadTrack:
    """unrest: of a step, what is new in it; unison: grey levels that all of its skin wavers together, each part by 1 alone."""
    rng = np.random.default_rng(0)
    steps = np.sin(np.arange(count) / 25 * 5)[:, None, None] + unrest * rng.normal(size=(count, 2, 2))
    changes = np.full(count, 2.0, np.float32)
    colours = 120 + rng.normal(size=(count, NUM_PARTS + 1, 3)) + unison * rng.normal(size=(count, 1, 3))
    colours[:, NUM_PARTS] = 120  # a scene that stands still
    seconds, in_sight = np.arange(count) / 25, np.full(count, True)
    moves = (0.02 * steps).astype(np.float32)
    return HeadTrack(seconds, in_sight, moves, changes, changes / 8, colours.astype(np.float32))


def looked(*tracks: FaceTrack, head: HeadTrack | None = None) -> Looked:
    faces = FacesSeen(tracks, 24, 24 if tracks else 0, (256, 256))
    return Looked(Features(FACTS, None, faces=faces), head=head)


def judged(*tracks: FaceTrack, head: HeadTrack | None = None) -> SenseOpinion:
    opinion = PictureSense().judge(looked(*tracks, head=head))
    assert isinstance(opinion, SenseOpinion)
    return opinion


def numbers(**changed: float) -> dict[str, float]:
    return dict(shipped_weights().centre) | changed


@pytest.mark.parametrize(
    ("clip", "code"),
    [
        (Looked(Features(replace(FACTS, pictures=()), None)), "no_picture"),
        (Looked(Features(FACTS, None)), "no_picture"),
        (looked(), "no_face"),
        (looked(a_track(side=30.0)), "too_small_face"),
        (looked(a_track(seconds=0.5)), "too_short"),
    ],
)
def test_what_is_missing_is_said(clip: Looked, code: str) -> None:
    absent = PictureSense().judge(clip)

    assert isinstance(absent, SenseAbsent)
    assert absent.code == code
    assert absent.text[0].islower()


def test_a_face_has_an_opinion_for_each_second_and_a_map() -> None:
    opinion = judged(a_track(), head=a_head())

    assert opinion.spans.tolist() == [[0, 1], [1, 2], [2, 3]]
    assert ((opinion.span_probabilities > 0) & (opinion.span_probabilities < 1)).all()
    assert opinion.activation is not None
    assert opinion.activation.shape == (10, 10)
    assert opinion.track_id == 0
    assert 0 <= (opinion.activation_seconds or 0) < 3
    assert opinion.probability == pytest.approx(1 / (1 + math.exp(-opinion.logit)))


def test_the_same_clip_gives_the_same_opinion() -> None:
    one, other = judged(a_track(), head=a_head()), judged(a_track(), head=a_head())

    assert one.logit == other.logit
    assert (one.span_probabilities == other.span_probabilities).all()


def test_the_face_that_looks_most_forged_decides() -> None:
    alone = [judged(a_track(k, detail=detail)).logit for k, detail in ((0, 3.0), (1, 30.0))]

    both = judged(a_track(0, detail=3.0), a_track(1, detail=30.0))

    assert alone[0] != alone[1]
    assert both.track_id == int(np.argmax(alone))
    assert both.logit == pytest.approx(max(alone))
    assert set(both.track_probabilities) == {0, 1}


def votes(opinion: SenseOpinion) -> dict[str, Any]:
    """Each trait's vote, None where it was not measured."""
    return {one.code: one.vote for one in opinion.traits}


def test_its_traits_are_all_that_its_score_is_made_of_the_heaviest_first() -> None:
    opinion, weights = judged(a_track(), head=a_head()), shipped_weights()

    assert opinion.traits[0].code == "pasted"
    assert set(votes(opinion)) == set(WEIGHTS)
    score = sum(WEIGHTS[one.code] * (one.vote or 0.0) for one in opinion.traits)
    assert opinion.logit == pytest.approx(weights.slope * score + weights.offset)
    assert {one.code: one.usual for one in opinion.traits} == weights.usual


@pytest.mark.parametrize("family", FAMILIES)
def test_every_trait_has_a_name_in_both_languages(family: str) -> None:
    assert say(f"trait_{family}", "en") != say(f"trait_{family}", "zh")


def test_motion_is_of_the_face_that_leads_and_a_restless_head_speaks_for_a_camera() -> None:
    smooth, rough = judged(a_track(), head=a_head()), judged(a_track(), head=a_head(unrest=1.0))

    assert smooth.logit > rough.logit
    assert votes(smooth)["motion"] > votes(rough)["motion"]
    assert votes(judged(a_track()))["motion"] is None


def test_a_face_whose_colours_waver_together_speaks_for_drawing() -> None:
    filmed, drawn = judged(a_track(), head=a_head()), judged(a_track(), head=a_head(unison=3.0))

    assert votes(drawn)["unison"] > votes(filmed)["unison"] + 1
    assert drawn.logit > filmed.logit
    assert votes(judged(a_track()))["unison"] is None
    assert [one.code for one in drawn.traits if one.beyond and one.code == "unison"] == ["unison"]


@pytest.mark.parametrize("name", sorted({name for members in FAMILIES.values() for name, _ in members}))
def test_each_number_counts_in_the_direction_of_its_sign(name: str) -> None:
    weights = shipped_weights()
    sign = {member: sign for members in FAMILIES.values() for member, sign in members}[name]
    spread = weights.spread[name]

    low = weights.score(numbers(**{name: weights.centre[name] - sign * spread}))
    high = weights.score(numbers(**{name: weights.centre[name] + sign * spread}))

    assert high > low + 0.1


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.sampled_from(sorted({n for m in FAMILIES.values() for n, _ in m})), st.floats(allow_nan=True))
)
def test_no_number_decides_alone_and_the_score_is_finite(odd: dict[str, float]) -> None:
    score = shipped_weights().score(numbers(**odd))

    assert math.isfinite(score)
    assert abs(score) < 2.5 * 2 * sum(WEIGHTS.values())


def test_a_face_that_looks_forged_says_what_speaks_for_it_and_one_that_does_not_says_nothing() -> None:
    forged = judged(a_track(detail=30.0), head=a_head(unison=6.0))
    calm = judged(a_track(detail=3.0), head=a_head(unrest=1.0))

    assert forged.probability > 0.5 > calm.probability
    assert "beyond nine of ten genuine clips: " in forged.grounds[0]
    assert "change colour at the same moments" in forged.grounds[0]
    assert calm.grounds == ()


def test_what_is_usual_is_so_in_nine_of_ten_genuine_clips() -> None:
    weights = shipped_weights()

    assert weights.beyond(weights.centre) == ()
    assert weights.families(numbers(unison_light=9.0, unison_red=9.0, unison_blue=9.0))["unison"] == MOST_UNISON
    assert weights.beyond(numbers(unison_light=9.0, unison_red=9.0, unison_blue=9.0)) == ("unison",)
    assert list(weights.as_many) == sorted(weights.as_many, reverse=True)
    assert 0.1 <= weights.as_many[0] <= 0.5


def test_small_dark_and_soft_faces_are_told_as_unlike_what_taught() -> None:
    dark = a_track(side=60.0)
    dark = replace(dark, crops=(dark.crops // 12).astype(np.uint8))

    told = judged(dark).outside

    assert any("pixels high" in text for text in told)
    assert any("darker" in text for text in told)
    assert any("softer" in text for text in told)


def test_a_few_crops_of_each_second_are_looked_at() -> None:
    chosen = chosen_crops(np.arange(80) / 8)
    long = chosen_crops(np.arange(8 * 120) / 8)

    assert len(chosen) == 10 * CROPS_A_SPAN
    assert len(long) == MOST_CROPS
    assert (np.diff(chosen) > 0).all()


def test_the_net_says_the_same_in_any_company() -> None:
    crops = np.random.default_rng(0).integers(0, 255, (19, NET_SIDE, NET_SIDE, 3), np.uint8)

    logits, maps = shipped_net().look(crops)
    alone, _ = shipped_net().look(crops[17:18])

    assert logits[17] == pytest.approx(alone[0], abs=1e-4)
    assert maps.mean(axis=(1, 2)) == pytest.approx(logits, abs=1e-4)


def test_weights_of_another_kind_are_refused() -> None:
    stored = {"version": 1, **vars(shipped_weights())}

    assert read_weights(json.dumps(stored)) == shipped_weights()
    for changed, words in (
        ({"version": 9}, "version 9"),
        ({"centre": {}}, "lack"),
        ({"slope": float("inf")}, "no number"),
        ({"usual": {}}, "usual"),
        ({"more": 1}, "no picture weights"),
    ):
        with pytest.raises(CheckpointError, match=words):
            read_weights(json.dumps(stored | changed))
    with pytest.raises(CheckpointError, match="no picture weights"):
        read_weights("[]")
    with pytest.raises(CheckpointError, match="damaged"):
        PastedNet(b"nothing")


def test_weights_say_where_they_come_from() -> None:
    provenance = shipped_weights().provenance

    assert provenance["made_by"] == "scripts/weights/picture.py"


def test_what_every_third_genuine_clip_has_is_told_to_be_nothing_unusual() -> None:
    """A genuine clip was told "what points to forgery: 1 of 5 measured traits (37 % of genuine clips have as many)"."""
    weights, forged = shipped_weights(), (a_track(detail=30.0), a_head(unison=6.0))

    said = {}
    for share in (0.1, 0.4):
        sense = PictureSense(replace(weights, as_many=[share] * len(FAMILIES)))
        said[share] = sense.judge(looked(forged[0], head=forged[1])).grounds[0]  # type: ignore[union-attr]

    assert "not unusual" not in said[0.1]
    assert "that is not unusual: 40 % of genuine clips have" in said[0.4]
    assert "forgery" not in say("ground", sense="picture", text="")
