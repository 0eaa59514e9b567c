"""The report of a transmission: one HTML file that needs nothing else, for people to look at."""

from __future__ import annotations

import html
import json
import math
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semcom_app.figures import (
    DASH,
    DIFFERENCE_GAIN,
    INFINITY,
    MAX_EMBEDDED_SIDE,
    MINUS,
    THIN,
    ColourScale,
    channel_name,
    comparison_png,
    data_uri,
    decibels,
    difference_picture,
    display_picture,
    is_stretched,
    mask_picture,
    psnr_text,
)
from semcom_app.images import write_bytes
from semcom_app.results import ImageResult

__all__ = ["comparison_png", "write_report"]

MAX_DETAILED = 20
MAX_LATENT_CHANNELS = 16
MAX_BLOCKS_DRAWN = 600
THUMBNAIL_SIDE = 96
PIXELATED_BELOW = 160  # pictures smaller than this are shown as the squares they are

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

_LABELS = {
    "lpips": "LPIPS",
    "ms_ssim": "MS-SSIM",
    "fec": "FEC",
    "mse": "MSE",
    "cfo_hz": "Carrier offset (Hz)",
}
# Keys of a row that have their own place in the report; what else a row holds is listed after them.
# fmt: off
_PLACED = frozenset({
    "image", "width", "height", "source_width", "source_height", "notes", "codec", "link", "channel",
    "snr_db", "ebn0_db", "esn0_measured_db", "fec", "rate", "payload_bits", "header_bits",
    "channel_uses", "overhead_uses", "cbr", "compression_rate", "compression_rate_with_header",
    "ber_raw", "ber_decoded", "blocks", "blocks_failed", "delivered", "intact", "error", "psnr_db",
    "ssim", "encode_ms", "link_ms", "decode_ms", "seed", "device",
})
# fmt: on
_STAGES = (("encode_ms", "encode"), ("link_ms", "link"), ("decode_ms", "decode"))


# --- numbers for people ----------------------------------------------------------------------------


def _number(value: Any) -> float | None:
    """A finite or infinite number, None for anything else (also NaN and bool)."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return None
    return None if math.isnan(float(value)) else float(value)


def _count(value: Any) -> str:
    """Whole numbers with thin spaces in the thousands; means keep a decimal below 1000."""
    number = _number(value)
    if number is None:
        return DASH
    if math.isinf(number):
        return INFINITY
    digits = 0 if number == round(number) or abs(number) >= 1000 else 1
    return f"{number:,.{digits}f}".replace(",", THIN).replace("-", MINUS)


def _significant(value: Any, digits: int = 3) -> str:
    """A number with so many significant digits and no exponent."""
    number = _number(value)
    if number is None:
        return DASH
    if math.isinf(number):
        return (MINUS if number < 0 else "") + INFINITY
    if number == 0.0:
        return "0"
    # The exponent after rounding: 0.9996 has three digits as 1.00.
    exponent = int(f"{number:.{digits - 1}e}".split("e")[1])
    decimals = max(0, digits - 1 - exponent)
    return f"{number:,.{decimals}f}".replace(",", THIN).replace("-", MINUS)


def _percent(share: Any) -> str:
    number = _number(share)
    return DASH if number is None else f"{_significant(100.0 * number)}{THIN}%"


def _error_rate(value: Any) -> str:
    number = _number(value)
    if number is None:
        return DASH
    if number == 0.0:
        return "0"
    mantissa, exponent = f"{number:.2e}".split("e")
    return f"{mantissa}{THIN}×{THIN}10{str(int(exponent)).translate(_SUPERSCRIPT)}"


def _milliseconds(value: Any) -> str:
    number = _number(value)
    if number is None:
        return DASH
    if number >= 10_000:
        return f"{_significant(number / 1000)}{THIN}s"
    return f"{_significant(number)}{THIN}ms"


def _similarity(value: Any) -> str:
    number = _number(value)
    return DASH if number is None else f"{number:.3f}".replace("-", MINUS)


def _db(value: Any, digits: int | None = None) -> str:
    return decibels(_number(value), digits)


# --- pieces of HTML --------------------------------------------------------------------------------


def _text(value: Any) -> str:
    """Escape text from outside, control characters made visible."""
    visible = "".join(c if c.isprintable() else "\ufffd" for c in str(value))
    return html.escape(visible, quote=True)


def _name(value: Any) -> str:
    """A file name, kept from turning the text around it the other way (right-to-left scripts)."""
    return f"<bdi>{_text(value)}</bdi>"


def _plural(count: int, noun: str) -> str:
    return f"{_count(count)} {noun}{'' if count == 1 else 's'}"


def _figure(picture: Image.Image, alt: str, caption: str, pixelated: bool = False, classes: str = "") -> str:
    style = f"{'px ' if pixelated else ''}{classes}".strip()
    return (
        f'<figure><img class="{style}" src="{data_uri(picture)}" width="{picture.width}"'
        f' height="{picture.height}" alt="{_text(alt)}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _facts(rows: Iterable[tuple[str, str, str]]) -> str:
    """Description list of (label, value, hint); hint may be empty. Values and hints are HTML."""
    items = "".join(
        f"<div><dt>{label}{f'<small>{hint}</small>' if hint else ''}</dt><dd>{value}</dd></div>"
        for label, value, hint in rows
    )
    return f'<dl class="facts">{items}</dl>'


def _card(title: str, body: str, order: int) -> str:
    return f'<section class="card" style="order:{order}"><h3>{title}</h3>{body}</section>'


def _banner(kind: str, title: str, body: str) -> str:
    return f'<p class="banner {kind}" role="alert"><strong>{title}</strong> {body}</p>'


def _status(row: Mapping[str, Any]) -> tuple[str, str]:
    """CSS class and word for a row's outcome."""
    if not row.get("delivered", False):
        return "lost", "lost"
    return ("ok", "delivered") if row.get("intact", False) else ("damaged", "damaged")


