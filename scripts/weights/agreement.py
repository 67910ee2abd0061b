"""Train the weights of the agreement sense (src/ffdv/detect/weights/agreement.npz) and measure them.

    python scripts/weights/agreement.py --data ../shared/data --work weights-work --out src/ffdv/detect/weights

    open speech ─ pocketsphinx ─▶ phones ─▶ phone networks ┐
    open talking faces ─▶ mouths and sounds ───────────────┴▶ canonical maps ─▶ measures ─▶ odds ─▶ agreement.npz

Only rows with open = 1 teach the networks and maps. The odds are fitted on real clips, open ones out of fold, closed ones unseen, as they
are and worn (agreement_wear.py), right pairs against wrong ones. Phones, networks and mouths are kept in --work, so that a second run
takes two minutes; the first takes about three quarters of an hour on one core. Needs `pip install '.[train,weights]'`: pocketsphinx (BSD) tells the phones.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import torch
from agreement_wear import DRAWS, worn_copy
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from stated import exit_status

from ffdv.features.agreement import (
    CORRELATIONS,
    FPS,
    MAX_OFFSET,
    WEAR,
    WEIGHED,
    WEIGHTS_NAME,
    AgreementModel,
    Heard,
    PhoneWeights,
    Seen,
    View,
    Weighing,
    best_offset,
)
from ffdv.features.faces import FaceSpec
from ffdv.features.recipe import ExtractSpec, extract
from ffdv.features.speech import speech_track
from ffdv.features.sync import MIN_SEEN_FRAMES, STANDARD_MOUTH
from ffdv.models.sync import PHONES, STANDARD_SYNC, PhoneNet, Talking, fit_views
from ffdv.records import MouthTrack, Samples

SPEECH_CLIPS = 1100  # of English: about an hour
PHONE_SEEDS = (0, 1)
PHONE_STEPS = 1000
# Fakes whose lips follow their sound: made from it, or by a method that leaves lips and sound alone.
FOLLOWS_SOUND = ("talkinghead_", "selfmade_landmark_faceswap_poisson", "selfmade_world_vocoder")

Array = npt.NDArray[np.float64]
CLEAN_SHARE = 0.6  # of all pairs that the odds are fitted on
STATED_AUC = (0.92, 1.0)  # of strangers' sounds on closed clips: what a new training should reach (MODEL_CARD.md)


@dataclass(frozen=True)
class Talker:
    """One clip: its row of the manifest, its mouth and its sound."""

    row: Mapping[str, str]
    talking: Talking

    @property
    def mouth(self) -> MouthTrack:
        """Its mouth."""
        return self.talking.mouth

    @property
    def sound(self) -> Samples:
        """Its sound."""
        return self.talking.sound

    @property
    def name(self) -> str:
        """The clip's file."""
        return self.row["file"]

    @property
    def identity(self) -> str:
        """Whose face it is."""
        return self.row["identity"]

    @property
    def is_real(self) -> bool:
        """Neither picture nor sound is forged."""
        return self.row["target"] == "0"

    @property
    def is_open(self) -> bool:
        """Its licence allows weights that ship."""
        return self.row["open"] == "1"

    @property
    def teaches(self) -> bool:
        """Open, and its lips follow its sound."""
        return self.is_open and (self.is_real or self.row["method"].startswith(FOLLOWS_SOUND))


