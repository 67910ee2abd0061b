"""How forged a face looks: a few measured families and a small net for pasted faces, put together with equal votes.

    crops ─ portrait ─▶ surface: contrast of skin and mouth          ┐
    head 25 times a second ─▶ motion: face and chest glide              ├─ each z-scored on open clips, clipped ─ weighed sum ─▶ logit
                              stillness: nothing moves around the face ┤
                              unison: it changes colour as one        ┤
    crops ─ net (ONNX) ─▶ pasted: where it is highest, how uneven     ┘

Equal votes within a family, and few families: with some seventy open clips every fitted weight was worse on unseen methods than
none (docs/decisions/0017-picture.md).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ffdv.errors import CheckpointError
from ffdv.features.networks import open_session
from ffdv.records import FloatArray, PixelArray

FORMAT_VERSION = 1
NET_SIDE = 160  # pixels of the net's input; crops are shrunk to it
BATCH = 16  # crops a run of the net: 30 MB
MOST_SPREAD = 2.5  # z-scores are clipped here: one odd number must not decide
USUAL_SHARE = 0.9  # of genuine clips: what lies beyond their votes is told
MOST_UNISON = 1.5  # of that vote: light that changes on the face alone (a screen, a stage) looks the same, and stronger
# What speaks for a forgery, with its sign; numbers of features/portrait.py and features/head.py.
FAMILIES: Mapping[str, tuple[tuple[str, int], ...]] = {
    "surface": (("skin_energy_2", 1), ("skin_energy_3", 1), ("mouth_energy_2", 1)),
    "motion": (("face_restlessness", -1), ("chest_restlessness", -1)),
    "stillness": (("stillness", -1),),
    "unison": (("unison_light", 1), ("unison_red", 1), ("unison_blue", 1)),
    "pasted": (("net_high", 1), ("net_uneven", 1)),
}
# Chosen on development clips: flat from 0.3 to 1 for motion and stillness, from 1 to 2 for pasted (docs/log.md, 2026-11-27).
WEIGHTS: Mapping[str, float] = {"surface": 1.0, "motion": 0.5, "stillness": 0.5, "unison": 1.0, "pasted": 1.5}


@dataclass(frozen=True)
class PictureWeights:
    """centre, spread: of each number over open clips; slope, offset: from the sum of families to the logit, by development clips;
    least, most: range of each number over open clips, for what lies outside. smallest_side: of the faces seen, pixels. usual: below
    it lies each family's vote in USUAL_SHARE of genuine development clips; as_many: the share of these with 1, 2 ... families beyond it.
    """

    centre: Mapping[str, float]
    spread: Mapping[str, float]
    least: Mapping[str, float]
    most: Mapping[str, float]
    slope: float
    offset: float
    smallest_side: float
    usual: Mapping[str, float]
    as_many: Sequence[float]
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse weights that lack a number, or have no spread."""
        needed = {name for members in FAMILIES.values() for name, _ in members}
        for part in (self.centre, self.spread, self.least, self.most):
            if not needed <= set(part):
                raise CheckpointError(f"picture weights lack {', '.join(sorted(needed - set(part)))}; run make weights")
        if set(self.usual) != set(FAMILIES) or len(self.as_many) != len(FAMILIES):
            raise CheckpointError("picture weights do not say what is usual for each family; run make weights")
        if min(self.spread[name] for name in needed) <= 0 or not math.isfinite(self.slope + self.offset):
            raise CheckpointError("picture weights hold a spread of 0 or a slope that is no number; run make weights")

    def families(self, numbers: Mapping[str, float]) -> dict[str, float]:
        """Each family's vote, about 0 for an average open clip; a family without a finite number votes 0."""
        return {name: self._vote(name, numbers) for name in FAMILIES}

    def beyond(self, numbers: Mapping[str, float]) -> tuple[str, ...]:
        """The families whose votes lie beyond those of USUAL_SHARE of genuine clips, the heaviest first."""
        beyond = {name: vote for name, vote in self.families(numbers).items() if vote > self.usual[name]}
        return tuple(sorted(beyond, key=lambda name: -WEIGHTS[name] * beyond[name]))

    def knows(self, family: str, numbers: Mapping[str, float]) -> bool:
        """Whether a family has a finite number to vote by."""
        return bool(_known(family, numbers))

    def score(self, numbers: Mapping[str, float]) -> float:
        """The weighed sum of the families."""
        return sum(WEIGHTS[name] * vote for name, vote in self.families(numbers).items())

    def logit(self, numbers: Mapping[str, float]) -> float:
        """The calibrated log-odds of a forgery."""
        return self.slope * self.score(numbers) + self.offset

    def _vote(self, family: str, numbers: Mapping[str, float]) -> float:
        known = _known(family, numbers)
        if not known:
            return 0.0
        scores = [sign * self._standing(name, numbers[name]) for name, sign in known]
        vote = sum(scores) / math.sqrt(len(FAMILIES[family]))
        if family == "unison":
            return min(vote, MOST_UNISON)
        # A net that finds nothing pasted says little, for a whole face may be drawn; mean of softplus over a Gaussian taken off.
        return 0.55 * (math.log1p(math.exp(2 * vote)) - 1.0) if family == "pasted" else vote

    def _standing(self, name: str, value: float) -> float:
        standing = (value - self.centre[name]) / self.spread[name]
        return min(max(standing, -MOST_SPREAD), MOST_SPREAD)


