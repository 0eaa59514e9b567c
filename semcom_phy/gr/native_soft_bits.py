"""Bits through stock blocks of GNU Radio alone, to soft bits: a cross-check of `semcom_phy.modulation`.

    python -m semcom_phy.gr.native_soft_bits MODULATION ESN0_DB BITS BATCHES SEED

prints the counts as JSON. Runs under GNU Radio's Python. The flowgraph is::

    Vector Source ─▶ Pack K Bits ─▶ Chunks to Symbols ─▶ Channel Model ─┬─▶ Multiply Const ─▶ Constellation Soft Decoder
                                                                        └─▶ (the received symbols, for our demapper)

The decoder's own soft bits are not likelihood ratios: GNU Radio 3.10.5 takes ln Σ exp(−|y − s|/npwr), with a distance
where its square belongs. So it is given a table, of ln Σ exp(−|y − s|²/N0) summed over the symbols one by one. The
table covers the square ±1, and samples are clipped to ±0.99. They are therefore scaled so that the noise hardly ever
leaves the square, and the table is made for samples of that scale; what leaves it is counted.

Channel Model takes its noise from a pool of 16384 samples that is drawn at the start. Each batch has a pool of its own:
errors within a batch depend on each other, and only the spread of the batches tells how far to trust their mean.
"""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import json
import math
import subprocess
import sys
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import LinkError
from semcom_phy.flowgraph.python import environment, find_gnuradio
from semcom_phy.modulation import MODULATIONS, hard_decisions

#: Channel Model keeps back the first symbols (its resampler's delay), and the last ones until more come.
SKIPPED: Final = 3
#: log2 of the cells of the decoder's table along one axis.
PRECISION: Final = 8
#: The outermost symbol and so many deviations of the noise lie inside the table.
MARGIN: Final = 5.0
#: Where the decoder clips.
EDGE: Final = 0.99


def constellation(modulation: str) -> npt.NDArray[np.complex128]:
    """The symbols of our mapper (M,), in the order of their bits read as a number, first bit highest."""
    width = MODULATIONS[modulation].bits_per_symbol
    labels = np.arange(1 << width)[:, None] >> np.arange(width)[::-1] & 1
    return np.asarray(MODULATIONS[modulation].modulate(labels.ravel().astype(np.uint8)), np.complex128)


def likelihood_ratios(
    received: npt.NDArray[np.complex128], symbols: npt.NDArray[np.complex128], noise_variance: float
) -> npt.NDArray[np.float64]:
    """ln P(b=1)/P(b=0) of each bit (N, log2 M), summed over the M symbols one by one: no closed form, no short cut."""
    exponent = -(np.abs(received[:, None] - symbols) ** 2) / noise_variance
    exponent -= exponent.max(axis=1, keepdims=True)
    width = symbols.size.bit_length() - 1
    ratios = np.empty((received.size, width))
    for place in range(width):
        one = (np.arange(symbols.size) >> (width - 1 - place) & 1).astype(bool)
        ratios[:, place] = np.logaddexp.reduce(exponent[:, one], 1) - np.logaddexp.reduce(exponent[:, ~one], 1)
    return ratios


def table(symbols: npt.NDArray[np.complex128], noise_variance: float, scale: float) -> npt.NDArray[np.float64]:
    """The decoder's table: the LLRs (cells, cells, log2 M) at the middle of each cell, imaginary axis first."""
    middle = (2.0 * np.arange(1 << PRECISION) + 1.0) / (1 << PRECISION) - 1.0
    points = np.asarray((middle[None, :] + 1j * middle[:, None]) / scale, np.complex128)
    return likelihood_ratios(points.reshape(-1), symbols, noise_variance).reshape(*points.shape, -1)


