"""Rate matching of turbo-coded blocks, 3GPP TS 36.212 §5.1.4.1: which coded bits are sent, in which order.

The three streams of a code block pass a sub-block interleaver each and are written one after another into a
circular buffer (bit collection, §5.1.4.1.2). A transmission reads E bits from it, skipping <NULL>, starting
where its redundancy version says and going round as often as needed. All of this is one index, the *order*:
the places, in the flattened streams (3·(K + 4) values, d(0) first), of the bits that one round
sends. Sending gathers by it, receiving scatters by it and adds; both are therefore exact adjoints.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.accel import kernel_module
from semcom_phy.coding.decoders import LLR_LIMIT
from semcom_phy.coding.qpp import BLOCK_SIZES
from semcom_phy.coding.turbo import TAIL_COLUMNS
from semcom_phy.errors import ConfigurationError

Bits = npt.NDArray[np.uint8]
Order = npt.NDArray[np.int64]

REDUNDANCY_VERSIONS: Final = 4
#: C of §5.1.4.1.1, columns of the sub-block interleaver.
COLUMNS: Final = 32
#: P of Table 5.1.4-1: the five bits of the column number reversed.
COLUMN_PERMUTATION: Final = np.array([int(f"{column:05b}"[::-1], 2) for column in range(COLUMNS)])

_STREAMS: Final = 3
_NULL: Final = -1


def _interleaver_rows(size: int) -> int:
    """R of §5.1.4.1.1 for blocks of K = `size`, whose streams have D = K + 4 bits."""
    return -(-(size + TAIL_COLUMNS) // COLUMNS)


def _sub_block_interleavers(size: int) -> tuple[Order, Order]:
    """Return for d(0), d(1) and for d(2) the stream index of each output bit, negative where it is a dummy."""
    rows = _interleaver_rows(size)
    length = rows * COLUMNS
    dummies = length - (size + TAIL_COLUMNS)
    written = np.arange(length).reshape(rows, COLUMNS)
    by_columns = written[:, COLUMN_PERMUTATION].T.ravel()
    return by_columns - dummies, (by_columns + 1) % length - dummies


def circular_buffer(size: int, filler: int = 0) -> Order:
    """Return w_0 … w_(K_w − 1) of §5.1.4.1.2 as places in the flattened streams, −1 where w is <NULL>.

    `size` is K, one of `BLOCK_SIZES`; `filler` is F, 0 ≤ F < K. <NULL> are the dummy bits of the
    sub-block interleaver and the first F bits of d(0) and d(1). The result is int64, (K_w,) with
    K_w = 3·32·⌈(K + 4)/32⌉. Raises ConfigurationError for an illegal size or filler.
    """
    if size not in BLOCK_SIZES:
        raise ConfigurationError(f"no turbo code block has {size} bits; use one of qpp.BLOCK_SIZES (40…6144)")
    if not 0 <= filler < size:
        raise ConfigurationError(f"a block of {size} bits has 0 to {size - 1} filler bits, got {filler}")
    stream = size + TAIL_COLUMNS
    first_two, third = _sub_block_interleavers(size)
    systematic = np.where(first_two < filler, _NULL, first_two)
    parity = np.where(first_two < filler, _NULL, first_two + stream)
    interlaced = np.empty((first_two.size, 2), np.int64)
    interlaced[:, 0] = parity
    interlaced[:, 1] = np.where(third < 0, _NULL, third + 2 * stream)
    return np.concatenate([systematic, interlaced.ravel()])


def _frozen(order: Order) -> Order:
    order.setflags(write=False)
    return order


@lru_cache(maxsize=256)
def transmission_order(size: int, redundancy_version: int, filler: int = 0, buffer_limit: int | None = None) -> Order:
    """Return the order in which one round of the circular buffer sends a block: int64, read-only.

    `redundancy_version` is 0 … 3; `buffer_limit` bounds the buffer to its first N_cb values (§5.1.4.1.2: the
    receiver's soft buffer), None means N_cb = K_w. Bit k of a transmission is ``order[k % order.size]``.

    Raises ConfigurationError for another redundancy version, or a limit that leaves nothing to send.
    """
    if redundancy_version not in range(REDUNDANCY_VERSIONS):
        raise ConfigurationError(f"redundancy version {redundancy_version} does not exist; use 0, 1, 2 or 3")
    places = circular_buffer(size, filler)
    if buffer_limit is not None:
        places = places[: max(0, buffer_limit)]
    rows = _interleaver_rows(size)
    start = rows * (2 * -(-places.size // (8 * rows)) * redundancy_version + 2)
    # The start of a late version may lie beyond a small buffer; np.roll goes round as the standard does.
    turned = np.roll(places, -start)
    order = turned[turned != _NULL]
    if order.size == 0:
        raise ConfigurationError(f"a soft buffer of {buffer_limit} bits holds no bit of the block; make it larger")
    return _frozen(order)


@lru_cache(maxsize=256)
def natural_order(size: int, filler: int = 0) -> Order:
    """Return the order of the mother code without rate matching: trellis step after trellis step, int64.

    Each step gives d(0), d(1), d(2), tail steps last; the first F steps give d(2) alone, for their d(0) and
    d(1) are <NULL>.
    """
    stream = size + TAIL_COLUMNS
    steps = np.arange(_STREAMS * stream).reshape(_STREAMS, stream).T
    return _frozen(np.concatenate([steps[:filler, 2], steps[filler:].ravel()]))


def gather(streams: Bits, order: Order, length: int) -> Bits:
    """Send: return the first `length` bits (B, length) of the endless repetition of `order`.

    `streams` is (B, 3, K + 4) uint8.
    """
    flat = streams.reshape(len(streams), -1)
    if length <= order.size:
        return np.take(flat, order[:length], axis=1)
    rounds = -(-length // order.size)
    return np.tile(np.take(flat, order, axis=1), (1, rounds))[:, :length]


def _usable(llrs: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    clean = np.clip(llrs, -LLR_LIMIT, LLR_LIMIT)
    clean[np.isnan(clean)] = 0.0
    return clean


def scatter(llrs: npt.NDArray[np.floating], order: Order, into: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """Receive: add the LLRs (B, E) to their places in `into` (B, 3, K + 4), and count what is known there.

    Both arrays are float32 or both float64, `into` contiguous. Bits sent several times add up. NaN adds nothing;
    values beyond ± `LLR_LIMIT` are clipped first, so that contradicting certainties (+inf and −inf) leave no NaN.
    Returns (B,) int64: how many of the values of each block are now other than zero.
    """
    flat = into.reshape(len(into), -1)
    kernels = kernel_module("semcom_phy.coding.kernels")
    if kernels is not None:
        known = np.empty(len(flat), np.int64)
        llrs = np.require(llrs, requirements=["C", "A"])
        kernels.scatter(llrs, order.view(np.uint64), LLR_LIMIT, flat, known)
        return known
    for start in range(0, llrs.shape[1], order.size):
        part = llrs[:, start : start + order.size]
        flat[:, order[: part.shape[1]]] += _usable(part)
    return np.count_nonzero(flat, axis=1).astype(np.int64)


def match(
    streams: npt.ArrayLike, length: int, redundancy_version: int, filler: int = 0, buffer_limit: int | None = None
) -> Bits:
    """Rate-match blocks of one size: `streams` (B, 3, K + 4) uint8 → (B, E) uint8, E = `length`.

    `filler` is the F of every block given; for `buffer_limit` see `transmission_order`. Raises ConfigurationError
    for a shape that `turbo.encode` does not make, a negative length or another redundancy version.
    """
    bits = np.asarray(streams, dtype=np.uint8)
    if bits.ndim != 3 or bits.shape[1] != _STREAMS:
        raise ConfigurationError(f"rate matching takes streams of shape (blocks, 3, K + 4), got {bits.shape}")
    if length < 0:
        raise ConfigurationError(f"a transmission has 0 or more bits, got {length}")
    size = bits.shape[2] - TAIL_COLUMNS
    return gather(bits, transmission_order(size, redundancy_version, filler, buffer_limit), length)


def dematch(
    llrs: npt.ArrayLike,
    size: int,
    redundancy_version: int,
    filler: int = 0,
    into: npt.NDArray[np.floating] | None = None,
    buffer_limit: int | None = None,
) -> npt.NDArray[np.floating]:
    """Undo `match` on LLRs (B, E): return (B, 3, K + 4) for the decoder, K = `size`.

    LLRs of the same bit add up; bits that were not sent stay 0; the <NULL> bits of the F = `filler` first
    steps become −`LLR_LIMIT`, known zeros. float32 stays float32, everything else becomes float64. `into`, the
    result of an earlier call, is added to and returned: soft combining of several transmissions.
    Raises ConfigurationError for shapes that do not fit.
    """
    received = np.asarray(llrs)
    if received.dtype != np.float32:
        received = received.astype(np.float64)
    if received.ndim != 2:
        raise ConfigurationError(f"rate dematching takes LLRs of shape (blocks, E), got {received.shape}")
    order = transmission_order(size, redundancy_version, filler, buffer_limit)
    if into is None:
        into = empty_buffer(len(received), size, filler, received.dtype)
    if into.shape != (len(received), _STREAMS, size + TAIL_COLUMNS) or not into.flags.c_contiguous:
        raise ConfigurationError(
            f"the buffer to add to must be a contiguous array ({len(received)}, 3, {size + TAIL_COLUMNS}), "
            f"got {into.shape}"
        )
    scatter(received.astype(into.dtype, copy=False), order, into)
    return into


def empty_buffer(blocks: int, size: int, filler: int, dtype: npt.DTypeLike) -> npt.NDArray[np.floating]:
    """Return LLRs (blocks, 3, K + 4) of blocks of which nothing is known but their F filler bits."""
    buffer = np.zeros((blocks, _STREAMS, size + TAIL_COLUMNS), dtype)
    buffer[:, :2, :filler] = -LLR_LIMIT
    return buffer
