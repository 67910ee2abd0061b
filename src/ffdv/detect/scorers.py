"""How a clip's features reach an exported net of each kind, and what becomes of its answers: one opinion a clip.

Features ─ finish (as in training) ─▶ sound windows | faces' crops | movement ─▶ Network ─▶ logit, higher = more likely forged, distance
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ffdv.data.prepare import extract_spec
from ffdv.detect.network import MODEL_NAME, WINDOWS_AT_ONCE, Network
from ffdv.errors import CheckpointError, StreamMissing
from ffdv.features.agreement import MEASURES, WEIGHTS_NAME, AgreementModel
from ffdv.features.recipe import ExtractSpec, finish_faces, finish_joint, resample_mono, window_starts
from ffdv.features.sync import MIN_SEEN_FRAMES
from ffdv.metrics.aggregation import aggregate
from ffdv.records import Features, member_name

_NO_SOUND = frozenset({"no_sound", "short_sound", "low_rate", "damaged_sound"})
MOST_FACE_SIDE = 1024  # of what a net is shown; crops are kept no larger
_NO_FACE = frozenset({"no_picture", "damaged_picture", "no_face"})


@dataclass(frozen=True)
class NetOpinion:
    """What a net says of a clip: logit, and the clip's distance from what training saw (the mean of its windows or faces; NaN = not known).

    without: of a net of several senses, those that could not be asked, each with why.
    """

    logit: float
    distance: float = math.nan
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scorer:
    """What one kind of net needs of a file, and how it is asked; sense: the column of scores.csv that it speaks for, "" for none."""

    spec: ExtractSpec
    ask: Callable[[Features, Network], NetOpinion]
    sense: str

    def logit(self, features: Features, network: Network) -> float:
        """The opinion's logit alone."""
        return self.ask(features, network).logit


def ask_sound(features: Features, network: Network) -> NetOpinion:
    """The opinions on all windows as one. Raises StreamMissing when the file holds no sound that can be judged."""
    if features.sound is None:
        raise StreamMissing(features.facts.path, _why(features, _NO_SOUND) or "no sound that can be judged")
    facts = network.facts
    # A net that takes whole clips was trained on clips of bounded length; a longer one is judged piece by piece.
    window_seconds = facts.window_seconds or facts.longest_clip_seconds
    mono = resample_mono(features.sound, facts.sample_rate)
    starts, length = window_starts(
        len(mono), rate=facts.sample_rate, window_seconds=window_seconds, hop_seconds=facts.hop_seconds
    )
    # As finish_sound cuts them, but only so many at once as go through the net together: they may overlap closely.
    groups = [starts[first : first + WINDOWS_AT_ONCE].tolist() for first in range(0, len(starts), WINDOWS_AT_ONCE)]
    opinions = [network.opinions(np.stack([mono[at : at + length] for at in group])) for group in groups]
    logits, distances = np.concatenate(opinions, axis=1)
    return NetOpinion(aggregate(logits, facts.aggregation), float(distances.mean()))


def ask_faces(features: Features, network: Network) -> NetOpinion:
    """The opinions on all judged faces as one: in our recipes that of the face that looks most forged. Raises StreamMissing when no face was found."""
    if features.faces is None or not features.faces.tracks:
        raise StreamMissing(features.facts.path, _why(features, _NO_FACE) or "no face was found")
    frames, size = _face_settings(network)
    faces = finish_faces(features.faces, frames=frames, size=size)
    logits, distances = np.concatenate([network.opinion(crops=face.crops[None]) for face in faces], axis=1)
    return NetOpinion(aggregate(logits, network.facts.aggregation), float(distances.mean()))


def ask_motion(features: Features, network: Network) -> NetOpinion:
    """The opinion on how the picture moves. Raises StreamMissing when there is no picture, or too little of it."""
    if features.motion is None or not np.isfinite(features.motion).any():
        raise StreamMissing(features.facts.path, _why(features, _NO_FACE - {"no_face"}) or "too few frames to compare")
    logits, distances = network.opinion(vectors=features.motion[None])
    return NetOpinion(float(logits[0]), float(distances[0]))


def ask_late(features: Features, network: Network) -> NetOpinion:
    """What all members that find their sense say together. Raises StreamMissing, with each one's reason, when none does.

    Its distance is the largest of its members': how far a few logits lie from usual ones says how sure members are, not how
    strange the clip is.
    """
    if "logits" not in network.inputs:
        raise CheckpointError(f"{network.path}: weighs opinions as ffdv did before; train the fusion again")
    logits, reasons, distances = [], {}, [math.nan]
    for name, member in _members(network).items():
        logit = math.nan
        try:
            if member is not None:
                opinion = SCORERS[member.facts.kind].ask(features, member)
                logit = opinion.logit
                distances.append(opinion.distance)
        except StreamMissing as missing:
            reasons[name] = missing.reason
        logits.append(logit)
    if not np.isfinite(logits).any():
        raise StreamMissing(features.facts.path, "; ".join(dict.fromkeys(reasons.values())) or "no sense can judge it")
    answer = float(network.run(["logit"], logits=np.asarray([logits], np.float32))[0][0])
    without = tuple(f"without {name}: {reason}" for name, reason in reasons.items())
    return NetOpinion(answer, float(np.fmax.reduce(distances)), without)


