"""A setting that would change nothing is refused, so that nobody compares runs which differ in nothing."""

from __future__ import annotations

import pytest

from ffdv.augment.chain import AugmentSpec
from ffdv.errors import RecipeError
from ffdv.training.kinds import KINDS
from ffdv.training.late import _member_recipes
from ffdv.training.losses import LossSpec
from ffdv.training.plan import load_recipe, recipe_from, recipe_names
from ffdv.training.unused import UNUSED

NOISE, MASK = 'augment.sound=[{name="white_noise"}]', 'augment.spectrogram=[{name="time_mask"}]'


@pytest.mark.parametrize(
    ("recipe", "setting", "told"),
    [
        ("fusion-joint", NOISE, "augment.sound is not used in training on sound and faces together; remove it; of"),
        ("fusion-joint", MASK, "augment.spectrogram is not used in training on sound and faces together; remove it"),
        ("fusion-joint", "augment.mix.mixup_alpha=1.0", "augment.mix is not used"),
        ("fusion-joint", "loss.kind=focal", "loss.kind is not used"),
        ("faces-sbi", NOISE, "augment.sound is not used in training on faces; remove it"),
        ("faces-efficientnet", MASK, "augment.spectrogram is not used"),
        ("motion-histogram", "augment.mix.mixup_alpha=0.4", "remove it, or set motion.classifier = 'net'"),
        ("motion-histogram", "loss.label_smoothing=0.1", "loss.label_smoothing is not used in training on movement"),
        ("sync", "loss.kind=focal", "loss.kind is not used in training on lips and sound, which is fitted at once"),
        ("fusion-late", 'augment.picture=[{name="JPEG"}]', r"only weighs its members \(fusion.member_settings is"),
    ],
)
def test_what_would_be_ignored_is_refused_with_the_cure(recipe: str, setting: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        load_recipe(recipe, [setting])


def test_class_weights_of_a_joint_net_name_what_does_the_same() -> None:
    with pytest.raises(RecipeError, match=r"loader.balance_classes = true corrects the classes' numbers"):
        load_recipe("fusion-joint", ["loss.class_weights=balanced", "loader.balance_classes=false"])


def test_every_recipe_that_comes_along_is_taken_and_what_is_used_too() -> None:
    for name in recipe_names():
        load_recipe(name)
    load_recipe("voice", ["loss.kind=focal", NOISE, MASK, "augment.mix.mixup_alpha=0.4"])
    load_recipe("faces-efficientnet", ["loss.kind=focal", "augment.mix.mixup_alpha=0.4"])
    load_recipe("motion-histogram", ["motion.classifier=net", "augment.mix.mixup_alpha=0.4", "loss.kind=focal"])


def test_a_run_that_was_trained_with_such_a_setting_can_still_be_read() -> None:
    tables = load_recipe("fusion-joint").model_dump(mode="json")
    tables["loss"]["kind"] = "focal"

    assert recipe_from(tables, where="run", trained_before=True).loss.kind == "focal"


def test_members_take_the_settings_that_they_have_a_use_for() -> None:
    settings = ["loss.label_smoothing=0.2", "training.epochs=3", 'augment.picture=[{name="JPEG"}]']

    members = _member_recipes(["voice", "faces-sbi", "sync"], settings)

    assert [members[name].loss.label_smoothing for name in members] == [0.2, 0.2, 0.0]
    assert [len(members[name].augment.picture) for name in members] == [1, 1, 0]
    assert {recipe.training.epochs for recipe in members.values()} == {3}
    with pytest.raises(RecipeError, match=r"no member has a use for 'loss.kind=focal'; remove it"):
        _member_recipes(["motion-histogram", "sync"], ["loss.kind=focal"])


def test_every_kind_says_what_it_does_not_use() -> None:
    known = {"augment": set(AugmentSpec.model_fields), "loss": set(LossSpec.model_fields)}

    assert set(UNUSED) == {*KINDS, "motion by a net"}
    assert all(set(names) <= known[table] for unused in UNUSED.values() for table, names in unused.items())
