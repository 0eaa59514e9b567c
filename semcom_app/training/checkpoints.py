"""State of a training run on disk, from which it goes on, and the settings that it must go on with."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from semcom_phy.errors import ConfigurationError

#: What determines a run: names and plain values.
Settings: TypeAlias = Mapping[str, str | float | bool | None]

MAX_SETTINGS_CHARACTERS = 1 << 16
#: Settings that are digests: the two values would tell nobody anything.
_DIGESTS = {"data": "another data set", "init": "other weights to start from", "teacher": "another teacher"}


def save_checkpoint(path: Path, settings: Settings, state: Mapping[str, object]) -> None:
    """Write the state whole or not at all; tensors, numbers and texts only, so that it loads with ``weights_only``."""
    partial = path.with_suffix(".partial")
    torch.save({**state, "settings": json.dumps(dict(settings))}, partial)
    partial.replace(path)


def load_checkpoint(
    path: Path, settings: Settings, device: torch.device, may_differ: Collection[str] = ()
) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote, tensors on `device`; nothing in the file is run.

    Raises ConfigurationError when the file is damaged, or when the run in it had other settings than these, apart from
    those that `may_differ`: to go on would give weights that neither the one nor the other settings describe.
    """
    try:
        state: dict[str, Any] = torch.load(path, weights_only=True, map_location=device)
        saved = _settings(state)
    except Exception as error:  # a damaged archive raises anything from KeyError to UnpicklingError
        raise ConfigurationError(no_checkpoint(path, error)) from None
    if saved is None:
        raise ConfigurationError(
            f"{path} does not say with which settings it was trained: take another --out, or remove the folder"
        )
    names = [name for name in sorted({*saved, *settings}) if name not in may_differ]
    different = [
        _difference(name, saved.get(name), settings.get(name)) for name in names if _differs(name, saved, settings)
    ]
    if different:
        raise ConfigurationError(
            f"{path.parent} holds a training with {', '.join(different)}:"
            " give the same settings to resume it, take another --out, or remove the folder"
        )
    return state


def no_checkpoint(path: Path, error: Exception) -> str:
    """What to say of a file that cannot be gone on from."""
    return f"{path} is no checkpoint of this network ({type(error).__name__}): delete it or change --out"


def _settings(state: Mapping[str, Any]) -> dict[str, Any] | None:
    """Settings of a state; None where there are none. Raises ValueError for anything but plain values by name."""
    if "settings" not in state:
        return None
    text = state["settings"]
    if not isinstance(text, str) or len(text) > MAX_SETTINGS_CHARACTERS:
        raise ValueError("settings are no text, or too long")
    settings = json.loads(text)
    if not isinstance(settings, dict) or not all(
        value is None or isinstance(value, str | int | float) for value in settings.values()
    ):
        raise ValueError("settings are not plain values by name")
    return settings


def _differs(name: str, saved: Settings, settings: Settings) -> bool:
    return name not in saved or name not in settings or saved[name] != settings[name]


def _difference(name: str, saved: object, wanted: object) -> str:
    if name in _DIGESTS:
        return _DIGESTS[name]
    return f"{name.replace('_', '-')} {_short(saved)}, not {_short(wanted)}"


def _short(value: object, most: int = 60) -> str:
    text = "none" if value is None else str(value)
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable if len(printable) <= most else f"{printable[: most - 1]}…"


def data_digest(arrays: Iterable[NDArray[Any]], names: Iterable[str] = ()) -> str:
    """SHA-256 of arrays, their types and shapes, and of names: two data sets with the same digest are the same."""
    digest = hashlib.sha256(json.dumps(list(names)).encode())
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def weights_digest(folder: Path) -> str:
    """SHA-256 of the one safetensors file of a folder: training.json says by it which weights it speaks of."""
    (weights,) = folder.glob("*.safetensors")
    return file_digest(weights)
