"""What a reception leaves behind: pictures and statistics as they come, result.json at the end, and an exit code."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer

from semcom_app.images import png_bytes, write_bytes
from semcom_app.progress import printable
from semcom_app.reception import ReceivedPicture
from semcom_app.replay_tables import frame_state
from semcom_app.results import json_bytes, versions
from semcom_phy.errors import LinkError

#: Frames and bursts that are listed in result.json; older ones are counted.
LISTED: Final = 10_000
_STATISTICS_S: Final = 1.0

Statistics = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Limits:
    """When a reception ends without being told; None for never."""

    count: int | None
    duration_s: float | None
    timeout_s: float | None


class PictureFolder:
    """The folder `out` of a reception. `lines`: tell of each picture on standard error."""

    def __init__(self, out: Path, lines: bool) -> None:
        self.out, self.lines = out, lines
        self.totals = {"frames": 0, "frames_delivered": 0, "frames_intact": 0}
        self._rows: deque[dict[str, Any]] = deque(maxlen=LISTED)
        self._written = 0.0

    def enough(self, limits: Limits) -> bool:
        """Whether all pictures that were asked for are there."""
        return limits.count is not None and self.totals["frames"] >= limits.count

    def keep(self, picture: ReceivedPicture) -> None:
        """Count a picture, write it, and tell of it; the next `write_statistics` writes."""
        row, totals = picture.row, self.totals
        totals["frames"] += 1
        totals["frames_delivered"] += row["delivered"]
        totals["frames_intact"] += row["intact"]
        row["received_file"] = f"frame-{totals['frames']:06d}.received.png"
        write_bytes(self.out / row["received_file"], png_bytes(picture.pixels))
        self._rows.append(row)
        self._written = 0.0
        if self.lines:
            typer.echo(f"frame {totals['frames']}: image {row['image']}, {frame_state(row).lower()}", err=True)

    def write_statistics(self, statistics: Statistics, at_once: bool = False) -> None:
        """Write statistics.json, unless that was less than a second ago."""
        now = time.monotonic()
        if at_once or now - self._written >= _STATISTICS_S:
            self._written = now
            write_bytes(self.out / "statistics.json", json_bytes(statistics()))

    def write_result(
        self, config: Mapping[str, Any], statistics: Statistics, details: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Write statistics.json and result.json, and return the content of the latter."""
        self.write_statistics(statistics, at_once=True)
        summary = {
            "config": dict(config),
            "versions": versions(),
            **statistics(),
            **details,
            "images": list(self._rows),
        }
        write_bytes(self.out / "result.json", json_bytes(summary))
        return summary

    def conclude(
        self,
        summary: Mapping[str, Any],
        lines: Sequence[str],
        limits: Limits,
        failure: LinkError | None,
        silence: str,
        excused: int = 0,
    ) -> int:
        """Print the result, as JSON where no lines are wanted, and return the exit code.

        0 when every frame was delivered but for `excused` ones, and as many as were asked for. Raises `failure`, or
        LinkError with the text `silence` when there was no frame at all.
        """
        if self.lines:
            for line in (*lines, f"result: {self.out / 'result.json'}"):
                typer.echo(printable(line))
        else:
            typer.echo(json_bytes(dict(summary)), nl=False)
        if failure is not None:
            raise failure
        frames, delivered = self.totals["frames"], self.totals["frames_delivered"]
        if not frames:
            raise LinkError(silence)
        return 0 if frames - delivered == excused and delivered >= (limits.count or 1) else 1


def frames_text(total: Mapping[str, Any]) -> str:
    """The totals in words."""
    return f"{total['frames']} frames, {total['frames_delivered']} delivered, {total['frames_intact']} intact"
