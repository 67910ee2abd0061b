"""A verdict as one self-contained HTML page: player, lanes, spectrogram and faces on one time axis, cues, details folded away.

Nothing is fetched: pictures are inside, the clip is inside too or linked by a relative path. Only the page's own script runs
(its hash stands in the content policy), so nothing in a clip's name can do anything.
"""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.resources import files
from typing import Any

import numpy as np

from ffdv.detect.evidence import shrunk_picture
from ffdv.detect.senses import SENSES, SenseAbsent, SenseOpinion, leaning
from ffdv.detect.verdict import CueView, FaceShot, Spectrogram, Timeline, TimeRange, Verdict
from ffdv.detect.words import (
    COMMAS,
    capitalised,
    cue_words,
    how_sure,
    lacking,
    limited,
    missing,
    no_ranges,
    note_text,
    outside_texts,
    percent,
    reasons,
    say,
    unit_word,
)
from ffdv.media.opened import zero_seconds
from ffdv.metrics.abstention import AbstentionBand
from ffdv.page import drawn, own_markup, render
from ffdv.records import FloatArray, PixelArray
from ffdv.sentences import STOPS, Lang

GAP_SHARE, WIDEST_GAP = 0.004, 0.08  # between bars: of the lane, and of a bar; few bars must not seem to lack seconds
MOST_BARS = 600  # of a lane; a bar of a longer clip is the most suspicious of its seconds
LATE_SECONDS = 0.5  # a file whose clock begins so late seems longer than it is
SHOT_WIDTH = 6.25  # of a face in the strip, in hundredths of the lane (clip.css)
STRIP_SIDE, SUSPECT_SIDE, THUMBNAIL_SIDE = 72, 192, 96
OVERLAY_COLOUR = (255, 214, 40)  # yellow, which means nothing else on these pages
OVERLAY_MOST = 120  # of 255: the picture under it stays visible
MARKS = {"fake": "▲", "real": "●", "cannot tell": "◆"}  # shape as well as colour
TONES = {"fake": "fake", "real": "real", "cannot tell": "unsure"}
# What browsers play, by the container's name in FFmpeg, for a clip inside the page.
MIME_TYPES = {
    "mov": "video/mp4", "matroska": "video/webm", "mp3": "audio/mpeg", "wav": "audio/wav", "flac": "audio/flac", "ogg": "audio/ogg", "aac": "audio/aac",
}  # fmt: skip


@dataclass(frozen=True)
class Linked:
    """How the page reaches the clip: a relative path, percent-encoded, or a data: address."""

    link: str
    is_video: bool


def clip_page(verdict: Verdict, name: str, *, lang: Lang = "en", media: Linked | None = None, back: str = "") -> str:
    """The page of one clip; back is the relative address of the index, "" without one."""
    from ffdv import __version__

    t = partial(say, lang=lang)
    length = max(length_seconds(verdict), 0.1)
    judged_cues = [cue for cue in verdict.evidence.cues if cue.separates]
    other_cues = [cue for cue in verdict.evidence.cues if not cue.separates]
    script = page_file("clip.js")
    return render(
        page_file("clip.html"),
        lang=lang,
        t=t,
        name=shown_name(name),
        back=back,
        verdict=verdict,
        mark=MARKS[verdict.word],
        tone=TONES[verdict.word],
        limited=limited(verdict, lang),
        sure=how_sure(verdict, lang),
        why=reasons(verdict, lang),
        senses=[_sense(verdict, sense, lang) for sense in SENSES],
        percent=percent,
        comma=COMMAS[lang],
        meter=_meter,
        length=round(length, 3),
        zero=round(max(0.0, zero_seconds(verdict.facts)), 3),
        lanes=[{"name": sense, **_lane(verdict.timeline, sense, length)} for sense in SENSES],
        bar_seconds=_steps_a_bar(verdict.timeline) * verdict.timeline.step_seconds,
        spectrogram=_spectrogram(verdict.evidence.spectrogram, length),
        strip=_strip(verdict.evidence.strip, length),
        strip_name="strip_decides" if "picture" in verdict.senses else "strip",
        ticks=_ticks(length, lang),
        ranges=[_range(one, lang) for one in verdict.top_ranges],
        no_ranges=no_ranges(verdict, lang),
        suspects=[_suspect(shot, lang) for shot in verdict.evidence.suspects],
        suspects_name=_suspects_name(verdict.evidence.suspects),
        traits=_traits(verdict),
        cues=[_cue(cue, lang) for cue in judged_cues],
        other_cues=[_cue(cue, lang) for cue in other_cues],
        cue_table=partial(_cue_table, t=t),
        looked=_looked(verdict, lang),
        lacking=lacking(verdict, lang),
        nothing_lacks="nothing_else" if missing(verdict, lang) else "nothing_missing",
        faces=verdict.evidence.faces,
        file_facts=_file_facts(verdict, lang),
        media=media,
        version=__version__,
        own_style=own_markup(page_file("clip.css")),
        script=own_markup(script),
        script_hash=script_hash(script),
    )


