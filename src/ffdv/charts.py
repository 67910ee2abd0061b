"""Small charts as inline SVG: curves, histograms of two classes, intervals. Colours are the page's own, so dark pages are dark.

Every chart has a text alternative and can be printed; none needs a script. Coordinates are rounded to a tenth of a pixel and
curves thinned to what can be seen, so that a page stays small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from ffdv.page import drawn

if TYPE_CHECKING:
    from markupsafe import Markup

Numbers = npt.NDArray[np.float64]
Scale = Literal["linear", "log", "probit"]
Colour = Literal["accent", "real", "fake", "unsure", "soft", "ink"]

WIDTH, HEIGHT = 380, 300
LEFT, RIGHT, TOP, BOTTOM = 62, 22, 12, 42
MOST_POINTS = 400

_NORMAL = NormalDist()

CURVES = """<svg viewBox="0 0 {{ width }} {{ height }}" role="img" aria-label="{{ title }}">
<title>{{ title }}</title>
{% for at, text in x_ticks %}<line x1="{{ at }}" y1="{{ top }}" x2="{{ at }}" y2="{{ foot }}" stroke="var(--line)"/><text x="{{ at }}" y="{{ foot + 15 }}" text-anchor="middle" class="soft">{{ text }}</text>{% endfor %}
{% for at, text in y_ticks %}<line x1="{{ left }}" y1="{{ at }}" x2="{{ side }}" y2="{{ at }}" stroke="var(--line)"/><text x="{{ left - 6 }}" y="{{ at + 4 }}" text-anchor="end" class="soft">{{ text }}</text>{% endfor %}
<rect x="{{ left }}" y="{{ top }}" width="{{ side - left }}" height="{{ foot - top }}" fill="none" stroke="var(--soft)"/>
<text x="{{ (left + side) / 2 }}" y="{{ height - 6 }}" text-anchor="middle">{{ x_label }}</text>
<text transform="translate(12 {{ (top + foot) / 2 }}) rotate(-90)" text-anchor="middle">{{ y_label }}</text>
{% for curve in curves %}
{% if curve.band %}<path d="{{ curve.band }}" fill="var(--{{ curve.colour }})" opacity=".18"/>{% endif %}
{% if curve.path %}<path d="{{ curve.path }}" fill="none" stroke="var(--{{ curve.colour }})" stroke-width="{{ curve.thickness }}" {% if curve.dash %}stroke-dasharray="{{ curve.dash }}"{% endif %}/>{% endif %}
{% for x, low, high in curve.bars %}<line x1="{{ x }}" y1="{{ low }}" x2="{{ x }}" y2="{{ high }}" stroke="var(--{{ curve.colour }})" stroke-width="1.5"/>{% endfor %}
{% for x, y, size in curve.points %}<circle cx="{{ x }}" cy="{{ y }}" r="{{ size }}" fill="var(--{{ curve.colour }})"/>{% endfor %}
{% endfor %}
</svg>"""

BAR = """<svg width="{{ width }}" height="16" viewBox="0 0 {{ width }} 16" role="img" aria-label="{{ text }}"><line x1="6" y1="8" x2="{{ width - 6 }}" y2="8" stroke="var(--line)"/>
{% if mark is not none %}<line x1="{{ mark }}" y1="1" x2="{{ mark }}" y2="15" stroke="var(--soft)" stroke-dasharray="2 2"/>{% endif %}
<line x1="{{ low }}" y1="8" x2="{{ high }}" y2="8" stroke="var(--{{ colour }})" stroke-width="3"/><circle cx="{{ value }}" cy="8" r="4.5" fill="var(--{{ colour }})"/></svg>"""

HISTOGRAM = """<svg viewBox="0 0 {{ width }} {{ height }}" role="img" aria-label="{{ title }}">
<title>{{ title }}</title>
{% for at, text in x_ticks %}<text x="{{ at }}" y="{{ height - 26 }}" text-anchor="middle" class="soft">{{ text }}</text>{% endfor %}
{% for x, y, w, h, colour in bars %}<rect x="{{ x }}" y="{{ y }}" width="{{ w }}" height="{{ h }}" fill="var(--{{ colour }})"/>{% endfor %}
<line x1="{{ left }}" y1="{{ middle }}" x2="{{ side }}" y2="{{ middle }}" stroke="var(--ink)"/>
{% for at in marks %}<line x1="{{ at }}" y1="{{ top }}" x2="{{ at }}" y2="{{ foot }}" stroke="var(--soft)" stroke-dasharray="4 3"/>{% endfor %}
<text x="{{ left + 4 }}" y="{{ top + 12 }}" style="fill: var(--real)">{{ upper }}</text><text x="{{ left + 4 }}" y="{{ foot - 4 }}" style="fill: var(--fake)">{{ lower }}</text>
<text x="{{ (left + side) / 2 }}" y="{{ height - 6 }}" text-anchor="middle">{{ x_label }}</text>
</svg>"""


@dataclass(frozen=True)
class Axis:
    """What is shown from where to where; ticks (value, text) lie between low and high. log and probit leave out 0 (and 1)."""

    label: str
    low: float = 0.0
    high: float = 1.0
    ticks: tuple[tuple[float, str], ...] = ((0.0, "0"), (0.25, "0.25"), (0.5, "0.5"), (0.75, "0.75"), (1.0, "1"))
    scale: Scale = "linear"

    def share(self, values: npt.ArrayLike) -> Numbers:
        """Where values (n,) lie along the axis: 0 at low, 1 at high; what is beyond stops at the ends.

        >>> Axis("", 0.01, 1.0, scale="log").share([0.01, 0.1, 0.0]).tolist()
        [0.0, 0.5, 0.0]
        """
        inside = np.clip(np.asarray(values, np.float64), self.low, self.high)
        low, high = self._scaled(np.array([self.low, self.high]))
        placed: Numbers = (self._scaled(inside) - low) / (high - low)
        return placed

    def _scaled(self, values: Numbers) -> Numbers:
        if self.scale == "log":
            return np.log(values)
        if self.scale == "probit":
            return np.array([_NORMAL.inv_cdf(float(value)) for value in values.ravel()]).reshape(values.shape)
        return values


@dataclass(frozen=True)
class Curve:
    """A line through x (n,), y (n,); low and high (n,) are drawn as a band, or as bars where it is points of sizes (n,)."""

    x: npt.ArrayLike
    y: npt.ArrayLike
    colour: Colour = "accent"
    dash: str = ""
    low: npt.ArrayLike | None = None
    high: npt.ArrayLike | None = None
    sizes: npt.ArrayLike | None = None


def curve_chart(curves: Sequence[Curve], *, x: Axis, y: Axis, title: str) -> Markup:
    """Curves in one frame, the first at the bottom. title: what a reader who cannot see it is told."""
    return drawn(
        CURVES,
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        top=TOP,
        side=WIDTH - RIGHT,
        foot=HEIGHT - BOTTOM,
        title=title,
        x_label=x.label,
        y_label=y.label,
        x_ticks=[(_across(x, at), text) for at, text in x.ticks],
        y_ticks=[(_down(y, at), text) for at, text in y.ticks],
        curves=[_drawn_curve(curve, x, y) for curve in curves],
    )


def interval_bar(
    value: float,
    low: float,
    high: float,
    *,
    lowest: float = 0.0,
    highest: float = 1.0,
    mark: float | None = None,
    colour: Colour = "accent",
    width: int = 150,
) -> Markup:
    """A number with its interval on a line from lowest to highest; mark: a place to compare with (chance)."""
    text = f"{value:.3f} [{low:.3f}, {high:.3f}]"

    def place(number: float) -> float:
        return round(6 + (width - 12) * (min(highest, max(lowest, number)) - lowest) / (highest - lowest), 1)

    return drawn(
        BAR,
        width=width,
        text=text,
        value=place(value),
        low=place(low),
        high=place(high),
        mark=None if mark is None else place(mark),
        colour=colour,
    )


def two_histograms(
    real: npt.ArrayLike,
    fake: npt.ArrayLike,
    *,
    labels: tuple[str, str, str],
    marks: Sequence[float] = (),
    bins: int = 40,
) -> Markup:
    """Scores in [0, 1] of both classes: real upwards, fake downwards, each as a share of its class.

    labels: of the axis, of the reals, of the fakes; marks: thresholds. Both halves have one scale.
    """
    counts = [np.histogram(np.asarray(scores), bins=bins, range=(0.0, 1.0))[0] for scores in (real, fake)]
    shares = [count / max(1, count.sum()) for count in counts]
    left, side, top, foot = 14, WIDTH - RIGHT, 8, HEIGHT - 42
    middle, tallest = (top + foot) / 2, max(float(share.max()) for share in shares) or 1.0
    step = (side - left) / bins
    bars = []
    for colour, share, up in zip(("real", "fake"), shares, (True, False), strict=True):
        for number, height in enumerate((share / tallest * ((foot - top) / 2 - 16)).tolist()):
            if height > 0:
                y = middle - height if up else middle
                bars.append((round(left + number * step, 1), round(y, 1), round(step - 1, 1), round(height, 1), colour))
    return drawn(
        HISTOGRAM,
        width=WIDTH,
        height=HEIGHT,
        left=left,
        side=side,
        top=top,
        foot=foot,
        middle=middle,
        bars=bars,
        marks=[round(left + (side - left) * mark, 1) for mark in marks],
        x_ticks=[(left + (side - left) * at, text) for at, text in Axis("").ticks],
        x_label=labels[0],
        upper=labels[1],
        lower=labels[2],
        title=f"{labels[0]}: {labels[1]}, {labels[2]}",
    )


def percent_ticks(*shares: float) -> tuple[tuple[float, str], ...]:
    """Ticks of an axis of shares.

    >>> percent_ticks(0.001, 0.5)
    ((0.001, '0.1 %'), (0.5, '50 %'))
    """
    return tuple((share, f"{100 * share:g} %") for share in shares)


@dataclass(frozen=True)
class _Drawn:
    path: str
    band: str
    bars: list[tuple[float, float, float]]
    points: list[tuple[float, float, float]]
    colour: Colour
    dash: str
    thickness: float


def _drawn_curve(curve: Curve, x: Axis, y: Axis) -> _Drawn:
    """A curve in pixels."""
    across = LEFT + (WIDTH - LEFT - RIGHT) * x.share(curve.x)

    def down(values: npt.ArrayLike) -> Numbers:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y.share(values)

    places = down(curve.y)
    thickness = 1.2 if curve.dash else 2.2
    if curve.sizes is not None:
        bars = [] if curve.low is None or curve.high is None else _rounded(across, down(curve.low), down(curve.high))
        return _Drawn(
            "", "", bars, _rounded(across, places, np.asarray(curve.sizes)), curve.colour, curve.dash, thickness
        )
    kept = _thinned(across, places)
    band = ""
    if curve.low is not None and curve.high is not None:
        upper, lower = down(curve.high)[kept], down(curve.low)[kept]
        band = _path(np.concatenate([across[kept], across[kept][::-1]]), np.concatenate([upper, lower[::-1]])) + "Z"
    return _Drawn(_path(across[kept], places[kept]), band, [], [], curve.colour, curve.dash, thickness)


def _rounded(*columns: Numbers) -> list[tuple[float, float, float]]:
    return [tuple(round(float(value), 1) for value in row) for row in zip(*columns, strict=True)]  # type: ignore[misc]


def _thinned(across: Numbers, down: Numbers) -> npt.NDArray[np.int64]:
    """Which points to keep: those a third of a pixel or more from the last kept one, at most MOST_POINTS, and both ends."""
    kept = [0]
    for at in range(1, len(across)):
        if math.hypot(across[at] - across[kept[-1]], down[at] - down[kept[-1]]) >= 1 / 3:
            kept.append(at)
    chosen = np.array(kept)[np.unique(np.linspace(0, len(kept) - 1, min(len(kept), MOST_POINTS)).round().astype(int))]
    return np.unique(np.append(chosen, len(across) - 1))


def _path(across: Numbers, down: Numbers) -> str:
    """Straight lines from point to point."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in zip(across.tolist(), down.tolist(), strict=True))


def _across(axis: Axis, value: float) -> float:
    return round(float(LEFT + (WIDTH - LEFT - RIGHT) * axis.share(np.array([value]))[0]), 1)


def _down(axis: Axis, value: float) -> float:
    return round(float(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * axis.share(np.array([value]))[0]), 1)
