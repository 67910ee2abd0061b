"""Each shortcut that data sets are known for shows in its probe, in the right unit, and only there."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from ffdv.features.probes import Peaks, SoundProbes

RATE = 44_100


def speech_like(seconds: float = 2.0, rate: int = RATE, seed: int = 0) -> npt.NDArray[np.float32]:
    return (0.1 * np.random.default_rng(seed).standard_normal(round(seconds * rate))).astype(np.float32)


def probes(values: npt.NDArray[np.float32], rate: int = RATE, block: int | None = None) -> dict[str, float]:
    stereo = np.atleast_2d(values)
    gathered = SoundProbes(rate)
    for start in range(0, stereo.shape[1], block or stereo.shape[1]):
        piece = stereo[:, start : start + (block or stereo.shape[1])]
        gathered.add(piece, piece.mean(axis=0))
    return gathered.finish()


@settings(max_examples=20, deadline=None)
@given(block=st.integers(100, 30_000), rate=st.sampled_from([4000, 8000, 22_050, 44_100]))
def test_blocks_do_not_matter(block: int, rate: int) -> None:
    values = np.stack([speech_like(0.7, rate), speech_like(0.7, rate, seed=1)])

    whole, pieces = probes(values, rate), probes(values, rate, block)

    assert whole.keys() == pieces.keys()
    for name, value in whole.items():
        assert pieces[name] == pytest.approx(value, abs=1e-4), name


@pytest.mark.parametrize("where", ["leading", "trailing"])
@pytest.mark.parametrize("milliseconds", [0, 13, 250])
def test_padding_with_zeros_is_found_to_two_milliseconds(where: str, milliseconds: int) -> None:
    padding = np.zeros(round(milliseconds / 1000 * RATE), np.float32)
    parts = (padding, speech_like()) if where == "leading" else (speech_like(), padding)

    found = probes(np.concatenate(parts))

    other = {"leading": "trailing", "trailing": "leading"}[where]
    for kind in ("zeros", "silence"):
        assert found[f"sound_{where}_{kind}_seconds"] == pytest.approx(milliseconds / 1000, abs=0.002)
        assert found[f"sound_{other}_{kind}_seconds"] == pytest.approx(0, abs=0.002)


def test_quiet_noise_is_silence_but_not_zeros() -> None:
    quiet = 0.002 * speech_like(0.5)

    found = probes(np.concatenate((quiet, speech_like())))

    assert found["sound_leading_silence_seconds"] == pytest.approx(0.5, abs=0.002)
    assert found["sound_leading_zeros_seconds"] < 0.1
    assert found["sound_silent_share"] == pytest.approx(0.2, abs=0.02)


def test_level_peak_and_offset_are_what_they_are() -> None:
    wave = (0.5 * np.sin(2 * np.pi * 441 * np.arange(RATE) / RATE) + 0.25).astype(np.float32)

    found = probes(wave)

    assert found["sound_peak_db"] == pytest.approx(20 * np.log10(0.75), abs=0.01)
    assert found["sound_level_db"] == pytest.approx(10 * np.log10(0.125 + 0.0625), abs=0.01)
    assert found["sound_dc"] == pytest.approx(0.25, abs=1e-4)
    assert found["sound_decoded_seconds"] == 1.0


def test_clipping_is_the_share_of_samples_at_full_scale() -> None:
    values = speech_like(1.0)
    values[:441] = 1.0

    assert probes(values)["sound_clipped_share"] == pytest.approx(0.01)


def test_a_band_limit_shows() -> None:
    filtered = scipy.signal.sosfilt(scipy.signal.cheby2(12, 80, 11_000, fs=RATE, output="sos"), speech_like(4.0))

    whole, limited = probes(speech_like(4.0)), probes(filtered.astype(np.float32))

    assert whole["sound_band_limit_hz"] > 21_500
    assert limited["sound_band_limit_hz"] == pytest.approx(11_000, rel=0.03)
    assert limited["sound_band_11000_16000_hz_db"] < whole["sound_band_11000_16000_hz_db"] - 40
    assert limited["sound_band_1000_4000_hz_db"] == pytest.approx(whole["sound_band_1000_4000_hz_db"] + 3, abs=1)


def test_bands_add_up_to_the_whole_and_agree_with_an_independent_spectrum() -> None:
    values = scipy.signal.lfilter([1], [1, -0.9], speech_like(5.0)).astype(np.float32)

    found = probes(values)

    bands = {name: value for name, value in found.items() if name.startswith("sound_band_") and name.endswith("_hz_db")}
    assert sum(10 ** (value / 10) for value in bands.values()) == pytest.approx(1, abs=0.01)
    hertz, power = scipy.signal.welch(values, RATE, nperseg=4096)
    share = power[(hertz >= 1000) & (hertz < 4000)].sum() / power.sum()
    assert bands["sound_band_1000_4000_hz_db"] == pytest.approx(10 * np.log10(share), abs=0.3)


def test_only_bands_below_nyquist_are_there() -> None:
    found = probes(speech_like(1.0, 16_000), 16_000)

    assert "sound_band_7000_8000_hz_db" in found
    assert "sound_band_8000_11000_hz_db" not in found


def test_identical_channels_differ_by_nothing_and_opposite_ones_by_everything() -> None:
    mono = speech_like()

    same = probes(np.stack([mono, mono]))
    independent = probes(np.stack([mono, speech_like(seed=1)]))

    assert same["sound_channel_difference_db"] < -80
    assert independent["sound_channel_difference_db"] == pytest.approx(0, abs=0.2)
    assert "sound_channel_difference_db" not in probes(mono)


@pytest.mark.parametrize(
    "values", [np.zeros(RATE, np.float32), np.ones(RATE, np.float32), np.zeros(3, np.float32) + 0.1]
)
def test_degenerate_sound_gives_finite_numbers(values: npt.NDArray[np.float32]) -> None:
    found = probes(values)

    assert found
    assert all(np.isfinite(value) for value in found.values())


def test_no_sound_gives_no_probes() -> None:
    assert SoundProbes(RATE).finish() == {}


@given(
    cells=st.lists(st.integers(0, 9), max_size=40),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    threshold=st.integers(0, 9),
)
def test_quiet_cells_at_the_ends_are_counted_without_keeping_the_row(
    cells: list[int], cuts: list[int], threshold: int
) -> None:
    row = np.asarray(cells, np.float32)
    peaks = Peaks()
    for part in np.split(row, sorted(cuts)):
        peaks.add(part)
    loud = np.flatnonzero(row > threshold)

    assert peaks.largest == max(cells, default=0)
    assert peaks.leading(threshold) == (loud[0] if len(loud) else len(row))
    assert peaks.trailing(threshold) == (len(row) - 1 - loud[-1] if len(loud) else len(row))


def test_an_hour_is_held_in_a_few_cells() -> None:
    peaks = Peaks()
    for second in range(3600):
        peaks.add(np.abs(speech_like(1.0, 1000, seed=second)))

    assert len(peaks._rising[0]) + len(peaks._falling[0]) < 200
