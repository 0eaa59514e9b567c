"""Speed of the waveform layer: transmitting, searching and receiving, in samples per second."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from semcom_app.benchmarks.machine import describe_machine
from semcom_app.benchmarks.peers import gnuradio_missing
from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.modulation import MODULATIONS
from semcom_phy.waveform import Receiver, ReceiverConfig, Transmitter, TransmitterConfig, Waveform, split_frame

Samples = npt.NDArray[np.complex64]

CHUNK_SAMPLES: Final = 1 << 16
NOISE_DBFS: Final = -30.0
ESN0_DB: Final = 12.0
_WORKER: Final = Path(__file__).with_name("gnuradio_chain.py")
_WORKER_TIMEOUT_S: Final = 300
_APPLICATION_HEADER: Final = bytes(48)

Progress = Callable[[str, int], AbstractContextManager[Callable[[str], None]]]


@dataclass(frozen=True)
class WaveformBenchmark:
    """What is measured: `samples` per timed call (1e4 … 1e8), `repeats` of it, `sps` samples per symbol."""

    samples: int = 4_000_000
    repeats: int = 5
    sps: tuple[int, ...] = (2, 4, 8)
    seed: int = 0

    def __post_init__(self) -> None:
        if not 10_000 <= self.samples <= 100_000_000:
            raise ConfigurationError(f"samples must be from 1e4 to 1e8, got {self.samples}")
        if not 1 <= self.repeats <= 1000:
            raise ConfigurationError(f"repeats must be from 1 to 1000, got {self.repeats}")


def noise(count: int, rng: np.random.Generator) -> Samples:
    """White noise of `NOISE_DBFS` (a full-scale tone has 0 dB): complex64 (count,)."""
    deviation = np.float32(10 ** (NOISE_DBFS / 20) / np.sqrt(2))
    return (deviation * rng.standard_normal(2 * count, dtype=np.float32)).view(np.complex64)


def burst_train(samples: int, waveform: Waveform, modulation: str, rng: np.random.Generator) -> tuple[Samples, int]:
    """Bursts back to back with noise at Es/N0 = `ESN0_DB`: at least `samples` samples, and how many bursts."""
    per_burst = 16384 * MODULATIONS[modulation].bits_per_symbol
    level = NOISE_DBFS + ESN0_DB - 10 * np.log10(waveform.samples_per_symbol)
    transmitter = Transmitter(TransmitterConfig(waveform, level_dbfs=float(level)))
    parts: list[Samples] = []
    bursts = 0
    while sum(part.size for part in parts) < samples:
        coded = rng.integers(0, 2, per_burst, dtype=np.uint8)
        train = split_frame(
            _APPLICATION_HEADER, coded, payload_bits=per_burst // 3, image=bursts + 1, modulation=modulation
        )
        parts.append(transmitter.modulate_train(train))
        bursts += len(train)
    signal = np.concatenate(parts)
    return signal + noise(signal.size, rng), bursts


def receive(samples: Samples, waveform: Waveform) -> int:
    """Push samples through a receiver in chunks; return the number of bursts that came out."""
    receiver = Receiver(ReceiverConfig(waveform))
    bursts = 0
    for start in range(0, samples.size, CHUNK_SAMPLES):
        bursts += len(receiver.push(samples[start : start + CHUNK_SAMPLES]))
    return bursts + len(receiver.flush())


def _timed(call: Callable[[], Any], samples: int, repeats: int) -> dict[str, float]:
    call()  # compilation, tables
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        rates.append(samples / (time.perf_counter() - start) / 1e6)
    return {
        "msample_s": statistics.median(rates),
        "msample_s_min": min(rates),
        "msample_s_max": max(rates),
    }


def run(settings: WaveformBenchmark, gnuradio_python: str, progress: Progress) -> dict[str, Any]:
    """Measure everything on one core; see docs/benchmarks.md for the keys."""
    rng = np.random.default_rng(settings.seed)
    rows: list[dict[str, Any]] = []
    skipped: list[dict[str, str]] = []
    with progress("measuring", 5 * len(settings.sps)) as advance:
        for sps in settings.sps:
            waveform = Waveform(samples_per_symbol=sps)
            silence = noise(settings.samples, rng)
            figures = _timed(lambda: receive(silence, waveform), silence.size, settings.repeats)  # noqa: B023
            rows.append({"what": "search in noise", "program": "semcom", "sps": sps, "bursts": 0, **figures})
            advance(f"search, {sps} samples per symbol")
            for modulation in ("bpsk", "qpsk", "16qam"):
                samples, bursts = burst_train(settings.samples, waveform, modulation, rng)
                found = receive(samples, waveform)
                figures = _timed(lambda: receive(samples, waveform), samples.size, settings.repeats)  # noqa: B023
                rows.append(
                    {
                        "what": f"receive {modulation} bursts",
                        "program": "semcom",
                        "sps": sps,
                        "bursts": bursts,
                        "bursts_received": found,
                        **figures,
                    }
                )
                advance(f"{modulation}, {sps} samples per symbol")
            reason = gnuradio_missing(gnuradio_python)
            if reason is None:
                rows.append(_gnuradio(samples, sps, settings.repeats, gnuradio_python))
            elif not skipped:
                skipped.append({"program": "gnuradio", "reason": reason})
            advance(f"GNU Radio, {sps} samples per symbol")
    return {"machine": describe_machine(), "config": asdict(settings), "rows": rows, "skipped": skipped}


def _gnuradio(samples: Samples, sps: int, repeats: int, python: str) -> dict[str, Any]:
    """GNU Radio's own synchronisation chain on the same samples; it finds no bursts and demaps nothing."""
    with tempfile.NamedTemporaryFile(suffix=".cf32") as file:
        samples.tofile(file.name)
        command = [python, str(_WORKER), file.name, str(sps), str(repeats)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_WORKER_TIMEOUT_S, check=True)
        except subprocess.CalledProcessError as error:
            reason = (error.stderr.strip().splitlines() or ["no message"])[-1]
            raise LinkError(f"GNU Radio's receive chain failed: {reason}") from None
        except subprocess.TimeoutExpired:
            raise LinkError(f"GNU Radio's receive chain took more than {_WORKER_TIMEOUT_S} s") from None
    answer = json.loads(done.stdout.splitlines()[-1])
    rates = [samples.size / float(seconds) / 1e6 for seconds in answer["seconds"]]
    return {
        "what": "FLL, symbol sync, Costas loop",
        "program": f"GNU Radio {str(answer['version'])[:40]}",
        "sps": sps,
        "bursts": None,
        "cores_used": statistics.median(answer["cores_used"]),
        "msample_s": statistics.median(rates),
        "msample_s_min": min(rates),
        "msample_s_max": max(rates),
    }
