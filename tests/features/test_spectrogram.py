from __future__ import annotations

import inspect
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ffdv.errors import RecipeError, StreamMissing
from ffdv.features import spectrogram
from ffdv.features.spectrogram import (
    FrontEndSpec,
    band_power,
    constant_q_kernels,
    constant_q_power,
    cosine_transform,
    filter_bank,
    generate_mel_spectrogram,
    hz_to_mel,
    log_spectrogram,
    mel_picture,
    mel_to_hz,
    power_to_db,
    resize_bilinear,
    to_picture,
)
from ffdv.records import FloatArray, PixelArray, Samples

RATE = 8_000
SMALL: dict[str, Any] = {"sample_rate": RATE, "n_fft": 512, "hop_length": 128, "n_bands": 24}
SPECS = {
    "mel": FrontEndSpec(**SMALL),
    "linear": FrontEndSpec(**SMALL, kind="linear"),
    "lfcc": FrontEndSpec(**SMALL, kind="lfcc", scaling="bands", n_coefficients=13),
    "cqt": FrontEndSpec(**SMALL, kind="cqt", fmin=60.0),
}


def speech_like(seconds: float, rate: int, seed: int = 0) -> FloatArray:
    """A gliding voice with harmonics and pauses over faint noise, float32 (n,)."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate)) / rate
    f0 = 140.0 + 40.0 * np.sin(2 * np.pi * 0.7 * t)
    phase = 2 * np.pi * np.cumsum(f0) / rate
    voice = sum(np.sin(k * phase) / k for k in range(1, 15)) * (np.sin(2 * np.pi * 1.5 * t) > -0.5)
    return (0.1 * voice + 1e-3 * rng.standard_normal(len(t))).astype(np.float32)


# --- mel numbers against librosa ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    [
        FrontEndSpec(),
        FrontEndSpec(sample_rate=16_000, n_fft=1_024, n_bands=80, fmin=20.0, fmax=7_600.0),
        FrontEndSpec(sample_rate=44_100, n_fft=4_096, n_bands=100, fmax=16_000.0),
    ],
)
def test_mel_filters_are_those_of_librosa(spec: FrontEndSpec) -> None:
    librosa = pytest.importorskip("librosa")

    oracle = librosa.filters.mel(
        sr=spec.sample_rate, n_fft=spec.n_fft, n_mels=spec.n_bands, fmin=spec.fmin, fmax=spec.fmax
    )

    np.testing.assert_allclose(filter_bank(spec), oracle, atol=1e-8)


@pytest.mark.filterwarnings("ignore:n_fft=2048 is too large:UserWarning")  # librosa says so and goes on
@pytest.mark.parametrize("num_samples", [1, 511, 512, 513, 16_383, 40_000])
def test_mel_power_is_that_of_librosa_at_every_length(num_samples: int) -> None:
    librosa = pytest.importorskip("librosa")
    samples = speech_like(2.0, 22_050)[:num_samples]

    ours = band_power(samples, FrontEndSpec())

    oracle = librosa.feature.melspectrogram(y=samples, sr=22_050)
    assert ours.shape == oracle.shape
    np.testing.assert_allclose(ours, oracle, rtol=2e-4, atol=1e-6 * oracle.max())


def test_power_to_db_is_that_of_librosa() -> None:
    librosa = pytest.importorskip("librosa")
    power = np.random.default_rng(0).gamma(0.3, size=(20, 30)).astype(np.float32) ** 3

    for reference in (1.0, float(power.max())):
        oracle = librosa.power_to_db(power, ref=reference, top_db=80.0)
        np.testing.assert_allclose(power_to_db(power, reference=reference, top_db=80.0), oracle, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.0, 100_000.0))
def test_the_mel_scale_comes_back(hz: float) -> None:
    assert math.isclose(float(mel_to_hz(hz_to_mel(hz))), hz, rel_tol=1e-9, abs_tol=1e-9)


# --- every kind against its own definition, summed slowly ------------------------------------------------------------------------------


def slow_frames(samples: FloatArray, spec: FrontEndSpec) -> list[np.ndarray]:
    half = spec.n_fft // 2
    padded = np.concatenate([np.zeros(half), samples.astype(np.float64), np.zeros(spec.n_fft)])
    return [
        padded[k * spec.hop_length : k * spec.hop_length + spec.n_fft]
        for k in range(1 + len(samples) // spec.hop_length)
    ]


def slow_linear_power(samples: FloatArray, spec: FrontEndSpec) -> np.ndarray:
    """Triangles of equal width and area 1 over Hz, one multiplication at a time, in double precision."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(spec.n_fft) / spec.n_fft)
    width = (spec.top_hz - spec.fmin) / (spec.n_bands + 1)
    columns = []
    for frame in slow_frames(samples, spec):
        power = np.abs(np.fft.rfft(frame * window)) ** 2
        bands = []
        for band in range(spec.n_bands):
            centre = spec.fmin + width * (band + 1)
            weights = [
                max(0.0, 1 - abs(k * spec.sample_rate / spec.n_fft - centre) / width) / width for k in range(len(power))
            ]
            bands.append(np.dot(weights, power))
        columns.append(bands)
    return np.array(columns).T


