"""The turbo benchmark as tables on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from semcom_app.progress import printable

WIDTH = 110


def _plain(text: str) -> str:
    return escape(printable(text))


def _figure(value: float | None) -> str:
    """Three significant digits without an exponent, a dash for nothing."""
    if value is None:
        return "–"
    if value >= 1000:
        return f"{value:,.0f}"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3 if value >= 0.1 else 4
    return f"{value:.{digits}f}"


def _table(title: str, *columns: str) -> Table:
    table = Table(
        title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1), collapse_padding=True
    )
    for number, column in enumerate(("decoder", "algorithm", "numbers", *columns)):
        table.add_column(column, justify="left" if number < 3 else "right", no_wrap=True)
    return table


def _name(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return _plain(row["backend"]), _plain(row["algorithm"]), _plain(row["arithmetic"])


def _speeds(result: Mapping[str, Any]) -> Table:
    table = _table(
        "Speed in Mbit/s from LLRs to checked bits, and of the decoder alone",
        "1 core",
        "±",
        "alone",
        "batch",
        "all cores",
        "ms/block",
        "× ref.",
        "× commpy",
    )
    for row in result["rows"]:
        table.add_row(
            *_name(row),
            _figure(row["mbit_s"]),
            f"{50 * (row['mbit_s_max'] - row['mbit_s_min']) / row['mbit_s']:.0f} %",
            _figure(row["decoder_mbit_s"]),
            str(row["blocks_per_call"]),
            _figure(row.get("mbit_s_all_cores")),
            _figure(row["latency_ms"]),
            _figure(row["speed_vs_reference"]),
            _figure(row["speed_vs_commpy"]),
        )
    return table


def _errors(result: Mapping[str, Any]) -> Table:
    table = _table("Errors: frame error rate with its 95 % interval", "Eb/N0 dB", "frames", "FER", "interval", "BER")
    for row in result["rows"]:
        name = _name(row)
        for point in row["points"]:
            table.add_row(
                *name,
                f"{point['ebn0_db']:g}",
                f"{point['frame_errors']} of {point['frames']}",
                f"{point['fer']:.2g}",
                f"{point['fer_95_low']:.1e}…{point['fer_95_high']:.1e}",
                f"{point['ber']:.1e}",
            )
            name = ("", "", "")
    return table


def print_benchmark(result: Mapping[str, Any]) -> None:
    """Print machine, speeds, errors, what was not measured, and figures from elsewhere."""
    machine, config = result["machine"], result["config"]
    console = Console(highlight=False)
    console.width = max(console.width, WIDTH)
    sets = " ".join(machine["instruction_sets"])
    gpu = f"; GPU {machine['gpu']}" if machine["gpu"] else ""
    console.print(_plain(f"{machine['cpu']} ({sets}), {machine['cores']} cores{gpu}"))
    console.print(f"turbo code, K = {config['size']}, {config['iterations']} iterations, no early stop\n")
    console.print(_speeds(result))
    console.print(_errors(result))
    for note in dict.fromkeys((row["backend"], row["note"]) for row in result["rows"] if row["note"]):
        console.print(_plain(f"{note[0]}: {note[1]}"))
    for entry in result["skipped"]:
        name = " ".join(filter(None, (entry["backend"], entry["algorithm"], entry["arithmetic"])))
        console.print(_plain(f"not measured: {name}: {entry['reason']}"))
    if (config["size"], config["iterations"]) == (6144, 5):
        elsewhere = ", ".join(
            f"{p['program']} {p['algorithm']} {p['arithmetic']} {p['mbit_s']:g}" for p in result["published"]
        )
        console.print(_plain(f"others, Mbit/s on one core ({result['published'][0]['on']}): {elsewhere}"))
