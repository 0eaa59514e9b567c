"""Measures of importance by what the command line calls them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from semcom_phy.errors import ConfigurationError

if TYPE_CHECKING:
    from semcom_app.importance import Importance

# What may follow the name, by the measure's parameter that it sets.
_VALUES = {"model": "a model", "path": "a file"}


def importance_from(spec: str, device: str = "auto") -> Importance:
    """The measure of importance that NAME or NAME:VALUE stands for, its model loaded.

    VALUE is the model of an encoder ("attention:deit-tiny") or the picture of a map ("saliency:map.png"). device: of
    torch. Raises ConfigurationError for a name that does not exist, or a value that is missing or not wanted.
    """
    # Here, since it imports torch.
    from semcom_app.importance import IMPORTANCES, make_importance

    name, _, value = spec.partition(":")
    kind: Any = IMPORTANCES[name]
    fields = {field.name: field for field in dataclasses.fields(kind)}
    parameter = next((p for p in _VALUES if p in fields), None)
    parameters: dict[str, Any] = {}
    if value and parameter is None:
        raise ConfigurationError(f"importance {name!r} takes nothing behind its name, not {value!r}")
    if value:
        parameters[str(parameter)] = value
    elif parameter is not None and fields[parameter].default is dataclasses.MISSING:
        raise ConfigurationError(f"importance {name!r} needs {_VALUES[parameter]}: {name}:{parameter.upper()}")
    if "device" in fields:
        parameters["device"] = device
    measure = make_importance(name, parameters)
    getattr(measure, "encoder", None)  # an encoder whose weights are missing is found now
    return measure
