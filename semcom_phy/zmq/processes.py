"""Whether another process still runs, and how it ended."""

from __future__ import annotations

import os
import select
import signal

from semcom_phy.errors import ConfigurationError


class ProcessWatch:
    """Follows a process by its id, even when the id is given to another process later.

    `ended` is None while it runs, then a few words. Where the system has process descriptors (Linux),
    `descriptor` becomes readable when it ends, and is None elsewhere: `update` then has to be called now and then.

    Raises ConfigurationError for a process id that is none.
    """

    def __init__(self, pid: int) -> None:
        if isinstance(pid, bool) or not isinstance(pid, int) or not 1 <= pid < 2**31:
            raise ConfigurationError(f"a process id is a positive integer, not {pid!r}")
        self.pid = pid
        self.descriptor: int | None = None
        self.ended: str | None = None
        try:
            self.descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            self.ended = "ended"
        except (OSError, AttributeError):  # no process descriptors on this system
            self.update()

    def update(self) -> None:
        """Look whether the process has ended. It is left for its parent to wait for."""
        if self.ended is not None:
            return
        if self.descriptor is None:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                self.ended = "ended"
            except PermissionError:  # it is there, and somebody else's
                return
            return
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        if poll.poll(0):
            self.ended = self._how_it_ended(self.descriptor)

    def _how_it_ended(self, descriptor: int) -> str:
        try:
            result = os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOWAIT | os.WNOHANG)
        except ChildProcessError:  # not a child of this process, or somebody has waited for it
            return "ended"
        if result is None:
            return "ended"
        if result.si_code == os.CLD_EXITED:
            return f"ended with exit code {result.si_status}"
        return f"was killed by {_signal_name(result.si_status)}"

    def close(self) -> None:
        """Release the descriptor."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
