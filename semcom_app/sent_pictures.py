"""What a transmission tells of the pictures that were sent: a line for each, and what goes into the result."""

from __future__ import annotations

import time
from collections import deque
from typing import Any, Final

import numpy as np
import typer
from numpy.typing import NDArray

from semcom_app.progress import printable
from semcom_app.reception import payload_sha256
from semcom_app.results import versions

#: Pictures that are listed in the result; older ones are counted.
LISTED: Final = 10_000


class SentPictures:
    """Counts and lists pictures. `lines`: tell of each on standard error.

    `bursts`: of all pictures, also of one that is not out as a whole; for the sender to count.
    """

    def __init__(self, lines: bool) -> None:
        self._lines = lines
        self._listed: deque[dict[str, Any]] = deque(maxlen=LISTED)
        self.pictures = self.bursts = 0
        self._began = time.monotonic()

    def add(self, name: str, image: int | None, bursts: int, payload: NDArray[np.uint8]) -> None:
        """A picture is out: its number on the air, None where that is not known, its bursts, its payload bits (n,)."""
        self.pictures += 1
        self._listed.append(
            {
                "file": name,
                "image": image,
                "bursts": bursts,
                "payload_bits": int(payload.size),
                "payload_sha256": payload_sha256(payload),
            }
        )
        if self._lines:
            number = "" if image is None else f"image {image}, "
            typer.echo(printable(f"{name}: {number}{bursts} bursts"), err=True)

    def describe(self, finished: bool, **more: Any) -> dict[str, Any]:
        """What was sent; `more` goes into the summary."""
        return {
            "versions": versions(),
            "summary": {
                "pictures": self.pictures,
                "bursts": self.bursts,
                **more,
                "elapsed_s": time.monotonic() - self._began,
                "interrupted": not finished,
            },
            "sent": list(self._listed),
        }
