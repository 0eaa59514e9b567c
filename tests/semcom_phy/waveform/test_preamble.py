import numpy as np

from semcom_phy.waveform.preamble import PREAMBLE_SYMBOLS, pilots, preamble, scrambling_sequence

EXPECTED_PREAMBLE = "2dc50f9399534b592bc9a30f55b12778c935d18bf02ed20f87c65536b299ac39"
EXPECTED_PILOTS = "0536"
EXPECTED_SCRAMBLER = "fb67f62d"


def test_every_segment_is_balanced() -> None:
    symbols = preamble()
    assert symbols.shape == (PREAMBLE_SYMBOLS,) == (256,)
    assert set(symbols) == {-1.0, 1.0}
    assert not symbols.reshape(32, 8).sum(axis=1).any()


def test_known_symbols_never_change() -> None:
    """The two ends may run different versions: these are part of the air interface."""
    assert np.packbits(preamble() > 0).tobytes().hex() == EXPECTED_PREAMBLE
    first = pilots(8)
    assert np.packbits(np.stack([first.real > 0, first.imag > 0], axis=1)).tobytes().hex() == EXPECTED_PILOTS
    assert np.packbits(scrambling_sequence(32)).tobytes().hex() == EXPECTED_SCRAMBLER
    np.testing.assert_array_equal(pilots(100)[:8], first)
    np.testing.assert_allclose(np.abs(pilots(100)), 1.0)


def test_ambiguity_function_has_one_peak() -> None:
    symbols = preamble()
    frequencies = np.arange(-0.1, 0.1001, 1 / 2048)
    phasors = np.exp(-2j * np.pi * np.outer(np.arange(256), frequencies))
    worst = 0.0
    for shift in range(1, 255):
        product = np.zeros(256)
        product[: 256 - shift] = symbols[shift:] * symbols[: 256 - shift]
        worst = max(worst, np.abs(product @ phasors).max() / 256)
    assert 0.12 < worst < 0.137


def test_no_carrier_correlates() -> None:
    density = np.abs(np.fft.fft(preamble(), 1 << 14)) ** 2 / 256
    assert density[0] < 1e-20
    assert density.max() < 3.8


def test_scrambler_is_balanced() -> None:
    assert abs(scrambling_sequence(100_000).mean() - 0.5) < 0.005
