"""Waiting with deadlines on the monotonic clock, and being woken from it."""

from __future__ import annotations

import contextlib
import math
import socket
import time
from typing import Any, Protocol

from semcom_phy.errors import ConfigurationError

_LONGEST = 86400.0


class Attendant(Protocol):
    """Something to look after while a socket waits: a watchdog that may bark, a heartbeat that wants its answer."""

    @property
    def pollable(self) -> Any:
        """A file descriptor or ZeroMQ socket that becomes readable when `attend` has something to do."""

    def attend(self) -> None:
        """Do what is due without blocking; raises LinkError where going on makes no sense."""


def checked_timeout(name: str, seconds: float) -> float:
    """Return `seconds` as float; raises ConfigurationError unless they are from 0 to a day."""
    if not (math.isfinite(seconds) and 0 <= seconds <= _LONGEST):
        raise ConfigurationError(f"{name} is from 0 to {_LONGEST:.0f} s, not {seconds}")
    return float(seconds)


class Deadline:
    """A point in time, `seconds` from its making."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + checked_timeout("a timeout", seconds)

    @property
    def remaining(self) -> float:
        """Seconds left, 0 when it has passed."""
        return max(0.0, self._end - time.monotonic())

    @property
    def remaining_ms(self) -> int:
        """Milliseconds left, rounded up, so that who waits them does not wake early and spin."""
        return math.ceil(self.remaining * 1000)


class WakeSignal:
    """A flag with a file descriptor: one thread sets it, another one that polls wakes."""

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        """The descriptor that is readable while the signal is set."""
        return self._reader.fileno()

    def set(self) -> None:
        """Set the signal; setting it again, or after `close`, changes nothing."""
        with contextlib.suppress(BlockingIOError, OSError):
            self._writer.send(b"\0")

    def clear(self) -> None:
        """Take the signal back."""
        with contextlib.suppress(BlockingIOError):
            while self._reader.recv(4096):
                pass

    def close(self) -> None:
        """Release both descriptors."""
        self._reader.close()
        self._writer.close()
