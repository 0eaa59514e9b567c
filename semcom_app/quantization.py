"""Uniform min–max quantization of latents, over the whole latent or per region (VCSC, eqs. 3–5, 9–15).

All functions are pure and work on arrays of any shape; indices are int64, ranges are float32 because
float32 is what travels in the header: both ends compute with the very same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semcom_phy.errors import ConfigurationError

MAX_BITS = 8


@dataclass(frozen=True)
class UniformQuantizer:
    """``q = clip(round((z − z_min)·s), 0, 2^b − 1)``, ``s = (2^b − 1)/(z_max − z_min)``, ``z̃ = q/s + z_min``.

    `z_min` and `z_max` are float32 values; equal extrema (a constant latent) give index 0 and z_min back.
    """

    bits: int
    z_min: float
    z_max: float

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MAX_BITS:
            raise ConfigurationError(f"bits per latent must be 1…{MAX_BITS}, not {self.bits}")
        if not (np.isfinite(self.z_min) and np.isfinite(self.z_max) and self.z_min <= self.z_max):
            raise ConfigurationError(f"quantizer range [{self.z_min}, {self.z_max}] is not a finite interval")

    @classmethod
    def fit(cls, z: NDArray[np.floating], bits: int) -> UniformQuantizer:
        """Quantizer over the extrema of `z` (eq. 4); an empty `z` gives the range [0, 0]."""
        if z.size == 0:
            return cls(bits, 0.0, 0.0)
        return cls(bits, float(np.float32(z.min())), float(np.float32(z.max())))

    @property
    def levels(self) -> int:
        """Number of levels, 2^bits."""
        return 1 << self.bits

    @property
    def step(self) -> float:
        """Distance of neighbouring levels, 1/s; 0 for a constant latent."""
        return (self.z_max - self.z_min) / (self.levels - 1)

    def quantize(self, z: NDArray[np.floating]) -> NDArray[np.int64]:
        """Values of any shape → indices 0…2^b − 1 of the same shape (eqs. 3 and 5)."""
        if self.step == 0.0:
            return np.zeros(z.shape, np.int64)
        index = np.rint((z.astype(np.float64) - self.z_min) / self.step)
        return np.clip(index, 0, self.levels - 1).astype(np.int64)

    def dequantize(self, index: NDArray[np.integer]) -> NDArray[np.float32]:
        """Indices of any shape → values, float32 (eq. 14)."""
        return (index.astype(np.float64) * self.step + self.z_min).astype(np.float32)


def attention_map(z: NDArray[np.floating]) -> NDArray[np.float64]:
    """Normalised activation map of a latent (C, h, w) → (h, w) in [0, 1] (VCSC, eqs. 6 and 7).

    A constant map has no important region to single out: it is returned as zeros.
    """
    activation = np.abs(z.astype(np.float64)).mean(axis=0)
    low, high = activation.min(), activation.max()
    if high <= low:
        return np.zeros_like(activation)
    return (activation - low) / (high - low)


def attention_mask(z: NDArray[np.floating], threshold: float) -> NDArray[np.bool_]:
    """Important locations of a latent (C, h, w) → (h, w) bool, ``A_norm ≥ T`` (VCSC, eq. 8)."""
    if not 0.0 <= threshold <= 1.0:
        raise ConfigurationError(f"attention threshold must lie in [0, 1], not {threshold}")
    return attention_map(z) >= threshold


def indices_to_bits(index: NDArray[np.integer], bits: int) -> NDArray[np.uint8]:
    """Indices (n,) → bits (n·bits,) uint8, natural binary, most significant bit first."""
    shifts = np.arange(bits - 1, -1, -1)
    return ((index.reshape(-1, 1) >> shifts) & 1).astype(np.uint8).reshape(-1)


def bits_to_indices(bit_array: NDArray[np.uint8], bits: int) -> NDArray[np.int64]:
    """Inverse of `indices_to_bits`: bits (n·bits,) → indices (n,) int64."""
    if bit_array.size % bits:
        raise ConfigurationError(f"{bit_array.size} bits are no whole number of {bits}-bit indices")
    weights = 1 << np.arange(bits - 1, -1, -1, dtype=np.int64)
    return bit_array.reshape(-1, bits).astype(np.int64) @ weights