def label_phones(data: Path, kept: Path) -> dict[str, list[tuple[str, int, int]]]:
    """Phones of open English speech: file → (phone, first frame, last frame) at 100 frames a second."""
    if kept.is_file():
        return {name: [tuple(one) for one in phones] for name, phones in json.loads(kept.read_text()).items()}
    try:
        from pocketsphinx import Decoder, get_model_path
    except ModuleNotFoundError:
        sys.exit("the phones are told by pocketsphinx (BSD); install it with: pip install '.[weights]'")
    decoder = Decoder(
        hmm=get_model_path("en-us/en-us"),
        allphone=get_model_path("en-us/en-us-phone.lm.bin"),
        lw=2.0,
        beam=1e-20,
        pbeam=1e-20,
        loglevel="FATAL",
    )
    with (data / "audio" / "train" / "manifest.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["open"] == "1" and row["language"] == "en"]
    np.random.default_rng(0).shuffle(rows)
    told = {}
    for row in rows[:SPEECH_CLIPS]:
        values, _ = soundfile.read(data / "audio" / "train" / row["path"], dtype="float32")
        loud = (values * (26_000 / max(1e-3, np.abs(values).max()))).astype(np.int16)
        decoder.start_utt()
        decoder.process_raw(loud.tobytes(), full_utt=True)
        decoder.end_utt()
        told[row["path"]] = [(one.word, one.start_frame, one.end_frame) for one in decoder.seg()]
    kept.write_text(json.dumps(told))
    return told


def train_phones(data: Path, told: Mapping[str, Sequence[tuple[str, int, int]]], seed: int) -> tuple[PhoneNet, float]:
    """A phone network, and its share of right frames on speech that it was not taught."""
    numbers = {phone: i for i, phone in enumerate(PHONES)}
    heard = []
    for name, phones in told.items():
        values, rate = soundfile.read(data / "audio" / "train" / name, dtype="float32")
        bands = speech_track(Samples(values[None], rate)).bands
        target = np.zeros(len(bands), np.int64)
        for phone, first, last in phones:
            target[first : last + 1] = numbers.get(phone, 0)
        heard.append((bands, target))
    held_out, taught = heard[:40], [one for one in heard[40:] if len(one[0]) > 160]
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = PhoneNet()
    optimiser = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, PHONE_STEPS)
    for _ in range(PHONE_STEPS):
        bands, target = _batch(taught, rng)
        loss = torch.nn.functional.cross_entropy(net(bands), target, label_smoothing=0.05)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    net.eval()
    right = total = 0
    with torch.inference_mode():
        for bands, target in held_out:
            best = net(torch.from_numpy(bands.T[None]))[0].argmax(0).numpy()
            right += int((best == target)[target > 0].sum())
            total += int((target > 0).sum())
    return net, right / total


