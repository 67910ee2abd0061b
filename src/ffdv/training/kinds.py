"""What a recipe of each kind is built of: which clips it can use, its batches, its net, and how that is fitted and exported.

    recipe.kind ─▶ KINDS ─▶ Kind(senses, loader, build, fit, export) ─▶ the one road of run.py, evaluate.py and export.py

A new kind is a few functions, one line in KINDS, and one in unused.UNUSED: what of a recipe it has no use for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from torch import nn

from ffdv.augment.image import PictureChain
from ffdv.data.face_loader import FaceChange, FaceRequest, make_face_loader
from ffdv.data.joint_loader import JointRequest, make_joint_loader
from ffdv.data.loader import ClipLoader, Kept, make_loader
from ffdv.data.shards import Shards
from ffdv.data.splits import families
from ffdv.data.vector_loader import make_vector_loader, motion_vectors
from ffdv.errors import CheckpointError, ManifestError, RecipeError
from ffdv.features.agreement import MEASURES
from ffdv.features.motion import VECTOR_NAMES
from ffdv.models.checkpoint import Checkpoint
from ffdv.models.embedding import EmbeddingRange
from ffdv.models.initial_weights import first_fault
from ffdv.models.joint import build_joint, heads_loss
from ffdv.models.late import LateNet, fit_late
from ffdv.models.motion import MotionSpec, VectorNet, build_motion, fit_vectors
from ffdv.models.visual import build_visual
from ffdv.models.zoo import build_model, fault_before_building
from ffdv.records import FAKE, REAL
from ffdv.sentences import Sentence
from ffdv.training.augmenting import picture_change, sound_augment, sound_forge
from ffdv.training.late import Members, member_logits
from ffdv.training.losses import Loss, build_loss
from ffdv.training.plan import Recipe, recipe_from
from ffdv.training.sync import fit_agreement, make_pairs, sync_vectors


@dataclass(frozen=True)
class Asked:
    """Which batches are wanted: clips by row, for training or not, and this process's share of them; folder: of the run."""

    shards: Shards
    recipe: Recipe
    rows: Sequence[int]
    training: bool
    rank: int = 0
    num_ranks: int = 1
    pin_memory: bool = False
    folder: Path | None = None


Fit = Callable[[nn.Module, ClipLoader, Asked], None]


@dataclass(frozen=True)
class Kind:
    """How a kind of recipe is run.

    senses: a clip takes part when it has any of these; loader: batches; build: the net (False: without reading initial weights);
    fit: what sets the net's tensors at once from the training clips before the loop, None where there is nothing to; loops:
    whether gradient steps follow; members: whether other recipes are trained within the run first (late.py);
    embeds: whether it means something how far a clip's embedding lies from those of training (models/embedding);
    loss: of the recipe and the training labels.
    """

    senses: tuple[Kept, ...]
    loader: Callable[[Asked], ClipLoader]
    build: Callable[[Recipe, bool], nn.Module]
    fit: Fit | None = None
    loops: Callable[[Recipe], bool] = lambda _: True
    members: bool = False
    embeds: bool = True
    loss: Callable[[Recipe, Sequence[int]], Loss] = lambda recipe, labels: build_loss(recipe.loss, labels)


def kind_of(recipe: Recipe) -> Kind:
    """The parts of this recipe."""
    return KINDS[recipe.kind]


def restore_net(checkpoint: Checkpoint) -> nn.Module:
    """The trained net of a checkpoint of any kind; in evaluation mode, on the CPU.

    Raises CheckpointError when its recipe cannot be built, or its tensors are not that net's.
    """
    try:
        recipe = recipe_from(checkpoint.header.recipe, where=str(checkpoint.path), trained_before=True)
        fault = fault_before_building(lambda: kind_of(recipe).build(recipe, False), checkpoint.tensors)
        net = None if fault else kind_of(recipe).build(recipe, False)
    except RecipeError as error:
        raise CheckpointError(
            f"{checkpoint.path}: its recipe is not one that this ffdv can build ({error}); use the ffdv that wrote it"
        ) from None
    fault = fault if net is None else first_fault(net.state_dict(), checkpoint.tensors)
    if net is None or fault:
        raise CheckpointError(f"{checkpoint.path}: its weights are not those of its recipe: {fault}; train it again")
    net.load_state_dict(dict(checkpoint.tensors))
    return net.eval()


