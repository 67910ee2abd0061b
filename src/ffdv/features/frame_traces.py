"""What generated frames leave in a sound, beats in its envelopes and tones at fixed frequencies, as evidence of one frame rate.

    samples ─┬─ frame_lines ─ LineScale ─┐
             └─ frame_tones ─────────────┴─▶ log likelihood ratios of each rate ─▶ evidence, the rate

Either may be missing where there are frames, so the absence of one is hardly held against the other. Codecs of low rate work in frames too:
Opus at 20 kbit/s leaves a beat of 50 Hz in one genuine clip of twenty, and takes away that of a generator. So a beat counts the less, the more
the sound is worn; tones, which outlive codecs and come of none, count as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ffdv.features.frame_lines import FRAME_RATES, LineScale, frame_lines
from ffdv.features.frame_tones import TONE_RATES, frame_tones, tone_ratios
from ffdv.records import FloatArray

LEAST_OF_BEATS, LEAST_OF_TONES = -1.0, 0.0  # log ratios: the most that a missing trace counts against a rate
MOST_EVIDENCE = 5.0  # traces, however clear, are one trait


@dataclass(frozen=True)
class FrameTraces:
    """Log likelihood ratios (clips, rates) of frames at TONE_RATES, by the beat and by the tones."""

    beats: npt.NDArray[np.float64]
    tones: npt.NDArray[np.float64]

    @classmethod
    def of(cls, sounds: Sequence[FloatArray], scale: LineScale) -> FrameTraces:
        """Of mono sounds at 16 kHz; what is too short or silent has no traces."""
        tones = np.zeros((len(sounds), len(TONE_RATES)))
        beats = np.zeros_like(tones)
        beats[:, : len(FRAME_RATES)] = LEAST_OF_BEATS
        for place, sound in enumerate(sounds):
            lines, standing = frame_lines(sound), frame_tones(sound)
            if lines is not None:
                beats[place, : len(FRAME_RATES)] = scale.ratios(lines)[0]
            if standing is not None:
                tones[place] = tone_ratios(standing)[0]
        return cls(beats, tones)

    def heard_in(self, wear: npt.ArrayLike) -> FrameTraces:
        """The same traces where the sound is worn, 0 … 1 of each clip (clips,) or of all: beats count so much less."""
        return replace(self, beats=self.beats * (1.0 - np.asarray(wear, np.float64).reshape(-1, 1)))

    def evidence(self) -> npt.NDArray[np.float64]:
        """Natural log of 1 + the likelihood ratio (clips,) of frames at any of these rates, at most MOST_EVIDENCE.

        A clip has one rate, if any: the mean ratio over rates against none. Near 0 without traces, for these prove nothing.
        """
        each = self._both() - np.log(len(TONE_RATES))
        return np.asarray(np.minimum(np.logaddexp(0.0, np.logaddexp.reduce(each, axis=1)), MOST_EVIDENCE))

    def clearest(self, above: float) -> tuple[float, bool] | None:
        """The frame rate in Hz of most clips, and whether tones tell it rather than a beat; None unless the evidence of most is above so much."""
        clear = self.evidence() > above
        if 2 * clear.sum() <= len(clear):
            return None
        place = int(self._both()[clear].mean(axis=0).argmax())
        by_tones = self.tones[clear, place].mean() > self.beats[clear, place].mean()
        return TONE_RATES[place], bool(by_tones)

    def _both(self) -> npt.NDArray[np.float64]:
        return np.maximum(self.beats, LEAST_OF_BEATS) + np.maximum(self.tones, LEAST_OF_TONES)
