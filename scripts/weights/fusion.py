"""Fit how the senses' opinions become one probability (src/ffdv/detect/weights/fusion.json), and measure it.

    python scripts/weights/fusion.py --data ../shared/data --work weights-work --out src/ffdv/detect/weights

    development clips (open = 0) ─ shipped senses ─▶ opinions (kept in --work) ─ grouped cross-validation ─▶ sharpness, slope, offsets
                                                                                        └─ out-of-fold ─▶ bands and figures

No sense was trained on these clips. Classes count the same within video and within sound, so that 0.5 is undecided.
Run it after the senses' own scripts. With --neutralised every clip is also judged after one band, level and encoder for both
classes, by the fits to the clips as they are: half an hour more on one core.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from stated import exit_status

from ffdv.augment.neutralise import NeutraliseSpec, neutralise, neutralise_frames
from ffdv.detect.fusion import FILE_NAME, Fusion, set_name
from ffdv.detect.judges import hold, write_held
from ffdv.detect.judging import shipped_detector, shipped_weights
from ffdv.detect.senses import SenseName
from ffdv.errors import MediaError
from ffdv.metrics.abstention import AbstentionBand, abstention_band
from ffdv.metrics.calibration import ece, logit, sigmoid
from ffdv.metrics.uncertainty import bootstrap
from ffdv.records import PixelArray, Samples

Floats = npt.NDArray[np.float64]

SOUND_CLIPS = 600  # of the development sounds, a fixed draw
FOLDS = 5
# Lips that are not those heard may be a narrator's: of 86 real clips five drive another face or show lips that nobody hears.
TRUST: dict[SenseName, float] = {"agreement": 0.9}
SHARPNESSES = (1.0, 2.0, 4.0)
LEAST_GAIN = 0.001  # of log loss: what a sharper one must bring before it is taken
PULL = (
    0.3  # how strongly the slope is held at 1, that is at what the senses say of themselves, and offsets at one value
)
FALSE_ALARMS, MISSES = 0.05, 0.1
NO_BAND = AbstentionBand(0, 1, FALSE_ALARMS, MISSES, 0, 0)
STATED_AUC = (0.76, 0.89)  # of all kinds of forged video, out of fold: what a new fit should reach (MODEL_CARD.md)
FEWEST_FOR_A_SET = 40  # clips; a set of senses with fewer takes the offset and band of all


@dataclass(frozen=True)
class Judged:
    """One development clip: what the senses say, what it is, and whom it must stay with."""

    file: str
    media: str  # video or sound
    label: int
    kind: str
    group: str
    senses: dict[SenseName, float]


def development_rows(data: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """Closed rows of video/train, and a draw of those of audio/train; the row says media, label, kind and group."""
    with (data / "video/train/manifest.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            if row["open"] == "0":
                marks = {"media": "video", "label": row["target"], "kind": _kind(row), "group": row["identity"]}
                yield data / "video/train" / row["file"], marks
    with (data / "audio/train/manifest.csv").open(encoding="utf-8") as stream:
        closed = [row for row in csv.DictReader(stream) if row["open"] == "0"]
    closed.sort(key=lambda row: hashlib.sha256(row["path"].encode()).hexdigest())
    for row in closed[:SOUND_CLIPS]:
        # A voice is a person: sites are too few to promise one false alarm in twenty over new ones.
        marks = {"media": "sound", "label": row["label"], "kind": "voice", "group": row["speaker"]}
        yield data / "audio/train" / row["path"], marks


def _kind(row: dict[str, str]) -> str:
    if row["target"] == "0":
        return "real"
    if row["video_fake"] == "1":
        return "picture"
    if row["audio_fake"] == "1":
        return "dubbed"
    return "pairing" if "audio_swap" in row["method"] else "unsure"


def judged_clips(data: Path, work: Path, *, neutral: bool = False) -> list[Judged]:
    """The senses' opinions, from --work where the same weights gave them before; neutral: of the clips neutralised."""
    senses = {name: digest for name, digest in shipped_weights().items() if name != FILE_NAME}
    tag = hashlib.sha256(json.dumps(senses, sort_keys=True).encode()).hexdigest()[:12]
    kept = work / f"opinions-{'neutralised-' if neutral else ''}{tag}.jsonl"
    work.mkdir(parents=True, exist_ok=True)
    known = {}
    if kept.is_file():
        known = {line["file"]: Judged(**line) for line in map(json.loads, kept.read_text().splitlines())}
    detector = shipped_detector()
    clips = []
    with kept.open("a", encoding="utf-8") as stream, tempfile.TemporaryDirectory() as folder:
        for path, marks in development_rows(data):
            if path.name not in known:
                try:
                    said = dict(detector.judge(neutral_copy(path, Path(folder)) if neutral else path).senses)
                except MediaError as error:
                    print(f"left out: {error}")
                    continue
                known[path.name] = Judged(
                    path.name, marks["media"], int(marks["label"]), marks["kind"], marks["group"], said
                )
                stream.write(json.dumps(asdict(known[path.name])) + "\n")
                stream.flush()
            clips.append(known[path.name])
    return [clip for clip in clips if clip.senses]


