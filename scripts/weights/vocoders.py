"""Copies of open real clips by five small vocoders of our own, for scripts/weights/voice.py to tell from what they copy.

    python scripts/weights/vocoders.py --data ../shared/data --work weights-work

    open real rows of audio/train ─ one level ─▶ a vocoder learns (vocoder_nets.py says how each works)
              └─ the same rows through it ─ 7 kHz, -25 dBFS, faint noise, Opus ─▶ WORK/voice-copies-FAMILY.npz

A vocoder learns by mel distance and, all but flow, by judges: hifigan asks them by least squares (HiFi-GAN, 2020), the others by a
hinge (SoundStream, 2021; Vocos, 2023). It copies the clips that it learnt from: what is wanted is the mark that a vocoder leaves
beside the same speech without it, not a good vocoder. Opus and the rest are what the corpus itself went through; without them the
copies would be known by lacking it.

Families run one after another; those whose file is there are skipped. Five minutes each on one GPU; without one about 65 hours of one
core in all (hifigan and codec 12 each, flow 26).
"""

from __future__ import annotations

import argparse
import copy
import itertools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from vocoder_nets import LEVEL, Codec, Flow, HifiGan, Judges, LogMel, MelDistance, Smooth, Vocoder, Vocos
from voice_corpus import Sound, check_open, read_rows

from ffdv.augment.codec import transcode_sound
from ffdv.detect.voice import LEVEL_DBFS, NOISE_DBFS, RATE, passing
from ffdv.records import REAL, FloatArray
from ffdv.whole_file import whole_file

Pcm = npt.NDArray[np.int16]

FORMAT_VERSION = 1
CONTEXT = 2560  # samples around a clip while it is copied; a multiple of every hop
MEL_SIZES = ((1024, 256, 80), (512, 128, 48), (256, 64, 24), (2048, 512, 128))  # n_fft, hop, bands
MEL_SHARE, JUDGES_RAMP = 45.0, 200  # weight of the mel distance; steps until the judges count in full
JUDGES_FROM, JUDGES_BY = 300, 0.15  # the step, or the share of the steps, when they begin
JUDGED, JUDGES_RATE = 32, 2e-4  # sounds of a batch that they see; their learning rate
OPUS_KBPS = 48.0


@dataclass(frozen=True)
class Method:
    """A family: its net, its batches (sounds of so many samples), its learning rate, the steps it took when first made."""

    net: Callable[[], Vocoder]
    batch: int
    samples: int
    rate: float
    steps: int


METHODS = {
    "hifigan": Method(HifiGan, 32, 12_288, 4e-4, 1_389),
    "vocos": Method(Vocos, 32, 12_800, 6e-4, 1_940),
    "codec": Method(Codec, 64, 12_800, 5e-4, 1_093),
    "flow": Method(Flow, 128, 16_384, 8e-4, 3_285),
    "smooth": Method(Smooth, 32, 12_800, 6e-4, 1_828),
}


class Copies(NamedTuple):
    """Clip i is pcm[starts[i] : starts[i + 1]], int16 at 16 kHz, a copy of the row paths[i]; same length, same place in time."""

    pcm: Pcm
    starts: npt.NDArray[np.int64]
    paths: list[str]


def load_copies(work: Path) -> dict[str, Copies]:
    """The copies that are there, by family; 230 MB each. Raises ValueError when one is of a format that this script does not know."""
    copies = {}
    for family in METHODS:
        kept = copies_path(work, family)
        if kept.is_file():
            with np.load(kept) as stored:
                if int(stored["format_version"]) != FORMAT_VERSION:
                    raise ValueError(f"{kept}: format {stored['format_version']}, not {FORMAT_VERSION}; delete it")
                copies[family] = Copies(stored["pcm"], stored["starts"], stored["paths"].tolist())
    return copies


def save_copies(copies: Copies, kept: Path) -> None:
    """Written whole or not at all."""
    arrays = {"pcm": copies.pcm, "starts": copies.starts, "paths": np.array(copies.paths)}
    with whole_file(kept, durable=False) as file:
        np.savez(file, format_version=FORMAT_VERSION, **arrays)


def copies_path(work: Path, family: str) -> Path:
    """Where the copies of a family are."""
    return work / f"voice-copies-{family}.npz"


# --- clips -------------------------------------------------------------------------------------------------------------


def read_clips(data: Path, work: Path) -> tuple[list[Pcm], list[str]]:
    """Sound and paths of all open real rows."""
    rows = read_rows(data)
    places = [place for place, row in enumerate(rows) if row.open and row.label == REAL]
    check_open([rows[place] for place in places])
    sound = Sound(data, rows, work)
    return [sound.pcm(place) for place in places], [rows[place].path for place in places]


