"""From a net's logit to a probability that can be believed, and how far it can be.

A calibration is fitted on development clips that training did not see, and holds for clips that resemble those: no fit
on known generators promises anything about an unknown one (docs/decisions/0006).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from ffdv.errors import MetricError
from ffdv.metrics.ranking import Indices, Numbers, Truths, check_labels, check_scores, clopper_pearson

FORMAT_VERSION = 1
# A probability is never exactly 0 or 1: one wrong certain answer would make the log loss infinite.
SMALLEST_PROBABILITY = 1e-6
# A temperature outside 1/100 … 100 is a fit that ran away on separable or hopeless scores.
SMALLEST_SLOPE, LARGEST_SLOPE = 0.01, 100.0


def sigmoid(logits: npt.ArrayLike) -> Numbers:
    """1 / (1 + exp(-x)) without overflow.

    >>> sigmoid([-1000.0, 0.0, 1000.0]).tolist()
    [0.0, 0.5, 1.0]
    """
    values = np.asarray(logits, dtype=np.float64)
    small = np.exp(-np.abs(values))
    shares: Numbers = np.where(values >= 0, 1.0, small) / (1.0 + small)
    return shares


def logit(probabilities: npt.ArrayLike) -> Numbers:
    """The inverse of sigmoid, probabilities kept SMALLEST_PROBABILITY away from 0 and 1.

    >>> logit([0.5]).tolist()
    [0.0]
    """
    inside = np.clip(np.asarray(probabilities, dtype=np.float64), SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
    values: Numbers = np.log(inside) - np.log1p(-inside)
    return values


Value = TypeVar("Value")


def write_json(value: Any) -> str:
    """A frozen value as one line of JSON, with the format's version."""
    return json.dumps({"version": FORMAT_VERSION, **asdict(value)})


def read_json(kind: type[Value], text: str) -> Value:
    """A frozen value from what write_json wrote; raises MetricError on another version or anything else."""
    what = kind.__name__
    try:
        stored = json.loads(text)
        version = stored.pop("version")
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise MetricError(f"this is no {what}: {text[:60]!r}") from error
    if version != FORMAT_VERSION:
        raise MetricError(f"{what} of version {version}; this ffdv reads version {FORMAT_VERSION}, so update it")
    if set(stored) != {field.name for field in fields(kind)}:  # type: ignore[arg-type]
        raise MetricError(
            f"{what} holds {', '.join(map(str, stored))}, which is not what version {FORMAT_VERSION} holds"
        )
    try:
        return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()})
    except TypeError as error:
        raise MetricError(f"this is no {what}: {text[:60]!r}") from error


def check_probabilities(scores: npt.ArrayLike) -> Numbers:
    """Scores as float64 (n,) in [0, 1]; raises MetricError otherwise (a logit is no probability)."""
    values = check_scores(scores)
    if ((values < 0.0) | (values > 1.0)).any():
        raise MetricError(
            f"scores must be probabilities in [0, 1], got {values.min():g} to {values.max():g}; "
            f"turn logits into probabilities by Calibration.apply"
        )
    return values


