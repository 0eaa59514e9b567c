"""A receiver that is read ahead of the program."""

from __future__ import annotations

import threading
import time
from typing import Any, Self

import numpy as np
import pytest

from semcom_phy.radios import RadioCounts, RadioError, RadioTimeoutError
from semcom_phy.radios.read_ahead import ReadAhead


class Scripted:
    """Gives 0, 1, 2, …; then does what it was told."""

    sample_rate_hz = 1e6

    def __init__(self, total: int, then: BaseException | None = None) -> None:
        self.counts = RadioCounts()
        self.total, self.then = total, then
        self.closed = False
        self.reading = threading.Event()

    def read(self, count: int, timeout_s: float) -> np.ndarray:
        self.reading.set()
        start = self.counts.samples
        part = np.arange(start, min(start + min(count, 1000), self.total)).astype(np.complex64)
        if not part.size and self.then is not None:
            raise self.then
        self.counts.samples += part.size
        return part

    def describe(self) -> dict[str, Any]:
        return {"radio": "scripted"}

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def test_everything_in_order_then_the_end() -> None:
    radio = Scripted(5500)
    with ReadAhead(radio, 1 << 16) as ahead:
        parts = []
        while (part := ahead.read(777, 5.0)).size:
            parts.append(part)
        np.testing.assert_array_equal(np.concatenate(parts), np.arange(5500))
        assert ahead.read(1, 0.0).size == 0
        assert ahead.describe() == {"radio": "scripted"}
        assert ahead.counts.samples == 5500
    assert radio.closed


def test_errors_come_after_the_samples_before_them() -> None:
    with ReadAhead(Scripted(3000, RadioError("unplugged")), 1 << 16) as ahead:
        received = 0
        while received < 3000:
            received += ahead.read(5000, 5.0).size
        assert received == 3000
        with pytest.raises(RadioError, match="unplugged"):
            ahead.read(5000, 5.0)


def test_it_reads_no_further_than_it_may() -> None:
    radio = Scripted(10_000_000)
    with ReadAhead(radio, 100_000) as ahead:
        deadline = time.monotonic() + 10.0
        while radio.counts.samples < 100_000 and time.monotonic() < deadline:
            time.sleep(0.01)
        radio.reading.clear()
        assert not radio.reading.wait(0.6)
        assert radio.counts.samples == 100_000
        assert ahead.read(50_000, 1.0).size == 50_000
        assert radio.reading.wait(5.0)


def test_waiting_is_bounded() -> None:
    silent = Scripted(0, RadioTimeoutError("no samples from there"))
    with ReadAhead(silent, 1 << 16) as ahead, pytest.raises(RadioTimeoutError, match="no samples"):
        ahead.read(1, 0.3)
