"""Adaptive binary arithmetic coding of small side information, such as the mask of important regions.

A range coder with carry propagation; the probability of each bit is estimated from the counts in its
context (Krichevsky–Trofimov), so that even a few thousand bits compress well. All arithmetic is on
integers: encoder and decoder agree on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semcom_phy.errors import FormatError

_PROBABILITY_BITS = 16
_TOP = 1 << 24
_COUNT_LIMIT = 1 << 10  # counts are halved beyond it, which also keeps the estimate adaptive


class AdaptiveBit:
    """Counts of the zeros and ones seen in one context."""

    __slots__ = ("ones", "zeros")

    def __init__(self) -> None:
        self.zeros = 0
        self.ones = 0

    def probability_of_zero(self) -> int:
        """KT estimate (zeros + ½)/(zeros + ones + 1), scaled to 1…2^16 − 1."""
        scaled = ((2 * self.zeros + 1) << _PROBABILITY_BITS) // (2 * (self.zeros + self.ones) + 2)
        return min(max(scaled, 1), (1 << _PROBABILITY_BITS) - 1)

    def update(self, bit: int) -> None:
        """Count one bit."""
        if bit:
            self.ones += 1
        else:
            self.zeros += 1
        if self.zeros + self.ones > _COUNT_LIMIT:
            self.zeros, self.ones = self.zeros // 2, self.ones // 2


class BinaryEncoder:
    """Encodes bits, each with the estimate of its context, into bytes."""

    def __init__(self) -> None:
        self._low = 0
        self._range = 0xFFFFFFFF
        self._output = bytearray()

    def encode(self, bit: int, context: AdaptiveBit) -> None:
        """Append one bit and let its context learn from it."""
        zero_part = (self._range >> _PROBABILITY_BITS) * context.probability_of_zero()
        if bit:
            self._low += zero_part
            self._range -= zero_part
        else:
            self._range = zero_part
        context.update(bit)
        if self._low >> 32:
            self._carry()
        while self._range < _TOP:
            self._output.append(self._low >> 24)
            self._low = self._low << 8 & 0xFFFFFFFF
            self._range <<= 8

    def _carry(self) -> None:
        self._low &= 0xFFFFFFFF
        last = len(self._output) - 1
        while self._output[last] == 0xFF:
            self._output[last] = 0
            last -= 1
        self._output[last] += 1

    def finish(self) -> bytes:
        """Close the code with as few bytes as possible; missing bytes count as zeros in the decoder."""
        value = self._low + self._range - 1
        for keep in (8, 16, 24):
            mask = 0xFFFFFFFF >> keep
            rounded = value & ~mask
            if rounded >= self._low:
                value = rounded
                break
        if value >> 32:
            self._low = value
            self._carry()
            value = self._low
        code = bytes(self._output) + (value & 0xFFFFFFFF).to_bytes(4, "big")
        return code.rstrip(b"\0")


class BinaryDecoder:
    """Reads back what `BinaryEncoder` wrote, given the same sequence of contexts."""

    def __init__(self, code: bytes) -> None:
        self._code_bytes = code
        self._next = 4
        self._value = int.from_bytes(code[:4].ljust(4, b"\0"), "big")
        self._range = 0xFFFFFFFF

    def decode(self, context: AdaptiveBit) -> int:
        """Return the next bit and let its context learn from it."""
        zero_part = (self._range >> _PROBABILITY_BITS) * context.probability_of_zero()
        bit = int(self._value >= zero_part)
        if bit:
            self._value -= zero_part
            self._range -= zero_part
        else:
            self._range = zero_part
        context.update(bit)
        while self._range < _TOP:
            byte = self._code_bytes[self._next] if self._next < len(self._code_bytes) else 0
            self._next += 1
            self._value = (self._value << 8 | byte) & 0xFFFFFFFF
            self._range <<= 8
        return bit


def _neighbourhood(rows: list[list[int]], y: int, x: int) -> int:
    """Context of a mask bit: the six bits above and to the left of it that are already known."""
    # Rows carry a border of zeros: two on the left, one on the right, two above.
    above, here = rows[y + 1], rows[y + 2]
    return (
        here[x + 1] | here[x] << 1 | above[x + 2] << 2 | above[x + 1] << 3 | above[x + 3] << 4
        | rows[y][x + 2] << 5
    )  # fmt: skip


def _bordered(height: int, width: int) -> list[list[int]]:
    return [[0] * (width + 3) for _ in range(height + 2)]


def encode_mask(mask: NDArray[np.bool_]) -> bytes:
    """Compress a mask (h, w) bool; its shape is not part of the code."""
    height, width = mask.shape
    rows, contexts, encoder = _bordered(height, width), [AdaptiveBit() for _ in range(64)], BinaryEncoder()
    for y, line in enumerate(mask.astype(int).tolist()):
        for x, bit in enumerate(line):
            encoder.encode(bit, contexts[_neighbourhood(rows, y, x)])
            rows[y + 2][x + 2] = bit
    return encoder.finish()


def decode_mask(code: bytes, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Inverse of `encode_mask`. Any bytes decode to some mask; bytes beyond the longest possible code
    of this shape are refused with FormatError."""
    height, width = shape
    if len(code) > height * width // 4 + 16:
        raise FormatError(f"a mask of {height}×{width} cannot take {len(code)} bytes; the header is damaged")
    rows, contexts, decoder = (
        _bordered(height, width),
        [AdaptiveBit() for _ in range(64)],
        BinaryDecoder(code),
    )
    for y in range(height):
        for x in range(width):
            rows[y + 2][x + 2] = decoder.decode(contexts[_neighbourhood(rows, y, x)])
    return np.array([row[2 : width + 2] for row in rows[2:]], bool).reshape(height, width)
