"""Whole frames: put together and taken apart again, with one, two and four bits per symbol."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom_phy.coding.transport import TurboCode
from semcom_phy.errors import ConfigurationError
from semcom_phy.links import framing
from semcom_phy.links.payload_coding import decode_payload, encode_payload, payload_coded_length
from semcom_phy.modulation import MODULATIONS

SCHEMES = {MODULATIONS[name].bits_per_symbol: MODULATIONS[name] for name in MODULATIONS}
HEADER = b"the header"


def coded_frame(
    fec: str = "turbo", payload_bits: int = 500, interleave: bool = False, rate: float | None = None, width: int = 1
) -> tuple[framing.Signalling, np.ndarray, np.ndarray]:
    """Signalling field, coded payload and bits of a frame."""
    payload = np.random.default_rng(payload_bits).integers(0, 2, payload_bits, dtype=np.uint8)
    turbo = TurboCode(rate=rate)
    signalling = framing.Signalling(fec, interleave, len(HEADER), payload_bits, turbo.rate_code)
    coded = encode_payload(payload, fec, turbo)
    return signalling, coded, framing.assemble_frame(signalling, HEADER, coded, width)


@settings(max_examples=30)
@given(
    fec=st.sampled_from(["none", "turbo"]),
    payload_bits=st.integers(60, 3000),
    interleave=st.booleans(),
    rated=st.booleans(),
    width=st.sampled_from(sorted(SCHEMES)),
)
def test_frames_come_apart_as_they_were(fec: str, payload_bits: int, interleave: bool, rated: bool, width: int) -> None:
    rate = 0.4 if rated and fec == "turbo" else None
    signalling, coded, bits = coded_frame(fec, payload_bits, interleave, rate, width)
    assert bits.size % width == 0
    parts = framing.disassemble_frame((8.0 * bits - 4.0).astype(np.float32), width)
    assert parts is not None
    assert (parts.signalling, parts.header) == (signalling, HEADER)
    np.testing.assert_array_equal(parts.payload_llrs > 0, coded == 1)
    known = bits.reshape(-1, width)[parts.known_symbols]
    np.testing.assert_array_equal(parts.known_bits, known.reshape(-1))


@pytest.mark.parametrize("width", sorted(SCHEMES))
def test_es_n0_is_measured_over_known_symbols(width: int) -> None:
    _, _, bits = coded_frame("turbo", 20_000, width=width)
    rng = np.random.default_rng(1)
    symbols = SCHEMES[width].modulate(bits)
    gain = np.exp(1j * rng.uniform(0, 2 * np.pi, symbols.size)) * 2.0
    noise = (rng.normal(size=symbols.size) + 1j * rng.normal(size=symbols.size)) / np.sqrt(2) * 0.2
    parts = framing.disassemble_frame((8.0 * bits - 4.0).astype(np.float32), width)
    assert parts is not None
    measured = framing.measured_esn0_db(gain * symbols + noise, gain, parts, SCHEMES[width])
    # 960 symbols at least: ±0.14 dB (1σ).
    assert measured == pytest.approx(10 * np.log10(4 / 0.04), abs=0.5)
    assert framing.measured_esn0_db(gain * symbols, gain, parts, SCHEMES[width]) is None


@pytest.mark.parametrize("width", [2, 4])
def test_a_frame_that_fills_no_symbols_is_lost(width: int) -> None:
    _, _, bits = coded_frame(width=width)
    llrs = (8.0 * bits - 4.0).astype(np.float32)
    assert framing.disassemble_frame(llrs, width) is not None
    for cut in (1, width, width + 1):
        assert framing.disassemble_frame(llrs[:-cut], width) is None
    assert framing.disassemble_frame(np.empty(0, np.float32), width) is None


def test_parts_that_contradict_the_signalling_are_refused() -> None:
    signalling, coded, _ = coded_frame()
    for field, payload in (
        (replace(signalling, header_bytes=3), coded),
        (replace(signalling, payload_bits=501), coded),
        (replace(signalling, payload_bits=0), coded),
        (replace(signalling, fec="none"), coded),
        (replace(signalling, rate_code=420), coded),
        (signalling, coded[:-1]),
    ):
        with pytest.raises(ConfigurationError):
            framing.assemble_frame(field, HEADER, payload)


@pytest.mark.parametrize("fec", ["none", "turbo"])
def test_a_payload_of_another_length_is_refused(fec: str) -> None:
    length = payload_coded_length(100, fec, TurboCode())
    assert decode_payload(np.ones(length, np.float32), 100, fec, TurboCode()).bits.size == 100
    for wrong in (length - 1, length + 1, 0):
        with pytest.raises(ConfigurationError, match="LLRs"):
            decode_payload(np.ones(wrong, np.float32), 100, fec, TurboCode())
