"""Decibels, and the two ways to state a signal-to-noise ratio (Es/N0 and Eb/N0)."""

from __future__ import annotations

import math
from typing import overload

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import ConfigurationError

FloatArray = npt.NDArray[np.float64]


@overload
def db_to_linear(decibels: float) -> float: ...
@overload
def db_to_linear(decibels: FloatArray) -> FloatArray: ...
def db_to_linear(decibels: float | FloatArray) -> float | FloatArray:
    """Return the power ratio ``10^(decibels/10)``; a scalar gives a float, an array a float64 array.

    Raises ConfigurationError if a value is not finite or its ratio does not fit in float64.
    """
    values = np.asarray(decibels, dtype=np.float64)
    with np.errstate(over="ignore"):
        ratio = 10.0 ** (values / 10.0)
    if not (np.all(np.isfinite(values)) and np.all(np.isfinite(ratio))):
        raise ConfigurationError(f"decibels must be finite and at most 3080, got {decibels}")
    return float(ratio) if ratio.ndim == 0 else ratio


@overload
def linear_to_db(ratio: float) -> float: ...
@overload
def linear_to_db(ratio: FloatArray) -> FloatArray: ...
def linear_to_db(ratio: float | FloatArray) -> float | FloatArray:
    """Return ``10·log10(ratio)`` of a power ratio; a scalar gives a float, an array a float64 array.

    Raises ConfigurationError if a value is not positive and finite (zero power has no decibels).
    """
    values = np.asarray(ratio, dtype=np.float64)
    if not np.all(np.isfinite(values) & (values > 0)):
        raise ConfigurationError(f"a power ratio must be positive and finite to have decibels, got {ratio}")
    decibels = 10.0 * np.log10(values)
    return float(decibels) if decibels.ndim == 0 else np.asarray(decibels)


def ebn0_db(esn0_db: float, rate: float, bits_per_symbol: int) -> float:
    """Return Eb/N0 in dB of a link that runs at `esn0_db` (Es/N0 per transmitted symbol, in dB).

    Es = rate · bits_per_symbol · Eb, where `rate` is payload bits per coded bit (1 when uncoded).
    Raises ConfigurationError for a non-finite Es/N0, a rate outside (0, 1] or bits_per_symbol < 1.
    """
    return _finite("esn0_db", esn0_db) - _payload_bits_per_symbol_db(rate, bits_per_symbol)


def esn0_db(ebn0_db: float, rate: float, bits_per_symbol: int) -> float:
    """Return Es/N0 in dB of a link that runs at `ebn0_db`: the inverse of :func:`ebn0_db`."""
    return _finite("ebn0_db", ebn0_db) + _payload_bits_per_symbol_db(rate, bits_per_symbol)


def _payload_bits_per_symbol_db(rate: float, bits_per_symbol: int) -> float:
    if not 0 < rate <= 1:
        raise ConfigurationError(f"rate must be above 0 and at most 1 payload bit per coded bit, got {rate}")
    if bits_per_symbol < 1:
        raise ConfigurationError(f"bits_per_symbol must be at least 1, got {bits_per_symbol}")
    return linear_to_db(float(rate * bits_per_symbol))


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise ConfigurationError(f"{name} must be a finite number of dB, got {value}")
    return float(value)
