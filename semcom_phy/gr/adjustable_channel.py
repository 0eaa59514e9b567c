"""A sample channel with controls: what a person turns while a flowgraph runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from semcom_phy.channels.impairments import (
    AdditiveNoise,
    AmplitudeScaling,
    CarrierFrequencyOffset,
    Impairment,
    SampleChannel,
    SampleStream,
)
from semcom_phy.errors import ConfigurationError
from semcom_phy.units import db_to_linear

Samples = npt.NDArray[np.complex64]


@dataclass(frozen=True)
class Controls:
    """Carrier frequency offset in Hz, Es/N0 in dB and gain in dB; None: nothing of the kind.

    The Es/N0 is that of a signal of mean power 1 (0 dB) at the channel's input, as in `AdditiveNoise`.
    """

    cfo_hz: float | None = None
    esn0_db: float | None = None
    gain_db: float | None = None


class AdjustableChannel:
    """`channel` over a stream, and behind it carrier offset, noise and gain, which `controls` sets at any time.

    The carrier keeps its phase when its offset is changed, and noise goes on with new numbers; the channel itself
    notices nothing. Without controls the output is that of ``channel.open(sample_rate_hz, seed)``, bit for bit.

    `level_db`: mean power of the signal that comes in; it is brought to 0 dB, to which all levels refer.
    `samples_per_symbol`: what the Es/N0 of the controls refers to.

    Raises ConfigurationError for values out of range.
    """

    def __init__(
        self,
        channel: SampleChannel,
        sample_rate_hz: float,
        seed: int,
        *,
        level_db: float = 0.0,
        samples_per_symbol: int = 4,
        controls: Controls | None = None,
    ) -> None:
        self._stream = channel.open(sample_rate_hz, seed)
        self._sample_rate_hz = sample_rate_hz
        self._seed = seed
        self._scale = np.float32(db_to_linear(-level_db) ** 0.5)
        self._samples_per_symbol = float(samples_per_symbol)
        self._changes = 0
        self._phase_cycles = 0.0
        self._turned = 0
        self._offset: SampleStream | None = None
        self._noise: SampleStream | None = None
        self._gain: SampleStream | None = None
        self._controls = Controls()
        self.controls = controls or Controls()

    @property
    def controls(self) -> Controls:
        """What the controls are set to."""
        return self._controls

    @controls.setter
    def controls(self, wanted: Controls) -> None:
        old = self._controls
        offset, noise, gain = self._offset, self._noise, self._gain
        self._changes += 1
        if wanted.cfo_hz != old.cfo_hz:
            offset = self._opened("receiver", self._carrier(wanted.cfo_hz))
        if wanted.esn0_db != old.esn0_db:
            noise = self._opened("air", self._white_noise(wanted.esn0_db))
        if wanted.gain_db != old.gain_db:
            gain = self._opened("receiver", None if wanted.gain_db is None else AmplitudeScaling(wanted.gain_db))
        # Nothing was refused: now it holds.
        if wanted.cfo_hz != old.cfo_hz:
            self._phase_cycles, self._turned = self._phase(), 0
        self._offset, self._noise, self._gain = offset, noise, gain
        self._controls = wanted

    def push(self, samples: npt.ArrayLike) -> Samples:
        """See `SampleStream.push`."""
        values = np.asarray(samples, np.complex64)
        if self._scale != 1.0:
            values = values * self._scale
        return self._controlled(self._stream.push(values))

    def flush(self) -> Samples:
        """See `SampleStream.flush`."""
        return self._controlled(self._stream.flush())

    def _controlled(self, samples: Samples) -> Samples:
        if self._offset is not None:
            self._turned += samples.size
        for stream in (self._offset, self._noise, self._gain):
            if stream is not None:
                samples = stream.push(samples)
        return samples

    def _opened(self, end: str, impairment: Impairment | None) -> SampleStream | None:
        if impairment is None:
            return None
        # Another seed each time: noise that began again with the same numbers would be no noise.
        seed = np.random.SeedSequence((self._seed, self._changes)).generate_state(2, np.uint64)
        return SampleChannel(**{end: (impairment,)}).open(self._sample_rate_hz, int(seed[0]))

    def _carrier(self, cfo_hz: float | None) -> CarrierFrequencyOffset | None:
        return None if cfo_hz is None else CarrierFrequencyOffset(cfo_hz, phase_deg=360.0 * self._phase())

    def _white_noise(self, esn0_db: float | None) -> AdditiveNoise | None:
        if esn0_db is None:
            return None
        return AdditiveNoise(esn0_db=esn0_db, samples_per_symbol=self._samples_per_symbol)

    def _phase(self) -> float:
        """Phase of the carrier's oscillator now, in cycles from 0 to 1."""
        cfo_hz = self._controls.cfo_hz or 0.0
        return float((self._phase_cycles + cfo_hz * self._turned / self._sample_rate_hz) % 1.0)


def with_control(controls: Controls, **change: float | None) -> Controls:
    """The controls with one of them set; ConfigurationError for what is no number."""
    for name, value in change.items():
        if value is not None and not np.isfinite(value):
            raise ConfigurationError(f"{name} must be a number, got {value!r}")
    return replace(controls, **change)
