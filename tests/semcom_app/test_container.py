"""The self-describing header: exact layout, round trips, and every way of being damaged."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_app.container import Header, data_crc
from semcom_phy.errors import FormatError

headers = st.builds(
    Header,
    codec=st.integers(0, 255),
    height=st.integers(1, 7000),
    width=st.integers(1, 7000),
    data_bits=st.integers(0, 2**32 - 1),
    data_crc=st.integers(0, 2**32 - 1),
    body=st.binary(max_size=80),
)


@given(headers)
def test_round_trip(header: Header) -> None:
    assert Header.from_bytes(header.to_bytes()) == header


def test_layout_is_the_documented_one() -> None:
    raw = Header(1, 427, 640, 131072, 0xDEADBEEF, b"\x01\x02").to_bytes()
    expected = b"SC\x01\x01" + struct.pack(">HHIII", 427, 640, 131072, 0xDEADBEEF, 2) + b"\x01\x02"
    assert raw == expected + struct.pack(">I", zlib.crc32(expected))


@given(headers, st.data())
def test_any_changed_bit_is_noticed(header: Header, data: st.DataObject) -> None:
    raw = bytearray(header.to_bytes())
    position = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[position // 8] ^= 1 << position % 8
    with pytest.raises(FormatError):
        Header.from_bytes(bytes(raw))


@given(headers, st.data())
def test_any_truncation_is_noticed(header: Header, data: st.DataObject) -> None:
    raw = header.to_bytes()
    with pytest.raises(FormatError):
        Header.from_bytes(raw[: data.draw(st.integers(0, len(raw) - 1))])


@given(st.binary(max_size=200))
def test_junk_is_refused(raw: bytes) -> None:
    with pytest.raises(FormatError):
        Header.from_bytes(raw)


@pytest.mark.parametrize(("height", "width"), [(0, 8), (8, 0), (65535, 65535)])
def test_absurd_sizes_are_refused_even_with_a_right_crc(height: int, width: int) -> None:
    with pytest.raises(FormatError, match="picture of"):
        Header.from_bytes(Header(1, height, width, 1, 1, b"").to_bytes())


@pytest.mark.parametrize(("position", "name"), [(0, "magic"), (2, "version")])
def test_foreign_headers_are_named(position: int, name: str) -> None:
    raw = bytearray(Header(1, 8, 8, 1, 1, b"").to_bytes())
    raw[position] += 1
    raw[-4:] = struct.pack(">I", zlib.crc32(raw[:-4]))
    with pytest.raises(FormatError, match=name):
        Header.from_bytes(bytes(raw))


def test_data_crc_is_that_of_the_packed_bits() -> None:
    bits = np.unpackbits(np.frombuffer(b"123456789", np.uint8))
    assert data_crc(bits) == 0xCBF43926
