"""Tables of docs/iaq-allocation.md and docs/iaq.md: python docs/make_iaq_tables.py [--check] [FOLDER OF PICTURES]

Each table stands between ``<!-- iaq NAME -->`` and ``<!-- end -->`` and is computed here, from the three photographs
that the package ships. With --check nothing is written; exit code 1 if a table is not what was computed. With a folder
the tables of its first forty pictures are printed, and the pages left alone.

Importance is a stand-in that needs no model: the mean gradient of each patch, more in the middle of the picture; for
the table of the colours the contrast of each patch.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from semcom_app.allocation import AllocationConfig, allocate, importance_weights, make_distortion
from semcom_app.allocation.budget import compression_ratio, target_bits
from semcom_app.codecs.iaq_config import make_iaq_config
from semcom_app.codecs.iaq_quantizers import BudgetError, fit_quantizers
from semcom_app.codecs.iaq_samples import COLOURS, assemble_pictures, extract_blocks
from semcom_app.experiments.iaq_ranges import PatchedPicture, range_gains
from semcom_app.images import find_images, load_image, write_bytes
from semcom_app.markdown import markdown_table
from semcom_app.patch_header import encode_patch_header, fill_budget
from semcom_app.patch_quantization import Fill, PatchQuantizer, Ranges, patch_fill, patch_ranges
from semcom_app.patches import extract_patches
from semcom_phy.errors import ConfigurationError

HERE: Final = Path(__file__).parent
_TABLE: Final = re.compile(r"<!-- iaq (\w+) -->\n.*?<!-- end -->", re.DOTALL)
SIZE, SIDE = 224, 16
RANDOM_IMAGES = 200
SAMPLES, PATCHES = 3 * SIDE**2, (SIZE // SIDE) ** 2
RATIOS = (0.0625, 0.125, 0.1875, 0.25, 0.375, 0.5)
MUS = (0.001, 0.01, 0.05, 0.1, 0.2)
VARIANTS: dict[str, tuple[int, Ranges, Fill, bool]] = {
    "paper: M 1 to 8, full range": (1, "full", "mid-range", False),
    "+ coded header": (1, "full", "mid-range", True),
    "+ M from 0": (0, "full", "mid-range", True),
    "+ ranges of their own, one mean": (0, "patch", "mean", True),
    "+ a mean per channel": (0, "patch", "channel-means", True),
}
COLOUR_RATIOS = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4)
COLOUR_SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "paper": ("paper", {}),
    "paper, `--colour ycbcr420`": ("paper", {"colour": "ycbcr420"}),
    **{f"improved, `{colour}`": ("improved", {"colour": colour}) for colour in COLOURS},
}

Picture = tuple[str, NDArray[np.uint8]]


def stand_in_importance(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Importance of each patch, (N,)."""
    grey = pixels.astype(float).mean(axis=2)
    gradient = np.hypot(*np.gradient(grey))
    rows, columns = grey.shape[0] // SIDE, grey.shape[1] // SIDE
    energy = gradient.reshape(rows, SIDE, columns, SIDE).mean(axis=(1, 3))
    y, x = np.mgrid[:rows, :columns]
    return (energy * np.exp(-((y - (rows - 1) / 2) ** 2 + (x - (columns - 1) / 2) ** 2) / 30)).reshape(-1)


