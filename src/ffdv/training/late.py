"""Late fusion: each sense is trained for itself within the run, then what they say is weighed on clips that none of them was taught.

train part ─┬─ most of its groups ─▶ RUN/members/NAME, trained        each ─▶ logit of any clip, NaN without its sense
            │  another run's folder ─▶ RUN/members/NAME, copied
            └─ the other groups   ─▶ half choose the members' epochs, half tell what is usual of each sense, and its weight;
                                     where that is too little, all of them do both, and a note says so
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ffdv.data.loader import has_any
from ffdv.data.seen import PARTS_NAME, read_parts, taught_clips
from ffdv.data.shards import Shards
from ffdv.data.splits import split_by_group
from ffdv.data.vector_loader import Vectors
from ffdv.errors import CheckpointError, ManifestError, RecipeError, ShardError
from ffdv.features.agreement import WEIGHTS_NAME
from ffdv.models.checkpoint import Checkpoint, load_checkpoint
from ffdv.records import FAKE, REAL, FloatArray, member_name
from ffdv.training.engine import Progress
from ffdv.training.parts import ENOUGH_PER_CLASS, Part, Parts
from ffdv.training.plan import Recipe, load_recipe, recipe_from, recipe_names
from ffdv.training.unused import is_unused, training_of
from ffdv.whole_file import write_atomically

log = logging.getLogger(__name__)

MEMBERS, BEST_NAME, METRICS_NAME = "members", "best.safetensors", "metrics.json"
_MAYBE_UNUSED = ("augment.", "loss.")  # tables of which not every kind uses everything (unused.py)
_OF_A_RUN = (PARTS_NAME, "recipe.toml", METRICS_NAME, WEIGHTS_NAME)  # beside its weights


@dataclass(frozen=True)
class Members:
    """The trained members of a run, by recipe name in the recipe's order; a member that could not be trained here is left out."""

    folder: Path
    names: tuple[str, ...]

    def path(self, name: str) -> Path:
        """A member's run."""
        return self.folder / MEMBERS / member_name(name)

    def tell_distance(self) -> bool:
        """Whether a member tells how far a clip lies from what it saw (models/embedding)."""
        paths = [self.path(name) / BEST_NAME for name in self.names]
        return any(load_checkpoint(path).embedding_range for path in paths if path.is_file())

    def taught(self) -> frozenset[str]:
        """Names of the clips that some member was trained on: what these say of them is no measure of their worth."""
        folders = [folder for folder in map(self.path, self.names) if (folder / PARTS_NAME).is_file()]
        return frozenset().union(*map(taught_clips, folders))

    def chosen_by(self) -> frozenset[str]:
        """Names of the clips on which some member's epoch or calibration was chosen: by luck it looks better there than it is."""
        folders = [folder for folder in map(self.path, self.names) if (folder / PARTS_NAME).is_file()]
        parts = [part for folder in folders for part in read_parts(folder).items()]
        return frozenset(name for name, part in parts if part in {"validation", "calibration"})

    def fitting_rows(self, shards: Shards, rows: Sequence[int]) -> tuple[list[int], bool]:
        """Of these rows those to fit weights on, and whether they chose nothing: what no member was taught nor chosen by, where that
        has ENOUGH_PER_CLASS of each class; else what none was taught.
        """
        taught, chosen_by = self.taught(), self.chosen_by()
        untaught = [row for row in rows if shards.names[row] not in taught]
        fresh = [row for row in untaught if shards.names[row] not in chosen_by]
        enough = _fewest_of_a_class(shards, fresh) >= ENOUGH_PER_CLASS
        return (
            (fresh, True) if enough else (untaught, not chosen_by.intersection(shards.names[row] for row in untaught))
        )


