"""SDR devices through gr-soapy and gr-uhd: opening, what they can do, settings. Needs GNU Radio.

A device is asked what it can do and its settings are checked before any sample flows.
"""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from semcom_phy.errors import ConfigurationError, SemcomError
from semcom_phy.radios.base import RadioCapabilities, RadioConfig, RadioError, RadioReport, Range, check_config
from semcom_phy.radios.worker_protocol import WorkerRequest

#: Settings as the device reports them after it was set, units in the key names.
Settings = dict[str, "float | str"]


class Device(Protocol):
    """An open device. `block`: its source or sink, of which port `channel` is used; `ports`: how many it has.

    `rotation_hz`: by how much samples from the device still have to be moved up, and samples to it down.
    """

    block: Any
    channel: int
    ports: int
    rotation_hz: float

    def capabilities(self) -> RadioCapabilities:
        """What the device reports."""

    def apply(self, config: RadioConfig) -> None:
        """Set it; raises ConfigurationError, before anything is set, where it cannot do what is asked."""

    def settings(self) -> Settings:
        """What it is set to."""


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _arguments(device: Mapping[str, str]) -> str:
    return ",".join(f"{key}={value}" for key, value in device.items())


# --- SoapySDR -------------------------------------------------------------------------------------------


class SoapyDevice:
    """A device through gr-soapy.

    Options: ``lo_offset`` in Hz tunes the device so far above the wanted frequency, and the samples are shifted
    back; ``correction_ppm``: of the device's reference, where it takes one.

    Raises RadioError if there is no such device, ConfigurationError if it has not this direction or channel.
    """

    def __init__(self, request: WorkerRequest) -> None:
        from gnuradio import soapy

        self.channel = request.config.channel
        # gr-soapy has no way to open one channel but to open all below it, too.
        self.ports = self.channel + 1
        self._name = f"soapy:{_arguments(request.device)}"
        self.rotation_hz = request.option_number("lo_offset", -1e9, 1e9, 0.0)
        self._correction_ppm = request.option_number("correction_ppm", -1000.0, 1000.0, math.nan)
        make = soapy.source if request.direction == "receive" else soapy.sink
        try:
            self.block = make(_arguments(request.device), "fc32", self.ports, "", "", [""], [""])
        except (RuntimeError, ValueError) as error:
            message = _one_line(error)
            if "Unsupported number of channels" in message:
                does = "receive" if request.direction == "receive" else "transmit"
                raise ConfigurationError(f"{self._name} cannot {does} on channel {self.channel}: {message}") from None
            if "no match" in message:
                raise RadioError(
                    f"no device matches {self._name}; see 'SoapySDRUtil --find' for those that do"
                ) from None
            if isinstance(error, ValueError):
                raise ConfigurationError(f"{self._name}: {message}") from None
            raise RadioError(f"{self._name} cannot be opened: {message}") from None

    def capabilities(self) -> RadioCapabilities:
        """What the driver reports."""
        block, channel = self.block, self.channel
        return RadioCapabilities(
            frequency_hz=_soapy_ranges(block.get_frequency_range(channel)),
            sample_rate_hz=_soapy_ranges(block.get_sample_rate_range(channel)),
            gain_db=_soapy_ranges([block.get_gain_range(channel)]) if block.list_gains(channel) else (),
            bandwidth_hz=_soapy_ranges(block.get_bandwidth_range(channel)),
            antennas=tuple(block.list_antennas(channel)),
            clock_sources=tuple(block.list_clock_sources()),
        )

    def apply(self, config: RadioConfig) -> None:
        """Set what the configuration names; where no gain is named, the device's gain control if it has one."""
        block, channel = self.block, self.channel
        check_config(_shifted(config, self.rotation_hz), self.capabilities(), self._name)
        if config.clock_source is not None:
            block.set_clock_source(config.clock_source)
        if config.sample_rate_hz is not None:
            block.set_sample_rate(channel, config.sample_rate_hz)
        if not math.isnan(self._correction_ppm):
            if not block.has_frequency_correction(channel):
                raise ConfigurationError(f"{self._name} takes no correction_ppm; tune it to another frequency instead")
            block.set_frequency_correction(channel, self._correction_ppm)
        if config.antenna is not None:
            block.set_antenna(channel, config.antenna)
        if config.frequency_hz is not None:
            block.set_frequency(channel, config.frequency_hz + self.rotation_hz)
        if config.bandwidth_hz is not None:
            block.set_bandwidth(channel, config.bandwidth_hz)
        automatic = config.gain_db is None
        if block.has_gain_mode(channel):
            block.set_gain_mode(channel, automatic)
        if config.gain_db is not None:
            block.set_gain(channel, config.gain_db)

    def settings(self) -> Settings:
        """What the driver says it is set to."""
        block, channel = self.block, self.channel
        settings: Settings = {
            "sample_rate_hz": float(block.get_sample_rate(channel)),
            "frequency_hz": float(block.get_frequency(channel)) - self.rotation_hz,
            "antenna": str(block.get_antenna(channel)),
        }
        if block.list_gains(channel):
            settings["gain_db"] = float(block.get_gain(channel))
        if block.get_bandwidth_range(channel):
            settings["bandwidth_hz"] = float(block.get_bandwidth(channel))
        if block.list_clock_sources():
            settings["clock_source"] = str(block.get_clock_source())
        return settings


