"""The inner loops of the receiver: compiled by numba where it is installed, else in NumPy."""

from __future__ import annotations

from functools import cache
from types import ModuleType

from semcom_phy.accel import kernel_module


@cache
def kernels() -> ModuleType:
    """The module with the loops: `numba_kernels`, or `numpy_kernels` without numba (slower, same results)."""
    compiled = kernel_module("semcom_phy.waveform.numba_kernels")
    if compiled is not None:
        return compiled
    from semcom_phy.waveform import numpy_kernels

    return numpy_kernels