def thumbnail(verdict: Verdict) -> bytes | None:
    """A small JPEG for lists: the most suspicious face, else the leading one, else the sound; None where there is nothing."""
    evidence = verdict.evidence
    shots = evidence.suspects or evidence.strip
    if shots:
        return _encoded(shrunk_picture(shots[0].pixels, THUMBNAIL_SIDE), "JPEG")
    if evidence.spectrogram is not None:
        levels = evidence.spectrogram.levels[::-1]
        return _encoded(shrunk_picture(np.repeat(levels[:, :, None], 3, axis=2), THUMBNAIL_SIDE), "JPEG")
    return None


def data_link(content: bytes, container: str, *, is_video: bool) -> Linked | None:
    """A clip inside the page; None for containers that no browser plays."""
    kind = next((mime for name, mime in MIME_TYPES.items() if name in container.split(",")), None)
    if kind is None:
        return None
    return Linked(f"data:{kind};base64,{base64.b64encode(content).decode()}", is_video)


def length_seconds(verdict: Verdict) -> float:
    """The time axis: what was looked at, or the length in the header where that is known and not longer than the lanes."""
    seen = verdict.looked_at
    looked = max(seen.sound_seconds, seen.picture_seconds)
    spectrogram = verdict.evidence.spectrogram
    return max(looked, spectrogram.stop_seconds if spectrogram else 0.0)


def plain_number(value: float) -> str:
    """About three digits, never in powers of ten.

    >>> [plain_number(value) for value in (7990.0, 12.34, -0.204, 0.00006, 0.0)]
    ['7990', '12.3', '-0.2', '0', '0']
    """
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    rounded = round(value, decimals) or 0.0  # no minus before a zero
    text = f"{rounded:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def shown_name(name: str) -> str:
    r"""A file's name on one line: control characters and broken bytes are shown escaped.

    >>> shown_name("a" + chr(10) + "b.mp4")
    'a\\nb.mp4'
    """
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


@cache
def page_file(name: str) -> str:
    """A template, style or script of the pages."""
    return files("ffdv.detect").joinpath("pages", name).read_text(encoding="utf-8")


def script_hash(script: str) -> str:
    """What the content policy calls a script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _sense(verdict: Verdict, sense: str, lang: Lang) -> dict[str, Any]:
    opinion = next((one for one in verdict.opinions.values() if one.sense == sense), None)
    nothing: dict[str, Any] = {
        "name": sense,
        "probability": None,
        "logit": None,
        "outside": (),
        "numbers": "",
        "why": "",
    }
    if opinion is None:
        return nothing | {"why": say("not_judged", lang)}
    if isinstance(opinion, SenseAbsent):
        return nothing | {"why": capitalised(note_text(opinion, lang))}
    return nothing | {
        "probability": opinion.probability,
        "tone": leaning(opinion.probability),
        "logit": opinion.logit,
        "outside": [capitalised(text + STOPS[lang]) for text in outside_texts(opinion, lang)],
        "numbers": ", ".join(f"{key} {float(number):.4g}" for key, number in opinion.numbers.items()),
    }


METER = """<div class="meter" role="img" aria-label="{{ text }}"><i class="{{ tone }}" style="width: {{ width }}%"></i>{% for place in marks %}<b style="left: {{ place }}%"></b>{% endfor %}</div>"""


def _meter(probability: float, band: AbstentionBand | None) -> Any:
    """A bar from 0 to 100 %, with the band's edges."""
    marks = [] if band is None else [round(100 * edge, 1) for edge in (band.low, band.high)]
    tone = leaning(probability) if band is None else TONES[band.verdict(probability)]
    return drawn(METER, text=percent(probability), tone=tone, width=round(100 * probability, 1), marks=marks)


