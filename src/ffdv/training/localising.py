"""How well a run tells where clips are forged, on clips whose forged seconds are known.

opinions on windows ─┬─ window by window ─▶ AUC of forged against genuine windows
                     └─ mark_segments    ─▶ AP@IoU, AR@N of the marked segments
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ffdv.data.loader import LoaderSpec, label_of_window
from ffdv.data.shards import Shards
from ffdv.metrics.localisation import (
    mark_segments,
    weighted_average_precision_at_iou,
    weighted_average_recall_at,
)
from ffdv.metrics.ranking import Numbers
from ffdv.metrics.uncertainty import Estimate, Metric, Statistic, bootstrap
from ffdv.records import FAKE

if TYPE_CHECKING:
    from ffdv.training.engine import ScoredClips

IOUS = (0.5, 0.75)
MOST = (1, 5, 20)
_ENOUGH_SECONDS = LoaderSpec().fake_seconds or 0.2  # the same for every run, whatever it was trained with


@dataclass(frozen=True)
class Localisation:
    """Where clips are forged, by their windows.

    num_real, num_fake: clips with known forged seconds that have windows; num_segments: forged stretches in them; num_genuine,
    num_forged: windows that hold none of them, and that hold enough (LoaderSpec.fake_seconds); those between are in no AUC;
    window_seconds: their median length; numbers by name, with intervals over the same groups as the table's: window_auc (where both
    kinds of windows are there), ap_at_0.5 and ap_at_0.75 (IoU), ar_at_1, ar_at_5 and ar_at_20 (guesses a clip).
    """

    num_real: int
    num_fake: int
    num_segments: int
    num_genuine: int
    num_forged: int
    window_seconds: float
    numbers: Mapping[str, Estimate]


def localise(
    scored: ScoredClips, shards: Shards, where: npt.NDArray[np.int64], *, groups: list[str | None], resamples: int
) -> Localisation | None:
    """The numbers for opinions on clips of these rows of the shards; None where no fake among them has windows and known forged seconds.

    groups (n,): what stays together in intervals.
    """
    known = shards.forged_seconds
    chosen = [
        place
        for place, row in enumerate(where.tolist())
        if known[row] is not None and np.isfinite(scored.spans[place]).all() and shards.labels[row] >= 0
    ]
    truths = [np.array(known[int(where[place])]).reshape(-1, 2) for place in chosen]
    if not sum(map(len, truths)):
        return None
    windows = [(scored.spans[place], scored.windows[place]) for place in chosen]
    owner = [groups[place] for place in chosen]
    shares = [
        np.array(
            [
                label_of_window((start, stop), tuple(map(tuple, truth)), fake_seconds=_ENOUGH_SECONDS)
                for start, stop in spans
            ]
        )
        for (spans, _), truth in zip(windows, truths, strict=True)
    ]
    guesses = [mark_segments(spans, logits) for spans, logits in windows]
    labels = scored.labels[chosen]
    numbers = _window_auc(shares, [logits for _, logits in windows], owner, resamples)
    statistics = {f"ap_at_{iou:g}": weighted_average_precision_at_iou(truths, guesses, iou=iou) for iou in IOUS}
    statistics |= {f"ar_at_{most}": weighted_average_recall_at(truths, guesses, most=most) for most in MOST}
    numbers |= {
        name: bootstrap(labels, np.zeros(len(labels)), metric=_of_clips(statistic), groups=owner, resamples=resamples)
        for name, statistic in statistics.items()
    }
    every = np.concatenate(shares)
    return Localisation(
        num_real=int((labels != FAKE).sum()),
        num_fake=int((labels == FAKE).sum()),
        num_segments=sum(map(len, truths)),
        num_genuine=int((every == 0).sum()),
        num_forged=int((every == 1).sum()),
        window_seconds=float(np.median(np.concatenate([spans[:, 1] - spans[:, 0] for spans, _ in windows]))),
        numbers=numbers,
    )


def _window_auc(
    shares: list[Numbers], logits: list[Numbers], owner: list[str | None], resamples: int
) -> dict[str, Estimate]:
    """AUC of windows that hold enough against windows that hold nothing; a clip's windows stay together."""
    each = [owner[clip] or f"clip {clip}" for clip, share in enumerate(shares) for _ in share]
    share, values = np.concatenate(shares), np.concatenate(logits)
    clear = (share == 0) | (share == 1)
    labels = share[clear].astype(np.int64)
    if len(np.unique(labels)) < 2:
        return {}
    groups = [name for name, is_clear in zip(each, clear.tolist(), strict=True) if is_clear]
    return {"window_auc": bootstrap(labels, values[clear], groups=groups, resamples=resamples)}


def _of_clips(statistic: Statistic) -> Metric:
    """A number of whole clips as a metric of the bootstrap; it looks at no scores."""
    return Metric(lambda _labels, _scores: statistic)
