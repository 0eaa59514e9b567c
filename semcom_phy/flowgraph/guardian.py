"""Parent of a flowgraph's process that does not let it outlive the application. Runs as a program::

    python -I -S guardian.py SECONDS PROGRAM ARGUMENT…

Standard input is a pipe whose other end the application holds. When the application closes it, or is gone, however
it ended, the program gets SIGTERM and, SECONDS later, SIGKILL; so does whatever it has started itself. Should the
guardian be killed, Linux kills the program with it. The guardian ends as the program did: with its exit code, or by the
signal that killed it.

A process of its own, because the flowgraph's cannot be relied on: it may be stopped, or hang in a block that holds
Python's lock. It needs nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
#: A copy of the pipe's other end may live on in a process that the application has forked: look at the parent, too.
_PARENT_CHECK_MS: Final = 1000
_CANNOT_EXECUTE: Final = 127


def _wake(number: int, frame: FrameType | None) -> None:
    """Signals are noticed through the descriptor that they wake."""


def start(command: Sequence[str]) -> int:
    """Start the program in a process group of its own, and return its process id."""
    # Looked up before the fork: afterwards the child has but a moment for it.
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None
    guardian = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        if prctl is not None:
            prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
            if os.getppid() != guardian:
                os._exit(_CANNOT_EXECUTE)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and a new program would inherit that
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.execvp(command[0], list(command))
    except OSError as error:
        os.write(2, f"cannot start {command[0]}: {error.strerror}\n".encode())
    finally:
        os._exit(_CANNOT_EXECUTE)


def wait_for_the_end(child: int, wakeup: int, terminate_s: float) -> None:
    """Return when the program has ended; end it when the application wants that, or is gone."""
    parent = os.getppid()
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    poll.register(wakeup, select.POLLIN)
    kill_at: float | None = None
    while not _has_ended(child):
        if kill_at is None:
            ready = {descriptor for descriptor, _ in poll.poll(_PARENT_CHECK_MS)}
            told = 0 in ready and not os.read(0, 4096)
            if told or os.getppid() != parent:
                poll.unregister(0)
                _signal_group(child, signal.SIGTERM)
                kill_at = time.monotonic() + terminate_s
        else:
            remaining = kill_at - time.monotonic()
            if remaining <= 0:
                _signal_group(child, signal.SIGKILL)
            poll.poll(max(1, round(1000 * remaining)) if remaining > 0 else _PARENT_CHECK_MS)
        with contextlib.suppress(BlockingIOError):
            os.read(wakeup, 4096)


def _has_ended(child: int) -> bool:
    """Whether the program has ended; its process id stays taken until `_reap`."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _signal_group(child: int, number: signal.Signals) -> None:
    # The group does not exist yet in the first moments, and macOS denies signals to one of dead processes only.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, number)
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(child, number)


def main(arguments: Sequence[str]) -> None:
    """Guard a program from its start to its end."""
    terminate_s, command = float(arguments[0]), arguments[1:]
    wakeup, woken = os.pipe()
    for descriptor in (wakeup, woken):
        os.set_blocking(descriptor, False)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, _wake)
    child = start(command)
    wait_for_the_end(child, wakeup, terminate_s)
    _signal_group(child, signal.SIGKILL)  # what the program itself has started
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no disposition
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code if code >= 0 else 1)


if __name__ == "__main__":
    main(sys.argv[1:])
