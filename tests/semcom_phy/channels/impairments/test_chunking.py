"""How a stream is cut into pushes has no influence on what comes out."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semcom_phy.channels.impairments import SampleChannel, kernels, numpy_kernels, parse_impairments

RATE = 1e6
COUNT = 150_000  # beyond two blocks of the fading process
EACH = [
    "",
    "cfo=12345.6/1e6",
    "ppm=77",
    "ppm=-5000/3.3",
    "iq=1/5",
    "dc=-20/45",
    "gain=-3",
    "multipath=short",
    "multipath=two-ray",
    "multipath=eva/300",
    "fading=100",
    "fading=300000",
    "phase_noise=rtl-sdr",
    "noise=-10",
    "bits=5",
    "cw=-10/1e5",
    "gsm=-10/-2e5",
    "ofdm=-10/3",
    "bpsk=-10/-1e5",
    "qpsk=0",
    "overflow=300/2000",
    "underrun=300/2000",
    "overflow=10000/7,underrun=10000/11",
]
WHOLE_CHAIN = (
    "underrun=100/300,ppm=40/0.4,tx.iq=0.5/2,tx.dc=-30,multipath=indoor/20,fading=10,gsm=-10/2e5,cw=5/1e4/noise,esn0=10,"
    "cfo=5000/300,phase_noise=rtl-sdr,iq=1/5,dc=-20,bits=10,overflow=100/500"
)


def signal(count: int) -> np.ndarray:
    return np.random.default_rng(3).standard_normal(2 * count).astype(np.float32).view(np.complex64)


SIGNAL = signal(COUNT)


def in_chunks(channel: SampleChannel, cuts: list[int]) -> np.ndarray:
    stream = channel.open(RATE, 5)
    edges = [0, *sorted(cuts), COUNT]
    pushed = [stream.push(SIGNAL[a:b]) for a, b in itertools.pairwise(edges)]
    return np.concatenate([*pushed, stream.flush()])


def assert_same(whole: np.ndarray, pieces: np.ndarray) -> None:
    assert whole.shape == pieces.shape
    assert whole.tobytes() == pieces.tobytes()


@pytest.mark.parametrize("text", EACH)
def test_every_impairment_alone(text: str) -> None:
    channel = parse_impairments(text)
    whole = channel.apply(SIGNAL, RATE, 5)
    assert whole.size > COUNT // 2
    # Single samples, short runs, the neighbourhood of the block sizes, and long ones.
    cuts = [1, 2, 3, 4, 36, 37, 100, 16_383, 16_384, 16_385, 32_768, 40_000, 65_535, 65_536, 65_537, 131_073]
    assert_same(whole, in_chunks(channel, cuts))


@given(st.lists(st.integers(0, COUNT), max_size=12))
@settings(max_examples=12)
def test_the_whole_chain_cut_anywhere(cuts: list[int]) -> None:
    assert_same(_WHOLE, in_chunks(_CHAIN, cuts))


_CHAIN = parse_impairments(WHOLE_CHAIN)
_WHOLE = _CHAIN.apply(SIGNAL, RATE, 5)


def test_sample_by_sample() -> None:
    stream = _CHAIN.open(RATE, 5)
    pushed = [stream.push(SIGNAL[n : n + 1]) for n in range(3000)]
    assert_same(_WHOLE[: sum(map(len, pushed))], np.concatenate(pushed))


def test_without_numba_the_chunks_do_not_show_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "active", lambda: numpy_kernels)
    pieces = in_chunks(_CHAIN, [1, 2, 37, 1000, 16_383, 40_001, 70_000])
    assert_same(_CHAIN.apply(SIGNAL, RATE, 5), pieces)
    # Single precision, but where it moves a sample over a threshold of the quantizer (10 bits: a step of 1/512).
    assert pieces.shape == _WHOLE.shape
    assert np.abs(pieces - _WHOLE).max() < 1.01 * 2**0.5 / 512
    assert np.mean(np.abs(pieces - _WHOLE) > 1e-6) < 0.01


def test_filters_hold_back_no_more_than_stated() -> None:
    for text, most in (("ppm=0.1", 17), ("multipath=short", 16), ("multipath=two-ray", 0), ("cfo=5,noise=0,bits=8", 0)):
        stream = parse_impairments(text).open(RATE, 0)
        assert COUNT - stream.push(SIGNAL).size <= most
