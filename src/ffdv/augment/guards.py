"""Plain warnings for augmentation that makes material which no camera and no microphone could have made.

It stays allowed, the published pipeline does some of it; but whoever does it should know why it may hurt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from ffdv.augment.chain import AugmentSpec
from ffdv.augment.steps import Step
from ffdv.records import Note

Domain = Literal["spectrogram", "face"]

# What each step does to a spectrogram, whose axes are time and frequency and whose values are decibels.
_ON_SPECTROGRAMS: dict[str, str] = {
    "RandomVerticalFlip": "turns the spectrogram upside down: high tones become low ones, which no recording shows",
    "RandomHorizontalFlip": "plays the spectrogram backwards: speech decays where it should set in",
    "RandomRotation": "mixes time with frequency: a steady tone becomes a sweep, and the band limit a slope",
    "RandomPerspective": "mixes time with frequency: distances in hertz and seconds change across the picture",
    "ElasticTransform": "bends harmonics, which are straight multiples of the pitch in every real voice",
    "RandomInvert": "makes loud quiet and quiet loud",
    "RandomSolarize": "makes the loudest parts quiet",
    "ColorJitter": "changes the loudness of all bands; hue and saturation do nothing to a grey picture",
    "Grayscale": "does nothing to a grey picture",
    "RandomGrayscale": "does nothing to a grey picture",
    "RandomEqualize": "spreads the noise floor over the whole range, level and floor are evidence here",
    "AutoAugment": "was learned on photographs; it rotates, shears and inverts",
    "RandAugment": "was made for photographs; it rotates and shears",
    "TrivialAugmentWide": "was made for photographs; it rotates, shears and inverts",
    "AugMix": "was made for photographs; it rotates and shears",
    "RandomCrop": "moves bands to other rows: the same row no longer means the same frequency",
    "RandomResizedCrop": "moves and stretches bands: the same row no longer means the same frequency",
}
_ON_FACES: dict[str, str] = {
    "RandomVerticalFlip": "shows faces upside down, which the face detector never hands on",
    "RandomInvert": "shows negatives, which no clip is",
    "RandomSolarize": "inverts the bright parts of a face, which no camera does",
    "RandomPosterize": "takes away the fine levels in which blending shows",
    "Grayscale": "takes away the colours in which blending shows",
}


def domain_warnings(spec: AugmentSpec, *, picture: Domain) -> tuple[Note, ...]:
    """One note for each doubtful step, with the reason; `picture` says what the picture steps are applied to.

    Codes: `doubtful_step`, `masks_everything`, `hides_evidence`.
    """
    return (*_picture_notes(spec, picture), *_mask_notes(spec), *_sound_notes(spec))


def _picture_notes(spec: AugmentSpec, picture: Domain) -> Iterator[Note]:
    reasons: Mapping[str, str] = _ON_SPECTROGRAMS if picture == "spectrogram" else _ON_FACES
    for step in _flat(spec.picture):
        settings = step.settings
        if step.name in reasons and _happens(step):
            yield Note("doubtful_step", f"augment.picture: {step.name} {reasons[step.name]}")
        if (
            step.name == "RandomAffine"
            and picture == "spectrogram"
            and (settings.get("degrees") or settings.get("shear"))
        ):
            yield Note("doubtful_step", "augment.picture: RandomAffine with degrees or shear mixes time with frequency")
        if step.name == "RandomErasing" and max(settings.get("scale", (0.02, 0.33))) >= 0.9:
            yield Note(
                "masks_everything", "augment.picture: RandomErasing may erase the whole picture; lower its scale"
            )
        if step.name == "JPEG" and step.probability == 1.0 and settings["quality"][1] < 50:
            yield Note(
                "hides_evidence",
                "augment.picture: JPEG below quality 50 on every picture wipes out the fine traces of a forgery; "
                "lower its probability or raise its quality",
            )


def _mask_notes(spec: AugmentSpec) -> Iterator[Note]:
    for step in spec.spectrogram:
        share, count = step.settings["share"], step.settings["count"]
        if _happens(step) and share[1] * count >= 1.0:
            what = "bands" if step.name == "frequency_mask" else "frames"
            yield Note(
                "masks_everything",
                f"augment.spectrogram: {step.name} may mask all {what} ({count} masks of up to {share[1]:.0%}), "
                "and an empty picture teaches that emptiness has a label; lower share or count",
            )


def _sound_notes(spec: AugmentSpec) -> Iterator[Note]:
    for step in _flat(spec.sound):
        if not _happens(step):
            continue
        settings = step.settings
        lowest_snr = settings.get("snr_db", (0.0, 0.0))[0]
        if lowest_snr < 0.0:
            yield Note(
                "hides_evidence", f"augment.sound: {step.name} at {lowest_snr:g} dB is louder than the voice itself"
            )
        if step.name == "band_limit" and settings["high_hz"][0] < 1000.0:
            yield Note("hides_evidence", "augment.sound: band_limit below 1000 Hz leaves vowels without words")
        if step.name == "clip" and settings["share"][1] > 0.5:
            yield Note("hides_evidence", "augment.sound: clip may cut more than half of the samples")
        if step.name in ("time_stretch", "pitch_shift") and step.probability == 1.0:
            yield Note(
                "hides_evidence",
                f"augment.sound: {step.name} on every clip resynthesises all real voices, as a vocoder does; "
                "lower its probability so that untouched voices are seen",
            )


def _happens(step: Step) -> bool:
    """Whether the step can be applied at all."""
    return step.probability > 0.0 and step.settings.get("p", 1.0) not in (0, 0.0)


def _flat(steps: Any) -> Iterator[Step]:
    """The steps and the steps inside them."""
    for step in steps:
        yield step
        settings = step.settings
        yield from _flat(settings.get("transforms", ()) if "transforms" in settings else settings.get("steps", ()))
