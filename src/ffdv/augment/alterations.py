"""What befalls a clip on its way to us, by name and in rising strength: re-encoding, noise, rooms, resizing, chat apps.

    (sound, frames) ─ one Alteration ─▶ (sound, frames)       a family is a row of the stress table, its levels the columns

Unlike the transforms that training draws from, an alteration is one fixed thing, so that two models meet the same. Sound is
(samples float32 (n,), rate in Hz, rng) → samples; frames are (uint8 (frames, h, w, 3), rng) → the same kind, of any size,
a stretch of the clip at a time. rng is for noise and rooms alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from ffdv.augment.codec import (
    SOUND_CODECS,
    PictureCodecName,
    SoundCodecName,
    picture_codec_exists,
    sound_codec_exists,
    transcode_frames,
    transcode_sound,
)
from ffdv.augment.levels import add_at_snr, amplitude
from ffdv.augment.neutralise import band_pass, trim_silence
from ffdv.augment.noise import Colour, coloured_noise
from ffdv.augment.pixels import blurred, resized
from ffdv.augment.rooms import draw_room, impulse_response, reverberate_with
from ffdv.augment.steps import unknown
from ffdv.errors import RecipeError
from ffdv.records import FloatArray, PixelArray

AlteredSense = Literal["sound", "picture"]
SoundChange = Callable[[FloatArray, int, np.random.Generator], FloatArray]
FramesChange = Callable[[PixelArray, np.random.Generator], PixelArray]

_SMALLEST_SIDE = 32  # of a picture made smaller or cropped; below, there is no face to speak of


@dataclass(frozen=True)
class Alteration:
    """One thing done to a clip. family and level name it; a sense that it leaves alone has no change (None).

    speed: both senses are played so many times as fast; sound changes its pitch with it, as on a tape. needs: codecs.
    """

    family: str
    level: str
    sound: SoundChange | None = None
    frames: FramesChange | None = None
    speed: float = 1.0
    needs: tuple[SoundCodecName | PictureCodecName, ...] = ()

    @property
    def name(self) -> str:
        """Family and level, as tables show them.

        >>> Alteration("opus", "16 kbit/s").name
        'opus 16 kbit/s'
        """
        return f"{self.family} {self.level}"

    @property
    def possible(self) -> bool:
        """Whether this FFmpeg has its codecs (AMR is missing from some builds)."""
        return all(
            sound_codec_exists(name) if name in SOUND_CODECS else picture_codec_exists(name)  # type: ignore[arg-type]
            for name in self.needs
        )

    @property
    def senses(self) -> frozenset[AlteredSense]:
        """Which senses it touches."""
        touched: set[AlteredSense] = set()
        if self.sound is not None or self.speed != 1.0:
            touched.add("sound")
        if self.frames is not None or self.speed != 1.0:
            touched.add("picture")
        return frozenset(touched)

    def alter_sound(self, samples: FloatArray, rate: int, rng: np.random.Generator) -> FloatArray:
        """Samples (n,) after it, within ±1 as every file is."""
        changed = samples if self.sound is None else self.sound(samples, rate, rng)
        if self.speed != 1.0:
            changed = play_at_speed(changed, rate, factor=self.speed)
        return np.clip(changed, -1.0, 1.0)

    def alter_frames(self, frames: PixelArray, rng: np.random.Generator) -> PixelArray:
        """Frames (frames, h, w, 3) after it, perhaps of another size; their rate in time is the caller's to change."""
        return frames if self.frames is None else self.frames(frames, rng)


def play_at_speed(samples: FloatArray, rate: int, *, factor: float) -> FloatArray:
    """A tape played faster (factor > 1) or slower: pitch and length (n / factor) together."""
    import soxr

    if samples.size == 0:
        return samples
    played: FloatArray = soxr.resample(samples, rate * factor, rate).astype(np.float32, copy=False)
    return played


def re_record(
    samples: FloatArray,
    rate: int,
    rng: np.random.Generator,
    *,
    band_hz: tuple[float, float],
    drive: float,
    rt60_seconds: float,
    distance_metres: float,
    noise_db: float,
) -> FloatArray:
    """Played by a loudspeaker in a room and recorded again; same length, same place in time.

    The speaker keeps band_hz and bends the wave by tanh(drive × x) / drive at its peak level; then come a shoebox room and
    the noise of room and microphone (pink), noise_db under the sound.
    """
    spoken = band_pass(samples, rate, low_hz=band_hz[0], high_hz=band_hz[1])
    peak = float(np.abs(spoken).max(initial=0.0))
    if peak > 0:
        spoken = np.tanh(drive / peak * spoken) * np.float32(peak / drive)
    room = draw_room(rng, rt60_seconds=rt60_seconds, distance_metres=distance_metres)
    heard = reverberate_with(spoken.astype(np.float32), impulse_response(room, rng, rate=rate))
    return add_at_snr(heard, coloured_noise(len(heard), rng, colour="pink"), snr_db=noise_db)


