"""Where the parts of a frame lie, and what its signalling field survives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.coding.transport import MAX_RATE_CODE, MIN_RATE_CODE
from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.links import framing

_common = {
    "interleaved": st.booleans(),
    "header_bytes": st.integers(1, framing.MAX_HEADER_BYTES),
    "payload_bits": st.integers(1, framing.MAX_PAYLOAD_BITS),
}
sizes = st.builds(framing.Signalling, fec=st.sampled_from(sorted(framing.FEC_CODES)), **_common) | st.builds(
    framing.Signalling,
    fec=st.just("turbo"),
    rate_code=st.integers(MIN_RATE_CODE, MAX_RATE_CODE),
    redundancy_version=st.integers(0, 3),
    **_common,
)


@given(sizes)
def test_signalling_survives_its_bits(signalling: framing.Signalling) -> None:
    bits = signalling.to_bits()
    assert bits.shape == (framing.SIGNALLING_BITS,)
    assert framing.Signalling.from_bits(bits) == signalling


@given(st.lists(st.integers(0, 1), min_size=framing.SIGNALLING_BITS, max_size=framing.SIGNALLING_BITS))
def test_any_bits_parse_or_are_refused(bits: list[int]) -> None:
    try:
        signalling = framing.Signalling.from_bits(np.array(bits, np.uint8))
    except FormatError:
        return
    assert signalling.to_bits().tolist() == bits


@pytest.mark.parametrize("position", range(4))
def test_another_version_is_refused(position: int) -> None:
    bits = framing.Signalling("turbo", False, 30, 1000).to_bits()
    bits[position] ^= 1
    with pytest.raises(FormatError, match="version"):
        framing.Signalling.from_bits(bits)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"rate_code": MIN_RATE_CODE - 1}, "code rate"),
        ({"rate_code": MAX_RATE_CODE + 1}, "code rate"),
        ({"rate_code": 1023}, "code rate"),
        ({"fec": "none", "rate_code": 420}, "code rate"),
        ({"redundancy_version": 1}, "redundancy version"),
        ({"fec": "none", "redundancy_version": 3}, "redundancy version"),
        ({"header_bytes": 0}, "empty"),
        ({"payload_bits": 0}, "empty"),
    ],
)
def test_nonsense_is_refused(changes: dict[str, Any], match: str) -> None:
    field = replace(framing.Signalling("turbo", False, 30, 1000), **changes)
    with pytest.raises(FormatError, match=match):
        framing.Signalling.from_bits(field.to_bits())
    assert framing.decode_signalling(8.0 * framing.encode_signalling(field) - 4.0) is None


def test_bits_of_a_field_written_out() -> None:
    field = framing.Signalling("turbo", True, 30, 1000, rate_code=630, redundancy_version=2)
    text = "0010" + "0001" + "1" + "10" + "1001110110" + f"{30:019b}" + f"{1000:032b}"
    assert "".join(map(str, field.to_bits())) == text
    assert len(text) == framing.SIGNALLING_BITS == 72


@given(header_bytes=st.integers(1, 200), payload=st.integers(1, 5000))
def test_layout_covers_the_frame_once(header_bytes: int, payload: int) -> None:
    header = framing.header_symbols(header_bytes)
    total = framing.SIGNALLING_SYMBOLS + header + payload
    layout = framing.frame_layout(total, header_bytes)
    assert layout.header.size == header
    assert layout.payload.size == payload
    everything = np.concatenate([layout.signalling, layout.header, layout.payload])
    assert np.array_equal(np.sort(everything), np.arange(total))


def test_header_symbols_are_spread_over_the_whole_frame() -> None:
    total = 400_000
    layout = framing.frame_layout(total, 40)
    for positions in (layout.signalling, layout.header):
        # No stretch of a hundredth of the frame may hold more than its share, give or take one.
        counts = np.histogram(positions, bins=100, range=(0, total))[0]
        assert counts.max() - counts.min() <= 2


def test_too_short_a_frame_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        framing.frame_layout(framing.SIGNALLING_SYMBOLS + 10, 40)


@given(st.binary(min_size=1, max_size=100))
def test_header_bytes_round_trip(header: bytes) -> None:
    coded = framing.encode_header_bytes(header)
    assert coded.size == framing.header_symbols(len(header))
    assert framing.decode_header_bytes(8.0 * (2.0 * coded - 1.0), len(header)) == header


def test_header_outlives_the_payload_code() -> None:
    """Es/N0 −5 dB is below the waterfall of the rate-1/3 code (about −4.2 dB); headers still arrive."""
    rng = np.random.default_rng(5)
    header = bytes(range(48))
    coded = 2.0 * framing.encode_header_bytes(header) - 1.0
    field = framing.Signalling("none", False, 48, 100_000)
    coded_field = 2.0 * framing.encode_signalling(field) - 1.0
    n0 = 10**0.5
    for _ in range(10):
        noisy = coded + rng.normal(0, np.sqrt(n0 / 2), coded.size)
        assert framing.decode_header_bytes(4 * noisy / n0, 48) == header
        noisy = coded_field + rng.normal(0, np.sqrt(n0 / 2), coded_field.size)
        assert framing.decode_signalling(4 * noisy / n0) == field


def test_noise_is_not_taken_for_a_header() -> None:
    rng = np.random.default_rng(6)
    for _ in range(20):
        llrs = rng.normal(0, 4, framing.SIGNALLING_SYMBOLS)
        assert framing.decode_signalling(llrs) is None
    assert framing.decode_header_bytes(rng.normal(0, 4, framing.header_symbols(30)), 30) is None