def finished_run(member: str, copied: Path) -> Path | None:
    """The weights of a member that is a run already, or of its copy where the run itself is gone; None for a recipe.

    Raises CheckpointError where there are none, where the run was not trained to its end, or where it was trained on since it was copied.
    """
    path = Path(member)
    if member in recipe_names() or path.suffix == ".toml":  # whatever folder may be called so here
        return None
    weights, copy = path if path.suffix == ".safetensors" else path / BEST_NAME, copied / BEST_NAME
    if not weights.is_file():
        if copy.is_file() and (len(path.parts) > 1 or path.suffix == ".safetensors"):
            return copy
        if path.suffix == ".safetensors":
            raise CheckpointError(f"{path}: there is no such file; name the folder of a finished run, or a recipe")
        return None
    if not trained_to_its_end(weights.parent):
        raise CheckpointError(
            f"{weights.parent}: was not trained to its end; go on with it first (ffdv train --resume)"
        )
    if copy.is_file() and copy.read_bytes() != weights.read_bytes():
        raise CheckpointError(
            f"{weights.parent}: has changed since this fusion took it over; train the fusion into another folder"
        )
    return weights


def trained_to_its_end(folder: Path) -> bool:
    """Whether the run in this folder needs no more training."""
    path = folder / METRICS_NAME
    if not path.is_file():
        return False
    outcome = json.loads(path.read_text(encoding="utf-8")).get("outcome")
    return outcome in {"finished", "stopped_early"}


def parts_beside_members(recipe: Recipe, shards: Shards, parts: Parts, folder: Path) -> Parts:
    """The parts of a fusion whose members are all finished runs: where these were taught its training clips, half of its validation clips,
    in whole groups, take their place, for weights can only be fitted on what no member was taught.

    `folder`: of the fusion. The parts as they are where there are training clips enough, or nothing can be divided.
    """
    weights = [finished_run(name, Members(folder, ()).path(name)) for name in recipe.fusion.members]
    runs = [one.parent for one in weights if one is not None and (one.parent / PARTS_NAME).is_file()]
    if len(runs) < len(recipe.fusion.members):
        return parts
    taught = frozenset().union(*map(taught_clips, runs))
    new = {int(shards.labels[row]) for row in parts.rows("train") if shards.names[row] not in taught}
    rows = parts.rows("validation")
    if new == {REAL, FAKE}:
        return parts
    try:
        halves = _halves(recipe, shards, rows, validation_share=0.5)
        of_row = tuple(
            half if part == "validation" else "left_out" if part == "train" else part
            for half, part in zip(halves, parts.of_row, strict=True)
        )
        divided = replace(parts, of_row=of_row)
        _check_classes(shards, divided, np.ones(len(shards), np.bool_))
    except ManifestError:
        return parts
    note = "the members were taught the training clips: their weights are fitted on half of the validation clips"
    return replace(divided, notes=(*parts.notes, note))


TrainMember = Callable[[Recipe, Parts, Path, Callable[[Progress], None] | None], object]
TakeMember = Callable[[Path, Path], object]


def train_members(
    recipe: Recipe,
    shards: Shards,
    parts: Parts,
    folder: Path,
    *,
    train: TrainMember,
    take: TakeMember,
    progress: Callable[[Progress], None] | None = None,
) -> Members:
    """Train every member on most groups of the training part; `train` does one, and knows what is trained already; `take` copies a finished run.

    Raises ShardError where fewer than two members find their sense in the shards, ManifestError where a finished run was trained on
    clips that shall judge this one.
    """
    from ffdv.training.kinds import kind_of

    members = Members(folder, recipe.fusion.members)
    finished = {name: finished_run(name, members.path(name)) for name in recipe.fusion.members}
    # All of them before the first is trained: a name that is wrong is told at once.
    anew = [name for name, weights in finished.items() if weights is None]
    begun = [members.path(name) for name in anew if (members.path(name) / PARTS_NAME).is_file()]
    recipes = _member_recipes(anew, recipe.fusion.member_settings, begun=bool(begun))
    inner = _inner_parts(recipe, shards, parts, begun) if recipes else parts
    trained = 0
    for name, weights in finished.items():
        if weights is not None:
            _refuse_judges(weights.parent, shards, parts)
            take(weights, members.path(name))
            trained += 1
            continue
        member = recipes[name]
        try:
            usable = has_any(shards, kind_of(member).senses)
            _check_classes(shards, inner, usable)
            own: list[Part] = ["left_out" if not fit else part for part, fit in zip(inner.of_row, usable, strict=True)]
            train(
                member, replace(inner, of_row=tuple(own)), members.path(name), _of_member(progress, member_name(name))
            )
        except (ShardError, ManifestError) as error:
            log.warning("member %s is left out: %s", name, error)
            continue
        trained += 1
    if trained < 2:
        raise ShardError(
            f"{shards.folder}: only {trained} of the members {', '.join(recipe.fusion.members)} can be trained on it; prepare the "
            'clips with all senses, or choose others: --set \'fusion.members=["voice", "motion-histogram"]\''
        )
    return members


