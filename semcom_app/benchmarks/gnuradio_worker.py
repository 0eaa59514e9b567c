"""Turbo decoding by GNU Radio's own blocks. Runs as a program under the Python that has GNU Radio.

Not imported by the application: `semcom_app.benchmarks.peers` starts it. It needs nothing of this project; the code
arrives as tables on standard input. All requests and answers are a line of JSON followed by raw numbers:

    first line   {"size", "next_state" [16], "parity" [16], "interleaver" [size]}, answered by {"version"}
    each job     {"blocks", "iterations", "siso", "chains"} + float32 (blocks, size, 3)
    each answer  {"seconds", "cpu_seconds"} + uint8 (blocks, size)
"""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import numpy as np
from gnuradio import blocks, digital, gr, trellis

STATES = 8
#: Channel symbols (u, p, p') of the combined code: bit 1 ↔ +1.
SYMBOLS = [float(2 * (value >> shift & 1) - 1) for value in range(8) for shift in (2, 1, 0)]


def _decoder(code: dict[str, Any], iterations: int, siso: str) -> Any:
    """The block; the first code emits (input bit, parity bit), the second its parity bit alone."""
    systematic = [2 * (index % 2) + parity for index, parity in enumerate(code["parity"])]
    first = trellis.fsm(2, STATES, 4, code["next_state"], systematic)
    second = trellis.fsm(2, STATES, 2, code["next_state"], code["parity"])
    # A final state of -1 is an unknown one: the block has no place for two separate tails.
    return trellis.pccc_decoder_combined_fb(
        first,
        0,
        -1,
        second,
        0,
        -1,
        trellis.interleaver(code["size"], code["interleaver"]),
        code["size"],
        iterations,
        {"sum-product": trellis.TRELLIS_SUM_PRODUCT, "min-sum": trellis.TRELLIS_MIN_SUM}[siso],
        3,
        SYMBOLS,
        digital.TRELLIS_EUCLIDEAN,
        1.0,
    )


def _run(code: dict[str, Any], job: dict[str, Any], symbols: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
    graph = gr.top_block()
    sinks = []
    for part in np.array_split(symbols, min(job["chains"], len(symbols))):
        source = blocks.vector_source_f(part.ravel().tolist())
        decoder = _decoder(code, job["iterations"], job["siso"])
        sink = blocks.vector_sink_b()
        graph.connect(source, decoder, sink)
        sinks.append((source, decoder, sink))
    cpu_start, start = time.process_time(), time.perf_counter()
    graph.run()
    times = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - cpu_start}
    return times, np.concatenate([np.array(sink.data(), np.uint8) for _, _, sink in sinks])


def main() -> None:
    """Answer jobs until standard input ends."""
    requests = sys.stdin.buffer
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what GNU Radio prints is no answer
    code = json.loads(requests.readline())
    answers.write(json.dumps({"version": gr.version()}).encode() + b"\n")
    answers.flush()
    for line in requests:
        job = json.loads(line)
        shape = (job["blocks"], code["size"], 3)
        symbols = np.frombuffer(requests.read(4 * shape[0] * shape[1] * shape[2]), np.float32).reshape(shape)
        times, bits = _run(code, job, symbols)
        answers.write(json.dumps(times).encode() + b"\n" + bits.tobytes())
        answers.flush()


if __name__ == "__main__":
    main()