def _soapy_ranges(ranges: Iterable[Any]) -> tuple[Range, ...]:
    return tuple(Range(float(one.minimum()), float(one.maximum()), float(one.step())) for one in ranges)


def _shifted(config: RadioConfig, offset_hz: float) -> RadioConfig:
    """The configuration with the frequency to which the device itself is tuned."""
    if config.frequency_hz is None or not offset_hz:
        return config
    return dataclasses.replace(config, frequency_hz=config.frequency_hz + offset_hz)


# --- USRPs ----------------------------------------------------------------------------------------------


def _make_usrp(request: WorkerRequest) -> Any:
    from gnuradio import uhd

    make = uhd.usrp_source if request.direction == "receive" else uhd.usrp_sink
    stream = uhd.stream_args(cpu_format="fc32", args="", channels=[request.config.channel])
    return make(_arguments(request.device), stream)


def _tune_request(frequency_hz: float, lo_offset_hz: float) -> Any:
    from gnuradio import uhd

    return uhd.tune_request(frequency_hz, lo_offset_hz)


class UhdDevice:
    """A USRP through gr-uhd.

    Options: ``subdev``, ``time_source``, and ``lo_offset`` in Hz, which UHD itself takes into account. `make` and
    `tune` stand for the calls that need a USRP.

    Raises RadioError if there is no such device, ConfigurationError for settings that it does not have.
    """

    ports = 1
    channel = 0  # of the block, whose one port is the channel that was asked for
    rotation_hz = 0.0

    def __init__(
        self,
        request: WorkerRequest,
        make: Callable[[WorkerRequest], Any] = _make_usrp,
        tune: Callable[[float, float], Any] = _tune_request,
    ) -> None:
        self._tune = tune
        self._direction = request.direction
        self._lo_offset_hz = request.option_number("lo_offset", -1e9, 1e9, 0.0)
        self._name = f"uhd:{_arguments(request.device)}"
        try:
            self.block = make(request)
        except (RuntimeError, ValueError) as error:
            message = _one_line(error)
            if "No devices found" in message:
                raise RadioError(f"no USRP matches {self._name}; see 'uhd_find_devices' for those that do") from None
            raise RadioError(f"{self._name} cannot be opened: {message}") from None
        self._subdev = request.options.get("subdev")
        self._time_source = request.options.get("time_source")
        if self._time_source is not None and self._time_source not in (known := self.block.get_time_sources(0)):
            raise ConfigurationError(
                f"{self._name} has no time source {self._time_source!r}; it has {', '.join(known)}"
            )
        if self._subdev is not None:
            try:
                self.block.set_subdev_spec(self._subdev, 0)
            except (RuntimeError, ValueError) as error:
                raise ConfigurationError(f"{self._name} has no subdev {self._subdev!r}: {_one_line(error)}") from None

    def capabilities(self) -> RadioCapabilities:
        """What UHD reports."""
        block = self.block
        return RadioCapabilities(
            frequency_hz=_uhd_ranges(block.get_freq_range(0)),
            sample_rate_hz=_uhd_ranges(block.get_samp_rates()),
            gain_db=_uhd_ranges(block.get_gain_range(0)),
            bandwidth_hz=_uhd_ranges(block.get_bandwidth_range(0)),
            antennas=tuple(block.get_antennas(0)),
            clock_sources=tuple(block.get_clock_sources(0)),
        )

    def apply(self, config: RadioConfig) -> None:
        """Set what the configuration names; where no gain is named, the device keeps its own."""
        block = self.block
        check_config(config, self.capabilities(), self._name)
        if config.clock_source is not None:
            block.set_clock_source(config.clock_source, 0)
        if self._time_source is not None:
            block.set_time_source(self._time_source, 0)
        if config.sample_rate_hz is not None:
            block.set_samp_rate(config.sample_rate_hz)
        if config.antenna is not None:
            block.set_antenna(config.antenna, 0)
        if config.frequency_hz is not None:
            block.set_center_freq(self._tune(config.frequency_hz, self._lo_offset_hz), 0)
        if config.bandwidth_hz is not None:
            block.set_bandwidth(config.bandwidth_hz, 0)
        if config.gain_db is not None:
            block.set_gain(config.gain_db, 0)

    def settings(self) -> Settings:
        """What UHD says it is set to."""
        block = self.block
        return {
            "sample_rate_hz": float(block.get_samp_rate()),
            "frequency_hz": float(block.get_center_freq(0)),
            "gain_db": float(block.get_gain(0)),
            "antenna": str(block.get_antenna(0)),
            "bandwidth_hz": float(block.get_bandwidth(0)),
            "clock_source": str(block.get_clock_source(0)),
            "time_source": str(block.get_time_source(0)),
            "subdev": str(block.get_subdev_spec(0)),
        }


