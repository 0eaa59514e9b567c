"""Turbo decoders of other programs on this project's code: scikit-commpy and GNU Radio's trellis blocks.

Both know a trellis that starts in state zero and ends anywhere, so neither uses the twelve tail bits; otherwise they
decode the same code blocks from the same LLRs as the decoders of the project.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt

from semcom_app.benchmarks.decoders import Decoded, MeasuredDecoder, cores
from semcom_phy.coding.qpp import qpp_interleaver
from semcom_phy.coding.turbo import TAIL_COLUMNS
from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.gr.native_tables import trellis_by_input

GNURADIO_PYTHON: Final = "/usr/bin/python3"
GNURADIO_ALGORITHMS: Final = ("sum-product", "min-sum")
COMMPY_ALGORITHM: Final = "map"
PEERS: Final = ("commpy", "gnuradio")

_WORKER = Path(__file__).with_name("gnuradio_worker.py")
_PROBE_TIMEOUT_S = 60
_ANSWER_TIMEOUT_S = 600
_MAX_LINE = 4096
#: Numbers in one job: a flowgraph's source holds them as a list of Python's.
_MAX_NUMBERS = 1 << 21
_TAIL_NOTE = "without the tail bits"


# --- scikit-commpy ---------------------------------------------------------------------------------


class _Interleaver:
    """What commpy asks of an interleaver."""

    def __init__(self, permutation: npt.NDArray[np.int64]) -> None:
        self.p_array = permutation

    def interlv(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return values[self.p_array]

    def deinterlv(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        restored = np.empty_like(values)
        restored[self.p_array] = values
        return restored


def commpy_missing() -> str | None:
    """Return why commpy cannot be measured, None when it can."""
    try:
        import commpy.channelcoding  # noqa: F401
    except ImportError:
        return "scikit-commpy is not installed: pip install scikit-commpy"
    return None


@dataclass(frozen=True)
class CommpyDecoder:
    """commpy's `turbo_decode`, one block at a time (pure Python, MAP with probabilities in float64)."""

    iterations: int

    backend = "commpy"
    algorithm = COMMPY_ALGORITHM
    arithmetic = "float64"
    batches = False
    parallel = False
    note = _TAIL_NOTE

    def decode(self, llrs: npt.NDArray[np.float32], threads: int) -> Decoded:
        """See `MeasuredDecoder`; always on one core."""
        from commpy.channelcoding import Trellis, turbo_decode

        size = llrs.shape[2] - TAIL_COLUMNS
        interleaver = _Interleaver(qpp_interleaver(size))
        # Symbols ±1 with noise of variance 1 have the LLR 2 y.
        symbols = 0.5 * llrs[:, :, :size].astype(np.float64)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # Only an integer feedback makes commpy's systematic output the input bit itself.
            warnings.simplefilter("ignore", DeprecationWarning)
            trellis = Trellis(np.array([3]), np.array([[1, 0o15]]), feedback=0o13, code_type="rsc")
            cpu_start, start = time.process_time(), time.perf_counter()
            decided = [turbo_decode(*block, trellis, 1.0, self.iterations, interleaver) for block in symbols]
            seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
        bits = np.array(decided, np.uint8).reshape(len(llrs), size)
        return Decoded(bits, np.full(len(llrs), self.iterations, np.int32), seconds, cpu_seconds)


# --- GNU Radio -------------------------------------------------------------------------------------