def _pill(row: Mapping[str, Any]) -> str:
    kind, word = _status(row)
    return f'<span class="pill {kind}">{word}</span>'


# --- header ----------------------------------------------------------------------------------------


def _common(rows: Sequence[Mapping[str, Any]], key: str, several: str) -> Any:
    """The value that all rows share, or a phrase saying that they have several."""
    values = list(dict.fromkeys(row.get(key) for row in rows))
    return values[0] if len(values) == 1 else f"{len(values)} {several}"


def _levels(rows: Sequence[Mapping[str, Any]]) -> list[float]:
    """Es/N0 asked for, in dB: one value, or the least and the greatest of several; empty without noise."""
    levels = sorted({level for row in rows if (level := _number(row.get("snr_db"))) is not None})
    return levels if len(levels) < 2 else [levels[0], levels[-1]]


def _where(rows: Sequence[Mapping[str, Any]]) -> str:
    channel = _text(channel_name(str(_common(rows, "channel", "channels"))))
    levels = _levels(rows)
    return f"over {channel}" + (f" at {' to '.join(_db(level) for level in levels)}" if levels else "")


def _summary(rows: Sequence[Mapping[str, Any]], mean: Mapping[str, Any]) -> str:
    """What happened, in one sentence."""
    if not rows:
        return "No picture was sent."
    bits, uses = (
        sum(_number(row.get(key)) or 0.0 for row in rows) for key in ("payload_bits", "channel_uses")
    )
    start = (
        f"{_plural(len(rows), 'picture')} sent as <b>{_count(bits)} bits</b> in"
        f" <b>{_count(uses)} channel uses</b> {_where(rows)}: "
    )
    if len(rows) == 1:
        row = rows[0]
        kind, _ = _status(row)
        if kind == "lost":
            return f'{start}<b class="lost">lost</b>.'
        word = "delivered" if kind == "ok" else "delivered with damage"
        quality = "identical to what was sent" if _is_identical(row) else psnr_text(row, 1)
        return f'{start}<b class="{kind}">{word}</b>, {quality}, SSIM {_similarity(row.get("ssim"))}.'
    words = [_status(row)[0] for row in rows]
    parts = [f'<b class="ok">{_count(words.count("ok"))} delivered intact</b>']
    if "damaged" in words:
        parts.append(f'<b class="damaged">{_count(words.count("damaged"))} damaged</b>')
    if "lost" in words:
        parts.append(f'<b class="lost">{_count(words.count("lost"))} lost</b>')
    return (
        f"{start}{', '.join(parts)}; on average {psnr_text(mean, 1)}, SSIM {_similarity(mean.get('ssim'))}."
    )


def _is_identical(row: Mapping[str, Any]) -> bool:
    return bool(row.get("delivered")) and "psnr_db" in row and row["psnr_db"] is None


def _tiles(figures: Mapping[str, Any], several: bool) -> str:
    """The few figures by which transmissions are compared."""
    lost = not several and _status(figures)[0] == "lost"
    tiles = (
        ("PSNR", psnr_text(figures), "worst value: lost" if lost else "higher is better"),
        ("SSIM", _similarity(figures.get("ssim")), "worst value: lost" if lost else "1 is identical"),
        ("Compression", _percent(figures.get("compression_rate")), "payload ÷ raw picture"),
        ("CBR", _significant(figures.get("cbr")), "channel uses per sample"),
        ("BER", _error_rate(figures.get("ber_decoded")), "payload, as decoded"),
    )
    mean = " (mean)" if several else ""
    return (
        '<div class="tiles">'
        + "".join(
            f'<div class="tile"><span>{label}{mean}</span><b>{value}</b><small>{hint}</small></div>'
            for label, value, hint in tiles
        )
        + "</div>"
    )


def _header(rows: Sequence[Mapping[str, Any]], mean: Mapping[str, Any]) -> str:
    codec = _text(_common(rows, "codec", "codecs")) if rows else "Transmission report"
    chips = ""
    if rows:
        asked = (
            ("codec", "codecs", "codec"),
            ("link", "links", "link"),
            ("channel", "channels", "channel"),
            ("fec", "codes", "FEC"),
            ("device", "devices", "device"),
        )
        chips = "".join(
            f"<li><span>{label}</span> {_text(_common(rows, key, several))}</li>"
            for key, several, label in asked
            if any(row.get(key) is not None for row in rows)
        )
        levels = _levels(rows)
        if levels:
            chips += f"<li><span>Es/N0</span> {' to '.join(_db(level) for level in levels)}</li>"
        chips = f'<ul class="chips">{chips}</ul>'
    figures = rows[0] if len(rows) == 1 else mean
    return (
        '<header><p class="over">Semantic image transmission</p>'
        f"<h1>{codec} {_where(rows) if rows else ''}</h1>"
        f'<p class="lede">{_summary(rows, mean)}</p>{chips}'
        f"{_tiles(figures, len(rows) > 1) if rows else ''}</header>"
    )


