"""Open clips worn as the world wears sound, for the statistics of the voice: codecs, telephones, noise, rooms.

Without worn copies the ridge takes the ripples of a telephone for those of a generator: 96 % of real clips over G.711 seemed made, then 40 %. With low
bit rates among all other wear only, MP3 at 32 kbit/s made 12 % of real clips seem made; with copies of their own, 1 % (decision 0019).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from voice_corpus import Row, Sound, check_open
from voice_training import odds

from ffdv.augment.codec import transcode_sound
from ffdv.augment.noise import coloured_noise
from ffdv.augment.rooms import draw_room, impulse_response, reverberate_with
from ffdv.detect.voice import RATE, as_trained
from ffdv.features.voice_statistics import statistic_names, voice_statistics
from ffdv.records import FAKE, REAL, FloatArray

WORN_EACH = 420  # worn copies of reals, and of fakes, a seed
Wear = Callable[[FloatArray, np.random.Generator], FloatArray]


def worn_somehow(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Worn by a codec of low rate, a telephone, noise or a room."""
    luck = rng.random()
    if luck < 0.25:
        return transcode_sound(samples, rate=RATE, name="opus", kbps=rng.uniform(8, 20))
    if luck < 0.4:
        return transcode_sound(samples, rate=RATE, name="amr", kbps=rng.uniform(6, 12.2))
    if luck < 0.55:
        return transcode_sound(samples, rate=RATE, name="g711_mu" if rng.random() < 0.5 else "g711_a")
    if luck < 0.75:
        return transcode_sound(
            samples, rate=RATE, name="mp3" if rng.random() < 0.5 else "aac", kbps=rng.uniform(20, 64)
        )
    if luck < 0.9:
        return _noisy(samples, rng, cleanest=30)
    return _in_room(samples, rng)


def _at_low_rate(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    luck = rng.random()
    if luck < 0.45:
        return transcode_sound(samples, rate=RATE, name="opus", kbps=rng.uniform(8, 28))
    return transcode_sound(samples, rate=RATE, name="mp3" if luck < 0.85 else "aac", kbps=rng.uniform(16, 48))


def worn_often(samples: FloatArray, rng: np.random.Generator, rate: int = RATE) -> FloatArray:
    """Through one to three codecs of low rate, as what chat apps pass on."""
    for _ in range(int(rng.integers(1, 4))):
        luck = rng.random()
        if luck < 0.6:
            samples = transcode_sound(samples, rate=rate, name="opus", kbps=rng.uniform(8, 28))
        elif luck < 0.8:
            samples = transcode_sound(samples, rate=rate, name="aac", kbps=rng.uniform(24, 48))
        elif luck < 0.9:
            samples = transcode_sound(samples, rate=rate, name="mp3", kbps=rng.uniform(16, 48))
        else:
            called = transcode_sound(samples, rate=rate, name="amr", kbps=12.2)
            samples = transcode_sound(called, rate=rate, name="opus", kbps=16.0)
    return samples


def _in_noise(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    return _noisy(_in_room(samples, rng) if rng.random() < 0.2 else samples, rng, cleanest=35)


def _noisy(samples: FloatArray, rng: np.random.Generator, *, cleanest: float) -> FloatArray:
    noise = coloured_noise(len(samples), rng, colour="white" if rng.random() < 0.5 else "pink")
    gain = np.sqrt(np.mean(samples**2) / np.mean(noise**2)) * 10 ** (-rng.uniform(10, cleanest) / 20)
    return samples + noise * np.float32(gain)


def _in_room(samples: FloatArray, rng: np.random.Generator) -> FloatArray:
    room = draw_room(rng, rt60_seconds=rng.uniform(0.15, 0.5), distance_metres=rng.uniform(0.5, 2.0))
    return reverberate_with(samples, impulse_response(room, rng, rate=RATE))


WORN_SEEDS: Mapping[int, Wear] = {
    100: worn_somehow,
    101: worn_somehow,
    102: _at_low_rate,
    103: _at_low_rate,
    104: _in_noise,
}


@dataclass(frozen=True)
class Wearing:
    """Worn copies of the open clips `places`; their statistics are kept in `work`, a file a seed."""

    sound: Sound
    rows: Sequence[Row]
    places: Sequence[int]
    work: Path

    def statistics(self) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        """Statistics of all copies (k, n), and whose they are (k,)."""
        check_open([self.rows[place] for place in self.places])
        parts = [self._of(seed) for seed in WORN_SEEDS]
        return np.concatenate([values for values, _ in parts]), np.concatenate([owners for _, owners in parts])

    def _of(self, seed: int) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        kept, names = self.work / f"voice-worn-{seed}.npz", np.array(statistic_names())
        if kept.is_file():
            with np.load(kept) as stored:
                if np.array_equal(stored["names"], names):
                    return np.asarray(stored["values"]), np.asarray(stored["places"])
        values, owners = [], []
        rng = np.random.default_rng(seed)
        for place in self.drawn(rng):
            measured = voice_statistics(as_trained(WORN_SEEDS[seed](self.sound[int(place)], rng)))
            if measured is not None:
                values.append(measured.values)
                owners.append(int(place))
        np.savez(kept, names=names, values=np.stack(values), places=np.array(owners))
        return np.stack(values), np.array(owners)

    def drawn(self, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """Which clips a seed wears: WORN_EACH real and as many forged ones, generators alike up to the root of their number."""
        reals = [place for place in self.places if self.rows[place].label == REAL]
        fakes = [place for place in self.places if self.rows[place].label == FAKE]
        family = [self.rows[place].generator for place in fakes]
        shared = odds([family.count(name) ** -0.5 for name in family])
        chosen = np.concatenate(
            [rng.choice(reals, WORN_EACH, replace=False), rng.choice(fakes, WORN_EACH, replace=False, p=shared)]
        )
        rng.shuffle(chosen)
        return chosen
