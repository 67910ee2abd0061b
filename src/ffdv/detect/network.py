"""An exported net: samples in, logit and activation map out, run by onnxruntime on one thread.

What the net wants (sample rate, windows) and how far its scores can be believed (calibration) travel inside the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ffdv.errors import CheckpointError, MetricError
from ffdv.features.familiar import damage_measure, face_measures, sound_measures
from ffdv.features.networks import open_session
from ffdv.features.windows import LEAST_RATE, LEAST_SECONDS, MOST_RATE, MOST_SECONDS, longest_fault, window_fault
from ffdv.metrics.aggregation import AGGREGATIONS, Aggregation
from ffdv.metrics.calibration import Calibration
from ffdv.metrics.decision import Decision, Judged
from ffdv.records import Features, FloatArray

FORMAT_VERSION = 1
MODEL_NAME = "model.onnx"
# What the loader takes of a whole clip where the recipe says nothing else.
LONGEST_CLIP_SECONDS = 30.0
# Windows go through the net so many at a time: an hour's windows at once would be gigabytes.
WINDOWS_AT_ONCE = 4
# What a file may say of itself, which a stranger may have written; features/windows says which rates and windows.
KINDS = frozenset({"sound", "faces", "motion", "sync", "joint", "late"})
# Kinds whose range seen is that of pictures, as training/calibrating measures it.
_PICTURE_ALONE = frozenset({"faces", "motion", "sync"})


@dataclass(frozen=True)
class NetworkFacts:
    """What an exported file says of itself; sample_rate in Hz, windows in seconds (None: the whole clip at once).

    kind: what it looks at: sound, faces, motion. calibration and decision (thresholds, the "cannot tell" band, what training saw)
    are None where none was fitted.
    """

    sample_rate: int
    window_seconds: float | None
    hop_seconds: float | None
    calibration: Calibration | None
    recipe: Mapping[str, object]
    provenance: Mapping[str, object]
    decision: Decision | None = None
    kind: str = "sound"

    def __post_init__(self) -> None:
        """Refuse what no export writes. Raises ValueError."""
        if self.kind not in KINDS:
            raise ValueError(f"kind is {self.kind!r:.40}, not one of {', '.join(sorted(KINDS))}")
        if not LEAST_RATE <= self.sample_rate <= MOST_RATE:
            raise ValueError(f"sample_rate is {self.sample_rate} Hz, not {LEAST_RATE} to {MOST_RATE}")
        fault = window_fault(self.window_seconds, self.hop_seconds) or longest_fault(self._max_seconds)
        if fault:
            raise ValueError(fault)

    def setting(self, table: str, key: str) -> object:
        """One setting of the recipe. Raises CheckpointError where it is not there."""
        settings = self.recipe.get(table)
        if not isinstance(settings, dict) or key not in settings:
            raise CheckpointError(f"the exported net's recipe has no {table}.{key}; export the run again")
        return settings[key]

    @property
    def aggregation(self) -> Aggregation:
        """How the opinions on a clip's windows or faces become one, as in training."""
        training = self.recipe.get("training")
        chosen = training.get("aggregate") if isinstance(training, dict) else None
        if isinstance(chosen, int | float):
            return float(chosen)
        return next((how for how in AGGREGATIONS if how == chosen), "mean")

    @property
    def longest_clip_seconds(self) -> float:
        """Of clips that training took whole, MOST_SECONDS at most; what lies beyond was never heard there."""
        longest = self._max_seconds
        return LONGEST_CLIP_SECONDS if longest is None else max(LEAST_SECONDS, min(float(longest), MOST_SECONDS))

    @property
    def _max_seconds(self) -> Any:
        """The recipe's loader.max_seconds as it stands there, None where it says nothing."""
        loader = self.recipe.get("loader")
        return loader.get("max_seconds") if isinstance(loader, dict) else None

    @classmethod
    def read(cls, path: Path, metadata: Mapping[str, str]) -> NetworkFacts:
        """Facts from an ONNX file's metadata. Raises CheckpointError when it is not one of ours."""
        version = metadata.get("format_version")
        if version is None:
            raise CheckpointError(
                f"{path}: is an ONNX file, but not one that ffdv exported; make it with: ffdv export RUN"
            )
        if version != str(FORMAT_VERSION):
            raise CheckpointError(
                f"{path}: has export format {version}, this ffdv reads {FORMAT_VERSION}; export the run again"
            )
        try:
            calibration = json.loads(metadata["calibration"])
            decision = metadata.get("decision", "null")
            return cls(
                sample_rate=int(metadata["sample_rate"]),
                window_seconds=json.loads(metadata["window_seconds"]),
                hop_seconds=json.loads(metadata["hop_seconds"]),
                calibration=None if calibration is None else Calibration.from_json(metadata["calibration"]),
                recipe=_table(metadata["recipe"]),
                provenance=_table(metadata["provenance"]),
                decision=None if decision == "null" else Decision.from_json(decision),
                kind=str(json.loads(metadata.get("kind", '"sound"'))),
            )
        except (KeyError, ValueError, TypeError, RecursionError, MetricError) as error:
            raise CheckpointError(
                f"{path}: its metadata is incomplete or damaged ({error}); export the run again"
            ) from error


