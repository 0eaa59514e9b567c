"""Results as a short table on the terminal, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from semcom_app.progress import printable

MAX_ROWS = 20
MAX_NAME = 24


def plain_text(text: str) -> str:
    """Text that may hold anything, such as a file name, as it is to be printed."""
    return escape(printable(text))


def _short(name: str) -> str:
    """A name of at most MAX_NAME characters; what is left out is left out in the middle."""
    half = (MAX_NAME - 1) // 2
    return name if len(name) <= MAX_NAME else f"{name[:half]}…{name[-half:]}"


def _number(value: float | None, pattern: str, none: str = "–") -> str:
    return none if value is None else format(value, pattern)


def _state(row: Mapping[str, Any]) -> str:
    if not row["delivered"]:
        return "LOST"
    return "intact" if row["intact"] else "damaged"


def _psnr(row: Mapping[str, Any]) -> str:
    # None means infinite where a picture was delivered: it equals the one that was sent.
    return _number(row["psnr_db"], ".2f", "∞" if row.get("delivered") else "–")


def _headline(summary: Mapping[str, Any]) -> str:
    config, row = summary["config"], summary["images"][0]
    snr = ""
    if row["snr_db"] is not None:
        snr = f" at Es/N0 {row['snr_db']:g} dB (Eb/N0 {row['ebn0_db']:.1f} dB)"
    elif config.get("flip_probability") is not None:
        snr = f" with flip probability {config['flip_probability']:g}"
    return f"{config['codec']} over {config['link']}, {config['channel']}{snr}, fec {config['fec']}"


def _quality(row: Mapping[str, Any]) -> str:
    if not row["delivered"]:
        return "counted with the worst values: PSNR 0 dB, SSIM 0"
    ssim = _number(row["ssim"], ".4f", "not defined for so small a picture")
    return f"PSNR {_psnr(row)} dB, SSIM {ssim}"


def _errors(row: Mapping[str, Any]) -> str:
    rates = f"BER {_number(row['ber_raw'], '.2e')} raw, {_number(row['ber_decoded'], '.2e')} decoded"
    if not row["blocks"]:
        return f"{rates}; nothing decoded"
    return f"{rates}; {row['blocks_failed']} of {row['blocks']} blocks failed"


def _notes(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What was done to the pictures; what was done to several of them is said once."""
    pictures: dict[str, list[str]] = {}
    for row in rows:
        for note in row["notes"]:
            pictures.setdefault(note, []).append(row["image"])
    for note, names in pictures.items():
        yield f"{names[0] if len(names) == 1 else f'{len(names)} pictures'}: {note}"


def _single(row: Mapping[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="left")
    table.add_column(justify="left", overflow="fold")
    lines = {
        "picture": f"{row['image']}, {row['width']}×{row['height']}",
        "state": _state(row) + (f": {row['error']}" if row["error"] else ""),
        "quality": _quality(row),
        "payload": f"{row['payload_bits']:,} bits, {100 * row['compression_rate']:.3f} % of the picture"
        f" ({100 * row['compression_rate_with_header']:.3f} % with header)",
        "cost": f"{row['channel_uses']:,} channel uses, CBR {row['cbr']:.4f}, code rate {row['rate']:.4f}",
        "errors": _errors(row),
        "time": f"encode {row['encode_ms']:.0f} ms, link {row['link_ms']:.0f} ms, decode {row['decode_ms']:.0f} ms",
    }
    for name, text in lines.items():
        table.add_row(name, plain_text(text))
    return table


def _cells(row: Mapping[str, Any], state: str) -> list[str]:
    total_ms = sum(row[key] or 0.0 for key in ("encode_ms", "link_ms", "decode_ms"))
    return [
        state,
        _psnr(row),
        _number(row["ssim"], ".3f"),
        _number(row["channel_uses"], ".0f"),
        _number(row["cbr"], ".4f"),
        _number(row["ber_decoded"], ".1e"),
        f"{total_ms / 1000:.1f}",
    ]


def _several(summary: Mapping[str, Any]) -> Table:
    rows, mean = summary["images"], summary["mean"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column("picture", overflow="ellipsis", max_width=MAX_NAME, no_wrap=True)
    table.add_column("state", no_wrap=True)
    for title in ("PSNR dB", "SSIM", "uses", "CBR", "BER", "s"):
        table.add_column(title, justify="right", no_wrap=True)
    for row in rows[:MAX_ROWS]:
        table.add_row(plain_text(_short(row["image"])), *_cells(row, _state(row)))
    table.add_section()
    lost = mean["images_lost"]
    table.add_row(f"mean of {len(rows)}", *_cells(mean, f"{lost} lost" if lost else "none lost"))
    return table


def print_results(summary: Mapping[str, Any], out: Path) -> None:
    """Print one picture in full, or one row per picture (the first 20) and the mean; then where the files are."""
    rows = summary["images"]
    console = Console(highlight=False)
    console.print(plain_text(_headline(summary)))
    console.print(_single(rows[0]) if len(rows) == 1 else _several(summary))
    if len(rows) > MAX_ROWS:
        console.print(f"… and {len(rows) - MAX_ROWS} more in result.json")
    for note in _notes(rows):
        console.print(plain_text(note))
    console.print(plain_text(f"report: {out / 'report.html'}"), soft_wrap=True)
