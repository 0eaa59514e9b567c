"""The report of a transmission: one HTML file that needs nothing else, for people to look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semcom_app.images import write_bytes
from semcom_app.report.figures import (
    DASH,
    DIFFERENCE_GAIN,
    MAX_EMBEDDED_SIDE,
    MINUS,
    THIN,
    ColourScale,
    channel_name,
    data_uri,
    difference_picture,
    display_picture,
    is_stretched,
    mask_picture,
    psnr_text,
)
from semcom_app.report.maps import BITS_SCALE, importance_scale
from semcom_app.report.parts import banner, card, fact_list, figure, footer, plain
from semcom_app.report.parts import page as html_page
from semcom_app.report.text import (
    count_text,
    db_text,
    error_rate,
    escaped,
    finite,
    milliseconds,
    name_text,
    percent,
    plural,
    significant,
    similarity,
)
from semcom_app.results import ImageResult

MAX_DETAILED = 20
MAX_LATENT_CHANNELS = 16
MAX_BLOCKS_DRAWN = 600
THUMBNAIL_SIDE = 96
PIXELATED_BELOW = 160  # pictures smaller than this are shown as the squares they are


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
    "received_file", "comparison_file", "maps_file",
    "patches", "patch_bits_mean", "patches_without_bits", "patch_header_bits", "rho_payload", "rho_total",
    "modulation", "fragments_sent", "fragments_lost", "cfo_hz", "timing_offset_samples",
})
# fmt: on
_STAGES = (("encode_ms", "encode"), ("link_ms", "link"), ("decode_ms", "decode"))


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
    levels = sorted({level for row in rows if (level := finite(row.get("snr_db"))) is not None})
    return levels if len(levels) < 2 else [levels[0], levels[-1]]


def _where(rows: Sequence[Mapping[str, Any]]) -> str:
    channel = escaped(channel_name(str(_common(rows, "channel", "channels"))))
    levels = _levels(rows)
    return f"over {channel}" + (f" at {' to '.join(db_text(level) for level in levels)}" if levels else "")


def _summary(rows: Sequence[Mapping[str, Any]], mean: Mapping[str, Any]) -> str:
    """What happened, in one sentence."""
    if not rows:
        return "No picture was sent."
    bits, uses = (sum(finite(row.get(key)) or 0.0 for row in rows) for key in ("payload_bits", "channel_uses"))
    start = (
        f"{plural(len(rows), 'picture')} sent as <b>{count_text(bits)} bits</b> in"
        f" <b>{count_text(uses)} channel uses</b> {_where(rows)}: "
    )
    if len(rows) == 1:
        row = rows[0]
        kind, _ = _status(row)
        if kind == "lost":
            return f'{start}<b class="lost">lost</b>.'
        word = "delivered" if kind == "ok" else "delivered with damage"
        quality = "identical to what was sent" if _is_identical(row) else psnr_text(row, 1)
        return f'{start}<b class="{kind}">{word}</b>, {quality}, SSIM {similarity(row.get("ssim"))}.'
    words = [_status(row)[0] for row in rows]
    parts = [f'<b class="ok">{count_text(words.count("ok"))} delivered intact</b>']
    if "damaged" in words:
        parts.append(f'<b class="damaged">{count_text(words.count("damaged"))} damaged</b>')
    if "lost" in words:
        parts.append(f'<b class="lost">{count_text(words.count("lost"))} lost</b>')
    return f"{start}{', '.join(parts)}; on average {psnr_text(mean, 1)}, SSIM {similarity(mean.get('ssim'))}."


def _is_identical(row: Mapping[str, Any]) -> bool:
    return bool(row.get("delivered")) and "psnr_db" in row and row["psnr_db"] is None


def _tiles(figures: Mapping[str, Any], several: bool) -> str:
    """The few figures by which transmissions are compared."""
    lost = not several and _status(figures)[0] == "lost"
    tiles = (
        ("PSNR", psnr_text(figures), "worst value: lost" if lost else "higher is better"),
        ("SSIM", similarity(figures.get("ssim")), "worst value: lost" if lost else "1 is identical"),
        ("Compression", percent(figures.get("compression_rate")), "payload ÷ raw picture"),
        ("CBR", significant(figures.get("cbr")), "channel uses per sample"),
        ("BER", error_rate(figures.get("ber_decoded")), "payload, as decoded"),
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
    codec = escaped(_common(rows, "codec", "codecs")) if rows else "Transmission report"
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
            f"<li><span>{label}</span> {escaped(_common(rows, key, several))}</li>"
            for key, several, label in asked
            if any(row.get(key) is not None for row in rows)
        )
        levels = _levels(rows)
        if levels:
            chips += f"<li><span>Es/N0</span> {' to '.join(db_text(level) for level in levels)}</li>"
        chips = f'<ul class="chips">{chips}</ul>'
    figures = rows[0] if len(rows) == 1 else mean
    return (
        '<header><p class="over">Semantic image transmission</p>'
        f"<h1>{codec} {_where(rows) if rows else ''}</h1>"
        f'<p class="lede">{_summary(rows, mean)}</p>{chips}'
        f"{_tiles(figures, len(rows) > 1) if rows else ''}</header>"
    )


# --- table of several pictures ---------------------------------------------------------------------


def _overview(rows: Sequence[Mapping[str, Any]], mean: Mapping[str, Any], detailed: Sequence[ImageResult]) -> str:
    extra = [key for key in ("ms_ssim", "lpips") if any(key in row for row in rows)]

    def cells(row: Mapping[str, Any]) -> str:
        times = [finite(row.get(key)) for key, _ in _STAGES]
        known = [t for t in times if t is not None]
        failed = f"{count_text(row.get('blocks_failed'))} / {count_text(row.get('blocks'))}"
        values = [
            psnr_text(row).removesuffix(f"{THIN}dB"),
            similarity(row.get("ssim")),
            *(similarity(row.get(key)) for key in extra),
            count_text(row.get("payload_bits")),
            count_text(row.get("channel_uses")),
            significant(row.get("cbr")),
            db_text(row.get("esn0_measured_db"), 2).removesuffix(f"{THIN}dB"),
            error_rate(row.get("ber_raw")),
            error_rate(row.get("ber_decoded")),
            failed,
            count_text(round(sum(known))) if known else DASH,
        ]
        return "".join(f"<td>{value}</td>" for value in values)

    head = [
        "PSNR (dB)", "SSIM", *(_label(key) for key in extra), "payload (bit)", "channel uses", "CBR",
        "Es/N0 measured (dB)", "BER before decoding", "BER after decoding", "blocks failed", "time (ms)",
    ]  # fmt: skip
    lines = []
    for k, row in enumerate(rows):
        name, thumbnail = name_text(row.get("image", f"picture {k + 1}")), ""
        if k < len(detailed):
            picture = display_picture(Image.fromarray(detailed[k].received), THUMBNAIL_SIDE)
            thumbnail = f'<img class="thumb" src="{data_uri(picture)}" alt="">'
            name = f'<a href="#picture-{k + 1}">{name}</a>'
        lines.append(
            f'<tr><th scope="row"><div>{thumbnail}<span>{name}</span></div></th><td>{_pill(row)}</td>{cells(row)}</tr>'
        )
    lost = sum(_status(row)[0] == "lost" for row in rows)
    equal = sum(_is_identical(row) for row in rows)
    remarks = []
    if lost:
        remarks.append(f"{plural(lost, 'lost picture')} in the mean with each metric's worst value")
    if equal:
        remarks.append(f"{plural(equal, 'identical picture')} (∞ dB) left out of the mean PSNR")
    note = f'<p class="note">{"; ".join(remarks)}.</p>' if remarks else ""
    heads = "".join(f'<th scope="col">{h}</th>' for h in head)
    return (
        '<section><h2>Pictures</h2><div class="scroll" tabindex="0"><table class="overview">'
        f'<thead><tr><th scope="col">picture</th><th scope="col">outcome</th>{heads}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody>"
        f'<tfoot><tr><th scope="row">mean of {count_text(len(rows))}</th><td></td>{cells(mean)}</tr></tfoot>'
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
    figures = [figure(sent, f"sent: {name}", f"<b>Sent</b> {width} × {height} px{scaled}", pixelated)]
    if _status(row)[0] != "lost":
        quality = "identical" if _is_identical(row) else psnr_text(row, 1)
        figures.append(
            figure(
                received,
                f"received: {name}",
                f"<b>Received</b> {quality}, SSIM {similarity(row.get('ssim'))}",
                pixelated,
            )
        )
        difference = difference_picture(result.sent, result.received, MAX_EMBEDDED_SIDE)
        caption = f"<b>Difference</b> |sent {MINUS} received|, amplified ×{DIFFERENCE_GAIN}"
        figures.append(figure(difference, f"difference: {name}", caption, pixelated))
    else:
        figures.append(figure(received, "placeholder", "<b>Received</b> nothing usable: placeholder", pixelated))
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
        reason = escaped(row.get("error") or "no reason was recorded")
        return banner(
            "lost",
            "This picture was lost.",
            f"The receiver could not rebuild it: {reason}. What is shown as received is a placeholder;"
            " quality counts with each metric’s worst value.",
        )
    if kind == "damaged":
        reason = f" ({escaped(row['error'])})" if row.get("error") else ""
        return banner(
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
        ("SSIM", similarity(row.get("ssim")), lost or "11 × 11 Gaussian window"),
    ]
    for key, value in row.items():
        if key not in _PLACED and (value is None or isinstance(value, str | bool | int | float)):
            shown = significant(value, 4) if finite(value) is not None else escaped(plain(value))
            facts.append((escaped(_label(key)), shown, ""))
    return fact_list(facts)


def _cost(row: Mapping[str, Any]) -> str:
    uses, overhead = finite(row.get("channel_uses")), finite(row.get("overhead_uses"))
    share = f"; {percent(overhead / uses)} of all uses" if uses and overhead is not None else ""
    rate, with_header = row.get("compression_rate"), row.get("compression_rate_with_header")
    return fact_list(
        [
            *_patches(row),
            ("Payload", f"{count_text(row.get('payload_bits'))} bit", ""),
            ("Header", f"{count_text(row.get('header_bits'))} bit", "side information, protected"),
            ("Channel uses", count_text(row.get("channel_uses")), "every symbol sent"),
            ("Overhead", f"{count_text(row.get('overhead_uses'))} uses", f"signalling and header{share}"),
            ("CBR", significant(row.get("cbr"), 4), "channel uses ÷ (W·H·3)"),
            ("Compression rate", percent(rate), "payload ÷ (W·H·24 bit), as in the paper"),
            ("Compression with header", percent(with_header), "(payload + header) ÷ (W·H·24 bit)"),
        ]
    )


def _patches(row: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What codecs that allocate bits to patches have to tell."""
    if row.get("patches") is None:
        return []
    spent = f"{count_text(row.get('patches_without_bits'))} of {count_text(row['patches'])} without any"
    return [
        ("Bits per sample", significant(row.get("patch_bits_mean"), 4), f"mean over the patches; {spent}"),
        ("ρ of the payload", significant(row.get("rho_payload"), 4), "payload ÷ 8KN"),
        ("ρ of everything", significant(row.get("rho_total"), 4), "payload and header ÷ 8KN"),
    ]