class Clips:
    """All clips on the device, each brought to LEVEL when it is cut out."""

    def __init__(self, clips: Sequence[Pcm], device: str) -> None:
        self.device, self.lengths = device, [len(clip) for clip in clips]
        squares = [float(np.mean((clip.astype(np.float32) / 32768).astype(np.float64) ** 2)) for clip in clips]
        self.levels = np.maximum(np.sqrt(squares), 1e-4)
        spare = np.zeros(1 << 16, np.int16)  # a crop may run beyond the last clip
        self._pcm = torch.from_numpy(np.concatenate([*clips, spare])).to(device)
        self._starts = torch.tensor([0, *itertools.accumulate(self.lengths)], device=device)
        self._gains = torch.tensor(LEVEL / self.levels / 32768, dtype=torch.float32, device=device)

    def crops(self, count: int, samples: int, generator: torch.Generator) -> Tensor:
        """Stretches (count, samples) from anywhere, up to 3 dB louder or softer than LEVEL."""
        total = sum(self.lengths)
        at = (torch.rand(count, device=self.device, generator=generator, dtype=torch.float64) * total).long()
        clip = (torch.searchsorted(self._starts, at, right=True) - 1).clamp(0, len(self.lengths) - 1)
        at = torch.maximum(torch.minimum(at, self._starts[clip + 1] - samples), self._starts[clip])
        cut = self._pcm[at[:, None] + torch.arange(samples, device=self.device)].float()
        decibels = torch.rand(count, device=self.device, generator=generator) * 6 - 3
        return cut * (self._gains[clip] * 10 ** (decibels / 20))[:, None]

    def whole(self, places: Sequence[int], samples: int) -> Tensor:
        """Whole clips (k, samples) with CONTEXT in front, mirrored at both ends for as long as it takes."""
        chosen = torch.tensor(places, device=self.device)
        start = self._starts[chosen][:, None]
        period = (2 * (self._starts[chosen + 1][:, None] - start - 1)).clamp(min=1)
        at = torch.remainder(torch.arange(-CONTEXT, samples - CONTEXT, device=self.device)[None], period)
        at = torch.minimum(at, period - at).clamp(min=0)
        return self._pcm[start + at].float() * self._gains[chosen][:, None]


# --- learning ----------------------------------------------------------------------------------------------------------


