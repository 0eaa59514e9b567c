"""Remake the error rate curves of the turbo decoders and their figure: `python docs/make_fer_curves.py`.

Writes one file for each block size and code rate to tests/refs/turbo (the method is in `semcom_app.benchmarks.paired`),
docs/figures/turbo_fer.png, and a table of distances to standard output. Twenty to thirty minutes on one core.

Eight iterations, no early stop: enough that algorithms and number formats are told apart rather than how fast each
converges, and what receivers can afford. Where the exact decoder loses 66 % of K = 6144 in five iterations, it
loses 25 % in six, 2 % in eight, and fewer still in more (rate 1/3, Eb/N0 0.36 dB).
"""

from __future__ import annotations

import argparse
import io
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

import semcom_phy
from semcom_app.benchmarks.fer import FerCurve, StopRule, ebn0_at, ebn0_range
from semcom_app.benchmarks.frames import FrameSource
from semcom_app.benchmarks.paired import (
    Contender,
    PairedCurves,
    distance,
    load_paired,
    paired_text,
    simulate_paired,
)
from semcom_app.images import write_bytes

HERE = Path(__file__).parent
CURVES = HERE.parent / "tests" / "refs" / "turbo"
FIGURE = HERE / "figures" / "turbo_fer.png"

SEED: Final = 1
ITERATIONS: Final = 8
RATES: Final = {"1/3": None, "1/2": 1 / 2, "3/4": 3 / 4, "8/9": 8 / 9}

EXACT: Final = Contender("exact", "log-map", "float64", windows=False)
FLOAT32: Final = Contender("float32", "log-map", "float32")
LINEAR: Final = Contender("linear", "linear-log-map", "float32")
LINEAR16: Final = Contender("linear16", "linear-log-map", "int16")
MAXLOG16: Final = Contender("maxlog16", "max-log", "int16")
CONTENDERS: Final = (FLOAT32, LINEAR, LINEAR16, MAXLOG16)

#: Eb/N0 in dB (start:stop:step) from a frame error rate of about 0.5 to a few thousandths, of max-log too.
EBN0: Final = {
    ("1/3", 40): "0.2:3.2:0.3",
    ("1/3", 512): "0.2:1.1:0.1",
    ("1/3", 1024): "0.12:0.84:0.08",
    ("1/3", 2048): "0.14:0.74:0.06",
    ("1/3", 6144): "0.18:0.54:0.03",
    ("1/2", 40): "0.8:4.1:0.3",
    ("1/2", 512): "0.8:1.9:0.1",
    ("1/2", 1024): "0.8:1.6:0.08",
    ("1/2", 2048): "0.8:1.34:0.06",
    ("1/2", 6144): "0.82:1.18:0.03",
    ("3/4", 40): "1.8:5.8:0.4",
    ("3/4", 512): "2.2:3.55:0.15",
    ("3/4", 1024): "2.15:3.05:0.1",
    ("3/4", 2048): "2.18:2.9:0.08",
    ("3/4", 6144): "2.18:2.62:0.04",
    ("8/9", 40): "2.5:7:0.5",
    ("8/9", 512): "3.55:5.2:0.15",
    ("8/9", 1024): "3.55:4.75:0.12",
    ("8/9", 2048): "3.52:4.32:0.08",
    ("8/9", 6144): "3.5:3.98:0.04",
}
#: Frame errors of the exact decoder at each point. A point has at most `MOST_FRAMES` times as many frames.
FRAME_ERRORS: Final = {40: 3000, 512: 600, 1024: 400, 2048: 200, 6144: 100}
MOST_FRAMES: Final = 200
QUICK_SIZES: Final = (40, 512)
QUICK_FRAME_ERRORS: Final = 40

#: Error floors are looked for this far above the Eb/N0 at which the exact decoder has a frame error rate of 1e-2, with
#: so many frames that a rate of 1e-5 would show (four frames expected).
FLOOR_DB: Final = 1.0
FLOOR_FRAMES: Final = 400_000
FLOOR_RATE: Final = "1/3"
FLOOR_SIZES: Final = (40, 512, 1024, 6144)
FLOOR_CONTENDERS: Final = (FLOAT32, LINEAR16)
QUICK_FLOOR_FRAMES: Final = 2000


