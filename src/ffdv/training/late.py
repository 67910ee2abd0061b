"""Late fusion: each sense is trained for itself within the run, then what they say is weighed on clips that none of them saw.

train part ─┬─ most of its groups ─▶ RUN/members/NAME, trained        each ─▶ calibrated log-odds of any clip, NaN without it
            └─ the other groups   ─▶ weights of the senses
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ffdv.data.loader import has_any
from ffdv.data.seen import read_parts
from ffdv.data.shards import Shards
from ffdv.data.splits import split_by_group
from ffdv.data.vector_loader import Vectors
from ffdv.errors import CheckpointError, ManifestError, ShardError
from ffdv.metrics.calibration import Calibration
from ffdv.models.checkpoint import Checkpoint, load_checkpoint
from ffdv.records import FAKE, REAL, FloatArray
from ffdv.training.engine import Progress
from ffdv.training.parts import Part, Parts
from ffdv.training.plan import Recipe, load_recipe, recipe_from

log = logging.getLogger(__name__)

MEMBERS, BEST_NAME = "members", "best.safetensors"


@dataclass(frozen=True)
class Members:
    """The trained members of a run, by recipe name in the recipe's order; a member that could not be trained here is left out."""

    folder: Path
    names: tuple[str, ...]

    def path(self, name: str) -> Path:
        """A member's run; a recipe given as a file is called as the file."""
        return self.folder / MEMBERS / Path(name).stem

    def tell_distance(self) -> bool:
        """Whether a member tells how far a clip lies from what it saw (models/embedding)."""
        paths = [self.path(name) / BEST_NAME for name in self.names]
        return any(load_checkpoint(path).embedding_range for path in paths if path.is_file())

    def fitting_clips(self) -> frozenset[str]:
        """Names of the clips that no member was trained on, of those that the run may train on."""
        served = [read_parts(self.path(name)) for name in self.names if (self.path(name) / "parts.csv").is_file()]
        return (
            frozenset(name for name in served[0] if all(parts.get(name) != "train" for parts in served))
            if served
            else frozenset()
        )


TrainMember = Callable[[Recipe, Parts, Path, Callable[[Progress], None] | None], object]


def train_members(
    recipe: Recipe,
    shards: Shards,
    parts: Parts,
    folder: Path,
    *,
    train: TrainMember,
    progress: Callable[[Progress], None] | None = None,
) -> Members:
    """Train every member on most groups of the training part; `train` does one, and knows what is trained already.

    Raises ShardError where fewer than two members find their sense in the shards.
    """
    from ffdv.training.kinds import kind_of

    members = Members(folder, recipe.fusion.members)
    inner = _inner_parts(recipe, shards, parts)
    trained = 0
    for name in recipe.fusion.members:
        member = load_recipe(name, recipe.fusion.member_settings)
        try:
            usable = has_any(shards, kind_of(member).senses)
            _check_classes(shards, inner, usable)
            own: list[Part] = ["left_out" if not fit else part for part, fit in zip(inner.of_row, usable, strict=True)]
            train(member, replace(inner, of_row=tuple(own)), members.path(name), progress)
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


def member_log_odds(recipe: Recipe, shards: Shards, folder: Path) -> Vectors:
    """Calibrated log-odds of fake by each member (rows, members), NaN where a clip lacks its sense. `folder`: of the run."""

    def read(rows: Sequence[int]) -> FloatArray:
        members = Members(folder, recipe.fusion.members)
        table = np.full((len(rows), len(members.names)), np.nan, np.float32)
        for column, name in enumerate(members.names):
            path = members.path(name) / BEST_NAME
            if path.is_file():
                table[:, column] = _scored(load_checkpoint(path), shards, rows)
        if np.isnan(table).all() and len(rows):
            raise CheckpointError(f"{folder}: none of its members can judge these clips; train it again")
        return table

    return read


def _scored(checkpoint: Checkpoint, shards: Shards, rows: Sequence[int]) -> FloatArray:
    """One member's log-odds of these rows, NaN where the clip lacks its sense."""
    from lightning_fabric import Fabric

    from ffdv.training.engine import predict
    from ffdv.training.kinds import Asked, kind_of, restore_net

    recipe = recipe_from(checkpoint.header.recipe, where=str(checkpoint.path))
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
    logits = scored.logits
    if checkpoint.header.calibration:
        probabilities = Calibration.from_json(json.dumps(checkpoint.header.calibration)).apply(logits)
        probabilities = np.clip(probabilities, 1e-4, 1 - 1e-4)
        logits = np.log(probabilities / (1 - probabilities))
    by_name = dict(zip(scored.names, logits.tolist(), strict=True))
    return np.asarray([by_name.get(shards.names[row], np.nan) for row in rows], np.float32)


def _inner_parts(recipe: Recipe, shards: Shards, parts: Parts) -> Parts:
    """The run's training part divided into the members' train and validation; all other clips are left out."""
    rows = parts.rows("train")
    clips = shards.clips()
    share = recipe.fusion.fitting_share
    halves = split_by_group(
        [clips[row] for row in rows],
        by=recipe.split.groups,
        shares={"train": 1.0 - share, "validation": share},
        seed=recipe.split.seed,
    )
    of_row: list[Part] = ["left_out"] * len(shards)
    for row, half in zip(rows, halves, strict=True):
        of_row[row] = "train" if half == "train" else "validation"
    return replace(parts, of_row=tuple(of_row), notes=())


def _check_classes(shards: Shards, parts: Parts, usable: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> None:
    """Refuse a member whose training or validation clips lack a class."""
    for part in ("train", "validation"):
        labels = {int(shards.labels[row]) for row in parts.rows(part) if usable[row]}
        if labels != {REAL, FAKE}:
            raise ManifestError(f"its {part} clips lack one of the classes")
