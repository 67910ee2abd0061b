"""How values look in a terminal: tables, progress bars and the one error line. Nothing here computes."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from ffdv.errors import FfdvError, MediaError
from ffdv.sentences import STOPS, Lang, Sentence, language, worded

if TYPE_CHECKING:  # a terminal's look must not load torch, nor slow down `ffdv --help`
    from ffdv.app.doctor import Check
    from ffdv.data.audit_report import AuditReport
    from ffdv.data.prepare import PrepareSummary
    from ffdv.detect.detector import PredictSummary
    from ffdv.detect.submission import SubmissionSummary
    from ffdv.records import MediaFacts
    from ffdv.training.engine import Progress as TrainingProgress
    from ffdv.training.run import RunSummary

LOG_SECONDS = 30.0  # how often a job without a terminal tells where it is
MANY = 20  # rows of trouble that a terminal shows before it counts the rest


class ClipProgress(Protocol):
    """What a verb that goes through clips tells while it works."""

    @property
    def done(self) -> int: ...  # noqa: D102 -- clips finished, failures included
    @property
    def total(self) -> int: ...  # noqa: D102 -- clips in all
    @property
    def failures(self) -> int: ...  # noqa: D102 -- clips without a result
    @property
    def clips_per_second(self) -> float: ...  # noqa: D102 -- since the start
    @property
    def eta_seconds(self) -> float | None: ...  # noqa: D102 -- None before it can be known


# Into a file or a pipe tables are written this wide unless COLUMNS says otherwise: at 80 the names of methods are folded letter by letter.
PIPE_COLUMNS = 120
out = Console(highlight=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_COLUMNS)
err = Console(stderr=True, highlight=False)


def printable(text: object) -> str:
    """Text as one terminal line, whatever a file name holds; rich markup in it is shown, not obeyed."""
    raw = str(text).encode("utf-8", "backslashreplace").decode()
    return escape("".join(c if c.isprintable() else repr(c)[1:-1] for c in raw))


def say_error(error: Exception | str, *, label: str = "error: ") -> None:
    """The one line that a failed command ends with."""
    err.print(f"[bold red]{label}[/]{printable(error)}", soft_wrap=True)


def say_failure(error: FfdvError, lang: Lang) -> None:
    """The same for an error of ours, in the language that was asked for; what nobody translated is marked."""
    from ffdv.detect.words import COLONS
    from ffdv.detect.words import say as say_word

    if isinstance(error, MediaError):
        text = f"{error.path}{COLONS[lang]}{worded(error.reason, lang)}"
    else:
        text = worded(error.args[0], lang)
    say_error(text, label=say_word("error_label", lang))


def say_unusable(lang: Lang = "en") -> bool:
    """An error line for each part of the shipped detector that cannot be used; whether there is any: then scores are not what they should be."""
    from ffdv.detect.judging import unusable_parts
    from ffdv.detect.words import say as say_word

    parts = unusable_parts()
    for part, reason in parts.items():
        told = say_word("part_unusable", lang, part=say_word(f"{part}_name", lang), reason=worded(reason, lang))
        say_error(told, label=say_word("error_label", lang))
    return bool(parts)


def say_written(*files: object, lang: str = "en") -> None:
    """What a verb wrote, its last line."""
    say(worded(Sentence("wrote {files}", files=", ".join(map(str, files))), lang))


def warn(text: str, *, label: str = "note: ") -> None:
    """A line that does not stop the work."""
    err.print(f"[yellow]{label}[/]{printable(text)}", soft_wrap=True)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """Print rows; the columns named in `right` are aligned right."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        grid.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(printable(cell) for cell in row))
    out.print(grid)


