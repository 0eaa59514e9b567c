"""Progress of long work: a bar on a terminal, plain lines elsewhere, always on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINE_INTERVAL_S = 10.0


def printable(text: str) -> str:
    """The text with what would confuse a terminal (control characters, undecodable bytes) replaced."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


@contextmanager
def progress(label: str, total: int, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Context whose value is called with the name of each finished step.

    A single step shows nothing; `quiet` shows nothing either.
    """
    if quiet or total < 2:
        yield lambda step: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[step]}", markup=False),  # file names may look like markup
        )
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(label, total=total, step="")
            yield lambda step: bar.update(task, advance=1, step=printable(step))
    else:
        done, last = 0, time.monotonic()

        def advance(step: str) -> None:
            nonlocal done, last
            done += 1
            if time.monotonic() - last >= LINE_INTERVAL_S or done == total:
                last = time.monotonic()
                print(f"{label}: {done}/{total} {printable(step)}", file=sys.stderr, flush=True)

        yield advance
