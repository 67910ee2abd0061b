"""One file → its verdict: every piece is looked at, every sense asked, their opinions merged and weighed.

Look ──pieces──▶ senses ──▶ opinions ──merge──▶ one a sense ──fuse──▶ probability ──weigh──▶ word and reasons
                     └────▶ evidence
"""

from __future__ import annotations

import hashlib
import logging
import math
import multiprocessing
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from importlib.resources import files
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ffdv.detect.evidence import Gathering, Opinions
from ffdv.detect.fusion import Fused, fuse, shipped_fusion
from ffdv.detect.looking import Look, LookedAt, LookSpec
from ffdv.detect.senses import SENSES, Looked, Sense, SenseAbsent, SenseName, SenseOpinion, leaning
from ffdv.detect.verdict import FaceRow, Reason, Timeline, TimeRange, Verdict, Word
from ffdv.errors import CheckpointError
from ffdv.features.familiar import damage_measure, is_cut_off
from ffdv.metrics.abstention import AbstentionBand
from ffdv.records import Note
from ffdv.sentences import Sentence, foreign

log = logging.getLogger(__name__)
_LOADING = threading.Lock()
STEP_SECONDS = 1.0  # of the timeline
MOST_RANGES = 5
SAID = {"fake": "sense_suspects", "unsure": "sense_open", "real": "sense_clear"}
# Of a clip in pieces the most suspicious quarter counts: a forged minute must not drown in an hour, and one odd piece of many
# must not accuse the whole.
COUNTED_SHARE = 0.25
LEAST_SECONDS = 1.0  # of sound or of a visible face: below that no verdict is given
# How far the band is widened (abstention) for each sense that counts and says that the clip is unlike what it was trained on: the share of
# the way to 0 and 1 that is left.
CAUTION = 0.5

# What each sense looks at, and the share of damaged packets from which on that is unlike what taught.
STREAMS: Mapping[SenseName, tuple[Sentence, ...]] = {
    "voice": (Sentence("sound"),),
    "picture": (Sentence("picture"),),
    "agreement": (Sentence("sound"), Sentence("picture")),
}
LEAST_DAMAGE = 0.005
NO_WEIGHTS = "no_weights"  # the code of a sense that is absent by the installation's fault, not the clip's
# sense → (the file that has it, its class); each finds its weights in detect/weights.
SHIPPED: Mapping[SenseName, tuple[str, str]] = {
    "voice": ("ffdv.detect.voice", "VoiceSense"),
    "picture": ("ffdv.detect.picture", "PictureSense"),
    "agreement": ("ffdv.detect.agreement", "AgreementSense"),
}


class Detector:
    """The senses with their weights; judges one file after another. Not shared between processes.

    senses: loaded ones, or a call that gives them when the first piece has been looked at: weights can load meanwhile.
    """

    def __init__(self, senses: Sequence[Sense] | Callable[[], Sequence[Sense]], *, threads: int = 0) -> None:
        self._load = senses if callable(senses) else lambda: senses
        self._threads = threads

    def senses(self) -> tuple[Sense, ...]:
        """The senses, loaded. Raises CheckpointError when their weights are missing or damaged."""
        return tuple(self._load())

    def on_one_thread(self) -> Detector:
        """The same senses for a worker of a pool, which has one core to itself."""
        return Detector(self._load, threads=1)

    def judge(
        self, path: Path | str, *, max_minutes: float = 10.0, progress: Callable[[float], None] | None = None
    ) -> Verdict:
        """Look at a file and say what the senses think of it. progress is told how many seconds were looked at.

        A damaged file is looked at once more by one decoding thread: what several put in a hole depends on their luck. Raises
        MediaError when the file cannot be used at all.
        """
        verdict = self._judge(path, max_minutes, progress, threads=self._threads)
        if self._threads != 1 and any(note.code == "damaged" for note in verdict.notes):
            return self._judge(path, max_minutes, progress, threads=1)
        return verdict

    def _judge(
        self, path: Path | str, max_minutes: float, progress: Callable[[float], None] | None, *, threads: int
    ) -> Verdict:
        with Look(path, LookSpec(max_seconds=60.0 * max_minutes, threads=threads)) as look:
            length = min(look.facts.duration_seconds or 60.0 * max_minutes, 60.0 * max_minutes)
            gathering = Gathering(length)
            pieces: list[Opinions] = []
            for looked in look.pieces():
                opinions = self._ask(looked)
                gathering.take(looked, opinions)
                pieces.append(opinions)
                del looked  # 30 MB, before the next piece is looked at
                if progress is not None:
                    progress(max(look.looked_at.sound_seconds, look.looked_at.picture_seconds))
            merged = {name: merge([piece[name] for piece in pieces]) for name in pieces[0]}
            return conclude(merged, look, gathering)

    def _ask(self, looked: Looked) -> Opinions:
        """Every sense's opinion on one piece; side by side where there are cores for it."""
        senses = self.senses()
        if self._threads == 1:
            return {sense.name: sense.judge(looked) for sense in senses}
        with ThreadPoolExecutor(len(senses) or 1) as pool:
            asked = {sense.name: pool.submit(sense.judge, looked) for sense in senses}
            return {name: answer.result() for name, answer in asked.items()}


