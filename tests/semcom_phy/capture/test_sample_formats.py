import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from semcom_phy.capture.sample_formats import READABLE, WRITABLE, sample_format, zero_non_finite
from semcom_phy.errors import FormatError

STEP = {"ci16_le": 2.0**-15, "ci8": 2.0**-7}


@pytest.mark.parametrize(
    ("name", "stored", "expected"),
    [
        ("cf32_le", b"\x00\x00\x80\x3f\x00\x00\x00\xbf", 1 - 0.5j),
        ("cf32_be", b"\x3f\x80\x00\x00\xbf\x00\x00\x00", 1 - 0.5j),
        ("cf64_le", b"\0\0\0\0\0\0\xf0\x3f\0\0\0\0\0\0\xe0\xbf", 1 - 0.5j),
        ("cf64_be", b"\x3f\xf0\0\0\0\0\0\0\xbf\xe0\0\0\0\0\0\0", 1 - 0.5j),
        ("ci32_le", b"\0\0\0\x80\0\0\0\x40", -1 + 0.5j),
        ("ci32_be", b"\x80\0\0\0\x40\0\0\0", -1 + 0.5j),
        ("ci16_le", b"\x00\x80\x00\x40", -1 + 0.5j),
        ("ci16_be", b"\x80\x00\x40\x00", -1 + 0.5j),
        ("ci8", b"\x80\x40", -1 + 0.5j),
        ("cu32_le", b"\0\0\0\0\0\0\0\xc0", -1 + 0.5j),
        ("cu32_be", b"\0\0\0\0\xc0\0\0\0", -1 + 0.5j),
        ("cu16_le", b"\x00\x00\x00\xc0", -1 + 0.5j),
        ("cu16_be", b"\x00\x00\xc0\x00", -1 + 0.5j),
        ("cu8", b"\x00\xc0", -1 + 0.5j),
    ],
)
def test_decode_by_hand(name: str, stored: bytes, expected: complex) -> None:
    components = np.frombuffer(stored, READABLE[name].component).reshape(1, 2)
    samples, bad = READABLE[name].decode(components)
    assert samples.dtype == np.complex64
    assert samples.tolist() == [expected]
    assert bad == 0


def test_every_readable_format_is_tested_by_hand() -> None:
    marks = test_decode_by_hand.pytestmark[0].args[1]
    assert {case[0] for case in marks} == set(READABLE)


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 50), st.just(2)), elements=st.floats(-4, 4, width=32)))
def test_round_trip_within_half_a_step(components: np.ndarray) -> None:
    samples = components.view(np.complex64)[:, 0]
    for name in WRITABLE:
        stored, saturated = READABLE[name].encode(samples)
        again, _ = READABLE[name].decode(stored)
        if name == "cf32_le":
            assert saturated == 0
            np.testing.assert_array_equal(again, samples)
            continue
        step = STEP[name]
        error = np.abs(again.view(np.float32).reshape(-1, 2) - np.clip(components, -1.0, 1.0 - step))
        assert error.max(initial=0.0) <= step / 2
        # Beyond half a step over the ends of the range a value is limited; at the half, rounding decides.
        certainly = ((components > 1 - step / 2) | (components < -1 - step / 2)).any(axis=1).sum()
        possibly = ((components >= 1 - step / 2) | (components <= -1 - step / 2)).any(axis=1).sum()
        assert certainly <= saturated <= possibly


def test_full_scale_and_overflow() -> None:
    stored, saturated = READABLE["ci16_le"].encode(np.array([2 + 0j, 4j, 3.5, 1e38 - 1e38j], np.complex64), 4.0)
    assert stored.tolist() == [[16384, 0], [0, 32767], [28672, 0], [32767, -32768]]
    assert saturated == 2


def test_non_finite_samples_become_zero() -> None:
    values = np.array([[1, 2], [np.nan, 1], [1, np.inf], [-np.inf, np.nan], [1e300, 0], [3, 4]])
    samples, bad = READABLE["cf64_le"].decode(values)
    assert bad == 4
    assert samples.tolist() == [1 + 2j, 0, 0, 0, 0, 3 + 4j]
    clean = np.ones(3, np.complex64)
    assert zero_non_finite(clean) == 0
    assert clean.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("rf32_le", "real-valued"),
        ("ri8", "real-valued"),
        ("cf32", "byte order: give datatype='cf32_le'"),
        ("ci16", "byte order"),
        ("cf16_le", "Did you mean"),
        ("", "Known"),
        ("c" * 100_000, "Known"),
        ("cf32_le\n", "unknown"),
        ("ci8_le", "unknown"),
    ],
)
def test_unknown_datatypes(name: str, advice: str) -> None:
    with pytest.raises(FormatError, match=advice) as caught:
        sample_format(name)
    assert len(str(caught.value)) < 300
