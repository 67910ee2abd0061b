"""One way to import torchvision, also beside a CPU-only torch.

torchvision's Linux wheel is built against CUDA. Beside a CPU torch its compiled operators cannot load, and the plain
import dies with `operator torchvision::nms does not exist`, because two of its modules register fake kernels for
operators that were never declared. Declaring their schemas is enough for transforms.v2, MixUp/CutMix and the model zoo;
what stays missing is `ops.nms`, `v2.JPEG` and torchvision's own picture files (we use Pillow).
"""

from __future__ import annotations

import importlib
import sys
from functools import lru_cache
from types import ModuleType
from typing import Any

from ffdv.errors import ExtraMissing

_MISSING_OPERATOR = "torchvision::nms"
_NMS_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"

# A torch.library.Library forgets its operators when it is collected, so the declaration lives as long as the process.
_declared_operators: list[Any] = []


@lru_cache(maxsize=1)
def import_torchvision() -> ModuleType:
    """torchvision, imported; `import torchvision.transforms.v2` and timm work in this process from here on.

    Raises ExtraMissing when torch or torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        raise ExtraMissing("torchvision", "train") from error
    except RuntimeError as error:
        if _MISSING_OPERATOR not in str(error):
            raise
    _forget_half_imported()
    _declare_operators()
    return importlib.import_module("torchvision")


def _forget_half_imported() -> None:
    """Drop what the failed import left behind, or the second import would return broken modules."""
    for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
        del sys.modules[name]


def _declare_operators() -> None:
    """Declare (not define) the two operators that torchvision gives fake kernels to while it is imported."""
    from torch.library import Library

    library: Any = Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]  # torch has no types here
    for name in ("nms", "qnms"):
        library.define(name + _NMS_SCHEMA)
    _declared_operators.append(library)
