"""The links side by side: NumPy, the GNU Radio flowgraphs of our blocks, and those of GNU Radio's own blocks.

    python docs/make_gnuradio_table.py [--check]

Our blocks have to give the bits of the NumPy link, every one. GNU Radio's own blocks draw other noise and other fading:
their error rates have to agree within three standard deviations, with the NumPy link's and with theory. Writes
docs/figures/gnuradio_agreement.json and the tables of docs/gnuradio.md. Ten to twenty minutes on two cores. With
--check nothing is measured or written; exit code 1 if the tables are not what the JSON says, or the JSON says that
something does not agree.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from semcom_app.markdown import markdown_table
from semcom_phy.channels import make_channel
from semcom_phy.coding.decoders import DecoderParams, decode
from semcom_phy.coding.transport import TurboCode
from semcom_phy.coding.turbo import encode
from semcom_phy.error_rates import (
    awgn_bit_error_rate,
    cosines_bit_error_rate,
    measured_rate,
    rayleigh_bit_error_rate,
    waves_bit_error_rate,
)
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.launch import ParameterValue, launcher
from semcom_phy.flowgraph.python import find_gnuradio
from semcom_phy.gr import native_soft_bits
from semcom_phy.links.base import Frame, Reception
from semcom_phy.links.gnuradio_link import GnuRadioLink, GnuRadioLinkConfig
from semcom_phy.links.numpy_link import NumpyLink, NumpyLinkConfig
from semcom_phy.modulation import MODULATIONS, hard_decisions

DOCS = Path(__file__).resolve().parent
RESULT = DOCS / "figures" / "gnuradio_agreement.json"
PAGE = DOCS / "gnuradio.md"
SEED = 36
HEADER = b"agreement"
#: Flowgraph, channel and Es/N0 in dB of the comparison bit by bit; eight frames each.
SAME = (
    ("bpsk_awgn", "awgn", (0.0, 4.0, 8.0)),
    ("turbo_awgn", "awgn", (-4.6, -4.0, -3.0)),
    ("turbo_rayleigh", "rayleigh", (-2.0, 0.0, 4.0)),
)
SAME_FRAMES = 8
SAME_PAYLOAD_BITS = 12_000
#: Es/N0 in dB of the comparison of error rates.
BPSK_SNR_DB = (-2.0, 0.0, 2.0, 4.0, 6.0)
BPSK_FRAMES, BPSK_PAYLOAD_BITS = 8, 100_000
#: Modulation and Es/N0 in dB of the chain with Channel Model and Constellation Soft Decoder.
SOFT_POINTS = (("bpsk", 0.0), ("bpsk", 4.0), ("qpsk", 3.0), ("qpsk", 7.0), ("16qam", 8.0), ("16qam", 12.0))
SOFT_BITS, SOFT_BATCHES = 40_000, 40
#: Fading: Doppler shift and symbol rate in Hz, waves; starts of the flowgraph, and frames of each start.
RAYLEIGH_SNR_DB = (0.0, 5.0, 10.0, 15.0)
FADING = {"doppler_hz": 20e3, "symbol_rate_hz": 1e5, "scatterers": 64}
RAYLEIGH_STARTS, RAYLEIGH_FRAMES, RAYLEIGH_PAYLOAD_BITS = 16, 4, 50_000
TURBO_SNR_DB = (-4.8, -4.4, -4.2, -4.0)
TURBO_BLOCK_BITS, TURBO_ITERATIONS = 1024, 6
TURBO_BLOCKS, OUR_BLOCKS = 500, 3000
SIGMAS = 3.0


def frames(count: int, payload_bits: int) -> list[Frame]:
    """Random payloads, the same at every call."""
    rng = np.random.default_rng(SEED)
    return [Frame(HEADER, rng.integers(0, 2, payload_bits, dtype=np.uint8)) for _ in range(count)]


def through_flowgraph(name: str, sent: list[Frame], **parameters: ParameterValue) -> Reception:
    """The frames through a flowgraph that is started for them."""
    values = {"seed": SEED, **parameters}
    with GnuRadioLink(GnuRadioLinkConfig(name, launcher(catalogue.find(name), values))) as link:
        reception = link.send(sent)
    if reception.stats.frames_received != len(sent):
        raise SystemExit(f"{name}: {reception.stats.frames_received} of {len(sent)} frames have come back")
    return reception


def same_bits() -> list[dict[str, Any]]:
    """Our blocks against the NumPy link: every LLR of every frame."""
    rows = []
    sent = frames(SAME_FRAMES, SAME_PAYLOAD_BITS)
    for name, channel, points in SAME:
        fec = "none" if name.startswith("bpsk") else "turbo"
        for snr_db in points:
            config = NumpyLinkConfig(make_channel(channel, snr_db=snr_db), fec=fec, turbo=TurboCode(), seed=SEED)
            numpy = NumpyLink(config).send(sent)
            gnuradio = through_flowgraph(name, sent, snr_db=snr_db)
            pairs = list(zip(numpy.frames, gnuradio.frames, strict=True))
            differing = sum(
                a.payload_bits.size
                if a.payload_bits.size != b.payload_bits.size
                else int(np.sum(a.payload_bits != b.payload_bits))
                for a, b in pairs
            )
            difference = max(
                (
                    float(np.max(np.abs(a.payload_llrs - b.payload_llrs)))
                    for a, b in pairs
                    if a.payload_llrs.shape == b.payload_llrs.shape and a.payload_llrs.size
                ),
                default=math.inf,
            )
            rows.append(
                {
                    "flowgraph": name,
                    "snr_db": snr_db,
                    "frames": SAME_FRAMES,
                    "frames_delivered": gnuradio.stats.frames_received,
                    "payload_bits": numpy.stats.decoded_bits,
                    "ber_raw": gnuradio.stats.ber_raw,
                    "ber_decoded": gnuradio.stats.ber_decoded,
                    "raw_errors_equal": numpy.stats.raw_errors == gnuradio.stats.raw_errors,
                    "bits_that_differ": differing,
                    "largest_llr_difference": difference,
                    "agrees": differing == 0 and numpy.stats.raw_errors == gnuradio.stats.raw_errors,
                }
            )
            print(rows[-1], flush=True)
    return rows


def sigmas(rate: float, other: float, count: float, other_count: float) -> float:
    """Difference of two measured rates in standard deviations of it, if both estimate one probability."""
    pooled = (rate * count + other * other_count) / (count + other_count)
    return abs(rate - other) / math.sqrt(pooled * (1 - pooled) * (1 / count + 1 / other_count))


def native_bpsk() -> list[dict[str, Any]]:
    """Bit error rate of GNU Radio's mapper, noise and demapper against the NumPy link, and against theory.

    The noise of different bits is independent, so that the numbers of errors are binomial.
    """
    rows = []
    sent = frames(BPSK_FRAMES, BPSK_PAYLOAD_BITS)
    for snr_db in BPSK_SNR_DB:
        gnuradio = through_flowgraph("native_bpsk", sent, snr_db=snr_db).stats
        config = NumpyLinkConfig(make_channel("awgn", snr_db=snr_db), fec="none", seed=SEED)
        numpy = NumpyLink(config).send(sent).stats
        ours, theirs = numpy.raw_errors / numpy.raw_bits, gnuradio.raw_errors / gnuradio.raw_bits
        theory = awgn_bit_error_rate("bpsk", 10 ** (snr_db / 10))
        apart = sigmas(theirs, ours, gnuradio.raw_bits, numpy.raw_bits)
        from_theory = abs(theirs - theory) / math.sqrt(theory * (1 - theory) / gnuradio.raw_bits)
        rows.append(
            {
                "flowgraph": "native_bpsk",
                "snr_db": snr_db,
                "bits": gnuradio.raw_bits,
                "ber_gnuradio": theirs,
                "ber_numpy": ours,
                "ber_theory": theory,
                "sigmas_apart": apart,
                "sigmas_from_theory": from_theory,
                "agrees": max(apart, from_theory) <= SIGMAS,
            }
        )
        print(rows[-1], flush=True)
    return rows


def our_errors(modulation: str, snr_db: float, seed: int) -> list[int]:
    """Bit errors of our mapper, noise and demapper, batch by batch."""
    mapper, channel = MODULATIONS[modulation], make_channel("awgn", snr_db=snr_db)
    errors = []
    for batch in range(SOFT_BATCHES):
        rng = np.random.default_rng((seed, SOFT_BATCHES + batch))
        bits = rng.integers(0, 2, SOFT_BITS, dtype=np.uint8)
        output = channel.transmit(mapper.modulate(bits), rng)
        llrs = mapper.demap(output.received, output.gain, output.noise_variance)
        errors.append(int(np.count_nonzero(hard_decisions(llrs) != bits)))
    return errors


def soft_bits() -> list[dict[str, Any]]:
    """Channel Model and Constellation Soft Decoder against our noise and demapper: error rates, and LLR by LLR."""
    rows = []
    for number, (modulation, snr_db) in enumerate(SOFT_POINTS):
        seed = SEED + number * SOFT_BATCHES
        result = native_soft_bits.measure(modulation, snr_db, SOFT_BITS, SOFT_BATCHES, seed)
        theirs = measured_rate(result["errors"], result["bits"])
        ours = measured_rate(our_errors(modulation, snr_db, seed), [SOFT_BITS] * SOFT_BATCHES)
        theory = awgn_bit_error_rate(modulation, 10 ** (snr_db / 10))
        apart, from_theory = theirs.apart(ours), theirs.apart(theory)
        same_llrs = result["largest_difference"] <= 1.001 * result["half_step"] and not result["hard_bits_that_differ"]
        rows.append(
            {
                "modulation": modulation,
                "snr_db": snr_db,
                "bits": theirs.bits,
                "batches": SOFT_BATCHES,
                "ber_gnuradio": theirs.rate,
                "deviation_gnuradio": theirs.deviation,
                "ber_numpy": ours.rate,
                "deviation_numpy": ours.deviation,
                "ber_theory": theory,
                "sigmas_apart": apart,
                "sigmas_from_theory": from_theory,
                **{k: result[k] for k in ("factor", "largest_difference", "half_step", "outside")},
                "agrees": max(apart, from_theory) <= SIGMAS and same_llrs,
            }
        )
        print(rows[-1], flush=True)
    return rows


def native_rayleigh() -> list[dict[str, Any]]:
    """Bit error rate over GNU Radio's fading against the NumPy link's, and each against the exact law of its waves.

    The stream fades on from frame to frame, so that a batch is a start of the flowgraph with a seed of its own. The
    NumPy link draws new waves for each frame: a batch is a frame.
    """
    rows = []
    sent = frames(RAYLEIGH_FRAMES, RAYLEIGH_PAYLOAD_BITS)
    waves = int(FADING["scatterers"])
    for number, snr_db in enumerate(RAYLEIGH_SNR_DB):
        seeds = [SEED + number * RAYLEIGH_STARTS + start for start in range(RAYLEIGH_STARTS)]
        starts = [through_flowgraph("native_rayleigh", sent, seed=s, snr_db=snr_db, **FADING).stats for s in seeds]
        theirs = measured_rate([one.raw_errors for one in starts], [one.raw_bits for one in starts])
        channel = make_channel("rayleigh", snr_db=snr_db, **FADING)
        numpy = NumpyLink(NumpyLinkConfig(channel, fec="none", seed=SEED + number)).send(sent * RAYLEIGH_STARTS)
        drawn = [frame.stats for frame in numpy.frames]
        ours = measured_rate([one.raw_errors for one in drawn], [one.raw_bits for one in drawn])
        snr = 10 ** (snr_db / 10)
        law, our_law = cosines_bit_error_rate(snr, waves), waves_bit_error_rate(snr, waves)
        apart, from_law, our_distance = theirs.apart(ours), theirs.apart(law), ours.apart(our_law)
        rows.append(
            {
                "flowgraph": "native_rayleigh",
                "snr_db": snr_db,
                **FADING,
                "bits": theirs.bits,
                "starts": RAYLEIGH_STARTS,
                "ber_gnuradio": theirs.rate,
                "deviation_gnuradio": theirs.deviation,
                "ber_gnuradio_law": law,
                "ber_numpy": ours.rate,
                "deviation_numpy": ours.deviation,
                "ber_numpy_law": our_law,
                "ber_rayleigh": rayleigh_bit_error_rate(snr),
                "sigmas_apart": apart,
                "sigmas_from_law": from_law,
                "numpy_sigmas_from_law": our_distance,
                "agrees": max(apart, from_law, our_distance) <= SIGMAS,
            }
        )
        print(rows[-1], flush=True)
    return rows


def our_block_error_rate(snr_db: float) -> float:
    """Block error rate of our decoder on what GNU Radio's decoder gets: no tail bits."""
    size, esn0 = TURBO_BLOCK_BITS, 10 ** (snr_db / 10)
    rng = np.random.default_rng((SEED, round(1000 * (snr_db + 100))))
    bits = rng.integers(0, 2, (OUR_BLOCKS, size), dtype=np.uint8)
    received = 2.0 * encode(bits) - 1.0 + rng.normal(0.0, (2 * esn0) ** -0.5, (OUR_BLOCKS, 3, size + 4))
    llrs = (4 * esn0 * received).astype(np.float32)
    llrs[:, :, size:] = 0.0
    decided = decode(llrs, DecoderParams(TURBO_ITERATIONS), "log-map", "auto").bits
    return float(np.mean((decided != bits).any(axis=1)))


