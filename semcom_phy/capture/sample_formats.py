"""SigMF sample formats: bytes of a dataset ↔ complex64 samples with full scale 1.0.

An integer component of n bits is divided by 2^(n−1), after 2^(n−1) was taken off an unsigned one; so −1.0 is the
most negative value and the most positive one is 1 − 2^(1−n). This is the scaling of the `sigmf` package.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import FormatError
from semcom_phy.registry import nearest

Samples = npt.NDArray[np.complex64]

WRITABLE = ("cf32_le", "ci16_le", "ci8")

_NAME = re.compile(r"(?P<domain>[cr])(?P<kind>[fiu])(?P<bits>8|16|32|64)(?:_(?P<order>le|be))?")
_KINDS = {"f": (32, 64), "i": (8, 16, 32), "u": (8, 16, 32)}
# Integers of more bits than this do not fit the mantissa of a float32.
_FLOAT32_BITS = 24


@dataclass(frozen=True)
class SampleFormat:
    """One SigMF datatype of complex samples, I before Q. `component`: the numpy dtype of I and of Q."""

    name: str
    component: np.dtype

    @property
    def sample_bytes(self) -> int:
        """Bytes of one complex sample of one channel."""
        return 2 * int(self.component.itemsize)

    @property
    def _half_range(self) -> float:
        return float(2 ** (8 * self.component.itemsize - 1))

    def decode(self, components: npt.NDArray) -> tuple[Samples, int]:
        """Turn stored I and Q values (N, 2) into N samples, and count the non-finite ones, which become 0.

        A component that is finite only in float64 counts as non-finite, too.
        """
        values = np.empty(components.shape, np.float32)
        if self.component.kind == "f":
            with np.errstate(over="ignore", invalid="ignore"):
                values[...] = components
            samples = values.view(np.complex64)[:, 0]
            return samples, zero_non_finite(samples)
        if 8 * self.component.itemsize > _FLOAT32_BITS:
            components = components.astype(np.float64)
            values[...] = (components - self._offset) / self._half_range
        else:
            values[...] = components
            if self._offset:
                values -= np.float32(self._offset)
            values *= np.float32(1.0 / self._half_range)
        return values.view(np.complex64)[:, 0], 0

    @property
    def _offset(self) -> float:
        return self._half_range if self.component.kind == "u" else 0.0

    def encode(self, samples: Samples, full_scale: float = 1.0) -> tuple[npt.NDArray, int]:
        """Turn finite `samples` (N,) into stored I and Q values (N, 2), and count the saturated samples.

        `full_scale`: the amplitude that becomes 2^(n−1) in a signed integer format; values are rounded to the
        nearest integer. A sample counts as saturated when I or Q had to be limited. Floats are stored as they are.
        """
        values = np.ascontiguousarray(samples, np.complex64).view(np.float32).reshape(-1, 2)
        if self.component.kind == "f":
            return values.astype(self.component), 0
        lowest, highest = -self._half_range, self._half_range - 1.0
        with np.errstate(over="ignore"):
            scaled = np.rint(values * np.float32(self._half_range / full_scale))
        saturated = int(np.count_nonzero(((scaled < lowest) | (scaled > highest)).any(axis=1)))
        return np.clip(scaled, lowest, highest).astype(self.component), saturated


def zero_non_finite(samples: Samples) -> int:
    """Set every sample with a NaN or infinite component to 0, in place; return how many there were."""
    finite = np.isfinite(samples)
    if finite.all():
        return 0
    samples[~finite] = 0
    return int(samples.size - np.count_nonzero(finite))


def _readable() -> dict[str, SampleFormat]:
    formats = {}
    for kind, sizes in _KINDS.items():
        for bits in sizes:
            for order in ("",) if bits == 8 else ("_le", "_be"):
                name = f"c{kind}{bits}{order}"
                formats[name] = SampleFormat(name, np.dtype(f"{'>' if order == '_be' else '<'}{kind}{bits // 8}"))
    return formats


READABLE = _readable()


def sample_format(name: str) -> SampleFormat:
    """Return the format of the SigMF datatype `name`, or raise FormatError that says what to do instead."""
    if name in READABLE:
        return READABLE[name]
    match = _NAME.fullmatch(name)
    if match and match["domain"] == "r":
        raise FormatError(
            f"datatype {name!r} is real-valued; the receiver needs I and Q: convert it to complex samples first"
        )
    if match and f"{name}_le" in READABLE:
        raise FormatError(f"datatype {name!r} lacks its byte order: give datatype={name + '_le'!r} or '{name}_be'")
    shown = name if len(name) <= 20 else name[:20] + "…"
    raise FormatError(f"unknown datatype {shown!r}.{nearest(shown, READABLE)} Known: {', '.join(READABLE)}")
