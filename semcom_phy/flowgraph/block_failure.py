"""GNU Radio's log line of a block whose work or message handler has raised an exception.

Such a block's thread ends and the flowgraph runs on without it. Nothing but this line tells of it: its neighbours wait.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

#: The logger that tells of it.
LOGGER: Final = "thread_body_wrapper"
#: Characters of a block's name, and of a reason, that are kept: a control message holds 1024 bytes, four a character.
NAME_LENGTH: Final = 40
WHY_LENGTH: Final = 200
_MESSAGE: Final = re.compile(r"ERROR thread\[thread-per-block\[\d+\]: <block (?P<block>[^>]*)>\]: (?P<why>.*)")
_LINE: Final = re.compile(rf"{LOGGER} :error: (?P<message>.*)")


@dataclass(frozen=True)
class BlockFailure:
    """`block`: its name with its number, as in ``null_sink(4)``; `why`: the first line of what the exception says."""

    block: str
    why: str

    def __str__(self) -> str:
        return f"block {self.block} has died: {self.why}"

    @classmethod
    def from_message(cls, message: str) -> Self | None:
        """Read what `LOGGER` logs; None for anything else."""
        found = _MESSAGE.match(message)
        if found is None:
            return None
        return cls(found["block"][:NAME_LENGTH], found["why"].strip()[:WHY_LENGTH])

    @classmethod
    def from_line(cls, line: str) -> Self | None:
        """Read a line of the process's output; None for one that tells of no such failure."""
        found = _LINE.search(line)
        return None if found is None else cls.from_message(found["message"])
