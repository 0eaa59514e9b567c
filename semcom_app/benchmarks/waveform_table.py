"""The waveform benchmark as a table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from semcom_app.progress import printable


def print_benchmark(result: Mapping[str, Any]) -> None:
    """Print machine and rows."""
    console = Console(width=100, highlight=False)
    machine = result["machine"]
    console.print(f"{escape(printable(str(machine['cpu'])))}, one core; {result['config']['samples']:,} samples a call")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, column in enumerate(("what", "program", "sps", "Msample/s", "from", "to", "bursts")):
        table.add_column(column, justify="left" if number < 2 else "right", no_wrap=True)
    for row in result["rows"]:
        bursts = "–" if row["bursts"] is None else f"{row.get('bursts_received', 0)}/{row['bursts']}"
        table.add_row(
            row["what"],
            escape(printable(row["program"])),
            str(row["sps"]),
            *(f"{row[key]:.1f}" for key in ("msample_s", "msample_s_min", "msample_s_max")),
            bursts,
        )
    console.print(table)
    for entry in result["skipped"]:
        console.print(escape(printable(f"{entry['program']}: {entry['reason']}")))
    if any(row["program"].startswith("GNU Radio") for row in result["rows"]):
        console.print("GNU Radio runs its blocks on several cores, finds no bursts and makes no soft bits.")
