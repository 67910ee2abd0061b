"""Windows of a clip as one score."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

from ffdv.errors import MetricError
from ffdv.metrics import aggregation
from ffdv.metrics.aggregation import AGGREGATIONS, aggregate, best_aggregation, fit_sharpness
from ffdv.metrics.ranking import roc_auc


def test_the_examples_in_the_docs_hold() -> None:
    assert doctest.testmod(aggregation).failed == 0


@pytest.mark.parametrize("how", AGGREGATIONS)
def test_one_window_is_itself_and_order_does_not_matter(how: str) -> None:
    logits = np.random.default_rng(0).standard_normal(13)

    assert aggregate([0.25], how) == 0.25
    assert aggregate(logits, how) == pytest.approx(aggregate(logits[::-1], how))
    assert logits.min() <= aggregate(logits, how) <= logits.max()


def test_the_top_lies_between_mean_and_max_and_nothing_is_refused() -> None:
    logits = np.random.default_rng(1).standard_normal(40)

    assert aggregate(logits, "mean") < aggregate(logits, "top") < aggregate(logits, "max")
    with pytest.raises(MetricError, match="without windows"):
        aggregate([], "mean")


def some_clips(
    seed: int, *, fake_windows: int, shift: float = 3.0, clips: int = 200
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Clips of ten windows each; `fake_windows` of a fake clip's are higher by `shift`."""
    rng = np.random.default_rng(seed)
    labels = np.arange(clips) % 2
    windows = [rng.standard_normal(10) + label * shift * (np.arange(10) < fake_windows) for label in labels]
    return labels, windows


def test_a_number_leads_from_the_mean_to_the_max() -> None:
    logits = np.random.default_rng(2).standard_normal(30)

    found = [aggregate(logits, sharpness) for sharpness in (0.0, 0.5, 2.0, 8.0, 1000.0)]

    assert found[0] == pytest.approx(logits.mean())
    assert found == sorted(found)
    assert found[-1] == pytest.approx(logits.max())


def test_what_is_learned_is_blunt_where_all_of_a_clip_is_forged_and_sharp_where_a_part_is() -> None:
    whole, part = (
        fit_sharpness(*some_clips(0, fake_windows=count, shift=shift)) for count, shift in ((10, 0.7), (1, 4.0))
    )

    assert whole <= 0.2
    assert part >= 1.0


def test_the_best_is_the_mean_where_all_is_forged_and_the_learned_or_the_max_where_little_is() -> None:
    assert best_aggregation(*some_clips(1, fake_windows=10)) == "mean"  # all rank alike: of equals the first

    labels, windows = some_clips(3, fake_windows=1)
    best = best_aggregation(labels, windows)

    aucs = {how: roc_auc(labels, [aggregate(each, how) for each in windows]) for how in (*AGGREGATIONS, best)}
    assert best != "mean"
    assert aucs[best] == max(aucs.values()) > aucs["mean"] + 0.05
