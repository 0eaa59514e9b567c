"""Counts of errors: the same for both ends in one program and for a frame that comes back, and as counted by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from semcom_phy.channels import make_channel
from semcom_phy.coding.transport import TurboCode
from semcom_phy.links import Frame, NumpyLink, NumpyLinkConfig, ReceivedFrame, SymbolChain, framing
from semcom_phy.links.base import LinkStats
from semcom_phy.links.frame_pdus import ReceivedPdu
from semcom_phy.links.numpy_link import build_frame
from semcom_phy.links.truth import symbol_stats, with_payload_errors
from semcom_phy.modulation import MODULATIONS


@pytest.mark.parametrize("snr_db", [-9.0, -2.0, 4.0])  # header lost, payload damaged, all well
@pytest.mark.parametrize(("fec", "interleave"), [("none", False), ("turbo", True)])
def test_the_numpy_link_counts_what_is_wrong(snr_db: float, fec: str, interleave: bool) -> None:
    config = NumpyLinkConfig(
        make_channel("awgn", snr_db=snr_db), fec, TurboCode(rate=0.5 if fec == "turbo" else None), interleave, seed=7
    )
    frame = Frame(b"a header", np.random.default_rng(0).integers(0, 2, 900, dtype=np.uint8))
    received = NumpyLink(config).send([frame]).frames[0]
    # The same noise once more, and the bits one by one.
    coded = build_frame(frame, config)
    bpsk = MODULATIONS["bpsk"]
    output = config.channel.transmit(bpsk.modulate(coded), np.random.default_rng((7, 0)))
    hard = (output.received.real > 0).astype(np.uint8)
    places = framing.frame_layout(coded.size, 8).payload.tolist()
    assert received.stats.raw_bits == len(places)
    assert received.stats.raw_errors == sum(int(hard[place]) != int(coded[place]) for place in places) > 0
    decoded = received.payload_bits.tolist()
    wrong = sum(got != sent for got, sent in zip(decoded, frame.payload.tolist(), strict=False))
    assert (received.stats.decoded_bits, received.stats.decoded_errors) == (len(decoded), wrong)
    # What a flowgraph would send back of it.
    unaware = ReceivedPdu(0, replace(received, stats=replace(received.stats, esn0_db=None)), hard)
    assert SymbolChain(config).account(frame, unaware) == received.stats


def test_what_cannot_be_compared_is_not_counted() -> None:
    frame = Frame(b"h", np.ones(10, np.uint8))
    bits = np.zeros(9, np.uint8)
    before = LinkStats(frames_received=1, decoded_bits=5, decoded_errors=5, raw_bits=3)
    short = ReceivedFrame(b"h", bits, bits.astype(np.float32), np.ones(1, np.bool_), before)
    assert with_payload_errors(before, frame, short) == LinkStats(frames_sent=1, frames_received=1, raw_bits=3)
    for hard in (None, np.zeros(4, np.uint8)):
        assert symbol_stats(frame, ReceivedFrame.lost(LinkStats()), np.ones(10, np.uint8), hard).raw_bits == 0