def neutral_copy(path: Path, folder: Path) -> Path:
    """The clip after one band, level and Opus for its sound, one H.264 for its picture; sound alone also trimmed of its silence."""
    held = hold(path.name, path, looks_at=frozenset(("sound", "picture")), max_seconds=60.0)
    sound, read = held.sound, held.frames
    if sound is not None:
        spec = NeutraliseSpec() if read is None else NeutraliseSpec(trim_below_db=None)  # lips must keep their sound
        sound = Samples(neutralise(sound.mono(), sound.rate, spec)[None], sound.rate, sound.start_seconds)

    def encoded() -> Iterator[PixelArray]:
        assert read is not None
        for stretch in read():
            yield neutralise_frames(stretch)

    return write_held(replace(held, sound=sound, frames=None if read is None else encoded), folder)


def languages(data: Path) -> dict[str, str]:
    """What is spoken in each development sound, by file name; nobody wrote it down for the videos."""
    with (data / "audio/train/manifest.csv").open(encoding="utf-8") as stream:
        return {Path(row["path"]).name: row["language"] for row in csv.DictReader(stream) if row["open"] == "0"}


def fit(clips: Sequence[Judged], sharpness: float) -> tuple[float, dict[str, float]]:
    """Slope and offsets of least balanced log loss, held near what the senses say of themselves."""
    bare = Fusion(sharpness, 1.0, {"all": 0.0}, {"all": NO_BAND}, TRUST)
    evidence = np.array([bare.evidence(clip.senses) for clip in clips])
    sets = [set_name(clip.senses) for clip in clips]
    often = [name for name in sorted(set(sets)) if sets.count(name) >= FEWEST_FOR_A_SET]
    member = np.array([[float(mine == name) for name in often] for mine in sets]).reshape(len(clips), -1)
    labels, share = np.array([clip.label for clip in clips]), balance(clips)

    def loss(point: Floats) -> float:
        logits = point[0] * evidence + point[1] + member @ point[2:]
        wrong = np.logaddexp(0.0, np.where(labels == 1, -logits, logits))
        return float(share @ wrong + PULL * ((point[0] - 1) ** 2 + 0.1 * np.sum(point[2:] ** 2)) / np.sqrt(len(clips)))

    start = np.concatenate([[1.0, 0.0], np.zeros(len(often))])
    bounds = [(0.05, 5.0)] + [(None, None)] * (1 + len(often))
    found = minimize(loss, start, bounds=bounds, method="L-BFGS-B").x
    offsets = {name: float(found[1] + one) for name, one in zip(often, found[2:], strict=True)}
    return float(found[0]), {"all": float(found[1]), **offsets}


