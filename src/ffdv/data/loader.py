"""Prepared clips → batches for torch: windows, class balance, luck that depends on nothing but seed, epoch and clip.

Every sample's generator is made from (seed, epoch, row, draw), so that neither the number of workers nor the order of
their work changes a single value, and an epoch can be entered in its middle.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, cast

import numpy as np
import numpy.typing as npt
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    field_validator,
    model_validator,
)

from ffdv.arguments import TRAINED_BEFORE
from ffdv.data.corpus import Seconds
from ffdv.data.shards import Shards, open_shards
from ffdv.errors import ExtraMissing, ShardError
from ffdv.features.recipe import finish_sound, resample_mono, window_starts
from ffdv.features.windows import SHORTEST_SECONDS, window_fault
from ffdv.records import FAKE, REAL, FloatArray
from ffdv.sentences import Sentence, joined

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# (samples (n,) float32, rate in Hz, generator) → samples (m,) float32; must be picklable where workers are spawned.
Augment = Callable[[FloatArray, int, np.random.Generator], FloatArray]
# Another real clip's samples at the same rate, by chance; None where there is none.
Borrow = Callable[[np.random.Generator], "FloatArray | None"]
# (real samples (n,), rate in Hz, generator, borrow) → forged samples, or None to leave it real.
Forge = Callable[[FloatArray, int, np.random.Generator, Borrow], "FloatArray | None"]
IntArray = npt.NDArray[np.int64]
# In evaluation a batch is closed before it holds more than this: 131 MB of 4 s at 16 kHz, and a few batches wait in each worker.
WINDOWS_A_BATCH = 512
Kept = Literal["sound", "faces", "motion", "mouth"]  # what shards may hold of a clip


class LoaderSpec(BaseModel):
    """How clips become batches.

    window_seconds: length of a window, None = the whole clip, max_seconds at most; in training one window a clip, at random
    (random_crop) or from the start; in evaluation every window, hop_seconds apart (None: end to end);
    fake_seconds: in training a window of a clip whose forged seconds its corpus tells is fake when so many of them lie in it, or all
    that there are, and real when none does; between, its label is their share of fake_seconds. None: a window has its clip's label,
    as it has where they are not known. What is forged here is forged within the window, and fake. balance_classes: in training
    clips of both classes come equally
    often; workers: processes that read, 0 = none beside the caller.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    batch_size: int = Field(default=32, ge=1)
    window_seconds: float | None = Field(default=4.0, ge=SHORTEST_SECONDS)
    hop_seconds: float | None = Field(default=None, ge=SHORTEST_SECONDS)
    max_seconds: float = Field(default=30.0, ge=SHORTEST_SECONDS)
    random_crop: bool = True
    fake_seconds: float | None = Field(default=0.2, gt=0)
    balance_classes: bool = True
    workers: int = Field(default=2, ge=0)
    seed: int = Field(default=0, ge=0)

    @field_validator("window_seconds", "hop_seconds", "max_seconds", mode="wrap")
    @classmethod
    def _trained_so(cls, seconds: Any, strict: ValidatorFunctionWrapHandler, info: ValidationInfo) -> float | None:
        """Of a run that exists tiny lengths pass, and an endless max_seconds, for which its JSON has no word but null."""
        if info.context == TRAINED_BEFORE:
            if info.field_name == "max_seconds" and seconds in (None, math.inf):
                return math.inf
            if isinstance(seconds, float) and 0 < seconds < math.inf:
                return seconds
        length: float | None = strict(seconds)
        return length

    @model_validator(mode="after")
    def _lengths_fit(self, info: ValidationInfo) -> Self:
        """Refuse windows longer than what is read of a clip (a length in samples, most likely), hops that skip seconds unheard, and
        what could not be used once it is trained.
        """
        if info.context == TRAINED_BEFORE:
            return self
        if self.window_seconds is not None and self.window_seconds > self.max_seconds:
            raise ValueError(
                f"window_seconds = {self.window_seconds:g} is longer than max_seconds = {self.max_seconds:g}; give it in seconds (not in "
                "samples), or raise max_seconds too"
            )
        length = self.window_seconds or self.max_seconds
        if self.hop_seconds is not None and self.hop_seconds > length:
            raise ValueError(
                f"hop_seconds = {self.hop_seconds:g} is longer than a window of {length:g} s, so that seconds between windows would never "
                "be heard; give half a window, or leave it out"
            )
        if fault := window_fault(self.window_seconds, self.hop_seconds):
            raise ValueError(f"{fault}; such a net could not be used, give half a window, or leave it out")
        return self


