"""Signals and estimators that the tests of the impairments share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.signal import welch


@pytest.fixture(scope="session")
def gaussian() -> Callable[..., np.ndarray]:
    """Circular Gaussian samples of mean power 1."""

    def draw(count: int, seed: int = 0) -> np.ndarray:
        values = np.random.default_rng(seed).standard_normal(2 * count) * np.sqrt(0.5)
        return values.astype(np.float32).view(np.complex64)

    return draw


@pytest.fixture(scope="session")
def density() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Two-sided power spectral density: ascending frequencies in Hz, density per Hz."""

    def estimate(samples: np.ndarray, rate: float, length: int) -> tuple[np.ndarray, np.ndarray]:
        f, p = welch(
            samples.astype(np.complex128), rate, "blackmanharris", length, return_onesided=False, detrend=False
        )
        order = np.argsort(f)
        return f[order], p[order]

    return estimate
