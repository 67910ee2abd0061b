"""The senses' opinions → one probability that the clip is forged in any way, and when to call it.

A clip is forged when its voice, its picture or their pairing is. Until a fusion measured on development clips ships
(weights/fusion.json), the overall probability is that of the sense that suspects most, and no threshold is promised.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ffdv.detect.senses import SenseName, SenseOpinion
from ffdv.metrics.abstention import AbstentionBand

# Without a measured band nothing is promised: only what seems clear is called.
UNMEASURED = AbstentionBand(0.25, 0.75, 1.0, 1.0, 0, 0)


@dataclass(frozen=True)
class Fused:
    """probability in [0, 1] that the clip is forged in any way; band: below low "real", above high "fake", in between "cannot
    tell"; leading: the sense that says so most. measured: whether the band's rates were measured on development clips.
    """

    probability: float
    band: AbstentionBand
    leading: SenseName
    measured: bool = True


def fuse(opinions: Mapping[SenseName, SenseOpinion]) -> Fused:
    """One probability of all opinions that there are, at least one."""
    leading = max(opinions, key=lambda name: opinions[name].probability)
    return Fused(opinions[leading].probability, UNMEASURED, leading, measured=False)
