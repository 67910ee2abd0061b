"""English sentences that remember how they were made, so that a page can word them in another language.

    Sentence("the file has {size:.3g} GB", size=9.1)  ──▶  a str, 'the file has 9.1 GB', wherever a str will do
    worded(text, "zh")                                ──▶  its Chinese from ffdv/chinese.py, filled with the same values

Who finds something out says it where it is found, in English; who shows it asks for the reader's language. It lies in row 0 because
sentences are made in several rooms that do not know each other, and shown in others. Why so: docs/decisions/0020.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

from ffdv.chinese import CHINESE, SYSTEM_CHINESE
from ffdv.errors import RecipeError

Lang = Literal["en", "zh"]
LANGUAGES: tuple[Lang, ...] = ("en", "zh")
STOPS: Mapping[Lang, str] = {"en": ".", "zh": "。"}
GAPS: Mapping[Lang, str] = {"en": " ", "zh": ""}  # between whole sentences

FOREIGN = "{words}"  # a text of the operating system or of a library, which nobody here wrote
_MARKED = "技术信息（英文）：{words}"  # it stays as it is, and the reader is told so


class Sentence(str):
    """A template filled with values, as text: no sentence of ours reaches a page any other way.

    template: a str.format template, which is also its name in ffdv/chinese.py; values may be sentences themselves.

    >>> told = Sentence("the sound is {seconds:.1f} s long, too short to judge", seconds=0.25)
    >>> told, told.values["seconds"], worded(told, "zh")
    ('the sound is 0.2 s long, too short to judge', 0.25, '声音只有 0.2 秒，太短，无法判断')
    """

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, /, **values: object) -> Self:
        """Fill the template. Raises KeyError where a value is missing."""
        made = super().__new__(cls, template.format(**values))
        made.template, made.values = template, values
        return made

    def __getnewargs_ex__(self) -> tuple[tuple[str], dict[str, Any]]:
        """Sentences cross process borders whole (worker pools pickle them)."""
        return (self.template,), dict(self.values)


def foreign(words: object) -> Sentence:
    """What the operating system or a library says, as a sentence: known ones have a translation, others are marked."""
    return Sentence(FOREIGN, words=words)


def joined(sentences: Sequence[Sentence], *, comma: bool = False) -> Sentence:
    """One or more sentences as one, with semicolons (or commas) between them.

    >>> worded(joined([Sentence("no such file"), Sentence("the sound is silent")]), "zh")
    '没有这个文件；声音完全无声'
    """
    first, *others = sentences
    if not others:
        return first
    rest = joined(others, comma=comma)
    return (
        Sentence("{first}, {rest}", first=first, rest=rest)
        if comma
        else Sentence("{first}; {rest}", first=first, rest=rest)
    )


def language(asked: str) -> Lang:
    """What a reader asked for, if there is such a thing. Raises RecipeError with those that there are."""
    for known in LANGUAGES:
        if known == asked:
            return known
    raise RecipeError(f"lang {asked!r} is not known; choose one of {', '.join(LANGUAGES)}")


def worded(text: str, lang: str) -> str:
    """A sentence in "en" or "zh"; a text that is none of ours is left in English, and in Chinese marked as technical.

    >>> worded(foreign("permission denied"), "zh"), worded(foreign("no route to host"), "zh")
    ('没有权限', '技术信息（英文）：no route to host')
    """
    if lang == "en":
        return str(text)
    if not isinstance(text, Sentence):
        text = foreign(text)
    if text.template == FOREIGN:
        words = text.values["words"]
        if isinstance(words, Sentence):
            return worded(words, lang)
        # A sentence without values that was written to a file and read again is known by its text.
        known = SYSTEM_CHINESE.get(str(words).lower()) or CHINESE.get(str(words))
        return known or _MARKED.format(words=words)
    if text.template not in CHINESE:
        return _MARKED.format(words=text)
    values = {
        name: worded(value, lang) if isinstance(value, Sentence) else value for name, value in text.values.items()
    }
    return CHINESE[text.template].format(**values)