def _of_member(progress: Callable[[Progress], None] | None, name: str) -> Callable[[Progress], None] | None:
    """The same callback, told whose progress it is."""
    return None if progress is None else lambda state: progress(replace(state, member=name))


def _refuse_judges(run: Path, shards: Shards, parts: Parts) -> None:
    """Refuse a finished run that learnt clips of the other parts, by their names: who speaks in them is not known here."""
    if not (run / PARTS_NAME).is_file():
        raise CheckpointError(f"{run}: without its {PARTS_NAME} nobody knows what it was trained on; name a whole run")
    judges = {shards.names[row] for part in ("validation", "calibration", "test") for row in parts.rows(part)}
    if shared := sorted(taught_clips(run) & judges):
        raise ManifestError(
            f"{run}: was trained on {len(shared)} clips called as those that judge this run ({shared[0]!r} first); give a run that was "
            "trained on other clips, or name its recipe, so that it is trained anew"
        )


def take_over(weights: Path, into: Path, *, export: bool) -> None:
    """Copy what a finished run is judged with, its weights last; its export is copied, or written where it has none."""
    from ffdv.training.export import MODEL_NAME
    from ffdv.training.export import export as write_export

    if load_checkpoint(weights).header.recipe.get("kind") == "late":
        raise CheckpointError(f"{weights.parent}: a fusion cannot be a member of another; name its members instead")
    if weights.parent.resolve() != into.resolve():
        for name in (*_OF_A_RUN, MODEL_NAME):
            if (weights.parent / name).is_file():
                write_atomically(into / name, (weights.parent / name).read_bytes())
        write_atomically(into / BEST_NAME, weights.read_bytes())
    if export and not (into / MODEL_NAME).is_file():
        write_export(into / BEST_NAME)


def member_logits(recipe: Recipe, shards: Shards, folder: Path) -> Vectors:
    """Each member's logits (rows, members), NaN where a clip lacks its sense. `folder`: of the run."""

    def read(rows: Sequence[int]) -> FloatArray:
        members = Members(folder, recipe.fusion.members)
        table = np.full((len(rows), len(members.names)), np.nan, np.float32)
        for column, name in enumerate(members.names):
            path = members.path(name) / BEST_NAME
            if path.is_file():
                table[:, column] = _scored(load_checkpoint(path), shards, rows)
        if not any((members.path(name) / BEST_NAME).is_file() for name in members.names):
            raise CheckpointError(f"{folder}: none of its members is there; train it again")
        return table

    return read


def _scored(checkpoint: Checkpoint, shards: Shards, rows: Sequence[int]) -> FloatArray:
    """One member's logits of these rows, NaN where the clip lacks its sense."""
    from lightning_fabric import Fabric

    from ffdv.training.engine import predict
    from ffdv.training.kinds import Asked, kind_of, restore_net

    recipe = recipe_from(checkpoint.header.recipe, where=str(checkpoint.path), trained_before=True)
    given: FloatArray = np.full(len(rows), np.nan, np.float32)
    try:
        present = has_any(shards, kind_of(recipe).senses)
    except ShardError:  # the sense was not prepared: nothing is known of it
        return given
    able = [row for row in rows if present[row]]
    if not able:
        return given
    fabric = Fabric(accelerator="auto", devices=1)
    net = fabric.to_device(restore_net(checkpoint))
    asked = Asked(shards, recipe, able, training=False, folder=checkpoint.path.parent)
    loader = kind_of(recipe).loader(asked)
    scored = predict(fabric, net, loader.epoch(1), how=recipe.training.aggregation)
    by_name = dict(zip(scored.names, scored.logits.tolist(), strict=True))
    return np.asarray([by_name.get(shards.names[row], np.nan) for row in rows], np.float32)


