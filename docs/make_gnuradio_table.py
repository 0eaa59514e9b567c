"""The links side by side: NumPy, the GNU Radio flowgraphs of our blocks, and those of GNU Radio's own blocks.

    python docs/make_gnuradio_table.py [--check]

Our blocks have to give the bits of the NumPy link, every one. GNU Radio's own blocks draw other noise: their error
rates have to agree within three standard deviations. Writes docs/figures/gnuradio_agreement.json and the tables of
docs/gnuradio.md. Two minutes on two cores. With --check nothing is measured or written; exit code 1 if the tables are
not what the JSON says, or the JSON says that something does not agree.
"""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import erfc

from semcom_phy.channels import make_channel
from semcom_phy.coding.decoders import DecoderParams, decode
from semcom_phy.coding.transport import TurboCode
from semcom_phy.coding.turbo import encode
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.launch import ParameterValue, launcher
from semcom_phy.flowgraph.python import find_gnuradio
from semcom_phy.links.base import Frame, Reception
from semcom_phy.links.gnuradio_link import GnuRadioLink, GnuRadioLinkConfig
from semcom_phy.links.numpy_link import NumpyLink, NumpyLinkConfig

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
TURBO_SNR_DB = (-4.8, -4.4, -4.2, -4.0)
TURBO_BLOCK_BITS, TURBO_ITERATIONS = 1024, 6
TURBO_BLOCKS, OUR_BLOCKS = 200, 1200
SIGMAS = 3.0


def frames(count: int, payload_bits: int) -> list[Frame]:
    """Random payloads, the same at every call."""
    rng = np.random.default_rng(SEED)
    return [Frame(HEADER, rng.integers(0, 2, payload_bits, dtype=np.uint8)) for _ in range(count)]


def through_flowgraph(name: str, sent: list[Frame], **parameters: ParameterValue) -> Reception:
    """The frames through a flowgraph that is started for them."""
    values = {"seed": SEED, **parameters}
    with GnuRadioLink(GnuRadioLinkConfig(name, launcher(catalogue.find(name), values))) as link:
        return link.send(sent)


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
    """Bit error rate of GNU Radio's mapper, noise and demapper against the NumPy link, and against theory."""
    rows = []
    sent = frames(BPSK_FRAMES, BPSK_PAYLOAD_BITS)
    for snr_db in BPSK_SNR_DB:
        gnuradio = through_flowgraph("native_bpsk", sent, snr_db=snr_db).stats
        config = NumpyLinkConfig(make_channel("awgn", snr_db=snr_db), fec="none", seed=SEED)
        numpy = NumpyLink(config).send(sent).stats
        ours, theirs = numpy.raw_errors / numpy.raw_bits, gnuradio.raw_errors / gnuradio.raw_bits
        apart = sigmas(theirs, ours, gnuradio.raw_bits, numpy.raw_bits)
        rows.append(
            {
                "flowgraph": "native_bpsk",
                "snr_db": snr_db,
                "bits": gnuradio.raw_bits,
                "ber_gnuradio": theirs,
                "ber_numpy": ours,
                "ber_theory": float(0.5 * erfc(math.sqrt(10 ** (snr_db / 10)))),
                "sigmas_apart": apart,
                "agrees": apart <= SIGMAS,
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


def table(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def rate(value: float | None) -> str:
    """A rate as it is printed."""
    return "0" if not value else f"{value:.2e}"


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
        ]
        for r in result["native_bpsk"]
    ]
    turbo = [
        [f"{r['snr_db']:g}", f"{r['bler_gnuradio']:.3f}", f"{r['bler_numpy']:.3f}", f"{r['sigmas_apart']:.1f}"]
        for r in result["native_turbo"]
    ]
    return {
        "same": table(
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
        "bpsk": table(["Es/N0 (dB)", "GNU Radio", "NumPy link", "theory", "standard deviations"], bpsk),
        "turbo": table(["Es/N0 (dB)", "GNU Radio", "our decoder", "standard deviations"], turbo),
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
    if not result["agrees"]:
        print(f"{RESULT.name}: not all points agree")
    return int(stale or not result["agrees"])


def main(arguments: list[str]) -> int:
    """Measure, write the results and the tables; or only check the page."""
    if "--check" in arguments:
        return check()
    start = time.perf_counter()
    result: dict[str, Any] = {"gnuradio": find_gnuradio().version, "seed": SEED, "sigmas": SIGMAS}
    result |= {"same_bits": same_bits(), "native_bpsk": native_bpsk(), "native_turbo": native_turbo()}
    rows = [row for name in ("same_bits", "native_bpsk", "native_turbo") for row in result[name]]
    result["agrees"] = all(row["agrees"] for row in rows)
    RESULT.write_text(json.dumps(result, indent=1) + "\n")
    PAGE.write_text(filled(PAGE.read_text(), tables(result)))
    verdict = "all agree" if result["agrees"] else "NOT all agree"
    print(f"{len(rows)} points, {verdict}, {time.perf_counter() - start:.0f} s")
    return int(not result["agrees"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
