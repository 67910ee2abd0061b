"""'Score this clip', whatever scores it: a run's exported net on sound in memory or on a file, or the whole detector.

    Held (sound, frames, in memory) ─ Judge ─▶ Score

A judge is made once a process and is picklable before that; it says what it looks at, so that nothing else is read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from ffdv.augment.alterations import Alteration, AlteredSense
from ffdv.detect.detector import score_clip
from ffdv.detect.judging import Detector, shipped_detector, shipped_weights
from ffdv.detect.network import Network, find_network
from ffdv.detect.scorers import SCORERS, ask_sound
from ffdv.detect.senses import SenseAbsent, SenseOpinion
from ffdv.errors import CheckpointError, StreamMissing
from ffdv.features.recipe import MAX_SAMPLE_RATE, resample_mono
from ffdv.media.read import Limits, open_media, read_frames, read_samples
from ffdv.media.write import write_media
from ffdv.records import Clip, Features, MediaFacts, PixelArray, Samples, Score

# What nets of each kind look at.
_LOOK_AT: Mapping[str, frozenset[AlteredSense]] = {
    "sound": frozenset(("sound",)),
    "faces": frozenset(("picture",)),
    "motion": frozenset(("picture",)),
}
_BOTH: frozenset[AlteredSense] = frozenset(("sound", "picture"))
# Frames are read, altered and written so many at a time: 50 of 720p are 138 MB.
FRAMES_AT_ONCE = 50
MOST_FPS = 30.0  # faster pictures are thinned out; no detector of ours looks more often


@dataclass(frozen=True)
class Held:
    """One clip as arrays: sound, None without; frames: reads its pictures anew, a stretch after the other, None without; fps."""

    name: str
    path: Path
    sound: Samples | None = None
    frames: Callable[[], Iterator[PixelArray]] | None = None
    fps: float = 25.0

    def altered(self, alteration: Alteration, rng: Callable[[], np.random.Generator]) -> Held:
        """The clip after an alteration; rng makes the same generator each time, one for the sound, one for the pictures."""
        sound, frames = self.sound, self.frames
        if sound is not None:
            values = alteration.alter_sound(sound.mono(), sound.rate, rng())
            sound = Samples(np.ascontiguousarray(values[None], np.float32), sound.rate, sound.start_seconds)
        if frames is not None:
            read = frames

            def changed() -> Iterator[PixelArray]:
                luck = rng()
                for stretch in read():
                    yield alteration.alter_frames(stretch, luck)

            frames = changed
        return replace(self, sound=sound, frames=frames, fps=self.fps * alteration.speed)


class Judge(Protocol):
    """Scores a clip that is held in memory; looks_at: the senses that change its opinion."""

    @property
    def looks_at(self) -> frozenset[AlteredSense]: ...  # noqa: D102 -- see the class

    @property
    def fingerprint(self) -> bytes: ...  # noqa: D102 -- of the weights: a resumed job must have the same

    def judge(self, held: Held) -> Score: ...  # noqa: D102 -- raises MediaError for a clip that cannot be judged


@dataclass(frozen=True)
class SoundJudge:
    """A run's exported sound net: hears the samples as they are, and needs no file."""

    network: Path

    @property
    def looks_at(self) -> frozenset[AlteredSense]:
        """Sound alone."""
        return _LOOK_AT["sound"]

    @property
    def fingerprint(self) -> bytes:
        """The file's own bytes."""
        return self.network.read_bytes()

    def judge(self, held: Held) -> Score:
        """The calibrated probability of the voice, and the verdict where the run holds thresholds. Raises StreamMissing without sound."""
        facts = MediaFacts(held.path, 0, "", None, None, (), (), encrypted=False, tags={})
        sound = held.sound
        if sound is not None and sound.rate > MAX_SAMPLE_RATE:  # prepare keeps no more, so training heard no more
            sound = Samples(resample_mono(sound, MAX_SAMPLE_RATE)[None], MAX_SAMPLE_RATE, sound.start_seconds)
        features, network = Features(facts, sound), _network(self.network)
        opinion = ask_sound(features, network)
        voice = network.probability(opinion.logit)
        judged = network.judge(voice, features, distance=opinion.distance)
        return Score(held.name, voice, senses={"voice": voice}, verdict="" if judged is None else judged.verdict)


