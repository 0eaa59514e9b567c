"""Additive white Gaussian noise, by Es/N0, by density or by power."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from semcom_phy.channels.base import SNR_LIMIT_DB
from semcom_phy.channels.impairments.base import (
    BLOCK,
    IMPAIRMENTS,
    LEVEL_LIMIT_DB,
    AddStage,
    ImpairmentBase,
    Samples,
    Stage,
    StreamContext,
)
from semcom_phy.errors import ConfigurationError
from semcom_phy.units import db_to_linear

MAX_SAMPLES_PER_SYMBOL = 1024.0


@IMPAIRMENTS.register("noise")
@dataclass(frozen=True)
class AdditiveNoise(ImpairmentBase):
    """y = x + n with circular complex Gaussian n, white over the sampled band. Give exactly one level:

    `esn0_db` (−200 … 200 dB): the noise has the density N0 = Es·10^(−esn0_db/10), where a symbol of a signal of mean
    power P lasts `samples_per_symbol` samples, so Es = P·samples_per_symbol in units of a sample, and mean |n|² = N0. A
    matched filter of unit energy then delivers this Es/N0. P is `signal_power_db` (dB relative to 1) where the noise
    is added: give it when an amplitude scaling stands before it.
    `power_db` (−200 … 100 dB relative to a mean power of 1): mean |n|².
    `density_db_hz` (−300 … 100 dB/Hz): mean |n|² = density · sample rate.
    """

    name: ClassVar[str] = "noise"
    esn0_db: float | None = None
    samples_per_symbol: float = 4.0
    signal_power_db: float = 0.0
    power_db: float | None = None
    density_db_hz: float | None = None

    def __post_init__(self) -> None:
        if sum(level is not None for level in (self.esn0_db, self.power_db, self.density_db_hz)) != 1:
            raise ConfigurationError("noise takes exactly one of esn0_db, power_db and density_db_hz")
        if self.esn0_db is not None:
            self._check("esn0_db", -SNR_LIMIT_DB, SNR_LIMIT_DB, "dB")
        if self.power_db is not None:
            self._check("power_db", -LEVEL_LIMIT_DB, 100.0, "dB")
        if self.density_db_hz is not None:
            self._check("density_db_hz", -300.0, 100.0, "dB/Hz")
        self._check("samples_per_symbol", 1.0, MAX_SAMPLES_PER_SYMBOL)
        self._check("signal_power_db", -LEVEL_LIMIT_DB, 100.0, "dB")

    def power(self, sample_rate_hz: float) -> float:
        """Return the mean |n|² per sample."""
        if self.esn0_db is not None:
            return db_to_linear(self.signal_power_db - self.esn0_db) * self.samples_per_symbol
        if self.power_db is not None:
            return db_to_linear(self.power_db)
        assert self.density_db_hz is not None
        return db_to_linear(self.density_db_hz) * sample_rate_hz

    def open(self, context: StreamContext) -> Stage:
        """See `Impairment.open`."""
        rng = context.rng()
        deviation = np.float32(math.sqrt(self.power(context.sample_rate_hz) / 2.0))

        def block(index: int) -> Samples:
            noise = rng.standard_normal(2 * BLOCK, dtype=np.float32)
            noise *= deviation
            return noise.view(np.complex64)

        return AddStage(block)
