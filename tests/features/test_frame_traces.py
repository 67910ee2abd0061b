"""Beats and tones as evidence of one frame rate."""

from __future__ import annotations

import numpy as np
import pytest

from ffdv.features.frame_lines import FRAME_RATES, LineScale, line_frequencies
from ffdv.features.frame_traces import MISSING_BEAT, MOST_EVIDENCE, RATES, FrameTraces


def traces(*rows: tuple[dict[int, float], dict[int, float]]) -> FrameTraces:
    """Scores of stretches by the beat and by the tones, at these places of RATES; none elsewhere."""
    beats, tones = np.full((len(rows), len(RATES)), MISSING_BEAT), np.zeros((len(rows), len(RATES)))
    for row, both in enumerate(rows):
        for table, given in zip((beats, tones), both, strict=True):
            table[row, list(given)] = list(given.values())
    return FrameTraces(beats, tones)


def test_both_traces_of_one_rate_add_up() -> None:
    apart, together, elsewhere = traces(({2: 5.0}, {}), ({2: 5.0}, {2: 5.0}), ({2: 5.0}, {4: 5.0})).evidence()

    assert together > elsewhere > apart


def test_a_missing_trace_hardly_counts() -> None:
    by_beat, by_tones = traces(({2: 6.0}, {}), ({}, {2: 6.0})).evidence()

    assert by_beat == pytest.approx(by_tones - MISSING_BEAT, abs=0.1)


def test_evidence_is_bounded() -> None:
    assert traces(({0: 60.0}, {0: 60.0})).evidence()[0] == MOST_EVIDENCE
    assert 0 <= traces(({}, {})).evidence()[0] < 1


def test_the_clearest_rate_is_that_of_most_stretches() -> None:
    by_tones, by_beat, louder, nothing = ({}, {3: 9.0}), ({3: 9.0}, {}), ({}, {2: 300.0}), ({}, {})

    assert traces(by_tones, by_tones, nothing).clearest(4.0) == (RATES[3], True)
    assert traces(by_beat, by_beat, nothing).clearest(4.0) == (RATES[3], False)
    assert traces(by_tones, by_tones, louder).clearest(4.0) == (RATES[3], True)
    assert traces(by_tones, louder).clearest(4.0) is None
    assert traces(by_tones, nothing).clearest(4.0) is None
    assert traces(nothing).clearest(4.0) is None


def test_silence_has_no_traces() -> None:
    count = len(line_frequencies())
    scale = LineScale(np.zeros(count, np.float32), np.ones(count, np.float32), np.ones(len(FRAME_RATES), np.float32))
    said = FrameTraces.of([np.zeros(16_000, np.float32)], scale)

    assert said.evidence()[0] < 1
    assert said.clearest(4.0) is None


def test_a_beat_that_codecs_leave_counts_less_in_worn_sound() -> None:
    """Opus has 50 frames a second; 86.13 is no codec's, and tones are of none."""
    codec, other = RATES.index(50.0), RATES.index(22_050 / 256)
    both = traces(({codec: 6.0}, {}), ({other: 6.0}, {}), ({}, {codec: 6.0}), ({}, {}))

    clean, worn = both.evidence(), both.heard_in([0.9] * 4).evidence()

    assert worn[0] < clean[0] / 3
    assert np.array_equal(worn[1:], clean[1:])
    assert np.array_equal(both.heard_in(0.0).beats, both.beats)


def test_sound_that_repeats_itself_has_no_beat() -> None:
    """Noise in a loop of a tenth of a second beats at every rate that fits."""
    rng = np.random.default_rng(0)
    count = len(line_frequencies())
    scale = LineScale(
        np.zeros(count, np.float32), np.full(count, 0.1, np.float32), np.ones(len(FRAME_RATES), np.float32)
    )
    looped = np.resize(rng.standard_normal(1_600), 48_000).astype(np.float32)

    assert FrameTraces.of([looped], scale).beats[0, RATES.index(50.0)] == MISSING_BEAT
