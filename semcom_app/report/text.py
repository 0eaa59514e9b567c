"""Numbers and names of a report, as HTML-safe text for people: units, thin spaces, powers of ten."""

from __future__ import annotations

import html
import math
from typing import Any

import numpy as np

from semcom_app.report.figures import DASH, INFINITY, MINUS, THIN, decibels

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def finite(value: Any) -> float | None:
    """A finite or infinite number, None for anything else (also NaN and bool)."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    return None if math.isnan(float(value)) else float(value)


def count_text(value: Any) -> str:
    """Whole numbers with thin spaces in the thousands; means keep a decimal below 1000."""
    number = finite(value)
    if number is None:
        return DASH
    if math.isinf(number):
        return INFINITY
    digits = 0 if number == round(number) or abs(number) >= 1000 else 1
    return f"{number:,.{digits}f}".replace(",", THIN).replace("-", MINUS)


def significant(value: Any, digits: int = 3) -> str:
    """A number with so many significant digits and no exponent."""
    number = finite(value)
    if number is None:
        return DASH
    if math.isinf(number):
        return (MINUS if number < 0 else "") + INFINITY
    if number == 0.0:
        return "0"
    # The exponent after rounding: 0.9996 has three digits as 1.00.
    exponent = int(f"{number:.{digits - 1}e}".split("e")[1])
    decimals = max(0, digits - 1 - exponent)
    return f"{number:,.{decimals}f}".replace(",", THIN).replace("-", MINUS)


def percent(share: Any) -> str:
    number = finite(share)
    return DASH if number is None else f"{significant(100.0 * number)}{THIN}%"


def error_rate(value: Any) -> str:
    number = finite(value)
    if number is None:
        return DASH
    if number == 0.0:
        return "0"
    mantissa, exponent = f"{number:.2e}".split("e")
    return f"{mantissa}{THIN}×{THIN}10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def milliseconds(value: Any) -> str:
    number = finite(value)
    if number is None:
        return DASH
    if number >= 10_000:
        return f"{significant(number / 1000)}{THIN}s"
    return f"{significant(number)}{THIN}ms"


def similarity(value: Any) -> str:
    number = finite(value)
    return DASH if number is None else f"{number:.3f}".replace("-", MINUS)


def db_text(value: Any, digits: int | None = None) -> str:
    return decibels(finite(value), digits)


def escaped(value: Any) -> str:
    """Escape text from outside, control characters made visible."""
    visible = "".join(c if c.isprintable() else "\ufffd" for c in str(value))
    return html.escape(visible, quote=True)


def name_text(value: Any) -> str:
    """A file name, kept from turning the text around it the other way (right-to-left scripts)."""
    return f"<bdi>{escaped(value)}</bdi>"


def plural(count: int, noun: str) -> str:
    return f"{count_text(count)} {noun}{'' if count == 1 else 's'}"
