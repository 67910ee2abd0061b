"""Is an augmentation worth its place? The default recipe plus each family by itself, judged on generators never trained on.

    python benchmarks/ablation.py --data SHARDS --out DIR [--only NAME ...] [--seeds 3] [--epochs 5] [--base voice] [--set table.key=value]

For recipes of sound SHARDS must name a train and a dev split; training and the choice of the epoch see the train split alone (validation
is drawn from it by speakers and sources), and the numbers are of the dev split. With --base faces-sbi or faces-efficientnet crops are
changed, and each seed holds other people and sources out, a quarter of the clips. Runs that are there already are not trained again.
The nets are smaller than the recipe's own (64 bands, 2 s, pictures 100×64; 4 crops of 112×112), so that a table takes an evening on
one core: read the differences. --set makes them larger.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SMALL = (
    "split.by=corpus",
    "split.validation=[]",
    'split.test=["dev"]',
    "split.calibration_share=0.0",
    "loader.window_seconds=2.0",
    "loader.hop_seconds=2.0",
    "loader.workers=0",
    "front_end.n_bands=64",
    "model.picture_size=[100, 64]",
)
GEOMETRY = (
    '{name = "RandomRotation", degrees = 10}',
    '{name = "RandomAffine", degrees = 0, translate = [0.1, 0.1]}',
    '{name = "RandomPerspective", p = 0.3}',
)


def sound(*steps: str) -> tuple[str, ...]:
    """These steps on the waveform."""
    return (f"augment.sound=[{', '.join(steps)}]",)


def picture(*steps: str) -> tuple[str, ...]:
    """These steps on the spectrogram picture, or on crops."""
    return (f"augment.picture=[{', '.join(steps)}]",)


# family → settings on top of SMALL; "default" is the recipe as it stands
FAMILIES: dict[str, tuple[str, ...]] = {
    "default": (),
    "masks": (
        'augment.spectrogram=[{name = "frequency_mask", share = [0.0, 0.15]}, {name = "time_mask", share = [0.0, 0.1]}]',
    ),
    "noise": sound('{name = "white_noise", probability = 0.4}', '{name = "pink_noise", probability = 0.4}'),
    "codecs": sound(
        '{name = "one_of", probability = 0.6, steps = [{name = "mp3"}, {name = "aac"}, {name = "opus"}, {name = "g711"}]}'
    ),
    "rooms": sound('{name = "reverberate", probability = 0.5}'),
    "pitch, stretch, speed": sound(
        '{name = "one_of", probability = 0.6, steps = [{name = "pitch_shift"}, {name = "time_stretch"}, {name = "change_speed"}]}'
    ),
    "gain and clipping": sound('{name = "gain", probability = 0.5}', '{name = "clip", probability = 0.3}'),
    "band limit": sound('{name = "band_limit", probability = 0.5}'),
    "rawboost": sound('{name = "rawboost", probability = 0.5}'),
    "forged voices": (
        (
            'augment.forge_sound=[{name = "griffin_lim_copy", probability = 0.1}, {name = "world_copy", probability = 0.1}, '
            '{name = "mel_smooth", probability = 0.1}]'
        ),
    ),
    "MixUp": ("augment.mix.mixup_alpha=0.4",),
    "CutMix": ("augment.mix.cutmix_alpha=1.0",),
    "flips": picture('{name = "RandomHorizontalFlip"}', '{name = "RandomVerticalFlip"}'),
    "geometry": picture(*GEOMETRY),
    "crops": picture('{name = "RandomResizedCrop", size = [64, 100], scale = [0.6, 1.0]}'),
    "colour and blur": picture(
        '{name = "ColorJitter", brightness = 0.3, contrast = 0.3}',
        '{name = "GaussianBlur", kernel_size = 3}',
        '{name = "RandomInvert", p = 0.2}',
        '{name = "RandomPosterize", bits = 4, p = 0.2}',
        '{name = "RandomSolarize", threshold = 128, p = 0.2}',
    ),
    "AutoAugment": picture('{name = "AutoAugment"}'),
    "RandAugment": picture('{name = "RandAugment"}'),
    "TrivialAugmentWide": picture('{name = "TrivialAugmentWide"}'),
    "AugMix": picture('{name = "AugMix"}'),
    "TenCrop at test time": ('augment.views={name = "TenCrop", size = [56, 88]}',),
    "FiveCrop at test time": ('augment.views={name = "FiveCrop", size = [56, 88]}',),
    "RandomCrop, CenterCrop": picture(
        '{name = "RandomCrop", size = [64, 100], padding = 6}',
        '{name = "CenterCrop", size = [64, 100], probability = 0.5}',
    ),
    "grey": picture('{name = "RandomGrayscale", p = 0.5}'),
    "JPEG, rescaling, pixel noise": picture(
        '{name = "JPEG", probability = 0.3}',
        '{name = "Rescale", probability = 0.3}',
        '{name = "PixelNoise", probability = 0.3}',
    ),
}

# The same for crops of faces, on corpora without a dev split: each seed holds other people and sources out.
FACES_SMALL = (
    "split.by=group",
    "split.test_share=0.25",
    "split.calibration_share=0.0",
    "loader.workers=0",
    "faces.frames=4",
    "model.picture_size=[112, 112]",
)
FLIP, JPEG = '{name = "RandomHorizontalFlip"}', '{name = "JPEG", probability = 0.3, quality = [45, 95]}'
COLOUR = '{name = "ColorJitter", probability = 0.3, brightness = 0.2, contrast = 0.2, saturation = 0.2}'


def crops(*steps: str) -> tuple[str, ...]:
    """The recipe's steps on the crops (flip, JPEG, colour), and these."""
    return picture(FLIP, JPEG, COLOUR, *steps)