# --- table of several pictures ---------------------------------------------------------------------


def _overview(
    rows: Sequence[Mapping[str, Any]], mean: Mapping[str, Any], detailed: Sequence[ImageResult]
) -> str:
    extra = [key for key in ("ms_ssim", "lpips") if any(key in row for row in rows)]

    def cells(row: Mapping[str, Any]) -> str:
        times = [_number(row.get(key)) for key, _ in _STAGES]
        known = [t for t in times if t is not None]
        failed = f"{_count(row.get('blocks_failed'))} / {_count(row.get('blocks'))}"
        values = [
            psnr_text(row).removesuffix(f"{THIN}dB"),
            _similarity(row.get("ssim")),
            *(_similarity(row.get(key)) for key in extra),
            _count(row.get("payload_bits")),
            _count(row.get("channel_uses")),
            _significant(row.get("cbr")),
            _db(row.get("esn0_measured_db"), 2).removesuffix(f"{THIN}dB"),
            _error_rate(row.get("ber_raw")),
            _error_rate(row.get("ber_decoded")),
            failed,
            _count(round(sum(known))) if known else DASH,
        ]
        return "".join(f"<td>{value}</td>" for value in values)

    head = [
        "PSNR (dB)", "SSIM", *(_label(key) for key in extra), "payload (bit)", "channel uses", "CBR",
        "Es/N0 measured (dB)", "BER before decoding", "BER after decoding", "blocks failed", "time (ms)",
    ]  # fmt: skip
    lines = []
    for k, row in enumerate(rows):
        name, thumbnail = _name(row.get("image", f"picture {k + 1}")), ""
        if k < len(detailed):
            picture = display_picture(Image.fromarray(detailed[k].received), THUMBNAIL_SIDE)
            thumbnail = f'<img class="thumb" src="{data_uri(picture)}" alt="">'
            name = f'<a href="#picture-{k + 1}">{name}</a>'
        lines.append(
            f'<tr><th scope="row"><div>{thumbnail}<span>{name}</span></div></th>'
            f"<td>{_pill(row)}</td>{cells(row)}</tr>"
        )
    lost = sum(_status(row)[0] == "lost" for row in rows)
    equal = sum(_is_identical(row) for row in rows)
    remarks = []
    if lost:
        remarks.append(f"{_plural(lost, 'lost picture')} in the mean with each metric's worst value")
    if equal:
        remarks.append(f"{_plural(equal, 'identical picture')} (∞ dB) left out of the mean PSNR")
    note = f'<p class="note">{"; ".join(remarks)}.</p>' if remarks else ""
    heads = "".join(f'<th scope="col">{h}</th>' for h in head)
    return (
        '<section><h2>Pictures</h2><div class="scroll" tabindex="0"><table class="overview">'
        f'<thead><tr><th scope="col">picture</th><th scope="col">outcome</th>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody>"
        f'<tfoot><tr><th scope="row">mean of {_count(len(rows))}</th><td></td>{cells(mean)}</tr></tfoot>'
        f"</table></div>{note}</section>"
    )


# --- one picture -----------------------------------------------------------------------------------


def _pictures(result: ImageResult) -> str:
    """Sent, received and difference."""
    row = result.row
    name = row.get("image", "picture")
    height, width = result.sent.shape[:2]
    pixelated = max(height, width) < PIXELATED_BELOW
    small = max(height, width) <= MAX_EMBEDDED_SIDE
    scaled = "" if small else f", shown scaled to {MAX_EMBEDDED_SIDE} px"
    if is_stretched(width, height):
        scaled += ", stretched across to be visible"
    sent = display_picture(Image.fromarray(result.sent), MAX_EMBEDDED_SIDE)
    received = display_picture(Image.fromarray(result.received), MAX_EMBEDDED_SIDE)
    figures = [_figure(sent, f"sent: {name}", f"<b>Sent</b> {width} × {height} px{scaled}", pixelated)]
    if _status(row)[0] != "lost":
        quality = "identical" if _is_identical(row) else psnr_text(row, 1)
        figures.append(
            _figure(
                received,
                f"received: {name}",
                f"<b>Received</b> {quality}, SSIM {_similarity(row.get('ssim'))}",
                pixelated,
            )
        )
        difference = difference_picture(result.sent, result.received, MAX_EMBEDDED_SIDE)
        caption = f"<b>Difference</b> |sent {MINUS} received|, amplified ×{DIFFERENCE_GAIN}"
        figures.append(_figure(difference, f"difference: {name}", caption, pixelated))
    else:
        figures.append(
            _figure(received, "placeholder", "<b>Received</b> nothing usable: placeholder", pixelated)
        )
        figures.append(
            f'<figure><div class="void" style="aspect-ratio:{received.width}/{received.height}"></div>'
            "<figcaption><b>Difference</b> none: nothing to compare</figcaption></figure>"
        )
    # Panoramas and strips are worth more one below the other.
    layout = "stack" if width > 2.4 * height else "trio"
    return f'<div class="{layout}">{"".join(figures)}</div>'


