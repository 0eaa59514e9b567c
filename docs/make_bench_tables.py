"""Put the committed benchmark results into the documentation: `python docs/make_bench_tables.py [--check]`.

Each table stands between ``<!-- bench NAME -->`` and ``<!-- end -->`` and is made of docs/figures/bench_NAME.json,
which `semcom bench NAME --out docs/figures/bench_NAME.json` writes. With --check nothing is written; exit code 1 if a
table is not what its JSON says.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from semcom_app.images import write_bytes
from semcom_app.markdown import markdown_table

HERE: Final = Path(__file__).parent
FIGURES: Final = HERE / "figures"
_TABLE: Final = re.compile(r"<!-- bench (\w+) -->\n.*?<!-- end -->", re.DOTALL)

Result = Mapping[str, Any]


def number(value: float | None) -> str:
    """Three figures, a dash for what was not measured."""
    if value is None:
        return "–"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:.{digits}f}"


def rates(row: Mapping[str, Any]) -> list[str]:
    """Median, slowest and fastest rate."""
    return [number(row[f"msample_s{end}"]) for end in ("", "_min", "_max")]


def turbo(result: Result) -> str:
    """Speed of the decoders, Mbit/s, whole path."""
    columns = ("decoder", "algorithm", "numbers", "one core", "all cores", "alone", "one block, ms", "× exact NumPy")
    level = result["rows"][0]["points"][0]["ebn0_db"]
    rows = []
    for row in result["rows"]:
        point = row["points"][0]
        figures = ("mbit_s", "mbit_s_all_cores", "decoder_mbit_s", "latency_ms", "speed_vs_reference")
        rows.append(
            (
                row["backend"],
                row["algorithm"],
                row["arithmetic"],
                *(number(row.get(figure)) for figure in figures),
                f"{point['ber']:.1e} ({point['frame_errors']} of {point['frames']})",
            )
        )
    return markdown_table((*columns, f"BER at {level:g} dB (frames lost)"), rows)


def waveform(result: Result) -> str:
    """Speed of the receiver, Msample/s."""
    rows = ((row["what"], row["program"], str(row["sps"]), *rates(row)) for row in result["rows"])
    return markdown_table(("what", "program", "samples per symbol", "Msample/s", "from", "to"), rows)


def impairments(result: Result) -> str:
    """Speed of the impairments, Msample/s."""
    rows = ((f"`{row['impairment']}`", *rates(row)) for row in result["rows"])
    return markdown_table(("impairment", "Msample/s", "from", "to"), rows)


def zmq(result: Result) -> str:
    """Round trips of PDUs, their rate, and the time of encoding."""
    rows = [
        (
            row["far_end"],
            row["transport"],
            f"{row['payload_bytes']:,}".replace(",", " "),
            *(number(row[f"round_trip_ms{end}"]) for end in ("", "_p5", "_p95")),
            number(row.get("pdus_per_s")),
        )
        for row in result["rows"]
    ]
    columns = ("far end", "transport", "payload, bytes", "round trip, ms", "5 %", "95 %", "PDUs per second")
    codec = result["codec"]
    return (
        f"{markdown_table(columns, rows)}\n\nA small PDU takes {codec['encode_us']:.0f} µs to encode and "
        f"{codec['decode_us']:.0f} µs to decode."
    )


def gnuradio(result: Result) -> str:
    """Rates through the GNU Radio link and of the flowgraphs alone, and round trips."""
    speeds = ("link, Mbit/s", "from", "to", "alone, Mbit/s", "from", "to")
    columns = ("flowgraph", "Es/N0, dB", *speeds, "ratio", "95 %", "1 frame, s")
    rows = [
        (
            f"`{row['flowgraph']}`",
            f"{row['snr_db']:g}",
            *(number(row[f"{kind}_mbit_s{end}"]) for kind in ("link", "flowgraph") for end in ("", "_min", "_max")),
            f"{100 * row['ratio']:.0f} %",
            f"{100 * row['ratio_low']:.0f} … {100 * row['ratio_high']:.0f}",
            number(row["frame_s"]),
        )
        for row in result["rows"]
    ]
    trips = "; ".join(f"{trip['far_end']} {trip['round_trip_ms']:.2f} ms" for trip in result["round_trips"])
    picture = result["picture"]
    beyond, encode, decode, start = (
        number(picture[f"{key}_s"]) for key in ("beyond_codec", "encode", "decode", "start")
    )
    return (
        f"{markdown_table(columns, rows)}\n\nRound trip of a PDU of 1 KiB, median: {trips}. `{picture['picture']}` "
        f"({picture['size']}, `{picture['codec']}`) over `{picture['flowgraph']}`, which runs already: {beyond} s "
        f"besides encoding ({encode} s) and decoding ({decode} s); the flowgraph starts in {start} s. Of the three "
        f"limits {_kept(result['promises'])} in this run."
    )


def _kept(promises: list[Result]) -> str:
    names = {"round_trip_ms": "the round trip's", "ratio": "the ratio's", "picture_s": "the picture's"}
    missed = [names[promise["promise"]] for promise in promises if not promise["holds"]]
    return "all were kept" if not missed else f"{' and '.join(missed)} was not kept, the others were"


def allocation(result: Result) -> str:
    """Speed of the allocations, and how far each is from the optimum."""
    columns = ("method", "order", "level", "µs per image", "alone, µs", "images/s", "× greedy")
    rows = [
        (
            f"`{row['method']}`",
            row["order"] or "",
            row["solver"] or "",
            number(row["us_per_image"]),
            number(row["us_alone"]),
            f"{round(row['allocations_s'], -3):,.0f}".replace(",", " "),
            number(row["speed_vs_greedy"]),
            *(f"{row[key]:.3f}" for key in ("excess_db_mean", "excess_db_worst")),
            f"{row['unused_percent']:.1f} %",
        )
        for row in result["rows"]
    ]
    return markdown_table((*columns, "excess, dB", "worst", "unused"), rows)


TABLES: Final[dict[str, Callable[[Result], str]]] = {
    "turbo": turbo,
    "waveform": waveform,
    "impairments": impairments,
    "zmq": zmq,
    "gnuradio": gnuradio,
    "allocation": allocation,
}


def filled(text: str, name: str) -> str:
    """The text of the page `name` with its tables made anew."""

    def table(found: re.Match[str]) -> str:
        if found[1] not in TABLES:
            raise SystemExit(f"{name}: there is no table {found[1]!r}; known: {', '.join(TABLES)}")
        result = json.loads((FIGURES / f"bench_{found[1]}.json").read_text())
        return f"<!-- bench {found[1]} -->\n{TABLES[found[1]](result)}\n<!-- end -->"

    return _TABLE.sub(table, text)


def main(arguments: list[str]) -> int:
    """Fill in or check all pages."""
    stale = []
    for page in sorted(HERE.glob("*.md")):
        text = page.read_text()
        new = filled(text, page.name)
        if new == text:
            continue
        stale.append(page.name)
        if "--check" not in arguments:
            write_bytes(page, new.encode())
    if stale:
        print(f"{'not up to date' if '--check' in arguments else 'written'}: {', '.join(stale)}")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