def shipped_detector(*, threads: int = 0) -> Detector:
    """The detector inside the package; its weights load in a thread while the first file is looked at.

    CheckpointError, where a sense's weights are missing or damaged, is raised when senses are first asked.
    """
    pool = ThreadPoolExecutor(1)
    loading = pool.submit(_shipped_senses)
    pool.shutdown(wait=False)
    return Detector(loading.result, threads=threads)


@dataclass(frozen=True)
class UnloadedSense:
    """A sense whose weights cannot be used: it says so of every clip, and the others go on."""

    name: SenseName
    reason: Sentence

    def judge(self, looked: Looked) -> SenseAbsent:  # noqa: ARG002
        """Absent, with the reason."""
        return SenseAbsent(self.name, NO_WEIGHTS, self.reason)


def _shipped_senses() -> tuple[Sense, ...]:
    with _LOADING:  # threads of a service that begin together load them once
        return _load_shipped()


@cache
def _load_shipped() -> tuple[Sense, ...]:
    senses: list[Sense] = []
    for name in SHIPPED:
        try:
            senses.append(load_sense(name))
        except (CheckpointError, ImportError) as error:
            reason = Sentence("its weights cannot be used ({why}); install ffdv again", why=foreign(error))
            senses.append(UnloadedSense(name, reason))
    told = [sense.reason for sense in senses if isinstance(sense, UnloadedSense)]
    if len(told) == len(senses):
        raise CheckpointError(f"the detector inside the package cannot be loaded: {told[0]}")
    if multiprocessing.parent_process() is None:  # once, not by every worker of a pool
        for part, why in _unusable(senses).items():
            log.warning("scores lack the %s, and are others without it: %s", part, why)
    return tuple(senses)


def unusable_parts() -> dict[str, Sentence]:
    """The parts of the shipped detector (a sense, or "fusion") whose weights cannot be used, with the reason: without them scores are others,
    which whoever gives scores must say. Raises CheckpointError where no sense can be used.
    """
    return _unusable(_shipped_senses())


def _unusable(senses: Sequence[Sense]) -> dict[str, Sentence]:
    found: dict[str, Sentence] = {sense.name: sense.reason for sense in senses if isinstance(sense, UnloadedSense)}
    if shipped_fusion() is None:
        found["fusion"] = Sentence(
            "its weights cannot be used ({why}); install ffdv again", why=foreign("no such file or directory")
        )
    return found


def load_sense(name: SenseName) -> Sense:
    """One shipped sense with its weights. Raises CheckpointError when they are missing or damaged."""
    home, maker = SHIPPED[name]
    sense: Sense = getattr(import_module(home), maker)()
    return sense


@cache
def shipped_weights() -> Mapping[str, str]:
    """The weight files inside the package: name → the first 12 hex digits of its sha256."""
    folder = files("ffdv.detect").joinpath("weights")
    if not folder.is_dir():
        return {}
    kept = sorted(
        (item for item in folder.iterdir() if item.name.endswith((".onnx", ".json", ".npz"))),
        key=lambda item: item.name,
    )
    return {item.name: hashlib.sha256(item.read_bytes()).hexdigest()[:12] for item in kept}


def merge(pieces: Sequence[SenseOpinion | SenseAbsent]) -> SenseOpinion | SenseAbsent:
    """One sense's opinions on all pieces as one on the clip: the mean of the most suspicious quarter, all spans in order.

    The activation is that of the most suspicious piece. Without any opinion: the first reason for having none.
    """
    judged = [one for one in pieces if isinstance(one, SenseOpinion)]
    if not judged:
        return pieces[0]
    if len(judged) == 1:
        return judged[0]
    ranked = sorted(judged, key=lambda one: -one.probability)
    counted = ranked[: math.ceil(COUNTED_SHARE * len(ranked))]
    return replace(
        ranked[0],
        logit=float(np.mean([one.logit for one in counted])),
        probability=float(np.mean([one.probability for one in counted])),
        spans=np.concatenate([one.spans for one in judged]),
        span_probabilities=np.concatenate([one.span_probabilities for one in judged]),
        outside=tuple(dict.fromkeys(text for one in counted for text in one.outside)),
        signs=tuple(dict.fromkeys(text for one in counted for text in one.signs)),
        track_probabilities={number: p for one in judged for number, p in one.track_probabilities.items()},
    )


