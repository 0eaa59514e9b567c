"""Figure of frame error rate against Eb/N0 from curve files."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from semcom_app.benchmarks.fer import FerCurve, load_curve
from semcom_app.images import write_bytes
from semcom_phy.errors import ConfigurationError

MAX_CURVES: Final = 20
# Colours that stay apart for colour-blind readers (Okabe and Ito), then the same with another line.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#000000", "#e69f00")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_LINES = ("-", "--", ":")


def label(path: Path, curve: FerCurve) -> str:
    """Name of a curve in the legend: its header's `label`, otherwise its file's name."""
    return curve.header.get("label") or path.stem.replace("_", " ")


def fer_figure(curves: Sequence[tuple[str, FerCurve]], title: str = "") -> bytes:
    """Plot (label, curve) pairs with 95 % intervals on a logarithmic axis; return a PNG.

    A point without errors is a mark at the upper end of its interval. Equal input gives equal bytes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.0), layout="constrained")
    axis = figure.subplots()
    for number, (name, curve) in enumerate(curves):
        colour, marker = _COLOURS[number % len(_COLOURS)], _MARKERS[number % len(_MARKERS)]
        counted = [point for point in curve.points if point.frame_errors]
        rates = [point.fer for point in counted]
        bounds = [point.interval for point in counted]
        spread = [
            [rate - low for rate, (low, _) in zip(rates, bounds, strict=True)],
            [high - rate for rate, (_, high) in zip(rates, bounds, strict=True)],
        ]
        axis.errorbar(
            [point.ebn0_db for point in counted],
            rates,
            yerr=spread,
            color=colour,
            marker=marker,
            markersize=4,
            linestyle=_LINES[number // len(_COLOURS) % len(_LINES)],
            linewidth=1.2,
            elinewidth=0.8,
            capsize=2,
            label=name,
        )
        for point in curve.points:
            if not point.frame_errors:
                axis.plot(point.ebn0_db, point.interval[1], marker=11, markersize=6, color=colour)
    axis.set_yscale("log")
    axis.set(xlabel="Eb/N0, dB", ylabel="frame error rate", title=title)
    axis.grid(which="major", alpha=0.3)
    axis.grid(which="minor", alpha=0.12)
    axis.legend(fontsize=8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def write_fer_figure(files: Sequence[Path], out: Path, title: str = "") -> None:
    """Plot curve files into the PNG file `out`.

    Raises FormatError for a file that is no curve, ConfigurationError for none or too many.
    """
    if not 1 <= len(files) <= MAX_CURVES:
        raise ConfigurationError(f"a figure takes 1 to {MAX_CURVES} curves, not {len(files)}")
    curves = [(path, load_curve(path)) for path in files]
    write_bytes(out, fer_figure([(label(path, curve), curve) for path, curve in curves], title))