def run(modulation: str, esn0_db: float, bits: int, batches: int, seed: int) -> dict[str, Any]:
    """Send `batches` times `bits` random bits; count errors of the decoder and compare its LLRs with our demapper's.

    Returns lists of ``bits`` and ``errors`` of each batch, ``outside`` the samples beyond the table,
    ``largest_difference`` of an LLR inside of it, ``half_step``, the most that the table's steps allow, ``factor``, the
    LLRs' slope over those of our demapper, and ``hard_bits_that_differ`` where our LLR is more than a half step from 0.
    """
    from gnuradio import blocks, channels, digital, gr

    mapper, symbols, n0 = MODULATIONS[modulation], constellation(modulation), 10.0 ** (-esn0_db / 10.0)
    scale = EDGE / (float(np.max(np.abs([symbols.real, symbols.imag]))) + MARGIN * math.sqrt(n0 / 2.0))
    ratios = table(symbols, n0, scale)
    # A cell's LLRs are those of its middle: at most half of the largest step between two cells away, along each axis.
    steps = [np.abs(np.diff(ratios, axis=axis)).max(axis=(0, 1)) for axis in (0, 1)]
    half_step = 0.5 * float(np.max(steps[0] + steps[1]))
    result: dict[str, Any] = {"bits": [], "errors": [], "outside": 0, "largest_difference": 0.0, "half_step": half_step}
    result["hard_bits_that_differ"] = 0
    product = square = 0.0
    for batch in range(batches):
        rng = np.random.default_rng((seed, batch))
        sent = rng.integers(0, 2, bits - bits % mapper.bits_per_symbol, dtype=np.uint8)
        # With a table of its own the decoder asks its constellation for the number of bits alone.
        described = digital.constellation_calcdist(
            symbols.tolist(), list(range(symbols.size)), 1, 1, digital.constellation.NO_NORMALIZATION
        )
        described.set_soft_dec_lut(ratios.reshape(-1, mapper.bits_per_symbol).tolist(), PRECISION)
        graph = gr.top_block()
        source = blocks.vector_source_b(sent.tolist())
        pack = blocks.pack_k_bits_bb(mapper.bits_per_symbol)
        chunks = digital.chunks_to_symbols_bc(symbols.tolist())
        channel = channels.channel_model(math.sqrt(n0), 0.0, 1.0, [1.0], seed + batch)
        scaled = blocks.multiply_const_cc(scale)
        decoder = digital.constellation_soft_decoder_cf(described.base())
        llr_sink, symbol_sink = blocks.vector_sink_f(), blocks.vector_sink_c()
        graph.connect(source, pack, chunks, channel, scaled, decoder, llr_sink)
        graph.connect(channel, symbol_sink)
        graph.run()
        received = np.array(symbol_sink.data())
        theirs = np.array(llr_sink.data()).reshape(received.size, -1)
        truth = sent.reshape(-1, mapper.bits_per_symbol)[SKIPPED:][: received.size]
        ours = mapper.demap(received, 1.0, n0).astype(np.float64).reshape(theirs.shape)
        inside = np.maximum(np.abs(received.real), np.abs(received.imag)) * scale < EDGE
        difference = np.abs(theirs - ours)[inside]
        result["bits"].append(truth.size)
        result["errors"].append(int(np.count_nonzero(hard_decisions(theirs) != truth)))
        result["outside"] += int(np.count_nonzero(~inside))
        result["largest_difference"] = max(result["largest_difference"], float(difference.max()))
        clear = np.abs(ours[inside]) > half_step
        result["hard_bits_that_differ"] += int(np.count_nonzero(((theirs > 0) != (ours > 0))[inside] & clear))
        product += float(np.sum(theirs[inside] * ours[inside]))
        square += float(np.sum(ours[inside] ** 2))
    return {**result, "factor": product / square}


def measure(modulation: str, esn0_db: float, bits: int, batches: int, seed: int) -> dict[str, Any]:
    """Do `run` in GNU Radio's Python. Raises LinkError where there is none, or where it fails."""
    arguments = [modulation, str(esn0_db), str(bits), str(batches), str(seed)]
    command = [str(find_gnuradio().python), "-m", "semcom_phy.gr.native_soft_bits", *arguments]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment())
    if done.returncode:
        raise LinkError(f"the flowgraph of stock blocks failed: {done.stderr.strip() or done.returncode}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


if __name__ == "__main__":
    modulation, *numbers = sys.argv[1:]
    esn0_db, (bits, batches, seed) = float(numbers[0]), map(int, numbers[1:])
    print(json.dumps(run(modulation, esn0_db, bits, batches, seed)))
