"""Recipes: what they say, what they refuse and in which words."""

from __future__ import annotations

import math
import os
import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffdv.errors import RecipeError
from ffdv.training.plan import Recipe, load_recipe, override_recipe, recipe_from, recipe_names, recipe_toml
from ffdv.training.run import resolve


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_loads_under_its_own_name_and_survives_being_written_out(name: str) -> None:
    recipe = load_recipe(name)

    assert recipe.name == name
    assert recipe_from(tomllib.loads(recipe_toml(recipe)), where="its own text") == recipe


def test_the_published_settings_are_the_published_ones() -> None:
    recipe = load_recipe("mel-resnet18")

    assert (recipe.optimiser.kind, recipe.optimiser.learning_rate, recipe.optimiser.weight_decay) == (
        "adam",
        0.003,
        0.0,
    )
    assert (recipe.schedule.kind, recipe.schedule.step_epochs, recipe.schedule.factor) == ("step", 4, 0.85)
    assert (recipe.loader.batch_size, recipe.loader.window_seconds, recipe.loader.balance_classes) == (40, None, False)
    assert (recipe.loss.kind, recipe.loss.class_weights, recipe.loss.label_smoothing) == ("cross_entropy", "none", 0.0)
    assert (recipe.model.backbone, recipe.model.picture_size) == ("resnet18", (256, 256))
    front_end = recipe.front_end
    assert (front_end.kind, front_end.sample_rate, front_end.n_fft) == ("mel", 22_050, 2_048)
    assert (front_end.hop_length, front_end.n_bands, front_end.fmax) == (512, 128, 8_000)
    flips = [(step.name, step.settings["p"]) for step in recipe.augment.picture]
    assert flips == [("RandomHorizontalFlip", 0.5), ("RandomVerticalFlip", 0.5)]
    assert recipe.training.average_decay is recipe.training.clip_norm is recipe.training.early_stop_epochs is None


