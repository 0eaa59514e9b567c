import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

from semcom_phy.channels.impairments import AdditiveNoise, Interferer, SampleChannel
from semcom_phy.channels.impairments.interference import GSM_SYMBOL_RATE_HZ, KINDS, gmsk_phase_pulse
from semcom_phy.errors import ConfigurationError

RATE = 2e6
COUNT = 600_000


def wave(interferer: Interferer, count: int = COUNT, rate: float = RATE, seed: int = 1) -> np.ndarray:
    return SampleChannel(air=(interferer,)).apply(np.zeros(count, np.complex64), rate, seed).astype(np.complex128)


def occupied(f: np.ndarray, p: np.ndarray, share: float = 0.99) -> tuple[float, float]:
    """Lower and upper frequency that cut off (1 − share)/2 of the power each."""
    total = np.cumsum(p) / p.sum()
    return float(f[np.searchsorted(total, (1 - share) / 2)]), float(f[np.searchsorted(total, (1 + share) / 2)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("level_db", [-20.0, 6.0])
def test_level_is_relative_to_unit_power(kind: str, level_db: float) -> None:
    power = np.abs(wave(Interferer(kind, level_db))) ** 2
    if kind == "gsm":
        power = power[power > 0.999 * power.max()]  # between the bursts there is nothing
        assert power.size > 0.9 * COUNT
    assert 10 * np.log10(np.mean(power)) == pytest.approx(level_db, abs=0.1)


# Occupied bandwidths (99 %): a line; GMSK with BT = 0.3 0.92 of the symbol rate; 64 carriers; RRC pulses of roll-off
# 0.35 at most 1.35 and at least 1 symbol rates.
@pytest.mark.parametrize(
    ("kind", "sps", "low", "high"),
    [
        ("cw", 4, 0.0, 500.0),
        ("gsm", 4, 0.85 * GSM_SYMBOL_RATE_HZ, 1.0 * GSM_SYMBOL_RATE_HZ),
        ("ofdm", 4, 0.97 * RATE / 4, 1.12 * RATE / 4),
        ("ofdm", 16, 0.97 * RATE / 16, 1.12 * RATE / 16),
        ("bpsk", 4, RATE / 4, 1.25 * RATE / 4),
        ("qpsk", 8, RATE / 8, 1.25 * RATE / 8),
    ],
)
@pytest.mark.parametrize("offset", [0.0, 3e5, -4e5])
def test_bandwidth_and_offset(kind: str, sps: int, low: float, high: float, offset: float, density) -> None:
    interferer = Interferer(kind, 0.0, offset, samples_per_symbol=sps)
    f, p = density(wave(interferer), RATE, 1 << 14)
    lower, upper = occupied(f, p)
    assert low <= upper - lower <= high
    # 64 carriers −32 … 31 are half a spacing below the middle.
    centre = offset - (RATE / sps / 128 if kind == "ofdm" else 0.0)
    assert (lower + upper) / 2 == pytest.approx(centre, abs=max(500.0, 0.02 * (upper - lower)))


def test_a_low_sample_rate_scales_gsm_down(density) -> None:
    rate = 200e3
    f, p = density(wave(Interferer("gsm", 0.0), 200_000, rate), rate, 1 << 12)
    lower, upper = occupied(f, p)
    assert 0.85 * rate / 4 <= upper - lower <= rate / 4


def test_a_carrier_is_a_pure_line() -> None:
    n = np.arange(COUNT)
    received = wave(Interferer("cw", -3.0, 123_456.0))
    mixed = received * np.exp(-2j * np.pi * 123_456.0 / RATE * n)
    assert np.abs(mixed - mixed.mean()).max() < 1e-6
    assert abs(mixed.mean()) == pytest.approx(10 ** (-3 / 20), rel=1e-6)


@pytest.mark.parametrize("slots", [1, 3, 8])
def test_gsm_bursts(slots: int) -> None:
    """150 of 156.25 symbols at half power or more (148 and the two ramps' halves), in `slots` of 8 time slots."""
    frames, samples = 20, 1250 * RATE / GSM_SYMBOL_RATE_HZ
    power = np.abs(wave(Interferer("gsm", 0.0, active_slots=slots), int(frames * samples))) ** 2
    assert np.mean(power > 0.25) == pytest.approx(slots / 8 * 150 / 156.25, rel=0.01)
    on = np.concatenate([[False], power > 0.25, [False]])
    edges = np.flatnonzero(on[1:] != on[:-1])
    lengths = np.diff(edges.reshape(-1, 2), axis=1)[1:-1, 0] * GSM_SYMBOL_RATE_HZ / RATE
    np.testing.assert_allclose(lengths, 150.0, atol=0.3)
    assert power.max() == pytest.approx(1.0, abs=1e-5)


def test_gmsk_turns_by_a_quarter_per_symbol() -> None:
    """At 8 samples per symbol: each step within ±90°/8, and the frequency's mean square as that of the pulse."""
    rate = 8 * GSM_SYMBOL_RATE_HZ
    signal = wave(Interferer("gsm", 0.0), 200_000, rate)
    inside = np.abs(signal) > 0.9999
    step = np.angle(signal[1:] * signal[:-1].conj())[inside[1:] & inside[:-1]]
    assert np.abs(step).max() == pytest.approx(np.pi / 2 / 8, rel=0.02)
    pulse = np.diff(gmsk_phase_pulse(0.3, 4, 8)) * np.pi / 2
    assert np.mean(step**2) == pytest.approx(np.sum(pulse**2) / 8, rel=0.03)


def test_gmsk_phase_pulse_is_a_filtered_rectangle() -> None:
    """Against a Gaussian filter applied numerically: σ = √(ln 2)/(2π·BT) symbols."""
    resolution = 200
    t = (np.arange(-4 * resolution, 4 * resolution) + 0.5) / resolution
    sigma = math.sqrt(math.log(2)) / (2 * math.pi * 0.3) * resolution
    smooth = gaussian_filter1d((np.abs(t) < 0.5).astype(float), sigma)
    expected = np.cumsum(smooth)[2 * resolution - 1 : 6 * resolution] / resolution
    pulse = gmsk_phase_pulse(0.3, 4, resolution)
    assert pulse[0] == 0
    assert pulse[-1] == 1
    np.testing.assert_allclose(pulse, expected, atol=2e-3)


def test_ofdm_carriers_are_orthogonal_qpsk() -> None:
    """Behind the cyclic prefix an FFT of a symbol shows 64 carriers of equal amplitude and no other."""
    sps = 4
    signal = wave(Interferer("ofdm", 0.0, samples_per_symbol=sps)).reshape(-1)[: 80 * sps * 100].reshape(100, -1)
    np.testing.assert_allclose(signal[:, : 16 * sps], signal[:, 64 * sps :], atol=1e-5)
    bins = np.fft.fft(signal[:, 16 * sps :], axis=1) / (64 * sps) * 8
    used = np.concatenate([np.arange(32), np.arange(64 * sps - 32, 64 * sps)])
    np.testing.assert_allclose(np.abs(bins[:, used]), 1.0, atol=1e-5)
    assert np.abs(np.delete(bins, used, axis=1)).max() < 1e-5
    quarter = np.angle(bins[:, used] / bins[0, 0]) / (np.pi / 2)
    np.testing.assert_allclose(quarter, np.round(quarter), atol=1e-4)
    assert set(np.round(quarter).astype(int).ravel() % 4) == {0, 1, 2, 3}


@pytest.mark.parametrize(("kind", "order"), [("bpsk", 2), ("qpsk", 4)])
def test_another_transmitter_sends_random_symbols(kind: str, order: int) -> None:
    """A matched filter at the right instant gives the M points; their M-th power is one point."""
    from semcom_phy.waveform.pulse import rrc_pulse

    sps = 4
    signal = wave(Interferer(kind, 0.0, samples_per_symbol=sps), 80_000)
    taps = rrc_pulse(np.arange(-8 * sps, 8 * sps + 1) / sps, 0.35) / np.sqrt(sps)
    matched = np.convolve(signal, taps, "valid") / np.sqrt(sps)
    powers = [np.var(np.abs(matched[phase::sps])) for phase in range(sps)]
    points = matched[int(np.argmin(powers)) :: sps]
    np.testing.assert_allclose(np.abs(points), 1.0, atol=0.02)
    raised = points**order
    assert np.abs(raised - raised.mean()).max() < 0.08
    symbols = np.round(np.angle(points / points[0]) / (2 * np.pi / order)).astype(int) % order
    counts = np.unique(symbols, return_counts=True)[1]
    assert counts.size == order
    assert np.abs(counts / points.size - 1 / order).max() < 4 / math.sqrt(points.size)


@pytest.mark.parametrize("noise", [AdditiveNoise(power_db=-17.0), AdditiveNoise(esn0_db=10.0)])
def test_level_relative_to_the_noise(noise: AdditiveNoise) -> None:
    interferer = Interferer("cw", 30.0, relative_to="noise")
    received = SampleChannel(air=(interferer, noise)).apply(np.zeros(100_000), RATE, 0)
    assert np.mean(np.abs(received) ** 2) / noise.power(RATE) == pytest.approx(1001, rel=0.01)


def test_a_level_relative_to_missing_noise_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs additive noise"):
        SampleChannel(air=(Interferer("cw", 0.0, relative_to="noise"),))


def test_interferers_of_different_kinds_do_not_share_random_numbers() -> None:
    one = wave(Interferer("qpsk", 0.0), 20_000)
    both = SampleChannel(air=(Interferer("gsm", 0.0), Interferer("qpsk", 0.0))).apply(np.zeros(20_000), RATE, 1)
    np.testing.assert_allclose(both - wave(Interferer("gsm", 0.0), 20_000), one, atol=1e-6)
