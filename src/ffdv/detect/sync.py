"""How far sound and lips of one file are out of step, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ffdv.arguments import positive, whole_number
from ffdv.detect.agreement import chance, doubts, shipped_model, spans_of
from ffdv.errors import StreamMissing
from ffdv.features.agreement import FPS, Array, Comparison, Weighing, best_offset
from ffdv.features.faces import FaceSpec
from ffdv.features.recipe import ExtractSpec, extract
from ffdv.features.sync import MIN_SEEN_FRAMES, STANDARD_MOUTH
from ffdv.sentences import Sentence

# Notes that say why there is no sound or no face.
_WHY = frozenset({"no_sound", "short_sound", "low_rate", "damaged_sound", "no_picture", "damaged_picture", "no_face"})


@dataclass(frozen=True)
class SyncMoment:
    """A stretch of the file's clock in seconds, half-open: the offset that fits it best, the distance there, how clear it is, and
    the chance that lips and sound do not belong together.
    """

    start_seconds: float
    stop_seconds: float
    offset_frames: float
    distance: float
    confidence: float
    mismatch_probability: float


@dataclass(frozen=True)
class SyncEstimate:
    """Lips against sound of one file.

    offset_frames (25 a second) and offset_ms: positive when the sound is late. distance: 1 − the correlation there, in [0, 2].
    confidence: by how much that correlation stands out from the median over all offsets. mismatch_probability: that they do not
    belong together, calibrated on development clips. curve: the correlation at offsets −max_offset … max_offset. doubts: how the clip is
    unlike those that taught, a sentence each.
    """

    path: Path
    offset_frames: float
    offset_ms: float
    distance: float
    confidence: float
    mismatch_probability: float
    mouth_seconds: float
    max_offset: int
    curve: tuple[float, ...] = field(repr=False)
    moments: tuple[SyncMoment, ...] = field(repr=False)
    doubts: tuple[Sentence, ...] = ()


def sync(
    file: Path | str, *, max_offset: int = 15, window_seconds: float = 2.0, step_seconds: float = 0.5
) -> SyncEstimate:
    """The offset of sound and lips of the most prominent face, over the first minute that shows it, and over time.

    max_offset: how far to look, in frames of 40 ms to both sides; window_seconds, step_seconds: of the course over time.
    Raises RecipeError for values out of range, StreamMissing without sound, face or a second of visible mouth, MediaError when the file cannot be used.
    """
    whole_number(8, 100, max_offset=max_offset)
    window_seconds, step_seconds = positive(window_seconds=window_seconds, step_seconds=step_seconds)
    features = extract(file, ExtractSpec(probes=False, faces=FaceSpec(), mouth=STANDARD_MOUTH))
    why = "; ".join(note.text for note in features.notes if note.code in _WHY)
    if features.sound is None:
        raise StreamMissing(file, f"it has no sound to compare the lips with: {why or 'none that can be heard'}")
    if features.mouth is None:
        raise StreamMissing(file, f"it shows no lips to compare with the sound: {why or 'no mouth is in sight'}")
    model = shipped_model()
    comparison = model.compare(features.mouth, features.sound, max_offset=max_offset)
    compared = int(comparison.known[:, max_offset].sum())
    if compared < MIN_SEEN_FRAMES:
        raise StreamMissing(
            file, f"lips and sound are there together for {compared / FPS:.1f} s; a second is the least"
        )
    parts = spans_of(comparison, span_seconds=window_seconds, step_seconds=step_seconds)
    curve = comparison.curve()
    offset, distance, confidence = summary(curve)
    return SyncEstimate(
        path=Path(file),
        offset_frames=offset,
        offset_ms=offset / FPS * 1000,
        distance=distance,
        confidence=confidence,
        mismatch_probability=chance(model.weighing.logit(comparison.measures())),
        mouth_seconds=len(comparison.seconds) / FPS,
        max_offset=max_offset,
        curve=tuple(float(value) for value in curve),
        moments=moments(comparison, parts, model.weighing),
        doubts=doubts(comparison),
    )


def moments(comparison: Comparison, parts: Sequence[slice], weighing: Weighing) -> tuple[SyncMoment, ...]:
    """The course over time: one moment for each stretch of frames."""
    made = []
    for part in parts:
        offset, distance, confidence = summary(comparison.curve(part))
        made.append(
            SyncMoment(
                float(comparison.seconds[part.start]),
                float(comparison.seconds[part.stop - 1] + 1 / FPS),
                offset,
                distance,
                confidence,
                chance(weighing.logit(comparison.measures(part))),
            )
        )
    return tuple(made)


def summary(curve: Array) -> tuple[float, float, float]:
    """Offset in frames, distance and confidence of a curve of correlations."""
    return best_offset(curve), float(1.0 - curve.max()), float(curve.max() - np.median(curve))