def _banners(row: Mapping[str, Any]) -> str:
    kind, _ = _status(row)
    if kind == "lost":
        reason = _text(row.get("error") or "no reason was recorded")
        return _banner(
            "lost",
            "This picture was lost.",
            f"The receiver could not rebuild it: {reason}. What is shown as received is a placeholder;"
            " quality counts with each metric’s worst value.",
        )
    if kind == "damaged":
        reason = f" ({_text(row['error'])})" if row.get("error") else ""
        return _banner(
            "damaged",
            "Damaged, yet shown.",
            f"The payload did not match its checksum; the receiver decoded what arrived{reason}.",
        )
    return ""


def _label(key: str) -> str:
    return _LABELS.get(key, key.replace("_", " "))


def _quality(row: Mapping[str, Any]) -> str:
    lost = "counted as the worst value" if _status(row)[0] == "lost" else ""
    facts = [
        (
            "PSNR",
            psnr_text(row),
            lost or ("identical pictures" if _is_identical(row) else "over all samples"),
        ),
        ("SSIM", _similarity(row.get("ssim")), lost or "11 × 11 Gaussian window"),
    ]
    for key, value in row.items():
        if key not in _PLACED and (value is None or isinstance(value, str | bool | int | float)):
            shown = _significant(value, 4) if _number(value) is not None else _text(_plain(value))
            facts.append((_text(_label(key)), shown, ""))
    return _facts(facts)


def _plain(value: Any) -> str:
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _cost(row: Mapping[str, Any]) -> str:
    uses, overhead = _number(row.get("channel_uses")), _number(row.get("overhead_uses"))
    share = f"; {_percent(overhead / uses)} of all uses" if uses and overhead is not None else ""
    rate, with_header = row.get("compression_rate"), row.get("compression_rate_with_header")
    return _facts(
        [
            ("Payload", f"{_count(row.get('payload_bits'))} bit", ""),
            ("Header", f"{_count(row.get('header_bits'))} bit", "side information, protected"),
            ("Channel uses", _count(row.get("channel_uses")), "every symbol sent"),
            ("Overhead", f"{_count(row.get('overhead_uses'))} uses", f"signalling and header{share}"),
            ("CBR", _significant(row.get("cbr"), 4), "channel uses ÷ (W·H·3)"),
            ("Compression rate", _percent(rate), "payload ÷ (W·H·24 bit), as in the paper"),
            ("Compression with header", _percent(with_header), "(payload + header) ÷ (W·H·24 bit)"),
        ]
    )


def _radio(row: Mapping[str, Any], block_ok: NDArray[np.bool_] | None) -> str:
    channel, link = str(row.get("channel") or DASH), str(row.get("link") or DASH)
    failed = f"{_count(row.get('blocks_failed'))} of {_count(row.get('blocks'))}"
    facts = [
        ("Channel", _text(channel_name(channel)), f"link: {_text(link)}"),
        ("Es/N0 asked", _db(row.get("snr_db")), "per symbol"),
        ("Es/N0 measured", _db(row.get("esn0_measured_db"), 2), "by the receiver"),
        ("Eb/N0", _db(row.get("ebn0_db"), 2), "per payload bit"),
        ("FEC", _text(row.get("fec") or DASH), ""),
        ("Code rate", _significant(row.get("rate")), "payload bits per coded bit"),
        ("BER before decoding", _error_rate(row.get("ber_raw")), ""),
        ("BER after decoding", _error_rate(row.get("ber_decoded")), ""),
        ("Blocks failed", failed, "by CRC"),
    ]
    if row.get("seed") is not None:
        facts.insert(1, ("Seed", _text(row["seed"]), ""))
    return _facts(facts) + _blocks(row, block_ok)


def _blocks(row: Mapping[str, Any], block_ok: NDArray[np.bool_] | None) -> str:
    """Strip of code blocks: each in its place where verdicts are known, else the share that failed."""
    if block_ok is not None and block_ok.size:
        verdicts = np.asarray(block_ok, bool).reshape(-1)
        groups = np.array_split(verdicts, min(verdicts.size, MAX_BLOCKS_DRAWN))
        cells = "".join(f'<i class="{"good" if group.all() else "bad"}"></i>' for group in groups)
        per = (
            f"; a square is up to {max(g.size for g in groups)} blocks" if len(groups) < verdicts.size else ""
        )
        failed = int(np.count_nonzero(~verdicts))
        label = f"{_count(failed)} of {_count(verdicts.size)} blocks failed"
        return (
            f'<div class="blocks" role="img" aria-label="{label}">{cells}</div>'
            f'<p class="note">Code blocks in order; hatched: failed{per}.</p>'
        )
    blocks, failed_count = _number(row.get("blocks")), _number(row.get("blocks_failed"))
    if not blocks or failed_count is None:
        return ""
    bad = 100.0 * failed_count / blocks
    label = f"{_count(failed_count)} of {_count(blocks)} blocks failed"
    return (
        f'<div class="bar blockbar" role="img" aria-label="{label}">'
        + (f'<i class="bad" style="flex-grow:{bad:.4f}"></i>' if bad else "")
        + (f'<i class="good" style="flex-grow:{100.0 - bad:.4f}"></i>' if bad < 100.0 else "")
        + '</div><p class="note">Share of code blocks that failed (hatched).</p>'
    )


