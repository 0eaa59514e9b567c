"""Remake the figures and figure data of the documentation: `make figures` (a few minutes on two cores).

Writes docs/figures/*.png and *.json beside this file; deterministic in the seeds below.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from semcom_app.codecs import Codec, CodecOptions, make_codec
from semcom_app.images import LoadedImage, load_image, write_bytes
from semcom_app.pipeline import send_image
from semcom_app.results import ImageResult, to_json, versions
from semcom_phy.channels import make_channel
from semcom_phy.coding.transport import TurboCode
from semcom_phy.links import NumpyLink, NumpyLinkConfig

HERE = Path(__file__).parent
PHOTOS = HERE.parent / "semcom_app" / "photos"
OUT = HERE / "figures"
PRESETS = ("vcsc-8bit", "vcsc-attn-0.2", "vcsc-attn-0.4", "vcsc-4bit", "vcsc-2bit")
SEED = 1
# Read off the VCSC paper's text (Traffic Detection data set, SSIM of VCSC 8-bit).
PAPER_SSIM = {"awgn": {0: 0.18, 5: 0.75, 10: 0.78}, "rayleigh": {0: 0.10, 15: 0.75, 25: 0.78}}


def send(picture: LoadedImage, codec: Codec, channel: str, snr_db: float, fec: str) -> ImageResult:
    """One picture over one channel, seeded."""
    radio = make_channel(channel, snr_db=snr_db)
    link = NumpyLink(NumpyLinkConfig(radio, fec, TurboCode(), interleave=channel == "rayleigh", seed=SEED))
    return send_image(picture, codec, link, SEED, "cpu")


def save(figure: Figure, name: str) -> None:
    """Write a figure whole, without metadata that changes from run to run."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    write_bytes(OUT / name, buffer.getvalue())
    print("wrote", OUT / name, flush=True)


def readme_picture(codec: Codec) -> None:
    """What arrives at five SNRs with and without the turbo code."""
    picture = load_image(PHOTOS / "astronaut.png", 256)
    levels = (-5.0, -4.0, -2.0, 4.0, 10.0)
    figure = Figure(figsize=(12.4, 4.9), layout="constrained")
    axes = figure.subplots(2, len(levels) + 1)
    for row, (fec, label) in enumerate((("turbo", "turbo, rate 1/3"), ("none", "uncoded"))):
        axes[row, 0].imshow(picture.pixels)
        axes[row, 0].set_ylabel(label, fontsize=11)
        axes[row, 0].set_title("sent" if row == 0 else "", fontsize=10)
        for column, snr in enumerate(levels, start=1):
            result = send(picture, codec, "awgn", snr, fec)
            axes[row, column].imshow(result.received)
            quality = f"{result.row['psnr_db']:.1f} dB, SSIM {result.row['ssim']:.2f}"
            state = quality if result.row["delivered"] else "lost"
            axes[row, column].set_title(f"Es/N0 {snr:g} dB" if row == 0 else "", fontsize=10)
            axes[row, column].set_xlabel(state, fontsize=9)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    save(figure, "readme.png")


def preset_table(pictures: Sequence[LoadedImage]) -> list[dict[str, Any]]:
    """Every preset on every shipped photograph, error free."""
    keys = (
        "image",
        "codec",
        "payload_bits",
        "header_bits",
        "channel_uses",
        "cbr",
        "compression_rate",
        "psnr_db",
        "ssim",
    )
    rows = []
    for name in PRESETS:
        codec = make_codec(name, CodecOptions(device="cpu"))
        for picture in pictures:
            row = send(picture, codec, "awgn", 10.0, "turbo").row
            rows.append({key: row[key] for key in keys})
    return rows


def snr_curves(codec: Codec, pictures: Sequence[LoadedImage]) -> list[dict[str, Any]]:
    """Mean SSIM and PSNR against Es/N0, with and without the turbo code."""
    sweeps = {"awgn": np.arange(-6.0, 13.0, 2.0), "rayleigh": np.arange(-5.0, 31.0, 5.0)}
    points = []
    for channel, levels in sweeps.items():
        for fec in ("turbo", "none"):
            for snr in levels:
                rows = [send(p, codec, channel, float(snr), fec).row for p in pictures]
                point = {"channel": channel, "fec": fec, "snr_db": float(snr)}
                for key in ("ssim", "psnr_db", "ber_raw"):
                    point[key] = float(np.mean([r[key] for r in rows if r[key] is not None]))
                point["images_lost"] = sum(not r["delivered"] for r in rows)
                points.append(point)
                print(point, flush=True)
    return points


def plot_curves(points: Sequence[dict[str, Any]]) -> None:
    """SSIM against Es/N0 beside the points that the paper reports."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    for axis, channel in zip(figure.subplots(1, 2), ("awgn", "rayleigh"), strict=True):
        for fec, label in (("turbo", "turbo, rate 1/3, 5 iterations"), ("none", "uncoded")):
            chosen = [p for p in points if p["channel"] == channel and p["fec"] == fec]
            axis.plot([p["snr_db"] for p in chosen], [p["ssim"] for p in chosen], "o-", label=f"measured, {label}")
        paper = PAPER_SSIM[channel]
        axis.plot(list(paper), list(paper.values()), "kx", ms=8, label="paper's text (its own data, its VAE)")
        axis.set(
            xlabel="Es/N0, dB",
            ylabel="SSIM",
            ylim=(0, 1),
            title={"awgn": "AWGN", "rayleigh": "Rayleigh, 10 Hz, interleaved"}[channel],
        )
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc="lower right")
    save(figure, "vcsc_snr.png")


def main() -> int:
    """Make everything."""
    codec = make_codec("vcsc-8bit", CodecOptions(device="cpu"))
    readme_picture(codec)
    full = [load_image(PHOTOS / name) for name in ("astronaut.png", "coffee.png", "rocket.jpg")]
    presets = {"versions": versions(), "rows": preset_table(full)}
    write_bytes(OUT / "presets.json", to_json(presets).encode())
    small = [LoadedImage(p.name, np.asarray(Image.fromarray(p.pixels).resize((192, 192))), p.source_size) for p in full]
    points = snr_curves(codec, small)
    write_bytes(OUT / "vcsc_snr.json", to_json({"versions": versions(), "seed": SEED, "points": points}).encode())
    plot_curves(points)
    return 0


if __name__ == "__main__":
    sys.exit(main())
