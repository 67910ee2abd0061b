"""What generated frames leave in a sound, beats in its envelopes and tones at fixed frequencies, as evidence of one frame rate.

    samples ─┬─ frame_lines ─ LineScale ─┐
             └─ frame_tones ─────────────┴─▶ scores of each rate ─▶ evidence, the rate

Either may be missing where there are frames, so a missing beat counts little against tones, and missing tones nothing against a beat. Codecs
of low rate work in frames too: Opus at 20 kbit/s leaves a beat of 50 Hz in one genuine clip of twenty. So beats at such rates count less
where the sound is worn; tones, which outlive codecs, count as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ffdv.features.frame_lines import FRAME_RATES, LineScale, frame_lines
from ffdv.features.frame_tones import AAC_RATES, FOLDED_HZ, TONE_RATES, frame_tones, tone_scores, tones_between
from ffdv.records import FloatArray

RATES = (*FRAME_RATES, FOLDED_HZ)
# Opus and AMR have 50 frames a second, AAC 43.07 and 46.88; 25 and 75 share beats with 50. So does 100, but that is also the rate of dubbing nets
# whose sound counts as worn (decision 0025).
CODEC_RATES = (50.0, 25.0, 75.0, *AAC_RATES)
COUNTS_LESS = (0.3, 0.7)  # wear from which on their beats count less, and from which on nothing
MISSING_BEAT = -1.0  # natural log: the most that a missing beat counts against a rate
REPEATS = 0.1  # of tones between those of a rate: from there on a beat is that of sound which repeats itself
MOST_EVIDENCE = 5.0  # traces, however clear, are one trait
_WITH_TONES = np.array([RATES.index(rate) for rate in TONE_RATES])
_OF_CODECS = np.array([rate in CODEC_RATES for rate in RATES])


@dataclass(frozen=True)
class FrameTraces:
    """Scores (stretches, rates) of frames at each of RATES against none, natural logarithms, by the beat and by the tones."""

    beats: npt.NDArray[np.float64]
    tones: npt.NDArray[np.float64]

    @classmethod
    def of(cls, sounds: Sequence[FloatArray], scale: LineScale) -> FrameTraces:
        """Of mono sounds at 16 kHz; what is too short or silent has no traces."""
        beats = np.full((len(sounds), len(RATES)), MISSING_BEAT)
        tones = np.zeros_like(beats)
        for row, sound in enumerate(sounds):
            lines, standing = frame_lines(sound), frame_tones(sound)
            if lines is not None:
                beats[row, : len(FRAME_RATES)] = np.maximum(scale.ratios(lines)[0], MISSING_BEAT)
            if standing is not None:
                tones[row, _WITH_TONES] = np.maximum(tone_scores(standing)[0], 0.0)
                beats[row, : len(FRAME_RATES)][tones_between(standing)[0] > REPEATS] = MISSING_BEAT
        return cls(beats, tones)

    def heard_in(self, wear: npt.ArrayLike) -> FrameTraces:
        """The same traces in sound that is so worn, 0 … 1, each stretch (stretches,) or all: beats that codecs may have left count less."""
        least, most = COUNTS_LESS
        share = np.clip((most - np.asarray(wear, np.float64).reshape(-1, 1)) / (most - least), 0.0, 1.0)
        return replace(self, beats=np.where(_OF_CODECS & (self.beats > 0.0), self.beats * share, self.beats))

    def evidence(self) -> npt.NDArray[np.float64]:
        """Natural log of 1 + the likelihood ratio (stretches,) of frames at any of these rates, at most MOST_EVIDENCE.

        A sound has one rate, if any: the mean ratio over rates against none. Near 0 without traces, for these prove nothing.
        """
        each = self.beats + self.tones - np.log(len(RATES))
        return np.asarray(np.minimum(np.logaddexp(0.0, np.logaddexp.reduce(each, axis=1)), MOST_EVIDENCE))

    def clearest(self, above: float) -> tuple[float, bool] | None:
        """The frame rate in Hz that most stretches show, and whether by tones more than by a beat; None unless the evidence of most is above so much."""
        best = np.where(self.evidence() > above, (self.beats + self.tones).argmax(axis=1), -1)
        for place, rate in enumerate(RATES):
            rows = best == place
            if 2 * rows.sum() > len(best):
                return rate, bool(self.tones[rows, place].mean() > self.beats[rows, place].mean())
        return None
