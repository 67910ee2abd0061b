"""How values look in a terminal: tables, progress bars and the one error line. Nothing here computes."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

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

from ffdv.app.doctor import Check
from ffdv.detect.submission import SubmissionSummary
from ffdv.records import MediaFacts

MANY = 20  # rows of trouble that a terminal shows before it counts the rest

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def printable(text: object) -> str:
    """Text as one terminal line, whatever a file name holds; rich markup in it is shown, not obeyed."""
    raw = str(text).encode("utf-8", "backslashreplace").decode()
    return escape("".join(c if c.isprintable() else repr(c)[1:-1] for c in raw))


def say_error(error: Exception | str) -> None:
    """The one line that a failed command ends with."""
    err.print(f"[bold red]error:[/] {printable(error)}", soft_wrap=True)


def warn(text: str) -> None:
    """A line that does not stop the work."""
    err.print(f"[yellow]note:[/] {printable(text)}", soft_wrap=True)


def table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None, right: Sequence[str] = ()
) -> None:
    """Print rows; the columns named in `right` are aligned right."""
    grid = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        grid.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(printable(cell) for cell in row))
    out.print(grid)


def json_line(text: str) -> None:
    """JSON for machines, untouched by the terminal's width."""
    sys.stdout.write(text + "\n")


@contextmanager
def progress_bar(title: str) -> Iterator[Progress]:
    """A bar on stderr that shows done/total, share, time left and a free text field `text`."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[text]}"),
    )
    with Progress(*columns, console=err, transient=not err.is_terminal) as bar:
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
