"""Maps of a picture's patches: how important each is, and how many bits per sample it got."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from semcom_app.quantization import MAX_BITS
from semcom_app.report.figures import ColourScale, display_picture
from semcom_app.results import ImageResult

#: Colours of 0 to 8 bits per sample, the same in every report.
BITS_SCALE = ColourScale(0.0, float(MAX_BITS), "viridis")
_IMPORTANCE_COLOURS = "magma"
_MAX_NUMBERED = 20  # patches a side whose bits are written into them
_LIGHT_FROM = 5  # bits whose colour is light enough for dark numbers
_PANEL_SIDE = 512


def importance_scale(importance: NDArray[Any]) -> ColourScale:
    """Colours of importance: from nothing to the largest of this picture."""
    finite = np.asarray(importance, np.float64)[np.isfinite(importance)]
    return ColourScale(0.0, float(finite.max(initial=0.0)), _IMPORTANCE_COLOURS)


def maps_png(result: ImageResult) -> bytes | None:
    """Picture, importance of its patches and their bits per sample side by side as PNG.

    None for a codec without such maps, artifacts "importance" and "patch_bits" (rows, columns). Equal results give
    equal bytes.
    """
    artifacts = result.sent_artifacts
    if not {"importance", "patch_bits"} <= artifacts.keys():
        return None
    importance = np.asarray(artifacts["importance"], np.float64)
    bits = np.asarray(artifacts["patch_bits"])
    figure = Figure(figsize=(13.0, 4.6), dpi=80, facecolor="white", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes: list[Axes] = list(figure.subplots(1, 3))
    axes[0].imshow(np.asarray(display_picture(Image.fromarray(result.sent), _PANEL_SIDE)))
    axes[0].set_title("sent")
    scale = importance_scale(importance)
    shown = axes[1].imshow(importance, cmap=scale.colours, vmin=scale.low, vmax=scale.high or 1.0)
    axes[1].set_title("importance of the patches")
    figure.colorbar(shown, ax=axes[1], shrink=0.8)
    shown = axes[2].imshow(bits, cmap=BITS_SCALE.colours, vmin=BITS_SCALE.low, vmax=BITS_SCALE.high)
    axes[2].set_title(f"bits per sample, mean {bits.mean():.2f}")
    figure.colorbar(shown, ax=axes[2], shrink=0.8, ticks=range(MAX_BITS + 1))
    if max(bits.shape) <= _MAX_NUMBERED:
        for (row, column), number in np.ndenumerate(bits):
            colour = "black" if number >= _LIGHT_FROM else "white"
            axes[2].text(column, row, f"{number:.2g}", color=colour, ha="center", va="center", fontsize=8)
    for axis in axes:
        axis.set_xticks([])
        axis.set_yticks([])
    buffer = io.BytesIO()
    canvas.print_png(buffer, metadata={"Software": None})
    return buffer.getvalue()
