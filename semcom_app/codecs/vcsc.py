"""VCSC: autoencoder latents, quantized uniformly or by attention (Vision-Centered Semantic Communication).

Header body, after the common header of `semcom_app.container` (big endian):

    u32 fingerprint of the autoencoder's weights
    u8 latent channels · u8 pixels per latent position and side
    u8 bits of important locations · u8 bits of the others (0: uniform, no mask)
    f32 z_min, z_max of the important locations (of the whole latent when uniform)
    attention only: f32 z_min, z_max of the others, then the mask, arithmetic coded, to the end

Payload: indices in row-major (C, h, w) order, natural binary, most significant bit first; each index has
as many bits as the mask gives its location.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from semcom_app.codecs.base import CODECS, Codec, CodecOptions
from semcom_app.container import Header
from semcom_app.entropy import decode_mask, encode_mask
from semcom_app.images import pad_to_multiple
from semcom_app.quantization import (
    MAX_BITS,
    UniformQuantizer,
    attention_map,
    attention_mask,
    bits_to_indices,
    indices_to_bits,
)
from semcom_phy.errors import ConfigurationError, FormatError

if TYPE_CHECKING:
    from semcom_app.models.autoencoders import Autoencoder

_BODY = struct.Struct(">IBBBBff")
_LOW_RANGE = struct.Struct(">ff")
_NAME = re.compile(r"vcsc(?:-(?P<bits>[0-9]{1,3})bit|-attn-(?P<threshold>[0-9]{0,3}\.?[0-9]{1,9}))?")


@dataclass(frozen=True)
class VcscConfig:
    """Configuration of VCSC.

    bits: bits per latent value, of important locations if there is a threshold.
    threshold: attention threshold T; None quantizes the whole latent alike.
    low_bits: bits per latent value of the other locations.
    sample: draw the latent from the posterior (eq. 2) instead of taking its mode.
    seed: of that draw.
    """

    bits: int = 8
    threshold: float | None = None
    low_bits: int = 4
    sample: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (("bits", self.bits), ("low_bits", self.low_bits)):
            if not 1 <= value <= MAX_BITS:
                raise ConfigurationError(f"{name} per latent must be 1…{MAX_BITS}, not {value}")
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise ConfigurationError(f"attention threshold must lie in [0, 1], not {self.threshold}")

    @property
    def name(self) -> str:
        """Canonical preset name, "vcsc-8bit" or "vcsc-attn-0.2"."""
        return f"vcsc-{self.bits}bit" if self.threshold is None else f"vcsc-attn-{self.threshold:g}"


@CODECS.register("vcsc")
class Vcsc(Codec):
    """VCSC over a given autoencoder; decoding needs the autoencoder only, never the configuration."""

    number = 1
    presets = ("vcsc-8bit", "vcsc-4bit", "vcsc-2bit", "vcsc-attn-0.2", "vcsc-attn-0.4")

    def __init__(self, config: VcscConfig, autoencoder: Autoencoder | Callable[[], Autoencoder]) -> None:
        self.config = config
        self._autoencoder = autoencoder

    @classmethod
    def from_name(cls, name: str, options: CodecOptions) -> Vcsc | None:
        """See `Codec.from_name`: "vcsc", "vcsc-<b>bit" or "vcsc-attn-<T>" (b 1 to 8, any T)."""
        match = _NAME.fullmatch(name)
        if match is None:
            return None
        bits = int(match["bits"]) if match["bits"] else VcscConfig.bits
        threshold = float(match["threshold"]) if match["threshold"] else None
        config = VcscConfig(
            bits=bits if options.bits is None else options.bits,
            threshold=threshold if options.threshold is None else options.threshold,
            low_bits=VcscConfig.low_bits if options.low_bits is None else options.low_bits,
            sample=options.sample,
            seed=options.seed,
        )

        def load() -> Autoencoder:
            # Torch is imported when a picture is to be encoded or decoded, not to find out that a name is wrong.
            from semcom_app.models.autoencoders import load_autoencoder

            return load_autoencoder(options.vae, options.device)

        return cls(config, load)

    @property
    def autoencoder(self) -> Autoencoder:
        """The autoencoder, loaded at its first use."""
        if callable(self._autoencoder):
            self._autoencoder = self._autoencoder()
        return self._autoencoder

    def describe(self) -> dict[str, Any]:
        """See `Codec.describe`."""
        description: dict[str, Any] = {
            "codec": self.config.name,
            "vae": self.autoencoder.name,
            "bits": self.config.bits,
            "sample_posterior": self.config.sample,
        }
        if self.config.threshold is not None:
            description |= {"threshold": self.config.threshold, "low_bits": self.config.low_bits}
        return description

    def encode_body(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[bytes, NDArray[np.uint8], dict[str, NDArray[Any]], tuple[str, ...]]:
        """See `Codec.encode_body`."""
        autoencoder = self.autoencoder
        padded = pad_to_multiple(pixels, autoencoder.factor)
        notes = []
        if padded.shape != pixels.shape:
            notes.append(
                f"padded from {pixels.shape[1]}×{pixels.shape[0]} to {padded.shape[1]}×{padded.shape[0]}"
                " for the autoencoder and cut back at the receiver"
            )
        z = autoencoder.encode(padded, self.config.seed if self.config.sample else None)
        if not np.isfinite(z).all():
            raise ConfigurationError(f"autoencoder {autoencoder.name!r} gave a latent that is not finite")
        body, bits, mask = self.quantize(z)
        artifacts: dict[str, NDArray[Any]] = {"latent": z, "attention": attention_map(z)}
        if mask is not None:
            artifacts["mask"] = mask
        return body, bits, artifacts, tuple(notes)

    def quantize(self, z: NDArray[np.float32]) -> tuple[bytes, NDArray[np.uint8], NDArray[np.bool_] | None]:
        """Latent (C, h, w) → header body, payload bits, mask (h, w) (None when uniform)."""
        config, autoencoder = self.config, self.autoencoder
        mask = None if config.threshold is None else attention_mask(z, config.threshold)
        important = np.ones(z.shape[1:], bool) if mask is None else mask
        high = UniformQuantizer.fit(z[:, important], config.bits)
        body = _BODY.pack(
            autoencoder.fingerprint,
            z.shape[0],
            autoencoder.factor,
            high.bits,
            0 if mask is None else config.low_bits,
            high.z_min,
            high.z_max,
        )
        if mask is None:
            return body, indices_to_bits(high.quantize(z), high.bits), None
        low = UniformQuantizer.fit(z[:, ~important], config.low_bits)
        body += _LOW_RANGE.pack(low.z_min, low.z_max) + encode_mask(mask)
        bits = np.empty(_payload_bits(important, z.shape[0], high.bits, low.bits), np.uint8)
        is_high_bit = _high_bits(important, z.shape[0], high.bits, low.bits)
        bits[is_high_bit] = indices_to_bits(high.quantize(z[:, important]), high.bits)
        bits[~is_high_bit] = indices_to_bits(low.quantize(z[:, ~important]), low.bits)
        return body, bits, mask

    def dequantize(
        self, header: Header, bits: NDArray[np.uint8]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_] | None]:
        """Header and received bits → latent (C, h, w) float32 and mask (eqs. 14 and 15).

        Raises FormatError when the header contradicts itself, the bits or this receiver's autoencoder.
        """
        body = header.body
        if len(body) < _BODY.size:
            raise FormatError(f"VCSC header of {len(body)} bytes is too short")
        fingerprint, channels, factor, high_bits, low_bits, z_min, z_max = _BODY.unpack_from(body)
        autoencoder = self.autoencoder
        if fingerprint != autoencoder.fingerprint:
            raise FormatError(
                f"the sender's autoencoder has fingerprint {fingerprint:08x}, this receiver's {autoencoder.name!r}"
                f" has {autoencoder.fingerprint:08x}: give the sender's with --vae"
            )
        if channels != autoencoder.channels or factor != autoencoder.factor:
            raise FormatError("VCSC header announces a latent of another shape than its autoencoder makes")
        if low_bits > MAX_BITS:
            raise FormatError(f"VCSC header announces {low_bits} bits per value")
        shape = (channels, -(-header.height // factor), -(-header.width // factor))
        try:
            high = UniformQuantizer(high_bits, z_min, z_max)
            if low_bits == 0:
                _expect_bits(bits, high_bits * shape[0] * shape[1] * shape[2])
                return high.dequantize(bits_to_indices(bits, high_bits)).reshape(shape), None
            if len(body) < _BODY.size + _LOW_RANGE.size:
                raise FormatError("VCSC header ends before the second range")
            low = UniformQuantizer(low_bits, *_LOW_RANGE.unpack_from(body, _BODY.size))
        except ConfigurationError as error:
            raise FormatError(f"VCSC header: {error}") from None
        mask = decode_mask(body[_BODY.size + _LOW_RANGE.size :], shape[1:])
        _expect_bits(bits, _payload_bits(mask, channels, high_bits, low_bits))
        is_high_bit = _high_bits(mask, channels, high_bits, low_bits)
        z = np.empty(shape, np.float32)
        z[:, mask] = high.dequantize(bits_to_indices(bits[is_high_bit], high_bits)).reshape(channels, -1)
        z[:, ~mask] = low.dequantize(bits_to_indices(bits[~is_high_bit], low_bits)).reshape(channels, -1)
        return z, mask

    def decode_body(
        self, header: Header, bits: NDArray[np.uint8], llrs: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint8], dict[str, NDArray[Any]]]:
        """See `Codec.decode_body`."""
        z, mask = self.dequantize(header, bits)
        pixels = self.autoencoder.decode(z)[: header.height, : header.width]
        artifacts: dict[str, NDArray[Any]] = {"latent": z}
        if mask is not None:
            artifacts["mask"] = mask
        return pixels, artifacts


def _payload_bits(mask: NDArray[np.bool_], channels: int, high_bits: int, low_bits: int) -> int:
    important = int(np.count_nonzero(mask))
    return channels * (important * high_bits + (mask.size - important) * low_bits)


def _high_bits(mask: NDArray[np.bool_], channels: int, high_bits: int, low_bits: int) -> NDArray[np.bool_]:
    """For each payload bit, whether it belongs to an important location (row-major C, h, w order)."""
    flat = mask.reshape(-1)
    return np.tile(np.repeat(flat, np.where(flat, high_bits, low_bits)), channels)


def _expect_bits(bits: NDArray[np.uint8], expected: int) -> None:
    if bits.size != expected:
        raise FormatError(f"VCSC header describes {expected} payload bits, {bits.size} arrived")
