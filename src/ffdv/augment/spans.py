"""Settings that are drawn anew for each sample: a pair (low, high), or one number that never varies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class Span:
    """Marks a (low, high) setting of a transform: ordered, finite, within [low, high] given here.

    `semitones: Annotated[tuple[float, float], Span(-24, 24)] = (-2, 2)` reads `[-2, 2]` and `2` (always 2) in a recipe.
    """

    low: float = -math.inf
    high: float = math.inf

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """What pydantic asks of a marker: a number becomes a pair before, the pair is checked after."""
        pair = core_schema.no_info_before_validator_function(_as_pair, handler(source))
        return core_schema.no_info_after_validator_function(self._checked, pair)

    def _checked(self, pair: tuple[float, float]) -> tuple[float, float]:
        first, last = pair
        if not (math.isfinite(first) and math.isfinite(last)):
            raise ValueError(f"must be finite, got [{first}, {last}]")
        if first > last:
            raise ValueError(f"a range is [low, high], got [{first}, {last}]")
        if first < self.low or last > self.high:
            raise ValueError(f"must lie within [{self.low:g}, {self.high:g}], got [{first:g}, {last:g}]")
        return pair


def draw(rng: np.random.Generator, span: tuple[float, float]) -> float:
    """A number drawn evenly from [low, high]; both ends equal give that number."""
    low, high = span
    return float(low + (high - low) * rng.random())


def draw_count(rng: np.random.Generator, span: tuple[int, int]) -> int:
    """A whole number drawn evenly from low, low + 1 ... high."""
    return int(rng.integers(span[0], span[1] + 1))


def _as_pair(value: Any) -> Any:
    return (value, value) if isinstance(value, int | float) and not isinstance(value, bool) else value
