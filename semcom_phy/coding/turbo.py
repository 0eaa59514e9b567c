"""Turbo encoder of 3GPP TS 36.212 §5.1.3.2: two 8-state recursive encoders, QPP interleaver, 12 tail bits.

The constituent code is G(D) = [1, g1(D)/g0(D)] with g0 = 1 + D² + D³ (13 octal, feedback) and
g1 = 1 + D + D³ (15 octal). A state is written (s1 s2 s3) with s1 the newest register cell and the number
4·s1 + 2·s2 + s3; the bit that enters the register is ``a = u ^ s2 ^ s3``.
"""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.accel import kernel_module
from semcom_phy.coding.qpp import BLOCK_SIZES, qpp_interleaver
from semcom_phy.errors import ConfigurationError

Bits = npt.NDArray[np.uint8]

MEMORY: Final = 3
STATES: Final = 1 << MEMORY
#: Trellis steps a block needs beyond its K, as columns of the (3, K + 4) layout.
TAIL_COLUMNS: Final = 4

_STATE = np.arange(STATES)[:, None]
_ENTERING = np.arange(2)[None, :]
_S1, _S2, _S3 = _STATE >> 2 & 1, _STATE >> 1 & 1, _STATE & 1

#: Trellis, each (8, 2), indexed [state, bit that enters the register].
NEXT_STATE: Final[npt.NDArray[np.int64]] = 4 * _ENTERING + (_STATE >> 1)
INPUT_BIT: Final[npt.NDArray[np.int64]] = _ENTERING ^ _S2 ^ _S3
PARITY_BIT: Final[npt.NDArray[np.int64]] = _ENTERING ^ _S1 ^ _S3


@cache
def _octet_tables() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8], npt.NDArray[np.uint32]]:
    """Tables of `kernels.encode`, which takes eight input bits, first bit highest, in one step.

    Parities (8, 256, 2): eight bits 0/1, four in a word, the first in its lowest byte. Next states (8, 256).
    Tails (8, 8, 3): by the final states of both encoders, the four tail bits of each stream in a word.
    """
    state = np.broadcast_to(np.arange(STATES)[:, None], (STATES, 256))
    parities = np.empty((STATES, 256, 8), np.uint8)
    for step in range(8):
        bit = np.arange(256)[None, :] >> (7 - step) & 1
        entering = bit ^ INPUT_BIT[state, 0]
        parities[:, :, step] = PARITY_BIT[state, entering]
        state = NEXT_STATE[state, entering]
    s1, s2, s3 = (cell.ravel().astype(np.uint8) for cell in (_S1, _S2, _S3))
    own = _tail_bits(s1, s2, s3)
    pairs = np.concatenate(np.broadcast_arrays(own[:, :, None], own[:, None, :]))
    tails = _multiplexed_tails(pairs.reshape(4 * MEMORY, -1)).reshape(STATES, STATES, 3, TAIL_COLUMNS)
    return parities.view(np.uint32), state.astype(np.uint8), np.ascontiguousarray(tails).view(np.uint32)[..., 0]


# 1/g0 has period 7, because 1 + D^7 = (1 + D)(1 + D + D³)·g0. The feedback is therefore a short filter,
# (1 + D)(1 + D + D³) = 1 + D² + D³ + D⁴, followed by a running sum over every seventh bit.
_PERIOD = 7
_FEEDBACK_TAPS = (2, 3, 4)


def _delayed_into(target: Bits, source: Bits, delay: int) -> None:
    target[delay:] ^= source[: len(source) - delay]


def _tail_bits(s1: Bits, s2: Bits, s3: Bits) -> Bits:
    """Return x_K z_K x_K+1 z_K+1 x_K+2 z_K+2, stacked in front, of encoders that end in state (s1 s2 s3)."""
    # Termination: the input repeats the feedback, so that zeros enter the register.
    return np.stack([s2 ^ s3, s1 ^ s3, s1 ^ s2, s2, s1, s1])


def _multiplexed_tails(tails: Bits) -> Bits:
    """Arrange the tails (12, B) of both encoders as the last columns (B, 3, 4) of the streams."""
    return tails.T.reshape(-1, TAIL_COLUMNS, 3).transpose(0, 2, 1)


def _constituent(bits: Bits) -> tuple[Bits, Bits]:
    """Encode `bits` (K, B), time first: parity (K, B) and tail (6, B) = x_K z_K x_K+1 z_K+1 x_K+2 z_K+2."""
    steps, batch = bits.shape
    periods = -(-steps // _PERIOD)
    filtered = np.zeros((periods * _PERIOD, batch), np.uint8)
    filtered[:steps] = bits
    for delay in _FEEDBACK_TAPS:
        _delayed_into(filtered[:steps], bits, delay)
    by_period = filtered.reshape(periods, _PERIOD * batch)
    np.bitwise_xor.accumulate(by_period, axis=0, out=by_period)
    register = filtered[:steps]

    parity = register.copy()
    _delayed_into(parity, register, 1)
    _delayed_into(parity, register, 3)

    return parity, _tail_bits(register[-1], register[-2], register[-3])


def _encode_by_time(payload: Bits, streams: Bits) -> None:
    """Fill in all but the systematic bits of `streams`, all blocks side by side, in NumPy."""
    size = payload.shape[1]
    systematic = np.ascontiguousarray(payload.T)
    parity, tail = _constituent(systematic)
    interleaved_parity, interleaved_tail = _constituent(systematic[qpp_interleaver(size)])
    streams[:, 1, :size] = parity.T
    streams[:, 2, :size] = interleaved_parity.T
    streams[:, :, size:] = _multiplexed_tails(np.concatenate([tail, interleaved_tail]))


@cache
def _short_interleaver(size: int) -> npt.NDArray[np.int16]:
    return qpp_interleaver(size).astype(np.int16)


def encode(blocks: npt.ArrayLike) -> Bits:
    """Encode code blocks (B, K) into the streams d(0), d(1), d(2): (B, 3, K + 4) uint8.

    Column k < K holds (x_k, z_k, z'_k): systematic bit, parity of the first encoder, parity of the second.
    The last four columns carry the tail bits as §5.1.3.2.2 multiplexes them; read column by column
    (d0, d1, d2 of column K, then K + 1 …) they are
    ``x_K z_K x_K+1 z_K+1 x_K+2 z_K+2 x'_K z'_K x'_K+1 z'_K+1 x'_K+2 z'_K+2``.

    Filler bits are plain zeros here; that their positions in d(0) and d(1) are <NULL> (not transmitted) is
    the business of `semcom_phy.coding.transport`. Raises ConfigurationError unless K is a legal block size.
    """
    payload = np.ascontiguousarray(blocks, dtype=np.uint8)
    if payload.ndim != 2 or payload.shape[1] not in BLOCK_SIZES:
        raise ConfigurationError(
            f"turbo encoder takes an array (blocks, K) with K of BLOCK_SIZES, got shape {payload.shape}"
        )
    batch, size = payload.shape
    streams = np.empty((batch, 3, size + TAIL_COLUMNS), np.uint8)
    streams[:, 0, :size] = payload
    kernels = kernel_module("semcom_phy.coding.kernels")
    if kernels is None:
        _encode_by_time(payload, streams)
    else:
        octets = np.packbits(payload, axis=1)
        kernels.encode(payload, octets, _short_interleaver(size), *_octet_tables(), streams.view(np.uint32))
    return streams
