"""The quantizer information of a picture's patches, as it travels in the protected header (IAQ, eq. 12).

Layout (big endian; b is the number of bits of a range end or mean, F of values a zero-bit patch is filled with):

    u8 patch side P
    u8 flags: 1 ranges of their own for all patches · 2 one mean per zero-bit patch · 4 one mean per channel · 8 coded
    u8 M_max in the low, b in the high four bits
    u8, u8 u_min, u_max, unless patches have ranges of their own
    patch after patch, row by row: M_i · if M_i > 0 and ranges are its own, the lower end of its range and the distance
    of the upper one · if M_i = 0, its F means

The last part is plain (each number in as many bits as the largest possible one takes, which is ⌈log2(M_max + 1)⌉ for
M_i, most significant bit first, zeros to the byte's end), or arithmetic coded: each number as the difference to what
its neighbours above and to the left let expect.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from semcom_app.allocation.budget import bits_per_entry
from semcom_app.patch_quantization import WHITE, PatchQuantizer, dropped_bits
from semcom_app.patches import patch_grid
from semcom_app.quantization import MAX_BITS
from semcom_phy.errors import ConfigurationError, FormatError

#: Of one picture: bounds what a damaged or hostile header can make a receiver do.
MAX_PATCHES = 1 << 18
_FIXED = struct.Struct(">BBB")
_OWN_RANGES, _ONE_MEAN, _CHANNEL_MEANS, _CODED = 1, 2, 4, 8


def encode_patch_header(
    quantizer: PatchQuantizer,
    height: int,
    width: int,
    side: int,
    *,
    maximum: int = MAX_BITS,
    own_ranges: bool = False,
    value_bits: int = 8,
    coded: bool = True,
) -> bytes:
    """Serialise a quantizer of the patches of a picture.

    maximum: M_max. own_ranges: every patch has a range of its own; else they must all be equal. value_bits: leading
    bits of range ends and means that are sent (`patch_ranges`, `patch_fill`). coded: arithmetic code, if shorter.

    Raises ConfigurationError when the quantizer does not fit, among others if the receiver would not rebuild the very
    same ranges and means.
    """
    from semcom_app.entropy_kernels import write_patches

    bits = quantizer.bits
    rows, columns = patch_grid(height, width, side)
    if rows * columns != bits.size:
        raise ConfigurationError(f"{bits.size} patches do not make a picture of {width}×{height} pixels")
    if rows * columns > MAX_PATCHES:
        raise ConfigurationError(f"{rows * columns} patches are more than {MAX_PATCHES}: use larger patches")
    if not 1 <= maximum <= MAX_BITS or np.any(bits > maximum):
        raise ConfigurationError(f"a patch has {bits.max()} bits per sample, more than the maximum {maximum}")
    parts = quantizer.fill.shape[1]
    lost = dropped_bits(value_bits)
    if not _representable(quantizer, own_ranges, lost):
        raise ConfigurationError(f"ranges or means of the patches cannot be written with {value_bits} bits each")
    flags = _OWN_RANGES if own_ranges else 0
    if parts:
        flags |= _ONE_MEAN if parts == 1 else _CHANNEL_MEANS
    shared = b"" if own_ranges else _shared_range(quantizer)

    numbers = np.vstack([quantizer.low, quantizer.high, quantizer.fill.T]).astype(np.int64) >> lost
    layout = (columns, maximum, own_ranges, value_bits)
    content = write_patches(
        False, _plain_bytes(bits.size, maximum, own_ranges, parts, value_bits), bits, numbers, *layout
    )
    assert content is not None, "plain numbers take no more than their upper bound"
    code = write_patches(True, len(content), bits, numbers, *layout) if coded else None
    if code is not None and len(code) < len(content):
        content, flags = code, flags | _CODED
    return _FIXED.pack(side, flags, maximum | value_bits << 4) + shared + content


def decode_patch_header(body: bytes, height: int, width: int, channels: int = 3) -> tuple[PatchQuantizer, int]:
    """Header bytes and size of the picture → the quantizer and the patch side P.

    Every field is checked before anything is allocated from it. Raises FormatError for contradictions.
    """
    from semcom_app.entropy_kernels import read_patches

    if len(body) < _FIXED.size:
        raise FormatError(f"patch header of {len(body)} bytes is too short")
    side, flags, sizes = _FIXED.unpack_from(body)
    maximum, value_bits = sizes & 15, sizes >> 4
    means = flags & (_ONE_MEAN | _CHANNEL_MEANS)
    if side == 0 or flags > 15 or means == (_ONE_MEAN | _CHANNEL_MEANS):
        raise FormatError(f"patch header announces patches of side {side} and flags {flags}")
    if not 1 <= maximum <= MAX_BITS or not 1 <= value_bits <= 8:
        raise FormatError(f"patch header announces {maximum} bits per sample and {value_bits} per range end")
    rows, columns = patch_grid(height, width, side)
    patches = rows * columns
    if patches > MAX_PATCHES:
        raise FormatError(f"patch header announces {patches} patches; {MAX_PATCHES} are possible")
    own_ranges, parts = bool(flags & _OWN_RANGES), {0: 0, _ONE_MEAN: 1, _CHANNEL_MEANS: channels}[means]
    begin = _FIXED.size + (0 if own_ranges else 2)
    if len(body) < begin:
        raise FormatError("patch header ends before the range of its quantizer")
    longest = _plain_bytes(patches, maximum, own_ranges, parts, value_bits)
    if len(body) - begin > longest:
        raise FormatError(f"{patches} patches cannot take a header of {len(body)} bytes")

    coded = bool(flags & _CODED)
    bits, numbers = read_patches(coded, body[begin:], patches, parts, columns, maximum, own_ranges, value_bits)
    lost = dropped_bits(value_bits)
    if own_ranges:
        low, high = _lower_end(numbers[0], lost), _upper_end(numbers[1], lost)
    else:
        low, high = np.full(patches, body[begin - 2]), np.full(patches, body[begin - 1])
        if body[begin - 2] > body[begin - 1]:
            raise FormatError("the range of the quantizer ends before it begins")
    fill = _mean(numbers[2:].T, lost)
    return PatchQuantizer(*(part.astype(np.uint8) for part in (bits, low, high, fill))), side


def largest_header_bits(
    patches: int, *, maximum: int = MAX_BITS, own_ranges: bool = False, parts: int = 0, value_bits: int = 8
) -> int:
    """Upper bound of the bits of `encode_patch_header`, whatever the allocation; parts: means of a zero-bit patch."""
    shared = 0 if own_ranges else 2
    return 8 * (_FIXED.size + shared + _plain_bytes(patches, maximum, own_ranges, parts, value_bits))


def fill_budget(
    target: int,
    samples: int,
    smallest: int,
    largest: int,
    allocate: Callable[[int], npt.NDArray[np.uint8]],
    header_size: Callable[[npt.NDArray[np.uint8]], int],
) -> npt.NDArray[np.uint8]:
    """Allocation that uses a target as far as it goes although the size of its header depends on it.

    target: bits of header and payload together. samples: K. smallest, largest: limits of Σ M_i. allocate: Σ M_i → bits
    per sample. header_size: bits per sample → header in bits. Some total between is found by steps to what the last
    header leaves; neighbouring totals have nearly the same header. Raises ConfigurationError when not even `smallest`
    fits, with what that takes.
    """
    best = allocate(smallest)
    need = smallest * samples + header_size(best)
    if need > target:
        raise ConfigurationError(f"a budget of {target} bits is too small: smallest {need} bits")
    fits, too_large = smallest, largest + 1
    attempt = min(largest, smallest + (target - need) // samples)
    while fits < attempt < too_large:
        bits = allocate(attempt)
        left = target - attempt * samples - header_size(bits)
        if left >= 0:
            best, fits = bits, attempt
            attempt = min(too_large - 1, attempt + left // samples)
        else:
            too_large = attempt
            attempt = max(fits, attempt + left // samples)
    return best


def _shared_range(quantizer: PatchQuantizer) -> bytes:
    used = quantizer.bits > 0
    low, high = quantizer.low[used], quantizer.high[used]
    if low.size == 0:
        return bytes([0, WHITE])
    if np.any(low != low[0]) or np.any(high != high[0]):
        raise ConfigurationError("patches with ranges of their own need own_ranges")
    return bytes([int(low[0]), int(high[0])])


def _lower_end(leading: npt.NDArray[np.int64], lost: int) -> npt.NDArray[np.int64]:
    return leading << lost


def _upper_end(leading: npt.NDArray[np.int64], lost: int) -> npt.NDArray[np.int64]:
    return leading << lost | ((1 << lost) - 1)


def _mean(leading: npt.NDArray[np.int64], lost: int) -> npt.NDArray[np.int64]:
    return (leading << lost) + (1 << lost >> 1)


def _representable(quantizer: PatchQuantizer, own_ranges: bool, lost: int) -> bool:
    """Whether the receiver gets the same numbers from their leading bits, leaving out those of no meaning."""
    used = quantizer.bits > 0
    low, high = (end[used].astype(np.int64) for end in (quantizer.low, quantizer.high))
    fill = quantizer.fill[~used].astype(np.int64)
    ranges = np.array_equal(_lower_end(low >> lost, lost), low) and np.array_equal(_upper_end(high >> lost, lost), high)
    return (ranges or not own_ranges) and np.array_equal(_mean(fill >> lost, lost), fill)


def _plain_bytes(patches: int, maximum: int, own_ranges: bool, parts: int, value_bits: int) -> int:
    return -(-patches * (bits_per_entry(maximum) + value_bits * max(2 * own_ranges, parts)) // 8)
