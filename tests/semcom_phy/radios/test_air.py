"""The air as a radio: a transmitter and a receiver in direct contact, with nobody, and with strangers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import zmq

from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.radios import RadioConfig, RadioError, RadioTimeoutError, open_receiver, open_transmitter
from semcom_phy.radios.air import AirReceiveRadio, AirTransmitRadio

ANY = "tcp://127.0.0.1:*"
RNG = np.random.default_rng(8)
SAMPLES = (RNG.standard_normal(300_000) + 1j * RNG.standard_normal(300_000)).astype(np.complex64)


def in_thread(work: Callable[[], Any]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def everything(radio: AirReceiveRadio, count: int = 9000) -> np.ndarray:
    parts = []
    while (part := radio.read(count, 10.0)).size:
        parts.append(part)
    return np.concatenate([np.empty(0, np.complex64), *parts])


def test_direct_contact() -> None:
    transmitter = AirTransmitRadio(ANY, RadioConfig(gain_db=-6.0))

    def send() -> None:
        with transmitter:
            for piece in np.array_split(SAMPLES, 7):
                transmitter.write(piece, 10.0)
            transmitter.drain(10.0)

    sender = in_thread(send)
    with AirReceiveRadio(transmitter.address, RadioConfig(gain_db=6.0)) as receiver:
        received = everything(receiver)
        assert receiver.read(1, 0.0).size == 0
    sender.join(10.0)
    assert not sender.is_alive()
    np.testing.assert_allclose(received, SAMPLES, rtol=1e-6)
    assert transmitter.counts.samples == receiver.counts.samples == SAMPLES.size


def test_nobody_there() -> None:
    with AirTransmitRadio(ANY, RadioConfig(), wait_s=0.3) as transmitter:
        with pytest.raises(RadioTimeoutError, match="nobody asks for samples yet"):
            transmitter.write(SAMPLES, 0.05)
        with pytest.raises(RadioError, match="start 'semcom air --tx tcp://"):
            transmitter.write(SAMPLES, 5.0)
        address = transmitter.address
    with AirReceiveRadio(address, RadioConfig(), wait_s=0.3) as receiver:
        with pytest.raises(RadioTimeoutError, match="yet"):
            receiver.read(10, 0.05)
        with pytest.raises(RadioError, match="nobody gave samples"):
            receiver.read(10, 5.0)
    with pytest.raises(RadioError, match="closed"):
        receiver.read(10, 0.1)
    with pytest.raises(RadioError, match="closed"):
        transmitter.write(SAMPLES, 0.1)


def test_a_slow_other_side_is_told_by_the_count() -> None:
    with AirTransmitRadio(ANY, RadioConfig()) as transmitter, AirReceiveRadio(transmitter.address, RadioConfig()) as rx:

        def send() -> None:
            with pytest.raises(RadioTimeoutError):
                transmitter.write(SAMPLES, 0.5)

        sender = in_thread(send)
        first = rx.read(100, 5.0)
        sender.join(10.0)
        assert 0 < transmitter.counts.samples < SAMPLES.size
        np.testing.assert_array_equal(first, SAMPLES[: first.size])
        while rx.counts.samples < transmitter.counts.samples:
            rx.read(1 << 16, 5.0)
        with pytest.raises(RadioTimeoutError, match="no samples came"):
            rx.read(1 << 16, 0.2)
        assert rx.counts.samples == transmitter.counts.samples


def test_a_receiver_that_leaves_ends_the_transmitter() -> None:
    with AirTransmitRadio(ANY, RadioConfig()) as transmitter:
        receiver = AirReceiveRadio(transmitter.address, RadioConfig())
        failures: list[str] = []

        def send() -> None:
            try:
                transmitter.write(np.tile(SAMPLES, 20), 10.0)
            except RadioError as error:
                failures.append(str(error))

        sender = in_thread(send)
        receiver.read(100, 5.0)
        receiver.close()
        sender.join(5.0)
        assert not sender.is_alive()
        assert "has disappeared" in failures[0]


def test_a_transmitter_that_leaves_without_a_word_ends_the_receiver() -> None:
    context = zmq.Context()
    stub = context.socket(zmq.REP)
    port = stub.bind_to_random_port("tcp://127.0.0.1")
    with AirReceiveRadio(f"tcp://127.0.0.1:{port}", RadioConfig()) as receiver:
        thread = in_thread(lambda: stub.recv() and stub.send(SAMPLES[:100].tobytes()))
        np.testing.assert_array_equal(receiver.read(1000, 5.0), SAMPLES[:100])
        thread.join()
        stub.close(0)
        context.term()
        with pytest.raises(RadioError, match="has disappeared"):
            receiver.read(1000, 5.0)


def test_the_second_receiver_is_refused_and_the_first_goes_on() -> None:
    with AirTransmitRadio(ANY, RadioConfig()) as transmitter:
        first = AirReceiveRadio(transmitter.address, RadioConfig())
        sender = in_thread(lambda: transmitter.write(SAMPLES, 10.0))
        parts = [first.read(1000, 5.0)]
        with AirReceiveRadio(transmitter.address, RadioConfig()) as second:
            stranger = in_thread(lambda: parts.append(second.read(1000, 5.0)))
            received = parts[0].size
            while received < SAMPLES.size:
                received += first.read(1000, 5.0).size
                time.sleep(0.001)  # long enough for the stranger to be heard
            stranger.join(5.0)
        sender.join(5.0)
        first.close()
        assert parts[1].size == 0
        assert transmitter.describe()["refused"] >= 1
        assert received == SAMPLES.size


def test_junk_does_not_take_part() -> None:
    context = zmq.Context()
    with AirTransmitRadio(ANY, RadioConfig()) as transmitter:
        junk = context.socket(zmq.DEALER)
        junk.connect(transmitter.address)
        for message in ([b"", b""], [b"", b"ab"], [b"", bytes(4)], [b"x"], [b"", b"\xff", b""], [b"", b"x" * 5]):
            junk.send_multipart(message)
        other = context.socket(zmq.REQ)
        other.connect(transmitter.address)
        other.send(b"\xff")
        transmitter.write(SAMPLES[:3000], 5.0)
        assert np.frombuffer(other.recv(), np.complex64).size == 3000  # a request of one byte leaves the number open
        other.send((2).to_bytes(4, "little"))
        transmitter.write(SAMPLES[:2], 5.0)
        assert len(other.recv()) == 16
        assert transmitter.counts.errors == 6
        junk.close(0)
        other.close(0)
    context.term()


def test_addresses() -> None:
    with open_transmitter("air:0", RadioConfig()) as transmitter:
        port = transmitter.describe()["address"].rpartition(":")[2]
        with open_receiver(f"air:{port},wait=1", RadioConfig(sample_rate_hz=5e5)) as receiver:
            assert receiver.describe()["address"] == f"tcp://127.0.0.1:{port}"
            assert receiver.sample_rate_hz == 5e5
        with pytest.raises(LinkError, match="address already in use"):
            open_transmitter(f"air:{port}", RadioConfig())
    assert open_receiver("air:wait=1", RadioConfig()).describe()["address"] == "tcp://127.0.0.1:29102"
    for name, message in (
        ("air:tcp://192.168.0.1:5", "can be reached from other machines; .* or air:tcp://192.168.0.1:5,remote=yes in"),
        ("air:5,wait=x", "wait is a number"),
        ("air:5,wait=-1", "wait is a number"),
        ("air:5,remote=maybe", "yes or no"),
        ("air:5,colour=red", "unknown argument"),
        ("air:nowhere", "no address"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            open_receiver(name, RadioConfig())
    with pytest.raises(ConfigurationError, match="no channel 1"):
        open_receiver("air", RadioConfig(channel=1))
    with pytest.raises(ConfigurationError, match=r"air:tcp://0\.0\.0\.0:5,remote=yes in a network you trust"):
        open_transmitter("air:tcp://0.0.0.0:5", RadioConfig())
    open_receiver("air:tcp://192.0.2.1:5,remote=yes", RadioConfig()).close()


def test_what_is_lost_only_the_air_knows() -> None:
    """The protocol has no place for it, so neither side may claim that nothing was lost."""
    with open_receiver("air:1", RadioConfig()) as receiver:
        assert receiver.counts.describe()["lost_samples"] is None
