"""How well marked seconds fit the seconds that are fake: AP@IoU and AR@N for segments of time.

A segment is [start, stop) in seconds. Truths and guesses are lists with one entry a clip, in the same order; guesses come from
the opinions on overlapping windows (mark_segments).

    truth     ├────────────┤            IoU = overlap / union
    guess          ├────────────┤           = 5 / 15
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffdv.errors import MetricError
from ffdv.metrics.calibration import sigmoid
from ffdv.metrics.ranking import Numbers

# As AV-Deepfake1M and ActivityNet average recall: 0.50, 0.55 ... 0.95.
RECALL_IOUS = tuple(np.arange(50, 100, 5) / 100.0)
MOST_GUESSES = 100  # of a clip
ALIKE = 0.5  # of two segments that overlap so much (IoU) the surer one stays
UNDECIDED = (
    0.5  # windows of no opinion that a clip is thought to end with, so that one forged throughout stands out too
)


@dataclass(frozen=True)
class Guesses:
    """Segments marked in one clip: spans (k, 2) start and stop in seconds, scores (k,) higher = surer."""

    spans: Numbers
    scores: Numbers

    def __post_init__(self) -> None:
        """Refuse unequal lengths, segments that end before they start, and numbers that are none."""
        if len(self.spans) != len(self.scores) or not np.isfinite(self.scores).all():
            raise MetricError(f"{len(self.spans)} segments need as many finite scores, got {len(self.scores)}")
        check_spans(self.spans)


def check_spans(spans: npt.ArrayLike) -> Numbers:
    """Segments as float64 (k, 2); raises MetricError when one is empty, runs backwards, or is not finite."""
    values = np.asarray(spans, dtype=np.float64).reshape(-1, 2)
    if not np.isfinite(values).all() or (values[:, 1] <= values[:, 0]).any():
        raise MetricError("segments are [start, stop) in seconds with start < stop")
    return values


def overlap(spans: npt.ArrayLike, others: npt.ArrayLike) -> Numbers:
    """Intersection over union of every pair of segments, shape (k, m).

    >>> overlap([[0.0, 10.0]], [[5.0, 15.0], [10.0, 12.0]]).round(3).tolist()
    [[0.333, 0.0]]
    """
    first, second = check_spans(spans)[:, None], check_spans(others)[None]
    shared = np.minimum(first[..., 1], second[..., 1]) - np.maximum(first[..., 0], second[..., 0])
    shared = np.maximum(shared, 0.0)
    union = (first[..., 1] - first[..., 0]) + (second[..., 1] - second[..., 0]) - shared
    ratio: Numbers = shared / union
    return ratio


def average_precision_at_iou(truths: Sequence[npt.ArrayLike], guesses: Sequence[Guesses], *, iou: float = 0.5) -> float:
    """AP@IoU: area under precision over recall of all guesses of all clips, surest first.

    A guess is right when it overlaps a truth of its clip by at least `iou` that no surer guess has taken; it takes the
    one that it overlaps most. Precision is the best at that recall or beyond (as ActivityNet and LAV-DF count).

    >>> one = Guesses(np.array([[0.0, 1.0], [5.0, 6.0]]), np.array([0.4, 0.9]))
    >>> average_precision_at_iou([[[0.0, 1.0]]], [one])
    0.5

    Raises MetricError when there is no true segment at all, or lists differ in length.
    """
    return float(weighted_average_precision_at_iou(truths, guesses, iou=iou)(np.ones((1, len(truths))))[0])


def weighted_average_precision_at_iou(
    truths: Sequence[npt.ArrayLike], guesses: Sequence[Guesses], *, iou: float = 0.5
) -> Callable[[Numbers], Numbers]:
    """AP@IoU as a function of how often each clip counts: weights (resamples, clips) → (resamples,).

    Raises MetricError as average_precision_at_iou; 0 where a resample holds no true segment.
    """
    counts = _truths_of(truths, guesses)
    scores = np.concatenate([marks.scores for marks in guesses])
    right = np.concatenate(
        [_right(check_spans(truth), marks, iou) for truth, marks in zip(truths, guesses, strict=True)]
    )
    # Of equally sure guesses the wrong ones count first: the order of a file must not make a model better.
    order = np.lexsort((right, -scores))
    clip = np.repeat(np.arange(len(guesses)), [len(marks.scores) for marks in guesses])[order]

    def statistic(weights: Numbers) -> Numbers:
        times = weights[:, clip]
        hits, marked = np.cumsum(times * right[order], axis=1), np.cumsum(times, axis=1)
        precision = np.divide(hits, marked, out=np.zeros_like(hits), where=marked > 0)
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        steps: Numbers = (np.diff(hits, axis=1, prepend=0.0) * best).sum(axis=1)
        return _divided(steps, weights @ counts)

    return statistic


def average_recall_at(
    truths: Sequence[npt.ArrayLike],
    guesses: Sequence[Guesses],
    *,
    most: int,
    ious: Sequence[float] = RECALL_IOUS,
) -> float:
    """AR@N: share of true segments that one of a clip's `most` surest guesses overlaps enough, averaged over `ious`.

    >>> one = Guesses(np.array([[0.0, 0.8], [5.0, 6.0]]), np.array([0.4, 0.9]))
    >>> average_recall_at([[[0.0, 1.0]]], [one], most=1), average_recall_at([[[0.0, 1.0]]], [one], most=2)
    (0.0, 0.7)

    Raises MetricError when there is no true segment at all, lists differ in length, or most < 1.
    """
    return float(weighted_average_recall_at(truths, guesses, most=most, ious=ious)(np.ones((1, len(truths))))[0])


def weighted_average_recall_at(
    truths: Sequence[npt.ArrayLike],
    guesses: Sequence[Guesses],
    *,
    most: int,
    ious: Sequence[float] = RECALL_IOUS,
) -> Callable[[Numbers], Numbers]:
    """AR@N as a function of how often each clip counts: weights (resamples, clips) → (resamples,). Raises as average_recall_at."""
    if most < 1:
        raise MetricError(f"recall looks at one guess a clip at least, got {most}")
    counts = _truths_of(truths, guesses)
    found = np.zeros(len(truths))
    for clip, (truth, marks) in enumerate(zip(truths, guesses, strict=True)):
        surest = np.argsort(-marks.scores, kind="stable")[:most]
        if len(surest) and counts[clip]:
            best = overlap(truth, marks.spans[surest]).max(axis=1)
            found[clip] = (best[:, None] >= np.array(ious) - 1e-9).mean(axis=1).sum()
    return lambda weights: _divided(weights @ found, weights @ counts)


def mark_segments(spans: npt.ArrayLike, logits: npt.ArrayLike) -> Guesses:
    """The segments of a clip that opinions on its windows speak for, at most MOST_GUESSES.

    spans (k, 2): the windows, which may overlap; logits (k,). A moment is as fake as the windows over it say on average; each
    stretch that stands above some level of that curve is a segment. It is as sure as it parts the clip in two: the difference of
    the mean probability of fake inside and outside, times the root of both shares of the time (Otsu 1979), at most 0.5. Of segments
    that are ALIKE the surest is kept.

        curve     ▁▁▁▁▃▃▆▆▆▃▃▁▁▁▁▁▃▃▁▁▁
        marked        ├─────┤     ├─┤
                        ├─┤

    >>> found = mark_segments([[0, 2], [1, 3], [3, 6]], [0.0, 9.0, -9.0])
    >>> found.spans.tolist(), found.scores.round(2).tolist()
    ([[1.0, 3.0], [0.0, 6.0]], [0.36, -0.03])

    Raises MetricError when there are not as many finite logits as windows.
    """
    windows = Guesses(check_spans(spans), np.asarray(logits, np.float64))
    edges, places = np.unique(windows.spans, return_inverse=True)
    first, last = places.reshape(-1, 2).T
    sums, covered = (
        np.cumsum(np.bincount(first, each, len(edges)) - np.bincount(last, each, len(edges)))[:-1]
        for each in (windows.scores, np.ones(len(first)))
    )
    curve = np.where(covered > 0, sums / np.maximum(covered, 1), -np.inf)
    starts, stops = _above_levels(curve)
    lengths = np.diff(edges) * (covered > 0)
    fake, whole = (np.concatenate([[0.0], np.cumsum(each)]) for each in (sigmoid(curve) * lengths, lengths))
    undecided = UNDECIDED * float(np.median(np.diff(windows.spans)))
    inside, within = fake[stops] - fake[starts], whole[stops] - whole[starts]
    beyond = whole[-1] - within + undecided
    contrast = inside / within - (fake[-1] - inside + undecided / 2) / beyond
    found = np.stack([edges[starts], edges[stops]], axis=1)
    scores = np.sqrt(within * beyond) / (whole[-1] + undecided) * contrast
    order = np.lexsort((found[:, 0], -scores))
    kept: list[int] = []
    for place in order.tolist():
        if not kept or overlap(found[place], found[kept]).max() < ALIKE:
            kept.append(place)
        if len(kept) == MOST_GUESSES:
            break
    return Guesses(found[kept], scores[kept])


def _above_levels(curve: Numbers) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Start and stop of every longest stretch of the curve that stays at or above one of its finite values."""
    found: set[tuple[int, int]] = set()
    open_stretches: list[tuple[int, float]] = []  # where they began, and the lowest value since
    for place, value in enumerate([*curve.tolist(), -np.inf]):
        start = place
        while open_stretches and open_stretches[-1][1] > value:
            start, _ = open_stretches.pop()
            found.add((start, place))
        if np.isfinite(value) and (not open_stretches or open_stretches[-1][1] < value):
            open_stretches.append((start, value))
    stretches = np.array(sorted(found), np.int64).reshape(-1, 2)
    return stretches[:, 0], stretches[:, 1]


def _divided(sums: Numbers, totals: Numbers) -> Numbers:
    return np.divide(sums, totals, out=np.zeros_like(sums), where=totals > 0)


def _right(truth: Numbers, marks: Guesses, iou: float) -> npt.NDArray[np.bool_]:
    right = np.zeros(len(marks.scores), dtype=bool)
    if not len(truth):
        return right
    ratio = overlap(marks.spans, truth)
    for guess in np.argsort(-marks.scores, kind="stable"):
        best = int(ratio[guess].argmax())
        if ratio[guess, best] >= iou - 1e-9:
            right[guess] = True
            ratio[:, best] = -1.0
    return right


def _truths_of(truths: Sequence[npt.ArrayLike], guesses: Sequence[Guesses]) -> Numbers:
    """How many true segments each clip has."""
    if len(truths) != len(guesses):
        raise MetricError(f"{len(truths)} clips have truths and {len(guesses)} have guesses; give one entry a clip")
    counts = np.array([len(check_spans(truth)) for truth in truths], np.float64)
    if not counts.sum():
        raise MetricError("undefined without true segments: no clip is marked as fake anywhere")
    return counts
