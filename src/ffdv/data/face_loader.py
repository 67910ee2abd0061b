"""Prepared clips → batches of pictures: a row is one face of one clip, so many of its crops, and how many of them are real.

    tracks ─ choose a face (training) or take each (evaluation) ─ choose crops ─ forge, change ─ shrink ─▶ (rows, frames, 3, s, s)

A row that has fewer crops than asked for is padded with black, and says how many it has. Luck is the clip's own, as in
loader.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from ffdv.augment.chain import ForgeChain
from ffdv.augment.forgery import ForgedPicture
from ffdv.augment.image import PictureChain
from ffdv.augment.steps import material_of
from ffdv.data.loader import Batch, ClipLoader, Draw, EpochSampler, LoaderSpec, choose_rows, torch_loader
from ffdv.data.shards import Shards, open_shards
from ffdv.errors import ShardError
from ffdv.features.crops import as_planes, evenly, face_square, jittered, moved_inside
from ffdv.features.faces import STANDARD_FACES, FaceSpec
from ffdv.features.recipe import finish_faces
from ffdv.records import FAKE, REAL, FacesSeen, FaceTrack, FloatArray, PixelArray


class FaceInputSpec(BaseModel):
    """Which pictures of a clip a net gets.

    frames: crops of a face, evenly spread over its sightings, in training each somewhere in its share; train_on: `real` leaves
    the corpus's fakes out of training, which then needs augment.forge_picture to have something to tell apart.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: int = Field(default=8, ge=1, le=64)
    train_on: Literal["all", "real"] = "all"


@dataclass(frozen=True)
class FaceChange:
    """What training does to the crops of a face: forgeries made of real ones, then changes that keep the label.

    forge: at most one forgery a clip; picture: the same luck for all crops of a clip, so that time stays as it was.
    """

    forge: ForgeChain | None = None
    picture: PictureChain | None = None

    @property
    def needs_other(self) -> bool:
        """Whether some forgery is made with another clip's face."""
        steps = () if self.forge is None else self.forge.steps
        return any("other" in material_of(self.forge.methods[step.name]) for step in steps if self.forge is not None)


@dataclass(frozen=True)
class FaceRequest:
    """Everything about a row but the clip: how many crops of which size, and what training does to them."""

    frames: int
    size: int
    change: FaceChange = FaceChange()


@dataclass(frozen=True)
class FaceRows:
    """The faces of one clip: (faces, frames, 3, size, size), how many crops of each are real, and when each is first seen."""

    crops: PixelArray
    lengths: npt.NDArray[np.int64]
    start_seconds: npt.NDArray[np.float64]
    name: str
    label: int
    row: int


def make_face_loader(
    shards: Shards | Path | str,
    spec: LoaderSpec,
    request: FaceRequest,
    *,
    training: bool,
    rows: Sequence[int] | None = None,
    train_on: Literal["all", "real"] = "all",
    need_labels: bool = True,
    rank: int = 0,
    num_ranks: int = 1,
    pin_memory: bool = False,
) -> ClipLoader:
    """Batches of crops from the clips `rows` (all by default) that show a face.

    Training: shuffled, one face a clip, forged and changed; evaluation: in order, all judged faces of a clip, untouched.
    Raises ShardError when no clip can take part.
    """
    shards = shards if isinstance(shards, Shards) else open_shards(shards)
    taken, left_out = choose_rows(shards, spec, rows=rows, need_labels=need_labels, senses=("faces",))
    if training and train_on == "real":
        taken = taken[shards.labels[taken] == REAL]
    sampler = EpochSampler(taken, shards.labels[taken], spec, training=training, rank=rank, num_ranks=num_ranks)
    reals = taken[shards.labels[taken] == REAL]
    clips = FaceClips(shards, request, seed=spec.seed, training=training, others=reals)
    loader = torch_loader(clips, sampler, spec, pin_memory=pin_memory, collate=collate_faces)
    return ClipLoader(loader, sampler, taken, left_out)


