"""Canonical directions are found where they were put; the phone network in numpy is the one in torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ffdv.features.agreement import PhoneWeights
from ffdv.features.speech import SpeechTrack
from ffdv.models.sync import PHONES, PhoneNet, canonical_maps, principal_directions


def test_a_common_cause_is_found_and_its_strength() -> None:
    rng = np.random.default_rng(0)
    cause = rng.normal(size=4000)
    sound, mouth = rng.normal(size=(4000, 6)), rng.normal(size=(4000, 5))
    sound[:, 2] += cause
    mouth[:, 4] += cause
    sound -= sound.mean(axis=0)
    mouth -= mouth.mean(axis=0)
    sound_map, mouth_map, strengths = canonical_maps(sound, mouth, count=2, sound_ridge=0.0, mouth_ridge=0.0)

    assert np.abs(sound_map[:, 0]).argmax() == 2
    assert np.abs(mouth_map[:, 0]).argmax() == 4
    assert strengths[0] == pytest.approx(0.5, abs=0.05)
    assert strengths[1] < 0.1
    assert np.corrcoef(sound @ sound_map[:, 0], mouth @ mouth_map[:, 0])[0, 1] == pytest.approx(strengths[0], abs=1e-6)


def test_a_ridge_makes_correlations_smaller() -> None:
    rng = np.random.default_rng(1)
    sound, mouth = rng.normal(size=(60, 20)), rng.normal(size=(60, 15))
    free, tied = (canonical_maps(sound, mouth, count=1, sound_ridge=r, mouth_ridge=r)[2][0] for r in (1e-6, 1.0))

    assert tied < free


def test_principal_directions_are_orthonormal_and_ordered() -> None:
    values = np.random.default_rng(2).normal(size=(200, 8)) * np.arange(8, 0, -1)
    directions = principal_directions(values - values.mean(axis=0), 3)

    assert directions.T @ directions == pytest.approx(np.eye(3), abs=1e-9)
    assert np.diff((values @ directions).std(axis=0)).max() < 0


def test_numpy_hears_what_torch_hears() -> None:
    torch.manual_seed(0)
    net = PhoneNet().eval()
    bands = np.random.default_rng(0).normal(size=(70, 32)).astype(np.float32)
    numbers, speech, clarity = PhoneWeights(net.layers()).hear(SpeechTrack(bands, 0.0))
    with torch.inference_mode():
        x = torch.from_numpy(bands.T[None])
        expected = net.numbers(x)[0].T.numpy()
        chances = torch.softmax(net(x), dim=1)[0].numpy()

    assert numbers == pytest.approx(expected, abs=1e-5)
    assert speech == pytest.approx(1 - chances[0], abs=1e-5)
    assert clarity == pytest.approx(chances[1:].max(axis=0).sum() / speech.sum(), abs=1e-5)
    assert len(PHONES) == 40
