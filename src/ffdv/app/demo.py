"""The whole road once, small enough for a coffee break: what `make demo` runs."""

from __future__ import annotations

import csv
import time
from pathlib import Path

from ffdv.app import console
from ffdv.data.manifest import load_corpus
from ffdv.errors import ManifestError

RECIPE = "mel-resnet18"
# What makes the published recipe small enough for two cores and minutes; the road is the same.
QUICK = ("model.picture_size=[96,96]", "loader.batch_size=16")
EPOCHS = 5
SCANNED = 6  # clips of the corpus, enough for a page to look at


def demo(*, out: Path, data: Path | None = None) -> None:
    """Prepare, train, evaluate, predict, submit, scan: on a synthetic corpus, or on labelled clips of the user's own."""
    began = time.monotonic()
    corpus, unlabelled = (out / "corpus", out / "corpus" / "phase1" / "valset") if data is None else (data, data)
    if data is None:
        _step(
            "1. a synthetic corpus: drawn faces, made-up voices. It shows that the road works, not how good a detector is"
        )
        _build_corpus(corpus)
    _step(f"2. ffdv prepare {corpus} --out {out / 'shards'} --senses voice")
    _prepare(corpus, out / "shards")
    settings = " ".join(f"--set {setting}" for setting in QUICK)
    _step(f"3. ffdv train --recipe {RECIPE} --data {out / 'shards'} --out {out / 'run'} --epochs {EPOCHS} {settings}")
    _train(out / "shards", out / "run")
    _step(f"4. ffdv evaluate --model {out / 'run'} --data {out / 'shards'} --by method")
    _evaluate(out / "run", out / "shards", out / "evaluation.json")
    _step(f"5. ffdv predict --model {out / 'run'} --data {unlabelled} --out {out / 'scores.csv'}")
    _predict(unlabelled, out / "run", out / "scores.csv")
    _step(
        f"6. ffdv submit --scores {out / 'scores.csv'} --template {out / 'prediction.txt.csv'} --out {out / 'submit.csv'}"
    )
    _submit(unlabelled, out)
    clips = [clip.path for clip in load_corpus(unlabelled).clips[:SCANNED]]
    _step(f"7. ffdv scan {' '.join(path.name for path in clips)} --out {out / 'report'}")
    _scan(clips, out / "report")
    _step(f"done in {time.monotonic() - began:.0f} s")
    for name, what in (
        ("run", "the trained run: best.safetensors, model.onnx, recipe, log.csv, TensorBoard events"),
        ("evaluation.json", "all numbers with intervals"),
        ("scores.csv", "a row for each clip"),
        ("submit.csv", "the file to hand in"),
        ("report/index.html", "what the detector inside the package says of some clips: open it in a browser"),
    ):
        console.say(f"  {out / name}  {what}")
    if data is None:
        console.say(
            "These numbers are of a synthetic corpus and say nothing about real forgeries; on your own clips: make demo DATA=folder"
        )


def _step(text: str) -> None:
    console.out.print(f"\n[bold]{console.printable(text)}[/]", soft_wrap=True)


def _build_corpus(corpus: Path) -> None:
    from ffdv.data.sources.synthetic import write_synthetic_corpus

    if (corpus / "phase1" / "valset_label.txt").is_file():
        console.say(f"{corpus} is there already")
        return
    with console.progress_bar("draw") as bar:
        write_synthetic_corpus(
            corpus, progress=lambda done, total: bar.update(bar.task_ids[0], completed=done, total=total)
        )


def _prepare(corpus: Path, shards: Path) -> None:
    from ffdv.data.prepare import prepare

    with console.progress_bar("prepare") as bar:
        summary = prepare(corpus, out=shards, senses=["voice"], progress=console.follow_clips(bar))
    console.show_prepared(summary)


def _train(shards: Path, run: Path) -> None:
    from ffdv.training.run import train

    with console.progress_bar("train") as bar:
        summary = train(
            RECIPE,
            data=shards,
            out=run,
            epochs=EPOCHS,
            overrides=QUICK,
            resume=run.is_dir(),
            progress=console.follow_training(bar),
        )
    console.show_run(summary)


def _evaluate(run: Path, shards: Path, json: Path) -> None:
    from ffdv.app.show_protocol import show_evaluation
    from ffdv.data.shards import open_shards
    from ffdv.training.evaluate import evaluate

    by = "method" if any(open_shards(shards).group("method")) else None
    show_evaluation(evaluate(run, data=shards, by=by, json=json))


def _predict(data: Path, run: Path, scores: Path) -> None:
    from ffdv.detect.detector import predict

    with console.progress_bar("predict") as bar:
        summary = predict(data, model=run, out=scores, progress=console.follow_clips(bar))
    console.show_predicted(summary)


def _submit(data: Path, out: Path) -> None:
    from ffdv.detect.submission import submit

    names = [clip.name for clip in load_corpus(data).clips]
    if not names:
        raise ManifestError(f"{data}: there is no clip to write a template of")
    with (out / "prediction.txt.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("video_name", "y_pred"))
        writer.writerows((name, "") for name in names)
    console.show_submission(
        submit(scores=out / "scores.csv", template=out / "prediction.txt.csv", out=out / "submit.csv")
    )


def _scan(clips: list[Path], out: Path) -> None:
    from ffdv.app import show_scan
    from ffdv.detect.scan import ScanSummary, scan

    with console.progress_bar("scan") as bar:
        found = scan(clips, out=out, progress=console.follow_clips(bar))
    if isinstance(found, ScanSummary):
        show_scan.show_summary(found, "en")
    else:
        show_scan.show_verdict(found, "en", out)
