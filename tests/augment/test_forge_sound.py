"""Forged voices: the same words and voice as the real one, another signal, and segments that tell the truth."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import correlate
from scipy.signal import stft as reference_stft
from voices import RATE, level_db, noise, pitch_of, voice

from ffdv.augment.chain import FORGE_SOUND
from ffdv.augment.forge_agreement import delay_sound, swap_sound
from ffdv.augment.forge_sound import (
    COPIES,
    CopyMethod,
    cross_fade,
    griffin_lim,
    griffin_lim_copy,
    lpc_copy,
    mel_smooth,
    mel_splice,
    partial_copy,
    splice_other,
    world_copy,
)
from ffdv.augment.forgery import ForgedSound
from ffdv.augment.stft import istft, mel_filters, stft
from ffdv.augment.world import import_world

NEEDS_OTHER = {"splice_other", "swap_sound"}


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def forged_by(name: str, samples: np.ndarray, seed: int = 0, rate: int = RATE) -> ForgedSound:
    extra = {"other": noise(0.4, seed=9)} if name in NEEDS_OTHER else {}
    return FORGE_SOUND[name](samples, rate, rng(seed), **extra)


def log_spectrum(samples: np.ndarray) -> np.ndarray:
    """Log power in 24 mel bands and steps of 16 ms, by scipy, for comparison."""
    _, _, spectrum = reference_stft(samples, RATE, nperseg=512, noverlap=256)
    bands = mel_filters(RATE, 512, 24) @ np.abs(spectrum) ** 2
    return np.log(bands + 1e-7)


def distance_db(first: np.ndarray, second: np.ndarray) -> float:
    return float(np.sqrt(np.mean((log_spectrum(first) - log_spectrum(second)) ** 2)) * 4.34)


@pytest.mark.parametrize("name", sorted(FORGE_SOUND))
def test_forgeries_keep_length_and_loudness_and_depend_on_the_seed_alone(name: str) -> None:
    real = voice(seconds=0.8)
    kept = real.copy()
    real.flags.writeable = False

    first, second, other = (forged_by(name, real, seed) for seed in (1, 1, 2))

    assert first.samples.shape == real.shape
    assert first.samples.dtype == np.float32
    assert level_db(first.samples) == pytest.approx(level_db(real), abs=1.0)
    assert np.array_equal(first.samples, second.samples)
    assert first.segments == second.segments
    assert not np.array_equal(first.samples, other.samples)
    assert not np.array_equal(first.samples, real)
    assert np.array_equal(real, kept)
    assert first.segments


@pytest.mark.parametrize("name", sorted(FORGE_SOUND))
@settings(max_examples=6, deadline=None)
@given(length=st.integers(0, 1200), silent=st.booleans(), rate=st.sampled_from([8_000, 22_050]))
def test_any_length_and_silence_come_through_finite(name: str, length: int, silent: bool, rate: int) -> None:
    sound = np.zeros(length, np.float32) if silent else noise(0.2)[:length]

    forged = forged_by(name, sound, rate=rate)

    assert forged.samples.shape == (length,)
    assert np.isfinite(forged.samples).all()


@pytest.mark.parametrize("method", ["griffin_lim_copy", "world_copy", "lpc_copy"])
@pytest.mark.parametrize("pitch_hz", [110.0, 200.0])
def test_copies_keep_the_pitch(method: CopyMethod, pitch_hz: float) -> None:
    copy = COPIES[method](voice(pitch_hz), RATE, rng(3))

    assert pitch_of(copy.samples) == pytest.approx(pitch_hz, rel=0.02)


@pytest.mark.parametrize(("method", "limit_db"), [("griffin_lim_copy", 6), ("world_copy", 7), ("lpc_copy", 7)])
def test_copies_keep_the_words(method: CopyMethod, limit_db: float) -> None:
    real, stranger = voice(140.0), np.roll(voice(140.0), 2700)  # the stranger says it 0.17 s later

    copy = COPIES[method](real, RATE, rng(3)).samples

    assert distance_db(copy, real) < limit_db
    assert np.abs(np.corrcoef(copy, real)[0, 1]) < 0.95  # but the waveform is another
    envelope = [
        np.abs(sound[: len(sound) // 640 * 640]).reshape(-1, 640).mean(axis=1) for sound in (real, copy, stranger)
    ]
    assert np.corrcoef(envelope[0], envelope[1])[0, 1] > 0.9
    assert np.corrcoef(envelope[0], envelope[1])[0, 1] > np.corrcoef(envelope[0], envelope[2])[0, 1]


def test_world_moves_the_pitch_when_asked() -> None:
    higher = world_copy(voice(140.0), RATE, rng(), pitch_semitones=(3.0, 3.0), envelope_sizes=(0,))

    assert pitch_of(higher.samples) == pytest.approx(140.0 * 2 ** (3 / 12), rel=0.01)


def test_more_iterations_of_griffin_lim_come_nearer_to_the_magnitudes() -> None:
    real = voice(seconds=0.6)
    wanted = np.abs(stft(real, n_fft=512, hop_length=128))

    def error(iterations: int) -> float:
        rebuilt = griffin_lim(wanted, rng(), n_fft=512, hop_length=128, iterations=iterations, length=len(real))
        return float(np.linalg.norm(np.abs(stft(rebuilt, n_fft=512, hop_length=128)) - wanted) / np.linalg.norm(wanted))

    assert error(2) > error(10) > error(60)
    assert error(60) < 0.2


@pytest.mark.parametrize("n_fft", [256, 1024])
def test_the_short_time_spectrum_goes_there_and_back(n_fft: int) -> None:
    real = noise(0.3)[:4321]

    spectrum = stft(real, n_fft=n_fft, hop_length=n_fft // 4)
    back = istft(spectrum, n_fft=n_fft, hop_length=n_fft // 4, length=len(real))

    assert np.allclose(back, real, atol=1e-6)
    # Frame k is the windowed DFT around sample k * hop, by the definition.
    k, hop = 7, n_fft // 4
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft)
    piece = np.pad(real, n_fft)[k * hop + n_fft // 2 :][:n_fft] * window
    assert np.allclose(spectrum[k], np.fft.rfft(piece), atol=1e-3)


def test_smoothing_takes_away_the_fine_structure_of_the_mel_picture() -> None:
    real = voice() + noise(1.5, level=0.02)

    def roughness(samples: np.ndarray) -> float:
        return float(np.abs(np.diff(log_spectrum(samples), axis=1)).mean())

    blurred = mel_smooth(real, RATE, rng(), time_frames=(3, 3), band_width=(1, 1)).samples
    sharp = mel_smooth(real, RATE, rng(), time_frames=(0, 0), band_width=(0, 0)).samples

    assert roughness(blurred) < 0.9 * roughness(sharp)


@pytest.mark.parametrize("forge", [partial_copy, mel_splice, splice_other], ids=lambda forge: forge.__name__)
@pytest.mark.parametrize("seed", range(4))
def test_only_the_named_segments_are_forged(forge, seed: int) -> None:  # noqa: ANN001
    real = voice(seconds=1.5) + noise(1.5, level=0.01)
    extra = {"other": noise(0.7, seed=4)} if forge is splice_other else {}

    forged = forge(real, RATE, rng(seed), **extra)

    outside = np.ones(len(real), bool)
    for start, stop in forged.segments:
        outside[round(start * RATE) : round(stop * RATE)] = False
    assert np.array_equal(forged.samples[outside], real[outside])
    changed = forged.samples[~outside] != real[~outside]
    assert changed.mean() > 0.95
    assert 0.05 < (~outside).mean() < 0.65


def test_the_share_that_is_forged_is_the_one_asked_for() -> None:
    forged = partial_copy(voice(seconds=2), RATE, rng(), share=(0.3, 0.3), stretches=(2, 2), methods=("lpc_copy",))

    assert len(forged.segments) == 2
    assert forged.method == "partial_lpc_copy"
    # Cuts move by up to 50 ms each to where it is quiet.
    assert sum(stop - start for start, stop in forged.segments) == pytest.approx(0.6, abs=0.2)


def test_cuts_are_made_where_it_is_quiet() -> None:
    real = noise(1.0)
    gaps = np.arange(400, len(real), 800)  # a gap of 10 ms every 50 ms
    for gap in gaps:
        real[gap : gap + 160] *= 0.001

    forged = partial_copy(real, RATE, rng(1), methods=("lpc_copy",), stretches=(1, 1))

    for edge in (round(time * RATE) for time in forged.segments[0]):
        assert min(abs(edge - gap - 80) for gap in gaps) < 120


def test_cross_fading_has_no_step() -> None:
    ones, zeros = np.ones(4000, np.float32), np.zeros(4000, np.float32)

    faded = cross_fade(zeros, ones, ((1000, 3000),), rate=RATE)

    assert np.abs(np.diff(faded)).max() < 0.01
    assert not faded[:1000].any()
    assert not faded[3000:].any()
    assert faded[1500:2500].min() == 1.0


def test_delay_is_what_it_says_and_loses_nothing() -> None:
    real = noise(1.0)

    forged = delay_sound(real, RATE, rng(3), seconds=(0.1, 0.4))

    shift = round(float(forged.settings["seconds"]) * RATE)
    assert 1600 <= abs(shift) <= 6400
    assert np.array_equal(np.roll(forged.samples, -shift), real)
    assert forged.sense == "agreement"
    assert {np.sign(float(delay_sound(real, RATE, rng(seed)).settings["seconds"])) for seed in range(20)} == {-1.0, 1.0}


def test_swapped_sound_is_the_others_as_loud_as_ours() -> None:
    real, other = voice(seconds=1.0), noise(3.0, level=0.7)

    forged = swap_sound(real, RATE, rng(), other=other)

    assert level_db(forged.samples) == pytest.approx(level_db(real), abs=0.01)
    start = int(np.argmax(correlate(other, forged.samples, "valid", method="fft")))
    taken = other[start : start + len(real)]
    assert np.allclose(forged.samples, taken * np.linalg.norm(real) / np.linalg.norm(taken), atol=1e-5)
    assert len(swap_sound(real, RATE, rng(), other=other[:100]).samples) == len(real)
    assert swap_sound(real, RATE, rng(), other=other[:0]).segments == ()


def test_forged_sound_refuses_segments_that_do_not_fit() -> None:
    sound = noise(1.0)
    for segments in (((0.0, 1.5),), ((0.5, 0.2),), ((0.2, 0.6), (0.5, 0.8)), ((-0.1, 0.3),)):
        with pytest.raises(ValueError, match="segments"):
            ForgedSound(sound, RATE, "test", segments)
    with pytest.raises(ValueError, match="float32"):
        ForgedSound(sound.astype(np.float64), RATE, "test", ())


def test_world_loads_where_its_package_file_cannot() -> None:
    # Without pkg_resources, as beside setuptools 81 and later.
    program = (
        "import sys; sys.modules['pkg_resources'] = None\n"
        "from ffdv.augment.world import import_world; print(import_world().default_frame_period)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.stdout.strip() == "5.0", done.stderr
    assert import_world().default_frame_period == 5.0


@pytest.mark.data
def test_real_speech_survives_every_copy(shared_data: Path) -> None:
    with (shared_data / "audio" / "train" / "manifest.csv").open(newline="", encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["label"] == "0")
    real, rate = soundfile.read(shared_data / "audio" / "train" / row["path"], dtype="float32")
    assert rate == RATE
    real = real[: 3 * RATE]

    for forge in (griffin_lim_copy, world_copy, lpc_copy):
        copy = forge(real, RATE, rng(1)).samples
        assert distance_db(copy, real) < distance_db(np.roll(real, RATE), real) / 2, forge.__name__
