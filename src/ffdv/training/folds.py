"""Who is held out when: the plan of a cross-validation, drawn once from the light columns, before anything is trained.

by = method, folds = None          by = identity, folds = 3
┌────────┬───────────────┐         ┌──────────┬──────────────┐
│ fold 1 │ vocoder A     │         │ fold 1   │ ann, bob ... │
│ fold 2 │ vocoder B     │         │ fold 2   │ eve, dan ... │
└────────┴───────────────┘         └──────────┴──────────────┘

A group of one class only (a generator has only fakes) cannot be judged by itself. For such groups whole people are set apart
once (`partners`): no net of any fold is trained or chosen on any of their clips, and every one-class group is judged against the
clips that they have of the missing class, so that the rows share their reals and can be compared.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ffdv.data.corpus import GROUP_SPELLINGS
from ffdv.data.seen import GROUP_CURE, data_hash
from ffdv.data.shards import Shards
from ffdv.data.splits import split_by_group
from ffdv.errors import ManifestError
from ffdv.records import FAKE, REAL, Clip
from ffdv.training.evaluate import ENOUGH_REALS
from ffdv.training.parts import Part, Parts, SplitSpec, draw_parts

PARTNER_SHARE = 0.2  # of the clips, whole people: a fifth is what five folds would hold out
FEWEST_CLIPS = 5  # of a class in a group of its own; an AUC of fewer says nothing
FEWEST_PARTNERS = 10
MOST_FOLDS = 100  # more trainings than anybody means to start

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class HeldOut:
    """One row of the table to be: a group's value, the rows of the shards that it is judged on, and what they are set against."""

    value: str
    rows: tuple[int, ...]
    against: str


@dataclass(frozen=True)
class Fold:
    """One training: its name (of a folder, unique), what each clip serves for, and the groups judged by it."""

    name: str
    parts: Parts
    groups: tuple[HeldOut, ...]

    @property
    def rows(self) -> list[int]:
        """All clips to be judged, rising."""
        return sorted({row for group in self.groups for row in group.rows})


@dataclass(frozen=True)
class FoldPlan:
    """The folds in the order in which they are trained, and in plain words how they were drawn."""

    by: str
    folds: tuple[Fold, ...]
    notes: tuple[str, ...]


def plan_folds(
    shards: Shards, usable: npt.NDArray[np.bool_], *, by: str, folds: int | None, spec: SplitSpec
) -> FoldPlan:
    """Hold out each value of the group column `by` (folds=None), or whole values in so many folds.

    A value with too few clips to be judged alone is only trained on in the first case; in the second it is held out too, and the small
    values of a fold are one row together. People in folds are always judged together, a row a fold: one person's AUC says little.
    usable (clips,): labelled clips that the recipe's net can judge; spec: how the rest is divided (its groups, shares and seed; a
    split of the corpus's own is not used). Raises ManifestError when there is no such column, or too little to hold out.
    """
    corpus = _Corpus.of(shards, usable, by)
    large = corpus.values()
    small = frozenset(corpus.value.tolist()).difference(large, ("",))
    values = large if folds is None else sorted((*large, *small))
    if len(values) < 2:
        raise ManifestError(
            f"{shards.folder}: {len(values)} values of {by!r} have at least {FEWEST_CLIPS} clips of a class, holding out needs two; "
            f"hold them out together (--folds 5), or by another column: {', '.join(shards.group_names) or 'there is none'}"
        )
    if folds is None and len(values) > MOST_FOLDS:
        raise ManifestError(
            f"{len(values)} values of {by!r} would be as many trainings; hold them out in groups: --folds 5"
        )
    if folds is not None and not 2 <= folds <= len(values):
        raise ManifestError(f"folds must be 2 to the {len(values)} values of {by!r}, got {folds}")
    together = folds is not None and by in GROUP_SPELLINGS["identity"]
    alone = [] if together else large
    partners = corpus.partners(alone, spec.seed)
    named = [(value, (value,)) for value in values] if folds is None else corpus.dealt(values, folds, spec.seed)
    planned = [_fold(corpus, label, held, alone=alone, partners=partners, spec=spec) for label, held in named]
    notes = _notes(corpus, partners, planned, small=small, together=together)
    return FoldPlan(by, tuple(fold for fold, _ in planned), tuple(notes))


