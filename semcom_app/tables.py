"""Results as a short table on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

MAX_ROWS = 20


def _number(value: float | None, pattern: str, none: str = "–") -> str:
    return none if value is None else format(value, pattern)


def _state(row: Mapping[str, Any]) -> str:
    if not row["delivered"]:
        return f"LOST ({row['error']})"
    return "intact" if row["intact"] else "damaged"


def _cells(row: Mapping[str, Any], state: str) -> list[str]:
    identical = "∞" if row.get("delivered") else "–"
    return [
        state,
        _number(row["psnr_db"], ".2f", identical),
        _number(row["ssim"], ".4f"),
        _number(row["payload_bits"], ",.0f"),
        _number(row["channel_uses"], ",.0f"),
        _number(row["cbr"], ".4f"),
        _number(row["ber_raw"], ".2e"),
        _number(row["ber_decoded"], ".2e"),
        f"{_number(row['blocks_failed'], '.4g')}/{_number(row['blocks'], '.4g')}",
        " + ".join(_number(row[key], ".0f") for key in ("encode_ms", "link_ms", "decode_ms")),
    ]


def print_results(summary: Mapping[str, Any], out: Path) -> None:
    """Print one row per picture (the first 20), the mean, and where the files are."""
    config, rows, mean = summary["config"], summary["images"], summary["mean"]
    console = Console(highlight=False)
    first = rows[0]
    snr = (
        "" if first["snr_db"] is None else f", Es/N0 {first['snr_db']:g} dB (Eb/N0 {first['ebn0_db']:.1f} dB)"
    )
    console.print(
        escape(f"{config['codec']} over {config['link']} link, {config['channel']}{snr}, fec {config['fec']}")
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("picture", overflow="fold")
    table.add_column("state", overflow="fold")
    for title in (
        "PSNR dB",
        "SSIM",
        "bits",
        "uses",
        "CBR",
        "BER raw",
        "BER",
        "bad/blocks",
        "enc + link + dec ms",
    ):
        table.add_column(title, justify="right", overflow="fold")
    for row in rows[:MAX_ROWS]:
        table.add_row(escape(row["image"]), *map(escape, _cells(row, _state(row))))
    if len(rows) > 1:
        lost = mean["images_lost"]
        table.add_section()
        state = f"{lost} of {len(rows)} lost" if lost else f"{mean['images_intact']} intact"
        table.add_row(f"mean of {len(rows)}", *map(escape, _cells(mean, state)))
    console.print(table)
    if len(rows) > MAX_ROWS:
        console.print(f"… and {len(rows) - MAX_ROWS} more in result.json")
    for row in rows[:MAX_ROWS]:
        for note in row["notes"]:
            console.print(escape(f"{row['image']}: {note}"))
    console.print(escape(f"report: {out / 'report.html'}"))
