"""Every transform at three strengths, as values: what the gallery page shows and plays.

No drawing here: the page turns sounds into spectrograms and players, pictures into tiles. Entries come in the order of the tables,
each transform as weak, medium, strong, so a page is a row a transform and four columns with the original.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ffdv.augment.audio import SOUND_TRANSFORMS
from ffdv.augment.chain import FORGE_PICTURE, FORGE_SOUND, picture_chain, sound_chain
from ffdv.augment.forgery import Segments
from ffdv.augment.image import PICTURE_TRANSFORMS, TORCHVISION_PARAMETERS
from ffdv.augment.masks import SPECTROGRAM_TRANSFORMS, Spectrogram
from ffdv.augment.steps import checked_settings, material_of
from ffdv.records import FloatArray, PixelArray

Family = Literal["sound", "spectrogram", "picture", "forged sound", "forged face"]
Strength = Literal["weak", "medium", "strong"]
Settings = Mapping[str, Any]

STRENGTHS: tuple[Strength, ...] = get_args(Strength)


@dataclass(frozen=True)
class GalleryEntry:
    """One tile: which transform at which strength with which settings, and what came of it.

    about: the transform's promise in one sentence; exactly one of sound (n,), spectrogram and pixels is there (pixels
    (h, w, 3), or (frames, h, w, 3) where time matters); segments: forged stretches in seconds.
    """

    family: Family
    name: str
    strength: Strength
    settings: Settings
    about: str
    sound: FloatArray | None = None
    spectrogram: Spectrogram | None = None
    pixels: PixelArray | None = None
    segments: Segments = ()


def _three(key: str, weak: Any, medium: Any, strong: Any, **fixed: Any) -> tuple[Settings, Settings, Settings]:
    """One parameter at three values, the others fixed."""
    return {key: weak, **fixed}, {key: medium, **fixed}, {key: strong, **fixed}


def _alike(**settings: Any) -> tuple[Settings, Settings, Settings]:
    """No strength to choose: three draws of the same settings."""
    return settings, settings, settings


SOUND_STRENGTHS: dict[str, tuple[Settings, Settings, Settings]] = {
    "separate_channels": ({"take": ["mid"]}, {"take": ["left"]}, {"take": ["side"]}),
    "time_stretch": _three("factor", 1.05, 1.2, 1.5),
    "pitch_shift": _three("semitones", 1, 3, 6),
    "change_speed": _three("factor", 1.05, 1.15, 1.4),
    "white_noise": _three("snr_db", 30, 15, 5),
    "pink_noise": _three("snr_db", 30, 15, 5),
    "noise_from_files": _three("snr_db", 25, 12, 3),
    "reverberate": _three("rt60_seconds", 0.2, 0.5, 1.2, distance_metres=1.5),
    "impulse_response": _alike(),
    "gain": _three("decibels", -3, -9, -20),
    "clip": _three("share", 0.01, 0.08, 0.3),
    "band_limit": _three("high_hz", 6000, 3400, 1800),
    "mp3": _three("kbps", 96, 32, 8),
    "aac": _three("kbps", 96, 32, 10),
    "opus": _three("kbps", 48, 16, 6),
    "g711": ({"laws": ["a"]}, {"laws": ["mu"]}, {"laws": ["mu"]}),
    "g722": _alike(),
    "amr": _three("kbps", 12.2, 7.4, 4.75),
    "rawboost": _three("snr_db", 35, 20, 10),
    "convolutive_noise": _three("nonlinear_decibels", -25, -12, 0),
    "impulsive_noise": _three("share", 0.01, 0.05, 0.2),
    "stationary_noise": _three("snr_db", 35, 20, 8),
    "trim_silence": _three("below_db", -50, -35, -20),
    "set_rms": _three("dbfs", -20, -30, -40),
    "set_loudness": _three("lufs", -18, -26, -36),
    "audiomentations": (
        {"transform": "TanhDistortion", "settings": {"min_distortion": 0.1, "max_distortion": 0.1}},
        {"transform": "TanhDistortion", "settings": {"min_distortion": 0.4, "max_distortion": 0.4}},
        {"transform": "TanhDistortion", "settings": {"min_distortion": 0.8, "max_distortion": 0.8}},
    ),
}
SPECTROGRAM_STRENGTHS: dict[str, tuple[Settings, Settings, Settings]] = {
    "frequency_mask": _three("share", 0.05, 0.12, 0.25, count=2),
    "time_mask": _three("share", 0.04, 0.1, 0.2, count=2),
}
PICTURE_STRENGTHS: dict[str, tuple[Settings, Settings, Settings]] = {
    "Resize": _three("size", [192, 192], [96, 96], [48, 48]),
    "RandomCrop": _three("size", [224, 224], [160, 160], [96, 96], pad_if_needed=True),
    "RandomResizedCrop": _three("scale", [0.8, 0.8], [0.5, 0.5], [0.2, 0.2], size=[224, 224]),
    "CenterCrop": _three("size", 224, 160, 96),
    "Pad": _three("padding", 8, 24, 64),
    "RandomHorizontalFlip": _alike(p=1.0),
    "RandomVerticalFlip": _alike(p=1.0),
    "RandomRotation": _three("degrees", [5, 5], [15, 15], [45, 45], interpolation="bilinear"),
    "RandomAffine": _three("shear", [5, 5], [15, 15], [30, 30], degrees=0, interpolation="bilinear"),
    "RandomPerspective": _three("distortion_scale", 0.15, 0.35, 0.7, p=1.0),
    "ElasticTransform": _three("alpha", 20.0, 60.0, 150.0),
    "ColorJitter": _three("brightness", [1.1, 1.1], [1.4, 1.4], [2.0, 2.0]),
    "Grayscale": _alike(num_output_channels=3),
    "RandomGrayscale": _alike(p=1.0),
    "GaussianBlur": _three("sigma", 0.7, 1.5, 4.0, kernel_size=15),
    "RandomAdjustSharpness": _three("sharpness_factor", 1.5, 3.0, 8.0, p=1.0),
    "RandomAutocontrast": _alike(p=1.0),
    "RandomEqualize": _alike(p=1.0),
    "RandomInvert": _alike(p=1.0),
    "RandomPosterize": _three("bits", 5, 3, 1, p=1.0),
    "RandomSolarize": _three("threshold", 220, 160, 80, p=1.0),
    "RandomErasing": _three("scale", [0.03, 0.03], [0.1, 0.1], [0.3, 0.3], p=1.0),
    "AutoAugment": _alike(),
    "RandAugment": _three("magnitude", 4, 9, 20),
    "TrivialAugmentWide": _alike(),
    "AugMix": _three("severity", 1, 3, 9),
    "ToTensor": _alike(),
    "ToImage": _alike(),
    "ToDtype": _alike(dtype="float32", scale=True),
    "Normalize": _alike(mean=[0.5], std=[0.5]),
    "JPEG": _three("quality", 80, 40, 8),
    "H264": _three("quality", 24, 34, 46),
    "HEVC": _three("quality", 26, 36, 48),
    "Rescale": _three("scale", 0.6, 0.3, 0.12),
    "PixelNoise": _three("sigma", 3, 10, 30),
}
FORGE_SOUND_STRENGTHS: dict[str, tuple[Settings, Settings, Settings]] = {
    "griffin_lim_copy": _three("iterations", 100, 32, 4, n_ffts=[1024], mel_bands=[80]),
    "world_copy": _three("envelope_sizes", [0], [60], [16]),
    "lpc_copy": _three("order", 28, 16, 8),
    "mel_smooth": _three("time_frames", 0.5, 1.5, 4.0),
    "mel_splice": _three("share", 0.1, 0.25, 0.5),
    "partial_copy": _three("share", 0.1, 0.3, 0.6, methods=["griffin_lim_copy"]),
    "splice_other": _three("share", 0.1, 0.3, 0.6),
    "delay_sound": _three("seconds", 0.1, 0.4, 1.0),
    "swap_sound": _alike(),
}
FORGE_PICTURE_STRENGTHS: dict[str, tuple[Settings, Settings, Settings]] = {
    "self_blend": _three("strength", 0.3, 0.8, 2.0, regions=["face"], ratios=[1.0]),
    "blend_other": _three("strength", 0.1, 0.5, 1.5, regions=["face"]),
    "temporal_splice": _three("share", 0.1, 0.3, 0.6),
    "drop_frames": _three("run", 1, 4, 10, how=["freeze"]),
    "jitter_face": _three("pixels", 0.5, 2.0, 6.0),
    "shift_mouth": _three("seconds", 0.08, 0.3, 0.8),
}
# Shapes without a look of their own: nothing to show.
_INVISIBLE = frozenset({"ToTensor", "ToImage", "ToDtype", "Normalize"})


def sound_gallery(
    samples: FloatArray, rate: int, *, seed: int = 0, folder: str | None = None, other: FloatArray | None = None
) -> Iterator[GalleryEntry]:
    """Every sound transform and every forged voice of samples (n,) or (2, n).

    folder: recordings for noise_from_files and impulse_response; other: another voice for what needs one. Without them
    those transforms are left out. Entries are made one by one, so that a page can show progress.
    """
    for name in SOUND_TRANSFORMS:
        needs_folder = name in ("noise_from_files", "impulse_response")
        if needs_folder and folder is None:
            continue
        for strength, settings in zip(STRENGTHS, SOUND_STRENGTHS[name], strict=True):
            given = {**settings, "folder": folder} if needs_folder else settings
            chain = sound_chain([{"name": name, **given}], rate=rate)
            changed = chain(samples, np.random.default_rng(seed))
            yield GalleryEntry("sound", name, strength, settings, _promise(SOUND_TRANSFORMS[name]), sound=changed)
    mono = samples if samples.ndim == 1 else samples.mean(axis=0, dtype=np.float32)
    for name, forge in FORGE_SOUND.items():
        if other is None and name in ("splice_other", "swap_sound"):
            continue
        for strength, settings in zip(STRENGTHS, FORGE_SOUND_STRENGTHS[name], strict=True):
            material = {"other": other} if "other" in material_of(forge) else {}
            complete = checked_settings(name, forge, settings)
            forged = forge(mono, rate, np.random.default_rng(seed), **material, **complete)
            yield GalleryEntry(
                "forged sound",
                name,
                strength,
                settings,
                _promise(forge),
                sound=forged.samples,
                segments=forged.segments,
            )


def spectrogram_gallery(spectrogram: Spectrogram, *, seed: int = 0) -> Iterator[GalleryEntry]:
    """Every mask on a spectrogram (…, bands, frames)."""
    for name, mask in SPECTROGRAM_TRANSFORMS.items():
        for strength, settings in zip(STRENGTHS, SPECTROGRAM_STRENGTHS[name], strict=True):
            complete = checked_settings(name, mask, settings)
            masked = mask(spectrogram, np.random.default_rng(seed), **complete)
            yield GalleryEntry("spectrogram", name, strength, settings, _promise(mask), spectrogram=masked)


def picture_gallery(picture: PixelArray, *, seed: int = 0) -> Iterator[GalleryEntry]:
    """Every picture transform that can be seen, on one picture (h, w, 3); sizes are meant for 256 pixels a side."""
    for name in (*TORCHVISION_PARAMETERS, *PICTURE_TRANSFORMS):
        if name in _INVISIBLE:
            continue
        about = _promise(PICTURE_TRANSFORMS[name]) if name in PICTURE_TRANSFORMS else "torchvision.transforms.v2"
        for number, (strength, settings) in enumerate(zip(STRENGTHS, PICTURE_STRENGTHS[name], strict=True)):
            # Where there is no strength to choose, three draws are shown.
            drawn = seed + number if PICTURE_STRENGTHS[name][0] is PICTURE_STRENGTHS[name][2] else seed
            changed = picture_chain([{"name": name, **settings}])(picture, np.random.default_rng(drawn))
            yield GalleryEntry("picture", name, strength, settings, about, pixels=changed)


def face_gallery(
    frames: PixelArray,
    *,
    seed: int = 0,
    fps: float = 25.0,
    other: PixelArray | None = None,
    landmarks: Any = None,
    box: Any = None,
) -> Iterator[GalleryEntry]:
    """Every forged face of frames (frames, h, w, 3); other: frames of another person, without which blend_other is left out."""
    extra = {"fps": fps, "other": other, "landmarks": landmarks, "box": box}
    for name, forge in FORGE_PICTURE.items():
        if name == "blend_other" and other is None:
            continue
        material = {key: value for key, value in extra.items() if key in material_of(forge) and value is not None}
        for strength, settings in zip(STRENGTHS, FORGE_PICTURE_STRENGTHS[name], strict=True):
            complete = checked_settings(name, forge, settings)
            forged = forge(frames, np.random.default_rng(seed), **material, **complete)
            yield GalleryEntry(
                "forged face",
                name,
                strength,
                settings,
                _promise(forge),
                pixels=forged.pixels,
                segments=forged.segments,
            )


def _promise(transform: Callable[..., Any]) -> str:
    """The first line of a docstring."""
    return (transform.__doc__ or "").strip().split("\n")[0]
