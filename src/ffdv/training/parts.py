"""Which clip serves for what: train, validation (chooses the epoch), calibration (nothing but that), test (chooses nothing).

The corpus's own split is taken where it has one; else whole groups (people, sources) go to one side. A test part is never
touched in training, so that what is reported was not what was chosen on.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import compress
from pathlib import Path
from typing import Literal, Self, cast

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, model_validator

from ffdv.data.corpus import group_value
from ffdv.data.loader import Kept, has_any
from ffdv.data.seen import GROUP_CURE, LABEL_CURE, PARTS_NAME, data_hash, read_parts
from ffdv.data.shards import Shards
from ffdv.data.splits import Leak, find_leaks, split_by_group
from ffdv.errors import ManifestError
from ffdv.records import FAKE, REAL, Clip
from ffdv.whole_file import write_atomically

Mask = npt.NDArray[np.bool_]
Part = Literal["train", "validation", "calibration", "test", "left_out"]
_PARTS: tuple[Part, ...] = ("train", "validation", "calibration", "test", "left_out")
# Of each class, on both sides, before calibration clips are set apart: with fewer, neither an epoch nor a map can be chosen.
ENOUGH_PER_CLASS = 30


class SplitSpec(BaseModel):
    """How the labelled clips are divided.

    by: `corpus` (its own split; a validation part that it lacks is drawn from its training part), `group` (drawn by us), `auto` (corpus where it names both a train and a validation split,
    else group); train, validation, test: the corpus's names for them; groups: columns whose values must not be on two sides
    of a split that we draw; validation_share, test_share: of the clips; calibration_share: of the validation clips, set apart in
    whole groups for calibration and thresholds where that leaves both sides enough of each class, else they share; leaks: what to
    do with validation and test clips of
    the corpus's split that share a value of `leak_groups` with the training part, and with validation clips that share one with the
    test part: `drop` them, or only `report`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["auto", "corpus", "group"] = "auto"
    train: tuple[str, ...] = ("train", "training")
    validation: tuple[str, ...] = ("val", "valid", "validation", "dev")
    test: tuple[str, ...] = ("test", "eval")
    groups: tuple[str, ...] = ("identity", "source")
    validation_share: float = Field(default=0.2, gt=0.0, lt=1.0)
    test_share: float = Field(default=0.0, ge=0.0, lt=1.0)
    calibration_share: float = Field(default=0.5, ge=0.0, lt=1.0)
    leaks: Literal["drop", "report"] = "drop"
    leak_groups: tuple[str, ...] = ("identity",)
    seed: int = Field(default=0, ge=0)

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> Self:
        """Refuse shares that use up everything, and names that mean two things."""
        if self.validation_share + self.test_share > 0.8:
            raise ValueError(
                f"validation_share {self.validation_share:g} and test_share {self.test_share:g} leave less than a fifth to "
                "train on; lower them"
            )
        twice = [name for name, count in Counter([*self.train, *self.validation, *self.test]).items() if count > 1]
        if twice:
            raise ValueError(
                f"split {twice[0]!r} cannot be two parts at once; name it in one of train, validation, test"
            )
        return self


@dataclass(frozen=True)
class Parts:
    """What each row of the shards serves for.

    data_hash: of the shards that the rows are of; of_row: a part a row; notes: what a user must know of the choice.
    """

    data_hash: str
    names: tuple[str, ...]
    of_row: tuple[Part, ...]
    notes: tuple[str, ...] = ()

    def rows(self, part: Part) -> list[int]:
        """The rows of a part, rising."""
        return [row for row, of_row in enumerate(self.of_row) if of_row == part]

    def counts(self) -> dict[str, int]:
        """Clips by part, empty parts left out."""
        counted = Counter(self.of_row)
        return {part: counted[part] for part in _PARTS if counted[part]}


