"""Checks of the native blocks, run under GNU Radio's Python: `native.py NAME…` prints the names of those that hold."""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import sys
import traceback

import numpy as np
import pmt
from gnuradio import blocks, channels, digital, gr, trellis
from scipy.special import j0

from semcom_phy.channels.rayleigh import Rayleigh
from semcom_phy.coding import crc
from semcom_phy.coding.turbo import encode
from semcom_phy.errors import ConfigurationError
from semcom_phy.gr import native_frames, native_tables
from semcom_phy.gr.messages import message_from_pdu
from semcom_phy.gr.native_frames import LLR_BAD, LLR_GOOD, NativeBlocks, NativeFrames
from semcom_phy.zmq import Pdu
from semcom_phy.zmq.pmt import UInt64

HEADER = np.frombuffer(b"header", np.uint8)


def collected(block):
    """What the block publishes from now on, as a list of (port, PDU)."""
    out = []
    block.publish = lambda port, pdu: out.append((port, pdu))
    return out


def frame(number, bits, **metadata):
    return message_from_pdu(Pdu({"frame": UInt64(number), **metadata}, np.asarray(bits, np.uint8)))


def items(values, dtype=np.float32):
    return message_from_pdu(Pdu({"pdu_num": 1, "rx_time": (UInt64(0), 0.5)}, np.asarray(values, dtype)))


def trellis_encoder_is_ours():
    """GNU Radio's encoder with our tables gives the first K columns of ours."""
    for size in (40, 1056, 6144):
        bits = np.random.default_rng(size).integers(0, 2, (3, size), dtype=np.uint8)
        graph = gr.top_block()
        source = blocks.vector_source_b(bits.ravel().tolist())
        first, second = native_tables.first_fsm(), native_tables.second_fsm()
        encoder = trellis.pccc_encoder_bb(first, 0, second, 0, native_tables.interleaver(size), size)
        sink = blocks.vector_sink_b()
        graph.connect(source, encoder, sink)
        graph.run()
        symbols = np.array(native_tables.SYMBOLS).reshape(8, 3)[np.array(sink.data())]
        ours = 2.0 * encode(bits)[:, :, :size].transpose(0, 2, 1).reshape(-1, 3) - 1.0
        assert np.array_equal(symbols, ours), size


def fading(symbols, cycles_per_symbol, seed):
    """What GNU Radio's Fading Model makes of symbols; with ones, its gain."""
    graph = gr.top_block()
    source = blocks.vector_source_c(symbols.tolist())
    model = channels.fading_model(64, cycles_per_symbol, False, 4.0, seed)
    sink = blocks.vector_sink_c()
    graph.connect(source, model, sink)
    graph.run()
    return np.array(sink.data())


def fading_model_multiplies_by_its_gain():
    """The gain depends on seed and place in the stream alone: a model fed with ones gives that of any other."""
    symbols = np.random.default_rng(2).choice([-1.0, 1.0], 30_000)
    gain = fading(np.ones(symbols.size), 0.01, 5)
    assert np.allclose(fading(symbols, 0.01, 5), gain * symbols, atol=1e-6)
    assert not np.allclose(fading(symbols, 0.01, 6), gain * symbols, atol=0.1)


def fading_model_and_our_channel_fade_alike():
    """Both against theory and each other: mean power 1, the chance of deep fades, J0 as correlation over time.

    Within 3σ, which 40 independent realisations show. E|h|⁴ is 2 − 1/N for our channel's N phasors and 2 − 3/(4N) for
    Fading Model's cosines and sines, which moves the density of |h|² to e^−x·(1 − share/(2N)·L₂(x)).
    """
    lags, levels, waves, realisations = np.array([2, 7, 13, 22]), np.array([0.03, 0.1, 0.3, 1.0]), 64, 40
    below = 1 - np.exp(-levels)
    bend = np.exp(-levels) * (levels - levels**2 / 2) / (2 * waves)
    law = j0(2 * np.pi * 0.03 * lags)
    drawn = []
    for share, draw in (
        (3 / 4, lambda seed: fading(np.ones(20_000), 0.03, 1 + seed)),
        (1, lambda seed: Rayleigh(0.0, 3e3, 1e5, waves).draw_gain(20_000, np.random.default_rng(seed))),
    ):
        gains = np.array([draw(seed) for seed in range(realisations)])
        power = np.abs(gains) ** 2
        fades = np.array([(power < level).mean(axis=1) for level in levels])
        turns = np.array([np.mean(gains[:, :-lag] * gains[:, lag:].conj(), axis=1) for lag in lags])
        values = np.vstack([power.mean(axis=1), fades, turns.real, turns.imag])
        expected = np.concatenate([[1.0], below - share * bend, law, np.zeros(lags.size)])
        deviation = values.std(axis=1, ddof=1) / np.sqrt(realisations)
        assert np.all(deviation < 0.03), deviation  # or it could not fail
        sigmas = (values.mean(axis=1) - expected) / deviation
        assert np.abs(sigmas).max() < 3, sigmas
        drawn.append((values.mean(axis=1), deviation))
    (theirs, their_deviation), (ours, our_deviation) = drawn
    sigmas = (theirs - ours) / np.hypot(their_deviation, our_deviation)
    assert np.abs(sigmas).max() < 3, sigmas


