"""PDUs: what is one, what is not, and when two are equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.zmq.pdu import Pdu, decode_pdu, encode_pdu, with_entries
from semcom_phy.zmq.pmt import Pair, encode


@pytest.mark.parametrize("metadata", [{}, {"seq": 3, "inner": {"snr_db": -1.5}, "all": [1, "a", None]}])
@pytest.mark.parametrize("dtype", ["u1", "f4", "c8"])
@pytest.mark.parametrize("size", [0, 1, 1000])
def test_round_trip(metadata: dict[str, Any], dtype: str, size: int) -> None:
    pdu = Pdu(metadata, np.arange(size).astype(dtype))
    back = decode_pdu(encode_pdu(pdu))
    assert back == pdu
    assert back.vector.dtype == np.dtype(dtype)
    assert dict(back.metadata) == metadata


@pytest.mark.parametrize("metadata", [{}, {"snr_db": -1.5, "inner": {"a": [1, None]}}])
@pytest.mark.parametrize("dtype", ["u1", "f4", "c8"])
def test_what_is_kept_is_what_lay_in_the_message(metadata: dict[str, Any], dtype: str) -> None:
    pdu = Pdu(metadata, np.arange(7).astype(dtype))
    wire = encode_pdu(pdu)
    kept = decode_pdu(bytearray(wire), keep=True)
    assert kept.serialized == wire
    assert kept == pdu == decode_pdu(wire)
    assert decode_pdu(wire).serialized is None
    assert kept.vector.dtype == np.dtype(dtype).newbyteorder(">")
    assert not kept.vector.flags.writeable


@given(
    st.dictionaries(st.text("abc", max_size=3), st.integers(-(2**63), 2**63 - 1) | st.text(max_size=9), max_size=4),
    st.dictionaries(st.text("xyz", max_size=3), st.integers(-(2**63), 2**63 - 1) | st.text(max_size=9), max_size=3),
)
def test_entries_are_put_into_what_is_serialized(metadata: dict[str, Any], entries: dict[str, Any]) -> None:
    entries = {key: value for key, value in entries.items() if key not in metadata}
    vector = np.arange(5.0, dtype=np.float32)
    wire = with_entries(encode_pdu(Pdu(metadata, vector)), entries)
    assert decode_pdu(wire) == Pdu({**metadata, **entries}, vector)
    # The newest entry stands in front, as GNU Radio itself would put it.
    assert wire == encode_pdu(Pdu({**metadata, **entries}, vector))


def test_equality_is_that_of_types_and_bits() -> None:
    pdu = Pdu({"a": 1, "b": 2}, np.array([1.0, np.nan]))
    assert pdu == Pdu({"b": 2, "a": 1}, np.array([1.0, np.nan], ">f8"))
    assert pdu != Pdu({"a": 1, "b": 2}, np.array([1.0, np.nan], np.float32))
    assert pdu != Pdu({"a": 1, "b": 2}, np.array([1.0, 2.0]))
    assert pdu != Pdu({"a": True, "b": 2}, pdu.vector)
    assert pdu != "a PDU"


def test_metadata_are_a_copy() -> None:
    mine = {"a": 1}
    pdu = Pdu(mine)
    mine["a"] = 2
    assert pdu.metadata["a"] == 1
    with pytest.raises(TypeError):
        pdu.metadata["a"] = 3  # type: ignore[index]


@pytest.mark.parametrize(
    ("metadata", "vector"),
    [({1: 2}, np.zeros(1)), ({}, [1, 2]), ({}, np.zeros((1, 1))), ({}, np.zeros(1, bool)), ({}, b"bytes")],
)
def test_arguments_are_checked(metadata: Any, vector: Any) -> None:
    with pytest.raises(ConfigurationError):
        Pdu(metadata, vector)


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        {"a": 1},
        np.zeros(3),
        Pair({"a": 1}, "no vector"),
        Pair({1: 2}, np.zeros(3)),
        Pair("no dict", np.zeros(3)),
        [{"a": 1}, np.zeros(3)],
    ],
)
def test_other_pmts_are_refused(value: Any) -> None:
    with pytest.raises(FormatError):
        decode_pdu(encode(value))


@given(st.binary(max_size=80))
def test_random_bytes(junk: bytes) -> None:
    with pytest.raises(FormatError):
        decode_pdu(b"\x02" + junk)
    try:
        decode_pdu(junk)
        decode_pdu(b"\x07\x06" + junk)
    except FormatError:
        pass
