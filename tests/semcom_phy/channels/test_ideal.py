import numpy as np

from semcom_phy.channels.ideal import Ideal
from semcom_phy.modulation import LLR_LIMIT, MODULATIONS, hard_decisions


def test_symbols_arrive_unchanged() -> None:
    symbols = np.random.default_rng(0).standard_normal((100, 2)).view(np.complex128)[:, 0]
    rng = np.random.default_rng(1)
    output = Ideal().transmit(symbols, rng)
    assert np.array_equal(output.received, symbols)
    assert output.received is not symbols
    assert (output.gain, output.noise_variance, output.flip_probability) == (1, 0.0, 0.0)
    assert rng.random() == np.random.default_rng(1).random()


def test_bits_arrive_with_certainty() -> None:
    bpsk = MODULATIONS["bpsk"]
    bits = np.random.default_rng(2).integers(0, 2, 1000, dtype=np.uint8)
    output = Ideal().transmit(bpsk.modulate(bits), np.random.default_rng(0))
    llrs = bpsk.demap(output.received, output.gain, output.noise_variance)
    assert np.array_equal(hard_decisions(llrs), bits)
    assert np.all(np.abs(llrs) == LLR_LIMIT)
