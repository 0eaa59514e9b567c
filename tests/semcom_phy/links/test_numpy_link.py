"""The NumPy link: exact without noise, reproducible, honest about what was lost."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom_phy.channels import ChannelOutput, make_channel
from semcom_phy.coding.transport import TurboCode
from semcom_phy.errors import ConfigurationError
from semcom_phy.links import LINKS, Frame, NumpyLink, NumpyLinkConfig, framing
from semcom_phy.links.base import LinkStats, merge_stats
from semcom_phy.links.numpy_link import build_frame, receive_frame
from semcom_phy.modulation import MODULATIONS


def frame(bits: int, seed: int = 1, header: bytes = b"a header") -> Frame:
    return Frame(header, np.random.default_rng(seed).integers(0, 2, bits, dtype=np.uint8))


def link(channel: str = "ideal", fec: str = "turbo", interleave: bool = False, seed: int = 0, **parameters: float):
    config = NumpyLinkConfig(make_channel(channel, **parameters), fec, TurboCode(), interleave, seed)
    return NumpyLink(config)


@settings(max_examples=25, deadline=None)
@given(
    bits=st.integers(1, 9000),
    fec=st.sampled_from(["turbo", "none"]),
    interleave=st.booleans(),
    header=st.binary(min_size=1, max_size=60),
)
def test_everything_arrives_without_noise(bits: int, fec: str, interleave: bool, header: bytes) -> None:
    sent = frame(bits, header=header)
    received = link(fec=fec, interleave=interleave).send([sent]).frames[0]
    assert received.header == header
    assert np.array_equal(received.payload_bits, sent.payload)
    assert np.array_equal(received.payload_llrs > 0, sent.payload == 1)
    assert received.block_ok.all()
    assert received.stats.ber_raw == 0
    assert received.stats.ber_decoded == 0


def test_counts_of_a_frame() -> None:
    sent = frame(20_000)
    received = link("awgn", snr_db=3.0).send([sent]).frames[0]
    stats = received.stats
    coded = build_frame(sent, link("awgn", snr_db=3.0).config)
    assert stats.channel_uses == coded.size
    assert stats.raw_bits == TurboCode().coded_length(20_000)
    assert stats.channel_uses == stats.overhead_uses + stats.raw_bits
    assert (stats.frames_sent, stats.frames_received, stats.frames_lost) == (1, 1, 0)
    assert (stats.blocks, stats.blocks_failed) == (4, 0)
    assert stats.esn0_db == 3.0
    # 3.9 thousand known symbols measure Es/N0 to ±0.1 dB (1σ).
    assert stats.esn0_measured_db == pytest.approx(3.0, abs=0.4)


@settings(max_examples=15)
@given(
    bits=st.integers(200, 9000),
    rate=st.floats(1 / 8, 0.5),
    redundancy_version=st.integers(0, 3),
    interleave=st.booleans(),
)
def test_any_rate_arrives_and_is_counted(bits: int, rate: float, redundancy_version: int, interleave: bool) -> None:
    sent = frame(bits)
    turbo = TurboCode(rate=rate)
    config = NumpyLinkConfig(make_channel("ideal"), "turbo", turbo, interleave, redundancy_version=redundancy_version)
    received = NumpyLink(config).send([sent]).frames[0]
    np.testing.assert_array_equal(received.payload_bits, sent.payload)
    assert received.block_ok.all()
    stats = received.stats
    assert stats.raw_bits == turbo.coded_length(bits)
    assert stats.channel_uses == stats.overhead_uses + stats.raw_bits
    assert NumpyLink(config).code_rate(bits) == bits / stats.raw_bits
    # The receiver is told nothing: rate and redundancy version are in the frame.
    symbols = MODULATIONS["bpsk"].modulate(build_frame(sent, config))
    blind = receive_frame(ChannelOutput(symbols, 1.0, 1.0), TurboCode(rate=0.9))
    np.testing.assert_array_equal(blind.payload_bits, sent.payload)


def test_higher_rates_cost_fewer_symbols_and_need_more_signal() -> None:
    sent = frame(6000)
    delivered = {}
    for rate in (1 / 3, 3 / 4):
        for snr_db in (-3.0, 3.0):
            config = NumpyLinkConfig(make_channel("awgn", snr_db=snr_db), turbo=TurboCode(rate=rate))
            stats = NumpyLink(config).send([sent]).stats
            assert stats.raw_bits == round(6000 / rate)
            delivered[rate, snr_db] = stats.blocks_failed == 0
    assert delivered == {(1 / 3, -3.0): True, (1 / 3, 3.0): True, (3 / 4, -3.0): False, (3 / 4, 3.0): True}


def test_a_frame_that_names_an_impossible_rate_is_lost() -> None:
    """One payload bit and its CRC cannot be told at rate 1/2; such a frame must be forged."""
    forged = framing.Signalling("turbo", False, 1, 1, rate_code=420)
    llrs = np.random.default_rng(1).normal(0, 1, framing.SIGNALLING_SYMBOLS + 1000)
    llrs[framing.signalling_positions(llrs.size)] = 20.0 * framing.encode_signalling(forged) - 10.0
    received = receive_frame(ChannelOutput(llrs + 0j, 1.0, 1.0), TurboCode())
    assert received.header is None
    assert received.stats.frames_lost == 1


def test_same_seed_same_bytes_and_frames_differ() -> None:
    sent = [frame(5000), frame(5000)]
    first, second = (link("awgn", fec="none", snr_db=2.0, seed=4).send(sent).frames for _ in range(2))
    other = link("awgn", fec="none", snr_db=2.0, seed=5).send(sent).frames
    for a, b in zip(first, second, strict=True):
        assert a.payload_llrs.tobytes() == b.payload_llrs.tobytes()
    assert first[0].payload_llrs.tobytes() != other[0].payload_llrs.tobytes()
    assert first[0].payload_llrs.tobytes() != first[1].payload_llrs.tobytes()


@pytest.mark.parametrize("snr_db", [0.0, 4.0])
def test_uncoded_ber_is_that_of_bpsk(snr_db: float) -> None:
    from scipy.special import erfc

    bits = 200_000
    stats = link("awgn", fec="none", snr_db=snr_db).send([frame(bits)]).stats
    expected = 0.5 * erfc(np.sqrt(10 ** (snr_db / 10)))
    assert abs(stats.ber_decoded - expected) < 3 * np.sqrt(expected / bits)


def test_turbo_clears_what_uncoded_cannot() -> None:
    sent = frame(30_000)
    uncoded = link("awgn", fec="none", snr_db=-3.0).send([sent]).stats
    coded = link("awgn", fec="turbo", snr_db=-3.0).send([sent]).stats
    assert uncoded.ber_decoded > 0.1
    assert coded.ber_decoded == 0
    assert coded.ber_raw > 0.1
    assert coded.blocks_failed == 0


def test_interleaving_breaks_up_fades() -> None:
    """At 10 Hz and 100 k symbols/s whole code blocks lie in one fade; spread over the image, none fails."""
    parameters = {"snr_db": 3.0, "doppler_hz": 10.0, "symbol_rate_hz": 1e5}
    sent = frame(60_000)
    failed = {
        interleave: sum(
            link("rayleigh", interleave=interleave, seed=seed, **parameters).send([sent]).stats.blocks_failed
            for seed in range(3)
        )
        for interleave in (False, True)
    }
    assert failed[True] < failed[False]


def test_damaged_payload_is_delivered_and_reported() -> None:
    received = link("bsc", fec="none", flip_probability=0.05).send([frame(10_000)]).frames[0]
    assert received.header == b"a header"
    assert received.stats.decoded_errors > 0
    assert not received.block_ok.any()
    assert received.stats.blocks_failed == 1


def test_hopeless_channel_loses_the_frame() -> None:
    reception = link("bsc", flip_probability=0.5).send([frame(1000)])
    received = reception.frames[0]
    assert received.header is None
    assert received.payload_bits.size == received.payload_llrs.size == 0
    assert (reception.stats.frames_lost, reception.stats.frames_received) == (1, 0)
    assert reception.stats.ber_decoded is None
    assert reception.stats.ber_raw == pytest.approx(0.5, abs=0.05)


def test_receiver_needs_nothing_but_the_symbols() -> None:
    """A receiver that is told neither sizes nor FEC reads frames of any kind."""
    for fec, interleave in (("none", True), ("turbo", True), ("turbo", False)):
        sent = frame(7000)
        config = NumpyLinkConfig(make_channel("ideal"), fec, interleave=interleave)
        symbols = MODULATIONS["bpsk"].modulate(build_frame(sent, config))
        received = receive_frame(ChannelOutput(symbols, 1.0, 1.0), TurboCode())
        assert received.header == sent.header
        assert np.array_equal(received.payload_bits, sent.payload)


@settings(max_examples=20, deadline=None)
@given(length=st.integers(0, 5000), seed=st.integers(0, 2**32 - 1))
def test_junk_symbols_are_a_lost_frame(length: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    symbols = rng.standard_normal(length) + 1j * rng.standard_normal(length)
    received = receive_frame(ChannelOutput(symbols, 1.0, 1.0), TurboCode())
    assert received.header is None
    assert received.stats.frames_lost == 1


def test_truncated_frame_is_lost() -> None:
    config = NumpyLinkConfig(make_channel("ideal"))
    symbols = MODULATIONS["bpsk"].modulate(build_frame(frame(3000), config))
    for cut in (1, 100, symbols.size - 10):
        received = receive_frame(ChannelOutput(symbols[:-cut], 1.0, 1.0), TurboCode())
        assert received.header is None


@pytest.mark.parametrize(
    "bad",
    [
        Frame(b"", np.ones(10, np.uint8)),
        Frame(b"x", np.empty(0, np.uint8)),
        Frame(b"x", np.full(5, 2, np.uint8)),
    ],
)
@pytest.mark.parametrize("fec", ["none", "turbo"])
def test_impossible_frames_are_refused(bad: Frame, fec: str) -> None:
    with pytest.raises(ConfigurationError):
        link(fec=fec).send([bad])


def test_bad_configuration_is_refused() -> None:
    channel = make_channel("ideal")
    with pytest.raises(ConfigurationError, match="unknown fec"):
        NumpyLinkConfig(channel, fec="ldpc")
    with pytest.raises(ConfigurationError, match="seed"):
        NumpyLinkConfig(channel, seed=-1)
    with pytest.raises(ConfigurationError, match="leave it out"):
        NumpyLinkConfig(channel, fec="none", turbo=TurboCode(rate=0.5))
    for turbo, version in ((TurboCode(), 1), (TurboCode(rate=0.5), 4), (TurboCode(rate=0.5), -1)):
        with pytest.raises(ConfigurationError, match="redundancy version"):
            NumpyLinkConfig(channel, turbo=turbo, redundancy_version=version)
    with pytest.raises(ConfigurationError, match="numpy"):
        _ = LINKS["nunpy"]


def test_stats_add_up() -> None:
    stats = LinkStats(channel_uses=10, raw_bits=8, raw_errors=2, frames_sent=1, esn0_db=1.0, esn0_measured_db=0.0)
    total = merge_stats([stats, replace(stats, esn0_measured_db=None)])
    assert (total.channel_uses, total.raw_bits, total.raw_errors, total.frames_sent) == (20, 16, 4, 2)
    assert total.esn0_db == 1.0
    assert total.esn0_measured_db == pytest.approx(0.0)
    assert merge_stats([stats, replace(stats, esn0_db=2.0)]).esn0_db is None


def test_the_link_imports_neither_torch_nor_gnuradio() -> None:
    code = (
        "import sys, semcom_phy.links, semcom_phy.coding.transport, semcom_phy.channels;"
        "sys.exit(any(m.split('.')[0] in ('torch', 'gnuradio', 'semcom_app') for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
