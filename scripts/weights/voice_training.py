"""How the net of the voice sense is taught: pairs of a forged and the spoken utterance, and everything that happens to recordings.

    open clips, copies of them by our vocoders ─ each also twice through a codec ─▶ shelves on the device
        ─ pairs by generator ─ speed, room, colour, noise, clipping, alike for both of a pair ─▶ VoiceNet ─▶ its mean over steps

All of a batch is disturbed at once on the device that trains, so a GPU is not kept waiting; one core takes some four seconds a step.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from ffdv.augment.codec import SoundCodecName, transcode_sound
from ffdv.augment.rooms import draw_room, impulse_response
from ffdv.detect.voice import LEVEL_DBFS, RATE, WINDOW, passing
from ffdv.models.voice_net import VoiceNet
from ffdv.records import FloatArray
from ffdv.whole_file import whole_file

Pcm = npt.NDArray[np.int16]
Starts = npt.NDArray[np.int64]

# Without copies there are 20 generators: beyond 100,000 windows nets learn them by heart (docs/log.md, 2026-11-26).
STEPS, STEPS_ALONE, PAIRS, LEARNING_RATE = 3_200, 540, 64, 1e-3
WORN = (1, 2)  # seeds of the codecs
FASTEST, SLOWEST = 1.14, 0.9
CUT = round(WINDOW * 1.16) + 32  # samples cut for a window: enough for the fastest speed and the taps of the resampler
TAPS = range(-7, 9)
NUM_ROOMS, ROOM_LENGTH, ROOM_FFT = 160, 12_000, 65_536
PAIRED = 0.75  # so often a forgery stands beside the very utterance that it forges


@dataclass(frozen=True)
class Collection:
    """Clips one after the other, int16 at 16 kHz: clip i is pcm[starts[i]:starts[i + 1]]; keys: equal for those of one utterance."""

    pcm: Pcm
    starts: Starts
    keys: Sequence[str]


@dataclass(frozen=True)
class Family:
    """The forgeries of one generator: which collection, which clips of it, the spoken utterance of each (-1: unknown), its odds."""

    collection: str
    clips: Sequence[int]
    spoken: Sequence[int]
    weight: float


def worn_by_codec(collection: Collection, seed: int, kept: Path, *, processes: int = 1) -> Pcm:
    """Every clip through one codec, of the same length; clips of one key through the same one at the same rate. Kept in a file."""
    if kept.is_file():
        return np.asarray(np.load(kept, mmap_mode="r"))
    jobs = [(np.array(one), key, seed) for one, key in zip(_clips(collection), collection.keys, strict=True)]
    with ProcessPoolExecutor(processes) as pool:
        worn = np.concatenate(list(pool.map(_through_codec, jobs, chunksize=8)))
    with whole_file(kept, durable=False) as file:
        np.save(file, worn)
    return worn


def _through_codec(job: tuple[Pcm, str, int]) -> Pcm:
    clip, key, seed = job
    rng = np.random.default_rng(int(hashlib.sha256(f"{key}/{seed}".encode()).hexdigest()[:12], 16))
    samples = clip.astype(np.float32) / 32768
    level = float(np.sqrt(np.mean(np.square(samples)))) + 1e-6
    samples = np.clip(samples * (10 ** (rng.uniform(-30, -18) / 20) / level), -1, 1).astype(np.float32)
    luck = rng.random()
    name: SoundCodecName
    kbps: float | None = None
    if luck < 0.30:
        name, kbps = "aac", rng.uniform(20, 96)
    elif luck < 0.60:
        name, kbps = "mp3", rng.uniform(20, 96)
    elif luck < 0.84:
        name, kbps = "opus", rng.uniform(9, 40)
    elif luck < 0.94:
        name = "g711_mu" if rng.random() < 0.5 else "g711_a"
    else:
        name, kbps = "amr", rng.uniform(6, 12.2)
    worn = transcode_sound(samples, rate=RATE, name=name, kbps=kbps)
    worn = worn * (level / (float(np.sqrt(np.mean(np.square(worn)))) + 1e-6))
    return np.clip(worn * 32768, -32768, 32767).astype(np.int16)


def _clips(collection: Collection) -> Iterator[Pcm]:
    for start, stop in zip(collection.starts, collection.starts[1:], strict=False):
        yield collection.pcm[start:stop]


class Shelf:
    """One collection on the device in all its versions (0: as it is), to cut windows from."""

    def __init__(self, collection: Collection, worn: Sequence[Pcm], device: torch.device) -> None:
        self._starts, self._lengths = collection.starts[:-1], np.diff(collection.starts)
        self._total, self.versions = len(collection.pcm), 1 + len(worn)
        self._pcm = torch.from_numpy(np.concatenate([collection.pcm, *worn])).to(device)

    def cut(
        self, clips: npt.NDArray[np.int64], versions: npt.NDArray[np.int64], positions: npt.NDArray[np.float64]
    ) -> Tensor:
        """CUT samples of each clip (n,) from a position in 0 … 1 of it, (n, CUT); shorter clips are repeated."""
        lengths = self._lengths[clips]
        begins = (positions * np.where(lengths > CUT, lengths - CUT, lengths)).astype(np.int64)
        device = self._pcm.device
        begin, length, offset = (
            torch.from_numpy(one).to(device)[:, None]
            for one in (begins, lengths, self._starts[clips] + versions * self._total)
        )
        places = offset + (begin + torch.arange(CUT, device=device)) % length
        return self._pcm[places].float() / 32768


class PairedWindows:
    """Batches of (fake, real): a generator by weight, one of its clips, and the same utterance as it was spoken, where known."""

    def __init__(
        self, shelves: Mapping[str, Shelf], families: Sequence[Family], sites: Sequence[Sequence[int]], seed: int
    ) -> None:
        self._shelves, self._families, self._sites = shelves, families, sites
        self._rng = np.random.default_rng(seed)
        self._odds = odds([family.weight for family in families])
        self._site_odds = odds([len(site) ** 0.5 for site in sites])

    def draw(self, pairs: int) -> Tensor:
        """Windows (2 pairs, CUT): fakes at even places, their reals at odd ones."""
        rng, jobs = self._rng, []
        for number in rng.choice(len(self._families), pairs, p=self._odds):
            family = self._families[number]
            chosen = int(rng.integers(len(family.clips)))
            most = min(self._shelves[family.collection].versions, self._shelves["real"].versions) - 1
            version = 0 if most == 0 or rng.random() < 0.5 else int(rng.integers(1, 1 + most))
            spoken, position = family.spoken[chosen], rng.random()
            jobs.append((family.collection, family.clips[chosen], version, position))
            if spoken >= 0 and rng.random() < PAIRED:
                jobs.append(("real", spoken, version, position))
            else:
                site = self._sites[rng.choice(len(self._sites), p=self._site_odds)]
                jobs.append(("real", site[rng.integers(len(site))], version, rng.random()))
        return self._cut(jobs)

    def _cut(self, jobs: Sequence[tuple[str, int, int, float]]) -> Tensor:
        names = np.array([job[0] for job in jobs])
        clips, versions = np.array([job[1] for job in jobs]), np.array([job[2] for job in jobs])
        positions = np.array([job[3] for job in jobs])
        windows: Tensor | None = None
        for name, shelf in self._shelves.items():
            mine = np.flatnonzero(names == name)
            if len(mine):
                cut = shelf.cut(clips[mine], versions[mine], positions[mine])
                windows = cut.new_empty(len(jobs), CUT) if windows is None else windows
                windows[torch.from_numpy(mine).to(cut.device)] = cut
        assert windows is not None
        return windows


class Disturbance:
    """What happens to recordings, a batch (n, CUT) → (n, WINDOW) at a time; both of a pair alike, so that only the forgery differs."""

    def __init__(self, device: torch.device, *, seed: int) -> None:
        self._device = device
        responses = torch.from_numpy(_rooms(seed)).to(device)
        self._rooms = torch.fft.rfft(responses, ROOM_FFT)
        self._hz = torch.linspace(0, RATE / 2, WINDOW // 2 + 1, device=device)
        self._passing = torch.from_numpy(passing(np.linspace(0, RATE / 2, len(self._hz))).astype(np.float32)).to(device)

    def __call__(self, windows: Tensor) -> Tensor:
        """The disturbed windows, with nothing above 7 kHz."""
        heard = _levelled(self._in_rooms(self._at_speed(windows)))
        heard = _levelled(self._coloured(heard))
        heard = self._clipped(heard + self._noise(len(heard)))
        return torch.fft.irfft(torch.fft.rfft(heard) * self._passing, WINDOW)

    def _luck(self, count: int) -> Tensor:
        """Numbers in 0 … 1 (count, 1), the same for both of a pair."""
        return torch.rand(count // 2, 1, device=self._device).repeat_interleave(2, 0)

    def _at_speed(self, windows: Tensor) -> Tensor:
        """Half of the pairs faster or slower, by a windowed sinc of 16 taps."""
        count = len(windows)
        speed = SLOWEST + (FASTEST - SLOWEST) * self._luck(count)
        speed = torch.where(self._luck(count) < 0.5, speed, torch.ones_like(speed))
        places = 16 + torch.arange(WINDOW, device=self._device) * speed
        base = places.floor()
        between, first = places - base, base.long()
        resampled = torch.zeros(count, WINDOW, device=self._device)
        for tap in TAPS:
            distance = between - tap
            weight = torch.special.sinc(distance) * (0.5 + 0.5 * torch.cos(math.pi * distance / 8.5))
            resampled += weight * windows.gather(1, (first + tap).clamp(0, CUT - 1))
        return resampled

    def _in_rooms(self, sounds: Tensor) -> Tensor:
        """A quarter of the pairs in a room."""
        wet = (self._luck(len(sounds)) < 0.25)[:, 0]
        if not wet.any():
            return sounds
        which = (self._luck(len(sounds))[:, 0] * len(self._rooms)).long().clamp(max=len(self._rooms) - 1)
        reverberated = torch.fft.irfft(torch.fft.rfft(sounds[wet], ROOM_FFT) * self._rooms[which[wet]], ROOM_FFT)
        sounds = sounds.clone()
        sounds[wet] = reverberated[:, :WINDOW]
        return sounds

    def _coloured(self, sounds: Tensor) -> Tensor:
        """A smooth curve of ±3 dB over frequency for two pairs of five, a lower band for one of twelve."""
        count = len(sounds)
        curve = 3.0 * torch.randn(count // 2, 1, 9, device=self._device).repeat_interleave(2, 0)
        curve = functional.interpolate(curve, size=len(self._hz), mode="linear", align_corners=True)[:, 0]
        gain = 10 ** (curve * (self._luck(count) < 0.4) / 20)
        corner = 3200 + 3600 * self._luck(count)
        gain = gain * (1 - (self._luck(count) < 0.08) * torch.sigmoid((self._hz - corner) / 60))
        return torch.fft.irfft(torch.fft.rfft(sounds) * gain, WINDOW)

    def _noise(self, count: int) -> Tensor:
        """White to pink noise: at 10 to 40 dB under the level for a third of the pairs, else at 45 to 60."""
        noise = torch.randn(count // 2, WINDOW, device=self._device).repeat_interleave(2, 0)
        tilted = torch.fft.rfft(noise) * (self._hz.clamp(min=60) / 1000) ** (-self._luck(count))
        noise = torch.fft.irfft(tilted, WINDOW)
        noise = noise / noise.square().mean(1, keepdim=True).sqrt()
        under = torch.where(self._luck(count) < 0.35, 10 + 30 * self._luck(count), 45 + 15 * self._luck(count))
        return noise * 10 ** ((LEVEL_DBFS - under) / 20)

    def _clipped(self, sounds: Tensor) -> Tensor:
        """Six of a hundred pairs cut off at a quarter to three quarters of their peak."""
        top = sounds.abs().amax(1, keepdim=True) * (0.25 + 0.5 * self._luck(len(sounds)))
        cut = torch.minimum(torch.maximum(sounds, -top), top)
        return torch.where(self._luck(len(sounds)) < 0.06, cut, sounds)


def train(
    pairs: PairedWindows, disturb: Disturbance, device: torch.device, *, steps: int = STEPS, seed: int = 1
) -> VoiceNet:
    """The net after so many steps, its weights averaged over them, on the CPU. Raises FloatingPointError when training diverges."""
    torch.manual_seed(seed)
    net = VoiceNet().to(device, memory_format=torch.channels_last)  # twice as fast on a CPU
    net.stem.requires_grad_(requires_grad=False)
    learned = net.learned()
    optimiser = torch.optim.AdamW(learned, lr=LEARNING_RATE, weight_decay=0.02)
    average = {name: value.clone() for name, value in net.state_dict().items()}
    for step in range(steps):
        for group in optimiser.param_groups:
            cosine = 0.5 + 0.5 * math.cos(math.pi * step / steps)
            group["lr"] = LEARNING_RATE * min(1.0, (step + 1) / 150) * cosine + 1e-5
        net.train()
        with torch.no_grad():
            pictures = _masked(net.picture(disturb(pairs.draw(PAIRS)))).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            loss = _loss(net, pictures)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 2.0)
        optimiser.step()
        _average(average, net.state_dict(), min(0.998, (1 + step) / (10 + step)))
        if step % 100 == 99:
            told = float(loss.detach())
            print(f"  step {step + 1} of {steps}: loss {told:.3f}", flush=True)
            if not math.isfinite(told):
                raise FloatingPointError(f"the loss is {told} at step {step + 1}; lower LEARNING_RATE")
    net.load_state_dict(average)
    return net.cpu().eval()


def _loss(net: VoiceNet, pictures: Tensor) -> Tensor:
    """Cross-entropy, and every fake above every real, its own spoken utterance twice; now and then on mixed pictures."""
    labels = torch.tensor([1.0, 0.0], device=pictures.device).repeat(len(pictures) // 2)
    smooth = 0.94 * labels + 0.03
    if torch.rand(()) < 0.3:
        order, share = (
            torch.randperm(len(pictures), device=pictures.device),
            float(torch.distributions.Beta(0.4, 0.4).sample()),
        )
        logits = net(share * pictures + (1 - share) * pictures[order]).float()
        return functional.binary_cross_entropy_with_logits(logits, share * smooth + (1 - share) * smooth[order])
    logits = net(pictures).float()
    fake, real = logits[0::2], logits[1::2]
    ranking = functional.softplus(real[None] - fake[:, None]).mean() + functional.softplus(real - fake).mean()
    return functional.binary_cross_entropy_with_logits(logits, smooth) + 0.5 * ranking


def _masked(pictures: Tensor) -> Tensor:
    """Up to two stripes of bands (a sixth of all) and of frames (an eighth) of each picture set to their mean (SpecAugment)."""
    count, device = len(pictures), pictures.device
    for axis, share in ((2, 6), (3, 8), (2, 6), (3, 8)):
        size = pictures.shape[axis]
        widest = size // share
        width = torch.rand(count, 1, device=device) * widest * (torch.rand(count, 1, device=device) < 0.5)
        start = torch.rand(count, 1, device=device) * (size - widest)
        places = torch.arange(size, device=device)
        hidden = (places >= start) & (places < start + width)
        pictures = pictures.masked_fill(hidden[:, None, :, None] if axis == 2 else hidden[:, None, None, :], 0.0)
    return pictures


def _average(average: dict[str, Tensor], now: Mapping[str, Tensor], decay: float) -> None:
    for name, value in now.items():
        if value.dtype.is_floating_point:
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)


def _levelled(sounds: Tensor) -> Tensor:
    return sounds * (10 ** (LEVEL_DBFS / 20)) / sounds.square().mean(1, keepdim=True).sqrt().clamp(min=1e-7)


def _rooms(seed: int) -> FloatArray:
    """Impulse responses of rooms from their direct sound on, (NUM_ROOMS, ROOM_LENGTH)."""
    responses = np.zeros((NUM_ROOMS, ROOM_LENGTH), np.float32)
    for number, row in enumerate(responses):
        rng = np.random.default_rng([seed, number])
        room = draw_room(rng, rt60_seconds=rng.uniform(0.1, 0.6), distance_metres=rng.uniform(0.3, 2.5))
        response = impulse_response(room, rng, rate=RATE)
        response = response[np.abs(response).argmax() :][:ROOM_LENGTH]
        row[: len(response)] = response
    return responses


def odds(weights: Sequence[float]) -> npt.NDArray[np.float64]:
    """Weights as shares of one."""
    return np.asarray(weights) / np.sum(weights)
