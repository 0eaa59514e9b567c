"""Frame and bit error rates by simulation, their text files, and the distance between two curves in dB."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from semcom_app.benchmarks.frames import EBN0_LIMIT_DB, EBN0_STEP_DB, FrameSource
from semcom_phy.errors import ConfigurationError, FormatError

MAX_POINTS: Final = 1000
MAX_CURVE_BYTES: Final = 1 << 20
CONFIDENCE: Final = 0.95

#: (n, 3, K + 4) LLRs → hard decisions (n, K) uint8 and iterations (n,).
DecodeFrames = Callable[[npt.NDArray[np.float32]], tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]]


@dataclass(frozen=True)
class StopRule:
    """End a point with the frame that brings the `frame_errors`-th frame error, or after `frames` frames."""

    frame_errors: int = 100
    frames: int = 100_000

    def __post_init__(self) -> None:
        if self.frame_errors < 1 or self.frames < 1:
            raise ConfigurationError("a stopping rule needs at least one frame error and one frame")


@dataclass(frozen=True)
class FerPoint:
    """Counts at one Eb/N0. `bit_errors` and `iterations` (mean per frame) are None where a file has no such column."""

    ebn0_db: float
    frames: int
    frame_errors: int
    bit_errors: int | None = None
    iterations: float | None = None

    @property
    def fer(self) -> float:
        """Frame error rate."""
        return self.frame_errors / self.frames

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper-Pearson interval of the frame error rate, 95 %."""
        bounds = binomtest(self.frame_errors, self.frames).proportion_ci(CONFIDENCE, method="exact")
        return float(bounds.low), float(bounds.high)

    def ber(self, size: int) -> float | None:
        """Bit error rate of blocks of `size` bits; errors come in bursts, so no binomial interval holds for it."""
        return None if self.bit_errors is None else self.bit_errors / (self.frames * size)


@dataclass(frozen=True)
class FerCurve:
    """Points in ascending Eb/N0, and what the file says about them (`K`, `decoder`, …)."""

    points: tuple[FerPoint, ...]
    header: dict[str, str] = field(default_factory=dict)


# --- simulation ------------------------------------------------------------------------------------


def simulate_point(
    source: FrameSource,
    ebn0_db: float,
    decode: DecodeFrames,
    stop: StopRule,
    batch: int,
    workers: int = 1,
    go_on: Callable[[], bool] = lambda: True,
) -> FerPoint:
    """Count errors at one Eb/N0.

    `batch` frames are decoded in one call, and `workers` threads draw frames; neither changes the result, because
    frames are counted one by one in their order and those after the last that counts are left out. Between
    calls `go_on` is asked whether there is time for more; the point keeps the frames it has.
    """
    frames = frame_errors = bit_errors = iterations = 0
    with closing(source.batches(ebn0_db, min(batch, stop.frames), workers)) as batches:
        for sent in batches:
            sent = sent[: stop.frames - frames]
            decided, used = decode(sent.llrs)
            errors = np.count_nonzero(decided != sent.bits, axis=1)
            last = int(np.searchsorted(np.cumsum(errors > 0), stop.frame_errors - frame_errors))
            errors, used = errors[: last + 1], used[: last + 1]
            frames += len(errors)
            frame_errors += int(np.count_nonzero(errors))
            bit_errors += int(errors.sum())
            iterations += int(used.sum())
            if frame_errors >= stop.frame_errors or frames >= stop.frames or not go_on():
                break
    return FerPoint(ebn0_db, frames, frame_errors, bit_errors, iterations / frames)


def ebn0_range(text: str) -> list[float]:
    """Parse "START:STOP:STEP" (STOP included) or a single number, in dB; ascending.

    Raises ConfigurationError when it is no such range, too long or beyond ± `EBN0_LIMIT_DB`.
    """
    wrong = ConfigurationError(f"--ebn0 takes START:STOP:STEP in dB, such as 0:1:0.1, or one number, not {text!r}")
    try:
        numbers = [float(part) for part in text.split(":")]
    except ValueError:
        raise wrong from None
    if len(numbers) not in (1, 3) or not all(math.isfinite(number) for number in numbers):
        raise wrong
    start, stop, step = numbers if len(numbers) == 3 else (numbers[0], numbers[0], 1.0)
    if max(abs(start), abs(stop)) > EBN0_LIMIT_DB or stop < start or step < EBN0_STEP_DB:
        raise wrong
    # A little more than the quotient: 0:1:0.1 has eleven points.
    count = math.floor((stop - start) / step + 1e-6) + 1
    if count > MAX_POINTS:
        raise ConfigurationError(f"--ebn0 {text} has {count} points; at most {MAX_POINTS}, please")
    decimals = round(-math.log10(EBN0_STEP_DB))
    return [round(start + index * step, decimals) for index in range(count)]


# --- files -----------------------------------------------------------------------------------------

_COLUMNS: Final = ("ebn0_db", "frames", "frame_errors", "bit_errors", "iterations", "fer", "ber")


