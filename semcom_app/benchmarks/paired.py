"""Several decoders on the same frames: their curves of error rates, and how many dB one lies behind another.

**Distance.** Two decoders of one code lose mostly the same frames. Their difference hangs on the frames that only one
of them loses, which are few, and so it is known far better than either curve (McNemar's test for paired
proportions rests on the same). Of the N frames of a point let the decoder make n errors and the reference n', b of
them on the same frames. To first order the logarithms y = ln(n/N) and y' = ln(n'/N) of the error rates have

    var y = 1/n − 1/N,    var y' = 1/n' − 1/N,    cov(y, y') = b/(n n') − 1/N,

and points are independent of each other. Through the points of each curve around the rate f to compare at goes a
straight line y = ȳ − s (x − x̄), x in dB, by weighted least squares; a point weighs as many errors as it has, times
1 − |log10(n/(N f))|, so that points a decade away count no more. It crosses ln f at x̄ + (ȳ − ln f)/s. The distance is
the difference of the crossings; its standard deviation follows from their derivatives for all y and y' and
the moments above. Where the curves are close, the covariance makes it that of the frames that one decoder alone
loses, divided by the slope.

**File.** A file as `semcom_app.benchmarks.fer` reads it, its frame errors those of the reference, with two more columns
for each other decoder: ``+name``, the frames that it alone loses (l), and ``-name``, those that the reference alone
loses (w).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_app.benchmarks.fer import FerCurve, FerPoint, StopRule, parse_curve, read_curve_file
from semcom_app.benchmarks.frames import FrameSource
from semcom_phy.coding.decoders import DecoderParams, decode
from semcom_phy.errors import ConfigurationError, FormatError

_COLUMNS: Final = ("ebn0_db", "frames", "frame_errors")


@dataclass(frozen=True)
class Contender:
    """A decoder with a short `name` for its columns; `windows` as in `DecoderParams`. The back end is numba's."""

    name: str
    algorithm: str
    arithmetic: str
    windows: bool = True

    def __str__(self) -> str:
        return f"{self.algorithm}, {self.arithmetic}, {'windows' if self.windows else 'whole blocks'}"

    def decide(self, llrs: npt.NDArray[np.float32], iterations: int, threads: int = 1) -> npt.NDArray[np.uint8]:
        """Return hard decisions (n, K) on LLRs (n, 3, K + 4) after `iterations` iterations, none left out."""
        params = DecoderParams(
            iterations, arithmetic=self.arithmetic, windows=self.windows, posterior=False, threads=threads
        )
        return decode(llrs, params, self.algorithm, "numba").bits


@dataclass(frozen=True)
class Discordance:
    """Frames that one decoder alone loses: `lost` the one that is compared, `won` the reference."""

    lost: int
    won: int


@dataclass(frozen=True)
class PairedPoint:
    """Counts at one Eb/N0: `frame_errors` of the reference, and of the others how they differ, by name."""

    ebn0_db: float
    frames: int
    frame_errors: int
    others: dict[str, Discordance]

    @property
    def fer(self) -> float:
        """Frame error rate of the reference."""
        return self.frame_errors / self.frames

    def errors(self, name: str) -> int:
        """Frame errors of the decoder `name`."""
        other = self.others[name]
        return self.frame_errors + other.lost - other.won


