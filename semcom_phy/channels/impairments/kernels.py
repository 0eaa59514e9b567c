"""Which inner loops are in use: compiled ones where numba is installed, else their twins in NumPy."""

from __future__ import annotations

from types import ModuleType

from semcom_phy.accel import kernel_module


def active() -> ModuleType:
    """Return the module of kernels; the first call may import numba, so it waits until a stream is opened."""
    compiled = kernel_module("semcom_phy.channels.impairments.numba_kernels")
    if compiled is not None:
        return compiled
    from semcom_phy.channels.impairments import numpy_kernels

    return numpy_kernels
