"""Tables of docs/iaq-allocation.md, as Markdown on standard output: python docs/make_iaq_tables.py [FOLDER OF PICTURES]

Importance is a stand-in that needs no model: the mean gradient of each patch, more in the middle of the picture.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from semcom_app.allocation import AllocationConfig, allocate, importance_weights, make_distortion
from semcom_app.allocation.budget import compression_ratio, target_bits
from semcom_app.images import find_images, load_image
from semcom_app.patch_header import encode_patch_header, fill_budget
from semcom_app.patch_quantization import PatchQuantizer, patch_fill, patch_ranges
from semcom_app.patches import extract_patches
from semcom_phy.errors import ConfigurationError

SIZE, SIDE = 224, 16
SAMPLES, PATCHES = 3 * SIDE**2, (SIZE // SIDE) ** 2
RATIOS = (0.0625, 0.125, 0.1875, 0.25, 0.375, 0.5)
MUS = (0.001, 0.01, 0.05, 0.1, 0.2)
VARIANTS = {
    "paper: M 1 to 8, full range": (1, "full", "mid-range", False),
    "+ coded header": (1, "full", "mid-range", True),
    "+ M from 0": (0, "full", "mid-range", True),
    "+ ranges of their own, one mean": (0, "patch", "mean", True),
    "+ a mean per channel": (0, "patch", "channel-means", True),
}


def stand_in_importance(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Importance of each patch, (N,)."""
    grey = pixels.astype(float).mean(axis=2)
    gradient = np.hypot(*np.gradient(grey))
    rows, columns = grey.shape[0] // SIDE, grey.shape[1] // SIDE
    energy = gradient.reshape(rows, SIDE, columns, SIDE).mean(axis=(1, 3))
    y, x = np.mgrid[:rows, :columns]
    return (energy * np.exp(-((y - (rows - 1) / 2) ** 2 + (x - (columns - 1) / 2) ** 2) / 30)).reshape(-1)


class Sent:
    """One picture under one variant at one ratio: quantizer, header, payload."""

    def __init__(self, pixels: NDArray[np.uint8], variant: str, ratio: float) -> None:
        minimum, ranges, fill, coded = VARIANTS[variant]
        self.patches, importance = extract_patches(pixels, SIDE), stand_in_importance(pixels)
        self.weights = importance_weights(importance)
        low, high = patch_ranges(self.patches, ranges)
        means = patch_fill(self.patches, fill)
        config = AllocationConfig(minimum=minimum)
        spread = (high.astype(float) - low) / 255 if ranges == "patch" else None

        def header(bits: NDArray[np.uint8]) -> bytes:
            quantizer = PatchQuantizer(bits, low, high, means)
            return encode_patch_header(quantizer, SIZE, SIZE, SIDE, own_ranges=ranges == "patch", coded=coded)

        bits = fill_budget(
            target_bits(ratio, PATCHES, SAMPLES),
            SAMPLES,
            PATCHES * minimum,
            PATCHES * 8,
            lambda total: allocate("ia", importance, total, config, spread),
            lambda bits: 8 * len(header(bits)),
        )
        self.quantizer = PatchQuantizer(bits, low, high, means)
        self.header_bits = 8 * len(header(bits))
        self.payload = self.quantizer.to_bits(self.quantizer.quantize(self.patches))
        self.ratio = compression_ratio(self.header_bits + self.payload.size, PATCHES, SAMPLES)

    def weighted_psnr(self, values: NDArray[np.floating]) -> float:
        """PSNR of the weighted mean squared error, dB."""
        errors = ((values - self.patches.astype(float)) ** 2).mean(axis=1)
        return 10 * float(np.log10(255**2 * self.weights.sum() / (self.weights * errors).sum()))

    def received(self, mu: float, rng: np.random.Generator) -> tuple[float, float, float]:
        """Weighted PSNR of hard values, and of soft ones with a uniform and an estimated prior."""
        bits = self.payload ^ (rng.random(self.payload.size) < mu)
        llrs = (2.0 * bits - 1.0) * np.log((1.0 - mu) / mu)
        hard = self.quantizer.dequantize(self.quantizer.from_bits(bits, SAMPLES))
        soft = [self.quantizer.soft_dequantize(llrs, SAMPLES, prior) for prior in ("uniform", "estimated")]
        return self.weighted_psnr(hard), self.weighted_psnr(soft[0]), self.weighted_psnr(soft[1])


