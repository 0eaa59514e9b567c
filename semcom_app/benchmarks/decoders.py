"""What the benchmarks measure: the project's decoders and those of other programs behind one interface."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.crc import CRC24B, Crc
from semcom_phy.coding.decoders import ALGORITHMS, ARITHMETICS, DECODERS, DecoderParams, decode
from semcom_phy.coding.turbo import TAIL_COLUMNS
from semcom_phy.errors import ConfigurationError

EARLY_STOPS: dict[str, Crc | str | None] = {"none": None, "crc": CRC24B, "agreement": "agreement"}


@dataclass(frozen=True)
class Decoded:
    """`bits`: (n, K) uint8. `iterations`: (n,) int, how many each block took.

    `seconds`: wall-clock time of the decoder alone; `cpu_seconds`: processor time of its process meanwhile.
    """

    bits: npt.NDArray[np.uint8]
    iterations: npt.NDArray[np.int32]
    seconds: float
    cpu_seconds: float


class MeasuredDecoder(Protocol):
    """A decoder that can be measured.

    `batches`: whether a batch is decoded faster than its blocks one after the other. `parallel`: whether it
    can use several cores. `note`: what a reader of its figures must know.
    """

    @property
    def backend(self) -> str: ...
    @property
    def algorithm(self) -> str: ...
    @property
    def arithmetic(self) -> str: ...
    @property
    def batches(self) -> bool: ...
    @property
    def parallel(self) -> bool: ...
    @property
    def note(self) -> str: ...

    def decode(self, llrs: npt.NDArray[np.float32], threads: int) -> Decoded:
        """Decode (n, 3, K + 4) LLRs on `threads` cores (0: all)."""
        ...


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class RegisteredDecoder:
    """A decoder of `semcom_phy.coding.decoders.DECODERS` with fixed settings; decisions only, no soft output."""

    backend: str
    algorithm: str
    arithmetic: str
    iterations: int
    early_stop: Crc | str | None = None

    batches = True
    parallel = True
    note = ""

    def decode(self, llrs: npt.NDArray[np.float32], threads: int) -> Decoded:
        """See `MeasuredDecoder`. Raises ConfigurationError for settings that the decoder does not have."""
        params = DecoderParams(
            self.iterations, self.early_stop, arithmetic=self.arithmetic, posterior=False, threads=threads
        )
        cpu_start, start = time.process_time(), time.perf_counter()
        output = decode(llrs, params, self.algorithm, self.backend)
        seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        return Decoded(output.bits, output.iterations, seconds, cpu_seconds)

    def exists(self) -> bool:
        """Whether the back end has this arithmetic for this algorithm."""
        try:
            self.decode(np.zeros((1, 3, 40 + TAIL_COLUMNS), np.float32), 1)
        except ConfigurationError:
            return False
        return True


def registered_decoders(iterations: int) -> Iterator[RegisteredDecoder]:
    """Every back end × algorithm × arithmetic there could be; `exists` tells which ones there are."""
    for backend in DECODERS.names():
        for algorithm in ALGORITHMS:
            for arithmetic in ARITHMETICS:
                if arithmetic != "auto":
                    yield RegisteredDecoder(backend, algorithm, arithmetic, iterations)