def native_turbo() -> list[dict[str, Any]]:
    """Block error rate of GNU Radio's turbo decoder against ours."""
    rows = []
    sent = frames(1, TURBO_BLOCKS * (TURBO_BLOCK_BITS - 24))
    for snr_db in TURBO_SNR_DB:
        parameters = {"snr_db": snr_db, "block_bits": TURBO_BLOCK_BITS, "iterations": TURBO_ITERATIONS}
        gnuradio = through_flowgraph("native_turbo", sent, **parameters).stats
        theirs, ours = gnuradio.blocks_failed / gnuradio.blocks, our_block_error_rate(snr_db)
        apart = sigmas(theirs, ours, gnuradio.blocks, OUR_BLOCKS) if theirs or ours else 0.0
        rows.append(
            {
                "flowgraph": "native_turbo",
                "snr_db": snr_db,
                "block_bits": TURBO_BLOCK_BITS,
                "iterations": TURBO_ITERATIONS,
                "blocks": gnuradio.blocks,
                "blocks_numpy": OUR_BLOCKS,
                "bler_gnuradio": theirs,
                "bler_numpy": ours,
                "sigmas_apart": apart,
                "agrees": apart <= SIGMAS,
            }
        )
        print(rows[-1], flush=True)
    return rows


#: What is measured: the names in the results, and how.
PARTS = {
    "same_bits": same_bits,
    "native_bpsk": native_bpsk,
    "native_soft_bits": soft_bits,
    "native_rayleigh": native_rayleigh,
    "native_turbo": native_turbo,
}


