"""Speed of the bit allocations, and how far each of them is from the optimum."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt
from rich import box
from rich.console import Console
from rich.table import Table

from semcom_app.allocation import AllocationConfig, allocate, importance_weights, make_distortion
from semcom_app.benchmarks.machine import describe_machine
from semcom_phy.errors import ConfigurationError

#: Peakedness of the importance maps: most of an image's sum in a tenth of its patches, as attention has it.
_CONCENTRATION = 0.35
_MODIFIED = ("mia", "mia-greedy", "mwf")

_WIDTH = 100

Progress = Callable[[str], None]


@dataclass(frozen=True)
class AllocationBenchmark:
    """What is measured.

    patches, images: shape of the batch. bits: Σ M_i per patch on average. minimum: M_min. mu: bit flip probability of
    the modified algorithms. repeats: timed calls, the median counts. seed: of the importance maps.
    """

    patches: int = 196
    images: int = 256
    bits: float = 2.0
    minimum: int = 1
    mu: float = 0.05
    repeats: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.patches <= 1 << 16 and 1 <= self.images <= 1 << 16 and 1 <= self.repeats <= 1000):
            raise ConfigurationError("patches and images must be 1 to 65536, repeats 1 to 1000")
        if not self.minimum <= self.bits <= 8:
            raise ConfigurationError(
                f"bits per sample must lie between the minimum {self.minimum} and 8, not {self.bits}"
            )


def methods(settings: AllocationBenchmark) -> list[tuple[str, AllocationConfig]]:
    """Name and configuration of every row: each algorithm, and its options as in the paper."""
    plain = AllocationConfig(minimum=settings.minimum, mu=settings.mu)
    in_paper_order = dataclasses.replace(plain, order="paper")
    bisected = dataclasses.replace(plain, solver="bisection", order="paper")
    rows = [("ia-greedy", plain), ("ia", plain), ("wf", plain), ("wf", in_paper_order), ("wf", bisected)]
    rows += [("mia-greedy", plain), ("mia", plain), ("mwf", plain), ("mwf", in_paper_order), ("mwf", bisected)]
    return rows + [(name, plain) for name in ("fixed", "topk", "at", "ast")]


def run(settings: AllocationBenchmark, progress: Progress = lambda name: None) -> dict[str, Any]:
    """Measure all methods on one batch; returns the object that ``semcom bench allocation --json`` prints.

    Rows have `method`, `order` and `solver`; `us_per_image` and `allocations_s` for the batch, `us_alone` for one image
    (processor time of one thread, median of the repeats); `speed_vs_greedy` for batches; `excess_db_mean` and
    `excess_db_worst`, the weighted distortion above that of the literal greedy algorithm (error free or under μ, as the
    method's own objective is); `unused_percent` of the budget.
    """
    rng = np.random.default_rng(settings.seed)
    importance = rng.dirichlet(np.full(settings.patches, _CONCENTRATION), size=settings.images)
    weights = importance_weights(importance)
    total = int(settings.bits * settings.patches)
    rows: list[dict[str, Any]] = []
    optima: dict[bool, npt.NDArray[np.float64]] = {}
    greedy_time: dict[bool, float] = {}
    for name, config in methods(settings):
        progress(name)
        modified = name in _MODIFIED
        bits = allocate(name, importance, total, config)
        seconds = _processor_time(partial(allocate, name, importance, total, config), settings.repeats)
        alone = _processor_time(partial(allocate, name, importance[0], total, config), settings.repeats)
        model = make_distortion("one-flip", settings.mu) if modified else make_distortion("error-free")
        cost = (weights * model.value(bits)).sum(axis=1)
        if name.endswith("-greedy"):
            optima[modified], greedy_time[modified] = cost, seconds
        excess = 10.0 * np.log10(cost / optima[modified])
        rows.append(
            {
                "method": name,
                "order": config.order if name in ("wf", "mwf") else None,
                "solver": config.solver if name in ("wf", "mwf") else None,
                "us_per_image": 1e6 * seconds / settings.images,
                "us_alone": 1e6 * alone,
                "allocations_s": settings.images / seconds,
                "speed_vs_greedy": greedy_time[modified] / seconds,
                "excess_db_mean": float(excess.mean()),
                "excess_db_worst": float(excess.max()),
                "unused_percent": float(100.0 * (1.0 - bits.sum(axis=1, dtype=int) / total).mean()),
            }
        )
    return {"machine": describe_machine(), "config": dataclasses.asdict(settings), "rows": rows}


def _processor_time(work: Callable[[], object], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        started = time.thread_time()
        work()
        times.append(time.thread_time() - started)
    # A clock that is too coarse for a tiny batch must not make it infinitely fast.
    return max(median(times), 1e-9)


def print_allocations(result: Mapping[str, Any]) -> None:
    """Print the machine and the table."""
    config, console = result["config"], Console(highlight=False)
    console.width = max(console.width, _WIDTH)
    console.print(result["machine"]["cpu"], markup=False)
    console.print(
        f"{config['images']} images of {config['patches']} patches, "
        f"{config['bits']:g} bits per sample, mu {config['mu']:g}\n"
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True)
    for column in (
        "method",
        "adjusted",
        "level",
        "µs/image",
        "alone",
        "images/s",
        "× greedy",
        "excess dB",
        "worst",
        "unused",
    ):
        table.add_column(column, justify="left" if column in ("method", "adjusted", "level") else "right", no_wrap=True)
    for row in result["rows"]:
        table.add_row(
            row["method"],
            row["order"] or "",
            row["solver"] or "",
            f"{row['us_per_image']:.1f}",
            f"{row['us_alone']:.0f}",
            f"{row['allocations_s']:,.0f}",
            f"{row['speed_vs_greedy']:.1f}",
            f"{row['excess_db_mean']:.3f}",
            f"{row['excess_db_worst']:.3f}",
            f"{row['unused_percent']:.1f} %",
        )
    console.print(table)