def gnuradio_missing(python: str = GNURADIO_PYTHON) -> str | None:
    """Return why GNU Radio cannot be measured, None when it can: asks the interpreter `python`."""
    command = [python, "-c", "from gnuradio import blocks, digital, gr, trellis"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PROBE_TIMEOUT_S, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        done = None
    if done is None or done.returncode != 0:
        return "GNU Radio is not installed: apt-get install gnuradio, or name its Python with --gnuradio-python"
    return None


@dataclass
class GnuRadioWorker:
    """A running `gnuradio_worker` for code blocks of `size` bits; use it as a context."""

    size: int
    python: str = GNURADIO_PYTHON
    version: str = field(default="", init=False)

    def __enter__(self) -> GnuRadioWorker:
        self._errors: IO[bytes] = tempfile.TemporaryFile()
        # The worker's neighbours in its folder are not for GNU Radio's Python to import.
        environment = {**os.environ, "PYTHONSAFEPATH": "1"}
        try:
            self._process = subprocess.Popen(
                [self.python, str(_WORKER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                env=environment,
            )
        except OSError as error:
            self._errors.close()
            raise LinkError(f"cannot start {self.python}: {error.strerror}; see --gnuradio-python") from None
        next_state, parity = trellis_by_input()
        code = {
            "size": self.size,
            "next_state": next_state,
            "parity": parity,
            "interleaver": qpp_interleaver(self.size).tolist(),
        }
        try:
            answer, _ = self._ask(code, b"", 0)
            self.version = str(answer.get("version", ""))[:40]
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def _failure(self) -> LinkError:
        self._process.kill()
        self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read(1 << 16).decode(errors="replace").strip().splitlines()
        return LinkError(f"the GNU Radio decoder ended: {lines[-1] if lines else 'no answer'}")

    def _ask(self, request: dict[str, Any], numbers: bytes, answer_bytes: int) -> tuple[dict[str, Any], bytes]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        watchdog = threading.Timer(_ANSWER_TIMEOUT_S, self._process.kill)
        watchdog.start()
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n" + numbers)
            self._process.stdin.flush()
            answer = json.loads(self._process.stdout.readline(_MAX_LINE))
            data = self._process.stdout.read(answer_bytes)
        except (OSError, ValueError):
            raise self._failure() from None
        finally:
            watchdog.cancel()
        if not isinstance(answer, dict) or len(data) != answer_bytes:
            raise self._failure()
        return answer, data

    def decode(self, llrs: npt.NDArray[np.float32], iterations: int, algorithm: str, chains: int) -> Decoded:
        """Decode (n, 3, K + 4) LLRs in a flowgraph of `chains` decoders side by side.

        The times are those of the flowgraph from start to end; the way to the other process and back is not counted.
        Raises LinkError when GNU Radio fails.
        """
        step = max(1, _MAX_NUMBERS // (3 * self.size))
        parts = [
            self._decode_part(llrs[start : start + step], iterations, algorithm, chains)
            for start in range(0, len(llrs), step)
        ]
        return Decoded(
            np.concatenate([part.bits for part in parts]),
            np.full(len(llrs), iterations, np.int32),
            sum(part.seconds for part in parts),
            sum(part.cpu_seconds for part in parts),
        )

    def _decode_part(self, llrs: npt.NDArray[np.float32], iterations: int, algorithm: str, chains: int) -> Decoded:
        # The block takes squared distances for −ln p: (y + 1)² − (y − 1)² = 4 y is the LLR for y = LLR / 4.
        symbols = np.ascontiguousarray(0.25 * llrs[:, :, : self.size].transpose(0, 2, 1), dtype=np.float32)
        job = {"blocks": len(llrs), "iterations": iterations, "siso": algorithm, "chains": chains}
        answer, data = self._ask(job, symbols.tobytes(), len(llrs) * self.size)
        try:
            seconds, cpu_seconds = float(answer["seconds"]), float(answer["cpu_seconds"])
        except (KeyError, TypeError, ValueError):
            raise self._failure() from None
        bits = np.frombuffer(data, np.uint8).reshape(len(llrs), self.size)
        return Decoded(bits, np.full(len(llrs), iterations, np.int32), seconds, cpu_seconds)


@dataclass(frozen=True)
class GnuRadioDecoder:
    """GNU Radio's `trellis.pccc_decoder_combined` (float32); more cores by as many decoders in one flowgraph."""

    worker: GnuRadioWorker
    algorithm: str
    iterations: int

    backend = "gnuradio"
    arithmetic = "float32"
    batches = False
    parallel = True
    note = _TAIL_NOTE

    def decode(self, llrs: npt.NDArray[np.float32], threads: int) -> Decoded:
        """See `MeasuredDecoder` and `GnuRadioWorker.decode`."""
        return self.worker.decode(llrs, self.iterations, self.algorithm, threads or cores())


@contextlib.contextmanager
def open_peer(
    backend: str, algorithm: str, size: int, iterations: int, python: str = GNURADIO_PYTHON
) -> Iterator[MeasuredDecoder]:
    """Context whose value is the decoder of a program of `PEERS`.

    Raises ConfigurationError when the program is not installed or has no such algorithm.
    """
    missing = commpy_missing() if backend == "commpy" else gnuradio_missing(python)
    if missing:
        raise ConfigurationError(missing)
    known = (COMMPY_ALGORITHM,) if backend == "commpy" else GNURADIO_ALGORITHMS
    if algorithm not in known:
        raise ConfigurationError(f"{backend} has no algorithm {algorithm!r}. Known: {', '.join(known)}")
    if backend == "commpy":
        yield CommpyDecoder(iterations)
    else:
        with GnuRadioWorker(size, python) as worker:
            yield GnuRadioDecoder(worker, algorithm, iterations)
