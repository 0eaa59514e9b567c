"""GNU Radio's native receive chain on a file of samples. Runs as a program under the Python that has GNU Radio.

Not imported by the application: `semcom_app.benchmarks.waveform` starts it with a file of complex float32, the samples
per symbol and the number of repeats, and reads one line of JSON.
"""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import json
import sys
import time

from gnuradio import blocks, digital, filter, gr

ROLL_OFF = 0.35
PHASES = 32


def run(path: str, sps: int) -> tuple[float, float]:
    """Run the flowgraph over the file; return seconds and cores used."""
    graph = gr.top_block()
    source = blocks.file_source(gr.sizeof_gr_complex, path, False)
    coarse = digital.fll_band_edge_cc(sps, ROLL_OFF, 8 * sps + 1, 0.005)
    taps = filter.firdes.root_raised_cosine(PHASES, PHASES * sps, 1.0, ROLL_OFF, 11 * sps * PHASES)
    timing = digital.symbol_sync_cc(
        digital.TED_SIGNAL_TIMES_SLOPE_ML,
        sps,
        0.045,
        1.0,
        1.0,
        1.5,
        1,
        digital.constellation_qpsk().base(),
        digital.IR_PFB_MF,
        PHASES,
        taps,
    )
    carrier = digital.costas_loop_cc(0.02, 4)
    sink = blocks.null_sink(gr.sizeof_gr_complex)
    graph.connect(source, coarse, timing, carrier, sink)
    cpu, start = time.process_time(), time.perf_counter()
    graph.run()
    seconds = time.perf_counter() - start
    return seconds, (time.process_time() - cpu) / seconds


def main() -> None:
    """Answer on standard output."""
    path, sps, repeats = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    run(path, sps)
    times = [run(path, sps) for _ in range(repeats)]
    answer = {"version": gr.version(), "seconds": [s for s, _ in times], "cores_used": [c for _, c in times]}
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
