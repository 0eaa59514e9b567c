"""Radio names, configurations, and what a device can do."""

from __future__ import annotations

import math

import numpy as np
import pytest

from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.radios import (
    RADIOS,
    RadioCapabilities,
    RadioConfig,
    RadioCounts,
    RadioError,
    RadioTimeoutError,
    Range,
    check_config,
    parse_arguments,
    parse_radio,
    probe,
)
from semcom_phy.radios.base import checked_count, checked_samples, gain_factor

CAPABLE = RadioCapabilities(
    frequency_hz=(Range(24e6, 1.7e9),),
    sample_rate_hz=(Range(225_001.0, 300_000.0), Range(900_001.0, 3_200_000.0)),
    gain_db=(Range(0.0, 49.6),),
    bandwidth_hz=(Range(0.0, 8e6),),
    antennas=("RX", "TX/RX"),
    clock_sources=("internal", "external"),
    channels=1,
)


def test_a_name_is_split_at_its_first_colon() -> None:
    driver, arguments = parse_radio("air:tcp://127.0.0.1:29102,wait=3")
    assert driver is RADIOS["air"]
    assert arguments == "tcp://127.0.0.1:29102,wait=3"
    assert parse_radio("air") == (RADIOS["air"], "")
    assert parse_radio("file: out/a,b ")[1] == "out/a,b"


@pytest.mark.parametrize(
    ("text", "message"),
    [("sopy:driver=x", "Did you mean 'soapy'"), ("", "unknown radio"), ("air:" + "x" * 1000, "1000")],
)
def test_unknown_radios_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_radio(text)


def test_every_driver_knows_its_name() -> None:
    assert {"air", "file", "soapy", "uhd"} <= set(RADIOS)
    assert all(RADIOS[name].name == name for name in RADIOS)


def test_arguments() -> None:
    assert parse_arguments("driver=rtlsdr, serial = 1,") == {"driver": "rtlsdr", "serial": "1"}
    assert parse_arguments("") == {}
    for text, message in (
        ("x", "key=value"),
        ("=1", "key=value"),
        ("a=1,a=2", "twice"),
        ("wayt=1", "Did you mean 'wait'"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            parse_arguments(text, None if message == "twice" else ("wait", "remote"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"frequency_hz": -1.0},
        {"frequency_hz": math.nan},
        {"sample_rate_hz": 0.0},
        {"sample_rate_hz": "1e6"},
        {"gain_db": math.inf},
        {"bandwidth_hz": 1e12},
        {"antenna": ""},
        {"clock_source": "a\nb"},
        {"channel": -1},
        {"channel": True},
        {"channel": 1.0},
    ],
)
def test_impossible_configurations_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        RadioConfig(**wrong)


def test_what_a_device_can_do_passes() -> None:
    check_config(RadioConfig(868e6, 1e6, 49.6, "RX", 5e6, "external"), CAPABLE, "stick")
    check_config(RadioConfig(), CAPABLE, "stick")
    check_config(RadioConfig(868e6, 1e6, 99.0, "X", 5e6, "y"), RadioCapabilities(), "says nothing")
    check_config(RadioConfig(sample_rate_hz=3_200_000.1), CAPABLE, "rounds")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (RadioConfig(frequency_hz=10e6), "frequency of 1e+07 Hz; it takes 2.4e+07 to 1.7e+09 Hz"),
        (RadioConfig(sample_rate_hz=500e3), "500000 samples/s; it takes 225001 to 300000, 900001 to 3.2e+06 samples/s"),
        (RadioConfig(gain_db=60.0), "gain of 60 dB; it takes 0 to 49.6 dB"),
        (RadioConfig(bandwidth_hz=9e6), "bandwidth"),
        (RadioConfig(antenna="RX1"), "no antenna 'RX1'. Did you mean 'RX'? It has: RX, TX/RX"),
        (RadioConfig(clock_source="gpsdo"), "no clock source 'gpsdo'"),
        (RadioConfig(channel=1), "no channel 1; its channels are 0 to 0"),
    ],
)
def test_what_it_cannot_do_is_said_in_one_line(config: RadioConfig, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        check_config(config, CAPABLE, "stick")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_long_lists_of_rates_are_shortened() -> None:
    rates = RadioCapabilities(sample_rate_hz=tuple(Range(r * 1e5, r * 1e5) for r in range(1, 40)))
    with pytest.raises(ConfigurationError) as caught:
        check_config(RadioConfig(sample_rate_hz=55.0), rates, "x")
    assert "…, 3.9e+06" in str(caught.value)
    assert len(str(caught.value)) < 200


def test_errors_are_link_errors_and_counts_describe_themselves() -> None:
    assert issubclass(RadioTimeoutError, RadioError)
    assert issubclass(RadioError, LinkError)
    assert RadioCounts(samples=3).describe()["samples"] == 3
    assert RadioConfig(gain_db=3).describe()["gain_db"] == 3.0


def test_checked_values() -> None:
    assert checked_samples(np.ones(3, np.complex128)).dtype == np.complex64
    for wrong in (np.ones(3), np.ones((2, 2), np.complex64)):
        with pytest.raises(ConfigurationError):
            checked_samples(wrong)
    for count in (0, True, 1.5):
        with pytest.raises(ConfigurationError):
            checked_count(count)  # type: ignore[arg-type]
    assert gain_factor(None) == 1.0
    assert gain_factor(-20.0) == np.float32(0.1)


def test_the_air_is_probed_without_a_device() -> None:
    (report,) = probe("air")
    assert report.receiver is not None
    assert report.receiver.channels == 1
