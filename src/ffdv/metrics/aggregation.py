"""Many opinions on one clip, of its windows or its faces, as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from ffdv.errors import MetricError
from ffdv.metrics.calibration import fit_platt, log_loss
from ffdv.metrics.ranking import roc_auc

Fixed = Literal["mean", "max", "top"]
# A number is the sharpness of a learned one.
Aggregation = Fixed | float
AGGREGATIONS: tuple[Fixed, ...] = get_args(Fixed)
TOP_SHARE = 0.25
# What fitting chooses from: 0 is the mean; from 8 on it is the max in all but name.
SHARPNESSES = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 4.0, 8.0)


def aggregate(logits: npt.ArrayLike, how: Aggregation) -> float:
    """One logit of several (n,): their mean (all of it is forged or nothing is), their max (any of it may be), top, the mean
    of the highest quarter, at least one; or a number s: the mean weighted by exp(s * logit), from the mean (0) towards the max
    (McFee, Salamon and Bello 2018, "Adaptive pooling operators for weakly labeled sound event detection").

    >>> [aggregate([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], how) for how in ("mean", "max", "top", 0.0)]
    [3.5, 7.0, 6.5, 3.5]
    >>> round(aggregate([0.0, 1.0, 2.0], 1.0), 3)
    1.575

    Raises MetricError where there is none.
    """
    values = np.sort(np.asarray(logits, np.float64))
    if not len(values):
        raise MetricError("a clip without windows has no score")
    if isinstance(how, int | float):
        pull = np.exp(how * (values - values[-1]))
        return float((pull * values).sum() / pull.sum())
    if how == "mean":
        return float(values.mean())
    count = 1 if how == "max" else max(1, round(TOP_SHARE * len(values)))
    return float(values[-count:].mean())


def fit_sharpness(labels: npt.ArrayLike, windows: Sequence[npt.ArrayLike]) -> float:
    """The sharpness of SHARPNESSES whose aggregate, calibrated by Platt's two numbers, tells these clips' labels (n,) with the least
    log loss; of equals the smallest. windows: each clip's logits. Raises MetricError when only one class is present.
    """
    losses = []
    for sharpness in SHARPNESSES:
        logits = [aggregate(each, sharpness) for each in windows]
        losses.append(round(log_loss(labels, fit_platt(labels, logits).apply(logits)), 9))
    return SHARPNESSES[int(np.argmin(losses))]


def best_aggregation(labels: npt.ArrayLike, windows: Sequence[npt.ArrayLike]) -> Aggregation:
    """Of mean, max, top and the fitted sharpness the one with the best AUC on these clips, of equals the first."""

    def auc(how: Aggregation) -> float:
        return roc_auc(labels, [aggregate(each, how) for each in windows])

    return max((*AGGREGATIONS, fit_sharpness(labels, windows)), key=auc)
