"""Quality of received pictures, by name.

One module per metric. Every module of this package is imported here and registers its metric in
:data:`METRICS`; adding a metric means adding one file.
"""

from __future__ import annotations

import importlib
import pkgutil

from semcom_app.metrics.base import METRICS, Metric, measure

for _module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
    importlib.import_module(_module.name)

__all__ = ["METRICS", "Metric", "measure"]
