"""A growing window on a stream of samples, addressed by absolute index."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Complex64 = npt.NDArray[np.complex64]


class SampleBuffer:
    """Holds the samples `start` … `stop` of a stream; what was discarded or has not come yet reads as zero."""

    def __init__(self) -> None:
        self._data = np.empty(1 << 14, np.complex64)
        self._offset = 0  # of sample `start` in _data
        self.start = 0
        self.stop = 0

    def append(self, samples: Complex64) -> None:
        """Add samples at the end."""
        held = self.stop - self.start
        if self._offset + held + samples.size > self._data.size:
            size = max(self._data.size, 2 * (held + samples.size))
            target = np.empty(size, np.complex64) if size > self._data.size else self._data
            target[:held] = self._data[self._offset : self._offset + held]
            self._data, self._offset = target, 0
        self._data[self._offset + held : self._offset + held + samples.size] = samples
        self.stop += samples.size

    def read(self, start: int, stop: int) -> Complex64:
        """Copy of the samples start … stop−1."""
        out = np.zeros(stop - start, np.complex64)
        low, high = max(start, self.start), min(stop, self.stop)
        if low < high:
            first = self._offset + low - self.start
            out[low - start : high - start] = self._data[first : first + high - low]
        return out

    def discard_before(self, index: int) -> None:
        """Forget the samples before `index`."""
        count = min(max(index - self.start, 0), self.stop - self.start)
        self.start += count
        self._offset += count
