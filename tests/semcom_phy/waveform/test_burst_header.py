import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.waveform import burst_header as module
from semcom_phy.waveform.burst_header import (
    FIELD_BITS,
    HEADER_BITS,
    HEADER_SYMBOLS,
    BurstHeader,
    decode_application_header,
    decode_burst_header,
    encode_application_header,
    encode_burst_header,
)


@st.composite
def headers(draw: st.DrawFn) -> BurstHeader:
    fragments = draw(st.integers(1, 65535))
    return BurstHeader(
        image=draw(st.integers(0, 2**32 - 1)),
        frame=draw(st.integers(0, 65535)),
        fragment=draw(st.integers(0, fragments - 1)),
        fragments=fragments,
        coded_bits=draw(st.integers(fragments, 2**32 - 1)),
        payload_bits=draw(st.integers(1, 2**32 - 1)),
        header_bytes=draw(st.integers(1, 4096)),
        link=draw(st.integers(0, 65535)),
        modulation=draw(st.sampled_from(["bpsk", "qpsk", "16qam"])),
        fec=draw(st.sampled_from(["none", "turbo"])),
        redundancy=draw(st.integers(0, 3)),
        interleaved=draw(st.booleans()),
        passes=draw(st.integers(1, 8)),
    )


def example(**changes: object) -> BurstHeader:
    values: dict = {
        "image": 1,
        "frame": 2,
        "fragment": 0,
        "fragments": 3,
        "coded_bits": 1000,
        "payload_bits": 300,
        "header_bytes": 40,
    }
    return BurstHeader(**(values | changes))


@given(headers())
def test_round_trip_of_the_fields(header: BurstHeader) -> None:
    bits = header.to_bits()
    assert bits.shape == (HEADER_BITS,) == (192,)
    assert BurstHeader.from_bits(bits) == header


@given(headers())
def test_fragments_partition_the_coded_bits(header: BurstHeader) -> None:
    assume(header.fragments < 500)
    edges = [example(**(header.describe() | {"fragment": i})).fragment_range for i in range(header.fragments)]
    assert edges[0][0] == 0
    assert edges[-1][1] == header.coded_bits
    assert all(a[1] == b[0] for a, b in itertools.pairwise(edges))
    sizes = {b - a for a, b in edges}
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


@given(st.binary(min_size=24, max_size=24))
def test_random_bits_are_refused_or_mean_something(data: bytes) -> None:
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    bits[:8] = [0, 0, 0, 0, 0, 0, 0, 1]  # the version, else nearly everything fails there
    try:
        header = BurstHeader.from_bits(bits)
    except FormatError:
        return
    np.testing.assert_array_equal(header.to_bits(), bits)


@given(st.binary(min_size=24, max_size=24))
def test_other_versions_are_refused(data: bytes) -> None:
    assume(data[0] != 1)
    with pytest.raises(FormatError, match="version"):
        BurstHeader.from_bits(np.unpackbits(np.frombuffer(data, np.uint8)))


@given(st.lists(st.integers(0, 255), max_size=200))
def test_other_lengths_are_refused(values: list[int]) -> None:
    assume(len(values) != HEADER_BITS)
    with pytest.raises(FormatError):
        BurstHeader.from_bits(np.array(values, np.uint8))


@pytest.mark.parametrize(
    "bad",
    [
        {"image": 1 << 32},
        {"image": -1},
        {"fragment": 3},
        {"coded_bits": 2},
        {"coded_bits": 1 << 32},
        {"payload_bits": 0},
        {"header_bytes": 0},
        {"header_bytes": 4097},
        {"link": 1 << 16},
        {"passes": 0},
        {"passes": 9},
        {"redundancy": 4},
        {"modulation": "8psk"},
        {"fec": "ldpc"},
    ],
)
def test_values_have_to_fit(bad: dict) -> None:
    with pytest.raises(ConfigurationError):
        example(**bad)


def test_fields_that_make_no_sense_are_format_errors() -> None:
    for name, value in (("modulation", 7), ("fec", 5), ("fragments", 0), ("payload_bits", 0), ("coded_bits", 1)):
        bits = example().to_bits()
        start = sum(size for other, size in list(FIELD_BITS.items())[: list(FIELD_BITS).index(name)])
        size = FIELD_BITS[name]
        bits[start : start + size] = [value >> i & 1 for i in range(size - 1, -1, -1)]
        with pytest.raises(FormatError):
            BurstHeader.from_bits(bits)


def test_code_carries_below_the_payload_s_threshold() -> None:
    """The payload at rate 1/3 ends at −4 dB Es/N0; headers must not be lost before it."""
    rng = np.random.default_rng(1)
    header = example()
    coded = encode_burst_header(header)
    assert coded.shape == (HEADER_SYMBOLS,) == (1320,)
    n0 = 10**0.5
    for _ in range(30):
        received = 2.0 * coded - 1 + math.sqrt(n0 / 2) * rng.standard_normal(coded.size)
        assert decode_burst_header(4 * received / n0) == header


def test_noise_is_no_header() -> None:
    rng = np.random.default_rng(2)
    for scale in (0.0, 1.0, 100.0, math.nan):
        assert decode_burst_header(scale * rng.standard_normal(HEADER_SYMBOLS)) is None


def test_intact_header_of_another_version_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BURST_VERSION", 2)
    coded = encode_burst_header(example())
    monkeypatch.undo()
    with pytest.raises(FormatError, match="version 2"):
        decode_burst_header(20.0 * coded - 10.0)


@pytest.mark.parametrize("size", [1, 50, 4096])
def test_application_header(size: int) -> None:
    header = bytes(i % 251 for i in range(size))
    llrs = 20.0 * encode_application_header(header, 2).reshape(2, -1) - 10.0
    assert decode_application_header(llrs.sum(axis=0), size) == header
    assert decode_application_header(np.zeros(llrs.shape[1]), size) is None


@pytest.mark.parametrize("size", [0, 4097])
def test_application_header_has_bounds(size: int) -> None:
    with pytest.raises(ConfigurationError, match="4096"):
        encode_application_header(bytes(size), 1)


def test_small_frames_carry_the_application_header_twice() -> None:
    assert example(fragments=1).header_copies == example(fragments=2).header_copies == 2
    assert example(fragments=3).header_copies == 1
