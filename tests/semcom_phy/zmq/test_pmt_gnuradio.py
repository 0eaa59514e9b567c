"""The PMT codec against GNU Radio's own, in GNU Radio's Python."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np

from semcom_phy.errors import FormatError
from semcom_phy.zmq.pmt import Pair, PmtLimits, UInt64, Vector, decode, encode

Spawn = Callable[..., "subprocess.Popen[str]"]

INTEGERS = (0, 1, -1, 127, -128, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**40, 2**63 - 1, -(2**63))
UNSIGNED = (0, 1, 2**32, 2**63, 2**64 - 1)
REALS = (0.0, -0.0, 1.5, -1e300, 5e-324, float("inf"), float("-inf"))
LENGTHS = (0, 1, 2, 3, 7, 100)
KINDS = [
    "uint8",
    "int8",
    "uint16",
    "int16",
    "uint32",
    "int32",
    "uint64",
    "int64",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


def items(kind: str, length: int) -> np.ndarray:
    numbers = np.arange(length)
    squares = numbers**2 % 128
    if kind.startswith("complex"):
        return (squares / 2 - 1j * numbers).astype(kind)
    if kind.startswith("float"):
        return (squares / 2).astype(kind)
    return (squares - 64 if kind.startswith("int") else squares).astype(kind)


def expected() -> dict[str, Any]:
    table: dict[str, Any] = {"true": True, "false": False, "null": None, "symbol-unicode": "µ → ∞"}
    table |= {f"symbol-{length}": "x" * length for length in (0, 1, 255, 256, 1024)}
    table |= {f"integer{number:+d}": number for number in INTEGERS}
    table |= {f"uint64+{number}": UInt64(number) for number in UNSIGNED}
    table |= {f"double-{index}": number for index, number in enumerate(REALS)}
    table |= {f"{kind}-{length}": items(kind, length) for kind in KINDS for length in LENGTHS}
    table |= {
        "complex": 1.25 - 2.5j,
        "pair": Pair("a", 1),
        "list": ["a", 1, None],
        "tuple": ("a", 1, True),
        "vector": Vector((1, 1)),
        "dict-0": {},
        "dict-1": {"a": 1},
        "dict-2": {"a": 1, "b": 0.5},
        "dict-nested": {"a": {"b": 1}, "b": [1, 1]},
        "dict-integer-keys": {1: "a", 2: "b"},
        "pdu-empty": Pair({}, np.empty(0, np.uint8)),
        "pdu": Pair({"seq": UInt64(7), "a": False}, np.array([2], np.float32)),
    }
    return table


def test_the_table_of_gnu_radio(spawn: Spawn, gnuradio_python: str) -> None:
    output, _ = spawn("pmt_reference.py", "table", python=gnuradio_python).communicate(timeout=60)
    theirs = {name: bytes.fromhex(wire) for name, wire in (line.split(" ") for line in output.splitlines())}
    ours = expected()
    assert theirs.keys() == ours.keys()
    for name, value in ours.items():
        assert encode(value) == theirs[name], name
        assert encode(decode(theirs[name])) == theirs[name], name
        if isinstance(value, np.ndarray):
            read = decode(theirs[name])
            assert isinstance(read, np.ndarray), name
            assert read.dtype == value.dtype, name
            assert np.array_equal(read, value), name


def random_value(rng: np.random.Generator, depth: int) -> Any:
    """Draw a value of every kind that the codec knows."""
    kind = rng.integers(0, 14 if depth else 8)
    bits = int(rng.integers(0, 2**63)) >> int(rng.integers(0, 63))
    match kind:
        case 0:
            return [None, True, False][rng.integers(0, 3)]
        case 1:
            return bits * int(rng.choice([-1, 1]))
        case 2:
            return UInt64(bits)
        case 3:
            return float(rng.normal() * 10.0 ** rng.integers(-300, 300))
        case 4:
            return complex(rng.normal(), rng.normal())
        case 5:
            return "".join(map(chr, rng.integers(1, 0xD800, rng.integers(0, 50))))
        case 6 | 7:
            dtype = np.dtype(KINDS[rng.integers(0, len(KINDS))])
            # Any bits at all, NaN with payloads among them.
            return np.frombuffer(rng.bytes(dtype.itemsize * int(rng.integers(0, 30))), dtype)
        case 8:
            return Pair(random_value(rng, depth - 1), random_value(rng, depth - 1))
        case 9:
            return {f"key{index}": random_value(rng, depth - 1) for index in range(rng.integers(0, 4))}
        case 10:
            return tuple(random_value(rng, depth - 1) for _ in range(rng.integers(1, 4)))
        case 11:
            return Vector(tuple(random_value(rng, depth - 1) for _ in range(rng.integers(0, 4))))
    return [random_value(rng, depth - 1) for _ in range(rng.integers(0, 4))]


def test_gnu_radio_reads_whatever_is_accepted(spawn: Spawn, gnuradio_python: str) -> None:
    """Messages that are passed on as they came: damaged ones too, where they still mean something."""
    rng = np.random.default_rng(21)
    wires = []
    while len(wires) < 2000:
        wire = bytearray(encode(Pair({"a": random_value(rng, 3), "seq": UInt64(7)}, items("float32", 9))))
        for place in rng.integers(0, len(wire), rng.integers(1, 5)):
            wire[place] = rng.integers(0, 256)
        try:
            decode(bytes(wire))
        except FormatError:
            continue
        wires.append(bytes(wire))
    process = spawn("pmt_reference.py", "round-trip", python=gnuradio_python)
    output, _ = process.communicate("".join(f"{wire.hex()}\n" for wire in wires), timeout=60)
    # What it writes again is what we would write: the same values were read.
    assert [bytes.fromhex(line) for line in output.splitlines()] == [encode(decode(wire)) for wire in wires]


def test_gnu_radio_reads_and_writes_the_same_bytes(spawn: Spawn, gnuradio_python: str) -> None:
    rng = np.random.default_rng(20)
    values = [random_value(rng, 4) for _ in range(500)]
    # The widest and the deepest that the limits allow.
    values.append({str(number): number for number in range(2000)})
    values.append(list(range(4000)))
    deep: Any = 1
    for _ in range(PmtLimits().depth - 1):
        deep = {"a": deep}
    values.append(deep)
    wires = [encode(value) for value in values]
    process = spawn("pmt_reference.py", "round-trip", python=gnuradio_python)
    output, _ = process.communicate("".join(f"{wire.hex()}\n" for wire in wires), timeout=60)
    assert [bytes.fromhex(line) for line in output.splitlines()] == wires
    assert [encode(decode(wire)) for wire in wires] == wires
