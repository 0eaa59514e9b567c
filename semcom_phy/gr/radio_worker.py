"""The process that holds an SDR: a bare flowgraph between the device and PDUs of samples.

Runs as a program under GNU Radio's Python::

    python -m semcom_phy.gr.radio_worker REQUEST [ADDRESS ADDRESS ADDRESS ADDRESS]

`semcom_phy.radios.worker` starts it, `semcom_phy.radios.worker_protocol` says what REQUEST is and what they exchange.

Received samples wait for the application; while they do, the device overflows, and that is counted. What is sent
flows without an end: zeros when the application has nothing to send.
"""
# mypy: disable-error-code="import-not-found, import-untyped, misc"

from __future__ import annotations

import gc
import os
import queue
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt
from gnuradio import blocks, gr

from semcom_phy.errors import FormatError, LinkError, SemcomError
from semcom_phy.flowgraph.block_failure import BlockFailure
from semcom_phy.gr.radio_devices import Device, open_device, probe
from semcom_phy.radios.base import RadioError
from semcom_phy.radios.device_messages import DeviceMessages
from semcom_phy.radios.worker_protocol import (
    CHUNK,
    COUNTS,
    PART,
    REPORT_MARK,
    WINDOW,
    WorkerRequest,
    error_line,
    reports_to_json,
)
from semcom_phy.zmq import FlowgraphEnd, LinkAddresses, Pdu, UInt64
from semcom_phy.zmq.pmt import PmtValue

Samples = npt.NDArray[np.complex64]
Post = Callable[[dict[str, PmtValue], Samples], None]

#: Received samples go out after so many seconds, or when a chunk is full.
_CHUNK_S: Final = 0.01
_LEAST_CHUNK: Final = 256
_SILENCE: Final = 4096
#: Devices hold back samples: what was sent has left one that has taken so much silence after it.
_TAIL_S: Final = 2.0


class Output:
    """Standard output and error of this process, where device messages come from threads of C++ code.

    They go through a pipe: letters are counted, lines passed on to what standard error was. `on_block_failure` is
    called with the reason when a block has died.
    """

    def __init__(self, on_block_failure: Callable[[str], None]) -> None:
        self.messages = DeviceMessages()
        self._on_block_failure = on_block_failure
        self._real = os.dup(2)
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.close(writer)
        self._synchronised = threading.Event()
        threading.Thread(target=self._read, args=(reader,), name="device messages", daemon=True).start()

    def write_line(self, line: str) -> None:
        """Write to what standard error was, past the pipe."""
        os.write(self._real, line.encode("utf-8", "replace") + b"\n")

    def synchronise(self) -> None:
        """Return when all that has been printed is counted."""
        self._synchronised.clear()
        os.write(2, b"\n" + self._mark.encode() + b"\n")
        self._synchronised.wait(1.0)

    @property
    def _mark(self) -> str:
        return f"semcom-radio-mark {id(self)}"

    def _read(self, reader: int) -> None:
        while data := os.read(reader, 1 << 16):
            for line in self.messages.feed(data):
                if line == self._mark:
                    self._synchronised.set()
                    continue
                failure = BlockFailure.from_line(line)
                if failure is not None:
                    self._on_block_failure(failure.why)
                self.write_line(line)


class ReceivedSamples(gr.sync_block):
    """Sink: gives the samples away in chunks, and waits while nobody takes them."""

    def __init__(self, rate_hz: float, post: Post) -> None:
        gr.sync_block.__init__(self, name="received_samples", in_sig=[np.complex64], out_sig=None)
        self._chunk = np.empty(int(np.clip(rate_hz * _CHUNK_S, _LEAST_CHUNK, CHUNK)), np.complex64)
        self._filled = 0
        self._first = 0
        self._post = post
        self.stopping = False

    def work(self, input_items: list[Samples], output_items: list[Samples]) -> int:
        """Take at most what fills the chunk."""
        samples = input_items[0][: self._chunk.size - self._filled]
        self._chunk[self._filled : self._filled + samples.size] = samples
        self._filled += samples.size
        if self._filled == self._chunk.size:
            self._give_away()
        return -1 if self.stopping else samples.size

    def _give_away(self) -> None:
        chunk = self._chunk.copy()
        while not self.stopping:
            try:
                self._post({"first": UInt64(self._first)}, chunk)
            except LinkError:  # the application does not read; the device will overflow, and tell
                continue
            break
        self._first += chunk.size
        self._filled = 0


