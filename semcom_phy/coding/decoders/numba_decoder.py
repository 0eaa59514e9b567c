"""Entry of the numba decoder in the registry; numba itself is imported at the first call (half a second)."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import numpy.typing as npt

from semcom_phy.accel import COMPILED, COMPILING, numba_available
from semcom_phy.coding.decoders.interface import DECODERS, DecoderOutput, DecoderParams
from semcom_phy.errors import ConfigurationError

#: A call that takes longer than this to get ready is compiling.
_PATIENCE_S: Final = 1.0


@contextmanager
def _told_while_compiling(what: str) -> Iterator[None]:
    """Say on stderr that a decoder is being compiled, if it is not ready at once."""
    began = time.monotonic()
    told = threading.Event()

    def tell() -> None:
        told.set()
        text = f"{COMPILING}the turbo decoder for this machine ({what}); it is kept on disk …"
        print(text, file=sys.stderr, flush=True)

    timer = threading.Timer(_PATIENCE_S, tell)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if told.is_set():
            print(f"{COMPILED}{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


@DECODERS.register("numba")
def decode_numba(llrs: npt.NDArray, params: DecoderParams, algorithm: str) -> DecoderOutput:
    """Decode on SIMD vectors (see `numba_bcjr`): int16 or float32, for "log-map" float32 or float64; see `Decoder`.

    "auto" arithmetic is float32 for "log-map" and int16 for the others. "max-log" has int8 as well: twice as many
    lanes for a few hundredths of a decibel; its LLRs are multiples of 1/3 and end at ± 31. It is half as fast again
    as int16 with AVX-512 (VBMI, which permutes bytes) or AVX2, but slower than int16 with SSE2 alone.
    The first call of an algorithm on a machine compiles for some ten seconds and says so on stderr; later ones, also
    of other processes, take the machine code from the disk. Raises ConfigurationError where numba is missing.
    """
    if not numba_available():
        raise ConfigurationError("the numba decoder needs numba: pip install numba, or take backend 'numpy'")
    from semcom_phy.coding.decoders.numba_bcjr import driver

    arithmetic = driver.arithmetic_for(algorithm, params.arithmetic)
    if not driver.is_ready(arithmetic):
        with _told_while_compiling(f"{algorithm}, {arithmetic.dtype}"):
            driver.make_ready(arithmetic)
    return driver.decode_batch(llrs, params, arithmetic)
