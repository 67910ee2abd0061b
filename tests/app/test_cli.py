"""The command line keeps its promises: flags are keywords, exit status tells, errors are one sentence."""

from __future__ import annotations

import inspect
import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import typer

import ffdv
from ffdv.app.cli import app, main
from ffdv.media.write import write_media
from ffdv.records import Samples
from ffdv.training.plan import recipe_names

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
# Flags that choose how the terminal shows a thing, and keywords that only programs can use.
SHOWN = {"as_json", "help"}
PROGRAM_ONLY = {
    "audit": {"progress"},
    "prepare": {"progress", "max_seconds", "sound_codec", "clip_timeout_seconds"},
    "train": {"progress", "accelerator", "export"},
    "evaluate": {"resamples"},
    "crossval": {"progress", "accelerator", "resamples"},
    "compare": {"resamples"},
    "predict": {"progress"},
    "stress": {"progress", "resamples"},
    "scan": {"progress"},
    "augment": {"progress"},
    "forge": {"progress"},
}
# `ffdv.augment` is a room of the house, so the verb's function has another name.
FUNCTIONS = {"augment": "gallery"}
VERBS = (
    "audit",
    "prepare",
    "train",
    "evaluate",
    "predict",
    "stress",
    "submit",
    "doctor",
    "scan",
    "augment",
    "forge",
    "sync",
    "crossval",
    "compare",
)


