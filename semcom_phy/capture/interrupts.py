"""Ctrl-C waits for the end of a step that must not be cut in half."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Hold back SIGINT inside the block; one that came is delivered at its end, to whatever handled it before.

    Python runs signal handlers in the main thread alone, so in other threads there is nothing to hold back.
    """
    previous = signal.getsignal(signal.SIGINT)
    # None: a handler that Python did not install and could not put back.
    if threading.current_thread() is not threading.main_thread() or previous is None:
        yield
        return
    arrived = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal arrived
        arrived = True

    signal.signal(signal.SIGINT, remember)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)
        if arrived:
            signal.raise_signal(signal.SIGINT)
