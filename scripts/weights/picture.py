"""Train the weights of the picture sense (src/ffdv/detect/weights/picture.onnx and picture.json) and measure them.

    python scripts/weights/picture.py --data ../shared/data --work weights-work --out src/ffdv/detect/weights

    open real clips ─ faces swapped, redrawn, blended, six times anew ─▶ two nets, averaged ─▶ picture.onnx ┐
    open clips ─ looked at as `scan` does ─▶ centre and spread of each number ──────────────────────────────┴▶ picture.json ─▶ figures

Only rows with open = 1 are trained on; closed rows give the two numbers of the calibration and the figures. The net's start is
ImageNet's EfficientNet-Lite0, four of its seven stages. Trainings from one start become one net by the mean of their weights (Wortsman
et al. 2022, model soups): a single one hangs on its luck. Half an hour on two cores; what was looked at and forged is kept in --work.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from picture_forgeries import Portrait, blended, redrawn, swapped, worn
from stated import exit_status
from torch import Tensor, nn
from torch.nn import functional

from ffdv.detect.looking import Look, LookSpec
from ffdv.detect.picture import chosen_crops, face_numbers, face_side
from ffdv.detect.picture_model import (
    FAMILIES,
    FORMAT_VERSION,
    NET_SIDE,
    USUAL_SHARE,
    WEIGHTS,
    PastedNet,
    PictureWeights,
)
from ffdv.features.crops import Square, cut_square, face_square
from ffdv.features.faces import STANDARD_FACES
from ffdv.features.head import HeadTrack, head_numbers
from ffdv.features.landmarks import MESH_MARGIN, FaceMesh
from ffdv.features.portrait import landmarks_in_crops, portrait_numbers
from ffdv.media.read import open_media, read_frames
from ffdv.metrics.calibration import ece, fit_platt, sigmoid
from ffdv.metrics.ranking import roc_auc
from ffdv.metrics.uncertainty import bootstrap
from ffdv.models.initial_weights import import_timm, initial_tensors
from ffdv.records import FaceTrack, FloatArray, PixelArray
from ffdv.whole_file import whole_file, write_atomically

BACKBONE = "tf_efficientnet_lite0"
ENCODER = "encoder.net."
STAGES = 4  # of seven: features of 80 channels, one for every 16 pixels
MEMBERS, CROP_SETS = 2, 6  # trainings that are averaged, on so many sets of forgeries
PICTURES_A_CLIP = 10
EPOCHS, TRIPLETS = 6, 8  # a batch: so many pictures, each real and forged twice
HEAD_RATE, BODY_RATE = 2e-3, 4e-4
SEEN_FOLDER = "picture-seen-3"  # another number when what is kept of a clip changes
VIEW_SIDE = 136  # pixels: what is trained on, cut out of NET_SIDE anywhere
STATED_AUC = (0.79, 0.91)  # of all development clips: what a new training should reach (MODEL_CARD.md)
# Sites and methods that are reported together: single ones have two clips.
KINDS = {"ffpp": "swaps, published", "dfdc": "swaps, published", "faceswap": "swaps, published"}
KINDS |= {"reenact": "swaps, published", "selfmade": "swaps, made here"}


@dataclass(frozen=True)
class Row:
    """One clip of video/train that is of use for the picture: label 1 = its picture is forged."""

    path: Path
    label: int
    method: str
    identity: str
    source: str
    is_open: bool

    @property
    def kind(self) -> str:
        """The group that it is reported in."""
        if self.label == 0:
            return "real, " + self.source.split("/")[-1]
        start = self.method.split("_")[0]
        return KINDS.get(start, self.method.replace("talkinghead_", ""))


@dataclass(frozen=True)
class Seen:
    """What `scan` sees of one clip: the face that leads, and how its head moves."""

    track: FaceTrack
    head: HeadTrack
    picture_size: tuple[int, int]


def read_rows(data: Path) -> list[Row]:
    """Clips whose picture is known to be real or forged; those with only the voice forged show faces that are there already."""
    rows = []
    with (data / "video/train/manifest.csv").open(encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            forged = row["video_fake"] not in ("0", "0.0")
            if row["method"] == "real" or forged:
                label = int(row["method"] != "real")
                path = data / "video/train" / row["file"]
                rows.append(Row(path, label, row["method"], row["identity"], row["source_repo"], row["open"] == "1"))
    return rows


def refuse_closed(rows: Sequence[Row]) -> Sequence[Row]:
    """The rows, if all may be trained on. Raises ValueError that names the first that may not."""
    for row in rows:
        if not row.is_open:
            raise ValueError(f"{row.path.name}: its licence keeps it out of training (open = 0); leave it out")
    return rows


def seen_of(row: Row, work: Path) -> Seen | None:
    """The clip as `scan` sees it, kept in work; None without a face."""
    kept = work / SEEN_FOLDER / f"{row.path.stem}.npz"
    if not kept.exists():
        with Look(row.path, LookSpec(threads=1)) as look:
            looked = next(iter(look.pieces()))
        faces, head = looked.features.faces, looked.head
        if faces is None or not faces.tracks or head is None or faces.picture_size is None:
            return None
        keep(Seen(faces.tracks[0], head, faces.picture_size), kept)
    with np.load(kept, allow_pickle=False) as stored:
        parts = {name: stored[name] for name in stored.files}
    track = FaceTrack(0, *(parts[name] for name in ("seconds", "boxes", "landmarks", "scores", "crops")))
    head = HeadTrack(
        *(parts[name] for name in ("head_seconds", "in_sight", "moves", "face_change", "around_change", "colours"))
    )
    width, height = parts["picture_size"].tolist()
    return Seen(track, head, (width, height))


def keep(seen: Seen, path: Path) -> None:
    """Write what was seen."""
    track, head = seen.track, seen.head
    parts = {"seconds": track.seconds, "boxes": track.boxes, "landmarks": track.landmarks, "scores": track.scores}
    parts |= {"crops": track.crops, "head_seconds": head.seconds, "in_sight": head.in_sight, "moves": head.moves}
    parts |= {"face_change": head.face_change, "around_change": head.around_change, "colours": head.colours}
    with whole_file(path, durable=False) as file:
        np.savez(file, picture_size=np.array(seen.picture_size), **parts)


def crops_of(rows: Sequence[Row], work: Path, number: int) -> Path:
    """A file of aligned crops (3 n, side, side, 3), each picture real and forged twice; every number has forgeries of its own.

    What was made once is kept in work.
    """
    kept = work / "picture-crops" / f"{number}.npy"
    if kept.exists():
        return kept
    reals = [row for row in refuse_closed(rows) if row.label == 0]
    face_mesh = FaceMesh()
    portraits = [portraits_of(row, work, face_mesh, number) for row in reals]
    crops: list[PixelArray] = []
    for clip, own in enumerate(portraits):
        for place, (portrait, square) in enumerate(own):
            rng = np.random.default_rng([clip, place, number])
            other = portraits[int(rng.integers(len(portraits)))]
            donor = other[int(rng.integers(len(other)))][0]
            second = redrawn(portrait, rng) if place % 2 else blended(portrait, rng)
            chain = int(rng.integers(2**31))
            crops += [
                cut_square(worn(pixels, np.random.default_rng(chain)), square, NET_SIDE)
                for pixels in (portrait.pixels, swapped(portrait, donor, rng), second)
            ]
    with whole_file(kept, durable=False) as file:
        np.save(file, np.stack(crops))
    print(f"forged faces {number}: {len(crops)} crops of {len(reals)} clips", flush=True)
    return kept


def portraits_of(row: Row, work: Path, face_mesh: FaceMesh, number: int) -> list[tuple[Portrait, Square]]:
    """Some pictures of a clip with their meshes, and the square to cut, a little off as detectors are; every number has those between."""
    seen = seen_of(row, work)
    if seen is None:
        return []
    track = seen.track
    rng = np.random.default_rng([len(row.path.name), number])
    last = len(track.seconds) - 1
    places = np.linspace(0, last, PICTURES_A_CLIP) + number % 4 / 4 * last / PICTURES_A_CLIP
    chosen = np.unique(places.clip(0, last).round().astype(int))
    with open_media(row.path) as media:
        frames = list(read_frames(media, fps=25.0))
    times = np.array([frame.seconds for frame in frames])
    portraits = []
    for k in chosen:
        frame = frames[int(np.abs(times - track.seconds[k]).argmin())]
        mesh = face_mesh.find(frame.pixels, [face_square(track.boxes[k], track.landmarks[k], MESH_MARGIN)])[0]
        square = face_square(track.boxes[k], track.landmarks[k], STANDARD_FACES.crop_margin)
        dx, dy, zoom, turn = rng.normal(0, 0.03, 4)
        moved = Square(
            square.x + dx * square.side, square.y + dy * square.side, square.side * (1 + zoom), square.turn + turn
        )
        portraits.append((Portrait(frame.pixels, mesh.points[:, :2].astype(np.float64)), moved))
    return portraits


class PastedFaceNet(nn.Module):
    """Stages of an image net and one logit for every 16 × 16 pixels; the mean is the picture's. Pixels 0 … 255 in."""

    def __init__(self) -> None:
        super().__init__()
        net = import_timm().create_model(BACKBONE, pretrained=False)
        start = initial_tensors(BACKBONE, "package", in_channels=3)
        tensors = {name.removeprefix(ENCODER): tensor for name, tensor in start.items() if name.startswith(ENCODER)}
        missing, _ = net.load_state_dict(tensors, strict=False)
        if any(not name.startswith("classifier") for name in missing):
            raise ValueError(f"the ImageNet start lacks {missing[:3]}")
        self.stem, self.norm, self.stages = net.conv_stem, net.bn1, net.blocks[:STAGES]
        self.drop, self.head = nn.Dropout2d(0.2), nn.Conv2d(80, 1, 1)
        nn.init.normal_(self.head.weight, 0, 0.01)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, h, w) → logits (n,), maps (n, h / 16, w / 16)."""
        places = self.head(self.drop(self.stages(self.norm(self.stem(pixels / 127.5 - 1.0)))))[:, 0]
        return places.mean(dim=(1, 2)), places


def train_members(rows: Sequence[Row], work: Path, *, seed: int) -> PastedFaceNet:
    """The mean of MEMBERS trainings on the same crops; a process a core."""
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn")) as pool:
        files = list(pool.map(partial(crops_of, rows, work), range(CROP_SETS)))
        return averaged(list(pool.map(partial(train, files), range(seed * MEMBERS, (seed + 1) * MEMBERS))))


def averaged(states: Sequence[Mapping[str, Tensor]]) -> PastedFaceNet:
    """The net whose weights are the mean of these, of nets that started alike."""
    mean = {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if tensor.is_floating_point() else tensor
        for name, tensor in states[0].items()
    }
    net = PastedFaceNet()
    net.load_state_dict(mean)
    return net.eval()


def train(files: Sequence[Path], seed: int) -> dict[str, Tensor]:
    """Real against forged in batches that hold each picture three times; the batch norms stay ImageNet's. Every seed starts alike.

    Returns the net's weights.
    """
    torch.set_num_threads(1)
    sets = [np.load(file, mmap_mode="r") for file in files]
    at = [(number, place) for number, crops in enumerate(sets) for place in range(len(crops) // 3)]
    labels = torch.tensor([0.0, 1.0, 1.0]).repeat(TRIPLETS)
    torch.manual_seed(0)
    net, rng = PastedFaceNet(), np.random.default_rng(seed)
    torch.manual_seed(seed)
    net = net.to(memory_format=torch.channels_last)  # as the crops lie: half the time a step
    body = [tensor for name, tensor in net.named_parameters() if not name.startswith("head")]
    groups = [{"params": net.head.parameters(), "lr": HEAD_RATE}, {"params": body, "lr": BODY_RATE}]
    optimiser = torch.optim.AdamW(groups, weight_decay=1e-2)
    batches = len(at) // TRIPLETS
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [HEAD_RATE, BODY_RATE], total_steps=EPOCHS * batches, pct_start=0.15
    )
    start = time.monotonic()
    for epoch in range(EPOCHS):
        net.train()
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.eval()
        order, total = rng.permutation(len(at)), 0.0
        for batch in range(batches):
            chosen = [at[place] for place in order[batch * TRIPLETS : (batch + 1) * TRIPLETS]]
            some = np.concatenate([sets[number][3 * place : 3 * place + 3] for number, place in chosen])
            top, left = rng.integers(0, NET_SIDE - VIEW_SIDE + 1, 2)
            some = some[:, top : top + VIEW_SIDE, left : left + VIEW_SIDE]
            some = some[:, :, ::-1] if rng.random() < 0.5 else some
            x = torch.from_numpy(np.ascontiguousarray(some)).permute(0, 3, 1, 2).float()
            losses = functional.binary_cross_entropy_with_logits(net(x)[0], labels, reduction="none")
            loss = (losses * torch.where(labels > 0, 0.5, 1.0)).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(
            f"  seed {seed}, epoch {epoch + 1}: loss {total / batches:.3f}, {time.monotonic() - start:.0f} s",
            flush=True,
        )
    return {name: tensor.contiguous() for name, tensor in net.state_dict().items()}


def export(net: PastedFaceNet, path: Path, provenance: Mapping[str, Any]) -> None:
    """To ONNX with its version and provenance inside; written under a temporary name, then renamed."""
    import onnx

    temporary = path.with_name("part-" + path.name)
    example = torch.zeros(2, 3, NET_SIDE, NET_SIDE)
    torch.onnx.export(
        net,
        (example,),
        str(temporary),
        input_names=["crops"],
        output_names=["logit", "map"],
        dynamic_axes={"crops": {0: "n"}, "logit": {0: "n"}, "map": {0: "n"}},
        dynamo=False,
    )
    model = with_fixed_pads(onnx.load(temporary))
    for key, value in {"version": str(FORMAT_VERSION), "provenance": json.dumps(provenance)}.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, temporary)
    temporary.replace(path)


def with_fixed_pads(model: Any) -> Any:
    """The same net with pads that are part of its convolutions: TensorFlow's padding is worked out anew for every batch otherwise, and
    keeps onnxruntime from its blocked layout, which took half of the net's time.
    """
    import onnx
    import onnxruntime
    from onnx import helper

    pads = {node.output[0]: node for node in model.graph.node if node.op_type == "Pad"}
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    asked.graph.output.extend(
        helper.make_tensor_value_info(pad.input[1], onnx.TensorProto.INT64, [8]) for pad in pads.values()
    )
    amounts = onnxruntime.InferenceSession(asked.SerializeToString()).run(
        [pad.input[1] for pad in pads.values()], {"crops": np.zeros((1, 3, NET_SIDE, NET_SIDE), np.float32)}
    )
    for (padded, pad), amount in zip(pads.items(), amounts, strict=True):
        (conv,) = (node for node in model.graph.node if padded in node.input)
        conv.input[0] = pad.input[0]
        (kept,) = (attribute for attribute in conv.attribute if attribute.name == "pads")
        kept.ints[:] = amount[[2, 3, 6, 7]].tolist()  # of the eight, begin and end of batch, channels, rows and columns
    needed, nodes = {output.name for output in model.graph.output}, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            nodes.append(node)
            needed |= set(node.input)
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    return model


def numbers_of(seen: Seen, net: PastedNet) -> dict[str, float]:
    """The clip's numbers as PictureSense takes them."""
    chosen = chosen_crops(seen.track.seconds)
    track = seen.track
    part = FaceTrack(
        0,
        track.seconds[chosen],
        track.boxes[chosen],
        track.landmarks[chosen],
        track.scores[chosen],
        track.crops[chosen],
    )
    points = landmarks_in_crops(part, seen.picture_size, margin=STANDARD_FACES.crop_margin)
    return {**face_numbers(portrait_numbers(part.crops, points), net.look(part.crops)[1]), **head_numbers(seen.head)}


