"""Where a recipe's augmentations take place: sounds in the loader, batches before the net, pictures within it.

    clip ─ forgery, sound chain (loader's workers) ─▶ batch ─ MixUp, CutMix ─▶ net: spectrogram ─ masks, picture chain ─▶ encoder

Luck in the loader is the clip's own; on the batch and in the net it comes from torch's generator, which a checkpoint keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ffdv.augment.chain import FORGE_SOUND, AugmentSpec, ForgeChain, SoundChain
from ffdv.augment.forgery import ForgedSound
from ffdv.augment.mix import MixSpec, mix_batch
from ffdv.augment.steps import Step, material_of
from ffdv.data.loader import Augment, Borrow, Forge
from ffdv.records import FloatArray

# (samples (rows, n), lengths (rows,), labels (rows,), share of the training done) → the same three, mixed
Mix = Callable[[Tensor, Tensor, Tensor, float], tuple[Tensor, Tensor, Tensor]]


def sound_augment(spec: AugmentSpec) -> Augment | None:
    """What the loader does to each window while training; None when that is nothing."""
    return SoundAugment(spec.sound) if spec.sound else None


@dataclass(frozen=True)
class SoundAugment:
    """The sound steps as the loader calls them; picklable, for its workers."""

    steps: tuple[Step, ...]

    def __call__(self, samples: FloatArray, rate: int, rng: np.random.Generator) -> FloatArray:
        """Samples (n,) → (m,), at `rate` Hz."""
        return SoundChain(self.steps, rate)(samples, rng)


def sound_forge(spec: AugmentSpec) -> Forge | None:
    """What makes forgeries of real windows while training; None when nothing does."""
    return SoundForge(spec.forge_sound) if spec.forge_sound else None


@dataclass(frozen=True)
class SoundForge:
    """The forging steps as the loader calls them; picklable, for its workers. Another voice is read only where one is needed."""

    steps: tuple[Step, ...]

    def __call__(self, samples: FloatArray, rate: int, rng: np.random.Generator, borrow: Borrow) -> FloatArray | None:
        """A forgery of samples (n,), or None to leave them real: also where it would have no forged stretch."""
        chain = ForgeChain(self.steps, FORGE_SOUND)
        needs = any("other" in material_of(FORGE_SOUND[step.name]) for step in self.steps)
        forged = chain(samples, rate, rng=rng, other=borrow(rng) if needs else None)
        return forged.samples if isinstance(forged, ForgedSound) and forged.segments else None


def picture_change(spec: AugmentSpec) -> Callable[[Tensor], Tensor] | None:
    """What a net does to its pictures (clips, 1, h, w) while it trains, each by its own luck; None when that is nothing."""
    if not spec.spectrogram and not spec.picture:
        return None
    masks, chain = spec.spectrogram_chain(), spec.picture_chain()

    def change(pictures: Tensor) -> Tensor:
        """Masks first, then the picture chain."""
        rngs = _rngs(len(pictures))
        if masks.steps:
            pictures = torch.stack([masks(picture, rng) for picture, rng in zip(pictures, rngs, strict=True)])
        return chain.on_batch(pictures, rngs) if chain.steps else pictures

    return change


def batch_mix(spec: MixSpec) -> Mix | None:
    """MixUp or CutMix of sounds in a batch; labels become shares of fake in [0, 1]. None when it is off."""
    if spec.mixup_alpha == spec.cutmix_alpha == 0.0:
        return None

    def mix(samples: Tensor, lengths: Tensor, labels: Tensor, progress: float) -> tuple[Tensor, Tensor, Tensor]:
        """The batch, mixed as far as the spec wants at this point of the training."""
        mixed = mix_batch([samples], labels.float(), _rngs(1)[0], spec=spec, progress=progress, lengths=lengths)
        longer = lengths if mixed.lengths is None else mixed.lengths
        return mixed.inputs[0], longer, mixed.labels

    return mix


def _rngs(count: int) -> list[np.random.Generator]:
    """Generators drawn from torch's."""
    return [np.random.default_rng(seed) for seed in torch.randint(2**62, (count,)).tolist()]
