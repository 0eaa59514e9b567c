"""A queue of samples: arrays in, any number of samples out."""

from __future__ import annotations

from collections import deque

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.complex64]


class SampleQueue:
    """First in, first out; `len` is the number of samples in it."""

    def __init__(self) -> None:
        self._parts: deque[Samples] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def put(self, samples: Samples) -> None:
        """Append samples (n,); the array is kept, not copied."""
        if samples.size:
            self._parts.append(samples)
            self._size += samples.size

    def take(self, count: int) -> Samples:
        """Remove and return the first `count` samples, fewer if there are not as many."""
        count = min(count, self._size)
        self._size -= count
        taken = []
        while count:
            part = self._parts.popleft()
            if part.size > count:
                self._parts.appendleft(part[count:])
                part = part[:count]
            taken.append(part)
            count -= part.size
        return taken[0] if len(taken) == 1 else np.concatenate([np.empty(0, np.complex64), *taken])

    def clear(self) -> int:
        """Remove everything; return how many samples that were."""
        size, self._size = self._size, 0
        self._parts.clear()
        return size
