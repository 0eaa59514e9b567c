"""Pictures of a transmission: scaled for a page, differences, colour maps, and the side-by-side PNG."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image, ImageChops

from semcom_app.results import ImageResult

DIFFERENCE_GAIN = 4
MAX_EMBEDDED_SIDE = 1024
MAX_PNG_SIDE = 512
MAX_MAP_SIDE = 256
MAX_ASPECT = 12  # longer pictures are stretched across, or nothing of them would be seen
JPEG_QUALITY = 90

MINUS = "\u2212"
DASH = "\u2013"
INFINITY = "\u221e"
THIN = "\u202f"  # narrow no-break space

_CHANNELS = {
    "awgn": "AWGN",
    "rayleigh": "Rayleigh fading",
    "bsc": "a binary symmetric channel",
    "ideal": "an ideal channel",
}

# Comparison PNG, in pixels. A power of two: sizes in inches are then exact and no pixel gets lost.
_DPI = 64
_PANEL_MAX, _PANEL_MIN, _CELL_MIN = 640, 256, 232
_MARGIN, _GAP, _TITLE, _CAPTION = 24, 16, 44, 30
_INK, _MUTED, _RED, _AMBER, _BLANK = "#16202c", "#5b6775", "#b3261e", "#8a5a00", (236, 238, 241)


def channel_name(channel: str) -> str:
    """A channel's name as a reader expects it; unknown names stay as they are."""
    return _CHANNELS.get(channel, channel)


def decibels(value: float | None, digits: int | None = None) -> str:
    """A level in dB with a true minus sign; "–" for None, "∞ dB" for infinity.

    digits: decimals; None shows up to two, without trailing zeros (for levels that were asked for).
    """
    if value is None or math.isnan(value):
        return DASH
    if math.isinf(value):
        return f"{MINUS if value < 0 else ''}{INFINITY}{THIN}dB"
    text = f"{round(value, 2) + 0.0:.12g}" if digits is None else f"{value:.{digits}f}"
    return text.replace("-", MINUS) + f"{THIN}dB"


def psnr_text(row: Mapping[str, Any], digits: int = 2) -> str:
    """PSNR of a row: None where it is present means equal pictures, "∞ dB"; "–" where it is absent."""
    if "psnr_db" not in row:
        return DASH
    return decibels(math.inf if row["psnr_db"] is None else float(row["psnr_db"]), digits)