def _radio(row: Mapping[str, Any], block_ok: NDArray[np.bool_] | None) -> str:
    channel, link = str(row.get("channel") or DASH), str(row.get("link") or DASH)
    failed = f"{count_text(row.get('blocks_failed'))} of {count_text(row.get('blocks'))}"
    facts = [
        ("Channel", escaped(channel_name(channel)), f"link: {escaped(link)}"),
        ("Es/N0 asked", db_text(row.get("snr_db")), "per symbol"),
        ("Es/N0 measured", db_text(row.get("esn0_measured_db"), 2), "by the receiver"),
        ("Eb/N0", db_text(row.get("ebn0_db"), 2), "per payload bit"),
        ("FEC", escaped(row.get("fec") or DASH), ""),
        ("Code rate", significant(row.get("rate")), "payload bits per coded bit"),
        ("BER before decoding", error_rate(row.get("ber_raw")), ""),
        ("BER after decoding", error_rate(row.get("ber_decoded")), ""),
        ("Blocks failed", failed, "by CRC"),
    ]
    if row.get("seed") is not None:
        facts.insert(1, ("Seed", escaped(row["seed"]), ""))
    if row.get("fragments_sent") is not None:
        lost = f"{count_text(row.get('fragments_lost'))} of {count_text(row['fragments_sent'])}"
        facts += [
            ("Modulation", escaped(row.get("modulation") or DASH), "of the payload"),
            ("Bursts lost", lost, "fragments of the picture"),
            ("Carrier offset", _with_unit(row.get("cfo_hz"), "Hz"), "mean over its bursts"),
            ("Delay", _with_unit(row.get("timing_offset_samples"), "samples"), "of its first burst"),
        ]
    return fact_list(facts) + _blocks(row, block_ok)