FACES_FAMILIES: dict[str, tuple[str, ...]] = {
    "default": (),
    "nothing": picture(),
    "without flips": picture(JPEG, COLOUR),
    "without JPEG": picture(FLIP, COLOUR),
    "without colour": picture(FLIP, JPEG),
    "geometry": crops(*GEOMETRY),
    "crops": crops('{name = "RandomResizedCrop", size = [112, 112], scale = [0.6, 1.0]}'),
    "grey, blur, invert": crops(
        '{name = "RandomGrayscale", p = 0.2}',
        '{name = "GaussianBlur", kernel_size = 3, probability = 0.3}',
        '{name = "RandomInvert", p = 0.1}',
    ),
    "video codecs": crops('{name = "H264", probability = 0.3}'),
    "rescaling": crops('{name = "Rescale", probability = 0.3}'),
    "noise": crops('{name = "PixelNoise", probability = 0.3}'),
    "AutoAugment": crops('{name = "AutoAugment"}'),
    "RandAugment": crops('{name = "RandAugment"}'),
    "TrivialAugmentWide": crops('{name = "TrivialAugmentWide"}'),
    "AugMix": crops('{name = "AugMix"}'),
    "MixUp": ("augment.mix.mixup_alpha=0.4",),
    "CutMix": ("augment.mix.cutmix_alpha=1.0",),
}


def on_faces(options: argparse.Namespace) -> bool:
    """Whether the recipe looks at crops of faces."""
    return str(options.base).startswith("faces")


def families(options: argparse.Namespace) -> dict[str, tuple[str, ...]]:
    """What there is for this recipe."""
    return FACES_FAMILIES if on_faces(options) else FAMILIES


def run_one(family: str, seed: int, options: argparse.Namespace) -> dict[str, float]:
    """Train and judge once, or read what an earlier run wrote: auc, low, high, validation_auc."""
    from ffdv.training.evaluate import evaluate
    from ffdv.training.plan import recipe_toml
    from ffdv.training.run import resolve, train

    small = (*FACES_SMALL, f"split.seed={seed}") if on_faces(options) else SMALL
    name = "".join(letter if letter.isalnum() else "-" for letter in family)
    folder = options.out / f"{name}-{seed}"
    result = folder / "ablation.json"
    settings = (*small, *options.set, *families(options)[family])
    as_before = recipe_toml(resolve(options.base, overrides=settings, epochs=options.epochs, seed=seed))
    if result.is_file() and (folder / "recipe.toml").read_text() != as_before:
        raise SystemExit(f"{folder}: was trained by another recipe; give another --out")
    if not result.is_file():
        summary = train(
            options.base,
            data=options.data,
            out=folder,
            epochs=options.epochs,
            overrides=settings,
            seed=seed,
            export=False,
        )
        table = evaluate(folder, data=options.data, split="test", resamples=500)
        auc = table.overall.numbers["auc"]
        numbers = {
            "auc": auc.value,
            "low": auc.low,
            "high": auc.high,
            "real": table.overall.num_real,
            "fake": table.overall.num_fake,
            "validation_auc": float("nan") if summary.best is None or summary.best.auc is None else summary.best.auc,
            "seconds": summary.seconds,
        }
        result.write_text(json.dumps(numbers))
    found: dict[str, float] = json.loads(result.read_text())
    return found


def rows(options: argparse.Namespace) -> Iterator[tuple[str, list[dict[str, float]]]]:
    """Every family with its seeds; the families of --once with one."""
    for family in options.only or families(options):
        seeds = range(1 if family in options.once else options.seeds)
        yield family, [run_one(family, seed, options) for seed in seeds]


def main() -> None:
    """Print the table, each family as it is done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", metavar="FAMILY", help="of the recipe's kind")
    parser.add_argument("--once", nargs="*", metavar="FAMILY", default=[], help="families with one seed")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--base", default="voice")
    parser.add_argument(
        "--set", action="append", default=[], help="table.key=value after the small settings, for all families"
    )
    options = parser.parse_args()
    unknown = sorted({*(options.only or []), *options.once} - set(families(options)))
    if unknown:
        parser.error(
            f"no family {', '.join(unknown)} with --base {options.base}; there are {', '.join(families(options))}"
        )
    import torch

    torch.set_num_threads(1)
    base: list[dict[str, float]] = []
    print(
        "| family | dev AUC by seed | mean | against default | interval of the first | validation |\n|---|---|---|---|---|---|"
    )
    for family, found in rows(options):
        base = found if family == "default" else base
        aucs = np.array([each["auc"] for each in found])
        same = np.array([each["auc"] for each in base[: len(found)]]) if base else np.array([])
        gain = f"{(aucs - same).mean():+.3f} ± {(aucs - same).std():.3f}" if len(same) == len(aucs) else ""
        print(
            f"| {family} | {' '.join(f'{auc:.3f}' for auc in aucs)} | {aucs.mean():.3f} | {gain} | "
            f"[{found[0]['low']:.3f}, {found[0]['high']:.3f}] | {np.mean([each['validation_auc'] for each in found]):.3f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