def run_cli(*arguments: str | Path, status: int = 0) -> tuple[str, str]:
    """Run `ffdv` in a process of its own; returns what it printed to stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "ffdv", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr


@pytest.fixture
def clip(tmp_path: Path, tone: Samples) -> Path:
    return write_media(tmp_path / "clip.wav", sound=tone)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_has_its_functions_keywords_as_flags_with_the_same_defaults(verb: str) -> None:
    keywords = inspect.signature(getattr(ffdv, FUNCTIONS.get(verb, verb))).parameters
    flags = {parameter.name: parameter for parameter in COMMANDS[verb].params if parameter.name not in SHOWN}

    named = {"json_file": "json"}
    assert {named.get(name, name) for name in flags} == set(keywords) - PROGRAM_ONLY.get(verb, set())
    for name, flag in flags.items():
        default = keywords[named.get(name, name)].default
        if default is not inspect.Parameter.empty and flag.default is not None:
            assert str(flag.default) == str(default) or (flag.default in (False, ()) and not default), name


def test_every_public_name_is_there() -> None:
    assert all(getattr(ffdv, name) is not None for name in ffdv.__all__)
    little = [name for name in ffdv.__all__ if not hasattr(ffdv.errors, name)]
    assert len(little) <= 24  # every verb is a function, and little else is public but the errors
    with pytest.raises(AttributeError, match="it has"):
        _ = ffdv.nothing_of_the_kind


def test_the_whole_tree_of_errors_is_public() -> None:
    tree = {
        name for name, kind in vars(ffdv.errors).items() if isinstance(kind, type) and issubclass(kind, ffdv.FfdvError)
    }

    assert tree <= set(ffdv.__all__)


def test_what_import_ffdv_promises_is_there_without_another_import_and_costs_nothing_before() -> None:
    code = (
        "import sys, ffdv\n"
        "light = {'numpy', 'torch', 'av', 'scipy', 'onnxruntime', 'pydantic', 'ffdv.metrics', 'ffdv.errors'} & set(sys.modules)\n"
        "print(sorted(light))\n"
        "print(ffdv.MediaError.__name__, ffdv.errors.MediaError is ffdv.MediaError, ffdv.Verdict.__name__, ffdv.Estimate.__name__)\n"
        "print(ffdv.metrics.roc_auc([0, 1], [0.1, 0.9]), ffdv.metrics.bootstrap.__name__, ffdv.metrics.abstention.__name__)\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.splitlines() == [
        "[]",
        "MediaError True Verdict Estimate",
        "1.0 bootstrap ffdv.metrics.abstention",
        "False",
    ]


def test_every_public_metric_is_there() -> None:
    assert all(getattr(ffdv.metrics, name) is not None for name in ffdv.metrics.__all__)
    with pytest.raises(AttributeError, match="it has Calibration"):
        _ = ffdv.metrics.f1


@pytest.mark.parametrize("verb", ["train", "crossval"])
def test_the_help_names_every_recipe_of_the_package(verb: str) -> None:
    (flag,) = (parameter for parameter in COMMANDS[verb].params if parameter.name == "recipe")

    assert all(name in flag.help for name in recipe_names())


def test_help_is_quick_to_load_and_brings_no_torch() -> None:
    code = "import sys, runpy; sys.argv = ['ffdv', '--help']\ntry: runpy.run_module('ffdv', run_name='__main__')\nexcept SystemExit: pass\nprint([m for m in ('torch', 'av', 'onnxruntime', 'pyarrow', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]"


def test_probe_tells_every_file_and_its_exit_status_tells_of_failures(clip: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"not a film")

    out, err = run_cli("probe", clip, broken, status=1)

    assert "pcm_s16le" in out
    assert "broken.mp4" in err


def test_probe_speaks_json_for_each_file(clip: Path, tmp_path: Path) -> None:
    out, _ = run_cli("probe", "--json", clip, tmp_path / "absent.mp4", status=1)

    good, bad = map(json.loads, out.splitlines())
    assert good["status"] == "ok"
    assert good["sounds"][0]["rate"] == 16_000
    assert bad["status"] == "failed"


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGHUP])
def test_a_job_that_is_told_to_stop_leaves_nothing_behind(clip: Path, tmp_path: Path, told: signal.Signals) -> None:
    (tmp_path / "data").mkdir()
    for number in range(40):
        (tmp_path / "data" / f"{number}.wav").write_bytes(clip.read_bytes())
    (tmp_path / "tmp").mkdir()
    job = subprocess.Popen(
        [sys.executable, "-m", "ffdv", "scan", str(tmp_path / "data"), "--workers", "1"],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Under nohup a child would be told to ignore it.
        preexec_fn=partial(signal.signal, told, signal.SIG_DFL),  # noqa: PLW1509 -- no thread runs beside
    )
    for _ in range(600):
        if list((tmp_path / "tmp").glob("ffdv-scan-*/clips")):
            break
        time.sleep(0.1)
    job.send_signal(told)

    assert job.wait(timeout=60) == 128 + told
    assert not list((tmp_path / "tmp").glob("ffdv-scan-*"))


def test_a_file_whose_name_looks_like_a_flag_or_markup_is_only_a_name(clip: Path, tmp_path: Path) -> None:
    for name in ("--help.wav", "[red]x.wav", "a\nb.wav"):
        odd = tmp_path / name
        odd.write_bytes(clip.read_bytes())
        out, _ = run_cli("probe", "--", odd)
        assert name.replace("\n", "\\n") in out


def test_doctor_names_every_missing_thing_with_a_cure() -> None:
    out, _ = run_cli("doctor", "--json")

    checks = json.loads(out)
    assert {check["topic"] for check in checks} >= {"machine", "packages", "decoders", "devices", "weights"}
    assert all(check["cure"] for check in checks if check["state"] == "missing")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("predict", "--data", "x", "--model", "nowhere", "--out", "o.csv"), "no such run folder"),
        (("evaluate", "--data", "nowhere", "--model", "nowhere"), "nowhere"),
        (("train", "--data", "nowhere", "--out", "o", "--recipe", "mel-resnet81"), "mel-resnet18"),
        (("prepare", "nowhere", "--out", "o"), "nowhere"),
    ],
)
def test_a_request_that_cannot_be_carried_out_is_one_sentence_and_status_two(
    arguments: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["ffdv", *arguments])

    with pytest.raises(SystemExit) as stopped:
        main()

    assert stopped.value.code == 2
    shown = capsys.readouterr().err
    assert says in shown
    assert len([line for line in shown.splitlines() if "error:" in line]) == 1


def test_a_place_that_cannot_be_written_is_one_sentence(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("here lies a file")

    _, said = run_cli("prepare", clip, "--out", tmp_path / "file" / "shards", "--senses", "voice", status=2)

    assert "not a directory; give another" in " ".join(said.split())
