"""Amplitude scaling: the gain setting of a transmitter or receiver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from semcom_phy.channels.impairments.base import (
    IMPAIRMENTS,
    LEVEL_LIMIT_DB,
    ImpairmentBase,
    Samples,
    Stage,
    StreamContext,
    amplitude,
)


@IMPAIRMENTS.register("amplitude")
@dataclass(frozen=True)
class AmplitudeScaling(ImpairmentBase):
    """y = 10^(level_dbfs/20)·x: a signal of mean power 1 leaves with the mean power `level_dbfs`.

    `level_dbfs`: −200 … 100 dB relative to full scale (amplitude 1).
    """

    name: ClassVar[str] = "amplitude"
    level_dbfs: float

    def __post_init__(self) -> None:
        self._check("level_dbfs", -LEVEL_LIMIT_DB, 100.0, "dBFS")

    def open(self, context: StreamContext) -> Stage:
        """See `Impairment.open`."""
        return _Scaling(np.float32(amplitude(self.level_dbfs)))


class _Scaling(Stage):
    def __init__(self, factor: np.float32) -> None:
        self._factor = factor

    def push(self, samples: Samples) -> Samples:
        """See `Stage.push`."""
        # On the real view: I and Q are scaled alike, without the other half of a complex product.
        return np.asarray((samples.view(np.float32) * self._factor).view(np.complex64))
