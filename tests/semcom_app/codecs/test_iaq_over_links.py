"""IAQ through the whole path, and what it learns of a link before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from semcom_app.codecs.iaq import Iaq
from semcom_app.codecs.iaq_config import IAQ_PRESETS, make_iaq_config
from semcom_app.codecs.iaq_error_rate import ErrorRate, measure_error_rate
from semcom_app.images import LoadedImage
from semcom_app.patches import extract_patches
from semcom_app.pipeline import send_image
from semcom_app.results import ImageResult, to_json
from semcom_phy.channels import make_channel
from semcom_phy.links import Frame, LinkStats, NumpyLink, NumpyLinkConfig, ReceivedFrame, Reception

NAMES = ("ia", "wf", "mia", "mwf", "fixed", "topk", "at", "ast")
CHANNELS: dict[str, dict[str, Any]] = {
    "ideal": {},
    "awgn": {"snr_db": 3.0},
    "rayleigh": {"snr_db": 8.0, "doppler_hz": 100.0},
    "bsc": {"flip_probability": 0.05},
}
TIMES = ("encode_ms", "link_ms", "decode_ms")


def contrast(pictures: np.ndarray, side: int) -> np.ndarray:
    return extract_patches(pictures, side).astype(float).std(axis=2)


def codec_of(allocator: str, preset: str = "paper", **settings: Any) -> Iaq:
    return Iaq(make_iaq_config(allocator, preset, {"patch": 8, **settings}), lambda: contrast)


def link_over(channel: str, fec: str = "none", seed: int = 0, **parameters: Any) -> NumpyLink:
    return NumpyLink(NumpyLinkConfig(make_channel(channel, **(parameters or CHANNELS[channel])), fec, seed=seed))


@pytest.fixture(scope="module")
def picture(astronaut: np.ndarray) -> LoadedImage:
    return LoadedImage("astronaut.png", astronaut[:64, :64], (64, 64))


def send(picture: LoadedImage, codec: Iaq, link: Any, seed: int = 0) -> ImageResult:
    return send_image(picture, codec, link, seed, "cpu")


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("preset", list(IAQ_PRESETS))
@pytest.mark.parametrize("name", NAMES)
def test_every_allocation_over_every_channel(name: str, preset: str, channel: str, picture: LoadedImage) -> None:
    """Coded, all arrive intact over noise; uncoded, what is damaged is still a picture and better than grey."""
    codec = codec_of(name, preset, rho=0.4)
    row = send(picture, codec, link_over(channel)).row
    assert row["delivered"]
    assert row["intact"] == (channel == "ideal")
    assert row["psnr_db"] > (11 if channel == "ideal" else 9)
    assert row["rho_total"] < 0.42
    assert row["payload_bits"] == round(row["patch_bits_mean"] * row["patches"] * 192)
    assert row["header_bits"] == row["patch_header_bits"] + 192
    if channel in ("awgn", "rayleigh"):
        coded = send(picture, codec_of(name, preset, rho=0.4), link_over(channel, "turbo")).row
        assert coded["intact"]
        assert coded["psnr_db"] > row["psnr_db"]


def test_same_seed_same_bytes(picture: LoadedImage) -> None:
    def run(seed: int) -> tuple[bytes, str]:
        result = send(picture, codec_of("mwf", "improved"), link_over("bsc", seed=seed), seed)
        return result.received.tobytes(), to_json({k: v for k, v in result.row.items() if k not in TIMES})

    assert run(7) == run(7)
    assert run(7)[0] != run(8)[0]


def test_soft_values_are_better_than_hard_ones(picture: LoadedImage) -> None:
    psnr = {
        method: send(
            picture, codec_of("ia", "improved", rho=0.5, dequantize=method), link_over("awgn", snr_db=1.0)
        ).row["psnr_db"]
        for method in ("hard", "estimated")
    }
    assert psnr["estimated"] > psnr["hard"] + 1.0


def test_a_lost_header_is_a_lost_picture(picture: LoadedImage) -> None:
    row = send(picture, codec_of("wf"), link_over("bsc", flip_probability=0.5)).row
    assert not row["delivered"]
    assert row["error"] == "header lost"
    assert row["psnr_db"] == 0.0


# --- what the modified allocations know of the link ------------------------------------------------


@pytest.mark.parametrize("mu", [0.0, 0.01, 0.2])
def test_a_binary_symmetric_channel_is_measured(mu: float) -> None:
    measured = measure_error_rate(link_over("bsc", flip_probability=mu))
    assert measured.bits == 1 << 15
    assert measured.mu == pytest.approx(mu, abs=4 * np.sqrt(mu * (1 - mu) / measured.bits))
    assert measured.channel_uses > measured.bits


def test_noise_is_measured_as_the_payload_has_it() -> None:
    """½·erfc(√(Es/N0)) uncoded; nothing is left of it behind the turbo code."""
    assert measure_error_rate(link_over("awgn", snr_db=0.0)).mu == pytest.approx(0.0786, abs=0.006)
    assert measure_error_rate(link_over("awgn", "turbo", snr_db=0.0)).mu == 0.0


class DeafLink:
    """Loses every frame."""

    def send(self, frames: Sequence[Frame]) -> Reception:
        return Reception(tuple(ReceivedFrame.lost(LinkStats(frames_sent=1, channel_uses=10)) for _ in frames))

    def code_rate(self, payload_bits: int) -> float:
        return 1.0

    def describe(self) -> dict[str, Any]:
        return {"link": "deaf", "channel": "none", "fec": "none"}


@pytest.mark.parametrize(("allocator", "minimum", "limit"), [("mwf", 0, 0.323), ("mia", 0, 0.434), ("mia", 1, 0.5)])
def test_a_measured_rate_is_held_within_the_limit(
    allocator: str, minimum: int, limit: float, picture: LoadedImage
) -> None:
    codec = codec_of(allocator, minimum=minimum)
    codec.adapt(DeafLink())
    assert codec.describe() | {"mu": limit, "mu_measured": 0.5, "pilot_channel_uses": 40} == codec.describe()
    assert codec.encode(picture.pixels).bits.size > 0


def test_pilots_are_sent_once_and_only_where_they_are_needed(picture: LoadedImage) -> None:
    sent: list[int] = []

    class Counting(NumpyLink):
        def send(self, frames: Sequence[Frame]) -> Reception:
            sent.append(len(frames))
            return super().send(frames)

    def frames_for(codec: Iaq) -> list[int]:
        sent.clear()
        link = Counting(NumpyLinkConfig(make_channel("bsc", flip_probability=0.1)))
        for _ in range(2):
            send(picture, codec, link)
        return list(sent)

    assert frames_for(codec_of("mwf")) == [4, 1, 1]
    assert frames_for(codec_of("mwf", mu=0.1)) == [1, 1]
    assert frames_for(codec_of("wf")) == [1, 1]


@pytest.mark.parametrize("distortion", ["error-free", "all-flips", "posterior-mean"])
def test_bits_that_do_not_depend_on_the_error_rate_need_no_pilots(distortion: str, picture: LoadedImage) -> None:
    codec = codec_of("mwf", distortion=distortion)
    codec.check_ready()
    codec.adapt(DeafLink())
    assert "pilot_bits" not in codec.describe()
    same = codec_of("mwf", distortion=distortion, mu=0.1).encode(picture.pixels)
    assert codec.encode(picture.pixels).artifacts["patch_bits"].tolist() == same.artifacts["patch_bits"].tolist()


def test_errors_move_bits_to_what_matters(picture: LoadedImage) -> None:
    """The paper's last figure: under its bound more errors mean more bits for the object, fewer for the rest."""
    order = np.argsort(contrast(picture.pixels[None], 8)[0])
    bits = [
        codec_of("mwf", mu=mu, gamma=4.0).encode(picture.pixels).artifacts["patch_bits"].reshape(-1)[order]
        for mu in (0.0, 0.2)
    ]
    assert bits[0].sum() == bits[1].sum()
    assert bits[1][-8:].mean() > bits[0][-8:].mean()
    assert bits[1][:32].mean() < bits[0][:32].mean()


def test_error_rates_above_a_half_are_a_half() -> None:
    assert ErrorRate(100, 70, 1).mu == 0.5
