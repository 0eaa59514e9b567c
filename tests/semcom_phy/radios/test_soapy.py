"""Radios over gr-soapy, on the loopback driver."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semcom_phy.errors import ConfigurationError
from semcom_phy.flowgraph.process import FlowgraphProcess
from semcom_phy.radios import (
    RadioConfig,
    RadioError,
    RadioTimeoutError,
    ReceiveRadio,
    open_receiver,
    open_transmitter,
    probe,
)
from semcom_phy.radios.base import Samples
from semcom_phy.radios.worker import request_for
from semcom_phy.radios.worker_protocol import PART, WINDOW
from semcom_phy.zmq import LinkAddresses

ROOT = Path(__file__).parents[3]
CONFIG = RadioConfig(frequency_hz=433.92e6, sample_rate_hz=1e6, gain_db=30.0)

pytestmark = pytest.mark.usefixtures("gnuradio")


def random_samples(count: int, seed: int = 0) -> Samples:
    parts = np.random.default_rng(seed).uniform(-0.6, 0.6, (count, 2))
    return (parts[:, 0] + 1j * parts[:, 1]).astype(np.complex64)


class Listening:
    """Reads in a thread until it is stopped."""

    def __init__(self, radio: ReceiveRadio) -> None:
        self._radio = radio
        self._parts: list[Samples] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            self._parts.append(self._radio.read(1 << 16, 10.0))

    def until(self, samples: Samples) -> tuple[int, Samples]:
        """Listen until `samples` have been heard whole, from the first that is not zero on; all that was heard."""
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            heard = np.concatenate([np.empty(0, np.complex64), *self._parts])
            sound = np.flatnonzero(heard)
            # There may be silence between the parts of what was sent.
            if sound.size >= np.count_nonzero(samples) and heard.size - sound[0] >= samples.size:
                self._end()
                return int(sound[0]), heard
            self._stop.wait(0.02)
        raise AssertionError("what was sent has not been heard within 30 s")

    def _end(self) -> None:
        self._stop.set()
        self._thread.join()


def worker_of(radio: Any) -> int:
    """The process that holds the device: the guardian's only child."""
    children = Path(f"/proc/{radio._process.pid}/task/{radio._process.pid}/children").read_text().split()
    (child,) = children
    return int(child)


