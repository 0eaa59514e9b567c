"""Known symbols of a burst: preamble and pilots; and the sequence that scrambles all other bits.

The preamble is 256 BPSK symbols in 32 segments of 8, each with four +1 and four −1: a constant added to the samples
disappears from the correlation with every segment. The segments were found by search (random exchanges
within segments, kept when they lowered the sidelobes) for the ambiguity function: at any shift from 1 to 254
symbols and any frequency offset up to 0.1 cycles per symbol, what is left of the correlation is at most 0.137 of its
peak. The power spectrum nowhere exceeds 3.8 times its mean: a carrier at any frequency correlates with the
preamble 18.3 dB below a burst of the same power.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.interleaving import splitmix64

PREAMBLE_SYMBOLS: Final = 256
_SIGNS: Final = "2dc50f9399534b592bc9a30f55b12778c935d18bf02ed20f87c65536b299ac39"

_PILOT_SEED: Final = 0x50494C4F54
_SCRAMBLER_SEED: Final = 0x534352414D424C


@lru_cache(maxsize=1)
def preamble() -> npt.NDArray[np.float64]:
    """The 256 preamble symbols, ±1; read-only."""
    bits = np.unpackbits(np.frombuffer(bytes.fromhex(_SIGNS), np.uint8))
    symbols = 2.0 * bits.astype(np.float64) - 1.0
    symbols.setflags(write=False)
    return symbols


def pseudo_random_bits(seed: int, count: int) -> npt.NDArray[np.uint8]:
    """`count` bits of SplitMix64, most significant bit of each output first: the same on every machine."""
    words = splitmix64(seed, -(-count // 64))
    return np.unpackbits(words.astype(">u8").view(np.uint8))[:count]


@lru_cache(maxsize=64)
def pilots(count: int) -> npt.NDArray[np.complex128]:
    """The first `count` pilot symbols, QPSK; read-only.

    A real pilot could not tell the signal from its mirror image (IQ imbalance) when there is no frequency offset.
    """
    signs = 2.0 * pseudo_random_bits(_PILOT_SEED, 2 * count) - 1.0
    symbols = (signs[0::2] + 1j * signs[1::2]) / np.sqrt(2.0)
    symbols.setflags(write=False)
    return symbols


@lru_cache(maxsize=8)
def scrambling_sequence(count: int) -> npt.NDArray[np.uint8]:
    """Bits added modulo 2 to everything after the preamble that is not a pilot; read-only.

    Payloads without a code may hold long runs of one bit: scrambled, they have no spectral lines and enough
    transitions.
    """
    bits = pseudo_random_bits(_SCRAMBLER_SEED, count)
    bits.setflags(write=False)
    return bits
