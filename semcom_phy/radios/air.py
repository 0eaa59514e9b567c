"""The virtual air as a radio: samples as requests and replies over ZeroMQ (`semcom_phy.virtual_air`).

A transmitter binds an address and answers whoever asks there, the virtual air or a receiver; a receiver connects and
asks. ``air``, ``air:PORT``, ``air:tcp://HOST:PORT``, each with ``,wait=SECONDS`` behind it: how long to wait for the
other side to appear (60), and ``,remote=yes`` for addresses that other machines can reach.
"""

from __future__ import annotations

import time
from typing import Any, Final, Self

import numpy as np

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
    RadioTimeoutError,
    Range,
    Samples,
    check_config,
    checked_count,
    checked_samples,
    gain_factor,
    parse_arguments,
)
from semcom_phy.virtual_air.ports import AnsweringPort, AskingPort, Port
from semcom_phy.virtual_air.protocol import MAX_CHUNK, RECEIVER_ADDRESS, TRANSMITTER_ADDRESS
from semcom_phy.virtual_air.queue import SampleQueue
from semcom_phy.zmq.addresses import checked_address

DEFAULT_WAIT_S: Final = 60.0
_MAX_WAIT_S: Final = 86400.0
_MIN_REQUEST: Final = 1 << 12
_CAPABILITIES: Final = RadioCapabilities(gain_db=(Range(-MAX_GAIN_DB, MAX_GAIN_DB),), channels=1)


class _AirRadio:
    """What both directions share. The sample rate is not part of the protocol: both sides have to be told."""

    def __init__(self, address: str, config: RadioConfig) -> None:
        check_config(config, _CAPABILITIES, "the virtual air")
        self.address = address
        self.sample_rate_hz = config.sample_rate_hz or DEFAULT_SAMPLE_RATE_HZ
        self.counts = RadioCounts()
        self._config = config
        self._gain = gain_factor(config.gain_db)

    def _describe(self, port: Port) -> dict[str, Any]:
        return {
            "radio": "air",
            "address": self.address,
            **self._config.describe(),
            "sample_rate_hz": self.sample_rate_hz,
            "malformed": port.malformed,
            "handshake_failures": port.handshake_failures,
        }