LANE = """{% for left, width in gaps %}<i class="unjudged" style="left: {{ left }}%; width: {{ width }}%"></i>{% endfor %}<svg viewBox="0 0 {{ count }} 100" preserveAspectRatio="none" aria-hidden="true">{% for x, height, kind in bars %}<rect class="{{ kind }}" x="{{ x }}" y="{{ 100 - height }}" width="{{ width }}" height="{{ height }}"/>{% endfor %}<line x1="0" y1="50" x2="{{ count }}" y2="50"/></svg>"""


def _lane(timeline: Timeline, sense: str, length: float) -> dict[str, Any]:
    """The bars of one sense over [0, length) seconds, hatching where it did not judge, and the number of each bar as text."""
    lane = next((values for name, values in timeline.probabilities.items() if name == sense), None)
    if lane is None or not np.isfinite(lane).any():
        return {"bars": 0, "drawing": "", "numbers": ""}
    each = _steps_a_bar(timeline)
    count = length / (each * timeline.step_seconds)
    parts = [lane[start : start + each] for start in range(0, len(lane), each)]
    values = [float(np.nanmax(part)) if np.isfinite(part).any() else None for part in parts]
    bars = [(x, round(max(3.0, 100 * value), 1), leaning(value)) for x, value in enumerate(values) if value is not None]
    drawing = drawn(
        LANE,
        count=round(count, 4),
        bars=bars,
        gaps=_gaps(values, count),
        width=1.0 - min(WIDEST_GAP, GAP_SHARE * count),
    )
    numbers = "|".join("" if value is None else percent(value) for value in values)
    return {"bars": len(bars), "drawing": drawing, "numbers": numbers}


def _steps_a_bar(timeline: Timeline) -> int:
    return max(1, math.ceil(len(timeline) / MOST_BARS))


def _gaps(values: Sequence[float | None], count: float) -> list[tuple[float, float]]:
    """Runs without a value (left, width) in hundredths of a lane of `count` bars; what lies behind the last value counts."""
    known = [x for x, value in enumerate(values) if value is not None]
    edges = [(0.0, float(known[0]))]
    edges += [(one + 1.0, float(other)) for one, other in itertools.pairwise(known)]
    edges.append((known[-1] + 1.0, count))
    scale = 100 / count
    return [(round(scale * start, 2), round(scale * (stop - start), 2)) for start, stop in edges if stop - start > 0.5]


def _spectrogram(view: Spectrogram | None, length: float) -> dict[str, Any] | None:
    if view is None:
        return None
    grey = np.repeat(view.levels[::-1, :, None], 3, axis=2)
    overlay = None if view.activation is None else _overlay(np.asarray(view.activation[::-1] / 255, np.float32))
    return {
        "picture": _data(grey, "JPEG"),
        "overlay": overlay,
        "left": round(100 * view.start_seconds / length, 3),
        "width": round(100 * (view.stop_seconds - view.start_seconds) / length, 3),
    }


def _overlay(activation: FloatArray) -> str:
    """Where a model looked, as a see-through yellow picture."""
    pixels = np.zeros((*activation.shape, 4), np.uint8)
    pixels[..., :3] = OVERLAY_COLOUR
    pixels[..., 3] = np.clip(activation, 0, 1) * OVERLAY_MOST
    return _data(pixels, "PNG")


