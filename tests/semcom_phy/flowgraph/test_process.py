"""Processes that end when they should, however things go."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.flowgraph.block_failure import BlockFailure
from semcom_phy.flowgraph.process import KEPT_LINES, LINE_BYTES, FlowgraphProcess

ROOT = Path(__file__).parents[3]
OBEDIENT = "print('ready', flush=True); import signal; signal.pause()"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); signal.pause()"
#: Starts a process of its own that ignores SIGTERM, and tells its id.
WITH_CHILD = f"""
import signal, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {STUBBORN!r}], stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
signal.pause()
"""

Run = Callable[..., FlowgraphProcess]


@pytest.fixture
def run() -> Iterator[Run]:
    """Start a Python program; what still runs at the end of the test is stopped."""
    started: list[FlowgraphProcess] = []

    def start(code: str, **options: object) -> FlowgraphProcess:
        process = FlowgraphProcess([sys.executable, "-c", code], name="test", **options)  # type: ignore[arg-type]
        started.append(process)
        return process

    yield start
    for process in started:
        process.stop()


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether a condition comes true in time; what it tells of can only be asked for."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


def first_line(process: FlowgraphProcess) -> str:
    assert within(10, lambda: bool(process.lines))
    return process.lines[0]


def gone(pid: int) -> bool:
    """Whether a process has ended; a zombie that waits for init to collect it has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state == "Z"


def child_of(pid: int) -> int:
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def test_it_runs_until_it_is_stopped(run: Run) -> None:
    process = run(OBEDIENT)
    assert first_line(process) == "ready"
    assert process.running
    assert process.ended is None
    program = child_of(process.pid)
    process.stop()
    assert process.ended == "was killed by SIGTERM"
    assert gone(program)
    assert gone(process.pid)
    with pytest.raises(ChildProcessError):  # no zombie either
        os.waitpid(process.pid, os.WNOHANG)
    process.stop()


def test_what_ignores_sigterm_is_killed(run: Run) -> None:
    process = run(STUBBORN, terminate_s=0.2)
    assert first_line(process) == "ready"
    began = time.monotonic()
    process.stop()
    assert 0.2 <= time.monotonic() - began < 2.5
    assert process.ended == "was killed by SIGKILL"


def test_what_is_stopped_is_killed(run: Run) -> None:
    process = run(OBEDIENT, terminate_s=0.2)
    first_line(process)
    os.kill(child_of(process.pid), signal.SIGSTOP)
    process.stop()
    assert process.ended == "was killed by SIGKILL"


@pytest.mark.slow
def test_a_guardian_that_is_stopped_is_killed_with_its_program(run: Run) -> None:
    process = run(OBEDIENT, terminate_s=0.1)
    first_line(process)
    program = child_of(process.pid)
    os.kill(process.pid, signal.SIGSTOP)
    process.stop()
    assert not process.running
    assert within(5, lambda: gone(program))


