"""Sound and face of the same stretch of a clip as one row, on one clock; either may be missing.

sound ─ window ┐                                      samples = (crops (rows, frames, 3, s, s), their seconds within the window
face  ─ crops  ┴─ in it ─▶ forge, change ─▶ Batch ─▶            (rows, frames), sound (rows, n)), lengths (rows, 2): crops, samples
                                                      labels (rows, 4): overall, picture, voice, pairing; NaN = not known, in training
                                                      of the window itself where its clip's forged seconds are known
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffdv.augment.chain import ForgeChain
from ffdv.augment.forgery import ForgedPicture, ForgedSound
from ffdv.augment.image import PictureChain
from ffdv.augment.steps import material_of
from ffdv.data.face_loader import landmarks_in_crops
from ffdv.data.loader import (
    Batch,
    ClipLoader,
    Draw,
    EpochSampler,
    LoaderSpec,
    choose_rows,
    label_of_window,
    torch_loader,
    windows_of,
)
from ffdv.data.shards import Shards
from ffdv.features.crops import as_planes
from ffdv.features.faces import STANDARD_FACES
from ffdv.features.recipe import JointWindow, finish_joint, joint_span, joint_window, resample_mono
from ffdv.records import FAKE, REAL, FloatArray, Samples

HEADS = ("overall", "picture", "voice", "pairing")


@dataclass(frozen=True)
class JointRequest:
    """What a row holds: crops of `size` pixels, at most `frames`, sound at `rate`; and what training makes of it."""

    frames: int
    size: int
    rate: int
    forge_picture: ForgeChain | None = None
    forge_sound: ForgeChain | None = None
    picture: PictureChain | None = None


@dataclass(frozen=True)
class JointRows:
    """The windows of one clip, their length in seconds, and what is known of them: labels (4,)."""

    windows: tuple[JointWindow, ...]
    seconds: float
    labels: FloatArray
    name: str
    row: int


def make_joint_loader(
    shards: Shards,
    spec: LoaderSpec,
    request: JointRequest,
    *,
    training: bool,
    rows: Sequence[int] | None = None,
    rank: int = 0,
    num_ranks: int = 1,
) -> ClipLoader:
    """Batches of windows of the clips `rows` that have a sound or a face. Raises ShardError when none can take part."""
    taken, left_out = choose_rows(shards, spec, rows=rows, senses=("sound", "faces"))
    sampler = EpochSampler(
        taken,
        shards.labels[taken],
        spec,
        training=training,
        windows=windows_of(shards.sound_seconds[taken], spec),
        rank=rank,
        num_ranks=num_ranks,
    )
    clips = JointClips(shards, spec, request, training=training, others=taken[shards.labels[taken] == REAL])
    loader = torch_loader(clips, sampler, spec, pin_memory=False, collate=collate_joint)
    return ClipLoader(loader, sampler, taken, left_out)


def head_labels(shards: Shards) -> FloatArray:
    """What is known of each clip (clips, 4), in the order of HEADS: from its label and the columns video_fake and audio_fake.

    A genuine clip is genuine in everything. A fake whose picture and voice are both genuine is one of pairing.
    """
    known = np.full((len(shards), len(HEADS)), np.nan, np.float32)
    known[:, 0] = np.where(shards.labels >= 0, shards.labels, np.nan)
    for column, names in ((1, ("video_fake", "picture_fake")), (2, ("audio_fake", "voice_fake"))):
        for name in names:
            values = shards.group(name)
            for row, value in enumerate(values):
                if value in ("0", "1"):
                    known[row, column] = float(value)
    known[known[:, 0] == REAL, 1:] = 0.0
    known[(known[:, 0] == FAKE) & (known[:, 1] == 0) & (known[:, 2] == 0), 3] = 1.0
    return known


class JointClips:
    """The map-style data set behind the loader: a draw → its windows. others: rows of real clips that forgeries may borrow."""

    def __init__(
        self,
        shards: Shards,
        spec: LoaderSpec,
        request: JointRequest,
        *,
        training: bool,
        others: npt.NDArray[np.int64],
    ) -> None:
        # A copy of its own: a forked worker must not share the caller's open files.
        self._shards = Shards(shards.folder, shards.index)
        self._names, self._labels = shards.names, head_labels(shards)
        self._face_spec = shards.index.extract.faces or STANDARD_FACES
        self._forged_seconds = shards.forged_seconds if training and spec.fake_seconds else None
        self._spec, self._request, self._training, self._others = spec, request, training, others

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, draw: Draw) -> JointRows:
        sound, seen = self._shards.sound(draw.row), self._shards.faces(draw.row)
        labels, name = self._labels[draw.row].copy(), self._names[draw.row]
        request, seconds = self._request, self._spec.window_seconds or self._spec.max_seconds
        track = seen.tracks[0] if seen and seen.tracks else None
        first, last = joint_span(sound, track)
        length = min(seconds, last - first)
        if not self._training:
            windows = finish_joint(
                sound,
                seen,
                rate=request.rate,
                window_seconds=seconds,
                hop_seconds=self._spec.hop_seconds,
                frames=request.frames,
                size=request.size,
            )
            return JointRows(windows, length, labels, name, draw.row)
        rng = np.random.default_rng([self._spec.seed, draw.epoch, draw.row, draw.draw])
        mono = None if sound is None else resample_mono(sound, request.rate)
        start = first + float(rng.uniform(0.0, max(0.0, last - first - seconds))) if self._spec.random_crop else first
        whole = None if sound is None or mono is None else Samples(mono[None], request.rate, sound.start_seconds)
        part = joint_window(whole, track, start=start, seconds=seconds, frames=request.frames, rng=rng)
        forgeable = labels[0] == REAL
        if not forgeable:
            labels *= self._share_forged(draw.row, start, length)
        heard = self._forged_sound(part.sound, labels, rng, paired=len(part.crops) > 0) if forgeable else part.sound
        crops = part.crops
        if track is not None and len(crops):
            size = None if seen is None else seen.picture_size
            points = landmarks_in_crops(track.chosen(part.places), self._face_spec, size)
            crops = self._changed_crops(crops, points, labels, rng, forgeable=forgeable)
        planes = as_planes(crops, request.size)
        window = JointWindow(planes, part.crop_seconds[: len(planes)], heard, start)
        return JointRows((window,), length, labels, name, draw.row)

    def _share_forged(self, row: int, start: float, seconds: float) -> float:
        """How fake a window of a fake clip is."""
        forged = None if self._forged_seconds is None else self._forged_seconds[row]
        if forged is None or self._spec.fake_seconds is None:
            return 1.0
        return label_of_window((start, start + seconds), forged, fake_seconds=self._spec.fake_seconds)

    def _forged_sound(
        self, samples: FloatArray, labels: FloatArray, rng: np.random.Generator, *, paired: bool
    ) -> FloatArray:
        """A real clip's sound, perhaps forged, its labels then set in place; without a face a wrong pairing is none."""
        chain = self._request.forge_sound
        if chain is None or not len(samples):
            return samples
        other = (
            self._other_sound(rng) if any("other" in material_of(chain.methods[s.name]) for s in chain.steps) else None
        )
        forged = chain(samples, self._request.rate, rng=rng, other=other)
        if not isinstance(forged, ForgedSound) or not forged.segments or (forged.sense == "agreement" and not paired):
            return samples
        labels[0], labels[3 if forged.sense == "agreement" else 2] = 1.0, 1.0
        return forged.samples[: len(samples)]

    def _other_sound(self, rng: np.random.Generator) -> FloatArray | None:
        for row in rng.permutation(self._others)[:8].tolist():
            sound = self._shards.sound(row)
            if sound is not None:
                return resample_mono(sound, self._request.rate)
        return None

    def _changed_crops(
        self,
        crops: npt.NDArray[np.uint8],
        points: FloatArray,
        labels: FloatArray,
        rng: np.random.Generator,
        *,
        forgeable: bool,
    ) -> npt.NDArray[np.uint8]:
        """Crops of a clip with a genuine picture, perhaps forged, its labels then set in place; then changed alike."""
        chain, change = self._request.forge_picture, self._request.picture
        if chain is not None and forgeable and labels[0] == REAL:
            forged = chain(crops, rng=rng, landmarks=points, fps=self._face_spec.fps)
            if isinstance(forged, ForgedPicture) and forged.segments and len(forged.pixels) == len(crops):
                labels[0], labels[1] = 1.0, 1.0
                crops = forged.pixels
        if change is not None and change.steps:
            seed = int(rng.integers(2**62))
            crops = np.stack([np.asarray(change(crop, np.random.default_rng(seed))) for crop in crops])
        return crops