def json_line(text: str) -> None:
    """JSON for machines, untouched by the terminal's width; in ASCII where the stream is not UTF-8, for the same values."""
    if (sys.stdout.encoding or "").lower().replace("-", "") != "utf8":
        text = re.sub(r"[^\x00-\x7f]", lambda found: json.dumps(found[0])[1:-1], text)
    sys.stdout.write(text + "\n")


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """A bar on stderr: done/total, share, time left and a free text `text`; none where stderr is a file or a pipe."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as bar:
        bar.add_task(title, total=None, text="")
        yield bar


def say(text: str) -> None:
    """A plain line of result."""
    out.print(printable(text), soft_wrap=True)


def show_facts(facts: MediaFacts) -> None:
    """What `ffdv probe` says of one file."""
    out.print(f"[bold]{printable(facts.path)}[/]", soft_wrap=True)
    say(
        f"  {facts.container.split(',')[0]}, {_length(facts.duration_seconds)}, {_size(facts.size_bytes)}, {_rate(facts.bit_rate)}"
    )
    for picture in facts.pictures:
        turned = f", turned {picture.rotation}°" if picture.rotation else ""
        squeezed = f", pixel aspect {picture.sample_aspect:.3g}" if picture.sample_aspect != 1 else ""
        fps = f"{picture.fps:.4g} fps" if picture.fps else "frame rate unknown"
        say(
            f"  picture #{picture.index}: {picture.codec}, {picture.width}×{picture.height}{turned}{squeezed}, {fps}, {picture.pixel_format}, {_rate(picture.bit_rate)}"
        )
    for sound in facts.sounds:
        say(
            f"  sound #{sound.index}: {sound.codec}, {sound.rate} Hz, {sound.channels} channel{'s' * (sound.channels != 1)}, {_rate(sound.bit_rate)}"
        )
    if facts.encrypted:
        say("  encrypted: it cannot be scored")
    for note in facts.notes:
        say(f"  note: {note.text}")


def show_checks(checks: Iterable[Check]) -> None:
    """What `ffdv doctor` found."""
    marks = {"ok": "ok", "note": "note", "missing": "MISSING"}
    table(
        ("", "what", "found", "what to do"),
        [(marks[check.state], check.name, check.found, check.cure) for check in checks],
    )


def show_submission(summary: SubmissionSummary) -> None:
    """What went into the file to hand in; clips without a score are listed."""
    say(
        f"{summary.out}: {summary.num_rows} rows, {summary.num_scored} with a score, {len(summary.filled)} filled with {summary.missing}"
    )
    for clip in summary.filled[:MANY]:
        warn(f"{clip.name}: {clip.reason}")
    if len(summary.filled) > MANY:
        warn(f"... and {len(summary.filled) - MANY} more")
    if summary.num_unused:
        warn(f"{summary.num_unused} scores are of clips that the template does not name")


def _length(seconds: float | None) -> str:
    return "length unknown" if seconds is None else f"{seconds:.2f} s"


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.2f} MB" if size_bytes >= 1e5 else f"{size_bytes / 1e3:.1f} kB"


def _rate(bit_rate: int | None) -> str:
    return "bit rate unknown" if bit_rate is None else f"{bit_rate / 1e3:.0f} kb/s"


def follow_clips(bar: Progress) -> Callable[[ClipProgress], None]:
    """A callback for verbs that go through clips: clips a second and failures beside the bar."""
    told = time.monotonic()

    def show(state: ClipProgress) -> None:
        nonlocal told
        failed = f", [red]{state.failures} failed[/]" if state.failures else ""
        text = f"{state.clips_per_second:.1f} clips/s{failed}"
        bar.update(bar.task_ids[0], completed=state.done, total=state.total, text=text)
        if bar.disable and state.total > 1 and time.monotonic() - told > LOG_SECONDS:
            told = time.monotonic()
            left = "" if state.eta_seconds is None else f", {_clock(state.eta_seconds)} left"
            err.print(f"{state.done}/{state.total} clips, {text}{left}")

    return show


def follow_training(bar: Progress) -> Callable[[TrainingProgress], None]:
    """A callback for training: the shortcuts first, then Time/Loss/Acc/AUC; every finished epoch stays as a line, a fusion's with its member."""

    def show(state: TrainingProgress) -> None:
        whose = f"{printable(state.member)}: " if state.member else ""
        if state.kind == "audit":
            err.print(whose + printable(state.text), soft_wrap=True)
            return
        numbers = f"Loss {state.loss:.4f}  Acc {state.accuracy:.3f}"
        if state.kind == "epoch":
            auc = f"  AUC {state.auc:.4f}" if state.auc is not None else ""
            best = "  best so far" if state.best else ""
            err.print(
                f"{whose}epoch {state.epoch:>3}/{state.epochs}  Time {_clock(state.seconds)}  {numbers}{auc}{best}",
                soft_wrap=True,
            )
            return
        doing = f"epoch {state.epoch}" if state.kind == "step" else f"validate {state.epoch}"
        bar.update(bar.task_ids[0], description=whose + doing, completed=state.step, total=state.steps, text=numbers)

    return show


