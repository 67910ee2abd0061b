"""ffdv: face- and voice-forgery detection in video.

The public names below are loaded on first use, so that `import ffdv` is quick and loads no torch.
"""

from __future__ import annotations

from importlib import import_module

# What can go wrong: the tree in errors.py.
_ERRORS = (
    "CheckpointError",
    "ExtraMissing",
    "FfdvError",
    "ManifestError",
    "MediaChanged",
    "MediaDamaged",
    "MediaEncrypted",
    "MediaError",
    "MediaLimit",
    "MediaMemory",
    "MediaNotFound",
    "MediaUnreadable",
    "MetricError",
    "NameNeedsExtra",
    "RecipeError",
    "ShardError",
    "StreamMissing",
    "SubmissionError",
    "TrainingDiverged",
    "WeightsError",
)
# Rooms that people use by themselves.
_ROOMS = ("errors", "metrics")
# name → the file that defines it
_HOMES = {
    **dict.fromkeys(_ERRORS, "ffdv.errors"),
    "Estimate": "ffdv.metrics.uncertainty",
    "Verdict": "ffdv.detect.verdict",
    "audit": "ffdv.data.audit",
    "compare": "ffdv.training.compare",
    "crossval": "ffdv.training.crossval",
    "doctor": "ffdv.app.doctor",
    "evaluate": "ffdv.training.evaluate",
    "export": "ffdv.training.export",
    "forge": "ffdv.data.forge",
    "gallery": "ffdv.data.gallery_page",
    "generate_mel_spectrogram": "ffdv.features.spectrogram",
    "predict": "ffdv.detect.detector",
    "prepare": "ffdv.data.prepare",
    "probe": "ffdv.media.probe",
    "scan": "ffdv.detect.scan",
    "stress": "ffdv.detect.stress",
    "submit": "ffdv.detect.submission",
    "sync": "ffdv.detect.sync",
    "train": "ffdv.training.run",
}

__all__ = ["__version__", *sorted((*_HOMES, *_ROOMS))]  # noqa: PLE0604 -- names that __getattr__ finds

TYPE_CHECKING = False  # as typing has it, which would take longer to load than all this
if TYPE_CHECKING:  # the same names for a type checker, which runs nothing: tests/test_public_names.py compares the two
    from ffdv import errors as errors
    from ffdv import metrics as metrics
    from ffdv.app.doctor import doctor as doctor
    from ffdv.data.audit import audit as audit
    from ffdv.data.forge import forge as forge
    from ffdv.data.gallery_page import gallery as gallery
    from ffdv.data.prepare import prepare as prepare
    from ffdv.detect.detector import predict as predict
    from ffdv.detect.scan import scan as scan
    from ffdv.detect.stress import stress as stress
    from ffdv.detect.submission import submit as submit
    from ffdv.detect.sync import sync as sync
    from ffdv.detect.verdict import Verdict as Verdict
    from ffdv.errors import CheckpointError as CheckpointError
    from ffdv.errors import ExtraMissing as ExtraMissing
    from ffdv.errors import FfdvError as FfdvError
    from ffdv.errors import ManifestError as ManifestError
    from ffdv.errors import MediaChanged as MediaChanged
    from ffdv.errors import MediaDamaged as MediaDamaged
    from ffdv.errors import MediaEncrypted as MediaEncrypted
    from ffdv.errors import MediaError as MediaError
    from ffdv.errors import MediaLimit as MediaLimit
    from ffdv.errors import MediaMemory as MediaMemory
    from ffdv.errors import MediaNotFound as MediaNotFound
    from ffdv.errors import MediaUnreadable as MediaUnreadable
    from ffdv.errors import MetricError as MetricError
    from ffdv.errors import NameNeedsExtra as NameNeedsExtra
    from ffdv.errors import RecipeError as RecipeError
    from ffdv.errors import ShardError as ShardError
    from ffdv.errors import StreamMissing as StreamMissing
    from ffdv.errors import SubmissionError as SubmissionError
    from ffdv.errors import TrainingDiverged as TrainingDiverged
    from ffdv.errors import WeightsError as WeightsError
    from ffdv.features.spectrogram import generate_mel_spectrogram as generate_mel_spectrogram
    from ffdv.media.probe import probe as probe
    from ffdv.metrics.uncertainty import Estimate as Estimate
    from ffdv.training.compare import compare as compare
    from ffdv.training.crossval import crossval as crossval
    from ffdv.training.evaluate import evaluate as evaluate
    from ffdv.training.export import export as export
    from ffdv.training.run import train as train

    __version__: str
else:

    def __getattr__(name: str) -> object:
        """Load a public name from its room when it is first asked for."""
        if name == "__version__":
            from importlib.metadata import version

            return version("ffdv")
        if name in _ROOMS:
            return import_module(f"ffdv.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module 'ffdv' has no attribute {name!r}; it has {', '.join(__all__)}")
        try:
            home = import_module(_HOMES[name])
        except ModuleNotFoundError as error:
            from ffdv.errors import NameNeedsExtra, extra_of

            extra = extra_of(error)
            if extra is None:
                raise
            raise NameNeedsExtra(f"ffdv.{name}", extra) from error
        return getattr(home, name)


def __dir__() -> list[str]:
    """The public names."""
    return list(__all__)