@dataclass(frozen=True)
class _Corpus:
    """The clips with what planning asks of them: value (n,) of the column, "" where a clip is never held out by it."""

    shards: Shards
    clips: tuple[Clip, ...]
    usable: npt.NDArray[np.bool_]
    labels: IntArray
    by: str
    value: npt.NDArray[np.object_]
    person: npt.NDArray[np.object_]
    source: npt.NDArray[np.object_]

    @classmethod
    def of(cls, shards: Shards, usable: npt.NDArray[np.bool_], by: str) -> _Corpus:
        value = np.array([text or "" for text in shards.group(by)], dtype=object)
        if not any(value):
            known = ", ".join(shards.group_names) or "none"
            raise ManifestError(f"{shards.folder}: no clip has a {by!r}; group columns are {known}; {GROUP_CURE}")
        value[~usable] = ""
        labels = shards.labels
        if by in GROUP_SPELLINGS["method"]:
            value[labels == REAL] = ""  # what a real clip says of its method is no method
        person, source = (
            np.array([text or "" for text in shards.group(name)], dtype=object) for name in ("identity", "source")
        )
        return cls(shards, shards.clips(), usable, labels, by, value, person, source)

    def of_value(self, value: str, label: int) -> IntArray:
        """Rows of a group and class."""
        return np.flatnonzero((self.value == value) & (self.labels == label))

    def values(self) -> list[str]:
        """Groups that can be a row: enough clips of every class that they have, sorted."""
        found = sorted({value for value in self.value.tolist() if value})
        return [
            value for value in found if max(len(self.of_value(value, label)) for label in (REAL, FAKE)) >= FEWEST_CLIPS
        ]

    def missing(self, value: str) -> int | None:
        """The class that a group has too few of to be judged by itself; None when it has both."""
        for label in (REAL, FAKE):
            if len(self.of_value(value, label)) < FEWEST_CLIPS:
                return label
        return None

    def partners(self, values: Sequence[str], seed: int) -> IntArray:
        """Clips of people set apart for groups of one class; empty when every group has both.

        Raises ManifestError when they would have too few of the class that is missing.
        """
        lacking = {label for value in values if (label := self.missing(value)) is not None}
        if not lacking:
            return np.zeros(0, np.int64)
        rows = np.flatnonzero(self.usable)
        shares = {"rest": 1.0 - PARTNER_SHARE, "partners": PARTNER_SHARE}
        sides = split_by_group([self.clips[row] for row in rows.tolist()], by=["identity"], shares=shares, seed=seed)
        chosen: IntArray = rows[np.array(sides, dtype=object) == "partners"]
        for label in lacking:
            count = int((self.labels[chosen] == label).sum())
            if count < FEWEST_PARTNERS:
                name = ("real", "fake")[label]
                raise ManifestError(
                    f"{self.shards.folder}: groups of {self.by!r} lack {name} clips, and people set apart have only {count} to judge "
                    f"them against; {FEWEST_PARTNERS} are needed: add {name} clips"
                )
        return chosen

    def dealt(self, values: Sequence[str], folds: int, seed: int) -> list[tuple[str, tuple[str, ...]]]:
        """Whole groups dealt into folds, both classes as evenly as they allow."""
        rows = np.flatnonzero(np.isin(self.value, list(values)))
        clips = [
            Clip(str(row), self.clips[row].path, int(self.labels[row]), None, {"g": self.value[row]})
            for row in rows.tolist()
        ]
        names = [f"fold {number}" for number in range(1, folds + 1)]
        sides = split_by_group(clips, by=["g"], shares=dict.fromkeys(names, 1.0), seed=seed)
        held = {
            name: {clip.groups["g"] for clip, side in zip(clips, sides, strict=True) if side == name} for name in names
        }
        return [(name, tuple(sorted(held[name]))) for name in names]


