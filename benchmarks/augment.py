"""Promise: no augmentation starves the model; this prints what each one costs a sample on one core.

    python benchmarks/augment.py [--rounds 7] [--only NAME ...] [--recipe voice] [--against]

Sound: 4 s of a synthetic voice at 16 kHz. Pictures: one 256×256 RGB picture; forged faces: 8 frames of it, per frame. Each row is
the median over rounds (another seed each) of processor time in one thread, so a machine that others use does not change it much.
--recipe: the chains of a recipe as a whole, and how many samples a second 1, 2 and 16 such cores feed.
--against: the same job done by audiomentations, where it has it.
"""

from __future__ import annotations

import os

# One core is promised, and torch reads this when it is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from scipy.ndimage import gaussian_filter

from ffdv.augment.audio import SOUND_TRANSFORMS
from ffdv.augment.chain import FORGE_PICTURE, FORGE_SOUND, AugmentSpec, picture_chain, sound_chain
from ffdv.augment.image import PICTURE_TRANSFORMS, TORCHVISION_PARAMETERS
from ffdv.augment.masks import SPECTROGRAM_TRANSFORMS
from ffdv.augment.mix import cut_mix, mix_up
from ffdv.augment.neutralise import neutralise

RATE, SECONDS, SIDE, FRAMES = 16_000, 4.0, 256, 8
WORKERS = (1, 2, 16)

# What the transforms cannot do without.
PICTURE_SETTINGS: dict[str, dict[str, Any]] = {
    "Resize": {"size": [224, 224]},
    "RandomCrop": {"size": [224, 224]},
    "RandomResizedCrop": {"size": [224, 224]},
    "CenterCrop": {"size": 224},
    "Pad": {"padding": 16},
    "RandomHorizontalFlip": {"p": 1.0},
    "RandomVerticalFlip": {"p": 1.0},
    "RandomRotation": {"degrees": 10},
    "RandomAffine": {"degrees": 10, "translate": [0.1, 0.1]},
    "RandomPerspective": {"p": 1.0},
    "ColorJitter": {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3, "hue": 0.05},
    "RandomGrayscale": {"p": 1.0},
    "GaussianBlur": {"kernel_size": 5},
    "RandomAdjustSharpness": {"sharpness_factor": 2, "p": 1.0},
    "RandomAutocontrast": {"p": 1.0},
    "RandomEqualize": {"p": 1.0},
    "RandomInvert": {"p": 1.0},
    "RandomPosterize": {"bits": 4, "p": 1.0},
    "RandomSolarize": {"threshold": 128, "p": 1.0},
    "RandomErasing": {"p": 1.0},
    "ToDtype": {"dtype": "float32", "scale": True},
    "Normalize": {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
}
AUDIOMENTATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "time_stretch": ("TimeStretch", {"min_rate": 0.9, "max_rate": 1.1, "leave_length_unchanged": False}),
    "pitch_shift": ("PitchShift", {"min_semitones": -2, "max_semitones": 2}),
    "white_noise": ("AddGaussianSNR", {"min_snr_db": 10, "max_snr_db": 40}),
    "pink_noise": ("AddColorNoise", {"min_f_decay": -3.01, "max_f_decay": -3.01}),
    "gain": ("Gain", {}),
    "clip": ("ClippingDistortion", {"max_percentile_threshold": 5}),
    "band_limit": ("LowPassFilter", {"min_cutoff_freq": 3000, "max_cutoff_freq": 7500, "zero_phase": True}),
}


@dataclass(frozen=True)
class Job:
    """One row of the table: work(rng) does it once, on `units` samples."""

    kind: str
    name: str
    work: Callable[[np.random.Generator], Any]
    units: int = 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", nargs="*", help="names of transforms")
    parser.add_argument("--recipe", help="a recipe's name or path")
    parser.add_argument("--against", action="store_true", help="audiomentations beside ours")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        soundfile.write(Path(folder) / "noise.wav", 0.1 * np.random.default_rng(0).standard_normal(5 * 44_100), 44_100)
        jobs = list(recipe_jobs(asked.recipe) if asked.recipe else all_jobs(Path(folder), against=asked.against))
        print(f"{'kind':12s} {'transform':26s} {'ms a sample':>11s} {'worst':>7s} {'a second':>9s}")
        for job in jobs:
            if not asked.only or job.name in asked.only:
                report(job, asked.rounds, feeds=bool(asked.recipe))
    return 0


def report(job: Job, rounds: int, *, feeds: bool) -> None:
    job.work(np.random.default_rng(99))  # imports and caches
    spent = []
    for seed in range(rounds):
        rng = np.random.default_rng(seed)
        before = time.process_time()
        job.work(rng)
        spent.append(1000 * (time.process_time() - before) / job.units)
    middle = statistics.median(spent)
    if feeds:  # a recipe's steps happen only now and then: what counts is the mean
        middle = statistics.fmean(spent)
    rate = 1000 / max(middle, 1e-3)
    print(f"{job.kind:12s} {job.name:26s} {middle:11.2f} {max(spent):7.1f} {rate:9.0f}", flush=True)
    if feeds:
        print("  " + "; ".join(f"{count} cores feed {count * rate:.0f} samples/s" for count in WORKERS))


