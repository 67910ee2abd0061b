"""What can go wrong, as a tree. Every message names the thing, says what was found and how to mend it.

FfdvError
├── MediaError            one file cannot be used: a row with a reason, never a stopped batch
│   ├── MediaNotFound         no such regular file
│   ├── MediaUnreadable       not media, truncated before its index, or of a refused container
│   ├── MediaEncrypted        protected tracks
│   ├── MediaDamaged          more broken than the floor allows
│   ├── MediaLimit            larger or longer than a limit; the message names the limit and its flag
│   ├── MediaMemory           reading it needs more memory than there is
│   ├── MediaChanged          it changed while it was looked at
│   └── StreamMissing         no sound, or no picture, where one is needed
├── ManifestError         labels or folders that do not fit together (row numbers in the message)
├── ShardError            prepared shards that are missing, foreign or of another version
├── RecipeError           settings that are unknown or contradict each other
├── TrainingDiverged      the loss is no longer a number; the message says what to change
├── CheckpointError       a run or an exported model that cannot be trusted or read
├── WeightsError          initial weights that are not to be had, with the cure
├── MetricError           a number that is undefined for these scores
├── SubmissionError       a template or score table that cannot make a valid file
└── ExtraMissing          a part of the product that is not installed; names the extra
    └── NameNeedsExtra        the same for a public name, which is then not there (an AttributeError too)
"""

from __future__ import annotations

from pathlib import Path


class FfdvError(Exception):
    """Root of everything that ffdv raises on purpose; its text is one clear sentence for the user."""


class MediaError(FfdvError):
    """One media file cannot be used. `path` is the file, `reason` the sentence without its name, `code` the kind, for machines."""

    code = "unusable"

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = Path(path)
        self.reason = reason
        super().__init__(f"{_printable(self.path)}: {reason}")

    def __reduce__(self) -> tuple[type[MediaError], tuple[Path, str]]:
        """Errors cross process borders whole (worker pools pickle them)."""
        return type(self), (self.path, self.reason)


class MediaNotFound(MediaError):
    """There is no regular file at this path."""

    code = "not_found"


class MediaUnreadable(MediaError):
    """The content is not media that we read: foreign, truncated before its index, or of a refused container."""

    code = "unreadable"


class MediaEncrypted(MediaError):
    """The tracks are protected; what a decoder would return is noise."""

    code = "encrypted"


class MediaDamaged(MediaError):
    """More of the file is broken than a score can stand on."""

    code = "damaged"


class MediaLimit(MediaError):
    """The file exceeds a limit; the message names the limit and how to change it."""

    code = "limit"


class MediaMemory(MediaError):
    """Reading the file needs more memory than there is; another machine, or this one later, may do it."""

    code = "memory"


class MediaChanged(MediaError):
    """The file is not any more what it was when the looking began; once it is whole, another try may do it."""

    code = "changed"


class StreamMissing(MediaError):
    """The asked-for sense (sound or picture) is not in the file."""

    code = "no_stream"


class ManifestError(FfdvError):
    """Labels, names and files do not fit together; the message holds row numbers."""


class ShardError(FfdvError):
    """Prepared shards are missing, foreign, or of another version."""


class RecipeError(FfdvError):
    """A setting is unknown or contradicts another; the message names the nearest known one."""


class TrainingDiverged(FfdvError):
    """The loss is no longer a number; the message says what to change."""


class CheckpointError(FfdvError):
    """A run or an exported model cannot be read or trusted."""


class WeightsError(FfdvError):
    """Initial weights are not to be had here; the message says what to do."""


class MetricError(FfdvError):
    """The number is undefined for these labels and scores."""


class SubmissionError(FfdvError):
    """Template and scores cannot make a valid submission."""


class ExtraMissing(FfdvError):
    """An optional part is not installed; the message holds the command that installs it. `what` needs it, `extra` brings it."""

    def __init__(self, what: str, extra: str) -> None:
        self.what = what
        self.extra = extra
        super().__init__(f"{what} needs the [{extra}] extra; install it: {install_command(extra)}")

    def __reduce__(self) -> tuple[type[ExtraMissing], tuple[str, str]]:
        """Errors cross process borders whole (worker pools pickle them)."""
        return type(self), (self.what, self.extra)


class NameNeedsExtra(ExtraMissing, AttributeError):
    """A public name whose part is not installed: `hasattr(ffdv, "train")` is False without it, and `help(ffdv)` goes on."""


def install_command(extra: str = "") -> str:
    """How to get an extra, or the base install: the package lies in no registry, so pip is pointed at what ffdv was installed from.

    >>> install_command("train")
    "pip install '.[train]' in the project's folder, or 'FILE.whl[train]' with its wheel"
    """
    asked = f"[{extra}]" if extra else ""
    return f"pip install '.{asked}' in the project's folder, or 'FILE.whl{asked}' with its wheel"


def extra_of(error: ModuleNotFoundError) -> str | None:
    """Which extra brings the module that is not there; None when it is no optional part of ours."""
    trained = {
        "torch",
        "torchvision",
        "timm",
        "lightning_fabric",
        "sklearn",
        "scipy",
        "pyarrow",
        "safetensors",
        "onnx",
        "onnxscript",
        "pandas",
        "audiomentations",
        "pyworld",
        "tensorboard",
        "matplotlib",
    }
    missing = (error.name or "").split(".")[0]
    if missing in {"fastapi", "starlette", "uvicorn"}:
        return "serve"
    return "train" if missing in trained else None


def _printable(path: Path) -> str:
    """A path on one line, whatever is in its name: control characters and broken bytes are shown escaped."""
    text = str(path).encode("utf-8", "backslashreplace").decode()
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
