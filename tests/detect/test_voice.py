"""The sense of voice: absent with its reason, the same opinion every time, and an opinion that follows from its two halves."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from ffdv.data.sources.synthetic import RATE, Speaker, speak
from ffdv.detect.kernel import save_kernel_machine
from ffdv.detect.senses import Looked, SenseAbsent, SenseOpinion
from ffdv.detect.voice import (
    HOP,
    WEAR_RANGE,
    WINDOW,
    VoiceSense,
    as_trained,
    cut_window,
    stretches,
    window_starts,
)
from ffdv.errors import CheckpointError
from ffdv.features.frame_lines import FRAME_RATES
from ffdv.records import Features, FloatArray, MediaFacts, PictureFacts, Samples, SoundFacts

SPEECH = Path(__file__).resolve().parents[3] / "shared/data/audio/train/00020.opus"
FACTS = MediaFacts(Path("clip.wav"), 1, "wav", None, None, (), (), encrypted=False, tags={})


def voice(seed: int = 0) -> FloatArray:
    rng = np.random.default_rng(seed)
    return np.tile(speak(Speaker.drawn(rng), rng)[0], 2)


def sentences(seed: int) -> tuple[np.random.Generator, FloatArray]:
    """Three in a row by one speaker, none of them twice as in `voice`; and the luck to go on with."""
    rng = np.random.default_rng(seed)
    speaker = Speaker.drawn(rng)
    return rng, np.concatenate([speak(speaker, rng)[0] for _ in range(3)])


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


def test_an_opinion_is_the_weighted_sum_of_its_parts_calibrated(sense: VoiceSense) -> None:
    opinion = sense.judge(looked(voice(), start_seconds=5.0))

    assert isinstance(opinion, SenseOpinion)
    statistics, net = opinion.numbers["statistics_logit"], opinion.numbers["net_logit"]
    facts = sense.machine.facts
    traces = opinion.numbers["frame_traces"]
    assert opinion.logit == pytest.approx(statistics + facts["net_share"] * net + facts["traces"]["share"] * traces)
    wear, odds = opinion.numbers["wear"], 0.0
    shifted = opinion.logit + facts["wear"]["share"] * np.clip(np.log(wear / (1 - wear)), *WEAR_RANGE)
    for share, fitted, given in (
        (1 - wear, facts["calibration"], opinion.logit),
        (wear, facts["worn_calibration"], shifted),
    ):
        odds += share * (fitted["slope"] * given + fitted["intercept"])
    assert opinion.probability == pytest.approx(1 / (1 + np.exp(-odds)), abs=1e-6)
    assert opinion.spans[0, 0] == 5.0
    assert opinion.spans[-1, 1] == pytest.approx(5.0 + len(voice()) / RATE)
    assert (opinion.spans[1:, 0] == opinion.spans[:-1, 1]).all()
    assert opinion.activation is not None
    assert 0 <= opinion.activation.min() <= opinion.activation.max() <= 1


def test_speech_that_beats_at_a_frame_rate_is_more_suspicious(sense: VoiceSense) -> None:
    """Every narrow band swings a little with 86.13 Hz and its multiples, each with phases of its own."""
    rng, spoken = sentences(0)
    hz, turn = np.fft.rfftfreq(len(spoken), 1 / RATE), 2 * np.pi * 22_050 / 256 * np.arange(len(spoken)) / RATE
    spectrum, beating = np.fft.rfft(spoken), np.zeros(len(spoken))
    for low in range(0, 8000, 100):
        band = np.fft.irfft(np.where((hz >= low) & (hz < low + 100), spectrum, 0), len(turn))
        beating += band * (1 + 0.1 * sum(np.sin(k * turn + 2 * np.pi * rng.random()) for k in range(1, 6)))

    plain, made = sense.judge(looked(spoken)), sense.judge(looked(beating))

    assert isinstance(plain, SenseOpinion)
    assert isinstance(made, SenseOpinion)
    assert made.numbers["frame_rate_hz"] == pytest.approx(86.13, abs=0.01)
    assert made.probability > plain.probability
    assert "swing 86.1 times a second" in made.signs[0]
    assert not plain.signs
    assert "frame_rate_hz" not in plain.numbers


def test_tones_of_frames_are_told_by_their_rate(sense: VoiceSense) -> None:
    """Multiples of 80 Hz, each 40 dB under the speech."""
    rng, spoken = sentences(1)
    turn = 2 * np.pi * 80 * np.arange(len(spoken)) / RATE
    level = 0.01 * np.sqrt(2 * np.mean(np.square(spoken)))
    drawn = spoken + level * sum(np.sin(k * turn + 2 * np.pi * rng.random()) for k in range(25, 87))

    plain, made = sense.judge(looked(spoken)), sense.judge(looked(drawn))

    assert isinstance(plain, SenseOpinion)
    assert isinstance(made, SenseOpinion)
    assert made.numbers["frame_traces"] > plain.numbers["frame_traces"] + 3
    assert "steady tones stand at multiples of 80.0 Hz" in made.signs[0]


def test_the_tones_of_flow_vocoders_are_no_frame_rate(sense: VoiceSense) -> None:
    """An eighth and a quarter of 22,050 Hz."""
    _, spoken = sentences(1)
    turn = 2 * np.pi * np.arange(len(spoken)) / RATE
    level = 0.01 * np.sqrt(2 * np.mean(np.square(spoken)))

    made = sense.judge(looked(spoken + level * (np.sin(2756.25 * turn) + np.sin(5512.5 * turn))))

    assert isinstance(made, SenseOpinion)
    assert "tones stand at 2756 Hz and at twice that" in made.signs[0]


@pytest.mark.parametrize(
    "traces", [{}, {"rates": [86.13]}, {"rates": list(FRAME_RATES), "centre": [0], "spread": [1], "rate_spread": [1]}]
)
def test_traces_of_another_version_are_refused_in_a_sentence(
    sense: VoiceSense, traces: dict[str, object], tmp_path: Path
) -> None:
    weights = files("ffdv.detect").joinpath("weights")
    (tmp_path / "voice.onnx").write_bytes(weights.joinpath("voice.onnx").read_bytes())
    facts = {**sense.machine.facts, "traces": {"share": 0.1, **traces}}
    save_kernel_machine(replace(sense.machine, facts=facts), tmp_path / "voice.npz")

    with pytest.raises(CheckpointError, match="another version; reinstall"):
        VoiceSense(tmp_path)


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


@pytest.mark.parametrize(
    ("stream", "file", "picture", "told"),
    [(16_000, 90_000, True, True), (64_000, 90_000, True, False), (None, 15_000, False, True), (None, 15_000, True, False)],
)  # fmt: skip
def test_sound_of_few_bits_is_outside_what_taught(
    sense: VoiceSense, stream: int | None, file: int, picture: bool, told: bool
) -> None:
    seen = (PictureFacts(0, "h264", 64, 64, 25.0, "yuv420p", 0, 1.0, 0.0, 5.0, None, None, None),) if picture else ()
    heard = (SoundFacts(1, "opus", 48_000, 1, 0.0, 5.0, stream, None),)
    facts = replace(FACTS, bit_rate=file, pictures=seen, sounds=heard)

    opinion = sense.judge(Looked(Features(facts, Samples(voice()[None], RATE, 0.0))))

    assert isinstance(opinion, SenseOpinion)
    worn = opinion.numbers["wear"] > 0.5  # said instead, where it is heard
    assert any("kbit/s" in reason or (told and worn and "noisy" in reason) for reason in opinion.outside) is told


@pytest.mark.data
@pytest.mark.skipif(not SPEECH.is_file(), reason="the real clips (../shared/data) are not beside the project")
def test_noise_and_few_bits_are_heard_as_wear_and_real_speech_as_it_is_is_not(sense: VoiceSense) -> None:
    import soundfile

    from ffdv.augment.codec import transcode_sound

    clean = soundfile.read(SPEECH, dtype="float32")[0]
    hiss = np.random.default_rng(0).normal(0, float(clean.std()) / 10, len(clean)).astype(np.float32)
    worn = (clean + hiss, transcode_sound(clean, rate=RATE, name="mp3", kbps=24))

    first, *others = (sense.judge(looked(samples)) for samples in (clean, *worn))

    assert isinstance(first, SenseOpinion)
    assert first.numbers["wear"] < 0.5
    for opinion in others:
        assert isinstance(opinion, SenseOpinion)
        assert opinion.numbers["wear"] > 0.5
        assert any("noisy" in reason for reason in opinion.outside)


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


def test_seconds_in_which_nobody_speaks_are_not_judged(sense: VoiceSense) -> None:
    """They took their neighbours' opinion: five seconds of digital silence in a made voice stood at 99 %."""
    said = voice()
    before, silence = len(said) / RATE, 4.0
    opinion = sense.judge(looked(np.concatenate([said, np.zeros(round(silence * RATE), np.float32), said])))

    assert isinstance(opinion, SenseOpinion)
    covered = opinion.spans[:, 1] - opinion.spans[:, 0]
    inside = (opinion.spans[:, 1] > before + 0.5) & (opinion.spans[:, 0] < before + silence - 0.5)
    assert not inside.any()
    assert covered.sum() == pytest.approx(2 * before, abs=1.0)
    assert opinion.activation is not None
    assert opinion.activation_span == (0.0, pytest.approx(2 * before + silence))
    columns = opinion.activation.shape[1] / (2 * before + silence)
    assert opinion.activation[:, : round(before * columns)].max() > 0
    assert opinion.activation[:, round((before + 0.5) * columns) : round((before + silence - 0.5) * columns)].max() == 0
