"""Frames and received frames as PDUs: nothing is lost on the way, and nothing else is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.links.base import Frame, LinkStats, ReceivedFrame
from semcom_phy.links.frame_pdus import (
    MAX_PDU_BITS,
    MEASUREMENTS,
    ReceivedPdu,
    check_received,
    frame_from_pdu,
    frame_to_pdu,
    lost_pdu,
    received_from_pdu,
    received_to_pdu,
)
from semcom_phy.modulation import hard_decisions
from semcom_phy.zmq import Pdu, UInt64, decode_pdu, encode_pdu

numbers = st.integers(0, 2**64 - 1)
bits = hnp.arrays(np.uint8, st.integers(1, 300), elements=st.integers(0, 1))
headers = st.binary(min_size=1, max_size=80)
finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
measured = st.fixed_dictionaries(
    {},
    optional={
        name: st.floats(-1e9, 1e9) if kind is float else st.integers(1, 2**32 - 1)
        for name, kind in MEASUREMENTS.items()
    },
)


@st.composite
def received_frames(draw: st.DrawFn) -> ReceivedFrame:
    values = draw(measured)
    if draw(st.booleans()):
        return ReceivedFrame.lost(LinkStats(frames_lost=1, **values))
    llrs = draw(hnp.arrays(np.float32, st.integers(1, 300), elements=finite))
    verdicts = draw(hnp.arrays(np.bool_, st.integers(1, min(8, llrs.size))))
    stats = LinkStats(frames_received=1, blocks=verdicts.size, blocks_failed=int((~verdicts).sum()), **values)
    return ReceivedFrame(draw(headers), hard_decisions(llrs), llrs, verdicts, stats)


def over_the_wire(pdu: Pdu, **added: Any) -> Pdu:
    """As it comes out of a socket, with what others have added to the metadata."""
    return decode_pdu(encode_pdu(Pdu({**pdu.metadata, "seq": UInt64(3), "session": "abc", **added}, pdu.vector)))


@given(number=numbers, header=headers, payload=bits)
def test_frames_go_round(number: int, header: bytes, payload: np.ndarray) -> None:
    back, frame = frame_from_pdu(over_the_wire(frame_to_pdu(number, Frame(header, payload))))
    assert (back, frame.header) == (number, header)
    assert frame.payload.dtype == np.uint8
    np.testing.assert_array_equal(frame.payload, payload)


@given(
    number=numbers,
    frame=received_frames(),
    hard=st.none() | hnp.arrays(np.uint8, st.integers(0, 90), elements=st.integers(0, 1)),
)
def test_received_frames_go_round(number: int, frame: ReceivedFrame, hard: np.ndarray | None) -> None:
    back = received_from_pdu(over_the_wire(received_to_pdu(ReceivedPdu(number, frame, hard))))
    assert back.number == number
    assert back.frame.header == frame.header
    assert back.frame.stats == frame.stats
    for got, expected in (
        (back.frame.payload_bits, frame.payload_bits),
        (back.frame.payload_llrs, frame.payload_llrs),
        (back.frame.block_ok, frame.block_ok),
    ):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, expected)
    if hard is None:
        assert back.hard is None
    else:
        assert back.hard is not None
        np.testing.assert_array_equal(back.hard, hard)


@given(number=numbers, frame=received_frames(), hard=st.none() | hnp.arrays(np.uint8, 17, elements=st.integers(0, 1)))
def test_what_a_message_keeps_reads_the_same(number: int, frame: ReceivedFrame, hard: np.ndarray | None) -> None:
    """Big-endian arrays that must not be written, as `decode_pdu` gives them when it keeps the message."""
    pdu = received_to_pdu(ReceivedPdu(number, frame, hard))
    kept = decode_pdu(encode_pdu(pdu), keep=True)
    check_received(kept)
    one, other = received_from_pdu(kept), received_from_pdu(pdu)
    assert one.number == other.number
    assert one.frame.payload_llrs.dtype == np.float32
    assert one.frame.payload_llrs.dtype.isnative
    for name in ("payload_llrs", "payload_bits", "block_ok"):
        np.testing.assert_array_equal(getattr(one.frame, name), getattr(other.frame, name))
    assert (one.frame.header, one.frame.stats) == (other.frame.header, other.frame.stats)
    np.testing.assert_array_equal(one.hard, other.hard)


@given(hnp.arrays(np.uint32, st.integers(1, 40)))
@example(np.array([0x7F7FFFFF, 0xFF7FFFFF, 0x00800000, 1, 0x80000000], np.uint32))  # the largest and the smallest
@example(np.array([0, 0x7F800000], np.uint32))
@example(np.array([0, 0xFF800001], np.uint32))
def test_values_that_are_no_numbers_in_either_byte_order(patterns: np.ndarray) -> None:
    values = patterns.view(np.float32)
    pdu = changed(ANSWER, {"vector": values, "block_ok": np.ones(1, np.uint8)})
    for one in (pdu, decode_pdu(encode_pdu(pdu), keep=True)):
        if np.isfinite(values).all():
            check_received(one)
        else:
            with pytest.raises(FormatError, match="finite"):
                check_received(one)


def test_a_lost_frame_keeps_what_was_measured() -> None:
    answer = received_from_pdu(lost_pdu(9, {"header": np.ones(3, np.uint8), "cfo_hz": -4.0, "frame": UInt64(1)}))
    assert answer.number == 9
    assert answer.frame.header is None
    assert answer.frame.stats == LinkStats(frames_lost=1, cfo_hz=-4.0)


SENT = frame_to_pdu(7, Frame(b"head", np.array([0, 1, 1], np.uint8)))
ANSWER = received_to_pdu(
    ReceivedPdu(
        7,
        ReceivedFrame(
            b"head", np.array([0, 1], np.uint8), np.array([-1, 2], np.float32), np.ones(1, np.bool_), LinkStats()
        ),
        np.ones(9, np.uint8),
    )
)
EVERYWHERE = [
    {"frame": None},
    {"frame": -1},
    {"frame": True},
    {"frame": 1.0},
    {"frame": "7"},
    {"header": np.empty(0, np.uint8)},
    {"header": "head"},
    {"header": np.ones(4, np.int8)},
    {"header": np.ones(1 << 19, np.uint8)},
    {"vector": np.empty(0, np.uint8)},
    {"vector": np.ones(3, np.float64)},
    {"vector": np.ones(3, np.int8)},
]


def changed(pdu: Pdu, changes: dict[str, Any]) -> Pdu:
    changes = dict(changes)
    vector = changes.pop("vector", pdu.vector)
    return Pdu({**pdu.metadata, **changes}, vector)


@pytest.mark.parametrize("changes", [*EVERYWHERE, {"header": None}, {"vector": np.array([0, 2], np.uint8)}], ids=str)
def test_what_is_no_frame(changes: dict[str, Any]) -> None:
    assert frame_from_pdu(SENT)[0] == 7
    with pytest.raises(FormatError):
        frame_from_pdu(changed(SENT, changes))


@pytest.mark.parametrize(
    "changes",
    [
        *EVERYWHERE,
        {"header": None},
        {"vector": np.array([1, np.nan], np.float32)},
        {"vector": np.array([1, np.inf], np.float32)},
        {"block_ok": None},
        {"block_ok": np.ones(3, np.uint8)},
        {"block_ok": np.empty(0, np.uint8)},
        {"block_ok": np.full(1, 2, np.uint8)},
        {"block_ok": True},
        {"hard": np.ones(3, np.uint8)},
        {"hard": "x"},
        {"hard_bits": None},
        {"hard_bits": 17},
        {"hard_bits": -1},
        {"hard_bits": 2**40},
        {"cfo_hz": float("nan")},
        {"cfo_hz": "1"},
        {"esn0_measured_db": True},
        {"fragments_received": 1.5},
        {"fragments_received": -1},
        {"fragments_received": 2**40},
    ],
    ids=str,
)
def test_what_is_no_received_frame(changes: dict[str, Any]) -> None:
    assert received_from_pdu(ANSWER).number == 7
    wrong = changed(ANSWER, changes)
    for look in (received_from_pdu, check_received):
        for pdu in (wrong, decode_pdu(encode_pdu(wrong), keep=True)):
            with pytest.raises(FormatError):
                look(pdu)


def test_more_than_fits_is_refused() -> None:
    payload = np.zeros(MAX_PDU_BITS + 1, np.uint8)
    with pytest.raises(ConfigurationError, match="payload"):
        frame_to_pdu(0, Frame(b"x", payload))
    with pytest.raises(FormatError, match="bits"):
        frame_from_pdu(Pdu(SENT.metadata, payload))


@pytest.mark.parametrize(
    ("number", "frame"),
    [
        (-1, Frame(b"x", np.ones(1, np.uint8))),
        (2**64, Frame(b"x", np.ones(1, np.uint8))),
        (0, Frame(b"", np.ones(1, np.uint8))),
        (0, Frame(bytes(1 << 19), np.ones(1, np.uint8))),
        (0, Frame(b"x", np.empty(0, np.uint8))),
        (0, Frame(b"x", np.full(1, 2, np.uint8))),
        (0, Frame(b"x", np.ones(1, np.int64))),
        (0, Frame(b"x", np.ones((1, 1), np.uint8))),
    ],
)
def test_impossible_frames_are_refused(number: int, frame: Frame) -> None:
    with pytest.raises(ConfigurationError):
        frame_to_pdu(number, frame)


def test_the_longest_frame_fits_a_message() -> None:
    """At rate 1/8, the lowest, there are eight hard decisions for each payload bit."""
    llrs = np.zeros(MAX_PDU_BITS, np.float32)
    frame = ReceivedFrame(b"x" * 1000, hard_decisions(llrs), llrs, np.ones(2200, np.bool_))
    pdu = received_to_pdu(ReceivedPdu(1, frame))
    packed = np.zeros(MAX_PDU_BITS, np.uint8)
    message = encode_pdu(Pdu({**pdu.metadata, "hard": packed, "hard_bits": 8 * MAX_PDU_BITS}, pdu.vector))
    assert decode_pdu(message).vector.size == MAX_PDU_BITS
