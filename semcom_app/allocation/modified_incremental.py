"""Modified incremental allocation: the incremental allocation under bit errors (Section IV-C1, eqs. 22 to 24)."""

from __future__ import annotations

from semcom_app.allocation.base import ALLOCATORS, AllocationProblem, BitArray
from semcom_app.allocation.distortion import make_distortion
from semcom_app.allocation.incremental import incremental, incremental_greedy


@ALLOCATORS.register("mia")
def _mia(problem: AllocationProblem) -> BitArray:
    config = problem.config
    distortion = make_distortion(config.distortion, config.mu)
    return incremental(problem.weights, problem.budget, config.minimum, config.maximum, distortion)


@ALLOCATORS.register("mia-greedy")
def _mia_greedy(problem: AllocationProblem) -> BitArray:
    config = problem.config
    distortion = make_distortion(config.distortion, config.mu)
    return incremental_greedy(problem.weights, problem.budget, config.minimum, config.maximum, distortion)
