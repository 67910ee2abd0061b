"""A small made-up corpus in the challenge's layout, so that the whole road runs without any data.

The people in it are drawn and their voices are synthesised: it shows that the road works, not how well forgeries are
found. Fakes are forged from the "real" clips by copy-synthesis of the sound, the mission's first kind of forgery.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ffdv.augment.forge_sound import griffin_lim_copy, lpc_copy
from ffdv.media.write import write_media
from ffdv.records import FAKE, REAL, FloatArray, PixelArray, Samples

RATE = 16_000
FPS = 25.0
PICTURE_SIDE = 96
CLIP_SECONDS = 2.0
# Each identity speaks in real clips and is forged from them, so no identity tells the class.
PARTS = {"trainset": range(12), "valset": range(12, 18)}
EYE = np.array([0.1, 0.1, 0.15], np.float32)
LIP = np.array([0.45, 0.1, 0.1], np.float32)
CLIPS_PER_IDENTITY = 3  # each once real and once forged


@dataclass(frozen=True)
class Speaker:
    """The constants of one drawn person: voice pitch in Hz, formant scale, colours, face size."""

    pitch_hz: float
    formant_scale: float
    skin: FloatArray
    background: FloatArray
    face_radius: float

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> Speaker:
        """Draw a person."""
        return cls(
            pitch_hz=float(rng.uniform(85, 230)),
            formant_scale=float(rng.uniform(0.88, 1.18)),
            skin=(np.array([0.88, 0.68, 0.55]) * rng.uniform(0.55, 1.1)).astype(np.float32),
            background=rng.uniform(0.1, 0.8, 3).astype(np.float32),
            face_radius=float(rng.uniform(0.26, 0.34)),
        )


def write_synthetic_corpus(out: Path, *, seed: int = 0, progress: Callable[[int, int], None] | None = None) -> Path:
    """Write `out`/phase1/{trainset,valset}/*.mp4 with their label files; returns `out`.

    108 clips of 2 s (54 real, 54 fake, 18 drawn identities; 72 to train, 36 to validate), identities disjoint.
    """
    rng = np.random.default_rng(seed)
    total = 2 * CLIPS_PER_IDENTITY * sum(len(identities) for identities in PARTS.values())
    done = 0
    for part, identities in PARTS.items():
        rows: list[dict[str, object]] = []
        for identity in identities:
            for row in _write_identity(out / "phase1" / part, identity, rng):
                rows.append(row)
                done += 1
                if progress:
                    progress(done, total)
        _write_labels(out / "phase1" / f"{part}_label.txt", sorted(rows, key=lambda row: str(row["video_name"])))
    return out


def _write_identity(folder: Path, identity: int, rng: np.random.Generator) -> Iterator[dict[str, object]]:
    speaker = Speaker.drawn(rng)
    folder.mkdir(parents=True, exist_ok=True)
    for _ in range(CLIPS_PER_IDENTITY):
        voice, opening = speak(speaker, rng)
        forge = (griffin_lim_copy, lpc_copy)[int(rng.integers(2))]
        forged = forge(voice, RATE, rng)
        pictures = list(draw_talking_head(speaker, opening, rng))
        for label, sound, method in ((REAL, voice, "real"), (FAKE, forged.samples, forged.method)):
            name = f"{rng.bytes(8).hex()}.mp4"
            write_media(
                folder / name,
                sound=Samples(sound[None].astype(np.float32), RATE),
                frames=pictures,
                fps=FPS,
            )
            yield {"video_name": name, "target": label, "method": method, "identity": f"drawn{identity:02d}"}


def _write_labels(path: Path, rows: list[dict[str, object]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8")


def speak(speaker: Speaker, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
    """Babble for `CLIP_SECONDS`: samples (n,) at `RATE`, and the mouth's opening in [0, 1] per sample (n,).

    Additive synthesis: harmonics of a wandering pitch weighted by three moving formants (source-filter model,
    Fant 1960), noise bursts between syllables, a faint room.
    """
    n = round(CLIP_SECONDS * RATE)
    t = np.arange(n) / RATE
    knots = np.linspace(0, CLIP_SECONDS, round(CLIP_SECONDS * 4.5) + 1)  # about 4.5 syllables a second
    loud = np.where(rng.random(len(knots)) < 0.2, 0.05, rng.uniform(0.5, 1.0, len(knots)))
    opening = np.interp(t, knots, loud) * (0.5 - 0.5 * np.cos(2 * np.pi * t * 4.5))
    pitch = speaker.pitch_hz * (
        1
        + 0.12 * np.interp(t, knots, rng.standard_normal(len(knots)))
        + 0.01 * rng.standard_normal(n).cumsum() / np.sqrt(n)
    )
    phase = 2 * np.pi * np.cumsum(pitch) / RATE
    formants = [
        np.interp(t, knots, rng.uniform(low, high, len(knots))) * speaker.formant_scale
        for low, high in ((300, 800), (900, 2200), (2300, 3200))
    ]
    voice = np.zeros(n)
    for harmonic in range(1, 40):
        hz = harmonic * pitch
        weight = sum(1 / (1 + ((hz - formant) / 90) ** 2) for formant in formants) + 0.02
        voice += np.where(hz < 0.45 * RATE, weight / harmonic**0.7, 0) * np.sin(harmonic * phase)
    breath = np.diff(rng.standard_normal(n + 1)) * (0.04 + 0.3 * np.clip(0.3 - opening, 0, None))
    sound = voice * opening / np.abs(voice).max() + breath * 0.2 + 0.002 * rng.standard_normal(n)
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32), opening.astype(np.float32)


def draw_talking_head(speaker: Speaker, opening: FloatArray, rng: np.random.Generator) -> Iterator[PixelArray]:
    """A head that sways, blinks and opens its mouth with the voice: uint8 (side, side, 3) at `FPS`."""
    side = PICTURE_SIDE
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    texture = rng.normal(0, 0.02, (side, side, 1)).astype(np.float32)
    sway, blink_at = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 1.7)
    radius = speaker.face_radius
    for k in range(round(CLIP_SECONDS * FPS)):
        seconds = k / FPS
        cx, cy = 0.5 + 0.02 * np.sin(2.1 * seconds + sway), 0.5 + 0.01 * np.cos(1.7 * seconds + sway)
        mouth = float(opening[min(int(seconds * RATE), len(opening) - 1)])
        picture = np.broadcast_to(speaker.background * (0.7 + 0.3 * y[..., None]), (side, side, 3)).copy()
        _paint(picture, _ellipse(x, y, (cx, cy), (radius, 1.3 * radius)), speaker.skin)
        eye_height = 0.005 if abs(seconds - blink_at) < 0.08 else 0.022
        for dx in (-0.4, 0.4):
            _paint(
                picture,
                _ellipse(x, y, (cx + dx * radius, cy - 0.3 * radius), (0.045, eye_height)),
                EYE,
            )
        _paint(
            picture,
            _ellipse(x, y, (cx, cy + 0.65 * radius), (0.09, 0.012 + 0.05 * mouth)),
            LIP,
        )
        noisy = picture + texture + rng.normal(0, 0.01, (side, side, 1))
        yield (np.clip(noisy, 0, 1) * 255).astype(np.uint8)


def _ellipse(x: FloatArray, y: FloatArray, centre: tuple[float, float], radii: tuple[float, float]) -> FloatArray:
    """Soft-edged coverage in [0, 1], shape of `x`."""
    distance = np.hypot((x - centre[0]) / radii[0], (y - centre[1]) / radii[1])
    coverage: FloatArray = np.clip((1 - distance) * 12 + 0.5, 0, 1).astype(np.float32)
    return coverage


def _paint(picture: FloatArray, coverage: FloatArray, colour: FloatArray) -> None:
    picture += coverage[..., None] * (colour - picture)
