"""Exercises the loopback driver through SoapySDR's Python module and prints what came out as JSON.

Runs as a program under the system's Python, which has SoapySDR: exercise.py KEY CASE.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import SoapySDR
from SoapySDR import SOAPY_SDR_CF32, SOAPY_SDR_CS16, SOAPY_SDR_RX, SOAPY_SDR_TX

RATE = 1e6
MTU = 4096


class End:
    """One direction of a device."""

    def __init__(self, direction: int, form: str = SOAPY_SDR_CF32, **arguments: object) -> None:
        given = {"driver": "semcomloop", "key": KEY, **arguments}
        self.device = SoapySDR.Device({key: str(value) for key, value in given.items()})
        self.device.setSampleRate(direction, 0, RATE)
        self.stream = self.device.setupStream(direction, form)
        self.device.activateStream(self.stream)
        self.items = (np.complex64, (MTU,)) if form == SOAPY_SDR_CF32 else (np.int16, (MTU, 2))

    def close(self) -> None:
        self.device.deactivateStream(self.stream)
        self.device.closeStream(self.stream)


class Sender(End):
    def __init__(self, form: str = SOAPY_SDR_CF32, **arguments: object) -> None:
        super().__init__(SOAPY_SDR_TX, form, **arguments)

    def write(self, samples: np.ndarray) -> list[int]:
        """Write all; return the error codes that came."""
        errors, done = [], 0
        while done < len(samples):
            result = self.device.writeStream(self.stream, [samples[done:]], len(samples) - done)
            if result.ret > 0:
                done += result.ret
            else:
                errors.append(result.ret)
        return errors

    def status(self, timeout_us: int = 20_000) -> int:
        return int(self.device.readStreamStatus(self.stream, timeoutUs=timeout_us).ret)


class Listener(End):
    def __init__(self, form: str = SOAPY_SDR_CF32, **arguments: object) -> None:
        super().__init__(SOAPY_SDR_RX, form, **arguments)

    def read(self, count: int) -> tuple[np.ndarray, list[tuple[int, int]]]:
        """Read so many samples; return them and the errors: (samples before it, code)."""
        dtype, shape = self.items
        buffer, parts, errors, done = np.zeros(shape, dtype), [], [], 0
        while done < count:
            result = self.device.readStream(self.stream, [buffer], min(MTU, count - done), timeoutUs=500_000)
            if result.ret < 0:
                errors.append((done, result.ret))
                if len(errors) > 100:
                    raise RuntimeError(f"only {done} of {count} samples came: {errors[-1]}")
                continue
            parts.append(buffer[: result.ret].copy())
            done += result.ret
        return np.concatenate(parts), errors

    def one(self, timeout_us: int = 100_000) -> int:
        return int(self.device.readStream(self.stream, [np.zeros(MTU, np.complex64)], MTU, timeoutUs=timeout_us).ret)


def random_samples(count: int) -> np.ndarray:
    parts = np.random.default_rng(1).uniform(-0.9, 0.9, (count, 2))
    return (parts[:, 0] + 1j * parts[:, 1]).astype(np.complex64)


def identity() -> dict[str, Any]:
    sent, sender, listener = random_samples(100_000), Sender(pace="none"), Listener(pace="none", seed=1)
    sender.write(sent)
    received, errors = listener.read(sent.size)
    return {"equal": bool(np.array_equal(sent, received)), "errors": errors}


def integers() -> dict[str, Any]:
    sent = np.random.default_rng(1).integers(-32767, 32768, (20_000, 2)).astype(np.int16)
    sender, listener = Sender(SOAPY_SDR_CS16, pace="none"), Listener(SOAPY_SDR_CS16, pace="none", seed=1)
    sender.write(sent)
    received, _ = listener.read(len(sent))
    return {"equal": bool(np.array_equal(sent, received))}


def offsets() -> dict[str, Any]:
    """Tones through carrier and clock offset, against what they are by their formula."""
    cfo, ppm, count = 1234.5, 35.0, 120_000
    tones = [(0.2, 0.0123, 0.3), (0.3, -0.2071, 1.0), (0.25, 0.381, 2.0)]

    def field(times: np.ndarray) -> np.ndarray:
        return sum(a * np.exp(1j * (2 * np.pi * f * times + p)) for a, f, p in tones)

    sender, listener = Sender(pace="none"), Listener(pace="none", seed=1, cfo=cfo, ppm=ppm)
    listener.device.setFrequency(SOAPY_SDR_RX, 0, 1e8 - 1000.0)
    sender.write(field(np.arange(count)).astype(np.complex64))
    sender.close()
    received, _ = listener.read(count)
    index = np.arange(count)
    expected = field(index / (1 + ppm * 1e-6)) * np.exp(2j * np.pi * (cfo + 1000.0) / RATE * index)
    inner = slice(100, -100)  # silence begins at the ends
    return {"worst": float(np.abs(received - expected)[inner].max()), "compared": count - 200}


def noise() -> dict[str, Any]:
    level, count = -20.0, 200_000
    found = []
    for wait_s in (0.0, 0.05):
        listener = Listener(pace="none", noise=level, seed=7, dc=-40)
        listener.read(1 + int(wait_s * RATE))  # nobody transmits yet
        sender = Sender(pace="none")
        sender.write(np.zeros(100_000, np.complex64))
        received, _ = listener.read(100_000)
        found.append(received)
        sender.close()
        listener.close()
    idle = Listener(pace="none", noise=level, seed=8)
    more, _ = idle.read(count)
    values = found[0] - np.complex64(0.01)
    return {
        "power_db": [float(10 * np.log10(np.mean(np.abs(x) ** 2))) for x in (values, more)],
        "mean": float(abs(values.mean())),
        "correlation": float(abs(np.vdot(values[1:], values[:-1])) / np.vdot(values, values).real),
        "fourth": float(np.mean(np.abs(values) ** 4) / np.mean(np.abs(values) ** 2) ** 2),
        "same": bool(np.array_equal(found[0], found[1])),
    }


def gains() -> dict[str, Any]:
    sender, listener = Sender(pace="none", loss=50), Listener(pace="none", seed=1, loss=50)
    sender.device.setGain(SOAPY_SDR_TX, 0, 20.0)
    listener.device.setGain(SOAPY_SDR_RX, 0, 18.0)
    sender.write(np.full(1000, 0.5, np.complex64))
    quiet, _ = listener.read(1000)
    listener.device.setGain(SOAPY_SDR_RX, 0, 60.0)
    sender.write(np.full(1000, 0.5, np.complex64))
    loud, _ = listener.read(1000)
    listener.device.setFrequency(SOAPY_SDR_RX, 0, 1e8 + 600e3)
    sender.write(np.full(1000, 0.5, np.complex64))
    beside, _ = listener.read(1000)
    return {"quiet": float(abs(quiet).max()), "loud": float(abs(loud).max()), "beside": float(abs(beside).max())}


def overflow() -> dict[str, Any]:
    sent = random_samples(100_000)
    sender = Sender(pace="none")
    listener = Listener(pace="none", seed=1, overflow=30_000, overflow_count=2, overflow_lost=777)
    sender.write(sent)
    received, errors = listener.read(sent.size - 2 * 777)
    kept = np.delete(sent, np.r_[30_000:30_777, 60_777:61_554])
    return {"errors": errors, "equal": bool(np.array_equal(kept, received))}


def underrun() -> dict[str, Any]:
    returned = Sender(pace="none", underrun=10_000, underrun_count=3)
    listener = Listener(pace="none", seed=1)
    sent = random_samples(50_000)
    errors = returned.write(sent)
    received, _ = listener.read(sent.size)
    returned.close()
    status = Sender(pace="none", underrun=10_000, report="status")
    quiet = status.write(sent)
    told = [status.status() for _ in range(6)]
    return {"returned": errors, "equal": bool(np.array_equal(sent, received)), "quiet": quiet, "told": told}


def codes() -> dict[str, Any]:
    sender, listener = Sender(pace="none", buffer=4096), Listener(pace="none", seed=1)
    sender.write(random_samples(4096))
    begin = time.monotonic()
    full = sender.device.writeStream(sender.stream, [random_samples(10)], 10, timeoutUs=50_000).ret
    full_s = time.monotonic() - begin
    listener.read(4096)
    begin = time.monotonic()
    empty = listener.one(50_000)
    empty_s = time.monotonic() - begin
    sender.device.deactivateStream(sender.stream)
    inactive_write = sender.device.writeStream(sender.stream, [random_samples(10)], 10).ret
    listener.device.deactivateStream(listener.stream)
    return {
        "full": full,
        "full_s": full_s,
        "empty": empty,
        "empty_s": empty_s,
        "inactive_write": inactive_write,
        "inactive_read": listener.one(10_000),
        "wrong_read": sender.device.readStream(sender.stream, [np.zeros(8, np.complex64)], 8).ret,
        "wrong_write": listener.device.writeStream(listener.stream, [random_samples(8)], 8).ret,
        "wrong_status": listener.device.readStreamStatus(listener.stream).ret,
    }


def clock() -> dict[str, Any]:
    """In real time: what is written in time arrives whole, at the rate of the clock."""
    sent = np.concatenate([random_samples(300_000)])
    listener, sender = Listener(), Sender(seed=1)
    errors: list[int] = []
    writing = threading.Thread(target=lambda: errors.extend(sender.write(sent)))
    begin = time.monotonic()
    writing.start()
    received, lost = listener.read(500_000)
    elapsed = time.monotonic() - begin
    writing.join()
    start = int(np.flatnonzero(received)[0])
    return {
        "elapsed": elapsed,
        "equal": bool(np.array_equal(received[start : start + sent.size], sent)),
        "silence": bool(not received[start + sent.size :].any()),
        "errors": errors,
        "lost": lost,
    }


def late() -> dict[str, Any]:
    """A writer and a reader that come too late, and the end that is cut off."""
    listener, sender = Listener(buffer=100_000), Sender(seed=1, report="status")
    sender.write(np.full(10_000, 0.5, np.complex64))
    threading.Event().wait(0.1)  # the device runs dry meanwhile
    sender.write(np.full(10_000, 0.5, np.complex64))
    told = [sender.status(), sender.status()]
    received, errors = listener.read(150_000)
    heard = int(np.count_nonzero(received))
    gap = np.flatnonzero(np.diff(np.flatnonzero(received)) > 1).size
    threading.Event().wait(0.25)
    overflow = listener.one()
    sender.write(np.full(100_000, 0.5, np.complex64))
    sender.close()  # most of it is still in the device
    rest, _ = listener.read(300_000)
    return {
        "told": told,
        "heard": heard,
        "gap": gap,
        "errors": errors,
        "overflow": overflow,
        "cut_off": int(np.count_nonzero(rest)),
    }


def one_transmitter() -> dict[str, Any]:
    """A second one is refused; one that was killed is no obstacle."""
    script = [sys.executable, __file__, KEY, "hold"]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        refused = ""
        try:
            Sender(pace="none", seed=5)
        except RuntimeError as error:
            refused = str(error)
        listener = Listener(pace="none", seed=1)
        before, _ = listener.read(1000)
        os.kill(holder.pid, signal.SIGKILL)
    rest = [listener.one() for _ in range(2)]  # the transmitter is gone: the clock goes on
    sender = Sender(pace="none", seed=6)
    sender.write(np.full(1000, 0.25, np.complex64))
    sender.close()
    received, _ = listener.read(4096)
    return {"refused": refused, "before": bool(before.all()), "rest": rest, "after": int(np.count_nonzero(received))}


def hold() -> dict[str, Any]:
    sender = Sender(pace="none")
    sender.write(np.full(1000, 0.5, np.complex64))
    print("transmitting", flush=True)
    sys.stdin.readline()
    return {}


def settings() -> dict[str, Any]:
    device = SoapySDR.Device({"driver": "semcomloop", "key": KEY, "gains": "-10:20", "rx_antennas": "A:B"})
    refused = {}
    calls: dict[str, Callable[[], Any]] = {
        "gain": lambda: device.setGain(SOAPY_SDR_RX, 0, 21.0),
        "frequency": lambda: device.setFrequency(SOAPY_SDR_RX, 0, 7e9),
        "rate": lambda: device.setSampleRate(SOAPY_SDR_TX, 0, 1.0),
        "bandwidth": lambda: device.setBandwidth(SOAPY_SDR_TX, 0, 1.0),
        "antenna": lambda: device.setAntenna(SOAPY_SDR_RX, 0, "C"),
        "clock": lambda: device.setClockSource("gps"),
        "format": lambda: device.setupStream(SOAPY_SDR_RX, "CS8"),
        "channel": lambda: device.setupStream(SOAPY_SDR_RX, "CF32", [1]),
    }
    for name, call in calls.items():
        try:
            call()
        except (RuntimeError, ValueError) as error:
            refused[name] = str(error)
    device.setGain(SOAPY_SDR_RX, 0, -5.0)
    device.setAntenna(SOAPY_SDR_RX, 0, "B")
    return {"refused": refused, "gain": device.getGain(SOAPY_SDR_RX, 0), "antenna": device.getAntenna(SOAPY_SDR_RX, 0)}


CASES = {
    case.__name__: case
    for case in (
        identity,
        integers,
        offsets,
        noise,
        gains,
        overflow,
        underrun,
        codes,
        clock,
        late,
        one_transmitter,
        hold,
        settings,
    )
}

if __name__ == "__main__":
    KEY = sys.argv[1]
    print(json.dumps(CASES[sys.argv[2]]()))