def rate(value: float | None) -> str:
    """A rate as it is printed."""
    return "0" if not value else f"{value:.2e}"


def precise(value: float) -> str:
    """A rate with one digit more, where it is compared with deviations of a percent."""
    return f"{value:.3e}"


def with_deviation(value: float, deviation: float) -> str:
    """A rate and its standard deviation with the same exponent."""
    mantissa, exponent = precise(value).split("e")
    return f"({mantissa} ± {deviation / 10.0 ** int(exponent):.3f})e{exponent}"


def tables(result: dict[str, Any]) -> dict[str, str]:
    """The tables of the page by name."""
    same = [
        [
            row["flowgraph"],
            f"{row['snr_db']:g}",
            f"{row['frames_delivered']} of {row['frames']}",
            rate(row["ber_raw"]),
            rate(row["ber_decoded"]),
            f"{row['bits_that_differ']} of {row['payload_bits']}",
            f"{row['largest_llr_difference']:.1g}",
        ]
        for row in result["same_bits"]
    ]
    bpsk = [
        [
            f"{r['snr_db']:g}",
            *(rate(r[k]) for k in ("ber_gnuradio", "ber_numpy", "ber_theory")),
            f"{r['sigmas_apart']:.1f}",
            f"{r['sigmas_from_theory']:.1f}",
        ]
        for r in result["native_bpsk"]
    ]
    soft = [
        [
            r["modulation"],
            f"{r['snr_db']:g}",
            with_deviation(r["ber_gnuradio"], r["deviation_gnuradio"]),
            with_deviation(r["ber_numpy"], r["deviation_numpy"]),
            precise(r["ber_theory"]),
            f"{r['sigmas_apart']:.1f}",
            f"{r['sigmas_from_theory']:.1f}",
            f"{r['factor']:.4f}",
            f"{r['largest_difference']:.3f} of {r['half_step']:.3f}",
            str(r["outside"]),
        ]
        for r in result["native_soft_bits"]
    ]
    rayleigh = [
        [
            f"{r['snr_db']:g}",
            with_deviation(r["ber_gnuradio"], r["deviation_gnuradio"]),
            precise(r["ber_gnuradio_law"]),
            with_deviation(r["ber_numpy"], r["deviation_numpy"]),
            precise(r["ber_numpy_law"]),
            precise(r["ber_rayleigh"]),
            *(f"{r[k]:.1f}" for k in ("sigmas_apart", "sigmas_from_law", "numpy_sigmas_from_law")),
        ]
        for r in result["native_rayleigh"]
    ]
    turbo = [
        [f"{r['snr_db']:g}", f"{r['bler_gnuradio']:.3f}", f"{r['bler_numpy']:.3f}", f"{r['sigmas_apart']:.1f}"]
        for r in result["native_turbo"]
    ]
    return {
        "same": markdown_table(
            [
                "flowgraph",
                "Es/N0 (dB)",
                "frames",
                "BER before",
                "BER after",
                "bits that differ",
                "largest LLR difference",
            ],
            same,
        ),
        "bpsk": markdown_table(["Es/N0 (dB)", "GNU Radio", "NumPy link", "theory", "σ apart", "σ from theory"], bpsk),
        "soft": markdown_table(
            [
                "modulation",
                "Es/N0 (dB)",
                "GNU Radio",
                "NumPy",
                "theory",
                "σ apart",
                "σ from theory",
                "LLR factor",
                "largest LLR difference",
                "clipped",
            ],
            soft,
        ),
        "rayleigh": markdown_table(
            [
                "Es/N0 (dB)",
                "GNU Radio",
                "its law",
                "NumPy link",
                "its law",
                "Rayleigh",
                "σ apart",
                "σ GNU Radio from its law",
                "σ NumPy from its law",
            ],
            rayleigh,
        ),
        "turbo": markdown_table(["Es/N0 (dB)", "GNU Radio", "our decoder", "σ apart"], turbo),
    }