def print_rows(head: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table."""
    print("\n| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def error_free(pictures: list[NDArray[np.uint8]]) -> None:
    """Weighted PSNR and header of the variants against ρ."""
    rows = []
    for variant in VARIANTS:
        row = [variant]
        for ratio in RATIOS:
            try:
                sent = [Sent(pixels, variant, ratio) for pixels in pictures]
            except ConfigurationError:
                row.append("–")
                continue
            psnr = [s.weighted_psnr(s.quantizer.dequantize(s.quantizer.quantize(s.patches))) for s in sent]
            assert all(s.ratio <= ratio for s in sent)
            row.append(f"{np.mean(psnr):.2f} ({np.mean([s.header_bits for s in sent]):.0f})")
        rows.append(row)
    print_rows(["weighted PSNR in dB (header bits)", *(f"ρ = {ratio:g}" for ratio in RATIOS)], rows)


def under_errors(pictures: list[NDArray[np.uint8]]) -> None:
    """Hard and soft values at ρ = 0.25 over a binary symmetric channel, the header intact."""
    rows = []
    for variant in ("+ M from 0", "+ a mean per channel"):
        sent = [Sent(pixels, variant, 0.25) for pixels in pictures]
        for mu in MUS:
            rng = np.random.default_rng(0)
            figures = np.mean([s.received(mu, rng) for s in sent], axis=0)
            rows.append([variant.lstrip("+ "), f"{mu:g}", *(f"{figure:.2f}" for figure in figures)])
    print_rows(["quantizer", "μ", "hard, dB", "soft, uniform prior", "soft, estimated prior"], rows)


def modified(images: int = 200) -> None:
    """Exact weighted error of the μ-blind and the modified allocation, and the shift of bits; random importance."""
    importance = np.random.default_rng(0).dirichlet(np.full(PATCHES, 0.35), size=images)
    weights = importance_weights(importance)
    order = np.argsort(-importance, axis=1)
    plain = AllocationConfig()
    blind = allocate("ia", importance, 2 * PATCHES, plain)
    rows = []
    for mu in MUS:
        bits = allocate("mia", importance, 2 * PATCHES, replace(plain, mu=mu))
        sorted_bits = np.take_along_axis(bits, order, axis=1)
        row = [f"{mu:g}", f"{sorted_bits[:, :40].mean():.2f}", f"{sorted_bits[:, 96:].mean():.2f}"]
        for name in ("one-flip", "all-flips", "posterior-mean"):
            model = make_distortion(name, mu)
            ratio = (weights * model.value(bits)).sum(axis=1) / (weights * model.value(blind)).sum(axis=1)
            row.append(f"{10 * np.log10(ratio).mean():+.3f}")
        rows.append(row)
    print_rows(
        [
            "μ",
            "bits, top 40",
            "bits, bottom 100",
            "paper's bound, dB",
            "hard decisions, exact, dB",
            "posterior mean, dB",
        ],
        rows,
    )


def adjusting(images: int = 400) -> None:
    """Distortion after the two orders of the adjusting step, above the optimum; random importance and budgets."""
    rng = np.random.default_rng(1)
    importance = rng.dirichlet(np.full(PATCHES, 0.35), size=images)
    total = rng.integers(round(1.2 * PATCHES), 6 * PATCHES, images)
    weights, rows = importance_weights(importance), []
    for name, best, mu in (("wf", "ia", 0.0), ("mwf", "mia", 0.01), ("mwf", "mia", 0.1)):
        model = make_distortion("one-flip", mu)
        optimum = (weights * model.value(allocate(best, importance, total, AllocationConfig(mu=mu)))).sum(axis=1)
        for where in ("paper", "exact"):
            bits = allocate(name, importance, total, AllocationConfig(mu=mu, order=where))
            excess = 100 * ((weights * model.value(bits)).sum(axis=1) / optimum - 1)
            rows.append([name, f"{mu:g}", where, f"{excess.mean():.2f} %", f"{excess.max():.2f} %"])
    print_rows(["method", "μ", "order", "mean excess", "worst"], rows)


def main() -> None:
    """Print all tables."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "semcom_app" / "photos"
    pictures = [load_image(path, SIZE).pixels for path in find_images([folder])[:40]]
    print(f"{len(pictures)} pictures")
    adjusting()
    modified()
    error_free(pictures)
    under_errors(pictures)


if __name__ == "__main__":
    main()