@dataclass(frozen=True)
class PairedCurves:
    """Points in ascending Eb/N0, and what the file says about them."""

    points: tuple[PairedPoint, ...]
    header: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Decoders beside the reference."""
        return tuple(self.points[0].others) if self.points else ()

    def curve(self, name: str | None = None) -> FerCurve:
        """Return the curve of one decoder, None for the reference."""
        return FerCurve(
            tuple(
                FerPoint(point.ebn0_db, point.frames, point.frame_errors if name is None else point.errors(name))
                for point in self.points
            ),
            self.header,
        )


@dataclass(frozen=True)
class Distance:
    """How far a decoder lies behind the reference, and the standard deviation of that, both in dB."""

    db: float
    sigma_db: float


# --- simulation ------------------------------------------------------------------------------------


def simulate_paired(
    source: FrameSource,
    ebn0_db: float,
    reference: Contender,
    others: Sequence[Contender],
    iterations: int,
    stop: StopRule,
    threads: int = 1,
) -> PairedPoint:
    """Count the errors of all decoders on the same frames; `stop` counts those of the reference.

    The result does not depend on `threads`, nor (but for the rounding of floating point decoders) on the machine.
    """
    frames = frame_errors = 0
    lost, won = ([0] * len(others) for _ in range(2))
    with closing(source.batches(ebn0_db, min(source.frames_per_group, stop.frames), threads)) as batches:
        while frame_errors < stop.frame_errors and frames < stop.frames:
            sent = next(batches)[: stop.frames - frames]
            missed = _missed(reference, sent.llrs, sent.bits, iterations, threads)
            last = int(np.searchsorted(np.cumsum(missed), stop.frame_errors - frame_errors))
            sent, missed = sent[: last + 1], missed[: last + 1]
            frames += len(sent)
            frame_errors += int(np.count_nonzero(missed))
            for number, other in enumerate(others):
                also = _missed(other, sent.llrs, sent.bits, iterations, threads)
                lost[number] += int(np.count_nonzero(also & ~missed))
                won[number] += int(np.count_nonzero(missed & ~also))
    counts = {other.name: Discordance(lost[number], won[number]) for number, other in enumerate(others)}
    return PairedPoint(ebn0_db, frames, frame_errors, counts)


def _missed(
    decoder: Contender,
    llrs: npt.NDArray[np.float32],
    bits: npt.NDArray[np.uint8],
    iterations: int,
    threads: int,
) -> npt.NDArray[np.bool_]:
    wrong: npt.NDArray[np.bool_] = (decoder.decide(llrs, iterations, threads) != bits).any(axis=1)
    return wrong


# --- files -----------------------------------------------------------------------------------------


def paired_text(title: str, curves: PairedCurves) -> str:
    """Return the file of some curves: `title` and header lines behind "#", column names, one line per point."""
    lines = [f"# {title}", *(f"# {key}: {value}" for key, value in curves.header.items()), "#"]
    signed = [sign + name for name in curves.names for sign in "+-"]
    widths = [max(6, len(column)) for column in signed]
    lines.append("  ".join(["# ebn0_db", "frames", "frame_errors", *map(str.rjust, signed, widths)]))
    for point in curves.points:
        counts = [count for other in point.others.values() for count in (other.lost, other.won)]
        cells = [f"{point.ebn0_db:<9.6g}", f"{point.frames:>6d}", f"{point.frame_errors:>12d}"]
        cells += [f"{count:>{width}d}" for count, width in zip(counts, widths, strict=True)]
        lines.append("  ".join(cells))
    return "\n".join(lines) + "\n"


def load_paired(path: Path) -> PairedCurves:
    """Read a file of paired curves. Raises FormatError when it is none."""
    content = read_curve_file(path)
    try:
        return parse_paired(content.decode())
    except (FormatError, UnicodeDecodeError) as error:
        raise FormatError(f"{path} is no file of paired curves: {error}") from None


def parse_paired(text: str) -> PairedCurves:
    """Parse the content of such a file; see `load_paired`."""
    curve = parse_curve(text)
    lines = text.splitlines()
    columns = next(line for line in reversed(lines) if line.startswith("#")).lstrip("#").split()
    signed = columns[len(_COLUMNS) :]
    names = [column[1:] for column in signed[::2]]
    if not names or signed != [sign + name for name in names for sign in "+-"]:
        raise FormatError("the columns after frame_errors must be +name and -name for each decoder")
    rows = [line.split()[len(_COLUMNS) :] for line in lines if line.strip() and not line.startswith("#")]
    points = []
    for point, row in zip(curve.points, rows, strict=True):
        try:
            counts = [int(cell) for cell in row]
        except ValueError:
            raise FormatError(f"unreadable point {' '.join(row)[:60]!r}") from None
        others = {
            name: Discordance(*pair)
            for name, pair in zip(names, zip(counts[::2], counts[1::2], strict=True), strict=True)
        }
        decoded = point.frames - point.frame_errors
        if not all(0 <= other.lost <= decoded and 0 <= other.won <= point.frame_errors for other in others.values()):
            raise FormatError(f"impossible point {' '.join(row)[:60]!r}")
        points.append(PairedPoint(point.ebn0_db, point.frames, point.frame_errors, others))
    return PairedCurves(tuple(points), curve.header)


# --- distance --------------------------------------------------------------------------------------


def _crossing(points: Sequence[PairedPoint], errors: npt.NDArray[np.float64], fer: float) -> tuple[float, npt.NDArray]:
    """Return where a curve falls to `fer`, in dB, and the derivative of that for ln FER of each point."""
    frames = np.array([point.frames for point in points], np.float64)
    x = np.array([point.ebn0_db for point in points])
    counted = np.maximum(errors, 1.0)  # a point without errors has no logarithm, and no weight
    y = np.log(counted / frames) - math.log(fer)
    weights = errors * np.maximum(0.0, 1.0 - np.abs(y) / math.log(10.0))
    used = weights > 0.0
    if not (np.any(used & (y >= 0.0)) and np.any(used & (y <= 0.0)) and np.count_nonzero(used) > 1):
        raise ConfigurationError(
            f"the curves do not pass through a frame error rate of {fer:g}; measure points on both sides of it"
        )
    shares = weights / weights.sum()
    middle, level = float(shares @ x), float(shares @ y)
    lever = shares * (x - middle)
    spread = float(lever @ (x - middle))
    slope = -float(lever @ y) / spread
    if slope <= 0.0:
        raise ConfigurationError(f"the curves do not fall through a frame error rate of {fer:g}; measure more frames")
    return middle + level / slope, shares / slope + level / slope**2 * lever / spread


def distance(curves: PairedCurves, name: str, fer: float = 1e-2) -> Distance:
    """Return by how many dB the decoder `name` lies to the right of the reference where both have the rate `fer`.

    The method is in the module's text. Raises ConfigurationError for an unknown decoder, or when one of the two
    curves does not pass through `fer`, with a point within a decade on either side.
    """
    if not 0.0 < fer < 1.0:
        raise ConfigurationError(f"a frame error rate to compare at must be between 0 and 1, not {fer:g}")
    if name not in curves.names:
        raise ConfigurationError(f"no decoder {name!r} in these curves; there are {', '.join(curves.names)}")
    points = curves.points
    frames = np.array([point.frames for point in points], np.float64)
    theirs = np.array([point.frame_errors for point in points], np.float64)
    ours = np.array([point.errors(name) for point in points], np.float64)
    both = theirs - [point.others[name].won for point in points]
    our_crossing, our_part = _crossing(points, ours, fer)
    their_crossing, their_part = _crossing(points, theirs, fer)
    # Where a count is zero so is its part.
    n, m = np.maximum(ours, 1.0), np.maximum(theirs, 1.0)
    variance = our_part**2 @ (1.0 / n - 1.0 / frames) + their_part**2 @ (1.0 / m - 1.0 / frames)
    variance -= 2.0 * (our_part * their_part) @ (both / (n * m) - 1.0 / frames)
    return Distance(our_crossing - their_crossing, math.sqrt(max(float(variance), 0.0)))


def falls(curve: FerCurve, errors: int = 20) -> bool:
    """Whether the error rate falls from point to point, as far as there are at least `errors` frame errors."""
    return all(left.fer > right.fer for left, right in pairwise(curve.points) if left.frame_errors >= errors)
