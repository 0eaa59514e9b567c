"""Compiled kernels where numba is installed, NumPy where it is not.

Importing numba takes about half a second, so nothing imports it before the first kernel is wanted.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import cache
from types import ModuleType
from typing import Any, Final, TypeVar, cast

_Function = TypeVar("_Function", bound=Callable[..., Any])

#: How the lines begin with which a process says on stderr that it compiles for long, and that this is over.
COMPILING: Final = "compiling "
COMPILED: Final = "compiled in "


@cache
def numba_available() -> bool:
    """Tell whether numba can be imported here (it is imported to find out)."""
    try:
        importlib.import_module("numba")
    except (ImportError, OSError):  # not installed, made for another NumPy, or its LLVM library does not load
        return False
    return True


def kernel_module(name: str) -> ModuleType | None:
    """Import a module of numba kernels by its full name; None where it cannot run: use NumPy then.

    The kernels read eight bits 0/1 as parts of one machine word, so they are for little-endian machines.
    """
    if sys.byteorder != "little" or not numba_available():
        return None
    return importlib.import_module(name)


def compiled(*signatures: Any, fastmath: bool | set[str] = False) -> Callable[[_Function], _Function]:
    """Decorate a function that numba is to compile.

    The machine code is kept on the disk where there is a place to write; the global interpreter lock is not held while
    it runs. signatures: numba's, for compilation at once; none: compiled at the first call. fastmath: as numba takes
    it. Needs numba.
    """
    from numba import njit

    def decorate(function: _Function) -> _Function:
        options: dict[str, Any] = {
            "signature_or_function": list(signatures) or None,
            "nogil": True,
            "fastmath": fastmath,
        }
        try:
            return cast(_Function, njit(cache=True, **options)(function))
        except RuntimeError:  # numba found no writable folder for its cache
            return cast(_Function, njit(**options)(function))

    return decorate
