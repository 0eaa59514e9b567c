"""Speed of turbo decoders: all of the project's and those of other programs, measured in one run on the same frames.

A row's figures are bits of code blocks per second (K per block, its CRC counted as information) for the path from
float32 LLRs (B, 3, K + 4), one block after the other in memory, to payload bits with their CRC24B checked, and for
the call of the decoder alone. All iterations are run. Sizes of batches are found for each decoder: the batch grows
until a call takes a fortieth of the row's time and growing no longer pays.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from semcom_app.benchmarks.decoders import Decoded, MeasuredDecoder, RegisteredDecoder, cores, registered_decoders
from semcom_app.benchmarks.fer import FerPoint, StopRule, simulate_point
from semcom_app.benchmarks.frames import Frames, FrameSource
from semcom_app.benchmarks.machine import describe_machine
from semcom_app.benchmarks.peers import (
    GNURADIO_ALGORITHMS,
    GNURADIO_PYTHON,
    PEERS,
    CommpyDecoder,
    GnuRadioDecoder,
    GnuRadioWorker,
    commpy_missing,
    gnuradio_missing,
)
from semcom_phy.coding.crc import CRC24B, check
from semcom_phy.coding.decoders import DECODERS
from semcom_phy.errors import ConfigurationError, SemcomError
from semcom_phy.registry import nearest

#: The exact decoder that speeds are compared with, as (backend, algorithm, arithmetic).
REFERENCE: Final = ("numpy", "log-map", "float64")
#: Eb/N0 of the frames that speed is measured on. Without an early stop speed hardly depends on it.
SPEED_EBN0_DB: Final = 1.0
_POOL_FRAMES = 64
_FEWEST_REPEATS = 2
_GROWTH = 4
#: A batch four times as big pays as long as it is decoded in less than this many times the time.
_PAYS_BELOW = 3.0

#: Figures measured elsewhere, for the same code, size and number of iterations.
PUBLISHED_ON: Final = "measured on a Zen 5 core, not in this run"
PUBLISHED: Final[tuple[tuple[str, str, str, float], ...]] = (
    ("AFF3CT 3.0.2", "log-map", "float32", 2.2),
    ("AFF3CT 3.0.2", "linear-log-map", "float32", 35.0),
    ("AFF3CT 3.0.2", "max-log", "float32", 53.0),
    ("AFF3CT 3.0.2", "max-log", "int16", 101.0),
    ("AFF3CT 3.0.2", "max-log", "int8", 187.0),
    ("srsRAN (AVX2)", "max-log", "int16", 108.0),
    ("turbofec", "max-log", "int16", 7.9),
    ("Sionna 2.2 (CPU)", "log-map", "float32", 0.15),
)


@dataclass(frozen=True)
class TurboBenchmark:
    """What to measure.

    `largest_batch`: code blocks. `repeats`: timed calls per figure after the warm-up; fewer, but two, when they take
    a quarter of `row_seconds`, the time a row should take, about. `ebn0_db`: where errors are counted, until `stop` or
    for a quarter of `row_seconds`. `backends`: names of `DECODERS` and `PEERS`; None for all there are.
    """

    size: int = 6144
    iterations: int = 5
    largest_batch: int = 2048
    repeats: int = 5
    row_seconds: float = 12.0
    ebn0_db: tuple[float, ...] = (0.6, 1.0)
    stop: StopRule = field(default_factory=lambda: StopRule(100, 4000))
    seed: int = 0
    backends: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        source = FrameSource(self.size, None, self.seed)
        for level in self.ebn0_db:
            source.noise_variance(level)
        known = (*DECODERS.names(), *PEERS)
        for name in self.backends or ():
            if name not in known:
                raise ConfigurationError(f"unknown back end {name!r}.{nearest(name, known)} Known: {', '.join(known)}")

    def wants(self, backend: str) -> bool:
        """Whether this back end is to be measured."""
        return self.backends is None or backend in self.backends


# --- time ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Timing:
    """Seconds of repeated calls with a batch of `blocks`: the whole path and the decoder alone, and cores in use."""

    blocks: int
    path: tuple[float, ...]
    decoder: tuple[float, ...]
    cores_used: float

    @property
    def blocks_per_s(self) -> float:
        """Median speed of the decoder alone."""
        return self.blocks / statistics.median(self.decoder)

    def rates(self, size: int, suffix: str) -> dict[str, Any]:
        """Median, smallest and largest Mbit/s as entries of a row."""
        entries: dict[str, Any] = {f"blocks_per_call{suffix}": self.blocks, f"repeats{suffix}": len(self.path)}
        for name, seconds in (("mbit_s", self.path), ("decoder_mbit_s", self.decoder)):
            rates = [self.blocks * size / 1e6 / taken for taken in seconds]
            entries[f"{name}{suffix}"] = statistics.median(rates)
            entries[f"{name}{suffix}_min"] = min(rates)
            entries[f"{name}{suffix}_max"] = max(rates)
        entries[f"cores_used{suffix}"] = self.cores_used
        return entries


def _whole_path(decoder: MeasuredDecoder, llrs: npt.NDArray[np.float32], threads: int) -> tuple[float, Decoded]:
    """Decode and check; return the seconds from LLRs to checked payload bits, and the decoder's output."""
    decoded = decoder.decode(llrs, threads)
    start = time.perf_counter()
    good = check(decoded.bits, CRC24B)
    payload = decoded.bits[:, : -CRC24B.length]
    seconds = time.perf_counter() - start
    assert len(payload) == len(good) == len(llrs)
    return decoded.seconds + seconds, decoded