def ask_joint(features: Features, network: Network) -> NetOpinion:
    """The logits of all windows of sound and face as one. Raises StreamMissing when a file has neither."""
    frames, size = _face_settings(network)
    facts = network.facts
    windows = finish_joint(
        features.sound,
        features.faces,
        rate=facts.sample_rate,
        window_seconds=facts.window_seconds or facts.longest_clip_seconds,
        hop_seconds=facts.hop_seconds,
        frames=frames,
        size=size,
    )
    if not windows:
        why = _why(features, _NO_SOUND | _NO_FACE) or "neither sound nor a face that can be judged"
        raise StreamMissing(features.facts.path, why)
    logits, distances = [], []
    for window in windows:
        crops, sound = window.crops, window.sound
        lengths = np.asarray([[len(crops), len(sound)]], np.int64)
        if not len(crops):  # the graph wants at least one of each, and does not look at it
            crops = np.zeros((1, 3, size, size), np.uint8)
        if len(sound) < facts.sample_rate // 10:
            sound = np.resize(np.append(sound, np.zeros(facts.sample_rate // 10, np.float32)), facts.sample_rate // 10)
        seconds = (
            np.resize(window.crop_seconds, len(crops)).astype(np.float32)
            if len(window.crop_seconds)
            else np.zeros(1, np.float32)
        )
        logit, distance = network.opinion(crops=crops[None], seconds=seconds[None], sound=sound[None], lengths=lengths)
        logits.append(float(logit[0]))
        distances.append(float(distance[0]))
    without = []
    if features.sound is None:
        without.append(f"without sound: {_why(features, _NO_SOUND) or 'no sound that can be judged'}")
    if features.faces is None or not features.faces.tracks:
        without.append(f"without a face: {_why(features, _NO_FACE) or 'no face was found'}")
    return NetOpinion(aggregate(logits, facts.aggregation), float(np.mean(distances)), tuple(without))


def ask_sync(features: Features, network: Network) -> NetOpinion:
    """How little lips and sound belong together. Raises StreamMissing without sound, a mouth in sight, or a second of both."""
    path, sound, mouth = features.facts.path, features.sound, features.mouth
    if sound is None:
        raise StreamMissing(path, _why(features, _NO_SOUND) or "no sound that can be judged")
    if mouth is None or not mouth.in_sight.any():
        raise StreamMissing(path, _why(features, _NO_FACE) or "no mouth is in sight")
    comparison = _maps(network.path.parent / WEIGHTS_NAME).compare(mouth, sound)
    if comparison.known[:, comparison.max_offset].sum() < MIN_SEEN_FRAMES:
        raise StreamMissing(path, "lips and sound are there together for less than a second")
    measures = comparison.measures()
    vectors = np.array([[measures[name] for name in MEASURES]], np.float32)
    return NetOpinion(float(network.run(["logit"], vectors=vectors)[0][0]))


def _face_settings(network: Network) -> tuple[int, int]:
    """Crops of a face and their side, as the net was trained."""
    frames, size = network.facts.setting("faces", "frames"), network.facts.setting("model", "picture_size")
    side = size[0] if isinstance(size, list) and size else None
    if not isinstance(frames, int) or not isinstance(side, int) or frames < 1 or not 1 <= side <= MOST_FACE_SIDE:
        raise CheckpointError(
            f"{network.path}: its recipe says no number of frames or size of pictures that can be; export the run again"
        )
    return frames, side


def _members(network: Network) -> dict[str, Network | None]:
    """The nets that a fusion weighs by name, in its order; None for one that could not be trained. They lie beside it."""
    names = network.facts.setting("fusion", "members")
    if not isinstance(names, list):
        raise CheckpointError(f"{network.path}: its recipe names no members; export the run again")
    folder = network.path.parent / "members"
    paths = {name: folder / name / MODEL_NAME for name in map(member_name, map(str, names))}
    if not any(path.is_file() for path in paths.values()):
        raise CheckpointError(f"{network.path}: its members ({folder}) are not beside it; give the folder of the run")
    return {name: _open(path) if path.is_file() else None for name, path in paths.items()}


@lru_cache(maxsize=8)
def _maps(path: Path) -> AgreementModel:
    """The maps beside a net for lips and sound."""
    if not path.is_file():
        raise CheckpointError(f"{path.parent}: {path.name} is not beside its net; give the folder of the run")
    return AgreementModel.load(path)


@lru_cache(maxsize=8)
def _open(path: Path) -> Network:
    return Network(path)


def _why(features: Features, codes: frozenset[str]) -> str:
    return "; ".join(note.text for note in features.notes if note.code in codes)


# The same caps as prepare's: what training saw by one road must not come by another here.
SCORERS: Mapping[str, Scorer] = {
    "sound": Scorer(extract_spec(("voice",)).model_copy(update={"probes": False}), ask_sound, "voice"),
    "faces": Scorer(extract_spec(("picture",)).model_copy(update={"probes": False}), ask_faces, "picture"),
    "joint": Scorer(extract_spec(("picture",)).model_copy(update={"probes": False}), ask_joint, ""),
    "late": Scorer(extract_spec(("picture", "motion", "agreement")).model_copy(update={"probes": False}), ask_late, ""),
    "sync": Scorer(extract_spec(("agreement",)).model_copy(update={"probes": False}), ask_sync, "agreement"),
    "motion": Scorer(extract_spec(("motion",)).model_copy(update={"probes": False}), ask_motion, "picture"),
}
