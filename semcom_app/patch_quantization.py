"""Uniform quantization of patches with M_i bits per sample, and back from received bits (IAQ, eqs. 5 to 8).

Works on any number n of patches of K samples (`semcom_app.patches`), of one picture or of many at once. Indices are
natural binary, most significant bit first, patch after patch; a patch with M_i = 0 sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from semcom_app.quantization import MAX_BITS, bits_to_indices, indices_to_bits
from semcom_phy.errors import ConfigurationError

Ranges = Literal["full", "picture", "patch"]
Fill = Literal["mid-range", "mean", "channel-means"]
Prior = Literal["uniform", "estimated"]
FloatArray: TypeAlias = npt.NDArray[np.float32]

RANGES: tuple[Ranges, ...] = ("full", "picture", "patch")
FILLS: tuple[Fill, ...] = ("mid-range", "mean", "channel-means")
PRIORS: tuple[Prior, ...] = ("uniform", "estimated")
WHITE = 255
# Beyond ±50 a bit is certain to more than the precision of the sums below, and exp stays finite in float32.
_LLR_LIMIT = 50.0
_TABLE_ENTRIES = 1 << 22  # likelihoods, 2^M per sample, that are held at once
_ESTIMATION_SAMPLES = 1 << 14
_ESTIMATION_ROUNDS = 10  # more would fit the noise
_PRIOR_STRENGTH = 4.0  # samples that the common distribution counts for against those of one patch
_TINY = np.finfo(np.float32).tiny


@dataclass(frozen=True)
class PatchQuantizer:
    """Uniform quantizers of n patches; what the header tells the receiver (eqs. 5 and 12).

    bits: M_i, uint8 (n,), 0 … 8. low, high: range u_min, u_max of each patch, uint8 (n,); of no meaning where M_i = 0.
    fill: values for patches with M_i = 0, uint8 (n, F): F = 0 takes the middle of 0 … 255, 1 one value for all
    samples, more one for each channel; of no meaning where M_i > 0.

    Raises ConfigurationError for shapes or values that do not fit.
    """

    bits: npt.NDArray[np.uint8]
    low: npt.NDArray[np.uint8]
    high: npt.NDArray[np.uint8]
    fill: npt.NDArray[np.uint8]

    def __post_init__(self) -> None:
        n = self.bits.size
        shapes = (self.bits.shape, self.low.shape, self.high.shape, self.fill.shape[:1], self.fill.ndim)
        if shapes != ((n,), (n,), (n,), (n,), 2):
            raise ConfigurationError(f"bits, ranges and fill of {n} patches do not have one entry per patch")
        if any(values.dtype != np.uint8 for values in (self.bits, self.low, self.high, self.fill)):
            raise ConfigurationError("bits, ranges and fill of patches must be uint8")
        if np.any(self.bits > MAX_BITS):
            raise ConfigurationError(f"bits per sample must be 0 to {MAX_BITS}, not {self.bits.max()}")
        if np.any((self.low > self.high) & (self.bits > 0)):
            raise ConfigurationError("the range of a patch ends before it begins")

    @property
    def total_bits(self) -> int:
        """Σ M_i; K times as many bits are sent."""
        return int(self.bits.sum(dtype=np.int64))

    def quantize(self, patches: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Samples (n, K) → indices v = min(⌊(u − u_min)/Δ⌋, Q − 1), Δ = R/Q, Q = 2^M (eq. 5), uint8 (n, K).

        Samples outside the range of their patch take its end. Zero-bit patches and empty ranges get index 0.
        """
        self._check_count(patches)
        levels = (1 << self.bits.astype(np.int32))[:, None]
        span = self._span()[:, None]
        # Integers all the way: sender and tests agree on every sample that lies on a boundary.
        offset = np.clip(patches.astype(np.int32) - self.low[:, None], 0, span)
        return np.minimum(offset * levels // np.maximum(span, 1), levels - 1).astype(np.uint8)

    def dequantize(self, indices: npt.NDArray[np.integer]) -> FloatArray:
        """Indices (n, K) → values u_min + (v + ½)Δ, or the fill of zero-bit patches; float32 (n, K)."""
        self._check_count(indices)
        return self._values(indices.astype(np.float32))

    def to_bits(self, indices: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
        """Indices (n, K) → payload bits, uint8 (K·Σ M_i,) (eq. 6)."""
        self._check_count(indices)
        samples = indices.shape[1]
        payload = np.empty(self.total_bits * samples, np.uint8)
        for bits, patches, places in self._groups(samples):
            payload[places] = indices_to_bits(indices[patches], bits).reshape(places.shape)
        return payload

    def from_bits(self, payload: npt.NDArray[np.uint8], samples: int) -> npt.NDArray[np.uint8]:
        """Inverse of `to_bits`: received bits (K·Σ M_i,) → indices, uint8 (n, K), K = `samples`."""
        self._check_payload(payload, samples)
        indices = np.zeros((self.bits.size, samples), np.uint8)
        for bits, patches, places in self._groups(samples):
            indices[patches] = bits_to_indices(payload[places].reshape(-1), bits).reshape(-1, samples)
        return indices

    def soft_dequantize(self, llrs: npt.NDArray[np.floating], samples: int, prior: Prior = "uniform") -> FloatArray:
        """LLRs of the payload bits (K·Σ M_i,), ln P(b=1)/P(b=0) → posterior means of the values, float32 (n, K).

        Beyond the paper. prior: "uniform" takes all indices for equally likely, which helps only where they are;
        "estimated" first estimates how often each of the 2^M indices occurs in each patch (`estimate_prior`,
        `estimate_patch_priors`). Nothing but the LLRs is used. NaN counts as 0 (nothing known).
        """
        if prior not in PRIORS:
            raise ConfigurationError(f"unknown prior {prior!r}; known: {', '.join(PRIORS)}")
        self._check_payload(llrs, samples)
        means = np.zeros((self.bits.size, samples), np.float32)
        for bits, patches, places in self._groups(samples):
            one = _probabilities(llrs[places].reshape(-1, bits))
            if prior == "uniform":
                index = one @ np.exp2(np.arange(bits - 1, -1, -1, dtype=np.float32))
            else:
                index = _posterior_means(one.reshape(-1, samples, bits), estimate_prior(one))
            means[patches] = index.reshape(-1, samples)
        return self._values(means)

    def _span(self) -> npt.NDArray[np.int32]:
        return np.where(self.bits > 0, self.high.astype(np.int32) - self.low, WHITE).astype(np.int32)

    def _values(self, indices: FloatArray) -> FloatArray:
        """Real-valued indices (n, K) → values."""
        step = self._span() / (1 << self.bits.astype(np.int32))
        values = (self.low[:, None] + (indices + 0.5) * step[:, None]).astype(np.float32)
        empty = self.bits == 0
        if empty.any():
            values[empty] = WHITE / 2.0
            if self.fill.shape[1]:
                values[empty] = np.repeat(self.fill[empty], values.shape[1] // self.fill.shape[1], axis=1)
        return values

    def _groups(self, samples: int) -> Iterator[tuple[int, npt.NDArray[np.intp], npt.NDArray[np.int64]]]:
        """For each M > 0 in use: M, the patches that have it, and where their bits are in the payload, (m, K·M)."""
        lengths = self.bits.astype(np.int64) * samples
        starts = np.cumsum(lengths) - lengths
        for bits in range(1, MAX_BITS + 1):
            patches = np.flatnonzero(self.bits == bits)
            if patches.size:
                yield bits, patches, starts[patches, None] + np.arange(bits * samples)

    def _check_count(self, patches: npt.NDArray) -> None:
        if patches.ndim != 2 or len(patches) != self.bits.size:
            raise ConfigurationError(f"a quantizer of {self.bits.size} patches cannot take an array {patches.shape}")
        if self.fill.shape[1] and patches.shape[1] % self.fill.shape[1]:
            raise ConfigurationError(f"{patches.shape[1]} samples are not those of {self.fill.shape[1]} channels")

    def _check_payload(self, payload: npt.NDArray, samples: int) -> None:
        if payload.shape != (self.total_bits * samples,):
            raise ConfigurationError(
                f"a quantizer of {self.total_bits} bits for {samples} samples cannot take a payload {payload.shape}"
            )


def patch_ranges(
    patches: npt.NDArray[np.uint8], ranges: Ranges = "full", value_bits: int = 8
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Lower and upper end of the quantizer range of each patch, uint8 (n,) each.

    patches: uint8 (n, K). ranges: "full" is 0 … 255 for all, the paper's; "picture" the extrema of all patches given;
    "patch" those of each patch, beyond the paper, rounded outward to the values that `value_bits` leading bits can name
    (the others are filled with zeros below, with ones above). `(high − low)/255` is the `spread` that
    `semcom_app.allocation.allocate` takes.
    """
    if ranges not in RANGES:
        raise ConfigurationError(f"unknown ranges {ranges!r}; known: {', '.join(RANGES)}")
    n = len(patches)
    if ranges == "full" or patches.size == 0:
        return np.zeros(n, np.uint8), np.full(n, WHITE, np.uint8)
    if ranges == "picture":
        return np.full(n, patches.min(), np.uint8), np.full(n, patches.max(), np.uint8)
    lost = dropped_bits(value_bits)
    low, high = patches.min(axis=1).astype(np.int32), patches.max(axis=1).astype(np.int32)
    return (low >> lost << lost).astype(np.uint8), (high | ((1 << lost) - 1)).astype(np.uint8)


def patch_fill(
    patches: npt.NDArray[np.uint8], fill: Fill = "mid-range", channels: int = 3, value_bits: int = 8
) -> npt.NDArray[np.uint8]:
    """Values for patches that get no bits, uint8 (n, F), as `PatchQuantizer` takes them.

    patches: uint8 (n, K) in (C, P, P) order. fill: "mid-range" sends nothing (F = 0), "mean" one mean (F = 1),
    "channel-means" one for each channel (F = `channels`); with `value_bits` leading bits, the middle of what they name.
    """
    if fill not in FILLS:
        raise ConfigurationError(f"unknown fill {fill!r}; known: {', '.join(FILLS)}")
    lost = dropped_bits(value_bits)
    parts = {"mid-range": 0, "mean": 1, "channel-means": channels}[fill]
    if parts == 0 or patches.size == 0:
        return np.zeros((len(patches), parts), np.uint8)
    means = np.rint(patches.reshape(len(patches), parts, -1).mean(axis=2)).astype(np.int32)
    return ((means >> lost << lost) + (1 << lost >> 1)).astype(np.uint8)


def dropped_bits(value_bits: int) -> int:
    """Bits of a byte that the header does not carry when it carries `value_bits`."""
    if not 1 <= value_bits <= 8:
        raise ConfigurationError(f"ranges and means take 1 to 8 bits in the header, not {value_bits}")
    return 8 - value_bits


def to_pixels(values: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Values of any shape → nearest pixel values, uint8."""
    return np.clip(np.rint(values), 0, WHITE).astype(np.uint8)


def _probabilities(llrs: npt.NDArray[np.floating]) -> FloatArray:
    """P(b = 1) for LLRs of any shape; NaN counts as 0."""
    known = np.where(np.isnan(llrs), 0.0, np.clip(llrs, -_LLR_LIMIT, _LLR_LIMIT))
    return (1.0 / (1.0 + np.exp(-known))).astype(np.float32)


def _likelihoods(one: FloatArray) -> FloatArray:
    """P(b_k = 1) of independent bits (..., M) → probabilities of all indices (..., 2^M), most significant bit first."""
    table = np.ones((*one.shape[:-1], 1), np.float32)
    for bit in range(one.shape[-1]):
        p = one[..., bit, None]
        table = np.stack([table * (1.0 - p), table * p], axis=-1).reshape(*one.shape[:-1], -1)
    return table


def estimate_prior(one: FloatArray) -> FloatArray:
    """How often each index occurs, from P(b_k = 1 | received) of n samples, float32 (n, M) → float32 (2^M,).

    Expectation maximization from the uniform distribution on at most 2^14 evenly spaced samples, with one pseudo-count
    per index.
    """
    likelihoods = _likelihoods(one[:: -(-len(one) // _ESTIMATION_SAMPLES)])
    levels = likelihoods.shape[1]
    uniform = np.full(levels, 1.0 / levels, np.float32)
    return _maximized(likelihoods[None], uniform, float(levels))[0]


def estimate_patch_priors(likelihoods: FloatArray, common: FloatArray) -> FloatArray:
    """How often each index occurs in each patch, from likelihoods (p, K, 2^M) → float32 (p, 2^M).

    Expectation maximization from the distribution `common` (2^M,) of all patches, which also counts for four samples.
    """
    return _maximized(likelihoods, common, _PRIOR_STRENGTH)


def _maximized(likelihoods: FloatArray, start: FloatArray, strength: float) -> FloatArray:
    """Rounds of expectation maximization, pulled towards `start` (2^M,); likelihoods (p, K, 2^M) → (p, 2^M)."""
    prior = np.tile(start, (len(likelihoods), 1))
    for _ in range(_ESTIMATION_ROUNDS):
        # Posterior counts, Σ over samples of prior·likelihood / evidence, as matrix products.
        evidence = np.maximum((likelihoods @ prior[:, :, None])[:, :, 0], _TINY)
        counts = prior * ((1.0 / evidence)[:, None, :] @ likelihoods)[:, 0] + np.float32(strength) * start
        prior = counts / counts.sum(axis=1, keepdims=True)
    return prior


def _posterior_means(one: FloatArray, common: FloatArray) -> FloatArray:
    """Posterior mean index of each sample under the estimated prior of its patch; (p, K, M) → float32 (p, K)."""
    patches, samples, _ = one.shape
    index = np.arange(common.size, dtype=np.float32)
    means = np.empty((patches, samples), np.float32)
    at_once = max(1, _TABLE_ENTRIES // (samples * common.size))
    for first in range(0, patches, at_once):
        rows = slice(first, first + at_once)
        likelihoods = _likelihoods(one[rows])
        prior = estimate_patch_priors(likelihoods, common)
        weighted, evidence = np.moveaxis(likelihoods @ np.stack([prior * index, prior], axis=2), 2, 0)
        means[rows] = weighted / np.maximum(evidence, _TINY)
    return means
