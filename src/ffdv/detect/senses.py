"""What a sense is: something that looks at what was read of a clip, and says how forged it seems, when, or why it cannot tell.

    file ──look──▶ Looked ──▶ voice, picture, agreement ──▶ SenseOpinion | SenseAbsent ──fuse──▶ verdict

A sense never invents: without its stream, without a face, with too little to go by, it is absent and says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from ffdv.features.cues import Cue
from ffdv.features.head import HeadTrack
from ffdv.features.recipe import resample_mono
from ffdv.features.voice_activity import RATE, SpeechHeard, hear_speech
from ffdv.records import Features, FloatArray, MouthTrack
from ffdv.sentences import Sentence

SenseName = Literal["voice", "picture", "agreement"]
SENSES: tuple[SenseName, ...] = ("voice", "picture", "agreement")


@dataclass(frozen=True)
class Looked:
    """All that senses and evidence need of one file, read once.

    features: sound and faces; mouth: the mouth of the most prominent face at 25 pictures a second, None without one;
    cues: measured numbers for a careful eye and ear; head: how that face's head moves, in the same frames as the mouth.

    A clip of more than two minutes comes in pieces, each a Looked of its own on the file's clock: its sound starts at
    sound.start_seconds, its faces are seen at their times. There the mouth is looked at in a stretch of each piece only, so take
    mouth.seconds as they are and expect gaps.
    """

    features: Features
    mouth: MouthTrack | None = None
    cues: tuple[Cue, ...] = ()
    head: HeadTrack | None = None

    @cached_property
    def speech(self) -> SpeechHeard:
        """How much speech is heard in the sound, found once for all senses that listen; only to be asked where there is sound."""
        assert self.features.sound is not None
        return hear_speech(resample_mono(self.features.sound, RATE))


# Between these a sense, or a second of it, leans to neither side.
CLEAR_BELOW, SUSPECTS_ABOVE = 0.4, 0.6


def leaning(probability: float) -> Literal["fake", "real", "unsure"]:
    """The side that a probability leans to.

    >>> leaning(0.61), leaning(0.5), leaning(0.1)
    ('fake', 'unsure', 'real')
    """
    if probability > SUSPECTS_ABOVE:
        return "fake"
    return "real" if probability < CLEAR_BELOW else "unsure"


@dataclass(frozen=True)
class Trait:
    """One of the measured things that a score is made of, by code. vote: how far it speaks for a forgery, about 0 for an average clip, None where
    it could not be measured; usual: nine of ten genuine development clips lie below.
    """

    code: str
    vote: float | None
    usual: float

    @property
    def beyond(self) -> bool:
        """Whether hardly one of ten genuine clips has as much of it."""
        return self.vote is not None and self.vote > self.usual


@dataclass(frozen=True, eq=False)
class SenseOpinion:
    """What one sense says of one clip.

    logit: of the whole clip, higher = more likely forged, on the sense's own scale; probability: the same, calibrated on
    development clips, in [0, 1]. spans (n, 2) float64: half-open stretches of the file's clock in seconds, and span_probabilities
    (n,) how forged each seems by itself. activation: where in them, (rows, columns) float32 in [0, 1] or None, rows from low to
    high frequency or from top to bottom of a face. A voice's columns are spread evenly over activation_span in seconds (None: from the
    first span's start to the last span's stop), its rows evenly in Hz over activation_hz. track_id: which face decided; track_probabilities: how forged each face
    seems by itself, by track_id; activation_seconds: which moment of the deciding face the activation belongs to. outside: why the
    clip is unlike what the sense was trained on, one plain sentence each; empty where it is not. signs: single traits that hardly
    any genuine clip shows, one plain sentence each. grounds: what speaks for a forgery where it suspects one, the same. traits: what
    the score is made of, the heaviest first. numbers: what else was measured, by name.
    """

    sense: SenseName
    logit: float
    probability: float
    spans: npt.NDArray[np.float64]
    span_probabilities: npt.NDArray[np.float64]
    activation: FloatArray | None = None
    track_id: int | None = None
    outside: tuple[Sentence, ...] = ()
    signs: tuple[Sentence, ...] = ()
    grounds: tuple[Sentence, ...] = ()
    traits: tuple[Trait, ...] = ()
    numbers: Mapping[str, float] = field(default_factory=dict)
    activation_hz: tuple[float, float] = (0.0, 8000.0)
    activation_span: tuple[float, float] | None = None
    activation_seconds: float | None = None
    track_probabilities: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse numbers that are no numbers, and lists of unequal length."""
        if not (np.isfinite(self.logit) and 0.0 <= self.probability <= 1.0):
            raise ValueError(f"{self.sense}: logit {self.logit} and probability {self.probability} are no opinion")
        if self.spans.shape != (len(self.span_probabilities), 2):
            raise ValueError(f"{self.sense}: {self.spans.shape} spans for {len(self.span_probabilities)} probabilities")


@dataclass(frozen=True)
class SenseAbsent:
    """Why a sense has no opinion; code: a stable word (no_sound, too_short, no_face, no_speech ...), text: one plain sentence."""

    sense: SenseName
    code: str
    text: Sentence


def nobody_speaks(sense: SenseName, heard: SpeechHeard) -> SenseAbsent | None:
    """The absence of a sense that listens to speech where there is none; None where somebody speaks."""
    if heard.silent:
        return SenseAbsent(sense, "silent_sound", Sentence("the sound is silent"))
    if not heard.anybody:
        return SenseAbsent(sense, "no_speech", Sentence("no speech is heard, only music or noise"))
    return None


class Sense(Protocol):
    """One way of looking at a clip; its weights are loaded when it is made, and CheckpointError says what is wrong with them."""

    @property
    def name(self) -> SenseName: ...  # noqa: D102 -- voice, picture or agreement

    def judge(self, looked: Looked) -> SenseOpinion | SenseAbsent: ...  # noqa: D102 -- never raises for what a clip lacks