def fit_weights(
    numbers: Sequence[Mapping[str, float]], rows: Sequence[Row], sides: FloatArray, provenance: Mapping[str, Any]
) -> PictureWeights:
    """Centre and spread over open clips, both classes alike, the calibration on closed ones, and what is usual in all genuine ones."""
    opened = [k for k, row in enumerate(rows) if row.is_open]
    labels = np.array([row.label for row in rows])
    refuse_closed([rows[k] for k in opened])
    centre, spread, least, most = {}, {}, {}, {}
    for name in sorted({name for members in FAMILIES.values() for name, _ in members}):
        values = np.array([numbers[k].get(name, math.nan) for k in opened])
        classes = [values[(labels[opened] == c) & np.isfinite(values)] for c in (0, 1)]
        centre[name] = float(np.mean([part.mean() for part in classes]))
        spread[name] = float(np.mean([part.std() for part in classes]))
        known = np.concatenate(classes)
        least[name], most[name] = float(known.min()), float(known.max())
    smallest = float(sides[opened].min())
    unknown = (dict.fromkeys(FAMILIES, 0.0), [0.0] * len(FAMILIES))
    weights = PictureWeights(centre, spread, least, most, 1.0, 0.0, smallest, *unknown, dict(provenance))
    closed = np.array([k for k, row in enumerate(rows) if not row.is_open])
    scores = np.array([weights.score(numbers[k]) for k in closed])
    fit = fit_platt(labels[closed], scores, fake_prior=0.5)
    genuine = [numbers[k] for k in np.flatnonzero(labels == 0)]
    votes = [weights.families(one) for one in genuine]
    usual = {name: float(np.quantile([vote[name] for vote in votes], USUAL_SHARE)) for name in FAMILIES}
    weights = replace(weights, slope=fit.slope, offset=fit.intercept, usual=usual)
    beyond = np.array([len(weights.beyond(one)) for one in genuine])
    return replace(weights, as_many=[float((beyond >= count).mean()) for count in range(1, len(FAMILIES) + 1)])


