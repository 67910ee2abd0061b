"""How well marked seconds fit the seconds that are fake: AP@IoU and AR@N for segments of time.

A segment is [start, stop) in seconds. Truths and guesses are lists with one entry a clip, in the same order.

    truth     ├────────────┤            IoU = overlap / union
    guess          ├────────────┤           = 5 / 15
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffdv.errors import MetricError
from ffdv.metrics.ranking import Numbers

# As AV-Deepfake1M and ActivityNet average recall: 0.50, 0.55 ... 0.95.
RECALL_IOUS = tuple(np.arange(50, 100, 5) / 100.0)


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
    total = _num_truths(truths, guesses)
    scores = np.concatenate([marks.scores for marks in guesses]) if guesses else np.empty(0)
    right = np.concatenate(
        [_right(check_spans(truth), marks, iou) for truth, marks in zip(truths, guesses, strict=True)]
    )
    if not len(scores):
        return 0.0
    # Of equally sure guesses the wrong ones count first: the order of a file must not make a model better.
    order = np.lexsort((right, -scores))
    hits = np.cumsum(right[order])
    precision = hits / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(hits / total, prepend=0.0) * best))


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
    if most < 1:
        raise MetricError(f"recall looks at one guess a clip at least, got {most}")
    total = _num_truths(truths, guesses)
    found = 0
    for truth, marks in zip(truths, guesses, strict=True):
        surest = np.argsort(-marks.scores, kind="stable")[:most]
        if not len(surest) or not len(check_spans(truth)):
            continue
        best = overlap(truth, marks.spans[surest]).max(axis=1)
        found += int((best[:, None] >= np.array(ious) - 1e-9).sum())
    return found / (total * len(ious))


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


def _num_truths(truths: Sequence[npt.ArrayLike], guesses: Sequence[Guesses]) -> int:
    if len(truths) != len(guesses):
        raise MetricError(f"{len(truths)} clips have truths and {len(guesses)} have guesses; give one entry a clip")
    total = sum(len(check_spans(truth)) for truth in truths)
    if not total:
        raise MetricError("undefined without true segments: no clip is marked as fake anywhere")
    return total
