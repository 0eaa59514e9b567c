"""Reading the weights of an ONNX file without an ONNX library: its tensors, and which operator each one feeds.

ONNX files are protocol buffers. Of the message types of onnx.proto only those fields are read that lead to the weights:
ModelProto.graph (7), GraphProto.node (1) and .initializer (5), NodeProto.input (1) and .name (3), TensorProto.dims (1),
.data_type (2), .name (8) and .raw_data (9).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semcom_phy.errors import FormatError

MAX_FILE_BYTES = 1 << 30
_FLOAT32 = 1
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10
_MAX_DIMENSIONS = 8


@dataclass(frozen=True)
class OnnxWeights:
    """tensors: float32 initializers by name. fed_by: names of a node's inputs by the name of the node."""

    tensors: dict[str, NDArray[np.float32]]
    fed_by: dict[str, tuple[str, ...]]

    def of_node(self, node: str) -> NDArray[np.float32]:
        """The one tensor that feeds a node. Raises FormatError when there is none."""
        for name in self.fed_by.get(node, ()):
            if name in self.tensors:
                return self.tensors[name]
        raise FormatError(f"no weights feed the node {node}")

    def named(self, name: str) -> NDArray[np.float32]:
        """A tensor by its name. Raises FormatError when there is none."""
        if name not in self.tensors:
            raise FormatError(f"there is no tensor {name}")
        return self.tensors[name]


def read_onnx_weights(path: Path) -> OnnxWeights:
    """Read all float32 initializers of an ONNX file. Raises FormatError when it is damaged or too large."""
    if path.stat().st_size > MAX_FILE_BYTES:
        raise FormatError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB")
    tensors: dict[str, NDArray[np.float32]] = {}
    fed_by: dict[str, tuple[str, ...]] = {}
    for graph in _messages(memoryview(path.read_bytes()), 7):
        for number, value in _fields(graph):
            if isinstance(value, int):
                continue
            if number == 1:
                inputs = tuple(_text(v) for v in _messages(value, 1))
                fed_by[_text(next(_messages(value, 3), memoryview(b"")))] = inputs
            elif number == 5:
                name, tensor = _tensor(value)
                if tensor is not None:
                    tensors[name] = tensor
    if not tensors:
        raise FormatError(f"{path} is no ONNX file with weights")
    return OnnxWeights(tensors, fed_by)


def _tensor(message: memoryview) -> tuple[str, NDArray[np.float32] | None]:
    shape: list[int] = []
    kind, name, raw = 0, "", None
    for number, value in _fields(message):
        if number == 1:
            shape += [value] if isinstance(value, int) else list(_packed(value))
        elif number == 2 and isinstance(value, int):
            kind = value
        elif number == 8 and not isinstance(value, int):
            name = _text(value)
        elif number == 9 and not isinstance(value, int):
            raw = value
    if kind != _FLOAT32 or raw is None:
        return name, None
    if len(shape) > _MAX_DIMENSIONS or math.prod(shape) * 4 != len(raw):
        raise FormatError(f"tensor {name} has {len(raw)} bytes, which do not make the shape {shape}")
    return name, np.frombuffer(raw, "<f4").reshape(shape)


def _messages(message: memoryview, number: int) -> Iterator[memoryview]:
    for found, value in _fields(message):
        if found == number and not isinstance(value, int):
            yield value


def _text(value: memoryview) -> str:
    return bytes(value).decode("utf-8", errors="replace")


def _packed(value: memoryview) -> Iterator[int]:
    position = 0
    while position < len(value):
        number, position = _varint(value, position)
        yield number


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Field numbers and values of a message: integers as such, everything of a length as a view."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        kind = key & 7
        if kind == _VARINT:
            number, position = _varint(message, position)
            yield key >> 3, number
            continue
        if kind == _LENGTH:
            length, position = _varint(message, position)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise FormatError(f"byte {position} is no ONNX: field of unknown kind {kind}")
        if length > len(message) - position:
            raise FormatError("the ONNX file ends within a field")
        yield key >> 3, message[position : position + length]
        position += length


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for i in range(_MAX_VARINT_BYTES):
        if position + i >= len(message):
            raise FormatError("the ONNX file ends within a number")
        byte = message[position + i]
        value |= (byte & 0x7F) << (7 * i)
        if byte < 0x80:
            return value, position + i + 1
    raise FormatError("the ONNX file holds a number of more than 64 bits")
