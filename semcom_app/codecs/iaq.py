"""IAQ: patches quantized by their importance (Vision Transformer-based Semantic Communications with IAQ).

Header body, after the common header of `semcom_app.container`: a byte for the colour (its place in `COLOURS`), then
what `semcom_app.patch_header` writes (patch side; bits per sample, range or means of every block). Payload: the indices
of all samples, block after block (`semcom_app.codecs.iaq_samples`), each in natural binary with the bits of its block,
most significant bit first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semcom_app.allocation import ALLOCATORS
from semcom_app.allocation.budget import compression_ratio
from semcom_app.codecs.base import CODECS, Codec, CodecOptions
from semcom_app.codecs.iaq_config import IaqConfig, make_iaq_config
from semcom_app.codecs.iaq_error_rate import ErrorRate, measure_error_rate
from semcom_app.codecs.iaq_quantizers import check_budget, fit_quantizers, patch_header
from semcom_app.codecs.iaq_samples import (
    CHANNELS,
    COLOURS,
    Colour,
    assemble_pictures,
    bits_of_patches,
    block_samples,
    check_side,
    extract_blocks,
    fill_parts,
    header_size,
)
from semcom_app.container import Header, data_crc
from semcom_app.images import pad_to_multiple
from semcom_app.patch_header import decode_patch_header
from semcom_app.patch_quantization import PatchQuantizer
from semcom_app.patches import patch_grid
from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.links import Link

if TYPE_CHECKING:
    from semcom_app.importance import Importance

_PREFIX = "iaq-"


@CODECS.register("iaq")
class Iaq(Codec):
    """IAQ over a measure of importance; decoding needs neither that nor the configuration of the sender."""

    number = 2
    presets = (
        "iaq-ia",
        "iaq-wf",
        "iaq-mia",
        "iaq-mwf",
        "iaq-fixed",
        "iaq-topk",
        "iaq-at",
        "iaq-ast",
    )

    def __init__(self, config: IaqConfig, importance: Callable[[], Importance]) -> None:
        self.config = config
        self._load_importance = importance
        self._importance: Importance | None = None
        self._measured: ErrorRate | None = None

    @classmethod
    def from_name(cls, name: str, options: CodecOptions) -> Iaq | None:
        """See `Codec.from_name`: "iaq-" and a name of `ALLOCATORS`."""
        allocator = name.removeprefix(_PREFIX)
        if not name.startswith(_PREFIX) or allocator not in ALLOCATORS:
            return None
        threshold = {} if options.threshold is None else {"threshold": options.threshold}
        config = make_iaq_config(allocator, options.preset, {**options.iaq, **threshold})

        def load() -> Importance:
            # Torch is imported when a picture is to be encoded, not to find out that a name is wrong.
            from semcom_app.codecs.iaq_importance import importance_from

            return importance_from(config.importance, options.device)

        return cls(config, load)

    def describe(self) -> dict[str, Any]:
        """See `Codec.describe`."""
        description = {"codec": self.config.name, **asdict(self.config)}
        if self.config.threshold is not None:
            description["rho"] = None
        if not self.config.modified:
            for name in ("mu", "distortion"):
                del description[name]
        elif self._measured is not None:
            description |= {
                "mu": self.mu,
                "mu_measured": self._measured.mu,
                "pilot_bits": self._measured.bits,
                "pilot_channel_uses": self._measured.channel_uses,
            }
        return description

    @property
    def mu(self) -> float:
        """Bit flip probability that the allocation reckons with; a measured one is held within the model's limit.

        Raises ConfigurationError while it has not been measured.
        """
        if not self.config.measures_mu:
            return self.config.mu or 0.0 if self.config.modified else 0.0
        if self._measured is None:
            raise ConfigurationError(f"{self.config.name} needs the bit flip probability of the link: give --mu")
        return min(self._measured.mu, self.config.largest_mu)

    def adapt(self, link: Link) -> None:
        """See `Codec.adapt`: measure the error rate of the link, once, when it matters and was not given."""
        if self.config.measures_mu and self._measured is None:
            self._measured = measure_error_rate(link)

    def check_ready(self) -> None:
        """See `Codec.check_ready`."""
        _ = self.mu, self.importance  # both raise

    @property
    def importance(self) -> Importance:
        """The measure of importance, loaded at its first use."""
        if self._importance is None:
            self._importance = self._load_importance()
        return self._importance

    def check_size(self, height: int, width: int) -> None:
        """See `Codec.check_size`."""
        check_budget(height, width, self.config)

    def encode_body(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[bytes, NDArray[np.uint8], dict[str, NDArray[Any]], tuple[str, ...]]:
        """See `Codec.encode_body`."""
        config = self.config
        height, width = pixels.shape[:2]
        side = config.side_for(height, width)
        rows, columns = patch_grid(height, width, side)
        mu = self.mu
        importance = self.importance(pad_to_multiple(pixels, side)[None], side)
        if importance.shape != (1, rows * columns):
            raise ConfigurationError(
                f"importance {config.importance!r} gave values of shape {importance.shape} for {rows}×{columns} patches"
            )
        blocks = extract_blocks(pixels[None], side, config.colour)
        quantizer = fit_quantizers(blocks, importance, height, width, config, mu)
        notes = []
        if (height, width) != (rows * side, columns * side):
            notes.append(
                f"padded from {width}×{height} to {columns * side}×{rows * side}"
                f" for patches of {side}×{side} and cut back at the receiver"
            )
        artifacts: dict[str, NDArray[Any]] = {
            "importance": importance.reshape(rows, columns),
            "patch_bits": bits_of_patches(quantizer.bits, side, config.colour).reshape(rows, columns),
        }
        payload = quantizer.to_bits(quantizer.quantize(blocks[0]))
        return patch_header(quantizer, height, width, config), payload, artifacts, tuple(notes)

    def figures(self, header: Header) -> dict[str, Any]:
        """See `Codec.figures`: what the budget was spent on."""
        quantizer, side, colour = _parsed(header)
        bits = bits_of_patches(quantizer.bits, side, colour)
        count, samples = bits.size, CHANNELS * side**2
        return {
            "patches": count,
            "patch_bits_mean": float(bits.mean()),
            "patches_without_bits": int(np.count_nonzero(bits == 0)),
            "patch_header_bits": 8 * len(header.body),
            "rho_payload": compression_ratio(header.data_bits, count, samples),
            "rho_total": compression_ratio(header.data_bits + 8 * len(header.to_bytes()), count, samples),
        }

    def decode_body(
        self, header: Header, bits: NDArray[np.uint8], llrs: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint8], dict[str, NDArray[Any]]]:
        """See `Codec.decode_body`."""
        quantizer, side, colour = _parsed(header)
        samples = block_samples(side, colour)
        if quantizer.total_bits * samples != bits.size:
            raise FormatError(
                f"IAQ header describes {quantizer.total_bits * samples} payload bits, {bits.size} arrived"
            )
        values = self._dequantize(quantizer, samples, header, bits, llrs)
        (pixels,) = assemble_pictures(values[None], header.height, header.width, side, colour)
        rows, columns = patch_grid(header.height, header.width, side)
        return pixels, {"patch_bits": bits_of_patches(quantizer.bits, side, colour).reshape(rows, columns)}

    def _dequantize(
        self,
        quantizer: PatchQuantizer,
        samples: int,
        header: Header,
        bits: NDArray[np.uint8],
        llrs: NDArray[np.float32],
    ) -> NDArray[np.float32]:
        # Bits that match their checksum are certain, whatever the LLRs say; so are bits without LLRs.
        method = self.config.dequantize
        if method == "hard" or llrs.size != bits.size or data_crc(bits) == header.data_crc:
            return quantizer.dequantize(quantizer.from_bits(bits, samples))
        return quantizer.soft_dequantize(llrs, samples, method)


def _parsed(header: Header) -> tuple[PatchQuantizer, int, Colour]:
    """Quantizer, patch side and colour of a header. Raises FormatError for contradictions."""
    if len(header.body) < 2 or header.body[0] >= len(COLOURS) or header.body[1] == 0:
        raise FormatError("IAQ header announces no colour or no patches that are known here")
    colour, side = COLOURS[header.body[0]], header.body[1]
    try:
        check_side(side, colour)
    except ConfigurationError as error:
        raise FormatError(f"IAQ header: {error}") from None
    size = header_size(header.height, header.width, side, colour)
    quantizer, _ = decode_patch_header(header.body[1:], *size, fill_parts(colour))
    return quantizer, side, colour