def test_a_guardian_that_is_killed_takes_its_program_along(run: Run) -> None:
    process = run(STUBBORN)
    first_line(process)
    program = child_of(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    assert within(5, lambda: gone(program))


def test_what_the_program_has_started_ends_with_it(run: Run) -> None:
    process = run(WITH_CHILD, terminate_s=0.2)
    grandchild = int(first_line(process))
    assert not gone(grandchild)
    os.kill(child_of(process.pid), signal.SIGKILL)
    assert within(5, lambda: gone(grandchild))
    assert within(5, lambda: not process.running)
    assert process.ended == "was killed by SIGKILL"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
def test_it_tells_by_which_signal_the_program_ended(number: signal.Signals, run: Run) -> None:
    process = run(OBEDIENT)
    first_line(process)
    os.kill(child_of(process.pid), number)
    assert within(5, lambda: not process.running)
    assert process.ended == f"was killed by {number.name}"


def test_it_tells_the_exit_code_and_the_last_words(run: Run) -> None:
    process = run("raise ValueError('no such antenna')")
    assert within(10, lambda: not process.running)
    assert process.ended == "ended with exit code 1"
    assert process.last_words() == "; its last words: ValueError: no such antenna"


def test_a_program_that_does_not_exist() -> None:
    with FlowgraphProcess(["/nowhere/python"], name="test") as process:
        assert within(10, lambda: not process.running)
        assert process.ended == "ended with exit code 127"
        assert process.last_words() == "; its last words: cannot start /nowhere/python: No such file or directory"


def test_output_is_passed_on_and_kept_bounded(run: Run) -> None:
    seen: list[str] = []
    process = run(
        "import sys\nfor n in range(1000): print(n, file=sys.stdout if n % 2 else sys.stderr, flush=True)\n"
        "sys.stdout.write('x' * 10_000_000 + '\\xff'); sys.stdout.flush()",
        on_line=seen.append,
    )
    assert within(20, lambda: not process.running)
    process.stop()
    assert seen[:1000] == [str(n) for n in range(1000)]
    assert len("".join(seen[1000:])) == 10_000_001
    assert len(process.lines) == KEPT_LINES
    assert max(map(len, process.lines)) == LINE_BYTES


def test_a_listener_that_fails_does_not_stop_the_program(run: Run) -> None:
    def fail(line: str) -> None:
        raise BrokenPipeError

    process = run("for n in range(10): print(n, flush=True)", on_line=fail)
    assert within(10, lambda: not process.running)
    process.stop()
    assert process.lines == tuple(map(str, range(10)))


DYING = "thread_body_wrapper :error: ERROR thread[thread-per-block[1]: <block sink(4)>]: "


def test_a_block_that_dies_is_told_once(run: Run) -> None:
    told: list[BlockFailure] = []
    process = run(
        "import sys; sys.stdin.read()\n"
        f"for why in ('first', 'second'): print({DYING!r} + why, flush=True)\n"
        "import signal; print('ready', flush=True); signal.pause()"
    )
    process.on_block_failure(told.append)
    assert within(10, lambda: "ready" in process.lines)
    assert process.block_failure == BlockFailure("sink(4)", "first")
    assert told == [BlockFailure("sink(4)", "first")]
    late: list[BlockFailure] = []
    process.on_block_failure(late.append)
    assert late == told
    assert process.running


def test_no_block_has_died(run: Run) -> None:
    process = run("print('sink :error: not that bad', flush=True)")
    process.on_block_failure(lambda failure: pytest.fail(str(failure)))
    assert within(10, lambda: not process.running)
    process.stop()
    assert process.block_failure is None


def test_environment_and_input(run: Run) -> None:
    process = run(
        "import os, sys; print(os.environ.get('A'), os.environ.get('HOME'), sys.stdin.read() == '')",
        environment={"A": "1", "PATH": os.defpath},
    )
    assert within(10, lambda: not process.running)
    assert process.lines == ("1 None True",)


def test_wrong_times_are_refused() -> None:
    for seconds in (0, -1, 61, float("nan")):
        with pytest.raises(ConfigurationError, match="terminate_s"):
            FlowgraphProcess(["true"], name="test", terminate_s=seconds)


def test_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(LinkError, match="cannot start flowgraph test: No such file"):
        FlowgraphProcess(["true"], name="test")


APPLICATION = """
import signal, sys, os
from semcom_phy.flowgraph.process import FlowgraphProcess
process = FlowgraphProcess([sys.executable, "-c", {code!r}], name="test", terminate_s=0.5)
while not process.lines:
    pass
with open(f"/proc/{{process.pid}}/task/{{process.pid}}/children") as file:
    print(process.pid, file.read(), flush=True)
{then}
"""


@pytest.mark.parametrize("code", [OBEDIENT, STUBBORN], ids=["obedient", "stubborn"])
@pytest.mark.parametrize("how", ["killed", "ends", pytest.param("forks and is killed", marks=pytest.mark.slow)])
def test_nothing_outlives_the_application(code: str, how: str) -> None:
    then = {
        "killed": "signal.pause()",
        "ends": "os._exit(0)",
        # The fork keeps the other end of the guardian's pipe.
        "forks and is killed": "fork = os.fork(); fork and print(fork, flush=True); signal.pause()",
    }[how]
    application = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(APPLICATION.format(code=code, then=then))],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert application.stdout is not None
    with application.stdout:
        guardian, program = map(int, application.stdout.readline().split())
        fork = int(application.stdout.readline()) if "forks" in how else None
    assert fork is None or fork > 1
    try:
        descriptor = os.pidfd_open(program)
    except ProcessLookupError:  # an application that ends does not wait for us
        assert how == "ends"
        descriptor = None
    try:
        application.kill()
        application.wait(10)
        assert descriptor is None or select.select([descriptor], [], [], 5)[0]
        assert within(5, lambda: gone(guardian))
    finally:
        if descriptor is not None:
            os.close(descriptor)
        if fork is not None:
            os.kill(fork, signal.SIGKILL)
