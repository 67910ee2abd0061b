from __future__ import annotations

import pytest

from ffdv.augment.chain import AugmentSpec
from ffdv.augment.guards import domain_warnings


def codes(recipe: dict[str, object], picture: str = "spectrogram") -> list[str]:
    return [note.code for note in domain_warnings(AugmentSpec.model_validate(recipe), picture=picture)]  # type: ignore[arg-type]


def test_an_upside_down_spectrogram_is_warned_of_with_the_reason() -> None:
    spec = AugmentSpec.model_validate({"picture": [{"name": "RandomVerticalFlip"}]})

    notes = domain_warnings(spec, picture="spectrogram")

    assert [note.code for note in notes] == ["doubtful_step"]
    assert "upside down" in notes[0].text


@pytest.mark.parametrize(
    ("recipe", "code"),
    [
        ({"picture": [{"name": "RandomHorizontalFlip"}]}, "doubtful_step"),
        ({"picture": [{"name": "RandomAffine", "degrees": 5}]}, "doubtful_step"),
        ({"picture": [{"name": "Compose", "transforms": [{"name": "RandAugment"}]}]}, "doubtful_step"),
        ({"picture": [{"name": "RandomErasing", "scale": [0.1, 1.0]}]}, "masks_everything"),
        ({"picture": [{"name": "JPEG", "quality": [10, 30]}]}, "hides_evidence"),
        ({"spectrogram": [{"name": "frequency_mask", "share": [0, 1], "count": 1}]}, "masks_everything"),
        ({"spectrogram": [{"name": "time_mask", "share": [0.2, 0.5], "count": 2}]}, "masks_everything"),
        ({"sound": [{"name": "white_noise", "snr_db": [-10, 5]}]}, "hides_evidence"),
        ({"sound": [{"name": "band_limit", "high_hz": [500, 4000]}]}, "hides_evidence"),
        ({"sound": [{"name": "clip", "share": 0.8}]}, "hides_evidence"),
        ({"sound": [{"name": "one_of", "steps": [{"name": "pitch_shift"}]}]}, "hides_evidence"),
    ],
)
def test_doubtful_recipes_are_warned_of(recipe: dict[str, object], code: str) -> None:
    assert codes(recipe) == [code]


@pytest.mark.parametrize(
    "recipe",
    [
        {},
        {"picture": [{"name": "RandomVerticalFlip", "probability": 0.0}]},
        {"picture": [{"name": "RandomHorizontalFlip", "p": 0.0}]},
        {"picture": [{"name": "RandomAffine", "degrees": 0, "translate": [0.1, 0.0]}, {"name": "JPEG"}]},
        {"spectrogram": [{"name": "time_mask"}, {"name": "frequency_mask"}]},
        {"sound": [{"name": "white_noise"}, {"name": "pitch_shift", "probability": 0.3}, {"name": "band_limit"}]},
    ],
)
def test_sensible_recipes_are_not(recipe: dict[str, object]) -> None:
    assert codes(recipe) == []


def test_faces_have_their_own_reasons() -> None:
    assert codes({"picture": [{"name": "RandomHorizontalFlip"}]}, "face") == []
    assert codes({"picture": [{"name": "RandomVerticalFlip"}]}, "face") == ["doubtful_step"]