def _batch(
    taught: Sequence[tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]], rng: np.random.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sixteen stretches of 1.6 s, each with its own tilt, noise floor and noise."""
    bands, targets = [], []
    for i in rng.integers(0, len(taught), 16):
        values, target = taught[i]
        start = int(rng.integers(0, len(values) - 159))
        part = values[start : start + 160].astype(np.float64)
        num = part.shape[1]
        part += rng.normal(0, 0.3) * np.interp(np.arange(num), np.linspace(0, num - 1, 5), rng.normal(size=5))
        if rng.random() < 0.5:
            part = np.log(np.exp(2 * part) + np.exp(rng.uniform(-4, 0))) / 2
        part += rng.normal(0, 0.1, part.shape)
        bands.append(part.T)
        targets.append(target[start : start + 160])
    return torch.from_numpy(np.stack(bands).astype(np.float32)), torch.from_numpy(np.stack(targets))


def phone_networks(data: Path, work: Path) -> tuple[list[PhoneWeights], list[float]]:
    """The phone networks, trained where they are not kept, and their shares of right frames."""
    networks, rights = [], []
    for seed in PHONE_SEEDS:
        kept = work / f"phones-{seed}.npz"
        if not kept.is_file():
            net, right = train_phones(data, label_phones(data, work / "phones.json"), seed)
            layers = {f"{i}.{k}": one for i, pair in enumerate(net.layers()) for k, one in enumerate(pair)}
            np.savez(kept, right=right, **layers)
        with np.load(kept) as stored:
            networks.append(PhoneWeights(tuple((stored[f"{i}.0"], stored[f"{i}.1"]) for i in range(5))))
            rights.append(float(stored["right"]))
    return networks, rights


def talkers(data: Path, kept: Path) -> Iterator[Talker]:
    """Every clip with sound and a mouth in sight; what was read is kept."""
    for row in rows_with_sound(data):
        place = kept / f"{Path(row['file']).stem}.npz"
        if not place.is_file():
            keep_talking(data / "video" / "train" / row["file"], place)
        talking = kept_talking(place)
        if talking is not None:
            yield Talker(row, talking)


def worn_talkers(data: Path, kept: Path, draw: int) -> Iterator[Talker]:
    """Every real clip with sound and a mouth in sight after one draw of wear (agreement_wear.py); what was read is kept."""
    for row in rows_with_sound(data):
        if row["target"] != "0":
            continue
        place = kept / f"{Path(row['file']).stem}-{draw}.npz"
        if not place.is_file():
            with worn_copy(data / "video" / "train" / row["file"], draw) as copy:
                keep_talking(copy, place)
        talking = kept_talking(place)
        if talking is not None and talking.mouth.in_sight.sum() >= MIN_SEEN_FRAMES:
            yield Talker(row, talking)


def rows_with_sound(data: Path) -> list[dict[str, str]]:
    """The manifest's rows of clips that are heard."""
    with (data / "video" / "train" / "manifest.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["has_audio"] == "1"]


def keep_talking(path: Path, place: Path) -> None:
    """Read a clip's mouth and sound into `place`; an empty table where it has not both."""
    features = extract(path, ExtractSpec(probes=False, faces=FaceSpec(), mouth=STANDARD_MOUTH))
    mouth, sound = features.mouth, features.sound
    parts: dict[str, Any] = {}
    if mouth is not None and sound is not None and mouth.points is not None:
        parts = {name: getattr(mouth, name) for name in ("seconds", "crops", "opening", "points")}
        parts |= {"sound": sound.values, "rate": sound.rate, "start": sound.start_seconds}
    place.parent.mkdir(parents=True, exist_ok=True)
    np.savez(place, **parts)


def kept_talking(place: Path) -> Talking | None:
    """What keep_talking wrote; None where there was nothing to compare."""
    try:
        with np.load(place) as stored:
            if "seconds" not in stored.files:
                return None
            mouth = MouthTrack(stored["seconds"], stored["crops"], stored["opening"], stored["points"])
            return Talking(mouth, Samples(stored["sound"], int(stored["rate"]), float(stored["start"])))
    except (zipfile.BadZipFile, ValueError) as error:
        sys.exit(f"{place}: damaged ({error}); remove it and run again")


def views_of(clips: Sequence[Talker], networks: Sequence[PhoneWeights]) -> tuple[View, ...]:
    """The maps that these clips teach."""
    return fit_views([clip.talking for clip in clips], networks, STANDARD_SYNC)


@dataclass(frozen=True)
class Paired:
    """A mouth beside a sound: whose, what was measured, and the offset that was found."""

    mouth: Talker
    sound: Talker
    shift: int
    measures: Mapping[str, float]
    offset: float

    @property
    def is_right(self) -> bool:
        """A mouth with its own sound, at its own time."""
        return self.mouth is self.sound and self.shift == 0


class Comparing:
    """A model that sees each mouth and hears each sound once."""

    def __init__(self, model: AgreementModel) -> None:
        self.model = model
        self._seen: dict[str, Seen] = {}
        self._heard: dict[str, Heard] = {}

    def pair(self, mouth: Talker, sound: Talker, shift: int = 0) -> Paired:
        """Compare; shift: frames by which the sound is made late, what leaves at one end is lost."""
        if mouth.name not in self._seen:
            self._seen[mouth.name] = self.model.see(mouth.mouth)
        if sound.name not in self._heard:
            self._heard[sound.name] = self.model.hear(sound.sound)
        # both clocks begin with the picture
        late = shift / FPS + float(mouth.mouth.seconds[0] - sound.mouth.seconds[0])
        comparison = self.model.beside(self._seen[mouth.name], self._heard[sound.name], late_seconds=late)
        return Paired(mouth, sound, shift, comparison.measures(), best_offset(comparison.curve()))


def pairs_of(
    model: AgreementModel, clips: Sequence[Talker], strangers: Sequence[Talker], rng: np.random.Generator
) -> list[Paired]:
    """Each clip with its own sound, with sounds of STANDARD_SYNC.wrong_pairs strangers, and with its own moved far away."""
    made, comparing = [], Comparing(model)
    for clip in clips:
        made.append(comparing.pair(clip, clip))
        others = [one for one in strangers if one.identity != clip.identity]
        made += [
            comparing.pair(clip, others[int(i)])
            for i in rng.choice(len(others), STANDARD_SYNC.wrong_pairs, replace=False)
        ]
        made.append(comparing.pair(clip, clip, int(rng.integers(9, 15)) * (1 if rng.random() < 0.5 else -1)))
    return made


def fit_weighing(pairs: Sequence[Paired], worn: Sequence[Paired]) -> Weighing:
    """Odds of 'not belonging together' from all that is WEIGHED; right and wrong pairs count the same, clean ones CLEAN_SHARE of all."""
    every = [*pairs, *worn]
    values = np.array([[one.measures[name] for name in WEIGHED] for one in every])
    wrong = np.array([not one.is_right for one in every])
    counts = np.repeat([CLEAN_SHARE / len(pairs), (1 - CLEAN_SHARE) / max(1, len(worn))], [len(pairs), len(worn)])
    counts *= np.where(wrong, 0.5 / counts[wrong].sum(), 0.5 / counts[~wrong].sum()) * len(every)
    # The fit sees wear in deviations from its mean, also within products, so that its ridge treats all alike.
    place = {name: i for i, name in enumerate(WEIGHED)}
    turn, shift = np.eye(len(WEIGHED)), np.zeros(len(WEIGHED))
    for what in WEAR:
        mean, deviation = values[:, place[what]].mean(), values[:, place[what]].std()
        turn[place[what], place[what]], shift[place[what]] = 1 / deviation, -mean / deviation
        for name in CORRELATIONS:
            product = place[f"{name}_{what}"]
            turn[product, product], turn[place[name], product] = 1 / deviation, -mean / deviation
    fitted = LogisticRegression(C=3.0, max_iter=5000).fit(values @ turn + shift, wrong, sample_weight=counts)
    weights = turn @ fitted.coef_[0]
    constant = float(fitted.intercept_[0] + shift @ fitted.coef_[0])
    return Weighing({name: float(weight) for name, weight in zip(WEIGHED, weights, strict=True)}, constant)


def median_lead(pairs: Sequence[Paired]) -> float:
    """How late the sound of real clips is: the median over sources of the median of their clips, in quarters of a frame."""
    by_source: dict[str, list[float]] = {}
    for one in pairs:
        if one.is_right and abs(one.offset) < 6:
            by_source.setdefault(one.mouth.row["source_repo"], []).append(one.offset)
    return round(4 * float(np.median([np.median(offsets) for offsets in by_source.values()]))) / 4


def by_source(clips: Sequence[Talker]) -> Iterator[tuple[str, list[Talker], set[str]]]:
    """Each source in order, its clips, and who is in them."""
    for source in sorted({clip.row["source_repo"] for clip in clips}):
        tested = [clip for clip in clips if clip.row["source_repo"] == source]
        yield source, tested, {clip.identity for clip in tested}


def out_of_fold(
    clips: Sequence[Talker], taught: Sequence[Talker], model: AgreementModel, rng: np.random.Generator
) -> tuple[list[Paired], dict[str, AgreementModel]]:
    """Pairs of open clips, each by maps that were not taught its source nor its people; and the maps of each clip by name."""
    pairs, models = [], {}
    for source, tested, people in by_source(clips):
        rest = [clip for clip in taught if clip.row["source_repo"] != source and clip.identity not in people]
        part = replace(model, views=views_of(rest, model.phones))
        models |= {clip.name: part for clip in tested}
        real = [clip for clip in tested if clip.is_real]
        others = [clip for clip in clips if clip.is_real and clip.identity not in people]
        pairs += pairs_of(part, real, others, rng)
    return pairs, models


@dataclass(frozen=True)
class CrossFitted:
    """Pairs as they are and worn, and the logit of each by odds that were not fitted on its people (n,)."""

    pairs: Sequence[Paired]
    worn: Sequence[Paired]
    logits: Array
    worn_logits: Array


def cross_fitted(pairs: Sequence[Paired], worn: Sequence[Paired], folds: int = 5) -> CrossFitted:
    """Each fifth of the people judged by odds fitted on the others."""
    people = sorted({one.mouth.identity for one in pairs})
    np.random.default_rng(1).shuffle(people)
    fold = {identity: i % folds for i, identity in enumerate(people)}
    logits = np.zeros(len(pairs)), np.zeros(len(worn))
    for k in range(folds):
        weighing = fit_weighing(*([one for one in part if fold[one.mouth.identity] != k] for part in (pairs, worn)))
        for part, told in zip((pairs, worn), logits, strict=True):
            for i, one in enumerate(part):
                if fold[one.mouth.identity] == k:
                    told[i] = weighing.logit(one.measures)
    return CrossFitted(pairs, worn, *logits)


def interval(wrong: npt.NDArray[np.bool_], logits: Array, people: Sequence[str]) -> dict[str, float]:
    """AUC of wrong against right with its 95 % interval, bootstrap over people."""
    rng, names = np.random.default_rng(2), np.array(people)
    rows = {name: np.flatnonzero(names == name) for name in sorted(set(people))}
    drawn = []
    for _ in range(500):
        chosen = np.concatenate([rows[name] for name in rng.choice(sorted(rows), len(rows))])
        if 0 < wrong[chosen].sum() < len(chosen):
            drawn.append(float(roc_auc_score(wrong[chosen], logits[chosen])))
    low, high = np.percentile(drawn, [2.5, 97.5])
    right, false = int((~wrong).sum()), int(wrong.sum())
    return {"right": right, "wrong": false, "auc": float(roc_auc_score(wrong, logits)), "low": low, "high": high}


def shifted(models: Mapping[str, Comparing], clips: Sequence[Talker]) -> dict[str, float]:
    """How often a shift of -15 … 15 frames is found within one frame: as it was made, and counted from the clip's own delay."""
    absolute, relative = [], []
    for clip in clips:
        own = models[clip.name].pair(clip, clip).offset
        for shift in range(-MAX_OFFSET, MAX_OFFSET + 1, 3):
            found = models[clip.name].pair(clip, clip, shift).offset
            absolute.append(abs(found - shift) <= 1.5)
            relative.append(abs(found - np.clip(own + shift, -MAX_OFFSET, MAX_OFFSET)) <= 1.5)
    return {
        "clips": len(clips),
        "within_1": float(np.mean(absolute)),
        "within_1_of_own_delay": float(np.mean(relative)),
    }


def worn_pairs(
    model: AgreementModel, models: Mapping[str, AgreementModel], clips: Sequence[Talker], rng: np.random.Generator
) -> list[Paired]:
    """Pairs of one draw of worn clips: open ones by the maps that were not taught their source, against strangers as in out_of_fold."""
    opened, closed = [clip for clip in clips if clip.is_open], [clip for clip in clips if not clip.is_open]
    pairs = pairs_of(model, closed, closed, rng)
    for _, tested, people in by_source(opened):
        others = [clip for clip in opened if clip.identity not in people]
        pairs += pairs_of(models[tested[0].name], tested, others, rng)
    return pairs


def build(
    clips: Sequence[Talker],
    worn: Sequence[Sequence[Talker]],
    phones: tuple[Sequence[PhoneWeights], Sequence[float]],
    asked: Any,
) -> float:
    """Fit the maps and the odds, measure them, write the weights, the report and every clip's logit. Returns the AUC on closed clips.

    phones: the networks, and their shares of right frames.
    """
    networks, rights = phones
    rng = np.random.default_rng(0)
    taught = [clip for clip in clips if clip.teaches]
    opened, closed = [c for c in clips if c.is_open], [c for c in clips if c.is_real and not c.is_open]
    bare = AgreementModel(tuple(networks), (), STANDARD_SYNC.context, STANDARD_SYNC.lead_frames, Weighing({}, 0.0))
    model = replace(bare, views=views_of(taught, networks))
    lead = median_lead(out_of_fold(opened, taught, bare, rng)[0] + pairs_of(model, closed, closed, rng))
    model = replace(model, lead_frames=STANDARD_SYNC.lead_frames + lead)
    open_pairs, models = out_of_fold(opened, taught, model, rng)
    closed_pairs = pairs_of(model, closed, closed, rng)
    pairs = open_pairs + closed_pairs
    worn_ones = [pair for draw in worn for pair in worn_pairs(model, models, draw, rng)]
    model = replace(
        model,
        weighing=fit_weighing(pairs, worn_ones),
        provenance={
            "taught": len(taught),
            "taught_seconds": round(sum(clip.mouth.in_sight.sum() for clip in taught) / FPS),
            "speech_clips": SPEECH_CLIPS,
            "phones_right": [round(right, 3) for right in rights],
            "worn_copies": sum(map(len, worn)),
            "rows": "open = 1 of audio/train (English) and video/train",
            "script": "scripts/weights/agreement.py",
        },
    )
    every = {id(one): Comparing(one) for one in [model, *models.values()]}
    comparing = {clip.name: every[id(models.get(clip.name, model))] for clip in clips}
    fakes = {clip.name: comparing[clip.name].pair(clip, clip) for clip in clips if not clip.is_real}
    crossed = cross_fitted(pairs, worn_ones)
    report = measure(crossed, fakes, model.weighing)
    report["lead_frames"] = model.lead_frames
    named = ("another's sound, open", "another's sound, closed", "logit that 5 % of real clips exceed", "ece")
    measured = {name: report[name] for name in named}
    replace(model, provenance={**model.provenance, "measured": measured}).save(asked.out / WEIGHTS_NAME)
    real = [clip for clip in clips if clip.is_real]
    report["shifted"] = {
        name: shifted(comparing, part)
        for name, part in (("open", [c for c in real if c.is_open]), ("closed", [c for c in real if not c.is_open]))
    }
    (asked.work / "report.json").write_text(json.dumps(report, indent=1))
    write_logits(asked.work / "video_logits.csv", crossed, fakes, model.weighing)
    print(json.dumps(report, indent=1))
    return float(report["another's sound, closed"]["auc"])


def measure(crossed: CrossFitted, fakes: Mapping[str, Paired], weighing: Weighing) -> dict[str, Any]:
    """The table of docs/log.md: every kind against the real clips' own sounds, whose logits are cross-fitted."""
    pairs, worn, logits, worn_logits = crossed.pairs, crossed.worn, crossed.logits, crossed.worn_logits
    right = np.array([one.is_right for one in pairs])
    others = np.array([one.mouth is not one.sound for one in pairs])
    people = [one.mouth.identity for one in pairs]
    real, real_people = logits[right], [one.mouth.identity for one in pairs if one.is_right]
    report: dict[str, Any] = {}
    for name, wanted in (("open", True), ("closed", False)):
        here = np.array([one.mouth.is_open == wanted for one in pairs])
        for kind, wrong in (("another's sound", others), ("moved far", ~right & ~others)):
            chosen = here & (right | wrong)
            report[f"{kind}, {name}"] = interval(
                wrong[chosen], logits[chosen], [people[i] for i in np.flatnonzero(chosen)]
            )
    worn_right = np.array([one.is_right for one in worn])
    above = float(np.percentile(real, 95))
    report["worn, others' sounds and moved far"] = interval(
        ~worn_right, worn_logits, [one.mouth.identity for one in worn]
    )
    report["worn real clips above what 5 % of clean ones exceed"] = float((worn_logits[worn_right] > above).mean())
    report["wrong pairs above it, clean and worn"] = [
        float((told[~is_right] > above).mean()) for told, is_right in ((logits, right), (worn_logits, worn_right))
    ]
    kinds: dict[str, list[Paired]] = {}
    for one in fakes.values():
        method = one.mouth.row["method"]
        kind = next((k for k in ("dub_", "talkinghead_", "selfmade_audio_swap") if method.startswith(k)), method)
        kinds.setdefault(kind, []).append(one)
    for kind, found in sorted(kinds.items()):
        scores = np.array([weighing.logit(one.measures) for one in found])
        report[kind] = interval(
            np.r_[np.zeros(len(real), bool), np.ones(len(scores), bool)],
            np.r_[real, scores],
            [*real_people, *(one.mouth.identity for one in found)],
        )
    probability = 1 / (1 + np.exp(-logits))
    weight = np.where(right, 1 / right.sum(), 1 / (~right).sum())
    bins = np.digitize(probability, np.linspace(0, 1, 11)[1:-1])
    report["real called wrong at 0.5"] = float((real > 0).mean())
    report["logit that 5 % of real clips exceed"] = above
    report["ece"] = float(
        sum(
            abs((weight * (probability - ~right))[bins == k].sum()) / weight.sum()
            for k in range(10)
            if (bins == k).any()
        )
    )
    report["weighing"] = {"weights": dict(weighing.weights), "constant": weighing.constant}
    return report


def write_logits(path: Path, crossed: CrossFitted, fakes: Mapping[str, Paired], weighing: Weighing) -> None:
    """file, logit, probability: cross-fitted for real clips, out of fold for all that taught."""
    told = zip(crossed.pairs, crossed.logits, strict=True)
    logits = {one.mouth.name: logit for one, logit in told if one.is_right}
    logits |= {name: weighing.logit(one.measures) for name, one in fakes.items()}
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "logit", "probability"])
        writer.writerows([name, f"{x:.4f}", f"{1 / (1 + np.exp(-x)):.4f}"] for name, x in sorted(logits.items()))


def main() -> int:
    """Train, measure, write; 1 when the result lies outside what the model card states."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("weights-work/agreement"))
    parser.add_argument("--out", type=Path, default=Path("src/ffdv/detect/weights"))
    asked = parser.parse_args()
    torch.set_num_threads(1)
    for folder in (asked.work, asked.out):
        folder.mkdir(parents=True, exist_ok=True)
    phones = phone_networks(asked.data, asked.work)
    clips = list(talkers(asked.data, asked.work / "mouths"))
    worn = [list(worn_talkers(asked.data, asked.work / "mouths-worn", draw)) for draw in range(DRAWS)]
    return exit_status(build(clips, worn, phones, asked), STATED_AUC)


if __name__ == "__main__":
    sys.exit(main())