def _repeat(
    decoder: MeasuredDecoder, llrs: npt.NDArray[np.float32], threads: int, repeats: int, limit: float
) -> Timing:
    path: list[float] = []
    alone: list[float] = []
    cpu_seconds = 0.0
    while len(path) < repeats and (len(path) < _FEWEST_REPEATS or sum(path) < limit):
        seconds, decoded = _whole_path(decoder, llrs, threads)
        path.append(seconds)
        alone.append(decoded.seconds)
        cpu_seconds += decoded.cpu_seconds
    return Timing(len(llrs), tuple(path), tuple(alone), cpu_seconds / sum(alone))


def batch_size(call_seconds: Callable[[int], float], largest: int, enough: float, longest: float, batches: bool) -> int:
    """Return a batch size to measure with: `call_seconds(n)` decodes n blocks and returns the time of that.

    The batch grows until a call takes `enough` seconds; for decoders that gain by batches also beyond, while they do
    and a call takes less than `longest`. The last call was made with the size returned, so that it is warm.
    """
    blocks, seconds = 1, call_seconds(1)
    pays = batches
    while blocks < largest and (seconds < enough or (pays and seconds < longest)):
        bigger = min(_GROWTH * blocks, largest)
        longer = call_seconds(bigger)
        pays = batches and longer < _PAYS_BELOW * seconds
        blocks, seconds = bigger, longer
    return blocks


def _speed(decoder: MeasuredDecoder, pool: Frames, threads: int, settings: TurboBenchmark) -> tuple[Timing, Timing]:
    """Time batches and single blocks, in this order."""

    def batch(blocks: int) -> npt.NDArray[np.float32]:
        return np.ascontiguousarray(pool.llrs[np.arange(blocks) % len(pool)])

    limit = settings.row_seconds / 4
    _whole_path(decoder, batch(1), threads)  # compilation, tables, caches
    single = _repeat(decoder, batch(1), threads, settings.repeats, limit / 4)
    blocks = batch_size(
        lambda blocks: _whole_path(decoder, batch(blocks), threads)[0],
        settings.largest_batch,
        settings.row_seconds / 40,
        settings.row_seconds / 2,
        decoder.batches,
    )
    timing = single if blocks == 1 else _repeat(decoder, batch(blocks), threads, settings.repeats, limit)
    return timing, single


# --- errors ----------------------------------------------------------------------------------------


