"""The sense of picture: is this face swapped, redrawn or animated?

It looks at the surface of each face, at how the head moves and how still its surroundings are, and with a small net for seams and
redrawn skin. The face that looks most forged decides. Motion is known of the face that leads only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from ffdv.detect.picture_model import FAMILIES, WEIGHTS, PastedNet, PictureWeights, read_weights
from ffdv.detect.senses import Looked, SenseAbsent, SenseName, SenseOpinion, Trait
from ffdv.errors import CheckpointError
from ffdv.features.faces import STANDARD_FACES
from ffdv.features.head import head_numbers
from ffdv.features.portrait import NUMBERS, landmarks_in_crops, portrait_numbers
from ffdv.metrics.calibration import sigmoid
from ffdv.records import FacesSeen, FaceTrack, FloatArray
from ffdv.sentences import Sentence, joined

SPAN_SECONDS = 1.0
CROPS_A_SPAN = 4  # looked at; the next four tell the same
MOST_CROPS = 160  # of one face in a piece
LEAST_SIDE = 40.0  # pixels of a face in the picture: below it is a smear after any enlargement
LEAST_SECONDS = 1.0
LEAST_CROPS = 4
MOST_FACES = 6  # the most prominent ones of a piece
DARKEST = 30.0  # grey levels of a face on average
SMALL_SHARE = 0.6  # of the smallest face that taught: below it a face is unlike them
RARE_SHARE = (
    0.2  # where more of the genuine clips have as many traits beyond the usual, that is told to be nothing unusual
)
CLEARLY = 0.5  # of a number's spread beyond what open clips showed


# What a vote beyond the usual says, for a reader.
TRAITS: Mapping[str, Sentence] = {
    "surface": Sentence("skin and mouth are rich in contrast, as in the portraits that generators start from"),
    "motion": Sentence("head and chest glide, without the unevenness of filmed ones"),
    "stillness": Sentence("what lies around the face hardly changes with it"),
    "unison": Sentence("forehead, cheeks and nose change colour at the same moments, more than the scene does"),
    "pasted": Sentence("to a network a part of the face looks pasted in or redrawn"),
}


@dataclass(frozen=True)
class _Face:
    """What was seen of one face: numbers by name; of each crop looked at its moment, its own numbers and the net's map."""

    track: FaceTrack
    numbers: Mapping[str, float]
    seconds: npt.NDArray[np.float64]
    crop_numbers: FloatArray
    crop_nets: FloatArray
    maps: FloatArray
    logit: float
    brightness: float


