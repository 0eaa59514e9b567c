"""How wrong a patch gets with M bits per sample: the objective functions of the bit allocations.

All values are per sample and in units of R², the squared range of the quantizer: K·R² of them make the paper's patch
distortion. Beside the two bounds of the paper stand two exact expectations for samples uniform over the range.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import Registry

FloatArray = npt.NDArray[np.float64]

#: Beyond 1/2 a channel inverts more bits than it keeps: its receiver would flip them all.
MAX_FLIP_PROBABILITY = 0.5
_LN4 = math.log(4.0)
_GRID_POINTS_PER_BIT = 64


@dataclass(frozen=True)
class Distortion(ABC):
    """D(M; μ) of one sample with M bits over a binary symmetric channel that flips bits with probability `mu`.

    Bits are float64 or integer arrays of any shape, values 0 … 16; results are float64 of the same shape.
    """

    name: ClassVar[str]
    #: D = offset + factor·4^−M: water-filling has a closed form and rounding by remainder is exact.
    geometric: ClassVar[bool] = False
    mu: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.mu <= MAX_FLIP_PROBABILITY:
            raise ConfigurationError(f"bit flip probability mu must lie in [0, {MAX_FLIP_PROBABILITY}], not {self.mu}")

    @abstractmethod
    def value(self, bits: npt.ArrayLike) -> FloatArray:
        """D(M)."""

    @abstractmethod
    def derivatives(self, bits: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """−dD/dM, which is g of eq. (30) with Q = 2^M, and d²D/dM² (eq. 52), for real M."""

    def slope(self, bits: npt.ArrayLike) -> FloatArray:
        """−dD/dM for real M."""
        return self.derivatives(bits)[0]

    @abstractmethod
    def gain(self, bits: npt.ArrayLike) -> FloatArray:
        """D(M) − D(M + 1), what one more bit saves, without cancellation."""


class GeometricDistortion(Distortion):
    """Base of all D(M) = offset + factor·4^−M; optimal bits depend on neither of the two."""

    geometric = True

    @property
    @abstractmethod
    def offset(self) -> float:
        """What no number of bits removes."""

    @property
    @abstractmethod
    def factor(self) -> float:
        """What bits remove, a quarter for each."""

    def _falling(self, bits: npt.ArrayLike) -> FloatArray:
        return self.factor * np.exp2(-2.0 * np.asarray(bits, np.float64))

    def value(self, bits: npt.ArrayLike) -> FloatArray:
        """See `Distortion.value`."""
        return self.offset + self._falling(bits)

    def derivatives(self, bits: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """See `Distortion.derivatives`."""
        slope = _LN4 * self._falling(bits)
        return slope, _LN4 * slope

    def gain(self, bits: npt.ArrayLike) -> FloatArray:
        """See `Distortion.gain`."""
        return 0.75 * self._falling(bits)


DISTORTIONS: Registry[type[Distortion]] = Registry("distortion model")


@DISTORTIONS.register("error-free")
@dataclass(frozen=True)
class ErrorFreeBound(GeometricDistortion):
    """Worst case without bit errors, (Δ/2)² = R²·4^−M/4 (eqs. 7, 8); `mu` is not used."""

    name = "error-free"
    offset = 0.0
    factor = 0.25


@DISTORTIONS.register("one-flip")
@dataclass(frozen=True)
class OneFlipBound(Distortion):
    """The paper's bound with at most one flip per sample, 4^−M/4 + (μ/3)(1−μ)^(M−1)(1−4^−M) (eqs. 20, 21).

    The printed formula is lost; this is the sum of the terms with no and with one flip, the first bounded by the
    error-free term. Leaving the factor of the neglected flips in makes many bits look safer than few, which is why the
    paper's allocations depend on μ; `ExactFlips` shows that they need not.
    """

    name = "one-flip"

    def _terms(self, bits: npt.ArrayLike) -> tuple[FloatArray, FloatArray, float]:
        m = np.asarray(bits, np.float64)
        log_keep = math.log1p(-self.mu)
        return np.exp2(-2.0 * m), self.mu / 3.0 * np.exp(log_keep * (m - 1.0)), log_keep

    def value(self, bits: npt.ArrayLike) -> FloatArray:
        """See `Distortion.value`."""
        fine, flip, _ = self._terms(bits)
        return 0.25 * fine + flip * (1.0 - fine)

    def derivatives(self, bits: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """See `Distortion.derivatives`."""
        fine, flip, log_keep = self._terms(bits)
        # (1−μ)^M(1−4^−M) differentiates to (1−μ)^M·(ln(1−μ)·(1−4^−M) + ln4·4^−M), and so on.
        first = log_keep + (_LN4 - log_keep) * fine
        second = log_keep**2 + (2.0 * log_keep * _LN4 - _LN4**2 - log_keep**2) * fine
        quantization = 0.25 * _LN4 * fine
        return quantization - flip * first, _LN4 * quantization + flip * second

    def gain(self, bits: npt.ArrayLike) -> FloatArray:
        """See `Distortion.gain`."""
        fine, flip, _ = self._terms(bits)
        return 0.1875 * fine + flip * (self.mu - 0.25 * (3.0 + self.mu) * fine)


@DISTORTIONS.register("all-flips")
@dataclass(frozen=True)
class ExactFlips(GeometricDistortion):
    """Exact mean squared error with any number of flips, 4^−M/12 + μ(1−4^−M)/3, hard decisions.

    For samples uniform over the range and natural binary indices. From μ = 1/4 on a received bit adds more error
    than it removes; such μ is refused.
    """

    name = "all-flips"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mu >= 0.25:
            raise ConfigurationError(
                f"at mu={self.mu:g} hard decisions lose by every bit; the all-flips distortion needs mu below 0.25"
            )

    @property
    def offset(self) -> float:
        """See `GeometricDistortion.offset`."""
        return self.mu / 3.0

    @property
    def factor(self) -> float:
        """See `GeometricDistortion.factor`."""
        return 1.0 / 12.0 - self.mu / 3.0


@DISTORTIONS.register("posterior-mean")
@dataclass(frozen=True)
class PosteriorMean(GeometricDistortion):
    """Exact mean squared error when the receiver takes the posterior mean, (1 − (1−2μ)²(1−4^−M))/12.

    For samples uniform over the range; beyond the paper (see `semcom_app.patch_quantization.soft_dequantize`).
    """

    name = "posterior-mean"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.mu == MAX_FLIP_PROBABILITY:
            raise ConfigurationError(
                "at mu=0.5 no bit tells anything; the posterior-mean distortion needs mu below 0.5"
            )

    @property
    def offset(self) -> float:
        """See `GeometricDistortion.offset`."""
        return (1.0 - (1.0 - 2.0 * self.mu) ** 2) / 12.0

    @property
    def factor(self) -> float:
        """See `GeometricDistortion.factor`."""
        return (1.0 - 2.0 * self.mu) ** 2 / 12.0


def make_distortion(name: str, mu: float = 0.0) -> Distortion:
    """Build the distortion model registered as `name`.

    Raises ConfigurationError for an unknown name or a `mu` outside the model's range.
    """
    model: Any = DISTORTIONS[name]
    return model(mu)


def is_falling_and_convex(distortion: Distortion, minimum: int, maximum: int, real_bits: bool = False) -> bool:
    """Whether D falls and is convex on `minimum` … `maximum` (Propositions 1 and 2).

    On the integers, as the incremental allocation needs it, or on all reals between, as water-filling needs it (there
    on a grid of 64 points per bit).
    """
    if distortion.geometric or minimum == maximum:
        return True
    if real_bits:
        grid = np.linspace(minimum, maximum, _GRID_POINTS_PER_BIT * (maximum - minimum) + 1)
        slope, curvature = distortion.derivatives(grid)
        return bool(np.all(slope > 0.0) and np.all(curvature > 0.0))
    gains = distortion.gain(np.arange(minimum, maximum))
    return bool(np.all(gains > 0.0) and np.all(np.diff(gains) <= 0.0))


@lru_cache(maxsize=256)
def largest_mu(name: str, minimum: int, maximum: int, real_bits: bool = False) -> float:
    """Largest μ, rounded down to three decimals, up to which `is_falling_and_convex` holds (Propositions 1 and 2).

    A model that refuses a μ, because no bit is worth anything there, has its limit below: 0.249 for "all-flips". Raises
    ConfigurationError for an unknown name.
    """
    model: Any = DISTORTIONS[name]

    def possible(mu: float) -> bool:
        try:
            distortion = model(mu)
        except ConfigurationError:
            return False
        return is_falling_and_convex(distortion, minimum, maximum, real_bits)

    low, high = 0, round(1000 * MAX_FLIP_PROBABILITY) + 1
    while high - low > 1:
        middle = (low + high) // 2
        if possible(middle / 1000):
            low = middle
        else:
            high = middle
    return low / 1000


@lru_cache(maxsize=256)
def require_convex(distortion: Distortion, minimum: int, maximum: int, real_bits: bool = False) -> None:
    """Raise ConfigurationError, with the largest μ that is possible, unless `is_falling_and_convex`."""
    if not is_falling_and_convex(distortion, minimum, maximum, real_bits):
        limit = largest_mu(distortion.name, minimum, maximum, real_bits)
        raise ConfigurationError(
            f"the {distortion.name} distortion is not convex at mu={distortion.mu:g} for {minimum} to {maximum} bits; "
            f"use mu up to {limit:g}, or the posterior-mean distortion"
        )
