"""What a machine or an installation lacks is told by one sentence and by the exit status, and never changes a score in silence."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import typer

import ffdv
from ffdv.app import doctor as looking_round
from ffdv.app.doctor import least_versions
from ffdv.app.verbs_stress import stress
from ffdv.detect import judging
from ffdv.detect.judging import NO_WEIGHTS, UnloadedSense, decide, unusable_parts
from ffdv.detect.looking import LookedAt
from ffdv.detect.senses import SenseAbsent
from ffdv.detect.words import WORDS
from ffdv.errors import CheckpointError
from ffdv.features import networks
from ffdv.media.write import write_media
from ffdv.records import Samples
from ffdv.sentences import Sentence

PACKAGE = Path(ffdv.__file__).parent


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A second of noise on a grey wall: enough for every network to be opened."""
    noise = np.random.default_rng(1).normal(0, 0.1, (1, 24_000)).astype(np.float32)
    pixels = np.full((25, 96, 128, 3), 128, np.uint8)
    (tmp_path / "clips").mkdir()
    return write_media(tmp_path / "clips" / "clip.mp4", sound=Samples(noise, 16_000), frames=pixels)


def without(tmp_path: Path, file: str, *, cut: bool = False) -> Path:
    """The package as installed, of which one file is gone or cut off; returns where python finds it."""
    place = tmp_path / "installed"
    (tmp_path / "installed").mkdir()
    for folder, _, names in os.walk(PACKAGE):
        its = place / "ffdv" / Path(folder).relative_to(PACKAGE)
        its.mkdir()
        for name in names:
            (its / name).symlink_to(Path(folder) / name)
    lacking = place / "ffdv" / file
    content = lacking.read_bytes()
    lacking.unlink()
    if cut:
        lacking.write_bytes(content[: len(content) // 2])
    return place


def run(place: Path | None, *arguments: str | Path, after: str = "", **variables: str) -> tuple[int, str, str]:
    """Status, stdout and stderr of `ffdv` in a process of its own; after: what the command is followed by in a shell."""
    environment = os.environ | variables | ({} if place is None else {"PYTHONPATH": str(place)})
    command = [sys.executable, "-m", "ffdv", *map(str, arguments)]
    if after:
        command = ["bash", "-c", f'"$@" {after}', "bash", *command]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, env=environment, errors="backslashreplace"
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("file", "part"),
    [("picture.json", "picture"), ("agreement.npz", "match of lips"), ("fusion.json", "measured weighing")],
)
def test_weights_that_are_gone_are_said_and_the_exit_status_tells(
    tmp_path: Path, clip: Path, file: str, part: str
) -> None:
    place = without(tmp_path, f"detect/weights/{file}")

    status, out, err = run(place, "scan", clip, "--json")

    assert (status, json.loads(out)["status"]) == (1, "ok")
    assert len([line for line in err.splitlines() if f"all scores lack the {part}" in line]) == 1


@pytest.mark.slow
def test_every_verb_that_scores_by_the_shipped_senses_tells_of_one_that_is_gone(tmp_path: Path, clip: Path) -> None:
    place = without(tmp_path, "detect/weights/picture.json")

    for verb in (
        ("scan", clip.parent, "--lang", "zh"),
        ("predict", "--data", clip.parent, "--out", tmp_path / "o.csv"),
    ):
        status, _, err = run(place, *verb)
        told = "所有得分都缺少画面" if "zh" in verb else "all scores lack the picture"
        assert (status, err.count(told)) == (1, 1)


@pytest.mark.parametrize("cut", [False, True], ids=["gone", "cut off"])
def test_a_network_that_every_look_needs_is_one_sentence(tmp_path: Path, clip: Path, *, cut: bool) -> None:
    place = without(tmp_path, "features/weights/yunet.onnx", cut=cut)

    for asked in (clip, clip.parent):
        status, out, err = run(place, "scan", asked)
        assert (status, out) == (2, "")
        assert "the network yunet.onnx inside the package cannot be used" in err
        assert "install ffdv again" in err
    status, out, _ = run(place, "doctor", "--json")
    missing = [check["name"] for check in json.loads(out) if check["state"] == "missing"]
    assert (status, missing) == (1, ["network: yunet.onnx"])


def test_stress_tells_of_it_in_the_language_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ffdv.detect.stress.stress", lambda **_: SimpleNamespace(failures=()))
    monkeypatch.setattr("ffdv.app.show_stress.show_stress", lambda _: None)
    monkeypatch.setattr(judging, "unusable_parts", lambda: {"picture": Sentence("no such file")})

    with pytest.raises(typer.Exit) as ended:
        stress(data=tmp_path, out=tmp_path, lang="zh")

    assert ended.value.exit_code == 1
    assert "错误：所有得分都缺少画面" in capsys.readouterr().err


def test_a_library_is_told_in_its_log(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def load(name: str) -> object:
        if name == "picture":
            raise CheckpointError("gone")
        return UnloadedSense  # anything that is no UnloadedSense

    monkeypatch.setattr(judging, "load_sense", load)
    judging._load_shipped.cache_clear()
    with caplog.at_level(logging.WARNING):
        parts = unusable_parts()
    judging._load_shipped.cache_clear()

    assert list(parts) == ["picture"]
    assert "scores lack the picture" in caplog.text


def test_what_was_not_judged_for_want_of_weights_is_not_blamed_on_the_clip() -> None:
    absent = {
        "voice": SenseAbsent("voice", "no_speech", Sentence("no speech is heard, only music or noise")),
        "picture": SenseAbsent("picture", NO_WEIGHTS, Sentence("no such file")),
    }

    word, reasons = decide(None, None, absent, LookedAt(None))

    assert (word, reasons[0].code) == ("cannot tell", "nothing_judged_no_weights")
    assert "lacks its weights" in WORDS[reasons[0].code][0]


def test_doctor_tells_of_versions_that_are_too_old_and_of_what_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        looking_round, "requires", lambda _: ["av>=17.1", "numpy>=2.0", "torch<9,>=2; extra == 'train'"]
    )
    monkeypatch.setattr(looking_round, "version", lambda name: {"av": "17.0.1", "numpy": "2.0"}.get(name, "99.1"))

    def broken(_: str) -> None:
        raise RuntimeError("two nodes with same node name\nand more")

    monkeypatch.setattr(networks, "open_packaged", broken)
    found = {check.name: check for check in looking_round.doctor() if check.state == "missing"}

    assert set(found) == {"av", *(f"network: {name}" for name in networks.PACKAGED)}
    assert (found["av"].found, found["av"].cure) == ("17.0.1, too old", "pip install 'av>=17.1'")
    assert found["network: yunet.onnx"].found == "RuntimeError: two nodes with same node name"


def test_every_package_of_the_base_install_has_a_bound_and_is_looked_at() -> None:
    project = tomllib.loads((PACKAGE.parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert set(least_versions(project["dependencies"])) == {
        name for name, extra in looking_round.PACKAGES.items() if not extra
    }
    for name, least in least_versions(project["dependencies"]).items():
        assert looking_round._numbers(importlib.metadata.version(name)) >= looking_round._numbers(least)


def test_the_long_description_holds_no_link_that_only_the_repository_can_follow() -> None:
    root = PACKAGE.parents[1]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert "](" not in (root / project["readme"]).read_text(encoding="utf-8")
    assert all((root / name).is_file() for name in project["license-files"])


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_an_output_that_lacks_characters_gets_them_with_backslashes(clip: Path, encoding: str) -> None:
    status, _, _ = run(None, "scan", clip, PYTHONIOENCODING=encoding)
    status_json, out, _ = run(None, "scan", clip, "--json", "--lang", "zh", PYTHONIOENCODING=encoding)

    assert (status, status_json) == (0, 0)
    assert out.isascii()
    assert "伪造" in json.loads(out)["limits"]


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_a_closed_stream_does_not_keep_from_work(tmp_path: Path, clip: Path, closed: str) -> None:
    status, _, _ = run(None, "scan", clip, "--out", tmp_path / "out", after=closed)

    assert status == 0
    assert (tmp_path / "out" / "index.html").is_file()
    assert run(None, "--version", after=closed)[0] == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_what_the_machine_refuses_is_one_sentence_and_status_two(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    gone = f"cd {tmp_path}/gone; rmdir {tmp_path}/gone; {sys.executable} -m ffdv scan {PACKAGE}"

    full = run(None, "probe", "--json", PACKAGE / "__init__.py", after=">/dev/full")
    away = subprocess.run(["bash", "-c", gone], capture_output=True, text=True, check=False, timeout=60)

    assert (full[0], full[2].count("error:")) == (2, 1)
    assert "no space left on device" in full[2]
    assert (away.returncode, away.stderr.count("error:")) == (2, 1)
    assert "Traceback" not in away.stderr


def test_a_reader_that_has_enough_is_no_failed_file() -> None:
    status, _, err = run(None, "doctor", "--json", after="| true; exit ${PIPESTATUS[0]}")

    assert (status, err) == (128 + signal.SIGPIPE, "")


def test_the_version_is_an_option_like_any_other() -> None:
    status, out, _ = run(None, "--version")

    assert (status, out) == (0, f"ffdv {ffdv.__version__}\n")
    assert "--version" in run(None, "--help")[1]