def choose_parts(shards: Shards, spec: SplitSpec, senses: Sequence[Kept] = ("sound",)) -> Parts:
    """Divide the labelled clips; those that have none of `senses` serve for nothing.

    All labelled clips are divided before these are taken out, so that runs of different senses have the same parts and can be
    compared and fused; where that leaves a part without a class, the clips with the sense are divided alone, and a note says so.
    Raises ManifestError when a part would lack clips, or one of the classes.
    """
    labelled = (shards.labels >= 0) & ~shards.failed
    usable = labelled & has_any(shards, senses)
    mute = labelled & ~usable
    if not labelled.any():
        raise ManifestError(f"{shards.folder}: no clip has a label; {LABEL_CURE}")
    if len(found := set(shards.labels[usable].tolist())) == 1:
        one, other = ("real", "fake") if found == {REAL} else ("fake", "real")
        raise ManifestError(
            f"{shards.folder}: all {usable.sum()} clips that can be judged are {one}; training needs {other} ones too"
        )
    if spec.groups != SplitSpec().groups and (unknown := [by for by in spec.groups if not any(shards.group(by))]):
        raise ManifestError(
            f"{shards.folder}: no clip has a {unknown[0]!r} (split.groups); group columns are {', '.join(shards.group_names) or 'none'}; {GROUP_CURE}"
        )
    try:
        of_row, notes = _divide(shards, labelled, usable, spec)
    except ManifestError:
        if not mute.any():
            raise
        of_row, notes = _divide(shards, usable, usable, spec)
        alone = f"split: drawn among the clips with {' or '.join(senses)} alone, so that it differs from that of other senses' runs"
        notes = [*notes, alone]
    if unlabelled := int((shards.labels < 0).sum()):
        notes = [*notes, f"{unlabelled} of {len(shards)} clips have no label and are left out"]
    if mute.any():
        lost = shards.labels[mute].tolist()
        without = f"{len(lost)} of {labelled.sum()} labelled clips have no {' or '.join(senses)} and serve for nothing"
        notes = [*notes, f"{without}: {lost.count(0)} real, {lost.count(1)} fake"]
    return Parts(data_hash(shards), shards.names, tuple(of_row), tuple(notes))


def _divide(shards: Shards, among: Mask, usable: Mask, spec: SplitSpec) -> tuple[list[Part], list[str]]:
    """A part for every row: the clips `among` are divided, and those of them that are not usable left out afterwards."""
    rows = np.flatnonzero(among).tolist()
    clips = list(compress(shards.clips(), among))
    able = usable[among].tolist()
    by_corpus = spec.by == "corpus" or (spec.by == "auto" and _corpus_names_both(clips, spec))
    parts, notes = _by_corpus(clips, spec) if by_corpus else _by_group(clips, spec)
    if by_corpus and "validation" not in parts:
        parts, drawn = _with_validation(clips, parts, spec)
        notes = [*notes, drawn]
    _check(list(compress(clips, able)), list(compress(parts, able)))
    parts = _set_calibration_apart(clips, parts, spec, able)
    of_row: list[Part] = ["left_out"] * len(shards)
    for row, part, fit in zip(rows, parts, able, strict=True):
        of_row[row] = part if fit else "left_out"
    return of_row, notes


def draw_parts(clips: Sequence[Clip], spec: SplitSpec) -> tuple[list[Part], str]:
    """Divide labelled clips into train, validation and calibration by whole groups, whatever split the corpus names, and say how.

    Fewer columns are kept whole where all of them would leave a part without a class: first of `spec.groups` alone, then none.
    Raises ManifestError when even that is not possible.
    """
    wanted = spec.model_copy(update={"test_share": 0.0})
    for groups in dict.fromkeys((spec.groups, spec.groups[:1], ())):
        tried = wanted.model_copy(update={"groups": groups})
        try:
            parts, notes = _by_group(clips, tried)
            _check(clips, parts)
        except ManifestError:
            if not groups:
                raise
            continue
        return _set_calibration_apart(clips, parts, tried, [True] * len(clips)), notes[0]
    raise AssertionError("the loop ends by return or raise")