def log_loss(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Mean of -log of the probability given to the truth, in nats; 0.693 is guessing.

    >>> round(log_loss([0, 1], [0.5, 0.5]), 4)
    0.6931

    Raises MetricError when only one class is present or a score is no probability.
    """
    values = check_probabilities(scores)
    return float(log_losses(check_labels(labels, len(values)), values).mean())


def brier(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Mean squared distance of the probability from the truth (Brier 1950); 0.25 is guessing.

    >>> brier([0, 1], [0.5, 1.0])
    0.125

    Raises MetricError when only one class is present or a score is no probability.
    """
    values = check_probabilities(scores)
    return float(squared_errors(check_labels(labels, len(values)), values).mean())


def ece(labels: npt.ArrayLike, scores: npt.ArrayLike, *, bins: int = 15) -> float:
    """Expected calibration error: how far mean score and share of fakes lie apart in equal bins of score, on average.

    It is biased upwards on few clips: a perfect model on n clips has about sqrt(bins / n) / 3.

    >>> round(ece([0, 1, 1, 1], [0.1, 0.9, 0.9, 0.5]), 3)
    0.2

    Raises MetricError when only one class is present, a score is no probability, or bins < 1.
    """
    return float(prepare_ece(labels, scores, bins=bins)(np.ones((1, len(np.asarray(scores)))))[0])


def log_losses(fake: Truths, scores: Numbers) -> Numbers:
    """-log of the probability given to the truth, clip by clip; certain mistakes count as 36 nats, not infinity."""
    truth = np.where(fake, check_probabilities(scores), 1.0 - scores)
    losses: Numbers = -np.log(np.maximum(truth, np.finfo(np.float64).eps))
    return losses


def squared_errors(fake: Truths, scores: Numbers) -> Numbers:
    """Squared distance of score and truth, clip by clip."""
    errors: Numbers = (check_probabilities(scores) - fake) ** 2
    return errors


def excess_by_bin(labels: npt.ArrayLike, scores: npt.ArrayLike, *, bins: int = 15) -> Numbers:
    """Score less label of each clip in the column of its bin (n, bins), 0 elsewhere; ece is the sum of the columns' absolute means."""
    values = check_probabilities(scores)
    excess = values - check_labels(labels, len(values))
    inside = np.zeros((len(values), bins))
    inside[np.arange(len(values)), _bin_of(values, bins)] = excess
    return inside


def prepare_ece(labels: npt.ArrayLike, scores: npt.ArrayLike, *, bins: int = 15) -> Callable[[Numbers], Numbers]:
    """Bin once; then ece for weights (resamples, n), giving (resamples,)."""
    inside = excess_by_bin(labels, scores, bins=bins)

    def weighted_ece(weights: Numbers) -> Numbers:
        apart: Numbers = np.abs(weights @ inside).sum(axis=1) / weights.sum(axis=1)
        return apart

    return weighted_ece


def _bin_of(scores: Numbers, bins: int) -> Indices:
    """The bin of each score; bins are half-open [low, high), the last one closed."""
    if bins < 1:
        raise MetricError(f"a reliability curve needs at least one bin, got {bins}")
    return np.minimum((scores * bins).astype(np.int64), bins - 1)


@dataclass(frozen=True)
class ReliabilityCurve:
    """Bins of score that hold clips: mean score (k,), share of fakes (k,) with its 95 % interval, and count (k,)."""

    mean_score: Numbers
    fake_share: Numbers
    low: Numbers
    high: Numbers
    count: Indices


def reliability_curve(labels: npt.ArrayLike, scores: npt.ArrayLike, *, bins: int = 15) -> ReliabilityCurve:
    """How often clips of a score are fake; a calibrated model lies on the diagonal. Empty bins are left out.

    Raises MetricError when only one class is present, a score is no probability, or bins < 1.
    """
    values = check_probabilities(scores)
    fake = check_labels(labels, len(values))
    where = _bin_of(values, bins)
    count = np.bincount(where, minlength=bins)
    full = count > 0
    fakes = np.bincount(where, weights=fake, minlength=bins)[full].astype(np.int64)
    mean_score = np.bincount(where, weights=values, minlength=bins)[full] / count[full]
    bounds = np.array([clopper_pearson(int(k), int(n)) for k, n in zip(fakes, count[full], strict=True)])
    return ReliabilityCurve(mean_score, fakes / count[full], bounds[:, 0], bounds[:, 1], count[full])


@dataclass(frozen=True)
class Calibration:
    """A fitted map from logits (fake minus real) to probabilities of fake, never falling; needs numpy alone to apply.

    temperature and platt: sigmoid(slope * logit + intercept), the temperature being 1 / slope and its intercept 0;
    isotonic: straight lines between (knots, levels), flat outside.
    """

    kind: Literal["temperature", "platt", "isotonic"] = "temperature"
    slope: float = 1.0
    intercept: float = 0.0
    knots: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()
    num_real: int = 0
    num_fake: int = 0

    def __post_init__(self) -> None:
        """Refuse maps that fall or that are not numbers."""
        rising = all(a <= b for values in (self.knots, self.levels) for a, b in pairwise(values))
        numbers = (self.slope, self.intercept, *self.knots, *self.levels)
        if not rising or self.slope <= 0 or not all(map(math.isfinite, numbers)):
            raise MetricError("a calibration must rise and hold finite numbers; fit it again")
        if self.kind not in ("temperature", "platt", "isotonic") or len(self.knots) != len(self.levels):
            raise MetricError(f"unknown or incomplete calibration {self.kind!r}")
        if (self.kind == "isotonic") != bool(self.knots):
            raise MetricError(f"a calibration has knots when, and only when, it is isotonic; this one is {self.kind}")

    def apply(self, logits: npt.ArrayLike) -> Numbers:
        """Probabilities of fake for logits (n,), strictly inside (0, 1). Raises MetricError on non-finite logits.

        >>> Calibration(slope=2.0).apply([0.0, 1.0]).round(3).tolist()
        [0.5, 0.881]
        """
        values = check_scores(logits)
        if self.kind == "isotonic":
            shares = np.interp(values, self.knots, self.levels)
        else:
            shares = sigmoid(self.slope * values + self.intercept)
        inside: Numbers = np.clip(shares, SMALLEST_PROBABILITY, 1.0 - SMALLEST_PROBABILITY)
        return inside

    def to_json(self) -> str:
        """One line of JSON with the format's version."""
        return write_json(self)

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Read what to_json wrote. Raises MetricError on another version or anything else."""
        return read_json(cls, text)


def fit_temperature(labels: npt.ArrayLike, logits: npt.ArrayLike, *, fake_prior: float | None = None) -> Calibration:
    """One number that makes logits as sure as they deserve to be (Guo 2017); the order of clips stays, 0 stays 0.5.

    fake_prior: the share of fakes where the scores will be used; None = as in these clips.
    Raises MetricError when only one class is present, or logits are not finite.
    """
    from scipy.optimize import minimize_scalar

    data = _FitData.of(labels, logits, fake_prior)
    fit = minimize_scalar(
        lambda log_slope: data.loss_of_line(math.exp(log_slope), 0.0)[0],
        bounds=(math.log(SMALLEST_SLOPE), math.log(LARGEST_SLOPE)),
        method="bounded",
        options={"xatol": 1e-8},
    )
    return data.calibration(kind="temperature", slope=math.exp(float(fit.x)) / data.scale)


def fit_platt(labels: npt.ArrayLike, logits: npt.ArrayLike, *, fake_prior: float | None = None) -> Calibration:
    """A straight line through the logits, with Platt's smoothed targets (1999); the order of clips stays.

    A model that ranks worse than chance gets a nearly flat line, never a falling one. fake_prior: see fit_temperature.
    Raises MetricError when only one class is present, or logits are not finite.
    """
    from scipy.optimize import minimize

    data = _FitData.of(labels, logits, fake_prior)
    fit = minimize(
        lambda line: data.loss_of_line(float(line[0]), float(line[1])),
        x0=np.array([1.0, 0.0]),
        jac=True,
        bounds=[(SMALLEST_SLOPE, LARGEST_SLOPE), (None, None)],
        method="L-BFGS-B",
        options={"ftol": 1e-14, "gtol": 1e-9},
    )
    return data.calibration(kind="platt", slope=float(fit.x[0]) / data.scale, intercept=float(fit.x[1]))


def fit_isotonic(labels: npt.ArrayLike, logits: npt.ArrayLike, *, fake_prior: float | None = None) -> Calibration:
    """The best never-falling map (Zadrozny 2002); wants a thousand clips, and makes ties, which costs some AUC.

    The ends are kept 1 / (n + 2) away from 0 and 1. fake_prior: see fit_temperature.
    Raises MetricError when only one class is present, or logits are not finite.
    """
    data = _FitData.of(labels, logits, fake_prior)
    places, first = np.unique(data.logits, return_inverse=True)
    weight = np.bincount(first, weights=data.weights).astype(np.float64)
    level = np.bincount(first, weights=data.weights * data.fake) / weight
    starts, stops, heights = _pool_violators(level, weight)
    margin = 1.0 / (len(data.logits) + 2)
    edges = np.stack([places[starts], places[stops]], axis=1)
    keep = np.stack([np.ones(len(starts), dtype=bool), starts != stops], axis=1)
    levels = np.clip(np.stack([heights, heights], axis=1)[keep], margin, 1.0 - margin)
    return data.calibration(kind="isotonic", knots=tuple(edges[keep] * data.scale), levels=tuple(levels.tolist()))


FITS = {"temperature": fit_temperature, "platt": fit_platt, "isotonic": fit_isotonic}


@dataclass(frozen=True)
class _FitData:
    """Logits in units of their deviation (scale), truths, Platt's targets, and weights (mean 1) for the wanted prior."""

    logits: Numbers
    scale: float
    fake: Truths
    targets: Numbers
    weights: Numbers

    @classmethod
    def of(cls, labels: npt.ArrayLike, logits: npt.ArrayLike, fake_prior: float | None) -> _FitData:
        values = check_scores(logits)
        fake = check_labels(labels, len(values))
        scale = float(values.std()) or 1.0
        num_fake, num_real = int(fake.sum()), int((~fake).sum())
        targets = np.where(fake, (num_fake + 1) / (num_fake + 2), 1 / (num_real + 2))
        prior = num_fake / len(fake) if fake_prior is None else fake_prior
        if not 0.0 < prior < 1.0:
            raise MetricError(f"fake_prior must lie inside (0, 1), got {fake_prior}")
        weights = np.where(fake, prior / num_fake, (1.0 - prior) / num_real) * len(fake)
        return cls(values / scale, scale, fake, targets, weights)

    def loss_of_line(self, slope: float, intercept: float) -> tuple[float, Numbers]:
        """Mean cross-entropy against the targets, and its gradient by slope and intercept."""
        line = slope * self.logits + intercept
        loss = np.logaddexp(0.0, line) - self.targets * line
        pull = self.weights * (sigmoid(line) - self.targets)
        return float(np.mean(self.weights * loss)), np.array([np.mean(pull * self.logits), np.mean(pull)])

    def calibration(self, **fitted: object) -> Calibration:
        return Calibration(num_real=int((~self.fake).sum()), num_fake=int(self.fake.sum()), **fitted)  # type: ignore[arg-type]


def _pool_violators(levels: Numbers, weights: Numbers) -> tuple[Indices, Indices, Numbers]:
    """Pool adjacent violators: first and last place of each pool (k,) and its height (k,), rising."""
    pools: list[tuple[int, int, float, float]] = []
    for place, (level, weight) in enumerate(zip(levels.tolist(), weights.tolist(), strict=True)):
        first, height, mass = place, level, weight
        while pools and pools[-1][2] >= height:
            first, _, below, more = pools.pop()
            height = (below * more + height * mass) / (more + mass)
            mass += more
        pools.append((first, place, height, mass))
    starts, stops, heights, _ = zip(*pools, strict=True)
    return np.array(starts), np.array(stops), np.array(heights)
