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
    "MediaDamaged",
    "MediaEncrypted",
    "MediaError",
    "MediaLimit",
    "MediaMemory",
    "MediaNotFound",
    "MediaUnreadable",
    "MetricError",
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
        from ffdv.errors import ExtraMissing, extra_of

        extra = extra_of(error)
        if extra is None:
            raise
        raise ExtraMissing(f"ffdv.{name}", extra) from error
    return getattr(home, name)


def __dir__() -> list[str]:
    """The public names."""
    return list(__all__)
