"""A whole radio path as a chain of impairments: transmitter, air, receiver."""

from __future__ import annotations

import math
import operator
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from semcom_phy.channels.impairments.additive_noise import AdditiveNoise
from semcom_phy.channels.impairments.base import (
    BLOCK,
    Impairment,
    Samples,
    Stage,
    StreamContext,
    make_impairment,
)
from semcom_phy.channels.impairments.interference import Interferer
from semcom_phy.checks import checked_number
from semcom_phy.errors import ConfigurationError, LinkError

ENDS = ("transmitter", "air", "receiver")
MAX_IMPAIRMENTS = 32


@dataclass(frozen=True)
class SampleChannel:
    """What happens to complex baseband samples between two modems, in physical order.

    `transmitter`, `air` and `receiver` each hold impairments in the order in which a sample meets them (at most 32
    together); the same kind may appear several times. Usual orders: clock, IQ imbalance, DC offset, CFO, phase noise;
    multipath, fading, interferers, noise; CFO, phase noise, IQ imbalance, DC offset, quantization, gaps.

    Each impairment draws from a generator of its own, seeded by the stream's seed, its end, its stream key and its
    count among those of the same key at the same end; so nothing else in the channel changes its random numbers.
    """

    transmitter: tuple[Impairment, ...] = ()
    air: tuple[Impairment, ...] = ()
    receiver: tuple[Impairment, ...] = ()

    def __post_init__(self) -> None:
        for end in ENDS:
            object.__setattr__(self, end, tuple(getattr(self, end)))
        if len(self.impairments) > MAX_IMPAIRMENTS:
            raise ConfigurationError(f"a channel has at most {MAX_IMPAIRMENTS} impairments")
        relative = any(isinstance(i, Interferer) and i.relative_to == "noise" for i in self.impairments)
        if relative and not any(isinstance(i, AdditiveNoise) for i in self.impairments):
            raise ConfigurationError("an interferer relative to the noise needs additive noise in the channel")

    @property
    def impairments(self) -> tuple[Impairment, ...]:
        """All impairments in the order in which a sample meets them."""
        return self.transmitter + self.air + self.receiver

    def open(self, sample_rate_hz: float, seed: int) -> SampleStream:
        """Start a stream at the nominal sample rate (1 … 1e9 Hz); `seed` is an integer ≥ 0.

        Raises ConfigurationError for a rate, seed or impairment that does not fit.
        """
        rate = checked_number("sample_rate_hz", sample_rate_hz, 1.0, 1e9, "Hz")
        try:
            entropy = -1 if isinstance(seed, bool) else operator.index(seed)
        except TypeError:
            entropy = -1
        if entropy < 0:
            raise ConfigurationError(f"seed must be an integer of at least 0, got {seed!r}")
        powers = [i.power(rate) for i in self.impairments if isinstance(i, AdditiveNoise)]
        noise_power = math.fsum(powers) if powers else None
        stages = []
        counts: dict[str, int] = {}
        for end in ENDS:
            for impairment in getattr(self, end):
                key = f"{end}/{impairment.stream_key}"
                counts[key] = counts.get(key, 0) + 1
                own = np.random.SeedSequence(entropy, spawn_key=(zlib.crc32(key.encode()), counts[key]))
                stages.append(impairment.open(StreamContext(rate, own, noise_power)))
        return SampleStream(stages)

    def apply(self, samples: npt.ArrayLike, sample_rate_hz: float, seed: int) -> Samples:
        """Send a whole signal through a new stream, flush included: complex64 (n,) in, complex64 (m,) out."""
        stream = self.open(sample_rate_hz, seed)
        return np.concatenate([stream.push(samples), stream.flush()])

    def describe(self) -> dict[str, Any]:
        """Return ``{"transmitter": […], "air": […], "receiver": […]}`` for result.json, units in the key names."""
        return {end: [impairment.describe() for impairment in getattr(self, end)] for end in ENDS}

    @classmethod
    def from_description(cls, description: Mapping[str, Any]) -> SampleChannel:
        """Build the channel that `describe` described, also after a way through JSON.

        Raises ConfigurationError when it is not such a description.
        """
        if not isinstance(description, Mapping) or not set(description) <= set(ENDS):
            raise ConfigurationError(f"a channel is described by the keys {', '.join(ENDS)}, got {description!r:.80}")
        return cls(**{end: _from_list(entries) for end, entries in description.items()})


def _from_list(entries: Any) -> tuple[Impairment, ...]:
    if not isinstance(entries, Sequence) or isinstance(entries, str) or len(entries) > MAX_IMPAIRMENTS:
        raise ConfigurationError(f"each end of a channel is a list of at most {MAX_IMPAIRMENTS} impairments")
    built = []
    for entry in entries:
        if not isinstance(entry, Mapping) or not isinstance(entry.get("impairment"), str):
            raise ConfigurationError(f'an impairment is described by {{"impairment": name, …}}, got {entry!r:.80}')
        parameters = {str(key): value for key, value in entry.items() if key != "impairment"}
        built.append(make_impairment(entry["impairment"], **parameters))
    return tuple(built)


class SampleStream:
    """A channel at work on one stream. How the stream is cut into pushes does not change one bit of what comes out.

    With and without numba the outputs agree to single precision, not bit by bit.
    """

    def __init__(self, stages: Sequence[Stage]) -> None:
        self._stages = list(stages)
        self._open = True

    def push(self, samples: npt.ArrayLike) -> Samples:
        """Send the next samples (n,), n ≥ 0, converted to complex64; return those that are ready, complex64.

        Clock offsets and gaps change their number; filters hold samples back. The input is never written to.
        Raises ConfigurationError unless the samples are one-dimensional, numeric and finite, LinkError after `flush`.
        """
        self._check_open()
        values = _checked_samples(samples)
        # In pieces that stay in the processor's cache from stage to stage.
        return _joined([self._through(0, values[n : n + BLOCK]) for n in range(0, values.size, BLOCK)])

    def flush(self) -> Samples:
        """End the stream: return all that was held back. Raises LinkError when it was ended before."""
        self._check_open()
        self._open = False
        # What a stage held back passes through those behind it before these are ended.
        return _joined([self._through(i + 1, stage.flush()) for i, stage in enumerate(self._stages)])

    def _through(self, first: int, samples: Samples) -> Samples:
        for stage in self._stages[first:]:
            samples = stage.push(samples)
        return samples

    def _check_open(self) -> None:
        if not self._open:
            raise LinkError("this sample stream was flushed; open the channel again for a new one")


def _checked_samples(samples: npt.ArrayLike) -> Samples:
    values = np.asarray(samples)
    if values.ndim != 1 or not (values.size == 0 or np.issubdtype(values.dtype, np.number)):
        raise ConfigurationError(
            f"samples must be a one-dimensional array of numbers, got shape {values.shape} of {values.dtype}"
        )
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(values, dtype=np.complex64)
    if not np.all(np.isfinite(values.view(np.float32))):
        raise ConfigurationError("samples must be finite")
    return values


def _joined(parts: Sequence[Samples]) -> Samples:
    # One array of its own: an empty chain hands its input through.
    return np.concatenate([np.empty(0, np.complex64), *parts])