def soft_decoder_needs_a_table():
    """Without one, 3.10.5 takes the distance to a symbol where its square belongs: no likelihood ratio of any noise."""
    if not gr.version().startswith("3.10.5"):
        return
    received = np.linspace(-3, 3, 25) + 0.3j
    constellation = digital.constellation_calcdist([-1, 1], [0, 1], 1, 1, digital.constellation.NO_NORMALIZATION)
    graph = gr.top_block()
    sink = blocks.vector_sink_f()
    decoder = digital.constellation_soft_decoder_cf(constellation.base())
    graph.connect(blocks.vector_source_c(received.tolist()), decoder, sink)
    graph.run()
    assert np.allclose(sink.data(), np.abs(received + 1) - np.abs(received - 1), atol=1e-5)


def one_frame_at_a_time():
    block = NativeFrames(7.0)
    out = collected(block)
    block.handle_frame(frame(1, np.ones(20), mine="kept"))
    block.handle_frame(frame(2, np.ones(5)))
    assert [(port, pdu.vector.size) for port, pdu in out] == [("to_stream", 32)]
    assert not out[0][1].metadata
    assert out[0][1].vector.tolist() == [1] * 20 + [0] * 12
    block.handle_items(items(np.arange(30)))
    assert len(out) == 1
    block.handle_items(items([30]))
    ((_, first), (port, second)) = out[1:]
    assert first.metadata["frame"] == 1
    assert first.metadata["mine"] == "kept"
    assert first.metadata["esn0_db"] == 7.0
    assert first.vector.dtype == np.float32
    assert first.vector.tolist() == list(range(20))
    assert (port, second.vector.size) == ("to_stream", 16)


def lengths_fill_vectors():
    for size in (1, 15, 16, 17, 1000):
        block = NativeFrames()
        out = collected(block)
        block.handle_frame(frame(0, np.ones(size)))
        sent = out[0][1].vector.size
        assert sent % 16 == 0
        assert sent > size
        block.handle_items(items(np.ones(sent - 1)))
        assert out[1][1].vector.size == size
        assert "esn0_db" not in out[1][1].metadata


def junk_is_counted_and_lost_frames_pass():
    block = NativeFrames()
    out = collected(block)
    block.handle_items(items([1.0]))  # belongs to no frame
    block.handle_frame(pmt.intern("junk"))
    block.handle_frame(message_from_pdu(Pdu({}, np.ones(4, np.uint8))))  # no number
    assert (block.failed, out) == (3, [])
    block.handle_frame(frame(5, [2, 0]))  # no bits
    block.handle_frame(frame(6, []))
    assert [(port, pdu.metadata["frame"], pdu.vector.size) for port, pdu in out] == [
        ("received", 5, 0),
        ("received", 6, 0),
    ]
    block.handle_frame(frame(7, [1]))
    block.handle_items(items(np.ones(99)))  # more than was sent
    assert out[-1][0] == "received"
    assert out[-1][1].vector.size == 0
    block.handle_frame(frame(8, [1]))  # and goes on
    assert out[-1][0] == "to_stream"


def too_many_wait():
    before, native_frames.MAX_WAITING = native_frames.MAX_WAITING, 2
    block = NativeFrames()
    out = collected(block)
    for number in range(4):
        block.handle_frame(frame(number, [1]))
    native_frames.MAX_WAITING = before
    assert [pdu.metadata.get("frame") for port, pdu in out if port == "received"] == [3]


def code_blocks():
    block = NativeBlocks(40, -1.0)
    out = collected(block)
    payload = np.random.default_rng(1).integers(0, 2, 50, dtype=np.uint8)
    block.handle_frame(frame(3, payload, header=HEADER))
    stream = out[0][1].vector
    blocks_sent = stream.reshape(-1, 40)
    assert len(blocks_sent) == 4  # 50 bits in pieces of 16, and their number even: 160 is a multiple of 16
    assert crc.check(blocks_sent, crc.CRC24A).all()
    assert blocks_sent[:, :16].ravel()[:50].tolist() == payload.tolist()
    damaged = stream.copy()
    damaged[40] ^= 1  # in the second block
    block.handle_items(items(damaged.astype(np.int8), np.int8))
    received = out[1][1]
    assert received.metadata["block_ok"].tolist() == [1, 0, 1, 1]
    assert received.metadata["header"].tolist() == HEADER.tolist()
    assert received.vector.size == 50
    magnitudes = np.abs(received.vector)
    assert (magnitudes[:16] == LLR_GOOD).all()
    assert (magnitudes[16:32] == LLR_BAD).all()
    wrong = np.flatnonzero((received.vector > 0) != payload)
    assert wrong.tolist() == [16]


def block_sizes_of_the_standard_only():
    for size in (0, 41, 6145):
        try:
            NativeBlocks(size)
        except ConfigurationError:
            continue
        raise AssertionError(size)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        try:
            globals()[name]()
            print(name)
        except Exception:
            traceback.print_exc()
