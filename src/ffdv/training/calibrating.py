"""After the best epoch: probabilities, verdicts, and what training saw, all from clips that chose nothing else where there are enough.

calibration part ─▶ logits ─▶ kind of calibration chosen apart ─▶ band and thresholds ─┐
training part ─▶ lengths, rates, faces, damage ─▶ the range that was seen ─────────────┴─▶ the checkpoint's header
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import JsonValue

from ffdv.data.shards import Shards
from ffdv.features.familiar import damage_measure, face_measures, sound_measures
from ffdv.metrics.calibration import Calibration
from ffdv.metrics.calibration_choice import choose_calibration
from ffdv.metrics.decision import Decision, SeenRange, fit_decision, fit_seen_range
from ffdv.records import Note
from ffdv.training.engine import ScoredClips
from ffdv.training.evaluate import interval_groups
from ffdv.training.kinds import kind_of
from ffdv.training.plan import Recipe

# So many training clips are measured, evenly spread: a 0.5 % tail is known to one clip in three hundred, in 2 s of sound.
MEASURED_CLIPS = 300


@dataclass(frozen=True)
class Calibrated:
    """What goes into the header beside weights."""

    calibration: Calibration
    decision: Decision

    def header(self) -> dict[str, dict[str, JsonValue]]:
        """The header's fields `calibration` and `decision`."""
        return {
            "calibration": json.loads(self.calibration.to_json()),
            "decision": json.loads(self.decision.to_json()),
        }


def calibrate(scored: ScoredClips, shards: Shards, *, seen: SeenRange) -> Calibrated:
    """Fit all of it on scored clips of these shards; people (or else sources) stay whole.

    Raises MetricError when only one class is present.
    """
    index_of = {name: row for row, name in enumerate(shards.names)}
    _, groups = interval_groups(shards, np.array([index_of[name] for name in scored.names], np.int64))
    calibration = choose_calibration(scored.labels, scored.logits, groups=groups).calibration
    scores = calibration.apply(scored.logits)
    return Calibrated(calibration, fit_decision(scored.labels, scores, groups=groups, seen=seen))


def seen_in_training(shards: Shards, rows: Sequence[int], recipe: Recipe) -> SeenRange:
    """The range of what the training clips (by row) are like, as the recipe's net gets to see them."""
    spread = np.unique(np.linspace(0, len(rows) - 1, min(MEASURED_CLIPS, len(rows))).round().astype(np.int64))
    measured: dict[str, list[float]] = defaultdict(list)
    for row in (rows[place] for place in spread.tolist()):
        for name, value in measures_of(shards, row, recipe).items():
            measured[name].append(value)
    return fit_seen_range({name: np.array(values) for name, values in measured.items()}, num_clips=len(spread))


def measures_of(shards: Shards, row: int, recipe: Recipe) -> dict[str, float]:
    """The measures of one prepared clip that matter to what the recipe's net looks at; see features/familiar."""
    hears = "sound" in kind_of(recipe).senses
    notes = (Note(**note) for note in json.loads(shards.table["notes"][row].as_py()))
    measures = damage_measure(notes, sense="sound" if hears else "picture")
    if not hears:
        return measures | face_measures(shards.faces(row))
    sound = shards.sound(row)
    if sound is None:
        return measures
    rate, longest = recipe.front_end.sample_rate, recipe.loader.window_seconds or recipe.loader.max_seconds
    return measures | sound_measures(sound, rate=rate, longest_seconds=longest)