def show_prepared(summary: PrepareSummary) -> None:
    """What prepare did, or would do."""
    for problem in summary.problems[:MANY]:
        warn(problem.text)
    if len(summary.problems) > MANY:
        warn(f"... and {len(summary.problems) - MANY} more rows that could not be taken as written")
    _show_failures([(failure.name, failure.reason) for failure in summary.failures])
    say(f"labels: {summary.labels.real} real, {summary.labels.fake} fake, {summary.labels.unlabelled} without a label")
    if summary.dry_run:
        say(
            f"{summary.clips} clips would take about {_clock(summary.seconds)} and {_size(summary.size_bytes)}; nothing was written"
        )
        return
    if summary.cut:
        said = ", ".join(map(repr, summary.cut[:3])) + (" ..." if len(summary.cut) > 3 else "")
        warn(
            f"only the beginning of {len(summary.cut)} long clips is kept ({said}); cut them into pieces to use all of them"
        )
    ready = f", {summary.resumed} of them there already" if summary.resumed else ""
    if summary.relabelled:
        warn(
            f"label, split or groups of {summary.relabelled} clips were brought up to date; none of them was decoded again"
        )
    say(
        f"{summary.out}: {summary.clips} clips{ready}, {len(summary.failures)} failed, {_size(summary.size_bytes)}, {_clock(summary.seconds)}"
    )


def show_audit(report: AuditReport, *, lang: str = "en") -> None:
    """The audit in plain words, then the facts that tell most."""
    for sentence in report.sentences:
        say(worded(sentence, lang) + STOPS[language(lang)])
    if report.facts:
        found = worded(Sentence("found"), lang)
        rows = [(fact.name, fact.auc, found if fact.found else "") for fact in report.facts[:MANY]]
        headings = Sentence("fact"), Sentence("AUC, the better way [95 % interval]")
        table((*(worded(heading, lang) for heading in headings), ""), rows)


def show_run(summary: RunSummary) -> None:
    """What a training gave, the shortcuts first: they decide how the AUC is to be read."""
    say(summary.audit.text)
    if summary.best is None:
        warn("no epoch was finished, so there is no best one; go on with --resume")
    else:
        best = summary.best
        say(
            f"best epoch {best.epoch} by {summary.chosen_by}: AUC {best.auc:.4f}, EER {best.eer:.3f}, Acc {best.accuracy:.3f} on validation clips"
        )
    for note in summary.notes:
        warn(note)
    done = (
        "stopped by Ctrl-C; go on with --resume"
        if summary.outcome == "interrupted"
        else summary.outcome.replace("_", " ")
    )
    say(f"{summary.folder}: {summary.recipe}, {summary.epochs_done} epochs in {_clock(summary.seconds)} ({done})")


def show_predicted(summary: PredictSummary) -> None:
    """Where the scores are, and what has none."""
    _show_failures([(score.name, score.reason) for score in summary.failures])
    say(
        f"{summary.out}: {len(summary.scores)} rows, {len(summary.failures)} without a score, {_clock(summary.seconds)}"
    )


def _show_failures(failures: Sequence[tuple[str, str]]) -> None:
    for name, reason in failures[:MANY]:
        warn(f"{name}: {reason}")
    if len(failures) > MANY:
        warn(f"... and {len(failures) - MANY} more failures, each a row with its reason")


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}" if minutes >= 60 else f"{minutes}:{rest:02d}"
