"""The senses' opinions → one probability that the clip is forged in any way, and when to call it.

    log-odds of voice, picture, agreement, as far as they are there ─ soft maximum ─ slope, and an offset for each set of senses ─▶ p(any)

A clip is forged when its voice, its picture or their pairing is, so the sense that suspects most counts most: the soft maximum is the
log of the sum of odds at sharpness 1, and the largest log-odds as sharpness grows. What a sense says counts as far as it is trusted:
lips that are not those heard are a forgery only mostly, for there are narrators. A sense that is absent adds nothing, and the offset of
the set of senses that did judge puts right what more senses add by chance. Numbers: weights/fusion.json, fitted by
scripts/weights/fusion.py on development clips on which no sense was trained. Without that file the sense that suspects most
decides, and nothing is promised.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import numpy as np

from ffdv.detect.senses import SENSES, SenseName, SenseOpinion
from ffdv.errors import CheckpointError, MetricError
from ffdv.metrics.abstention import AbstentionBand
from ffdv.metrics.calibration import logit, sigmoid

FORMAT_VERSION = 2
FILE_NAME = "fusion.json"
# Without a measured band nothing is promised: only what seems clear is called.
UNMEASURED = AbstentionBand(0.25, 0.75, 1.0, 1.0, 0, 0)


@dataclass(frozen=True)
class Fused:
    """probability in [0, 1] that the clip is forged in any way; band: below low "real", above high "fake", in between "cannot
    tell"; leading: the sense that says so most. measured: whether the band's rates were measured on development clips; of_all: on clips
    of other senses, for there were too few of these; undecided: the share of development clips of this kind that were, None where unknown.
    """

    probability: float
    band: AbstentionBand
    leading: SenseName
    measured: bool = True
    of_all: bool = False
    undecided: float | None = None


@dataclass(frozen=True)
class Fusion:
    """What is fitted: sharpness of the soft maximum, slope, and offset and band of each set of senses that may be there together.

    sets are named by `set_name`; one that was not fitted takes that of `all`. trust: what a sense's probability is multiplied by; 1 for
    senses that it does not name. undecided: the share of development clips that got no answer, of sound alone (`voice`) and of all with a picture.
    """

    sharpness: float
    slope: float
    offsets: Mapping[str, float]
    bands: Mapping[str, AbstentionBand]
    trust: Mapping[SenseName, float] = field(default_factory=dict)
    undecided: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse a fusion that could not judge every set of senses."""
        if not self.sharpness > 0 or not self.slope > 0:
            raise MetricError(f"sharpness {self.sharpness} and slope {self.slope} of a fusion must be positive")
        if any(name not in SENSES or not 0 < share <= 1 for name, share in self.trust.items()):
            raise MetricError(f"a fusion trusts its senses between 0 and 1, got {dict(self.trust)}")
        if "all" not in self.offsets or "all" not in self.bands:
            raise MetricError("fusion needs an offset and a band for the set 'all'")

    def probability(self, probabilities: Mapping[SenseName, float]) -> float:
        """That the clip is forged in any way, of at least one sense."""
        offset = self.offsets.get(set_name(probabilities), self.offsets["all"])
        return float(sigmoid([self.slope * self.evidence(probabilities) + offset])[0])

    def evidence(self, probabilities: Mapping[SenseName, float]) -> float:
        """The soft maximum of what the senses say, as far as they are trusted."""
        return soft_maximum(list(self.trusted(probabilities).values()), sharpness=self.sharpness)

    def trusted(self, probabilities: Mapping[SenseName, float]) -> dict[SenseName, float]:
        """What each sense's probability comes to."""
        return {name: self.trust.get(name, 1.0) * one for name, one in probabilities.items()}

    def fuse(self, opinions: Mapping[SenseName, SenseOpinion]) -> Fused:
        """One probability of all opinions that there are, at least one; the sense that suspects most leads."""
        each = {name: one.probability for name, one in opinions.items()}
        counted = self.trusted(each)
        leading = max(counted, key=lambda name: counted[name])
        name = set_name(each)
        return Fused(
            self.probability(each),
            self.bands.get(name, self.bands["all"]),
            leading,
            of_all=name not in self.bands,
            undecided=self.undecided.get(name, self.undecided.get("all")),
        )

    def to_json(self) -> str:
        """All numbers, with the format's version."""
        content = {
            "version": FORMAT_VERSION,
            "sharpness": self.sharpness,
            "slope": self.slope,
            "offsets": dict(self.offsets),
            "trust": dict(self.trust),
            "undecided": dict(self.undecided),
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
            undecided = {name: float(share) for name, share in content.get("undecided", {}).items()}
            return cls(
                float(content["sharpness"]), float(content["slope"]), offsets, bands, content["trust"], undecided
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise MetricError(f"this is no fusion that ffdv wrote ({error})") from error


def set_name(senses: Iterable[SenseName]) -> str:
    """How a set of senses is called.

    >>> set_name(["agreement", "voice"])
    'voice+agreement'
    """
    there = set(senses)
    return "+".join(name for name in SENSES if name in there)


def soft_maximum(probabilities: Sequence[float], *, sharpness: float) -> float:
    """Of their log-odds: log(sum of odds ** sharpness) / sharpness.

    >>> round(soft_maximum([0.5], sharpness=2), 3), round(soft_maximum([0.5, 0.5], sharpness=1), 3)
    (0.0, 0.693)
    """
    odds = logit(probabilities)
    return float(np.logaddexp.reduce(sharpness * odds) / sharpness)


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