def balance(clips: Sequence[Judged]) -> Floats:
    """A share for each clip: media and, within them, classes count the same; the sum is one."""
    cells = [(clip.media, clip.label) for clip in clips]
    counts = {cell: cells.count(cell) for cell in cells}
    return np.array([1.0 / counts[cell] / len(counts) for cell in cells])


def probabilities(clips: Sequence[Judged], sharpness: float, slope: float, offsets: dict[str, float]) -> Floats:
    """What a fit says of clips."""
    fusion = Fusion(sharpness, slope, offsets, {"all": NO_BAND}, TRUST)
    return np.array([fusion.probability(clip.senses) for clip in clips])


def out_of_fold(clips: Sequence[Judged], sharpness: float, *, heard: Sequence[Judged] | None = None) -> Floats:
    """Probabilities by fits that saw nobody of the same group; of `heard` where given, the same clips judged in another state."""
    judged = clips if heard is None else heard
    groups = sorted({clip.group for clip in clips})
    order = np.random.default_rng(0).permutation(len(groups))
    fold_of = {groups[place]: number % FOLDS for number, place in enumerate(order)}
    said = np.empty(len(judged))
    for fold in range(FOLDS):
        inside = [clip for clip in clips if fold_of[clip.group] != fold]
        held = [place for place, clip in enumerate(judged) if fold_of[clip.group] == fold]
        said[held] = probabilities([judged[place] for place in held], sharpness, *fit(inside, sharpness))
    return said


def log_loss(clips: Sequence[Judged], said: Floats) -> float:
    """Balanced, as in the fit."""
    labels = np.array([clip.label for clip in clips])
    right = np.clip(np.where(labels == 1, said, 1 - said), 1e-6, 1)
    return float(balance(clips) @ -np.log(right))


def bands_of(clips: Sequence[Judged], said: Floats) -> dict[str, AbstentionBand]:
    """The band of all clips with a picture, and of each set of senses with enough clips; each holds over people and over clips.

    A set's band is never bolder than that of all: with thirty people its edge hangs on one of them.
    """
    bands = {}
    for name in ("all", *sorted({set_name(clip.senses) for clip in clips})):
        chosen = [
            place
            for place, clip in enumerate(clips)
            if (clip.media == "video" if name == "all" else set_name(clip.senses) == name)
        ]
        labels = [clips[place].label for place in chosen]
        if name != "all" and min(labels.count(0), labels.count(1)) < FEWEST_FOR_A_SET:
            continue
        rates = {"false_alarm_rate": FALSE_ALARMS, "miss_rate": MISSES}
        people = abstention_band(labels, said[chosen], groups=[clips[place].group for place in chosen], **rates)
        band = careful(people, abstention_band(labels, said[chosen], **rates))
        bands[name] = careful(band, bands["all"]) if name != "all" else band
    return bands


def careful(band: AbstentionBand, other: AbstentionBand) -> AbstentionBand:
    """The band that says "fake" and "real" only where both do."""
    return replace(band, low=min(band.low, other.low), high=max(band.high, other.high))


