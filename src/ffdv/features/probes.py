"""Shortcut probes: cheap facts about container and sound that are not forgery, yet often tell fake from real.

Each is one finite float with its unit in the name; what cannot be measured is left out, never zero. They are taken during
the one decode that extract does, so that an audit costs nothing more.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ffdv.records import FloatArray, MediaFacts

# Edges in Hz. On the challenge's clips 11-16 kHz alone separates the classes; 7-8 kHz shows the band limit of 16 kHz material.
BAND_EDGES_HZ = (0, 300, 1000, 4000, 7000, 8000, 11000, 16000, 22050)
FRAME_SAMPLES = 2048
# One spectrum frame in so many seconds: at 44.1 kHz every other frame, which halves the probes' cost; at 22 kHz and less, all.
SPECTRUM_SECONDS = 0.093
SILENCE_BELOW_PEAK_DB = -40.0  # quiet against the clip's own level: trimming
ZERO_LEVEL = 1e-4  # -80 dBFS, quiet in any clip: padding by an encoder
LOUDNESS_SECONDS = 0.02
CLIPPED = 0.999
FLOOR_DB = -120.0
BAND_LIMIT_DB = -60.0  # under the strongest bin of the mean spectrum


def container_probes(facts: MediaFacts) -> dict[str, float]:
    """What headers alone give away: lengths, starts, rates, sizes, how many tracks and tags."""
    picture = facts.pictures[0] if facts.pictures else None
    sound = facts.sounds[0] if facts.sounds else None
    values: dict[str, float | None] = {
        "container_size_bytes": facts.size_bytes,
        "container_duration_seconds": facts.duration_seconds,
        "container_bit_rate": facts.bit_rate,
        "container_num_tracks": len(facts.pictures) + len(facts.sounds),
        "container_num_tags": len(facts.tags),
    }
    if picture is not None:
        values |= {
            "picture_duration_seconds": picture.duration_seconds,
            "picture_start_seconds": picture.start_seconds,
            "picture_bit_rate": picture.bit_rate,
            "picture_num_frames": picture.num_frames,
            "picture_fps": picture.fps,
            "picture_width": picture.width,
            "picture_height": picture.height,
        }
    if sound is not None:
        values |= {
            "sound_duration_seconds": sound.duration_seconds,
            "sound_start_seconds": sound.start_seconds,
            "sound_bit_rate": sound.bit_rate,
            "sound_rate": sound.rate,
            "sound_channels": sound.channels,
        }
    if picture is not None and sound is not None:
        values["sound_minus_picture_seconds"] = _difference(sound.duration_seconds, picture.duration_seconds)
        values["sound_minus_picture_start_seconds"] = _difference(sound.start_seconds, picture.start_seconds)
    return finite(values)


class SoundProbes:
    """Gathers the sound's probes block by block at the file's own rate; memory is a float per 20 milliseconds."""

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self._cell = max(1, rate // 1000)  # samples per envelope cell, about one millisecond
        self._cells_at_once = max(1, round(LOUDNESS_SECONDS * rate / self._cell))  # that one loudness is taken of
        self._rest = np.zeros(0, np.float32)  # what did not fill so many cells yet
        self._frame = np.zeros(0, np.float32)  # what did not fill a spectrum frame yet
        self._peaks = Peaks()
        self._energies: list[npt.NDArray[np.float64]] = []
        self._spectrum = np.zeros(FRAME_SAMPLES // 2 + 1)
        self._num_frames = 0
        self._frame_step = max(1, round(rate * SPECTRUM_SECONDS / FRAME_SAMPLES))
        self._num_samples = 0
        self._num_clipped = 0
        self._sum = 0.0
        self._difference_energy = 0.0
        self._channels = 0
        self._window = np.hanning(FRAME_SAMPLES).astype(np.float32)

    def add(self, values: FloatArray, mono: FloatArray) -> None:
        """Take the next block: values (channels, n) as decoded, mono (n,) their mean."""
        self._channels = max(self._channels, len(values))
        self._num_samples += len(mono)
        if max(values.max(initial=0.0), -values.min(initial=0.0)) >= CLIPPED:
            self._num_clipped += int(np.count_nonzero(np.abs(values).max(axis=0) >= CLIPPED))
        self._sum += float(mono.sum())
        if len(values) > 1:
            self._difference_energy += _energy(values[0] - values[1]) / 4
        self._add_envelope(mono)
        self._add_spectrum(mono)

    def finish(self) -> dict[str, float]:
        """The probes of all blocks; empty when there was no sound."""
        if not self._num_samples:
            return {}
        energy, energies = self._close_envelope()
        peak = self._peaks.largest
        level = _db(energy / self._num_samples)
        values: dict[str, float | None] = {
            "sound_decoded_seconds": self._num_samples / self.rate,
            "sound_level_db": level,
            "sound_peak_db": 2 * _db(peak),
            "sound_crest_db": 2 * _db(peak) - level,
            "sound_clipped_share": self._num_clipped / self._num_samples,
            "sound_dc": self._sum / self._num_samples,
        }
        if self._channels > 1:
            values["sound_channel_difference_db"] = _db(self._difference_energy / self._num_samples) - level
        return finite(values) | self._silence(energies, peak) | self._bands()

    def _add_envelope(self, mono: FloatArray) -> None:
        joined = np.concatenate((self._rest, mono))
        step = self._cell * self._cells_at_once
        whole = len(joined) // step * step
        cells = joined[:whole].reshape(-1, self._cell)
        # The largest of each cell: four times as fast along the long axis.
        self._peaks.add(np.abs(np.ascontiguousarray(cells.T)).max(axis=0, initial=0.0))
        energies = np.einsum("ij,ij->i", cells, cells)
        self._energies.append(energies.reshape(-1, self._cells_at_once).sum(axis=1, dtype=np.float64))
        self._rest = joined[whole:].copy()

    def _close_envelope(self) -> tuple[float, npt.NDArray[np.float64]]:
        """The energy of all samples, and the mean energy of a cell in each stretch of LOUDNESS_SECONDS."""
        energies = np.concatenate(self._energies)
        rest = [self._rest[at : at + self._cell] for at in range(0, len(self._rest), self._cell)]
        self._rest = self._rest[:0]
        if rest:
            self._peaks.add(np.asarray([np.abs(cell).max() for cell in rest], np.float32))
        last = sum(map(_energy, rest))
        whole = float(energies.sum()) + last
        energies /= self._cells_at_once
        if len(rest) == self._cells_at_once or not len(energies):
            energies = np.append(energies, last / len(rest))
        return whole, energies

    def _add_spectrum(self, mono: FloatArray) -> None:
        joined = np.concatenate((self._frame, mono))
        whole = len(joined) // FRAME_SAMPLES * FRAME_SAMPLES
        frames = joined[:whole].reshape(-1, FRAME_SAMPLES)
        chosen = frames[-self._num_frames % self._frame_step :: self._frame_step] * self._window
        self._spectrum += np.square(np.abs(np.fft.rfft(chosen, axis=1))).sum(axis=0, dtype=np.float64)
        self._num_frames += len(frames)
        self._frame = joined[whole:].copy()

    def _silence(self, energies: npt.NDArray[np.float64], peak: float) -> dict[str, float]:
        """Silence at both ends to a millisecond, its share of the whole, and the level of the quietest parts."""
        cell_seconds = self._cell / self.rate
        threshold = peak * 10 ** (SILENCE_BELOW_PEAK_DB / 20)
        levels = 10 * np.log10(np.maximum(energies / self._cell, 1e-12))
        return {
            "sound_leading_silence_seconds": self._peaks.leading(threshold) * cell_seconds,
            "sound_trailing_silence_seconds": self._peaks.trailing(threshold) * cell_seconds,
            "sound_leading_zeros_seconds": self._peaks.leading(ZERO_LEVEL) * cell_seconds,
            "sound_trailing_zeros_seconds": self._peaks.trailing(ZERO_LEVEL) * cell_seconds,
            "sound_silent_share": float(np.mean(levels < 2 * _db(peak) + SILENCE_BELOW_PEAK_DB)),
            "sound_noise_floor_db": float(np.percentile(levels, 5)),
        }

    def _bands(self) -> dict[str, float]:
        """Energy per band against the whole, up to Nyquist; roll-offs; where the mean spectrum ends."""
        total = float(self._spectrum[1:].sum())
        if total <= 0:
            return {}
        hertz = np.arange(len(self._spectrum)) * self.rate / FRAME_SAMPLES
        power = self._spectrum.copy()
        power[0] = 0.0  # DC has a probe of its own
        values: dict[str, float] = {}
        for low, high in itertools.pairwise(BAND_EDGES_HZ):
            if low < self.rate / 2:
                values[f"sound_band_{low}_{high}_hz_db"] = _db(
                    float(power[(hertz >= low) & (hertz < high)].sum()) / total
                )
        shares = np.cumsum(power) / total
        values["sound_rolloff_85_hz"] = float(hertz[int(np.argmax(shares >= 0.85))])
        values["sound_rolloff_99_hz"] = float(hertz[int(np.argmax(shares >= 0.99))])
        loud = np.flatnonzero(power >= power.max() * 10 ** (BAND_LIMIT_DB / 10))
        values["sound_band_limit_hz"] = float(hertz[loud[-1]])
        return values


class Peaks:
    """How loud a row of cells is at its ends, whatever counts as loud, without keeping the row.

    Kept are the cells that are louder than all before them, and those louder than all behind them: a few hundred of an hour.
    """

    def __init__(self) -> None:
        self._count = 0
        self._rising = self._falling = (np.zeros(0, np.int64), np.zeros(0, np.float32))  # places and peaks

    @property
    def largest(self) -> float:
        """The loudest cell's peak; 0.0 where there is none."""
        return float(self._rising[1][-1]) if len(self._rising[1]) else 0.0

    def add(self, peaks: FloatArray) -> None:
        """Lay further cells (n,) behind those that are there."""
        if not len(peaks):
            return
        places, so_far = self._rising
        first = _records(peaks)
        first = first[peaks[first] > self.largest] if len(so_far) else first
        self._rising = np.append(places, self._count + first), np.append(so_far, peaks[first])
        last = len(peaks) - 1 - _records(peaks[::-1])[::-1]
        places, so_far = self._falling
        louder = so_far > peaks.max()
        self._falling = np.append(places[louder], self._count + last), np.append(so_far[louder], peaks[last])
        self._count += len(peaks)

    def leading(self, threshold: float) -> int:
        """How many cells from the start stay at or under the threshold."""
        places, peaks = self._rising
        loud = places[peaks > threshold]
        return int(loud[0]) if len(loud) else self._count

    def trailing(self, threshold: float) -> int:
        """How many cells before the end stay at or under the threshold."""
        places, peaks = self._falling
        loud = places[peaks > threshold]
        return self._count - 1 - int(loud[-1]) if len(loud) else self._count


def _records(values: FloatArray) -> npt.NDArray[np.int64]:
    """Places of the values that are larger than all before them."""
    highest = np.maximum.accumulate(values)
    return np.flatnonzero(np.append(True, values[1:] > highest[:-1]))


def finite(values: Mapping[str, float | None]) -> dict[str, float]:
    """The known, finite numbers as float."""
    return {name: float(value) for name, value in values.items() if value is not None and math.isfinite(value)}


def _difference(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else a - b


def _energy(values: FloatArray) -> float:
    return float(np.dot(values, values))


def _db(power: float) -> float:
    return max(FLOOR_DB, 10 * math.log10(power)) if power > 0 else FLOOR_DB