def until_it_fails(action: Callable[[], object]) -> None:
    """Repeat until it raises something else than that nothing came in time, for half a minute at most."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with contextlib.suppress(RadioTimeoutError):
            action()


def suppressed(action: Callable[[], object]) -> None:
    """Repeat until it fails, in a thread whose errors nobody reads."""
    with contextlib.suppress(RadioError):
        until_it_fails(action)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until_gone(pid: int, within_s: float = 5.0) -> None:
    deadline = time.monotonic() + within_s
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} still runs"
        threading.Event().wait(0.02)


@contextlib.contextmanager
def both(loopback: Any, receiver: str = "", transmitter: str = "", **common: object) -> Iterator[tuple[Any, Any]]:
    """A receiver and a transmitter in lock step."""
    air = {"pace": "none", **common}
    with (
        open_receiver(loopback.radio(**air) + receiver, CONFIG) as listening,
        open_transmitter(loopback.radio(**air, seed=1, tail=0.1) + transmitter, CONFIG) as sending,
    ):
        yield listening, sending


def test_samples_arrive_as_they_were_sent(loopback: Any) -> None:
    sent = random_samples(150_000)
    with both(loopback) as (receiver, transmitter):
        listening = Listening(receiver)
        transmitter.write(sent[:100_000], 10.0)
        transmitter.drain(10.0)
        transmitter.write(sent[100_000:], 10.0)
        transmitter.drain(10.0)
        start, heard = listening.until(sent)
    assert np.array_equal(heard[start : start + 100_000], sent[:100_000])
    assert not heard[start + 100_000 : start + 150_000].any() or heard.size > start + 200_000
    assert (transmitter.counts.samples, transmitter.counts.underruns) == (150_000, 0)
    assert (receiver.counts.overruns, receiver.counts.lost_samples) == (0, 0)
    assert receiver.counts.samples >= 150_000
    for radio in (receiver, transmitter):
        description = radio.describe()
        assert description["radio"].startswith("soapy:driver=semcomloop")
        assert description["sample_rate_hz"] == radio.sample_rate_hz == 1e6
        assert (description["frequency_hz"], description["gain_db"]) == (433.92e6, 30.0)
        assert description["antenna"] == "TX/RX"


def test_tuning_beside_the_signal_changes_nothing(loopback: Any) -> None:
    sent = random_samples(60_000)
    with both(loopback, ",lo_offset=200e3", ",lo_offset=-125e3") as (receiver, transmitter):
        assert receiver.describe()["frequency_hz"] == 433.92e6
        listening = Listening(receiver)
        transmitter.write(sent, 10.0)
        transmitter.drain(10.0)
        start, heard = listening.until(sent)
    turn = np.vdot(sent, heard[start : start + sent.size])
    # The oscillators begin at phases of their own.
    assert np.allclose(heard[start : start + sent.size], sent * (turn / abs(turn)), atol=1e-3)


@pytest.mark.slow
def test_a_write_has_no_gap_however_slowly_it_is_handed_over(loopback: Any) -> None:
    """Silence is sent until the last chunk of a part is there."""
    sent = random_samples(PART)
    with both(loopback) as (receiver, transmitter):
        listening = Listening(receiver)
        link = transmitter._link
        plain = link.send

        def slow(*arguments: Any) -> int:
            threading.Event().wait(0.02)
            return plain(*arguments)

        link.send = slow
        transmitter.write(sent, 10.0)
        link.send = plain
        transmitter.drain(10.0)
        start, heard = listening.until(sent)
    assert np.array_equal(heard[start : start + sent.size], sent)
    assert transmitter.counts.underruns == 0


def test_injected_overflows_and_underruns_are_counted(loopback: Any) -> None:
    sent = random_samples(400_000)
    with both(loopback, ",overflow=20000,overflow_count=7", ",underrun=30000,underrun_count=5") as (rx, tx):
        listening = Listening(rx)
        tx.write(sent, 10.0)
        tx.drain(10.0)
        listening.until(sent[: 400_000 - 7 * 1000])
    assert rx.counts.overruns == 7
    assert tx.counts.underruns == 5


def test_events_that_driver_and_block_both_print_are_counted_once(loopback: Any) -> None:
    with both(
        loopback, ",overflow=20000,overflow_count=4,report=log", ",underrun=9000,underrun_count=3,report=log"
    ) as (
        rx,
        tx,
    ):
        listening = Listening(rx)
        tx.write(random_samples(200_000), 10.0)
        tx.drain(10.0)
        listening.until(random_samples(190_000))
    assert rx.counts.overruns == 4
    assert tx.counts.underruns == 3


@pytest.mark.slow
def test_a_transmitter_that_nobody_hears_holds_the_program_up(loopback: Any) -> None:
    with open_transmitter(loopback.radio(pace="none"), CONFIG) as transmitter:
        begin = time.monotonic()
        with pytest.raises(RadioTimeoutError):
            transmitter.write(random_samples(3 * WINDOW), 0.3)
        assert 0.3 <= time.monotonic() - begin < 5.0
        taken = transmitter.counts.samples
        assert 0 < taken < 3 * WINDOW
        with pytest.raises(RadioTimeoutError):
            transmitter.drain(0.1)


@pytest.mark.slow
def test_a_write_that_was_given_up_can_be_continued(loopback: Any) -> None:
    sent = random_samples(2 * WINDOW)
    rest = sent
    with open_transmitter(loopback.radio(pace="none", tail=0.01), CONFIG) as transmitter:
        with pytest.raises(RadioTimeoutError):
            transmitter.write(rest, 0.2)
        rest = sent[transmitter.counts.samples :]
        with open_receiver(loopback.radio(pace="none", seed=2), CONFIG) as receiver:
            listening = Listening(receiver)
            transmitter.write(rest, 10.0)
            transmitter.drain(10.0)
            start, heard = listening.until(sent)
    received = heard[start:]
    received = received[received != 0]  # between the two writes there may be silence
    assert np.array_equal(received, sent)


@pytest.mark.slow
def test_an_application_that_does_not_read_makes_the_device_overflow(loopback: Any) -> None:
    config = dataclasses.replace(CONFIG, sample_rate_hz=4e6)
    with open_receiver(loopback.radio(), config) as receiver:
        receiver.read(1, 5.0)
        threading.Event().wait(4.0)  # more than all queues on the way hold
        before = receiver.counts.overruns
        deadline = time.monotonic() + 20
        while receiver.counts.overruns == before:
            assert time.monotonic() < deadline, "no overrun was counted"
            receiver.read(1 << 16, 5.0)
        receiver.read(1, 5.0)  # and it goes on
    assert receiver.counts.lost_samples is None  # nobody knows how many


@pytest.mark.slow
def test_real_time(loopback: Any) -> None:
    sent = random_samples(300_000)
    with (
        open_receiver(loopback.radio(), CONFIG) as receiver,
        open_transmitter(loopback.radio(seed=1, tail=0.3), CONFIG) as transmitter,
    ):
        listening = Listening(receiver)
        for part in np.split(sent, 3):
            transmitter.write(part, 10.0)
        transmitter.drain(10.0)
        start, heard = listening.until(sent)
        if not (receiver.counts.overruns or transmitter.counts.underruns):  # the machine may be busy
            assert np.array_equal(heard[start : start + 100_000], sent[:100_000])
            received = heard[start:]
            assert np.array_equal(received[received != 0][: sent.size], sent)


def test_the_sample_rate_is_the_same_for_all_radios(loopback: Any) -> None:
    """A device has some rate from before, this one a million; two without an option must understand each other."""
    config = dataclasses.replace(CONFIG, sample_rate_hz=None)
    request = request_for("soapy", "receive", {"driver": "any"}, (), config)
    assert request.config.sample_rate_hz == 1e6
    with open_receiver(loopback.radio(), dataclasses.replace(config, sample_rate_hz=2e6)):
        pass
    with open_receiver(loopback.radio(), config) as receiver:
        assert receiver.sample_rate_hz == 1e6


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({"gain_db": 90.0}, "", "cannot be set to a gain of 90 dB; it takes 0 to 60 dB"),
        ({"sample_rate_hz": 1e8}, "", "cannot be set to a sample rate of 1e+08 samples/s; it takes 10000 to 2e+07"),
        ({"frequency_hz": None}, "", "radio soapy needs frequency_hz, the centre frequency"),
        ({"frequency_hz": 7e9}, "", "cannot be set to a frequency of 7e+09 Hz; it takes 1e+06 to 6e+09 Hz"),
        ({"bandwidth_hz": 1e3}, "", "cannot be set to a bandwidth of 1000 Hz"),
        ({"antenna": "RX3"}, "", "has no antenna 'RX3'. Did you mean 'RX2'? It has: TX/RX, RX2"),
        ({"clock_source": "gpsdo"}, "", "has no clock source 'gpsdo'. It has: internal, external"),
        ({"channel": 1}, "", "cannot receive on channel 1"),
        ({}, ",lo_offset=1e12", "lo_offset must be a number from -1e+09 to 1e+09"),
        ({}, ",correction_ppm=5000", "correction_ppm must be a number from -1000 to 1000"),
        ({}, ",nois=3", "unknown argument 'nois'"),
    ],
)
def test_what_the_device_cannot_do(loopback: Any, changes: dict[str, Any], arguments: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_receiver(loopback.radio() + arguments, dataclasses.replace(CONFIG, **changes))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_correction_of_the_reference(loopback: Any) -> None:
    """A receiver whose oscillator is 10 ppm fast hears everything 10 ppm of its frequency too low."""
    sent = random_samples(20_000)
    with both(loopback, ",cfo=-4339.2,correction_ppm=10") as (receiver, transmitter):
        listening = Listening(receiver)
        transmitter.write(sent, 10.0)
        transmitter.drain(10.0)
        start, heard = listening.until(sent)
    assert np.allclose(heard[start : start + sent.size], sent, atol=1e-3)
    with pytest.raises(ConfigurationError, match="takes no correction_ppm"):
        open_transmitter(loopback.radio(correction_ppm=3), CONFIG)


def test_devices_that_are_not_there(loopback: Any) -> None:
    with pytest.raises(RadioError, match="no device matches soapy:driver=nosuch"):
        open_receiver("soapy:driver=nosuch", CONFIG)
    with pytest.raises(ConfigurationError, match="soapy needs to know the device"):
        open_receiver("soapy:serial=1", CONFIG)


def test_probe(loopback: Any) -> None:
    (report,) = probe(loopback.radio(gains="-3:17", rx_antennas="A:B"))
    assert report.receiver is not None
    assert report.transmitter is not None
    assert (report.receiver.gain_db[0].minimum, report.receiver.gain_db[0].maximum) == (-3.0, 17.0)
    assert (report.receiver.antennas, report.transmitter.antennas) == (("A", "B"), ("TX/RX",))
    assert report.receiver.clock_sources == ("internal", "external")


def test_a_device_that_fails_when_it_is_started(loopback: Any) -> None:
    """GNU Radio would hang: the block's thread ends before the flowgraph has begun."""
    with (
        open_transmitter(loopback.radio(tail=0.1), CONFIG) as first,
        open_transmitter(loopback.radio(seed=9), CONFIG) as second,
    ):
        first.write(random_samples(100), 10.0)
        first.drain(10.0)  # it has the air now
        with pytest.raises(RadioError, match="another transmitter is active"):
            until_it_fails(lambda: second.write(random_samples(100), 10.0))