def report(rows: Sequence[Row], numbers: Sequence[Mapping[str, float]], weights: PictureWeights) -> int:
    """Print the development figures; 1 when they lie outside what the model card states."""
    labels = np.array([row.label for row in rows])
    logits = np.array([weights.logit(one) for one in numbers])
    people = [row.identity for row in rows]
    closed = np.array([not row.is_open for row in rows])
    for name, some in (("closed", closed), ("open", ~closed), ("all", closed | True)):
        groups = [people[k] for k in np.flatnonzero(some)]
        estimate = bootstrap(labels[some], logits[some], groups=groups)
        print(f"{name}: n {(~labels[some].astype(bool)).sum()} / {labels[some].sum()}  AUC {estimate}")
    chances = sigmoid(logits)
    real = labels == 0
    print(f"ECE closed {ece(labels[closed], chances[closed], bins=10):.3f}, all {ece(labels, chances, bins=10):.3f}")
    for threshold in (0.5, 0.7, 0.8):
        print(
            f"  above {threshold}: reals {(chances[real] > threshold).mean():.3f}, fakes {(chances[~real] > threshold).mean():.3f}"
        )
    for kind in sorted({row.kind for row in rows}):
        own = np.array([row.kind == kind for row in rows])
        fake = bool(labels[own][0])
        some = own | (real if fake else ~real)
        votes = [weights.families(numbers[k]) for k in np.flatnonzero(own)]
        means = "  ".join(f"{name} {np.mean([vote[name] for vote in votes]):+.2f}" for name in WEIGHTS)
        print(
            f"  {kind:<34} n {own.sum():>3}  AUC {roc_auc(labels[some], logits[some]):.2f}  mean p {chances[own].mean():.2f}  {means}"
        )
    return exit_status(roc_auc(labels, logits), STATED_AUC)


