"""The script that teaches the sense of agreement: its odds learn what coarse pictures and unclear sound do to the lips of genuine clips."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts" / "weights"))

import agreement as script
from agreement_wear import worn_copy

from ffdv.features.agreement import WEAR, WEIGHED
from ffdv.media.read import open_media
from ffdv.media.write import write_media
from ffdv.records import Samples


def pair(right: bool, near: float, rough: float, *, clarity: float = 0.4) -> Any:
    """A pair as far as the odds look at it."""
    rng = np.random.default_rng(abs(round(1e6 * near)))
    measures = dict.fromkeys(WEIGHED, 0.0) | {"near": near, "stands_out": near - 0.1, "far": near - 0.15}
    measures |= {"seconds": 1.6, "rough": rough + rng.normal(0, 0.02), "clarity": clarity + rng.normal(0, 0.01)}
    for what in WEAR:
        measures |= {f"{name}_{what}": measures[name] * measures[what] for name in ("near", "stands_out", "far")}
    return SimpleNamespace(is_right=right, measures=measures)


def pairs(right: float, wrong: float, rough: float, *, seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [
        pair(is_right, float(rng.normal(right if is_right else wrong, 0.08)), rough)
        for is_right in (True, False)
        for _ in range(300)
    ]


def test_where_points_tremble_the_odds_expect_less_of_genuine_lips() -> None:
    clean, worn = pairs(0.41, 0.12, -0.2, seed=0), pairs(0.28, 0.10, 0.02, seed=1)
    alone, both = script.fit_weighing(clean, []), script.fit_weighing(clean, worn)

    def accused(weighing: Any, these: list[Any]) -> float:
        return float(np.mean([weighing.logit(one.measures) > 0 for one in these if one.is_right]))

    assert set(both.weights) == set(WEIGHED)
    assert accused(alone, worn) > 0.2
    assert accused(both, worn) < 0.16
    assert accused(both, clean) < 0.06
    low = pair(False, 0.19, 0.02)
    assert both.logit(low.measures) < both.logit(pair(False, 0.19, -0.2).measures)


def test_a_worn_copy_is_smaller_as_long_and_another_one_each_draw(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [np.clip(rng.normal(128, 30, (128, 128, 3)), 0, 255).astype(np.uint8) for _ in range(25)]
    sound = Samples(rng.normal(0, 0.1, (1, 16_000)).astype(np.float32), 16_000)
    clip = write_media(tmp_path / "clip.mp4", frames=iter(frames), fps=25, sound=sound)

    sizes = []
    for draw in range(3):
        with worn_copy(clip, draw) as copy, open_media(copy) as media:
            sizes.append((media.facts.pictures[0].width, round(media.facts.duration_seconds or 0, 1)))
        assert not copy.exists()

    assert all(32 <= width <= 128 for width, _ in sizes)
    assert len({width for width, _ in sizes}) > 1
    assert {seconds for _, seconds in sizes} == {1.0}
