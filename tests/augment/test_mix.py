"""MixUp and CutMix: labels follow what was really mixed, and nobody is mixed with a sense that is missing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ffdv.augment.mix import MixSpec, cut_mix, draw_partners, mix_batch, mix_labels, mix_up


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def numbered(clips: int, *shape: int) -> np.ndarray:
    """Clip k is filled with k."""
    return np.broadcast_to(
        np.arange(clips, dtype=np.float32).reshape((-1,) + (1,) * len(shape)), (clips, *shape)
    ).copy()


@settings(max_examples=25, deadline=None)
@given(clips=st.integers(1, 9), seed=st.integers(0, 999), alpha=st.floats(0.1, 4.0))
def test_mixup_labels_weigh_as_the_samples_do(clips: int, seed: int, alpha: float) -> None:
    one_hot = np.eye(clips, dtype=np.float32)

    mixed = mix_up([numbered(clips, 50)], one_hot, rng(seed), alpha=alpha)

    own, other = np.arange(clips), mixed.partner
    expected = mixed.weight * own + (1 - mixed.weight) * other
    assert np.allclose(mixed.inputs[0], expected[:, None], atol=1e-5)
    assert np.allclose(mixed.labels.sum(axis=1), 1.0, atol=1e-6)
    assert np.allclose(mixed.labels[own, own], mixed.weight, atol=1e-6)


@settings(max_examples=25, deadline=None)
@given(clips=st.integers(2, 6), seed=st.integers(0, 999), height=st.integers(1, 20), width=st.integers(1, 20))
def test_cutmix_labels_equal_the_area_that_was_mixed(clips: int, seed: int, height: int, width: int) -> None:
    one_hot = np.eye(clips, dtype=np.float64)

    mixed = cut_mix([numbered(clips, 3, height, width)], one_hot, rng(seed), alpha=1.0)

    area_kept = (mixed.inputs[0] == np.arange(clips)[:, None, None, None]).mean(axis=(1, 2, 3))
    assert np.allclose(mixed.weight, area_kept)
    assert np.allclose(mixed.labels.sum(axis=1), 1.0)
    assert np.allclose(np.diag(mixed.labels), area_kept)


def test_cutmix_lays_one_box_from_the_partner() -> None:
    mixed = cut_mix([numbered(4, 1, 32, 32)], np.zeros(4), rng(3), alpha=1.0)

    for clip in range(4):
        picture = mixed.inputs[0][clip, 0]
        rows, columns = np.nonzero(picture != clip)
        assert set(np.unique(picture)) <= {clip, mixed.partner[clip]}
        assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)


def test_cutmix_of_sounds_is_a_stretch_within_both_lengths() -> None:
    lengths = np.array([100, 60, 80])

    for seed in range(10):
        mixed = cut_mix([numbered(3, 100)], np.eye(3), rng(seed), alpha=1.0, lengths=lengths)
        for clip in range(3):
            foreign = np.flatnonzero(mixed.inputs[0][clip] != clip)
            assert mixed.weight[clip] == pytest.approx(1 - len(foreign) / lengths[clip])
            if len(foreign):
                assert np.ptp(foreign) + 1 == len(foreign)
                assert foreign[-1] < min(lengths[clip], lengths[mixed.partner[clip]])


def test_all_senses_of_a_clip_come_from_one_partner() -> None:
    sound, faces = numbered(5, 40), numbered(5, 4, 3, 8, 8)

    mixed = mix_up([sound, faces], np.zeros((5, 3)), rng(1), alpha=1.0)

    assert np.allclose(mixed.inputs[0][:, 0], mixed.inputs[1][:, 0, 0, 0, 0])


def test_nobody_is_mixed_with_a_missing_sense() -> None:
    present = np.array([[1, 1], [1, 1], [1, 0], [1, 0], [0, 1], [1, 1]], bool)
    sound, faces = numbered(6, 10), numbered(6, 3, 4, 4)

    for seed in range(20):
        partner = mix_up([sound, faces], np.zeros(6), rng(seed), present=present).partner
        assert (present[partner] == present).all()
        assert partner[4] == 4
        mixed = cut_mix([sound, faces], np.zeros(6), rng(seed), present=present)
        assert mixed.weight[4] == 1.0
        assert np.array_equal(mixed.inputs[1][4], faces[4])


def test_the_weight_counts_only_senses_that_are_there() -> None:
    present = np.array([[True, False], [True, False]])

    mixed = cut_mix([numbered(2, 100), np.zeros((2, 3, 4, 4), np.float32)], np.eye(2), rng(5), present=present)

    kept = (mixed.inputs[0] == np.arange(2)[:, None]).mean(axis=1)
    assert np.allclose(mixed.weight, kept)


@settings(max_examples=25, deadline=None)
@given(clips=st.integers(1, 12), seed=st.integers(0, 999))
def test_partners_are_a_permutation_without_oneself(clips: int, seed: int) -> None:
    partner = draw_partners(clips, rng(seed))

    assert sorted(partner) == list(range(clips))
    assert clips == 1 or (partner != np.arange(clips)).all()


def test_binary_and_unknown_labels() -> None:
    labels = np.array([0.0, 1.0, np.nan])
    partner, weight = np.array([1, 0, 2]), np.array([0.7, 0.7, 1.0])

    assert np.allclose(mix_labels(labels, partner, weight), [0.3, 0.7, np.nan], equal_nan=True)
    assert np.allclose(mix_labels(labels, partner, weight, rule="any"), [1.0, 1.0, np.nan], equal_nan=True)
    assert np.isnan(mix_labels(labels, np.array([2, 0, 1]), np.full(3, 0.5))[[0, 2]]).all()


def test_an_unmixed_known_label_is_not_lost_to_an_unknown_partner() -> None:
    assert mix_labels(np.array([1.0, np.nan]), np.array([1, 0]), np.array([1.0, 1.0]))[0] == 1.0


def test_whole_number_labels_are_refused() -> None:
    with pytest.raises(ValueError, match="float"):
        mix_labels(np.array([0, 1]), np.array([1, 0]), np.array([0.5, 0.5]))


@pytest.mark.parametrize("mix", [mix_up, cut_mix])
def test_tensors_are_mixed_as_arrays_are(mix) -> None:  # noqa: ANN001
    pictures = rng(1).random((5, 3, 9, 7)).astype(np.float32)
    sound = rng(2).random((5, 30)).astype(np.float32)
    labels = rng(3).random((5, 2)).astype(np.float32)
    kept = pictures.copy()

    plain = mix([pictures, sound], labels, rng(4))
    tensors = mix([torch.from_numpy(pictures), torch.from_numpy(sound)], torch.from_numpy(labels), rng(4))

    for array, tensor in zip((*plain.inputs, plain.labels), (*tensors.inputs, tensors.labels), strict=True):
        assert np.allclose(array, tensor.numpy(), atol=1e-6)
    assert np.array_equal(pictures, kept)


def test_lengths_follow_the_longer_sound() -> None:
    lengths = np.array([10, 50, 30])

    mixed = mix_up([numbered(3, 50)], np.zeros(3), rng(), lengths=lengths)

    assert np.array_equal(mixed.lengths, np.maximum(lengths, lengths[mixed.partner]))


def test_the_schedule_rises_holds_and_falls() -> None:
    spec = MixSpec(mixup_alpha=0.2, probability=0.8, from_progress=0.1, until_progress=0.9, ramp=0.2)

    assert [round(spec.probability_at(p), 3) for p in (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 0.9, 0.95)] == [
        0.0, 0.0, 0.4, 0.8, 0.8, 0.4, 0.0, 0.0,
    ]  # fmt: skip
    assert MixSpec(probability=1.0).probability_at(0.5) == 0.0


def test_a_batch_is_mixed_as_often_as_asked_by_the_kinds_asked() -> None:
    pictures, labels = numbered(4, 1, 16, 16), np.zeros(4)
    spec = MixSpec(mixup_alpha=1.0, cutmix_alpha=1.0, cutmix_share=0.25, probability=0.5)
    kinds = {"none": 0, "mixup": 0, "cutmix": 0}

    for seed in range(400):
        mixed = mix_batch([pictures], labels, rng(seed), spec=spec, progress=0.5)
        whole = mixed.inputs[0] == np.round(mixed.inputs[0])
        kinds["none" if mixed.weight.min() == 1.0 and whole.all() else "cutmix" if whole.all() else "mixup"] += 1

    assert kinds["mixup"] / 400 == pytest.approx(0.375, abs=0.08)
    assert kinds["cutmix"] / 400 == pytest.approx(0.125, abs=0.06)


def test_an_empty_part_of_training_is_refused() -> None:
    with pytest.raises(ValidationError, match="must lie before"):
        MixSpec(from_progress=0.5, until_progress=0.5)