def test_overrides_reach_every_kind_of_value_in_order() -> None:
    recipe = load_recipe(
        "voice",
        (
            "model.backbone=efficientnet_b0",
            "loader.batch_size = 8",
            "loader.balance_classes=false",
            "model.picture_size=[64, 96]",
            "optimiser.learning_rate=1e-2",
            "training.clip_norm=none",
            'split.groups=["identity"]',
            "loader.batch_size=9",
        ),
    )

    assert recipe.model.backbone == "efficientnet_b0"
    assert recipe.loader.batch_size == 9
    assert recipe.loader.balance_classes is False
    assert recipe.model.picture_size == (64, 96)
    assert recipe.optimiser.learning_rate == 0.01
    assert recipe.training.clip_norm is None
    assert recipe.split.groups == ("identity",)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model.bakbone=resnet18", "unknown key 'model.bakbone'; did you mean 'model.backbone'"),
        ("modle.backbone=resnet18", "unknown key 'modle'; did you mean 'model'"),
        ("training.learning_rate=1", "unknown key 'training.learning_rate'; did you mean 'optimiser.learning_rate'"),
        ("front_end.n_mels=80", "unknown key 'front_end.n_mels'; did you mean 'front_end.n_bands'"),
        ("front_end.hop=160", "unknown key 'front_end.hop'; did you mean 'front_end.hop_length'"),
        ("optimiser.lr=0.1", "unknown key 'optimiser.lr'; did you mean 'optimiser.learning_rate'"),
        ("training.lr=0.1", "unknown key 'training.lr'; did you mean 'optimiser.learning_rate'"),
        ("lr=0.1", "unknown key 'lr'; did you mean 'optimiser.learning_rate'"),
        ("scheduler.kind=step", "unknown key 'scheduler'; did you mean 'schedule'"),
        ("schedule.kind=plateau", "'step' or 'cosine'; did you mean 'step'"),
        ("qqq=1", "unknown key 'qqq'; known are about, augment"),
        ("training.epochs=0", "training.epochs = 0: input should be greater"),
        ("loader.batch_size=many", "loader.batch_size = 'many': input should be a valid integer"),
        ("front_end.fmax=30000", "front_end: fmax 30000 Hz lies above 8000 Hz"),
        ("loss.class_weights=balanced", "correct the classes' numbers twice"),
        ("schedule.warm_up_epochs=40", "leaves nothing of training.epochs = 12"),
        ("loss.gamma=2", "gamma = 2.0 has no effect on cross_entropy"),
        ("augment.sound=[{name = 'pitchshift'}]", "there is no sound transform 'pitchshift'; nearest: pitch_shift"),
        ("augment.forge_picture=[{name = 'self_blend'}]", "not used in training on sound"),
        ("augment.forge_sound=[{name = 'swap_sound'}]", "swap_sound leaves the voice genuine"),
        ("split.test_share=0.7", "leave less than a fifth"),
        ("split.test=['dev']", "split 'dev' cannot be two parts"),
        ("loader.seed", "write it as model.backbone=resnet18"),
        ("loader.batch_size.x=1", "'loader.batch_size' is a value, not a table"),
        ("format=2", "format = 2: input should be 1"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_says_what_to_write(override: str, sentence: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("voice", (override,))

    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(RecipeError, match=r"training.epochs.*loader.batch_size|loader.batch_size.*training.epochs"):
        load_recipe("voice", ("training.epochs=0", "loader.batch_size=0"))


def test_unknown_names_and_files_say_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="did you mean 'voice'"):
        load_recipe("voise")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(tmp_path / "absent.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("name = ")
    with pytest.raises(RecipeError, match=r"broken.toml is not TOML"):
        load_recipe(broken)
    nameless = tmp_path / "nameless.toml"
    nameless.write_text("[loader]\n")
    with pytest.raises(RecipeError, match="'name' is missing"):
        load_recipe(nameless)


def test_a_recipe_file_and_a_recipe_value_take_the_same_overrides(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(recipe_toml(load_recipe("voice")))
    overrides = ("training.epochs=3", "training.average_decay=none")

    assert load_recipe(path, overrides) == override_recipe(load_recipe("voice"), overrides)


@given(
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30),
    rate=st.floats(1e-9, 1e3),
    clip=st.none() | st.floats(1e-6, 1e6),
    groups=st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=3),
)
@settings(max_examples=25, deadline=None)
def test_whatever_a_recipe_holds_it_survives_being_written_out(
    name: str, rate: float, clip: float | None, groups: list[str]
) -> None:
    recipe = Recipe.model_validate(
        {
            "name": name,
            "optimiser": {"learning_rate": rate},
            "training": {"clip_norm": clip},
            "split": {"groups": groups},
        }
    )

    assert recipe_from(tomllib.loads(recipe_toml(recipe)), where="its own text") == recipe


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = " + "[" * 60_000, "nested too deeply"),
        ("[loader.batch_size." + ".".join(["a"] * 2_000) + "]", "nested too deeply"),
        ("# " + "x" * 100_000, "larger than 65536 bytes"),
    ],
)
def test_a_recipe_that_is_made_to_be_unreadable_is_one_sentence(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "deep.toml"
    path.write_text(text)

    with pytest.raises(RecipeError, match=said) as caught:
        load_recipe(path)

    assert "deep.toml" in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_pipe_for_a_recipe_is_not_waited_for_and_deep_overrides_are_one_sentence(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")

    with pytest.raises(RecipeError, match="not a regular file"):
        load_recipe(tmp_path / "pipe.toml")
    with pytest.raises(RecipeError, match="nested too deeply"):
        load_recipe("voice", ["split.groups=" + "[" * 60_000])


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("loader.window_seconds=64600", "window_seconds = 64600 is longer than max_seconds = 30; give it in seconds"),
        ("loader.max_seconds=1", "raise max_seconds too"),
        ("loader.hop_seconds=100", "hop_seconds = 100 is longer than a window of 4 s"),
        ("loader.window_seconds=inf", "finite number"),
        ("loader.window_seconds=0.00001", "0.02"),
        ("loader.hop_seconds=0.00001", "0.02"),
        ("loader.max_seconds=nan", "finite number"),
        ("optimiser.learning_rate=inf", "finite number"),
    ],
)
def test_lengths_and_rates_that_make_no_sense_are_refused(setting: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load_recipe("voice", [setting])


def test_a_single_override_is_a_setting_and_not_its_letters() -> None:
    assert resolve("voice", overrides="model.dropout=0.25").model.dropout == 0.25


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (("loader.max_seconds=200", "loader.window_seconds=100", "loader.hop_seconds=0.02"), "could not be used"),
        (("loader.max_seconds=9000", "loader.window_seconds=4000"), "no length in seconds"),
    ],
)
def test_what_could_not_be_used_once_it_is_trained_is_refused_before(settings: tuple[str, ...], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        load_recipe("voice", settings)


@pytest.mark.parametrize(
    "settings",
    [
        {"loader": {"window_seconds": 4.0, "max_seconds": 3.0}},
        {"loader": {"hop_seconds": 5.0}},
        {"loader": {"max_seconds": math.inf}},
        {"loader": {"max_seconds": None}},  # endless, as JSON has it
        {"loader": {"window_seconds": 0.01, "hop_seconds": 0.005}},
        {"model": {"picture_size": (2048, 1024)}},
    ],
)
def test_what_a_run_of_an_earlier_version_was_trained_by_passes_and_a_new_run_is_refused_it(
    settings: dict[str, dict[str, object]],
) -> None:
    tables = {"name": "earlier", **settings}

    written = recipe_from(tables, where="RUN", trained_before=True).model_dump()

    for table, keys in settings.items():
        assert {key: written[table][key] for key in keys} == {
            key: math.inf if value is None else value for key, value in keys.items()
        }
    with pytest.raises(RecipeError):
        recipe_from(tables, where="RUN")


@pytest.mark.parametrize(
    "settings",
    [{"window_seconds": 0.0}, {"hop_seconds": -1.0}, {"window_seconds": math.inf}, {"max_seconds": math.nan}],
)
def test_no_run_was_trained_by_what_is_no_length(settings: dict[str, object]) -> None:
    with pytest.raises(RecipeError, match="recipe RUN: loader"):
        recipe_from({"name": "earlier", "loader": settings}, where="RUN", trained_before=True)
