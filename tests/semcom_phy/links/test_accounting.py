"""What the sending side knows of frames: counts against brute force, chains by what flowgraphs say of themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.channels import make_channel
from semcom_phy.coding.transport import TurboCode
from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.links import (
    AirLink,
    AirLinkConfig,
    BurstChain,
    Frame,
    FrameFormat,
    NumpyLink,
    NumpyLinkConfig,
    ReceivedFrame,
    SymbolChain,
    framing,
)
from semcom_phy.links.accounting import BlockChain, chain_from_settings
from semcom_phy.links.base import LinkStats
from semcom_phy.links.frame_pdus import ReceivedPdu
from semcom_phy.links.numpy_link import build_frame


def some_frame(bits: int, header: int = 5, seed: int = 0) -> Frame:
    rng = np.random.default_rng(seed)
    return Frame(rng.bytes(header), rng.integers(0, 2, bits, dtype=np.uint8))


def answer(frame: Frame, payload: Any, hard: Any) -> ReceivedPdu:
    received = ReceivedFrame(
        frame.header,
        payload,
        (2.0 * payload - 1.0).astype(np.float32),
        np.ones(1, np.bool_),
        LinkStats(frames_received=1, blocks=1, esn0_db=4.0),
    )
    return ReceivedPdu(3, received, hard)


@given(
    bits=st.integers(24, 3000),
    header=st.integers(1, 60),
    fec=st.sampled_from(["none", "turbo"]),
    rate=st.sampled_from([None, 0.5]),
    interleave=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_counts_of_the_symbol_chain(
    bits: int, header: int, fec: str, rate: float | None, interleave: bool, seed: int
) -> None:
    config = NumpyLinkConfig(
        make_channel("ideal"), fec, TurboCode(rate=rate if fec == "turbo" else None), interleave=interleave
    )
    frame = some_frame(bits, header, seed)
    rng = np.random.default_rng(seed + 1)
    coded = build_frame(frame, config)
    flips = rng.integers(0, 2, coded.size, dtype=np.uint8)
    wrong = rng.integers(0, 2, bits, dtype=np.uint8)
    layout = framing.frame_layout(coded.size, header)
    stats = SymbolChain(config).account(frame, answer(frame, frame.payload ^ wrong, coded ^ flips))
    assert stats == LinkStats(
        channel_uses=coded.size,
        overhead_uses=layout.signalling.size + layout.header.size,
        frames_sent=1,
        frames_received=1,
        esn0_db=4.0,
        raw_bits=layout.payload.size,
        raw_errors=int(flips[layout.payload].sum()),
        decoded_bits=bits,
        decoded_errors=int(wrong.sum()),
        blocks=1,
    )


def test_what_is_not_known_is_not_counted() -> None:
    config = NumpyLinkConfig(make_channel("awgn", snr_db=3.0), fec="none")
    chain, frame = SymbolChain(config), some_frame(100)
    coded = build_frame(frame, config)
    whole = chain.account(frame, answer(frame, frame.payload, coded))
    for hard in (None, coded[:-1], np.empty(0, np.uint8)):
        stats = chain.account(frame, answer(frame, frame.payload, hard))
        assert stats == replace(whole, raw_bits=0, raw_errors=0)
    short = chain.account(frame, answer(frame, frame.payload[:50], coded))
    assert short == replace(whole, decoded_bits=0, decoded_errors=0)
    nothing = chain.account(frame, None)
    assert nothing == LinkStats(
        channel_uses=whole.channel_uses,
        overhead_uses=whole.overhead_uses,
        frames_sent=1,
        frames_lost=1,
        esn0_db=3.0,
    )


def test_the_burst_chain_counts_as_the_air_link() -> None:
    frames = FrameFormat(modulation="qpsk", passes=2, fragment_symbols=500, interleave=True)
    link = AirLink(AirLinkConfig(frames=frames))
    chain = BurstChain(frames, {"channel": "clean"}, 7.0)
    frame = some_frame(3000)
    theirs = link.send([frame]).stats
    ours = chain.account(frame, answer(frame, frame.payload, None))
    for name in ("channel_uses", "overhead_uses", "frames_sent", "fragments_sent", "decoded_bits", "decoded_errors"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert chain.code_rate(3000) == link.code_rate(3000)
    assert chain.account(frame, None).esn0_db == 7.0


def test_the_block_chain() -> None:
    chain = BlockChain(64, {"channel": "awgn"})
    frame = some_frame(81)  # three blocks of 40
    assert chain.account(frame, answer(frame, frame.payload, None)).channel_uses == 3 * 3 * 64
    assert chain.code_rate(81) == 81 / 576
    with pytest.raises(ConfigurationError, match="25 to 6144"):
        BlockChain(24, {})


@pytest.mark.parametrize("chain", [SymbolChain(NumpyLinkConfig(make_channel("ideal"), fec="none")), BlockChain(64, {})])
@pytest.mark.parametrize(
    "frame",
    [
        Frame(b"", np.zeros(9, np.uint8)),
        Frame(b"h", np.empty(0, np.uint8)),
        Frame(b"h", np.full(9, 2, np.uint8)),
        Frame(b"h", np.zeros(9, np.float32)),  # type: ignore[arg-type]
        Frame(b"h", np.zeros(13_000_001, np.uint8)),
    ],
)
def test_frames_that_cannot_be_carried(chain: Any, frame: Frame) -> None:
    with pytest.raises(ConfigurationError):
        chain.check(frame)


# --- settings ------------------------------------------------------------------------------------------------

SYMBOLS = {"channel": "awgn", "fec": "turbo", "interleave": True, "turbo_rate": 0.5, "snr_db": 2.0, "seed": 3}


def test_a_symbol_chain_of_settings() -> None:
    chain = chain_from_settings({**SYMBOLS, "flowgraph": "x", "version": "1", "symbols": np.ones(3)})
    assert isinstance(chain, SymbolChain)
    assert chain.config.turbo.rate == 0.5
    assert chain.config.interleave
    assert chain.describe() == {**SYMBOLS, "modulation": "bpsk"}
    twin = NumpyLink(NumpyLinkConfig(make_channel("awgn", snr_db=2.0), turbo=TurboCode(rate=0.5), interleave=True))
    assert chain.code_rate(1000) == twin.code_rate(1000)
    assert not chain.silence_is_loss
    assert chain.account(some_frame(500), None).esn0_db == 2.0


def test_a_burst_chain_of_settings() -> None:
    settings = {
        "channel": "channel_model",
        "fec": "none",
        "interleave": False,
        "samples_per_symbol": 4,
        "modulation": "16qam",
        "passes": 3,
        "fragment_symbols": 100,
        "turbo_rate": 0.5,  # has no meaning without a turbo code
        "snr_db": 9.0,
    }
    chain = chain_from_settings(settings)
    assert isinstance(chain, BurstChain)
    assert chain.frames == FrameFormat("16qam", "none", passes=3, fragment_symbols=100)
    assert chain.describe() == {**settings, "bits_per_symbol": 4}
    assert chain.silence_is_loss


def test_a_block_chain_of_settings() -> None:
    chain = chain_from_settings({"channel": "awgn", "fec": "turbo", "interleave": False, "block_bits": 1024})
    assert isinstance(chain, BlockChain)
    assert chain.block_bits == 1024


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"channel": None}, "does not say its channel"),
        ({"fec": None}, "does not say its fec; add it to the settings of its Application block"),
        ({"interleave": None}, "does not say its interleave"),
        ({"fec": "ldpc"}, "what cannot be: unknown fec 'ldpc'"),
        ({"fec": 3}, "what cannot be"),
        ({"interleave": 1}, "interleave must be true or false, not 1"),
        ({"turbo_rate": 2.0}, "what cannot be: a code rate is from 1/8"),
        ({"turbo_rate": "half"}, "what cannot be"),
        ({"redundancy_version": 9}, "what cannot be: redundancy versions"),
        ({"modulation": "qpsk"}, "symbols of this link are BPSK"),
        ({"samples_per_symbol": 4, "passes": 99}, "passes must be from 1 to"),
        ({"samples_per_symbol": 4, "modulation": ["bpsk"]}, "what cannot be"),
        ({"block_bits": "many"}, "what cannot be"),
    ],
)
def test_settings_that_make_no_sense(changes: dict[str, Any], expected: str) -> None:
    settings = {key: value for key, value in (SYMBOLS | changes).items() if value is not None}
    with pytest.raises(LinkError) as caught:
        chain_from_settings(settings)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)
