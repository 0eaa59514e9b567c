"""What a replay found, as tables on the terminal, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from semcom_app.tables import plain_text

MAX_BURSTS = 40
MAX_FRAMES = 20


def verdict(crc_ok: bool | None) -> str:
    """The CRC verdict of a burst in a word."""
    return "late" if crc_ok is None else "ok" if crc_ok else "fail"


def frame_state(row: Mapping[str, Any]) -> str:
    """The outcome of a frame in a word."""
    if not row["delivered"]:
        return "LOST"
    return "intact" if row["intact"] else "damaged"


_DROPPED = {
    ("receiver", "bursts_truncated"): "bursts cut off",
    ("receiver", "headers_failed"): "preambles with an unreadable header",
    ("receiver", "headers_invalid"): "headers of another kind",
    ("receiver", "oversized"): "bursts too long",
    ("receiver", "overflowed"): "bursts too many at a time",
    ("assembler", "late"): "bursts of frames that were complete",
    ("assembler", "inconsistent"): "bursts that contradict their frame",
    ("assembler", "oversized"): "bursts of frames too long",
}


def dropped(summary: Mapping[str, Any]) -> list[str]:
    """What was found and is of no or little use, as "number what", without what did not happen."""
    counts = {what: summary[part][name] for (part, name), what in _DROPPED.items()}
    return [f"{count} {what}" for what, count in counts.items() if count]


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _bursts(summary: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("time s", "image", "fragment", "rv", "payload", "Es/N0", "CFO", "ppm", "EVM %", "CRC"):
        table.add_column(title, justify="left" if title in ("payload", "CRC") else "right", no_wrap=True)
    for burst in summary["bursts"][:MAX_BURSTS]:
        table.add_row(
            f"{burst['time_s']:.4f}",
            str(burst["image"]),
            f"{burst['fragment'] + 1}/{burst['fragments']}",
            str(burst["redundancy"]),
            burst["modulation"],
            f"{burst['esn0_db']:.1f}",
            f"{burst['cfo_hz']:.0f}",
            f"{burst['clock_offset_ppm']:.0f}",
            f"{burst['evm_percent']:.0f}",
            verdict(burst["crc_ok"]) + (" cut" if burst["symbols_missing"] else ""),
        )
    return table


def _frames(summary: Mapping[str, Any]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("frame", "image", "state", "picture", "bursts", "failed", "file"):
        table.add_column(title, justify="left" if title in ("state", "file") else "right", no_wrap=True)
    for number, row in enumerate(summary["images"][:MAX_FRAMES], 1):
        table.add_row(
            str(number),
            str(row["image"]),
            frame_state(row),
            "–" if row["width"] is None else f"{row['width']}×{row['height']}",
            f"{row['fragments_received']}/{row['fragments_expected']}",
            f"{row['blocks_failed']}/{row['blocks']}",
            row["received_file"],
        )
    return table


def print_replay(summary: Mapping[str, Any], out: Path) -> None:
    """Print the bursts (the first 40), the frames (the first 20) and what was odd about the recording."""
    console = Console(highlight=False)
    recording, found = summary["recording"], summary["summary"]
    frames = f"{_plural(found['bursts'], 'burst')}, {_plural(found['frames'], 'frame')}"
    console.print(
        plain_text(
            f"{recording['file']}: {recording['duration_s']:.3g} s of {recording['datatype']} at "
            f"{recording['sample_rate_hz']:g} samples/s; {frames}, "
            f"{found['frames_delivered']} delivered, {found['frames_intact']} intact"
        ),
        soft_wrap=True,
    )
    if summary["bursts"]:
        console.print(_bursts(summary))
        if len(summary["bursts"]) > MAX_BURSTS:
            console.print(f"… and {len(summary['bursts']) - MAX_BURSTS} more in result.json")
    if summary["images"]:
        console.print(_frames(summary))
        if len(summary["images"]) > MAX_FRAMES:
            console.print(f"… and {len(summary['images']) - MAX_FRAMES} more in result.json")
    for row in summary["images"][:MAX_FRAMES]:
        if row["error"]:
            console.print(plain_text(f"image {row['image']}: {row['error']}"), soft_wrap=True)
    if dropped(summary):
        console.print(f"also: {', '.join(dropped(summary))}", soft_wrap=True)
    if recording["non_finite_samples"]:
        console.print(f"{recording['non_finite_samples']} samples were not finite and counted as 0")
    for problem in recording["problems"]:
        console.print(plain_text(problem), soft_wrap=True)
    console.print(plain_text(f"report: {out / 'report.html'}"), soft_wrap=True)
