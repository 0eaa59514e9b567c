"""The air at work in one process: pace, gaps, losses, strangers, and what a lost side does to the others."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import zmq

from semcom_phy.errors import LinkError
from semcom_phy.radios import RadioConfig, RadioError, RadioTimeoutError
from semcom_phy.radios.air import AirReceiveRadio, AirTransmitRadio
from semcom_phy.virtual_air.configuration import AirConfig, parse_air_impairments
from semcom_phy.virtual_air.server import VirtualAir

ANY = "tcp://127.0.0.1:*"
RNG = np.random.default_rng(8)
SAMPLES = (0.3 * (RNG.standard_normal(200_000) + 1j * RNG.standard_normal(200_000))).astype(np.complex64)


class Running:
    """An air in a thread."""

    def __init__(self, config: AirConfig, duration_s: float | None) -> None:
        self.lines: list[str] = []
        self.air = VirtualAir(config, self.lines.append)
        self._stop = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(duration_s,), daemon=True)
        self.thread.start()

    def _run(self, duration_s: float | None) -> None:
        with self.air:
            self.air.run(self._stop.is_set, duration_s)

    def end(self) -> dict[str, Any]:
        self._stop.set()
        self.thread.join(10.0)
        assert not self.thread.is_alive()
        return self.air.describe()


@contextmanager
def air(
    transmitters: list[str], receivers: int = 1, *impair: str, duration_s: float | None = None, **options: Any
) -> Iterator[Running]:
    config = AirConfig(tuple(transmitters), (ANY,) * receivers, parse_air_impairments(impair), **options)
    running = Running(config, duration_s)
    try:
        yield running
    finally:
        running.end()


@contextmanager
def sending(radio: AirTransmitRadio, samples: np.ndarray, timeout_s: float = 20.0) -> Iterator[None]:
    failures: list[Exception] = []

    def work() -> None:
        try:
            radio.write(samples, timeout_s)
            radio.drain(timeout_s)
        except RadioError as error:
            failures.append(error)
        radio.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield
    thread.join(timeout_s)
    assert not thread.is_alive()


def everything(radio: AirReceiveRadio, least: int = 1 << 62) -> np.ndarray:
    parts, total = [], 0
    while total < least and (part := radio.read(1 << 14, 10.0)).size:
        parts.append(part)
        total += part.size
    return np.concatenate([np.empty(0, np.complex64), *parts])


def until_nothing_comes(radio: AirReceiveRadio) -> int:
    total = 0
    try:
        while part := radio.read(1 << 14, 1.0).size:
            total += part
    except RadioTimeoutError:
        pass
    return total


def test_fast_air_gives_the_same_samples_every_time() -> None:
    heard = []
    for _ in range(2):
        transmitter = AirTransmitRadio(ANY, RadioConfig())
        with (
            air([transmitter.address], 1, "cheap-sdr,cfo=100,esn0=5", fast=True, seed=3) as running,
            AirReceiveRadio(running.air.receiver_addresses[0], RadioConfig()) as receiver,
        ):
            with sending(transmitter, SAMPLES):
                heard.append(everything(receiver, SAMPLES.size - 100))
            result = running.end()
        assert result["transmitters"]["tx1"]["gap_samples"] == 0
    np.testing.assert_array_equal(heard[0][: SAMPLES.size - 100], heard[1][: SAMPLES.size - 100])


def test_the_end_of_the_air_is_the_end_of_the_stream() -> None:
    transmitter = AirTransmitRadio(ANY, RadioConfig())
    with (
        air([transmitter.address], fast=True, duration_s=0.05) as running,
        AirReceiveRadio(running.air.receiver_addresses[0], RadioConfig()) as receiver,
        sending(transmitter, SAMPLES),
    ):
        assert everything(receiver).size == 50_000
        running.thread.join(5.0)
        assert running.end()["receivers"]["rx1"]["samples"] == 50_000


def test_real_time_has_the_pace_of_the_sample_rate_and_counts_gaps() -> None:
    transmitter = AirTransmitRadio(ANY, RadioConfig())
    with (
        air([transmitter.address], sample_rate_hz=400e3) as running,
        AirReceiveRadio(running.air.receiver_addresses[0], RadioConfig()) as receiver,
    ):
        began = time.monotonic()
        receiver.read(1, 10.0)
        with sending(transmitter, SAMPLES):  # half a second
            received = everything(receiver, 320_000).size
        elapsed = time.monotonic() - began
        result = running.end()
    assert 0.7 * received / 400e3 < elapsed < 0.8 + 3.0 * received / 400e3
    sent = result["transmitters"]["tx1"]
    assert sent["samples"] == SAMPLES.size
    assert sent["gap_samples"] + sent["absent_samples"] > 50_000
    assert sent["samples"] + sent["gap_samples"] + sent["absent_samples"] >= result["samples"]
    assert result["receivers"]["rx1"]["dropped_samples"] == 0


def test_a_receiver_that_does_not_ask_loses_samples_in_real_time_and_they_are_counted() -> None:
    transmitter = AirTransmitRadio(ANY, RadioConfig())
    with (
        air([transmitter.address], buffer_s=0.01) as running,
        AirReceiveRadio(running.air.receiver_addresses[0], RadioConfig()) as receiver,
        sending(transmitter, SAMPLES),
    ):
        receiver.read(1, 10.0)
        deadline = time.monotonic() + 10.0
        while not running.air.describe()["receivers"]["rx1"]["overruns"] and time.monotonic() < deadline:
            time.sleep(0.01)
        counts = running.air.describe()["receivers"]["rx1"]
    assert counts["overruns"] >= 1
    assert counts["dropped_samples"] > 0


def test_two_receivers_and_one_that_stalls() -> None:
    transmitter = AirTransmitRadio(ANY, RadioConfig())
    with air([transmitter.address], 2, fast=True, patience_s=0.5) as running:
        good = AirReceiveRadio(running.air.receiver_addresses[0], RadioConfig())
        lazy = AirReceiveRadio(running.air.receiver_addresses[1], RadioConfig())
        with pytest.raises(RadioTimeoutError):
            lazy.read(1, 0.5)  # it has asked, and will not again
        with sending(transmitter, np.tile(SAMPLES, 5)):
            received = everything(good, 5 * SAMPLES.size - 100)
        result = running.end()
        good.close()
        lazy.close()
    assert received.size >= 5 * SAMPLES.size - 100
    assert result["receivers"]["rx2"]["dropped_samples"] > 0
    assert any("rx2 has not asked" in line for line in running.lines)


def test_nobody_waits_for_a_transmitter_that_answers_nonsense() -> None:
    context = zmq.Context()
    junk = context.socket(zmq.REP)
    port = junk.bind_to_random_port("tcp://127.0.0.1")
    stop = threading.Event()

    def answer() -> None:
        replies = [b"odd", bytes(8 * ((1 << 20) + 1)), b"x" * 9]
        while not stop.is_set():
            if junk.poll(50):
                junk.recv()
                junk.send(replies[0])
                replies.append(replies.pop(0))

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    transmitter = AirTransmitRadio(ANY, RadioConfig())
    with (
        air([transmitter.address, f"tcp://127.0.0.1:{port}"], fast=True, patience_s=0.3) as running,
        AirReceiveRadio(running.air.receiver_addresses[0], RadioConfig()) as receiver,
        sending(transmitter, SAMPLES),
    ):
        assert everything(receiver, SAMPLES.size - 100).size >= SAMPLES.size - 100
        counts = running.end()["transmitters"]["tx2"]
    stop.set()
    thread.join(5.0)
    junk.close(0)
    context.term()
    assert counts["malformed"] > 1
    assert counts["samples"] == 0
    assert sum("not understood" in line for line in running.lines) == 1


def test_junk_at_a_receivers_address_is_counted_and_changes_nothing() -> None:
    transmitter = AirTransmitRadio(ANY, RadioConfig())
    context = zmq.Context()
    with air([transmitter.address], fast=True) as running:
        address = running.air.receiver_addresses[0]
        host, port = address.removeprefix("tcp://").split(":")
        receiver = AirReceiveRadio(address, RadioConfig())
        with pytest.raises(RadioTimeoutError):
            receiver.read(1, 0.3)
        junk = context.socket(zmq.DEALER)
        junk.connect(address)
        for _ in range(300):
            junk.send_multipart([b"", b"three"])
        junk.send(bytes(1 << 20))  # longer than any request: its connection ends
        with socket.create_connection((host, int(port))) as raw:
            raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
            stranger = AirReceiveRadio(address, RadioConfig())
            assert stranger.read(1, 10.0).size == 0  # refused
            stranger.close()
        with sending(transmitter, SAMPLES):
            received = everything(receiver, SAMPLES.size - 100)
        counts = running.end()["receivers"]["rx1"]
        receiver.close()
        junk.close(0)
    context.term()
    assert received.size >= SAMPLES.size - 100
    assert counts["malformed"] == 300
    assert counts["refused"] >= 16
    assert counts["handshake_failures"] + counts["disconnections"] >= 2


def test_a_receiver_that_leaves_makes_room_for_the_next() -> None:
    transmitter = AirTransmitRadio(ANY, RadioConfig())
    with (
        air([transmitter.address], fast=True) as running,
        sending(transmitter, np.tile(SAMPLES, 3)),
    ):
        address = running.air.receiver_addresses[0]
        first = AirReceiveRadio(address, RadioConfig())
        received = first.read(1000, 10.0).size
        first.close()
        deadline = time.monotonic() + 10.0
        while not running.air.describe()["receivers"]["rx1"]["disconnections"] and time.monotonic() < deadline:
            time.sleep(0.01)
        second = AirReceiveRadio(address, RadioConfig())
        received += until_nothing_comes(second)
        counts = running.end()["receivers"]["rx1"]
        second.close()
    assert received > 1000
    assert counts["undelivered_samples"] + counts["unheard_samples"] > 0
    handed = counts["samples"] + counts["undelivered_samples"] + counts["unheard_samples"]
    assert handed == 3 * SAMPLES.size


def test_taken_addresses_are_refused_and_nothing_stays_open() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LinkError, match="in use"):
            VirtualAir(AirConfig(receivers=(ANY, f"tcp://127.0.0.1:{port}")))
