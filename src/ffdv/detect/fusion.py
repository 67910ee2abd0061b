"""The senses' opinions → one probability that the clip is forged in any way, and when to call it.

    p(voice), p(picture), p(agreement), as far as they are there ─ log-odds ─ bent ─ weighed ─ one offset a set of senses ─▶ p(any)

A clip is forged when its voice, its picture or their pairing is. A sense that is absent weighs nothing, and the offset of the set of
senses that did judge puts right what is then missing. Numbers: weights/fusion.json, fitted by scripts/weights/fusion.py on
development clips on which no sense was trained. Without that file the sense that suspects most decides, and nothing is promised.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

import numpy as np

from ffdv.detect.senses import SENSES, SenseName, SenseOpinion
from ffdv.errors import CheckpointError, MetricError
from ffdv.metrics.abstention import AbstentionBand
from ffdv.metrics.calibration import logit, sigmoid

FORMAT_VERSION = 1
FILE_NAME = "fusion.json"
# Without a measured band nothing is promised: only what seems clear is called.
UNMEASURED = AbstentionBand(0.25, 0.75, 1.0, 1.0, 0, 0)

# How a sense's log-odds enter the sum: as they are, or bent so that a sense that finds nothing says little (softplus: the sum is
# then a noisy-or, for log(1 + e^x) = -log(1 - p)).
Bend = Literal["none", "softplus"]


@dataclass(frozen=True)
class Fused:
    """probability in [0, 1] that the clip is forged in any way; band: below low "real", above high "fake", in between "cannot
    tell"; leading: the sense that says so most. measured: whether the band's rates were measured on development clips.
    """

    probability: float
    band: AbstentionBand
    leading: SenseName
    measured: bool = True


@dataclass(frozen=True)
class Fusion:
    """What is fitted: weights of the senses, and offset and band of each set of senses that may be there together.

    sets are named by `set_name`; one that was not fitted takes that of `all`.
    """

    bend: Bend
    weights: Mapping[SenseName, float]
    offsets: Mapping[str, float]
    bands: Mapping[str, AbstentionBand]

    def __post_init__(self) -> None:
        """Refuse a fusion that could not judge every set of senses."""
        if set(self.weights) != set(SENSES) or min(self.weights.values()) < 0:
            raise MetricError(f"fusion needs a weight of at least 0 for each of {', '.join(SENSES)}")
        if "all" not in self.offsets or "all" not in self.bands:
            raise MetricError("fusion needs an offset and a band for the set 'all'")

    def evidence(self, probabilities: Mapping[SenseName, float]) -> float:
        """The weighed sum over the senses that are there, without the offset."""
        return float(sum(self.weights[name] * bent(p, self.bend) for name, p in probabilities.items()))

    def probability(self, probabilities: Mapping[SenseName, float]) -> float:
        """That the clip is forged in any way."""
        offset = self.offsets.get(set_name(probabilities), self.offsets["all"])
        return float(sigmoid([self.evidence(probabilities) + offset])[0])

    def fuse(self, opinions: Mapping[SenseName, SenseOpinion]) -> Fused:
        """One probability of all opinions that there are, at least one; the sense that adds most leads."""
        each = {name: one.probability for name, one in opinions.items()}
        leading = max(each, key=lambda name: self.weights[name] * bent(each[name], self.bend))
        band = self.bands.get(set_name(each), self.bands["all"])
        return Fused(self.probability(each), band, leading)

    def to_json(self) -> str:
        """All numbers, with the format's version."""
        content = {
            "version": FORMAT_VERSION,
            "bend": self.bend,
            "weights": dict(self.weights),
            "offsets": dict(self.offsets),
            "bands": {name: json.loads(band.to_json()) for name, band in self.bands.items()},
        }
        return json.dumps(content, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Fusion:
        """Read what to_json wrote. Raises MetricError on another version or anything else."""
        try:
            content = json.loads(text)
            if content["version"] != FORMAT_VERSION:
                raise MetricError(f"fusion has version {content['version']}, this ffdv reads {FORMAT_VERSION}")
            bands = {name: AbstentionBand.from_json(json.dumps(band)) for name, band in content["bands"].items()}
            offsets = {name: float(offset) for name, offset in content["offsets"].items()}
            return cls(content["bend"], content["weights"], offsets, bands)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MetricError(f"this is no fusion that ffdv wrote ({error})") from error


def set_name(senses: Iterable[SenseName]) -> str:
    """How a set of senses is called.

    >>> set_name(["agreement", "voice"])
    'voice+agreement'
    """
    there = set(senses)
    return "+".join(name for name in SENSES if name in there)


def bent(probability: float, bend: Bend) -> float:
    """A sense's log-odds as they enter the sum.

    >>> round(bent(0.5, "none"), 3), round(bent(0.5, "softplus"), 3)
    (0.0, 0.693)
    """
    odds = float(logit([probability])[0])
    return odds if bend == "none" else float(np.logaddexp(0.0, odds))


def fuse(opinions: Mapping[SenseName, SenseOpinion]) -> Fused:
    """One probability of all opinions that there are, at least one, by the shipped fusion. Raises CheckpointError when it is damaged."""
    shipped = shipped_fusion()
    if shipped is not None:
        return shipped.fuse(opinions)
    leading = max(opinions, key=lambda name: opinions[name].probability)
    return Fused(opinions[leading].probability, UNMEASURED, leading, measured=False)


@cache
def shipped_fusion() -> Fusion | None:
    """The fusion inside the package, None where there is none. Raises CheckpointError when it is damaged."""
    file = files("ffdv.detect").joinpath("weights").joinpath(FILE_NAME)
    if not file.is_file():
        return None
    try:
        return Fusion.from_json(file.read_text(encoding="utf-8"))
    except MetricError as error:
        raise CheckpointError(f"detect/weights/{FILE_NAME}: {error}; install ffdv again") from error
