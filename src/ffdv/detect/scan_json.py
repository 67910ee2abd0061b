"""A verdict as JSON for machines: one stable schema, its version inside; docs/scan-json.md describes every field.

Within a version fields are only added. Numbers are finite or null, never invented; texts are in the asked-for language, codes
are the same in all.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from ffdv.detect.senses import SENSES, SenseAbsent, SenseOpinion
from ffdv.detect.verdict import Verdict
from ffdv.detect.words import how_sure, missing, note_text, outside_texts, reasons, say
from ffdv.sentences import Lang, worded

SCHEMA, LINE_SCHEMA = "ffdv.scan/1", "ffdv.scan-line/1"
# What a top range, a second and a probability are rounded to: a millionth, a millisecond.
DECIMALS, SECOND_DECIMALS = 6, 3


def verdict_json(verdict: Verdict, name: str, *, lang: Lang = "en") -> dict[str, Any]:
    """The verdict on the clip called `name` as plain values."""
    from ffdv import __version__

    return {
        "schema": SCHEMA,
        "name": name,
        "status": "ok",
        "language": lang,
        "verdict": verdict.word,
        "fake_probability": _rounded(verdict.fake_probability),
        "threshold": _threshold(verdict),
        "how_sure": list(how_sure(verdict, lang)),
        "reasons": [
            {"code": reason.code, "text": text}
            for reason, text in zip(verdict.reasons, reasons(verdict, lang), strict=True)
        ],
        "senses": {sense: _sense(verdict.opinions.get(sense), lang) for sense in SENSES},
        "timeline": _timeline(verdict),
        "top_ranges": [
            {
                "sense": one.sense,
                "start_seconds": _seconds(one.start_seconds),
                "stop_seconds": _seconds(one.stop_seconds),
                "probability": _rounded(one.probability),
            }
            for one in verdict.top_ranges
        ],
        "faces": [
            {
                "track_id": face.track_id,
                "start_seconds": _seconds(face.start_seconds),
                "stop_seconds": _seconds(face.stop_seconds),
                "sightings": face.sightings,
                "probability": _rounded(face.probability),
            }
            for face in verdict.evidence.faces
        ],
        "cues": [
            {
                "code": cue.code,
                "sense": cue.sense,
                "value": _rounded(cue.value),
                "unit": cue.unit,
                "real_clips": dict(zip(("p05", "p50", "p95"), cue.usual, strict=True)),
                "suspicious_side": cue.suspicious,
                "unusual": cue.unusual,
                "beyond": cue.beyond,
                "informative": cue.separates,
            }
            for cue in verdict.evidence.cues
        ],
        "looked_at": _looked_at(verdict),
        "notes": [{"code": note.code, "text": note_text(note, lang)} for note in verdict.notes],
        "missing": list(missing(verdict, lang)),
        "limits": say("limits", lang),
        "detector": {"version": __version__, "weights": dict(verdict.weights)},
    }


def failure_json(name: str, reason: str, *, code: str, lang: Lang = "en") -> dict[str, Any]:
    """A file that gives no verdict, in the same schema; code: what kind of failure, the same in every language."""
    return {
        "schema": SCHEMA,
        "name": name,
        "status": "failed",
        "language": lang,
        "code": code,
        "reason": worded(reason, lang),
    }


def as_text(value: dict[str, Any], *, indent: int | None = None) -> str:
    """One line (or an indented text) of strict JSON; a number that is none is an error, not a NaN."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def _threshold(verdict: Verdict) -> dict[str, Any] | None:
    fused = verdict.fused
    if fused is None:
        return None
    band, asked = fused.band, verdict.asked
    return {
        "fake_above": _rounded(band.high),
        "real_below": _rounded(band.low),
        "asked_fake_above": None if asked is None else _rounded(asked.high),
        "asked_real_below": None if asked is None else _rounded(asked.low),
        "false_alarm_rate": _rounded(band.false_alarm_rate) if fused.measured else None,
        "miss_rate": _rounded(band.miss_rate) if fused.measured else None,
        "real_groups": band.num_real_groups,
        "fake_groups": band.num_fake_groups,
        "undecided_share": _rounded(fused.undecided),
    }


def _sense(opinion: SenseOpinion | SenseAbsent | None, lang: Lang) -> dict[str, Any]:
    if opinion is None:
        return {"state": "absent", "code": "not_asked", "text": say("not_judged", lang)}
    if isinstance(opinion, SenseAbsent):
        return {"state": "absent", "code": opinion.code, "text": note_text(opinion, lang)}
    return {
        "state": "judged",
        "probability": _rounded(opinion.probability),
        "logit": _rounded(opinion.logit),
        "track_id": opinion.track_id,
        "outside": list(outside_texts(opinion, lang)),
        "traits": [
            {"code": one.code, "vote": _rounded(one.vote), "usual": _rounded(one.usual), "beyond": one.beyond}
            for one in opinion.traits
        ],
        "numbers": {key: _rounded(float(number)) for key, number in opinion.numbers.items()},
    }


def _timeline(verdict: Verdict) -> dict[str, Any]:
    timeline = verdict.timeline
    lanes: dict[str, list[float | None] | None] = {
        sense: [_rounded(float(p)) for p in timeline.probabilities[sense]] if sense in timeline.probabilities else None
        for sense in SENSES
    }
    return {"start_seconds": timeline.start_seconds, "step_seconds": timeline.step_seconds, **lanes}


def _looked_at(verdict: Verdict) -> dict[str, Any]:
    seen = verdict.looked_at
    size: Sequence[int] | None = seen.picture_size
    return {
        "length_seconds": _rounded(seen.length_seconds),
        "sound_seconds": _seconds(seen.sound_seconds),
        "picture_seconds": _seconds(seen.picture_seconds),
        "mouth_seconds": _seconds(seen.mouth_seconds),
        "frames": seen.frames,
        "frames_with_face": seen.frames_with_face,
        "faces": seen.faces,
        "picture_size": None if size is None else list(size),
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None or not math.isfinite(number) else round(number, DECIMALS)


def _seconds(number: float) -> float:
    return round(number, SECOND_DECIMALS)