def _strip(shots: Sequence[FaceShot], length: float) -> list[dict[str, Any]]:
    """Faces at their own seconds; one at the very end that hardly shows is left out where there are others."""
    placed = [(shot, 100 * shot.seconds / length) for shot in shots]
    kept = [one for one in placed if one[1] <= 100 - SHOT_WIDTH / 2] or [
        (shot, 100 - SHOT_WIDTH) for shot, _ in placed[:1]
    ]
    return [
        {"picture": _data(shrunk_picture(shot.pixels, STRIP_SIDE), "JPEG"), "left": round(left, 2)}
        for shot, left in kept
    ]


def _suspects_name(shots: Sequence[FaceShot]) -> str:
    """A face is called suspicious only where a moment of it is."""
    suspected = any(shot.probability is not None and leaning(shot.probability) == "fake" for shot in shots)
    return "suspects" if suspected else "suspects_calm"


def _suspect(shot: FaceShot, lang: Lang) -> dict[str, Any]:
    text = f"{shot.seconds:.1f} {say('seconds_unit', lang)}"
    if shot.probability is not None:
        text += f" · {percent(shot.probability)}"
    overlay = None
    if shot.activation is not None:
        small = _picture((np.clip(shot.activation, 0, 1) * 255).astype(np.uint8))
        grown = np.asarray(np.asarray(small.resize((SUSPECT_SIDE, SUSPECT_SIDE))) / 255, np.float32)
        overlay = _overlay(grown)
    picture = _data(shrunk_picture(shot.pixels, SUSPECT_SIDE), "JPEG")
    return {"seconds": round(shot.seconds, 2), "text": text, "picture": picture, "overlay": overlay}


def _range(one: TimeRange, lang: Lang) -> dict[str, Any]:
    text = range_text(one, lang)
    return {"start": one.start_seconds, "text": text, "sense": one.sense, "probability": one.probability}


def range_text(one: TimeRange, lang: Lang) -> str:
    """From when to when."""
    stop = f"{one.stop_seconds:.1f}".removesuffix(".0")
    return f"{one.start_seconds:.0f}–{stop} {say('seconds_unit', lang)}"


def _ticks(length: float, lang: Lang) -> list[dict[str, Any]]:
    """Four to eight round moments; the last stands at the end."""
    steps = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800)
    step = next((one for one in steps if length / one <= 7), 3600)
    moments = [k * step for k in range(math.ceil(length / step)) if length - k * step > 0.6 * step] or [0.0]
    return [{"left": round(100 * at / length, 2), "text": _clock(at, lang)} for at in [*moments, length]]


def _clock(seconds: float, lang: Lang) -> str:
    if seconds >= 60:
        return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
    return f"{seconds:.3g} {say('seconds_unit', lang)}"


CUE_PLOT = """<svg viewBox="0 0 144 18" role="img" aria-label="{{ text }}"><line x1="2" y1="9" x2="142" y2="9" stroke="var(--line)"/><rect x="{{ low }}" y="3" width="{{ width }}" height="12" rx="2" fill="var(--real)" opacity="0.35"/><line x1="{{ middle }}" y1="3" x2="{{ middle }}" y2="15" stroke="var(--real)" stroke-width="2"/><circle cx="{{ place }}" cy="9" r="5" fill="var(--{{ "fake" if unusual else "ink" }})" stroke="var(--paper)"/></svg>"""
CUE_TABLE = """<div class="wide"><table class="full"><thead><tr><th scope="col">{{ t("cue") }}</th><th scope="col" class="number">{{ t("value") }}</th><th scope="col"><span class="unseen">{{ t("cue_plot") }}</span></th><th scope="col" class="number hide-small">{{ t("usual") }}</th></tr></thead><tbody>
{% for cue in cues %}<tr><td class="cue-name">{{ cue.name }}{% if cue.informative %} <span class="tag unsure">{{ t("informative") }}</span>{% endif %}<br><span class="small soft">{{ cue.about }}</span></td><td class="number cue-value{{ " unusual" if cue.unusual }}">{{ cue.value }} <span class="unit">{{ cue.unit }}</span><br><span class="small">{{ t(cue.standing) }}</span></td><td class="cue-plot">{{ cue.plot }}</td><td class="number hide-small">{{ cue.usual }}</td></tr>{% endfor %}
</tbody></table></div>"""