class PictureSense:
    """Judges every face of a clip; its weights are those inside the package."""

    def __init__(self, weights: PictureWeights | None = None, net: PastedNet | None = None) -> None:
        self._weights = weights or shipped_weights()
        self._net = net or shipped_net()

    @property
    def name(self) -> SenseName:
        """Picture."""
        return "picture"

    def judge(self, looked: Looked) -> SenseOpinion | SenseAbsent:
        """How likely a face was swapped, redrawn or animated: for the clip, for each face and for each second of the one that decides."""
        seen = looked.features.faces
        absent = _missing(looked, seen)
        if absent is not None:
            return absent
        assert seen is not None
        motion = head_numbers(looked.head) if looked.head is not None else {}
        usable = [k for k, track in enumerate(seen.tracks[:MOST_FACES]) if _reason(track) is None]
        faces = [self._look(seen, seen.tracks[k], motion if k == 0 else {}) for k in usable]
        return self._opinion(max(faces, key=lambda face: face.logit), faces, motion)

    def _look(self, seen: FacesSeen, track: FaceTrack, motion: Mapping[str, float]) -> _Face:
        chosen = chosen_crops(track.seconds)
        part = FaceTrack(
            track.track_id,
            track.seconds[chosen],
            track.boxes[chosen],
            track.landmarks[chosen],
            track.scores[chosen],
            track.crops[chosen],
        )
        points = landmarks_in_crops(part, seen.picture_size, margin=STANDARD_FACES.crop_margin)
        rows = portrait_numbers(part.crops, points)
        nets, maps = self._net.look(part.crops)
        numbers = {**face_numbers(rows, maps), **motion}
        brightness = float(part.crops[:, 40:-40:4, 40:-40:4].mean())
        return _Face(track, numbers, part.seconds, rows, nets, maps, self._weights.logit(numbers), brightness)

    def _opinion(self, face: _Face, faces: list[_Face], motion: Mapping[str, float]) -> SenseOpinion:
        spans, logits = self._spans(face)
        worst = int(np.argmax(face.crop_nets))
        chances = sigmoid([one.logit for one in faces])
        votes = self._weights.families(face.numbers)
        return SenseOpinion(
            "picture",
            face.logit,
            float(sigmoid([face.logit])[0]),
            spans,
            sigmoid(logits),
            activation=np.asarray(sigmoid(face.maps[worst]), np.float32),
            track_id=face.track.track_id,
            outside=self._outside(face),
            grounds=self._grounds(face),
            traits=tuple(
                Trait(name, votes[name] if self._weights.knows(name, face.numbers) else None, self._weights.usual[name])
                for name in sorted(WEIGHTS, key=lambda name: -WEIGHTS[name])
            ),
            numbers={**{f"vote_{name}": vote for name, vote in votes.items()}, "faces": float(len(faces)), **motion},
            activation_seconds=float(face.seconds[worst]),
            track_probabilities={one.track.track_id: float(p) for one, p in zip(faces, chances, strict=True)},
        )

    def _spans(self, face: _Face) -> tuple[npt.NDArray[np.float64], list[float]]:
        """Stretches of a second with the face in sight, and the logit of each; what is known of the whole clip counts in all."""
        number = np.floor(face.seconds / SPAN_SECONDS).astype(int)
        spans, logits = [], []
        for k in np.unique(number):
            inside = number == k
            numbers = {**face.numbers, **face_numbers(face.crop_numbers[inside], face.maps[inside])}
            spans.append((k * SPAN_SECONDS, (k + 1) * SPAN_SECONDS))
            logits.append(self._weights.logit(numbers))
        return np.array(spans, np.float64).reshape(-1, 2), logits

    def _outside(self, face: _Face) -> tuple[Sentence, ...]:
        """What of this clip the open clips did not show, in plain sentences."""
        told = []
        side = face_side(face.track)
        if side < SMALL_SHARE * self._weights.smallest_side:
            told.append(
                Sentence(
                    "the face is {side:.0f} pixels high; the faces in training had at least {least:.0f}",
                    side=side,
                    least=self._weights.smallest_side,
                )
            )
        if face.brightness < DARKEST:
            told.append(Sentence("the face is darker than the faces in training"))
        low, high = (self._beyond(face.numbers, name) for name in ("skin_energy_2", "mouth_energy_2"))
        if min(low, high) < -CLEARLY:
            told.append(Sentence("the face is softer or more compressed than the faces in training"))
        if max(low, high) > CLEARLY:
            told.append(Sentence("the face is harsher or noisier than the faces in training"))
        return tuple(told)

    def _grounds(self, face: _Face) -> tuple[Sentence, ...]:
        """What lies beyond nine of ten genuine clips in a face that looks forged, in one sentence."""
        beyond = self._weights.beyond(face.numbers)
        if face.logit < 0 or not beyond:
            return ()
        count, total = len(beyond), len(FAMILIES)
        percent = 100 * self._weights.as_many[count - 1]
        traits = joined([TRAITS[name] for name in beyond])
        if percent > 100 * RARE_SHARE:
            told = Sentence(
                "{traits}; that is not unusual: {percent:.0f} % of genuine clips have {count} or more of {total} measured traits as marked",
                traits=traits,
                percent=percent,
                count=count,
                total=total,
            )
        elif percent > 0:
            told = Sentence(
                "beyond nine of ten genuine clips: {count} of {total} measured traits ({percent:.0f} % of genuine clips have as many or more): {traits}",
                count=count,
                total=total,
                percent=percent,
                traits=traits,
            )
        else:
            told = Sentence(
                "beyond nine of ten genuine clips: {count} of {total} measured traits (no genuine development clip has as many): {traits}",
                count=count,
                total=total,
                traits=traits,
            )
        return (told,)

    def _beyond(self, numbers: Mapping[str, float], name: str) -> float:
        """How far a number lies beyond what open clips showed, in its spread; below 0 under the least."""
        value = numbers.get(name, float("nan"))
        if not np.isfinite(value):
            return 0.0
        least, most, spread = self._weights.least[name], self._weights.most[name], self._weights.spread[name]
        return (min(value - least, 0.0) + max(value - most, 0.0)) / spread


