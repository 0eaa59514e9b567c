"""Import of torchvision where it lacks its compiled operators.

timm, diffusers and torchmetrics import torchvision where it is installed, and a torchvision built for another kind of
torch (the one of the package index beside a processor-only torch) stops at its first line: it registers shape functions
for operators that its own compiled part would have defined. Nothing here uses these operators, so their signatures are
enough. Modules that import one of the three call `ensure_torchvision` first.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import torch

from semcom_phy.errors import SemcomError

# As torchvision defines them (torchvision/csrc/ops); only those that its Python part needs at import.
_SIGNATURES = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_library: torch.library.Library | None = None  # must stay referenced: the definitions go with it


def ensure_torchvision() -> None:
    """Make ``import torchvision`` work if torchvision is there at all."""
    try:
        importlib.import_module("torchvision")
    except ImportError:
        return
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        _define_operators()
        _forget("torchvision")  # what the failed attempt left behind is incomplete
        importlib.import_module("torchvision")


def import_timm() -> ModuleType:
    """The timm package. Raises SemcomError where it cannot be imported, with what to install."""
    ensure_torchvision()
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise SemcomError(f"vision transformers need timm ({error}): pip install timm") from None


def _define_operators() -> None:
    global _library
    if _library is None:
        _library = torch.library.Library("torchvision", "DEF")
        for signature in _SIGNATURES:
            _library.define(signature)


def _forget(package: str) -> None:
    for name in [n for n in sys.modules if n.split(".")[0] == package]:
        del sys.modules[name]
