"""The registry of picture metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from semcom_phy.registry import Registry


@dataclass(frozen=True)
class Metric:
    """A picture metric.

    function: ``function(sent, received)`` on uint8 pictures (H, W, 3); None where it is not defined.
    worst: the value that stands for a lost picture, so that losses stay in every mean.
    """

    function: Callable[[NDArray[np.uint8], NDArray[np.uint8]], float | None]
    worst: float


METRICS: Registry[Metric] = Registry("metric")


def metric(
    name: str, worst: float
) -> Callable[
    [Callable[[NDArray[np.uint8], NDArray[np.uint8]], float | None]],
    Callable[[NDArray[np.uint8], NDArray[np.uint8]], float | None],
]:
    """Decorator that registers a function as the metric `name` (with its unit, like "psnr_db")."""

    def enter(
        function: Callable[[NDArray[np.uint8], NDArray[np.uint8]], float | None],
    ) -> Callable[[NDArray[np.uint8], NDArray[np.uint8]], float | None]:
        METRICS.register(name)(Metric(function, worst))
        return function

    return enter


def measure(sent: NDArray[np.uint8], received: NDArray[np.uint8] | None) -> dict[str, float | None]:
    """All registered metrics of one picture; None as `received` stands for a lost picture."""
    return {
        name: METRICS[name].worst if received is None else METRICS[name].function(sent, received) for name in METRICS
    }
