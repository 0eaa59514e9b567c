"""Processes of the virtual air, from a fork server; ended with the test."""

from __future__ import annotations

import functools
import importlib
import multiprocessing
import os
import sys
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TIMEOUT_S = 90.0


@functools.cache
def fork_server() -> Any:
    """A server that has imported air_roles, and starts processes that need not import it again."""
    folders = [str(HERE), str(HERE.parents[2])]
    sys.path += folders
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([*folders, os.environ.get("PYTHONPATH", "")]))
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["air_roles"])
        forkserver.ensure_running()
    return context


class Role:
    """A process that plays a role of `air_roles`."""

    def __init__(self, name: str, *arguments: Any, **options: Any) -> None:
        forks = fork_server()
        roles = importlib.import_module("air_roles")
        self.pipe, theirs = forks.Pipe()
        self.process = forks.Process(
            target=getattr(roles, name), args=(theirs, *arguments), kwargs=options, daemon=True
        )
        self.process.start()
        theirs.close()

    def said(self, kind: str) -> tuple[Any, ...]:
        """What it says next of this kind; what it says else before is passed over. EOFError when it has ended."""
        while True:
            assert self.pipe.poll(TIMEOUT_S), "the process hangs"
            message: tuple[Any, ...] = self.pipe.recv()
            if message[0] == kind:
                return message[1:]

    def forget(self) -> None:
        """Pass over what it has said by now."""
        while self.pipe.poll():
            self.pipe.recv()

    def ended(self) -> tuple[Any, str | None]:
        """Its result and the error that ended it, when it has ended by itself."""
        result, problem = self.said("end")
        self.process.join(TIMEOUT_S)
        assert self.process.exitcode == 0
        return result, problem

    def terminate(self) -> Any:
        """Its result, when it is told to end."""
        self.process.terminate()
        return self.ended()[0]


Start = Callable[..., Role]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a role; whatever still runs at the end of the test is killed."""
    started: list[Role] = []

    def begin(name: str, *arguments: Any, **options: Any) -> Role:
        role = Role(name, *arguments, **options)
        started.append(role)
        return role

    yield begin
    for role in started:
        role.process.kill()
        role.process.join()
        role.pipe.close()
