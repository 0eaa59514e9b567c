"""Samples per second on one core, best of several runs; a machine under load gets three attempts."""

import time

import numpy as np
import pytest

from semcom_phy.accel import numba_available
from semcom_phy.channels.impairments import parse_impairments

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not numba_available(), reason="the figures are those of the compiled kernels"),
]
FASTEST = 10e6


def rate(text: str, samples: np.ndarray) -> float:
    best = np.inf
    for _ in range(5):
        stream = parse_impairments(text).open(1e6, 1)
        stream.push(samples[:100_000])
        start = time.thread_time()
        stream.push(samples)
        best = min(best, time.thread_time() - start)
    return float(samples.size / best)


@pytest.mark.parametrize("text", ["cfo=5000/100", "dc=-20", "iq=1/5", "gain=-3", "noise=-10", "bits=8", "ppm=20"])
def test_ten_million_samples_per_second(text: str, gaussian) -> None:
    samples = gaussian(1_000_000)
    assert max(rate(text, samples) for _ in range(3)) > FASTEST
