"""What every channel is: the protocol, its output, the registry, and noise."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from semcom_phy.checks import checked_number
from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import Registry, build
from semcom_phy.units import db_to_linear

ComplexArray = npt.NDArray[np.complex128]

SNR_LIMIT_DB = 200.0
_NOISE_CHUNK = 1 << 20


@dataclass(frozen=True)
class ChannelOutput:
    """What a coherent receiver with perfect channel knowledge sees: received = gain · symbol + noise.

    `received`: complex128 (N,). `gain`: complex128 (N,), or the scalar 1 when the channel does not
    fade. `noise_variance`: N0 of the complex noise; for a binary symmetric channel the N0 at which
    the BPSK demapper returns that channel's exact LLR (0 … inf). `flip_probability`: known only to
    channels that flip bits with a fixed probability, None elsewhere.
    """

    received: ComplexArray
    gain: ComplexArray | complex
    noise_variance: float
    flip_probability: float | None = None


class Channel(Protocol):
    """A channel model. Implementations are frozen dataclasses; all randomness comes from `rng`."""

    name: ClassVar[str]

    def transmit(self, symbols: npt.ArrayLike, rng: np.random.Generator) -> ChannelOutput:
        """Send unit-energy symbols (N,), converted to complex128, and return what arrives.

        Raises ConfigurationError when the symbols are not one-dimensional and finite.
        """

    def describe(self) -> dict[str, Any]:
        """Return ``{"channel": name, parameter: value, …}`` for result.json, units in the key names.

        ``make_channel(d.pop("channel"), **d)`` builds an equal channel from it.
        """


CHANNELS: Registry[Callable[..., Channel]] = Registry("channel")


def make_channel(name: str, **parameters: Any) -> Channel:
    """Build the channel registered as `name`, for example ``make_channel("awgn", snr_db=3.0)``.

    Raises ConfigurationError for an unknown name, an unknown or missing parameter (it names the
    nearest known one), or a value outside the allowed range (it states the range).
    """
    return build(CHANNELS, name, parameters)


def describe_fields(channel: Any) -> dict[str, Any]:
    """Return the channel's name and its dataclass fields: the usual body of `Channel.describe`."""
    return {"channel": channel.name, **dataclasses.asdict(channel)}


def checked_snr_db(value: Any) -> float:
    """Return an Es/N0 in dB as a float, or raise ConfigurationError outside ±SNR_LIMIT_DB."""
    return checked_number("snr_db", value, -SNR_LIMIT_DB, SNR_LIMIT_DB, "dB")


def checked_symbols(symbols: npt.ArrayLike) -> ComplexArray:
    """Return the symbols as complex128 (N,), or raise ConfigurationError."""
    values = np.asarray(symbols, dtype=np.complex128)
    if values.ndim != 1:
        raise ConfigurationError(f"symbols must be a one-dimensional array, got shape {values.shape}")
    if not np.all(np.isfinite(values)):
        raise ConfigurationError("symbols must be finite")
    return values


def noise_variance(snr_db: float) -> float:
    """Return N0 for unit-energy symbols (Es = 1) at Es/N0 = `snr_db` dB."""
    return 1.0 / db_to_linear(snr_db)


def add_noise(signal: ComplexArray, n0: float, rng: np.random.Generator) -> None:
    """Add circular complex Gaussian noise of variance `n0` (n0/2 per real dimension) to `signal` in place.

    Works in chunks so that a long signal needs no second array of its size; `rng` fills them in
    order, so the chunk size does not show in the result.
    """
    deviation = math.sqrt(n0 / 2.0)
    for start in range(0, signal.size, _NOISE_CHUNK):
        part = signal[start : start + _NOISE_CHUNK]
        part += (deviation * rng.standard_normal(2 * part.size)).view(np.complex128)
