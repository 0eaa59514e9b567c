import itertools
import time

import numpy as np
import pytest

from semcom_phy.capture import Pacer
from semcom_phy.errors import ConfigurationError


class Clock:
    """A clock that only sleeping and working move; sleeping takes `excess` longer than asked."""

    def __init__(self, excess: float = 0.0) -> None:
        self.now, self.excess = 1000.0, excess

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds + self.excess


def times(pacer: Pacer, clock: Clock, work: float = 0.0) -> list[float]:
    found = []
    for _ in pacer:
        found.append(clock.now - 1000.0)
        clock.now += work
    return found


def test_deadlines_do_not_drift() -> None:
    clock = Clock(excess=1e-4)
    chunks = [np.zeros(1000, np.complex64)] * 5000
    found = times(Pacer(chunks, 1e6, clock=clock, sleep=clock.sleep), clock, work=3e-4)
    due = np.arange(1, 5001) * 1e-3
    error = np.array(found) - due
    assert error.min() >= -1e-9
    assert error.max() < 1.1e-4


def test_speed_and_uneven_chunks() -> None:
    clock = Clock()
    chunks = [np.zeros(n) for n in (10, 0, 30, 5)]
    found = times(Pacer(chunks, 100.0, speed=2.0, clock=clock, sleep=clock.sleep), clock)
    np.testing.assert_allclose(found, [0.05, 0.05, 0.2, 0.225])


def test_a_late_consumer_catches_up() -> None:
    clock = Clock()
    pacer = Pacer([np.zeros(1)] * 10, 1.0, clock=clock, sleep=clock.sleep)
    next(pacer)
    clock.now += 4.5
    found = times(pacer, clock)
    assert found == [5.5, 5.5, 5.5, 5.5, 6.0, 7.0, 8.0, 9.0, 10.0]
    assert pacer.worst_lateness_s == 3.5
    assert pacer.lateness_s == 0.0


def test_real_clock() -> None:
    start = time.monotonic()
    pacer = Pacer(itertools.repeat(np.zeros(100), 10), 1e4)
    assert sum(len(chunk) for chunk in pacer) == 1000
    assert time.monotonic() - start >= 0.1
    assert 0.0 <= pacer.lateness_s <= pacer.worst_lateness_s


@pytest.mark.parametrize("arguments", [(0.0,), (float("nan"),), (1e13,), (1e6, 0.0), ("1e6",)])
def test_bad_arguments(arguments: tuple) -> None:
    with pytest.raises(ConfigurationError):
        Pacer([], *arguments)