def test_close_ends_the_process_and_is_harmless_when_repeated(loopback: Any) -> None:
    receiver = open_receiver(loopback.radio(), CONFIG)
    pid = worker_of(receiver)
    receiver.read(10, 5.0)
    receiver.close()
    receiver.close()
    assert not alive(pid)
    with pytest.raises(RadioError, match="is closed"):
        receiver.read(10, 5.0)
    assert not list(Path("/dev/shm").glob(f"semcomloop.*.{loopback.key}")), "the device was not released"


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(5))
def test_workers_that_are_killed_are_noticed(loopback: Any, attempt: int) -> None:
    moment = np.random.default_rng(attempt).uniform(0, 0.3)
    with both(loopback) as (receiver, transmitter):
        receiver.read(4096, 5.0)
        listening = threading.Thread(target=lambda: suppressed(lambda: receiver.read(1 << 16, 0.5)), daemon=True)
        listening.start()
        threading.Timer(moment, os.kill, (worker_of(transmitter), signal.SIGKILL)).start()
        with pytest.raises(RadioError, match="was killed by SIGKILL"):
            until_it_fails(lambda: transmitter.write(random_samples(1000), 1.0))
        assert listening.is_alive(), "the receiver hears noise when the transmitter is gone"
        os.kill(worker_of(receiver), signal.SIGKILL)
        listening.join(2.0)
        assert not listening.is_alive(), "the end of the receiver's worker was not noticed"
        with pytest.raises(RadioError, match="was killed by SIGKILL"):
            until_it_fails(lambda: receiver.read(1 << 16, 1.0))
    # The same air, anew.
    sent = random_samples(5000)
    with both(loopback) as (receiver, transmitter):
        listening_again = Listening(receiver)
        transmitter.write(sent, 10.0)
        transmitter.drain(10.0)
        listening_again.until(sent[:1])


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["receiver", "transmitter"])
def test_no_worker_outlives_the_application(loopback: Any, direction: str) -> None:
    script = (
        "import sys\n"
        "from semcom_phy.radios import RadioConfig, open_receiver, open_transmitter\n"
        f"radio = open_{direction}(sys.argv[1], RadioConfig(433.92e6, 1e6, 30.0))\n"
        "print(radio._process.pid, flush=True)\n"
        "sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, loopback.radio()],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as application:
        assert application.stdout is not None
        guardian = int(application.stdout.readline())
        worker = int(Path(f"/proc/{guardian}/task/{guardian}/children").read_text().split()[0])
        application.kill()
    wait_until_gone(worker, 8.0)
    wait_until_gone(guardian, 8.0)


@pytest.mark.slow
def test_a_worker_that_hangs_is_noticed_and_ended(loopback: Any) -> None:
    receiver = open_receiver(loopback.radio(), CONFIG)
    receiver.read(10, 5.0)
    worker = worker_of(receiver)
    os.kill(worker, signal.SIGSTOP)
    with pytest.raises(RadioError, match="has not answered"):
        until_it_fails(lambda: receiver.read(1 << 16, 5.0))
    receiver.close()
    assert not alive(worker)


def counts_at_worker(radio: Any) -> Mapping[str, Any]:
    """What a worker has counted at its data socket, from an answer to the watchdog after it was told to start."""
    deadline = time.monotonic() + 10
    while not (counters := radio._link.watchdog.stats.counters).get("received"):
        assert time.monotonic() < deadline, "no answer to the watchdog tells of a PDU"
        threading.Event().wait(0.02)
    return counters


@pytest.mark.slow
def test_junk_at_all_sockets_while_samples_flow(
    loopback: Any, junk_proxy: Any, throw_junk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before every message, either way, and from strangers at the application's ports: samples stay what they are."""
    proxies: list[Any] = []

    def proxied(command: Sequence[str], **options: Any) -> FlowgraphProcess:
        proxies.append(junk_proxy(LinkAddresses.from_arguments(command[-4:]), seed=len(proxies)))
        return FlowgraphProcess([*command[:-4], *proxies[-1].addresses.as_arguments()], **options)

    monkeypatch.setattr("semcom_phy.radios.worker.FlowgraphProcess", proxied)
    sent = random_samples(400_000)
    with both(loopback) as radios:
        receiver, transmitter = radios
        workers = [worker_of(radio) for radio in radios]
        strangers = [
            threading.Thread(target=throw_junk, args=(radio._link.addresses, np.random.default_rng(seed)))
            for seed, radio in enumerate(radios)
        ]
        listening = Listening(receiver)
        for stranger in strangers:
            stranger.start()
        for part in np.split(sent, 4):
            transmitter.write(part, 10.0)
        transmitter.drain(10.0)
        start, heard = listening.until(sent)
        for stranger in strangers:
            stranger.join()
        received = heard[start:]
        assert np.array_equal(received[received != 0], sent)
        assert [worker_of(radio) for radio in radios] == workers
        assert (receiver.counts.overruns, receiver.counts.lost_samples) == (0, 0)
        assert (transmitter.counts.samples, transmitter.counts.underruns) == (400_000, 0)
        for radio, proxy in zip(radios, proxies, strict=True):
            assert min(proxy.thrown.values()) >= 1
            # At the application: at least one before each message that was read.
            at_application = radio._link.receiver.stats
            assert at_application.malformed + at_application.foreign >= at_application.received > 0
            at_worker = counts_at_worker(radio)
            assert at_worker["malformed"] + at_worker["foreign"] >= at_worker["received"] > 0
    assert not any(alive(worker) for worker in workers)
    for proxy in proxies:
        proxy.close()
