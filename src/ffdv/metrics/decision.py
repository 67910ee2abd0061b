"""From a score to a verdict: thresholds for wanted false-alarm rates, and a band of "cannot tell" that grows where the input
is unlike anything that training saw.

    score ─▶ AbstentionBand ─▶ widened by how far the clip lies outside SeenRange ─▶ fake · real · cannot tell, and why
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
import numpy.typing as npt

from ffdv.errors import MetricError
from ffdv.metrics.abstention import AbstentionBand, Threshold, Verdict, abstention_band, false_alarm_threshold
from ffdv.metrics.calibration import FORMAT_VERSION, read_json
from ffdv.metrics.ranking import Groups

# False-alarm rates that thresholds are stored for; the first is that of the band.
WANTED_RATES = (0.05, 0.01, 1e-3)
# The range that was seen leaves out so much at each end: one odd clip in training must not make all odd clips usual.
TAIL = 0.005
FEWEST_MEASURED = 20
# A range narrower than this is taken as this wide: a corpus of one rate must not make a neighbouring rate a stranger.
LEAST_RATIO = math.log(1.5)
LEAST_SHARE = 0.05

# What a measure is called: (what, unit); names ending in _share lie in [0, 1], those in _distance are unusual above their range
# only, all others are positive and compared by ratio.
MEASURES: Mapping[str, tuple[str, str]] = {
    "sound_seconds": ("length of sound that is judged at once", "s"),
    "sound_rate_hz": ("sampling rate", "Hz"),
    "sound_band_hz": ("highest frequency in the sound", "Hz"),
    "face_pixels": ("width of the face", "pixels"),
    "damaged_share": ("damaged share of the file", ""),
    "embedding_distance": ("distance of what the net sees from what training saw", ""),
}


@dataclass(frozen=True)
class Unusual:
    """One measure outside of what was seen: its value, the range, and the share in (0, 1] by which it widens the band."""

    name: str
    value: float
    low: float
    high: float
    share: float

    @property
    def text(self) -> str:
        """In one plain sentence.

        >>> Unusual("sound_rate_hz", 8000.0, 16000.0, 22050.0, 1.0).text
        'sampling rate is 8000 Hz, training saw 16000 to 22050 Hz'
        """
        if self.name == "embedding_distance":
            return f"to the net it is unlike what training saw: its distance is {_plain(self.value)}, of usual clips at most {_plain(self.high)}"
        what, unit = MEASURES.get(self.name, (self.name.replace("_", " "), ""))
        unit = f" {unit}" if unit else ""
        low, high = _plain(self.low), _plain(self.high)
        return f"{what} is {_plain(self.value)}{unit}, training saw {low if low == high else f'{low} to {high}'}{unit}"


@dataclass(frozen=True)
class SeenRange:
    """What training saw of each measure: names (m,), lowest (m,) and highest (m,) without the TAIL at each end; over num_clips."""

    names: tuple[str, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    num_clips: int = 0

    def __post_init__(self) -> None:
        """Refuse ranges that are none."""
        if not len(self.names) == len(self.low) == len(self.high):
            raise MetricError("a seen range needs a lowest and a highest value for each measure; fit it again")
        if not all(low <= high for low, high in zip(self.low, self.high, strict=True)):
            raise MetricError("a seen range needs lowest <= highest for each measure; fit it again")

    def with_range(self, name: str, low: float, high: float) -> SeenRange:
        """The same with one more measure, whose range comes from elsewhere."""
        return replace(self, names=(*self.names, name), low=(*self.low, low), high=(*self.high, high))

    def unusual(self, measures: Mapping[str, float]) -> tuple[Unusual, ...]:
        """The measures that lie outside, farthest first; what is not known of the clip or of training is no reason.

        A measure widens by its distance from the range in units of the range's width (of ratios, where it is not
        a share or a distance).

        >>> seen = SeenRange(("sound_seconds",), (2.0,), (4.0,), 100)
        >>> [round(found.share, 2) for found in seen.unusual({"sound_seconds": 1.5})]
        [0.42]
        """
        found = []
        for name, low, high in zip(self.names, self.low, self.high, strict=True):
            value = measures.get(name, math.nan)
            if math.isfinite(value) and not low <= value <= high:
                found.append(Unusual(name, value, low, high, _distance(name, value, low, high)))
        return tuple(sorted((each for each in found if each.share > 0), key=lambda each: -each.share))


def fit_seen_range(measures: Mapping[str, npt.ArrayLike], *, num_clips: int) -> SeenRange:
    """The range of each measure over the training clips: name → (n,), NaN where unknown; rarely known ones are left out."""
    ranges: dict[str, tuple[float, float]] = {}
    for name, values in measures.items():
        known = np.asarray(values, np.float64)
        known = known[np.isfinite(known)]
        if len(known) >= FEWEST_MEASURED:
            low, high = np.quantile(known, [TAIL, 1.0 - TAIL], method="inverted_cdf")
            ranges[name] = float(low), float(high)
    names = tuple(sorted(ranges))
    return SeenRange(
        names, tuple(ranges[name][0] for name in names), tuple(ranges[name][1] for name in names), num_clips
    )


def _plain(value: float) -> str:
    """A measure as people write it."""
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _distance(name: str, value: float, low: float, high: float) -> float:
    if name.endswith("_distance"):
        width, beyond = high - low, value - high
    elif name.endswith("_share"):
        width, beyond = max(high - low, LEAST_SHARE), max(low - value, value - high)
    else:
        place, bottom, top = (math.log(max(each, 1e-6)) for each in (value, low, high))
        width, beyond = max(top - bottom, LEAST_RATIO), max(bottom - place, place - top)
    return min(1.0, max(0.0, beyond / width))


@dataclass(frozen=True)
class Judged:
    """A verdict on one clip, the band that it was made with, and why that was wider than usual."""

    verdict: Verdict
    band: AbstentionBand
    unusual: tuple[Unusual, ...] = ()

    @property
    def outside(self) -> tuple[str, ...]:
        """Why the clip is unlike what training saw, one sentence each."""
        return tuple(each.text for each in self.unusual)


@dataclass(frozen=True)
class Decision:
    """All that turns a net's calibrated score into a verdict: the band, thresholds by wanted false-alarm rate, the range seen."""

    band: AbstentionBand
    thresholds: tuple[Threshold, ...] = ()
    seen: SeenRange = SeenRange()

    def judge(self, score: float, measures: Mapping[str, float] | None = None) -> Judged:
        """The verdict on a score in [0, 1] of a clip with these measures (see MEASURES; unknown ones may be missing).

        Each unusual measure leaves the share 1 - share of the room to decide; a measure outside by the whole width of the
        range that was seen leaves none. The band's promises stay, for fewer clips are called.
        """
        unusual = self.seen.unusual(measures or {})
        left = math.prod(1.0 - each.share for each in unusual)
        band = self.band.widened(1.0 - left) if unusual else self.band
        return Judged(band.verdict(score), band, unusual)

    def threshold(self, rate: float) -> Threshold:
        """The threshold for a wanted false-alarm rate. Raises MetricError when none was fitted for it."""
        for each in self.thresholds:
            if math.isclose(each.wanted, rate):
                return each
        known = ", ".join(f"{each.wanted:g}" for each in self.thresholds) or "none"
        raise MetricError(f"no threshold was fitted for a false-alarm rate of {rate:g}; there are {known}")

    def to_json(self) -> str:
        """One line of JSON with the format's version."""
        return json.dumps(
            {
                "version": FORMAT_VERSION,
                "band": asdict(self.band),
                "thresholds": [asdict(each) for each in self.thresholds],
                "seen": asdict(self.seen),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Decision:
        """Read what to_json wrote. Raises MetricError on another version or anything else."""
        try:
            stored = json.loads(text)
            version, band = stored["version"], stored["band"]
            thresholds, seen = list(stored["thresholds"]), stored["seen"]
        except (ValueError, KeyError, TypeError) as error:
            raise MetricError(f"this is no Decision: {text[:60]!r}") from error

        def inner(values: object) -> str:
            return json.dumps({"version": version, **values} if isinstance(values, dict) else values)

        return cls(
            read_json(AbstentionBand, inner(band)),
            tuple(read_json(Threshold, inner(each)) for each in thresholds),
            read_json(SeenRange, inner(seen)),
        )


def fit_decision(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    groups: Groups | None = None,
    rates: Sequence[float] = WANTED_RATES,
    seen: SeenRange | None = None,
) -> Decision:
    """Band and thresholds from development clips that the net was neither trained nor chosen on.

    labels (n,), calibrated scores (n,) in [0, 1], groups (n,): see abstention_band for what is promised. The calibration may
    have been fitted on the same clips: it never changes their order, and the bounds are order statistics.
    Raises MetricError when only one class is present.
    """
    band = abstention_band(labels, scores, false_alarm_rate=rates[0], miss_rate=rates[0], groups=groups)
    thresholds = tuple(false_alarm_threshold(labels, scores, rate=rate, groups=groups) for rate in rates)
    return Decision(band, thresholds, seen or SeenRange())
