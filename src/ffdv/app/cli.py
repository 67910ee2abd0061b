"""The `ffdv` command: a verb is a public function, a flag is its keyword.

Exit status: 0 all well, 1 some files failed (each is a row with a reason), 2 the request itself cannot be carried out.
"""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ffdv.app.streams import ready_streams
from ffdv.app.verbs_augment import augment, forge
from ffdv.app.verbs_protocol import OWN_RECIPES, Epochs, compare, crossval
from ffdv.app.verbs_scan import scan
from ffdv.app.verbs_serve import serve
from ffdv.app.verbs_stress import stress
from ffdv.app.verbs_sync import sync
from ffdv.errors import FfdvError, extra_of, install_command
from ffdv.sentences import LANGUAGES, Lang

OK, SOME_FAILED, UNUSABLE = 0, 1, 2
READER_GONE = 128 + 13  # as a shell tells of SIGPIPE

# What the machine refused, where it names no file → what to do.
_CURES = {
    errno.ENOENT: "the current folder may be gone: change into another one, or set TMPDIR to a folder that can be written",
    errno.ENOSPC: "what was to be printed is lost; make room and run the same command again",
    errno.EMFILE: "ask for fewer --workers, or allow more with ulimit -n",
}

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Face- and voice-forgery detection in video. Scores run from 0 (real) to 1 (fake). scan, predict, sync, probe, submit and doctor work "
    f"as installed; the verbs that train and measure need: {install_command('train').replace('[', chr(92) + '[')}.",
)

