"""What a report folder says of its clips: their JSON files, found by the clips' names and read as if a stranger had written them.

clips/NAME-<32 hex digits>.html  .json  .jpg        (once 8 digits: a folder that has those goes on with them)
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from ffdv.data.tables import write_whole
from ffdv.detect.own_files import read_plain
from ffdv.detect.scan_json import as_text
from ffdv.detect.senses import SENSES
from ffdv.detect.verdict import Word
from ffdv.sentences import Lang

CLIPS = "clips"
DIGITS = 32  # what fewer than 128 bits hold can be made to collide
FORMER_DIGITS = 8  # they collide by birthday within seconds
# A JSON has 40 bytes a second of the clip: this is a clip of 100 hours.
MOST_BYTES = 16_000_000


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", allow_inf_nan=False)


class ToldReason(_Strict):
    """One sentence on why the verdict is what it is."""

    text: str


class ToldNote(_Strict):
    """One sentence on what was missing, damaged or limited."""

    code: str
    text: str


class ToldSense(_Strict):
    """What one sense said: a probability, or why it is absent."""

    state: Literal["judged", "absent"]
    probability: float | None = Field(default=None, ge=0.0, le=1.0)
    text: str = ""

    @model_validator(mode="after")
    def _has_a_number_where_it_judged(self) -> Self:
        if self.state == "judged" and self.probability is None:
            raise ValueError("a sense that judged has a probability")
        return self


class Told(_Strict):
    """A clip's JSON as far as lists and resuming need it: scan_json.verdict_json or failure_json, with the request beside it."""

    version: Literal["ffdv.scan/1"] = Field(alias="schema")
    name: str = Field(min_length=1)
    status: Literal["ok", "failed"]
    language: Lang
    request: Mapping[str, JsonValue] = {}
    code: str = ""
    reason: str = ""
    verdict: Word | None = None
    fake_probability: float | None = Field(default=None, ge=0.0, le=1.0)
    reasons: tuple[ToldReason, ...] = ()
    senses: Mapping[str, ToldSense] = {}
    notes: tuple[ToldNote, ...] = ()

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.status == "ok" and (self.verdict is None or not set(SENSES) <= set(self.senses)):
            raise ValueError("a verdict has a word and an entry for every sense")
        return self

    @property
    def limited(self) -> tuple[str, ...]:
        """Sentences saying that only a part of the clip was looked at."""
        return tuple(note.text for note in self.notes if note.code == "limited")

    @property
    def file(self) -> str | None:
        """Where the file lay that was judged, where the JSON says so."""
        found = self.request.get("file")
        return found if isinstance(found, str) else None


def page_name(name: str, *, digits: int = DIGITS) -> str:
    """A file name, without suffix, for the pages of a clip, whatever its own name holds; different clips never share one.

    >>> page_name("a b/<i>.mp4")
    'a-b-i-.mp4-c93be707508236f9cb194a59ba7cd05c'
    """
    digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:digits]
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", name).strip(".-_")[:60].rstrip(".-_")
    return f"{plain}-{digest}" if plain else digest


def base_of(name: str, folder: Path) -> Path:
    """Where a clip's files lie or would lie, to be given their suffixes; under the former name where that holds this clip."""
    base, former = (_base(page_name(name, digits=digits), folder) for digits in (DIGITS, FORMER_DIGITS))
    if not base.with_suffix(".json").exists():
        told = read_told(former.with_suffix(".json"))
        if told is not None and told.name == name:
            return former
    return base


def _base(page: str, folder: Path) -> Path:
    # The name holds dots; a suffix is added, never replaced: with_suffix would eat what follows the last dot.
    return folder / CLIPS / (page + ".x")


def told_of(name: str, folder: Path) -> Told | None:
    """What the folder says of the clip of this name; None where it says nothing."""
    told = read_told(base_of(name, folder).with_suffix(".json"))
    return told if told is not None and told.name == name else None


def read_told(path: Path) -> Told | None:
    """A clip's JSON; None where there is none that this ffdv could have written."""
    content = read_plain(path, most_bytes=MOST_BYTES)
    if content is None:
        return None
    try:
        return Told.model_validate_json(content)
    except (ValidationError, RecursionError):
        return None


def write_told(path: Path, told: dict[str, Any]) -> None:
    """Write a clip's JSON, whole or not at all; bytes that are no text are shown with backslashes."""
    text = re.sub("[\ud800-\udfff]", lambda found: f"\\\\u{ord(found[0]):04x}", as_text(told, indent=1))
    write_whole(path, text.encode())
