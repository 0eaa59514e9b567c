"""Numba kernels of the encoder, the CRC and the rate matcher: the loops only, all tables are arguments.

Import through `semcom_phy.accel.kernel_module`. Every kernel has a NumPy twin in the module that calls it, and
the tests compare the two bit by bit. Signatures are explicit, and arguments that are only read are declared
so, because then read-only arrays fit too and each kernel is compiled once for all callers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import float32, float64, int16, int64, types, uint8, uint32, uint64

from semcom_phy.accel import compiled


def _read(element: Any, dimensions: int) -> types.Array:
    return types.Array(element, dimensions, "C", readonly=True)


def _write(element: Any, dimensions: int) -> types.Array:
    return types.Array(element, dimensions, "C")


@compiled(types.void(_read(uint8, 2), _read(uint32, 2), _write(uint32, 1)))
def crc_registers(octets, tables, registers):  # type: ignore[no-untyped-def]
    """CRC registers (B,), left-aligned in 32 bits, of `octets` (B, n).

    ``tables[k, o]`` (8, 256) is the register after octet o and k zero octets. Eight octets are taken at once:
    the first four meet the register, and by linearity each of the eight contributes on its own.
    """
    for block in range(octets.shape[0]):
        row = octets[block]
        register = uint32(0)
        whole = row.size - row.size % 8
        for i in range(0, whole, 8):
            register = (
                tables[7, (register >> uint32(24)) ^ row[i]]
                ^ tables[6, ((register >> uint32(16)) & uint32(0xFF)) ^ row[i + 1]]
                ^ tables[5, ((register >> uint32(8)) & uint32(0xFF)) ^ row[i + 2]]
                ^ tables[4, (register & uint32(0xFF)) ^ row[i + 3]]
                ^ tables[3, row[i + 4]]
                ^ tables[2, row[i + 5]]
                ^ tables[1, row[i + 6]]
                ^ tables[0, row[i + 7]]
            )
        for i in range(whole, row.size):
            register = uint32(register << uint32(8)) ^ tables[0, (register >> uint32(24)) ^ row[i]]
        registers[block] = register


@compiled(
    types.void(
        _read(uint8, 2),
        _read(uint8, 2),
        _read(int16, 1),
        _read(uint32, 3),
        _read(uint8, 2),
        _read(uint32, 3),
        _write(uint32, 3),
    )
)
def encode(bits, octets, interleaver, parities, following, tails, streams):  # type: ignore[no-untyped-def]
    """Turbo-encode `bits` (B, K), packed as `octets` (B, K/8), into `streams` (B, 3, K/4 + 1).

    A uint32 of `streams` is four bits 0/1, the first in its lowest byte. The tables step eight bits at once:
    ``parities[state, octet]`` is two such words of parity, ``following[state, octet]`` the next state;
    ``tails[final state, interleaved final state]`` holds the last word of each stream.
    """
    last = streams.shape[2] - 1
    for block in range(bits.shape[0]):
        row, packed = bits[block], octets[block]
        first, second = uint8(0), uint8(0)
        for n in range(packed.size):
            octet = packed[n]
            streams[block, 1, 2 * n] = parities[first, octet, 0]
            streams[block, 1, 2 * n + 1] = parities[first, octet, 1]
            first = following[first, octet]
            octet = uint8(0)
            for i in range(8 * n, 8 * n + 8):
                octet = uint8(octet << 1) | row[interleaver[i]]
            streams[block, 2, 2 * n] = parities[second, octet, 0]
            streams[block, 2, 2 * n + 1] = parities[second, octet, 1]
            second = following[second, octet]
        for stream in range(3):
            streams[block, stream, last] = tails[first, second, stream]


def _scatter_signature(element: Any) -> Any:
    return types.void(_read(element, 2), _read(uint64, 1), element, _write(element, 2), _write(int64, 1))


@compiled(_scatter_signature(float32), _scatter_signature(float64))
def scatter(llrs, order, limit, into, known):  # type: ignore[no-untyped-def]
    """Add `llrs` (B, E), clipped to ± `limit`, NaN as 0, to ``into[:, order]``, going round `order` as needed.

    `known` (B,) becomes the number of values of `into` (B, n) that are not zero. `order` is unsigned, so that no
    time goes into indices from the end.
    """
    nothing = limit - limit
    for block in range(llrs.shape[0]):
        row, sums = llrs[block], into[block]
        for start in range(0, row.size, order.size):
            part = row[start : start + order.size]
            for i in range(part.size):
                llr = nothing if np.isnan(part[i]) else part[i]
                sums[order[i]] += min(max(llr, -limit), limit)
        count = 0
        for i in range(sums.size):
            count += sums[i] != 0
        known[block] = count
