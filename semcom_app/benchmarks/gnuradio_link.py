"""Speed of the GNU Radio link: round trips, payload rates against the flowgraph alone, the time of a picture."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import scipy.stats
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from semcom_app.benchmarks.machine import describe_machine
from semcom_app.benchmarks.round_trip import FAR_ENDS, far_end, round_trips_ms
from semcom_app.progress import printable
from semcom_phy.checks import checked_number
from semcom_phy.errors import LinkError
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.compiler import compile_flowgraph
from semcom_phy.flowgraph.launch import launcher
from semcom_phy.flowgraph.python import GnuRadio, environment
from semcom_phy.links import Frame, GnuRadioLink, GnuRadioLinkConfig
from semcom_phy.links.gnuradio_link import WINDOW

#: Flowgraphs that are measured, and their parameters: the decoder then has something to do, and succeeds.
FLOWGRAPHS: Final[Mapping[str, Mapping[str, float]]] = {
    "bpsk_awgn": {"snr_db": 10.0},
    "turbo_awgn": {"snr_db": -3.5},
    "turbo_rayleigh": {"snr_db": 3.0},
}
#: What `vcsc-8bit` sends for a picture of 512×512: 64×64 latents of 4 channels, 8 bits each.
PICTURE_BITS: Final = 131_072
PICTURE: Final = Path(__file__).parents[1] / "photos" / "astronaut.png"
PICTURE_CODEC: Final = "vcsc-8bit"
PICTURE_FLOWGRAPH: Final = "turbo_awgn"
ROUND_TRIP_BYTES: Final = 1024
#: What is promised.
ROUND_TRIP_LIMIT_MS: Final = 1.0
RATIO_LIMIT: Final = 0.9
PICTURE_LIMIT_S: Final = 2.0
STEPS: Final = 3 + len(FLOWGRAPHS)
_BARE: Final = Path(__file__).with_name("gnuradio_bare.py")


@dataclass(frozen=True)
class GnuRadioBenchmark:
    """`frames` of `bits` payload bits in a timed call, `repeats` of them per figure; `round_trips` of one PDU each."""

    frames: int = 60
    bits: int = PICTURE_BITS
    repeats: int = 15
    round_trips: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        checked_number("frames", self.frames, 1, 1e5)
        checked_number("bits", self.bits, 40, 1e7)
        checked_number("repeats", self.repeats, 1, 1000)
        checked_number("round_trips", self.round_trips, 1, 1e5)
        checked_number("seed", self.seed, 0, 2**63)


def run(settings: GnuRadioBenchmark, gnuradio: GnuRadio, advance: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything; see docs/gnuradio-link.md for the keys."""
    trips = []
    for kind in ("blocks", "application"):
        with far_end(kind, "tcp", gnuradio) as link:
            trips.append(
                {
                    "far_end": FAR_ENDS[kind],
                    "payload_bytes": ROUND_TRIP_BYTES,
                    **round_trips_ms(link, ROUND_TRIP_BYTES, settings.round_trips),
                }
            )
        advance(f"round trip, {FAR_ENDS[kind]}")
    rows = []
    for name in FLOWGRAPHS:
        rows.append(_row(name, settings, *_times(name, settings, gnuradio)))
        advance(name)
    picture = _picture(settings)
    advance("picture")
    return {
        "machine": describe_machine() | {"gnuradio": gnuradio.version},
        "config": asdict(settings) | {"window": WINDOW},
        "round_trips": trips,
        "rows": rows,
        "picture": picture,
        "promises": _promises(trips, rows, picture),
    }


def _frames(settings: GnuRadioBenchmark, repeat: int) -> list[Frame]:
    rng = np.random.default_rng((settings.seed, repeat))
    return [Frame(bytes(64), rng.integers(0, 2, settings.bits, dtype=np.uint8)) for _ in range(settings.frames)]


