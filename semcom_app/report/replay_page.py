"""The report of a replay: one HTML file with the bursts and pictures that a receiver found in a recording."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from semcom_app.images import write_bytes
from semcom_app.replay_tables import dropped, frame_state, verdict
from semcom_app.report.figures import DASH, MAX_EMBEDDED_SIDE, THIN, display_picture
from semcom_app.report.page import PIXELATED_BELOW
from semcom_app.report.parts import banner, card, fact_list, figure, footer, page
from semcom_app.report.text import count_text, db_text, escaped, finite, name_text, plural, significant

if TYPE_CHECKING:
    from semcom_app.reception import ReceivedPicture

MAX_BURSTS = 1000
_CLASSES = {"intact": "ok", "damaged": "damaged", "LOST": "lost", "ok": "ok", "fail": "damaged", "late": "lost"}


def _pill(word: str) -> str:
    return f'<span class="pill {_CLASSES[word]}">{word.lower()}</span>'


def _with_unit(value: Any, unit: str, digits: int = 4) -> str:
    return DASH if finite(value) is None else f"{significant(value, digits)}{THIN}{unit}"


def _header(summary: Mapping[str, Any]) -> str:
    recording, found = summary["recording"], summary["summary"]
    outcome = "no frame was found."
    if found["frames"]:
        kind = "ok" if found["frames_delivered"] == found["frames"] else "lost"
        delivered = f'<b class="{kind}">{count_text(found["frames_delivered"])} delivered</b>'
        outcome = f"{plural(found['frames'], 'frame')}, {delivered}, {count_text(found['frames_intact'])} intact."
    chips = {
        "datatype": escaped(recording["datatype"]),
        "sample rate": _with_unit(recording["sample_rate_hz"] / 1e6, "MHz"),
        "samples per symbol": escaped(summary["config"]["samples_per_symbol"]),
        "hardware": escaped(recording["hardware"]) if recording["hardware"] else "",
    }
    items = "".join(f"<li><span>{label}</span> {text}</li>" for label, text in chips.items() if text)
    return (
        '<header><p class="over">Replay of a recording</p>'
        f"<h1>{name_text(recording['file'])}</h1>"
        f'<p class="lede">{_with_unit(recording["duration_s"], "s")}, {plural(found["bursts"], "burst")},'
        f' {outcome}</p><ul class="chips">{items}</ul></header>'
    )


def _problems(recording: Mapping[str, Any]) -> str:
    lines = [escaped(problem) for problem in recording["problems"]]
    if recording["non_finite_samples"]:
        lines.append(f"{count_text(recording['non_finite_samples'])} samples were not finite and counted as 0")
    return "".join(banner("damaged", "Recording:", line) for line in lines)


def _bursts(bursts: Sequence[Mapping[str, Any]]) -> str:
    if not bursts:
        return ""
    titles = (
        "time (s)", "image", "fragment", "redundancy version", "modulation", "Es/N0 (dB)", "CFO (Hz)",
        "clock (ppm)", "EVM (%)", "level (dBFS)", "equaliser", "symbols missing", "CRC",
    )  # fmt: skip
    lines = []
    for burst in bursts[:MAX_BURSTS]:
        cells = (
            f"{burst['time_s']:.4f}",
            str(burst["image"]),
            f"{burst['fragment'] + 1} of {burst['fragments']}",
            str(burst["redundancy"]),
            escaped(burst["modulation"]),
            f"{burst['esn0_db']:.2f}",
            f"{burst['cfo_hz']:.1f}",
            f"{burst['clock_offset_ppm']:.1f}",
            f"{burst['evm_percent']:.1f}",
            f"{burst['level_dbfs']:.1f}",
            escaped(burst["equalizer"]),
            count_text(burst["symbols_missing"]),
            _pill(verdict(burst["crc_ok"])),
        )
        lines.append(f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>")
    more = len(bursts) - MAX_BURSTS
    note = f'<p class="note">{count_text(more)} more in result.json.</p>' if more > 0 else ""
    heads = "".join(f'<th scope="col">{title}</th>' for title in titles)
    return (
        '<section><h2>Bursts</h2><div class="scroll" tabindex="0"><table class="overview">'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>{note}</section>"
    )


def _picture(picture: ReceivedPicture, number: int) -> str:
    row = picture.row
    state = frame_state(row)
    width, height = picture.pixels.shape[1], picture.pixels.shape[0]
    shown = display_picture(Image.fromarray(picture.pixels), MAX_EMBEDDED_SIDE)
    caption = "<b>Received</b> " + (f"{width} × {height} px" if row["delivered"] else "nothing usable: placeholder")
    warning = ""
    if state == "LOST":
        warning = banner("lost", "This picture was lost:", escaped(row["error"] or "no reason was recorded"))
    elif state == "damaged":
        warning = banner("damaged", "Damaged, yet shown.", "The payload did not match its checksum.")
    facts = fact_list(
        [
            ("Image number", str(row["image"]), f"frame {row['frame']} of link {row['link']}"),
            ("Codec", escaped(row["codec"] or DASH), "named in the picture’s header"),
            ("Payload", f"{count_text(row['payload_bits'])} bit", escaped((row["payload_sha256"] or "")[:16])),
            (
                "Bursts",
                f"{count_text(row['fragments_received'])} of {count_text(row['fragments_expected'])}",
                "received; every pass counted",
            ),
            ("Blocks failed", f"{count_text(row['blocks_failed'])} of {count_text(row['blocks'])}", "by CRC"),
            ("Es/N0 measured", db_text(row["esn0_measured_db"], 2), "mean over its bursts"),
            ("Carrier offset", _with_unit(row["cfo_hz"], "Hz"), "mean over its bursts"),
            ("FEC", escaped(row["fec"]), ""),
        ]
    )
    view = figure(shown, f"received: frame {number}", caption, max(width, height) < PIXELATED_BELOW)
    return (
        f'<article id="frame-{number}"><h2>Frame {number} {_pill(state)}</h2>{warning}'
        f'<div class="cards"><div class="stack">{view}</div><div>{card("Reception", facts, 1)}</div></div></article>'
    )


def write_replay_report(path: Path, summary: Mapping[str, Any], pictures: Sequence[ReceivedPicture]) -> None:
    """Write the report of a replay: styles and pictures inside, no scripts.

    `summary`: the content of result.json (docs/air-link.md). `pictures`: those of the first frames, in order.
    Raises ImageError when the file cannot be written.
    """
    body = _header(summary) + _problems(summary["recording"]) + _bursts(summary["bursts"])
    if dropped(summary):
        body += f'<p class="note">Also found: {", ".join(dropped(summary))}.</p>'
    body += "".join(_picture(picture, number) for number, picture in enumerate(pictures, 1))
    more = len(summary["images"]) - len(pictures)
    if more > 0:
        body += f'<p class="note more">{count_text(more)} more frames in result.json.</p>'
    write_bytes(path, page(f"Replay of {escaped(summary['recording']['file'])}", body + footer(summary)))
