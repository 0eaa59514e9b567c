"""A recording as a radio: transmits into a new SigMF recording, receives from one.

``file:PATH``, with ``,datatype=ci16_le`` (or cf32_le, ci8) and ``,overwrite=yes`` behind it for a transmitter,
``,realtime=yes`` for a receiver at the pace of the sample rate. A raw file of I and Q has no metadata: its sample rate
is the configuration's, its ``,datatype=cu8`` (any of `READABLE`) stands in the name, unless the suffix tells.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from semcom_phy.capture import Pacer, Recorder, Recording, RecordingInfo, open_recording
from semcom_phy.errors import ConfigurationError
from semcom_phy.radios.base import (
    DEFAULT_SAMPLE_RATE_HZ,
    MAX_GAIN_DB,
    RADIOS,
    RadioCapabilities,
    RadioConfig,
    RadioCounts,
    RadioError,
    RadioReport,
    Range,
    Samples,
    check_config,
    checked_count,
    checked_samples,
    gain_factor,
)

_OPTIONS: Final = re.compile(r"(?P<path>.*?)(?P<options>(?:,(?:datatype|overwrite|realtime)=[^,]*)*)", re.DOTALL)
_REALTIME_CHUNK_S: Final = 0.02
_TRANSMITTER: Final = RadioCapabilities(gain_db=(Range(-MAX_GAIN_DB, MAX_GAIN_DB),), channels=1)


class FileReceiveRadio:
    """Reads a recording to its end; the sample rate is the recording's, of a raw file the configuration's.

    `datatype`: of a raw file, where its suffix tells none. See `ReceiveRadio`.

    Raises ConfigurationError when another rate, frequency or datatype is asked for than the recording's, and what
    `open_recording` raises.
    """

    def __init__(self, path: Path, config: RadioConfig, realtime: bool = False, datatype: str | None = None) -> None:
        self._recording = _open(path, config.sample_rate_hz, datatype)
        try:
            rate = self._recording.sample_rate_hz
            frequency = self._recording.segments[0].center_frequency_hz
            known = RadioCapabilities(
                frequency_hz=() if frequency is None else (Range(frequency, frequency),),
                sample_rate_hz=(Range(rate, rate),),
                gain_db=_TRANSMITTER.gain_db,
                channels=1,
            )
            check_config(config, known, path.name)
        except BaseException:
            self._recording.close()
            raise
        self.sample_rate_hz = rate
        self.counts = RadioCounts()
        self._gain = gain_factor(config.gain_db)
        self._realtime = realtime
        self._pacer = Pacer(self._pieces(), rate)
        self._size = 0

    def _pieces(self) -> Any:
        while self.counts.samples < self._recording.sample_count:
            yield self._piece()

    def _piece(self) -> Samples:
        start = self.counts.samples
        return self._recording.read(start, min(start + self._size, self._recording.sample_count))

    def read(self, count: int, timeout_s: float) -> Samples:
        """See `ReceiveRadio.read`; the end of the recording is the end of the stream."""
        self._size = checked_count(count)
        if self.counts.samples >= self._recording.sample_count:
            return np.empty(0, np.complex64)
        if self._realtime:
            self._size = min(self._size, max(int(self.sample_rate_hz * _REALTIME_CHUNK_S), 1))
            samples: Samples = next(self._pacer)
        else:
            samples = self._piece()
        self.counts.samples += samples.size
        return samples if self._gain == 1.0 else self._gain * samples

    def describe(self) -> dict[str, Any]:
        """See `ReceiveRadio.describe`."""
        recording = self._recording
        return {
            "radio": "file",
            "file": recording.path.name,
            "datatype": recording.datatype,
            "sample_rate_hz": self.sample_rate_hz,
            "frequency_hz": recording.segments[0].center_frequency_hz,
            "hardware": recording.hardware,
            "problems": list(recording.problems),
        }

    def close(self) -> None:
        """See `ReceiveRadio.close`."""
        self._recording.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class FileTransmitRadio:
    """Writes a recording, which gets its name when the radio is closed; see `TransmitRadio` and `Recorder`.

    In a ``with`` block an exception discards it. `counts` has no losses: a file waits.
    """

    def __init__(self, path: Path, config: RadioConfig, datatype: str = "cf32_le", overwrite: bool = False) -> None:
        check_config(config, _TRANSMITTER, path.name)
        self.sample_rate_hz = config.sample_rate_hz or DEFAULT_SAMPLE_RATE_HZ
        self.counts = RadioCounts()
        self._gain = gain_factor(config.gain_db)
        info = RecordingInfo(
            self.sample_rate_hz, datatype, center_frequency_hz=config.frequency_hz, hardware="simulated"
        )
        self._recorder = Recorder(path, info, overwrite=overwrite)
        self._closed = False

    def write(self, samples: Samples, timeout_s: float) -> None:
        """See `TransmitRadio.write`."""
        if self._closed:
            raise RadioError("this radio is closed; open it again")
        values = checked_samples(samples)
        self._recorder.append(values if self._gain == 1.0 else self._gain * values)
        self.counts.samples += values.size

    def drain(self, timeout_s: float) -> None:
        """See `TransmitRadio.drain`; nothing is under way."""

    def describe(self) -> dict[str, Any]:
        """See `TransmitRadio.describe`."""
        info = self._recorder.info
        return {
            "radio": "file",
            "file": self._recorder.meta_path.name,
            "datatype": info.datatype,
            "sample_rate_hz": self.sample_rate_hz,
            "frequency_hz": info.center_frequency_hz,
            "saturated_samples": self._recorder.saturated_samples,
            "non_finite_samples": self._recorder.non_finite_samples,
        }

    def close(self) -> None:
        """Bring the recording to the disk; of one without samples nothing is left. Harmless when repeated."""
        if self._closed:
            return
        self._closed = True
        if self.counts.samples:
            self._recorder.close()
        else:
            self._recorder.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if error[0] is not None:
            self._closed = True
            self._recorder.discard()
        self.close()


def _open(path: Path, sample_rate_hz: float | None, datatype: str | None) -> Recording:
    recording = open_recording(path, sample_rate_hz, datatype)
    if recording.raw:
        return recording
    # What was given has replaced what the metadata says.
    recording.close()
    if datatype is not None:
        raise ConfigurationError(f"{path.name} is SigMF and says its datatype itself; leave datatype out")
    return open_recording(path)


def _parse(arguments: str, known: tuple[str, ...]) -> tuple[Path, dict[str, str]]:
    """Path and options. A path may hold commas: options are what stands at the end and looks like one."""
    found = _OPTIONS.fullmatch(arguments)
    if found is None or not found["path"].strip():
        raise ConfigurationError("a file as a radio is file:PATH, such as file:out/sent")
    options = dict(entry.split("=", 1) for entry in found["options"].split(",")[1:])
    for key in options:
        if key not in known:
            raise ConfigurationError(f"{key} is not for this direction; known: {', '.join(known)}")
    return Path(found["path"].strip()).expanduser(), options


def _yes(options: dict[str, str], key: str) -> bool:
    value = options.get(key, "no")
    if value not in ("yes", "no"):
        raise ConfigurationError(f"{key} is yes or no, not {value!r}")
    return value == "yes"


class FileDriver:
    """See `RadioDriver`."""

    name = "file"

    def open_receiver(self, arguments: str, config: RadioConfig) -> FileReceiveRadio:
        """See `RadioDriver.open_receiver`."""
        path, options = _parse(arguments, ("realtime", "datatype"))
        return FileReceiveRadio(path, config, _yes(options, "realtime"), options.get("datatype"))

    def open_transmitter(self, arguments: str, config: RadioConfig) -> FileTransmitRadio:
        """See `RadioDriver.open_transmitter`."""
        path, options = _parse(arguments, ("datatype", "overwrite"))
        return FileTransmitRadio(path, config, options.get("datatype", "cf32_le"), _yes(options, "overwrite"))

    def probe(self, arguments: str) -> list[RadioReport]:
        """See `RadioDriver.probe`: what the recording holds."""
        path, options = _parse(arguments, ("realtime", "datatype"))
        with FileReceiveRadio(path, RadioConfig(), datatype=options.get("datatype")) as radio:
            rate = radio.sample_rate_hz
            receiver = RadioCapabilities(sample_rate_hz=(Range(rate, rate),), channels=1)
            return [RadioReport(path.name, receiver, None, radio.describe())]


RADIOS.register("file")(FileDriver())
