"""Windows of a clip as one score."""

from __future__ import annotations

import numpy as np
import pytest

from ffdv.errors import MetricError
from ffdv.metrics.aggregation import AGGREGATIONS, aggregate


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
