import math

import numpy as np
import pytest
from scipy.stats import kstest

from semcom_phy.channels.impairments import Overflow, SampleChannel, Underrun

RATE = 1e6
COUNT = 4_000_000
RAMP = np.arange(1, COUNT + 1, dtype=np.float32)  # exact in float32: below 2^24


def apply(impairment: Overflow | Underrun) -> np.ndarray:
    return SampleChannel(receiver=(impairment,)).apply(RAMP, RATE, 3).real


@pytest.mark.parametrize(("rate", "length"), [(100.0, 1), (200.0, 500), (50.0, 20_000)])
def test_overflows_lose_whole_runs_at_the_stated_rate(rate: float, length: int) -> None:
    received = apply(Overflow(rate, length))
    steps = np.diff(received)
    losses = np.flatnonzero(steps != 1)
    assert set(steps[losses]) == {length + 1}
    expected = rate * received.size / RATE
    assert losses.size == pytest.approx(expected, abs=4 * math.sqrt(expected))
    assert kstest(np.diff(losses) * rate / RATE, "expon").pvalue > 1e-3
    assert received.size + losses.size * length == pytest.approx(COUNT, abs=length)


@pytest.mark.parametrize(("rate", "length"), [(100.0, 1), (200.0, 500)])
def test_underruns_insert_zeros_and_lose_nothing(rate: float, length: int) -> None:
    received = apply(Underrun(rate, length))
    assert np.array_equal(received[received != 0], RAMP)
    silent = np.concatenate([[False], received == 0, [False]])
    runs = np.diff(np.flatnonzero(silent[1:] != silent[:-1]).reshape(-1, 2), axis=1)
    assert np.all(runs % length == 0)
    expected = rate * COUNT / RATE
    assert runs.sum() / length == pytest.approx(expected, abs=4 * math.sqrt(expected))


def test_no_events_no_change() -> None:
    for impairment in (Overflow(0.0), Underrun(0.0)):
        assert np.array_equal(apply(impairment), RAMP)


def test_a_long_gap_may_swallow_the_rest() -> None:
    received = apply(Overflow(100.0, 10_000_000))
    assert 0 < received.size < COUNT
    assert np.array_equal(received, RAMP[: received.size])