class Learner:
    """AdamW whose gradients are held near their running norm: at most three times that, without waiting for the device."""

    def __init__(self, net: nn.Module, momentum: float) -> None:
        self._weights = list(net.parameters())
        fused = self._weights[0].is_cuda
        self._optimiser = torch.optim.AdamW(self._weights, betas=(momentum, 0.99), weight_decay=0.01, fused=fused)
        self._usual: Tensor | None = None

    def step(self, loss: Tensor, rate: float) -> None:
        """Down the loss."""
        self._optimiser.zero_grad(set_to_none=True)
        loss.backward()
        gradients = [weight.grad for weight in self._weights if weight.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        usual = self._usual = norm.clone() if self._usual is None else self._usual
        torch._foreach_mul_(gradients, (3 * usual / (norm + 1e-12)).clamp(max=1.0))
        usual.lerp_(torch.minimum(norm, 3 * usual), 0.05)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        self._optimiser.step()


class Training:
    """A vocoder, its judges, and the average of its weights over steps (`average`), which makes the copies."""

    def __init__(self, method: Method, clips: Clips, seed: int) -> None:
        torch.manual_seed(seed)
        self._method, self._clips, self.steps, self._judged_steps = method, clips, 0, 0
        self._net = method.net().to(clips.device).train()
        self._generator = torch.Generator(device=clips.device).manual_seed(seed)
        if isinstance(self._net, Flow):
            self._net.prepare(clips.crops(256, method.samples, self._generator))
        self.average = copy.deepcopy(self._net).eval().requires_grad_(False)
        self._learner = Learner(self._net, 0.8 if self._net.adversary else 0.9)
        if self._net.adversary:
            self._judges = Judges(self._net.adversary).to(clips.device)
            self._judges_learner = Learner(self._judges, 0.8)
        self._distance = MelDistance(MEL_SIZES).to(clips.device)

    def step(self, progress: float) -> Tensor:
        """One step; progress = the share of the steps that is over. Returns the loss, still on the device."""
        method = self._method
        sound = self._clips.crops(method.batch, method.samples, self._generator)
        with self._halved():
            made, loss = self._net.attempt(sound, progress)
        if made is not None:
            loss = loss + MEL_SHARE * self._distance(sound, made).mean()
            if self.steps >= JUDGES_FROM or progress > JUDGES_BY:
                loss = loss + self._judged(sound[:JUDGED], made[:JUDGED], progress)
        self._learner.step(loss, method.rate * min(1.0, (self.steps + 1) / 100) * _fall(progress, 0.03))
        self._follow()
        self.steps += 1
        return loss.detach()

    def _judged(self, sound: Tensor, made: Tensor, progress: float) -> Tensor:
        """Teach the judges, then ask them."""
        self._judges.requires_grad_(True)
        with self._halved():
            mistaken = self._judges.loss(sound, made)
        self._judges_learner.step(mistaken, JUDGES_RATE * _fall(progress, 0.1))
        self._judges.requires_grad_(False)
        with self._halved():
            distrust = self._judges.distrust(sound, made)
        self._judged_steps += 1
        return min(1.0, self._judged_steps / JUDGES_RAMP) * distrust

    @torch.no_grad()
    def _follow(self) -> None:
        decay = min(0.998 if self.steps > 1500 else 0.995, (1 + self.steps) / (10 + self.steps))
        for mean, weight in zip(self.average.parameters(), self._net.parameters(), strict=True):
            mean.lerp_(weight, 1 - decay)
        for mean, value in zip(self.average.buffers(), self._net.buffers(), strict=True):
            mean.copy_(value)

    def _halved(self) -> torch.autocast:
        device = self._clips.device
        return torch.autocast(device, dtype=torch.bfloat16, enabled=device == "cuda")


def _fall(progress: float, floor: float) -> float:
    """Half a cosine from 1 to the floor."""
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def learn(method: Method, clips: Clips, *, steps: int, seed: int) -> Training:
    """A training of so many steps. Raises FloatingPointError when it went astray."""
    training, losses = Training(method, clips, seed), []
    for step in range(steps):
        losses.append(training.step(step / steps))
        if len(losses) == 10:  # so seldom, because to look is to wait for the device
            if not math.isfinite(float(torch.stack(losses).sum())):
                raise FloatingPointError(f"loss not finite before step {training.steps}; choose another --seed")
            losses.clear()
    return training


# --- copying -----------------------------------------------------------------------------------------------------------


@torch.inference_mode()
def copied(net: Vocoder, clips: Clips) -> list[Pcm]:
    """A copy of every clip, of its length and at its level, or as near as int16 allows."""
    copies: list[Pcm] = [np.zeros(0, np.int16)] * len(clips.lengths)
    order = np.argsort(clips.lengths, kind="stable")[::-1].tolist()
    at_once = (600 if clips.device == "cuda" else 40) * RATE  # samples
    while order:
        samples = math.ceil((clips.lengths[order[0]] + 2 * CONTEXT) / CONTEXT) * CONTEXT
        count = max(1, at_once // samples)
        places, order = order[:count], order[count:]
        made = net.copy(clips.whole(places, samples)).double().cpu().numpy()
        for place, one in zip(places, made, strict=True):
            cut = one[CONTEXT : CONTEXT + clips.lengths[place]]
            if not np.isfinite(cut).all():
                raise FloatingPointError("a copy is not finite; choose another --seed")
            cut = cut - cut.mean()
            cut *= clips.levels[place] / max(float(np.sqrt(np.mean(cut**2))), 1e-6) * 32768
            copies[place] = np.round(cut * min(1.0, 32700 / max(float(np.abs(cut).max()), 1.0))).astype(np.int16)
    return copies


def finished(made: Pcm, place: int) -> Pcm:
    """A copy under the corpus's conditions: nothing above 7 kHz, its level, its faint noise, its encoder."""
    samples = made.astype(np.float32) / 32768
    spectrum, hz = np.fft.rfft(samples), np.linspace(0.0, RATE / 2, len(samples) // 2 + 1)
    limited: FloatArray = np.fft.irfft(spectrum * passing(hz), len(samples)).astype(np.float32)
    limited *= 10 ** (LEVEL_DBFS / 20) / (np.sqrt(np.mean(limited**2)) + 1e-6)
    noise = np.random.default_rng(place).standard_normal(len(samples)).astype(np.float32)
    noisy = np.clip(limited + noise * np.float32(10 ** (NOISE_DBFS / 20)), -1.0, 1.0)
    coded = transcode_sound(noisy, rate=RATE, name="opus", kbps=OPUS_KBPS)
    return np.clip(coded * 32768, -32768, 32767).astype(np.int16)


@torch.inference_mode()
def mel_error(net: Vocoder, clips: Clips, samples: int) -> float:
    """Mean absolute difference of log-mels between eight stretches and their copies."""
    mel = LogMel(1024, 256, 80).to(clips.device)
    sound = clips.crops(8, samples, torch.Generator(device=clips.device).manual_seed(1234))
    return float((mel(sound) - mel(net.copy(sound))).abs().mean())


def main() -> int:
    """Learn and copy, family after family."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--work", type=Path, default=Path("weights-work"))
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--share", type=float, default=1.0, help="of the steps; less only to try it out")
    parser.add_argument("--families", nargs="+", choices=tuple(METHODS), default=list(METHODS), metavar="FAMILY")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    missing = [family for family in asked.families if not copies_path(asked.work, family).is_file()]
    if not missing:
        return 0
    device = asked.device if asked.device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
    torch.set_float32_matmul_precision("high")
    originals, paths = read_clips(asked.data, asked.work)
    clips = Clips(originals, device)
    for family in missing:
        method = METHODS[family]
        torch.backends.cudnn.benchmark = True  # all batches of a training are of one shape, those of copying are not
        training = learn(method, clips, steps=max(1, round(asked.share * method.steps)), seed=asked.seed)
        torch.backends.cudnn.benchmark = False
        error = mel_error(training.average, clips, method.samples)
        torch.manual_seed(asked.seed + 1)
        made = [finished(one, place) for place, one in enumerate(copied(training.average, clips))]
        starts = np.cumsum([0, *map(len, made)])
        save_copies(Copies(np.concatenate(made), starts, paths), copies_path(asked.work, family))
        print(f"{family:8} mel error {error:.3f} after {training.steps} steps", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
