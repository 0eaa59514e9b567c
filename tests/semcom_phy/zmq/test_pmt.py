"""The PMT codec against bytes that GNU Radio 3.10.5 wrote, and against everything else."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.zmq.pmt import DEFAULT_LIMITS, Pair, PmtLimits, UInt64, Vector, decode, encode

DTYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "c8", "c16")

# Printed by GNU Radio 3.10.5's pmt.serialize_str.
FROM_GNU_RADIO: list[tuple[Any, str]] = [
    (True, "00"),
    (False, "01"),
    (None, "06"),
    ("abc", "020003616263"),
    ("é", "020002c3a9"),
    ("", "020000"),
    (5, "0300000005"),
    (-5, "03fffffffb"),
    (2**31 - 1, "037fffffff"),
    (2**31, "0d0000000080000000"),
    (-(2**31), "0380000000"),
    (-(2**31) - 1, "0dffffffff7fffffff"),
    (UInt64(5), "0b0000000000000005"),
    (UInt64(2**64 - 1), "0bffffffffffffffff"),
    (1.5, "043ff8000000000000"),
    (1 + 2j, "053ff00000000000004000000000000000"),
    (Pair("a", 1), "07020001610300000001"),
    ({"a": 1}, "090702000161030000000106"),
    ({"a": 1, "b": 2}, "0907020001620300000002090702000161030000000106"),
    ([1, 2], "07030000000107030000000206"),
    ((1, 2), "0c0000000203000000010300000002"),
    ((None, 1), "0c00000002060300000001"),
    (Vector((1, 1)), "080000000203000000010300000001"),
    (Pair(None, np.array([1, 2], "u1")), "07060a000000000201000102"),
    (np.array([1, 2, 3], "u1"), "0a00000000030100010203"),
    (np.array([1], "i1"), "0a0100000001010001"),
    (np.array([1, 2], "u2"), "0a0200000002010000010002"),
    (np.array([1], "i2"), "0a030000000101000001"),
    (np.array([1], "u4"), "0a0400000001010000000001"),
    (np.array([1], "i4"), "0a0500000001010000000001"),
    (np.array([1], "u8"), "0a060000000101000000000000000001"),
    (np.array([1], "i8"), "0a070000000101000000000000000001"),
    (np.array([1, 2], "f4"), "0a080000000201003f80000040000000"),
    (np.array([1], "f8"), "0a090000000101003ff0000000000000"),
    (np.array([1], "c8"), "0a0a0000000101003f80000000000000"),
    (np.array([], "c16"), "0a0b000000000100"),
    (np.array([1], "c16"), "0a0b0000000101003ff00000000000000000000000000000"),
]


def same(first: Any, second: Any) -> bool:
    """Compare types and bits: 1 is not True, and one NaN is another's equal only if it has the same bits."""
    return type(first) is type(second) and encode(first) == encode(second)


@pytest.mark.parametrize(("value", "wire"), FROM_GNU_RADIO, ids=lambda item: repr(item)[:30])
def test_bytes_of_gnu_radio(value: Any, wire: str) -> None:
    assert encode(value).hex() == wire
    decoded = decode(bytes.fromhex(wire))
    assert same(decoded, value)


def uniform_vectors() -> st.SearchStrategy[npt.NDArray[Any]]:
    return st.sampled_from(DTYPES).flatmap(lambda dtype: hnp.arrays(dtype, st.integers(0, 20)))


SYMBOLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    INTEGERS,
    st.integers(0, 2**64 - 1).map(UInt64),
    st.floats(),
    st.complex_numbers(),
    SYMBOLS,
    uniform_vectors(),
)


def containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    # A pair that ends in null or a list is a list, and empty lists and dicts are null.
    return st.one_of(
        st.lists(inner, min_size=1, max_size=4),
        st.dictionaries(SYMBOLS, inner, min_size=1, max_size=4),
        st.dictionaries(INTEGERS, inner, min_size=1, max_size=4),
        st.lists(inner, min_size=1, max_size=4).map(tuple),
        st.lists(inner, max_size=4).map(lambda items: Vector(tuple(items))),
        st.builds(Pair, inner, inner.filter(lambda cdr: cdr is not None and not isinstance(cdr, list))),
    )


VALUES = st.recursive(LEAVES, containers, max_leaves=8)


