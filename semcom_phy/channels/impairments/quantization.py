"""Quantization and clipping of an analogue-to-digital converter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from semcom_phy.channels.impairments import kernels
from semcom_phy.channels.impairments.base import IMPAIRMENTS, ImpairmentBase, Samples, Stage, StreamContext


@IMPAIRMENTS.register("quantization")
@dataclass(frozen=True)
class Quantization(ImpairmentBase):
    """I and Q each through a uniform mid-rise quantizer of 2^bits levels over ±full_scale; what lies beyond is clipped.

    The step is Δ = 2·full_scale/2^bits, the levels are ±Δ/2, ±3Δ/2 … ±(full_scale − Δ/2), as those of an offset-binary
    converter; silence becomes +Δ/2 on both rails, and 1 bit is the sign. A full-scale sine has 6.02·bits + 1.76 dB
    over the quantization noise.

    `bits`: 1 … 16. `full_scale`: 1e-6 … 1e6, amplitude of a rail.
    """

    name: ClassVar[str] = "quantization"
    bits: int
    full_scale: float = 1.0

    def __post_init__(self) -> None:
        self._check_integer("bits", 1, 16)
        self._check("full_scale", 1e-6, 1e6)

    def open(self, context: StreamContext) -> Stage:
        """See `Impairment.open`."""
        return _Quantizer(self)


class _Quantizer(Stage):
    def __init__(self, quantization: Quantization) -> None:
        self._quantize = kernels.active().quantize
        self._top = 2.0 ** (quantization.bits - 1)
        self._step = quantization.full_scale / self._top

    def push(self, samples: Samples) -> Samples:
        """See `Stage.push`."""
        return np.asarray(self._quantize(samples, self._step, self._top))
