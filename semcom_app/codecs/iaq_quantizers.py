"""Quantizers for the patches of pictures within a budget: problem P1 with everything that is sent paid for.

Arrays in, arrays out, many pictures of one size at once; `semcom_app.codecs.iaq` puts codec and container around it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from semcom_app.allocation import AllocationConfig, allocate
from semcom_app.allocation.budget import allocatable_bits, compression_ratio, target_bits
from semcom_app.codecs.iaq_config import IaqConfig
from semcom_app.codecs.iaq_samples import (
    CHANNELS,
    COLOURS,
    fill_parts,
    header_size,
    importance_of_blocks,
    source_samples,
)
from semcom_app.container import Header
from semcom_app.patch_header import encode_patch_header, fill_budget
from semcom_app.patch_quantization import WHITE, PatchQuantizer, patch_fill, patch_ranges
from semcom_app.patches import patch_grid
from semcom_phy.errors import ConfigurationError

#: Bits of the container around the patch header (`semcom_app.container`).
CONTAINER_BITS = 8 * len(Header(0, 1, 1, 0, 0, b"").to_bytes())


class BudgetError(ConfigurationError):
    """ρ is less than what a picture needs, or more than it can use; the message tells what is possible."""


UInt8Array = npt.NDArray[np.uint8]
FloatArray = npt.NDArray[np.float64]


def patch_header(quantizer: PatchQuantizer, height: int, width: int, config: IaqConfig) -> bytes:
    """The quantizer of one picture as the codec's part of its header: a byte for the colour, then the blocks."""
    side = config.side_for(height, width)
    return bytes([COLOURS.index(config.colour)]) + encode_patch_header(
        quantizer,
        *header_size(height, width, side, config.colour),
        side,
        maximum=config.maximum,
        own_ranges=config.own_ranges,
        value_bits=config.value_bits,
        coded=config.header == "coded",
    )


def fit_quantizers(
    blocks: UInt8Array, importance: FloatArray, height: int, width: int, config: IaqConfig, mu: float = 0.0
) -> PatchQuantizer:
    """Bits, ranges and fill for the patches of B pictures of one size.

    blocks: uint8 (B, n, K) (`extract_blocks`). importance: of the patches, (B, N), finite, not negative. mu: error rate
    for the modified allocations. Returns one quantizer of B·n blocks, picture after picture.

    What counts against B_target = ρ·8KN: with the paper's header B_add of eq. (12), for Fixed-M nothing; with any other
    all bits of header and container as they are sent. Raises BudgetError for a budget that is impossible, with the
    smallest or largest ρ, and ConfigurationError for importance that is not finite.
    """
    images, count, samples = blocks.shape
    flat = blocks.reshape(images * count, samples)
    low, high = _ranges(blocks, config)
    fill = patch_fill(flat, config.fill, fill_parts(config.colour), config.value_bits)
    importance = importance_of_blocks(importance, config.colour)
    allocation = config.allocation(mu)
    spread = ((high.astype(np.float64) - low) / WHITE).reshape(images, count) if config.own_ranges else None
    if config.threshold is not None:
        bits = allocate(config.allocator, importance, None, allocation, spread)
    elif config.paper_header:
        total = _total_bits(count, samples, config)
        bits = allocate(config.allocator, importance, total, allocation, spread)
    else:
        bits = np.empty((images, count), np.uint8)
        for i in range(images):
            own = slice(i * count, (i + 1) * count)
            picture = _Picture(
                importance[i],
                None if spread is None else spread[i],
                PatchQuantizer(np.zeros(count, np.uint8), low[own], high[own], fill[own]),
                (height, width, samples),
            )
            bits[i] = picture.fill_budget(config, allocation)
    return PatchQuantizer(bits.reshape(-1), low, high, fill)


def check_budget(height: int, width: int, config: IaqConfig) -> None:
    """Raise BudgetError when no picture of this size can be sent with the budget; see `fit_quantizers`.

    Only the paper's header has a size that is known before the picture is.
    """
    side = config.side_for(height, width)
    rows, columns = patch_grid(height, width, side)
    if config.paper_header and config.threshold is None:
        _total_bits(rows * columns, CHANNELS * side**2, config)


def _total_bits(count: int, samples: int, config: IaqConfig) -> int:
    """Σ M_i of eq. (10), with the paper's header; Fixed-M has none there, so that its ρ is M/8."""
    overhead = 0 if config.allocator == "fixed" else None
    try:
        target = target_bits(config.rho, count, samples)
        return allocatable_bits(target, count, samples, config.minimum, config.maximum, overhead)
    except ConfigurationError as problem:
        raise BudgetError(str(problem)) from None


def _ranges(patches: UInt8Array, config: IaqConfig) -> tuple[UInt8Array, UInt8Array]:
    images, count, samples = patches.shape
    if config.ranges != "picture":
        return patch_ranges(patches.reshape(images * count, samples), config.ranges, config.value_bits)
    ends = [patch_ranges(picture, "picture") for picture in patches]
    return np.concatenate([low for low, _ in ends]), np.concatenate([high for _, high in ends])


class _Picture:
    """One picture whose header's size depends on its bits."""

    def __init__(
        self,
        importance: FloatArray,
        spread: FloatArray | None,
        quantizer: PatchQuantizer,
        size: tuple[int, int, int],
    ) -> None:
        self._importance, self._spread, self._quantizer = importance, spread, quantizer
        self._height, self._width, self._samples = size

    def fill_budget(self, config: IaqConfig, allocation: AllocationConfig) -> UInt8Array:
        """Bits per sample, (N,), within ρ, header and container as they are sent."""
        count = self._importance.size
        source = source_samples(self._samples, config.colour)  # of the picture, for each block
        target = target_bits(config.rho, count, source)
        fewest, most = count * config.minimum, count * config.maximum

        def bits_for(total: int) -> UInt8Array:
            return allocate(config.allocator, self._importance, total, allocation, self._spread)

        sizes: dict[bytes, int] = {}  # the search asks for some of them twice

        def header_bits(bits: UInt8Array) -> int:
            key = bits.tobytes()
            if key not in sizes:
                known = self._quantizer
                quantizer = PatchQuantizer(bits, known.low, known.high, known.fill)
                sizes[key] = CONTAINER_BITS + 8 * len(patch_header(quantizer, self._height, self._width, config))
            return sizes[key]

        smallest = fewest * self._samples + header_bits(bits_for(fewest))
        too_large = target > most * self._samples and target > most * self._samples + header_bits(bits_for(most))
        if target < smallest or too_large:
            largest = most * self._samples + header_bits(bits_for(most))
            least, highest = (compression_ratio(b, count, source) for b in (smallest, largest))
            raise BudgetError(
                f"rho={config.rho:g} gives {target} bits for {count} blocks of {config.minimum} to {config.maximum} "
                f"bits per sample; with this picture's header {smallest} to {largest} are possible: "
                f"rho={math.ceil(least * 1e5) / 1e5:.5f} to {math.floor(highest * 1e5) / 1e5:.5f}"
            )
        return fill_budget(target, self._samples, fewest, most, bits_for, header_bits)
