"""Picture transforms: torchvision's by name and ours, on arrays, frames and tensors, with luck only from the rng."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter

from ffdv.augment.chain import picture_chain
from ffdv.augment.image import (
    PICTURE_TRANSFORMS,
    TORCHVISION_NEEDED,
    TORCHVISION_PARAMETERS,
    ViewSpec,
    average_views,
    jpeg,
    make_views,
    pixel_noise,
    rescale,
)
from ffdv.augment.pixels import blurred, moved, resized
from ffdv.errors import RecipeError
from ffdv.torchvision_import import import_torchvision

import_torchvision()
from torchvision.transforms import v2  # noqa: E402 -- only after the import above

SETTINGS: dict[str, dict[str, object]] = {
    "Resize": {"size": [40, 50]},
    "RandomCrop": {"size": [40, 50]},
    "RandomResizedCrop": {"size": [40, 50]},
    "CenterCrop": {"size": 40},
    "Pad": {"padding": 3},
    "RandomRotation": {"degrees": 20, "interpolation": "bilinear"},
    "RandomAffine": {"degrees": 10, "translate": [0.1, 0.1], "shear": 5},
    "ColorJitter": {"brightness": 0.4, "hue": 0.2},
    "GaussianBlur": {"kernel_size": 5},
    "RandomAdjustSharpness": {"sharpness_factor": 2},
    "RandomPosterize": {"bits": 3},
    "RandomSolarize": {"threshold": 100},
    "AutoAugment": {"policy": "cifar10"},
    "ToDtype": {"dtype": "float32", "scale": True},
    "Normalize": {"mean": [0.5], "std": [0.5]},
}
NAMES = sorted({*TORCHVISION_PARAMETERS, *PICTURE_TRANSFORMS})
FLOAT_MAKERS = {"ToTensor", "ToDtype", "Normalize"}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def picture(seed: int = 0, height: int = 64, width: int = 60) -> np.ndarray:
    smooth = gaussian_filter(rng(seed).standard_normal((height, width, 3)), (2, 2, 0))
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def chain_of(name: str):  # noqa: ANN201
    steps = [{"name": name, **SETTINGS.get(name, {})}]
    return picture_chain([{"name": "ToTensor"}, *steps] if name == "Normalize" else steps)


@pytest.mark.parametrize("name", sorted(TORCHVISION_PARAMETERS))
def test_the_table_holds_every_parameter_of_torchvision(name: str) -> None:
    signature = inspect.signature(getattr(v2, name).__init__).parameters
    known = {key for key in signature if key not in ("self", "inplace", "kwargs")}
    needed = {key for key in known if signature[key].default is inspect.Parameter.empty}

    assert set(TORCHVISION_PARAMETERS[name]) == known
    assert set(TORCHVISION_NEEDED.get(name, ())) == needed


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_picture_and_leaves_torch_alone(name: str) -> None:
    real, chain = picture(), chain_of(name)
    kept = real.copy()
    real.flags.writeable = False
    state = torch.random.get_rng_state()

    first = chain(real, rng(5))
    torch.rand(3)
    state_after_draw = torch.random.get_rng_state()
    second = chain(real, rng(5))

    assert np.array_equal(np.asarray(first), np.asarray(second))
    assert np.array_equal(real, kept)
    assert torch.equal(torch.random.get_rng_state(), state_after_draw)
    assert not torch.equal(state, state_after_draw)


@pytest.mark.parametrize("name", NAMES)
def test_arrays_frames_grey_and_tensors_come_back_as_they_went_in(name: str) -> None:
    chain = chain_of(name)
    colour = chain(picture(), rng(1))
    grey = chain(picture()[..., 0], rng(1))
    frames = chain(np.stack([picture(), picture()]), rng(1))
    tensor = chain(torch.from_numpy(np.moveaxis(picture(), -1, 0).copy()), rng(1))

    if name in FLOAT_MAKERS:
        assert colour.shape == (3, 64, 60)
        assert grey.shape == (1, 64, 60)
        assert frames.shape == (2, 3, 64, 60)
        assert all(item.dtype == torch.float32 for item in (colour, grey, frames, tensor))
        return
    assert all(isinstance(item, np.ndarray) and item.dtype == np.uint8 for item in (colour, grey, frames))
    assert grey.ndim == 2
    assert isinstance(tensor, torch.Tensor)
    assert np.array_equal(np.moveaxis(tensor.numpy(), 0, -1).squeeze(), colour)


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"AugMix", "PixelNoise", "H264", "HEVC"} - FLOAT_MAKERS))
def test_frames_of_a_clip_share_what_is_drawn(name: str) -> None:
    frames = chain_of(name)(np.stack([picture()] * 3), rng(2))

    assert np.array_equal(frames[0], frames[2])


def test_flips_and_crops_are_torchvisions() -> None:
    real = picture()

    def through(*steps: dict[str, object]) -> np.ndarray:
        return picture_chain(steps)(real, rng())

    assert np.array_equal(through({"name": "RandomHorizontalFlip", "p": 1.0}), real[:, ::-1])
    assert np.array_equal(through({"name": "RandomVerticalFlip", "p": 1.0}), real[::-1])
    assert np.array_equal(through({"name": "RandomInvert", "p": 1.0}), 255 - real)
    assert np.array_equal(through({"name": "CenterCrop", "size": [20, 30]}), real[22:42, 15:45])
    assert np.array_equal(through({"name": "RandomRotation", "degrees": [90, 90], "expand": True}), np.rot90(real))
    normal = through({"name": "ToTensor"}, {"name": "Normalize", "mean": [0.5, 0.4, 0.3], "std": [0.1, 0.2, 0.3]})
    assert np.allclose(np.moveaxis(normal.numpy(), 0, -1), (real / 255 - [0.5, 0.4, 0.3]) / [0.1, 0.2, 0.3], atol=1e-5)


@pytest.mark.parametrize("probability", [0.0, 0.3, 1.0])
def test_a_step_happens_as_often_as_its_probability(probability: float) -> None:
    chain = picture_chain([{"name": "RandomInvert", "p": 1.0, "probability": probability}])
    real = np.zeros((2, 2, 3), np.uint8)

    share = np.mean([chain(real, rng(seed)).max() > 0 for seed in range(300)])

    assert share == pytest.approx(probability, abs=0.09)


def test_composed_steps_nest() -> None:
    real = np.full((4, 4, 3), 10, np.uint8)
    invert = {"name": "RandomInvert", "p": 1.0}
    twice = picture_chain([{"name": "Compose", "transforms": [invert, invert]}])
    either = picture_chain([{"name": "RandomChoice", "transforms": [invert, {"name": "ToImage"}], "p": [3, 1]}])
    sometimes = picture_chain([{"name": "RandomApply", "transforms": [invert], "p": 0.2}])
    shuffled = picture_chain(
        [{"name": "RandomOrder", "transforms": [{"name": "RandomSolarize", "threshold": 100, "p": 1.0}, invert]}]
    )

    assert np.array_equal(twice(real, rng()), real)
    assert np.mean([either(real, rng(seed)).max() == 245 for seed in range(200)]) == pytest.approx(0.75, abs=0.1)
    assert np.mean([sometimes(real, rng(seed)).max() == 245 for seed in range(200)]) == pytest.approx(0.2, abs=0.1)
    assert {int(shuffled(real, rng(seed)).max()) for seed in range(20)} == {10, 245}


def test_a_batch_of_float_pictures_is_changed_one_by_one() -> None:
    pictures = torch.from_numpy(np.stack([np.moveaxis(picture(seed), -1, 0) for seed in range(3)]) / 255).float()
    chain = picture_chain([{"name": "RandomHorizontalFlip"}, {"name": "JPEG"}])

    changed = chain.on_batch(pictures, [rng(k) for k in range(3)])
    alone = chain.on_batch(pictures[1:2], [rng(1)])

    assert changed.shape == pictures.shape
    assert changed.dtype == torch.float32
    assert changed.min() >= 0
    assert changed.max() <= 1
    assert torch.equal(changed[1], alone[0])


def test_spectrogram_pictures_of_one_plane_work_in_batches() -> None:
    pictures = torch.rand(2, 1, 32, 48, generator=torch.Generator().manual_seed(0))

    changed = picture_chain([{"name": "H264"}, {"name": "RandomRotation", "degrees": 5}]).on_batch(
        pictures, [rng(0), rng(1)]
    )

    assert changed.shape == pictures.shape


def test_ours_after_floats_is_told() -> None:
    with pytest.raises(RecipeError, match="put it before ToTensor"):
        picture_chain([{"name": "ToTensor"}, {"name": "JPEG"}])(picture(), rng())


def test_wrong_values_are_told_before_the_work_starts() -> None:
    chain = picture_chain([{"name": "Compose", "transforms": [{"name": "RandomRotation", "degrees": -3}]}])

    with pytest.raises(RecipeError, match=r"RandomRotation.*positive"):
        chain.build()


def test_five_and_ten_crops_are_views() -> None:
    pictures = torch.from_numpy(np.stack([np.moveaxis(picture(seed), -1, 0) for seed in range(2)]))
    five, ten = ViewSpec(name="FiveCrop", size=(40, 40)), ViewSpec(name="TenCrop", size=(40, 40))

    views = make_views(pictures, five)

    assert views.shape == (five.count, 2, 3, 40, 40)
    assert torch.equal(views[0], pictures[..., :40, :40])
    assert torch.equal(make_views(pictures, ten)[5], pictures.flip(-1)[..., :40, :40])
    assert torch.equal(average_views(views.float())[0, 0, 0, 0], views[:, 0, 0, 0, 0].float().mean())
    with pytest.raises(RecipeError, match="does not fit"):
        make_views(pictures, ViewSpec(name="FiveCrop", size=(100, 40)))
    with pytest.raises(RecipeError, match=r"\[augment.views\]"):
        picture_chain([{"name": "FiveCrop", "size": 40}])


def test_rescaling_takes_fine_detail_and_keeps_the_size() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (64, 32))

    changed = rescale(stripes, rng(), scale=(0.4, 0.4))

    assert changed.shape == stripes.shape
    assert changed.std() < 0.35 * stripes.std()
    assert np.array_equal(rescale(picture(), rng(), scale=(1.0, 1.0)), picture())


@pytest.mark.parametrize("sigma", [2.0, 10.0])
def test_pixel_noise_has_the_wanted_spread(sigma: float) -> None:
    grey = np.full((200, 200), 128, np.uint8)

    noisy = pixel_noise(grey, rng(), sigma=(sigma, sigma)).astype(float)

    assert noisy.std() == pytest.approx(sigma, rel=0.03)
    assert noisy.mean() == pytest.approx(128, abs=0.3)


def test_lower_jpeg_quality_costs_more_detail() -> None:
    errors = [
        np.abs(jpeg(picture(), rng(), quality=(quality, quality)).astype(float) - picture()).mean()
        for quality in (90, 50, 10)
    ]

    assert errors[0] < errors[1] < errors[2]


def test_pictures_are_moved_by_the_wanted_pixels() -> None:
    real = blurred(picture(width=64), 1.0)

    down_right = moved(real, shift=(3.0, 5.0))
    larger = moved(real, zoom=1.25)

    assert np.array_equal(down_right[3:, 5:], real[:-3, :-5])
    assert np.array_equal(down_right[0, 5:], real[0, :-5])  # the border is carried on
    centre = resized(real, (80, 80), "bilinear")[8:72, 8:72].astype(float)
    assert np.abs(larger.astype(float) - centre).mean() < 2.0
    assert np.array_equal(moved(real), real)


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ({"name": "RandomRotaton"}, "nearest: RandomRotation"),
        ({"name": "RandomRotation"}, "needs degrees"),
        ({"name": "RandomRotation", "degree": 3}, "nearest: degrees"),
        ({"name": "Compose", "transforms": [{"name": "Rezise", "size": 3}]}, "nearest: Resize"),
        ({"name": "JPEG", "quality": [0, 50]}, r"JPEG.quality: must lie within \[1, 95\]"),
        ("Resize", "a step is a table"),
    ],
)
def test_mistakes_are_told_with_the_nearest_name(step: object, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        picture_chain([step])  # type: ignore[list-item]


def test_views_refuse_nonsense() -> None:
    with pytest.raises(ValidationError):
        ViewSpec(name="SevenCrop", size=(3, 3))  # type: ignore[arg-type]
