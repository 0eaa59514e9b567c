"""The loops of the arithmetic codes of side information: masks, and the numbers of patches.

Each loop writes or reads, as its first argument says, so that both ends follow the same steps. They are compiled where
numba is installed (import this module only when there is something to code), plain Python otherwise. All arithmetic is
on integers: both ends agree on every machine.

The loops take flat arrays of int64, or lists where nothing is compiled; codes are bytes that can be changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from semcom_phy.accel import compiled, numba_available
from semcom_phy.errors import FormatError

_Function = TypeVar("_Function", bound=Callable[..., Any])
#: Integers in an array or in a list.
Numbers = Any

_NUMBA: Final = numba_available()


def _compiled(function: _Function) -> _Function:
    """The function as machine code, itself without numba."""
    return compiled()(function) if _NUMBA else function


_PROBABILITY_BITS: Final = 16
_LEAST_RANGE: Final = 1 << 24
_COUNT_LIMIT: Final = 1 << 10  # counts are halved beyond it, which also keeps the estimate adaptive
_WORD: Final = (1 << 32) - 1

# What is where in the state of a coder.
_VALUE, _RANGE, _NEXT, _PROBLEM, _CULPRIT, _LIMIT = range(6)

# What can go wrong.
_NO_ROOM, _TOO_LONG, _TOO_LARGE, _TOO_SHORT = range(1, 5)

_MASK_CONTEXTS: Final = 64

#: Binary digits of a difference, at most.
_LONGEST: Final = 8
# Contexts of one kind of number, from its first one: different (by the neighbours' disagreement), sign, longer, digits.
_SIGN: Final = 3
_LONGER: Final = _SIGN  # + length, which is at least 1
_DIGITS: Final = _LONGER + _LONGEST + 1
_CONTEXTS: Final = _DIGITS + _LONGEST * (_LONGEST + 1)


@_compiled
def _probability_of_zero(zeros: int, ones: int) -> int:
    """Krichevsky–Trofimov estimate (zeros + ½)/(zeros + ones + 1), scaled to 1…2^16 − 1."""
    scaled = ((2 * zeros + 1) << _PROBABILITY_BITS) // (2 * (zeros + ones) + 2)
    return min(max(scaled, 1), (1 << _PROBABILITY_BITS) - 1)


@_compiled
def _carry(code: Numbers, written: int) -> None:
    last = written - 1
    while code[last] == 0xFF:
        code[last] = 0
        last -= 1
    code[last] += 1


@_compiled
def _code_bit(writing: bool, state: Numbers, code: Numbers, counts: Numbers, context: int, bit: int) -> int:
    """Write a bit, or read it, with the estimate of its context, which learns from it; the bit.

    A range coder with carry propagation. What is read beyond the end of the code is zeros; writing beyond it
    is _NO_ROOM.
    """
    zeros, ones = counts[2 * context], counts[2 * context + 1]
    zero_part = (state[_RANGE] >> _PROBABILITY_BITS) * _probability_of_zero(zeros, ones)
    if not writing:
        bit = 1 if state[_VALUE] >= zero_part else 0
    if bit:
        state[_VALUE] += zero_part if writing else -zero_part
        state[_RANGE] -= zero_part
        ones += 1
    else:
        state[_RANGE] = zero_part
        zeros += 1
    if zeros + ones > _COUNT_LIMIT:
        zeros, ones = zeros // 2, ones // 2
    counts[2 * context], counts[2 * context + 1] = zeros, ones
    if writing and state[_VALUE] >> 32:
        state[_VALUE] &= _WORD
        _carry(code, state[_NEXT])
    while state[_RANGE] < _LEAST_RANGE:
        place = state[_NEXT]
        following = 0
        if writing:
            if place >= len(code):
                state[_PROBLEM] = _NO_ROOM
                return bit
            code[place] = state[_VALUE] >> 24
        elif place < len(code):
            following = code[place]
        state[_VALUE] = (state[_VALUE] << 8 | following) & _WORD
        state[_NEXT] = place + 1
        state[_RANGE] <<= 8
    return bit


@_compiled
def _code_mask(writing: bool, state: Numbers, code: Numbers, counts: Numbers, mask: Numbers, width: int) -> None:
    """The bits of a mask, row after row; the context of each is the six above and to the left that are known."""
    for place in range(len(mask)):
        x = place % width
        context = 0
        if x >= 1:
            context |= mask[place - 1]
        if x >= 2:
            context |= mask[place - 2] << 1
        if place >= width:
            context |= mask[place - width] << 2
            if x >= 1:
                context |= mask[place - width - 1] << 3
            if x + 1 < width:
                context |= mask[place - width + 1] << 4
        if place >= 2 * width:
            context |= mask[place - 2 * width] << 5
        mask[place] = _code_bit(writing, state, code, counts, context, mask[place])


@_compiled
def _digits(number: int) -> int:
    """Binary digits of a number."""
    digits = 0
    while number >> digits:
        digits += 1
    return digits


@_compiled
def _plain_number(writing: bool, state: Numbers, code: Numbers, value: int, limit: int) -> int:
    """A number in as many bits as the largest possible one takes, most significant first; the state counts bits."""
    digits = _digits(limit)
    first = state[_NEXT]
    if first + digits > 8 * len(code):
        state[_PROBLEM] = _TOO_SHORT
        return 0
    state[_NEXT] = first + digits
    if writing:
        for place in range(first, first + digits):
            code[place >> 3] |= (value >> (first + digits - 1 - place) & 1) << (7 - (place & 7))
        return value
    number = 0
    for place in range(first, first + digits):
        number = number << 1 | (code[place >> 3] >> (7 - (place & 7)) & 1)
    if number > limit:
        state[_PROBLEM], state[_CULPRIT], state[_LIMIT] = _TOO_LARGE, number, limit
    return number


@_compiled
def _coded_number(
    writing: bool,
    state: Numbers,
    code: Numbers,
    counts: Numbers,
    kind: int,
    value: int,
    expected: int,
    disagreement: int,
    limit: int,
) -> int:
    """A number as its difference to what is expected, in adaptive bits: is there one, its sign, length and digits."""
    first = kind * _CONTEXTS
    expected = min(expected, limit)
    difference = value - expected
    size = abs(difference)
    if not _code_bit(writing, state, code, counts, first + min(disagreement, 2), 1 if difference else 0):
        return expected
    # At an end of the scale only one sign is possible.
    negative = expected == limit
    if not negative and expected > 0:
        negative = _code_bit(writing, state, code, counts, first + _SIGN, 1 if difference < 0 else 0) == 1
    length = 1
    while _code_bit(writing, state, code, counts, first + _LONGER + length, 1 if size >> length else 0):
        length += 1
        if length > _LONGEST:
            state[_PROBLEM] = _TOO_LONG
            return expected
    found = 1
    for place in range(length - 2, -1, -1):
        context = first + _DIGITS + length * _LONGEST + place
        found = found << 1 | _code_bit(writing, state, code, counts, context, size >> place & 1)
    number = expected - found if negative else expected + found
    if not 0 <= number <= limit:
        state[_PROBLEM], state[_CULPRIT], state[_LIMIT] = _TOO_LARGE, number, limit
    return number


@_compiled
def _expectation(values: Numbers, start: int, left: int, above: int, last: int) -> tuple[int, int]:
    """What two neighbours let expect, and by how much they disagree; a negative one is none."""
    if left >= 0 and above >= 0:
        one, other = values[start + left], values[start + above]
        return (one + other + 1) // 2, abs(one - other)
    if left >= 0:
        return values[start + left], 0
    if above >= 0:
        return values[start + above], 0
    return last, 0


@_compiled
def _code_patches(
    writing: bool,
    coded: bool,
    state: Numbers,
    code: Numbers,
    counts: Numbers,
    bits: Numbers,
    numbers: Numbers,
    columns: int,
    maximum: int,
    own_ranges: bool,
    value_bits: int,
) -> None:
    """The numbers of all patches in their order, up to the first problem, which the state tells.

    bits: of N patches, row by row, `columns` a row. numbers: N lower ends of ranges, N upper ends, N of each mean.
    What is read goes there.
    """
    patches = len(bits)
    kinds = len(numbers) // patches
    top = (1 << value_bits) - 1
    last = [top // 2] * kinds  # expected where no neighbour tells
    for patch in range(patches):
        left = patch - 1 if patch % columns else -1
        above = patch - columns
        expected, disagreement = _expectation(bits, 0, left, above, maximum // 2)
        if coded:
            found = _coded_number(writing, state, code, counts, 0, bits[patch], expected, disagreement, maximum)
        else:
            found = _plain_number(writing, state, code, bits[patch], maximum)
        if state[_PROBLEM]:
            return
        bits[patch] = found
        # Only neighbours that are coded in the same way have the same kind of numbers.
        if left >= 0 and (bits[left] > 0) != (found > 0):
            left = -1
        if above >= 0 and (bits[above] > 0) != (found > 0):
            above = -1
        begin, end = 0, (2 if own_ranges else 0)
        if found == 0:
            begin, end = 2, kinds
        for which in range(begin, end):
            place = which * patches + patch
            floor = numbers[patch] if which == 1 else 0
            expected, disagreement = _expectation(numbers, which * patches, left, above, last[which])
            value, limit, expected = numbers[place] - floor, top - floor, max(expected - floor, 0)
            if coded:
                value = _coded_number(
                    writing, state, code, counts, 1 + which, value, expected, disagreement >> 4, limit
                )
            else:
                value = _plain_number(writing, state, code, value, limit)
            if state[_PROBLEM]:
                return
            numbers[place] = last[which] = floor + value


def write_mask(mask: NDArray[np.bool_], room: int) -> bytes | None:
    """The arithmetic code of a mask (h, w), None where it takes more than about `room` bytes."""
    state, code, counts = _coder(b"", True), _bytes(room), _numbers(np.zeros(2 * _MASK_CONTEXTS))
    _code_mask(True, state, code, counts, _numbers(mask.reshape(-1)), mask.shape[1])
    return _finish(state, code)


def read_mask(content: bytes, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The mask (h, w) that any bytes stand for."""
    counts, mask = _numbers(np.zeros(2 * _MASK_CONTEXTS)), _numbers(np.zeros(shape[0] * shape[1]))
    _code_mask(False, _coder(content, True), _bytes(content), counts, mask, shape[1])
    return np.array(mask, bool).reshape(shape)