def _member_recipes(names: Sequence[str], settings: Sequence[str], *, begun: bool = False) -> dict[str, Recipe]:
    """The recipes of these members, each with those settings that its kind has a use for.

    Raises RecipeError for a setting that none of them has a use for, unless they were begun with it (by an earlier version).
    """
    bare = {name: load_recipe(name, [one for one in settings if not one.startswith(_MAYBE_UNUSED)]) for name in names}
    trainings = {name: training_of(recipe.kind, recipe.motion.classifier) for name, recipe in bare.items()}
    for one in settings:
        if trainings and not begun and all(is_unused(training, one) for training in trainings.values()):
            raise RecipeError(f"fusion.member_settings: no member has a use for {one!r}; remove it")
    return {
        name: load_recipe(name, [one for one in settings if not is_unused(training, one)])
        for name, training in trainings.items()
    }


def _inner_parts(recipe: Recipe, shards: Shards, parts: Parts, begun: Sequence[Path]) -> Parts:
    """The run's training part divided into the members' train and validation; all other clips are left out.

    begun: folders of members that are trained already, or in part: where these chose by clips that would now be kept from them (an
    earlier version did), they go on as they were begun.
    """
    halves = _halves(recipe, shards, parts.rows("train"), validation_share=recipe.fusion.fitting_share)
    divided = _with_fitting_apart(recipe, shards, halves)
    apart = {name for name, old, new in zip(parts.names, halves, divided, strict=True) if old != new}
    if any(part == "validation" and name in apart for folder in begun for name, part in read_parts(folder).items()):
        divided = halves
    return replace(parts, of_row=tuple(divided), notes=())


def _with_fitting_apart(recipe: Recipe, shards: Shards, halves: list[Part]) -> list[Part]:
    """Half of the members' validation clips kept from them, in whole groups, for the weights alone; where both halves then have enough."""
    rows = [row for row, half in enumerate(halves) if half == "validation"]
    if _fewest_of_a_class(shards, rows) < 2 * ENOUGH_PER_CLASS:
        return halves
    try:
        again = _halves(recipe, shards, rows, validation_share=0.5)
    except ManifestError:  # too few groups to divide
        return halves
    both = ([row for row in rows if again[row] == part] for part in ("train", "validation"))
    if min(_fewest_of_a_class(shards, half) for half in both) < ENOUGH_PER_CLASS:
        return halves
    return [
        "left_out" if half == "validation" and other == "train" else half
        for half, other in zip(halves, again, strict=True)
    ]


def _fewest_of_a_class(shards: Shards, rows: Sequence[int]) -> int:
    """Clips of the class that has fewer."""
    labels: list[int] = shards.labels[np.asarray(rows, np.int64)].tolist()
    return min(labels.count(REAL), labels.count(FAKE))


def _halves(recipe: Recipe, shards: Shards, rows: Sequence[int], *, validation_share: float) -> list[Part]:
    """A part for every row: `rows` divided into train and validation by whole groups, the others left out."""
    clips = shards.clips()
    halves = split_by_group(
        [clips[row] for row in rows],
        by=recipe.split.groups,
        shares={"train": 1.0 - validation_share, "validation": validation_share},
        seed=recipe.split.seed,
        warn=False,  # a side that lacks a class is refused by whoever needs both
    )
    of_row: list[Part] = ["left_out"] * len(shards)
    for row, half in zip(rows, halves, strict=True):
        of_row[row] = "train" if half == "train" else "validation"
    return of_row


def _check_classes(shards: Shards, parts: Parts, usable: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> None:
    """Refuse a member whose training or validation clips lack a class."""
    for part in ("train", "validation"):
        labels = {int(shards.labels[row]) for row in parts.rows(part) if usable[row]}
        if labels != {REAL, FAKE}:
            raise ManifestError(f"its {part} clips lack one of the classes")