@settings(max_examples=100)
@given(VALUES)
def test_round_trip(value: Any) -> None:
    decoded = decode(encode(value))
    assert same(decoded, value)
    if isinstance(value, dict):
        assert isinstance(decoded, dict)
        assert list(decoded) == list(value)


@settings(max_examples=50)
@given(uniform_vectors())
def test_arrays_come_back_native_and_writable(array: npt.NDArray[Any]) -> None:
    swapped = array.astype(array.dtype.newbyteorder(">"))
    decoded = decode(encode(swapped))
    assert isinstance(decoded, np.ndarray)
    assert decoded.dtype == array.dtype
    assert decoded.dtype.isnative
    assert decoded.flags.writeable
    assert decoded.tobytes() == array.tobytes()
    assert encode(array[::-1]) == encode(array[::-1].copy())


def test_integers_beyond_int64_are_uint64() -> None:
    assert same(decode(encode(2**63)), UInt64(2**63))


def test_numpy_scalars_are_numbers() -> None:
    assert encode(np.float32(1.5)) == encode(1.5)
    assert encode(np.int16(-3)) == encode(-3)
    assert encode(np.bool_(True)) == encode(True)
    assert encode(np.complex64(1j)) == encode(1j)
    assert encode(np.uint64(3)) == encode(UInt64(3))


def test_chains_of_pairs_that_end_in_null_are_lists() -> None:
    assert decode(encode(Pair(1, Pair(2, None)))) == [1, 2]
    assert decode(encode(Pair(1, [2, 3]))) == [1, 2, 3]
    assert decode(encode([])) is None
    assert decode(encode({})) is None


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (b"bytes", "no form for a bytes"),
        ({1, 2}, "no form for a set"),
        (object(), "no form for a object"),
        ({1.5: 2}, "keys"),
        ({True: 2}, "keys"),
        ({("a",): 2}, "keys"),
        ("a" * 1025, "1024 bytes"),
        ("é" * 513, "1024 bytes"),
        ("\ud800", "UTF-8"),
        (2**64, "2^64"),
        (-(2**63) - 1, "2^63"),
        (UInt64(-1), "uint64"),
        (np.zeros((2, 2)), "one dimension"),
        (np.zeros(2, np.float16), "float16"),
        (np.zeros(2, bool), "bool"),
        (np.zeros(2, object), "object"),
        (np.array(["a"]), "<U1"),
        ((), "empty"),
        ([1] * 4096, "4096 values"),
        (np.zeros(64 * 2**20, np.uint16), "bytes"),
    ],
    ids=lambda item: str(item)[:20],
)
def test_what_cannot_be_written(value: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says.replace("^", r"\^")):
        encode(value)


def nested(levels: int, wrap: Any) -> Any:
    value: Any = 1
    for _ in range(levels - 1):
        value = wrap(value)
    return value


WRAPS = [lambda v: [v], lambda v: (v,), lambda v: Vector((v,)), lambda v: {"a": v}, lambda v: Pair(v, 1)]


@pytest.mark.parametrize("wrap", [*WRAPS, lambda v: Pair(1, v)])
def test_depth_is_limited_alike_on_both_sides(wrap: Any) -> None:
    depth = DEFAULT_LIMITS.depth
    wire = encode(nested(depth, wrap))
    assert encode(decode(wire)) == wire
    with pytest.raises(ConfigurationError, match="deep"):
        encode(nested(depth + 1, wrap))
    deeper = encode(nested(depth + 1, wrap), PmtLimits(depth=depth + 1))
    with pytest.raises(FormatError, match="deep"):
        decode(deeper)
    assert encode(decode(deeper, PmtLimits(depth=depth + 1)), PmtLimits(depth=depth + 1)) == deeper


def test_a_cycle_is_refused() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    with pytest.raises(ConfigurationError, match="cycle"):
        encode(cycle)


@pytest.mark.parametrize(
    "limits",
    [
        PmtLimits(message_bytes=40),
        PmtLimits(vector_items=4),
        PmtLimits(symbol_bytes=2),
        PmtLimits(values=4),
    ],
)
def test_limits_hold_on_both_sides(limits: PmtLimits) -> None:
    value = {"abc": np.arange(5.0), "b": 2}
    with pytest.raises(ConfigurationError):
        encode(value, limits)
    with pytest.raises(FormatError):
        decode(encode(value), limits)


