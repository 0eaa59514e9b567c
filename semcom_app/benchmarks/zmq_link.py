"""Speed of PDUs between the application and other processes: round trips, rates, encoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import zmq
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from semcom_app.benchmarks.machine import describe_machine
from semcom_app.benchmarks.round_trip import FAR_ENDS, far_end, microseconds, pdus_per_second, round_trips_ms
from semcom_app.progress import printable
from semcom_phy.checks import checked_number
from semcom_phy.flowgraph.python import GnuRadio
from semcom_phy.zmq import Pdu, decode_pdu, encode_pdu

SIZES: Final = (1, 1 << 10, 1 << 16, 1 << 20)
KINDS: Final = ("blocks", "end")
TRANSPORTS: Final = ("tcp", "ipc")
WINDOW: Final = 32
STEPS: Final = len(KINDS) * len(TRANSPORTS)


@dataclass(frozen=True)
class ZmqBenchmark:
    """`repeats`: round trips per figure, one PDU at a time; `rate_pdus`: PDUs of 1 KiB for a rate, 32 under way."""

    repeats: int = 200
    rate_pdus: int = 5000

    def __post_init__(self) -> None:
        checked_number("repeats", self.repeats, 1, 1e5)
        checked_number("rate_pdus", self.rate_pdus, 1, 1e7)


def run(settings: ZmqBenchmark, gnuradio: GnuRadio, advance: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything; see docs/zmq.md."""
    rows = []
    for kind in KINDS:
        for transport in TRANSPORTS:
            with far_end(kind, transport, gnuradio) as link:
                for size in SIZES:
                    row: dict[str, Any] = {
                        "far_end": FAR_ENDS[kind],
                        "transport": transport,
                        "payload_bytes": size,
                        **round_trips_ms(link, size, settings.repeats),
                    }
                    if size == 1 << 10:
                        row["pdus_per_s"] = pdus_per_second(link, size, settings.rate_pdus, WINDOW)
                    rows.append(row)
            advance(f"{FAR_ENDS[kind]}, {transport}")
    return {
        "machine": describe_machine() | {"gnuradio": gnuradio.version, "pyzmq": zmq.__version__},
        "config": asdict(settings) | {"window": WINDOW},
        "rows": rows,
        "codec": _codec(settings.repeats),
    }


def _codec(repeats: int) -> dict[str, float]:
    """Time to encode and decode a small PDU: three entries of metadata, 64 bytes."""
    pdu = Pdu({"frame": 1, "snr_db": 3.5, "name": "image"}, np.zeros(64, np.uint8))
    message = encode_pdu(pdu)
    return {
        "encode_us": microseconds(lambda: encode_pdu(pdu), 10 * repeats),
        "decode_us": microseconds(lambda: decode_pdu(message), 10 * repeats),
    }


def print_zmq(result: Mapping[str, Any]) -> None:
    """Print the result as a table."""
    console = Console(width=100, highlight=False)
    machine = result["machine"]
    console.print(escape(printable(f"{machine['cpu']}, {machine['cores']} cores; GNU Radio {machine['gnuradio']}")))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ("far end", "transport", "payload, bytes", "round trip, ms", "5 %", "95 %", "PDUs/s")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number < 2 else "right", no_wrap=True)
    for row in result["rows"]:
        rate = row.get("pdus_per_s")
        table.add_row(
            row["far_end"],
            row["transport"],
            f"{row['payload_bytes']:,}",
            *(f"{row[key]:.3f}" for key in ("round_trip_ms", "round_trip_ms_p5", "round_trip_ms_p95")),
            "" if rate is None else f"{rate:,.0f}",
        )
    console.print(table)
    codec = result["codec"]
    console.print(f"a small PDU: {codec['encode_us']:.1f} µs to encode, {codec['decode_us']:.1f} µs to decode")
