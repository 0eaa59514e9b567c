"""How the end of a process is noticed and described."""

from __future__ import annotations

import os
import select
import subprocess
import sys

import pytest

from semcom_phy.errors import ConfigurationError
from semcom_phy.zmq.processes import ProcessWatch


def waiting_process() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.exit(int(sys.stdin.readline()))"], stdin=subprocess.PIPE
    )


@pytest.mark.parametrize(("code", "says"), [(b"0\n", "ended with exit code 0"), (b"3\n", "ended with exit code 3")])
def test_exit_codes(code: bytes, says: str) -> None:
    with waiting_process() as process:
        watch = ProcessWatch(process.pid)
        watch.update()
        assert watch.ended is None
        assert process.stdin is not None
        process.stdin.write(code)
        process.stdin.flush()
        if watch.descriptor is not None:
            assert select.select([watch.descriptor], [], [], 10)[0]
            watch.update()
            assert watch.ended == says
            watch.close()
        # The parent can still ask for the exit code.
        assert process.wait(10) == int(code)


def test_signals() -> None:
    with waiting_process() as process:
        watch = ProcessWatch(process.pid)
        process.kill()
        if watch.descriptor is not None:
            assert select.select([watch.descriptor], [], [], 10)[0]
        watch.update()
        assert watch.ended == "was killed by SIGKILL"
        watch.close()


def test_a_process_that_is_not_there() -> None:
    with waiting_process() as process:
        process.kill()
        process.wait()
    watch = ProcessWatch(process.pid)
    assert watch.ended == "ended"
    watch.close()


def test_not_a_child_of_ours() -> None:
    watch = ProcessWatch(os.getppid())
    watch.update()
    assert watch.ended is None
    watch.close()


def test_without_process_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open", raising=False)
    with waiting_process() as process:
        watch = ProcessWatch(process.pid)
        watch.update()
        assert watch.descriptor is None
        assert watch.ended is None
        process.kill()
        process.wait()
        watch.update()
        assert watch.ended == "ended"


@pytest.mark.parametrize("pid", [0, -1, 2**40, True, "1"])
def test_arguments_are_checked(pid: int) -> None:
    with pytest.raises(ConfigurationError, match="process id"):
        ProcessWatch(pid)
