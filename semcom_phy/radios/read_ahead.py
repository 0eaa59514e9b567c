"""A receiver read by a thread of its own, so that the device is served while the program is busy decoding."""

from __future__ import annotations

import threading
import time
from typing import Any, Final, Self

from semcom_phy.radios.base import RadioCounts, RadioTimeoutError, ReceiveRadio, Samples, checked_count
from semcom_phy.virtual_air.queue import SampleQueue

_PIECE: Final = 1 << 15
_POLL_S: Final = 0.25


class ReadAhead:
    """A `ReceiveRadio` in front of another one: up to `capacity` samples wait in memory.

    When they do, the thread stops reading: a radio that can wait is held up, one that cannot loses samples and counts
    them. An error of the radio is raised when all samples before it have been read. Takes over the radio: closing this
    closes it.
    """

    def __init__(self, radio: ReceiveRadio, capacity: int) -> None:
        self._radio = radio
        self._capacity = max(capacity, _PIECE)
        self._queue = SampleQueue()
        self._changed = threading.Condition()
        self._closing = False
        self._ended = False
        self._waiting: str = ""
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="radio", daemon=True)
        self._thread.start()

    @property
    def sample_rate_hz(self) -> float:
        """See `ReceiveRadio`."""
        return self._radio.sample_rate_hz

    @property
    def counts(self) -> RadioCounts:
        """Those of the radio: samples that still wait in memory are counted."""
        return self._radio.counts

    def describe(self) -> dict[str, Any]:
        """See `ReceiveRadio.describe`."""
        return self._radio.describe()

    def _serve(self) -> None:
        try:
            while not self._closing:
                with self._changed:
                    if len(self._queue) >= self._capacity:
                        self._changed.wait(_POLL_S)
                        continue
                try:
                    samples = self._radio.read(_PIECE, _POLL_S)
                except RadioTimeoutError as error:
                    self._waiting = str(error)
                    continue
                with self._changed:
                    self._queue.put(samples)
                    self._ended = samples.size == 0
                    self._changed.notify_all()
                if self._ended:
                    return
        except BaseException as error:
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def read(self, count: int, timeout_s: float) -> Samples:
        """See `ReceiveRadio.read`."""
        checked_count(count)
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._queue and not self._ended and self._error is None:
                remaining = deadline - time.monotonic()
                if remaining <= 0.0:
                    raise RadioTimeoutError(self._waiting or f"no samples came within {timeout_s:g} s")
                self._changed.wait(min(remaining, _POLL_S))
            if not self._queue and self._error is not None:
                raise self._error
            samples = self._queue.take(count)
            self._changed.notify_all()
            return samples

    def close(self) -> None:
        """Stop the thread and close the radio; harmless when repeated."""
        self._closing = True
        with self._changed:
            self._changed.notify_all()
        # A radio ends its `read` in time; one that hangs in its driver must not hang the program too.
        self._thread.join(timeout=10.0)
        if not self._thread.is_alive():
            self._radio.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
