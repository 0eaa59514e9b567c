"""Replay in real time: chunks leave at the pace at which a radio would have delivered them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

import numpy.typing as npt

from semcom_phy.checks import checked_number

# time.sleep refuses centuries.
_LONGEST_SLEEP_S = 3600.0


class Pacer:
    """Iterator over `chunks` that holds each back until a radio would have received its last sample.

    The clock starts at the first ``next()``. A chunk that ends with sample n (counted from the first chunk's start)
    is due n / (sample_rate_hz · speed) seconds later: every deadline follows from the start and the number of
    samples, so neither the time the consumer takes nor the inaccuracy of sleeping adds up. A consumer that falls
    behind gets the next chunks at once until it has caught up; nothing is dropped.

    `sample_rate_hz`: 1e-3 … 1e12 Hz. `speed`: 1e-3 … 1e6, 2.0 is twice real time. `clock` and `sleep` (seconds) can
    be replaced, for tests. `lateness_s`: how long after its deadline the last chunk was handed out;
    `worst_lateness_s`: the largest of these so far.
    """

    def __init__(
        self,
        chunks: Iterable[npt.NDArray],
        sample_rate_hz: float,
        speed: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        rate = checked_number("sample_rate_hz", sample_rate_hz, 1e-3, 1e12, "Hz")
        self._rate = rate * checked_number("speed", speed, 1e-3, 1e6)
        self._chunks = iter(chunks)
        self._clock = clock
        self._sleep = sleep
        self._start: float | None = None
        self._samples = 0
        self.lateness_s = 0.0
        self.worst_lateness_s = 0.0

    def __iter__(self) -> Iterator[npt.NDArray]:
        return self

    def __next__(self) -> npt.NDArray:
        if self._start is None:
            self._start = self._clock()
        chunk = next(self._chunks)
        self._samples += len(chunk)
        deadline = self._start + self._samples / self._rate
        while (wait := deadline - self._clock()) > 0.0:
            self._sleep(min(wait, _LONGEST_SLEEP_S))
        self.lateness_s = -wait
        self.worst_lateness_s = max(self.worst_lateness_s, self.lateness_s)
        return chunk