def restore_embedding_range(checkpoint: Checkpoint) -> EmbeddingRange | None:
    """What training saw, in the net's own terms; None where the checkpoint holds none, as older ones. Raises CheckpointError."""
    if not checkpoint.embedding_range:
        return None
    try:
        return EmbeddingRange.restored(checkpoint.embedding_range)
    except CheckpointError as error:
        raise CheckpointError(f"{checkpoint.path}: {error}") from None


def _sound_loader(asked: Asked) -> ClipLoader:
    recipe = asked.recipe
    return make_loader(
        asked.shards,
        recipe.loader,
        rate=recipe.front_end.sample_rate,
        training=asked.training,
        rows=asked.rows,
        augment=sound_augment(recipe.augment) if asked.training else None,
        forge=sound_forge(recipe.augment) if asked.training else None,
        rank=asked.rank,
        num_ranks=asked.num_ranks,
        pin_memory=asked.pin_memory,
    )


def _sound_net(recipe: Recipe, initial: bool) -> nn.Module:
    net = build_model(recipe.model, recipe.front_end, initial=initial)
    net.picture_change = picture_change(recipe.augment)
    net.views = recipe.augment.views
    return net


def _face_loader(asked: Asked) -> ClipLoader:
    recipe = asked.recipe
    augment = recipe.augment
    change = FaceChange(
        forge=augment.forge_picture_chain() if augment.forge_picture else None,
        picture=PictureChain(augment.picture) if augment.picture else None,
    )
    request = FaceRequest(recipe.faces.frames, recipe.picture_side, change if asked.training else FaceChange())
    return make_face_loader(
        asked.shards,
        recipe.loader,
        request,
        training=asked.training,
        rows=asked.rows,
        train_on=recipe.faces.train_on,
        rank=asked.rank,
        num_ranks=asked.num_ranks,
        pin_memory=asked.pin_memory,
    )


def _face_net(recipe: Recipe, initial: bool) -> nn.Module:
    return build_visual(recipe.model, recipe.visual, initial=initial)


def _motion_loader(asked: Asked) -> ClipLoader:
    return make_vector_loader(
        asked.shards,
        asked.recipe.loader,
        motion_vectors(asked.shards),
        senses=("motion",),
        training=asked.training,
        rows=asked.rows,
        rank=asked.rank,
        num_ranks=asked.num_ranks,
    )


def _motion_net(recipe: Recipe, _initial: bool) -> nn.Module:
    return build_motion(recipe.motion, len(VECTOR_NAMES))


def _fit_motion(net: nn.Module, training: ClipLoader, asked: Asked) -> None:
    assert isinstance(net, VectorNet)
    recipe, shards = asked.recipe, asked.shards
    rows = training.rows
    vectors = motion_vectors(shards)(rows.tolist())
    clips = shards.clips()
    groups = np.asarray(families([clips[row] for row in rows.tolist()], by=recipe.split.groups), np.int64)
    fit_vectors(net, vectors, shards.labels[rows], groups, spec=recipe.motion, seed=recipe.training.seed)


def _sync_loader(asked: Asked) -> ClipLoader:
    folder = _run_folder(asked)
    if asked.training:  # the maps are what batches are made with, and training batches are made first
        fit_agreement(asked.recipe.sync, asked.shards, asked.rows, folder)
    return make_vector_loader(
        asked.shards,
        asked.recipe.loader,
        sync_vectors(asked.shards, folder),
        senses=("mouth",),
        training=asked.training,
        rows=asked.rows,
        rank=asked.rank,
        num_ranks=asked.num_ranks,
        lacking=Sentence("a mouth that speaks"),
    )


def _sync_net(_recipe: Recipe, _initial: bool) -> nn.Module:
    return build_motion(MotionSpec(), len(MEASURES))


