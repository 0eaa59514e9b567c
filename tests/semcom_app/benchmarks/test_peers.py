"""Decoders of other programs on this project's code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from semcom_app.benchmarks import peers
from semcom_app.benchmarks.frames import FrameSource
from semcom_app.benchmarks.peers import (
    GNURADIO_ALGORITHMS,
    CommpyDecoder,
    GnuRadioDecoder,
    GnuRadioWorker,
    commpy_missing,
    gnuradio_missing,
    open_peer,
)
from semcom_phy.coding.decoders import DecoderParams, decode
from semcom_phy.coding.turbo import encode
from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.gr.native_tables import trellis_by_input

GNURADIO = pytest.mark.usefixtures("gnuradio")
COMMPY = pytest.mark.skipif(commpy_missing() is not None, reason="scikit-commpy is not installed")


def _noiseless(blocks: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    bits = np.random.default_rng(size).integers(0, 2, (blocks, size), dtype=np.uint8)
    return bits, (4.0 * encode(bits) - 2.0).astype(np.float32)


def test_trellis_by_input_is_the_shift_register() -> None:
    next_state, parity = trellis_by_input()
    for state in range(8):
        s1, s2, s3 = state >> 2 & 1, state >> 1 & 1, state & 1
        for bit in (0, 1):
            entering = bit ^ s2 ^ s3
            assert next_state[2 * state + bit] == 4 * entering + 2 * s1 + s2
            assert parity[2 * state + bit] == entering ^ s1 ^ s3


@COMMPY
def test_commpy_decodes_noiseless_blocks() -> None:
    bits, llrs = _noiseless(3, 104)
    decoded = CommpyDecoder(2).decode(llrs, 1)
    np.testing.assert_array_equal(decoded.bits, bits)
    assert decoded.bits.dtype == np.uint8
    assert decoded.iterations.tolist() == [2, 2, 2]
    assert decoded.seconds > 0.0


@COMMPY
def test_commpy_corrects_errors() -> None:
    frames = FrameSource(512, seed=1).group(2.0, 0)[:2]
    assert ((frames.llrs[:, 0, :512] > 0) != frames.bits).sum() > 50
    np.testing.assert_array_equal(CommpyDecoder(4).decode(frames.llrs, 1).bits, frames.bits)


@GNURADIO
@pytest.mark.parametrize("algorithm", GNURADIO_ALGORITHMS)
def test_gnuradio_decodes_noiseless_blocks(algorithm: str) -> None:
    bits, llrs = _noiseless(5, 104)
    with GnuRadioWorker(104) as worker:
        assert worker.version.count(".") >= 2
        for threads in (1, 2, 9):
            decoded = GnuRadioDecoder(worker, algorithm, 2).decode(llrs, threads)
            np.testing.assert_array_equal(decoded.bits, bits)
            assert decoded.seconds > 0.0


@GNURADIO
def test_gnuradio_sum_product_is_log_map_but_for_the_tail() -> None:
    # With zeros for tail LLRs our decoder knows as little about the last state as GNU Radio's.
    frames = FrameSource(512, seed=2).group(0.4, 0)[:48]
    llrs = frames.llrs.copy()
    llrs[:, :, 512:] = 0.0
    ours = decode(llrs, DecoderParams(3), "log-map", "numpy").bits
    with open_peer("gnuradio", "sum-product", 512, 3) as decoder:
        theirs = decoder.decode(frames.llrs, 1).bits
    assert (ours != frames.bits).sum() > 200, "the case must leave errors to compare"
    # Two implementations of one algorithm, float64 and float32: only a decision on the edge may differ.
    assert (ours != theirs).sum() <= 2


@GNURADIO
def test_large_batches_go_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    bits, llrs = _noiseless(7, 40)
    monkeypatch.setattr(peers, "_MAX_NUMBERS", 2 * 3 * 40)
    with GnuRadioWorker(40) as worker:
        decoded = worker.decode(llrs, 2, "min-sum", 1)
    np.testing.assert_array_equal(decoded.bits, bits)


def test_missing_programs_say_what_to_do(tmp_path: Path) -> None:
    for python in (str(tmp_path / "none"), sys.executable):
        if subprocess.run([sys.executable, "-c", "import gnuradio"], capture_output=True).returncode:
            assert "apt-get install gnuradio" in (gnuradio_missing(python) or "")
    with (
        pytest.raises(ConfigurationError, match="GNU Radio is not installed"),
        open_peer("gnuradio", "min-sum", 40, 1, str(tmp_path / "none")),
    ):
        pass


@COMMPY
def test_unknown_algorithms_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="Known: map"), open_peer("commpy", "max-log", 40, 1):
        pass


def test_a_worker_that_dies_is_reported(tmp_path: Path) -> None:
    with pytest.raises(LinkError, match="cannot start"), GnuRadioWorker(40, str(tmp_path / "none")):
        pass
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho something broke >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(LinkError, match="something broke"), GnuRadioWorker(40, str(python)):
        pass


@pytest.mark.parametrize("answer", ["[]", '{"seconds": 1}', '{"seconds": "x", "cpu_seconds": 1}', "no json"])
def test_answers_that_are_none(answer: str, tmp_path: Path) -> None:
    python = tmp_path / "python"
    # After the greeting: an answer and 40 bytes.
    python.write_text(f"#!/bin/sh\nread -r code\necho '{{}}'\nread -r job\necho '{answer}'\nprintf '%040d' 0\n")
    python.chmod(0o755)
    with GnuRadioWorker(40, str(python)) as worker, pytest.raises(LinkError, match="GNU Radio decoder ended"):
        worker.decode(np.zeros((1, 3, 44), np.float32), 1, "min-sum", 1)
