"""Cyclic redundancy checks of 3GPP TS 36.212 §5.1.1, eight bytes at a time, over a batch.

All four start from an all-zero register and invert nothing, so a CRC is the remainder of
``message · D^L`` divided by the generator: it is linear over GF(2), and leading zeros do not change it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.accel import kernel_module
from semcom_phy.errors import ConfigurationError

Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Crc:
    """A generator polynomial: `polynomial` without its leading term D^L, most significant bit = D^(L-1).

    `length` is L, the number of parity bits (8 … 32).
    """

    name: str
    polynomial: int
    length: int

    def __post_init__(self) -> None:
        if not 8 <= self.length <= 32 or not 0 < self.polynomial < 1 << self.length:
            raise ConfigurationError(f"CRC {self.name!r}: give a length of 8…32 bits and a polynomial below 2**length")


CRC24A: Final = Crc("CRC24A", 0x864CFB, 24)
CRC24B: Final = Crc("CRC24B", 0x800063, 24)
CRC16: Final = Crc("CRC16", 0x1021, 16)
CRC8: Final = Crc("CRC8", 0x9B, 8)


def _times_x(value: int, crc: Crc, times: int = 1) -> int:
    """Return ``value · D^times`` modulo the generator."""
    for _ in range(times):
        value <<= 1
        if value >> crc.length:
            value ^= 1 << crc.length | crc.polynomial
    return value


def _product(a: int, b: int, crc: Crc) -> int:
    """Return ``a · b`` modulo the generator."""
    result = 0
    for position in range(crc.length):
        if b >> position & 1:
            result ^= _times_x(a, crc, position)
    return result


@cache
def _power(crc: Crc, doublings: int) -> int:
    """Return ``D^(8 · 2^doublings)`` modulo the generator."""
    if doublings == 0:
        return _times_x(1, crc, 8)
    half = _power(crc, doublings - 1)
    return _product(half, half, crc)


def _linear_table(images: list[int]) -> npt.NDArray[np.uint32]:
    """Tabulate over all 256 bytes the linear map that sends bit number i to ``images[i]``."""
    table = np.zeros(256, np.uint32)
    for position, image in enumerate(images):
        table[1 << position : 2 << position] = table[: 1 << position] ^ np.uint32(image)
    return table


@cache
def _byte_table(crc: Crc) -> npt.NDArray[np.uint32]:
    """Return the CRC of each single byte: (256,) uint32, D^(L-1) highest."""
    return _linear_table([_times_x(1, crc, crc.length + i) for i in range(8)])


@cache
def _shift_tables(crc: Crc, doublings: int) -> tuple[npt.NDArray[np.uint32], ...]:
    """Multiplication by ``D^(8 · 2^doublings)``, one table for each byte of the remainder, lowest first."""
    factor = _power(crc, doublings)
    images = [_times_x(factor, crc, i) for i in range(crc.length)]
    return tuple(_linear_table(images[i : i + 8]) for i in range(0, crc.length, 8))


@cache
def octet_tables(crc: Crc) -> npt.NDArray[np.uint32]:
    """Return the CRC of each byte followed by 0 … 7 zero bytes: (8, 256) uint32, left-aligned in 32 bits."""
    tables = np.empty((8, 256), np.uint32)
    for zeros in range(8):
        first = _times_x(1, crc, crc.length + 8 * zeros)
        tables[zeros] = _linear_table([_times_x(first, crc, i) for i in range(8)])
    return tables << np.uint32(32 - crc.length)


def _prepend_zeros(values: npt.NDArray, count: int) -> npt.NDArray:
    return np.concatenate([np.zeros((*values.shape[:-1], count), values.dtype), values], axis=-1)


def _merged_remainders(octets: Bits, crc: Crc) -> npt.NDArray[np.uint32]:
    """Remainders (B,) of messages (B, n) of whole bytes, n ≥ 1, in NumPy: all bytes at once."""
    remainder = _byte_table(crc)[octets]
    # Neighbouring segments merge pairwise: crc(left ‖ right) = crc(left) · D^|right| + crc(right).
    doublings = 0
    while remainder.shape[-1] > 1:
        if remainder.shape[-1] % 2:
            remainder = _prepend_zeros(remainder, 1)
        left, merged = remainder[..., 0::2], remainder[..., 1::2].copy()
        for number, table in enumerate(_shift_tables(crc, doublings)):
            merged ^= table[left >> np.uint32(8 * number) & np.uint32(0xFF)]
        remainder = merged
        doublings += 1
    return remainder[..., 0]


def _remainders(bits: Bits, crc: Crc) -> npt.NDArray[np.uint32]:
    """Remainders (B,) of ``message · D^L`` for messages (B, N), as numbers with D^(L−1) highest."""
    octets = np.ascontiguousarray(np.packbits(bits, axis=-1))
    if octets.shape[-1] == 0:
        return np.zeros(len(octets), np.uint32)
    kernels = kernel_module("semcom_phy.coding.kernels")
    if kernels is None:
        remainders = _merged_remainders(octets, crc)
    else:
        remainders = np.empty(len(octets), np.uint32)
        kernels.crc_registers(octets, octet_tables(crc), remainders)
        remainders >>= np.uint32(32 - crc.length)
    # The zeros that filled the last byte multiplied the message by D each; divide by D as often. A remainder
    # with a constant term becomes divisible by adding the generator, whose constant term is always 1.
    generator = np.uint64(1 << crc.length | crc.polynomial)
    for _ in range(-bits.shape[-1] % 8):
        wide = remainders.astype(np.uint64)
        remainders = ((wide ^ (wide & np.uint64(1)) * generator) >> np.uint64(1)).astype(np.uint32)
    return remainders


def _messages(bits: npt.ArrayLike) -> Bits:
    return np.atleast_1d(np.asarray(bits, dtype=np.uint8))


def _rows(messages: Bits) -> Bits:
    return messages.reshape(math.prod(messages.shape[:-1]), messages.shape[-1])


def crc_bits(bits: npt.ArrayLike, crc: Crc) -> Bits:
    """Return the parity bits p_0 … p_(L-1) of TS 36.212 §5.1.1, first (highest) coefficient first.

    `bits` has shape (…, N), values 0/1; the result has shape (…, L), dtype uint8.
    """
    message = _messages(bits)
    remainders = _remainders(_rows(message), crc)
    shifts = np.arange(crc.length - 1, -1, -1, dtype=np.uint32)
    parity = (remainders[:, None] >> shifts & np.uint32(1)).astype(np.uint8)
    return parity.reshape(*message.shape[:-1], crc.length)


def attach(bits: npt.ArrayLike, crc: Crc) -> Bits:
    """Return `bits` (…, N) followed by their parity bits: (…, N + L) uint8."""
    message = _messages(bits)
    return np.concatenate([message, crc_bits(message, crc)], axis=-1)


def check(bits: npt.ArrayLike, crc: Crc) -> npt.NDArray[np.bool_]:
    """Tell whether the last L of the N bits (…, N) are the CRC of those before them.

    The result has shape (…), a zero-dimensional array for one message. A message shorter than L is False.
    Mind that the all-zero word always passes: a caller must not take an erased block for a good one.
    """
    received = _messages(bits)
    if received.shape[-1] < crc.length:
        return np.zeros(received.shape[:-1], np.bool_)
    remainders = _remainders(_rows(received), crc)
    return (remainders == 0).reshape(received.shape[:-1])
