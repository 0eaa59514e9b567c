"""What every radio is: its configuration, what it can do, its two directions, the registry of drivers.

Samples are complex64, |x| = 1 is full scale. A radio is named by a text, ``DRIVER`` or ``DRIVER:ARGUMENTS``, such as
``air:tcp://127.0.0.1:29102`` or ``soapy:driver=rtlsdr,serial=1``; what the arguments mean is the driver's affair.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

from semcom_phy.checks import checked_number
from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.registry import Registry, nearest

Samples: TypeAlias = npt.NDArray[np.complex64]

MAX_FREQUENCY_HZ: Final = 1e12
MAX_SAMPLE_RATE_HZ: Final = 1e9
#: Of a radio that is not told another one, and has none of its own as a recording has.
DEFAULT_SAMPLE_RATE_HZ: Final = 1e6
MAX_GAIN_DB: Final = 200.0
MAX_CHANNEL: Final = 63
MAX_TEXT: Final = 1000


class RadioError(LinkError):
    """A radio could not be opened, or failed while it was used."""


class RadioTimeoutError(RadioError):
    """A radio is alive, but gave or took nothing in time; asking again makes sense."""


@dataclass(frozen=True)
class RadioConfig:
    """What is asked of a radio; None where the radio's own choice is taken.

    `frequency_hz`: 0 … 1e12 Hz. `sample_rate_hz`: 1 … 1e9 Hz. `gain_db`: −200 … 200 dB, on the device's scale; None:
    the device's automatic gain control, where it has one. `bandwidth_hz`: of the analogue filter, 1 … 1e9 Hz.
    `antenna`, `clock_source`: names that the device reports. `channel`: 0 … 63.

    Raises ConfigurationError for values outside these ranges. What one device can do is narrower: `check_config`.
    """

    frequency_hz: float | None = None
    sample_rate_hz: float | None = None
    gain_db: float | None = None
    antenna: str | None = None
    bandwidth_hz: float | None = None
    clock_source: str | None = None
    channel: int = 0

    def __post_init__(self) -> None:
        for name, low, high, unit in (
            ("frequency_hz", 0.0, MAX_FREQUENCY_HZ, "Hz"),
            ("sample_rate_hz", 1.0, MAX_SAMPLE_RATE_HZ, "Hz"),
            ("gain_db", -MAX_GAIN_DB, MAX_GAIN_DB, "dB"),
            ("bandwidth_hz", 1.0, MAX_SAMPLE_RATE_HZ, "Hz"),
        ):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, checked_number(name, value, low, high, unit))
        for name in ("antenna", "clock_source"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and 0 < len(value) <= 100 and value.isprintable()):
                raise ConfigurationError(f"{name} must be a name of 1 to 100 characters, got {value!r:.120}")
        if not isinstance(self.channel, int) or isinstance(self.channel, bool) or not 0 <= self.channel <= MAX_CHANNEL:
            raise ConfigurationError(f"channel must be an integer from 0 to {MAX_CHANNEL}, got {self.channel!r}")

    def describe(self) -> dict[str, Any]:
        """All that was asked, for result.json, units in the key names."""
        return dataclasses.asdict(self)


@dataclass
class RadioCounts:
    """What has happened to the samples of one direction so far.

    `samples`: handed over to, or taken from, the program. `underruns`: times a transmitter had nothing to send when
    the device needed it. `overruns`: times a receiver's samples were lost because they were not fetched in time.
    `lost_samples`: how many; None: unknown, for the device does not say how many. `late`: bursts that came
    after their time. `errors`: messages of the device or of the other side that were not understood.
    """

    samples: int = 0
    underruns: int = 0
    overruns: int = 0
    lost_samples: int | None = 0
    late: int = 0
    errors: int = 0

    def describe(self) -> dict[str, int | None]:
        """The counts, for result.json."""
        return dataclasses.asdict(self)


class _Radio(Protocol):
    @property
    def sample_rate_hz(self) -> float:
        """The rate at which the device actually runs, which may differ from what was asked."""

    @property
    def counts(self) -> RadioCounts:
        """What has happened so far; a copy, or an object that goes on counting."""

    def describe(self) -> dict[str, Any]:
        """Driver, device and actual settings for result.json, units in the key names."""

    def close(self) -> None:
        """Release the device; what is still under way may be lost. Harmless when repeated."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class ReceiveRadio(_Radio, Protocol):
    """A source of samples."""

    def read(self, count: int, timeout_s: float) -> Samples:
        """Return the next 1 … `count` samples as soon as there are any; an empty array is the end of the stream.

        Raises RadioTimeoutError when none came within `timeout_s`, RadioError when the device or the other side failed.
        """


