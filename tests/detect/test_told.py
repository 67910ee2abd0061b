"""A JSON in a report folder is ours only if a scan could have written it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffdv.detect.told import FORMER_DIGITS, base_of, page_name, read_told, told_of, write_told

ABSENT = {sense: {"state": "absent"} for sense in ("voice", "picture", "agreement")}
OURS: dict[str, Any] = {
    "schema": "ffdv.scan/1",
    "name": "x.mp4",
    "status": "ok",
    "language": "en",
    "verdict": "fake",
    "fake_probability": 0.9,
    "reasons": [{"code": "undecided", "text": "So it seems."}],
    "senses": {**ABSENT, "voice": {"state": "judged", "probability": 0.9}},
    "request": {"file": "/clips/x.mp4", "file_bytes": 12, "weights": {"voice.npz": "0123"}},
}
PLAIN = json.dumps(OURS)
HOSTILE = {
    "deep": PLAIN[:-1] + ', "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
    "cut off": PLAIN[:-1] + ', "x": ' + "[" * 100_000,
    "no name": json.dumps({"schema": "ffdv.scan/1"}),
    "a number for a name": json.dumps({**OURS, "name": 5}),
    "text for a probability": json.dumps({**OURS, "fake_probability": "high"}),
    "truth for a probability": json.dumps({**OURS, "fake_probability": True}),
    "no number": json.dumps({**OURS, "fake_probability": math.nan}),
    "endless": PLAIN.replace("0.9", "1e400"),
    "more than certain": PLAIN.replace("0.9", "1.5"),
    "huge": PLAIN.replace("0.9", "1" + "0" * 400),
    "an unknown verdict": json.dumps({**OURS, "verdict": "<b>x"}),
    "a list for a verdict": json.dumps({**OURS, "verdict": ["x"]}),
    "a list for the senses": json.dumps({**OURS, "senses": []}),
    "a sense too few": json.dumps({**OURS, "senses": {"voice": {"state": "absent"}}}),
    "judged without a number": json.dumps({**OURS, "senses": {**ABSENT, "voice": {"state": "judged"}}}),
    "half a character": json.dumps({**OURS, "name": "\ud800"}),
    "another schema": json.dumps({**OURS, "schema": "ffdv.scan/2"}),
    "another language": json.dumps({**OURS, "language": "fr"}),
    "too large": PLAIN + " " * 17_000_000,
    "no text": "\x80",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_no_scan_writes_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text, encoding="latin-1")

    assert read_told(tmp_path / "x.json") is None


def test_what_a_scan_writes_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    write_told(base_of("x.mp4", tmp_path).with_suffix(".json"), OURS)

    told = told_of("x.mp4", tmp_path)

    assert told is not None
    assert (told.file, told.fake_probability, told.senses["voice"].probability) == ("/clips/x.mp4", 0.9, 0.9)
    assert told.request == OURS["request"]
    assert told_of("y.mp4", tmp_path) is None


def test_bytes_that_are_no_text_are_read_back_with_backslashes(tmp_path: Path) -> None:
    write_told(tmp_path / "x.json", {**OURS, "reasons": [{"code": "x", "text": 'no file "a\udcff.mp4"'}]})

    told = read_told(tmp_path / "x.json")

    assert told is not None
    assert told.reasons[0].text == 'no file "a\\udcff.mp4"'


def test_names_that_once_shared_a_page_share_none(tmp_path: Path) -> None:
    """Found by birthday among 32 bits."""
    one, other = "a  !=+b.wav", "a % ,=b.wav"
    (tmp_path / "clips").mkdir()
    former = page_name(one, digits=FORMER_DIGITS)
    assert former == page_name(other, digits=FORMER_DIGITS)

    write_told(tmp_path / "clips" / f"{former}.json", {**OURS, "name": one})

    assert base_of(one, tmp_path).stem == former  # a report from before goes on with its pages
    assert base_of(other, tmp_path).stem == page_name(other) != page_name(one)
    assert told_of(other, tmp_path) is None


@given(st.text(), st.text())
def test_pages_are_as_different_as_names(one: str, other: str) -> None:
    named = [name.encode("utf-8", "replace").decode() for name in (one, other)]

    assert (page_name(named[0]) == page_name(named[1])) == (named[0] == named[1])