def main() -> int:
    """Train, write, measure; 1 when the result lies outside what the model card states."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("weights-work"))
    parser.add_argument("--out", type=Path, default=Path("src/ffdv/detect/weights"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep-net", action="store_true", help="measure with the net that is there")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = read_rows(given.data)
    opened = refuse_closed([row for row in rows if row.is_open])
    given.out.mkdir(parents=True, exist_ok=True)
    provenance = {
        "made_by": "scripts/weights/picture.py",
        "seed": given.seed,
        "averaged": MEMBERS,
        "start": f"ImageNet {BACKBONE} (Apache-2.0)",
        "trained_on": f"{sum(row.label == 0 for row in opened)} open real clips and forgeries made from them",
        "sources": sorted({row.source for row in opened if row.label == 0}),
    }
    if not given.keep_net:
        export(train_members(opened, given.work, seed=given.seed), given.out / "picture.onnx", provenance)
    net = PastedNet((given.out / "picture.onnx").read_bytes())
    pairs = [(row, seen) for row in rows if (seen := seen_of(row, given.work)) is not None]
    numbers = [numbers_of(seen, net) for _, seen in pairs]
    sides = np.array([face_side(seen.track) for _, seen in pairs], np.float32)
    measured = [row for row, _ in pairs]
    scale = {
        "scaled_on": f"{sum(row.is_open for row in measured)} open clips",
        "calibrated_on": f"{sum(not row.is_open for row in measured)} closed clips",
    }
    weights = fit_weights(numbers, measured, sides, provenance | scale)
    write_weights(weights, given.out / "picture.json")
    write_logits(measured, numbers, weights, given.work / "picture_logits.csv")
    return report(measured, numbers, weights)


def write_weights(weights: PictureWeights, path: Path) -> None:
    """As JSON with its version, whole or not at all."""
    write_atomically(path, (json.dumps({"version": FORMAT_VERSION, **vars(weights)}, indent=1) + "\n").encode())


def write_logits(
    rows: Sequence[Row], numbers: Sequence[Mapping[str, float]], weights: PictureWeights, path: Path
) -> None:
    """file, logit, probability of each clip."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file", "logit", "probability"])
        for row, one in zip(rows, numbers, strict=True):
            logit = weights.logit(one)
            writer.writerow([row.path.name, f"{logit:.5f}", f"{float(sigmoid([logit])[0]):.5f}"])


if __name__ == "__main__":
    sys.exit(main())
