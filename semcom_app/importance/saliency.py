"""A map that the user gives: a greyscale picture, bright where it matters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semcom_app.images import load_image
from semcom_app.importance.base import IMPORTANCES, normalised, patch_grid, resample_grid
from semcom_phy.errors import ConfigurationError


@IMPORTANCES.register("saliency")
@dataclass(frozen=True)
class SaliencyMap:
    """Importance of a patch = mean brightness of the map over its area; the map is stretched over each picture.

    path: picture file of any size; colour counts by its mean.
    """

    path: Path

    @cached_property
    def _brightness(self) -> NDArray[np.float64]:
        return load_image(Path(self.path)).pixels.mean(axis=2, dtype=np.float64)

    def __call__(self, pictures: NDArray[np.uint8], patch: int) -> NDArray[np.float64]:
        rows, columns = patch_grid(pictures, patch)
        if not self._brightness.any():
            raise ConfigurationError(f"{self.path} is black all over: mark what matters in white")
        one = normalised(resample_grid(self._brightness[None], (rows, columns)).reshape(1, -1))
        return np.repeat(one, len(pictures), axis=0)
