"""Adaptive binary arithmetic coding of masks, such as that of important regions.

A range coder with carry propagation; the probability of each bit is estimated from the counts in its
context (Krichevsky–Trofimov), so that even a few thousand bits compress well. The loops are in
`semcom_app.entropy_kernels`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from semcom_phy.errors import FormatError


def encode_mask(mask: NDArray[np.bool_]) -> bytes:
    """Compress a mask (h, w) bool; its shape is not part of the code."""
    from semcom_app.entropy_kernels import write_mask

    code = write_mask(mask, _longest(mask.shape))
    assert code is not None, "counts cannot be so far from what comes that a bit takes two"
    return code


def decode_mask(code: bytes, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Inverse of `encode_mask`. Any bytes decode to some mask; bytes beyond the longest possible code
    of this shape are refused with FormatError."""
    from semcom_app.entropy_kernels import read_mask

    height, width = shape
    if len(code) > _longest(shape):
        raise FormatError(f"a mask of {height}×{width} cannot take {len(code)} bytes; the header is damaged")
    return read_mask(code, shape)


def _longest(shape: tuple[int, ...]) -> int:
    """Bytes that no mask of a shape comes to: two bits for each of its bits, and what ends the code."""
    return shape[0] * shape[1] // 4 + 16
