"""Where a set of weights comes from: code, data, packages, machine. Written into every checkpoint."""

from __future__ import annotations

import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pydantic import JsonValue

_PACKAGES = (
    "torch",
    "torchvision",
    "timm",
    "lightning-fabric",
    "numpy",
    "scipy",
    "scikit-learn",
    "soxr",
    "av",
    "pyarrow",
)


def provenance(*, data_name: str, data_hash: str, clips: dict[str, int], device: str) -> dict[str, JsonValue]:
    """What made these weights, as JSON values; data_hash is of the shards' light table, clips are counts by part."""
    return {
        "ffdv": version("ffdv"),
        "git": git_state(),
        "data": {"name": data_name, "hash": data_hash, "clips": dict(clips)},
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": device,
        "written": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def git_state() -> JsonValue:
    """Commit of the checkout that the package runs from, and whether files differ from it; None when it is installed."""
    folder = Path(__file__).parent
    git = shutil.which("git")
    if git is None:
        return None
    commit = _said(git, folder, "rev-parse", "HEAD")
    # A checkout that merely surrounds an installed package is not ours.
    if commit is None or _said(git, folder, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    return {
        "commit": commit,
        "changed": bool(_said(git, folder, "status", "--porcelain", "--untracked-files=no", "--", "..", ".")),
    }


def _said(git: str, folder: Path, *words: str) -> str | None:
    """What git answers, None when it refuses."""
    command = [git, "-C", str(folder), *words]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)  # noqa: S603 -- our own words, no shell
    except (subprocess.SubprocessError, OSError):
        return None
    return answer.stdout.strip()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
