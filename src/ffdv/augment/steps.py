"""One step of a chain in a recipe: a transform's name, how often it is applied, and the transform's own parameters.

    [[augment.sound]]
    name = "pitch_shift"
    probability = 0.3
    semitones = [-2, 2]

The transform's signature is its settings model: keyword-only arguments are the parameters, their annotations the limits,
their defaults the defaults. A new transform is one function and one line in its table.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, get_type_hints

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

# Keyword arguments that are material, given by the caller with the sample, not settings.
MATERIAL = frozenset({"other", "landmarks", "box", "fps"})


class Step(BaseModel):
    """A named transform and how often it is applied; its parameters are further fields, checked by `checked`.

    Build it through the chain's settings (AugmentSpec), which know the tables of transforms.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    name: str
    probability: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0

    @property
    def settings(self) -> dict[str, Any]:
        """The transform's own parameters, complete."""
        return dict(self.model_extra or {})


def checked(raw: Any, transforms: Mapping[str, Callable[..., Any]], *, what: str) -> dict[str, Any]:
    """The fields of a Step with every parameter present and checked against the transform's signature.

    raw: a mapping from a recipe, or a Step. Raises ValueError: one sentence that lists the nearest known names.
    """
    fields = fields_of(raw)
    name = fields.pop("name", None)
    if name not in transforms:
        raise ValueError(unknown(name, transforms, what=f"{what} transform"))
    probability = fields.pop("probability", 1.0)
    settings = checked_settings(str(name), transforms[str(name)], fields)
    return {"name": name, "probability": probability, **settings}


def fields_of(raw: Any) -> dict[str, Any]:
    """A step's own fields as a new mapping. Raises ValueError for what is no table."""
    if isinstance(raw, Step):
        return raw.model_dump()
    if not isinstance(raw, Mapping):
        raise ValueError(f"a step is a table with a name, as {{ name = 'gain' }}, got {raw!r}")  # noqa: TRY004 -- pydantic's way
    return dict(raw)


def checked_settings(name: str, transform: Callable[..., Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters of a transform, given or default. Raises ValueError naming the wrong one."""
    model = parameters_of(transform)
    for key in settings:
        if key not in model.model_fields:
            raise ValueError(f"{name}: {unknown(key, model.model_fields, what='parameter')}")
    try:
        return model.model_validate(settings).model_dump()
    except ValidationError as error:
        raise ValueError("; ".join(_sentence(name, detail) for detail in error.errors())) from error


@lru_cache(maxsize=256)
def parameters_of(transform: Callable[..., Any]) -> type[BaseModel]:
    """The settings model of a transform, from its keyword-only arguments."""
    hints = get_type_hints(transform, include_extras=True)
    fields: dict[str, Any] = {
        parameter.name: (hints[parameter.name], ... if parameter.default is parameter.empty else parameter.default)
        for parameter in inspect.signature(transform).parameters.values()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.name not in MATERIAL
    }
    model: type[BaseModel] = create_model(
        transform.__name__, __config__=ConfigDict(frozen=True, extra="forbid", validate_default=True), **fields
    )
    return model


@lru_cache(maxsize=256)
def material_of(transform: Callable[..., Any]) -> frozenset[str]:
    """Which of the caller's materials a transform can use."""
    return MATERIAL & frozenset(inspect.signature(transform).parameters)


def unknown(name: object, known: Iterable[str], *, what: str) -> str:
    """A sentence for a name that is not known: the nearest ones, or all of them."""
    names = sorted(known)
    lower = {known_name.lower().replace("_", ""): known_name for known_name in names}
    close = difflib.get_close_matches(str(name).lower().replace("_", ""), lower, n=3, cutoff=0.6)
    near = f"nearest: {', '.join(lower[key] for key in close)}" if close else f"known: {', '.join(names) or 'none'}"
    return f"there is no {what} {name!r}; {near}"


def sample_rng(seed: int, *numbers: int) -> np.random.Generator:
    """The generator of one sample: seed of the run, then what names the sample (epoch, index in the corpus).

    The same numbers give the same generator in every process, whatever was drawn before.
    """
    return np.random.default_rng([seed, *numbers])


def step_rngs(steps: tuple[Step, ...], rng: np.random.Generator) -> list[np.random.Generator | None]:
    """One generator for each step, None for a step that its probability leaves out this time.

    Each step has its own, so that changing one step's settings does not change what the others draw.
    """
    seeds = rng.integers(2**63, size=len(steps))
    own = [np.random.default_rng(int(seed)) for seed in seeds]
    return [
        generator if generator.random() < step.probability else None for step, generator in zip(steps, own, strict=True)
    ]


def _sentence(name: str, detail: Any) -> str:
    """One pydantic complaint as `name.parameter: what (got …)`."""
    place = ".".join(str(part) for part in (name, *detail["loc"]))
    return f"{place}: {detail['msg'].removeprefix('Value error, ')} (got {detail['input']!r})"
