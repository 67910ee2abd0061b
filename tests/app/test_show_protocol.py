"""What stands on few people is marked wherever it is shown."""

from __future__ import annotations

import pytest

from ffdv.app.console import progress_bar
from ffdv.app.show_protocol import follow_folds, show_confidence, show_crossval
from ffdv.metrics.confidence import BandCheck, Confidence, Reliability
from ffdv.metrics.uncertainty import FEWEST_GROUPS, Estimate
from ffdv.training.crossval import CrossvalProgress, CrossvalRow, CrossvalTable
from ffdv.training.crossval_page import _label
from ffdv.training.engine import Progress


def row(num_groups: int) -> CrossvalRow:
    number = Estimate(0.9, 0.8, 0.95, 0.95, "bootstrap-bca", num_groups)
    return CrossvalRow(f"over {num_groups}", "fold-1", 30, 30, "same method", number, number)


@pytest.mark.parametrize(("num_groups", "marked"), [(FEWEST_GROUPS - 1, True), (FEWEST_GROUPS, False)])
def test_an_interval_over_few_people_is_marked_and_said_to_be_too_short(
    capsys: pytest.CaptureFixture[str], num_groups: int, marked: bool
) -> None:
    show_crossval(CrossvalTable("voice", ("data",), "method", 1, (row(num_groups),), ()))

    shown = capsys.readouterr().out
    assert ("cannot be relied on" in " ".join(shown.split())) == marked
    assert ("*" in shown) == marked
    assert _label(row(num_groups)).endswith(" *") == marked


def test_a_held_out_group_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    training = Progress("step", 1, 1, 1, 1, 0.0, 0.0, 0.0)

    with progress_bar("crossval") as bar:
        follow_folds(bar)(CrossvalProgress(1, 2, "[b]fold\x1b[31m", training))

    assert "fold 1/2: [b]fold\\x1b[31m held out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.0, 1.0, "no range could be set"), (0.2, 1.0, "cannot tell from 0.200")]
)
def test_a_band_that_leaves_nothing_outside_is_said_to_be_none(
    capsys: pytest.CaptureFixture[str], low: float, high: float, said: str
) -> None:
    empty = Reliability((), (), (), (), ())
    band = BandCheck(low, high, 0.0, 0.0, 0.0, (0.05, 0.05))

    show_confidence(Confidence(0.1, 0.1, 0.1, 0.1, empty, empty, (), (), 0.0, 0.5, band))

    assert said in " ".join(capsys.readouterr().out.split())
