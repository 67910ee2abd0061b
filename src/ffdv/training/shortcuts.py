"""How well facts about container and sound that are not forgery tell fake from real, on the same clips as the net.

On the challenge's clips a handful of such numbers does as well as a net; who reads a net's AUC must see theirs beside it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ffdv.cores import one_thread
from ffdv.data.probe_tests import least_p_value, separation_test
from ffdv.features.fingerprints import FINGERPRINT
from ffdv.metrics.ranking import number_groups, roc_auc

_FOLDS = 5
_ERROR = 0.05
_FEWEST_PER_CLASS = 10  # fewer, and the AUC of the best of thirty probes is chance


@dataclass(frozen=True)
class AuditLine:
    """The best single probe (its AUC read in the better direction), and all probes together on groups not fitted on.

    text: the finding in one sentence. best_auc and all_auc are None where there are too few clips to say. luck: what the best of as
    many probes that know nothing may reach on as many clips of as many people; undecided: whether these are so few that no probe, however
    strong, can be told from recognising them: then neither can the net.
    """

    text: str
    num_clips: int
    num_probes: int
    best_probe: str = ""
    best_auc: float | None = None
    all_auc: float | None = None
    luck: float = 0.5
    undecided: bool = False


def audit_line(
    labels: npt.NDArray[np.int64],
    probes: Mapping[str, npt.NDArray[np.float64]],
    *,
    groups: Sequence[str | None] | None = None,
    net_auc: float | None = None,
) -> AuditLine:
    """What the probes know of the labels.

    labels (n,) of {0, 1}; probes: name → (n,), NaN where a clip has none; groups (n,): clips that belong together stay on
    one side in the cross-validation; net_auc: the net's on the same clips, for the sentence.
    """
    usable = {
        name: values
        for name, values in probes.items()
        if not name.startswith(FINGERPRINT) and np.isfinite(values).any() and np.nanstd(values) > 0
    }
    counts = np.bincount(labels, minlength=2)
    if counts.min() < _FEWEST_PER_CLASS or not usable:
        why = "no probes are stored" if not usable else f"{counts[0]} real and {counts[1]} fake clips are too few"
        return AuditLine(f"shortcuts: not measured, {why}", len(labels), len(usable))
    known = {name: _all_known(values) for name, values in usable.items()}
    singles = {name: _either_way(labels, values) for name, values in known.items()}
    best = max(singles, key=lambda name: singles[name])
    together = _all_together(labels, np.stack(list(usable.values()), axis=1), groups)
    said = f"shortcuts: {best} alone separates with AUC {singles[best]:.3f}"
    if together is not None:
        said += f", all {len(usable)} probes together {together:.3f}"
    group = number_groups(len(labels), groups)
    luck = _luck(labels, np.stack(list(known.values()), axis=1), group)
    undecided = least_p_value(labels == 1, group) > _ERROR
    return beside_net(
        AuditLine(said, len(labels), len(usable), best, singles[best], together, luck, undecided), net_auc
    )


def beside_net(line: AuditLine, net_auc: float | None) -> AuditLine:
    """The line with the net's AUC on the same clips, and what to think of it; unchanged where one of them is not known."""
    if net_auc is None or line.best_auc is None:
        return line
    told = f"{line.text}; the net {net_auc:.3f}"
    if max(line.best_auc, line.all_auc or 0.0) < net_auc - 0.01:
        return replace(line, text=told)
    if line.undecided:
        told += ": so few people or sources are in each class that either may only recognise these, do not believe its score"
    elif max(line.best_auc, line.all_auc or 0.0) <= line.luck:
        told += f": on so few clips or people luck alone lifts the best of them to {line.luck:.2f}, so that this tells nothing of the net"
    else:
        told += ": it may have learnt no more than they say, do not believe its score"
    return replace(line, text=told)


def _luck(labels: npt.NDArray[np.int64], columns: npt.NDArray[np.float64], group: npt.NDArray[np.int64]) -> float:
    """What the best of these columns (n, probes) stays under in 19 of 20 corpora where none knows anything: labels are shuffled among
    whole groups (data/probe_tests), for twenty people with a microphone each lift it more than three hundred clips of anybody.

    Where some column does stand out, what that one would have stayed under: it is above it, and so is the best.
    """
    test = separation_test(columns, labels == 1, group, error=_ERROR)
    away = np.abs(test.auc - 0.5)
    spread = np.where(test.chance_deviation > 0, test.chance_deviation, np.inf)
    told_by = np.argmax(away / spread) if test.found.any() else np.argmax(away)
    return float(min(1.0, 0.5 + test.critical * test.chance_deviation[told_by]))


def _either_way(labels: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> float:
    """AUC of one probe, whichever way it points."""
    area = roc_auc(labels, values)
    return max(area, 1.0 - area)


def _all_known(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A missing value counts as the lowest: being missing is a fact too."""
    known = np.isfinite(values)
    return np.where(known, values, values[known].min() - 1.0)


def _all_together(
    labels: npt.NDArray[np.int64], table: npt.NDArray[np.float64], groups: Sequence[str | None] | None
) -> float | None:
    """AUC of a logistic regression on the table (n, probes) under grouped cross-validation; None with too few groups."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer

    names = [name or f"\0{index}" for index, name in enumerate(groups or [None] * len(labels))]
    group = np.unique(np.array(names, dtype=object), return_inverse=True)[1]
    folds = min(_FOLDS, *(len(np.unique(group[labels == label])) for label in (0, 1)))
    if folds < 2:
        return None
    # Ranks instead of values: a probe in bytes and one in seconds weigh alike, and one odd clip moves nothing.
    ranks = QuantileTransformer(n_quantiles=min(100, len(labels)), output_distribution="normal")
    model = make_pipeline(SimpleImputer(add_indicator=True), ranks, LogisticRegression(C=0.1, max_iter=1000))
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=0)
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore", UserWarning)  # a probe that is missing from a whole fold
        try:
            scores = cross_val_predict(model, table, labels, groups=group, cv=splitter, method="predict_proba")[:, 1]
        except ValueError:  # a fold without one of the classes: few, large groups
            return None
    return roc_auc(labels, scores)
