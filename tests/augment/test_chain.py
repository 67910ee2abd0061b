"""Steps of a recipe: composed, seeded per sample, the same in every worker, refused with the nearest name."""

from __future__ import annotations

import multiprocessing
import pickle
import tomllib

import numpy as np
import pytest
from pydantic import ValidationError
from voices import RATE, level_db, noise, pitch_of, voice

from ffdv.augment.audio import SOUND_TRANSFORMS
from ffdv.augment.chain import FORGE_PICTURE, FORGE_SOUND, AugmentSpec, SpectrogramChain, sound_chain
from ffdv.augment.masks import SPECTROGRAM_TRANSFORMS
from ffdv.augment.spans import draw, draw_count
from ffdv.augment.steps import parameters_of, sample_rng
from ffdv.errors import RecipeError
from ffdv.records import FloatArray

RECIPE = """
[[augment.sound]]
name = "pitch_shift"
probability = 0.5
semitones = [-2, 2]
[[augment.sound]]
name = "one_of"
weights = [1, 3]
steps = [{ name = "mp3", kbps = 64 }, { name = "compose", steps = [{ name = "gain" }, { name = "opus" }] }]
[[augment.spectrogram]]
name = "frequency_mask"
[[augment.picture]]
name = "RandomRotation"
degrees = 10
[[augment.picture]]
name = "RandomApply"
transforms = [{ name = "JPEG", quality = [30, 60] }]
[[augment.forge_sound]]
name = "griffin_lim_copy"
probability = 0.25
iterations = 4
[[augment.forge_picture]]
name = "self_blend"
probability = 0.5
[augment.mix]
mixup_alpha = 0.2
[augment.views]
name = "TenCrop"
size = [224, 224]
"""


def spec_of(recipe: str) -> AugmentSpec:
    return AugmentSpec.model_validate(tomllib.loads(recipe).get("augment", {}))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_recipe_is_complete_after_reading_and_reads_back() -> None:
    spec = spec_of(RECIPE)

    assert spec.sound[0].settings == {"semitones": (-2.0, 2.0)}
    assert spec.sound[1].settings["steps"][0].settings == {"kbps": (64.0, 64.0)}
    assert spec.forge_sound[0].settings["n_ffts"] == (512, 1024, 2048)
    plain = spec.model_dump(mode="json")
    assert plain["spectrogram"][0] == {"name": "frequency_mask", "probability": 1.0, "share": [0.0, 0.15], "count": 2}
    again = AugmentSpec.model_validate(plain)
    assert again.model_dump(mode="json") == plain
    assert pickle.loads(pickle.dumps(spec)) == spec  # noqa: S301 -- our own bytes


def test_an_empty_recipe_changes_nothing() -> None:
    spec, sound = AugmentSpec(), voice()

    assert np.array_equal(spec.sound_chain(RATE)(sound, rng()), sound)
    assert spec.forge_sound_chain()(sound, RATE, rng=rng()) is None
    assert np.array_equal(spec.picture_chain()(np.zeros((4, 4, 3), np.uint8), rng()), np.zeros((4, 4, 3)))


def test_steps_apply_in_order() -> None:
    up_then_clip = sound_chain([{"name": "gain", "decibels": 20}, {"name": "set_rms", "dbfs": -30}], rate=RATE)
    clip_then_up = sound_chain([{"name": "set_rms", "dbfs": -30}, {"name": "gain", "decibels": 20}], rate=RATE)

    assert level_db(up_then_clip(voice(), rng())) == pytest.approx(-30, abs=0.01)
    assert level_db(clip_then_up(voice(), rng())) == pytest.approx(-10, abs=0.01)


def slip(samples: FloatArray, rate: int, rng: np.random.Generator) -> FloatArray:
    """A usual slip of a transform of one's own: a division by an empty maximum."""
    changed = samples.copy()
    changed[3] = np.nan
    return changed


@pytest.mark.parametrize("after", ["mp3", "aac", "opus", "gain"])
def test_the_step_that_makes_no_number_is_named_before_an_encoder_meets_it(
    after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SOUND_TRANSFORMS, "slip", slip)
    inner = {"name": "compose", "steps": [{"name": "slip"}, {"name": after}]}

    for steps in ([{"name": "slip"}, {"name": after}], [inner], [{"name": "slip"}]):
        with pytest.raises(RecipeError, match="'slip' made no sound of what it got: 1 of 16000 samples are not finite"):
            sound_chain(steps, rate=RATE)(voice(seconds=1.0)[:16000], rng())