def rng_of(seed: int, clip: str, alteration: Alteration) -> np.random.Generator:
    """The generator of one clip under one alteration: the same in every process and every resumed job."""
    return np.random.default_rng([seed, _number(clip), _number(alteration.name)])


def alterations(
    *, senses: Iterable[AlteredSense] = ("sound", "picture"), only: Sequence[str] = ()
) -> tuple[Alteration, ...]:
    """All that this FFmpeg can do and that touch one of these senses, family by family; `only` names families.

    Raises RecipeError for an unknown family, or when nothing is left.
    """
    wanted = frozenset(senses)
    for family in only:
        if family not in FAMILIES:
            raise RecipeError(unknown(family, FAMILIES, what="family of alterations"))
    chosen = tuple(
        alteration
        for family, levels in FAMILIES.items()
        if not only or family in only
        for alteration in levels
        if alteration.senses & wanted and alteration.possible
    )
    if not chosen:
        raise RecipeError(
            f"none of {', '.join(only) or 'the alterations'} changes what this model looks at ({', '.join(sorted(wanted))}); "
            f"families: {', '.join(FAMILIES)}"
        )
    return chosen


def _number(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogateescape"))


def _through(
    samples: FloatArray, rate: int, _: np.random.Generator, *, steps: tuple[tuple[SoundCodecName, float], ...]
) -> FloatArray:
    """One codec after the other, each at its bit rate in kbit/s."""
    for name, kbps in steps:
        samples = transcode_sound(samples, rate=rate, name=name, kbps=kbps)
    return samples


def _noisy(samples: FloatArray, _rate: int, rng: np.random.Generator, *, colour: Colour, snr_db: float) -> FloatArray:
    return add_at_snr(samples, coloured_noise(len(samples), rng, colour=colour), snr_db=snr_db)


def _louder(samples: FloatArray, _rate: int, _: np.random.Generator, *, decibels: float) -> FloatArray:
    return samples * np.float32(amplitude(decibels))


def _below(samples: FloatArray, rate: int, _: np.random.Generator, *, hz: float) -> FloatArray:
    return band_pass(samples, rate, high_hz=hz)


def _trimmed(samples: FloatArray, rate: int, _: np.random.Generator, *, below_db: float) -> FloatArray:
    return trim_silence(samples, rate, below_db=below_db)


def _filmed(
    frames: PixelArray, _: np.random.Generator, *, scale: float, steps: tuple[tuple[PictureCodecName, int], ...]
) -> PixelArray:
    """Made smaller, then one codec after the other, each at its constant quality."""
    frames = _scaled(frames, _, scale=scale)
    for name, quality in steps:
        frames = transcode_frames(frames, name=name, constant_quality=quality)
    return frames


def _scaled(frames: PixelArray, _: np.random.Generator, *, scale: float) -> PixelArray:
    size = _even_size(frames, scale)
    return frames if size == frames.shape[1:3] else np.stack([resized(frame, size, "bicubic") for frame in frames])


def _cropped(frames: PixelArray, _: np.random.Generator, *, share: float) -> PixelArray:
    """The middle `share` of both sides."""
    height, width = _even_size(frames, share)
    top, left = (frames.shape[1] - height) // 2, (frames.shape[2] - width) // 2
    return frames[:, top : top + height, left : left + width]


def _grainy(frames: PixelArray, rng: np.random.Generator, *, sigma: float) -> PixelArray:
    noise = rng.standard_normal(frames.shape, dtype=np.float32) * np.float32(sigma)
    return np.clip(np.rint(frames + noise), 0, 255).astype(np.uint8)


def _soft(frames: PixelArray, _: np.random.Generator, *, sigma: float) -> PixelArray:
    return np.stack([blurred(frame, sigma) for frame in frames])


def _even_size(frames: PixelArray, scale: float) -> tuple[int, int]:
    """(h, w) times scale, even, and not below what still shows a face."""
    if scale >= 1.0:
        return int(frames.shape[1]), int(frames.shape[2])
    height, width = (max(_SMALLEST_SIDE, 2 * round(side * scale / 2)) for side in frames.shape[1:3])
    return min(height, frames.shape[1]), min(width, frames.shape[2])


def _codecs(
    family: str,
    level: str,
    *,
    sound: tuple[tuple[SoundCodecName, float], ...] = (),
    frames: tuple[tuple[PictureCodecName, int], ...] = (),
    scale: float = 1.0,
) -> Alteration:
    """An alteration made of codecs, each with its bit rate (sound) or quality (frames)."""
    return Alteration(
        family,
        level,
        sound=partial(_through, steps=sound) if sound else None,
        frames=partial(_filmed, scale=scale, steps=frames) if frames else None,
        needs=(*(name for name, _ in sound), *(name for name, _ in frames)),
    )


def _sound_codec(name: SoundCodecName, *kbps: float) -> tuple[Alteration, ...]:
    return tuple(_codecs(name, f"{rate:g} kbit/s", sound=((name, rate),)) for rate in kbps)


def _picture_codec(name: PictureCodecName, *qualities: int) -> tuple[Alteration, ...]:
    return tuple(_codecs(name, f"CRF {quality}", frames=((name, quality),)) for quality in qualities)


def _each(family: str, levels: tuple[float, ...], make: Callable[[str, float], Alteration]) -> tuple[Alteration, ...]:
    return tuple(make(family, level) for level in levels)


# Strength rises along a row. Rates and qualities are those that files of the wild have; the last of each is the worst that is
# still watched or understood. Chains are modelled on what messengers do (mono Opus at 16 to 32 kbit/s, pictures of 480 to 640
# lines at H.264 of CRF 28 to 34, and all of it once more when a clip is passed on); no app publishes its numbers.
FAMILIES: dict[str, tuple[Alteration, ...]] = {
    "mp3": _sound_codec("mp3", 128, 64, 32, 16),
    "aac": _sound_codec("aac", 128, 64, 32, 16),
    "opus": _sound_codec("opus", 64, 32, 16, 8),
    "amr": _sound_codec("amr", 12.2, 7.4, 4.75),
    "telephone": (
        _codecs("telephone", "G.722", sound=(("g722", 64),)),
        _codecs("telephone", "G.711", sound=(("g711_a", 64),)),
    ),
    "low-pass": _each(
        "low-pass",
        (7000, 5500, 4000, 3000),
        lambda family, hz: Alteration(family, f"{hz:g} Hz", sound=partial(_below, hz=hz)),
    ),
    "white-noise": _each(
        "white-noise",
        (40, 30, 20, 10),
        lambda family, db: Alteration(family, f"SNR {db:g} dB", sound=partial(_noisy, colour="white", snr_db=db)),
    ),
    "pink-noise": _each(
        "pink-noise",
        (30, 20, 10, 5),
        lambda family, db: Alteration(family, f"SNR {db:g} dB", sound=partial(_noisy, colour="pink", snr_db=db)),
    ),
    "re-recorded": tuple(
        Alteration(
            "re-recorded",
            level,
            sound=partial(
                re_record, band_hz=band, drive=drive, rt60_seconds=rt60, distance_metres=metres, noise_db=noise
            ),
        )
        for level, band, drive, rt60, metres, noise in (
            ("good speaker, near", (80.0, 10_000.0), 0.5, 0.2, 0.4, 45.0),
            ("laptop, desk", (250.0, 7_000.0), 1.0, 0.3, 0.7, 35.0),
            ("phone, across a room", (400.0, 5_000.0), 2.0, 0.5, 2.0, 25.0),
            ("phone, hall", (500.0, 4_000.0), 3.0, 1.0, 4.0, 15.0),
        )
    ),
    "gain": _each(
        "gain",
        (-6, -20, 6, 20),
        lambda family, db: Alteration(
            family, f"{abs(db):g} dB {'louder' if db > 0 else 'quieter'}", sound=partial(_louder, decibels=db)
        ),
    ),
    "trim": _each(
        "trim",
        (-50, -35, -25),
        lambda family, db: Alteration(family, f"below −{-db:g} dB", sound=partial(_trimmed, below_db=db)),
    ),
    "speed": _each(
        "speed", (0.9, 0.95, 1.05, 1.1), lambda family, factor: Alteration(family, f"× {factor:g}", speed=factor)
    ),
    "h264": _picture_codec("h264", 23, 29, 35, 41),
    "hevc": _picture_codec("hevc", 26, 32, 38, 44),
    "vp9": _picture_codec("vp9", 35, 45, 55, 63),
    "av1": _picture_codec("av1", 35, 50, 58, 63),
    "resize": _each(
        "resize",
        (0.75, 0.5, 0.35, 0.25),
        lambda family, share: Alteration(family, f"× {share:g}", frames=partial(_scaled, scale=share)),
    ),
    "crop": _each(
        "crop",
        (0.95, 0.85, 0.75, 0.6),
        lambda family, share: Alteration(family, f"× {share:g}", frames=partial(_cropped, share=share)),
    ),
    "grain": _each(
        "grain",
        (2, 5, 10, 20),
        lambda family, sigma: Alteration(family, f"σ {sigma:g}", frames=partial(_grainy, sigma=sigma)),
    ),
    "blur": _each(
        "blur",
        (0.7, 1.5, 2.5, 4),
        lambda family, sigma: Alteration(family, f"σ {sigma:g} px", frames=partial(_soft, sigma=sigma)),
    ),
    "chat": (
        _codecs("chat", "sent", sound=(("opus", 32),), frames=(("h264", 28),), scale=0.75),
        _codecs(
            "chat",
            "passed on",
            sound=(("opus", 24), ("opus", 24)),
            frames=(("h264", 30), ("h264", 30)),
            scale=0.6,
        ),
        _codecs(
            "chat",
            "passed on often",
            sound=(("opus", 16), ("aac", 32), ("opus", 16)),
            frames=(("h264", 30), ("h264", 32), ("h264", 34)),
            scale=0.5,
        ),
        _codecs(
            "chat",
            "by telephone",
            sound=(("amr", 12.2), ("opus", 16)),
            frames=(("h264", 34), ("h264", 36)),
            scale=0.4,
        ),
    ),
}
