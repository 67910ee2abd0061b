"""Labels and scores → numbers.

The names that a table of one's own needs are here by themselves (`ffdv.metrics.bootstrap`), loaded on first use; everything else is in
its file.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

# name → the file that defines it
_HOMES = {
    **dict.fromkeys(
        (
            "accuracy",
            "average_precision",
            "clopper_pearson",
            "eer",
            "lowest_fpr",
            "reals_needed",
            "roc_auc",
            "roc_curve",
            "tpr_at_fpr",
        ),
        "ranking",
    ),
    **dict.fromkeys(
        (
            "METRICS",
            "Difference",
            "Estimate",
            "Metric",
            "bootstrap",
            "compare",
            "compare_delong",
            "delong",
            "share_above",
            "tpr_metric",
        ),
        "uncertainty",
    ),
    **dict.fromkeys(
        (
            "Calibration",
            "brier",
            "ece",
            "fit_isotonic",
            "fit_platt",
            "fit_temperature",
            "log_loss",
            "reliability_curve",
        ),
        "calibration",
    ),
}

__all__ = sorted(_HOMES)  # noqa: PLE0605 -- names that __getattr__ finds


def __getattr__(name: str) -> object:
    """Load a name from its file, or a file of this room, when it is first asked for."""
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in {module.name for module in iter_modules(__path__)}:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module 'ffdv.metrics' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    """The names of __all__."""
    return list(__all__)
