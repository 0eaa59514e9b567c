"""The shipped symbol-level flowgraphs, with and without GUI: what they send is what the NumPy link sends."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from semcom_phy.channels import make_channel
from semcom_phy.coding.transport import TurboCode
from semcom_phy.flowgraph.catalogue import FLOWGRAPHS
from semcom_phy.flowgraph.compiler import compile_flowgraph
from semcom_phy.flowgraph.python import GnuRadio, environment
from semcom_phy.links import Frame, NumpyLink, NumpyLinkConfig
from semcom_phy.links.frame_pdus import frame_to_pdu, received_from_pdu
from semcom_phy.zmq import ApplicationEnd
from semcom_phy.zmq.watchdog import Peer

pytestmark = pytest.mark.slow

OPTIONS = ("data-to-flowgraph", "data-from-flowgraph", "control-to-flowgraph", "control-from-flowgraph")
START_S = 120.0
#: What the sliders stand at, and the options of both forms.
FLOWGRAPHS_AND_LINKS = {
    "bpsk_awgn": (["--seed=4", "--interleave=1"], {"channel": make_channel("awgn", snr_db=6.0), "fec": "none"}),
    "turbo_awgn": (
        ["--seed=4", "--interleave=1", "--rate=0.4", "--redundancy-version=3"],
        {"channel": make_channel("awgn", snr_db=-3.0), "turbo": TurboCode(rate=0.4), "redundancy_version": 3},
    ),
    "turbo_rayleigh": (
        ["--seed=4", "--interleave=1", "--symbol-rate-hz=20e3"],
        {"channel": make_channel("rayleigh", snr_db=4.0, doppler_hz=10.0, symbol_rate_hz=20e3)},
    ),
}


@contextmanager
def running(gnuradio: GnuRadio, path: Path, options: list[str], end: ApplicationEnd) -> Iterator[Peer]:
    """A flowgraph without a screen, ended as a terminal's Ctrl-C ends it."""
    addresses = [f"--{option}={address}" for option, address in zip(OPTIONS, end.addresses.as_arguments(), strict=True)]
    process = subprocess.Popen(
        [gnuradio.python, compile_flowgraph(path, gnuradio).program, *addresses, *options],
        env={**environment(), "QT_QPA_PLATFORM": "offscreen"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        yield end.wait_ready(START_S, pid=process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("form", ["", "_gui"])
@pytest.mark.parametrize("name", FLOWGRAPHS_AND_LINKS)
def test_the_same_bits_as_the_numpy_link(name: str, form: str, gnuradio: GnuRadio) -> None:
    options, link = FLOWGRAPHS_AND_LINKS[name]
    rng = np.random.default_rng(1)
    sent = [Frame(f"frame {k}".encode(), rng.integers(0, 2, 20_000, dtype=np.uint8)) for k in range(4)]
    numpy_link = NumpyLink(NumpyLinkConfig(**{"fec": "turbo", **link}, interleave=True, seed=4))
    expected = numpy_link.send(sent).frames
    with ApplicationEnd() as end, running(gnuradio, FLOWGRAPHS / f"{name}{form}.grc", options, end) as peer:
        assert peer.capabilities["flowgraph"] == name
        described = numpy_link.describe()
        for key in {*described, *peer.capabilities} - {"link", "flowgraph", "version", "scatterers"}:
            if key not in ("turbo_backend", "turbo_early_stop"):
                assert peer.capabilities[key] == described[key], key
        for number, (frame, wanted) in enumerate(zip(sent, expected, strict=True)):
            end.send(frame_to_pdu(number, frame))
            got = received_from_pdu(end.receive(START_S)).frame
            assert got.header == wanted.header == frame.header
            np.testing.assert_array_equal(got.payload_bits, wanted.payload_bits)
            np.testing.assert_array_equal(got.block_ok, wanted.block_ok)
            np.testing.assert_allclose(got.payload_llrs, wanted.payload_llrs, rtol=1e-4, atol=1e-4)
