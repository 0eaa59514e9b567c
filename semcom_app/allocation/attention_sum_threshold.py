"""AST, attention sum threshold: patches in order of importance until their attention sums up (Section V)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from semcom_app.allocation.attention_threshold import marked_total
from semcom_app.allocation.base import ALLOCATORS, AllocationProblem, BitArray, FloatArray
from semcom_app.allocation.top_k import top_k
from semcom_app.allocation.weights import checked_importance
from semcom_phy.errors import ConfigurationError


def _sum_before(importance: FloatArray) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Order of descending importance, and the share of the attention before each place in it, 0 … 1; (B, N)."""
    order = np.argsort(-importance, axis=1, kind="stable")
    descending = np.take_along_axis(importance, order, axis=1)
    # Scaled before it is summed: nothing overflows. An image without any attention counts every patch alike.
    top = descending[:, :1]
    descending = np.where(top > 0.0, descending / np.where(top > 0.0, top, 1.0), 1.0)
    sums = np.cumsum(descending, axis=1)
    before = np.concatenate([np.zeros_like(top), sums[:, :-1]], axis=1)
    return order, before / sums[:, -1:]


def calibrate_sum_threshold(importance: npt.ArrayLike, marked_per_image: float) -> float:
    """Largest threshold at which AST marks at most `marked_per_image` patches on average over the images.

    See `calibrate_attention_threshold`. Negative when not even the first patch of every image can be marked.
    """
    before = np.sort(_sum_before(checked_importance(importance))[1], axis=None)
    keep = marked_total(marked_per_image, np.shape(importance))
    # Just below the first sum that must stay out, since a sum equal to the threshold does not exceed it.
    return float(np.nextafter(before[keep], -np.inf)) if keep < before.size else 1.0


@ALLOCATORS.register("ast")
def attention_sum_threshold(problem: AllocationProblem) -> BitArray:
    """Give M_max bits to patches in order of a_i until the sum of their scores exceeds the threshold; M_min to others.

    Scores are shares of the image's attention, so that the threshold is 0 to 1 for maps of any scale; the patch that
    exceeds it is the last one marked. Without a threshold every image takes the largest one within its budget, which
    marks what Top-k marks. With one the cost is what comes out, so that a budget beside it is refused.
    """
    config = problem.config
    if config.threshold is None:
        return top_k(problem)
    if problem.total is not None:
        raise ConfigurationError("AST takes a threshold or a budget, not both")
    order, before = _sum_before(problem.importance)
    bits = np.empty(order.shape, np.int64)
    np.put_along_axis(bits, order, np.where(before <= config.threshold, config.maximum, config.minimum), axis=1)
    return bits