class TransmitRadio(_Radio, Protocol):
    """A sink of samples."""

    def write(self, samples: Samples, timeout_s: float) -> None:
        """Hand over samples (n,); returns when all were taken: a radio that is slower holds the program up.

        Raises RadioTimeoutError when not one sample was taken for `timeout_s` (what was taken before is sent, the rest
        is not; by how much `counts.samples` has grown is how much), RadioError when the device or the other side
        failed.
        """

    def drain(self, timeout_s: float) -> None:
        """Wait until all that was written has left the device, as far as it tells; raises as `write` does."""


# --- what a device can do ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Range:
    """Values from `minimum` to `maximum`, both included; `step` is informative, 0 where unknown."""

    minimum: float
    maximum: float
    step: float = 0.0

    def __contains__(self, value: float) -> bool:
        # Drivers report 56e6 as 55999999.9 and the like.
        slack = 1e-6 * max(abs(self.minimum), abs(self.maximum), 1e-6)
        return self.minimum - slack <= value <= self.maximum + slack


@dataclass(frozen=True)
class RadioCapabilities:
    """What the driver reports of one direction of a device. An empty tuple: nothing is reported, nothing is checked.

    `channels`: how many there are, None: not reported.
    """

    frequency_hz: tuple[Range, ...] = ()
    sample_rate_hz: tuple[Range, ...] = ()
    gain_db: tuple[Range, ...] = ()
    bandwidth_hz: tuple[Range, ...] = ()
    antennas: tuple[str, ...] = ()
    clock_sources: tuple[str, ...] = ()
    channels: int | None = None

    def describe(self) -> dict[str, Any]:
        """For tables and JSON."""
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class RadioReport:
    """What a driver tells about a device without sending or receiving: None for a direction that it does not have.

    `details`: whatever else is known, texts and numbers by name.
    """

    device: str
    receiver: RadioCapabilities | None
    transmitter: RadioCapabilities | None
    details: Mapping[str, Any] = field(default_factory=dict)


_UNITS: Final = {"frequency_hz": "Hz", "sample_rate_hz": "samples/s", "gain_db": "dB", "bandwidth_hz": "Hz"}
_WORDS: Final = {
    "frequency_hz": "frequency",
    "sample_rate_hz": "sample rate",
    "gain_db": "gain",
    "bandwidth_hz": "bandwidth",
}
_SHOWN_RANGES: Final = 8


def check_config(config: RadioConfig, capabilities: RadioCapabilities, device: str) -> None:
    """Raise ConfigurationError, in one line, where `device` cannot do what is asked: what it can do is in the line."""
    if capabilities.channels is not None and config.channel >= capabilities.channels:
        last = capabilities.channels - 1
        raise ConfigurationError(f"{device} has no channel {config.channel}; its channels are 0 to {last}")
    for name, unit in _UNITS.items():
        value, ranges = getattr(config, name), getattr(capabilities, name)
        if value is not None and ranges and not any(value in one for one in ranges):
            raise ConfigurationError(
                f"{device} cannot be set to a {_WORDS[name]} of {value:g} {unit}; it takes {_ranges(ranges)} {unit}"
            )
    for what, chosen, known in (
        ("antenna", config.antenna, capabilities.antennas),
        ("clock source", config.clock_source, capabilities.clock_sources),
    ):
        if chosen is not None and known and chosen not in known:
            raise ConfigurationError(
                f"{device} has no {what} {chosen!r}.{nearest(chosen, known)} It has: {', '.join(known)}"
            )


