"""Checks of configuration values, with messages that name the value and its range."""

from __future__ import annotations

import math
import numbers
from typing import Any

from semcom_phy.errors import ConfigurationError


def checked_number(name: str, value: Any, low: float, high: float, unit: str = "") -> float:
    """Return `value` as a float, or raise ConfigurationError unless it is a number in [low, high]."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    number = float(value) if is_number else math.nan
    # NaN fails this comparison, too.
    if not low <= number <= high:
        raise ConfigurationError(
            f"{name} must be a number from {low:g} to {high:g}{' ' * bool(unit)}{unit}, got {value!r}"
        )
    return number
