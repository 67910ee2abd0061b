"""A program that uses `import ffdv` with types: `make types` checks it as strictly as ffdv itself, and nothing runs it.

What it says is wrong must stay wrong: mypy objects to a `type: ignore` that it does not need.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import assert_type

import ffdv
from ffdv import Verdict
from ffdv.detect.scan import ScanSummary
from ffdv.features.face_detectors import FACE_DETECTORS, Detections
from ffdv.records import MediaFacts, PixelArray

_ = ffdv.trian  # type: ignore[attr-defined]
_ = ffdv.metrics.rocauc  # type: ignore[attr-defined]


def one_file(path: Path) -> float | None:
    """What a service does with an upload."""
    try:
        found = ffdv.scan(path, max_minutes=2)
        assert_type(ffdv.probe(path), MediaFacts)
    except ffdv.MediaError as error:
        assert_type(error.code, str)
        return None
    assert_type(found, Verdict | ScanSummary)
    return found.fake_probability if isinstance(found, ffdv.Verdict) else None


def many_files(paths: list[str]) -> dict[Path | None, float | None]:
    """What a queue does: a list gives a summary, and its rows are found again by their paths."""
    found = ffdv.scan(paths, progress=print)
    assert_type(found, ScanSummary)
    return {one.path: one.fake_probability for one in found.clips}


def numbers() -> float:
    """Names of the metrics' room, and a file of it."""
    assert_type(ffdv.metrics.abstention.AbstentionBand(0.3, 0.7, 0.1, 0.1, 20, 20).high, float)
    assert_type(ffdv.__version__, str)
    return ffdv.metrics.roc_auc([0, 1], [0.1, 0.9])


def refused() -> None:
    """Arguments are checked, not only names."""
    ffdv.scan("clip.mp4", max_minute=2)  # type: ignore[call-overload]
    ffdv.predict("clips")  # type: ignore[call-arg]


class Centre:
    """The detector of docs/extending.md."""

    def __init__(self, model: Path | None) -> None:
        self.model = model

    def detect(self, pixels: PixelArray) -> Detections:
        """Nothing."""
        raise NotImplementedError


FACE_DETECTORS["centre"] = Centre
maker: Callable[..., object] = ffdv.train