def _with_unit(value: Any, unit: str) -> str:
    return DASH if finite(value) is None else f"{significant(value, 4)}{THIN}{unit}"


def _blocks(row: Mapping[str, Any], block_ok: NDArray[np.bool_] | None) -> str:
    """Strip of code blocks: each in its place where verdicts are known, else the share that failed."""
    if block_ok is not None and block_ok.size:
        verdicts = np.asarray(block_ok, bool).reshape(-1)
        groups = np.array_split(verdicts, min(verdicts.size, MAX_BLOCKS_DRAWN))
        cells = "".join(f'<i class="{"good" if group.all() else "bad"}"></i>' for group in groups)
        per = f"; a square is up to {max(g.size for g in groups)} blocks" if len(groups) < verdicts.size else ""
        failed = int(np.count_nonzero(~verdicts))
        label = f"{count_text(failed)} of {count_text(verdicts.size)} blocks failed"
        return (
            f'<div class="blocks" role="img" aria-label="{label}">{cells}</div>'
            f'<p class="note">Code blocks in order; hatched: failed{per}.</p>'
        )
    blocks, failed_count = finite(row.get("blocks")), finite(row.get("blocks_failed"))
    if not blocks or failed_count is None:
        return ""
    bad = 100.0 * failed_count / blocks
    label = f"{count_text(failed_count)} of {count_text(blocks)} blocks failed"
    return (
        f'<div class="bar blockbar" role="img" aria-label="{label}">'
        + (f'<i class="bad" style="flex-grow:{bad:.4f}"></i>' if bad else "")
        + (f'<i class="good" style="flex-grow:{100.0 - bad:.4f}"></i>' if bad < 100.0 else "")
        + '</div><p class="note">Share of code blocks that failed (hatched).</p>'
    )


