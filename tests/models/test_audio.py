from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ffdv.augment.image import ViewSpec
from ffdv.errors import RecipeError
from ffdv.features.spectrogram import FrontEndSpec, log_spectrogram, mel_picture, resize_bilinear, to_picture
from ffdv.models.audio import (
    AlexNetHead,
    MeanMapHead,
    SoundPictureNet,
    SpectrogramLayer,
    resize_pictures,
    row_shares_of,
    scale_pictures,
)
from ffdv.models.zoo import ModelSpec, build_model

RATE = 8_000
SMALL: dict[str, Any] = {"sample_rate": RATE, "n_fft": 256, "hop_length": 128, "n_bands": 20}
SPECS = {
    "mel": FrontEndSpec(**SMALL),
    "linear": FrontEndSpec(**SMALL, kind="linear", scaling="picture"),
    "lfcc": FrontEndSpec(**SMALL, kind="lfcc", scaling="bands", n_coefficients=13),
    "cqt": FrontEndSpec(**SMALL, kind="cqt", fmin=70.0),
}
LENGTHS = torch.tensor([6_000, 2_500, 128, 1])


def clips(seed: int = 0) -> Tensor:
    """Four clips of 6,000 samples with noise beyond their lengths too: the padding must not be heard."""
    return 0.1 * torch.randn(4, 6_000, generator=torch.Generator().manual_seed(seed))


def small_net(picture_size: Any = (64, 48), backbone: str = "test_resnet", **front_end: Any) -> SoundPictureNet:
    torch.manual_seed(0)
    net = build_model(ModelSpec(backbone=backbone, picture_size=picture_size), FrontEndSpec(**{**SMALL, **front_end}))
    return net.eval()


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("by_products", [False, True])
def test_the_layer_gives_the_numbers_of_the_numpy_front_end(kind: str, by_products: bool) -> None:
    spec = SPECS[kind]
    layer = SpectrogramLayer(spec, by_products=by_products)

    decibels = layer(clips(), LENGTHS)
    pictures = scale_pictures(decibels, layer.num_frames(LENGTHS), spec)

    for row, length in enumerate(LENGTHS.tolist()):
        alone = log_spectrogram(clips()[row, :length].numpy(), spec)
        np.testing.assert_allclose(decibels[row, :, : alone.shape[1]], alone, atol=2e-3)
        np.testing.assert_allclose(pictures[row, :, : alone.shape[1]], to_picture(alone, spec), atol=2e-3)


@pytest.mark.parametrize("kind", SPECS)
def test_frames_beyond_a_clip_hold_the_floor(kind: str) -> None:
    decibels = SpectrogramLayer(SPECS[kind])(clips(), LENGTHS)

    assert decibels.shape[2] == 47
    assert (decibels[1, :, 20:] == (0.0 if kind == "lfcc" else SPECS[kind].floor_db)).all()


def test_half_precision_does_not_touch_the_spectrogram() -> None:
    layer = SpectrogramLayer(SPECS["mel"])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = layer(clips(), LENGTHS)

    assert inside.dtype == torch.float32
    assert torch.equal(inside, layer(clips(), LENGTHS))


def test_half_precision_does_not_touch_the_picture() -> None:
    net = small_net(scaling="bands")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = net.pictures(clips(), LENGTHS)

    assert torch.equal(inside, net.pictures(clips(), LENGTHS))


def test_the_net_sees_the_published_picture() -> None:
    """With the published settings, up to the published rounding: down before the resize, to the nearest after it."""
    spec = FrontEndSpec(fmax=8_000, scaling="picture", floor_db=-100.0)
    net = build_model(ModelSpec(backbone="test_resnet"), spec)
    sound = 0.3 * torch.sin(torch.arange(30_000) ** 2 / 2e5) + 0.01 * clips().flatten()[:24_000].repeat(2)[:30_000]

    seen = 255.0 * net.pictures(sound.unsqueeze(0))[0, 0]

    published = mel_picture(sound.numpy(), spec, (256, 256)).astype(np.float32)
    difference = seen.numpy() - published
    assert -0.6 < difference.min() < difference.max() < 1.6


def test_sound_without_a_batch_axis_is_refused_with_the_cure() -> None:
    with pytest.raises(ValueError, match=r"got \(6000,\); one clip is samples\.reshape\(1, -1\)"):
        small_net()(clips()[0])


def test_the_front_end_saves_no_weights() -> None:
    assert not [name for name in small_net().state_dict() if name.startswith("front_end")]


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, 9),
    frames=st.lists(st.integers(1, 15), min_size=1, max_size=3),
    size=st.tuples(st.integers(1, 20), st.integers(1, 20)),
)
def test_each_clip_is_resized_by_its_own_length_as_the_numpy_picture_is(
    rows: int, frames: list[int], size: tuple[int, int]
) -> None:
    generator = torch.Generator().manual_seed(rows)
    pictures = torch.randint(0, 256, (len(frames), rows, max(frames)), generator=generator).float()

    resized = resize_pictures(pictures, torch.tensor(frames), size[0], row_shares_of(rows, size[1]))

    for row, count in enumerate(frames):
        alone = resize_bilinear(pictures[row, :, :count].numpy().astype(np.uint8), width=size[0], height=size[1])
        assert np.abs(resized[row].numpy() - alone).max() <= 0.501  # the numpy picture is rounded