@contextmanager
def _bare(name: str, settings: GnuRadioBenchmark, gnuradio: GnuRadio) -> Iterator[Callable[[], float]]:
    """The flowgraph alone, fed in its own process; the value sends frames through it and returns the seconds."""
    job = {
        "program": str(compile_flowgraph(catalogue.find(name).form(gui=False), gnuradio).program),
        "parameters": {**FLOWGRAPHS[name], "seed": settings.seed},
        "frames": settings.frames,
        "bits": settings.bits,
        "window": WINDOW,
        "seed": settings.seed,
    }
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [gnuradio.python, _BARE, json.dumps(job)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment(),
        ) as process,
    ):

        def seconds() -> float:
            assert process.stdin is not None
            assert process.stdout is not None
            print(file=process.stdin, flush=True)
            answer = process.stdout.readline()
            if not answer:
                errors.seek(0)
                reason = (errors.read().strip().splitlines() or ["no message"])[-1]
                raise LinkError(f"flowgraph {name} alone failed: {reason}")
            return float(answer)

        yield seconds  # the end of its standard input ends it


def _times(name: str, settings: GnuRadioBenchmark, gnuradio: GnuRadio) -> tuple[list[float], list[float], list[float]]:
    """Seconds of the same frames through the flowgraph alone and through the link, in turn, and of one by the link."""
    launch = launcher(catalogue.find(name), {**FLOWGRAPHS[name], "seed": settings.seed})
    alone, through, single = [], [], []
    with _bare(name, settings, gnuradio) as bare, GnuRadioLink(GnuRadioLinkConfig(name, launch)) as link:
        for repeat in range(settings.repeats + 1):
            frames = _frames(settings, repeat)
            # Each of the two comes first in turn: what the machine does besides must not favour one of them.
            if repeat % 2:
                alone.append(bare())
            began = time.perf_counter()
            stats = link.send(frames).stats
            through.append(time.perf_counter() - began)
            if not repeat % 2:
                alone.append(bare())
            if stats.frames_received != settings.frames:
                raise LinkError(f"{stats.frames_lost} of {settings.frames} frames were lost in flowgraph {name}")
            began = time.perf_counter()
            link.send(frames[:1])
            single.append(time.perf_counter() - began)
    return alone[1:], through[1:], single[1:]  # the first are for caches and tables


def _picture(settings: GnuRadioBenchmark) -> dict[str, Any]:
    """Seconds of a picture from end to end, by its stages; `beyond_codec_s` is all but encoding and decoding."""
    from semcom_app.codecs import CodecOptions, make_codec
    from semcom_app.images import load_image
    from semcom_app.pipeline import send_image

    codec, image = make_codec(PICTURE_CODEC, CodecOptions(seed=settings.seed)), load_image(PICTURE)
    launch = launcher(catalogue.find(PICTURE_FLOWGRAPH), {**FLOWGRAPHS[PICTURE_FLOWGRAPH], "seed": settings.seed})
    stages: dict[str, list[float]] = {"encode_s": [], "beyond_codec_s": [], "decode_s": []}
    began = time.perf_counter()
    with GnuRadioLink(GnuRadioLinkConfig(PICTURE_FLOWGRAPH, launch)).open() as link:
        start_s = time.perf_counter() - began
        for _ in range(settings.repeats + 1):
            began = time.perf_counter()
            row = send_image(image, codec, link, settings.seed, "cpu").row
            seconds = time.perf_counter() - began
            if not row["intact"]:
                raise LinkError(f"the picture was damaged in flowgraph {PICTURE_FLOWGRAPH}")
            encode_s, decode_s = row["encode_ms"] / 1e3, row["decode_ms"] / 1e3
            for stage, value in zip(stages, (encode_s, seconds - encode_s - decode_s, decode_s), strict=True):
                stages[stage].append(value)
    height, width = image.pixels.shape[:2]
    return {
        "picture": PICTURE.name,
        "size": f"{width}×{height}",
        "codec": PICTURE_CODEC,
        "flowgraph": PICTURE_FLOWGRAPH,
        "psnr_db": row["psnr_db"],
        **{stage: statistics.median(values[1:]) for stage, values in stages.items()},
        "start_s": start_s,
    }


