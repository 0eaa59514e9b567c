"""How much each patch of a picture matters, for importance-aware quantization (EQUATIONS §2, (3) and (4)).

One module per measure. Every module of this package is imported here and enters its measure in :data:`IMPORTANCES`;
adding a measure means adding one file.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from typing import Any

from semcom_app.importance.base import IMPORTANCES, Importance
from semcom_phy.registry import build

for _module in pkgutil.iter_modules(__path__, prefix=f"{__name__}."):
    importlib.import_module(_module.name)


def make_importance(name: str, parameters: Mapping[str, Any] | None = None) -> Importance:
    """The measure `name` with its parameters. Raises ConfigurationError for names that it does not know."""
    return build(IMPORTANCES, name, parameters or {})


__all__ = ["IMPORTANCES", "Importance", "make_importance"]
