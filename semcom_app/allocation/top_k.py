"""Top-k: the k most important patches in full, the others at the minimum (Section V)."""

from __future__ import annotations

import numpy as np

from semcom_app.allocation.base import ALLOCATORS, AllocationProblem, BitArray
from semcom_app.allocation.selection import mark_largest


def affordable_patches(problem: AllocationProblem) -> BitArray:
    """Number k of patches that can have M_max bits when all others have M_min, int64 (B,)."""
    patches, config = problem.importance.shape[1], problem.config
    if config.maximum == config.minimum:
        return np.full(problem.budget.shape, patches)
    return (problem.budget - patches * config.minimum) // (config.maximum - config.minimum)


@ALLOCATORS.register("topk")
def top_k(problem: AllocationProblem) -> BitArray:
    """Give M_max bits to as many patches as the budget allows, in order of importance, M_min to the rest."""
    chosen = mark_largest(problem.importance, affordable_patches(problem))
    return np.where(chosen, problem.config.maximum, problem.config.minimum).astype(np.int64)