def face_numbers(rows: FloatArray, maps: FloatArray) -> dict[str, float]:
    """The numbers of one face from those of its crops: medians of portrait numbers (n, 53), and of the net's mean map (n, 10, 10)
    the 90th percentile of its places and their deviation: a forgery is in some places, wear is in all.
    """
    wanted = {name for members in FAMILIES.values() for name, _ in members}
    places = maps.mean(axis=0)
    numbers = {"net_high": float(np.quantile(places, 0.9)), "net_uneven": float(places.std())}
    for column, name in enumerate(NUMBERS):
        if name in wanted:
            known = rows[:, column][np.isfinite(rows[:, column])]
            numbers[name] = float(np.median(known)) if len(known) else float("nan")
    return numbers


def chosen_crops(seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Indices of at most CROPS_A_SPAN sightings of each second, evenly spread, and of at most MOST_CROPS in all."""
    number = np.floor(seconds / SPAN_SECONDS).astype(int)
    chosen: list[int] = []
    for k in np.unique(number):
        inside = np.flatnonzero(number == k)
        chosen += inside[np.unique(np.linspace(0, len(inside) - 1, CROPS_A_SPAN).round().astype(int))].tolist()
    index = np.array(chosen, np.int64)
    if len(index) > MOST_CROPS:
        index = index[np.linspace(0, len(index) - 1, MOST_CROPS).round().astype(int)]
    return index


def face_side(track: FaceTrack) -> float:
    """The longer side of a face's box, the median over its sightings, in pixels."""
    sides = np.maximum(track.boxes[:, 2] - track.boxes[:, 0], track.boxes[:, 3] - track.boxes[:, 1])
    return float(np.median(sides))


@cache
def shipped_weights() -> PictureWeights:
    """The weights inside the package. Raises CheckpointError when they are missing or damaged."""
    return read_weights(_packaged("picture.json").decode("utf-8", errors="replace"))


@cache
def shipped_net() -> PastedNet:
    """The net inside the package. Raises CheckpointError when it is missing or damaged."""
    return PastedNet(_packaged("picture.onnx"))


def _packaged(name: str) -> bytes:
    try:
        return files("ffdv.detect").joinpath("weights", name).read_bytes()
    except OSError as error:
        raise CheckpointError(f"the picture sense lacks {name}; install ffdv again, or run make weights") from error


def _reason(track: FaceTrack) -> str | None:
    """Why one face cannot be judged, as a code; None where it can."""
    if face_side(track) < LEAST_SIDE:
        return "too_small_face"
    if len(track.seconds) < LEAST_CROPS or float(track.seconds[-1] - track.seconds[0]) < LEAST_SECONDS * 0.7:
        return "too_short"
    return None


def _missing(looked: Looked, seen: FacesSeen | None) -> SenseAbsent | None:
    """Why no face of the clip can be judged."""
    if not looked.features.facts.has_picture or seen is None:
        return SenseAbsent("picture", "no_picture", Sentence("there is no moving picture to look at"))
    if not seen.tracks:
        return SenseAbsent("picture", "no_face", Sentence("no face is in sight long enough to be judged"))
    reasons = [_reason(track) for track in seen.tracks[:MOST_FACES]]
    if None in reasons:
        return None
    if "too_short" in reasons:
        text = Sentence("no face is in sight for {least:.0f} s, the least that is judged", least=LEAST_SECONDS)
        return SenseAbsent("picture", "too_short", text)
    largest = max(face_side(track) for track in seen.tracks)
    text = Sentence(
        "the largest face is only {side:.0f} pixels high; {least:.0f} are the least that is judged",
        side=largest,
        least=LEAST_SIDE,
    )
    return SenseAbsent("picture", "too_small_face", text)