def collate_joint(items: Sequence[JointRows]) -> Batch:
    """Windows of several clips as one batch, padded with black and silence to the longest."""
    import torch

    rows = [(window, item) for item in items for window in item.windows]
    frames, length = (
        max(1, *(len(part) for part in parts))
        for parts in ([w.crops for w, _ in rows] + [()], [w.sound for w, _ in rows] + [()])
    )
    size = rows[0][0].crops.shape[-1]
    crops = np.zeros((len(rows), frames, 3, size, size), np.uint8)
    seconds, sound = np.zeros((len(rows), frames), np.float32), np.zeros((len(rows), length), np.float32)
    for place, (window, _) in enumerate(rows):
        crops[place, : len(window.crops)] = window.crops
        seconds[place, : len(window.crops)] = window.crop_seconds
        sound[place, : len(window.sound)] = window.sound
    lengths = np.asarray([(len(window.crops), len(window.sound)) for window, _ in rows], np.int64)
    return Batch(
        samples=(torch.from_numpy(crops), torch.from_numpy(seconds), torch.from_numpy(sound)),
        lengths=torch.from_numpy(lengths),
        labels=torch.from_numpy(np.stack([item.labels for _, item in rows])),
        names=tuple(item.name for _, item in rows),
        clips=torch.tensor([item.row for _, item in rows]),
        start_seconds=torch.tensor([window.start_seconds for window, _ in rows], dtype=torch.float64),
        seconds=torch.tensor([item.seconds for _, item in rows], dtype=torch.float64),
    )