class SamplesToSend(gr.sync_block):
    """Source: parts of what the application writes, each without a gap, and zeros in between."""

    def __init__(self, post: Post, tail: int) -> None:
        gr.sync_block.__init__(self, name="samples_to_send", in_sig=None, out_sig=[np.complex64])
        self.stopping = False
        #: How many samples have left this flowgraph.
        self.gone: Callable[[], int] = lambda: 0
        #: Times a part of a write did not come before the part in front of it was over.
        self.gaps = 0
        self._post = post
        self._tail = tail
        self._lock = threading.Lock()
        self._ready: deque[Samples] = deque()
        self._incomplete: list[Samples] = []
        self._more = False
        self._taken = 0
        self._reported = 0
        self._written = 0
        self._drain: int | None = None
        self._drained_at: int | None = None

    def add(self, samples: Samples, complete: bool, more: bool) -> None:
        """Add a chunk; with the last one of a part, the part is ready to be sent."""
        with self._lock:
            self._incomplete.append(samples)
            # A write that was given up may leave a part without an end.
            if complete or sum(chunk.size for chunk in self._incomplete) > PART:
                self._ready.extend(self._incomplete)
                self._incomplete.clear()
                self._more = more

    def drain(self, samples: int) -> None:
        """Report when so many samples, all that there are, have left the device."""
        with self._lock:
            self._ready.extend(self._incomplete)
            self._incomplete.clear()
            self._drain, self._drained_at = samples, None

    def work(self, input_items: list[Samples], output_items: list[Samples]) -> int:
        """Give out what is ready, or silence."""
        out = output_items[0]
        with self._lock:
            filled = self._take(out)
            if not filled and self._more:
                self._more = False
                self.gaps += 1
            finished = not self._ready
        self._taken += filled
        if self._taken - self._reported >= WINDOW // 8 or (finished and self._taken > self._reported):
            self._tell({"taken": UInt64(self._taken)})
            self._reported = self._taken
        if not filled:
            filled = min(out.size, _SILENCE)
            out[:filled] = 0
        self._written += filled
        if self._drain is not None and self._taken >= self._drain:
            self._look_whether_drained(self._drain)
        return -1 if self.stopping else filled

    def _take(self, out: Samples) -> int:
        filled = 0
        while self._ready and filled < out.size:
            chunk = self._ready.popleft()
            part = chunk[: out.size - filled]
            out[filled : filled + part.size] = part
            filled += part.size
            if part.size < chunk.size:
                self._ready.appendleft(chunk[part.size :])
        return filled

    def _look_whether_drained(self, samples: int) -> None:
        if self._drained_at is None:
            self._drained_at = self._written + self._tail
        elif self.gone() >= self._drained_at:
            self._drain = None
            self._tell({"drained": UInt64(samples)})

    def _tell(self, metadata: dict[str, PmtValue]) -> None:
        while not self.stopping:
            try:
                self._post(metadata, np.empty(0, np.complex64))
            except LinkError:  # the application is busy; the device goes on with what is in the flowgraph
                continue
            return


