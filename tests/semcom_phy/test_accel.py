"""numba is imported when a kernel is wanted and not before, and everything works without it."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from semcom_phy import accel


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_importing_the_coding_chain_does_not_import_numba() -> None:
    assert run("import sys, semcom_phy.coding.transport, semcom_phy.links; print('numba' in sys.modules)") == "False\n"


ROUND_TRIP = """
import sys
{hide}
import numpy as np
from semcom_phy import accel
from semcom_phy.coding.transport import TurboCode
bits = np.random.default_rng(1).integers(0, 2, 7000, dtype=np.uint8)
code = TurboCode(rate=0.5, backend="numpy")
coded = code.encode(bits)
output = code.decode(4.0 * coded - 2.0, bits.size)
assert output.transport_ok and (output.bits == bits).all()
print(accel.numba_available(), accel.kernel_module("semcom_phy.coding.kernels") is None, hash(coded.tobytes()))
"""


@pytest.mark.slow
def test_the_chain_without_numba(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without numba encodes the same bits."""
    pytest.importorskip("numba")
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    without = run(ROUND_TRIP.format(hide="sys.modules['numba'] = None  # makes 'import numba' fail")).split()
    with_numba = run(ROUND_TRIP.format(hide="")).split()
    assert without[:2] == ["False", "True"]
    assert with_numba[:2] == ["True", "False"]
    assert without[2] == with_numba[2]


def test_no_kernels_where_words_are_the_other_way_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "byteorder", "big")
    assert accel.kernel_module("semcom_phy.coding.kernels") is None


def test_compiled_where_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder to write to the function is compiled for this process."""
    numba = pytest.importorskip("numba", reason="nothing to compile with: pip install numba")
    compile_it, asked = numba.njit, []

    def njit(*given: Any, **options: Any) -> Any:
        if "nogil" not in options:  # one of numba's own
            return compile_it(*given, **options)
        asked.append(options.get("cache", False))
        if asked[-1]:
            raise RuntimeError("cannot cache function: no locator available")
        return compile_it(**options)

    monkeypatch.setattr(numba, "njit", njit)

    @accel.compiled(numba.int64(numba.int64))
    def twice(number: int) -> int:
        return 2 * number

    assert asked == [True, False]
    assert twice(21) == 42
    assert len(twice.signatures) == 1  # type: ignore[attr-defined]