def figures(
    clips: Sequence[Judged], said: Floats, bands: dict[str, AbstentionBand], spoken: dict[str, str]
) -> list[dict[str, Any]]:
    """Out-of-fold AUC with interval of each kind of fake against the reals of its media, calibration, and what is called.

    spoken: the language of a file, where it is known; sounds are then also told by language.
    """
    rows: list[dict[str, Any]] = []
    labels = np.array([clip.label for clip in clips])
    words = [
        bands.get(set_name(clip.senses), bands["all"]).verdict(float(p)) for clip, p in zip(clips, said, strict=True)
    ]
    tongues = sorted({spoken.get(clip.file, "") for clip in clips} - {""})
    for media, kind, tongue in (
        ("video", "all", ""),
        ("video", "picture", ""),
        ("video", "dubbed", ""),
        ("video", "pairing", ""),
        ("sound", "voice", ""),
        *(("sound", "voice", tongue) for tongue in tongues),
    ):
        chosen = np.array(
            [
                clip.media == media
                and (clip.label == 0 or kind in ("all", clip.kind))
                and tongue in ("", spoken.get(clip.file))
                for clip in clips
            ]
        )
        if len(set(labels[chosen].tolist())) < 2:
            continue
        groups = [clip.group for clip, taken in zip(clips, chosen, strict=True) if taken]
        auc = bootstrap(labels[chosen], said[chosen], metric="auc", groups=groups, resamples=1000)
        called = [word for word, taken in zip(words, chosen, strict=True) if taken]
        reals = [word for word, label in zip(called, labels[chosen], strict=True) if label == 0]
        fakes = [word for word, label in zip(called, labels[chosen], strict=True) if label == 1]
        rows.append(
            {
                "media": media,
                "kind": kind,
                **({"language": tongue} if tongue else {}),
                "real": len(reals),
                "fake": len(fakes),
                "auc": [round(auc.value, 3), round(auc.low, 3), round(auc.high, 3)],
                "ece": round(ece(labels[chosen], at_share(said[chosen], labels[chosen]), bins=10), 3),
                "reals_called_fake": round(reals.count("fake") / len(reals), 3),
                "fakes_called_fake": round(fakes.count("fake") / len(fakes), 3),
                "fakes_called_real": round(fakes.count("real") / len(fakes), 3),
                "undecided": round(called.count("cannot tell") / len(called), 3),
            }
        )
    return rows


def undecided_shares(table: Sequence[dict[str, Any]]) -> dict[str, float]:
    """How many clips got no answer, of sound alone and of videos, from the figures."""
    rows = {"voice": ("sound", "voice"), "all": ("video", "all")}
    return {
        name: next(row["undecided"] for row in table if (row["media"], row["kind"]) == wanted and "language" not in row)
        for name, wanted in rows.items()
    }


def at_share(said: Floats, labels: npt.NDArray[np.int64]) -> Floats:
    """Probabilities for as many fakes as there are among these clips instead of half: odds times fakes to reals."""
    return np.asarray(sigmoid(logit(said) + np.log(labels.mean() / (1 - labels.mean()))))


def main() -> int:
    """Fit, measure, write; 1 when the result lies outside what the model card states."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("weights-work"))
    parser.add_argument("--out", type=Path, default=Path("src/ffdv/detect/weights"))
    parser.add_argument("--neutralised", action="store_true", help="also measure on neutralised clips")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    clips = judged_clips(options.data, options.work / "fusion")
    tried = {sharpness: out_of_fold(clips, sharpness) for sharpness in SHARPNESSES}
    losses = {sharpness: log_loss(clips, said) for sharpness, said in tried.items()}
    for sharpness, loss in losses.items():
        print(f"sharpness {sharpness:g}: balanced log loss out of fold {loss:.4f}")
    best = next(one for one in SHARPNESSES if losses[one] <= min(losses.values()) + LEAST_GAIN)
    bands = bands_of(clips, tried[best])
    spoken = languages(options.data)
    table = figures(clips, tried[best], bands, spoken)
    fusion = Fusion(best, *fit(clips, best), bands, TRUST, undecided_shares(table))
    content = json.loads(fusion.to_json()) | {"figures": table, "fitted_on": len(clips)}
    if options.neutralised:
        neutral = judged_clips(options.data, options.work / "fusion", neutral=True)
        content["neutralised"] = figures(neutral, out_of_fold(clips, best, heard=neutral), bands, spoken)
    text = json.dumps(content, indent=1) + "\n"
    (options.out / FILE_NAME).write_text(text, encoding="utf-8")
    print(fusion.to_json())
    for row in (*table, *content.get("neutralised", ())):
        print(row)
    reached = next(row["auc"] for row in table if (row["media"], row["kind"]) == ("video", "all"))
    return exit_status(reached[0], STATED_AUC)


if __name__ == "__main__":
    sys.exit(main())
