"""The WORLD vocoder's compiled part, also where pyworld's own package file cannot be imported.

pyworld 0.3.5 asks `pkg_resources` for its version number while it is imported, and setuptools 81 took that module
away. Nothing else in it needs it, so the compiled module beside that file is loaded by itself.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import lru_cache
from pathlib import Path
from types import ModuleType

from ffdv.errors import ExtraMissing


@lru_cache(maxsize=1)
def import_world() -> ModuleType:
    """The module with `dio`, `cheaptrick`, `d4c` and `synthesize`. Raises ExtraMissing when pyworld is not installed."""
    try:
        return importlib.import_module("pyworld")
    except ModuleNotFoundError as error:
        if error.name != "pkg_resources":
            raise ExtraMissing("WORLD copy-synthesis", "train") from error
    package = importlib.util.find_spec("pyworld")
    folders = package.submodule_search_locations if package else None
    compiled = next((file for folder in folders or () for file in Path(folder).glob("pyworld.*.[sp][oy]*")), None)
    spec = importlib.util.spec_from_file_location("pyworld.pyworld", compiled) if compiled else None
    if spec is None or spec.loader is None:
        raise ExtraMissing("WORLD copy-synthesis", "train")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
