"""Every patch counts the same: the allocation then minimises the plain squared error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semcom_app.importance.base import IMPORTANCES, patch_grid


@IMPORTANCES.register("uniform")
@dataclass(frozen=True)
class Uniform:
    """1/N for each of N patches."""

    def __call__(self, pictures: NDArray[np.uint8], patch: int) -> NDArray[np.float64]:
        rows, columns = patch_grid(pictures, patch)
        return np.full((len(pictures), rows * columns), 1.0 / (rows * columns))
