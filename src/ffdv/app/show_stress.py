"""A stress table in the terminal: what it says in words, then the alterations that hurt most."""

from __future__ import annotations

import math

from ffdv.app import console
from ffdv.detect.stress_page import findings, is_worse
from ffdv.detect.stress_table import OVERALL, StressRow, StressTable

MOST_SHOWN = 15


def show_stress(table: StressTable) -> None:
    """The findings, the worst rows by AUC, and what a reader must know."""
    console.say(f"{table.part}: {table.seconds_per_score:.2f} s a score")
    for sentence in findings(table):
        console.say(sentence)
    rows = sorted(table.altered(OVERALL), key=_change)[:MOST_SHOWN]
    cells = [
        (row.family, row.level, row.auc or "", _percent(row), "worse" if is_worse(row) else "")
        for row in (table.unaltered(OVERALL), *rows)
    ]
    console.table(("alteration", "", "AUC [95 % interval]", "false alarms", ""), cells, right=("false alarms",))
    for text in table.warnings:
        console.warn(text)


def _change(row: StressRow) -> float:
    return row.auc_change.value if row.auc_change is not None else math.inf


def _percent(row: StressRow) -> str:
    return "" if row.false_alarms is None else f"{row.false_alarms.value:.1%}"