@pytest.mark.parametrize(
    "limits", [{"message_bytes": 0}, {"symbol_bytes": 1025}, {"depth": 65}, {"values": -1}, {"vector_items": 2**32}]
)
def test_limits_are_checked(limits: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(limits))):
        PmtLimits(**limits)


@pytest.mark.parametrize(
    "wire",
    [
        "",
        "0e",  # unknown tag
        "3b0a",  # a comment, which GNU Radio does not read either
        "030000",
        "0300000001ff",  # something behind the end
        "02000361",
        "020401" + "61" * 1025,  # a symbol longer than GNU Radio reads
        "020001ff",  # not UTF-8
        "07",
        "0706",
        "0900",  # a dict of no pairs; it aborts GNU Radio 3.10.5
        "0902000161",
        "090702000161030000000107030000000106",  # a dict that goes on as a list
        "09070200016103000000010907020001610300000002" + "06",  # a key twice
        "0907043ff80000000000000300000001" + "06",  # a key that is a double
        "09070003000000" + "0106",  # a key that is a bool
        "0a00000000ff0100aa",  # fewer items than announced
        "0a0000000001ff05",  # padding that is not there
        "0a8000000001010005",  # element type 0x80
        "0a0c00000001010005",
        "0a08ffffffff0100",
        "08ffffffff",
        "0c00000000",  # GNU Radio writes it and cannot read it
        "0cffffffff" + "06" * 100,
    ],
)
def test_malformed(wire: str) -> None:
    with pytest.raises(FormatError):
        decode(bytes.fromhex(wire))


def test_padding_of_any_length_is_read() -> None:
    assert np.array_equal(decode(bytes.fromhex("0a0000000002" + "03aabbcc" + "0708")), [7, 8])
    assert np.array_equal(decode(bytes.fromhex("0a0000000002" + "00" + "0708")), [7, 8])


@pytest.mark.parametrize("prefix", ["07", "0c00000001", "0800000001", "090702000161"])
def test_bombs_of_nesting_end_early(prefix: str) -> None:
    with pytest.raises(FormatError):
        decode(bytes.fromhex(prefix) * 100_000)
    with pytest.raises(FormatError):
        decode(bytes.fromhex(prefix) * 100_000, PmtLimits(depth=64, values=2**20))


def test_a_long_chain_is_not_nesting() -> None:
    items = list(range(4000))
    assert decode(encode(items)) == items
    entries = {str(item): item for item in range(2000)}
    assert decode(encode(entries)) == entries


def test_announced_sizes_allocate_nothing() -> None:
    tracemalloc.start()
    try:
        for wire in ("0a0b03ffffff0100", "0803ffffff", "0c03ffffff" + "06" * 64, "0affffffffff0100"):
            with pytest.raises(FormatError):
                decode(bytes.fromhex(wire))
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def refused_or_understood(wire: bytes) -> None:
    try:
        value = decode(wire)
    except FormatError:
        return
    assert same(decode(encode(value)), value)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_random_bytes(wire: bytes) -> None:
    refused_or_understood(wire)


@settings(max_examples=200)
@given(st.binary(max_size=60), st.sampled_from(range(14)))
def test_random_bytes_behind_every_tag(wire: bytes, tag: int) -> None:
    refused_or_understood(bytes([tag]) + wire)


@settings(max_examples=100)
@given(VALUES, st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=3))
def test_mutated_bytes(value: Any, changes: list[tuple[int, int]]) -> None:
    wire = bytearray(encode(value))
    for place, byte in changes:
        wire[place % len(wire)] = byte
    refused_or_understood(bytes(wire))


@settings(max_examples=50)
@given(VALUES, st.integers(0))
def test_cut_bytes_are_refused(value: Any, length: int) -> None:
    wire = encode(value)
    with pytest.raises(FormatError):
        decode(wire[: length % len(wire)])


def test_many_mutated_messages() -> None:
    rng = np.random.default_rng(7)
    wires = [encode(value) for value, _ in FROM_GNU_RADIO]
    wires.append(encode({"a": {"b": (1, 2.0, Vector((None, "c")))}, "d": [Pair(1, np.arange(9.0))]}))
    refused = 0
    for _ in range(10_000):
        wire = bytearray(wires[rng.integers(len(wires))])
        for place in rng.integers(0, len(wire), rng.integers(1, 4)):
            wire[place] = rng.integers(256)
        try:
            decode(wire)
        except FormatError:
            refused += 1
    assert 2000 < refused < 10_000
