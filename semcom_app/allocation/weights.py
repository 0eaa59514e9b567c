"""From importance to the weights of the distortions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import ConfigurationError

FloatArray = npt.NDArray[np.float64]

# In logarithms to base 4 these are far more than any number of bits apart: patches of weight zero get bits only when
# all others are full, and then share them evenly.
_SMALLEST = 2.0**-100
_ZERO = 2.0**-200


def checked_importance(importance: npt.ArrayLike) -> FloatArray:
    """Return importance (B, N) as float64, or raise ConfigurationError unless it is finite and not negative."""
    values = np.asarray(importance)
    if values.dtype.kind not in "fiub":
        raise ConfigurationError(f"importance must be real numbers, not {values.dtype}")
    values = values.astype(np.float64)
    if values.ndim != 2 or values.shape[1] == 0:
        raise ConfigurationError(f"importance must hold at least one patch per image, got shape {values.shape}")
    # One comparison each: NaN and infinity fail it, too.
    if not np.all((values >= 0.0) & (values <= np.finfo(np.float64).max)):
        raise ConfigurationError("importance must be finite and not negative; check the model that computed it")
    return values


def importance_weights(importance: npt.ArrayLike, gamma: float = 1.0, epsilon: float = 1e-3) -> FloatArray:
    """Weight function of eq. (31): ((a − a_min)/(a_max − a_min))^γ + ε.

    `importance` (..., N): extrema are taken over the last axis, the patches of one image; result float64 of the same
    shape, ε … 1 + ε. Equal importance gives equal weights. γ > 1 favours few patches, which suits low rates. Raises
    ConfigurationError for importance that is negative or not finite, γ outside (0, 100] or ε outside (0, 1].
    """
    if not 0.0 < gamma <= 100.0:
        raise ConfigurationError(f"gamma must be above 0 and at most 100, not {gamma}")
    if not 0.0 < epsilon <= 1.0:
        raise ConfigurationError(f"epsilon must be above 0 and at most 1, not {epsilon}")
    shape = np.shape(importance)
    if not shape or shape[-1] == 0:
        raise ConfigurationError(f"importance must hold at least one patch per image, got shape {shape}")
    values = checked_importance(np.reshape(importance, (-1, shape[-1])))
    low = values.min(axis=1, keepdims=True, initial=np.inf)
    span = values.max(axis=1, keepdims=True, initial=0.0) - low
    normalised = (values - low) / np.where(span > 0.0, span, 1.0)
    if gamma != 1.0:
        normalised **= gamma
    return (normalised + epsilon).reshape(shape)


def positive_weights(weights: npt.ArrayLike) -> FloatArray:
    """Scale weights (B, N) to a maximum of 1 per image and replace zeros by something negligible but positive.

    Scaling changes no allocation. Raises ConfigurationError for weights that are negative or not finite.
    """
    values = checked_importance(weights)
    top = values.max(axis=1, keepdims=True)
    scaled = values / np.where(top > 0.0, top, 1.0)
    return np.where(scaled > 0.0, np.maximum(scaled, _SMALLEST), _ZERO)
