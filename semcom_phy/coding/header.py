"""Strong code for short headers: the turbo transport chain, its codeword sent several times."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.decoders import LLR_LIMIT
from semcom_phy.coding.transport import TurboCode, coded_length
from semcom_phy.errors import ConfigurationError

Bits = npt.NDArray[np.uint8]

_CODE: Final = TurboCode(iterations=8)


def header_coded_length(n_bits: int, repetition: int) -> int:
    """Return the number of coded bits of a header of `n_bits` ≥ 1 sent `repetition` ≥ 1 times."""
    if repetition < 1:
        raise ConfigurationError(f"a header is sent at least once, got repetition {repetition}")
    return repetition * coded_length(n_bits)


def encode_header(bits: npt.ArrayLike, repetition: int) -> Bits:
    """Encode header `bits` (N,): CRC24A, turbo code, the whole codeword `repetition` times in a row.

    Returns ``header_coded_length(N, repetition)`` bits, uint8.
    """
    codeword = _CODE.encode(bits)
    header_coded_length(np.size(bits), repetition)
    return np.tile(codeword, repetition)


def decode_header(llrs: npt.ArrayLike, n_bits: int, repetition: int) -> tuple[Bits, bool]:
    """Decode a header from its LLRs (``header_coded_length(n_bits, repetition)``,), copies summed.

    Returns the (n_bits,) bits and whether CRC24A holds; NaN LLRs are erasures. Eight log-MAP iterations at
    most. Raises ConfigurationError when the number of LLRs is wrong.
    """
    received = np.asarray(llrs, dtype=np.float64)
    expected = header_coded_length(n_bits, repetition)
    if received.shape != (expected,):
        raise ConfigurationError(f"the header has {expected} LLRs, got an array of shape {received.shape}")
    # Clipped before the sum, for +inf and −inf of two copies would make NaN.
    clean = np.clip(np.where(np.isnan(received), 0.0, received), -LLR_LIMIT, LLR_LIMIT)
    output = _CODE.decode(clean.reshape(repetition, -1).sum(axis=0), n_bits)
    return output.bits, output.transport_ok
