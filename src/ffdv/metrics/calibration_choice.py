"""Which calibration suits these clips: each kind is fitted on most groups and judged on the others.

Temperature has one number, Platt two, isotonic as many as the clips allow. The simplest kind wins unless a richer one is
better by more than chance (one standard error over groups): on few clips a rich map learns them by heart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffdv.metrics.calibration import FITS, Calibration, log_losses
from ffdv.metrics.ranking import Groups, Indices, Numbers, Truths, check_labels, check_scores, number_groups

FOLDS = 5
# Niculescu-Mizil and Caruana (2005): below about a thousand clips isotonic regression overfits and Platt is better.
ENOUGH_FOR_ISOTONIC = 1000


@dataclass(frozen=True)
class ChosenCalibration:
    """The calibration, fitted on all clips, and what each kind's log loss was on groups that it was not fitted on (nats a clip).

    losses is empty where there are too few groups to try; the calibration is then Platt's.
    """

    calibration: Calibration
    losses: Mapping[str, float]


def choose_calibration(
    labels: npt.ArrayLike, logits: npt.ArrayLike, *, groups: Groups | None = None
) -> ChosenCalibration:
    """Fit the kind that does best on groups not fitted on; among kinds equally good the simplest.

    labels (n,) of {0, 1}, logits (n,), groups (n,): what stays together (identity, source).
    Raises MetricError when only one class is present, or logits are not finite.
    """
    values = check_scores(logits)
    fake = check_labels(labels, len(values))
    fold = grouped_folds(fake, number_groups(len(values), groups), folds=FOLDS)
    kinds = [kind for kind in FITS if kind != "isotonic" or len(values) >= ENOUGH_FOR_ISOTONIC]
    if fold is None:
        return ChosenCalibration(FITS["platt"](fake, values), {})
    losses = {kind: _losses_apart(kind, fake, values, fold) for kind in kinds}
    best = min(losses.values(), key=lambda each: float(each.mean()))
    owner = number_groups(len(values), groups)
    chosen = next(kind for kind in kinds if _no_worse(losses[kind], best, owner))
    return ChosenCalibration(FITS[chosen](fake, values), {kind: float(each.mean()) for kind, each in losses.items()})


def grouped_folds(fake: Truths, owner: Indices, *, folds: int) -> Indices | None:
    """A fold (n,) for each clip, groups whole, each class dealt out evenly; None when a fold would leave out a whole class.

    Groups are dealt largest first to the fold that has least of the class which they hold most of.
    """
    fakes = np.bincount(owner, weights=fake)
    every = np.bincount(owner)
    count = min(folds, int((fakes > 0).sum()), int((every > fakes).sum()))
    if count < 2:
        return None
    held = np.zeros((count, 2))
    of_group = np.zeros(len(every), np.int64)
    for group in np.argsort(-every, kind="stable").tolist():
        mine = np.array([every[group] - fakes[group], fakes[group]])
        of_group[group] = int(np.argmin(held[:, int(mine.argmax())]))
        held[of_group[group]] += mine
    fold = of_group[owner]
    if any(len(np.unique(fake[fold != number])) < 2 for number in range(count)):
        return None
    return fold


def _losses_apart(kind: str, fake: Truths, logits: Numbers, fold: Indices) -> Numbers:
    """Log loss of each clip (n,) under a map that was fitted without its fold."""
    losses = np.empty(len(logits))
    for number in np.unique(fold):
        mine = fold == number
        losses[mine] = log_losses(fake[mine], FITS[kind](fake[~mine], logits[~mine]).apply(logits[mine]))
    return losses


def _no_worse(losses: Numbers, best: Numbers, owner: Indices) -> bool:
    """Whether the mean excess over the best is within one standard error, groups being the independent pieces."""
    excess = np.bincount(owner, weights=losses - best)
    groups = len(excess)
    error = float(excess.std(ddof=1)) * np.sqrt(groups) if groups > 1 else 0.0
    return bool(excess.sum() <= error + 1e-12)