def _known(family: str, numbers: Mapping[str, float]) -> list[tuple[str, int]]:
    """The members of a family, with their signs, that have a finite number."""
    return [(name, sign) for name, sign in FAMILIES[family] if math.isfinite(numbers.get(name, math.nan))]


def read_weights(text: str) -> PictureWeights:
    """Weights from picture.json. Raises CheckpointError on another version or anything else."""
    try:
        stored = json.loads(text)
        version = stored.pop("version")
        if version != FORMAT_VERSION:
            raise CheckpointError(f"picture weights are of version {version}; this ffdv reads version {FORMAT_VERSION}")
        return PictureWeights(**stored)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"picture.json holds no picture weights: {error}; install ffdv again") from error


class PastedNet:
    """The net for pasted and redrawn faces, by onnxruntime on one core."""

    def __init__(self, content: bytes) -> None:
        try:
            self._session = open_session(content)
            self._input = self._session.get_inputs()[0].name
            version = int(self._session.get_modelmeta().custom_metadata_map["version"])
        except Exception as error:  # onnxruntime's own errors have no common base
            raise CheckpointError(
                f"picture.onnx is damaged or of another kind ({error}); install ffdv again"
            ) from error
        if version != FORMAT_VERSION:
            raise CheckpointError(f"picture.onnx is of version {version}; this ffdv reads version {FORMAT_VERSION}")

    def look(self, crops: PixelArray) -> tuple[FloatArray, FloatArray]:
        """Logits (n,) and where they come from (n, 10, 10), from top to bottom, of aligned crops uint8 (n, size, size, 3)."""
        logits, maps = [], []
        for first in range(0, len(crops), BATCH):
            batch = np.stack([shrunk_crop(crop) for crop in crops[first : first + BATCH]]).transpose(0, 3, 1, 2)
            some = self._session.run(["logit", "map"], {self._input: np.ascontiguousarray(batch, np.float32)})
            logits.append(some[0])
            maps.append(some[1])
        return np.concatenate(logits), np.concatenate(maps)


def shrunk_crop(crop: PixelArray) -> npt.NDArray[np.uint8]:
    """A crop as the net sees it, (NET_SIDE, NET_SIDE, 3), every pixel counted."""
    from PIL import Image

    if crop.shape[0] == NET_SIDE:
        return crop
    small: PixelArray = np.asarray(Image.fromarray(crop).resize((NET_SIDE, NET_SIDE), Image.Resampling.BOX))
    return small
