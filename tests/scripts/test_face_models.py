"""The script that draws the face networks: its convolutions do what the operators do that they stand for."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
import onnxruntime  # noqa: E402
from onnx import TensorProto, helper  # noqa: E402

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
from build_face_models import Drawing  # noqa: E402 -- scripts are no package

RNG = np.random.default_rng(0)


def run(drawing: Drawing, drawn: str, x: np.ndarray, folder: Path) -> np.ndarray:
    name = drawing.node("Identity", [drawn], "drawn")
    value = helper.make_tensor_value_info
    drawing.save(
        folder / "drawn.onnx",
        [value("x", TensorProto.FLOAT, x.shape)],
        [value(name, TensorProto.FLOAT, ["n", "channels", "height", "width"])],
        {},
    )
    (result,) = onnxruntime.InferenceSession(folder / "drawn.onnx").run(None, {"x": x})
    return np.asarray(result)


def test_prelu_bends_what_is_negative_by_the_slope_of_its_channel(tmp_path: Path) -> None:
    slope = np.array([-1.5, 0.0, 0.25, 1.0, 1.7, 6.2, -0.1, 0.9], np.float32)
    x = RNG.normal(size=(2, 8, 5, 5)).astype(np.float32)
    drawing = Drawing(half=True)

    bent = run(drawing, drawing.prelu("x", slope), x, tmp_path)

    np.testing.assert_allclose(bent, np.where(x > 0, x, slope[:, None, None] * x), atol=1e-5)


def test_more_channels_are_zeros_on_the_sides_asked_for(tmp_path: Path) -> None:
    x = RNG.normal(size=(1, 3, 4, 4)).astype(np.float32)
    drawing = Drawing(half=False)

    wider = run(drawing, drawing.more_channels("x", 3, 1, 2), x, tmp_path)

    np.testing.assert_array_equal(wider, np.pad(x, ((0, 0), (1, 2), (0, 0), (0, 0))))