def conclude(opinions: Opinions, look: Look, gathering: Gathering) -> Verdict:
    """Weigh what the senses said of a whole clip."""
    opinions = {name: beside_damage(one, look.notes, sense=name) for name, one in opinions.items()}
    judged = {name: one for name, one in opinions.items() if isinstance(one, SenseOpinion)}
    fused = fuse(judged) if judged else None
    asked = None if fused is None else asked_band(fused, judged)
    word, reasons = decide(fused, asked, opinions, look.looked_at)
    length = max(look.looked_at.sound_seconds, look.looked_at.picture_seconds)
    timeline, evidence = _timeline(judged, length), gathering.evidence()
    ranges = _top_ranges(timeline, length)
    suspected = {one.sense for one in ranges}
    reasons = tuple(
        replace(one, code="sense_clear_in_part")
        if one.code == SAID["real"] and one.values["sense"] in suspected
        else one
        for one in reasons
    )
    return Verdict(
        path=look.facts.path,
        word=word,
        fused=fused,
        opinions=opinions,
        reasons=reasons,
        timeline=timeline,
        top_ranges=ranges,
        evidence=evidence,
        looked_at=look.looked_at,
        facts=look.facts,
        notes=(*look.notes, *judged_in_part(judged, timeline, evidence.faces, look.looked_at)),
        weights=shipped_weights(),
        asked=asked,
    )


def beside_damage(
    opinion: SenseOpinion | SenseAbsent, notes: Sequence[Note], *, sense: SenseName
) -> SenseOpinion | SenseAbsent:
    """An opinion that says so where it stands on a stream that is damaged or cut off: no clip that taught was."""
    if not isinstance(opinion, SenseOpinion):
        return opinion
    told = [
        Sentence("{percent:.1f} % of the {stream} is damaged", percent=100 * share, stream=stream)
        for stream in STREAMS[sense]
        if (share := damage_measure(notes, sense=stream)["damaged_share"]) >= LEAST_DAMAGE
    ]
    if any(is_cut_off(notes, sense=stream) for stream in STREAMS[sense]):
        told.append(Sentence("the file seems cut off before its end"))
    return replace(opinion, outside=(*opinion.outside, *told))


def judged_in_part(
    judged: Mapping[SenseName, SenseOpinion], timeline: Timeline, faces: Sequence[FaceRow], looked_at: LookedAt
) -> tuple[Note, ...]:
    """What an opinion of picture or lips leaves out of what was seen, from a second on."""
    notes = []
    picture, unwatched = judged.get("picture"), looked_at.picture_seconds - looked_at.watched_seconds
    if picture is not None and len(picture.spans):
        unjudged = ~np.isfinite(timeline.probabilities["picture"])
        moments = timeline.start_seconds + timeline.step_seconds * np.arange(len(unjudged))
        middles = moments + STEP_SECONDS / 2
        shown = [(row.start_seconds <= middles) & (middles < row.stop_seconds) for row in faces]
        others = float((unjudged & np.any(shown, axis=0)).sum()) * STEP_SECONDS if shown else 0.0
        if others:
            text = Sentence(
                "the picture is judged by the face that looks most forged, seen from {start:.0f} to {stop:.0f} s; {others:.0f} s show other faces only",
                start=picture.spans[:, 0].min(),
                stop=min(picture.spans[:, 1].max(), looked_at.picture_seconds),
                others=others,
            )
            notes.append(Note("other_faces", text))
    if "agreement" in judged and unwatched >= STEP_SECONDS:
        text = Sentence(
            "lips were watched in {watched:.0f} of {length:.0f} s",
            watched=looked_at.watched_seconds,
            length=looked_at.picture_seconds,
        )
        notes.append(Note("lips_in_part", text))
    return tuple(notes)


def asked_band(fused: Fused, judged: Mapping[SenseName, SenseOpinion]) -> AbstentionBand:
    """The band that a clip must leave to be called: wider for each sense that says that the clip is unlike its training, of the one that
    leads and those that suspect as well, and where the band is not of these senses.
    """
    told = [set(one.outside) for one in counting(fused, judged).values()]
    news = [texts.difference(*told[:place]) for place, texts in enumerate(told)]  # one damaged stream is one reason
    return fused.band.widened(1 - (1 - CAUTION) ** (sum(map(bool, news)) + fused.of_all))