def _fit_sync(net: nn.Module, training: ClipLoader, asked: Asked) -> None:
    assert isinstance(net, VectorNet)
    recipe = asked.recipe
    pairs = make_pairs(
        recipe.sync, asked.shards, training.rows.tolist(), by=recipe.split.groups, seed=recipe.training.seed
    )
    fit_vectors(net, pairs.measures, pairs.labels, pairs.groups, spec=MotionSpec(), seed=recipe.training.seed)


def _late_loader(asked: Asked) -> ClipLoader:
    vectors = member_logits(asked.recipe, asked.shards, _run_folder(asked))
    return make_vector_loader(
        asked.shards,
        asked.recipe.loader,
        vectors,
        senses=_LATE_SENSES,
        training=asked.training,
        rows=asked.rows,
        rank=asked.rank,
        num_ranks=asked.num_ranks,
    )


def _late_net(recipe: Recipe, _initial: bool) -> nn.Module:
    return LateNet(len(recipe.fusion.members))


def _fit_late(net: nn.Module, training: ClipLoader, asked: Asked) -> None:
    assert isinstance(net, LateNet)
    members = Members(_run_folder(asked), asked.recipe.fusion.members)
    shards = asked.shards
    rows, _ = members.fitting_rows(shards, training.rows.tolist())
    if {int(shards.labels[row]) for row in rows} != {REAL, FAKE}:
        raise ManifestError(
            f"{members.folder}: of its training clips no real ones, or no fakes, are new to all members, so their weights cannot be fitted; "
            "give it other clips, or name recipes in place of finished runs"
        )
    told = [shards.group(column) for column in _WHAT_IS_FORGED]
    kinds = [tuple(column[row] for column in told) for row in rows]
    fit_late(net, member_logits(asked.recipe, shards, members.folder)(rows), shards.labels[rows], kinds)


def _joint_loader(asked: Asked) -> ClipLoader:
    recipe, augment = asked.recipe, asked.recipe.augment
    request = JointRequest(recipe.faces.frames, recipe.picture_side, recipe.front_end.sample_rate)
    if asked.training:
        request = replace(
            request,
            forge_picture=augment.forge_picture_chain() if augment.forge_picture else None,
            forge_sound=augment.forge_sound_chain() if augment.forge_sound else None,
            picture=PictureChain(augment.picture) if augment.picture else None,
        )
    return make_joint_loader(
        asked.shards,
        recipe.loader,
        request,
        training=asked.training,
        rows=asked.rows,
        rank=asked.rank,
        num_ranks=asked.num_ranks,
    )


def _joint_net(recipe: Recipe, initial: bool) -> nn.Module:
    return build_joint(recipe.model, recipe.front_end, recipe.joint, initial=initial)


def _joint_loss(recipe: Recipe, _labels: Sequence[int]) -> Loss:
    return partial(heads_loss, smoothing=recipe.loss.label_smoothing, head_weight=recipe.joint.head_weight)


def _run_folder(asked: Asked) -> Path:
    if asked.folder is None:
        raise CheckpointError("a run of this kind is judged with its folder, which holds what it is made of")
    return asked.folder


_WHAT_IS_FORGED = ("video_fake", "audio_fake")  # columns that tell kinds of fake apart
_LATE_SENSES: tuple[Kept, ...] = ("sound", "faces", "motion", "mouth")
KINDS: dict[str, Kind] = {
    "sound": Kind(("sound",), _sound_loader, _sound_net),
    "faces": Kind(("faces",), _face_loader, _face_net),
    "motion": Kind(
        ("motion",), _motion_loader, _motion_net, _fit_motion, loops=lambda recipe: recipe.motion.classifier == "net"
    ),
    "sync": Kind(("mouth",), _sync_loader, _sync_net, _fit_sync, loops=lambda _: False, embeds=False),
    "joint": Kind(("sound", "faces"), _joint_loader, _joint_net, loss=_joint_loss),
    "late": Kind(_LATE_SENSES, _late_loader, _late_net, _fit_late, loops=lambda _: False, members=True, embeds=False),
}
