"""A recording as a radio."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from semcom_phy.capture import open_recording
from semcom_phy.errors import ConfigurationError, FormatError, LinkError
from semcom_phy.radios import RadioConfig, RadioError, ReceiveRadio, open_receiver, open_transmitter, probe

RNG = np.random.default_rng(5)
SAMPLES = (0.2 * (RNG.standard_normal(5000) + 1j * RNG.standard_normal(5000))).astype(np.complex64)


def everything(radio: ReceiveRadio, count: int = 700) -> np.ndarray:
    parts = []
    while (part := radio.read(count, 1.0)).size:
        assert part.size <= count
        parts.append(part)
    return np.concatenate(parts)


def written(path: Path, options: str = "", config: RadioConfig | None = None) -> Path:
    with open_transmitter(f"file:{path}{options}", config or RadioConfig(868e6, 2e6)) as radio:
        for piece in np.split(SAMPLES, [10, 10, 4000]):
            radio.write(piece, 1.0)
        radio.drain(1.0)
        assert radio.counts.samples == SAMPLES.size
    return path


@pytest.mark.parametrize("name", ["sent", "with,commas=and more", "dots.in.it"])
def test_what_is_sent_is_received(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / name)
    with open_receiver(f"file:{path}", RadioConfig()) as radio:
        assert radio.sample_rate_hz == 2e6
        np.testing.assert_array_equal(everything(radio), SAMPLES)
        assert radio.read(1, 0.0).size == 0
        assert radio.counts.samples == SAMPLES.size
        assert radio.describe()["frequency_hz"] == 868e6


def test_formats_and_gain(tmp_path: Path) -> None:
    path = written(tmp_path / "small", ",datatype=ci16_le", RadioConfig(gain_db=-6.0))
    with open_recording(path) as recording:
        assert recording.datatype == "ci16_le"
        factor = 10 ** (-6 / 20)
        np.testing.assert_allclose(recording.read(0, 5000), factor * SAMPLES, atol=2**-15)
    with open_receiver(f"file:{path}", RadioConfig(gain_db=6.0)) as radio:
        np.testing.assert_allclose(everything(radio), SAMPLES, atol=2**-14)


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> None:
        with open_transmitter(f"file:{tmp_path / 'x'}", RadioConfig()) as radio:
            radio.write(SAMPLES, 1.0)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_nothing_sent_leaves_nothing(tmp_path: Path) -> None:
    with open_transmitter(f"file:{tmp_path / 'x'}", RadioConfig()) as radio:
        pass
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RadioError, match="closed"):
        radio.write(SAMPLES, 1.0)


def test_existing_recordings_are_kept_unless_told(tmp_path: Path) -> None:
    written(tmp_path / "x")
    with pytest.raises(ConfigurationError, match="exists"):
        written(tmp_path / "x")
    written(tmp_path / "x", ",overwrite=yes")


def test_real_time(tmp_path: Path) -> None:
    path = written(tmp_path / "x", "", RadioConfig(sample_rate_hz=20e3))
    with open_receiver(f"file:{path},realtime=yes", RadioConfig()) as radio:
        began = time.monotonic()
        assert everything(radio).size == SAMPLES.size
        assert time.monotonic() - began >= 0.24


def raw(path: Path) -> Path:
    """The samples of a recording alone, as ci16_le, in a file that tells nothing about them."""
    written(path.with_name("whole"), ",datatype=ci16_le,overwrite=yes")
    path.write_bytes(path.with_name("whole.sigmf-data").read_bytes())
    return path


def test_raw_samples(tmp_path: Path) -> None:
    path = raw(tmp_path / "samples.bin")
    with open_receiver(f"file:{path},datatype=ci16_le", RadioConfig(sample_rate_hz=2e6)) as radio:
        assert (radio.sample_rate_hz, radio.describe()["datatype"]) == (2e6, "ci16_le")
        np.testing.assert_allclose(everything(radio), SAMPLES, atol=2**-15)
        assert radio.counts.samples == SAMPLES.size
    named = raw(tmp_path / "samples.cs16")  # the suffix tells the datatype
    with open_receiver(f"file:{named}", RadioConfig(868e6, 5e5)) as radio:
        assert radio.sample_rate_hz == 5e5
        assert everything(radio).size == SAMPLES.size
    with open_receiver(f"file:{named},datatype=ci8,realtime=no", RadioConfig(sample_rate_hz=5e5)) as radio:
        assert everything(radio).size == 2 * SAMPLES.size


@pytest.mark.parametrize(
    ("options", "rate", "error", "message"),
    [
        ("", 1e6, FormatError, "needs its datatype, such as datatype=cf32_le"),
        (",datatype=ci16_le", None, FormatError, "sample rate is not known"),
        (",datatype=rf32_le", 1e6, ConfigurationError, "real-valued"),
        (",datatype=ci16_le,overwrite=yes", 1e6, ConfigurationError, "overwrite is not for this direction"),
    ],
)
def test_what_raw_samples_need(
    tmp_path: Path, options: str, rate: float | None, error: type[Exception], message: str
) -> None:
    path = raw(tmp_path / "samples.bin")
    with pytest.raises(error, match=message):
        open_receiver(f"file:{path}{options}", RadioConfig(sample_rate_hz=rate))


def test_a_recording_has_its_own_datatype(tmp_path: Path) -> None:
    path = written(tmp_path / "x")
    with pytest.raises(ConfigurationError, match="says its datatype itself; leave datatype out"):
        open_receiver(f"file:{path},datatype=ci16_le", RadioConfig())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file:", "file:PATH"),
        ("file:x,overwrite=maybe", "yes or no"),
        ("file:x,realtime=yes", "realtime is not for this direction"),
        ("file:x,datatype=cf64", "recordings are written as"),
    ],
)
def test_wrong_names_of_transmitters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigurationError, match=message):
        open_transmitter(name, RadioConfig())


def test_a_recording_has_its_own_rate_and_frequency(tmp_path: Path) -> None:
    path = written(tmp_path / "x")
    with pytest.raises(ConfigurationError, match="sample rate of 1e\\+06"):
        open_receiver(f"file:{path}", RadioConfig(sample_rate_hz=1e6))
    with pytest.raises(ConfigurationError, match="frequency of"):
        open_receiver(f"file:{path}", RadioConfig(frequency_hz=1e6))
    open_receiver(f"file:{path}", RadioConfig(868e6, 2e6)).close()
    with pytest.raises(LinkError, match="there is no recording"):
        open_receiver(f"file:{tmp_path / 'none'}", RadioConfig())
    (report,) = probe(f"file:{path}")
    assert report.receiver is not None
    assert 2e6 in report.receiver.sample_rate_hz[0]
    assert report.transmitter is None
