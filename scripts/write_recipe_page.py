"""Write docs/recipes.md: every key of a recipe with type, default and meaning, and every step of augmentation with its settings.

    settings models (training/plan.Recipe) + MEANINGS ─▶ docs/recipes.md       a test fails where the two or the page differ

Run it after a setting came, went or changed: python scripts/write_recipe_page.py
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ffdv.augment.audio import SOUND_TRANSFORMS
from ffdv.augment.chain import FORGE_PICTURE, FORGE_SOUND
from ffdv.augment.image import PICTURE_TRANSFORMS
from ffdv.augment.masks import SPECTROGRAM_TRANSFORMS
from ffdv.augment.steps import parameters_of
from ffdv.training.plan import Recipe, recipe_names

PAGE = Path(__file__).resolve().parents[1] / "docs" / "recipes.md"

# table.key → what it does; tables themselves are told of in TABLES.
MEANINGS: Mapping[str, str] = {
    "format": "version of this file",
    "name": "how the run is called; the one key that must be there",
    "about": "a sentence for people",
    "kind": "what is judged: sound; faces; motion (numbers of movement); sync (lips against sound); late (finished runs, weighed); joint (one net of both senses)",
    "split.by": "corpus: the corpus's own split; group: drawn here; auto: corpus where it names a train and a validation split, else group",
    "split.train": "what the corpus calls its training part",
    "split.validation": "what it calls the part that chooses the epoch",
    "split.test": "what it calls the part that is only judged",
    "split.groups": "columns whose values never stand on two sides of a split that is drawn here",
    "split.validation_share": "of the clips, where the split is drawn",
    "split.test_share": "of the clips, where the split is drawn",
    "split.calibration_share": "of the validation clips, set apart in whole groups for calibration and thresholds",
    "split.leaks": "validation and test clips of the corpus's split that share a group with training, validation clips that share one with test: drop them, or only report them",
    "split.leak_groups": "columns that make such a leak",
    "split.seed": "of the drawn split; `train --seed` leaves it as it is",
    "loader.batch_size": "clips a batch",
    "loader.window_seconds": "length of a window; none: the whole clip",
    "loader.hop_seconds": "distance of windows when judging; none: end to end",
    "loader.max_seconds": "of a whole clip, where there are no windows",
    "loader.random_crop": "training windows start anywhere; false: at the clip's start",
    "loader.fake_seconds": "so many forged seconds make a training window fake where the corpus says which they are; none: a window has its clip's label",
    "loader.balance_classes": "real and fake come equally often in training",
    "loader.workers": "processes that read; 0: none beside the caller",
    "loader.seed": "of order, windows and augmentation",
    "front_end.kind": "rows: mel (librosa's), linear, lfcc (cosine transform of linear), cqt (a constant ratio apart)",
    "front_end.sample_rate": "Hz that sound is brought to",
    "front_end.n_fft": "samples of a frame, even; it is the window too",
    "front_end.hop_length": "samples from frame to frame",
    "front_end.n_bands": "rows (librosa's n_mels)",
    "front_end.n_coefficients": "of lfcc; none: as many as bands",
    "front_end.fmin": "Hz of the lowest band; cqt needs it above 0",
    "front_end.fmax": "Hz of the highest band; none: half of sample_rate",
    "front_end.floor_db": "everything quieter is this",
    "front_end.span_db": "with scaling fixed: from floor_db to 1.0 of the picture",
    "front_end.reference": "power that is 0 dB",
    "front_end.scaling": "how dB become a picture: fixed (levels keep their meaning), picture (the clip's loudest is 1, as published), bands (each row to one mean and deviation)",
    "augment.sound": "steps on the waveform, in order ([below](#steps-on-sound))",
    "augment.spectrogram": "masks on the spectrogram ([below](#masks-on-spectrograms))",
    "augment.picture": "steps on pictures: [ours](#steps-on-pictures), and any of torchvision.transforms.v2 by its name and parameters",
    "augment.forge_sound": "makes real voices fake; at most one step a clip, its label becomes fake ([below](#forgeries-of-sound))",
    "augment.forge_picture": "makes real faces fake, likewise ([below](#forgeries-of-pictures))",
    "augment.mix.mixup_alpha": "of Beta(a, a) in mixup; 0: off",
    "augment.mix.cutmix_alpha": "of Beta(a, a) in CutMix; 0: off",
    "augment.mix.cutmix_share": "how often CutMix is taken where both are on",
    "augment.mix.probability": "that a batch is mixed",
    "augment.mix.from_progress": "share of the training at which mixing begins",
    "augment.mix.until_progress": "share at which it ends",
    "augment.mix.ramp": "share over which it rises and falls",
    "augment.mix.labels": "area: mixed by weight; any: a mixture with any fake in it is fake",
    "augment.views.name": "FiveCrop: corners and centre; TenCrop: and their mirror images; opinions are averaged when judging",
    "augment.views.size": "(height, width) of a crop",
    "augment.views.vertical_flip": "TenCrop mirrors top to bottom",
    "faces.frames": "crops of a face a clip, spread over its sightings",
    "faces.train_on": "real: the corpus's fakes stay out of training, augment.forge_picture makes them",
    "model.backbone": "any convolutional net of timm by name, its transformers with a patch grid, or alexnet; one of your own: [extending.md](extending.md)",
    "model.initial_weights": "none (random), imagenet (downloads), package (tf_efficientnet_lite0/1/2, mobilenetv2_100: no download), or a safetensors file",
    "model.in_channels": "3 repeats the picture for the net's three colours, 1 sums its first filters",
    "model.dropout": "before the classifier",
    "model.picture_size": "[width, height] that every clip is stretched to; native: one pixel a frame and band",
    "visual.inputs": "what the net sees of a crop: pixels, residual (a high-pass of their grey), or both",
    "visual.pooling": "how frames become one: mean, max, attention, gru, transformer",
    "visual.width": "of gru and transformer",
    "visual.frozen": "the image net keeps its initial weights",
    "motion.classifier": "logistic, boosting (trees), or net (one hidden layer)",
    "motion.trees": "of boosting",
    "motion.depth": "of a tree",
    "motion.shrinkage": "of boosting",
    "motion.hidden": "of the net",
    "motion.dropout": "of the net",
    "fusion.members": "recipes (trained within this run) or folders of finished runs",
    "fusion.member_settings": "`table.key=value` for all recipes among them; one that has no use for it goes without",
    "fusion.fitting_share": "of the training clips, whole groups, that members are not taught: half choose their epochs, half the weights; all do both where that leaves fewer than 30 of a class",
    "joint.width": "of a token, a multiple of 4",
    "joint.layers": "of cross-attention",
    "joint.drop_sense": "how often in training one of two senses is taken away",
    "joint.head_weight": "of the three partial questions in the loss",
    "joint.frozen": "the image net keeps its initial weights",
    "sync.directions": "canonical ones, of each view",
    "sync.sound_ridge": "share of the mean variance added to every direction of sound",
    "sync.mouth_ridge": "likewise of the mouth",
    "sync.picture_numbers": "principal directions of the mouth pictures",
    "sync.context": "of sound about a moment, in frames of 10 ms",
    "sync.lead_frames": "how much later than the lips the sound comes, in frames of 40 ms",
    "sync.wrong_pairs": "made of each real clip with sounds of other people",
    "loss.kind": "cross_entropy, or focal (easy clips count less)",
    "loss.class_weights": "balanced: both classes count the same in all",
    "loss.label_smoothing": "share of every label spread over both classes",
    "loss.gamma": "of focal; none: 2",
    "optimiser.kind": "adam, adamw (decay apart from the gradient), sgd",
    "optimiser.learning_rate": "the highest of the schedule",
    "optimiser.weight_decay": "of weights; biases and norms are spared",
    "optimiser.momentum": "of sgd alone",
    "schedule.kind": "constant; step (times factor every step_epochs); cosine (down to final_share)",
    "schedule.step_epochs": "of step",
    "schedule.factor": "of step",
    "schedule.warm_up_epochs": "the rate first rises from a tenth over so many epochs",
    "schedule.final_share": "of cosine: what is left of the rate at the end; none: 0",
    "training.epochs": "passes over the training clips; `train --epochs`",
    "training.seed": "of the start, the order and the dropout; `train --seed` sets it and loader.seed",
    "training.accumulate_batches": "batches whose gradients make one step",
    "training.clip_norm": "longest gradient; none: as it is",
    "training.average_decay": "keep and validate a moving average of the weights; none: the weights themselves",
    "training.early_stop_epochs": "stop after so many epochs without a better one; none: never",
    "training.choose_by": "what a better epoch is, on validation clips",
    "training.aggregate": "how a clip's windows or faces become its score: mean, max, top, a sharpness (number), learned, auto (the best of these on validation clips)",
    "training.precision": "of the arithmetic; the mixed ones need a GPU",
    "training.save_minutes": "at most so much work is lost when the machine dies",
}

# table → when it is read.
TABLES: Mapping[str, str] = {
    "": "The file itself",
    "split": "How the labelled clips are divided",
    "loader": "How clips become batches",
    "front_end": "How sound becomes a spectrogram (sound, joint)",
    "augment": "What happens to training material; empty: nothing",
    "augment.mix": "Mixing batches",
    "augment.views": "Several looks at one picture",
    "faces": "Which pictures a net of faces gets (faces, joint)",
    "model": "The image net, of spectrograms or of faces",
    "visual": "How crops become an opinion (faces)",
    "motion": "The classifier of movement (motion)",
    "fusion": "Which runs are weighed (late)",
    "joint": "How both senses meet in one net (joint)",
    "sync": "How lips and sound are compared (sync)",
    "loss": "What is minimised",
    "optimiser": "The optimiser",
    "schedule": "How its rate moves",
    "training": "How long, and which epoch is kept",
}

STEPS: Mapping[str, tuple[str, Mapping[str, Callable[..., Any]]]] = {
    "Steps on sound": ("augment.sound", SOUND_TRANSFORMS),
    "Masks on spectrograms": ("augment.spectrogram", SPECTROGRAM_TRANSFORMS),
    "Steps on pictures": ("augment.picture", PICTURE_TRANSFORMS),
    "Forgeries of sound": ("augment.forge_sound", FORGE_SOUND),
    "Forgeries of pictures": ("augment.forge_picture", FORGE_PICTURE),
}

HEAD = """# Every key of a recipe