@dataclass(frozen=True)
class NetJudge:
    """A run's exported net of another kind (faces, movement, both senses): each altered clip is written to a file first."""

    network: Path
    looks_at: frozenset[AlteredSense]

    @property
    def fingerprint(self) -> bytes:
        """The file's own bytes."""
        return self.network.read_bytes()

    def judge(self, held: Held) -> Score:
        """As `ffdv predict` scores the file. Raises StreamMissing when it holds nothing that the net can judge."""
        with tempfile.TemporaryDirectory(prefix="ffdv-stress-") as folder:
            score = score_clip(Clip(held.name, write_held(held, Path(folder))), _network(self.network))
        if score.status == "failed":
            raise StreamMissing(held.path, score.reason)
        return score


@dataclass(frozen=True)
class DetectorJudge:
    """The detector inside the package, every sense of it: it reads files, so each altered clip is written to one first."""

    @property
    def looks_at(self) -> frozenset[AlteredSense]:
        """Both senses."""
        return _BOTH

    @property
    def fingerprint(self) -> bytes:
        """The names and hashes of the shipped weights."""
        return repr(sorted(shipped_weights().items())).encode()

    def judge(self, held: Held) -> Score:
        """The overall probability, each sense's, and the verdict. Raises StreamMissing when no sense can judge it."""
        with tempfile.TemporaryDirectory(prefix="ffdv-stress-") as folder:
            verdict = _detector().judge(write_held(held, Path(folder)))
        if verdict.fused is None:
            absent = [one.text for one in verdict.opinions.values() if isinstance(one, SenseAbsent)]
            raise StreamMissing(held.path, "; ".join(dict.fromkeys(absent)) or "no sense could judge it")
        senses: dict[str, float] = {
            name: one.probability for name, one in verdict.opinions.items() if isinstance(one, SenseOpinion)
        }
        return Score(held.name, verdict.fused.probability, senses=senses, verdict=verdict.word)


def find_judge(model: Path | None) -> Judge:
    """What scores clips for `model`: a run's folder or an .onnx file, None the shipped detector. Raises CheckpointError with the cure."""
    if model is None:
        _detector()  # weights that are missing are told at once, not by every clip
        return DetectorJudge()
    path = find_network(model)
    kind = Network(path).facts.kind
    if kind not in SCORERS:
        raise CheckpointError(
            f"{path}: a net of the kind {kind!r} judges no clips by itself; kinds that do: {', '.join(SCORERS)}"
        )
    return SoundJudge(path) if kind == "sound" else NetJudge(path, _LOOK_AT.get(kind, _BOTH))


def hold(name: str, path: Path, *, looks_at: frozenset[AlteredSense], max_seconds: float) -> Held:
    """A file's first seconds, as far as a judge looks at them. Raises MediaError when nothing of it can be used."""
    with open_media(path, limits=Limits(max_seconds=max_seconds)) as media:
        held = Held(name, media.facts.path)
        wants_picture = "picture" in looks_at and media.facts.has_picture
        if not (wants_picture or media.facts.has_sound):
            raise StreamMissing(path, "neither sound nor picture that this model looks at")
        if media.facts.has_sound:
            held = replace(held, sound=read_samples(media, stop_seconds=max_seconds))
        if wants_picture:
            fps = min(MOST_FPS, media.facts.pictures[0].fps or 25.0)
            held = replace(held, frames=lambda: _stretches(path, fps, max_seconds), fps=fps)
    return held


def write_held(held: Held, folder: Path) -> Path:
    """The clip as a file that loses nothing (H.264 of all colours without loss, FLAC), for judges that read files."""
    frames = None if held.frames is None else (frame for stretch in held.frames() for frame in stretch)
    return write_media(
        folder / "clip.mkv",
        sound=held.sound,
        frames=frames,
        fps=held.fps,
        video_codec="libx264rgb",
        audio_codec="flac",
        pixel_format="rgb24",
        video_options={"crf": "0", "preset": "ultrafast"},
    )


def _stretches(path: Path, fps: float, max_seconds: float) -> Iterator[PixelArray]:
    """The pictures (frames, h, w, 3) of the first seconds, FRAMES_AT_ONCE together; a change of size ends a stretch."""
    with open_media(path, limits=Limits(max_seconds=max_seconds)) as media:
        together: list[PixelArray] = []
        for frame in read_frames(media, fps=fps, stop_seconds=max_seconds):
            if together and (len(together) == FRAMES_AT_ONCE or frame.pixels.shape != together[0].shape):
                yield np.stack(together)
                together = []
            together.append(frame.pixels)
        if together:
            yield np.stack(together)


@lru_cache(maxsize=1)
def _network(path: Path) -> Network:
    return Network(path)


@cache
def _detector() -> Detector:
    return shipped_detector(threads=1)
