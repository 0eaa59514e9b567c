"""What an allocation may spend: compression ratio, header, bits per sample (eqs. 10 and 12)."""

from __future__ import annotations

import math

from semcom_app.quantization import MAX_BITS
from semcom_phy.errors import ConfigurationError

SAMPLE_BITS = 8  # of the original picture
RANGE_BITS = 16  # u_min and u_max, one byte each


def bits_per_entry(maximum: int) -> int:
    """Bits for one M_i in a header that is not entropy coded, ⌈log2(M_max + 1)⌉ (eq. 12)."""
    return math.ceil(math.log2(maximum + 1))


def header_bits(patches: int, maximum: int = MAX_BITS) -> int:
    """B_add = N·⌈log2(M_max + 1)⌉ + 16 (eq. 12): the paper's quantizer information, not entropy coded."""
    return patches * bits_per_entry(maximum) + RANGE_BITS


def target_bits(ratio: float, patches: int, samples: int) -> int:
    """B_target = ⌊8·K·N·ρ⌋ for a compression ratio ρ, K = `samples` per patch.

    Raises ConfigurationError unless 0 < ρ ≤ 2; `allocatable_bits` tells what is possible.
    """
    if not 0.0 < ratio <= 2.0:
        raise ConfigurationError(f"compression ratio rho must be above 0 and at most 2, not {ratio}")
    # The product of decimal fractions may fall short of a whole number by a rounding error.
    return math.floor(SAMPLE_BITS * samples * patches * ratio * (1.0 + 1e-12))


def compression_ratio(bits: int, patches: int, samples: int) -> float:
    """ρ = bits/(8·K·N)."""
    return bits / (SAMPLE_BITS * samples * patches)


def allocatable_bits(
    target: int,
    patches: int,
    samples: int,
    minimum: int = 1,
    maximum: int = MAX_BITS,
    overhead: int | None = None,
    clip: bool = False,
) -> int:
    """Σ M_i that a target pays for: ⌊(B_target − B_add)/K⌋ (eq. 10).

    overhead: bits of the header, `header_bits` when None. clip: take N·M_max instead of raising when the target is more
    than all patches can use. Raises ConfigurationError with the smallest (or largest) possible target and its ratio.
    """
    added = header_bits(patches, maximum) if overhead is None else overhead
    smallest, largest = patches * minimum * samples + added, patches * maximum * samples + added
    total = (target - added) // samples
    if target < smallest:
        raise ConfigurationError(
            f"a budget of {target} bits is too small for {patches} patches of {samples} samples with at least "
            f"{minimum} bits each and {added} bits of header: smallest {smallest} bits, "
            f"rho={_rounded_up(compression_ratio(smallest, patches, samples))}"
        )
    if total > patches * maximum:
        if clip:
            return patches * maximum
        raise ConfigurationError(
            f"a budget of {target} bits is more than {patches} patches of {samples} samples with at most "
            f"{maximum} bits each can use: largest {largest} bits, "
            f"rho={compression_ratio(largest, patches, samples):.5f}"
        )
    return total


def _rounded_up(ratio: float) -> str:
    return f"{math.ceil(ratio * 1e5) / 1e5:.5f}"
