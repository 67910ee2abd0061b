"""predict without a model: the detector inside the package scores every clip, a column for each sense that was there."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ffdv.data.pool import ClipsProgress
from ffdv.data.scores import write_scores
from ffdv.detect.judging import shipped_detector
from ffdv.detect.scan import Make, ScanJob, ScanSummary, as_score, clips_of, scan_clips
from ffdv.records import Score


def score_shipped(
    data: Path | str,
    *,
    out: Path,
    workers: int | None = None,
    progress: Callable[[ClipsProgress], None] | None = None,
    make: Make = shipped_detector,
) -> tuple[tuple[Score, ...], ScanSummary]:
    """Write `out` (video_name, y_pred, voice, picture, agreement, status, reason, verdict) in the corpus's order.

    A clip that no sense could judge is a failed row with the reason; a stopped job goes on when started again. Raises what scan
    raises for a folder.
    """
    clips, unusable, _ = clips_of(data)
    place = hashlib.sha256(str(Path(data).resolve()).encode("utf-8", "surrogateescape")).hexdigest()[:16]
    keep = out.with_name(f".{out.name}.{place}.scans")
    summary = scan_clips(
        clips, ScanJob(None, keep=keep, make=make), unusable=unusable, workers=workers, progress=progress
    )
    # Found by path: a name may have been taken in the folder that a stopped job left.
    found = {one.path or one.name: as_score(one) for one in summary.clips}
    scores = (*(replace(found[clip.path], name=clip.name) for clip in clips), *(found[name] for name in unusable))
    write_scores(out, scores, all_senses=True)
    shutil.rmtree(keep, ignore_errors=True)
    return scores, summary
