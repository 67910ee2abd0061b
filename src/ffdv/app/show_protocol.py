"""How evaluations, cross-validations and comparisons look in a terminal. Nothing here computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.progress import Progress

from ffdv.app.console import err, follow_training, printable, say, table, warn
from ffdv.metrics.uncertainty import FEW, Estimate

if TYPE_CHECKING:
    from ffdv.metrics.confidence import Confidence
    from ffdv.training.compare import Comparison
    from ffdv.training.crossval import CrossvalProgress, CrossvalTable
    from ffdv.training.evaluate import EvaluationTable
    from ffdv.training.localising import Localisation


def show_evaluation(result: EvaluationTable) -> None:
    """Shortcuts, the overall numbers raw and neutralised, a line per group (worst first), and what the scores are worth."""
    beside = result.neutralised
    say(result.audit.text)
    overall = result.overall
    say(f"{result.part}: {overall.num_real} real, {overall.num_fake} fake")
    if beside is None:
        table(("measure", "value [95 % interval]"), [(name, _number(one)) for name, one in overall.numbers.items()])
    else:
        say(f"neutralised ({', '.join(beside.steps)}): {beside.audit.text}")
        neutral = beside.rows[0].numbers
        rows = [(name, _number(one), _number(neutral.get(name))) for name, one in overall.numbers.items()]
        table(("measure", "raw [95 % interval]", "neutralised"), rows)
    if result.by is not None:
        _show_groups(result)
    _say_few([estimate for row in result.rows for estimate in row.numbers.values()])
    if result.localisation is not None:
        _show_localisation(result.localisation)
    if result.confidence is not None:
        show_confidence(result.confidence)
    for text in (*result.warnings, *(() if beside is None else beside.warnings)):
        warn(text)


def _show_localisation(found: Localisation) -> None:
    """How well forged seconds are found."""
    say(
        f"where it is forged, by windows of {found.window_seconds:.1f} s: {found.num_segments} forged stretches in {found.num_fake} fakes, "
        f"beside {found.num_real} reals; {found.num_forged} windows hold forged seconds, {found.num_genuine} none"
    )
    table(("measure", "value [95 % interval]"), list(found.numbers.items()))


def _show_groups(result: EvaluationTable) -> None:
    """A line per group, with its AUC on neutralised clips where there is one."""
    shown = [name for name in ("auc", "eer") if any(name in row.numbers for row in result.rows[1:])]
    headings = [result.by or "", "real", "fake", "against", *shown]
    rows = [
        [row.name, row.num_real, row.num_fake, row.reals, *(_number(row.numbers.get(name)) for name in shown)]
        for row in result.rows[1:]
    ]
    if result.neutralised is not None:
        headings.append("auc, neutralised")
        for cells, row in zip(rows, result.rows[1:], strict=True):
            other = result.neutralised.row(row.name)
            cells.append("" if other is None else _number(other.numbers.get("auc")))
    table(headings, rows, right=("real", "fake"))


def _number(estimate: Estimate | None) -> str:
    """An estimate as tables show it, marked where few groups stand behind it."""
    return "" if estimate is None else f"{estimate}{' *' if estimate.few else ''}"


def _say_few(estimates: Sequence[Estimate | None]) -> None:
    if any(estimate is not None and estimate.few for estimate in estimates):
        say(FEW)


def show_confidence(found: Confidence) -> None:
    """Calibration before and after, how many clips can be judged, and what the stored thresholds do here."""
    say(
        f"calibration: ECE {found.ece_before:.3f} before, {found.ece_after:.3f} after; "
        f"Brier {found.brier_before:.3f} before, {found.brier_after:.3f} after"
    )
    say(f"at 5 % mistakes the surest {found.coverage_at_risk:.0%} of the clips can be judged")
    band = found.band
    if band is not None and band.everything:
        say("no range could be set: too few validation clips, so that every clip is one that it cannot tell")
    elif band is not None:
        say(
            f"cannot tell from {band.low:.3f} to {band.high:.3f}: {band.decided:.0%} of the clips get a verdict, {band.false_alarms:.1%} "
            f"of the reals are called fake and {band.misses:.1%} of the fakes real (promised for clips like those in development: "
            f"at most {band.wanted[0]:.0%} and {band.wanted[1]:.0%})"
        )
        if band.unusual:
            say(
                f"for {band.unusual:.0%} of the clips that range is wider: to the net they are unlike what training saw"
            )
    for each in found.thresholds:
        if each.promised:
            say(
                f"threshold {each.value:.3f} for {each.wanted:.1%} false alarms: {each.false_alarms:.1%} here, {each.hits:.1%} of the fakes found"
            )


def follow_folds(bar: Progress) -> Callable[[CrossvalProgress], None]:
    """A callback for crossval: which fold, and its training as `train` shows it."""
    told = follow_training(bar)
    begun: set[int] = set()

    def show(now: CrossvalProgress) -> None:
        if now.fold not in begun:
            begun.add(now.fold)
            err.print(printable(f"fold {now.fold}/{now.folds}: {now.name} held out" if now.folds > 1 else now.name))
        told(now.training)

    return show


def show_crossval(result: CrossvalTable) -> None:
    """A line per held-out group, worst first, and what is to be known of them."""
    rows = [
        (
            row.name,
            row.num_real,
            row.num_fake,
            row.against,
            _number(row.auc),
            _number(row.eer),
            "" if row.tpr is None else f"{_number(row.tpr)} at {row.tpr_fpr:g}",
        )
        for row in result.rows
    ]
    table((result.by, "real", "fake", "against", "auc", "eer", "TPR at FPR"), rows, right=("real", "fake"))
    _say_few([row.auc for row in result.rows])
    if result.mean_auc is not None and result.worst is not None and result.worst.auc is not None:
        say(f"mean AUC over groups {result.mean_auc:.3f}, worst {result.worst.auc.value:.3f} ({result.worst.name})")
    for note in result.notes:
        warn(note)
    for name, reason in result.failures:
        warn(f"{name}: {reason}")


def show_comparison(found: Comparison) -> None:
    """Both AUCs, the difference by two roads, and the conclusion."""
    say(f"{found.part}: {found.num_real} real, {found.num_fake} fake")
    table(
        ("", "AUC [95 % interval]"),
        [
            (found.run_a, _number(found.auc_a)),
            (found.run_b, _number(found.auc_b)),
            ("difference, bootstrap", _signed(found.difference.value, found.difference.low, found.difference.high)),
            ("difference, DeLong", _signed(found.delong.value, found.delong.low, found.delong.high)),
        ],
    )
    say(found.sentence)
    for text in found.warnings:
        warn(text)


def _signed(value: float, low: float, high: float) -> str:
    return f"{value:+.3f} [{low:+.3f}, {high:+.3f}]"
