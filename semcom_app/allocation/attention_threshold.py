"""AT, attention threshold: patches above a threshold in full, the others at the minimum (Section V)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from semcom_app.allocation.base import ALLOCATORS, AllocationProblem, BitArray
from semcom_app.allocation.top_k import affordable_patches
from semcom_app.allocation.weights import checked_importance
from semcom_phy.errors import ConfigurationError


def calibrate_attention_threshold(importance: npt.ArrayLike, marked_per_image: float) -> float:
    """Smallest threshold at which AT marks at most `marked_per_image` patches on average over the images.

    This is how the paper sets its threshold for a compression ratio: one number for a data set, so that single images
    cost more or less. importance: (images, N); marked_per_image: 0 … N, for a budget of T bits per sample
    (T − N·M_min)/(M_max − M_min).
    """
    ascending = np.sort(checked_importance(importance), axis=None)
    keep = marked_total(marked_per_image, np.shape(importance))
    # Equal to the first score that must stay out; −1 lies below every score.
    return float(ascending[ascending.size - keep - 1]) if keep < ascending.size else -1.0


def marked_total(marked_per_image: float, shape: tuple[int, ...]) -> int:
    """Whole number of patches to mark in all images of importance with `shape` (images, N)."""
    if not 0.0 <= marked_per_image <= shape[1]:
        raise ConfigurationError(f"marked_per_image must lie in [0, {shape[1]}], not {marked_per_image}")
    return int(np.floor(marked_per_image * shape[0] + 1e-9))


@ALLOCATORS.register("at")
def attention_threshold(problem: AllocationProblem) -> BitArray:
    """Give M_max bits where a_i > threshold, M_min elsewhere.

    Without a threshold every image takes the smallest one within its budget: Top-k, except that equal scores are all
    marked or none. With one the cost is what comes out, so that a budget beside it is refused.
    """
    config, scores = problem.config, problem.importance
    if config.threshold is not None:
        if problem.total is not None:
            raise ConfigurationError("AT takes a threshold or a budget, not both")
        limit = np.full((len(scores), 1), config.threshold)
    else:
        patches = scores.shape[1]
        count = affordable_patches(problem)[:, None]
        first_out = np.take_along_axis(np.sort(scores, axis=1), np.maximum(patches - count - 1, 0), axis=1)
        limit = np.where(count == patches, -1.0, first_out)
    return np.where(scores > limit, config.maximum, config.minimum).astype(np.int64)
