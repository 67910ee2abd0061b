"""What `scan` says of one clip: values that are shown, written and passed on, and compute nothing.

Verdict ─ word, probability, threshold, reasons
        ├ opinions     what each sense says, or why it is absent
        ├ timeline     how forged each second seems to each sense
        ├ evidence     spectrogram, faces, cues beside what real clips show
        └ looked_at    what was looked at; notes say what was missing, damaged or limited
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ffdv.detect.fusion import Fused
from ffdv.detect.looking import LookedAt
from ffdv.detect.senses import SENSES, SenseAbsent, SenseName, SenseOpinion
from ffdv.metrics.abstention import AbstentionBand
from ffdv.records import FloatArray, MediaFacts, Note, PixelArray
from ffdv.sentences import language

Word = Literal["real", "fake", "cannot tell"]


@dataclass(frozen=True)
class Reason:
    """Why the verdict is what it is: code, a key of detect/words.REASONS, and what fills its sentence."""

    code: str
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class TimeRange:
    """Half-open seconds of the clip that seem forged to one sense; probability is the mean over them."""

    sense: SenseName
    start_seconds: float
    stop_seconds: float
    probability: float


@dataclass(frozen=True, eq=False)
class Timeline:
    """How forged each stretch of step_seconds seems, from start_seconds on: by sense, (n,) float64 in [0, 1], NaN where a sense
    did not judge.
    """

    start_seconds: float
    step_seconds: float
    probabilities: Mapping[SenseName, npt.NDArray[np.float64]]

    def __post_init__(self) -> None:
        """Refuse lanes of unequal length."""
        if len({len(lane) for lane in self.probabilities.values()}) > 1:
            raise ValueError("timeline: lanes differ in length")

    def __len__(self) -> int:
        return max((len(lane) for lane in self.probabilities.values()), default=0)


@dataclass(frozen=True, eq=False)
class Spectrogram:
    """The sound as a picture: levels uint8 (rows, columns), 0 is 80 dB under the loudest, rows from low to high, evenly in Hz
    up to top_hz; columns evenly over [start, stop) seconds; activation uint8 of the same shape, where the voice sense looked,
    or None.
    """

    levels: PixelArray = field(repr=False)
    start_seconds: float
    stop_seconds: float
    top_hz: float
    activation: PixelArray | None = field(default=None, repr=False)


@dataclass(frozen=True, eq=False)
class FaceShot:
    """One face at one moment: pixels uint8 (side, side, 3); probability by itself, None where it was not judged; activation
    (rows, columns) float32 in [0, 1], from top to bottom, or None.
    """

    track_id: int
    seconds: float
    pixels: PixelArray = field(repr=False)
    probability: float | None = None
    activation: FloatArray | None = field(default=None, repr=False)


@dataclass(frozen=True)
class FaceRow:
    """One face followed: when it was seen first and last, how often, and how forged it seems by itself (None: not judged)."""

    track_id: int
    start_seconds: float
    stop_seconds: float
    sightings: int
    probability: float | None


@dataclass(frozen=True)
class CueView:
    """A measured cue beside what real clips show: the 5th, 50th and 95th percentile, and whether the value lies outside them on
    the suspicious side. separates: whether this cue by itself tells real from fake on development clips; auc says how well.
    """

    code: str
    sense: SenseName
    value: float
    unit: str
    usual: tuple[float, float, float]
    suspicious: Literal["low", "high"]
    separates: bool
    auc: float

    @property
    def unusual(self) -> bool:
        """Whether fewer than 1 in 20 real clips lie that far on the suspicious side."""
        return self.value < self.usual[0] if self.suspicious == "low" else self.value > self.usual[2]

    @property
    def beyond(self) -> bool:
        """Whether fewer than 1 in 20 real clips lie that far, on either side."""
        return not self.usual[0] <= self.value <= self.usual[2]


@dataclass(frozen=True, eq=False)
class Evidence:
    """What a person may look at: strip, the face that decides (or leads, where none does) through time; suspects, the faces that seem forged most."""

    spectrogram: Spectrogram | None = None
    strip: tuple[FaceShot, ...] = ()
    suspects: tuple[FaceShot, ...] = ()
    faces: tuple[FaceRow, ...] = ()
    cues: tuple[CueView, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Verdict:
    """The opinion on one clip. fake_probability is None where no sense could judge: nothing is invented.

    word follows from the probability and the band `asked`: fused.band, or wider where the clip is unlike what taught; reasons say
    why, in detect/words.say's languages. weights: which files the opinion comes from, by name, as the first 12 hex digits of their
    sha256. Two verdicts, like the timelines, opinions and evidence in them, are equal only where they are the same object, since they
    hold arrays: compare their to_json().
    """

    path: Path
    word: Word
    fused: Fused | None
    opinions: Mapping[SenseName, SenseOpinion | SenseAbsent]
    reasons: tuple[Reason, ...]
    timeline: Timeline
    top_ranges: tuple[TimeRange, ...]
    evidence: Evidence
    looked_at: LookedAt
    facts: MediaFacts
    notes: tuple[Note, ...] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    asked: AbstentionBand | None = None

    def __repr__(self) -> str:
        """One line: the arrays behind it would fill pages."""
        overall = "None" if self.fake_probability is None else f"{self.fake_probability:.3f}"
        senses = ", ".join(f"{name}={p:.3f}" for name, p in self.senses.items())
        return f"Verdict({self.path.name!r}, {self.word!r}, fake_probability={overall}, {senses or 'no sense judged'})"

    @property
    def fake_probability(self) -> float | None:
        """Calibrated probability that the clip is forged in any way; None where no sense could judge."""
        return None if self.fused is None else self.fused.probability

    @property
    def senses(self) -> Mapping[SenseName, float]:
        """The probability of each sense that judged."""
        judged = {name: self.opinions.get(name) for name in SENSES}
        return {name: one.probability for name, one in judged.items() if isinstance(one, SenseOpinion)}

    def to_json(self, *, name: str | None = None, lang: str = "en") -> dict[str, Any]:
        """Plain values as `ffdv scan --json` prints them (docs/scan-json.md); name: how the clip is called, its file name by default.

        Raises RecipeError for a language that there is not.
        """
        from ffdv.detect.scan_json import verdict_json

        return verdict_json(self, self.path.name if name is None else name, lang=language(lang))

    @property
    def absent(self) -> tuple[SenseAbsent, ...]:
        """The senses that have no opinion, and why."""
        return tuple(one for one in self.opinions.values() if isinstance(one, SenseAbsent))
