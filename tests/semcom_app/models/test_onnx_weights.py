"""The reader of ONNX weights, against messages that are put together here byte by byte."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_app.models.onnx_weights import read_onnx_weights
from semcom_phy.errors import FormatError


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out) + bytes([value])


def field(number: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        return varint(number << 3) + varint(content)
    return varint(number << 3 | 2) + varint(len(content)) + content


def tensor(name: str, values: np.ndarray, packed: bool = False, kind: int = 1) -> bytes:
    shape = field(1, b"".join(map(varint, values.shape))) if packed else b"".join(field(1, n) for n in values.shape)
    return field(5, shape + field(2, kind) + field(8, name.encode()) + field(9, values.astype("<f4").tobytes()))


def node(name: str, inputs: list[str]) -> bytes:
    return field(1, b"".join(field(1, i.encode()) for i in inputs) + field(3, name.encode()) + field(4, b"MatMul"))


def model(graph: bytes) -> bytes:
    # A producer's name before the graph, and a fixed-length field of a kind that ONNX does not use.
    return field(1, 8) + field(2, b"made by hand") + varint(99 << 3 | 5) + bytes(4) + field(7, graph)


@pytest.fixture
def values() -> np.ndarray:
    return np.arange(600, dtype=np.float32).reshape(20, 30) / 7


@pytest.mark.parametrize("packed", [False, True])
def test_tensors_and_what_they_feed(values: np.ndarray, packed: bool, tmp_path: Path) -> None:
    graph = node("/layer/MatMul", ["x", "w"]) + tensor("w", values, packed) + tensor("ids", values, kind=7)
    (tmp_path / "m.onnx").write_bytes(model(graph))
    weights = read_onnx_weights(tmp_path / "m.onnx")
    assert list(weights.tensors) == ["w"]
    np.testing.assert_array_equal(weights.named("w"), values)
    np.testing.assert_array_equal(weights.of_node("/layer/MatMul"), values)
    with pytest.raises(FormatError, match="no tensor v"):
        weights.named("v")
    with pytest.raises(FormatError, match="no weights feed"):
        weights.of_node("/other/MatMul")


def test_shapes_must_fit_the_bytes(values: np.ndarray, tmp_path: Path) -> None:
    whole = tensor("w", values)
    wrong = whole.replace(field(1, 20), field(1, 21), 1)
    (tmp_path / "m.onnx").write_bytes(model(wrong))
    with pytest.raises(FormatError, match="do not make the shape"):
        read_onnx_weights(tmp_path / "m.onnx")


@given(cut=st.integers(0, 2000), flip=st.integers(0, 2000), mask=st.integers(1, 255))
def test_damaged_files_are_refused_or_read_never_worse(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int, mask: int
) -> None:
    content = bytearray(model(node("n", ["w"]) + tensor("w", np.ones((4, 5), np.float32))))
    content[flip % len(content)] ^= mask
    path = tmp_path_factory.mktemp("damaged") / "m.onnx"
    path.write_bytes(content[: len(content) - cut % len(content)])
    try:
        found = read_onnx_weights(path)
    except FormatError:
        return
    assert all(t.dtype == np.float32 for t in found.tensors.values())


def test_a_number_without_an_end(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\xff" * 40)
    with pytest.raises(FormatError, match="64 bits"):
        read_onnx_weights(tmp_path / "m.onnx")