@dataclass(frozen=True)
class Batch:
    """Windows side by side: samples (rows, n) float32, zero after each row's length; lengths, labels, clips (rows,) int64.

    Loaders of other senses put there what their nets look at: see face_loader.py, vector_loader.py, joint_loader.py.
    labels: 1 = fake, -1 unknown, float32 where a window is fake in part (LoaderSpec.fake_seconds); names (rows,): the clip that each
    row is a window of; clips: its row in the shards; start_seconds (rows,) float64: where in the clip the window begins;
    seconds (rows,) float64: its length, None where rows are not stretches of the clip's time.
    """

    samples: Tensor | tuple[Tensor, ...]
    lengths: Tensor
    labels: Tensor
    names: tuple[str, ...]
    clips: Tensor
    start_seconds: Tensor
    seconds: Tensor | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def spans(self) -> npt.NDArray[np.float64] | None:
        """Start and stop of each row on its clip's clock (rows, 2), in seconds; None where rows are not stretches of its time."""
        if self.seconds is None:
            return None
        starts, lengths = self.start_seconds.cpu().numpy(), self.seconds.cpu().numpy()
        return np.stack([starts, starts + lengths], axis=1)

    def to(self, device: torch.device | str, *, non_blocking: bool = True) -> Self:
        """The same batch with what a net needs on `device`."""
        return self._changed(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """The same batch in page-locked memory (the data loader calls this)."""
        return self._changed(lambda tensor: tensor.pin_memory())

    def _changed(self, change: Callable[[Tensor], Tensor]) -> Self:
        """The same batch with `change` done to every tensor that a net needs."""
        samples = self.samples
        changed = tuple(map(change, samples)) if isinstance(samples, tuple) else change(samples)
        return replace(self, samples=changed, lengths=change(self.lengths), labels=change(self.labels))


_SOUND = Sentence("sound")


@dataclass(frozen=True)
class LeftOut:
    """Clips that take no part, by row: extraction failed, nothing that the senses need, no label; and those cut to max_seconds.

    no_sound: what `lacking` says is missing, a sound unless the net needs something else.
    """

    failed: tuple[int, ...] = ()
    no_sound: tuple[int, ...] = ()
    no_label: tuple[int, ...] = ()
    cut: tuple[int, ...] = ()
    lacking: Sentence = _SOUND

    def sentence(self) -> Sentence | None:
        """One line for the user; None when every clip takes part whole.

        >>> LeftOut(failed=(3,), no_sound=(1, 2)).sentence()
        'left out: 1 failed in prepare, 2 without sound'
        """
        failed, lacking, unlabelled, cut = map(len, (self.failed, self.no_sound, self.no_label, self.cut))
        left, told = [], []
        if failed:
            left.append(Sentence("{count} failed in prepare", count=failed))
        if lacking:
            left.append(Sentence("{count} without {what}", count=lacking, what=self.lacking))
        if unlabelled:
            left.append(Sentence("{count} without a label", count=unlabelled))
        if left:
            told.append(Sentence("left out: {counts}", counts=joined(left, comma=True)))
        if cut:
            told.append(Sentence("cut to the longest length taken: {count}", count=cut))
        return joined(told) if told else None


class ClipLoader:
    """Batches by epoch: the same epoch is always the same batches in the same order.

    rows: the clips that take part, by row; left_out: the others, and why.
    """

    def __init__(self, loader: Iterable[Batch], sampler: EpochSampler, rows: IntArray, left_out: LeftOut) -> None:
        self.loader = loader
        self.sampler = sampler
        self.rows = rows
        self.left_out = left_out

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self.sampler)

    def epoch(self, epoch: int, *, skip: int = 0) -> Iterator[Batch]:
        """The batches of one epoch without the first `skip`; these are not even read."""
        self.sampler.enter(epoch, skip)
        yield from self.loader


