"""Speed of the sample impairments, each alone, on one core."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from semcom_app.benchmarks.machine import describe_machine
from semcom_app.progress import printable
from semcom_phy.channels.impairments import parse_impairments
from semcom_phy.checks import checked_number

#: What is measured, as `--impair` takes it; the empty text is the cost of the stream itself.
CASES: Final = (
    "",
    "gain=-3",
    "dc=-20",
    "iq=1/5",
    "bits=8",
    "noise=-10",
    "cfo=5000",
    "ppm=20",
    "phase_noise=rtl-sdr",
    "multipath=short",
    "multipath=indoor",
    "multipath=vehicular/100",
    "fading=10",
    "fading=10000",
    "cw=-10/1e5",
    "ofdm=-10",
    "qpsk=-10",
    "gsm=-10/1e5",
    "overflow=100/100",
    "underrun=100/100",
    "cheap-sdr",
)
SAMPLE_RATE_HZ: Final = 1e6
#: Samples of a push, about what GNU Radio hands over at a time. Arrays of 512 KiB and more would cost seven times as
#: much with the cheap impairments, because the system's allocator returns them at once.
CHUNK: Final = 1 << 14


@dataclass(frozen=True)
class ImpairmentBenchmark:
    """`samples` of a timed call, `repeats` of them per figure, `seed` of samples and impairments."""

    samples: int = 2_000_000
    repeats: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        checked_number("samples", self.samples, CHUNK, 1e9)
        checked_number("repeats", self.repeats, 1, 1000)


def run(settings: ImpairmentBenchmark, advance: Callable[[str], None]) -> dict[str, Any]:
    """Measure all `CASES`; `msample_s` is the median over the repeats, in processor time of the thread."""
    rng = np.random.default_rng(settings.seed)
    samples = (rng.standard_normal(2 * settings.samples, np.float32) * np.float32(0.5**0.5)).view(np.complex64)
    rows = []
    for case in CASES:
        rates = [_rate(case, samples, settings.seed) for _ in range(settings.repeats)]
        rows.append(
            {
                "impairment": case or "nothing",
                "msample_s": statistics.median(rates),
                "msample_s_min": min(rates),
                "msample_s_max": max(rates),
            }
        )
        advance(case or "nothing")
    return {"machine": describe_machine(), "config": asdict(settings), "rows": rows}


def _rate(case: str, samples: np.ndarray, seed: int) -> float:
    stream = parse_impairments(case).open(SAMPLE_RATE_HZ, seed)
    stream.push(samples[:CHUNK])  # compilation, tables
    start = time.thread_time()
    for at in range(0, samples.size, CHUNK):
        stream.push(samples[at : at + CHUNK])
    return samples.size / (time.thread_time() - start) / 1e6


def print_impairments(result: Mapping[str, Any]) -> None:
    """Print machine and rows."""
    console = Console(width=100, highlight=False)
    console.print(f"{escape(printable(str(result['machine']['cpu'])))}, one core; Msample/s")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(("impairment", "median", "from", "to")):
        table.add_column(column, justify="right" if number else "left", no_wrap=True)
    for row in result["rows"]:
        figures = (f"{row[key]:.1f}" for key in ("msample_s", "msample_s_min", "msample_s_max"))
        table.add_row(escape(row["impairment"]), *figures)
    console.print(table)
