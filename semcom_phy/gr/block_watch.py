"""Notices in the flowgraph's own process that one of its blocks has died.

GNU Radio logs it and goes on. The log can be read here, wherever it is written to. That a thread has ended is no
failure by itself, for blocks that are done end theirs, too; but where so much has been logged that reading takes long,
the log is read only when threads have come or gone.
"""

from __future__ import annotations

import os
import time
from functools import cache
from pathlib import Path
from typing import Any, Final

from gnuradio import gr

from semcom_phy.flowgraph.block_failure import LOGGER, BlockFailure

_THREADS: Final = Path("/proc/self/task")
#: Reading the log may always take so long.
_SHORT_S: Final = 0.005


class BlockWatch:
    """`failure` is to be asked again and again, by one thread. What died before the watch was made does not count."""

    def __init__(self) -> None:
        self._log = _log_of_this_process()
        self._threads: set[str] | None = None
        self._took_s = 0.0
        self._known = self._entries()
        self._failure: BlockFailure | None = None

    def failure(self) -> str | None:
        """Which block has died, and why, in a few words; None while all live or are done, or where it cannot be known.

        It cannot where GNU Radio's log level leaves out errors, or its version has no log that can be read.
        """
        changed = self._threads_have_changed()
        if self._failure is None and (changed or self._took_s < _SHORT_S):
            for entry in sorted(self._entries() - self._known):
                self._failure = self._failure or BlockFailure.from_message(entry[1])
        return None if self._failure is None else str(self._failure)

    def forget(self) -> None:
        """Begin anew, with a flowgraph that is started again."""
        self._threads = None
        self._known = self._entries()
        self._failure = None

    def _threads_have_changed(self) -> bool:
        """Whether other threads run than when asked last; also when asked first, or where nobody knows."""
        before = self._threads
        try:
            self._threads = set(os.listdir(_THREADS))
        except OSError:
            return True
        return before != self._threads

    def _entries(self) -> set[tuple[Any, str]]:
        """What has been logged of threads so far: pairs of time and text."""
        if self._log is None:
            return set()
        began = time.monotonic()
        try:
            return set(self._log.get_map().get(LOGGER, ()))
        except UnicodeDecodeError:  # a block has logged bytes that are no text
            return set()
        finally:
            self._took_s = time.monotonic() - began


@cache
def _log_of_this_process() -> Any:
    """GNU Radio's own memory of what is logged, from now on; None in a version without it."""
    if not hasattr(gr, "dictionary_logger_backend"):
        return None
    log = gr.dictionary_logger_backend()
    gr.logging().add_default_sink(log)
    return log
