"""IQ imbalance, DC offset, amplitude scaling and quantization against their formulas."""

import math

import numpy as np
import pytest

from semcom_phy.channels.impairments import AmplitudeScaling, DcOffset, IqImbalance, Quantization, SampleChannel

COUNT = 1 << 15
TONE = np.exp(2j * np.pi * 1000 * np.arange(COUNT) / COUNT)  # a whole number of cycles: no leakage


def apply(impairment: object, samples: np.ndarray) -> np.ndarray:
    return SampleChannel(receiver=(impairment,)).apply(samples, 1e6, 0)  # type: ignore[arg-type]


def line_db(samples: np.ndarray, index: int) -> float:
    return float(20 * np.log10(np.abs(np.fft.fft(samples.astype(np.complex128))[index]) / samples.size))


@pytest.mark.parametrize(
    ("gain_db", "phase_deg"), [(1.0, 5.0), (-1.0, 5.0), (0.1, 0.0), (0.0, 0.5), (3.0, -20.0), (-20.0, 45.0)]
)
def test_image_rejection(gain_db: float, phase_deg: float) -> None:
    imbalance = IqImbalance(gain_db, phase_deg)
    received = apply(imbalance, TONE)
    g, phi = 10 ** (gain_db / 20), math.radians(phase_deg)
    theory = 10 * math.log10((1 + 2 * g * math.cos(phi) + g * g) / (1 - 2 * g * math.cos(phi) + g * g))
    assert line_db(received, 1000) - line_db(received, COUNT - 1000) == pytest.approx(theory, abs=0.01)
    assert imbalance.image_rejection_db == pytest.approx(theory, abs=1e-9)


def test_the_usual_figure_of_image_rejection() -> None:
    """1 dB and 5°: the image lies 22.8 dB down, mostly by the gain."""
    assert IqImbalance(1.0, 5.0).image_rejection_db == pytest.approx(22.8, abs=0.05)
    assert IqImbalance(0.0, 0.0).image_rejection_db == math.inf


def test_imbalance_is_the_widely_linear_map_of_its_description(gaussian) -> None:
    sent = gaussian(1000)
    g, phi = 10 ** (1.5 / 20), math.radians(-7)
    c = math.sqrt(2 / (1 + g * g))
    k1, k2 = c * (1 + g * np.exp(-1j * phi)) / 2, c * (1 - g * np.exp(1j * phi)) / 2
    np.testing.assert_allclose(apply(IqImbalance(1.5, -7.0), sent), k1 * sent + k2 * sent.conj(), atol=1e-6)
    assert abs(k1) ** 2 + abs(k2) ** 2 == pytest.approx(1.0)


@pytest.mark.parametrize(("level", "phase"), [(-20.0, 0.0), (-6.0, 120.0), (-60.0, -45.0)])
def test_dc_level(level: float, phase: float) -> None:
    received = apply(DcOffset(level, phase), TONE)
    assert line_db(received, 0) == pytest.approx(level, abs=1e-3)
    assert np.angle(np.mean(received - TONE)) == pytest.approx(math.radians(phase), abs=1e-3)
    assert line_db(received, 1000) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("level", [-60.0, -3.0, 0.0, 12.0])
def test_amplitude_level(level: float) -> None:
    received = apply(AmplitudeScaling(level), TONE)
    assert 10 * np.log10(np.mean(np.abs(received.astype(complex)) ** 2)) == pytest.approx(level, abs=1e-5)


@pytest.mark.parametrize("bits", range(4, 15))
def test_a_full_scale_sine_has_6_02_bits_plus_1_76_db(bits: int) -> None:
    """The formula takes the error as uniform. At the peaks of a full-scale sine, where it stays longest, the error is
    half a step, which costs 0.53 dB at 4 bits and half of that for every two bits more; the second reference, the
    nearest of the levels, knows this. The number of cycles is odd: every phase is met.
    """
    count = 1 << 18
    sine = np.exp(2j * np.pi * 50_021 * np.arange(count) / count).astype(np.complex64)
    error = apply(Quantization(bits), sine).astype(np.complex128) - sine
    measured = -10 * np.log10(np.mean(np.abs(error) ** 2))
    assert measured == pytest.approx(6.0206 * bits + 1.76, abs=0.05 + 0.5 * 2 ** (-(bits - 4) / 2))
    levels = (np.arange(2**bits) + 0.5) * 2 / 2**bits - 1
    rail = np.sin(2 * np.pi * (np.arange(100_003) + 0.5) / 100_003)
    right = np.clip(np.searchsorted(levels, rail), 1, 2**bits - 1)
    nearest = np.minimum(np.abs(rail - levels[right - 1]), np.abs(rail - levels[right]))
    assert measured == pytest.approx(-10 * np.log10(2 * np.mean(nearest**2)), abs=0.03)


@pytest.mark.parametrize("bits", [1, 2, 8, 16])
@pytest.mark.parametrize("full_scale", [0.25, 1.0, 3.0])
def test_levels_and_clipping(bits: int, full_scale: float, gaussian) -> None:
    received = apply(Quantization(bits, full_scale), 3 * full_scale * gaussian(200_000)).view(np.float32)
    step = 2 * full_scale / 2**bits
    level = received.astype(np.float64) / step - 0.5
    np.testing.assert_allclose(level, np.round(level), atol=2e-3)
    assert level.max() == pytest.approx(2 ** (bits - 1) - 1, abs=2e-3)
    assert level.min() == pytest.approx(-(2 ** (bits - 1)), abs=2e-3)
    # Rails of deviation 3/√2 full scale leave ±full scale with probability erfc(1/3) = 0.637.
    clipped = np.mean(np.isclose(np.abs(received), full_scale - step / 2, rtol=1e-6))
    if bits == 16:
        assert clipped == pytest.approx(math.erfc(1 / 3), abs=0.005)


def test_within_full_scale_the_error_is_at_most_half_a_step(gaussian) -> None:
    sent = np.clip(0.3 * gaussian(50_000).view(np.float32), -1, 1).view(np.complex64)
    error = (apply(Quantization(6), sent) - sent).view(np.float32)
    assert np.abs(error).max() <= 1 / 64 * (1 + 1e-6)
    # Uniform in ±Δ/2: variance Δ²/12.
    assert np.var(error) == pytest.approx((2 / 64) ** 2 / 12, rel=0.02)


def test_one_bit_is_the_sign() -> None:
    received = apply(Quantization(1), np.array([0.1 - 5j, -0.2 + 0j, 3 + 1e-9j]))
    assert np.array_equal(received, np.array([0.5 - 0.5j, -0.5 + 0.5j, 0.5 + 0.5j], np.complex64))
