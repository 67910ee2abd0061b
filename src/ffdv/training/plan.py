"""A recipe: one TOML file that says everything about a run, read into a frozen value that refuses mistakes.

    ffdv/recipes/NAME.toml, or a path ─▶ overrides (model.backbone=...) ─▶ Recipe ─▶ RUN/recipe.toml, complete

Each table is a settings model that lives in the file that uses it; this file nests them and knows only what two
tables can contradict each other about. One file a run: recipes do not extend each other.
"""

from __future__ import annotations

import difflib
import json
import tomllib
import types
import typing
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, model_validator

from ffdv.arguments import TRAINED_BEFORE
from ffdv.augment.chain import AugmentSpec
from ffdv.data.face_loader import FaceInputSpec
from ffdv.data.loader import LoaderSpec
from ffdv.errors import RecipeError
from ffdv.features.spectrogram import FrontEndSpec
from ffdv.models.audio import PictureSize
from ffdv.models.joint import JointSpec
from ffdv.models.late import FusionSpec
from ffdv.models.motion import MotionSpec
from ffdv.models.sync import SyncSpec
from ffdv.models.visual import VisualSpec
from ffdv.models.zoo import ModelSpec
from ffdv.training.engine import TrainingSpec
from ffdv.training.losses import LossSpec
from ffdv.training.optimiser import OptimiserSpec, ScheduleSpec
from ffdv.training.parts import SplitSpec
from ffdv.training.unused import refuse_unused, training_of

_NO_VALUE = "none"  # TOML has no word for nothing
# What other tools call a key or a value of ours, where the spelling would not tell.
_ALIASES = {
    "amp": "precision",
    "batch": "batch_size",
    "bs": "batch_size",
    "clip_grad": "clip_norm",
    "early_stopping": "early_stop_epochs",
    "ema": "average_decay",
    "grad_clip": "clip_norm",
    "gradient_clip_val": "clip_norm",
    "hop": "hop_length",
    "lr": "learning_rate",
    "max_epochs": "epochs",
    "n_mels": "n_bands",
    "num_epochs": "epochs",
    "num_workers": "workers",
    "optimizer": "optimiser",
    "patience": "early_stop_epochs",
    "plateau": "step",
    "reduce_on_plateau": "step",
    "scheduler": "schedule",
    "sr": "sample_rate",
    "wd": "weight_decay",
    "win_length": "n_fft",
}
MAX_RECIPE_BYTES = (
    65_536  # a recipe with every setting written out has some 5,000; a hostile one takes TOML's reader minutes
)


