"""Lengths of windows are judged by one rule, wherever they are met."""

from __future__ import annotations

import doctest
import math

import pytest

from ffdv.features import windows
from ffdv.features.windows import LEAST_SECONDS, MOST_SECONDS, SHORTEST_SECONDS, longest_fault, window_fault


def test_the_examples_in_the_docs_hold() -> None:
    assert doctest.testmod(windows).failed == 0


def test_what_a_recipe_may_ask_lies_within_what_a_file_may_say() -> None:
    assert LEAST_SECONDS < SHORTEST_SECONDS < MOST_SECONDS


@pytest.mark.parametrize("senseless", [0, -1.0, math.nan, math.inf, True, "4", [4], 10**400])
def test_what_is_no_length_is_named(senseless: object) -> None:
    assert window_fault(senseless, None).startswith("window_seconds is")
    assert window_fault(4.0, senseless).startswith("hop_seconds is")
    assert longest_fault(senseless).startswith("max_seconds is")
