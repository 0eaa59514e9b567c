"""Radios whose device is in a worker process under GNU Radio's Python: what soapy and uhd have in common."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any, Final, Self

import numpy as np

from semcom_phy.errors import ConfigurationError, FormatError, LinkError
from semcom_phy.flowgraph.process import FlowgraphProcess
from semcom_phy.flowgraph.python import environment, find_gnuradio
from semcom_phy.radios.base import (
    DEFAULT_SAMPLE_RATE_HZ,
    RadioConfig,
    RadioCounts,
    RadioError,
    RadioReport,
    RadioTimeoutError,
    Samples,
    checked_count,
    checked_samples,
)
from semcom_phy.radios.worker_protocol import (
    CHUNK,
    COUNTS,
    ERROR_MARK,
    PART,
    REPORT_MARK,
    WINDOW,
    WorkerRequest,
    parse_error,
    reports_from_json,
)
from semcom_phy.zmq import ApplicationEnd, Pdu, UInt64, Verdict
from semcom_phy.zmq.waiting import Deadline

#: USRPs load firmware when they are opened.
OPEN_TIMEOUT_S: Final = 60.0
_CLOSE_TIMEOUT_S: Final = 3.0
_MODULE: Final = "semcom_phy.gr.radio_worker"
#: Lines that say only that everything is as it should be.
_CHATTER: Final = ("[INFO]", "[DEBUG]", ERROR_MARK)


def _pass_on(line: str) -> None:
    if line.strip() and not line.startswith(_CHATTER) and " :info: " not in line:
        print(line, file=sys.stderr, flush=True)


def _as_error(kind: str, message: str) -> Exception:
    return ConfigurationError(message) if kind == "configuration" else RadioError(message)


def probe_worker(request: WorkerRequest, timeout_s: float = OPEN_TIMEOUT_S) -> list[RadioReport]:
    """What the devices report; raises as `RadioDriver.probe` does."""
    command = [str(find_gnuradio().python), "-m", _MODULE, request.to_json()]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment(),
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RadioError(
            f"the {request.driver} driver has not answered for {timeout_s:g} s; see whether it hangs"
        ) from None
    lines = done.stderr.splitlines()
    for line in lines:
        error = parse_error(line)
        if error is not None:
            raise _as_error(*error)
        if line.startswith(REPORT_MARK):
            return reports_from_json(line[len(REPORT_MARK) :])
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
    raise RadioError(f"the radio worker ended with exit code {done.returncode}; its last words: {last:.300}")


class _WorkerRadio:
    """A worker that runs, and what it tells."""

    def __init__(self, name: str, request: WorkerRequest) -> None:
        self.name = name
        self._closed = False
        self._started = False
        self._counts = RadioCounts()
        self._settings: dict[str, Any] = {}
        self._link = ApplicationEnd()
        self._process: FlowgraphProcess | None = None
        try:
            arguments = [request.to_json(), *self._link.addresses.as_arguments()]
            command = [str(find_gnuradio().python), "-m", _MODULE, *arguments]
            self._process = FlowgraphProcess(command, name=name, environment=environment(), on_line=_pass_on)
            try:
                peer = self._link.wait_ready(OPEN_TIMEOUT_S, pid=self._process.pid)
            except LinkError:
                raise self._failure(f"did not answer within {OPEN_TIMEOUT_S:g} s") from None
            self._settings = {key: value for key, value in peer.capabilities.items() if isinstance(value, float | str)}
            rate = self._settings.get("sample_rate_hz")
            if not isinstance(rate, float) or not rate > 0:
                raise RadioError(f"radio {name} reports no sample rate")
            self.sample_rate_hz: float = rate
        except BaseException:
            self._release()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def counts(self) -> RadioCounts:
        """What has happened so far, as of the latest message from the worker."""
        return self._counts

    def describe(self) -> dict[str, Any]:
        """Radio and actual settings."""
        return {"radio": self.name, **self._settings}

    def close(self) -> None:
        """Stop the device and end the worker; takes the last counts along."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._watched():
                self._say_goodbye()
        finally:
            self._release()

    def _say_goodbye(self) -> None:
        deadline = Deadline(_CLOSE_TIMEOUT_S)
        with contextlib.suppress(LinkError):
            self._link.send(Pdu({"do": "stop"}), deadline.remaining)
            while deadline.remaining:
                pdu = self._link.receive(deadline.remaining)
                self._note_counts(pdu)
                if pdu.metadata.get("ended") is True:
                    return

    def _release(self) -> None:
        self._closed = True
        try:
            self._link.close()
        finally:
            if self._process is not None:
                self._process.stop()

    def _watched(self) -> bool:
        watchdog = self._link.watchdog
        return watchdog is not None and watchdog.verdict is Verdict.ALIVE

    def _failure(self, otherwise: str) -> Exception:
        """Why the worker does not work: what it said itself, how its process ended, or `otherwise`."""
        process = self._process
        assert process is not None
        if process.running:
            return RadioError(f"radio {self.name} {otherwise}; see whether the device hangs")
        words = process.last_words()  # waits until all output is read
        for line in reversed(process.lines):
            error = parse_error(line)
            if error is not None:
                return _as_error(*error)
        return RadioError(f"radio {self.name}: its worker {process.ended}{words}; start it again")

    def _send(self, metadata: dict[str, Any], samples: Samples | None = None, timeout_s: float | None = None) -> None:
        try:
            self._link.send(Pdu(metadata) if samples is None else Pdu(metadata, samples), timeout_s)
        except LinkError as error:
            raise self._explained(error) from None

    def _receive(self, timeout_s: float) -> Pdu:
        """The next message. Raises RadioTimeoutError when none came in time, RadioError when the worker failed."""
        self._check_open()
        try:
            pdu = self._link.receive(timeout_s)
        except LinkError as error:
            raise self._explained(error) from None
        self._note_counts(pdu)
        return pdu

    def _explained(self, error: LinkError) -> Exception:
        if self._watched():
            return RadioTimeoutError(f"radio {self.name}: {error}")
        # The end of a process shows a moment before its output is read.
        return self._failure(str(error))

    def _start(self) -> None:
        """Let samples flow from the first call on: a program that is still getting ready loses and sends nothing."""
        self._check_open()
        if not self._started:
            self._send({"do": "start"})
            self._started = True

    def _check_open(self) -> None:
        if self._closed:
            raise RadioError(f"radio {self.name} is closed; open it again")

    def _note_counts(self, pdu: Pdu) -> None:
        for name in COUNTS:
            value = pdu.metadata.get(name)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                setattr(self._counts, name, int(value))
        if self._counts.overruns:  # drivers report that samples were lost, not how many
            self._counts.lost_samples = None


