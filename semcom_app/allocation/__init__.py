"""Bits per sample for every image patch, by importance (Vision Transformer-based Semantic Communications with IAQ).

One module per algorithm. Every module of this package is imported here and enters its algorithm in
:data:`ALLOCATORS`; adding an algorithm means adding one file. Pure NumPy, batched over images.
"""

from __future__ import annotations

import importlib
import pkgutil

from semcom_app.allocation.base import ALLOCATORS, AllocationConfig, AllocationProblem, allocate
from semcom_app.allocation.distortion import DISTORTIONS, Distortion, make_distortion
from semcom_app.allocation.weights import importance_weights

for _module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
    importlib.import_module(_module.name)

__all__ = [
    "ALLOCATORS",
    "DISTORTIONS",
    "AllocationConfig",
    "AllocationProblem",
    "Distortion",
    "allocate",
    "importance_weights",
    "make_distortion",
]
