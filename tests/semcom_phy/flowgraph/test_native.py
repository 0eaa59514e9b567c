"""Flowgraphs of GNU Radio's own blocks: the blocks at their edges, and error rates against theory and our decoder.

What is random has to lie within three standard deviations. All seeds are fixed, the first that were tried, and the
flowgraphs follow them, to the last digit or but for it: a test passes always or never.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from semcom_phy.channels import make_channel
from semcom_phy.coding.decoders import DecoderParams, decode
from semcom_phy.coding.turbo import encode
from semcom_phy.error_rates import (
    awgn_bit_error_rate,
    cosines_bit_error_rate,
    measured_rate,
    waves_bit_error_rate,
)
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.launch import ParameterValue, launcher
from semcom_phy.flowgraph.python import GnuRadio, environment
from semcom_phy.gr import native_soft_bits
from semcom_phy.links.base import Frame, Reception
from semcom_phy.links.gnuradio_link import GnuRadioLink, GnuRadioLinkConfig
from semcom_phy.links.numpy_link import NumpyLink, NumpyLinkConfig

SCRIPT = Path(__file__).parent / "scripts" / "native.py"
CHECKS = re.findall(r"^def ((?!collected|frame\b|items|fading\b)\w+)\(", SCRIPT.read_text(), re.M)


def test_there_are_checks() -> None:
    assert len(CHECKS) == 10


@pytest.fixture(scope="module")
def checked(gnuradio: GnuRadio) -> subprocess.CompletedProcess[str]:
    """All checks in one process: starting GNU Radio takes longer than they do."""
    command = [gnuradio.python, SCRIPT, *CHECKS]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=120)


@pytest.mark.parametrize("check", CHECKS)
def test_blocks(check: str, checked: subprocess.CompletedProcess[str]) -> None:
    assert check in checked.stdout.split(), checked.stderr


def send(name: str, frames: list[Frame], **parameters: ParameterValue) -> Reception:
    """The frames through a native flowgraph."""
    with GnuRadioLink(GnuRadioLinkConfig(name, launcher(catalogue.find(name), parameters))) as link:
        return link.send(frames)


def payloads(sizes: list[int], seed: int) -> list[Frame]:
    rng = np.random.default_rng(seed)
    return [Frame(b"header", rng.integers(0, 2, size, dtype=np.uint8)) for size in sizes]


@pytest.mark.slow
@pytest.mark.usefixtures("gnuradio")
def test_bit_errors_of_native_bpsk_are_those_of_theory() -> None:
    frames = payloads([1, 16, 1000, 4072, *[40_000] * 10], seed=1)
    stats = send("native_bpsk", frames, snr_db=2.0, seed=3).stats
    assert stats.frames_received == len(frames)
    assert stats.esn0_db == 2.0
    expected = awgn_bit_error_rate("bpsk", 10**0.2)  # 0.0375
    deviation = np.sqrt(expected * (1 - expected) * stats.raw_bits)
    assert abs(stats.raw_errors - expected * stats.raw_bits) < 3 * deviation


@pytest.mark.slow
@pytest.mark.usefixtures("gnuradio")
def test_llrs_of_native_bpsk_are_to_scale_and_follow_the_seed() -> None:
    frames = payloads([20_000], seed=2)
    first, again, other = (send("native_bpsk", frames, snr_db=3.0, seed=seed).frames[0] for seed in (1, 1, 2))
    assert np.array_equal(first.payload_llrs, again.payload_llrs)
    assert not np.array_equal(first.payload_llrs, other.payload_llrs)
    # LLRs of BPSK over AWGN are Gaussian of mean 4 Es/N0 and twice that variance.
    signed = first.payload_llrs * (2.0 * frames[0].payload - 1.0)
    mean = 4 * 10**0.3
    assert np.mean(signed) == pytest.approx(mean, abs=3 * np.sqrt(2 * mean / signed.size))
    assert np.var(signed) == pytest.approx(2 * mean, rel=3 * np.sqrt(2 / signed.size))


@pytest.mark.slow
@pytest.mark.usefixtures("gnuradio")
@pytest.mark.parametrize(("modulation", "esn0_db"), [("bpsk", 2.0), ("qpsk", 5.0), ("16qam", 10.0)])
def test_channel_model_and_soft_decoder_give_our_llrs_and_error_rate(modulation: str, esn0_db: float) -> None:
    """Its table is summed over the symbols, our demappers are closed forms: they differ by the table's steps alone."""
    result = native_soft_bits.measure(modulation, esn0_db, 40_000, 20, seed=1)
    measured = measured_rate(result["errors"], result["bits"])
    assert measured.bits > 790_000
    assert measured.apart(awgn_bit_error_rate(modulation, 10 ** (esn0_db / 10))) < 3
    assert measured.deviation < 0.02 * measured.rate  # or the line above could not fail
    assert result["outside"] < 1e-5 * measured.bits
    assert result["largest_difference"] < 1.001 * result["half_step"]  # LLRs are float32
    assert result["factor"] == pytest.approx(1.0, abs=2e-4)
    assert result["hard_bits_that_differ"] == 0


