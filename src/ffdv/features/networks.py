"""Networks by onnxruntime, wherever a file is judged: those that ship with the package, and users' own."""

from __future__ import annotations

import os
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from ffdv.errors import CheckpointError
from ffdv.sentences import Sentence, foreign

# What every look at a file may need: faces, their mesh, and speech.
PACKAGED = ("yunet.onnx", "face_mesh.onnx", "speech.onnx")


def packaged_weights(name: str) -> bytes:
    """The bytes of a network that ships with this room. Raises CheckpointError where they are gone."""
    try:
        return files("ffdv.features").joinpath("weights", name).read_bytes()
    except OSError as error:
        raise _unusable(name, error.strerror or error) from error


def open_packaged(name: str) -> Any:
    """A session of a network that ships with this room. Raises CheckpointError where it is gone, damaged, or beyond this onnxruntime."""
    content = packaged_weights(name)
    try:
        return open_session(content)
    except ImportError:
        raise
    except Exception as error:  # onnxruntime has a class of its own for each trouble, of no common kind
        raise _unusable(name, error) from error


def _unusable(name: str, why: object) -> CheckpointError:
    return CheckpointError(
        Sentence(
            "the network {name} inside the package cannot be used ({why}); see what ffdv doctor says, or install ffdv again",
            name=name,
            why=foreign(why),
        )
    )


@cache
def runtime() -> Any:
    """onnxruntime, told not to report its use to its makers: nothing that ffdv does leaves the machine.

    Newer versions write a device's number into the home folder and send events; the variable keeps them from it before the
    import, the call those that know only that.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    quiet = getattr(onnxruntime, "disable_telemetry_events", None)
    if quiet is not None:
        quiet()
    return onnxruntime


def open_session(model: bytes | Path) -> Any:
    """An onnxruntime session on one core: clips are spread over processes, and two cores gain little on nets this small.

    Without an arena: that keeps the memory of the largest batch for good, 50 to 200 MB a net, and saves no time that could be measured.
    """
    onnxruntime = runtime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    content = str(model) if isinstance(model, Path) else model
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