def slow_constant_q_power(samples: FloatArray, spec: FrontEndSpec) -> np.ndarray:
    """|sum of sample * window * exp(-i w t)|² per band and frame, by the formula of Brown 1991."""
    ratio = (spec.top_hz / spec.fmin) ** (1 / spec.n_bands)
    power = np.zeros((spec.n_bands, 1 + len(samples) // spec.hop_length))
    for column, frame in enumerate(slow_frames(samples, spec)):
        for band in range(spec.n_bands):
            hz = spec.fmin * ratio**band
            length = min(spec.sample_rate / hz / (ratio - 1), spec.n_fft)
            heard, weight = 0.0 + 0.0j, 0.0
            for n in range(spec.n_fft):
                t = n - spec.n_fft // 2
                if abs(t) < length / 2:
                    share = 0.5 + 0.5 * math.cos(2 * math.pi * t / length)
                    heard += (
                        frame[n]
                        * share
                        * complex(
                            math.cos(2 * math.pi * hz * t / spec.sample_rate),
                            -math.sin(2 * math.pi * hz * t / spec.sample_rate),
                        )
                    )
                    weight += share
            power[band, column] = abs(2 * heard / weight) ** 2
    return power


def test_linear_bands_are_triangles_of_equal_width() -> None:
    samples = speech_like(0.3, RATE)

    slow = slow_linear_power(samples, SPECS["linear"])

    np.testing.assert_allclose(band_power(samples, SPECS["linear"]), slow, rtol=1e-3, atol=1e-6 * slow.max())


def test_constant_q_bands_are_windowed_tones() -> None:
    samples = speech_like(0.1, RATE)
    spec = SPECS["cqt"]

    slow = slow_constant_q_power(samples, spec)

    np.testing.assert_allclose(constant_q_power(samples, spec), slow, rtol=1e-3, atol=1e-6 * slow.max())


def test_lfcc_is_the_cosine_transform_of_the_linear_decibels() -> None:
    scipy_fft = pytest.importorskip("scipy.fft")
    samples = speech_like(0.3, RATE)

    decibels = log_spectrogram(samples, SPECS["linear"])

    oracle = scipy_fft.dct(decibels, type=2, norm="ortho", axis=0)[:13]
    np.testing.assert_allclose(log_spectrogram(samples, SPECS["lfcc"]), oracle, atol=1e-3)


def test_cosine_transform_is_orthonormal() -> None:
    square = cosine_transform(24, 24)

    np.testing.assert_allclose(square @ square.T, np.eye(24), atol=1e-6)


@pytest.mark.parametrize("band", [0, 7, 23])
def test_a_full_scale_sine_on_a_constant_q_band_is_zero_decibels_there_and_less_elsewhere(band: int) -> None:
    spec = SPECS["cqt"]
    hz = spec.band_centres_hz()[band]
    sine = np.sin(2 * np.pi * hz * np.arange(RATE) / RATE).astype(np.float32)

    middle = log_spectrogram(sine, spec)[:, 20:40]

    assert abs(middle[band].mean()) < 0.2
    assert middle.mean(axis=1).argmax() == band


@pytest.mark.parametrize("kind", ["mel", "linear"])
def test_white_noise_is_level_across_bands(kind: str) -> None:
    noise = np.random.default_rng(0).standard_normal(40 * RATE).astype(np.float32)

    levels = 10 * np.log10(band_power(noise, SPECS[kind])[:, 4:-4].mean(axis=1))

    assert np.ptp(levels) < 2.5  # narrow bands hold few bins


# --- properties of all kinds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("num_samples", [1, 127, 128, 5_000])
def test_shape_is_rows_by_one_frame_per_hop(kind: str, num_samples: int) -> None:
    spec = SPECS[kind]

    decibels = log_spectrogram(speech_like(1.0, RATE)[:num_samples], spec)

    assert decibels.dtype == np.float32
    assert decibels.shape == (spec.num_rows, spec.num_frames(num_samples)) == (spec.num_rows, 1 + num_samples // 128)


@pytest.mark.parametrize("kind", SPECS)
@pytest.mark.parametrize("level", [0.0, 0.5])
def test_silent_and_constant_sound_stays_finite(kind: str, level: float) -> None:
    samples = np.full(3_000, level, dtype=np.float32)

    decibels = log_spectrogram(samples, SPECS[kind])
    picture = to_picture(decibels, SPECS[kind])

    assert np.isfinite(decibels).all()
    assert np.isfinite(picture).all()


@pytest.mark.parametrize("kind", ["mel", "linear", "cqt"])
def test_ten_times_the_amplitude_is_twenty_decibels_more_above_the_floor(kind: str) -> None:
    samples = speech_like(0.5, RATE)
    spec = SPECS[kind].model_copy(update={"floor_db": -95.0})

    quiet, loud = log_spectrogram(samples * np.float32(0.1), spec), log_spectrogram(samples, spec)

    heard = quiet > spec.floor_db + 1.0
    np.testing.assert_allclose((loud - quiet)[heard], 20.0, atol=0.02)
    assert quiet.min() >= spec.floor_db


@settings(max_examples=15, deadline=None)
@given(shift=st.integers(1, 60), kind=st.sampled_from(sorted(SPECS)))
def test_sound_that_comes_hops_later_is_the_same_picture_later(shift: int, kind: str) -> None:
    """Also across the borders of the blocks that bound the memory."""
    spec = SPECS[kind]
    samples = speech_like(0.7, RATE)
    later = np.concatenate([np.zeros(shift * spec.hop_length, np.float32), samples])

    expected = log_spectrogram(samples, spec)

    np.testing.assert_allclose(log_spectrogram(later, spec)[:, shift:], expected, atol=2e-3)


def test_the_reference_shifts_the_decibels() -> None:
    samples = speech_like(0.3, RATE)
    louder = SPECS["mel"].model_copy(update={"reference": 100.0, "floor_db": -100.0})

    plain = log_spectrogram(samples, SPECS["mel"].model_copy(update={"floor_db": -80.0}))

    np.testing.assert_allclose(log_spectrogram(samples, louder) + 20.0, plain, atol=1e-3)


def test_a_fixed_picture_keeps_levels_and_a_stretched_one_does_not() -> None:
    samples = speech_like(0.5, RATE)
    fixed, stretched = SPECS["mel"], SPECS["mel"].model_copy(update={"scaling": "picture"})

    def picture(gain: float, spec: FrontEndSpec) -> FloatArray:
        return to_picture(log_spectrogram(samples * np.float32(gain), spec), spec)

    assert picture(1.0, fixed).max() - picture(0.1, fixed).max() == pytest.approx(20.0 / fixed.span_db, abs=1e-3)
    assert picture(1.0, stretched).max() == picture(0.1, stretched).max() == 1.0
    assert picture(1.0, stretched).min() == 0.0


def test_a_picture_by_bands_has_the_same_mean_and_deviation_in_every_row() -> None:
    spec = SPECS["lfcc"]

    picture = to_picture(log_spectrogram(speech_like(1.0, RATE), spec), spec)

    np.testing.assert_allclose(picture.mean(axis=1), 0.5, atol=1e-4)
    np.testing.assert_allclose(picture.std(axis=1), 0.25, atol=1e-4)


# --- settings that refuse nonsense -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings_", "sentence"),
    [
        ({"sample_rate": 8_000, "fmax": 5_000.0}, "half of sample_rate"),
        ({"fmin": 500.0, "fmax": 400.0}, "must lie below fmax"),
        ({"kind": "cqt"}, "needs fmin above 0"),
        ({"kind": "cqt", "fmin": 5.0}, "raise fmin to"),
        ({"n_fft": 255, "hop_length": 100}, "must be even"),
        ({"n_fft": 512, "hop_length": 600}, "skips samples"),
        ({"n_fft": 256, "hop_length": 128}, "lower n_bands or raise n_fft"),
        ({"kind": "lfcc"}, 'set scaling = "bands"'),
        ({"kind": "lfcc", "scaling": "bands", "n_coefficients": 129}, "must not exceed n_bands"),
        ({"n_coefficients": 20}, "belongs to lfcc"),
        ({"n_mels": 20}, "Extra inputs"),
        ({"kind": "wavelet"}, "'mel', 'linear', 'lfcc' or 'cqt'"),
        ({"floor_db": math.nan}, "finite number"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_with_the_cure(
    settings_: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValidationError, match=sentence):
        FrontEndSpec(**settings_)


def test_fixed_matrices_are_shared_and_cannot_be_written_to() -> None:
    for matrix in (filter_bank(SPECS["mel"]), constant_q_kernels(SPECS["cqt"])):
        with pytest.raises(ValueError, match="read-only"):
            matrix[0, 0] = 1.0


def test_band_centres_rise_within_the_band() -> None:
    for spec in SPECS.values():
        centres = spec.band_centres_hz()
        assert len(centres) == spec.n_bands
        assert (np.diff(centres) > 0).all()
        assert spec.fmin <= centres[0] < centres[-1] < spec.top_hz


# --- the published picture -------------------------------------------------------------------------------------------------------------


def slow_resize(picture: PixelArray, width: int, height: int) -> np.ndarray:
    """cv2.resize with INTER_LINEAR by its formula: one pixel at a time, centres at half, edges repeated."""
    rows, columns = picture.shape
    out = np.zeros((height, width))
    for i in range(height):
        for j in range(width):
            y = min(max((i + 0.5) * rows / height - 0.5, 0.0), rows - 1.0)
            x = min(max((j + 0.5) * columns / width - 0.5, 0.0), columns - 1.0)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, rows - 1), min(left + 1, columns - 1)
            dy, dx = y - top, x - left
            out[i, j] = (
                picture[top, left] * (1 - dy) * (1 - dx)
                + picture[top, right] * (1 - dy) * dx
                + picture[bottom, left] * dy * (1 - dx)
                + picture[bottom, right] * dy * dx
            )
    return out


def published_picture(samples: FloatArray, size: tuple[int, int], **mel: Any) -> np.ndarray:
    """The published pipeline after decoding: librosa, cv2.normalize's sum, uint8, cv2.resize's sum, rounded."""
    import librosa

    power = librosa.feature.melspectrogram(y=samples, sr=22_050, **mel)
    decibels = librosa.power_to_db(power, ref=np.max)
    span = decibels.max() - decibels.min()
    grey = ((decibels - decibels.min()) * (255.0 / span if span > np.finfo(float).eps else 0.0)).astype(np.uint8)
    return np.rint(slow_resize(grey, *size))


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    width=st.integers(1, 20),
    height=st.integers(1, 20),
    seed=st.integers(0, 99),
)
def test_resize_is_the_slow_one(shape: tuple[int, int], width: int, height: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)

    resized = resize_bilinear(picture, width=width, height=height)

    assert resized.shape == (height, width)
    assert np.abs(resized - slow_resize(picture, width, height)).max() <= 0.501


def test_resize_to_the_same_size_changes_nothing() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 9)).astype(np.uint8)

    assert (resize_bilinear(picture, width=9, height=7) == picture).all()


@pytest.mark.parametrize(("n_mels", "fmax"), [(128, 8_000), (128, None), (64, 4_000)])
@pytest.mark.parametrize("size", [(256, 256), (100, 40)])
def test_mel_picture_is_the_published_one_within_a_grey_level(
    n_mels: int, fmax: float | None, size: tuple[int, int]
) -> None:
    pytest.importorskip("librosa")
    samples = speech_like(1.3, 22_050)

    ours = mel_picture(samples, FrontEndSpec(n_bands=n_mels, fmax=fmax), size)

    assert ours.dtype == np.uint8
    assert ours.shape == size[::-1]
    assert np.abs(ours - published_picture(samples, size, n_mels=n_mels, fmax=fmax)).max() <= 1.0


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000])
def test_a_written_file_gives_the_published_picture(tmp_path: Path, rate: int) -> None:
    """Stereo PCM, so that decoding adds nothing: what librosa.load's mean of channels and soxr_hq would hear."""
    librosa = pytest.importorskip("librosa")
    from ffdv.media.write import write_media

    stereo = np.stack([speech_like(2.0, rate, seed=1), 0.5 * speech_like(2.0, rate, seed=2)])
    path = write_media(tmp_path / "clip.wav", sound=Samples(stereo, rate))
    stored = np.round(stereo * 32_768) / 32_768

    ours = generate_mel_spectrogram(path)

    heard = stored.mean(axis=0).astype(np.float32)
    heard = librosa.resample(heard, orig_sr=rate, target_sr=22_050, res_type="soxr_hq") if rate != 22_050 else heard
    assert np.abs(ours - published_picture(heard, (256, 256), fmax=8_000)).max() <= 1.0


