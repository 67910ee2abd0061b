"""What a verb was called with is read as it was meant, or refused by the keyword's name."""

from __future__ import annotations

import doctest
import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ffdv
from ffdv import arguments
from ffdv.arguments import each, one_of, one_path, positive, whole_number
from ffdv.errors import MediaNotFound, RecipeError


def test_the_examples_in_the_docs_hold() -> None:
    assert doctest.testmod(arguments).failed == 0


@pytest.mark.parametrize("value", [0, -1, 1.5, math.nan, "3", True])
def test_what_is_no_whole_number_of_at_least_one_is_refused_by_name(value: object) -> None:
    with pytest.raises(RecipeError, match="limit must be a whole number of at least 1"):
        whole_number(1, limit=value)  # type: ignore[arg-type]


def test_whole_numbers_pass_numpys_too_and_none_means_that_nothing_was_asked() -> None:
    whole_number(1, 5, limit=None, workers=5, seed=np.int64(1))  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="workers must be a whole number from 1 to 5, got 6"):
        whole_number(1, 5, workers=6)


@pytest.mark.parametrize("value", [0, -1.5, math.nan, math.inf, "3", None])
def test_what_is_no_finite_number_above_zero_is_refused_by_name(value: object) -> None:
    with pytest.raises(RecipeError, match="max_seconds must be a number above 0"):
        positive(max_seconds=value)  # type: ignore[arg-type]


def test_a_number_of_any_kind_becomes_one_that_json_takes() -> None:
    told = positive(max_seconds=np.float32(0.5), window_seconds=Fraction(1, 2), step_seconds=np.int64(2))  # type: ignore[arg-type]

    assert [type(value) for value in told] == [float] * 3
    assert told == (0.5, 0.5, 2.0)


@pytest.mark.parametrize("nothing", [None, b"a.mp4", ["a.mp4"], 3, "", " "])
@pytest.mark.parametrize("verb", [ffdv.probe, ffdv.sync, ffdv.generate_mel_spectrogram])
def test_what_names_no_file_is_refused_in_one_sentence(verb: Callable[[Any], object], nothing: object) -> None:
    with pytest.raises(RecipeError, match=r"^file is (an empty name|a \w+( of 1)?); give the path of one file$"):
        verb(nothing)


def test_a_zero_byte_in_a_name_is_said_in_words() -> None:
    with pytest.raises(MediaNotFound, match=r"no such file \(embedded null byte\)"):
        ffdv.probe("a\0b.mp4")


def test_a_word_that_is_not_known_is_told_those_that_are() -> None:
    with pytest.raises(RecipeError, match="sound_codec 'mp3' is not known; choose one of flac, int16"):
        one_of(("flac", "int16"), sound_codec="mp3")


def test_one_path_is_a_path_and_a_list_of_paths_is_none() -> None:
    assert one_path("a.wav") == one_path(Path("a.wav")) == Path("a.wav")
    assert each("ab") == ("ab",)
    for several in (["a.opus"], ("a.opus", "b.opus"), None, 3):
        with pytest.raises(RecipeError, match=r"data is .*; give one path"):
            one_path(several)  # type: ignore[arg-type]
