"""The distance from what training saw: ours by hand, small for the like, large for the unlike; a net tells what its last layer looks at."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ffdv.errors import CheckpointError
from ffdv.features.spectrogram import FrontEndSpec
from ffdv.models.audio import SoundPictureNet
from ffdv.models.embedding import FEWEST_ROWS, EmbeddingRange, fit_embedding_range
from ffdv.models.visual import VisualSpec, build_visual
from ffdv.models.zoo import ModelSpec, build_model

SMALL = FrontEndSpec(sample_rate=8_000, n_fft=256, hop_length=128, n_bands=20)


def draw(rows: int, seed: int = 0, channels: int = 40) -> tuple[Tensor, Tensor]:
    """Two classes far apart in direction with one spread, the last ten channels never used."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(rows) % 2
    values = torch.randn(rows, channels, generator=generator) * torch.linspace(1.0, 0.1, channels)
    values[:, 0] += 20.0
    values[:, 1] += 40.0 * labels
    values[:, -10:] = 0.0
    return values, labels


def fitted(rows: int = 300) -> EmbeddingRange:
    found = fit_embedding_range(*draw(rows))
    assert found is not None
    return found.set_scale(found(draw(400, seed=1)[0]).numpy())


def test_the_like_are_near_and_the_unlike_far() -> None:
    near = fitted()
    others, labels = draw(1_000, seed=2)

    between, unused = others.clone(), others.clone()
    between[:, 1] += 20.0 * (1 - 2 * labels)
    unused[:, -1] = 20.0

    assert 0.002 < float((near(others) > 1).float().mean()) < 0.03
    assert bool((near(between) > 1).all())  # between the classes nothing was seen, though the mean of all lies there
    assert bool((near(unused) > 1).all())  # a direction that training never used
    torch.testing.assert_close(near(0.01 * others), near(others), rtol=1e-3, atol=1e-3)  # faint is not near


def test_it_is_the_mahalanobis_distance_to_the_nearer_centre() -> None:
    near, (values, _) = fitted(), draw(20, seed=3)
    axes, spread = near.axes.double(), near.spread.double()
    beside = torch.eye(values.shape[1], dtype=torch.float64) - axes.T @ axes

    inverse = axes.T @ (axes / spread.unsqueeze(1)) + beside / near.rest
    unit = values.double() / values.double().norm(dim=1, keepdim=True)
    squares = [((x := unit - centre) @ inverse * x).sum(1) for centre in near.centres.double()]

    expected = (torch.stack(squares).amin(0).sqrt() - near.middle) / (near.edge - near.middle)
    torch.testing.assert_close(near(values).double(), expected, rtol=1e-3, atol=1e-3)


def test_distance_nought_is_the_middle_of_held_out_clips_and_one_what_99_in_100_stay_within() -> None:
    found = fit_embedding_range(*draw(300))
    assert found is not None
    plain = found(draw(1_000, seed=4)[0]).numpy()

    near = found.set_scale(plain)(draw(1_000, seed=4)[0]).numpy()

    assert np.mean(near > 1 + 1e-4) == pytest.approx(0.009, abs=0.002)
    assert np.mean(near > 0) == pytest.approx(0.5, abs=0.01)
    assert np.isfinite(found.set_scale(np.ones(3))(draw(5)[0]).numpy()).all()  # held-out clips that are all alike


def test_of_measured_numbers_the_length_counts_too() -> None:
    """Movement three times as strong points the same way; by direction alone it would be as usual as any."""
    generator = torch.Generator().manual_seed(5)
    values = torch.randn(400, 40, generator=generator)
    labels = torch.arange(400) % 2
    found = fit_embedding_range(values[:300], labels[:300], directed=False)
    by_direction = fit_embedding_range(values[:300], labels[:300])
    assert found is not None
    assert by_direction is not None
    near, blind = (each.set_scale(each(values[300:]).numpy()) for each in (found, by_direction))
    restored = EmbeddingRange.restored(near.state_dict())

    assert bool((near(3 * values[300:]) > 1).all())
    assert float((blind(3 * values[300:]) > 1).float().mean()) < 0.05
    torch.testing.assert_close(restored(values), near(values))
    assert not restored.directed


def test_ranges_of_before_the_length_could_count_are_read_as_directions() -> None:
    near = fitted()
    older = {name: value for name, value in near.state_dict().items() if name != "length_counts"}

    restored = EmbeddingRange.restored(older)

    assert restored.directed
    torch.testing.assert_close(restored(draw(50, seed=6)[0]), near(draw(50, seed=6)[0]))


def test_one_class_is_enough_but_a_few_clips_are_not() -> None:
    values, labels = draw(FEWEST_ROWS)

    assert fit_embedding_range(values, torch.zeros_like(labels)) is not None
    assert fit_embedding_range(values[:-1], labels[:-1]) is None
    assert fit_embedding_range(torch.ones_like(values), labels) is None


def test_it_is_the_same_after_saving_and_damage_is_told() -> None:
    near, (values, _) = fitted(), draw(20, seed=5)
    tensors = near.state_dict()

    assert torch.equal(EmbeddingRange.restored(tensors)(values), near(values))
    for damaged in (
        {**tensors, "axes": near.axes[:, 1:]},
        {"edge": near.edge},
        {**tensors, "spread": near.rest},
        {**tensors, "more": near.rest},
    ):
        with pytest.raises(CheckpointError, match="damaged"):
            EmbeddingRange.restored(damaged)


@pytest.mark.parametrize(("backbone", "picture_size"), [("test_resnet", "native"), ("alexnet", (64, 64))])
def test_an_embedding_is_what_the_last_layer_of_a_sound_net_looks_at(backbone: str, picture_size: Any) -> None:
    torch.manual_seed(0)
    net: SoundPictureNet = build_model(ModelSpec(backbone=backbone, picture_size=picture_size), SMALL).eval()
    samples, lengths = 0.1 * torch.randn(3, 6_000), torch.tensor([6_000, 3_000, 6_000])

    with torch.inference_mode():
        logits, embeddings = net.embedded(samples, lengths)
        alone = net.embedded(samples[1:2, :3_000])[1]

        torch.testing.assert_close(logits, net(samples, lengths))
        torch.testing.assert_close(net.head.classifier(embeddings), logits)
    torch.testing.assert_close(embeddings[1:2], alone, rtol=1e-4, atol=1e-5)


def test_an_embedding_is_what_the_last_layer_of_a_face_net_looks_at() -> None:
    torch.manual_seed(0)
    model = ModelSpec(backbone="test_resnet", picture_size=(32, 32), initial_weights="none")
    net = build_visual(model, VisualSpec(pooling="attention")).eval()
    crops = torch.randint(0, 256, (3, 4, 3, 32, 32), dtype=torch.uint8)
    lengths = torch.tensor([4, 2, 4])

    with torch.inference_mode():
        logits, embeddings = net.embedded(crops, lengths)

        torch.testing.assert_close(logits, net(crops, lengths))
        torch.testing.assert_close(net.classifier(embeddings), logits)
        torch.testing.assert_close(net.look(crops[:1])[1], embeddings[:1])
