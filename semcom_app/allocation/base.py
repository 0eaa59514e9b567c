"""What every allocation is: one problem, one configuration, a registry, and `allocate`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from semcom_app.allocation.distortion import DISTORTIONS
from semcom_app.allocation.weights import checked_importance, importance_weights, positive_weights
from semcom_app.quantization import MAX_BITS
from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import Registry, nearest

FloatArray: TypeAlias = npt.NDArray[np.float64]
BitArray: TypeAlias = npt.NDArray[np.int64]
AdjustingOrder = Literal["exact", "paper"]
Solver = Literal["fast", "bisection"]

ORDERS: tuple[AdjustingOrder, ...] = ("exact", "paper")
SOLVERS: tuple[Solver, ...] = ("fast", "bisection")
_IMAGES_AT_ONCE = 64  # intermediate arrays of 196 patches then stay in the processor's cache


@dataclass(frozen=True)
class AllocationConfig:
    """Parameters of the allocations; an algorithm ignores what does not concern it.

    minimum, maximum: bits per sample, M_min and M_max of eq. (11); 0 lets a patch go without any, 1 is the paper's.
    gamma, epsilon: of the weight function, eq. (31).
    mu: bit flip probability of the channel, for the modified algorithms.
    distortion: name in `DISTORTIONS`, for the modified algorithms.
    order: in which bits are added or removed after rounding; "paper" is by attention, "exact" gives the optimum.
    solver: of water-filling; "bisection" is the paper's, "fast" finds the same level in fewer steps.
    threshold: of AT (attention) and AST (share of the attention, 0 to 1); None takes what the budget allows.
    """

    minimum: int = 1
    maximum: int = MAX_BITS
    gamma: float = 1.0
    epsilon: float = 1e-3
    mu: float = 0.0
    distortion: str = "one-flip"
    order: AdjustingOrder = "exact"
    solver: Solver = "fast"
    threshold: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= self.maximum <= MAX_BITS or self.maximum == 0:
            raise ConfigurationError(
                f"bits per sample must satisfy 0 <= minimum <= maximum <= {MAX_BITS} and maximum >= 1, "
                f"got {self.minimum} and {self.maximum}"
            )
        choices = (("order", self.order, ORDERS), ("solver", self.solver, SOLVERS))
        for name, value, known in choices:
            if value not in known:
                raise ConfigurationError(f"unknown {name} {value!r}.{nearest(value, known)} Known: {', '.join(known)}")
        if self.distortion not in DISTORTIONS:
            DISTORTIONS[self.distortion]  # raises, naming the nearest
        if self.threshold is not None and not np.isfinite(self.threshold):
            raise ConfigurationError(f"threshold must be a finite number, not {self.threshold}")


@dataclass(frozen=True)
class AllocationProblem:
    """A batch of images whose patches want bits (problem P1, eqs. 9 to 11, with the header already paid).

    importance: attention scores a, float64 (B, N). weights: w, float64 (B, N), positive. total: bits per sample
    summed over the patches, int64 (B,), N·minimum … N·maximum; None when a threshold decides.
    """

    importance: FloatArray
    weights: FloatArray
    total: npt.NDArray[np.int64] | None
    config: AllocationConfig

    @property
    def budget(self) -> npt.NDArray[np.int64]:
        """`total`, for algorithms that cannot do without."""
        if self.total is None:
            raise ConfigurationError("this allocation needs a budget: give total_bits")
        return self.total


#: Takes a problem, returns bits per sample, int64 (B, N), each minimum … maximum.
Allocator = Callable[[AllocationProblem], BitArray]
ALLOCATORS: Registry[Allocator] = Registry("allocation")


def _checked_total(total_bits: npt.ArrayLike, patches: int, config: AllocationConfig) -> npt.NDArray[np.int64]:
    """Return budgets as int64, or raise ConfigurationError with the smallest and largest possible one."""
    total = np.asarray(total_bits)
    if total.dtype.kind not in "iu":
        raise ConfigurationError(f"total_bits must be whole numbers, not {total.dtype}; round down")
    low, high = patches * config.minimum, patches * config.maximum
    if total.size and (total.min() < low or total.max() > high):
        wrong = total.min() if total.min() < low else total.max()
        raise ConfigurationError(
            f"total_bits={wrong} is impossible for {patches} patches of {config.minimum} to {config.maximum} bits "
            f"per sample: smallest {low}, largest {high}"
        )
    return total.astype(np.int64)


def allocate(
    name: str,
    importance: npt.ArrayLike,
    total_bits: npt.ArrayLike | None = None,
    config: AllocationConfig | None = None,
    spread: npt.ArrayLike | None = None,
) -> npt.NDArray[np.uint8]:
    """Bits per sample for every patch, by the algorithm `name` of `ALLOCATORS`.

    importance: (..., N), not negative, one image per row (the paper's mean attention scores, eq. 4).
    total_bits: Σ M_i per image, integer scalar or (...); from `semcom_app.allocation.budget.allocatable_bits`. None
    only with a threshold. spread: range of each patch relative to the full one, (..., N), for quantizers with ranges of
    their own: distortion grows with its square, and so do the weights. Returns uint8 (..., N).

    "ia", "wf" and their variants meet the budget exactly; "fixed", "topk", "at" and "ast" stay below it by what they
    cannot use. Rows are independent: a batch gives what a loop over its images gives.

    Raises ConfigurationError for an unknown name, importance that is negative or not finite, and an impossible budget.
    """
    config = config or AllocationConfig()
    allocator = ALLOCATORS[name]
    shape = np.shape(importance)
    if not shape or shape[-1] == 0:
        raise ConfigurationError(f"importance must hold at least one patch per image, got shape {shape}")
    scores = checked_importance(np.reshape(importance, (-1, shape[-1])))
    weights = importance_weights(scores, config.gamma, config.epsilon)
    if spread is not None:
        if np.shape(spread) != shape:
            raise ConfigurationError(f"spread must have the shape of importance, {shape}, not {np.shape(spread)}")
        weights = weights * checked_importance(np.reshape(spread, scores.shape)) ** 2
    total = None
    if total_bits is not None:
        if np.shape(total_bits) not in ((), shape[:-1]):
            raise ConfigurationError(f"total_bits must be one number or of shape {shape[:-1]}")
        checked = _checked_total(total_bits, scores.shape[1], config)
        total = np.broadcast_to(checked, shape[:-1]).reshape(-1)
    weights = positive_weights(weights)
    bits = np.empty(scores.shape, np.uint8)
    for first in range(0, len(scores), _IMAGES_AT_ONCE):
        rows = slice(first, first + _IMAGES_AT_ONCE)
        budget = None if total is None else total[rows]
        bits[rows] = allocator(AllocationProblem(scores[rows], weights[rows], budget, config))
    return bits.reshape(shape)
