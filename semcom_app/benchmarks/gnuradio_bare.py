"""A flowgraph of the catalogue fed in its own process. Runs as a program under the Python that has GNU Radio.

One JSON object is the argument: `program`, the compiled flowgraph; `parameters` of it; `frames`, `bits`, `window`,
`seed`. Each line on standard input asks for one run, and is answered by a line on standard output: the seconds from the
first frame to the last answer. In place of the Application block stands one that gives frames and takes answers without
ZeroMQ.
"""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import importlib.util
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pmt

import semcom_phy.gr.application
from semcom_phy.gr.application import FRAMES, RECEIVED
from semcom_phy.gr.pdu_block import MessageBlock
from semcom_phy.links.base import Frame
from semcom_phy.links.frame_pdus import frame_to_pdu, received_from_pdu
from semcom_phy.zmq import Pdu

TIMEOUT_S = 120.0


class Feeder(MessageBlock):
    """Stands in for the Application block, arguments included: so many frames under way, the next after each answer."""

    made: list[Feeder] = []  # noqa: RUF012 - all that a flowgraph has made

    def __init__(self, *arguments: Any) -> None:
        MessageBlock.__init__(self, "feeder", [RECEIVED], [FRAMES])
        self.set_msg_handler(pmt.intern(RECEIVED), self.handle_received)
        self._waiting: list[Pdu] = []
        self._missing = 0
        self._done = threading.Event()
        Feeder.made.append(self)

    def feed(self, pdus: list[Pdu], window: int) -> float:
        """Send the frames, wait for all answers, return the seconds that took."""
        self._waiting, self._missing = pdus[window:][::-1], len(pdus)
        self._done.clear()
        began = time.perf_counter()
        for pdu in pdus[:window]:
            self.publish(FRAMES, pdu)
        if not self._done.wait(TIMEOUT_S):
            raise TimeoutError(f"{self._missing} answers are missing after {TIMEOUT_S:g} s")
        return time.perf_counter() - began

    def handle_received(self, message: Any) -> None:
        """Handle a message at ``received``."""
        self.guarded(message, self._take)

    def _take(self, pdu: Pdu) -> None:
        received_from_pdu(pdu)  # whoever wants the frame has to; the application does it at its end
        if self._waiting:
            self.publish(FRAMES, self._waiting.pop())
        self._missing -= 1
        if not self._missing:
            self._done.set()


def load(program: Path) -> Any:
    """The top block's class of a compiled flowgraph, with the feeder for an Application block."""
    vars(semcom_phy.gr.application)["Application"] = Feeder
    specification = importlib.util.spec_from_file_location(program.stem, program)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return getattr(module, program.stem)


def main() -> None:
    """Answer on standard output."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what GNU Radio prints is no answer
    job = json.loads(sys.argv[1])
    graph = load(Path(job["program"]))(**job["parameters"])
    (feeder,) = Feeder.made
    rng = np.random.default_rng(job["seed"])
    graph.start()
    for repeat, _ in enumerate(sys.stdin):
        frames = [Frame(bytes(64), rng.integers(0, 2, job["bits"], dtype=np.uint8)) for _ in range(job["frames"])]
        pdus = [frame_to_pdu(repeat * job["frames"] + number, frame) for number, frame in enumerate(frames)]
        print(feeder.feed(pdus, job["window"]), file=answers, flush=True)
    graph.stop()
    graph.wait()


if __name__ == "__main__":
    main()