class FaceClips:
    """The map-style data set behind the loader: a draw → its rows. others: rows whose faces forgeries may borrow."""

    def __init__(
        self, shards: Shards, request: FaceRequest, *, seed: int, training: bool, others: npt.NDArray[np.int64]
    ) -> None:
        # A copy of its own: a forked worker must not share the caller's open files.
        self._shards = Shards(shards.folder, shards.index)
        self._names, self._labels = shards.names, shards.labels
        self._face_spec = shards.index.extract.faces or STANDARD_FACES
        self._request, self._seed, self._training, self._others = request, seed, training, others

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, draw: Draw) -> FaceRows:
        seen = self._faces(draw.row)
        label = int(self._labels[draw.row])
        if not self._training:
            faces = finish_faces(seen, frames=self._request.frames, size=self._request.size)
            starts = np.asarray([float(face.seconds[0]) for face in faces])
            crops, lengths = padded([face.crops for face in faces])
            return FaceRows(crops, lengths, starts, self._names[draw.row], label, draw.row)
        rng = np.random.default_rng([self._seed, draw.epoch, draw.row, draw.draw])
        track = seen.tracks[0]
        track = track.chosen(jittered(len(track.crops), self._request.frames, rng))
        crops, label = self._changed(track, label, seen.picture_size, rng)
        planes = as_planes(crops, self._request.size)[None]
        first = np.asarray([float(track.seconds[0])])
        lengths = np.asarray([len(crops)], np.int64)
        return FaceRows(planes, lengths, first, self._names[draw.row], label, draw.row)

    def _faces(self, row: int) -> FacesSeen:
        seen = self._shards.faces(row)
        if seen is None or not seen.tracks:
            raise ShardError(f"{self._names[row]!r} shows no face in {self._shards.folder}")
        return seen

    def _changed(
        self, track: FaceTrack, label: int, picture_size: tuple[int, int] | None, rng: np.random.Generator
    ) -> tuple[PixelArray, int]:
        """The crops after forging (real clips only) and changing, and what they are then."""
        change, crops = self._request.change, track.crops
        if change.forge is not None and label == REAL:
            points = landmarks_in_crops(track, self._face_spec, picture_size)
            other = self._other_face(rng) if change.needs_other else None
            forged = change.forge(crops, rng=rng, landmarks=points, other=other, fps=self._face_spec.fps)
            if isinstance(forged, ForgedPicture):
                crops, label = forged.pixels[: self._request.frames], FAKE
        if change.picture is not None and change.picture.steps:
            seed = int(rng.integers(2**62))
            crops = np.stack([np.asarray(change.picture(crop, np.random.default_rng(seed))) for crop in crops])
        return crops, label

    def _other_face(self, rng: np.random.Generator) -> PixelArray | None:
        if not len(self._others):
            return None
        track = self._faces(int(rng.choice(self._others))).tracks[0]
        return track.chosen(evenly(len(track.crops), self._request.frames)).crops


def padded(faces: Sequence[PixelArray]) -> tuple[PixelArray, npt.NDArray[np.int64]]:
    """Crops of unequal number (n, 3, s, s) as one array (faces, most, 3, s, s), black after each one's count, and the counts."""
    lengths = np.asarray([len(crops) for crops in faces], np.int64)
    together = np.zeros((len(faces), int(lengths.max()), *faces[0].shape[1:]), np.uint8)
    for target, crops in zip(together, faces, strict=True):
        target[: len(crops)] = crops
    return together, lengths


def landmarks_in_crops(track: FaceTrack, spec: FaceSpec, picture_size: tuple[int, int] | None) -> FloatArray:
    """The five points of each sighting in pixels of its crop (n, 5, 2), as faces.py cut it out."""
    points = np.full((len(track.seconds), 5, 2), np.nan, np.float32)
    for number, (box, landmarks) in enumerate(zip(track.boxes, track.landmarks, strict=True)):
        square = face_square(box, landmarks, spec.crop_margin)
        if picture_size is not None:
            square = moved_inside(square, *picture_size)
        points[number] = square.from_picture(landmarks, track.crops.shape[1])
    return points


def collate_faces(items: Sequence[FaceRows]) -> Batch:
    """Faces of several clips as one batch: samples are uint8 (rows, frames, 3, size, size), lengths count their crops."""
    import torch

    frames = max(item.crops.shape[1] for item in items)
    size = items[0].crops.shape[-1]
    crops = np.zeros((sum(len(item.crops) for item in items), frames, 3, size, size), np.uint8)
    first = 0
    for item in items:
        crops[first : first + len(item.crops), : item.crops.shape[1]] = item.crops
        first += len(item.crops)
    repeats = [len(item.crops) for item in items]
    return Batch(
        samples=torch.from_numpy(crops),
        lengths=torch.from_numpy(np.concatenate([item.lengths for item in items])),
        labels=torch.from_numpy(np.repeat([item.label for item in items], repeats).astype(np.int64)),
        names=tuple(item.name for item, count in zip(items, repeats, strict=True) for _ in range(count)),
        clips=torch.from_numpy(np.repeat([item.row for item in items], repeats).astype(np.int64)),
        start_seconds=torch.from_numpy(np.concatenate([item.start_seconds for item in items])),
    )
