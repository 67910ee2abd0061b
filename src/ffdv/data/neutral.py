"""Prepared clips without what is not forgery: both classes through the same cuts, band, level and encoder.

    shards, rows ─ trim ─ band ─ loudness ─ re-encode ─▶ shards of the same clips, their facts measured anew

The steps are the remedies that the audit names. What comes out are shards like any others, so a run is judged on them by the
same code, and the audit of them says what is left. Facts of a header that a step does away with are gone: what is handed on is
sound and pictures, not a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ffdv.augment.neutralise import (
    NeutraliseSpec,
    neutralise,
    neutralise_frames,
    set_brightness,
    trim_edges,
    trim_silence,
)
from ffdv.augment.steps import unknown
from ffdv.data.audit_words import REMEDIES, shortcut_of
from ffdv.data.shards import ShardIndex, ShardRow, Shards, encode_row, write_index, write_part
from ffdv.errors import RecipeError
from ffdv.features.fingerprints import to_gray
from ffdv.features.probes import SoundProbes
from ffdv.features.recipe import resample_mono
from ffdv.records import FacesSeen, Features, FloatArray, MediaFacts, MouthTrack, PixelArray, Samples
from ffdv.sentences import Sentence

STEPS = ("trim", "band", "loudness", "re-encode")
ORDER = (
    "length",
    "trim",
    "band",
    "loudness",
    "brightness",
    "re-encode",
)  # an encoder's choices depend on all before it
# Of the other remedies prepared clips have some already: one channel (mono), crops of one size cut within the picture (resize,
# crop), and senses that are judged apart (both senses); naming those changes nothing.
SPEC = NeutraliseSpec()  # trimmed at -35 dB, low-pass 7 kHz, RMS -25 dBFS, Opus at 32 kbit/s
RATE = 16_000  # one rate for all, the lowest that holds the band
# `length` cuts to what 95 clips of 100 have; the few shorter ones stay short, and are counted.
SHORTER_SHARE = 0.05
LEAST_SECONDS = 0.5
CLIPS_PER_PART = 32
NEUTRAL = "neutralised"  # what stands where a codec's name stood

_SILENCED = {"trim": {"trim_below_db"}, "band": {"high_hz"}, "loudness": {"rms_dbfs"}, "re-encode": {"sound_codec"}}


@dataclass(frozen=True)
class NeutralClips:
    """Neutralised shards in the order of the rows asked for, and what a reader must know of them."""

    shards: Shards
    steps: tuple[str, ...]
    warnings: tuple[Sentence, ...] = ()


def neutral_steps(steps: str | Sequence[str] | None = None) -> tuple[str, ...]:
    """The steps to take, in the order that they are taken; None: STEPS. A text may hold several, with commas.

    >>> neutral_steps("loudness,trim")
    ('trim', 'loudness')

    Raises RecipeError on a step that is none, with those that there are.
    """
    named = STEPS if steps is None else steps.split(",") if isinstance(steps, str) else tuple(steps)
    asked = [name.strip() for name in named if name.strip()]
    for name in asked:
        if name not in REMEDIES:
            raise RecipeError(f"neutralise: {unknown(name, REMEDIES, what='step')}")
    if not asked:
        raise RecipeError(f"neutralise: no step is named; there are {', '.join(REMEDIES)}")
    return tuple(name for name in dict.fromkeys((*ORDER, *REMEDIES)) if name in asked)


def neutralise_shards(
    shards: Shards,
    rows: Sequence[int],
    *,
    out: Path | str,
    steps: str | Sequence[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NeutralClips:
    """Write the clips `rows` neutralised as shards into the empty folder `out`; clips that failed stay as they are.

    steps: names of remedies (data/audit_words.REMEDIES), see neutral_steps; progress is told (done, total).
    Raises RecipeError on an unknown step, ShardError when the shards cannot be read.
    """
    taken = neutral_steps(steps)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    work = _Work(shards, taken, _common_seconds(shards, rows, taken) if "length" in taken else None)
    index = ShardIndex(
        extract=shards.index.extract,
        sound_codec=shards.index.sound_codec,
        data=shards.index.data,
        num_clips=len(rows),
        clips_per_part=CLIPS_PER_PART,
        fingerprint=f"{shards.index.fingerprint}-neutral",
        senses=shards.index.senses,
    )
    counted: Counter[str] = Counter()
    clips = shards.clips()
    write_index(folder, index)
    for part in range(index.num_parts):
        encoded = []
        for place in index.part_rows(part):
            row = rows[place]
            if shards.failed[row]:
                shard_row = ShardRow(clips[row], reason=shards.reasons[row])
            else:
                shard_row = ShardRow(clips[row], work.neutral(shards.features(row), counted))
            encoded.append(encode_row(shard_row, index))
            if progress is not None:
                progress(place + 1, len(rows))
        write_part(folder, index, part, encoded)
    return NeutralClips(Shards(folder, index), taken, tuple(_warnings(counted, work)))


@dataclass(frozen=True)
class _Work:
    """What is done to each clip: the steps in order, and the length that all are cut to, None = their own."""

    shards: Shards
    steps: tuple[str, ...]
    seconds: float | None

    def neutral(self, features: Features, counted: Counter[str]) -> Features:
        """The features after all steps; `counted` takes what must be told."""
        sound = features.sound
        if sound is not None:
            sound = self._sound(sound, features.facts, counted)
        faces = None if features.faces is None else self._faces(features.faces)
        mouth = None if features.mouth is None else self._mouth(features.mouth)
        if features.motion is not None and {"brightness", "re-encode"} & set(self.steps):
            counted["motion"] += 1
        return replace(
            features,
            facts=self._facts(features.facts),
            sound=sound,
            faces=faces,
            mouth=mouth,
            probes=self._probes(features, sound, faces),
        )

    def _sound(self, sound: Samples, facts: MediaFacts, counted: Counter[str]) -> Samples:
        """Cut to the picture's time, trimmed, cut to one length, band, level, encoder."""
        mono, rate = sound.mono(), sound.rate
        if "length" in self.steps:
            mono = _within_picture(sound, facts)
        if "trim" in self.steps:
            mono = _trimmed(mono, rate)
        if self.seconds is not None:
            counted["short"] += len(mono) < round(self.seconds * rate)
            mono = _middle(mono, round(self.seconds * rate))
        if "band" in self.steps:
            counted["narrow"] += rate / 2 < (SPEC.high_hz or 0.0)
            mono = neutralise(mono, rate, _only("band"))
            mono, rate = resample_mono(Samples(mono[None], rate), RATE), RATE
        if "loudness" in self.steps:
            mono = neutralise(mono - mono.mean(dtype=np.float64).astype(np.float32), rate, _only("loudness"))
        if "re-encode" in self.steps:
            mono = neutralise(mono, rate, _only("re-encode"))
        return Samples(np.ascontiguousarray(mono, np.float32)[None], rate)

    def _faces(self, faces: FacesSeen) -> FacesSeen:
        return replace(faces, tracks=tuple(replace(track, crops=self._frames(track.crops)) for track in faces.tracks))

    def _mouth(self, mouth: MouthTrack) -> MouthTrack:
        """Grey pictures pass as colour ones; where the mouth is not in sight they stay black."""
        if not len(mouth.crops):
            return mouth
        crops = self._frames(np.repeat(mouth.crops[..., None], 3, axis=-1))[..., 1].copy()
        crops[~mouth.in_sight] = 0
        return replace(mouth, crops=crops)

    def _frames(self, frames: PixelArray) -> PixelArray:
        if "brightness" in self.steps:
            frames = set_brightness(frames)
        if "re-encode" in self.steps and len(frames):
            frames = neutralise_frames(frames)
        return frames

    def _facts(self, facts: MediaFacts) -> MediaFacts:
        """Headers as one encoder would write them: without the words that tell the first one."""
        if "re-encode" not in self.steps:
            return facts
        pictures = (
            replace(track, codec=NEUTRAL, profile=None, bit_rate=None, pixel_format=None) for track in facts.pictures
        )
        sounds = (replace(track, codec=NEUTRAL, profile=None, bit_rate=None) for track in facts.sounds)
        return replace(
            facts,
            size_bytes=0,
            container=NEUTRAL,
            bit_rate=None,
            tags={},
            pictures=tuple(pictures),
            sounds=tuple(sounds),
        )

    def _probes(self, features: Features, sound: Samples | None, faces: FacesSeen | None) -> dict[str, float]:
        """Facts of what is handed on, measured anew; those of the header stay only where no step does away with them."""
        lengths_changed = {"trim", "length"} & set(self.steps)
        gone = {*self.steps, *(("length",) if lengths_changed else ())}
        kept = {name: value for name, value in features.probes.items() if shortcut_of(name).remedy not in gone}
        if sound is not None:
            probes = SoundProbes(sound.rate)
            probes.add(sound.values, sound.mono())
            # What was measured at the file's own rate and is not in the kept sound is not handed on either.
            kept = {name: value for name, value in kept.items() if not _is_measured_sound(name)} | probes.finish()
            kept |= {"sound_duration_seconds": sound.duration_seconds, "sound_rate": float(sound.rate)}
        if "picture_brightness" in features.probes and faces is not None and "brightness" in self.steps:
            kept |= picture_levels(faces)
        return kept


