"""VCSC: payload sizes of the paper, quantized payloads back to latents, and headers that lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from semcom_app.codecs import CodecOptions, codec_names, make_codec
from semcom_app.codecs.vcsc import Vcsc, VcscConfig
from semcom_app.container import Header
from semcom_app.models.autoencoders import Autoencoder
from semcom_app.quantization import UniformQuantizer, attention_mask
from semcom_phy.errors import ConfigurationError, FormatError

# Quantization needs an autoencoder's shape and identity only.
SHAPE_ONLY = Autoencoder("shape only", None, torch.device("cpu"), 4, 8, 0x12345678)
NO_LLRS = np.empty(0, np.float32)

latents = hnp.arrays(
    np.float32,
    st.tuples(st.just(4), st.integers(1, 10), st.integers(1, 10)),
    elements=st.floats(-8, 8, width=32),
)
configs = st.builds(
    VcscConfig,
    bits=st.integers(1, 8),
    low_bits=st.integers(1, 8),
    threshold=st.none() | st.floats(0, 1),
)


def header_for(z: np.ndarray, body: bytes, bits: np.ndarray) -> Header:
    return Header(Vcsc.number, 8 * z.shape[1], 8 * z.shape[2], bits.size, 0, body)


@settings(max_examples=150)
@given(latents, configs)
def test_latents_come_back_as_their_quantizer_left_them(z: np.ndarray, config: VcscConfig) -> None:
    codec = Vcsc(config, SHAPE_ONLY)
    body, bits, mask = codec.quantize(z)
    back, mask_back = codec.dequantize(header_for(z, body, bits), bits)
    regions = [(np.ones(z.shape[1:], bool), config.bits)]
    if config.threshold is not None:
        important = attention_mask(z, config.threshold)
        assert np.array_equal(mask, important)
        assert np.array_equal(mask_back, important)
        regions = [(important, config.bits), (~important, config.low_bits)]
    assert bits.size == 4 * sum(int(region.sum()) * b for region, b in regions)
    for region, b in regions:
        quantizer = UniformQuantizer.fit(z[:, region], b)
        expected = quantizer.dequantize(quantizer.quantize(z[:, region]))
        assert np.array_equal(back[:, region], expected)


@pytest.mark.parametrize(("name", "percent"), [("vcsc-8bit", 2.083), ("vcsc-4bit", 1.042), ("vcsc-2bit", 0.521)])
def test_compression_rates_of_the_paper(name: str, percent: float) -> None:
    """512×512 pictures, 24 bits a pixel (VCSC, Tables II and IV)."""
    codec = make_codec(name)
    assert isinstance(codec, Vcsc)
    z = np.random.default_rng(1).standard_normal((4, 64, 64)).astype(np.float32)
    _, bits, _ = Vcsc(codec.config, SHAPE_ONLY).quantize(z)
    assert round(100 * bits.size / (512 * 512 * 24), 3) == percent


def test_attention_costs_between_four_and_eight_bits() -> None:
    """Table II has its attention rows exchanged: the lower threshold marks more and costs more."""
    z = np.random.default_rng(1).standard_normal((4, 64, 64)).astype(np.float32)
    sizes = {t: Vcsc(VcscConfig(threshold=t), SHAPE_ONLY).quantize(z)[1].size for t in (0.0, 0.2, 0.4, 1.0)}
    assert sizes[0.0] == 131_072
    assert sizes[0.0] > sizes[0.2] > sizes[0.4] > sizes[1.0] > 65_536


def test_payload_order_is_channel_row_column_msb_first() -> None:
    z = np.arange(4 * 1 * 2, dtype=np.float32).reshape(4, 1, 2)
    _, bits, _ = Vcsc(VcscConfig(bits=3), SHAPE_ONLY).quantize(z)
    assert bits.tolist() == [int(b) for i in range(8) for b in f"{i:03b}"]


@pytest.mark.parametrize("constant", [0.0, -3.5])
@pytest.mark.parametrize("threshold", [None, 0.0, 0.2, 1.0])
def test_constant_latents(constant: float, threshold: float | None) -> None:
    z = np.full((4, 3, 5), constant, np.float32)
    codec = Vcsc(VcscConfig(threshold=threshold), SHAPE_ONLY)
    body, bits, _ = codec.quantize(z)
    back, _ = codec.dequantize(header_for(z, body, bits), bits)
    assert np.array_equal(back, z)


def test_names() -> None:
    for name in codec_names():
        assert make_codec(name).config.name == name  # type: ignore[attr-defined]
    assert make_codec("vcsc-5bit").config == VcscConfig(bits=5)  # type: ignore[attr-defined]
    assert make_codec("vcsc-attn-0.35").config == VcscConfig(threshold=0.35)  # type: ignore[attr-defined]
    options = CodecOptions(bits=6, threshold=0.1, low_bits=3)
    assert make_codec("vcsc", options).config == VcscConfig(6, 0.1, 3)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "name",
    [
        "vcsc-9bit",
        "vcsc-0bit",
        "vcsc-attn-1.5",
        "vcsc-attn--1",
        "vscs-8bit",
        pytest.param("vcsc-" + 5000 * "8" + "bit", id="5000 digits"),
        "vcsc-٨bit",
        "",
    ],
)
def test_bad_names(name: str) -> None:
    with pytest.raises(ConfigurationError):
        make_codec(name)


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(ConfigurationError, match="Did you mean 'vcsc-8bit'"):
        make_codec("vcs-8bit")


@settings(max_examples=60, deadline=None)
@given(latents, configs, st.binary(max_size=40), st.data())
def test_headers_that_lie_are_refused_or_decode(
    z: np.ndarray, config: VcscConfig, junk: bytes, data: st.DataObject
) -> None:
    """Whatever a header with a right CRC says, the receiver gives a latent of its shape or FormatError."""
    codec = Vcsc(config, SHAPE_ONLY)
    body, bits, _ = codec.quantize(z)
    cut = data.draw(st.integers(0, len(body)))
    position = data.draw(st.integers(0, len(body) - 1))
    for changed in (
        body[:cut],
        body + junk,
        body[:position] + bytes([body[position] ^ 0xA5]) + body[position + 1 :],
    ):
        try:
            back, _ = codec.dequantize(header_for(z, changed, bits), bits)
        except FormatError:
            continue
        assert back.shape == z.shape


def test_other_weights_are_named(astronaut: np.ndarray, tiny_folder: Path) -> None:
    sender = make_codec("vcsc-8bit", CodecOptions(vae="compact", device="cpu"))
    receiver = make_codec("vcsc-8bit", CodecOptions(vae=str(tiny_folder), device="cpu"))
    encoded = sender.encode(astronaut)
    with pytest.raises(FormatError, match="--vae"):
        receiver.decode(encoded.header, encoded.bits, NO_LLRS)


@pytest.mark.parametrize("name", ["vcsc-8bit", "vcsc-attn-0.2"])
def test_receiver_has_received_bits_only(name: str, astronaut: np.ndarray) -> None:
    """A receiver built for another preset, in another object, decodes to the same picture."""
    encoded = make_codec(name, CodecOptions(device="cpu")).encode(astronaut[:100, :77])
    same, other = (
        make_codec(n, CodecOptions(device="cpu")).decode(encoded.header, encoded.bits, NO_LLRS)
        for n in (name, "vcsc-2bit")
    )
    assert same.pixels.shape == (100, 77, 3)
    assert same.intact
    assert np.array_equal(same.pixels, other.pixels)
    assert "padded from 77×100 to 80×104" in " ".join(encoded.notes)


def test_damaged_bits_still_give_a_picture(astronaut: np.ndarray) -> None:
    codec = make_codec("vcsc-attn-0.4", CodecOptions(device="cpu"))
    encoded = codec.encode(astronaut)
    damaged = encoded.bits.copy()
    damaged[::7] ^= 1
    decoded = codec.decode(encoded.header, damaged, NO_LLRS)
    assert decoded.pixels.shape == astronaut.shape
    assert not decoded.intact
    with pytest.raises(FormatError, match="payload bits"):
        codec.decode(encoded.header, damaged[:-1], NO_LLRS)


@pytest.mark.parametrize("shape", [(1, 1), (1, 90), (13, 8), (8, 8)])
def test_any_size(shape: tuple[int, int]) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for name in ("vcsc-8bit", "vcsc-attn-0.2"):
        codec = make_codec(name, CodecOptions(device="cpu"))
        encoded = codec.encode(pixels)
        assert codec.decode(encoded.header, encoded.bits, NO_LLRS).pixels.shape == pixels.shape
