"""The page of every recipe key is what the settings say today."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from write_recipe_page import MEANINGS, PAGE, TABLES, page, settings_of

from ffdv.training.plan import Recipe, recipe_from


def test_every_key_has_a_meaning_and_no_meaning_is_of_a_key_that_is_gone() -> None:
    settings = [(table, key) for table, key, _ in settings_of(Recipe)]

    assert sorted(MEANINGS) == sorted(f"{table}.{key}".lstrip(".") for table, key in settings)
    assert set(TABLES) == {table for table, _ in settings}


def test_the_page_is_current() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python scripts/write_recipe_page.py"


def test_the_example_on_the_page_is_a_recipe() -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", page(), re.DOTALL)

    assert recipe_from(tomllib.loads(example), where="docs/recipes.md").augment.sound[0].name == "white_noise"
