"""Fixed-M: the same number of bits for every patch (Section V)."""

from __future__ import annotations

import numpy as np

from semcom_app.allocation.base import ALLOCATORS, AllocationProblem, BitArray


@ALLOCATORS.register("fixed")
def fixed(problem: AllocationProblem) -> BitArray:
    """Give every patch ⌊total/N⌋ bits; up to N − 1 bits of the budget stay unused (ρ = M/8 without header)."""
    patches = problem.importance.shape[1]
    return np.repeat((problem.budget // patches)[:, None], patches, axis=1)