class Network:
    """A loaded net; cheap to call, not shared between processes."""

    def __init__(self, path: Path) -> None:
        try:
            self._session = open_session(path)
        except Exception as error:
            raise CheckpointError(
                f"{path}: cannot be loaded as an ONNX model ({_first_line(error)}); export the run again"
            ) from error
        self.path = path
        self.inputs = frozenset(each.name for each in self._session.get_inputs())
        self._tells_distance = "distance" in {output.name for output in self._session.get_outputs()}
        self.facts = NetworkFacts.read(path, self._session.get_modelmeta().custom_metadata_map)

    def opinions(self, windows: FloatArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Logit (fake minus real) and distance of each window: float32 (windows, n) → float64 (windows,) each; see `opinion`."""
        parts = [
            self.opinion(samples=windows[first : first + WINDOWS_AT_ONCE])
            for first in range(0, len(windows), WINDOWS_AT_ONCE)
        ]
        return np.concatenate([logits for logits, _ in parts]), np.concatenate([distances for _, distances in parts])

    def opinion(self, **inputs: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Logit (rows,), and how far each row lies from what training saw, above 1 = farther than nearly all held-out clips;
        distances are NaN where the file does not tell them.
        """
        names = ["logit", "distance"] if self._tells_distance else ["logit"]
        answers = [answer.astype(np.float64) for answer in self.run(names, **inputs)]
        return answers[0], answers[1] if self._tells_distance else np.full(len(answers[0]), np.nan)

    def run(self, outputs: Sequence[str], **inputs: npt.NDArray[Any]) -> list[npt.NDArray[np.float32]]:
        """These outputs of the graph for these inputs; see training/export.py for names and shapes of each kind."""
        answers: list[npt.NDArray[np.float32]] = self._session.run(list(outputs), inputs)
        return answers

    def probability(self, logit: float) -> float:
        """The calibrated probability of fake; the plain sigmoid where no calibration was fitted."""
        calibration = self.facts.calibration or Calibration()
        return float(calibration.apply([logit])[0])

    def judge(self, probability: float, features: Features, *, distance: float = math.nan) -> Judged | None:
        """The verdict on a clip with this calibrated probability; less is dared where the clip is unlike what training saw.

        distance: from what training saw, as the net tells it (`opinion`), NaN = not known. None where no thresholds were fitted.
        """
        if self.facts.decision is None:
            return None
        measures = {"embedding_distance": distance}
        if self.facts.kind in _PICTURE_ALONE:
            measures |= damage_measure(features.notes, sense="picture") | face_measures(features.faces)
            return self.facts.decision.judge(probability, measures)
        measures |= damage_measure(features.notes)
        if features.sound is not None:
            longest = self.facts.window_seconds or self.facts.longest_clip_seconds
            measures |= sound_measures(features.sound, rate=self.facts.sample_rate, longest_seconds=longest)
        return self.facts.decision.judge(probability, measures)


def find_network(model: Path) -> Path:
    """The ONNX file of a run folder, or the file itself. Raises CheckpointError with the cure."""
    if model.is_dir():
        exported = model / MODEL_NAME
        if exported.is_file():
            return exported
        if runs := sorted(path.parent.name for path in model.glob(f"*/{MODEL_NAME}")):
            raise CheckpointError(f"{model}: is no run, but holds some; name one of them: {', '.join(runs[:10])}")
        if not any(model.glob("*.safetensors")):
            raise CheckpointError(f"{model}: is no run; give the folder that ffdv train wrote, or an .onnx file")
        raise CheckpointError(f"{model}: holds no {MODEL_NAME}; write it with: ffdv export {model}")
    if not model.is_file():
        raise CheckpointError(f"{model}: no such run folder or ONNX file")
    if model.suffix.lower() != ".onnx":
        raise CheckpointError(
            f"{model}: is neither a run folder nor an .onnx file; give the folder that ffdv train wrote"
        )
    return model


def _table(text: str) -> Mapping[str, object]:
    """A JSON table. Raises ValueError where it is another value."""
    values = json.loads(text)
    if not isinstance(values, dict):
        raise ValueError(f"{text[:40]!r} is no table")  # noqa: TRY004 -- whoever reads the file asks for ValueError
    return values


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:200]
