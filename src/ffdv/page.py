"""What all pages of ffdv share: one look (page.css), one shell, and templates in which every name is text and never markup.

    {% extends "page" %}{% block title %}...{% endblock %}{% block body %}...{% endblock %}    ──render──▶  one self-contained file

A page needs no network and no script; its content policy forbids both, so that nothing in a clip's name can fetch or run
anything. A page with a script of its own names that script's hash in {% block policy %}, and only that one runs. It lies in row 0 because pages are made in several rooms that do not know each other.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

# The colours of page.css for pictures on white paper (PNG), where no style sheet reaches.
REAL_COLOUR, FAKE_COLOUR, SOFT_COLOUR = "#0067a8", "#b04500", "#8a9097"

HTML_LANGUAGES = {"en": "en", "zh": "zh-CN"}  # fonts for Chinese are chosen by it

SHELL = """<!doctype html>
<html lang="{{ html_languages[lang | default('en')] }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{% block policy %}default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:{% endblock %}">
<meta name="generator" content="ffdv">
<title>{% block title %}{% endblock %}</title>
<style>
{{ style }}{% block style %}{% endblock %}
</style>
</head>
<body>
<main>
{% block body %}{% endblock %}
</main>
</body>
</html>
"""


# What moves a terminal's cursor, turns a line's direction round, or is no character at all; tabs and line ends are none of it.
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(value: object) -> object:
    r"""A value as templates show it: control and direction characters of a text are written out; markup is left as it is.

    >>> visible("red" + chr(27) + "[31m"), visible(chr(0x202E) + "gnp.mp4"), visible(0.5)
    ('red\\x1b[31m', '\\u202egnp.mp4', 0.5)
    """
    if not isinstance(value, str) or hasattr(value, "__html__"):
        return value
    return _UNSEEN.sub(lambda found: repr(found[0])[1:-1], value)


def page_style() -> str:
    """The style sheet, as text for a <style> element."""
    return files("ffdv").joinpath("page.css").read_text(encoding="utf-8")


def render(source: str, **values: Any) -> str:
    """A Jinja2 template with values; `{% extends "page" %}` gives it the shell, `lang` its language ("en" by default).

    Every value is escaped; what `drawn` made is not escaped twice.
    """
    return str(_compiled(source).render(**values))


def drawn(source: str, **values: Any) -> Markup:
    """A piece of a page (an SVG, a table) to be put into another template as it is; its own values are escaped."""
    from markupsafe import Markup

    return Markup(render(source, **values))  # noqa: S704 -- rendered by an escaping template


def own_markup(text: str) -> Markup:
    """A style or script of ours, to be put into a template as it is."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 -- our own file


@cache
def _environment() -> Environment:
    from jinja2 import DictLoader, Environment, StrictUndefined

    environment = Environment(
        loader=DictLoader({"page": SHELL}),
        autoescape=True,
        finalize=visible,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals["html_languages"] = HTML_LANGUAGES
    environment.globals["style"] = own_markup(page_style())
    return environment


@cache
def _compiled(source: str) -> Any:
    return _environment().from_string(source)
