"""The sense of voice: absent with its reason, the same opinion every time, and an opinion that follows from its two halves."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ffdv.data.sources.synthetic import RATE, Speaker, speak
from ffdv.detect.senses import Looked, SenseAbsent, SenseOpinion
from ffdv.detect.voice import HOP, WINDOW, VoiceSense, as_trained, cut_window, stretches, window_starts
from ffdv.errors import CheckpointError
from ffdv.records import Features, FloatArray, MediaFacts, Samples

FACTS = MediaFacts(Path("clip.wav"), 1, "wav", None, None, (), (), encrypted=False, tags={})


def voice(seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    return np.tile(speak(Speaker.drawn(rng), rng)[0], 2)


def melody() -> FloatArray:
    """Six struck strings, half a second each, with ten harmonics: a voice's periodicity and swing, and nobody speaks."""
    time = np.arange(RATE // 2) / RATE
    strings = [
        sum(np.sin(2 * np.pi * hz * k * time) / k for k in range(1, 11)) * np.exp(-time / 0.15)
        for hz in (131, 165, 196, 262, 196, 147)
    ]
    return (0.1 * np.concatenate(strings)).astype(np.float32)


def looked(samples: FloatArray | None, *, rate: int = RATE, start_seconds: float = 0.0) -> Looked:
    sound = None if samples is None else Samples(samples[None].astype(np.float32), rate, start_seconds)
    return Looked(Features(FACTS, sound))


@pytest.fixture(scope="module")
def sense() -> VoiceSense:
    return VoiceSense()


@pytest.mark.parametrize(
    ("samples", "code"),
    [
        (None, "no_sound"),
        (voice()[:4000], "too_short"),
        (np.zeros(2 * RATE, np.float32), "silent_sound"),
        (np.random.default_rng(0).normal(0, 0.1, 2 * RATE), "no_speech"),
        (melody(), "no_speech"),
    ],
)
def test_what_cannot_be_judged_is_absent_with_its_reason(
    sense: VoiceSense, samples: FloatArray | None, code: str
) -> None:
    opinion = sense.judge(looked(samples))

    assert isinstance(opinion, SenseAbsent)
    assert opinion.code == code


def test_a_telephone_leaves_nothing_to_judge(sense: VoiceSense) -> None:
    from ffdv.augment.codec import transcode_sound

    opinion = sense.judge(looked(transcode_sound(voice(8), rate=RATE, name="g711_mu")))

    assert isinstance(opinion, SenseAbsent)
    assert opinion.code == "telephone_band"


def test_an_opinion_is_the_weighted_sum_of_both_halves_calibrated(sense: VoiceSense) -> None:
    opinion = sense.judge(looked(voice(), start_seconds=5.0))

    assert isinstance(opinion, SenseOpinion)
    statistics, net = opinion.numbers["statistics_logit"], opinion.numbers["net_logit"]
    facts = sense.machine.facts
    assert opinion.logit == pytest.approx(statistics + facts["net_share"] * net)
    fitted = facts["calibration"]
    odds = fitted["slope"] * opinion.logit + fitted["intercept"]
    assert opinion.probability == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-6)
    assert opinion.spans[0, 0] == 5.0
    assert opinion.spans[-1, 1] == pytest.approx(5.0 + len(voice()) / RATE)
    assert (opinion.spans[1:, 0] == opinion.spans[:-1, 1]).all()
    assert opinion.activation is not None
    assert 0 <= opinion.activation.min() <= opinion.activation.max() <= 1


def test_the_same_sound_gives_the_same_opinion_at_any_level_and_rate(sense: VoiceSense) -> None:
    import soxr

    first, again, soft = (sense.judge(looked(voice() * np.float32(gain))) for gain in (1.0, 1.0, 0.1))
    higher = sense.judge(looked(soxr.resample(voice(), RATE, 22_050), rate=22_050))

    assert isinstance(first, SenseOpinion)
    assert isinstance(again, SenseOpinion)
    assert isinstance(soft, SenseOpinion)
    assert isinstance(higher, SenseOpinion)
    assert first.logit == again.logit
    assert first.logit == pytest.approx(soft.logit, abs=0.05)
    assert first.logit == pytest.approx(higher.logit, abs=0.3)


def test_weights_say_where_they_come_from(sense: VoiceSense) -> None:
    facts = json.dumps(dict(sense.machine.facts))

    for word in ("licences", "sources", "generators", "scripts/weights/voice.py", "EfficientNet-Lite0"):
        assert word in facts


def test_missing_weights_are_an_error_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="reinstall"):
        VoiceSense(tmp_path)


def test_training_conditions_end_at_seven_kilohertz_and_at_one_level() -> None:
    for gain in (0.01, 1.0):
        trained = as_trained(voice() * np.float32(gain))
        spectrum = np.abs(np.fft.rfft(trained)) ** 2
        hz = np.fft.rfftfreq(len(trained), 1 / RATE)
        assert 10 * np.log10(spectrum[hz > 7100].sum() / spectrum.sum()) < -60
        assert 10 * np.log10(np.mean(trained**2)) == pytest.approx(-25, abs=0.5)


@pytest.mark.parametrize("length", [100, WINDOW, WINDOW + 1, 3 * WINDOW, 10 * RATE])
def test_windows_and_stretches_hear_every_sample(length: int) -> None:
    starts = window_starts(length)

    assert all(len(cut_window(np.ones(length, np.float32), start)) == WINDOW for start in starts)
    assert starts[-1] + WINDOW >= length - HOP // 4
    edges = stretches(length)
    assert edges[0][0] == 0
    assert edges[-1][1] == length
    assert max(stop - start for start, stop in edges) <= 10 * RATE


@pytest.fixture(scope="module")
def script() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "scripts" / "weights" / "voice.py"
    spec = importlib.util.spec_from_file_location("voice_weights", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["voice_weights"] = module
    spec.loader.exec_module(module)
    return module


def test_the_training_script_refuses_closed_rows(script: ModuleType) -> None:
    is_open, closed = (script.Row("a.opus", 1, "g", "s", "", open=flag) for flag in (True, False))

    assert script.check_open([is_open]) == [is_open]
    with pytest.raises(script.ClosedRowError, match=r"a\.opus: its licence"):
        script.check_open([is_open, closed])
    with pytest.raises(script.ClosedRowError):
        script.fit_machine(np.zeros((1, 3), np.float32), [closed], {})


def test_generators_count_alike_whatever_their_number(script: ModuleType) -> None:
    many = [script.Row(f"{k}", 1, "many", "s", "", open=True) for k in range(80)]
    few = [script.Row(f"f{k}", 1, "few", "s", "", open=True) for k in range(20)]
    real = [script.Row(f"r{k}", 0, "real", "s", "", open=True) for k in range(50)]

    shares = script.shares([*many, *few, *real])

    assert shares[:80].sum() == pytest.approx(shares[80:100].sum())
    assert shares[:100].sum() == pytest.approx(shares[100:].sum())
