"""What every codec is: pictures into (header body, bits) and back from received bits alone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from semcom_app.container import Header, data_crc
from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.links import Link
from semcom_phy.registry import Registry, nearest


@dataclass(frozen=True)
class Encoded:
    """A picture ready for a link.

    `header`: bytes to be protected. `bits`: payload, uint8 (n,). `artifacts`: arrays worth showing in
    a report (latent, mask …); the receiver never sees them. `notes`: what was done to the picture. `figures`:
    what the codec adds to the picture's entry in result.json.
    """

    header: bytes
    bits: NDArray[np.uint8]
    artifacts: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Decoded:
    """A received picture, uint8 (H, W, 3); `intact` tells whether the payload matched its CRC."""

    pixels: NDArray[np.uint8]
    intact: bool
    artifacts: Mapping[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True)
class CodecOptions:
    """What a caller may ask of a codec beside its name; a codec ignores what does not concern it.

    vae: autoencoder (weights name, hub id or folder). device: torch device. bits, low_bits, threshold:
    override what the codec's name says. sample: draw latents from the posterior. seed: of that draw. preset, iaq:
    name of a preset of IAQ, and settings that differ from it (`semcom_app.codecs.iaq_config`).
    """

    vae: str = "compact"
    device: str = "auto"
    bits: int | None = None
    low_bits: int | None = None
    threshold: float | None = None
    sample: bool = False
    seed: int = 0
    preset: str = "paper"
    iaq: Mapping[str, Any] = field(default_factory=dict)


class Codec(ABC):
    """One way of turning pictures into bits. Subclasses are entered in `CODECS` by family name."""

    number: ClassVar[int]  # identifies the codec in the header
    presets: ClassVar[tuple[str, ...]]  # the names that help texts and suggestions show

    @classmethod
    @abstractmethod
    def from_name(cls, name: str, options: CodecOptions) -> Codec | None:
        """The codec that `name` stands for, None when the name is another family's.

        Raises ConfigurationError for values out of range.
        """

    @abstractmethod
    def encode_body(
        self, pixels: NDArray[np.uint8]
    ) -> tuple[bytes, NDArray[np.uint8], dict[str, NDArray[Any]], tuple[str, ...]]:
        """Picture (H, W, 3) → the codec's header body, the payload bits, artifacts, notes."""

    @abstractmethod
    def decode_body(
        self, header: Header, bits: NDArray[np.uint8], llrs: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint8], dict[str, NDArray[Any]]]:
        """Header and received bits (or their LLRs, ln P(1)/P(0)) → picture (height, width, 3), artifacts.

        Damaged bits still give a picture; raises FormatError when the header contradicts itself.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Parameters for result.json."""

    def adapt(self, link: Link) -> None:
        """Learn what encoding depends on from the link that will carry it; most codecs need nothing."""
        return None

    def check_ready(self) -> None:
        """Load what encoding needs. Raises SemcomError where that is missing, or `adapt` is still needed."""
        return None

    def check_size(self, height: int, width: int) -> None:
        """Raise ConfigurationError when no picture of this size can be encoded as configured."""
        return None

    def figures(self, header: Header) -> dict[str, Any]:
        """What there is to tell about an encoded picture, by the keys of its entry in result.json."""
        return {}

    def encode(self, pixels: NDArray[np.uint8]) -> Encoded:
        """Encode a picture, uint8 (H, W, 3)."""
        body, bits, artifacts, notes = self.encode_body(pixels)
        height, width = pixels.shape[:2]
        header = Header(self.number, height, width, bits.size, data_crc(bits), body)
        return Encoded(header.to_bytes(), bits, artifacts, notes, self.figures(header))

    def decode(self, header: bytes, bits: NDArray[np.uint8], llrs: NDArray[np.float32]) -> Decoded:
        """Rebuild a picture from received header, bits (n,) and LLRs (n,).

        Raises FormatError when the header is not one of this codec's or does not fit the bits.
        """
        parsed = Header.from_bytes(header)
        if parsed.codec != self.number:
            raise FormatError(f"the picture was sent with codec number {parsed.codec}, not {self.number}")
        if parsed.data_bits != bits.size:
            raise FormatError(f"header announces {parsed.data_bits} payload bits, {bits.size} arrived")
        pixels, artifacts = self.decode_body(parsed, bits, llrs)
        return Decoded(pixels, data_crc(bits) == parsed.data_crc, artifacts)


CODECS: Registry[type[Codec]] = Registry("codec")


def codec_names() -> list[str]:
    """Preset names of all codecs."""
    return [name for family in CODECS for name in CODECS[family].presets]


def make_codec(name: str, options: CodecOptions | None = None) -> Codec:
    """Build a codec from its name, such as "vcsc-8bit" or "vcsc-attn-0.3".

    Raises ConfigurationError for an unknown name (suggesting the nearest) or a value out of range.
    """
    for family in CODECS:
        codec = CODECS[family].from_name(name, options or CodecOptions())
        if codec is not None:
            return codec
    known = codec_names()
    raise ConfigurationError(f"unknown codec {name!r}.{nearest(name, known)} Known: {', '.join(known)}")
