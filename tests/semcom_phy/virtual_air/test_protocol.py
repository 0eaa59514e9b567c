"""Requests, replies, and the queue between them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.errors import FormatError
from semcom_phy.virtual_air.protocol import (
    DEFAULT_CHUNK,
    LARGEST_COMPONENT,
    MAX_CHUNK,
    MAX_REPLY_SAMPLES,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
    without_junk,
)
from semcom_phy.virtual_air.queue import SampleQueue


def test_requests_as_others_send_them() -> None:
    assert encode_request(4096) == b"\x00\x10\x00\x00"  # as recorded from req_source of GNU Radio 3.10.5
    assert decode_request(b"\x18\x0c\x00\x00") == 3096
    assert decode_request(b"\xff") == DEFAULT_CHUNK  # srsRAN
    assert decode_request(b"\xff\xff\xff\xff") == MAX_CHUNK


@given(st.binary(max_size=40))
def test_any_request_is_a_bounded_number_or_refused(message: bytes) -> None:
    try:
        assert 1 <= decode_request(message) <= MAX_CHUNK
        assert len(message) in (1, 4)
    except FormatError:
        assert len(message) not in (1, 4) or message == bytes(4)


@given(st.binary(max_size=200))
def test_any_reply_is_samples_or_refused(message: bytes) -> None:
    if len(message) % 8:
        with pytest.raises(FormatError):
            decode_reply(message)
    else:
        samples = decode_reply(message)
        assert samples.dtype == np.complex64
        assert encode_reply(samples) == message
        good, bad = without_junk(samples)
        parts = good.view(np.float32)
        assert np.isfinite(parts).all()
        assert (np.abs(parts) <= LARGEST_COMPONENT).all()
        assert (bad == 0) == np.array_equal(good, samples)


def test_replies_are_bounded() -> None:
    assert decode_reply(bytes(8 * MAX_REPLY_SAMPLES)).size == MAX_REPLY_SAMPLES
    with pytest.raises(FormatError, match="at most"):
        decode_reply(bytes(8 * (MAX_REPLY_SAMPLES + 1)))


def test_junk_among_samples_becomes_zero() -> None:
    samples = np.array([1 + 1j, np.nan, 1j * np.inf, 2e6, -1e6, 3], np.complex64)
    good, bad = without_junk(samples)
    np.testing.assert_array_equal(good, [1 + 1j, 0, 0, 0, -1e6, 3])
    assert bad == 3


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 12)), max_size=40))
def test_the_queue_keeps_order_and_size(steps: list[tuple[int, int]]) -> None:
    queue, sent, taken = SampleQueue(), 0, []
    for put, take in steps:
        queue.put(np.arange(sent, sent + put).astype(np.complex64))
        sent += put
        before = len(queue)
        part = queue.take(take)
        assert part.size == min(take, before)
        assert len(queue) == before - part.size
        taken.append(part)
    rest = len(queue)
    taken.append(queue.take(rest))
    np.testing.assert_array_equal(np.concatenate(taken), np.arange(sent))
    queue.put(np.ones(3, np.complex64))
    assert queue.clear() == 3
    assert len(queue) == 0