def write_patches(
    coded: bool,
    room: int,
    bits: NDArray[np.integer[Any]],
    numbers: NDArray[np.integer[Any]],
    columns: int,
    maximum: int,
    own_ranges: bool,
    value_bits: int,
) -> bytes | None:
    """The numbers of patches, plain or arithmetic coded, None where they take more than about `room` bytes.

    bits: M_i, (N,), row by row of a picture with so many columns, up to `maximum`. numbers: leading `value_bits` bits
    of lower and upper ends and of each mean, (2 + means, N).
    """
    state, code, counts = _coder(b"", coded), _bytes(room), _contexts(len(numbers), coded)
    flat = _numbers(numbers.reshape(-1))
    _code_patches(True, coded, state, code, counts, _numbers(bits), flat, columns, maximum, own_ranges, value_bits)
    if coded:
        return _finish(state, code)
    return None if state[_PROBLEM] else bytes(code[: -(-int(state[_NEXT]) // 8)])


def read_patches(
    coded: bool,
    content: bytes,
    patches: int,
    means: int,
    columns: int,
    maximum: int,
    own_ranges: bool,
    value_bits: int,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Inverse of `write_patches`: bits (N,) and numbers (2 + means, N), zero where nothing is sent.

    Raises FormatError for plain numbers that end too early or too late, and numbers beyond their limits.
    """
    state, code, counts = _coder(content, coded), _bytes(content), _contexts(2 + means, coded)
    bits, numbers = _numbers(np.zeros(patches)), _numbers(np.zeros((2 + means) * patches))
    _code_patches(False, coded, state, code, counts, bits, numbers, columns, maximum, own_ranges, value_bits)
    if state[_PROBLEM] == _TOO_SHORT:
        raise FormatError("patch header ends before its last patch")
    if state[_PROBLEM] == _TOO_LONG:
        raise FormatError("patch header has a difference beyond all limits")
    if state[_PROBLEM] == _TOO_LARGE:
        raise FormatError(f"patch header has the number {state[_CULPRIT]} where 0 to {state[_LIMIT]} is possible")
    # Any bytes are an arithmetic code of something.
    if not coded:
        end = int(state[_NEXT])
        if len(content) != -(-end // 8) or int.from_bytes(content, "big") & ((1 << (8 * len(content) - end)) - 1):
            raise FormatError("patch header goes on behind its last patch")
    return np.array(bits, np.int64), np.array(numbers, np.int64).reshape(2 + means, patches)


def _numbers(array: NDArray[Any]) -> Numbers:
    wide = np.ascontiguousarray(array, np.int64)
    return wide if _NUMBA else wide.tolist()


def _bytes(content: bytes | int) -> Any:
    """Bytes, or so many zeros, to be changed."""
    changeable = bytearray(content)
    return np.frombuffer(changeable, np.uint8) if _NUMBA else changeable


def _contexts(kinds: int, coded: bool) -> Numbers:
    return _numbers(np.zeros(2 * _CONTEXTS * (1 + kinds) if coded else 0))


def _coder(code: bytes, coded: bool) -> Numbers:
    """State of a coder that is to write, or to read this code."""
    value = int.from_bytes(code[:4].ljust(4, b"\0"), "big") if coded else 0
    return _numbers(np.array([value, _WORD, 4 if coded and code else 0, 0, 0, 0]))


def _finish(state: Numbers, code: Numbers) -> bytes | None:
    """Close an arithmetic code with as few bytes as possible; missing bytes count as zeros in the decoder.

    None where it had more bytes than there was room for.
    """
    if state[_PROBLEM]:
        return None
    low, written = int(state[_VALUE]), int(state[_NEXT])
    value = low + int(state[_RANGE]) - 1
    for keep in (8, 16, 24):
        rounded = value & ~(_WORD >> keep)
        if rounded >= low:
            value = rounded
            break
    if value >> 32:
        _carry(code, written)
    return (bytes(code[:written]) + (value & _WORD).to_bytes(4, "big")).rstrip(b"\0")