def _ranges(ranges: Iterable[Range]) -> str:
    texts = [
        f"{one.minimum:g}" if one.minimum == one.maximum else f"{one.minimum:g} to {one.maximum:g}" for one in ranges
    ]
    if len(texts) > _SHOWN_RANGES:
        texts = [*texts[: _SHOWN_RANGES - 1], "…", texts[-1]]
    return ", ".join(texts)


# --- drivers -----------------------------------------------------------------------------------------


class RadioDriver(Protocol):
    """A kind of radio. `arguments`: what stands behind the colon in the radio's name.

    All raise ConfigurationError for arguments and settings that the driver does not have, RadioError when there is no
    such device or it cannot be opened.
    """

    @property
    def name(self) -> str:
        """Name in `RADIOS`."""

    def open_receiver(self, arguments: str, config: RadioConfig) -> ReceiveRadio:
        """Open a device for receiving."""

    def open_transmitter(self, arguments: str, config: RadioConfig) -> TransmitRadio:
        """Open a device for transmitting."""

    def probe(self, arguments: str) -> list[RadioReport]:
        """What devices there are that the arguments fit, and what each reports."""


RADIOS: Registry[RadioDriver] = Registry("radio")
"""Name of a driver → the driver."""


def parse_radio(text: str) -> tuple[RadioDriver, str]:
    """Split ``DRIVER[:ARGUMENTS]``: the driver, and its arguments as they stand there (empty if there are none).

    Raises ConfigurationError for a driver that does not exist, or a text of more than 1000 characters.
    """
    if not isinstance(text, str) or len(text) > MAX_TEXT:
        raise ConfigurationError(f"a radio is named by a text of at most {MAX_TEXT} characters")
    name, _, arguments = text.partition(":")
    return RADIOS[name.strip()], arguments.strip()


def parse_arguments(text: str, known: Iterable[str] | None = None) -> dict[str, str]:
    """Read ``key=value,key=value``; `known`: the keys there are, None for any.

    Raises ConfigurationError for an entry without ``=``, an empty or unknown key, or one that is given twice.
    """
    keys = None if known is None else sorted(known)
    arguments: dict[str, str] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        key, equals, value = (part.strip() for part in entry.partition("="))
        if not equals or not key:
            raise ConfigurationError(f"{entry!r} does not have the form key=value")
        if keys is not None and key not in keys:
            raise ConfigurationError(f"unknown argument {key!r}.{nearest(key, keys)} Known: {', '.join(keys)}")
        if key in arguments:
            raise ConfigurationError(f"argument {key!r} is given twice")
        arguments[key] = value
    return arguments


def open_receiver(text: str, config: RadioConfig) -> ReceiveRadio:
    """Open the radio that `text` names for receiving; raises as `parse_radio` and `RadioDriver` do."""
    driver, arguments = parse_radio(text)
    return driver.open_receiver(arguments, config)


def open_transmitter(text: str, config: RadioConfig) -> TransmitRadio:
    """Open the radio that `text` names for transmitting; raises as `parse_radio` and `RadioDriver` do."""
    driver, arguments = parse_radio(text)
    return driver.open_transmitter(arguments, config)


def probe(text: str) -> list[RadioReport]:
    """What the devices report that `text` names; raises as `parse_radio` and `RadioDriver` do."""
    driver, arguments = parse_radio(text)
    return driver.probe(arguments)


def checked_samples(samples: npt.ArrayLike) -> Samples:
    """Return one-dimensional complex samples as contiguous complex64; raises ConfigurationError for other arrays."""
    values = np.asarray(samples)
    if values.ndim != 1 or not np.iscomplexobj(values):
        raise ConfigurationError(f"samples are one-dimensional and complex, got shape {values.shape} of {values.dtype}")
    return np.ascontiguousarray(values, np.complex64)


def checked_count(count: int) -> int:
    """Return how many samples are asked for; raises ConfigurationError unless it is an integer of at least 1."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ConfigurationError(f"ask a radio for 1 sample or more, not {count!r}")
    return count


def gain_factor(gain_db: float | None) -> np.float32:
    """Amplitude factor of a gain in dB, 1 where none is given."""
    return np.float32(1.0 if gain_db is None else math.pow(10.0, gain_db / 20.0))
