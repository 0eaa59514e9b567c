"""Gain and phase imbalance of a quadrature modulator or demodulator."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from semcom_phy.channels.impairments import kernels
from semcom_phy.channels.impairments.base import IMPAIRMENTS, ImpairmentBase, Samples, Stage, StreamContext, amplitude


@IMPAIRMENTS.register("iq_imbalance")
@dataclass(frozen=True)
class IqImbalance(ImpairmentBase):
    """I' = c·I, Q' = c·g·(Q·cos φ − I·sin φ) with g = 10^(gain_db/20), c = √(2/(1 + g²)).

    The same as y = K1·x + K2·x* with K1 = c(1 + g·e^−jφ)/2 and K2 = c(1 − g·e^jφ)/2: the image lies
    10·log10((1 + 2g·cos φ + g²)/(1 − 2g·cos φ + g²)) dB below the signal. c keeps the mean power of a circular
    signal. It stands for either end: a modulator's imbalance differs only by a rotation and the sign of φ.

    `gain_db`: Q over I, −20 … 20 dB. `phase_deg`: departure from quadrature, −45 … 45°.
    """

    name: ClassVar[str] = "iq_imbalance"
    gain_db: float
    phase_deg: float = 0.0

    def __post_init__(self) -> None:
        self._check("gain_db", -20.0, 20.0, "dB")
        self._check("phase_deg", -45.0, 45.0, "degrees")

    @property
    def image_rejection_db(self) -> float:
        """Power of the signal over that of its image, dB; inf without imbalance."""
        g, cosine = amplitude(self.gain_db), math.cos(math.radians(self.phase_deg))
        image = 1.0 - 2.0 * g * cosine + g * g
        return 10.0 * math.log10((1.0 + 2.0 * g * cosine + g * g) / image) if image > 0.0 else math.inf

    def open(self, context: StreamContext) -> Stage:
        """See `Impairment.open`."""
        return _LinearMap(self)


class _LinearMap(Stage):
    def __init__(self, imbalance: IqImbalance) -> None:
        g, phase = amplitude(imbalance.gain_db), math.radians(imbalance.phase_deg)
        scale = math.sqrt(2.0 / (1.0 + g * g))
        matrix = scale * np.array([[1.0, 0.0], [-g * math.sin(phase), g * math.cos(phase)]])
        self._matrix = matrix.astype(np.float32)
        self._linear_map = kernels.active().linear_map

    def push(self, samples: Samples) -> Samples:
        """See `Stage.push`."""
        return np.asarray(self._linear_map(samples, self._matrix))