def _time(row: Mapping[str, Any]) -> str:
    known = [
        (name, value) for key, name in _STAGES if (value := _number(row.get(key))) is not None and value >= 0
    ]
    if not known:
        return f'<p class="note">No times were recorded ({DASH}).</p>'
    total = sum(value for _, value in known)
    bar = "".join(
        f'<i class="t-{name}" style="flex-grow:{100.0 * value / total if total else 1.0:.4f}"></i>'
        for name, value in known
    )
    facts = [
        (
            f'<i class="key t-{name}"></i>{name.capitalize()}',
            _milliseconds(value),
            _percent(value / total) if total else "",
        )
        for name, value in known
    ]
    facts.append(("Total", _milliseconds(total), f"device: {_text(row.get('device') or DASH)}"))
    return f'<div class="bar">{bar}</div>{_facts(facts)}'


def _scale(scale: ColourScale, note: str) -> str:
    return (
        f'<div class="scale"><span>{_significant(scale.low)}</span>'
        f'<i style="background:{scale.css_gradient()}"></i><span>{_significant(scale.high)}</span>'
        f"<small>{note}</small></div>"
    )


def _as_channels(latent: NDArray[Any]) -> NDArray[np.float32] | None:
    """Latent as (C, h, w), None when it cannot be drawn."""
    values = np.asarray(latent)
    if values.ndim == 2:
        values = values[None]
    if values.ndim != 3 or values.size == 0 or not np.issubdtype(values.dtype, np.number):
        return None
    return values.astype(np.float32)


def _latents(result: ImageResult) -> str:
    """Latent of either end and their difference, channel by channel, one colour scale for both ends."""
    sent = _as_channels(result.sent_artifacts["latent"]) if "latent" in result.sent_artifacts else None
    received = (
        _as_channels(result.received_artifacts["latent"]) if "latent" in result.received_artifacts else None
    )
    reference = sent if sent is not None else received
    if reference is None:
        return ""
    tail = 0.005
    scale = ColourScale.covering(reference, tail=tail)
    low, high = float(np.nanmin(reference)), float(np.nanmax(reference))
    ends = "sender and receiver" if sent is not None and received is not None else "all channels"
    bars = _scale(
        scale,
        f"one scale for {ends}; the middle {_percent(1 - 2 * tail)} of the values,"
        f" which reach from {_significant(low)} to {_significant(high)}",
    )
    lines: list[tuple[str, NDArray[np.float32], ColourScale]] = []
    if sent is not None:
        lines.append(("sender", sent, scale))
    if received is not None:
        lines.append(("receiver", received, scale))
    if sent is not None and received is not None and sent.shape == received.shape:
        error = np.abs(sent - received)
        error_scale = ColourScale(0.0, ColourScale.covering(error, tail=tail).high, "magma")
        lines.append(("error", error, error_scale))
        rms = float(np.sqrt(np.nanmean(np.square(error, dtype=np.float64))))
        bars += _scale(error_scale, f"|sender {MINUS} receiver|, RMS {_significant(rms)}")
    channels = min(reference.shape[0], MAX_LATENT_CHANNELS)
    grids = []
    for start in range(0, channels, 4):
        chosen = range(start, min(start + 4, channels))
        head = "".join(f"<span>channel {c}</span>" for c in chosen)
        body = ""
        for label, values, colours in lines:
            tiles = "".join(
                f'<img class="px" src="{data_uri(colours.picture(values[c]))}" alt="{label}, channel {c}">'
                for c in chosen
                if c < values.shape[0]
            )
            body += f'<div class="latrow"><b>{label}</b><div class="lattiles">{tiles}</div></div>'
        grids.append(
            f'<div class="latent"><div class="latrow head"><b></b><div class="lattiles">{head}</div></div>'
            f"{body}</div>"
        )
    shape = " × ".join(str(n) for n in reference.shape)
    more = f" The first {channels} of {reference.shape[0]} channels." if channels < reference.shape[0] else ""
    nothing = "" if received is not None else " Nothing reached the receiver."
    return (
        f'<section class="card wide"><h3>Latent <small>{shape} values</small></h3>{"".join(grids)}{bars}'
        + (f'<p class="note">{(more + nothing).strip()}</p>' if more or nothing else "")
        + "</section>"
    )


def _maps(result: ImageResult) -> str:
    """Attention map, mask, and any other two-dimensional artifact."""
    artifacts = dict(result.sent_artifacts)
    artifacts |= {k: v for k, v in result.received_artifacts.items() if k not in artifacts}
    figures = []
    for name, values in artifacts.items():
        array = np.asarray(values)
        if name == "latent" or array.ndim != 2 or array.size == 0:
            continue
        size = f"{array.shape[1]} × {array.shape[0]}"
        if array.dtype == np.bool_:
            share = f"{_percent(array.mean())} of {_count(array.size)} locations are important (bright)"
            figures.append(_figure(mask_picture(array), name, f"<b>{_title(name)}</b> {size}. {share}", True))
        elif np.issubdtype(array.dtype, np.number):
            unit = name == "attention"
            scale = ColourScale(0.0, 1.0, "magma") if unit else ColourScale.covering(array)
            caption = f"<b>{_title(name)}</b> {size}{_scale(scale, '')}"
            figures.append(_figure(scale.picture(array), name, caption, True))
    if not figures:
        return ""
    return (
        '<section class="card"><h3>What the codec found important</h3>'
        f'<div class="maps">{"".join(figures)}</div></section>'
    )