@dataclass(frozen=True)
class Case:
    """A block size and a code rate; `name` is its file's, without the ending."""

    size: int
    rate: str

    @property
    def name(self) -> str:
        return f"k{self.size}_r{self.rate.replace('/', '-')}_i{ITERATIONS}_awgn"

    @property
    def floor_name(self) -> str:
        return f"{self.name}_floor"

    @property
    def has_floor(self) -> bool:
        return self.rate == FLOOR_RATE and self.size in FLOOR_SIZES

    @property
    def source(self) -> FrameSource:
        return FrameSource(self.size, RATES[self.rate], SEED)

    def file(self, folder: Path) -> Path:
        return folder / f"{self.name}.txt"


CASES: Final = tuple(Case(size, rate) for rate, size in EBN0)


# --- curves ----------------------------------------------------------------------------------------


def header(case: Case, name: str, contenders: Sequence[Contender], stop: str, quick: bool) -> dict[str, str]:
    """What a file says about its numbers."""
    source = case.source
    sent = "the encoder's streams in full" if source.rate is None else "rate matching, redundancy version 0"
    packages = ", ".join(f"{package} {metadata.version(package)}" for package in ("numpy", "numba"))
    return {
        "command": f"python docs/make_fer_curves.py --only {name}{' --quick' if quick else ''}",
        "code": "3GPP TS 36.212 turbo code, generators (13, 15) octal, QPP interleaver, 12 tail bits",
        "K": f"{source.size} information bits, CRC24B included, no filler",
        "E": f"{source.coded_bits} transmitted bits, {sent}",
        "rate": f"K / E = {source.size / source.coded_bits:.6f}",
        "iterations": f"{ITERATIONS}, no early stop",
        "noise": "BPSK over AWGN; Eb/N0 in dB per information bit; Es/N0 = Eb/N0 + 10 log10(rate)",
        "frames": f"seed {source.seed}; the same bits and noise for all decoders",
        "stop": stop,
        "frame_errors": str(EXACT),
        **{contender.name: str(contender) for contender in contenders},
        "+name": "frames that decoder name loses and the one of frame_errors does not",
        "-name": "frames that the one of frame_errors loses and decoder name does not",
        "versions": f"semcom {semcom_phy.__version__}, {packages}",
    }


def write_curves(case: Case, folder: Path, threads: int, quick: bool) -> None:
    """Simulate the curves of a case into its file."""
    errors = QUICK_FRAME_ERRORS if quick else FRAME_ERRORS[case.size]
    stop = StopRule(errors, errors * MOST_FRAMES)
    rule = f"with frame error {stop.frame_errors} of frame_errors, or after {stop.frames} frames"
    points = []
    for level in ebn0_range(EBN0[case.rate, case.size]):
        points.append(simulate_paired(case.source, level, EXACT, CONTENDERS, ITERATIONS, stop, threads))
        say(f"{case.name}: {level:g} dB, {points[-1].frame_errors} of {points[-1].frames}")
    curves = PairedCurves(tuple(points), header(case, case.name, CONTENDERS, rule, quick))
    title = "Frame errors of turbo decoders over BPSK/AWGN."
    write_bytes(case.file(folder), paired_text(title, curves).encode())


def write_floor(case: Case, folder: Path, threads: int, quick: bool) -> None:
    """Count what is lost well beyond the waterfall."""
    frames = QUICK_FLOOR_FRAMES if quick else FLOOR_FRAMES
    level = round(ebn0_at(load_paired(case.file(folder)).curve(), 1e-2) + FLOOR_DB, 2)
    point = simulate_paired(case.source, level, EXACT, FLOOR_CONTENDERS, ITERATIONS, StopRule(frames, frames), threads)
    say(f"{case.floor_name}: {level:g} dB, {point.frame_errors} of {point.frames}")
    text = header(case, case.floor_name, FLOOR_CONTENDERS, f"after {frames} frames", quick)
    title = f"Frame errors of turbo decoders {FLOOR_DB:g} dB beyond a frame error rate of 1e-2, BPSK/AWGN."
    content = paired_text(title, PairedCurves((point,), text))
    write_bytes(folder / f"{case.floor_name}.txt", content.encode())


def say(text: str) -> None:
    """Tell how far it is, with the time since the start."""
    print(f"[{time.monotonic() - STARTED:5.0f} s] {text}", file=sys.stderr, flush=True)


STARTED = time.monotonic()


# --- table and figure ------------------------------------------------------------------------------


