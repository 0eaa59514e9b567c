"""What every impairment of a sample stream is: its configuration, its open stage, and how both are built.

Conventions. Samples are complex64 baseband at a nominal sample rate. A signal of mean power 1 is the reference of
every level in dB (0 dBc), and full scale is an amplitude of 1 on the I and on the Q rail, so that a complex tone of
amplitude 1 has 0 dBFS. Sample n is taken at the time n/sample_rate_hz after the stream was opened.
"""

from __future__ import annotations

import dataclasses
import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from semcom_phy.channels.impairments import kernels
from semcom_phy.checks import checked_number
from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import Registry, build, nearest

Samples = npt.NDArray[np.complex64]

BLOCK = 1 << 14
LEVEL_LIMIT_DB = 200.0
FREQUENCY_LIMIT_HZ = 1e9


@dataclass(frozen=True)
class StreamContext:
    """What a stage is told when its stream is opened.

    `seed` is the stage's own: no other stage draws from it. `noise_power` is the sum of the powers of the channel's
    additive noise (mean |n|² per sample), None in a channel without noise.
    """

    sample_rate_hz: float
    seed: np.random.SeedSequence
    noise_power: float | None = None

    def rng(self, *key: int) -> np.random.Generator:
        """Return the generator of the stage's random process number `key`; equal keys give equal numbers."""
        return np.random.default_rng(np.random.SeedSequence(self.seed.entropy, spawn_key=(*self.seed.spawn_key, *key)))


class Stage(ABC):
    """One impairment at work on one stream; it keeps what it needs between calls."""

    @abstractmethod
    def push(self, samples: Samples) -> Samples:
        """Take the next samples, complex64 (n,), n ≥ 0, and return those that are ready, in an array of its own."""

    def flush(self) -> Samples:
        """End the stream: return the samples that filters hold back."""
        return np.empty(0, np.complex64)


class Impairment(Protocol):
    """One imperfection of radio or air. Implementations are frozen dataclasses, registered in `IMPAIRMENTS`.

    `stream_key` names the random numbers: two impairments of a channel with different keys (or at different ends
    of the link) draw from independent generators, whatever else the channel does.
    """

    name: ClassVar[str]

    @property
    def stream_key(self) -> str:
        """Name of the random numbers."""

    def open(self, context: StreamContext) -> Stage:
        """Start a stream. Raises ConfigurationError when a parameter does not fit the sample rate."""

    def describe(self) -> dict[str, Any]:
        """Return ``{"impairment": name, parameter: value, …}`` for result.json, units in the key names.

        ``make_impairment(d.pop("impairment"), **d)`` builds an equal impairment from it.
        """


class ImpairmentBase:
    """What the frozen dataclasses share: the name as stream key, and the fields as description."""

    name: ClassVar[str]

    @property
    def stream_key(self) -> str:
        """See `Impairment.stream_key`."""
        return self.name

    def describe(self) -> dict[str, Any]:
        """See `Impairment.describe`."""
        return {"impairment": self.name, **dataclasses.asdict(self)}  # type: ignore[call-overload]

    def _check(self, field: str, low: float, high: float, unit: str = "") -> None:
        object.__setattr__(self, field, checked_number(field, getattr(self, field), low, high, unit))

    def _check_integer(self, field: str, low: int, high: int) -> None:
        value = getattr(self, field)
        try:
            number = low - 1 if isinstance(value, bool) else operator.index(value)
        except TypeError:
            number = low - 1
        if not low <= number <= high:
            raise ConfigurationError(f"{field} must be an integer from {low} to {high}, got {value!r}")
        object.__setattr__(self, field, number)

    def _check_choice(self, field: str, known: tuple[str, ...]) -> None:
        value = getattr(self, field)
        if value not in known:
            raise ConfigurationError(
                f"{field} must be one of {', '.join(known)}, got {value!r}.{nearest(str(value), known)}"
            )

    def _check_numbers(self, field: str, low: float, high: float, unit: str, most: int) -> None:
        values = getattr(self, field)
        if not isinstance(values, (tuple, list)) or len(values) > most:
            raise ConfigurationError(f"{field} must be a list of at most {most} numbers, got {values!r}")
        object.__setattr__(self, field, tuple(checked_number(field, v, low, high, unit) for v in values))


IMPAIRMENTS: Registry[Callable[..., Impairment]] = Registry("impairment")


def make_impairment(name: str, **parameters: Any) -> Impairment:
    """Build the impairment registered as `name`, for example ``make_impairment("cfo", cfo_hz=5000.0)``.

    Raises ConfigurationError for an unknown name, an unknown or missing parameter, or a value out of range.
    """
    return build(IMPAIRMENTS, name, parameters)


def amplitude(level_db: float) -> float:
    """Return the amplitude 10^(level_db/20) of a level in dB."""
    return float(10.0 ** (level_db / 20.0))


def unit_phasor(phase_deg: float) -> complex:
    """Return exp j·phase."""
    phase = math.radians(phase_deg)
    return complex(math.cos(phase), math.sin(phase))


class BlockSource:
    """An endless sequence of complex64 values that is computed in blocks of a fixed size.

    `make_block(b)` returns block b; it is called once for each b = 0, 1, 2 …, in order. How the values are
    taken has therefore no influence on them.
    """

    def __init__(self, make_block: Callable[[int], Samples]) -> None:
        self._make_block = make_block
        self._next = 0
        self._rest = np.empty(0, np.complex64)

    def take(self, count: int) -> Samples:
        """Return the next `count` values; the array is not to be written to."""
        parts = []
        while count > self._rest.size:
            parts.append(self._rest)
            count -= self._rest.size
            self._rest = self._make_block(self._next)
            self._next += 1
        parts.append(self._rest[:count])
        self._rest = self._rest[count:]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


class AddStage(Stage):
    """Adds a sequence to the samples."""

    def __init__(self, make_block: Callable[[int], Samples]) -> None:
        self._source = BlockSource(make_block)

    def push(self, samples: Samples) -> Samples:
        """See `Stage.push`."""
        return np.asarray(samples + self._source.take(samples.size))


class MultiplyStage(Stage):
    """Multiplies the samples by a sequence."""

    def __init__(self, make_block: Callable[[int], Samples]) -> None:
        self._multiply = kernels.active().multiply
        self._source = BlockSource(make_block)

    def push(self, samples: Samples) -> Samples:
        """See `Stage.push`."""
        return np.asarray(self._multiply(samples, self._source.take(samples.size)))
