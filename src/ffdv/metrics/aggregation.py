"""Many opinions on one clip, of its windows or its faces, as one."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ffdv.errors import MetricError

Aggregation = Literal["mean", "max", "top"]
AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)
TOP_SHARE = 0.25


def aggregate(logits: npt.ArrayLike, how: Aggregation) -> float:
    """One logit of several (n,): their mean (all of it is forged or nothing is), their max (any of it may be), or top, the mean
    of the highest quarter, at least one.

    >>> [aggregate([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], how) for how in ("mean", "max", "top")]
    [3.5, 7.0, 6.5]

    Raises MetricError where there is none.
    """
    values = np.sort(np.asarray(logits, np.float64))
    if not len(values):
        raise MetricError("a clip without windows has no score")
    if how == "mean":
        return float(values.mean())
    count = 1 if how == "max" else max(1, round(TOP_SHARE * len(values)))
    return float(values[-count:].mean())
