import math

import numpy as np
import pytest

from semcom_phy.channels.awgn import Awgn
from semcom_phy.modulation import MODULATIONS, hard_decisions

BPSK = MODULATIONS["bpsk"]


@pytest.mark.parametrize("snr_db", range(9))
def test_uncoded_bpsk_lies_on_the_theoretical_curve(snr_db: int) -> None:
    """BER = ½·erfc(√(Es/N0)) within 3σ of the binomial; 191 errors are expected at 8 dB."""
    rng = np.random.default_rng(100 + snr_db)
    channel, chunk, chunks, errors = Awgn(snr_db), 250_000, 4, 0
    for _ in range(chunks):
        bits = rng.integers(0, 2, chunk, dtype=np.uint8)
        output = channel.transmit(BPSK.modulate(bits), rng)
        llrs = BPSK.demap(output.received, output.gain, output.noise_variance)
        errors += int(np.count_nonzero(hard_decisions(llrs) != bits))
    count = chunk * chunks
    expected = 0.5 * math.erfc(math.sqrt(10 ** (snr_db / 10)))
    assert count * expected > 100
    assert errors / count == pytest.approx(expected, abs=3 * math.sqrt(expected * (1 - expected) / count))


def test_output_states_the_noise_it_added() -> None:
    symbols = BPSK.modulate(np.ones(200_000, dtype=np.uint8))
    output = Awgn(6.0).transmit(symbols, np.random.default_rng(5))
    assert output.noise_variance == pytest.approx(10**-0.6)
    assert output.gain == 1
    assert output.flip_probability is None
    measured = np.mean(np.abs(output.received - symbols) ** 2)
    # |n|² is exponential: its deviation equals its mean.
    assert measured == pytest.approx(output.noise_variance, rel=4 / math.sqrt(symbols.size))