def all_jobs(folder: Path, *, against: bool) -> Iterator[Job]:
    sound, picture = voice(), photograph()
    extra: dict[str, dict[str, Any]] = {
        "noise_from_files": {"folder": str(folder)},
        "impulse_response": {"folder": str(folder)},
        "audiomentations": {"transform": "TanhDistortion"},
    }
    for name in SOUND_TRANSFORMS:
        chain = sound_chain([{"name": name, **extra.get(name, {})}], rate=RATE)
        yield Job("sound", name, lambda rng, chain=chain: chain(sound, rng))
        if against and name in AUDIOMENTATIONS:
            kind, settings = AUDIOMENTATIONS[name]
            step = {"name": "audiomentations", "transform": kind, "settings": settings}
            theirs = sound_chain([step], rate=RATE)
            yield Job("", f"  audiomentations.{kind}", lambda rng, chain=theirs: chain(sound, rng))
    yield Job("sound", "neutralise", lambda _: neutralise(sound, RATE))
    spectrogram = np.random.default_rng(0).standard_normal((128, 400)).astype(np.float32)
    for name, mask in SPECTROGRAM_TRANSFORMS.items():
        yield Job("spectrogram", name, lambda rng, mask=mask: mask(spectrogram, rng))
    for name in (*TORCHVISION_PARAMETERS, *PICTURE_TRANSFORMS):
        steps = [{"name": name, **PICTURE_SETTINGS.get(name, {})}]
        chain_of_one = picture_chain([{"name": "ToTensor"}, *steps] if name == "Normalize" else steps)
        yield Job("picture", name, lambda rng, chain=chain_of_one: chain(picture, rng))
    yield from mix_jobs()
    other = sound[::-1].copy()
    for name, forge in FORGE_SOUND.items():
        given = {"other": other} if name in ("splice_other", "swap_sound") else {}
        yield Job("forge sound", name, lambda rng, forge=forge, given=given: forge(sound, RATE, rng, **given))
    frames = np.stack([np.roll(picture, 2 * k, axis=1) for k in range(FRAMES)])
    for name, forge_face in FORGE_PICTURE.items():
        given = {"other": frames[::-1].copy()} if name == "blend_other" else {}
        yield Job(
            "forge face",
            f"{name} (a frame)",
            lambda rng, forge=forge_face, given=given: forge(frames, rng, **given),
            units=FRAMES,
        )


def mix_jobs() -> Iterator[Job]:
    import torch

    pictures, labels = torch.rand(32, 3, SIDE, SIDE), torch.zeros(32)
    for mix in (mix_up, cut_mix):
        yield Job("batch of 32", mix.__name__, lambda rng, mix=mix: mix([pictures], labels, rng), units=32)


def recipe_jobs(name: str) -> Iterator[Job]:
    from ffdv.training.plan import load_recipe

    recipe = load_recipe(name)
    spec: AugmentSpec = recipe.augment
    rate = recipe.front_end.sample_rate
    seconds = recipe.loader.window_seconds or SECONDS
    sound = np.resize(voice(rate), round(seconds * rate))
    repeats = 60  # steps have probabilities: many draws make one figure
    chain, pictures = spec.sound_chain(rate), spec.picture_chain()
    plane = photograph()[..., 0]
    yield Job("recipe", f"{name} sound", lambda rng: [chain(sound, rng) for _ in range(repeats)], units=repeats)
    yield Job("recipe", f"{name} picture", lambda rng: [pictures(plane, rng) for _ in range(repeats)], units=repeats)
    masks, forge = spec.spectrogram_chain(), spec.forge_sound_chain()
    bands = (
        np.random.default_rng(0).standard_normal((recipe.front_end.n_bands, round(seconds * 100))).astype(np.float32)
    )
    yield Job("recipe", f"{name} spectrogram", lambda rng: [masks(bands, rng) for _ in range(repeats)], units=repeats)
    if spec.forge_sound:
        other = sound[::-1].copy()
        yield Job(
            "recipe",
            f"{name} forgeries",
            lambda rng: [forge(sound, rate, rng=rng, other=other) for _ in range(repeats)],
            units=repeats,
        )


def voice(rate: int = RATE) -> np.ndarray:
    t = np.arange(round(SECONDS * rate)) / rate
    sound = sum(np.sin(2 * np.pi * 130 * k * t + k) / k for k in range(1, 40)) * (0.6 + 0.4 * np.sin(2 * np.pi * 3 * t))
    sound += 0.05 * np.random.default_rng(0).standard_normal(len(t))
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def photograph() -> np.ndarray:
    rough = np.random.default_rng(0).standard_normal((SIDE, SIDE, 3))
    smooth = gaussian_filter(rough, (3, 3, 0))
    return np.clip(128 + 50 * smooth / smooth.std() + 3 * rough, 0, 255).astype(np.uint8)


if __name__ == "__main__":
    sys.exit(main())