def make_loader(
    shards: Shards | Path | str,
    spec: LoaderSpec,
    *,
    rate: int,
    training: bool,
    rows: Sequence[int] | None = None,
    augment: Augment | None = None,
    forge: Forge | None = None,
    need_labels: bool = True,
    rank: int = 0,
    num_ranks: int = 1,
    pin_memory: bool = False,
) -> ClipLoader:
    """Batches of sound at `rate` Hz from the clips `rows` (all by default).

    Training: shuffled, one window a clip, a real one perhaps forged, labelled for itself (LoaderSpec.fake_seconds), augmented;
    evaluation: in order, every window, untouched, with its clip's label. Each of num_ranks processes gets its share; in training all
    get equally many batches. Raises ShardError when no clip can take part.
    """
    shards = shards if isinstance(shards, Shards) else open_shards(shards)
    taken, left_out = choose_rows(shards, spec, rows=rows, need_labels=need_labels)
    left_out = left_out if training else replace(left_out, cut=())
    sampler = EpochSampler(
        taken,
        shards.labels[taken],
        spec,
        training=training,
        windows=windows_of(shards.sound_seconds[taken], spec),
        rank=rank,
        num_ranks=num_ranks,
    )
    windows = ClipWindows(
        shards,
        spec,
        rate=rate,
        training=training,
        augment=augment,
        forge=forge,
        others=taken[shards.labels[taken] == REAL],
    )
    return ClipLoader(torch_loader(windows, sampler, spec, pin_memory=pin_memory), sampler, taken, left_out)


# What a net can look at → (how many of it each clip has, what to call it where it has none).
_KEPT: dict[Kept, tuple[Callable[[Shards], npt.NDArray[Any]], Sentence]] = {
    "sound": (lambda shards: shards.sound_seconds, _SOUND),
    "faces": (lambda shards: shards.face_crops, Sentence("a face")),
    "motion": (lambda shards: shards.motion_numbers, Sentence("a moving picture")),
    "mouth": (lambda shards: shards.mouth_frames, Sentence("a mouth")),
}


def has_any(shards: Shards, senses: Sequence[Kept]) -> npt.NDArray[np.bool_]:
    """(clips,) which have at least one of these. Raises ShardError where none of them was prepared at all."""
    prepared = [sense for sense in senses if sense in shards.index.senses]
    if not prepared:
        seen = any(json.loads(facts or "{}").get("pictures") for facts in shards.table["facts"].to_pylist())
        cure = "prepare the clips again, into another folder, without --senses"
        if not seen:
            cure = "none of its clips has a picture, so take a recipe of sound (voice, mel-resnet18) or other clips"
        raise ShardError(f"{shards.folder}: {_KEPT[senses[0]][1]} was not looked for when it was prepared; {cure}")
    present = [np.asarray(_KEPT[sense][0](shards) > 0) for sense in prepared]
    return np.asarray(np.any(present, axis=0), np.bool_)


def choose_rows(
    shards: Shards,
    spec: LoaderSpec,
    *,
    rows: Sequence[int] | None = None,
    need_labels: bool = True,
    senses: Sequence[Kept] = ("sound",),
) -> tuple[IntArray, LeftOut]:
    """The clips that can take part, having any of `senses`, and the others with why. Raises ShardError when none can."""
    asked = np.arange(len(shards)) if rows is None else np.asarray(rows, np.int64)
    failed = shards.failed[asked]
    silent = ~failed & ~has_any(shards, senses)[asked]
    unlabelled = ~failed & ~silent & (shards.labels[asked] < 0) if need_labels else np.zeros(len(asked), np.bool_)
    taken = ~(failed | silent | unlabelled)
    longest = spec.max_seconds if spec.window_seconds is None and senses == ("sound",) else np.inf
    cut = taken & (shards.sound_seconds[asked] > longest)
    lacking = reduce(
        lambda first, rest: Sentence("{first} and without {rest}", first=first, rest=rest),
        (_KEPT[sense][1] for sense in senses),
    )
    masks = {"failed": failed, "no_sound": silent, "no_label": unlabelled, "cut": cut}
    left_out = LeftOut(**{why: tuple(asked[mask].tolist()) for why, mask in masks.items()}, lacking=lacking)
    refuse_none(shards, asked[taken], left_out)
    return asked[taken], left_out


