import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom_phy import accel
from semcom_phy.coding.crc import CRC8, CRC16, CRC24A, CRC24B, Crc, attach, check, crc_bits
from semcom_phy.errors import ConfigurationError

ALL = (CRC24A, CRC24B, CRC16, CRC8)

# Exponents of the generators as §5.1.1 prints them.
GENERATORS = {
    "CRC24A": (24, 23, 18, 17, 14, 11, 10, 7, 6, 5, 4, 3, 1, 0),
    "CRC24B": (24, 23, 6, 5, 1, 0),
    "CRC16": (16, 12, 5, 0),
    "CRC8": (8, 7, 4, 3, 1, 0),
}


def long_division(bits: list[int], exponents: tuple[int, ...]) -> list[int]:
    """Remainder of bits·D^L by the generator, done on paper."""
    length = exponents[0]
    work = [*bits, *[0] * length]
    for i in range(len(bits)):
        if work[i]:
            for exponent in exponents:
                work[i + length - exponent] ^= 1
    return work[len(bits) :]


@pytest.mark.parametrize(("crc", "value"), [(CRC24A, 0xCDE703), (CRC24B, 0x23EF52), (CRC16, 0x31C3), (CRC8, 0xEA)])
def test_published_check_values(crc: Crc, value: int) -> None:
    message = np.unpackbits(np.frombuffer(b"123456789", np.uint8))
    parity = crc_bits(message, crc)
    assert parity.dtype == np.uint8
    assert int("".join(map(str, parity)), 2) == value


@pytest.mark.parametrize("crc", ALL, ids=lambda crc: crc.name)
@settings(deadline=None, max_examples=60)
@given(length=st.integers(0, 700), seed=st.integers(0, 2**32 - 1))
def test_equals_long_division(crc: Crc, length: int, seed: int) -> None:
    bits = np.random.default_rng(seed).integers(0, 2, length, dtype=np.uint8)
    assert crc_bits(bits, crc).tolist() == long_division(bits.tolist(), GENERATORS[crc.name])


@pytest.mark.parametrize("crc", ALL, ids=lambda crc: crc.name)
@given(length=st.integers(0, 700), seed=st.integers(0, 2**32 - 1))
def test_compiled_and_numpy_agree(crc: Crc, length: int, seed: int) -> None:
    bits = np.random.default_rng(seed).integers(0, 2, (3, length), dtype=np.uint8)
    compiled = crc_bits(bits, crc)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accel, "numba_available", lambda: False)
        np.testing.assert_array_equal(crc_bits(bits, crc), compiled)
        assert check(attach(bits, crc), crc).all()
    assert compiled[0].tolist() == long_division(bits[0].tolist(), GENERATORS[crc.name])


@pytest.mark.parametrize("shape", [(0, 40), (2, 0, 40), (0, 0), (3, 0)])
def test_empty_batches_and_messages(shape: tuple[int, ...]) -> None:
    assert crc_bits(np.zeros(shape, np.uint8), CRC16).shape == (*shape[:-1], 16)
    assert not crc_bits(np.zeros(shape, np.uint8), CRC16).any()
    assert check(np.zeros(shape, np.uint8), CRC16).shape == shape[:-1]


def test_memory_order_does_not_matter() -> None:
    bits = np.random.default_rng(6).integers(0, 2, (9, 64), dtype=np.uint8)
    expected = crc_bits(bits, CRC24B)
    np.testing.assert_array_equal(crc_bits(np.asfortranarray(bits), CRC24B), expected)
    np.testing.assert_array_equal(crc_bits(np.repeat(bits, 2, axis=1)[:, ::2], CRC24B), expected)


@pytest.mark.parametrize("crc", ALL, ids=lambda crc: crc.name)
def test_batch_equals_single_messages(crc: Crc) -> None:
    bits = np.random.default_rng(3).integers(0, 2, (2, 5, 333), dtype=np.uint8)
    batch = crc_bits(bits, crc)
    assert batch.shape == (2, 5, crc.length)
    for index in np.ndindex(2, 5):
        np.testing.assert_array_equal(batch[index], crc_bits(bits[index], crc))


@pytest.mark.parametrize("crc", ALL, ids=lambda crc: crc.name)
def test_check_accepts_attached_and_refuses_every_single_error(crc: Crc) -> None:
    word = attach(np.random.default_rng(4).integers(0, 2, 100, dtype=np.uint8), crc)
    assert word.shape == (100 + crc.length,)
    assert check(word, crc)
    damaged = word ^ np.eye(word.size, dtype=np.uint8)
    assert not check(damaged, crc).any()


def test_long_message_and_leading_zeros() -> None:
    bits = np.random.default_rng(5).integers(0, 2, 131072, dtype=np.uint8)
    parity = crc_bits(bits, CRC24A)
    assert parity.tolist() == long_division(bits.tolist(), GENERATORS["CRC24A"])
    np.testing.assert_array_equal(crc_bits(np.concatenate([np.zeros(77, np.uint8), bits]), CRC24A), parity)


def test_message_shorter_than_its_crc_is_not_ok() -> None:
    assert not check(np.zeros(23, np.uint8), CRC24A)


@pytest.mark.parametrize(("polynomial", "length"), [(0, 8), (0x1FF, 8), (1, 7), (1, 33)])
def test_bad_polynomials_are_refused(polynomial: int, length: int) -> None:
    with pytest.raises(ConfigurationError, match="length of 8…32"):
        Crc("bad", polynomial, length)
