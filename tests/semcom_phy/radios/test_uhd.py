"""USRPs: options, a device that is not there, and the worker with a device that exists in software alone."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semcom_phy.errors import ConfigurationError
from semcom_phy.gr.radio_devices import UhdDevice
from semcom_phy.radios import RadioConfig, RadioError, open_receiver, open_transmitter, probe, worker
from semcom_phy.radios.worker_protocol import WorkerRequest

SCRIPTS = Path(__file__).parent / "scripts"
CONFIG = RadioConfig(frequency_hz=2.45e9, sample_rate_hz=1e6, gain_db=40.0)


def _usrp_double() -> Any:
    spec = importlib.util.spec_from_file_location("usrp_double", SCRIPTS / "usrp_double.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.UsrpDouble


UsrpDouble = _usrp_double()


def open_double(config: RadioConfig = CONFIG, **options: str) -> UhdDevice:
    """A device whose USRP is a double, set as it is when a worker opens it."""

    def make(request: WorkerRequest) -> Any:
        usrp = UsrpDouble()
        usrp.prepare()
        return usrp

    request = WorkerRequest("uhd", "receive", {"serial": "123"}, options, config)
    device = UhdDevice(request, make, lambda frequency, offset: (frequency, offset))
    device.apply(config)
    return device


def test_everything_is_set() -> None:
    config = RadioConfig(2.45e9, 1e6, 40.0, antenna="RX2", bandwidth_hz=5e6, clock_source="external")
    device = open_double(config, subdev="A:B", time_source="gpsdo", lo_offset="2e6")
    calls = device.block.calls
    assert sorted(calls) == [
        ("antenna", "RX2", 0),
        ("bandwidth", 5e6, 0),
        ("center_freq", (2.45e9, 2e6), 0),
        ("clock_source", "external", 0),
        ("gain", 40.0, 0),
        ("samp_rate", pytest.approx(1e6)),
        ("subdev_spec", "A:B", 0),
        ("time_source", "gpsdo", 0),
    ]
    names = [call[0] for call in calls]
    # Which frontend it is decides about everything else; the clock about rates.
    assert names[0] == "subdev_spec"
    assert names.index("clock_source") < names.index("samp_rate")
    settings = device.settings()
    assert settings["sample_rate_hz"] == 1e6 * (1 + 1e-9)
    assert (settings["frequency_hz"], settings["gain_db"], settings["antenna"]) == (2.45e9, 40.0, "RX2")
    assert (settings["clock_source"], settings["time_source"], settings["subdev"]) == ("external", "gpsdo", "A:B")


def test_what_is_not_asked_for_is_left_alone() -> None:
    assert open_double(RadioConfig()).block.calls == []


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"gain_db": 120.0}, {}, "cannot be set to a gain of 120 dB; it takes 0 to 89.75 dB"),
        ({"frequency_hz": 1e6}, {}, "cannot be set to a frequency of 1e+06 Hz; it takes 5e+07 to 6e+09 Hz"),
        ({"sample_rate_hz": 100e6}, {}, "cannot be set to a sample rate of 1e+08 samples/s"),
        ({"antenna": "RX1"}, {}, "has no antenna 'RX1'"),
        ({"clock_source": "atomic"}, {}, "has no clock source 'atomic'"),
        ({}, {"time_source": "sun"}, "has no time source 'sun'; it has none, internal, external, gpsdo"),
        ({}, {"subdev": "Z"}, "has no subdev 'Z'"),
        ({}, {"lo_offset": "far"}, "lo_offset must be a number"),
    ],
)
def test_what_the_device_cannot_do(changes: dict[str, Any], options: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        open_double(RadioConfig(**changes), **options)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_error_of_uhd_is_one_line() -> None:
    def make(request: WorkerRequest) -> Any:
        raise RuntimeError("LookupError: KeyError: No devices found for ----->\nDevice Address:\n    type: b200\n")

    with pytest.raises(RadioError) as raised:
        UhdDevice(WorkerRequest("uhd", "receive", {"type": "b200"}), make)
    assert str(raised.value) == "no USRP matches uhd:type=b200; see 'uhd_find_devices' for those that do"


def test_capabilities() -> None:
    capabilities = open_double().capabilities()
    assert (capabilities.gain_db[0].minimum, capabilities.gain_db[0].maximum) == (0.0, 89.75)
    assert capabilities.bandwidth_hz == ()  # an empty range of UHD
    assert capabilities.antennas == ("TX/RX", "RX2")
    assert capabilities.clock_sources == ("internal", "external", "gpsdo")


@pytest.mark.usefixtures("gnuradio")
def test_no_device() -> None:
    begin = time.monotonic()
    with pytest.raises(RadioError, match="no USRP matches uhd:serial=0; see 'uhd_find_devices'"):
        open_receiver("uhd:serial=0", CONFIG)
    with pytest.raises(RadioError, match="no device matches uhd:serial=0"):
        probe("uhd:serial=0")
    assert time.monotonic() - begin < 20


@pytest.fixture
def double_worker(gnuradio: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The worker finds a USRP in software; returns the file that it sends to."""
    monkeypatch.setenv("PYTHONPATH", str(SCRIPTS))
    monkeypatch.setenv("USRP_DOUBLE_FILE", str(tmp_path / "sent"))
    monkeypatch.setattr(worker, "_MODULE", "usrp_double_worker")
    return tmp_path / "sent"


def test_receiving_through_the_worker(double_worker: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with open_receiver("uhd:lo_offset=1e6", CONFIG) as radio:
        assert radio.sample_rate_hz == 1e6 * (1 + 1e-9)  # what the device reports, not what was asked
        parts, heard = [], 0
        while heard < 150_000:
            parts.append(radio.read(1 << 14, 10.0))
            heard += parts[-1].size
    samples = np.concatenate(parts)
    assert np.array_equal(samples, (np.arange(samples.size) / 1e6).astype(np.complex64))
    counts = radio.counts
    assert (counts.overruns, counts.underruns, counts.late, counts.errors) == (5, 1, 1, 1)
    assert "[WARNING] [UHD] a line of UHD" in capfd.readouterr().err


def test_sending_through_the_worker(double_worker: Path) -> None:
    parts = np.random.default_rng(0).uniform(0.1, 0.6, (150_000, 2))
    sent = (parts[:, 0] + 1j * parts[:, 1]).astype(np.complex64)
    with open_transmitter("uhd:tail=0.1,subdev=A:B", CONFIG) as radio:
        assert radio.describe()["subdev"] == "A:B"
        radio.write(sent, 10.0)
        radio.drain(10.0)
    assert np.array_equal(np.fromfile(double_worker, np.complex64), sent)
    assert (radio.counts.samples, radio.counts.underruns, radio.counts.late) == (150_000, 1, 1)
