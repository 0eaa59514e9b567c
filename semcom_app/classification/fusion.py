"""One verdict from several views of an object.

Log-probabilities (log-softmax) of the views, float64 (S, V, C) for S objects, V views, C classes → classes, int64 (S,).
A view that did not arrive has NaN in place of its C numbers and is left out; an object without views gets `NO_VERDICT`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import Registry

NO_VERDICT = -1

FloatArray: TypeAlias = npt.NDArray[np.float64]
#: Takes log-probabilities (S, V, C), missing views as −inf with `present` (S, V) false; returns scores (S, C).
Fusion: TypeAlias = Callable[[FloatArray, npt.NDArray[np.bool_]], FloatArray]
FUSIONS: Registry[Fusion] = Registry("fusion rule")


def fuse(rule: str, log_probabilities: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Verdict on each object by the rule of `FUSIONS`; the first class among equals.

    Raises ConfigurationError for an unknown rule, another shape, and numbers above 0 (no log-probabilities).
    """
    scores_of = FUSIONS[rule]
    given = np.asarray(log_probabilities, np.float64)
    if given.ndim != 3 or given.shape[2] == 0:
        raise ConfigurationError(f"log-probabilities must be (objects, views, classes), not {given.shape}")
    present: npt.NDArray[np.bool_] = np.logical_not(np.isnan(given).any(axis=2))
    if np.any(given[present] > 1e-9):
        raise ConfigurationError("log-probabilities above 0: give the log-softmax of the class scores")
    scores = scores_of(np.where(present[:, :, None], given, 0.0), present)
    return np.where(present.any(axis=1), scores.argmax(axis=1), NO_VERDICT).astype(np.int64)


def single_views(log_probabilities: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Verdict on each single view: log-probabilities (B, C) → int64 (B,)."""
    return fuse("product", np.asarray(log_probabilities, np.float64)[:, None, :])


@FUSIONS.register("product")
def _summed_logarithms(log_probabilities: FloatArray, present: npt.NDArray[np.bool_]) -> FloatArray:
    """Summed log-probabilities: right for views that are independent given the class."""
    return (log_probabilities * present[:, :, None]).sum(axis=1)


@FUSIONS.register("sum")
def _summed_probabilities(log_probabilities: FloatArray, present: npt.NDArray[np.bool_]) -> FloatArray:
    """Sum rule: summed probabilities, which one confused view cannot veto (Kittler et al., 1998)."""
    return (np.exp(log_probabilities) * present[:, :, None]).sum(axis=1)


@FUSIONS.register("majority")
def _majority(log_probabilities: FloatArray, present: npt.NDArray[np.bool_]) -> FloatArray:
    """The class that most views vote for, the paper's rule (Section V); ties by the summed log-probabilities.

    The paper says nothing about ties; with four views two against two is common.
    """
    votes = np.zeros((log_probabilities.shape[0], log_probabilities.shape[2]))
    objects, views = np.nonzero(present)
    np.add.at(votes, (objects, log_probabilities.argmax(axis=2)[objects, views]), 1.0)
    leading = votes == votes.max(axis=1, keepdims=True)
    return np.where(leading, _summed_logarithms(log_probabilities, present), -np.inf)