*Written by `scripts/write_recipe_page.py` from the settings themselves; change those, not this page.*

A recipe is one TOML file: `ffdv train --recipe mine.toml`. Every key has a default but `name`, so a file holds only what differs; `RUN/recipe.toml`
holds all of them as they were used. `--set table.key=value` (in Python `overrides=["table.key=value"]`) changes one for a single
run; `none` unsets. A key that is misspelt is refused, with the nearest one. Those of the package are {recipes}; their comments say why each number is what it is
([src/ffdv/recipes](../src/ffdv/recipes)).

```toml
name = "mine"

[front_end]
kind = "linear"
sample_rate = 16000
n_fft = 512
hop_length = 160

[[augment.sound]]
name = "white_noise"
probability = 0.3
snr_db = [10, 30]
```
"""
STEPS_HEAD = """## Steps of augmentation
A step is a table with a `name`, a `probability` (1 by default) and the settings below; a pair is a range to draw from. `compose` (`steps`: in a row)
and `one_of` (`steps`, `weights`) nest steps of sound. A step of your own: [extending.md](extending.md).
"""


def settings_of(model: type[BaseModel], table: str = "") -> Iterator[tuple[str, str, FieldInfo]]:
    """(table, key, field) of every setting that is no table itself, in the order of the models."""
    inner: list[tuple[str, type[BaseModel]]] = []
    for key, field in model.model_fields.items():
        nested = [one for one in _parts(field.annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
        if nested:
            inner.append((f"{table}.{key}".lstrip("."), nested[0]))
        else:
            yield table, key, field
    for name, its_model in inner:
        yield from settings_of(its_model, name)


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD.format(recipes=", ".join(f"`{name}`" for name in recipe_names())), *_tables(), *_steps()])


def _tables() -> Iterator[str]:
    now = None
    for table, key, field in settings_of(Recipe):
        if table != now:
            yield f"{'' if now is None else chr(10)}## {f'[{table}]' if table else 'At the top'}\n{TABLES[table]}.\n"
            yield "| key | type | default | meaning |\n|---|---|---|---|"
            now = table
        meaning = MEANINGS[f"{table}.{key}".lstrip(".")]
        yield f"| `{key}` | {_type(field)} | {_default(field)} | {meaning} |"


def _steps() -> Iterator[str]:
    yield f"\n{STEPS_HEAD}"
    for heading, (key, transforms) in STEPS.items():
        yield f"### {heading}\n`[[{key}]]`\n\n| name | settings and defaults | what it does |\n|---|---|---|"
        for name, transform in transforms.items():
            settings = ", ".join(
                f"`{setting}`{'' if field.is_required() else f' = {_toml(field.default)}'}"
                for setting, field in parameters_of(transform).model_fields.items()
            )
            promise = (inspect.getdoc(transform) or "").partition("\n\n")[0].replace("\n", " ").replace("|", "\\|")
            yield f"| `{name}` | {settings} | {promise} |"
        yield ""


def _parts(annotation: Any) -> tuple[Any, ...]:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return typing.get_args(annotation)
    return (annotation,)


def _type(field: FieldInfo) -> str:
    limits = "".join(_limit(limit) for limit in field.metadata)
    return " or ".join(_words(part) for part in _parts(field.annotation)) + limits


def _words(part: Any) -> str:
    if part is type(None):
        return "`none`"
    origin, arguments = typing.get_origin(part), typing.get_args(part)
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if origin is typing.Annotated:
        return _words(arguments[0])
    if origin is tuple:
        kinds = [_words(kind) for kind in arguments if kind is not Ellipsis]
        return f"list of {kinds[0]}" if Ellipsis in arguments else f"[{', '.join(kinds)}]"
    return {int: "whole number", float: "number", bool: "true or false", str: "text"}.get(part, "step")


def _limit(limit: Any) -> str:
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    return "".join(f", {sign} {getattr(limit, name):g}" for name, sign in signs.items() if hasattr(limit, name))


def _default(field: FieldInfo) -> str:
    return "(needed)" if field.default is PydanticUndefined else _toml(field.default)


def _toml(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`[{', '.join(_plain(one) for one in value)}]`"
    return f"`{_plain(value)}`"


def _plain(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