def test_a_chain_takes_sound_and_nothing_else() -> None:
    louder, sound = sound_chain([{"name": "gain"}], rate=RATE), voice(seconds=0.5)

    assert louder(sound.astype(np.float64), rng()).dtype == np.float32
    assert louder(np.stack([sound, sound]), rng()).shape == sound.shape
    with pytest.raises(ValueError, match="got int16; divide by 32768"):
        louder((sound * 32767).astype(np.int16), rng())
    with pytest.raises(ValueError, match="channels come first; transpose them"):
        louder(sound[:, None], rng())
    with pytest.raises(ValueError, match="not finite"):
        louder(np.full(100, np.inf, np.float32), rng())


def test_the_same_sample_is_the_same_in_every_worker() -> None:
    chain = spec_of(RECIPE).sound_chain(RATE)
    sound = voice(seconds=0.5)
    here = [chain(sound, sample_rng(7, epoch, 3)) for epoch in range(4)]

    with multiprocessing.get_context("spawn").Pool(2) as pool:
        there = pool.starmap(chain, [(sound, sample_rng(7, epoch, 3)) for epoch in range(4)])

    for first, second in zip(here, there, strict=True):
        assert np.array_equal(first, second)
    assert len({item.tobytes() for item in here}) > 1


def test_changing_one_step_leaves_what_the_others_draw() -> None:
    def levels(probability: float) -> list[float]:
        chain = sound_chain(
            [{"name": "white_noise", "probability": probability, "snr_db": 90}, {"name": "gain"}], rate=RATE
        )
        return [level_db(chain(voice(), rng(seed))) for seed in range(5)]

    assert np.allclose(levels(0.0), levels(1.0), atol=0.01)


def test_one_of_takes_one_by_weight() -> None:
    chain = sound_chain(
        [
            {
                "name": "one_of",
                "weights": [1, 3],
                "steps": [{"name": "gain", "decibels": -6}, {"name": "gain", "decibels": 6}],
            }
        ],
        rate=RATE,
    )

    changes = [round(level_db(chain(noise(0.1), rng(seed))) - level_db(noise(0.1))) for seed in range(200)]

    assert set(changes) == {-6, 6}
    assert np.mean(np.array(changes) == 6) == pytest.approx(0.75, abs=0.1)


def test_several_channels_are_averaged_unless_a_step_separates_them() -> None:
    stereo = np.stack([noise(seed=1), noise(seed=2)])

    averaged = sound_chain([{"name": "gain", "decibels": 0}], rate=RATE)(stereo, rng())
    left = sound_chain([{"name": "separate_channels", "take": ["left"]}], rate=RATE)(stereo, rng())
    untouched = sound_chain([], rate=RATE)(stereo, rng())

    assert np.allclose(averaged, stereo.mean(axis=0), atol=1e-7)
    assert np.array_equal(left, stereo[0])
    assert np.allclose(untouched, stereo.mean(axis=0), atol=1e-7)


def test_a_chain_does_what_its_recipe_says() -> None:
    chain = sound_chain([{"name": "pitch_shift", "semitones": 4}], rate=RATE)

    assert pitch_of(chain(voice(120.0), rng())) == pytest.approx(120.0 * 2 ** (4 / 12), rel=0.01)


def test_masks_chain() -> None:
    spectrogram = np.ones((10, 20)) * np.arange(20)
    chain = SpectrogramChain(
        AugmentSpec.model_validate({"spectrogram": [{"name": "time_mask", "share": 0.5, "count": 1}]}).spectrogram
    )

    assert (chain(spectrogram, rng()) != spectrogram).any(axis=0).sum() in (9, 10)  # 9.5, the fill, is no frame's value


def test_forging_happens_as_often_as_the_steps_say() -> None:
    spec = AugmentSpec.model_validate(
        {"forge_sound": [{"name": "delay_sound", "probability": 0.3}, {"name": "swap_sound", "probability": 0.2}]}
    )
    sound, other = noise(0.2), noise(0.2, seed=5)

    made = [spec.forge_sound_chain()(sound, RATE, rng=rng(seed), other=other) for seed in range(400)]
    without_other = [spec.forge_sound_chain()(sound, RATE, rng=rng(seed)) for seed in range(400)]

    methods = [forged.method if forged else "" for forged in made]
    assert methods.count("delay_sound") / 400 == pytest.approx(0.3, abs=0.07)
    assert methods.count("swap_sound") / 400 == pytest.approx(0.2, abs=0.07)
    assert {forged.method for forged in without_other if forged} == {"delay_sound"}


