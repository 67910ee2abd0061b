"""What training does to its material, as one frozen value that a recipe nests, and the chains built from it.

    [[augment.sound]]          waveform → waveform            SoundChain
    [[augment.spectrogram]]    (…, bands, frames) → the same  SpectrogramChain
    [[augment.picture]]        picture → picture              PictureChain (image.py)
    [[augment.forge_sound]]    a real voice → a forged one    ForgeChain: at most one step is taken; the label becomes fake
    [[augment.forge_picture]]  real frames → forged ones      ForgeChain
    [augment.mix]              batch → batch                  mix_batch (mix.py)
    [augment.views]            several looks at test time     make_views, average_views (image.py)

Sounds also know "compose" (steps in a row under one probability) and "one_of" (one of several, by weight).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError

from ffdv.augment.audio import SOUND_TRANSFORMS, separate_channels
from ffdv.augment.forge_agreement import delay_sound, swap_sound
from ffdv.augment.forge_picture import blend_other, drop_frames, jitter_face, self_blend, shift_mouth, temporal_splice
from ffdv.augment.forge_sound import (
    griffin_lim_copy,
    lpc_copy,
    mel_smooth,
    mel_splice,
    partial_copy,
    splice_other,
    world_copy,
)
from ffdv.augment.forgery import ForgedPicture, ForgedSound
from ffdv.augment.image import PictureChain, ViewSpec, checked_picture
from ffdv.augment.masks import SPECTROGRAM_TRANSFORMS, Spectrogram
from ffdv.augment.mix import MixSpec
from ffdv.augment.steps import Step, checked, fields_of, material_of, step_rngs, unknown
from ffdv.errors import RecipeError
from ffdv.records import FloatArray, float_samples

FORGE_SOUND: dict[str, Callable[..., ForgedSound]] = {
    "griffin_lim_copy": griffin_lim_copy,
    "world_copy": world_copy,
    "lpc_copy": lpc_copy,
    "mel_smooth": mel_smooth,
    "mel_splice": mel_splice,
    "partial_copy": partial_copy,
    "splice_other": splice_other,
    "delay_sound": delay_sound,
    "swap_sound": swap_sound,
}
# Of these, what leaves the voice genuine: only that sound and picture belong together is forged.
FORGE_AGREEMENT = frozenset({"delay_sound", "swap_sound"})
FORGE_PICTURE: dict[str, Callable[..., ForgedPicture]] = {
    "self_blend": self_blend,
    "blend_other": blend_other,
    "temporal_splice": temporal_splice,
    "drop_frames": drop_frames,
    "jitter_face": jitter_face,
    "shift_mouth": shift_mouth,
}
_NESTING = ("compose", "one_of")


def _checked_sound(raw: Any) -> dict[str, Any]:
    fields = fields_of(raw)
    name = fields.get("name")
    if name not in _NESTING:
        if name not in SOUND_TRANSFORMS:
            raise ValueError(unknown(name, {*SOUND_TRANSFORMS, *_NESTING}, what="sound transform"))
        return checked(fields, SOUND_TRANSFORMS, what="sound")
    known = ("name", "probability", "steps") + (("weights",) if name == "one_of" else ())
    for key in fields:
        if key not in known:
            raise ValueError(f"{name}: {unknown(key, known, what='parameter')}")
    steps = tuple(Step(**_checked_sound(inner)) for inner in fields.get("steps", ()))
    if not steps:
        raise ValueError(f"{name}: needs steps = [{{ name = ... }}, ...]")
    weights = fields.get("weights")
    if weights is not None and (len(weights) != len(steps) or min(weights) < 0 or sum(weights) <= 0):
        raise ValueError(f"{name}: weights must be one non-negative number for each of the {len(steps)} steps")
    return {**fields, "steps": steps}


def _checked_spectrogram(raw: Any) -> dict[str, Any]:
    return checked(raw, SPECTROGRAM_TRANSFORMS, what="spectrogram")


def _checked_forge_sound(raw: Any) -> dict[str, Any]:
    return checked(raw, FORGE_SOUND, what="sound forging")


def _checked_forge_picture(raw: Any) -> dict[str, Any]:
    return checked(raw, FORGE_PICTURE, what="picture forging")


SoundStep = Annotated[Step, BeforeValidator(_checked_sound)]
SpectrogramStep = Annotated[Step, BeforeValidator(_checked_spectrogram)]
PictureStep = Annotated[Step, BeforeValidator(checked_picture)]
ForgeSoundStep = Annotated[Step, BeforeValidator(_checked_forge_sound)]
ForgePictureStep = Annotated[Step, BeforeValidator(_checked_forge_picture)]


class AugmentSpec(BaseModel):
    """Everything that happens to training material; empty = nothing. See the module's drawing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sound: tuple[SoundStep, ...] = ()
    spectrogram: tuple[SpectrogramStep, ...] = ()
    picture: tuple[PictureStep, ...] = ()
    forge_sound: tuple[ForgeSoundStep, ...] = ()
    forge_picture: tuple[ForgePictureStep, ...] = ()
    mix: MixSpec = MixSpec()
    views: ViewSpec | None = None

    def sound_chain(self, rate: int) -> SoundChain:
        """What sound at `rate` Hz goes through."""
        return SoundChain(self.sound, rate)

    def spectrogram_chain(self) -> SpectrogramChain:
        """What spectrograms go through."""
        return SpectrogramChain(self.spectrogram)

    def picture_chain(self) -> PictureChain:
        """What pictures go through."""
        return PictureChain(self.picture)

    def forge_sound_chain(self) -> ForgeChain:
        """What makes a real voice a forged one, some of the time."""
        return ForgeChain(self.forge_sound, FORGE_SOUND)

    def forge_picture_chain(self) -> ForgeChain:
        """What makes real frames forged ones, some of the time."""
        return ForgeChain(self.forge_picture, FORGE_PICTURE)