class Recipe(BaseModel):
    """Everything that a run depends on, apart from the data and the machine.

    format: of this file; name and about: for people; kind: what the net looks at, see kinds.py; the tables in the order in which
    a clip meets them. front_end is of sound, faces and visual of faces, motion of movement; model serves both nets that look at
    pictures, of sounds and of faces.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    name: str = Field(min_length=1)
    about: str = ""
    kind: Literal["sound", "faces", "motion", "late", "joint", "sync"] = "sound"
    split: SplitSpec = SplitSpec()
    loader: LoaderSpec = LoaderSpec()
    front_end: FrontEndSpec = FrontEndSpec()
    augment: AugmentSpec = AugmentSpec()
    faces: FaceInputSpec = FaceInputSpec()
    model: ModelSpec = ModelSpec()
    visual: VisualSpec = VisualSpec()
    motion: MotionSpec = MotionSpec()
    fusion: FusionSpec = FusionSpec()
    joint: JointSpec = JointSpec()
    sync: SyncSpec = SyncSpec()
    loss: LossSpec = LossSpec()
    optimiser: OptimiserSpec = OptimiserSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    training: TrainingSpec = TrainingSpec()

    @model_validator(mode="after")
    def _tables_agree(self, info: ValidationInfo) -> Self:
        """Refuse tables that contradict each other, and settings that a new run would ignore."""
        if info.context != TRAINED_BEFORE:
            refuse_unused(training_of(self.kind, self.motion.classifier), self.augment, self.loss)
        if self.kind == "faces" and self.faces.train_on == "real" and not self.augment.forge_picture:
            raise ValueError(
                "faces.train_on = 'real' leaves nothing to tell apart without forgeries; add [[augment.forge_picture]] steps"
            )
        if self.schedule.warm_up_epochs >= self.training.epochs:
            raise ValueError(
                f"schedule.warm_up_epochs = {self.schedule.warm_up_epochs:g} leaves nothing of training.epochs = "
                f"{self.training.epochs}; shorten the warm-up or train longer"
            )
        if self.loader.balance_classes and self.loss.class_weights == "balanced":
            raise ValueError(
                "loader.balance_classes and loss.class_weights = 'balanced' would correct the classes' numbers twice; "
                "set loader.balance_classes = false or loss.class_weights = 'none'"
            )
        return self

    @property
    def picture_side(self) -> int:
        """Pixels of the crops that a net for faces gets. Raises RecipeError where model.picture_size is not a square."""
        return _square_side(self.model.picture_size)


def _square_side(size: PictureSize) -> int:
    """The side of crops that a net for faces gets."""
    if size == "native" or size[0] != size[1]:
        raise RecipeError(f"faces are square; give model.picture_size = [160, 160], not {size}")
    return size[0]


def load_recipe(name_or_path: str | Path, overrides: Sequence[str] = (), *, trained_before: bool = False) -> Recipe:
    """The recipe of this name, or in this TOML file, with `table.key=value` overrides applied in order.

    A value is read as TOML where it is that (0.003, true, [1, 2]) and as text otherwise; `none` unsets.
    trained_before: as recipe_from.
    Raises RecipeError naming the file, the key, and the nearest known one.
    """
    where, text = _read(name_or_path)
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"recipe {where} is not TOML: {error}") from error
    except RecursionError:
        raise _too_deep(where) from None
    for override in overrides:
        _apply(tables, override)
    return recipe_from(tables, where=where, trained_before=trained_before)


def recipe_from(tables: Mapping[str, Any], *, where: str, trained_before: bool = False) -> Recipe:
    """The recipe that nested tables describe; `where` they come from is for the message of RecipeError.

    trained_before: a run was trained by it, so it works, also where a new run would be refused it as unwise.
    """
    try:
        return _validated(tables, where, TRAINED_BEFORE if trained_before else None)
    except RecursionError:  # a sentence shows what was found, however deep that is
        raise _too_deep(where) from None


def _validated(tables: Mapping[str, Any], where: str, context: str | None) -> Recipe:
    try:
        return Recipe.model_validate(_without_none(tables, Recipe), context=context)
    except ValidationError as error:
        sentences = "; ".join(_sentence(detail) for detail in error.errors(include_url=False))
        raise RecipeError(f"recipe {where}: {sentences}") from error


def _too_deep(where: str) -> RecipeError:
    return RecipeError(f"recipe {where}: its brackets or tables are nested too deeply; write plain values")


def override_recipe(recipe: Recipe, overrides: Sequence[str], *, trained_before: bool = False) -> Recipe:
    """The recipe with `table.key=value` overrides applied in order; raises RecipeError as load_recipe."""
    tables = recipe.model_dump(mode="json")
    for override in overrides:
        _apply(tables, override)
    return recipe_from(tables, where=recipe.name, trained_before=trained_before)


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    folder = resources.files("ffdv") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def recipe_toml(recipe: Recipe) -> str:
    """The recipe with every setting written out, as TOML that `load_recipe` reads back to an equal value."""
    plain = recipe.model_dump(mode="json")
    tables = {key: value for key, value in plain.items() if isinstance(value, dict)}
    lines = [f"{key} = {_toml(value)}" for key, value in plain.items() if key not in tables]
    for name, table in tables.items():
        lines += _table_lines(name, table)
    return "\n".join(lines) + "\n"


def _table_lines(name: str, table: Mapping[str, Any]) -> list[str]:
    """A table with its keys, then the tables within it."""
    inner = {key: value for key, value in table.items() if isinstance(value, dict)}
    lines = ["", f"[{name}]"]
    lines += [f"{_key(key)} = {_toml(value)}" for key, value in table.items() if key not in inner]
    for key, value in inner.items():
        lines += _table_lines(f"{name}.{_key(key)}", value)
    return lines


def _key(name: str) -> str:
    """A TOML key, quoted where it must be."""
    bare = name.replace("-", "").replace("_", "").isalnum() and name.isascii()
    return name if bare else _toml(name)


def _toml(value: Any) -> str:
    """One value as TOML; JSON's numbers and texts are TOML's too, but for characters in two halves and for delete."""
    if value is None:
        return json.dumps(_NO_VALUE)
    if isinstance(value, list):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_toml(item)}" for key, item in value.items() if item is not None) + "}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _read(name_or_path: str | Path) -> tuple[str, str]:
    """(what to call it, its text) of a recipe by name or path."""
    name = str(name_or_path)
    path = Path(name_or_path)
    if path.suffix != ".toml" and path.name == name:
        if name not in recipe_names():
            near = _nearest(name, recipe_names())
            raise RecipeError(f"there is no recipe {name!r} ({near}); give one of those, or the path of a TOML file")
        return name, (resources.files("ffdv") / "recipes" / f"{name}.toml").read_text(encoding="utf-8")
    try:
        if path.exists() and not path.is_file():
            raise RecipeError(
                f"recipe {name} is not a regular file; give a TOML file, or one of {', '.join(recipe_names())}"
            )
        if path.stat().st_size > MAX_RECIPE_BYTES:
            raise RecipeError(
                f"recipe {name} is larger than {MAX_RECIPE_BYTES} bytes, so it is hardly a recipe; give a TOML file of settings"
            )
        return name, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"recipe {name} cannot be read: {error}; give a TOML file, or one of {', '.join(recipe_names())}"
        ) from error


def _apply(tables: dict[str, Any], override: str) -> None:
    """Set `table.key=value` in nested tables, in place; the names are checked later with everything else."""
    path, separator, text = override.partition("=")
    keys = [key.strip() for key in path.split(".")]
    if not separator or not all(keys):
        raise RecipeError(f"cannot read the setting {override!r}; write it as model.backbone=resnet18")
    table = tables
    for depth, key in enumerate(keys[:-1]):
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise RecipeError(f"cannot set {path.strip()!r}: {'.'.join(keys[: depth + 1])!r} is a value, not a table")
    table[keys[-1]] = _value(text.strip())


def _value(text: str) -> Any:
    """An override's value: TOML where it is TOML, else the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    except RecursionError:
        raise RecipeError(f"cannot read the value {text[:40]!r}...: its brackets are nested too deeply") from None