def contrast(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Standard deviation of the grey values of each patch, (N,)."""
    grey = pixels.astype(float).mean(axis=2, keepdims=True)
    deviations: NDArray[np.float64] = extract_patches(np.rint(grey).astype(np.uint8), SIDE).std(axis=1)
    return deviations


def weighted_psnr(values: NDArray[np.generic], wanted: NDArray[np.uint8], weights: NDArray[np.float64]) -> float:
    """PSNR of the weighted mean squared error of patches (N, K) with weights (N,), dB."""
    errors = ((values.astype(float) - wanted) ** 2).mean(axis=1)
    return 10 * float(np.log10(255**2 * weights.sum() / (weights * errors).sum()))


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
        return weighted_psnr(values, self.patches, self.weights)

    def received(self, mu: float, rng: np.random.Generator) -> tuple[float, float, float]:
        """Weighted PSNR of hard values, and of soft ones with a uniform and an estimated prior."""
        bits = self.payload ^ (rng.random(self.payload.size) < mu)
        llrs = (2.0 * bits - 1.0) * np.log((1.0 - mu) / mu)
        hard = self.quantizer.dequantize(self.quantizer.from_bits(bits, SAMPLES))
        soft = [self.quantizer.soft_dequantize(llrs, SAMPLES, prior) for prior in ("uniform", "estimated")]
        return self.weighted_psnr(hard), self.weighted_psnr(soft[0]), self.weighted_psnr(soft[1])


def signed(value: float, digits: int) -> str:
    """A number with its sign; what rounds to zero is positive on every processor."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


def error_free(pictures: list[Picture]) -> str:
    """Weighted PSNR and header of the variants against ρ."""
    rows = []
    for variant in VARIANTS:
        row = [variant]
        for ratio in RATIOS:
            try:
                sent = [Sent(pixels, variant, ratio) for _, pixels in pictures]
            except ConfigurationError:
                row.append("–")
                continue
            psnr = [s.weighted_psnr(s.quantizer.dequantize(s.quantizer.quantize(s.patches))) for s in sent]
            assert all(s.ratio <= ratio for s in sent)
            row.append(f"{np.mean(psnr):.2f} ({np.mean([s.header_bits for s in sent]):.0f})")
        rows.append(row)
    return markdown_table(["weighted PSNR in dB (header bits)", *(f"ρ = {ratio:g}" for ratio in RATIOS)], rows)


def under_errors(pictures: list[Picture]) -> str:
    """Hard and soft values at ρ = 0.25 over a binary symmetric channel, the header intact."""
    rows = []
    for variant in ("+ M from 0", "+ a mean per channel"):
        sent = [Sent(pixels, variant, 0.25) for _, pixels in pictures]
        for mu in MUS:
            rng = np.random.default_rng(0)
            figures = np.mean([s.received(mu, rng) for s in sent], axis=0)
            rows.append([variant.lstrip("+ "), f"{mu:g}", *(f"{figure:.2f}" for figure in figures)])
    return markdown_table(["quantizer", "μ", "hard, dB", "soft, uniform prior", "soft, estimated prior"], rows)


def modified(_pictures: list[Picture]) -> str:
    """Exact weighted error of the μ-blind and the modified allocation, and the shift of bits; random importance."""
    importance = np.random.default_rng(0).dirichlet(np.full(PATCHES, 0.35), size=RANDOM_IMAGES)
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
            row.append(signed(float(10 * np.log10(ratio).mean()), 3))
        rows.append(row)
    return markdown_table(
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


def adjusting(_pictures: list[Picture]) -> str:
    """Distortion after the two orders of the adjusting step, above the optimum; random importance and budgets."""
    rng = np.random.default_rng(1)
    importance = rng.dirichlet(np.full(PATCHES, 0.35), size=2 * RANDOM_IMAGES)
    total = rng.integers(round(1.2 * PATCHES), 6 * PATCHES, 2 * RANDOM_IMAGES)
    weights, rows = importance_weights(importance), []
    for name, best, mu in (("wf", "ia", 0.0), ("mwf", "mia", 0.01), ("mwf", "mia", 0.1)):
        model = make_distortion("one-flip", mu)
        optimum = (weights * model.value(allocate(best, importance, total, AllocationConfig(mu=mu)))).sum(axis=1)
        for where in ("paper", "exact"):
            bits = allocate(name, importance, total, AllocationConfig(mu=mu, order=where))
            excess = 100 * ((weights * model.value(bits)).sum(axis=1) / optimum - 1)
            rows.append([name, f"{mu:g}", where, f"{excess.mean():.2f} %", f"{excess.max():.2f} %"])
    return markdown_table(["method", "μ", "order", "mean excess", "worst"], rows)


def own_ranges(pictures: list[Picture]) -> str:
    """Gain by ranges of their own at equal Σ M_i, 2 a sample, headers left out (`run_range_gains`)."""
    names, rows = [], []
    for name, pixels in pictures:
        patches, importance = extract_patches(pixels, SIDE), stand_in_importance(pixels)
        low, high = patch_ranges(patches, "patch")
        gains = range_gains(PatchedPicture(pixels, importance, SIDE), 2)
        mean_range = np.average((high.astype(float) - low) / 255, weights=importance_weights(importance))
        names.append(name)
        rows.append([float(mean_range), *(float(gains[kind] or 0.0) for kind in ("same", "allocated", "planes"))])
    names.append("mean")
    rows.append(list(np.mean(rows, axis=0)))
    return markdown_table(
        ["picture", "weighted mean range / 255", "same bits, dB", "bits by the ranges, too, dB", "each colour, dB"],
        [
            [name, f"{row[0]:.2f}", *(signed(gain, 2) for gain in row[1:])]
            for name, row in zip(names, rows, strict=True)
        ],
    )


def colours(pictures: list[Picture]) -> str:
    """Weighted PSNR of the whole codec `iaq-ia`, in the picture that arrives, against ρ; everything counted."""
    rows = []
    for name, (preset, settings) in COLOUR_SETTINGS.items():
        row = [name]
        for ratio in COLOUR_RATIOS:
            config = make_iaq_config("ia", preset, {"rho": ratio, "patch": SIDE, **settings})
            psnr = []
            for _, pixels in pictures:
                importance = contrast(pixels)
                blocks = extract_blocks(pixels[None], SIDE, config.colour)
                try:
                    quantizer = fit_quantizers(blocks, importance[None], SIZE, SIZE, config)
                except BudgetError:
                    break
                values = quantizer.dequantize(quantizer.quantize(blocks[0]))
                (received,) = assemble_pictures(values[None], SIZE, SIZE, SIDE, config.colour)
                arrived, wanted = extract_patches(received, SIDE), extract_patches(pixels, SIDE)
                psnr.append(weighted_psnr(arrived, wanted, importance_weights(importance)))
            row.append(f"{np.mean(psnr):.2f}" if len(psnr) == len(pictures) else "–")
        rows.append(row)
    return markdown_table(["settings", *(f"ρ = {ratio:g}" for ratio in COLOUR_RATIOS)], rows)


TABLES: Final[dict[str, Callable[[list[Picture]], str]]] = {
    "adjusting": adjusting,
    "modified": modified,
    "quantizers": error_free,
    "ranges": own_ranges,
    "errors": under_errors,
    "colours": colours,
}


def load_pictures(folder: Path) -> list[Picture]:
    """Names and pixels of the first forty pictures of a folder."""
    return [(path.stem, load_image(path, SIZE).pixels) for path in find_images([folder])[:40]]


def fill_pages(check: bool) -> int:
    """Put the tables into the pages, or only compare; 1 if that found a stale one."""
    pictures = load_pictures(HERE.parent / "semcom_app" / "photos")
    tables = {name: make(pictures) for name, make in TABLES.items()}
    found: set[str] = set()
    stale = []

    def table(match: re.Match[str]) -> str:
        if match[1] not in tables:
            raise SystemExit(f"there is no table {match[1]!r}; known: {', '.join(tables)}")
        found.add(match[1])
        return f"<!-- iaq {match[1]} -->\n{tables[match[1]]}\n<!-- end -->"

    for page in sorted(HERE.glob("*.md")):
        text = page.read_text()
        new = _TABLE.sub(table, text)
        if new != text:
            stale.append(page.name)
            if not check:
                write_bytes(page, new.encode())
    if missing := tables.keys() - found:
        raise SystemExit(f"no page has a place for the table {min(missing)!r}")
    if stale:
        print(f"{'not up to date' if check else 'written'}: {', '.join(stale)}")
    return int(check and bool(stale))


def main(arguments: list[str]) -> int:
    """Fill in or check the pages, or print the tables of other pictures."""
    if not arguments or arguments == ["--check"]:
        return fill_pages(check=bool(arguments))
    pictures = load_pictures(Path(arguments[0]))
    print(f"{len(pictures)} pictures")
    for name, make in TABLES.items():
        print(f"\n{name}\n\n{make(pictures)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
