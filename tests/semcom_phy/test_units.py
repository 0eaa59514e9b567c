import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.errors import ConfigurationError
from semcom_phy.units import db_to_linear, ebn0_db, esn0_db, linear_to_db


def test_known_decibels() -> None:
    assert db_to_linear(0.0) == 1.0
    assert db_to_linear(20.0) == pytest.approx(100.0, rel=1e-15)
    assert db_to_linear(-30) == pytest.approx(1e-3, rel=1e-15)
    assert linear_to_db(2.0) == pytest.approx(3.010299956639812, rel=1e-15)


def test_scalars_stay_scalars_and_arrays_stay_arrays() -> None:
    assert type(db_to_linear(3.0)) is float
    assert type(linear_to_db(3.0)) is float
    np.testing.assert_allclose(db_to_linear(np.array([0.0, 10.0])), [1.0, 10.0], rtol=1e-15)
    np.testing.assert_allclose(linear_to_db(np.array([1.0, 10.0])), [0.0, 10.0], atol=1e-15)


@given(st.floats(-300, 300))
def test_decibels_round_trip(decibels: float) -> None:
    assert linear_to_db(db_to_linear(decibels)) == pytest.approx(decibels, abs=1e-12)


@pytest.mark.parametrize("decibels", [math.nan, math.inf, -math.inf, 4000.0, np.array([0.0, math.nan])])
def test_decibels_must_be_finite(decibels: float) -> None:
    with pytest.raises(ConfigurationError, match="finite"):
        db_to_linear(decibels)


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.nan, math.inf, np.array([1.0, 0.0])])
def test_ratio_must_be_positive(ratio: float) -> None:
    with pytest.raises(ConfigurationError, match="positive"):
        linear_to_db(ratio)


def test_one_payload_bit_per_symbol_makes_both_ratios_equal() -> None:
    assert ebn0_db(3.7, rate=1.0, bits_per_symbol=1) == 3.7
    assert ebn0_db(3.7, rate=0.5, bits_per_symbol=2) == 3.7


def test_rate_one_third_bpsk_lies_four_point_eight_db_apart() -> None:
    assert ebn0_db(-4.0, rate=1 / 3, bits_per_symbol=1) == pytest.approx(-4.0 + 10 * math.log10(3))
    assert esn0_db(0.6, rate=1 / 3, bits_per_symbol=1) == pytest.approx(0.6 - 10 * math.log10(3))
    assert ebn0_db(10.0, rate=1.0, bits_per_symbol=4) == pytest.approx(10 - 10 * math.log10(4))


@given(st.floats(-50, 50), st.floats(0.01, 1), st.integers(1, 8))
def test_ratios_are_inverse_of_each_other(value: float, rate: float, bits: int) -> None:
    assert esn0_db(ebn0_db(value, rate, bits), rate, bits) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("function", [ebn0_db, esn0_db])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((math.nan, 1.0, 1), "finite"),
        ((0.0, 0.0, 1), "rate"),
        ((0.0, 1.5, 1), "rate"),
        ((0.0, math.nan, 1), "rate"),
        ((0.0, 0.5, 0), "bits_per_symbol"),
    ],
)
def test_bad_arguments_are_named(function: Callable[..., float], arguments: tuple, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        function(*arguments)
