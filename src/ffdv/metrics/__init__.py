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

TYPE_CHECKING = False
if TYPE_CHECKING:  # the same names for a type checker, as in ffdv/__init__.py
    from ffdv.metrics import abstention as abstention
    from ffdv.metrics import aggregation as aggregation
    from ffdv.metrics import calibration as calibration
    from ffdv.metrics import calibration_choice as calibration_choice
    from ffdv.metrics import confidence as confidence
    from ffdv.metrics import decision as decision
    from ffdv.metrics import localisation as localisation
    from ffdv.metrics import ranking as ranking
    from ffdv.metrics import uncertainty as uncertainty
    from ffdv.metrics.calibration import Calibration as Calibration
    from ffdv.metrics.calibration import brier as brier
    from ffdv.metrics.calibration import ece as ece
    from ffdv.metrics.calibration import fit_isotonic as fit_isotonic
    from ffdv.metrics.calibration import fit_platt as fit_platt
    from ffdv.metrics.calibration import fit_temperature as fit_temperature
    from ffdv.metrics.calibration import log_loss as log_loss
    from ffdv.metrics.calibration import reliability_curve as reliability_curve
    from ffdv.metrics.ranking import accuracy as accuracy
    from ffdv.metrics.ranking import average_precision as average_precision
    from ffdv.metrics.ranking import clopper_pearson as clopper_pearson
    from ffdv.metrics.ranking import eer as eer
    from ffdv.metrics.ranking import lowest_fpr as lowest_fpr
    from ffdv.metrics.ranking import reals_needed as reals_needed
    from ffdv.metrics.ranking import roc_auc as roc_auc
    from ffdv.metrics.ranking import roc_curve as roc_curve
    from ffdv.metrics.ranking import tpr_at_fpr as tpr_at_fpr
    from ffdv.metrics.uncertainty import METRICS as METRICS
    from ffdv.metrics.uncertainty import Difference as Difference
    from ffdv.metrics.uncertainty import Estimate as Estimate
    from ffdv.metrics.uncertainty import Metric as Metric
    from ffdv.metrics.uncertainty import bootstrap as bootstrap
    from ffdv.metrics.uncertainty import compare as compare
    from ffdv.metrics.uncertainty import compare_delong as compare_delong
    from ffdv.metrics.uncertainty import delong as delong
    from ffdv.metrics.uncertainty import share_above as share_above
    from ffdv.metrics.uncertainty import tpr_metric as tpr_metric
else:

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
