"""The sense of agreement: do these lips say what is heard?

A picture and a sound may both be genuine and yet not of the same moment or person. A voice that was made to fit the lips (a
dub with the same timing) belongs to them as far as this sense can see; the sense of voice is there for that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from ffdv.detect.senses import Looked, SenseAbsent, SenseName, SenseOpinion, nobody_speaks
from ffdv.features.agreement import FPS, AgreementModel, Comparison, best_offset, packaged_model
from ffdv.features.sync import MIN_SEEN_FRAMES
from ffdv.records import FaceTrack
from ffdv.sentences import Sentence

SPAN_SECONDS, SPAN_STEP_SECONDS = 2.0, 1.0
LEAST_MORE_SECONDS = 0.1  # that a last stretch must bring: a frame more tells the same once again
LEAST_SPEECH_SECONDS = 0.5
DOUBTED_SPEECH_SECONDS = 1.0  # with less the clip is unlike those that taught
# Beyond lie five, and two, of a hundred genuine clips as they are, every third that a chat app passed on often (docs/log.md, 2026-11-27), and
# most with 15 pictures a second.
DOUBTED_ROUGHNESS, DOUBTED_CLARITY = 0.04, 0.32
# Several people in sight for so large a share of the time: any of them may be the one who speaks.
TOGETHER = 0.2
SEVERAL = Sentence("several people are in sight, so that lips which do not fit may be those of a listener")


class AgreementSense:
    """Compares the lips of the face that leads with the sound; its weights are those inside the package."""

    def __init__(self, model: AgreementModel | None = None) -> None:
        self._model = model or shipped_model()

    @property
    def name(self) -> SenseName:
        """Agreement."""
        return "agreement"

    def judge(self, looked: Looked) -> SenseOpinion | SenseAbsent:
        """How likely lips and sound do not belong together, for the clip and for every two seconds of visible mouth."""
        missing = _missing(looked)
        if missing is not None:
            return missing
        mouth, sound = looked.mouth, looked.features.sound
        assert mouth is not None
        assert sound is not None
        # The phone networks below take music and noise for phones, so they cannot say whether anybody speaks.
        unheard = nobody_speaks("agreement", looked.speech)
        if unheard is not None:
            return unheard
        comparison = self._model.compare(mouth, sound)
        compared = int(comparison.known[:, comparison.max_offset].sum())
        if compared < MIN_SEEN_FRAMES:
            text = Sentence(
                "lips and sound are there together for {seconds:.1f} s only; a second is the least",
                seconds=math.floor(10 * compared / FPS) / 10,  # never a second that is none
            )
            return SenseAbsent("agreement", "too_short", text)
        if comparison.speech_seconds < LEAST_SPEECH_SECONDS:
            return SenseAbsent(
                "agreement",
                "no_speech_in_sight",
                Sentence("hardly any speech is heard while the mouth is in sight"),
            )
        return self._opinion(looked, comparison)

    def _opinion(self, looked: Looked, comparison: Comparison) -> SenseOpinion:
        measures = comparison.measures()
        faces = looked.features.faces
        several = faces is not None and seen_together(faces.tracks) >= TOGETHER
        most = 0.0 if several else np.inf  # one listener's lips prove nothing, one speaker's do
        logit = min(most, self._model.weighing.logit(measures))
        parts = spans_of(comparison)
        spans = [(comparison.seconds[part.start], comparison.seconds[part.stop - 1] + 1 / FPS) for part in parts]
        inside = [chance(min(most, self._model.weighing.logit(comparison.measures(part)))) for part in parts]
        curve = comparison.curve()
        return SenseOpinion(
            "agreement",
            logit,
            chance(logit),
            np.array(spans, np.float64).reshape(-1, 2),
            np.array(inside, np.float64),
            track_id=None if several or faces is None or not faces.tracks else faces.tracks[0].track_id,
            outside=(*doubts(comparison), *((SEVERAL,) if several else ())),
            numbers={
                "offset_frames": best_offset(curve),
                "offset_ms": best_offset(curve) / FPS * 1000,
                "correlation": measures["near"],
                "stands_out": measures["stands_out"],
                "mouth_seconds": len(comparison.seconds) / FPS,
                "speech_seconds": comparison.speech_seconds,
            },
        )


def seen_together(tracks: Sequence[FaceTrack]) -> float:
    """The share of the half seconds that show a face which show two and more."""
    cells = [np.unique((track.seconds * 2).astype(np.int64)) for track in tracks if len(track.seconds)]
    if not cells:
        return 0.0
    _, counts = np.unique(np.concatenate(cells), return_counts=True)
    return float((counts > 1).mean())


def doubts(comparison: Comparison) -> tuple[Sentence, ...]:
    """How the clip is unlike those that taught."""
    told = []
    if comparison.speech_seconds < DOUBTED_SPEECH_SECONDS:
        told.append(
            Sentence(
                "only {seconds:.1f} s of speech are heard while the mouth is in sight",
                seconds=comparison.speech_seconds,
            )
        )
    if comparison.rough > DOUBTED_ROUGHNESS:
        told.append(
            Sentence(
                "the face is coarse or moves unevenly, so that its lips are hard to follow and seem to fit the sound less"
            )
        )
    if comparison.clarity < DOUBTED_CLARITY:
        told.append(Sentence("what is said is hard to make out, so that lips seem to fit the sound less"))
    return tuple(told)


@cache
def shipped_model() -> AgreementModel:
    """The model inside the package, read once. Raises CheckpointError when its weights are missing or damaged."""
    return packaged_model()


def chance(logit: float) -> float:
    """The probability of a logit."""
    return float(1.0 / (1.0 + np.exp(-np.clip(logit, -50.0, 50.0))))


def spans_of(
    comparison: Comparison, *, span_seconds: float = SPAN_SECONDS, step_seconds: float = SPAN_STEP_SECONDS
) -> list[slice]:
    """Frames of each stretch of span_seconds that hold at least a second of visible mouth with sound; the last ends with the clip, or a moment before."""
    seconds, known = comparison.seconds, comparison.known[:, comparison.max_offset]
    if not len(seconds):
        return []
    end = seconds[-1] + 1 / FPS
    starts = np.arange(seconds[0], max(seconds[0] + 1e-6, end - span_seconds + 1e-6), step_seconds)
    if starts[-1] + span_seconds < end - LEAST_MORE_SECONDS:
        starts = np.append(starts, max(seconds[0], end - span_seconds))
    parts = [slice(*_bounds(seconds, start, start + span_seconds)) for start in starts]
    return [part for part in parts if known[part].sum() >= MIN_SEEN_FRAMES]


def _bounds(seconds: npt.NDArray[np.float64], start: float, stop: float) -> tuple[int, int]:
    first, last = np.searchsorted(seconds, (start - 1e-6, stop - 1e-6))
    return int(first), int(last)


def _missing(looked: Looked) -> SenseAbsent | None:
    """Why lips and sound cannot be compared at all."""
    faces, mouth = looked.features.faces, looked.mouth
    if looked.features.sound is None or looked.features.sound.num_samples == 0:
        return SenseAbsent("agreement", "no_sound", Sentence("there is no sound to compare the lips with"))
    if faces is not None and not faces.tracks:
        text = Sentence("no face is in sight, so there are no lips to compare with the sound")
        return SenseAbsent("agreement", "no_face", text)
    if mouth is None and faces is None:
        text = Sentence("there is no picture of a face to compare with the sound")
        return SenseAbsent("agreement", "no_face", text)
    if mouth is None or mouth.points is None or not mouth.in_sight.any():
        text = Sentence("the mouth is not in sight, so nothing can be said of it")
        return SenseAbsent("agreement", "mouth_not_visible", text)
    return None
