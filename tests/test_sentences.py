"""Sentences travel as text, come back in Chinese with the same values, and none is without Chinese."""

from __future__ import annotations

import ast
import copy
import json
import pickle
import re
import string
from collections.abc import Iterator
from dataclasses import asdict
from functools import cache
from pathlib import Path

import pytest

import ffdv
from ffdv.chinese import CHINESE, SYSTEM_CHINESE
from ffdv.errors import MediaDamaged
from ffdv.records import Note
from ffdv.sentences import FOREIGN, Sentence, foreign, worded

SOURCE = Path(ffdv.__file__).parent
# Whoever makes one of these says something that a page shows; the argument that is its text.
SPEAKERS = {
    "MediaNotFound": 1,
    "MediaUnreadable": 1,
    "MediaEncrypted": 1,
    "MediaDamaged": 1,
    "MediaLimit": 1,
    "StreamMissing": 1,
    "Note": 1,
    "SenseAbsent": 2,
}
# Rooms whose words reach a page; what the others say is for the English terminal alone.
ON_PAGES = [*sorted(SOURCE.glob("media/*.py")), *(SOURCE / "detect" / f"{name}.py" for name in (
    "agreement", "evidence", "fusion", "judging", "looking", "picture", "picture_model", "scan", "senses", "voice"
))]  # fmt: skip


@cache
def calls(path: Path) -> tuple[ast.Call, ...]:
    return tuple(node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call))


def named(call: ast.Call) -> str:
    return getattr(call.func, "id", getattr(call.func, "attr", ""))


def made() -> Iterator[tuple[str, ast.Call]]:
    """Every place where a Sentence is made."""
    for path in SOURCE.rglob("*.py"):
        for call in calls(path):
            if named(call) == "Sentence" and call.args:
                yield f"{path.relative_to(SOURCE)}:{call.lineno}", call


def gaps(template: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(template) if name)


def template_of(call: ast.Call) -> str | None:
    first = call.args[0]
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def test_every_sentence_that_the_code_can_make_has_chinese_and_its_values() -> None:
    places = {place: (template_of(call), call) for place, call in made()}
    ours = {place: found for place, found in places.items() if not place.startswith("sentences.py")}

    assert len(ours) > 60
    assert [place for place, (template, _) in ours.items() if template is None] == []
    assert sorted(f"{place}: {template}" for place, (template, _) in ours.items() if template not in CHINESE) == []
    for place, (template, call) in ours.items():
        given = sorted(keyword.arg for keyword in call.keywords if keyword.arg)
        assert given == gaps(template or ""), place


def test_no_chinese_is_kept_for_a_sentence_that_is_gone() -> None:
    assert sorted(set(CHINESE) - {template_of(call) for _, call in made()}) == []


@pytest.mark.parametrize("template", CHINESE)
def test_chinese_holds_the_same_values_and_its_own_punctuation(template: str) -> None:
    chinese = CHINESE[template]

    assert gaps(chinese) == gaps(template)
    assert not re.search(r"[\u4e00-\u9fff}][,;:?!()]", chinese)
    assert not chinese.endswith(("。", ".")), "who shows it ends it"
    words = re.sub(r"\{[^}]*\}", "", template)
    assert bool(re.search(r"[\u4e00-\u9fff]", chinese)) == bool(re.search(r"[a-z]", words))


def test_what_reaches_a_page_is_never_plain_text() -> None:
    """An f-string has no Chinese; only a name or a call may stand where a sentence is wanted, and mypy knows their types."""
    plain = [
        f"{path.name}:{call.lineno}"
        for path in ON_PAGES
        for call in calls(path)
        if len(call.args) > (at := SPEAKERS.get(named(call), 99)) and isinstance(call.args[at], (ast.Constant, ast.JoinedStr))
    ]  # fmt: skip

    assert plain == []
    assert sum(named(call) in SPEAKERS for path in ON_PAGES for call in calls(path)) > 40


def test_a_sentence_is_its_english_text_everywhere_and_stays_whole_on_the_way() -> None:
    told = Sentence("{percent:.1f} % of the {sense} is damaged ({counted})", percent=2.5, sense=Sentence("sound"), counted="x")  # fmt: skip
    travelled = [
        pickle.loads(pickle.dumps(told)),  # noqa: S301 -- our own bytes
        copy.deepcopy(told),
        asdict(Note("damaged", told))["text"],
        pickle.loads(pickle.dumps(MediaDamaged("a.mp4", told))).reason,  # noqa: S301 -- as above
    ]

    assert told == "2.5 % of the sound is damaged (x)"
    assert json.loads(json.dumps({"text": told})) == {"text": "2.5 % of the sound is damaged (x)"}
    assert [worded(one, "zh") for one in travelled] == ["声音有 2.5 % 损坏（x）"] * 4
    assert {type(worded(told, "en")), type(worded(told, "zh"))} == {str}


def test_what_others_say_is_translated_where_it_is_known_and_marked_where_not() -> None:
    why = "no such file ({why}); check the name and the folder"

    assert (
        worded(Sentence(why, why=foreign("No such file or directory")), "zh")
        == "没有这个文件（路径不存在）；请检查文件名和文件夹"
    )
    assert worded("something odd", "zh") == worded(foreign("something odd"), "zh") == "技术信息（英文）：something odd"
    assert worded(foreign(Sentence("the sound is silent")), "zh") == "声音完全无声"
    assert worded("the sound is silent", "zh") == "声音完全无声"  # read again from a table
    assert worded(foreign("something odd"), "en") == "something odd"
    assert FOREIGN not in CHINESE
    assert all(name == name.lower() for name in SYSTEM_CHINESE)


def test_a_missing_value_is_an_error_where_the_sentence_is_made() -> None:
    with pytest.raises(KeyError, match="why"):
        Sentence("no such file ({why}); check the name and the folder")