def _fold(
    corpus: _Corpus, label: str, held: Sequence[str], *, alone: Sequence[str], partners: IntArray, spec: SplitSpec
) -> tuple[Fold, str]:
    """One fold, and how its other clips were divided; values that are not `alone` are judged together. Raises ManifestError when
    nothing is left to train on, or to judge.
    """
    test = np.flatnonzero(np.isin(corpus.value, list(held)))
    groups = [_held_out(corpus, value, partners) for value in held if value in alone]
    together = np.flatnonzero(np.isin(corpus.value, [value for value in held if value not in alone]))
    if np.bincount(corpus.labels[together], minlength=2).min() >= FEWEST_CLIPS:
        count = len(set(corpus.value[together].tolist()))
        whose = f"{count} of few clips" if alone else f"{count} together"
        groups.append(HeldOut(f"{label}: {whose}", tuple(together.tolist()), f"same {corpus.by}"))
    if not groups:
        raise ManifestError(
            f"{label}: the {len(held)} values of {corpus.by!r} in it have fewer than {FEWEST_CLIPS} clips of a class together; ask for fewer folds"
        )
    left_out = set(test.tolist()) | set(partners.tolist())
    if corpus.by not in GROUP_SPELLINGS["method"]:
        # Fakes of one generator are of everybody, so that there people cannot be kept apart too without losing everybody.
        people = {name for name in corpus.person[test].tolist() if name}
        left_out |= set(np.flatnonzero(np.isin(corpus.person, list(people))).tolist())
    rest = [row for row in np.flatnonzero(corpus.usable).tolist() if row not in left_out]
    try:
        drawn, how = draw_parts([corpus.clips[row] for row in rest], spec)
    except ManifestError as error:
        raise ManifestError(f"without {label} too little is left to train on: {error}") from error
    of_row: list[Part] = ["left_out"] * len(corpus.clips)
    for row, part in zip(rest, drawn, strict=True):
        of_row[row] = part
    for row in {row for group in groups for row in group.rows}:
        of_row[row] = "test"
    parts = Parts(data_hash(corpus.shards), corpus.shards.names, tuple(of_row), (how,))
    return Fold(_folder_name(label), parts, tuple(groups)), how


def _held_out(corpus: _Corpus, value: str, partners: IntArray) -> HeldOut:
    """A group's own clips, or those of the class that it has against partners of the other one: of its sources where they are enough."""
    missing = corpus.missing(value)
    if missing is None:
        own = np.flatnonzero(corpus.value == value)
        return HeldOut(value, tuple(own.tolist()), f"same {corpus.by}")
    own = corpus.of_value(value, 1 - missing)
    other = partners[corpus.labels[partners] == missing]
    sources = {source for source in corpus.source[own].tolist() if source}
    near = other[np.isin(corpus.source[other], list(sources))]
    same_source = len(near) >= ENOUGH_REALS
    chosen = near if same_source else other
    words = f"{('real', 'fake')[missing]} clips set apart"
    return HeldOut(value, (*own.tolist(), *chosen.tolist()), f"{words}, same source" if same_source else words)


def _notes(
    corpus: _Corpus,
    partners: IntArray,
    planned: Sequence[tuple[Fold, str]],
    *,
    small: frozenset[str],
    together: bool,
) -> list[str]:
    """How the folds were drawn."""
    by_method = corpus.by in GROUP_SPELLINGS["method"]
    said = [
        f"each net was trained, chosen and calibrated without the {corpus.by} that it is judged on"
        + ("; its speakers may have been heard" if by_method else " and without the people in it")
    ]
    if len(partners):
        counts = np.bincount(corpus.labels[partners], minlength=2)
        people = len({name for name in corpus.person[partners].tolist() if name})
        whose = f"of {people} people " if people else ""
        said.append(
            f"groups of one class are judged against {counts[REAL]} real and {counts[FAKE]} fake clips {whose}set apart, which no net "
            f"of any fold was trained on; against those of the group's own sources where there are {ENOUGH_REALS}"
        )
    if together:
        said.append("a row is a fold: all who are held out in it")
    elif small:
        judged = any(small.intersection(corpus.value[list(group.rows)]) for fold, _ in planned for group in fold.groups)
        what = "are held out and judged together, a row a fold" if judged else "are only trained on"
        said.append(f"{len(small)} values have fewer than {FEWEST_CLIPS} clips of a class and {what}")
    said += [f"{how} ({count} folds)" for how, count in Counter(how for _, how in planned).most_common()]
    return said


def _folder_name(label: str) -> str:
    """A folder's name from a group's value: readable, and unique whatever the value holds."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", label).strip("-.")[:40] or "group"
    return plain if plain == label.replace(" ", "-") else f"{plain}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"
