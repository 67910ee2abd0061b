"""All facts together: what a learner that sees nothing but shortcuts reaches on people it was not fitted on.

DeLong's variance is that of scores given from outside; here they come from models that share most of their fitting clips,
and under shuffled labels the AUC then strays 1.3 to 1.5 times as far as it says. How far it really strays is measured, by
a ridge regression on shuffled labels (one product for all shufflings), and both test and interval are widened by it.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ffdv.cores import one_thread
from ffdv.data.probe_tests import centred_ranks, shuffled_labels
from ffdv.errors import ExtraMissing
from ffdv.metrics.ranking import Indices, Numbers, Truths
from ffdv.metrics.uncertainty import Estimate, delong
from ffdv.sentences import Sentence

FOLDS = 5
# Two models share the 1 % of error that the single facts' tests leave them: 2.81 deviations above chance.
DEVIATIONS_NEEDED = 2.81
SHUFFLES = 200
# Boosting by bins needs no more to see a pattern, and time grows with clips.
MOST_CLIPS = 20_000
# The logistic regression's penalty, 1 / C, and the ridge that shrinks as much: a logistic curve is a quarter as steep.
PENALTY = 3.0
RIDGE = 4.0 * PENALTY
LINEAR, BOOSTED = Sentence("logistic regression"), Sentence("gradient boosting")


@dataclass(frozen=True)
class JointResult:
    """A model on all facts: AUC over clips whose groups it was not fitted on, and whether that is above chance."""

    model: Sentence
    auc: Estimate
    found: bool


def joint_results(columns: Numbers, fake: Truths, group: Indices, *, seed: int = 0) -> tuple[JointResult, ...]:
    """Logistic regression and gradient boosting on columns (n, p), under cross-validation that keeps groups (n,) whole.

    None of it when a class has fewer than two groups. At most MOST_CLIPS clips are looked at, drawn by `seed`.
    Raises ExtraMissing without scikit-learn.
    """
    folds = min(FOLDS, *(len(np.unique(group[fake == label])) for label in (False, True)))
    if folds < 2 or not columns.shape[1]:
        return ()
    rows = np.sort(np.random.default_rng(seed).permutation(len(fake))[:MOST_CLIPS])
    columns, fake, group = columns[rows], fake[rows], group[rows]
    models = _models(seed)
    division = _divide(fake, group, folds, seed)
    if not all(len(np.unique(fake[part])) == 2 for fold in division for part in fold):
        return ()
    with one_thread():  # scikit-learn is loaded by now
        # Ranks instead of values: a fact in bytes and one in seconds weigh alike, and one odd clip moves nothing.
        ranks, known = centred_ranks(columns)
        chance = _chance(ranks, fake, group, division)
        results = []
        for name, model in models.items():
            table = ranks if name == LINEAR else np.where(known > 0, ranks, np.nan)
            scores = _unseen_scores(model, table, fake, division)
            estimate = _widened(delong(fake, scores, groups=group), chance.inflation)
            results.append(JointResult(name, estimate, estimate.value > 0.5 + DEVIATIONS_NEEDED * chance.deviation))
    return tuple(results)


def _models(seed: int) -> dict[Sentence, Any]:
    try:
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.linear_model import LogisticRegression
    except ModuleNotFoundError as error:
        raise ExtraMissing("the audit's joint models (scikit-learn)", "train") from error
    boosting = HistGradientBoostingClassifier(
        max_iter=50, max_leaf_nodes=8, min_samples_leaf=10, early_stopping=False, random_state=seed
    )
    return {LINEAR: LogisticRegression(C=1 / PENALTY, max_iter=300), BOOSTED: boosting}


Division = tuple[tuple[Indices, Indices], ...]


def _divide(fake: Truths, group: Indices, folds: int, seed: int) -> Division:
    """Rows to fit on and rows to judge, `folds` times: groups stay whole, classes in proportion."""
    from sklearn.model_selection import StratifiedGroupKFold

    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer members than folds: the caller looks
        return tuple(splitter.split(fake, fake, group))


def _unseen_scores(model: Any, table: Any, fake: Truths, division: Division) -> Numbers:
    """Scores (n,) of clips by models fitted on the other folds, as ranks in their fold: models do not share a scale."""
    from sklearn.base import clone

    scores = np.zeros(len(fake))
    for fitted, unseen in division:
        chance = clone(model).fit(table[fitted], fake[fitted]).predict_proba(table[unseen])[:, 1]
        scores[unseen] = _places(chance[:, None])[:, 0]
    return scores


@dataclass(frozen=True)
class _Chance:
    """How far a joint AUC strays from 0.5 under shuffled labels, and that over what DeLong says, at least 1."""

    deviation: float
    inflation: float


def _chance(ranks: Any, fake: Truths, group: Indices, division: Division) -> _Chance:
    """By ridge regression on many shuffled labels at once: scores are linear in the labels."""
    labels = np.concatenate(list(shuffled_labels(fake, group, SHUFFLES, seed=1)))
    labels = labels[(labels.any(axis=1)) & ~labels.all(axis=1)]
    scores = np.zeros((len(fake), len(labels)))
    for fitted, unseen in division:
        middle = ranks[fitted].mean(axis=0)
        seen, target = ranks[fitted] - middle, labels[:, fitted].T - labels[:, fitted].mean(axis=1)
        slopes = np.linalg.solve(seen.T @ seen + RIDGE * np.eye(seen.shape[1]), seen.T @ target)
        scores[unseen] = _places((ranks[unseen] - middle) @ slopes)
    places = np.argsort(np.argsort(scores, axis=0), axis=0) + 1.0
    fakes = labels.sum(axis=1)
    sums = np.einsum("nr,rn->r", places, labels)
    areas = (sums - fakes * (fakes + 1) / 2) / (fakes * (len(fake) - fakes))
    deviation = float(np.sqrt(np.mean((areas - 0.5) ** 2)))
    said = [_half_width(delong(labels[at], scores[:, at], groups=group)) / 1.96 for at in range(min(8, len(labels)))]
    return _Chance(deviation, max(1.0, deviation / float(np.mean(said))))


def _half_width(estimate: Estimate) -> float:
    return (estimate.high - estimate.low) / 2


def _widened(estimate: Estimate, factor: float) -> Estimate:
    """An interval of an AUC, `factor` times as wide on the logit scale, where it was made."""
    if not 0.0 < estimate.low < estimate.high < 1.0:
        return estimate
    low, middle, high = (np.log(value / (1.0 - value)) for value in (estimate.low, estimate.value, estimate.high))
    wide = (middle - factor * (middle - low), middle + factor * (high - middle))
    low, high = (1.0 / (1.0 + np.exp(-bound)) for bound in wide)
    return replace(estimate, low=float(low), high=float(high), method="delong, cross-validated")


def _places(scores: Numbers) -> Numbers:
    """Each column's places (n, r), from 0 to 1, ties in the middle where it matters (a model that says one thing of many)."""
    if scores.shape[1] > 1:
        places: Numbers = np.argsort(np.argsort(scores, axis=0), axis=0) / len(scores)
        return places
    ranks, _ = centred_ranks(scores)
    return ranks.astype(np.float64)
