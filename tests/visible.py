"""What a reader sees of a page, and which of it is English."""

from __future__ import annotations

import re
from html.parser import HTMLParser

# Three words in a row are a sentence; names of files, codecs, columns and settings hold digits, dots or underscores, or stand alone.
_SENTENCE = re.compile(r"(?<![\w.\-/])[A-Za-z][A-Za-z'’-]*(?:[ ,;:()]+[A-Za-z][A-Za-z'’-]*){2,}(?![\w.\-/])")
_SHOWN_ATTRIBUTES = ("title", "aria-label", "alt", "placeholder")


class _Shown(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden += tag in ("script", "style")
        self.texts += [value for name, value in attrs if name in _SHOWN_ATTRIBUTES and value]

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.texts.append(data.strip())


def visible_texts(page: str) -> list[str]:
    """Every piece of text of an HTML page that is shown or read aloud."""
    shown = _Shown()
    shown.feed(page)
    return shown.texts


def english_sentences(texts: list[str]) -> list[str]:
    """The texts that hold a run of at least three English words."""
    return [text for text in texts if _SENTENCE.search(text)]
