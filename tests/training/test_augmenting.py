"""Where a recipe's forgeries come from while training: made of real windows, with another voice only where one is needed."""

from __future__ import annotations

import numpy as np
import pytest

from ffdv.augment.chain import AugmentSpec
from ffdv.records import FloatArray
from ffdv.training.augmenting import sound_forge

RATE = 8000


def voice(seed: int) -> FloatArray:
    time = np.arange(RATE) / RATE
    return (0.3 * np.sin(2 * np.pi * (120 + 40 * seed) * time) * (1 + np.sin(2 * np.pi * 3 * time))).astype(np.float32)


def never(rng: np.random.Generator) -> FloatArray:
    pytest.fail("another voice was read though nothing needs one")


def spec_of(*steps: dict[str, object]) -> AugmentSpec:
    return AugmentSpec.model_validate({"forge_sound": steps})


def test_no_steps_forge_nothing() -> None:
    assert sound_forge(AugmentSpec()) is None


def test_copies_are_made_without_another_voice() -> None:
    forge = sound_forge(spec_of({"name": "lpc_copy", "probability": 1.0}))

    assert forge is not None
    forged = forge(voice(0), RATE, np.random.default_rng(0), never)
    assert forged is not None
    assert forged.shape == (RATE,)
    assert np.abs(forged - voice(0)).max() > 0.05


def test_a_splice_borrows_another_voice() -> None:
    forge = sound_forge(spec_of({"name": "splice_other", "probability": 1.0}))

    assert forge is not None
    forged = forge(voice(0), RATE, np.random.default_rng(0), lambda _: voice(3))
    assert forged is not None
    assert 0.05 < (forged != voice(0)).mean() < 0.6
    assert forge(voice(0), RATE, np.random.default_rng(0), lambda _: None) is None  # nobody to borrow from


def test_probabilities_below_one_leave_some_real() -> None:
    forge = sound_forge(spec_of({"name": "lpc_copy", "probability": 0.3}))

    assert forge is not None
    made = [forge(voice(0)[:2000], RATE, np.random.default_rng(seed), never) is not None for seed in range(40)]
    assert 4 <= sum(made) <= 22
