"""The frames that decoders are measured on: calibrated noise, the same for everyone."""

from __future__ import annotations

import itertools
import math
from contextlib import closing

import numpy as np
import pytest
from scipy.stats import binomtest, kstest

from semcom_app.benchmarks.frames import FrameSource, coded_bits
from semcom_phy.coding.crc import CRC24B, check
from semcom_phy.coding.decoders import DecoderParams, decode
from semcom_phy.coding.turbo import encode
from semcom_phy.errors import ConfigurationError


@pytest.mark.parametrize(("size", "ebn0_db"), [(40, -1.0), (512, 2.0), (6144, 0.6)])
def test_uncoded_errors_follow_theory(size: int, ebn0_db: float) -> None:
    source = FrameSource(size, seed=1)
    frames = source.group(ebn0_db, 0)
    raw = int(((frames.llrs > 0) != encode(frames.bits)).sum())
    esn0 = size / (3 * size + 12) * 10 ** (ebn0_db / 10)
    assert binomtest(raw, frames.llrs.size, 0.5 * math.erfc(math.sqrt(esn0))).pvalue > 1e-3


def test_noise_is_gaussian_and_scaled_as_llrs() -> None:
    source = FrameSource(1024, seed=2)
    frames = source.group(1.0, 0)
    variance = source.noise_variance(1.0)
    noise = frames.llrs * variance / 2.0 - (2.0 * encode(frames.bits) - 1.0)
    assert kstest(noise.ravel()[:200_000] / math.sqrt(variance), "norm").pvalue > 1e-3
    assert frames.llrs.dtype == np.float32


@pytest.mark.parametrize(("rate", "sent"), [(1 / 2, 2048), (3 / 4, 1365), (8 / 9, 1152), (1 / 5, 5120)])
def test_rate_matching_and_its_noise(rate: float, sent: int) -> None:
    source = FrameSource(1024, rate, seed=3)
    assert source.coded_bits == sent
    assert source.noise_variance(2.0) == pytest.approx(sent / 1024 / 2 / 10**0.2)
    frames = source.group(5.0, 0)[:16]
    if rate > 1 / 3:
        # All 3 K + 12 positions are there; those that were not sent say nothing.
        assert np.count_nonzero(frames.llrs, axis=(1, 2)).tolist() == [sent] * 16
        raw = int(((frames.llrs > 0) != encode(frames.bits))[frames.llrs != 0].sum())
        expected = 0.5 * math.erfc(math.sqrt(1024 / sent * 10**0.5))
        assert binomtest(raw, 16 * sent, expected).pvalue > 1e-3
    decided = decode(frames.llrs, DecoderParams(8), backend="numpy").bits
    assert (decided == frames.bits).all(axis=1).mean() >= 0.9


def test_every_block_ends_with_its_crc() -> None:
    for size in (40, 504):
        bits = FrameSource(size).group(0.0, 0).bits
        assert check(bits, CRC24B).all()
        assert 0.45 < bits.mean() < 0.55


def test_batches_do_not_depend_on_their_size_or_the_workers() -> None:
    source = FrameSource(6144, seed=4)
    per_group = source.frames_per_group
    expected = [source.group(0.5, number) for number in range(3)]
    for batch, workers in ((1, 1), (5, 3), (per_group + 3, 2)):
        with closing(source.batches(0.5, batch, workers)) as batches:
            taken = list(itertools.islice(batches, -(-2 * per_group // batch)))
        assert {len(part) for part in taken} == {batch}
        for field in ("bits", "llrs"):
            together = np.concatenate([getattr(part, field) for part in taken])
            wanted = np.concatenate([getattr(part, field) for part in expected])[: len(together)]
            np.testing.assert_array_equal(together, wanted)


def test_seed_size_rate_level_and_group_each_change_the_noise() -> None:
    base = FrameSource(40, None, 0).group(1.0, 0)
    others = [
        FrameSource(40, None, 1).group(1.0, 0),
        FrameSource(40, None, 0).group(1.1, 0),
        FrameSource(40, None, 0).group(1.0, 1),
        FrameSource(40, 1 / 2, 0).group(1.0, 0),
    ]
    for other in others:
        assert 0.45 < (other.bits != base.bits)[:, :16].mean() < 0.55
    np.testing.assert_array_equal(base.llrs, FrameSource(40, None, 0).group(1.0, 0).llrs)


def test_coded_bits() -> None:
    assert coded_bits(6144, None) == 18444
    assert coded_bits(6144, 8 / 9) == 6912
    with pytest.raises(ConfigurationError, match=r"nearest size is 6144"):
        coded_bits(7000, None)
    for rate in (0.05, 1.0, math.nan):
        with pytest.raises(ConfigurationError, match="code rate"):
            coded_bits(40, rate)


def test_bad_requests() -> None:
    with pytest.raises(ConfigurationError, match="seed"):
        FrameSource(40, seed=-1)
    for level in (60.0, math.nan, -math.inf):
        with pytest.raises(ConfigurationError, match="within"):
            FrameSource(40).group(level, 0)