@dataclass(frozen=True)
class SoundChain:
    """Sound steps in order at one rate: (samples (n,) or (channels, n), rng) → samples (m,)."""

    steps: tuple[Step, ...]
    rate: int

    def __call__(self, samples: FloatArray, rng: np.random.Generator) -> FloatArray:
        """The changed sound, finite float32. Several channels are averaged unless the first step separates them.

        Raises ValueError on samples that are no finite sound, RecipeError where a step makes such, naming the step.
        """
        samples = float_samples(samples, channels=True)
        rngs = step_rngs(self.steps, rng)
        for step, own in zip(self.steps, rngs, strict=True):
            if samples.ndim == 2 and step.name != "separate_channels":
                samples = separate_channels(samples, self.rate, rng, take=("mid",))
            if own is not None:
                samples = _made(step, _apply_sound(step, samples, self.rate, own))
        return samples if samples.ndim == 1 else separate_channels(samples, self.rate, rng, take=("mid",))


@dataclass(frozen=True)
class SpectrogramChain:
    """Masks in order: (spectrogram (…, bands, frames), rng) → the same kind and shape."""

    steps: tuple[Step, ...]

    def __call__(self, spectrogram: Spectrogram, rng: np.random.Generator) -> Spectrogram:
        """The masked spectrogram; the given one is left as it is."""
        for step, own in zip(self.steps, step_rngs(self.steps, rng), strict=True):
            if own is not None:
                spectrogram = SPECTROGRAM_TRANSFORMS[step.name](spectrogram, own, **step.settings)
        return spectrogram


@dataclass(frozen=True)
class ForgeChain:
    """Forgeries to choose from: at most one is made, each with its step's probability.

    Where the probabilities sum to more than one, they are shares and every clip is forged.
    """

    steps: tuple[Step, ...]
    methods: Mapping[str, Callable[..., ForgedSound | ForgedPicture]]

    def __call__(self, *material: Any, rng: np.random.Generator, **extra: Any) -> ForgedSound | ForgedPicture | None:
        """A forgery of (samples, rate) or (frames,), or None to leave the clip real.

        extra: `other` (samples or frames of another clip), `landmarks`, `box`, `fps`, as far as they are there; a step that
        needs one which is missing is not chosen.
        """
        usable = [step for step in self.steps if _has_material(self.methods[step.name], extra)]
        weights = np.array([step.probability for step in usable])
        none_left = max(0.0, 1.0 - weights.sum()) if len(weights) else 1.0
        shares = np.append(weights, none_left) / (weights.sum() + none_left)
        chosen = int(rng.choice(len(shares), p=shares))
        if chosen == len(usable):
            return None
        method = self.methods[usable[chosen].name]
        known = {key: value for key, value in extra.items() if key in material_of(method) and value is not None}
        return method(*material, rng, **known, **usable[chosen].settings)


def sound_chain(steps: Iterable[Mapping[str, Any] | Step], *, rate: int) -> SoundChain:
    """A sound chain from plain mappings. Raises RecipeError with one sentence for what is wrong."""
    try:
        return SoundChain(TypeAdapter(tuple[SoundStep, ...]).validate_python(tuple(steps)), rate)
    except ValidationError as error:
        raise RecipeError(_sentences(error)) from error


def picture_chain(steps: Iterable[Mapping[str, Any] | Step]) -> PictureChain:
    """A picture chain from plain mappings. Raises RecipeError with one sentence for what is wrong."""
    try:
        return PictureChain(TypeAdapter(tuple[PictureStep, ...]).validate_python(tuple(steps)))
    except ValidationError as error:
        raise RecipeError(_sentences(error)) from error


def _sentences(error: ValidationError) -> str:
    return "; ".join(detail["msg"].removeprefix("Value error, ") for detail in error.errors())


def _apply_sound(step: Step, samples: FloatArray, rate: int, rng: np.random.Generator) -> FloatArray:
    settings = step.settings
    if step.name not in _NESTING:
        return SOUND_TRANSFORMS[step.name](samples, rate, rng, **settings)
    steps: tuple[Step, ...] = settings["steps"]
    if step.name == "one_of":
        weights = settings.get("weights")
        shares = np.asarray(weights, float) / np.sum(weights) if weights else None
        steps = (steps[int(rng.choice(len(steps), p=shares))],)
    return SoundChain(steps, rate)(samples, rng)


def _made(step: Step, samples: FloatArray) -> FloatArray:
    """What a step gave, if the next one can take it: an own transform may divide by zero, and an encoder must not meet that."""
    try:
        return float_samples(samples, channels=True)
    except ValueError as error:
        raise RecipeError(f"augment.sound: {step.name!r} made no sound of what it got: {error}") from error


def _has_material(method: Callable[..., Any], extra: Mapping[str, Any]) -> bool:
    """Whether every material that the method cannot do without is there."""
    given = inspect.signature(method).parameters
    needed = [name for name in material_of(method) if given[name].default is inspect.Parameter.empty]
    return all(extra.get(name) is not None for name in needed)