def _time(row: Mapping[str, Any]) -> str:
    known = [(name, value) for key, name in _STAGES if (value := finite(row.get(key))) is not None and value >= 0]
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
            milliseconds(value),
            percent(value / total) if total else "",
        )
        for name, value in known
    ]
    facts.append(("Total", milliseconds(total), f"device: {escaped(row.get('device') or DASH)}"))
    return f'<div class="bar">{bar}</div>{fact_list(facts)}'


def _scale(scale: ColourScale, note: str) -> str:
    return (
        f'<div class="scale"><span>{significant(scale.low)}</span>'
        f'<i style="background:{scale.css_gradient()}"></i><span>{significant(scale.high)}</span>'
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
    received = _as_channels(result.received_artifacts["latent"]) if "latent" in result.received_artifacts else None
    reference = sent if sent is not None else received
    if reference is None:
        return ""
    tail = 0.005
    scale = ColourScale.covering(reference, tail=tail)
    low, high = float(np.nanmin(reference)), float(np.nanmax(reference))
    ends = "sender and receiver" if sent is not None and received is not None else "all channels"
    bars = _scale(
        scale,
        f"one scale for {ends}; the middle {percent(1 - 2 * tail)} of the values,"
        f" which reach from {significant(low)} to {significant(high)}",
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
        bars += _scale(error_scale, f"|sender {MINUS} receiver|, RMS {significant(rms)}")
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
            f'<div class="latent"><div class="latrow head"><b></b><div class="lattiles">{head}</div></div>{body}</div>'
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
        if name == "importance":
            scale = importance_scale(array)
            note = _scale(scale, "")
            figures.append(figure(scale.picture(array), name, f"<b>{_title(name)}</b> {size} patches{note}", True))
        elif name == "patch_bits":
            note = _scale(BITS_SCALE, f"mean {significant(array.mean())}")
            figures.append(figure(BITS_SCALE.picture(array), name, f"<b>{_title(name)}</b> {size} patches{note}", True))
        elif array.dtype == np.bool_:
            share = f"{percent(array.mean())} of {count_text(array.size)} locations are important (bright)"
            figures.append(figure(mask_picture(array), name, f"<b>{_title(name)}</b> {size}. {share}", True))
        elif np.issubdtype(array.dtype, np.number):
            unit = name == "attention"
            scale = ColourScale(0.0, 1.0, "magma") if unit else ColourScale.covering(array)
            caption = f"<b>{_title(name)}</b> {size}{_scale(scale, '')}"
            figures.append(figure(scale.picture(array), name, caption, True))
    if not figures:
        return ""
    return (
        '<section class="card"><h3>What the codec found important</h3>'
        f'<div class="maps">{"".join(figures)}</div></section>'
    )


def _title(name: str) -> str:
    known = {
        "attention": "Attention map",
        "mask": "Mask",
        "importance": "Importance of the patches",
        "patch_bits": "Bits per sample",
    }
    return known.get(name, escaped(_label(name)).capitalize())


def _notes(row: Mapping[str, Any]) -> str:
    notes = [escaped(note) for note in row.get("notes") or ()]
    source = (row.get("source_width"), row.get("source_height"))
    if None not in source and source != (row.get("width"), row.get("height")):
        notes.insert(0, f"file of {source[0]} × {source[1]} px, sent as {row.get('width')} × {row.get('height')} px")
    if not notes:
        return ""
    items = "".join(f"<li>{note}</li>" for note in notes)
    return f'<div class="done"><b>What was done to the picture</b><ul>{items}</ul></div>'


def _details(result: ImageResult, index: int) -> str:
    row = result.row
    block_ok = result.received_artifacts.get("block_ok")
    # Two columns of about equal height; on a narrow screen the cards follow in the order of their numbers.
    cards = (
        f"<div>{card('Quality', _quality(row), 1)}{card('Radio', _radio(row, block_ok), 3)}</div>"
        f"<div>{card('Cost', _cost(row), 2)}{card('Time', _time(row), 4)}</div>"
    )
    codec_view = _latents(result) + _maps(result)
    return (
        f'<article id="picture-{index}">'
        f"<h2>{name_text(row.get('image', f'picture {index}'))} {_pill(row)}</h2>"
        f"{_banners(row)}{_pictures(result)}{_notes(row)}"
        f'<div class="cards">{cards}</div>'
        + (f'<div class="codec">{codec_view}</div>' if codec_view else "")
        + "</article>"
    )


# --- the whole page --------------------------------------------------------------------------------


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
            f'<p class="note more">Details of the first {count_text(len(detailed))}'
            f" of {count_text(len(rows))} pictures; the figures of all are in the table above and in result.json.</p>"
        )
    title = f"{escaped(_common(rows, 'codec', 'codecs'))} {_where(rows)}" if rows else "Transmission report"
    write_bytes(path, html_page(title, body + footer(result)))