def table(folder: Path, cases: Sequence[Case]) -> Iterator[str]:
    """Yield the lines of a Markdown table: Eb/N0 of the exact decoder at 1e-2, distances of the others in dB."""
    names = [contender.name for contender in CONTENDERS]
    yield f"| rate | K | exact, Eb/N0 | {' | '.join(names)} |"
    yield "|---|---|---|" + "---|" * len(names)
    for case in cases:
        curves = load_paired(case.file(folder))
        cells = []
        for name in names:
            found = distance(curves, name)
            cells.append(f"{found.db:+.3f} ± {found.sigma_db:.3f}")
        yield f"| {case.rate} | {case.size} | {ebn0_at(curves.curve(), 1e-2):.2f} | {' | '.join(cells)} |"


# Colours that stay apart for colour-blind readers (Okabe and Ito), one for each block size.
_COLOURS: Final = {40: "#d55e00", 512: "#e69f00", 1024: "#009e73", 2048: "#56b4e9", 6144: "#0072b2"}
_STYLES: Final = (
    (None, "exact log-MAP, float64", {"linestyle": "-", "marker": "o", "markersize": 3.2}),
    (LINEAR16.name, "linear log-MAP, int16", {"linestyle": "--", "marker": "x", "markersize": 4.5}),
    (MAXLOG16.name, "max-log × 0.75, int16", {"linestyle": ":", "marker": "^", "markersize": 3.2}),
)


def figure(folder: Path, cases: Sequence[Case]) -> bytes:
    """Plot a panel for each rate with the curves of all sizes; return a PNG."""
    rates = list(dict.fromkeys(case.rate for case in cases))
    rows = math.ceil(len(rates) / 2)
    drawing = Figure(figsize=(11.0, 0.8 + 4.9 * rows), layout="constrained")
    panels = drawing.subplots(rows, min(2, len(rates)), squeeze=False, sharey=True).ravel()
    for axis, rate in zip(panels, rates, strict=False):
        for case in (case for case in cases if case.rate == rate):
            curves = load_paired(case.file(folder))
            for name, _, style in _STYLES:
                _draw(axis, curves.curve(name), _COLOURS[case.size], style)
        axis.set_yscale("log")
        axis.set_ylim(1e-3, 1.0)
        axis.set_title(f"rate {rate}", fontsize=10)
        axis.set_xlabel("Eb/N0 [dB]")
        axis.grid(which="major", alpha=0.35)
        axis.grid(which="minor", alpha=0.12)
    for axis in panels[:: min(2, len(rates))]:
        axis.set_ylabel("frame error rate")
    sizes = sorted({case.size for case in cases})
    handles = [Line2D([], [], color=_COLOURS[size], linewidth=2.5, label=f"K = {size}") for size in sizes]
    handles += [Line2D([], [], color="black", linewidth=1.1, label=text, **style) for _, text, style in _STYLES]
    drawing.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=9, frameon=False)
    buffer = io.BytesIO()
    drawing.savefig(buffer, format="png", dpi=120, metadata={"Software": None})
    return buffer.getvalue()


def _draw(axis, curve: FerCurve, colour: str, style: dict) -> None:
    counted = [point for point in curve.points if point.frame_errors]
    x, y = ([point.ebn0_db for point in counted], [point.fer for point in counted])
    axis.plot(x, y, color=colour, linewidth=1.1, **style)


def main() -> int:
    """Make everything, or what was asked for."""
    known = [case.name for case in CASES] + [case.floor_name for case in CASES if case.has_floor]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="NAME", choices=known, help="remake this file alone, no figure")
    parser.add_argument("--figure-only", action="store_true", help="remake figure and table from the files there are")
    parser.add_argument("--quick", action="store_true", help="two block sizes and few frames, in seconds: try the tool")
    parser.add_argument("--threads", type=int, default=1, help="cores to use; the counts do not depend on it")
    parser.add_argument("--out", type=Path, help="folder for files and figure, with --quick out/fer_curves")
    given = parser.parse_args()
    folder = given.out or (Path("out/fer_curves") if given.quick else None)
    picture = folder / FIGURE.name if folder else FIGURE
    folder = folder or CURVES
    folder.mkdir(parents=True, exist_ok=True)
    cases = [case for case in CASES if not given.quick or case.size in QUICK_SIZES]
    if not given.figure_only:
        for case in cases:
            if given.only in (None, case.name):
                write_curves(case, folder, given.threads, given.quick)
            if case.has_floor and given.only in (None, case.floor_name):
                write_floor(case, folder, given.threads, given.quick)
    if given.only is None:
        write_bytes(picture, figure(folder, cases))
        print("\n".join(table(folder, cases)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