def picture_levels(faces: FacesSeen) -> dict[str, float]:
    """picture_brightness, picture_contrast and picture_saturation of the crops, as the picture's probes measure frames."""
    crops = [crop for track in faces.tracks for crop in track.crops]
    if not crops:
        return {}
    grey = [to_gray(crop) for crop in crops]
    vivid = [np.mean(crop.max(axis=2).astype(np.float32) - crop.min(axis=2)) for crop in crops]
    return {
        "picture_brightness": float(np.mean([each.mean() for each in grey])),
        "picture_contrast": float(np.mean([each.std() for each in grey])),
        "picture_saturation": float(np.mean(vivid)),
    }


def _is_measured_sound(name: str) -> bool:
    """Whether SoundProbes measures it, or it tells the sound's length or rate."""
    header = ("sound_bit_rate", "sound_start_seconds", "sound_channels", "sound_minus_")
    return name.startswith("sound_") and not name.startswith(header)


def _only(step: str) -> NeutraliseSpec:
    """SPEC with one step of it."""
    fields = {name for names in _SILENCED.values() for name in names} - _SILENCED[step]
    return SPEC.model_copy(update=dict.fromkeys(fields))


def _trimmed(mono: FloatArray, rate: int) -> FloatArray:
    """Without the quiet ends, to the sample: what an encoder pads is shorter than a frame."""
    below_db = SPEC.trim_below_db or 0.0
    return trim_edges(trim_silence(mono, rate, below_db=below_db), below_db=below_db)