def test_probabilities_beyond_one_are_shares() -> None:
    spec = AugmentSpec.model_validate(
        {"forge_picture": [{"name": "temporal_splice"}, {"name": "drop_frames", "how": ["freeze"]}]}
    )
    frames = np.random.default_rng(0).integers(0, 255, (8, 16, 16, 3), dtype=np.uint8)

    made = [spec.forge_picture_chain()(frames, rng=rng(seed), fps=25.0, landmarks=None) for seed in range(100)]

    methods = [forged.method for forged in made if forged]
    assert len(methods) == 100
    assert methods.count("temporal_splice") == pytest.approx(50, abs=20)


@pytest.mark.parametrize(
    ("recipe", "told"),
    [
        ({"sound": [{"name": "pich_shift"}]}, "nearest: pitch_shift"),
        ({"sound": [{"name": "zzz"}]}, "known: .*white_noise"),
        ({"sound": [{"name": "pitch_shift", "semitone": 2}]}, "nearest: semitones"),
        ({"sound": [{"name": "pitch_shift", "semitones": [2, -2]}]}, r"a range is \[low, high\]"),
        ({"sound": [{"name": "pitch_shift", "semitones": 99}]}, r"must lie within \[-24, 24\]"),
        ({"sound": [{"name": "pitch_shift", "semitones": [0, float("nan")]}]}, "must be finite"),
        ({"sound": [{"name": "noise_from_files"}]}, "noise_from_files.folder: Field required"),
        ({"sound": [{"name": "gain", "probability": 1.5}]}, "probability"),
        ({"sound": [{"name": "one_of"}]}, "one_of: needs steps"),
        ({"sound": [{"name": "one_of", "steps": [{"name": "gain"}], "weights": [1, 2]}]}, "one non-negative number"),
        ({"sound": [{"name": "compose", "step": []}]}, "nearest: steps"),
        ({"sound": ["gain"]}, "a step is a table"),
        ({"spectrogram": [{"name": "frequency_maks"}]}, "nearest: frequency_mask"),
        ({"forge_sound": [{"name": "griffin_lim"}]}, "nearest: griffin_lim_copy"),
        ({"forge_picture": [{"name": "self_blended"}]}, "nearest: self_blend"),
        ({"forge_picture": [{"name": "self_blend", "landmarks": [1]}]}, "there is no parameter 'landmarks'"),
        ({"sounds": []}, "Extra inputs"),
    ],
)
def test_mistakes_are_told_with_the_nearest_name(recipe: dict[str, object], told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        AugmentSpec.model_validate(recipe)


def test_a_chain_from_plain_steps_tells_mistakes_in_one_sentence() -> None:
    with pytest.raises(RecipeError, match=r"^there is no sound transform 'gian'; nearest: gain$"):
        sound_chain([{"name": "gian"}], rate=RATE)


@pytest.mark.parametrize(
    "transform",
    [*SOUND_TRANSFORMS.values(), *SPECTROGRAM_TRANSFORMS.values(), *FORGE_SOUND.values(), *FORGE_PICTURE.values()],
    ids=lambda transform: transform.__name__,
)
def test_every_default_is_within_its_own_limits(transform) -> None:  # noqa: ANN001
    model = parameters_of(transform)
    needed = {"folder": "sounds", "transform": "Gain"}

    filled = model.model_validate({key: value for key, value in needed.items() if key in model.model_fields})

    assert set(filled.model_dump()) == set(model.model_fields)


def test_sample_generators_depend_on_every_number_and_on_nothing_else() -> None:
    draws = {tuple(sample_rng(*key).random(2)) for key in [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]}

    assert len(draws) == 4
    assert sample_rng(3, 1, 4).random() == sample_rng(3, 1, 4).random()


def test_draws_cover_their_span() -> None:
    values = [draw(rng(seed), (2.0, 5.0)) for seed in range(300)]
    counts = [draw_count(rng(seed), (1, 3)) for seed in range(300)]

    assert 2.0 <= min(values) < 2.2
    assert 4.8 < max(values) <= 5.0
    assert set(counts) == {1, 2, 3}
    assert draw(rng(), (4.0, 4.0)) == 4.0