def _without_none(tables: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """The same tables with the word "none" as None, wherever None is allowed and the text "none" is not."""
    resolved: dict[str, Any] = {}
    for key, value in tables.items():
        annotation = model.model_fields[key].annotation if key in model.model_fields else None
        inner = _table_model(annotation)
        if inner is not None and isinstance(value, dict):
            resolved[key] = _without_none(value, inner)
        else:
            resolved[key] = None if value == _NO_VALUE and _allows_only_none(annotation) else value
    return resolved


def _allows_only_none(annotation: Any) -> bool:
    """Whether None is a value of this type and the text "none" is not."""
    choices = _choices(annotation)
    literals = {word for choice in choices for word in typing.get_args(choice)}
    return type(None) in choices and str not in choices and _NO_VALUE not in literals


def _choices(annotation: Any) -> tuple[Any, ...]:
    """The types that a union is made of, or the one type."""
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        return typing.get_args(annotation)
    return (annotation,)


def _table_model(annotation: Any) -> type[BaseModel] | None:
    """The settings model behind a field that is a table."""
    models = [choice for choice in _choices(annotation) if isinstance(choice, type) and issubclass(choice, BaseModel)]
    return models[0] if models else None


def _sentence(detail: Any) -> str:
    """One of pydantic's findings in words: what is wrong at which key, and what to write instead."""
    path = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        table, known = _known_keys(detail["loc"])
        name = str(detail["loc"][-1])
        name = _ALIASES.get(name.lower(), name)
        meant = _elsewhere(name) if not difflib.get_close_matches(name, known, n=1, cutoff=0.6) else []
        cure = f"did you mean {' or '.join(map(repr, meant))}" if meant else _nearest(name, known, prefix=table)
        return f"unknown key {path!r}; {cure}"
    if detail["type"] == "missing":
        return f"{path!r} is missing"
    if detail["type"] == "value_error":
        return f"{path}: {detail['ctx']['error']}" if path else str(detail["ctx"]["error"])
    message = detail["msg"][0].lower() + detail["msg"][1:]
    alias = _ALIASES.get(str(detail["input"]).lower())
    hint = f"; did you mean {alias!r}" if detail["type"] == "literal_error" and f"'{alias}'" in message else ""
    return f"{path} = {detail['input']!r}: {message}{hint}"


def _known_keys(location: Sequence[int | str]) -> tuple[str, list[str]]:
    """(the table's name with a dot, the keys it may have) for the key at `location`."""
    model: type[BaseModel] = Recipe
    for part in location[:-1]:
        field = model.model_fields.get(str(part))
        inner = _table_model(field.annotation) if field is not None else None
        if inner is None:
            return "", []
        model = inner
    return "".join(f"{part}." for part in location[:-1]), list(model.model_fields)


def _elsewhere(name: str) -> list[str]:
    """Keys of this name in a recipe's tables: what was written to the wrong one."""
    tables = {table: _table_model(field.annotation) for table, field in Recipe.model_fields.items()}
    return [f"{table}.{name}" for table, model in tables.items() if model is not None and name in model.model_fields]


def _nearest(name: str, known: Sequence[str], prefix: str = "") -> str:
    """What was probably meant, or the whole choice."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {prefix + close[0]!r}"
    return f"known are {', '.join(prefix + key for key in sorted(known))}" if known else "it has no keys"
