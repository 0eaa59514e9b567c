"""What ranges of the patches' own bring IAQ, beside everything else: weighted PSNR against the paper's full range.

`docs/make_iaq_results.py --groups ranges` makes the table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semcom_app.allocation import AllocationConfig, allocate, importance_weights
from semcom_app.allocation.budget import compression_ratio, header_bits
from semcom_app.codecs.iaq_config import make_iaq_config
from semcom_app.codecs.iaq_quantizers import BudgetError, fit_quantizers
from semcom_app.codecs.iaq_samples import CHANNELS, Colour, extract_blocks, importance_of_blocks
from semcom_app.experiments.iaq_accuracy import Task
from semcom_app.patch_quantization import WHITE, PatchQuantizer, patch_fill, patch_ranges

#: Ranges of the patches' own with zero-bit patches and a short header, nothing else beyond the paper.
RANGES_ALONE = MappingProxyType(
    {"ranges": "patch", "minimum": 0, "fill": "channel-means", "value_bits": 5, "header": "coded"}
)


def run_range_gains(task: Task, bits_per_sample: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Gains in weighted PSNR, means and quartiles over the pictures, dB; a row for each Σ M_i/N of `bits_per_sample`.

    At equal bits of payload, no header counted, M_min 0, patches without bits at their mean: "same" with the very bits
    of the full range; "allocated" with bits that know the ranges; "planes" with bits and a range for each colour of a
    patch (`--colour rgb-planes`). With everything counted, against the paper's settings (M_min 1) within what those
    take, eq. (12): "counted" and "counted_planes" send `RANGES_ALONE`. None where that is less than they need.
    """
    for bits in bits_per_sample:
        pictures = zip(task.pictures, task.importance, strict=True)
        found = [range_gains(PatchedPicture(*picture, task.side), bits) for picture in pictures]
        yield {
            "task": task.name,
            "bits_per_sample": bits,
            "pictures": len(found),
            **summarized_gains(found),
        }


class PatchedPicture:
    """A picture, uint8 (H, W, 3), the importance of its patches, (N,), their side; the error of what becomes of it."""

    def __init__(self, pixels: NDArray[np.uint8], importance: NDArray[np.float64], side: int) -> None:
        self.pixels, self.importance, self.side = pixels, importance, side
        self.patches, self.samples = importance.size, CHANNELS * side**2
        self._weights = importance_weights(self.importance)

    def blocks(self, colour: Colour) -> NDArray[np.uint8]:
        """Its blocks, (n, K)."""
        return extract_blocks(self.pixels[None], self.side, colour)[0]

    def error(self, quantizer: PatchQuantizer, colour: Colour) -> float:
        """Σ w_i · mean squared error of patch i, before values are rounded to pixels; colours are not converted."""
        assert colour in ("rgb", "rgb-planes")
        blocks = self.blocks(colour)
        values = quantizer.dequantize(quantizer.quantize(blocks))
        errors = np.mean((values - blocks.astype(np.float64)) ** 2, axis=1)
        return float(self._weights @ errors.reshape(-1, self.patches).mean(axis=0))


def range_gains(picture: PatchedPicture, bits: int) -> dict[str, float | None]:
    """Gains of `run_range_gains` of one picture, dB."""
    config = AllocationConfig(minimum=0)
    blind = allocate("ia", picture.importance, bits * picture.patches, config)
    full = picture.error(_quantizer(picture, "rgb", blind, own=False), "rgb")
    own = {
        "same": picture.error(_quantizer(picture, "rgb", blind), "rgb"),
        "allocated": picture.error(_quantizer(picture, "rgb", _allocated(picture, "rgb", bits)), "rgb"),
        "planes": picture.error(
            _quantizer(picture, "rgb-planes", _allocated(picture, "rgb-planes", bits)), "rgb-planes"
        ),
    }
    gains: dict[str, float | None] = {name: _decibels(full, error) for name, error in own.items()}
    papers = _paid_error(picture, "rgb", bits, {})
    assert papers is not None, "eq. (12) and the bits are what the paper's settings take"
    sent: tuple[tuple[str, Colour], ...] = (("counted", "rgb"), ("counted_planes", "rgb-planes"))
    for name, colour in sent:
        error = _paid_error(picture, colour, bits, RANGES_ALONE)
        gains[name] = None if error is None else _decibels(papers, error)
    return gains


def _allocated(picture: PatchedPicture, colour: Colour, bits: int) -> NDArray[np.uint8]:
    """Bits of blocks, by importance and range."""
    low, high = patch_ranges(picture.blocks(colour), "patch")
    importance = importance_of_blocks(picture.importance[None], colour)[0]
    spread = (high.astype(np.float64) - low) / WHITE
    return allocate("ia", importance, bits * importance.size, AllocationConfig(minimum=0), spread)


def _quantizer(picture: PatchedPicture, colour: Colour, bits: NDArray[np.uint8], own: bool = True) -> PatchQuantizer:
    blocks = picture.blocks(colour)
    return PatchQuantizer(bits, *patch_ranges(blocks, "patch" if own else "full"), patch_fill(blocks, "mean"))


def _paid_error(picture: PatchedPicture, colour: Colour, bits: int, settings: Mapping[str, Any]) -> float | None:
    """Error of the codec within B_add + Σ M_i·K bits; None where the settings need more."""
    patches, samples = picture.patches, picture.samples
    rho = compression_ratio(header_bits(patches) + bits * patches * samples, patches, samples)
    config = make_iaq_config("ia", "paper", {"rho": rho, "patch": picture.side, "colour": colour, **settings})
    height, width, _ = picture.pixels.shape
    try:
        quantizer = fit_quantizers(picture.blocks(colour)[None], picture.importance[None], height, width, config)
    except BudgetError:
        return None
    return picture.error(quantizer, colour)


def _decibels(before: float, after: float) -> float:
    return 10.0 * float(np.log10(before / after))


def summarized_gains(found: Sequence[Mapping[str, float | None]]) -> dict[str, dict[str, Any] | None]:
    """Gains of several pictures → mean and quartiles of each kind; None where a picture has none."""
    summary: dict[str, dict[str, Any] | None] = {}
    for name in found[0]:
        values = [gains[name] for gains in found]
        if None in values:
            summary[name] = None
            continue
        numbers = np.array(values, np.float64)
        low, middle, high = (float(q) for q in np.percentile(numbers, (25, 50, 75)))
        summary[name] = {"mean_db": float(numbers.mean()), "quartiles_db": [low, middle, high]}
    return summary