def _cue(cue: CueView, lang: Lang) -> dict[str, Any]:
    name, about = cue_words(cue.code, lang)
    low, middle, high = cue.usual
    least, most = min(low, cue.value), max(high, cue.value)
    spread = max(most - least, 1e-9)

    def place(value: float) -> float:
        return round(8 + 128 * (value - least) / spread, 1)

    usual = f"{plain_number(low)} … {plain_number(high)}"
    plot = drawn(
        CUE_PLOT,
        text=f"{plain_number(cue.value)}, {usual}",
        low=place(low),
        width=round(max(2.0, place(high) - place(low)), 1),
        middle=place(middle),
        place=place(cue.value),
        unusual=cue.unusual,
    )
    return {
        "name": name,
        "about": about,
        "value": plain_number(cue.value),
        "unit": unit_word(cue.unit, lang),
        "usual": usual,
        "plot": plot,
        "unusual": cue.unusual,
        "standing": "unusual" if cue.unusual else "harmless" if cue.beyond else "as_usual",
        "informative": cue.separates,
    }


def _traits(verdict: Verdict) -> list[dict[str, Any]]:
    """What the picture's score is made of; numbers in spreads, with one decimal."""
    opinion = verdict.opinions.get("picture")
    if not isinstance(opinion, SenseOpinion):
        return []
    return [
        {
            "name": f"trait_{one.code}",
            "vote": None if one.vote is None else f"{one.vote:+.1f}",
            "usual": f"{one.usual:+.1f}",
            "beyond": one.beyond,
        }
        for one in opinion.traits
    ]


def _cue_table(cues: Sequence[dict[str, Any]], *, t: Any) -> Any:
    return drawn(CUE_TABLE, cues=cues, t=t)


def _looked(verdict: Verdict, lang: Lang) -> list[tuple[str, str]]:
    seen, unit = verdict.looked_at, say("seconds_unit", lang)
    rows = [] if seen.length_seconds is None else [("looked_length", f"{seen.length_seconds:.1f} {unit}")]
    zero = zero_seconds(verdict.facts)
    if (
        rows and zero >= LATE_SECONDS and "matroska" in verdict.facts.container
    ):  # whose headers count from the clock's 0
        rows.append(("looked_zero", f"{zero:.1f} {unit}"))
    rows += [
        ("looked_sound", f"{seen.sound_seconds:.1f} {unit}"),
        ("looked_picture", f"{seen.picture_seconds:.1f} {unit}"),
        ("looked_frames", str(seen.frames)),
        ("looked_with_face", str(seen.frames_with_face)),
        ("looked_faces", str(seen.faces)),
        ("looked_mouth", f"{seen.mouth_seconds:.1f} {unit}"),
    ]
    return [(say(code, lang), text) for code, text in rows]


def _file_facts(verdict: Verdict, lang: Lang) -> list[str]:
    facts = verdict.facts
    lines = [f"{facts.container.split(',')[0]}, {facts.size_bytes / 1e6:.2f} MB"]
    lines += [
        f"{picture.codec}, {picture.width}×{picture.height}"
        + (f", {picture.fps:.4g} {say('frames_unit', lang)}" if picture.fps else "")
        for picture in facts.pictures
    ]
    channels = say("channels_unit", lang)
    return lines + [f"{sound.codec}, {sound.rate} Hz, {sound.channels} {channels}" for sound in facts.sounds]


def _picture(pixels: PixelArray) -> Any:
    from PIL import Image

    return Image.fromarray(pixels)


def _encoded(pixels: PixelArray, kind: str) -> bytes:
    target = io.BytesIO()
    _picture(pixels).save(target, kind, **({"quality": 82} if kind == "JPEG" else {}))
    return target.getvalue()


def _data(pixels: PixelArray, kind: str) -> str:
    return f"data:image/{kind.lower()};base64,{base64.b64encode(_encoded(pixels, kind)).decode()}"