def _display_size(width: int, height: int, limit: int) -> tuple[int, int]:
    """Size on the page: at most `limit` a side, in proportion down to an aspect of 1:MAX_ASPECT."""
    scale = min(1.0, limit / max(width, height))
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    return max(width, -(-height // MAX_ASPECT)), max(height, -(-width // MAX_ASPECT))


def display_picture(
    picture: Image.Image, limit: int, resample: Image.Resampling = Image.Resampling.LANCZOS
) -> Image.Image:
    """Scale a picture down to at most `limit` pixels a side; very long ones are stretched across."""
    width, height = _display_size(*picture.size, limit)
    small = (min(width, picture.width), min(height, picture.height))
    if small != picture.size:
        picture = picture.resize(small, resample, reducing_gap=3.0)
    if small != (width, height):
        picture = picture.resize((width, height), Image.Resampling.NEAREST)
    return picture


def is_stretched(width: int, height: int) -> bool:
    """Whether a picture of this size is shown out of proportion."""
    return max(width, height) > MAX_ASPECT * min(width, height)


def difference_picture(sent: NDArray[np.uint8], received: NDArray[np.uint8], limit: int) -> Image.Image:
    """|sent − received| of two pictures (H, W, 3), scaled to `limit`, then amplified by DIFFERENCE_GAIN."""
    # Pillow subtracts in 8 bits: a 50-megapixel picture needs no wider copy.
    difference = ImageChops.difference(Image.fromarray(sent), Image.fromarray(received))
    small = display_picture(difference, limit, Image.Resampling.BOX)
    return small.point([min(255, DIFFERENCE_GAIN * v) for v in range(256)] * 3)


def data_uri(picture: Image.Image) -> str:
    """A picture as a data URI: PNG up to MAX_PNG_SIDE pixels a side, JPEG above."""
    buffer = io.BytesIO()
    if max(picture.size) <= MAX_PNG_SIDE:
        picture.save(buffer, format="PNG")
        kind = "png"
    else:
        # Not optimize=True: Pillow's buffer for it is too small for pictures like noise, and it raises.
        picture.save(buffer, format="JPEG", quality=JPEG_QUALITY, subsampling=0)
        kind = "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


@dataclass(frozen=True)
class ColourScale:
    """Values from `low` to `high` on a named matplotlib colour map; values beyond are clipped."""

    low: float
    high: float
    colours: str = "viridis"

    @classmethod
    def covering(cls, values: NDArray[Any], colours: str = "viridis", tail: float = 0.0) -> ColourScale:
        """The scale that covers all finite values but a share `tail` at either end."""
        finite = np.asarray(values, np.float64).reshape(-1)
        finite = finite[np.isfinite(finite)]
        if finite.size == 0:
            return cls(0.0, 0.0, colours)
        low, high = np.quantile(finite, [tail, 1.0 - tail])
        return cls(float(low), float(high), colours)

    def _palette(self) -> NDArray[np.uint8]:
        colours = matplotlib.colormaps[self.colours](np.arange(256) / 255.0)
        return np.rint(255.0 * colours[:, :3]).astype(np.uint8)

    def picture(self, values: NDArray[Any]) -> Image.Image:
        """Map of values (h, w) as a palette picture of at most MAX_MAP_SIDE a side."""
        numbers = np.nan_to_num(np.asarray(values, np.float32), nan=self.low)
        # Pillow's float mode averages the values themselves, not their colours.
        numbers = np.asarray(display_picture(Image.fromarray(numbers), MAX_MAP_SIDE, Image.Resampling.BOX), np.float64)
        span = self.high - self.low
        unit = (numbers - self.low) / span if span > 0.0 else np.zeros_like(numbers)
        picture = Image.fromarray(np.rint(255.0 * np.clip(unit, 0.0, 1.0)).astype(np.uint8))
        picture.putpalette(self._palette().tobytes())
        return picture

    def css_gradient(self, stops: int = 12) -> str:
        """The colour map as a CSS gradient, low values on the left."""
        palette = self._palette()
        chosen = palette[np.rint(np.linspace(0, 255, stops)).astype(int)]
        return "linear-gradient(90deg," + ",".join(f"#{r:02x}{g:02x}{b:02x}" for r, g, b in chosen) + ")"


def mask_picture(mask: NDArray[np.bool_]) -> Image.Image:
    """Mask (h, w): important locations bright, the others dark."""
    return ColourScale(-0.15, 1.25, "magma").picture(np.asarray(mask, np.float32))


def _panel(picture: Image.Image) -> NDArray[np.uint8]:
    longest = max(picture.size)
    if longest < _PANEL_MIN:
        factor = _PANEL_MIN // longest
        size = (picture.width * factor, picture.height * factor)
        picture = picture.resize(size, Image.Resampling.NEAREST)
    return np.asarray(picture.convert("RGB"))


def _title(row: Mapping[str, Any]) -> str:
    parts = [str(row.get("codec", "")), channel_name(str(row.get("channel", "")))]
    if row.get("snr_db") is not None:
        parts.append(f"Es/N0 {decibels(row['snr_db'])}")
    if row.get("delivered", True):
        parts.append(f"PSNR {psnr_text(row)}")
        ssim = row.get("ssim")
        parts.append(f"SSIM {DASH if ssim is None else format(ssim, '.3f').replace('-', MINUS)}")
    return "  ·  ".join(part for part in parts if part)


def comparison_png(result: ImageResult) -> bytes:
    """Sent, received and difference (amplified) side by side, with captions, as PNG.

    Pictures of any size and aspect: large ones are scaled down, tiny ones enlarged by whole factors. Of
    a lost picture there is no difference; its panel stays empty. Equal results give equal bytes.
    """
    row = result.row
    delivered, intact = bool(row.get("delivered", True)), bool(row.get("intact", True))
    panels = [_panel(display_picture(Image.fromarray(p), _PANEL_MAX)) for p in (result.sent, result.received)]
    if delivered:
        panels.append(_panel(difference_picture(result.sent, result.received, _PANEL_MAX)))
    else:
        panels.append(np.full_like(panels[0], _BLANK))
    height, width = panels[0].shape[:2]
    cell = max(width, _CELL_MIN)
    figure_width = 3 * cell + 2 * _GAP + 2 * _MARGIN
    figure_height = _MARGIN + _TITLE + height + _CAPTION + _MARGIN // 2
    figure = Figure(figsize=(figure_width / _DPI, figure_height / _DPI), dpi=_DPI, facecolor="white")
    canvas = FigureCanvasAgg(figure)

    def write(x: float, y: float, text: str, size: float, colour: str, **style: Any) -> None:
        """Text at pixels (x, y) from the top left."""
        figure.text(
            x / figure_width,
            1.0 - y / figure_height,
            text,
            fontsize=size * 72 / _DPI,  # matplotlib counts in points
            color=colour,
            family="DejaVu Sans",  # comes with matplotlib: the same glyphs everywhere
            parse_math=False,
            **style,
        )

    title = _title(row)
    title_size = max(9.0, min(0.026 * figure_width, 26.0, 1.55 * (figure_width - 2 * _MARGIN) / max(1, len(title))))
    write(_MARGIN, _MARGIN + 14, title, title_size, _INK, weight="bold", va="center")
    stretched = " (stretched)" if is_stretched(result.sent.shape[1], result.sent.shape[0]) else ""
    captions = [
        (f"sent, {result.sent.shape[1]} × {result.sent.shape[0]} px{stretched}", _MUTED),
        ("received", _MUTED),
        (f"difference × {DIFFERENCE_GAIN}", _MUTED),
    ]
    if not delivered:
        captions[1:] = [("lost: placeholder", _RED), ("no difference: picture lost", _RED)]
    elif not intact:
        captions[1] = ("received, payload damaged", _AMBER)
    caption_size = min(18.0, max(12.5, 0.0105 * figure_width))
    for k, (panel, (caption, colour)) in enumerate(zip(panels, captions, strict=True)):
        left = _MARGIN + k * (cell + _GAP) + (cell - width) // 2
        # figimage copies pixels as they are; axes would resample them.
        figure.figimage(panel, left, figure_height - _MARGIN - _TITLE - height, origin="upper")
        middle = _MARGIN + k * (cell + _GAP) + cell / 2
        baseline = _MARGIN + _TITLE + height + 0.6 * _CAPTION
        write(middle, baseline, caption, caption_size, colour, va="center", ha="center")
    buffer = io.BytesIO()
    canvas.print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