class WorkerReceiver(_WorkerRadio):
    """`ReceiveRadio` of a worker."""

    def __init__(self, name: str, request: WorkerRequest) -> None:
        self._rest: Samples = np.empty(0, np.complex64)
        self._next: int | None = None
        super().__init__(name, request)

    def read(self, count: int, timeout_s: float) -> Samples:
        """See `ReceiveRadio`."""
        checked_count(count)
        self._start()
        deadline = Deadline(timeout_s)
        while not self._rest.size:
            pdu = self._receive(deadline.remaining)
            self._rest = self._samples(pdu)
        samples, self._rest = self._rest[:count], self._rest[count:]
        self._counts.samples += samples.size
        return samples

    def _samples(self, pdu: Pdu) -> Samples:
        first = pdu.metadata.get("first")
        if not isinstance(first, int) or pdu.vector.dtype.newbyteorder("=") != np.complex64:
            raise RadioError(
                f"radio {self.name} sent a message that holds no samples; use the same release on both sides"
            )
        if self._next is not None and first > self._next and self._counts.lost_samples is not None:
            self._counts.lost_samples += first - self._next
        self._next = first + pdu.vector.size
        return np.asarray(pdu.vector, np.complex64)


class WorkerTransmitter(_WorkerRadio):
    """`TransmitRadio` of a worker. A write of at most 2^18 samples is sent without a gap."""

    def __init__(self, name: str, request: WorkerRequest) -> None:
        self._sent = 0
        self._taken = 0
        self._drained = 0
        self._asked = 0
        super().__init__(name, request)

    def write(self, samples: Samples, timeout_s: float) -> None:
        """See `TransmitRadio`."""
        self._start()
        values = checked_samples(samples)
        if not np.isfinite(values.view(np.float32)).all():
            raise ConfigurationError("samples to be sent are finite")
        for part in range(0, values.size, PART):
            part_end = min(part + PART, values.size)
            for start in range(part, part_end, CHUNK):
                chunk = values[start : min(start + CHUNK, part_end)]
                self._wait_for_room(chunk.size, timeout_s)
                complete = start + CHUNK >= part_end
                more = complete and part_end < values.size
                self._send({"do": "samples", "complete": complete, "more": more}, chunk, timeout_s)
                self._sent += chunk.size
                self._counts.samples += chunk.size

    def drain(self, timeout_s: float) -> None:
        """See `TransmitRadio`: the device has taken all, and silence for as long as it may hold samples back."""
        self._check_open()
        deadline = Deadline(timeout_s)
        # Asked once, however often the wait is given up and begun again.
        if self._asked < self._sent:
            self._send({"do": "drain", "samples": UInt64(self._sent)}, timeout_s=timeout_s)
            self._asked = self._sent
        while self._drained < self._sent:
            self._listen(deadline.remaining)

    def _wait_for_room(self, count: int, timeout_s: float) -> None:
        """Wait until the window has room; the time limit begins anew with every progress."""
        self._hear_what_is_there()
        progress = time.monotonic()
        while self._sent + count - self._taken > WINDOW:
            taken = self._taken
            self._listen(max(0.0, progress + timeout_s - time.monotonic()))
            if self._taken > taken:
                progress = time.monotonic()

    def _hear_what_is_there(self) -> None:
        try:
            while (pdu := self._link.receiver.receive_nowait()) is not None:
                self._note(pdu)
        except LinkError as error:
            raise self._explained(error) from None

    def _listen(self, timeout_s: float) -> None:
        self._note(self._receive(timeout_s))

    def _note(self, pdu: Pdu) -> None:
        self._note_counts(pdu)
        self._taken = self._progress(pdu, "taken", self._taken)
        self._drained = self._progress(pdu, "drained", self._drained)

    def _progress(self, pdu: Pdu, key: str, before: int) -> int:
        value = pdu.metadata.get(key, before)
        if not isinstance(value, int) or not before <= value <= self._sent:
            raise RadioError(f"radio {self.name} reports {value!r:.40} of {self._sent} samples as {key}")
        return int(value)


def request_for(
    driver: str, direction: str, arguments: dict[str, str], own: tuple[str, ...], config: RadioConfig
) -> WorkerRequest:
    """Divide the arguments of a radio into the device's and this project's `own`.

    Raises ConfigurationError for a device that is to be opened without a frequency: a transmitter must not send
    wherever it happens to be tuned. Without a sample rate it gets `DEFAULT_SAMPLE_RATE_HZ`, not what it had last.
    """
    if direction != "probe":
        if config.frequency_hz is None:
            raise ConfigurationError(f"radio {driver} needs frequency_hz, the centre frequency")
        config = replace(config, sample_rate_hz=config.sample_rate_hz or DEFAULT_SAMPLE_RATE_HZ)
    options = {key: value for key, value in arguments.items() if key in own}
    device = {key: value for key, value in arguments.items() if key not in own}
    for key, value in device.items():
        if not (value.isprintable() and len(value) <= 200 and len(key) <= 60):
            raise ConfigurationError(f"the value of {key:.60} is at most 200 printable characters")
    try:
        return WorkerRequest(driver, direction, device, options, config)
    except FormatError as error:  # pragma: no cover - the directions are this module's
        raise ConfigurationError(str(error)) from None
