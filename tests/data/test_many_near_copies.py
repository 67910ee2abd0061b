"""Near-copies are found as well among many clips as among few, or it is said that they are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ffdv.data import near_copies as near_copies_module
from ffdv.data.audit import audit_table
from ffdv.data.near_copies import SOUND_BITS, near_copies
from ffdv.data.probe_table import Fingerprints, ProbeTable
from ffdv.records import Clip

MANY, PLANTED = 12_500, 100


def fingerprints(clips: int) -> np.ndarray:
    """Bits (clips, 240) of which the first and the last PLANTED are near-copies at the limit."""
    rng = np.random.default_rng(0)
    bits = rng.random((clips, 240)) < 0.5
    for at in range(PLANTED):
        bits[-1 - at] = bits[at]
        bits[-1 - at, rng.permutation(240)[:SOUND_BITS]] ^= True
    return bits


def test_one_clip_more_loses_no_near_copy() -> None:
    """Beyond 12,000 clips a tenth of the pairs with 60 differing bits was found."""
    pairs = near_copies(fingerprints(MANY), np.ones(MANY, bool), most_bits=SOUND_BITS)

    assert {tuple(pair) for pair in pairs.tolist()} == {(at, MANY - 1 - at) for at in range(PLANTED)}


def test_pairs_that_were_not_all_compared_are_called_so(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = tuple(Clip(f"{at}", Path("x"), at % 2, None, {"identity": f"p{at}"}) for at in range(300))
    sounds = Fingerprints(fingerprints(300), np.ones(300, bool))
    none = Fingerprints(np.zeros((300, 240), bool), np.zeros(300, bool))
    table = ProbeTable(clips, {"fact": np.arange(300.0)}, {}, sounds, none)

    whole = audit_table(table, together=False)
    monkeypatch.setattr(near_copies_module, "COMPARE_ALL", 200)
    quick = audit_table(table, together=False)

    said = "there may be more near-copies than are counted"
    assert [said in " ".join(report.sentences) for report in (whole, quick)] == [False, True]
    assert whole.copies[0].num_pairs == PLANTED