def _title(name: str) -> str:
    return {"attention": "Attention map", "mask": "Mask"}.get(name, _text(_label(name)).capitalize())


def _notes(row: Mapping[str, Any]) -> str:
    notes = [_text(note) for note in row.get("notes") or ()]
    source = (row.get("source_width"), row.get("source_height"))
    if None not in source and source != (row.get("width"), row.get("height")):
        notes.insert(
            0, f"file of {source[0]} × {source[1]} px, sent as {row.get('width')} × {row.get('height')} px"
        )
    if not notes:
        return ""
    items = "".join(f"<li>{note}</li>" for note in notes)
    return f'<div class="done"><b>What was done to the picture</b><ul>{items}</ul></div>'


def _details(result: ImageResult, index: int) -> str:
    row = result.row
    block_ok = result.received_artifacts.get("block_ok")
    # Two columns of about equal height; on a narrow screen the cards follow in the order of their numbers.
    cards = (
        f"<div>{_card('Quality', _quality(row), 1)}{_card('Radio', _radio(row, block_ok), 3)}</div>"
        f"<div>{_card('Cost', _cost(row), 2)}{_card('Time', _time(row), 4)}</div>"
    )
    codec_view = _latents(result) + _maps(result)
    return (
        f'<article id="picture-{index}"><h2>{_name(row.get("image", f"picture {index}"))} {_pill(row)}</h2>'
        f"{_banners(row)}{_pictures(result)}{_notes(row)}"
        f'<div class="cards">{cards}</div>'
        + (f'<div class="codec">{codec_view}</div>' if codec_view else "")
        + "</article>"
    )


# --- footer ----------------------------------------------------------------------------------------


def _flat(config: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, str]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key} · ")
        elif value is None or isinstance(value, bool):
            yield f"{prefix}{key}", _plain(value)
        elif isinstance(value, list | tuple):
            yield f"{prefix}{key}", json.dumps(value, ensure_ascii=False, default=str)
        else:
            yield f"{prefix}{key}", str(value)


def _footer(result: Mapping[str, Any]) -> str:
    config = dict(result.get("config") or {})
    command = config.pop("command", None)
    line = ""
    if command:
        words = shlex.join(str(w) for w in command) if isinstance(command, list | tuple) else str(command)
        line = f"<h3>Command</h3><pre>{_text(words)}</pre>"

    def table(title: str, pairs: Iterable[tuple[str, str]]) -> str:
        lines = "".join(f'<tr><th scope="row">{_text(k)}</th><td>{_text(v)}</td></tr>' for k, v in pairs)
        return f"<div><h3>{title}</h3><table>{lines}</table></div>" if lines else ""

    tables = table("Configuration", _flat(config)) + table("Versions", _flat(result.get("versions") or {}))
    if not line and not tables:
        return ""
    return (
        "<footer><details><summary>Configuration, versions and command line</summary>"
        f'{line}<div class="tables">{tables}</div></details></footer>'
    )


def write_report(path: Path, result: Mapping[str, Any], images: Sequence[ImageResult]) -> None:
    """Write the report of a run as one HTML file: styles and pictures inside, no scripts.

    `result`: {"config", "versions", "images": rows, "mean"}, as in result.json. `images`: the pictures
    of the rows, in the same order; the first MAX_DETAILED are shown in detail. If a codec's received
    artifacts hold "block_ok" (bool, one per code block), the failed blocks are drawn in their places.

    Raises ImageError when the file cannot be written.
    """
    rows: Sequence[Mapping[str, Any]] = result.get("images") or []
    mean: Mapping[str, Any] = result.get("mean") or {}
    detailed = images[:MAX_DETAILED]
    body = _header(rows, mean)
    if len(rows) > 1:
        body += _overview(rows, mean, detailed)
    body += "".join(_details(image, k + 1) for k, image in enumerate(detailed))
    if len(rows) > len(detailed):
        body += (
            f'<p class="note more">Details of the first {_count(len(detailed))} of {_count(len(rows))}'
            " pictures; the figures of all are in the table above and in result.json.</p>"
        )
    title = f"{_text(_common(rows, 'codec', 'codecs'))} {_where(rows)}" if rows else "Transmission report"
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><main>{body}{_footer(result)}</main></body></html>\n"
    )
    # File names may hold bytes that are no text (lone surrogates).
    write_bytes(path, page.encode("utf-8", "backslashreplace"))


