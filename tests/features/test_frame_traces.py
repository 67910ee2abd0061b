"""Beats and tones as evidence of one frame rate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from ffdv.features.frame_lines import FRAME_RATES, LineScale, line_frequencies
from ffdv.features.frame_tones import TONE_RATES
from ffdv.features.frame_traces import LEAST_OF_BEATS, MOST_EVIDENCE, FrameTraces


def traces(*rows: tuple[dict[int, float], dict[int, float]]) -> FrameTraces:
    """Log ratios of clips by the beat and by the tones, -3 where none are given."""

    def table(which: int) -> npt.NDArray[np.float64]:
        found = np.full((len(rows), len(TONE_RATES)), -3.0)
        for row, both in enumerate(rows):
            for place, value in both[which].items():
                found[row, place] = value
        return found

    return FrameTraces(table(0), table(1))


def test_both_traces_of_one_rate_add_up() -> None:
    apart, together, elsewhere = traces(({2: 5.0}, {}), ({2: 5.0}, {2: 5.0}), ({2: 5.0}, {4: 5.0})).evidence()

    assert together > elsewhere > apart


def test_a_missing_trace_hardly_counts() -> None:
    by_beat, by_tones = traces(({2: 6.0}, {}), ({}, {2: 6.0})).evidence()

    assert by_beat == pytest.approx(by_tones - LEAST_OF_BEATS, abs=0.1)


def test_evidence_is_bounded() -> None:
    assert traces(({0: 60.0}, {0: 60.0})).evidence()[0] == MOST_EVIDENCE
    assert 0 <= traces(({}, {})).evidence()[0] < 1


def test_the_clearest_rate_is_that_of_most_stretches() -> None:
    by_tones, by_beat, nothing = ({}, {3: 9.0}), ({3: 9.0}, {}), ({}, {})

    assert traces(by_tones, by_tones, nothing).clearest(4.0) == (TONE_RATES[3], True)
    assert traces(by_beat, by_beat, nothing).clearest(4.0) == (TONE_RATES[3], False)
    assert traces(by_tones, nothing).clearest(4.0) is None
    assert traces(nothing).clearest(4.0) is None


def test_silence_has_no_traces() -> None:
    count = len(line_frequencies())
    scale = LineScale(np.zeros(count, np.float32), np.ones(count, np.float32), np.ones(len(FRAME_RATES), np.float32))
    said = FrameTraces.of([np.zeros(16_000, np.float32)], scale)

    assert said.evidence()[0] < 1
    assert said.clearest(4.0) is None


def test_a_beat_counts_less_in_worn_sound_and_tones_do_not() -> None:
    """Codecs of low rate leave beats of their own."""
    both = traces(({2: 6.0}, {}), ({}, {2: 6.0}))

    beat, tone = both.evidence()
    worn_beat, worn_tone = both.heard_in([0.9, 0.9]).evidence()

    assert worn_beat < beat / 3
    assert worn_tone >= tone
