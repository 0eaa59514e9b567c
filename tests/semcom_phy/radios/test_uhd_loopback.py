"""Radios over gr-uhd: the loopback driver as a USRP, through UHD's module for SoapySDR's devices."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from semcom_phy.errors import ConfigurationError
from semcom_phy.radios import RadioConfig, RadioError, open_receiver, open_transmitter, probe

CONFIG = RadioConfig(frequency_hz=433.92e6, sample_rate_hz=1e6, gain_db=30.0)

pytestmark = pytest.mark.usefixtures("gnuradio")


def _tests_over_soapy() -> ModuleType:
    """The tests of the same radios over gr-soapy, for what they listen and send with."""
    name = "radio_tests_over_soapy"
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("test_soapy.py"))
    assert spec is not None
    assert spec.loader is not None
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


soapy = _tests_over_soapy()


@contextlib.contextmanager
def both(receiver: str, transmitter: str) -> Iterator[tuple[Any, Any]]:
    with open_receiver(receiver, CONFIG) as listening, open_transmitter(transmitter, CONFIG) as sending:
        yield listening, sending


@pytest.mark.slow
@pytest.mark.parametrize("received_by", ["uhd", "soapy"])
def test_samples_arrive_as_they_were_sent(loopback: Any, received_by: str) -> None:
    sent = soapy.random_samples(150_000)
    radio = {"uhd": loopback.uhd_radio, "soapy": loopback.radio}[received_by]
    with both(radio(pace="none"), loopback.uhd_radio(pace="none", seed=1, tail=0.1)) as (receiver, transmitter):
        listening = soapy.Listening(receiver)
        transmitter.write(sent, 10.0)
        transmitter.drain(10.0)
        start, heard = listening.until(sent)
    assert np.array_equal(heard[start : start + sent.size], sent)
    assert (transmitter.counts.samples, transmitter.counts.underruns) == (150_000, 0)
    assert (receiver.counts.overruns, receiver.counts.lost_samples, receiver.counts.errors) == (0, 0, 0)
    for one in (receiver, transmitter):
        description = one.describe()
        assert description["sample_rate_hz"] == one.sample_rate_hz == 1e6
        assert (description["frequency_hz"], description["antenna"]) == (433.92e6, "TX/RX")
        assert description["gain_db"] == pytest.approx(30.0)
        assert description["clock_source"] == "internal"
    assert transmitter.describe()["radio"].startswith("uhd:type=soapy,driver=semcomloop")
    assert transmitter.describe()["subdev"] == "0:0"


@pytest.mark.slow
def test_what_is_tuned_and_set_reaches_the_device(loopback: Any) -> None:
    """20 kHz off and 6 dB lower is what the receiver hears."""
    sent = np.full(60_000, 0.25, np.complex64)
    config = RadioConfig(433.94e6, 1e6, 24.0, antenna="RX2", bandwidth_hz=5e5, clock_source="external")
    with (
        open_receiver(loopback.uhd_radio(pace="none"), config) as receiver,
        open_transmitter(loopback.uhd_radio(pace="none", tail=0.1), CONFIG) as transmitter,
    ):
        settings = receiver.describe()
        assert (settings["antenna"], settings["bandwidth_hz"], settings["clock_source"]) == ("RX2", 5e5, "external")
        listening = soapy.Listening(receiver)
        transmitter.write(sent, 10.0)
        transmitter.drain(10.0)
        start, heard = listening.until(sent)
    tone = heard[start : start + sent.size]
    turns = np.angle(np.vdot(tone[:-1], tone[1:])) / (2 * np.pi)
    assert turns * 1e6 == pytest.approx(-20e3, abs=1)
    assert np.abs(tone) == pytest.approx(0.25 * 10 ** (-6 / 20), rel=1e-4)


@pytest.mark.slow
def test_injected_overflows_and_underruns_are_counted(loopback: Any) -> None:
    """As with a USRP, the letters that are printed count; UHD tells gr-uhd of the same events in another way."""
    sent = soapy.random_samples(400_000)
    air = {"pace": "none", "report": "log"}
    with both(
        loopback.uhd_radio(**air, overflow=20_000, overflow_count=7),
        loopback.uhd_radio(**air, tail=0.1, underrun=30_000, underrun_count=5),
    ) as (receiver, transmitter):
        listening = soapy.Listening(receiver)
        transmitter.write(sent, 10.0)
        transmitter.drain(10.0)
        listening.until(sent[: 400_000 - 7 * 1000])
    assert receiver.counts.overruns == 7
    assert transmitter.counts.underruns == 5


def test_a_block_that_dies_is_told_in_one_line(loopback: Any) -> None:
    """An underrun that the driver returns is an exception in UHD's module, which ends gr-uhd's sink."""
    air = loopback.uhd_radio(pace="real", underrun=20_000, underrun_count=1, report="return")
    with (
        open_transmitter(air, CONFIG) as transmitter,
        pytest.raises(RadioError, match="the device failed") as raised,
    ):
        soapy.until_it_fails(lambda: transmitter.write(soapy.random_samples(10_000), 1.0))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "arguments", "message"),
    [
        ({"gain_db": 90.0}, {}, "cannot be set to a gain of 90 dB; it takes 0 to 60 dB"),
        ({"sample_rate_hz": 1e8}, {}, "cannot be set to a sample rate of 1e+08 samples/s; it takes 10000 to 2e+07"),
        ({"antenna": "RX3"}, {}, "has no antenna 'RX3'. Did you mean 'RX2'? It has: TX/RX, RX2"),
        ({}, {"time_source": "gpsdo"}, "has no time source 'gpsdo'"),
    ],
)
def test_what_the_device_cannot_do(
    loopback: Any, changes: dict[str, Any], arguments: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_receiver(loopback.uhd_radio(**arguments), dataclasses.replace(CONFIG, **changes))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_argument_that_the_device_does_not_know(loopback: Any) -> None:
    with pytest.raises(RadioError, match="semcomloop: unknown argument 'nois'"):
        open_receiver(loopback.uhd_radio(nois=3), CONFIG)


def test_probe(loopback: Any) -> None:
    (report,) = probe(loopback.uhd_radio(gains="-3:17", rx_antennas="A:B"))
    assert report.receiver is not None
    assert report.transmitter is not None
    assert (report.receiver.gain_db[0].minimum, report.receiver.gain_db[0].maximum) == (-3.0, 17.0)
    assert (report.receiver.antennas, report.transmitter.antennas) == (("A", "B"), ("TX/RX",))
    assert report.receiver.clock_sources == ("internal", "external")