class AirReceiveRadio(_AirRadio):
    """Asks for samples at `address`, one request ahead of the program; see `ReceiveRadio`.

    `counts.errors`: replies that were not understood. `counts.lost_samples` is None: what was not fetched in time only
    the virtual air knows, and the protocol has no place to tell it. The stream ends when the other side says so. Raises
    RadioError when nobody is there within `wait_s`, or when the other side disappears.
    """

    def __init__(self, address: str, config: RadioConfig, wait_s: float = DEFAULT_WAIT_S, remote: bool = False) -> None:
        super().__init__(address, config)
        self.counts.lost_samples = None
        self._port = AskingPort(address, remote)
        self._wait_until = time.monotonic() + wait_s
        self._wait_s = wait_s
        self._came = SampleQueue()
        self._ask_for = _MIN_REQUEST
        self._ended = False

    def read(self, count: int, timeout_s: float) -> Samples:
        """See `ReceiveRadio.read`."""
        count = checked_count(count)
        if self._port.closed:
            raise RadioError("this radio is closed; open it again")
        self._ask_for = min(max(count, _MIN_REQUEST), MAX_CHUNK)
        self._port.wait(0.0 if self._came else timeout_s, self._ready)
        if not self._came and not self._ended:
            self._complain(timeout_s)
        samples = self._came.take(count)
        self.counts.samples += samples.size
        return samples if self._gain == 1.0 else self._gain * samples

    def _ready(self) -> bool:
        """Take what has come and ask for more; whether `read` has something to return, or to complain about."""
        for samples in self._port.take():
            self._came.put(samples)
        self._ended |= self._port.ended
        self.counts.errors = self._port.malformed
        if not self._ended and len(self._came) < self._ask_for:
            self._port.ask(self._ask_for)
        return bool(self._came) or self._ended or self._gone()

    def _gone(self) -> bool:
        if self._port.connected:
            return False
        return self._port.connections > 0 or time.monotonic() > self._wait_until

    def _complain(self, timeout_s: float) -> None:
        port = self._port
        if port.connected:
            raise RadioTimeoutError(f"no samples came from {self.address} within {timeout_s:g} s; does it transmit?")
        if port.connections:
            raise RadioError(f"the other side of {self.address} has disappeared; start 'semcom air' again")
        if time.monotonic() > self._wait_until:
            found = ", though something is there that is no radio" if port.handshake_failures else ""
            raise RadioError(f"nobody gave samples at {self.address} in {self._wait_s:g} s{found}; start 'semcom air'")
        raise RadioTimeoutError(f"nobody gives samples at {self.address} yet; start 'semcom air'")

    def describe(self) -> dict[str, Any]:
        """See `ReceiveRadio.describe`."""
        return self._describe(self._port)

    def close(self) -> None:
        """See `ReceiveRadio.close`."""
        self._port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AirTransmitRadio(_AirRadio):
    """Binds `address` and answers one client that asks there; see `TransmitRadio`.

    Nothing is queued: `write` returns when the last sample has been asked for. Between two calls nobody answers, which
    the virtual air takes for silence. `counts.errors`: requests that were not understood. `counts.underruns` stays 0:
    the air counts its gaps. Raises RadioError when nobody has asked within `wait_s`, or the client disappears.
    """

    def __init__(self, address: str, config: RadioConfig, wait_s: float = DEFAULT_WAIT_S, remote: bool = False) -> None:
        super().__init__(address, config)
        self._port = AnsweringPort(address, remote)
        self.address = self._port.address
        self._wait_until = time.monotonic() + wait_s
        self._wait_s = wait_s

    def write(self, samples: Samples, timeout_s: float) -> None:
        """See `TransmitRadio.write`."""
        rest = checked_samples(samples)
        if self._gain != 1.0:
            rest = self._gain * rest
        while rest.size:
            self._wait_for_request(timeout_s)
            part = rest[: self._port.wanted]
            if not self._port.reply(part):
                raise self._disappeared()
            rest = rest[part.size :]
            self.counts.samples += part.size

    def drain(self, timeout_s: float) -> None:
        """See `TransmitRadio.drain`: waits for the next request, which says that the last reply has arrived."""
        if self.counts.samples:
            self._wait_for_request(timeout_s)

    def _wait_for_request(self, timeout_s: float) -> None:
        if self._port.closed:
            raise RadioError("this radio is closed; open it again")
        until = time.monotonic() + timeout_s
        while not self._port.wait(min(0.25, max(until - time.monotonic(), 0.0)), self._asked):
            now = time.monotonic()
            if not self._port.served and not self._port.lost and now > self._wait_until:
                found = ", though something is there that is no radio" if self._port.handshake_failures else ""
                raise RadioError(
                    f"nobody asked for samples at {self.address} in {self._wait_s:g} s{found}; "
                    f"start 'semcom air --tx {self.address}'"
                )
            if now >= until:
                who = "the other side takes no samples" if self._port.served else "nobody asks for samples yet"
                raise RadioTimeoutError(f"{who} at {self.address} ({timeout_s:g} s); is a receiver there?")
        if self._port.lost and not self._port.wanted:
            raise self._disappeared()

    def _asked(self) -> bool:
        self.counts.errors = self._port.malformed
        return self._port.wanted > 0 or self._port.lost > 0

    def _disappeared(self) -> RadioError:
        return RadioError(f"who took the samples at {self.address} has disappeared; start 'semcom air' again")

    def describe(self) -> dict[str, Any]:
        """See `TransmitRadio.describe`."""
        return {**self._describe(self._port), "refused": self._port.refused}

    def close(self) -> None:
        """Tell the client, if it is waiting, that the stream has ended; see `TransmitRadio.close`."""
        if not self._port.closed:
            self._port.finish()
            self._port.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _parse(arguments: str, default: str, bind: bool) -> tuple[str, float, bool]:
    """Address, checked, seconds to wait, and whether other machines may be meant."""
    first, _, others = arguments.partition(",")
    if "=" in first and "://" not in first:
        first, others = "", arguments
    options = parse_arguments(others, ("wait", "remote"))
    address = first.strip() or default
    if address.isascii() and address.isdigit():
        address = f"tcp://127.0.0.1:{address}"
    try:
        wait_s = float(options.get("wait", DEFAULT_WAIT_S))
    except ValueError:
        wait_s = np.nan
    if not 0.0 <= wait_s <= _MAX_WAIT_S:
        raise ConfigurationError(f"wait is a number of seconds from 0 to {_MAX_WAIT_S:.0f}, not {options['wait']!r}")
    remote = options.get("remote", "no")
    if remote not in ("yes", "no"):
        raise ConfigurationError(f"remote is yes or no, not {remote!r}")
    checked_address(address, bind=bind, allow_remote=remote == "yes", permission=f"air:{address},remote=yes")
    return address, wait_s, remote == "yes"


class AirDriver:
    """See `RadioDriver`."""

    name = "air"

    def open_receiver(self, arguments: str, config: RadioConfig) -> AirReceiveRadio:
        """See `RadioDriver.open_receiver`."""
        address, wait_s, remote = _parse(arguments, RECEIVER_ADDRESS, bind=False)
        return AirReceiveRadio(address, config, wait_s, remote)

    def open_transmitter(self, arguments: str, config: RadioConfig) -> AirTransmitRadio:
        """See `RadioDriver.open_transmitter`."""
        address, wait_s, remote = _parse(arguments, TRANSMITTER_ADDRESS, bind=True)
        return AirTransmitRadio(address, config, wait_s, remote)

    def probe(self, arguments: str) -> list[RadioReport]:
        """See `RadioDriver.probe`."""
        _parse(arguments, RECEIVER_ADDRESS, bind=False)
        return [RadioReport("virtual air", _CAPABILITIES, _CAPABILITIES)]


RADIOS.register("air")(AirDriver())
