"""A kernel machine over statistics: few numbers, no net, and it can say which statistics spoke.

    statistics (n,) ─ centre, scale, clip ─ weigh ─ Gaussian kernel against kept clips ─▶ logit

Kept as one .npz without pickles; the file says its version, and readers refuse what they do not know.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ffdv.errors import CheckpointError
from ffdv.records import FloatArray
from ffdv.whole_file import whole_file

FORMAT_VERSION = 2
_ARRAYS = ("places", "centre", "scale", "weight", "kept", "share")


@dataclass(frozen=True)
class KernelMachine:
    """logit(x) = bias + Σ share_i · exp(-gamma · |z(x) - kept_i|²), z(x) = weight · clip((x[places] - centre) / scale, ±clip).

    places int64 (k,): which statistics are looked at; centre, scale, weight float32 (k,); kept (clips, k) and share (clips,): what
    it learned from; facts: provenance, calibration and whatever else the maker wrote down, plain JSON values.
    """

    places: npt.NDArray[np.int64]
    centre: FloatArray
    scale: FloatArray
    weight: FloatArray
    kept: FloatArray
    share: FloatArray
    bias: float
    gamma: float
    clip: float
    facts: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse arrays that do not fit together."""
        k = len(self.places)
        lengths = {len(self.centre), len(self.scale), len(self.weight), self.kept.shape[1]}
        if lengths != {k} or len(self.share) != len(self.kept) or not (self.gamma > 0 and self.clip > 0):
            raise CheckpointError("a kernel machine's arrays do not fit together; make the weights again")

    def logits(self, statistics: FloatArray) -> npt.NDArray[np.float64]:
        """Statistics (clips, n) → logits (clips,)."""
        closeness = np.exp(-self.gamma * self._squares(statistics))
        return np.asarray(closeness @ self.share + self.bias, dtype=np.float64)

    def unlikeness(self, statistics: FloatArray) -> npt.NDArray[np.float64]:
        """How far each clip (clips, n) lies from the nearest that it learned from, in the kernel's squared distance (clips,)."""
        return np.asarray(self._squares(statistics).min(axis=1), dtype=np.float64)

    def standings(self, statistics: FloatArray) -> npt.NDArray[np.float64]:
        """Where each statistic of each clip (clips, n) stands among what it learned from, in spreads off the centre (clips, k)."""
        scaled = (np.atleast_2d(statistics)[:, self.places] - self.centre) / self.scale
        return np.asarray(np.clip(scaled, -self.clip, self.clip), dtype=np.float64)

    def _squares(self, statistics: FloatArray) -> npt.NDArray[np.float64]:
        """Squared distance of each clip to each kept one (clips, kept). Products in float32: in float64 the kept clips would be
        turned over, 60 MB a call.
        """
        z = (self.standings(statistics) * self.weight).astype(np.float32)
        own = np.einsum("ij,ij->i", z, z, dtype=np.float64)
        squares = own[:, None] + self._kept_squares[None] - 2.0 * (z @ self.kept.T)
        return np.asarray(np.maximum(squares, 0.0), dtype=np.float64)

    @cached_property
    def _kept_squares(self) -> npt.NDArray[np.float64]:
        return np.asarray(np.einsum("ij,ij->i", self.kept, self.kept, dtype=np.float64))


def save_kernel_machine(machine: KernelMachine, path: Path) -> None:
    """Write it as .npz, whole or not at all; kept clips in 255 steps from -clip to clip of each statistic (`stored_steps`)."""
    header = {
        "format": FORMAT_VERSION,
        "bias": machine.bias,
        "gamma": machine.gamma,
        "clip": machine.clip,
        "facts": dict(machine.facts),
    }
    arrays = {name: getattr(machine, name) for name in _ARRAYS}
    arrays["kept"] = stored_steps(machine.kept / np.maximum(machine.weight, 1e-12), machine.clip)
    with whole_file(path) as file:
        np.savez_compressed(file, header=np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8), **arrays)


def stored_steps(z: npt.NDArray[np.floating], clip: float) -> npt.NDArray[np.int8]:
    """Statistics z, clipped at ±clip, as the whole numbers -127 … 127 that a file holds."""
    return np.asarray(np.rint(np.clip(z / clip, -1.0, 1.0) * 127.0), dtype=np.int8)


def from_steps(steps: npt.NDArray[np.int8], clip: float) -> FloatArray:
    """What stored_steps stands for."""
    return steps * np.float32(clip / 127.0)


def load_kernel_machine(path: Path) -> KernelMachine:
    """Read it back. Raises CheckpointError, saying what is wrong with the file."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            header = json.loads(stored["header"].tobytes())
            if header.get("format") != FORMAT_VERSION:
                raise CheckpointError(
                    f"{path}: has format {header.get('format')}, this ffdv reads {FORMAT_VERSION}; reinstall ffdv"
                )
            arrays = {name: stored[name] for name in _ARRAYS}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{path}: is missing or damaged ({error}); reinstall ffdv") from error
    if arrays["kept"].dtype != np.int8:
        raise CheckpointError(f"{path}: keeps its clips as {arrays['kept'].dtype}, not in steps; reinstall ffdv")
    arrays["kept"] = from_steps(arrays["kept"], float(header["clip"])) * arrays["weight"]
    return KernelMachine(
        places=arrays["places"].astype(np.int64),
        **{name: arrays[name].astype(np.float32) for name in _ARRAYS[1:]},
        bias=float(header["bias"]),
        gamma=float(header["gamma"]),
        clip=float(header["clip"]),
        facts=header["facts"],
    )