def write_parts(folder: Path, parts: Parts) -> None:
    """Write parts.csv: name, part; whole or not at all."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(("name", "part"))
    writer.writerows(zip(parts.names, parts.of_row, strict=True))
    write_atomically(folder / PARTS_NAME, text.getvalue().encode("utf-8", "surrogateescape"))


_CHOOSING = frozenset({"validation", "calibration", "left_out"})


def parts_as_begun(parts: Parts, folder: Path) -> Parts:
    """The parts with which the run in this folder was begun, where it is taught and tested on the same clips: an earlier version may
    have chosen by clips that are left out now, and its runs go on as they are. Else the parts as given.
    """
    if not (folder / PARTS_NAME).is_file():
        return parts
    written, wanted = read_parts(folder), dict(zip(parts.names, parts.of_row, strict=True))
    moved = [name for name, part in wanted.items() if written.get(name) != part]
    if not moved or not all({written.get(name), wanted[name]} <= _CHOOSING for name in moved):
        return parts
    note = f"split: as this run was begun, by an earlier version; a new one would choose by other clips ({len(moved)} differ)"
    return replace(parts, of_row=tuple(cast("Part", written[name]) for name in parts.names), notes=(note,))


def _corpus_names_both(clips: Sequence[Clip], spec: SplitSpec) -> bool:
    """Whether the corpus has a train and a validation split of its own."""
    named = {clip.split for clip in clips}
    return bool(named & set(spec.train)) and bool(named & set(spec.validation))


def _by_corpus(clips: Sequence[Clip], spec: SplitSpec) -> tuple[list[Part], list[str]]:
    """The corpus's own split, without the validation and test clips that share a leak group with training, and without the validation
    clips that share one with the test part, which would choose the epoch and the thresholds that are then reported on it.
    """
    part_of: dict[str | None, Part] = dict.fromkeys(spec.train, "train")
    part_of.update(dict.fromkeys(spec.validation, "validation"))
    part_of.update(dict.fromkeys(spec.test, "test"))
    parts = [part_of.get(clip.split, "left_out") for clip in clips]
    unknown = Counter(clip.split or "" for clip, part in zip(clips, parts, strict=True) if part == "left_out")
    notes = [f"split: {count} clips of {name or 'no split'} serve for nothing" for name, count in unknown.most_common()]
    leaks = find_leaks(clips, [None if part == "left_out" else part for part in parts], by=spec.leak_groups)
    if not leaks:
        return parts, notes
    worst = ", ".join(f"{leak.by} {leak.value}" for leak in leaks[:3])
    what = f"split: {len(leaks)} values stand on two sides of the corpus's split ({worst}{', ...' if len(leaks) > 3 else ''})"
    with_train = _shared(clips, parts, leaks, "train")
    with_test = [
        part == "validation" and shared and not also
        for part, shared, also in zip(parts, _shared(clips, parts, leaks, "test"), with_train, strict=True)
    ]
    if spec.leaks == "report":
        told = [f"{sum(with_train)} validation and test clips leak, their scores flatter"]
        told += (
            [f"{sum(with_test)} validation clips share one with the test part, {_FLATTERED}"] if any(with_test) else []
        )
        return parts, [*notes, "; ".join([what, *told])]
    kept, told = _without(parts, with_train), []
    if any(with_train) or not any(with_test):
        told.append(f"the {sum(with_train)} validation and test clips of these are left out")
    if any(with_test):
        fewer, share = (
            _without(kept, with_test),
            f"the {sum(with_test)} validation clips that share one with the test part",
        )
        if {REAL, FAKE} <= {clip.label for clip, part in zip(clips, fewer, strict=True) if part == "validation"}:
            kept = fewer
            told.append(f"{share} are left out")
        else:
            told.append(
                f"{share} stay, for validation needs both classes, {_FLATTERED}; --set split.by=group draws anew"
            )
    return kept, [*notes, "; ".join([what, *told])]


_FLATTERED = "so that test clips choose the epoch and the thresholds and their scores flatter"


def _shared(clips: Sequence[Clip], parts: Sequence[Part], leaks: Sequence[Leak], part: Part) -> list[bool]:
    """Which validation and test clips share a leaking value with this part."""
    leaking = {(leak.by, leak.value) for leak in leaks if part in dict(leak.parts)}
    columns = {by for by, _ in leaking}
    return [
        its in {"validation", "test"} and any((by, group_value(clip.groups, by)) in leaking for by in columns)
        for clip, its in zip(clips, parts, strict=True)
    ]


def _without(parts: Sequence[Part], gone: Sequence[bool]) -> list[Part]:
    """The parts with some clips left out."""
    return ["left_out" if is_gone else part for part, is_gone in zip(parts, gone, strict=True)]


def _with_validation(clips: Sequence[Clip], parts: Sequence[Part], spec: SplitSpec) -> tuple[list[Part], str]:
    """A validation part taken out of a corpus's training part by whole groups, for a corpus that names none."""
    inside = [clip for clip, part in zip(clips, parts, strict=True) if part == "train"]
    drawn, notes = _by_group(inside, spec.model_copy(update={"test_share": 0.0}))
    taken = iter(drawn)
    return [next(taken) if part == "train" else part for part in parts], f"validation out of train; {notes[0]}"


