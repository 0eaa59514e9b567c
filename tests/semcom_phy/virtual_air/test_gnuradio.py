"""Stock blocks of GNU Radio take part: rep_sink as a transmitter, req_source as a receiver."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from semcom_phy.flowgraph.python import GnuRadio
from semcom_phy.radios import RadioConfig, RadioError
from semcom_phy.radios.air import AirReceiveRadio, AirTransmitRadio
from semcom_phy.virtual_air.configuration import AirConfig
from semcom_phy.virtual_air.server import VirtualAir

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "scripts" / "gnuradio_ends.py"
ANY = "tcp://127.0.0.1:*"
RNG = np.random.default_rng(8)
SAMPLES = (RNG.standard_normal(100_000) + 1j * RNG.standard_normal(100_000)).astype(np.complex64)
#: Behind the samples: GNU Radio's source ends when more come than are wanted.
TAIL = np.zeros(50_000, np.complex64)


@contextmanager
def stock(python: Path, *arguments: object) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [str(python), str(SCRIPT), *map(str, arguments)],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def clean_air(transmitter: str) -> Iterator[str]:
    stop = threading.Event()
    with VirtualAir(AirConfig((transmitter,), (ANY,), fast=True, level_dbfs=-12.0)) as air:
        thread = threading.Thread(target=air.run, args=(stop.is_set,), daemon=True)
        thread.start()
        try:
            yield air.receiver_addresses[0]
        finally:
            stop.set()
            thread.join(20.0)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_stock_blocks_at_both_ends(gnuradio: GnuRadio, tmp_path: Path) -> None:
    np.concatenate([SAMPLES, TAIL]).tofile(tmp_path / "sent")
    with (
        stock(gnuradio.python, "transmit", ANY, tmp_path / "sent") as transmitter,
        clean_air(first_line(transmitter)) as address,
        stock(gnuradio.python, "receive", address, tmp_path / "got", SAMPLES.size) as receiver,
    ):
        assert first_line(receiver) == "received"
    received = np.fromfile(tmp_path / "got", np.complex64)
    np.testing.assert_allclose(received, SAMPLES, rtol=1e-5)


def test_a_stock_transmitter_and_this_receiver(gnuradio: GnuRadio, tmp_path: Path) -> None:
    np.concatenate([SAMPLES, TAIL]).tofile(tmp_path / "sent")
    with (
        stock(gnuradio.python, "transmit", ANY, tmp_path / "sent") as transmitter,
        AirReceiveRadio(first_line(transmitter), RadioConfig()) as receiver,
    ):
        parts = []
        while receiver.counts.samples < SAMPLES.size:
            parts.append(receiver.read(5000, 20.0))
            assert parts[-1].size, f"the stream ended after {receiver.counts.samples} samples"
    np.testing.assert_array_equal(np.concatenate(parts)[: SAMPLES.size], SAMPLES)


def test_this_transmitter_and_a_stock_receiver(gnuradio: GnuRadio, tmp_path: Path) -> None:
    with (
        AirTransmitRadio(ANY, RadioConfig()) as transmitter,
        stock(gnuradio.python, "receive", transmitter.address, tmp_path / "got", SAMPLES.size) as receiver,
    ):
        transmitter.write(SAMPLES, 30.0)
        # Its source notices only at the next samples that nobody wants any, and then it is gone.
        with contextlib.suppress(RadioError):
            transmitter.write(TAIL, 1.0)
        assert first_line(receiver) == "received"
        assert transmitter.counts.errors == 0
    np.testing.assert_array_equal(np.fromfile(tmp_path / "got", np.complex64), SAMPLES)
