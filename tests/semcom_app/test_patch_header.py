"""The header of a patch quantizer: round trips, sizes, and bytes that are damaged or hostile."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom_app.allocation import AllocationConfig, allocate
from semcom_app.allocation.budget import header_bits
from semcom_app.patch_header import decode_patch_header, encode_patch_header, fill_budget, largest_header_bits
from semcom_app.patch_quantization import PatchQuantizer, patch_fill, patch_ranges
from semcom_phy.errors import ConfigurationError, FormatError


@st.composite
def cases(draw: st.DrawFn) -> tuple[PatchQuantizer, tuple[int, int, int], dict]:
    """Quantizer, (height, width, side), options of the encoder."""
    rows, columns, side = draw(st.integers(1, 5)), draw(st.integers(1, 5)), draw(st.sampled_from([1, 4, 16]))
    height, width = rows * side - draw(st.integers(0, side - 1)), columns * side - draw(st.integers(0, side - 1))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    maximum, value_bits = draw(st.integers(1, 8)), draw(st.integers(1, 8))
    ranges = draw(st.sampled_from(["full", "picture", "patch"]))
    fill = draw(st.sampled_from(["mid-range", "mean", "channel-means"]))
    patches = np.sort(rng.integers(0, 256, (rows * columns, 1)), axis=0) + rng.integers(0, 40, (rows * columns, 12))
    patches = np.minimum(patches, 255).astype(np.uint8)
    quantizer = PatchQuantizer(
        rng.integers(0, maximum + 1, rows * columns).astype(np.uint8),
        *patch_ranges(patches, ranges, value_bits),
        patch_fill(patches, fill, value_bits=value_bits),
    )
    options = {
        "maximum": maximum,
        "own_ranges": ranges == "patch",
        "value_bits": value_bits,
        "coded": draw(st.booleans()),
    }
    return quantizer, (height, width, side), options


@given(cases())
def test_round_trip(case: tuple[PatchQuantizer, tuple[int, int, int], dict]) -> None:
    quantizer, (height, width, side), options = case
    body = encode_patch_header(quantizer, height, width, side, **options)
    rebuilt, found_side = decode_patch_header(body, height, width)
    assert found_side == side
    assert np.array_equal(rebuilt.bits, quantizer.bits)
    # What counts: the same values from the same indices.
    indices = quantizer.quantize(np.random.default_rng(0).integers(0, 256, (quantizer.bits.size, 12), dtype=np.uint8))
    assert np.array_equal(rebuilt.dequantize(indices), quantizer.dequantize(indices))
    bound = largest_header_bits(
        quantizer.bits.size,
        maximum=options["maximum"],
        own_ranges=options["own_ranges"],
        parts=quantizer.fill.shape[1],
        value_bits=options["value_bits"],
    )
    assert 8 * len(body) <= bound


def paper_case() -> tuple[PatchQuantizer, np.ndarray]:
    """196 patches under smooth attention, as a picture with one object has it."""
    y, x = np.mgrid[:14, :14]
    attention = np.exp(-((y - 6) ** 2 + (x - 8) ** 2) / 12) + 0.02 * np.random.default_rng(0).random((14, 14))
    bits = allocate("wf", attention.reshape(-1), 392)
    n = bits.size
    return PatchQuantizer(bits, np.zeros(n, np.uint8), np.full(n, 255, np.uint8), np.zeros((n, 0), np.uint8)), bits


def test_the_paper_header() -> None:
    """Plain: exactly eq. (12) and three bytes for what the paper takes as known; coded: less than half."""
    quantizer, _ = paper_case()
    plain = encode_patch_header(quantizer, 224, 224, 16, coded=False)
    assert 8 * len(plain) == header_bits(196) + 24 == largest_header_bits(196)
    coded = encode_patch_header(quantizer, 224, 224, 16)
    assert 8 * len(coded) < 0.5 * header_bits(196)


def test_layout_byte_by_byte() -> None:
    quantizer = PatchQuantizer(
        np.array([5, 0], np.uint8),
        np.array([16, 0], np.uint8),
        np.array([47, 0], np.uint8),
        np.array([[0], [200]], np.uint8),
    )
    body = encode_patch_header(quantizer, 4, 8, 4, own_ranges=True, coded=False)
    # M=5, low 16, distance 31 in as many bits as 255 − 16 takes; M=0, mean 200.
    bits = "0101" + "00010000" + "00011111" + "0000" + "11001000"
    assert body == bytes([4, 1 | 2, 8 | 8 << 4]) + int(bits, 2).to_bytes(4, "big")


def test_truncation_is_found() -> None:
    quantizer, _ = paper_case()
    body = encode_patch_header(quantizer, 224, 224, 16, coded=False)
    for length in range(len(body)):
        with pytest.raises(FormatError):
            decode_patch_header(body[:length], 224, 224)
    with pytest.raises(FormatError):
        decode_patch_header(body + b"\0", 224, 224)


@given(st.binary(max_size=60), st.integers(1, 64), st.integers(1, 64))
@settings(max_examples=300)
def test_any_bytes_are_a_quantizer_or_a_format_error(body: bytes, height: int, width: int) -> None:
    try:
        quantizer, side = decode_patch_header(body, height, width)
    except FormatError:
        return
    assert quantizer.bits.size == -(-height // side) * -(-width // side)
    assert quantizer.bits.max() <= 8


@given(cases(), st.data())
def test_flipped_bits_never_crash(case: tuple[PatchQuantizer, tuple[int, int, int], dict], data: st.DataObject) -> None:
    quantizer, (height, width, side), options = case
    body = bytearray(encode_patch_header(quantizer, height, width, side, **options))
    for position in data.draw(st.lists(st.integers(0, 8 * len(body) - 1), min_size=1, max_size=4)):
        body[position // 8] ^= 1 << position % 8
    try:
        rebuilt, _ = decode_patch_header(bytes(body), height, width)
    except FormatError:
        return
    rebuilt.dequantize(np.zeros((rebuilt.bits.size, 12), np.uint8))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"\x10", "too short"),
        (bytes([0, 0, 0x88, 0, 255]), "side 0"),
        (bytes([16, 16, 0x88, 0, 255]), "flags 16"),
        (bytes([16, 6, 0x88, 0, 255]), "flags 6"),
        (bytes([16, 0, 0x80, 0, 255]), "0 bits per sample"),
        (bytes([16, 0, 0x89, 0, 255]), "9 bits per sample"),
        (bytes([16, 0, 0x08, 0, 255]), "0 per range end"),
        (bytes([16, 0, 0x98, 0, 255]), "9 per range end"),
        (bytes([16, 0, 0x88, 0]), "before the range"),
        (bytes([16, 0, 0x88, 9, 8, 0]), "ends before it begins"),
        (bytes([16, 0, 0x88, 0, 255, 0x90]), "number 9 where 0 to 8"),
        (bytes([16, 0, 0x88, 0, 255, 0x81]), "goes on"),
    ],
)
def test_contradictions_are_refused(body: bytes, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        decode_patch_header(body, 16, 16)


def test_a_hostile_header_costs_no_memory() -> None:
    """One byte that asks for 50 million patches of one pixel, or a code that goes on for ever."""
    tracemalloc.start()
    for flags in (0, 1, 8, 9):
        with pytest.raises(FormatError, match="patches"):
            decode_patch_header(bytes([1, flags, 0x88, 0, 255]), 7000, 7000)
    with pytest.raises(FormatError, match="cannot take"):
        decode_patch_header(bytes([16, 8, 0x88, 0, 255]) + b"\xff" * 100_000, 224, 224)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4_000_000  # 50 million patches would take 50 MB at least


def test_what_does_not_fit_is_refused() -> None:
    quantizer, _ = paper_case()
    with pytest.raises(ConfigurationError, match="do not make a picture"):
        encode_patch_header(quantizer, 224, 240, 16)
    with pytest.raises(ConfigurationError, match="more than the maximum 2"):
        encode_patch_header(quantizer, 224, 224, 16, maximum=2)
    mixed = PatchQuantizer(quantizer.bits, np.arange(196, dtype=np.uint8), quantizer.high, quantizer.fill)
    with pytest.raises(ConfigurationError, match="need own_ranges"):
        encode_patch_header(mixed, 224, 224, 16)
    with pytest.raises(ConfigurationError, match="cannot be written with 4 bits"):
        encode_patch_header(mixed, 224, 224, 16, own_ranges=True, value_bits=4)
    many = np.zeros(513 * 512, np.uint8)
    with pytest.raises(ConfigurationError, match="use larger patches"):
        encode_patch_header(PatchQuantizer(many, many, many, np.zeros((many.size, 0), np.uint8)), 513, 512, 1)


@pytest.mark.parametrize("target", [2_000, 30_000, 120_000, 301_056])
def test_a_budget_is_filled_whatever_the_header_takes(target: int) -> None:
    rng = np.random.default_rng(0)
    importance = rng.random(196)

    def header(bits: np.ndarray) -> int:
        return 800 + 16 * int(np.count_nonzero(bits))

    def spend(total: int) -> np.ndarray:
        return allocate("ia", importance, total, AllocationConfig(minimum=0))

    bits = fill_budget(target, 768, 0, 196 * 8, spend, header)
    used = int(bits.sum(dtype=int)) * 768 + header(bits)
    assert used <= target
    assert used > target - 2 * 768 - 16 * 2
    with pytest.raises(ConfigurationError, match="smallest 800 bits"):
        fill_budget(799, 768, 0, 196 * 8, spend, header)


def test_a_budget_beyond_all_needs_is_filled_to_the_maximum() -> None:
    bits = fill_budget(
        10**9,
        768,
        0,
        24,
        lambda total: allocate("ia", np.ones(3), total, AllocationConfig(minimum=0)),
        lambda bits: 100,
    )
    assert bits.tolist() == [8, 8, 8]