def _by_group(clips: Sequence[Clip], spec: SplitSpec) -> tuple[list[Part], list[str]]:
    """Whole families of clips to one part each, by the columns that the corpus has."""
    columns = [by for by in spec.groups if any(group_value(clip.groups, by) for clip in clips)]
    shares = {"train": 1.0 - spec.validation_share - spec.test_share, "validation": spec.validation_share}
    if spec.test_share:
        shares["test"] = spec.test_share
    parts = split_by_group(clips, by=columns, shares=shares, seed=spec.seed)
    if columns:
        note = f"split: drawn by us, no {' and no '.join(columns)} on two sides"
    else:
        wanted = " or ".join(spec.groups) or "any group column"
        note = f"split: drawn by us clip by clip, for the corpus has no {wanted}: expect the validation to flatter"
    return [_as_part(part) for part in parts], [note]


def _set_calibration_apart(
    clips: Sequence[Clip], parts: list[Part], spec: SplitSpec, able: Sequence[bool]
) -> list[Part]:
    """Validation clips divided in two by whole groups, people and sources if that is possible, else people alone.

    The net of the best epoch was chosen on its half, so thresholds promised for new clips must come from the other. able: which
    clips count where both halves must have enough.
    """
    places = [place for place, part in enumerate(parts) if part == "validation"]
    inside = [clips[place] for place in places]
    if not spec.calibration_share:
        return parts
    shares = {"validation": 1.0 - spec.calibration_share, "calibration": spec.calibration_share}
    columns = [by for by in spec.groups if any(group_value(clip.groups, by) for clip in inside)]
    for by in (columns, columns[:1]) if len(columns) > 1 else (columns,):
        try:
            halves = split_by_group(inside, by=by, shares=shares, seed=spec.seed, warn=False)
        except ManifestError:  # too few families to divide
            continue
        counted = [able[place] for place in places]
        if _enough_on_both_sides(list(compress(inside, counted)), list(compress(halves, counted))):
            divided = list(parts)
            for place, half in zip(places, halves, strict=True):
                divided[place] = _as_part(half)
            return divided
    return parts


def _enough_on_both_sides(clips: Sequence[Clip], halves: Sequence[str]) -> bool:
    """Whether validation and calibration have clips enough of each class."""
    counted = Counter((half, clip.label) for half, clip in zip(halves, clips, strict=True))
    return all(
        counted[half, label] >= ENOUGH_PER_CLASS for half in ("validation", "calibration") for label in (REAL, FAKE)
    )


def _as_part(name: str) -> Part:
    return next(part for part in _PARTS if part == name)


def _check(clips: Sequence[Clip], parts: Sequence[Part]) -> None:
    """Training and validation need both classes."""
    for part in ("train", "validation"):
        labels = [clip.label for clip, its in zip(clips, parts, strict=True) if its == part]
        real, fake = labels.count(REAL), labels.count(FAKE)
        if not real or not fake:
            named = ", ".join(sorted({clip.split for clip in clips if clip.split})) or "none"
            raise ManifestError(
                f"the {part} part has {real} real and {fake} fake clips that can be judged, it needs both; the corpus's splits "
                f"are {named}; try --set split.by=group, another --set split.seed=1, or fewer --set 'split.groups=[\"identity\"]'"
            )