def _count_errors(
    decoder: MeasuredDecoder,
    source: FrameSource,
    ebn0_db: float,
    threads: int,
    blocks_per_s: float,
    settings: TurboBenchmark,
) -> FerPoint:
    limit = settings.row_seconds / 4

    def decode(llrs: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
        decoded = decoder.decode(llrs, threads)
        return decoded.bits, decoded.iterations

    batch = int(np.clip(blocks_per_s * limit / 4, 1, settings.largest_batch))
    end = time.perf_counter() + limit
    return simulate_point(source, ebn0_db, decode, settings.stop, batch, cores(), lambda: time.perf_counter() < end)


def _point_entry(point: FerPoint, size: int) -> dict[str, Any]:
    low, high = point.interval
    return {
        "ebn0_db": point.ebn0_db,
        "frames": point.frames,
        "frame_errors": point.frame_errors,
        "fer": point.fer,
        "fer_95_low": low,
        "fer_95_high": high,
        "bits": point.frames * size,
        "bit_errors": point.bit_errors,
        "ber": point.ber(size),
    }


# --- rows ------------------------------------------------------------------------------------------


def measure(decoder: MeasuredDecoder, settings: TurboBenchmark) -> dict[str, Any]:
    """Measure one decoder: its row, without the ratios to others."""
    source = FrameSource(settings.size, None, settings.seed)
    pool = next(source.batches(SPEED_EBN0_DB, min(_POOL_FRAMES, settings.largest_batch)))
    one_core, single = _speed(decoder, pool, 1, settings)
    row: dict[str, Any] = {
        "backend": decoder.backend,
        "algorithm": decoder.algorithm,
        "arithmetic": decoder.arithmetic,
    }
    row |= one_core.rates(settings.size, "")
    fastest, threads = one_core, 1
    if decoder.parallel:
        all_cores, _ = _speed(decoder, pool, 0, settings)
        row |= all_cores.rates(settings.size, "_all_cores")
        if all_cores.blocks_per_s > one_core.blocks_per_s:
            fastest, threads = all_cores, 0
    row |= {
        "latency_ms": 1e3 * statistics.median(single.path),
        "latency_ms_min": 1e3 * min(single.path),
        "latency_ms_max": 1e3 * max(single.path),
    }
    points = [
        _count_errors(decoder, source, level, threads, fastest.blocks_per_s, settings) for level in settings.ebn0_db
    ]
    row["points"] = [_point_entry(point, settings.size) for point in points]
    row["note"] = decoder.note
    return row


def add_ratios(rows: Sequence[dict[str, Any]]) -> None:
    """Add how many times as fast each row is, on one core, as the reference decoder and as commpy (None without)."""
    speeds = {(row["backend"], row["algorithm"], row["arithmetic"]): row["mbit_s"] for row in rows}
    commpy = next((row["mbit_s"] for row in rows if row["backend"] == "commpy"), None)
    for row in rows:
        for key, base in (("speed_vs_reference", speeds.get(REFERENCE)), ("speed_vs_commpy", commpy)):
            row[key] = row["mbit_s"] / base if base else None


@dataclass(frozen=True)
class Skipped:
    """A decoder that could not be measured, and why."""

    backend: str
    algorithm: str
    arithmetic: str
    reason: str


def run(
    settings: TurboBenchmark,
    gnuradio_python: str = GNURADIO_PYTHON,
    progress: Callable[[str, int], contextlib.AbstractContextManager[Callable[[str], None]]] | None = None,
) -> dict[str, Any]:
    """Measure everything and return `machine`, `config`, `rows`, `skipped` and `published`.

    `progress(label, steps)` is a context that is called with the name of each finished step. A decoder that fails is
    listed in `skipped` with its reason and does not end the run.
    """
    rows: list[dict[str, Any]] = []
    skipped: list[Skipped] = []
    machine = describe_machine()
    with contextlib.ExitStack() as stack:
        found = [d for d in registered_decoders(settings.iterations) if settings.wants(d.backend)]
        peers = list(_peers(settings, gnuradio_python, stack, machine, skipped))
        candidates: list[MeasuredDecoder] = [*found, *peers]
        advance = stack.enter_context(progress("measuring", len(candidates))) if progress else None
        for decoder in candidates:
            name = f"{decoder.backend} {decoder.algorithm} {decoder.arithmetic}"
            try:
                if not isinstance(decoder, RegisteredDecoder) or decoder.exists():
                    rows.append(measure(decoder, settings))
            except (SemcomError, MemoryError, RuntimeError) as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                skipped.append(Skipped(decoder.backend, decoder.algorithm, decoder.arithmetic, reason))
            if advance is not None:
                advance(name)
    add_ratios(rows)
    return {
        "machine": machine,
        "config": {**asdict(settings), "backends": settings.backends, "early_stop": None},
        "rows": rows,
        "skipped": [asdict(entry) for entry in skipped],
        "published": [
            {"program": program, "algorithm": algorithm, "arithmetic": arithmetic, "mbit_s": mbit_s, "on": PUBLISHED_ON}
            for program, algorithm, arithmetic, mbit_s in PUBLISHED
        ],
    }


def _peers(
    settings: TurboBenchmark,
    gnuradio_python: str,
    stack: contextlib.ExitStack,
    machine: dict[str, Any],
    skipped: list[Skipped],
) -> Iterator[MeasuredDecoder]:
    """Yield the other programs' decoders that are here; note the others in `skipped`."""
    if settings.wants("commpy"):
        commpy = CommpyDecoder(settings.iterations)
        missing = commpy_missing()
        if missing:
            skipped.append(Skipped("commpy", commpy.algorithm, commpy.arithmetic, missing))
        else:
            yield commpy
    if settings.wants("gnuradio"):
        missing = gnuradio_missing(gnuradio_python)
        if missing:
            skipped.append(Skipped("gnuradio", "", "", missing))
            return
        worker = stack.enter_context(GnuRadioWorker(settings.size, gnuradio_python))
        machine["versions"]["gnuradio"] = worker.version
        for algorithm in GNURADIO_ALGORITHMS:
            yield GnuRadioDecoder(worker, algorithm, settings.iterations)