_STYLE = """
:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#17202b;--muted:#5a6573;--line:#e3e5e8;
--accent:#1f5fbf;--ok:#17734a;--okbg:#e3f4ea;--amber:#7d5200;--amberbg:#fff2d6;--red:#a8201a;--redbg:#fde7e5;
--t1:#4477aa;--t2:#e0a030;--t3:#228877;--good:#bcd9c8;--shade:0 1px 2px rgba(20,30,45,.05)}
@media (prefers-color-scheme:dark){:root{--bg:#11151a;--card:#191f26;--ink:#e8ebef;--muted:#9aa6b3;
--line:#2c343d;--accent:#8ab4f8;--ok:#7bd3a2;--okbg:#173326;--amber:#f2c261;--amberbg:#3a2c0e;--red:#ff9a92;--redbg:#43191a;
--t1:#6fa3d8;--t2:#e6b04f;--t3:#4fb3a1;--good:#2f5a45;--shade:none}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--bg);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","Helvetica Neue",Arial,sans-serif}
main{max-width:1160px;margin:0 auto;padding:clamp(1.2rem,4vw,3.2rem) clamp(1rem,4vw,2rem)}
header{margin-bottom:2.4rem}
.over{margin:0;color:var(--accent);font-size:.82rem;font-weight:600;letter-spacing:.08em;text-transform:uppercase}
h1{font-size:clamp(1.7rem,4.6vw,2.7rem);line-height:1.15;letter-spacing:-.02em;margin:.3rem 0 .7rem;
overflow-wrap:anywhere;text-wrap:balance}
h2{font-size:1.35rem;letter-spacing:-.01em;line-height:1.3;margin:0 0 1rem;overflow-wrap:anywhere}
h3{font-size:1rem;margin:0 0 .5rem}
h3 small{font-weight:400;color:var(--muted);margin-left:.3em}
.lede{font-size:clamp(1.05rem,2.2vw,1.25rem);line-height:1.5;max-width:62ch;margin:0 0 1.1rem}
b.ok{color:var(--ok)}b.damaged{color:var(--amber)}b.lost{color:var(--red)}
.chips{list-style:none;display:flex;flex-wrap:wrap;gap:.4rem;padding:0;margin:0 0 1.4rem;font-size:.86rem}
.chips li{border:1px solid var(--line);border-radius:99px;padding:.1rem .7rem;background:var(--card);
overflow-wrap:anywhere}
.chips span{color:var(--muted);margin-right:.15em}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));border:1px solid var(--line);
border-radius:12px;background:var(--line);gap:1px;overflow:hidden;box-shadow:var(--shade)}
.tile{background:var(--card);padding:.9rem 1.1rem;display:flex;flex-direction:column}
.tile span{font-size:.82rem;color:var(--muted)}
.tile b{font-size:1.5rem;font-weight:650;line-height:1.3;letter-spacing:-.01em;
font-variant-numeric:tabular-nums;white-space:nowrap}
.tile small{color:var(--muted);font-size:.75rem;line-height:1.35}
article{border-top:1px solid var(--line);padding-top:2rem;margin-top:2.4rem}
.pill{display:inline-block;font-size:.78rem;font-weight:600;line-height:1.2;padding:.2rem .6rem;
border-radius:99px;white-space:nowrap;vertical-align:.12em}
.pill.ok{background:var(--okbg);color:var(--ok)}.pill.damaged{background:var(--amberbg);color:var(--amber)}
.pill.lost{background:var(--redbg);color:var(--red)}
.banner{border-left:5px solid;border-radius:8px;padding:.8rem 1.1rem;margin:0 0 1.2rem;overflow-wrap:anywhere}
.banner.lost{background:var(--redbg);border-color:var(--red)}.banner.lost strong{color:var(--red)}
.banner.damaged{background:var(--amberbg);border-color:var(--amber)}.banner.damaged strong{color:var(--amber)}
figure{margin:0;min-width:0}
img{display:block;max-width:100%}
.trio,.stack{display:grid;gap:1rem}
.trio{grid-template-columns:repeat(3,minmax(0,1fr))}
.trio img,.stack img{width:100%;height:auto;max-height:86vh;object-fit:contain;border-radius:6px}
.stack img{min-height:1.2rem}
figcaption{font-size:.86rem;color:var(--muted);padding-top:.45rem;line-height:1.4}
figcaption b{color:var(--ink);margin-right:.25em}
.void{border:1px dashed var(--line);border-radius:6px;width:100%;max-height:86vh}
.px{image-rendering:pixelated}
.done{margin:1.1rem 0 0;font-size:.9rem;color:var(--muted)}
.done b{color:var(--ink)}.done ul{margin:.2rem 0 0;padding-left:1.2rem}.done li{overflow-wrap:anywhere}
.cards{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:1rem;margin-top:1.4rem}
.cards>div{display:flex;flex-direction:column;gap:1rem}.cards .card:last-child{flex-grow:1}
.codec{display:grid;grid-template-columns:minmax(0,2.7fr) minmax(0,1fr);gap:1rem;
margin-top:1rem}
.codec>:only-child{grid-column:1/-1}
.card{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:1.1rem 1.2rem;
box-shadow:var(--shade);min-width:0}
.facts{margin:0}
.facts div{display:flex;justify-content:space-between;gap:1rem;align-items:baseline;padding:.3rem 0;
border-top:1px solid var(--line)}
.facts div:first-child{border-top:0}
.facts dt{font-size:.92rem;min-width:0}
.facts dt small{color:var(--muted);font-size:.78rem;margin-left:.5em}
.facts dd{margin:0;flex:none;max-width:65%;text-align:right;font-weight:600;
font-variant-numeric:tabular-nums;overflow-wrap:anywhere}
.bar{display:flex;height:1.1rem;border-radius:6px;overflow:hidden;gap:2px;margin:.3rem 0 .6rem}
.bar i{min-width:2px;flex-basis:0}
.blockbar{margin:.8rem 0 0}
.key{display:inline-block;width:.75em;height:.75em;border-radius:3px;margin-right:.5em}
.t-encode{background:var(--t1)}.t-link{background:var(--t2)}.t-decode{background:var(--t3)}
.good{background:var(--good)}
.bad{background:repeating-linear-gradient(135deg,#b3261e 0 3px,#e8776f 3px 6px)}
.blocks{display:flex;flex-wrap:wrap;gap:2px;margin-top:.8rem}
.blocks i{width:11px;height:11px;border-radius:2px}
.note{font-size:.82rem;color:var(--muted);margin:.4rem 0 0}
.note.more{border-top:1px solid var(--line);padding-top:1.4rem;margin-top:2.4rem;font-size:.95rem}
.latent{margin-bottom:.8rem}
.latrow{display:grid;grid-template-columns:4.6rem minmax(0,1fr);gap:.5rem;
align-items:center;margin-bottom:.5rem}
.latrow b{font-size:.84rem;font-weight:600}
.lattiles{display:grid;grid-template-columns:repeat(4,minmax(0,1fr));gap:.5rem}
.lattiles img{width:100%;height:auto;max-height:16rem;border-radius:4px}
.lattiles span{font-size:.8rem;color:var(--muted);text-align:center}
.maps{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,14rem),1fr))}
.maps img{width:100%;height:auto;max-height:24rem;border-radius:4px}
.scale{display:grid;grid-template-columns:auto minmax(3rem,11rem) auto 1fr;gap:.3rem .6rem;align-items:center;
font-size:.8rem;font-variant-numeric:tabular-nums;margin-top:.35rem}
.scale i{height:.65rem;border-radius:3px}
.scale small{color:var(--muted);font-size:.78rem;line-height:1.35}
.scroll{overflow-x:auto;border:1px solid var(--line);border-radius:12px;background:var(--card)}
table{border-collapse:collapse;font-size:.86rem}
.overview{font-size:.82rem}
.overview{width:100%;font-variant-numeric:tabular-nums}
.overview th,.overview td{padding:.4rem .45rem;text-align:right;white-space:nowrap;
border-top:1px solid var(--line)}
.overview thead th{border-top:0;color:var(--muted);font-weight:500;white-space:normal;vertical-align:bottom;
line-height:1.25;min-width:3.6rem}
.overview th:first-child{text-align:left;position:sticky;left:0;background:var(--card)}
.overview td:nth-child(2),.overview thead th:nth-child(2){text-align:left}
.overview th[scope=row] div{display:flex;align-items:center;gap:.6rem;max-width:17rem}
.overview th span{font-weight:500;white-space:normal;overflow-wrap:anywhere;min-width:9rem}
.overview tfoot th,.overview tfoot td{font-weight:650;border-top:2px solid var(--line)}
.thumb{width:36px;height:36px;object-fit:cover;border-radius:5px;flex:none}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
footer{border-top:1px solid var(--line);margin-top:2.4rem;padding-top:1.2rem}
summary{cursor:pointer;font-weight:600}
footer h3{margin:1.2rem 0 .4rem}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.7rem .9rem;margin:0;
white-space:pre-wrap;overflow-wrap:anywhere;font-size:.85rem}
.tables{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:0 2rem}
.tables table{width:100%}
.tables th,.tables td{text-align:left;padding:.25rem .6rem .25rem 0;border-top:1px solid var(--line);
vertical-align:top;overflow-wrap:anywhere}
.tables th{font-weight:500;color:var(--muted)}
@media (max-width:820px){.codec{grid-template-columns:minmax(0,1fr)}}
@media (max-width:640px){.trio{grid-template-columns:minmax(0,1fr)}
.cards{display:flex;flex-direction:column}.cards>div{display:contents}
.tiles{grid-template-columns:repeat(2,minmax(0,1fr))}.tile:last-child:nth-child(odd){grid-column:1/-1}
.latrow{grid-template-columns:minmax(0,1fr);gap:.2rem}.latrow.head b{display:none}
.scale{grid-template-columns:auto minmax(3rem,1fr) auto}.scale small{grid-column:1/-1}
.overview th:first-child{position:static}}
@media print{:root{--bg:#fff;--card:#fff;--ink:#000;--muted:#444;--line:#ccc;--accent:#003a8c;--ok:#0b5a36;
--okbg:#e3f4ea;--amber:#6b4600;--amberbg:#fff2d6;--red:#8f1611;--redbg:#fde7e5;--good:#bcd9c8;
--t1:#4477aa;--t2:#e0a030;--t3:#228877;color-scheme:light}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
main{max-width:none;padding:0}.card,figure,.tiles,.banner,tr{break-inside:avoid}
article+article{break-before:page;border-top:0}h2,h3,.banner{break-after:avoid}.trio{grid-template-columns:repeat(3,minmax(0,1fr))}
.trio img,.stack img{max-height:none}
.scroll{overflow:visible;border:0}.overview{font-size:.62rem}.overview th,.overview td{padding:.2rem .3rem}}
"""
