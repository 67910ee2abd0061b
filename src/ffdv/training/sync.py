"""Lips and sound in a run: maps are fitted on its real clips alone, odds on right and wrong pairs made of them.

real training clips ─▶ canonical maps ─▶ RUN/agreement.npz ─▶ measures of any clip ─▶ logistic regression
                   └─ own, strangers' and moved sounds, each by maps that did not see the clip ──┘
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ffdv.data.shards import Shards
from ffdv.data.splits import families
from ffdv.data.vector_loader import Vectors
from ffdv.errors import ManifestError
from ffdv.features.agreement import (
    FAR_FRAMES,
    FPS,
    LEAST_FRAMES,
    MAX_OFFSET,
    MEASURES,
    WEIGHTS_NAME,
    AgreementModel,
    Weighing,
    packaged_model,
)
from ffdv.models.sync import SyncSpec, Talking, fit_views
from ffdv.records import REAL, FloatArray

FEWEST_CLIPS = 8  # real ones, to fit maps on
MOST_CLIPS = 2000  # more are drawn from: maps of a few hundred numbers do not change with more
_FOLDS = 4

_Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class MadePairs:
    """Measures (n, len(MEASURES)) of pairs made of real clips, labels (n,) 1 = wrong, and groups (n,) that belong together."""

    measures: FloatArray
    labels: _Labels
    groups: _Labels


def fit_agreement(spec: SyncSpec, shards: Shards, rows: Sequence[int], folder: Path) -> None:
    """Fit the maps on the real clips of `rows` and write them to `folder`. Raises ManifestError when there are too few."""
    clips = _talking(shards, rows)
    model = replace(_bare(spec), views=fit_views(list(clips.values()), packaged_model().phones, spec))
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder / WEIGHTS_NAME)


def sync_vectors(shards: Shards, folder: Path) -> Vectors:
    """MEASURES of clips by the maps in `folder`; NaN where a clip has no sound or too little mouth."""

    def read(rows: Sequence[int]) -> FloatArray:
        model = AgreementModel.load(folder / WEIGHTS_NAME)
        table = np.full((len(rows), len(MEASURES)), np.nan, np.float32)
        for place, row in enumerate(rows):
            clip = _clip(shards, row)
            if clip is not None:
                table[place] = _measured(model, clip, clip)
        return table

    return read


def make_pairs(spec: SyncSpec, shards: Shards, rows: Sequence[int], *, by: tuple[str, ...], seed: int) -> MadePairs:
    """Right and wrong pairs of the real clips of `rows`, measured by maps that were fitted without the clip's groups.

    by: columns that say which clips belong together. Of each clip: its own sound, those of spec.wrong_pairs others, and its own
    moved by more than any encoder would.
    """
    clips = _talking(shards, rows)
    all_clips = shards.clips()
    group_of = dict(zip(clips, families([all_clips[row] for row in clips], by=by), strict=True))
    rng = np.random.default_rng(seed)
    names = rng.permutation(sorted(set(group_of.values())))
    fold_of = {int(name): place % _FOLDS for place, name in enumerate(names)}
    found: list[tuple[FloatArray, int, int]] = []
    for fold in range(min(_FOLDS, len(names))):
        taught = [clip for row, clip in clips.items() if fold_of[group_of[row]] != fold] or list(clips.values())
        model = replace(_bare(spec), views=fit_views(taught, packaged_model().phones, spec))
        for row, clip in clips.items():
            if fold_of[group_of[row]] != fold:
                continue
            others = [other for other in clips if group_of[other] != group_of[row]] or [o for o in clips if o != row]
            wrong = [clips[int(other)] for other in rng.choice(others, spec.wrong_pairs)]
            sounds = [(clip, 0), *((other, 0) for other in wrong), (clip, _far(rng))]
            for number, (other, shift) in enumerate(sounds):
                found.append((_measured(model, clip, other, shift=shift), int(number > 0), group_of[row]))
    measures, labels, groups = zip(*found, strict=True)
    return MadePairs(np.stack(measures), np.asarray(labels, np.int64), np.asarray(groups, np.int64))


def _far(rng: np.random.Generator) -> int:
    return int(rng.integers(FAR_FRAMES + 2, MAX_OFFSET)) * (1 if rng.random() < 0.5 else -1)


def _measured(model: AgreementModel, mouth: Talking, sound: Talking, *, shift: int = 0) -> FloatArray:
    """MEASURES of a mouth beside a sound that is made `shift` frames late, both clocks beginning with their pictures."""
    late = shift / FPS + float(mouth.mouth.seconds[0] - sound.mouth.seconds[0])
    comparison = model.beside(model.see(mouth.mouth), model.hear(sound.sound), late_seconds=late)
    if comparison.known[:, comparison.max_offset].sum() < LEAST_FRAMES:
        return np.full(len(MEASURES), np.nan, np.float32)
    measures = comparison.measures()
    return np.array([measures[name] for name in MEASURES], np.float32)


def _bare(spec: SyncSpec) -> AgreementModel:
    return AgreementModel(packaged_model().phones, (), spec.context, spec.lead_frames, Weighing({}, 0.0))


def _talking(shards: Shards, rows: Sequence[int]) -> dict[int, Talking]:
    """The real clips of `rows` that can teach, by row; at most MOST_CLIPS, evenly taken."""
    real = [row for row in rows if shards.labels[row] == REAL]
    step = max(1, -(-len(real) // MOST_CLIPS))
    clips = {row: clip for row in real[::step] if (clip := _clip(shards, row)) is not None}
    if len(clips) < FEWEST_CLIPS:
        raise ManifestError(
            f"{shards.folder}: only {len(clips)} real training clips show a talking mouth with sound; the maps of lips and sound "
            f"need {FEWEST_CLIPS} and more"
        )
    return clips


def _clip(shards: Shards, row: int) -> Talking | None:
    """One clip; None without sound, mouth, or the mouth's points."""
    sound, mouth = shards.sound(row), shards.mouth(row)
    if sound is None or mouth is None or mouth.points is None or int(mouth.in_sight.sum()) < LEAST_FRAMES:
        return None
    return Talking(mouth, sound)