@pytest.mark.parametrize("picture_size", [(64, 48), "native"])
@pytest.mark.parametrize("scaling", ["fixed", "picture", "bands"])
def test_a_clip_gets_the_same_logits_alone_and_in_any_batch(picture_size: Any, scaling: str) -> None:
    net = small_net(picture_size, scaling=scaling)

    with torch.inference_mode():
        together = net(clips(), LENGTHS)
        alone = [net(clips()[row : row + 1, :length]) for row, length in enumerate(LENGTHS.tolist())]

    assert together.shape == (4, 2)
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-5)


def test_a_native_batch_keeps_its_order() -> None:
    net = small_net("native")
    order = torch.tensor([2, 0, 3, 1])

    with torch.inference_mode():
        torch.testing.assert_close(
            net(clips()[order], LENGTHS[order]), net(clips(), LENGTHS)[order], rtol=1e-4, atol=1e-5
        )


def test_a_native_time_axis_trains_on_one_length_only() -> None:
    net = small_net("native").train()

    assert net(clips(), torch.full((4,), 6_000)).shape == (4, 2)
    with pytest.raises(RecipeError, match="give the loader a window"):
        net(clips(), LENGTHS)


@pytest.mark.parametrize(
    ("backbone", "picture_size"), [("test_resnet", (64, 64)), ("test_resnet", "native"), ("test_vit", (64, 64))]
)
def test_the_mean_of_the_activation_map_is_the_logit(backbone: str, picture_size: Any) -> None:
    net = small_net(picture_size, backbone)

    with torch.inference_mode():
        logits, activation = net.activation_map(clips())

    assert isinstance(net.head, MeanMapHead)
    bias = net.head.classifier.bias
    torch.testing.assert_close(
        activation.mean((1, 2)) + bias[1] - bias[0], logits[:, 1] - logits[:, 0], rtol=1e-4, atol=1e-5
    )
    torch.testing.assert_close(logits, net(clips()))


def test_alexnets_activation_map_is_the_slope_times_the_value() -> None:
    torch.manual_seed(0)
    head = AlexNetHead(nn.Linear(16 * 36, 30), nn.Linear(30, 20), dropout=0.5).eval()
    features = torch.rand(2, 16, 7, 6)

    pooled = head.pool(features).detach().requires_grad_()
    logits = head(pooled)
    (slope,) = torch.autograd.grad((logits[:, 1] - logits[:, 0]).sum(), pooled)

    torch.testing.assert_close(head.activation(features), 36 * (slope * pooled).sum(1), rtol=1e-3, atol=1e-4)


def test_the_activation_map_moves_where_the_sound_changes() -> None:
    """Columns of the map are time: noise at the end changes its last columns far more than its first."""
    net = small_net((256, 64))
    sound = 0.1 * torch.ones(1, 8_000)
    with torch.inference_mode():
        _, before = net.activation_map(sound)
        sound[:, 6_000:] += clips()[:1, :2_000]
        _, after = net.activation_map(sound)

    moved = (after - before)[0].abs().mean(0)
    assert moved[-2:].mean() > 10 * moved[:2].mean()


def test_pictures_are_changed_in_training_only() -> None:
    net = small_net()
    seen: list[tuple[int, ...]] = []

    def change(pictures: Tensor) -> Tensor:
        seen.append(tuple(pictures.shape))
        return pictures

    net.picture_change = change
    net(clips())
    assert not seen
    net.train()(clips())
    assert seen == [(4, 1, 48, 64)]


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_silent_and_constant_sound_gives_finite_logits(kind: str, level: float) -> None:
    torch.manual_seed(0)
    net = build_model(ModelSpec(backbone="test_resnet", picture_size=(64, 64)), SPECS[kind]).eval()

    with torch.inference_mode():
        assert torch.isfinite(net(torch.full((1, 3_000), level))).all()


def test_gradients_reach_the_sound() -> None:
    """Waveform augmentation and attacks need them."""
    samples = clips().requires_grad_()

    small_net()(samples, LENGTHS).sum().backward()

    assert samples.grad is not None
    assert samples.grad[0].abs().sum() > 0
    assert (samples.grad[1, 2_500:] == 0).all()


def test_views_are_averaged_when_judging_and_left_out_while_training() -> None:
    torch.manual_seed(0)
    spec = FrontEndSpec(sample_rate=8000, n_fft=256, hop_length=80, n_bands=32, fmax=4000)
    model = ModelSpec(backbone="resnet18", initial_weights="none", picture_size=(64, 64))
    net = build_model(model, spec).eval()
    samples = torch.randn(2, 8000)
    pictures = net.pictures(samples)

    net.views = ViewSpec(name="FiveCrop", size=(48, 48))
    corners = [pictures[..., y : y + 48, x : x + 48] for y, x in ((0, 0), (0, 16), (16, 0), (16, 16), (8, 8))]
    by_hand = torch.stack([net.head(net.encoder((corner - net.mean) / net.deviation)) for corner in corners]).mean(0)

    torch.testing.assert_close(net(samples), by_hand)
    torch.testing.assert_close(net.activation_map(samples)[0], by_hand)
    net.train()
    net.picture_change = lambda batch: batch
    assert net(samples).shape == (2, 2)