@pytest.mark.slow
@pytest.mark.usefixtures("gnuradio")
@pytest.mark.parametrize("snr_db", [5.0, 10.0])
def test_bit_errors_of_native_rayleigh_are_those_of_theory_and_of_our_channel(snr_db: float) -> None:
    """Within 3σ of the exact laws of 64 waves; σ is that of independent batches.

    GNU Radio's stream fades on from frame to frame, so that a batch is a start with a seed of its own. Our channel
    draws other waves for each frame.
    """
    fades = {"snr_db": snr_db, "doppler_hz": 20e3, "symbol_rate_hz": 1e5, "scatterers": 64}
    frames = payloads([1, 16, 1000, *[50_000] * 4], seed=8)
    starts = [send("native_rayleigh", frames, seed=seed, **fades) for seed in range(1, 9)]
    assert all(start.stats.esn0_db == snr_db for start in starts)
    assert all(start.stats.frames_received == len(frames) for start in starts)
    sizes = [start.stats.raw_bits for start in starts]
    theirs = measured_rate([start.stats.raw_errors for start in starts], sizes)
    link = NumpyLink(NumpyLinkConfig(make_channel("rayleigh", **fades), fec="none", seed=5))
    drawn = [frame.stats for frame in link.send(frames[3:] * 8).frames]
    ours = measured_rate([stats.raw_errors for stats in drawn], [stats.raw_bits for stats in drawn])
    snr = 10 ** (snr_db / 10)
    law = cosines_bit_error_rate(snr, 64)
    assert theirs.apart(law) < 3
    assert ours.apart(waves_bit_error_rate(snr, 64)) < 3
    assert theirs.apart(ours) < 3
    # An error of 0.2 dB changes the rate by 4 %: that must not pass.
    assert max(theirs.deviation, ours.deviation) < 0.01 * law
    # LLRs to scale say themselves how often they are wrong.
    llrs = [np.concatenate([frame.payload_llrs for frame in start.frames]).astype(float) for start in starts]
    said = measured_rate([float(np.sum(expit(-np.abs(values)))) for values in llrs], [values.size for values in llrs])
    assert said.apart(law) < 3
    assert said.deviation < 0.01 * law


@pytest.mark.slow
@pytest.mark.usefixtures("gnuradio")
def test_native_rayleigh_follows_the_seed_and_is_coherent() -> None:
    frames = payloads([20_000], seed=9)
    slow = {"snr_db": 60.0, "doppler_hz": 50.0}
    first, again, other = (send("native_rayleigh", frames, seed=seed, **slow).frames[0] for seed in (1, 1, 2))
    # Where GNU Radio cuts the stream, its product of complex numbers may round the last digit in another way.
    np.testing.assert_allclose(first.payload_llrs, again.payload_llrs, rtol=1e-6)
    assert not np.array_equal(first.payload_llrs, other.payload_llrs)
    # Without noise no turn of the gain may cost a bit, and the LLRs are 4 Es/N0 times the gain's power.
    assert np.array_equal(first.payload_bits, frames[0].payload)
    power = np.abs(first.payload_llrs) / 4e6
    assert np.mean(np.abs(np.diff(power))) < 0.01
    assert power.max() > 2 * power.min()


@pytest.mark.slow
@pytest.mark.usefixtures("gnuradio")
@pytest.mark.parametrize("block_bits", [40, 1056])
def test_native_turbo_delivers_payloads_of_all_lengths(block_bits: int) -> None:
    piece = block_bits - 24
    frames = payloads([1, piece - 1, piece, piece + 1, 5 * piece + 3], seed=4)
    received = send("native_turbo", frames, snr_db=8.0, block_bits=block_bits).frames
    for frame, back in zip(frames, received, strict=True):
        assert back.header == frame.header
        assert np.array_equal(back.payload_bits, frame.payload)
        assert back.block_ok.tolist() == [True] * -(-frame.payload.size // piece)


@pytest.mark.slow
@pytest.mark.usefixtures("gnuradio")
def test_native_turbo_errs_as_often_as_our_decoder_without_tail() -> None:
    size, blocks, snr_db, iterations = 512, 150, -4.5, 4
    (frame,) = payloads([blocks * (size - 24)], seed=5)
    (back,) = send("native_turbo", [frame], snr_db=snr_db, block_bits=size, iterations=iterations).frames
    rng = np.random.default_rng(6)
    esn0 = 10 ** (snr_db / 10)
    bits = rng.integers(0, 2, (4 * blocks, size), dtype=np.uint8)
    received = 2.0 * encode(bits) - 1.0 + rng.normal(0.0, (2 * esn0) ** -0.5, (4 * blocks, 3, size + 4))
    llrs = (4 * esn0 * received).astype(np.float32)
    llrs[:, :, size:] = 0.0  # GNU Radio's blocks know no tail
    ours = float(np.mean((decode(llrs, DecoderParams(iterations), "log-map", "numpy").bits != bits).any(axis=1)))
    theirs = 1.0 - float(np.mean(back.block_ok))
    assert 0.05 < ours < 0.95, "the case must leave blocks right and wrong"
    pooled = (theirs + 4 * ours) / 5
    deviation = np.sqrt(pooled * (1 - pooled) * (1 / blocks + 1 / (4 * blocks)))
    assert abs(theirs - ours) < 3 * deviation