@pytest.mark.data
def test_real_clips_give_the_published_picture(shared_data: Path) -> None:
    librosa = pytest.importorskip("librosa")
    from ffdv.media.read import open_media, read_samples

    paths = [*sorted((shared_data / "audio" / "train").glob("*.opus"))[:2]]
    with_sound = (path for path in sorted((shared_data / "video" / "train").glob("*.mp4")) if _has_sound(path))
    paths += [next(with_sound) for _ in range(2)]
    for path in paths:
        with open_media(path) as media:
            stored = read_samples(media)
        heard = librosa.resample(stored.mono(), orig_sr=stored.rate, target_sr=22_050, res_type="soxr_hq")
        for fmax in (8_000, None):
            difference = np.abs(
                generate_mel_spectrogram(path, fmax=fmax) - published_picture(heard, (256, 256), fmax=fmax)
            )
            assert difference.max() <= 1.0, path


def _has_sound(path: Path) -> bool:
    from ffdv.media.probe import probe

    return probe(path).has_sound


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_a_file_of_one_level_gives_a_picture_and_silence_a_black_one(tmp_path: Path, level: float) -> None:
    from ffdv.media.write import write_media

    path = write_media(tmp_path / "flat.wav", sound=Samples(np.full((1, 22_050), level, np.float32), 22_050))

    picture = generate_mel_spectrogram(path, target_size=(30, 20))

    assert picture.shape == (20, 30)
    assert picture.any() == (level > 0.0)


