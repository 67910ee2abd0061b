"""Pages stand alone, whatever a clip is called."""

from __future__ import annotations

import re

import pytest
from jinja2 import UndefinedError

from ffdv.page import drawn, page_style, render

PAGE = '{% extends "page" %}{% block title %}{{ name }}{% endblock %}{% block body %}<p>{{ name }}</p>{{ piece }}{% endblock %}'


def test_a_name_is_text_and_never_markup() -> None:
    hostile = "<script>alert(1)</script>\"'&.mp4"

    page = render(PAGE, name=hostile, piece=drawn("<b>{{ name }}</b>", name=hostile))

    assert "<script" not in page
    assert page.count("&lt;script&gt;") == 3
    assert "<b>" in page


def test_no_name_moves_the_cursor_of_who_prints_the_page_or_turns_a_line_round() -> None:
    name = "red\x1b[31m \u202egnp\x07.mp4"

    page = render(PAGE, name=name, piece=drawn("<b>{{ name }}</b>\n", name=name + "\n\t视频 é 😀"))

    assert not set(page) & set("\x1b\x07\u202e")
    assert page.count("red\\x1b[31m \\u202egnp\\x07.mp4") == 3
    assert "\n\t视频 é 😀</b>" in page


def test_a_page_fetches_nothing_and_says_so_to_the_browser() -> None:
    page = render(PAGE, name="a", piece="")

    assert "default-src 'none'" in page
    assert not re.search(r"https?://|@import|url\(|<link|<script", page)


def test_light_dark_print_and_a_language_are_there() -> None:
    page = render(PAGE, name="a", piece="", lang="zh")

    assert '<html lang="zh-CN">' in page
    assert "prefers-color-scheme: dark" in page
    assert "@media print" in page


def luminance(colour: str) -> float:
    """Relative luminance by WCAG 2."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("ink", ["ink", "soft", "real", "fake", "unsure", "accent"])
def test_every_ink_can_be_read_on_paper_cards_and_grounds(ink: str, mode: int) -> None:
    shades = [
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))
        for block in re.findall(r":root \{(.*?)\}", page_style(), re.DOTALL)
    ]
    grounds = ["paper", "card"] + [f"{ink}-ground"] * (ink in ("real", "fake", "unsure"))

    for ground in grounds:
        light, dark = sorted((luminance(shades[mode][ink]), luminance(shades[mode][ground])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)


def test_a_forgotten_value_is_an_error_and_not_a_gap() -> None:
    with pytest.raises(UndefinedError):
        render("{{ nothing }}")