Data = Annotated[
    Path,
    typer.Argument(
        help="The challenge's folder, a CSV with a file and a label column, or a folder of clips.", show_default=False
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


app.command()(scan)


@app.command()
def probe(
    file: Annotated[list[Path], typer.Argument(help="Media files.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """What is in a file by its headers: streams, codecs, length, rate, rotation. Decodes nothing."""
    from ffdv.app import console
    from ffdv.errors import MediaError
    from ffdv.media.probe import probe as probe_file

    failures = 0
    for path in file:
        try:
            facts = probe_file(path)
        except MediaError as error:
            failures += 1
            if as_json:
                console.json_line(_json({"path": error.path, "status": "failed", "reason": error.reason}))
            else:
                console.say_error(error)
            continue
        if as_json:
            console.json_line(_json({"status": "ok", **asdict(facts)}))
        else:
            console.show_facts(facts)
    raise typer.Exit(SOME_FAILED if failures else OK)


@app.command()
def prepare(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the Parquet shards.", show_default=False)],
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; as many as there are cores when not given.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take only so many clips, labels in proportion.")] = None,
    senses: Annotated[
        str | None,
        typer.Option(
            help="What to keep besides sound: voice,picture,motion,agreement; all when not given. voice alone is much quicker.",
            show_default=False,
        ),
    ] = None,
    sample_rate: Annotated[
        int, typer.Option(min=4000, help="Keep sound at its own rate, at most this many Hz.")
    ] = 22_050,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Decode once more what is near a failed clip: it may have been the machine."
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Estimate size and time from a few clips, write nothing.")
    ] = False,
) -> None:
    """Decode every clip once into Parquet shards. Run it again to resume; a broken file is a row with a reason."""
    from ffdv.app import console
    from ffdv.data.prepare import prepare as prepare_clips

    with console.progress_bar("prepare") as bar:
        summary = prepare_clips(
            data,
            out=out,
            workers=workers,
            limit=limit,
            dry_run=dry_run,
            senses=None if senses is None else [sense.strip() for sense in senses.split(",") if sense.strip()],
            retry_failed=retry_failed,
            sample_rate=sample_rate,
            progress=console.follow_clips(bar),
        )
    console.show_prepared(summary)
    raise typer.Exit(SOME_FAILED if summary.failures else OK)


@app.command()
def audit(
    data: Annotated[
        Path, typer.Argument(help="Prepared shards (nothing is decoded then), or labelled clips.", show_default=False)
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for audit.html, audit.json and audit.png.", show_default=False)
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Compare with this folder instead; labels are not needed then.", show_default=False),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; as many as there are cores when not given.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Look at only so many clips, labels in proportion.")] = None,
    seed: Annotated[int, typer.Option(help="Of the shufflings and folds.")] = 0,
    lang: Annotated[str, typer.Option(help="Language of the page and of what is said: en or zh.")] = "en",
) -> None:
    """What leaks: how well facts that are not forgery (length, silence, band, codec ...) tell fake from real."""
    from ffdv.app import console
    from ffdv.data.audit import audit as audit_data

    with console.progress_bar("audit") as bar:
        report = audit_data(
            data,
            out=out,
            against=against,
            workers=workers,
            limit=limit,
            seed=seed,
            lang=lang,
            progress=lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total),
        )
    console.show_audit(report, lang=lang)
    if out is not None:
        console.say_written(out / "audit.html", "audit.json", "audit.png", lang=lang)


@app.command()
def train(
    data: Annotated[
        list[Path], typer.Option(help="Prepared shards; may be repeated, they are then one corpus.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run.", show_default=False)],
    recipe: Annotated[
        str | None,
        typer.Option(
            help=f"{OWN_RECIPES}, or a TOML file; voice when not given, and with --resume the run's own.",
            show_default=False,
        ),
    ] = None,
    epochs: Epochs = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change one setting: model.backbone=efficientnet_b0.", show_default=False),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last epoch of this run.")] = False,
    seed: Annotated[
        int | None, typer.Option(help="Of training and loader, instead of the recipe's; the split stays (split.seed).")
    ] = None,
) -> None:
    """Train a recipe on prepared shards; the best epoch is kept and exported to ONNX. Ctrl-C leaves a usable run."""
    from ffdv.app import console
    from ffdv.training.run import train as train_run

    with console.progress_bar("train") as bar:
        summary = train_run(
            recipe,
            data=data,
            out=out,
            resume=resume,
            epochs=epochs,
            overrides=tuple(overrides or ()),
            progress=console.follow_training(bar),
            seed=seed,
        )
    console.show_run(summary)
    raise typer.Exit(SOME_FAILED if summary.unexported else OK)


@app.command()
def evaluate(
    model: Annotated[
        Path, typer.Option(help="Folder of a run, or a CSV of scores (video_name, y_pred).", show_default=False)
    ],
    data: Annotated[Path, typer.Option(help="Prepared shards; for a CSV also a labelled corpus.", show_default=False)],
    by: Annotated[
        str | None, typer.Option(help="A row for each method, identity, source_repo ...", show_default=False)
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Only this part of the data (train, val, dev ...).", show_default=False)
    ] = None,
    neutralise: Annotated[
        bool, typer.Option("--neutralise", help="Beside it: both classes through one trim, band, loudness and encoder.")
    ] = False,
    steps: Annotated[
        str | None, typer.Option(help="Neutralise by these remedies instead: trim,band,length ...", show_default=False)
    ] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the numbers to this file.", show_default=False)
    ] = None,
    scores: Annotated[
        Path | None, typer.Option(help="Write a CSV of each judged clip: label, score, logit.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Folder for report.html and model_card.md.", show_default=False)
    ] = None,
    lang: Annotated[str, typer.Option(help="Language of the report: en or zh.")] = "en",
) -> None:
    """How well a run does on labelled shards: AUC, EER, TPR@FPR and more with intervals, beside the shortcut probes."""
    from ffdv.app import console
    from ffdv.app.show_protocol import show_evaluation
    from ffdv.training.evaluate import evaluate as evaluate_run

    show_evaluation(
        evaluate_run(
            model,
            data=data,
            by=by,
            split=split,
            neutralise=neutralise,
            steps=steps,
            json=json_file,
            scores=scores,
            report=report,
            lang=lang,
        )
    )
    if report is not None:
        console.say_written(report / "report.html", "model_card.md", lang=lang)


app.command()(crossval)
app.command()(compare)
app.command()(stress)
app.command()(sync)


@app.command()
def predict(
    data: Annotated[
        Path, typer.Option(help="The challenge's folder, a CSV, a folder of clips, or one file.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option(help="CSV to write: video_name, y_pred, each sense, status, reason.", show_default=False)
    ],
    model: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a run, or an exported .onnx file; the detector inside the package when not given.",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes; as many as there are cores when not given.")
    ] = None,
) -> None:
    """Score every clip. Each input is a row; a failure has an empty y_pred and a reason."""
    from ffdv.app import console
    from ffdv.detect.detector import predict as predict_clips

    with console.progress_bar("predict") as bar:
        summary = predict_clips(data, model=model, out=out, workers=workers, progress=console.follow_clips(bar))
    console.show_predicted(summary)
    unusable = model is None and console.say_unusable()
    raise typer.Exit(SOME_FAILED if summary.failures or unusable else OK)


@app.command()
def submit(
    scores: Annotated[Path, typer.Option(help="CSV that `ffdv predict` wrote.", show_default=False)],
    template: Annotated[Path, typer.Option(help="The challenge's template, prediction.txt.csv.", show_default=False)],
    out: Annotated[Path, typer.Option(help="The file to hand in.")] = Path("submit.csv"),
    missing: Annotated[float, typer.Option(min=0, max=1, help="Score of clips that have none.")] = 0.5,
) -> None:
    """Merge scores into the challenge's template: its order, its columns, every row filled."""
    from ffdv.app import console
    from ffdv.detect.submission import submit as write_submission

    console.show_submission(write_submission(scores=scores, template=template, out=out, missing=missing))


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="ONNX file; model.onnx in the run when not given.", show_default=False)
    ] = None,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8", help="Weights in eight bits, a quarter to a third of the size (model-int8.onnx); needs --data."
        ),
    ] = False,
    data: Annotated[
        Path | None, typer.Option(help="Shards on which the loss by --int8 is measured.", show_default=False)
    ] = None,
) -> None:
    """Write a run's best epoch as ONNX, spectrogram included: samples in, logit and activation map out."""
    from ffdv.app import console
    from ffdv.training.export import export as export_run
    from ffdv.training.int8 import read_int8_loss

    path = export_run(run, out=out, int8=int8, data=data)
    console.say(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    if int8:
        loss = read_int8_loss(path)
        console.say(f"eight bits: {loss}")
        for text in loss.warnings:
            console.say(f"note: {text}")


app.command()(forge)
app.command()(augment)
app.command()(serve)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Versions, decoders, devices and weights found or missing, and what to do about it."""
    from ffdv.app import console
    from ffdv.app.doctor import doctor as look

    checks = look()
    if as_json:
        console.json_line(_json([asdict(check) for check in checks]))
    else:
        console.show_checks(checks)
    raise typer.Exit(SOME_FAILED if any(check.state == "missing" for check in checks) else OK)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo"),
    data: Annotated[
        Path | None, typer.Option(help="Real labelled clips instead of the synthetic corpus.", show_default=False)
    ] = None,
) -> None:
    """The whole road once, in minutes: prepare, train, evaluate, predict, submit, scan."""
    from ffdv.app.demo import demo as run_demo

    run_demo(out=out, data=data)


def _show_version(asked: bool) -> None:
    if asked:
        from ffdv import __version__

        typer.echo(f"ffdv {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; what goes wrong on purpose is one sentence, never a traceback."""
    ready_streams()
    for name in ("SIGTERM", "SIGHUP"):  # a service manager's "stop", a terminal that is gone
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # nohup has it ignored
            signal.signal(number, _end_tidily)
    # The verbs say it themselves, in the reader's language.
    logging.getLogger("ffdv.detect.judging").addHandler(logging.NullHandler())
    try:
        _run()
    except FfdvError as error:
        from ffdv.app import console

        console.say_failure(error, _language(sys.argv))
    except (OSError, MemoryError, ImportError) as error:
        told = _of_machine(error)
        if told is None:
            raise
        from ffdv.app import console

        console.say_error(told)
    sys.exit(UNUSABLE)


def _run() -> NoReturn:
    """The verb, until all that it printed is out: a full disk shows only then. A reader who has enough (`| head`) ends it as in any shell."""
    try:
        try:
            app(standalone_mode=True)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        pass
    except SystemExit as done:
        cause = done.__context__
        if not (isinstance(cause, OSError) and cause.errno == errno.EPIPE):
            raise
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing is left to be flushed at the end
    sys.exit(READER_GONE)


def _of_machine(error: Exception) -> str | None:
    """One sentence for what a machine lacks; None where it is no such thing, but a mistake of ours."""
    if isinstance(error, MemoryError):
        return "there is not enough memory; close other programs, or ask for fewer --workers"
    if isinstance(error, OSError):
        why = (error.strerror or str(error) or type(error).__name__).lower()
        if error.filename is not None:
            return f"{error.filename}: {why}; give another file or folder"
        return f"{why}; {_CURES.get(error.errno or 0, 'mend that and run the same command again')}"
    if not isinstance(error, ImportError):
        return None
    extra = extra_of(error) if isinstance(error, ModuleNotFoundError) else None
    if extra is not None:
        return f"this command needs {error.name}, which the [{extra}] extra brings: {install_command(extra)}"
    ours = (error.name or "").split(".")[0] == "ffdv"
    return None if ours else f"a package cannot be loaded ({error}); `ffdv doctor` says which, and what to do"


def _language(words: Sequence[str]) -> Lang:
    """What --lang asks for among a command's words, in which errors are told: the verb's own reading of it is gone by then."""
    asked = [after for word, after in itertools.pairwise(words) if word == "--lang"]
    asked += [word.removeprefix("--lang=") for word in words if word.startswith("--lang=")]
    return next((known for known in LANGUAGES if known in asked), "en")


def _end_tidily(number: int, _: object) -> NoReturn:
    """A service manager's "stop": temporary folders are removed and workers ended on the way out."""
    sys.exit(128 + number)


def _json(value: object) -> str:
    return json.dumps(value, default=_plain, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return str(value)


__all__: list[str] = ["app", "main"]