def _uhd_ranges(found: Any) -> tuple[Range, ...]:
    """UHD's range of ranges as one: gr-uhd shows its ends alone."""
    try:
        return (Range(float(found.start()), float(found.stop()), float(found.step())),)
    except RuntimeError:  # an empty one
        return ()


# --- both -----------------------------------------------------------------------------------------------

_DEVICES: dict[str, Callable[[WorkerRequest], Device]] = {"soapy": SoapyDevice, "uhd": UhdDevice}


def open_device(request: WorkerRequest) -> Device:
    """Open a device and set it; raises as the devices do."""
    if request.driver not in _DEVICES:
        raise ConfigurationError(f"a radio worker has no driver {request.driver!r}; it has {', '.join(_DEVICES)}")
    device = _DEVICES[request.driver](request)
    device.apply(request.config)
    return device


def probe(request: WorkerRequest) -> list[RadioReport]:
    """What the devices report that the arguments fit; raises RadioError if there is none."""
    reports = [_probe_one(request, device) for device in _find(request)]
    if not reports:
        raise RadioError(f"no device matches {request.driver}:{_arguments(request.device)}; is it plugged in?")
    return reports


def _find(request: WorkerRequest) -> list[dict[str, str]]:
    """Arguments of the devices that are there."""
    if request.driver == "uhd":
        from gnuradio import uhd

        found = [address.to_string() for address in uhd.find(_arguments(request.device))]
        return [dict(entry.split("=", 1) for entry in text.split(",") if "=" in entry) for text in found]
    if "driver" in request.device:
        return [dict(request.device)]
    try:
        import SoapySDR
    except ImportError:
        raise ConfigurationError(
            "SoapySDR's Python module is needed to list devices; install it with 'apt-get install python3-soapysdr', "
            "or name a driver"
        ) from None
    return [
        {key: found[key] for key in ("driver", "serial") if key in found}
        for found in map(dict, SoapySDR.Device.enumerate(_arguments(request.device)))
    ]


def _probe_one(request: WorkerRequest, device: Mapping[str, str]) -> RadioReport:
    found: dict[str, RadioCapabilities | None] = {}
    details: dict[str, Any] = {}
    for direction in ("receive", "transmit"):
        found[direction] = None
        try:
            opened = _DEVICES[request.driver](
                WorkerRequest(request.driver, direction, device, request.options, request.config)
            )
        except ConfigurationError as error:  # it has not this direction
            details[direction] = str(error)
        except SemcomError as error:
            details["error"] = str(error)
        else:
            found[direction] = opened.capabilities()
            details[direction] = opened.settings()
    if "error" in details and not any(found.values()):
        raise RadioError(str(details["error"]))
    return RadioReport(_arguments(device), found["receive"], found["transmit"], details)