class Worker:
    """The flowgraph of one direction and its end of the link to the application."""

    def __init__(self, request: WorkerRequest, addresses: LinkAddresses, device: Device, output: Output) -> None:
        self._output = output
        self._commands: queue.SimpleQueue[str] = queue.SimpleQueue()
        settings = device.settings()
        rate_hz = float(settings["sample_rate_hz"])
        self._end = FlowgraphEnd(addresses, capabilities=settings)
        self._graph = gr.top_block()
        self._receiver: ReceivedSamples | None = None
        self._sender: SamplesToSend | None = None
        # Blocks stay referenced for as long as the flowgraph exists, or the process crashes.
        self._blocks: list[Any] = [device.block]
        if request.direction == "receive":
            self._receiver = ReceivedSamples(rate_hz, self._post)
            rotated = self._rotation(device.rotation_hz / rate_hz)
            self._connect((device.block, device.channel), *rotated, self._receiver)
            for port in set(range(device.ports)) - {device.channel}:
                self._connect((device.block, port), blocks.null_sink(gr.sizeof_gr_complex))
        else:
            tail_s = request.option_number("tail", 0.0, 60.0, _TAIL_S)
            self._sender = SamplesToSend(self._post, round(tail_s * rate_hz))
            sink, port = device.block, device.channel
            self._sender.gone = lambda: int(sink.nitems_read(port))
            rotated = self._rotation(-device.rotation_hz / rate_hz)
            self._connect(self._sender, *rotated, (device.block, device.channel))
            for port in set(range(device.ports)) - {device.channel}:
                self._connect(blocks.null_source(gr.sizeof_gr_complex), (device.block, port))

    def _rotation(self, turns: float) -> list[Any]:
        return [blocks.rotator_cc(2 * np.pi * turns)] if turns else []

    def _connect(self, *chain: Any) -> None:
        self._blocks.extend(chain)
        self._graph.connect(*chain)

    def _post(self, metadata: dict[str, PmtValue], samples: Samples) -> None:
        self._end.post(Pdu({**metadata, **self._counts()}, samples), timeout_s=0.5)

    def _counts(self) -> dict[str, PmtValue]:
        messages = self._output.messages
        counts = {name: getattr(messages, name) for name in COUNTS}
        if self._sender is not None:
            counts["underruns"] += self._sender.gaps
        return {name: UInt64(count) for name, count in counts.items()}

    def _take(self, pdu: Pdu) -> Iterable[Pdu] | None:
        what = pdu.metadata.get("do")
        if what == "samples" and self._sender is not None:
            if pdu.vector.dtype.newbyteorder("=") != np.complex64 or pdu.vector.size > CHUNK:
                raise FormatError(f"samples to be sent are at most {CHUNK} complex64")
            samples = np.asarray(pdu.vector, np.complex64)
            self._sender.add(samples, pdu.metadata.get("complete") is True, pdu.metadata.get("more") is True)
        elif what == "drain" and self._sender is not None:
            self._sender.drain(_count(pdu, "samples"))
        elif what in ("start", "stop"):
            self._commands.put(str(what))
        else:
            raise FormatError(f"a radio worker does not understand {what!r:.60}")
        return None

    def _serve(self) -> None:
        try:
            self._end.serve(self._take)
        except Exception as error:
            fail(self._output, error)

    def stop(self, *_: object) -> None:
        """Make `run` return."""
        self._commands.put("leave")

    def run(self) -> None:
        """Do what the application asks until it asks for the end, or a signal does."""
        threading.Thread(target=self._serve, name="link to the application", daemon=True).start()
        started = False
        while (command := self._commands.get()) == "start":
            if not started:
                self._graph.start()
            started = True
        if self._receiver is not None:
            self._receiver.stopping = True
        if self._sender is not None:
            self._sender.stopping = True
        if started:
            self._graph.stop()
            self._graph.wait()
        if command == "stop":
            self._output.synchronise()
            self._end.post(Pdu({"ended": True, **self._counts()}), timeout_s=1.0)
            self._commands.get()  # the application has read it when it ends this process

    def release(self) -> None:
        """Let go of the flowgraph and with it of the device, as its driver wants it."""
        self._blocks.clear()
        self._receiver = self._sender = None
        self._graph = None
        gc.collect()


def _count(pdu: Pdu, key: str) -> int:
    value = pdu.metadata.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise FormatError(f"a radio worker needs {key} as a number of samples")
    return int(value)


def fail(output: Output, error: Exception) -> NoReturn:
    """Say why in the last line and leave at once: a flowgraph without one of its blocks does not always stop."""
    output.write_line(error_line(error))
    os._exit(1)


def main(arguments: list[str]) -> None:
    """Run as a program."""
    output = Output(lambda reason: fail(output, RadioError(f"the device failed: {reason}")))
    try:
        request = WorkerRequest.from_json(arguments[0])
        if request.direction == "probe":
            output.write_line(REPORT_MARK + reports_to_json(probe(request)))
            os._exit(0)
        addresses = LinkAddresses.from_arguments(arguments[1:])
        worker = Worker(request, addresses, open_device(request), output)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, worker.stop)
        worker.run()
        worker.release()
    except SemcomError as error:
        fail(output, error)
    os._exit(0)  # no thread that still waits for the application has anything left to do


if __name__ == "__main__":
    main(sys.argv[1:])