def counting(fused: Fused, judged: Mapping[SenseName, SenseOpinion]) -> dict[SenseName, SenseOpinion]:
    """The opinions that a verdict stands on: that of the sense that leads, and those that suspect as well."""
    return {name: one for name, one in judged.items() if name == fused.leading or one.probability >= 0.5}


def decide(
    fused: Fused | None, asked: AbstentionBand | None, opinions: Opinions, looked_at: LookedAt
) -> tuple[Word, tuple[Reason, ...]]:
    """The word by the band that must be left, and why. "cannot tell" always has a reason of its own, first."""
    judged = {name: one for name, one in opinions.items() if isinstance(one, SenseOpinion)}
    absent = [Reason("absent", {"sense": name}) for name, one in opinions.items() if isinstance(one, SenseAbsent)]
    if fused is None or asked is None:
        return "cannot tell", (_why_nothing(opinions), *absent)
    ranked = sorted(judged.items(), key=lambda pair: (pair[0] != fused.leading, -pair[1].probability))
    told: list[Reason] = []
    for name, one in ranked:
        told.append(Reason(SAID[leaning(one.probability)], {"sense": name, "p": one.probability}))
        told += [Reason("sign", {"sense": name, "text": text}) for text in one.signs]
        told += [Reason("ground", {"sense": name, "text": text}) for text in one.grounds]
    outside = [
        Reason("outside", {"sense": name, "text": text})
        for name, one in counting(fused, judged).items()
        for text in one.outside
    ]
    longest = max(looked_at.sound_seconds, looked_at.frames_with_face and looked_at.picture_seconds)
    if longest < LEAST_SECONDS:
        return "cannot tell", (Reason("too_short", {"seconds": longest, "needed": LEAST_SECONDS}), *told, *absent)
    word = asked.verdict(fused.probability)
    if word == "real" and any(one.code == "sign" for one in told):
        return "cannot tell", (*sorted(told, key=lambda one: one.code != "sign"), *outside, *absent)
    if word != "cannot tell":
        return word, (*told, *outside, *absent)
    if asked != fused.band and fused.band.verdict(fused.probability) != "cannot tell":
        return word, (*outside, *absent, *told)
    sides = {leaning(one.probability) for one in judged.values()}
    why = Reason("senses_disagree") if {"fake", "real"} <= sides else Reason("undecided")
    return word, (why, *told, *outside, *absent)


def _why_nothing(opinions: Opinions) -> Reason:
    """Why no sense has an opinion: the file's fault, unless a sense that might have had one lacks its weights."""
    unusable = any(isinstance(one, SenseAbsent) and one.code == NO_WEIGHTS for one in opinions.values())
    return Reason("nothing_judged_no_weights" if unusable else "nothing_judged")


def _timeline(judged: Mapping[SenseName, SenseOpinion], length: float) -> Timeline:
    """The mean of the spans over each second, weighted by how much of it they cover; what reaches beyond the clip is cut."""
    steps = max(1, math.ceil(length / STEP_SECONDS - 0.05))
    lanes = {name: _lane(judged[name], steps) for name in SENSES if name in judged}
    return Timeline(0.0, STEP_SECONDS, lanes)


def _lane(opinion: SenseOpinion, steps: int) -> npt.NDArray[np.float64]:
    weight, total = np.zeros(steps), np.zeros(steps)
    for (start, stop), probability in zip(opinion.spans, opinion.span_probabilities, strict=True):
        first, last = max(0, int(start / STEP_SECONDS)), min(steps, math.ceil(stop / STEP_SECONDS))
        for step in range(first, last):
            shared = min(stop, (step + 1) * STEP_SECONDS) - max(start, step * STEP_SECONDS)
            if shared > 0:
                weight[step] += shared
                total[step] += shared * probability
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(weight > 0, total / weight, np.nan), np.float64)


def _top_ranges(timeline: Timeline, length: float) -> tuple[TimeRange, ...]:
    """Runs of seconds that lean to forged, most suspicious first; the last ends with the clip."""
    ranges = []
    for sense, lane in timeline.probabilities.items():
        step = 0
        while step < len(lane):
            stop = step
            while stop < len(lane) and leaning(lane[stop]) == "fake":
                stop += 1
            if stop > step:
                start = timeline.start_seconds + step * timeline.step_seconds
                end = min(timeline.start_seconds + stop * timeline.step_seconds, length)
                ranges.append(TimeRange(sense, start, end, float(lane[step:stop].mean())))
            step = max(stop, step + 1)
    return tuple(sorted(ranges, key=lambda one: -one.probability)[:MOST_RANGES])
