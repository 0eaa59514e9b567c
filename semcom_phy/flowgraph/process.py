"""A running flowgraph: started in a process of its own, watched, and ended without fail.

Between the application and the flowgraph stands a guardian (`semcom_phy.flowgraph.guardian`), which ends the
flowgraph when the application is gone, even if it was killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from semcom_phy.accel import COMPILED, COMPILING
from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.flowgraph.block_failure import BlockFailure

#: What is kept of a flowgraph's output: so many lines, each of so many bytes at most.
KEPT_LINES: Final = 40
LINE_BYTES: Final = 1000
#: Characters of the last line that go into an error message.
LAST_WORDS: Final = 200
#: From SIGTERM to SIGKILL.
TERMINATE_S: Final = 3.0
_MARGIN_S: Final = 2.0
_GUARDIAN: Final = Path(__file__).with_name("guardian.py")


class FlowgraphProcess:
    """A program that runs until `stop`, until it ends by itself, or until this process is gone.

    `command`: program and arguments; `name`: what to call it in messages. `environment`: replaces this process's.
    `on_line`: called, in a thread of its own, with each line that the program writes to standard output or error.
    `terminate_s`: how long it may take to end on SIGTERM before it is killed.

    The program has no standard input and no terminal: Ctrl-C reaches the application alone. Use it as a context
    manager, or call `stop`.

    Raises ConfigurationError for a time out of range, LinkError if no process can be started. A program that does not
    exist shows in `ended`.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        name: str,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
        terminate_s: float = TERMINATE_S,
    ) -> None:
        if not 0 < terminate_s <= 60:
            raise ConfigurationError(f"terminate_s is above 0 and at most 60 s, not {terminate_s}")
        self.name = name
        self._terminate_s = terminate_s
        self._stopping = threading.Lock()
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._on_line = on_line
        self._compilations = 0
        self._compiled = 0
        self._failing = threading.Lock()
        self._block_failure: BlockFailure | None = None
        self._on_block_failure: Callable[[BlockFailure], None] | None = None
        guarded = [sys.executable, "-I", "-S", str(_GUARDIAN), repr(float(terminate_s)), *map(str, command)]
        try:
            self._guardian = subprocess.Popen(
                guarded,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                env=None if environment is None else dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            raise LinkError(f"cannot start flowgraph {name}: {error.strerror or error}") from error
        assert self._guardian.stdout is not None
        output = self._guardian.stdout
        self._reader = threading.Thread(target=self._read, args=(output,), name=f"output of {name}", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process that ends when and how the program ends: the guardian's."""
        return self._guardian.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._guardian.poll() is None

    @property
    def ended(self) -> str | None:
        """How it ended, in a few words; None while it runs."""
        code = self._guardian.poll()
        if code is None:
            return None
        if code >= 0:
            return f"ended with exit code {code}"
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}"
        return f"was killed by signal {-code}"

    @property
    def lines(self) -> tuple[str, ...]:
        """The latest lines of its output, at most `KEPT_LINES` of `LINE_BYTES` each."""
        return tuple(self._lines)

    @property
    def compilations(self) -> tuple[int, int]:
        """How often its output has said that it compiles, and that this is over (see `semcom_phy.accel`)."""
        return self._compilations, self._compiled

    @property
    def block_failure(self) -> BlockFailure | None:
        """The first of its blocks that has died, by its output; None while all of them live."""
        return self._block_failure

    def on_block_failure(self, call: Callable[[BlockFailure], None]) -> None:
        """Have `call` called once when a block dies, in the thread of the output; at once if one has died already."""
        with self._failing:
            self._on_block_failure = call
            failure = self._block_failure
        if failure is not None:
            call(failure)

    def last_words(self) -> str:
        """The last line of its output for an error message, ``"; its last words: …"``, or nothing."""
        if not self.running:  # all of its output has been written, if perhaps not read yet
            self._reader.join(_MARGIN_S)
        spoken = [line for line in self.lines if line.strip()]
        return f"; its last words: {spoken[-1].strip()[:LAST_WORDS]}" if spoken else ""

    def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL if that does not help. Returns when the process is gone; then changes nothing.

        Raises LinkError if even that fails, because the system does not end it (a process that waits for a device).
        """
        with self._stopping:
            assert self._guardian.stdin is not None
            self._guardian.stdin.close()  # the sign for the guardian
            # The output ends when the last process that can write to it has.
            self._reader.join(self._terminate_s + _MARGIN_S)
            if self._reader.is_alive():
                self._kill()
            try:
                self._guardian.wait(_MARGIN_S)
            except subprocess.TimeoutExpired:
                raise LinkError(f"flowgraph {self.name} (process {self.pid}) does not end; end it by hand") from None

    def _kill(self) -> None:
        """Kill the guardian, which is stopped or hangs, and with it the program."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._reader.join(_MARGIN_S)

    def _read(self, output: Any) -> None:
        rest = b""
        with output:
            while True:
                try:
                    piece = os.read(output.fileno(), 1 << 16)
                except OSError:
                    break
                if not piece:
                    break
                *lines, rest = (rest + piece).split(b"\n")
                while len(rest) > LINE_BYTES:
                    lines.append(rest[:LINE_BYTES])
                    rest = rest[LINE_BYTES:]
                for line in lines:
                    self._take(line)
        if rest:
            self._take(rest)

    def _take(self, line: bytes) -> None:
        text = line[:LINE_BYTES].decode("utf-8", "replace").rstrip()
        self._lines.append(text)
        self._compilations += text.startswith(COMPILING)
        self._compiled += text.startswith(COMPILED)
        if self._block_failure is None and (failure := BlockFailure.from_line(text)) is not None:
            self._take_failure(failure)
        if self._on_line is not None:
            # Nobody may be reading any more where it goes.
            with contextlib.suppress(OSError, ValueError):
                self._on_line(text)

    def _take_failure(self, failure: BlockFailure) -> None:
        with self._failing:
            self._block_failure = failure
            call = self._on_block_failure
        if call is not None:
            call(failure)