def curve_text(title: str, curve: FerCurve, size: int) -> str:
    """Return the file of a curve: `title` and header lines behind "#", column names, one line per point."""
    lines = [f"# {title}", *(f"# {key}: {value}" for key, value in curve.header.items()), "#"]
    lines.append("# " + "  ".join(_COLUMNS))
    for point in curve.points:
        ber = point.ber(size)
        cells = (
            f"{point.ebn0_db:<9.6g}",
            f"{point.frames:>6d}",
            f"{point.frame_errors:>12d}",
            f"{_text(point.bit_errors, 'd'):>10}",
            f"{_text(point.iterations, '.3f'):>10}",
            f"{point.fer:.3e}",
            _text(ber, ".3e"),
        )
        lines.append("  ".join(cells))
    return "\n".join(lines) + "\n"


def _text(value: float | None, pattern: str) -> str:
    return "nan" if value is None else format(value, pattern)


def read_curve_file(path: Path) -> bytes:
    """Return what a curve file holds; FormatError when it cannot be read or is larger than `MAX_CURVE_BYTES`."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_CURVE_BYTES + 1)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror or error}") from None
    if len(content) > MAX_CURVE_BYTES:
        raise FormatError(f"{path} is no curve: larger than {MAX_CURVE_BYTES} bytes")
    return content


def load_curve(path: Path) -> FerCurve:
    """Read a curve file: this program's, or any with the columns ebn0_db, frames and frame_errors.

    The last line of the header names the columns. Raises FormatError when the file is not such a curve.
    """
    content = read_curve_file(path)
    try:
        return parse_curve(content.decode())
    except (FormatError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is no curve of error rates: {error}") from None


def parse_curve(text: str) -> FerCurve:
    """Parse the content of a curve file; see `load_curve`."""
    lines = text.splitlines()
    comments = [line.lstrip("#").strip() for line in lines if line.startswith("#")]
    columns = comments[-1].split() if comments else []
    if columns[:3] != list(_COLUMNS[:3]) or len(set(columns)) != len(columns):
        raise FormatError(f"the header must end with the columns {' '.join(_COLUMNS[:3])} …")
    header = dict(comment.split(": ", 1) for comment in comments if ": " in comment)
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    points = tuple(_point(dict(zip(columns, row, strict=False)), len(row) == len(columns)) for row in rows)
    levels = [point.ebn0_db for point in points]
    if not points or len(points) > MAX_POINTS or sorted(set(levels)) != levels:
        raise FormatError(f"it needs 1 to {MAX_POINTS} points in ascending Eb/N0")
    return FerCurve(points, header)


def _point(cells: dict[str, str], complete: bool) -> FerPoint:
    try:
        ebn0_db, frames, frame_errors = float(cells["ebn0_db"]), int(cells["frames"]), int(cells["frame_errors"])
        bit_errors = None if cells.get("bit_errors", "nan") == "nan" else int(cells["bit_errors"])
        iterations = None if cells.get("iterations", "nan") == "nan" else float(cells["iterations"])
    except (KeyError, ValueError):
        raise FormatError(f"unreadable point {' '.join(cells.values())[:60]!r}") from None
    if not (
        complete
        and abs(ebn0_db) <= EBN0_LIMIT_DB
        and 0 <= frame_errors <= frames < 1 << 53
        and frames > 0
        and (bit_errors is None or frame_errors <= bit_errors < 1 << 63)
        and (iterations is None or 0.0 <= iterations < math.inf)
    ):
        raise FormatError(f"impossible point {' '.join(cells.values())[:60]!r}")
    return FerPoint(ebn0_db, frames, frame_errors, bit_errors, iterations)


# --- comparison ------------------------------------------------------------------------------------


def _falls(points: Sequence[FerPoint]) -> Iterator[tuple[FerPoint, FerPoint]]:
    # A point without errors has no place on a logarithmic scale.
    counted = [point for point in points if point.frame_errors]
    yield from itertools.pairwise(counted)


def ebn0_at(curve: FerCurve, fer: float) -> float:
    """Return the Eb/N0 in dB at which the curve first falls to `fer`, log-linear between its points.

    Raises ConfigurationError when the curve does not pass there.
    """
    if not 0.0 < fer < 1.0:
        raise ConfigurationError(f"a frame error rate to compare at must be between 0 and 1, not {fer:g}")
    for left, right in _falls(curve.points):
        if left.fer >= fer >= right.fer:
            if left.fer == right.fer:
                return left.ebn0_db
            share = math.log(left.fer / fer) / math.log(left.fer / right.fer)
            return left.ebn0_db + share * (right.ebn0_db - left.ebn0_db)
    raise ConfigurationError(
        f"the curve does not pass through a frame error rate of {fer:g}; measure points on both sides of it"
    )


def compare(reference: FerCurve, curve: FerCurve, fer: float = 1e-2) -> float:
    """Return by how many dB `curve` lies to the right of `reference` at `fer`: positive when it needs more Eb/N0."""
    return ebn0_at(curve, fer) - ebn0_at(reference, fer)