def _row(
    name: str, settings: GnuRadioBenchmark, bare: Sequence[float], through: Sequence[float], single: Sequence[float]
) -> dict[str, Any]:
    payload = settings.frames * settings.bits / 1e6
    alone, linked = ([payload / seconds for seconds in times] for times in (bare, through))
    ratios = [link / bare for link, bare in zip(linked, alone, strict=True)]
    low, high = median_interval(ratios)
    return {
        "flowgraph": name,
        **FLOWGRAPHS[name],
        "payload_bits": settings.bits,
        "link_mbit_s": statistics.median(linked),
        "link_mbit_s_min": min(linked),
        "link_mbit_s_max": max(linked),
        "flowgraph_mbit_s": statistics.median(alone),
        "flowgraph_mbit_s_min": min(alone),
        "flowgraph_mbit_s_max": max(alone),
        "ratio": statistics.median(ratios),
        "ratio_low": low,
        "ratio_high": high,
        "frame_s": statistics.median(single),
        "frame_s_max": max(single),
    }


def median_interval(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Interval that holds the true median with at least this confidence, whatever the distribution.

    By order statistics: how many of n values lie below the median is binomial. The whole range where n is small.
    """
    outside = int(scipy.stats.binom.ppf((1.0 - confidence) / 2.0, len(values), 0.5))
    ordered = sorted(values)
    place = max(outside - 1, 0)
    return ordered[place], ordered[-1 - place]


def _promises(
    trips: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]], picture: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """What is promised, what was measured, and whether the promise holds."""
    longest = max(trip["round_trip_ms"] for trip in trips)
    ratio = min(row["ratio"] for row in rows)
    beyond = picture["beyond_codec_s"]
    return [
        {"promise": "round_trip_ms", "at_most": ROUND_TRIP_LIMIT_MS, "measured": longest}
        | {"holds": longest <= ROUND_TRIP_LIMIT_MS},
        {"promise": "ratio", "at_least": RATIO_LIMIT, "measured": ratio} | {"holds": ratio >= RATIO_LIMIT},
        {"promise": "picture_s", "at_most": PICTURE_LIMIT_S, "measured": beyond} | {"holds": beyond <= PICTURE_LIMIT_S},
    ]


def print_gnuradio(result: Mapping[str, Any]) -> None:
    """Print the result as tables."""
    console = Console(width=120, highlight=False)
    machine, config = result["machine"], result["config"]
    console.print(escape(printable(f"{machine['cpu']}, {machine['cores']} cores; GNU Radio {machine['gnuradio']}")))
    for trip in result["round_trips"]:
        console.print(
            f"round trip of {trip['payload_bytes']} bytes, {trip['far_end']}: {trip['round_trip_ms']:.3f} ms "
            f"({trip['round_trip_ms_p5']:.3f} … {trip['round_trip_ms_p95']:.3f})"
        )
    console.print(f"{config['frames']} frames of {config['bits']:,} bits, {config['window']} under way\n")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = (
        "flowgraph",
        "Es/N0, dB",
        "link, Mbit/s",
        "from",
        "to",
        "alone, Mbit/s",
        "from",
        "to",
        "ratio",
        "95 %",
        "1 frame, s",
    )
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
    for row in result["rows"]:
        rates = (f"{row[f'{kind}_mbit_s{end}']:.2f}" for kind in ("link", "flowgraph") for end in ("", "_min", "_max"))
        table.add_row(
            row["flowgraph"],
            f"{row['snr_db']:g}",
            *rates,
            f"{100 * row['ratio']:.0f} %",
            f"{100 * row['ratio_low']:.0f} … {100 * row['ratio_high']:.0f}",
            f"{row['frame_s']:.3f}",
        )
    console.print(table)
    picture = result["picture"]
    console.print(
        f"{picture['picture']}, {picture['size']}, {picture['codec']} over {picture['flowgraph']}: "
        f"{picture['beyond_codec_s']:.2f} s beyond encoding ({picture['encode_s']:.2f} s) and decoding "
        f"({picture['decode_s']:.2f} s); starting the flowgraph {picture['start_s']:.1f} s"
    )
    for promise in result["promises"]:
        bound = f"≤ {promise['at_most']:g}" if "at_most" in promise else f"≥ {promise['at_least']:g}"
        verdict = "holds" if promise["holds"] else "does not hold"
        console.print(f"{promise['promise']} {bound}: {promise['measured']:.3f}, {verdict}")
