import numpy as np
import pytest

from semcom_phy.coding.header import decode_header, encode_header, header_coded_length
from semcom_phy.coding.transport import coded_length
from semcom_phy.errors import ConfigurationError


def header_bits(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2, 200, dtype=np.uint8)


@pytest.mark.parametrize("repetition", [1, 3])
def test_round_trip(repetition: int) -> None:
    sent = header_bits(1)
    coded = encode_header(sent, repetition)
    assert coded.shape == (header_coded_length(200, repetition),) == (repetition * coded_length(200),)
    bits, ok = decode_header(4.0 * coded - 2.0, 200, repetition)
    np.testing.assert_array_equal(bits, sent)
    assert ok is True


def test_repetition_carries_through_noise_that_one_copy_does_not_survive() -> None:
    rng = np.random.default_rng(2)
    sent = header_bits(3)
    delivered = {}
    variance = 0.5 * 10**0.9  # Es/N0 = −9 dB
    for repetition in (1, 8):
        coded = 2.0 * encode_header(sent, repetition) - 1.0
        oks = []
        for _ in range(8):
            llrs = 2.0 * (coded + np.sqrt(variance) * rng.standard_normal(coded.size)) / variance
            bits, ok = decode_header(llrs, 200, repetition)
            assert ok == np.array_equal(bits, sent)
            oks.append(ok)
        delivered[repetition] = sum(oks)
    assert delivered == {1: 0, 8: 8}


def test_erased_and_contradicting_copies() -> None:
    sent = header_bits(4)
    llrs = 4.0 * encode_header(sent, 2) - 2.0
    llrs[: llrs.size // 2] = np.nan
    bits, ok = decode_header(llrs, 200, 2)
    assert ok
    np.testing.assert_array_equal(bits, sent)
    certain = np.where(encode_header(sent, 2) == 1, np.inf, -np.inf)
    certain[: certain.size // 2] *= -1
    _, ok = decode_header(certain, 200, 2)
    assert ok is False
    _, ok = decode_header(np.zeros(header_coded_length(200, 2)), 200, 2)
    assert ok is False


def test_bad_requests() -> None:
    with pytest.raises(ConfigurationError, match="at least once"):
        encode_header(header_bits(5), 0)
    with pytest.raises(ConfigurationError, match="at least once"):
        header_coded_length(8, 0)
    with pytest.raises(ConfigurationError, match="header has"):
        decode_header(np.zeros(10), 200, 1)