def test_a_picture_without_sound_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    from ffdv.media.write import write_media

    frames = [np.zeros((32, 32, 3), np.uint8)] * 5
    path = write_media(tmp_path / "mute.mp4", frames=frames)

    with pytest.raises(StreamMissing, match=r"mute\.mp4"):
        generate_mel_spectrogram(path)


def test_the_published_signature_is_kept() -> None:
    parameters = inspect.signature(generate_mel_spectrogram).parameters

    assert list(parameters) == ["video_path", "n_mels", "fmax", "target_size"]
    assert [parameter.default for parameter in parameters.values()][1:] == [128, 8000, (256, 256)]


def test_impossible_bands_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"^n_mels=128, fmax=12000: fmax 12000 Hz lies above 11025 Hz"):
        generate_mel_spectrogram(tmp_path / "any.wav", fmax=12_000)


def test_importing_the_front_end_loads_neither_torch_nor_scipy_nor_a_decoder() -> None:
    program = "import sys, ffdv.features.spectrogram; print([m for m in ('torch', 'scipy', 'av', 'librosa') if m in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()

    assert loaded == "[]"


def test_the_examples_in_the_docstrings_hold() -> None:
    import doctest

    assert doctest.testmod(spectrogram).failed == 0


def test_a_spectrogram_is_of_mono_floats_and_says_so() -> None:
    """Whole numbers once gave 97 dB instead of 7, without a word."""
    spec, sound = FrontEndSpec(), np.random.default_rng(0).uniform(-0.5, 0.5, 8_000).astype(np.float32)

    assert np.array_equal(log_spectrogram(sound.astype(np.float64), spec), log_spectrogram(sound, spec))
    with pytest.raises(ValueError, match="got int16; divide by 32768"):
        log_spectrogram((sound * 32_767).astype(np.int16), spec)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"shape \(n,\), got \(1, 8000\); take one channel"):
        log_spectrogram(sound[None], spec)
    with pytest.raises(ValueError, match="channels come first; transpose"):
        mel_picture(sound[:, None], spec, (64, 64))
    with pytest.raises(ValueError, match="8000 of 8000 samples are not finite"):
        log_spectrogram(sound * np.float32(np.nan), spec)