def refuse_none(shards: Shards, rows: IntArray, left_out: LeftOut) -> None:
    """Raise ShardError, with what is left out, where no row is taken."""
    if not len(rows):
        raise ShardError(f"{shards.folder}: no clip can take part ({left_out.sentence() or 'there are none'})")


def windows_of(seconds: npt.NDArray[np.float64], spec: LoaderSpec) -> IntArray:
    """About how many windows evaluation takes of clips of these lengths."""
    length = spec.window_seconds or spec.max_seconds
    beyond = np.maximum(0.0, seconds - length) / (spec.hop_seconds or length)
    return 1 + np.ceil(beyond).astype(np.int64)


@dataclass(frozen=True)
class Draw:
    """One sample to make: the clip's row, and how often this epoch has drawn it before."""

    epoch: int
    row: int
    draw: int


class EpochSampler:
    """The order of an epoch, from (seed, epoch) alone: batches of draws, for this process's share.

    windows (rows,): of each clip; with them a batch of evaluation holds WINDOWS_A_BATCH at most, or one clip.
    """

    def __init__(
        self,
        rows: IntArray,
        labels: IntArray,
        spec: LoaderSpec,
        *,
        training: bool,
        windows: IntArray | None = None,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        self._rows, self._labels, self._spec = rows, labels, spec
        self._windows = np.ones(len(rows), np.int64) if windows is None or training else windows
        self._training, self._rank, self._num_ranks = training, rank, num_ranks
        self._epoch, self._skip = 1, 0

    def enter(self, epoch: int, skip: int = 0) -> None:
        """Set the epoch that the next iteration gives, and how many of its batches to leave out."""
        self._epoch, self._skip = epoch, skip

    def __len__(self) -> int:
        return len(self._cuts(len(range(self._rank, self._padded_length(), self._num_ranks))))

    def __iter__(self) -> Iterator[list[Draw]]:
        draws = self._order()[self._rank :: self._num_ranks]
        for start, stop in self._cuts(len(draws))[self._skip :]:
            yield draws[start:stop]

    def _padded_length(self) -> int:
        """In training every process must take equally many steps: the order is repeated from its start to fit."""
        count = len(self._rows)
        return -(-count // self._num_ranks) * self._num_ranks if self._training else count

    def _cuts(self, count: int) -> list[tuple[int, int]]:
        """Batch borders; in training a last batch of one clip joins the one before, for batch norm needs two."""
        size = self._spec.batch_size
        starts = list(range(0, count, size)) if self._training else self._starts_within_bounds(size)
        if self._training and len(starts) > 1 and size > 1 and count - starts[-1] == 1:
            del starts[-1]
        return list(itertools.pairwise([*starts, count]))

    def _starts_within_bounds(self, size: int) -> list[int]:
        """Where batches of at most `size` clips and WINDOWS_A_BATCH windows begin in this process's share."""
        starts: list[int] = []
        held = 0
        for place, windows in enumerate(self._windows[self._rank :: self._num_ranks].tolist()):
            if not starts or place - starts[-1] == size or held + windows > WINDOWS_A_BATCH:
                starts.append(place)
                held = 0
            held += windows
        return starts

    def _order(self) -> list[Draw]:
        if not self._training:
            return [Draw(self._epoch, int(row), 0) for row in self._rows]
        rng = np.random.default_rng([self._spec.seed, self._epoch])
        places, draws = self._balanced(rng) if self._spec.balance_classes else _shuffled(len(self._rows), rng)
        order = [
            Draw(self._epoch, int(self._rows[place]), int(draw)) for place, draw in zip(places, draws, strict=True)
        ]
        return list(itertools.islice(itertools.cycle(order), self._padded_length()))

    def _balanced(self, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """As many draws as clips, half of them of each class: one class is left out in part, the other comes again."""
        classes = [np.flatnonzero(self._labels == label) for label in np.unique(self._labels)]
        shares = np.full(len(classes), len(self._rows) // len(classes))
        shares[: len(self._rows) % len(classes)] += 1
        places, draws = [], []
        for members, share in zip(classes, shares, strict=True):
            rounds = -(-share // len(members))
            places.append(np.concatenate([rng.permutation(members) for _ in range(rounds)])[:share])
            draws.append(np.repeat(np.arange(rounds), len(members))[:share])
        mixed = rng.permutation(len(self._rows))
        return np.concatenate(places)[mixed], np.concatenate(draws)[mixed]


def _shuffled(count: int, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
    return rng.permutation(count), np.zeros(count, np.int64)


def label_of_window(span: tuple[float, float], forged: Seconds, *, fake_seconds: float) -> float:
    """How fake a stretch of a clip is, [0, 1], where these seconds of the clip are forged; see LoaderSpec.fake_seconds.

    >>> forged = ((2.0, 4.0),)
    >>> [label_of_window((start, start + 2.0), forged, fake_seconds=0.5) for start in (0.0, 0.25, 1.0, 3.75, 4.0)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    >>> label_of_window((1.0, 3.0), ((2.0, 2.1),), fake_seconds=0.5)
    1.0
    """
    inside = sum(max(0.0, min(span[1], stop) - max(span[0], start)) for start, stop in forged)
    enough = min(fake_seconds, sum(stop - start for start, stop in forged))
    # Spans are written to a tenth of a millisecond.
    return 1.0 if enough and inside >= enough - 1e-4 else inside / enough if enough else 0.0


@dataclass(frozen=True)
class _Item:
    """The windows of one clip before they are put together: (windows, n), where each begins, and their length in seconds."""

    windows: FloatArray
    start_seconds: npt.NDArray[np.float64]
    seconds: float
    name: str
    label: float
    row: int


class ClipWindows:
    """The map-style data set behind the loader: a draw → its windows. others: rows of real clips that forgeries may borrow."""

    def __init__(
        self,
        shards: Shards,
        spec: LoaderSpec,
        *,
        rate: int,
        training: bool,
        augment: Augment | None = None,
        forge: Forge | None = None,
        others: IntArray | None = None,
    ) -> None:
        # A copy of its own: a forked worker must not share the caller's open files.
        self._shards = Shards(shards.folder, shards.index)
        self._names, self._labels = shards.names, shards.labels
        self._forged_seconds = shards.forged_seconds if training and spec.fake_seconds else None
        self._spec, self._rate, self._training, self._augment = spec, rate, training, augment
        self._forge, self._others = forge, np.zeros(0, np.int64) if others is None else others

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, draw: Draw) -> _Item:
        sound = self._shards.sound(draw.row)
        if sound is None:
            raise ShardError(f"{self._names[draw.row]!r} has no sound in {self._shards.folder}")
        label = float(self._labels[draw.row])
        if self._training:
            rng = np.random.default_rng([self._spec.seed, draw.epoch, draw.row, draw.draw])
            window, first = self._training_window(resample_mono(sound, self._rate), rng)
            start, seconds = sound.start_seconds + first / self._rate, len(window) / self._rate
            window, label = (
                self._forged(window, rng) if label == REAL else (window, self._label(draw.row, start, seconds))
            )
            changed = self._augmented(window, rng, draw.row)[None]
            return _Item(changed, np.asarray([start]), seconds, self._names[draw.row], label, draw.row)
        # A clip longer than those that a net takes whole is judged piece by piece, as in detect/scorers.
        wanted, hop = self._spec.window_seconds or self._spec.max_seconds, self._spec.hop_seconds
        windows, starts = finish_sound(sound, rate=self._rate, window_seconds=wanted, hop_seconds=hop)
        return _Item(windows, starts, windows.shape[1] / self._rate, self._names[draw.row], label, draw.row)

    def _label(self, row: int, start: float, seconds: float) -> float:
        """Of a window of a fake clip."""
        forged = None if self._forged_seconds is None else self._forged_seconds[row]
        if forged is None or self._spec.fake_seconds is None:
            return float(self._labels[row])
        return label_of_window((start, start + seconds), forged, fake_seconds=self._spec.fake_seconds)

    def _forged(self, window: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, float]:
        """A real window after the forging hook, and what it is then."""
        forged = None if self._forge is None else self._forge(window, self._rate, rng, self._other_voice)
        if forged is None:
            return window, REAL
        # Forged after it was cut: all of the forgery lies in it, be it ever so short.
        return np.asarray(forged, np.float32)[: len(window)], FAKE

    def _other_voice(self, rng: np.random.Generator) -> FloatArray | None:
        """Another real clip's sound, at the same rate."""
        sound = self._shards.sound(int(rng.choice(self._others))) if len(self._others) else None
        return None if sound is None else resample_mono(sound, self._rate)

    def _training_window(self, mono: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, int]:
        """One window of the clip and its first sample."""
        seconds = self._spec.window_seconds or self._spec.max_seconds
        _, length = window_starts(len(mono), rate=self._rate, window_seconds=seconds, hop_seconds=None)
        start = int(rng.integers(len(mono) - length + 1)) if self._spec.random_crop else 0
        return mono[start : start + length], start

    def _augmented(self, window: FloatArray, rng: np.random.Generator, row: int) -> FloatArray:
        """The window after the hook; what it makes longer than the window is cut again."""
        if self._augment is None:
            return window
        changed = np.asarray(self._augment(window, self._rate, rng), np.float32)
        if changed.ndim != 1 or not len(changed) or not np.isfinite(changed).all():
            raise ValueError(f"augmentation of {self._names[row]!r} gave no finite sound, shape {changed.shape}")
        return changed[: len(window)] if self._spec.window_seconds is not None else changed


def collate(items: Sequence[_Item]) -> Batch:
    """Windows of several clips as one batch, zero-padded to the longest."""
    import torch

    rows = [window for item in items for window in item.windows]
    repeats = [len(item.windows) for item in items]
    lengths = np.asarray([len(row) for row in rows], np.int64)
    labels = np.repeat([item.label for item in items], repeats).astype(np.float32)
    samples = np.zeros((len(rows), lengths.max()), np.float32)
    for target, row in zip(samples, rows, strict=True):
        target[: len(row)] = row
    return Batch(
        samples=torch.from_numpy(samples),
        lengths=torch.from_numpy(lengths),
        labels=torch.from_numpy(labels if (labels % 1).any() else labels.astype(np.int64)),
        names=tuple(item.name for item, count in zip(items, repeats, strict=True) for _ in range(count)),
        clips=torch.from_numpy(np.repeat([item.row for item in items], repeats).astype(np.int64)),
        start_seconds=torch.from_numpy(np.concatenate([item.start_seconds for item in items])),
        seconds=torch.from_numpy(np.repeat([item.seconds for item in items], repeats)),
    )


def torch_loader(
    clips: object, sampler: EpochSampler, spec: LoaderSpec, *, pin_memory: bool, collate: Callable[..., Batch] = collate
) -> Any:
    """Torch's loader over a data set of draws (len and getitem), whose items `collate` puts together."""
    try:
        import torch
        from torch.utils.data import DataLoader
    except ModuleNotFoundError as error:
        raise ExtraMissing("training", "train") from error
    return DataLoader(
        cast("Any", clips),  # torch asks only for __getitem__ and __len__
        batch_sampler=cast("Any", sampler),  # its items are draws, not numbers
        num_workers=spec.workers,
        collate_fn=collate,
        pin_memory=pin_memory,
        persistent_workers=spec.workers > 0,
        prefetch_factor=4 if spec.workers > 0 else None,
        # Its own, for it draws a seed when it starts: each epoch without workers, once with them. Dropout and MixUp draw from torch's.
        generator=torch.Generator(),
    )