def _within_picture(sound: Samples, facts: MediaFacts) -> FloatArray:
    """The sound while there is a picture; all of it where that is not known or would leave nothing."""
    mono = sound.mono()
    picture = facts.pictures[0] if facts.pictures else None
    if picture is None or picture.duration_seconds is None:
        return mono
    begins = picture.start_seconds or 0.0
    first = max(0, round((begins - sound.start_seconds) * sound.rate))
    last = min(len(mono), round((begins + picture.duration_seconds - sound.start_seconds) * sound.rate))
    return mono[first:last] if last - first >= LEAST_SECONDS * sound.rate else mono


def _middle(mono: FloatArray, length: int) -> FloatArray:
    first = max(0, (len(mono) - length) // 2)
    return mono[first : first + length]


def _common_seconds(shards: Shards, rows: Sequence[int], steps: Sequence[str]) -> float | None:
    """The length that nearly all clips have after they are cut to their picture and trimmed."""
    lengths = sorted(_lengths(shards, rows, trim="trim" in steps))
    return max(LEAST_SECONDS, lengths[int(SHORTER_SHARE * len(lengths))]) if lengths else None


def _lengths(shards: Shards, rows: Sequence[int], *, trim: bool) -> Iterator[float]:
    for row in rows:
        if shards.failed[row] or shards.sound_seconds[row] <= 0:
            continue
        features = shards.features(row)
        if features.sound is not None:
            mono = _within_picture(features.sound, features.facts)
            mono = _trimmed(mono, features.sound.rate) if trim else mono
            yield len(mono) / features.sound.rate


def _warnings(counted: Counter[str], work: _Work) -> Iterator[Sentence]:
    if counted["narrow"]:
        yield Sentence(
            "{count} clips hold less than the common band of {top:g} Hz, which still tells them apart",
            count=counted["narrow"],
            top=SPEC.high_hz,
        )
    if counted["short"]:
        yield Sentence(
            "{count} clips are shorter than the common {seconds:.2f} s and stay so",
            count=counted["short"],
            seconds=work.seconds,
        )
    if counted["motion"]:
        yield Sentence("the movement of {count} clips was measured before and is as it was", count=counted["motion"])
