"""Round trips of PDUs over ZeroMQ: the far end is another process (`gnuradio_echo`)."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np

from semcom_phy.flowgraph.process import FlowgraphProcess
from semcom_phy.flowgraph.python import GnuRadio, environment
from semcom_phy.zmq import ApplicationEnd, LinkAddresses, Pdu, UInt64

_WORKER: Final = Path(__file__).with_name("gnuradio_echo.py")
#: Names of the far ends, by what `gnuradio_echo` calls them.
FAR_ENDS: Final = {"blocks": "GNU Radio's ZeroMQ blocks", "application": "Application block", "end": "FlowgraphEnd"}
_READY_TIMEOUT_S: Final = 60.0
_WARM_UP: Final = 20


@contextmanager
def far_end(kind: str, transport: str, gnuradio: GnuRadio) -> Iterator[ApplicationEnd]:
    """Start an echo in another process, and connect to it over "tcp" or "ipc"; raises LinkError if that fails."""
    address = {"tcp": "tcp://127.0.0.1:*", "ipc": "ipc://*"}[transport]
    with ApplicationEnd(LinkAddresses(*[address] * 4)) as link:
        command: list[str | Path] = [gnuradio.python, _WORKER, kind, *link.addresses.as_arguments()]
        with FlowgraphProcess(command, name=FAR_ENDS[kind], environment=environment()) as process:
            link.wait_ready(_READY_TIMEOUT_S, pid=process.pid, accept_echo=True)
            yield link


def frame_like(payload_bytes: int) -> Callable[[int], Pdu]:
    """PDUs that are frames of so many bits, one a byte, by their number."""
    payload = np.random.default_rng(payload_bytes).integers(0, 2, payload_bytes, dtype=np.uint8)
    header = np.zeros(16, np.uint8)
    return lambda number: Pdu({"frame": UInt64(number), "header": header}, payload)


def round_trips_ms(link: ApplicationEnd, payload_bytes: int, repeats: int) -> dict[str, float]:
    """Median, fastest and slowest twentieth of `repeats` round trips, one PDU at a time."""
    pdu = frame_like(payload_bytes)
    times = []
    for number in range(_WARM_UP + repeats + 1):
        times.append(time.perf_counter())
        link.send(pdu(number))
        link.receive()
    trips = [1e3 * (after - before) for before, after in pairwise(times[_WARM_UP:])]
    return {
        "round_trip_ms": statistics.median(trips),
        "round_trip_ms_p5": float(np.percentile(trips, 5)),
        "round_trip_ms_p95": float(np.percentile(trips, 95)),
    }


def pdus_per_second(link: ApplicationEnd, payload_bytes: int, count: int, window: int) -> float:
    """Rate with `window` PDUs under way."""
    pdu = frame_like(payload_bytes)
    began = time.perf_counter()
    sent = 0
    for returned in range(count):
        while sent < count and sent < returned + window:
            link.send(pdu(sent))
            sent += 1
        link.receive()
    return count / (time.perf_counter() - began)


def microseconds(call: Callable[[], Any], repeats: int) -> float:
    """Median time of a call."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        call()
        times.append(time.perf_counter() - began)
    return 1e6 * statistics.median(times)
