"""A cross-validation's table for people and machines: crossval.csv, crossval.json and crossval.png."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from ffdv.errors import ExtraMissing
from ffdv.metrics.uncertainty import FEW, Estimate
from ffdv.page import FAKE_COLOUR, REAL_COLOUR, SOFT_COLOUR
from ffdv.training.crossval import CrossvalRow, CrossvalTable
from ffdv.whole_file import write_atomically

NAMES = ("crossval.csv", "crossval.json", "crossval.png")
HEADINGS = ("held_out", "fold", "num_real", "num_fake", "against")
NUMBERS = ("auc", "eer", "tpr")
MOST_DRAWN = 80  # more rows are unreadable in one picture; the worst are drawn


def write_table(table: CrossvalTable, out: Path) -> None:
    """Write all three into the folder `out`, each whole or not at all. Raises ExtraMissing without matplotlib."""
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(out / NAMES[0], as_csv(table).encode("utf-8", "backslashreplace"))
    write_atomically(out / NAMES[1], (table.to_json() + "\n").encode())
    write_atomically(out / NAMES[2], as_png(table))


def as_csv(table: CrossvalTable) -> str:
    """A line a held-out group, worst first: numbers with their bounds, empty where they could not be measured."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    bounds = [f"{name}{end}" for name in NUMBERS for end in ("", "_low", "_high")]
    writer.writerow((*HEADINGS, *bounds, "tpr_at_fpr", "reason", "num_groups"))
    for row in table.rows:
        numbers = [cell for estimate in (row.auc, row.eer, row.tpr) for cell in _cells(estimate)]
        named = (row.name, row.fold, row.num_real, row.num_fake, row.against)
        rate = "" if row.tpr_fpr is None else row.tpr_fpr
        writer.writerow((*named, *numbers, rate, row.reason, "" if row.auc is None else row.auc.num_groups))
    return sink.getvalue()


def _cells(estimate: Estimate | None) -> tuple[str, str, str]:
    if estimate is None:
        return "", "", ""
    return f"{estimate.value:.6g}", f"{estimate.low:.6g}", f"{estimate.high:.6g}"


def as_png(table: CrossvalTable) -> bytes:
    """AUC of each held-out group with its interval, worst first. Raises ExtraMissing without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ExtraMissing("the picture of a cross-validation (matplotlib)", "train") from error
    rows = [row for row in table.rows if row.auc is not None][:MOST_DRAWN]
    figure = Figure(figsize=(8.0, 1.4 + 0.26 * max(1, len(rows))), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, row in enumerate(rows):
        assert row.auc is not None
        colour = REAL_COLOUR if row.auc.low > 0.5 else FAKE_COLOUR
        axes.plot([row.auc.low, row.auc.high], [place, place], color=colour, linewidth=2)
        axes.plot([row.auc.value], [place], "o", color=colour)
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=8, parse_math=False)
    axes.set_xlim(-0.02, 1.02)
    axes.invert_yaxis()
    axes.axvline(0.5, color=SOFT_COLOUR, linewidth=1)
    if table.mean_auc is not None:
        axes.axvline(table.mean_auc, color=SOFT_COLOUR, linewidth=1, linestyle=":")
    axes.set_xlabel(
        "AUC on the held-out group, 95 % interval\ndotted: mean over groups; orange: chance is not ruled out"
        + ("\n" + FEW if any(row.auc is not None and row.auc.few for row in rows) else ""),
        fontsize=8,
    )
    mean = "" if table.mean_auc is None else f", mean {table.mean_auc:.3f}"
    axes.set_title(f"{table.recipe}, held out by {table.by}{mean}", fontsize=10, parse_math=False)
    target = io.BytesIO()
    figure.savefig(target, format="png", dpi=120)
    return target.getvalue()


def _label(row: CrossvalRow) -> str:
    """A group's name on one line, with how many clips stand behind it."""
    plain = "".join(character if character.isprintable() else "?" for character in row.name)
    few = " *" if row.auc is not None and row.auc.few else ""
    return f"{plain if len(plain) <= 40 else plain[:39] + '…'} ({row.num_real} real, {row.num_fake} fake){few}"
