"""What the verbs refuse before they begin, in one sentence, and what their exit status tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import ffdv
from ffdv.app.cli import app
from ffdv.app.doctor import doctor
from ffdv.errors import ExtraMissing, RecipeError
from ffdv.media.write import write_media
from ffdv.records import Samples
from ffdv.training.run import RunSummary
from ffdv.training.shortcuts import AuditLine


@pytest.mark.parametrize(
    ("keyword", "call"),
    [
        ("max_offset", lambda path: ffdv.sync(path, max_offset=0)),
        ("window_seconds", lambda path: ffdv.sync(path, window_seconds=0)),
        ("limit", lambda path: ffdv.stress(data=path, out=path / "out", limit=0)),
        ("workers", lambda path: ffdv.stress(data=path, out=path / "out", workers=-1)),
        ("max_seconds", lambda path: ffdv.stress(data=path, out=path / "out", max_seconds=0)),
        ("workers", lambda path: ffdv.predict(path, out=path / "out.csv", workers=-1)),
        ("data is a list of 1", lambda path: ffdv.predict(["a.opus"], out=path / "out.csv")),
        ("seed", lambda path: ffdv.gallery(path, out=path / "out.html", seed=-1)),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_keyword(
    tmp_path: Path, keyword: str, call: Callable[[Path], Any]
) -> None:
    with pytest.raises(RecipeError, match=keyword):
        call(tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_the_cure_for_a_missing_extra_is_the_same_everywhere() -> None:
    cure = "pip install '.[train]' in the project's folder, or 'FILE.whl[train]' with its wheel"

    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output

    assert str(ExtraMissing("ffdv.train", "train")).endswith(cure)
    assert cure in " ".join(shown.replace("│", " ").split())
    missing = [check.cure for check in doctor() if check.found == "not installed" and check.topic == "packages"]
    assert all(text in {cure, cure.replace("[train]", "")} for text in missing)


@pytest.mark.parametrize(("unexported", "status"), [("", 0), ("the exported net differs from torch", 1)])
def test_the_exit_status_of_train_tells_of_an_export_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, unexported: str, status: int
) -> None:
    audit = AuditLine("no shortcuts", 0, 0)
    summary = RunSummary(tmp_path, "voice", "finished", 1, None, "auc", {}, audit, None, 1.0, (), unexported)
    monkeypatch.setattr("ffdv.training.run.train", lambda *_, **__: summary)

    done = CliRunner().invoke(app, ["train", "--data", "shards", "--out", "run"])

    assert done.exit_code == status


def test_prepare_says_how_many_clips_have_which_label(tmp_path: Path, tone: Samples) -> None:
    (tmp_path / "corpus").mkdir()
    for name in ("a.wav", "b.wav", "c.wav"):
        write_media(tmp_path / "corpus" / name, sound=tone)
    (tmp_path / "corpus/label.csv").write_text("file,label\na.wav,0\nb.wav,1\nc.wav,\n")

    done = CliRunner().invoke(app, ["prepare", str(tmp_path / "corpus"), "--out", str(tmp_path / "out"), "--dry-run"])

    assert "labels: 1 real, 1 fake, 1 without a label" in done.output