def filled(page: str, texts: dict[str, str]) -> str:
    """The page with the tables between their marks."""
    for name, text in texts.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, has_begin, rest = page.partition(begin)
        _, has_end, after = rest.partition(end)
        if not (has_begin and has_end):
            raise SystemExit(f"{PAGE.name}: there is no place for the table {name!r}")
        page = f"{before}{begin}{text}\n{end}{after}"
    return page


def check() -> int:
    """Compare the page with the committed results; 1 if it is stale or they do not agree."""
    result, page = json.loads(RESULT.read_text()), PAGE.read_text()
    stale = filled(page, tables(result)) != page
    if stale:
        print(f"not up to date: {PAGE.name}")
    agrees = result["agrees"] and all(row["agrees"] for name in PARTS for row in result[name])
    if not agrees:
        print(f"{RESULT.name}: not all points agree")
    return int(stale or not agrees)


def main(arguments: list[str]) -> int:
    """Measure, write the results and the tables; or only check the page."""
    if "--check" in arguments:
        return check()
    start = time.perf_counter()
    result: dict[str, Any] = {"gnuradio": find_gnuradio().version, "seed": SEED, "sigmas": SIGMAS}
    result |= {name: measure() for name, measure in PARTS.items()}
    rows = [row for name in PARTS for row in result[name]]
    result["agrees"] = all(row["agrees"] for row in rows)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    PAGE.write_text(filled(PAGE.read_text(), tables(result)))
    verdict = "all agree" if result["agrees"] else "NOT all agree"
    print(f"{len(rows)} points, {verdict}, {time.perf_counter() - start:.0f} s")
    return int(not result["agrees"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
