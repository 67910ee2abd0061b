"""Shoebox rooms: the first echoes mirrored one by one, the late ones as decaying noise of the same energy.

Image sources (Allen and Berkley 1979) up to 50 ms; a whole decay of 0.6 s would take some 700,000 of them. After that
the field is diffuse, and statistical room acoustics gives its energy: image density times energy per image,

    4πc³t²/V · (1 / 4πct)² · e^(-13.8 t / RT60)  =  c / 4πV · e^(-13.8 t / RT60)        per second,

so both halves meet at the same level without fitting.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.signal

from ffdv.records import FloatArray

SPEED_OF_SOUND = 343.0  # metres a second, air at 20 °C
_EARLY_SECONDS = 0.05
_WALL_MARGIN_METRES = 0.2
_SINC_TAPS = 32  # an echo falls between two samples; 32 Hann-windowed sinc taps place it


@dataclass(frozen=True)
class Room:
    """A cuboid with a talker and a microphone: lengths in metres, all walls alike, a wanted RT60 in seconds."""

    size: tuple[float, float, float]
    talker: tuple[float, float, float]
    microphone: tuple[float, float, float]
    rt60_seconds: float

    def __post_init__(self) -> None:
        """Refuse a talker or microphone in the wall, and a decay that is not positive."""
        for place in (self.talker, self.microphone):
            if not all(0 < coordinate < side for coordinate, side in zip(place, self.size, strict=True)):
                raise ValueError(f"{place} is not inside a room of {self.size} metres")
        if self.rt60_seconds <= 0:
            raise ValueError(f"RT60 must be positive, got {self.rt60_seconds}")

    @property
    def volume(self) -> float:
        """Cubic metres."""
        return math.prod(self.size)


def draw_room(rng: np.random.Generator, *, rt60_seconds: float, distance_metres: float) -> Room:
    """A living room to a hall (3–10 × 3–8 × 2.4–4 m), talker and microphone at most `distance_metres` apart.

    Decays under 0.4 s belong to smaller rooms, down to a cabin of two fifths of these lengths: in a hall, nothing
    between direct sound and first wall would ring at all.
    """
    size = rng.uniform((3.0, 3.0, 2.4), (10.0, 8.0, 4.0)) * min(1.0, max(0.4, rt60_seconds / 0.4))
    talker = rng.uniform(_WALL_MARGIN_METRES, size - _WALL_MARGIN_METRES)
    direction = rng.standard_normal(3)
    wanted = talker + distance_metres * direction / np.linalg.norm(direction)
    microphone = np.clip(wanted, _WALL_MARGIN_METRES, size - _WALL_MARGIN_METRES)
    if np.allclose(microphone, talker):  # both in the corner; 0.4 m of height apart
        microphone[2] += 0.4 if talker[2] < size[2] / 2 else -0.4
    return Room(_triple(size), _triple(talker), _triple(microphone), rt60_seconds)


def impulse_response(room: Room, rng: np.random.Generator, *, rate: int) -> FloatArray:
    """What a clap becomes at the microphone: float32 (n,), direct sound at sample 0, as long as the RT60.

    rng draws the late part only. Echoes that pass an odd number of walls change their sign (Lehmann and Johansson
    2008), which keeps the response free of a constant part.
    """
    metres, walls = _echoes(room)
    first = metres.min()
    length = max(_SINC_TAPS, math.ceil(room.rt60_seconds * rate))
    seconds = np.arange(length) / rate + first / SPEED_OF_SOUND
    density = SPEED_OF_SOUND / (4 * np.pi * room.volume * rate)
    late = np.sqrt(density) * 10 ** (-3 * seconds / room.rt60_seconds) * rng.standard_normal(length)
    late[seconds < _EARLY_SECONDS] = 0.0
    # An echo is damped by the time it has travelled, not by the walls it met: the same on average (Eyring's diffuse
    # field), and a short decay, over within the early echoes, lasts as long as wanted in rooms of every shape.
    gains = (-1.0) ** walls * 10 ** (-3 * metres / SPEED_OF_SOUND / room.rt60_seconds) / (4 * np.pi * metres)
    response: FloatArray = (_place(metres - first, gains, rate=rate, length=length) + late).astype(np.float32)
    return response


def reverberate_with(samples: FloatArray, response: FloatArray) -> FloatArray:
    """Samples through a room: same length (what rings on after the end is cut), same RMS, direct sound in place."""
    if samples.size == 0:
        return samples
    wet = scipy.signal.oaconvolve(samples, response)[: len(samples)]
    dry_power, wet_power = np.mean(np.square(samples)), np.mean(np.square(wet))
    gain = np.sqrt(dry_power / wet_power) if wet_power > 0 else 1.0
    heard: FloatArray = (wet * gain).astype(np.float32)
    return heard


def _echoes(room: Room) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Path lengths in metres and walls passed, both (images,), of every image nearer than `_EARLY_SECONDS`."""
    reach = SPEED_OF_SOUND * _EARLY_SECONDS
    sides, talker, microphone = (np.array(part) for part in (room.size, room.talker, room.microphone))
    counts = np.ceil(reach / (2 * sides)).astype(int)
    per_axis = []
    for axis in range(3):
        copies = np.arange(-counts[axis], counts[axis] + 1)
        # Along one axis the images stand at 2nL ± talker, having passed |2n| or |2n - 1| walls.
        places = np.concatenate([2 * copies * sides[axis] + talker[axis], 2 * copies * sides[axis] - talker[axis]])
        walls = np.concatenate([np.abs(2 * copies), np.abs(2 * copies - 1)])
        per_axis.append((places - microphone[axis], walls))
    (x, wx), (y, wy), (z, wz) = per_axis
    lengths = np.sqrt(x[:, None, None] ** 2 + y[:, None] ** 2 + z**2).ravel()
    walls = (wx[:, None, None] + wy[:, None] + wz).ravel()
    near = lengths < max(reach, lengths.min() + 1e-9)
    return lengths[near].astype(np.float32), walls[near]


def _place(metres: FloatArray, gains: FloatArray, *, rate: int, length: int) -> FloatArray:
    """Echoes at fractions of a sample, summed into (length,)."""
    at = metres.astype(np.float64) * rate / SPEED_OF_SOUND
    taps = np.arange(-_SINC_TAPS // 2 + 1, _SINC_TAPS // 2 + 1)
    whole = np.floor(at).astype(int)
    offsets = taps - (at - whole)[:, None]
    weights = np.sinc(offsets) * (0.5 + 0.5 * np.cos(2 * np.pi * offsets / _SINC_TAPS)) * gains[:, None]
    places = whole[:, None] + taps
    inside = (places >= 0) & (places < length)
    placed: FloatArray = np.bincount(places[inside], weights[inside], minlength=length).astype(np.float32)
    return placed


def _triple(values: npt.NDArray[np.floating]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
