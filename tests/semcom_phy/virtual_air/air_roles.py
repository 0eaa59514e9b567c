"""What the processes of the tests do: be a transmitter, an air, a receiver. Each speaks through a pipe.

Run in processes that a fork server starts: this module is imported once, and not again for each of them.
"""

from __future__ import annotations

import hashlib
import itertools
import signal
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from semcom_phy.errors import LinkError
from semcom_phy.links import Frame, FrameFormat
from semcom_phy.links.air_frames import AirFrame, AirReceiver, frame_bursts
from semcom_phy.radios import RadioConfig, open_receiver, open_transmitter
from semcom_phy.virtual_air.configuration import AirConfig, parse_air_impairments
from semcom_phy.virtual_air.server import VirtualAir
from semcom_phy.waveform import Transmitter


def sha256(bits: np.ndarray) -> str:
    return hashlib.sha256(bits.tobytes()).hexdigest()


def air(pipe: Connection, impair: list[str], duration_s: float | None, **options: Any) -> None:
    """Say the receivers' addresses, every event as it comes, and what happened in the end (SIGTERM)."""
    stopped: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopped.append(number))
    config = AirConfig(impairments=parse_air_impairments(impair), **options)
    with VirtualAir(config, lambda line: pipe.send(("event", line))) as running:
        pipe.send(("ready", running.receiver_addresses))
        running.run(lambda: bool(stopped), duration_s)
        pipe.send(("end", running.describe(), None))


def transmit(pipe: Connection, radio_name: str, seed: int, count: int, bits: int, first_image: int) -> None:
    """Send so many frames of random bits, endlessly with a count of 0; say where, and in the end what."""
    rng = np.random.default_rng(seed)
    transmitter, gap = Transmitter(), np.zeros(500, np.complex64)
    sent: dict[int, str] = {}
    problem = None
    try:
        with open_transmitter(radio_name, RadioConfig()) as radio:
            pipe.send(("ready", radio.describe()["address"]))
            radio.write(np.zeros(2000, np.complex64), 60.0)
            for number in range(count) if count else itertools.count():
                payload = rng.integers(0, 2, bits, dtype=np.uint8)
                for burst in frame_bursts(Frame(b"header", payload), FrameFormat(link=seed), first_image + number):
                    radio.write(np.concatenate([transmitter.modulate(burst), gap]), 60.0)
                sent[first_image + number] = sha256(payload)
            radio.write(np.zeros(4000, np.complex64), 60.0)
            radio.drain(60.0)
    except LinkError as error:
        problem = str(error)
    pipe.send(("end", sent, problem))


def receive(pipe: Connection, radio_name: str, count: int) -> None:
    """Receive so many frames, with a count of 0 to the end of the stream; say "frame" for each, and in the end all."""
    receiver, frames, problem = AirReceiver(), [], None

    def keep(arrived: list[AirFrame]) -> None:
        for frame in arrived:
            frames.append(frame)
            pipe.send(("frame", frame.assembled.link))

    with open_receiver(radio_name, RadioConfig()) as radio:
        try:
            while not count or len(frames) < count:
                samples = radio.read(1 << 14, 60.0)
                if not samples.size:
                    break
                keep(receiver.push(samples))
        except LinkError as error:
            problem = str(error)
        keep(receiver.flush())
        counts = receiver.receiver.counts
        result = {
            "samples": radio.counts.samples,
            "detections": counts.detections,
            "headers_failed": counts.headers_failed,
            "frames": {frame.assembled.image: described(frame) for frame in frames},
        }
    pipe.send(("end", result, problem))


def described(frame: AirFrame) -> dict[str, Any]:
    got = frame.received
    return {
        "link": frame.assembled.link,
        "intact": bool(got.block_ok.size and got.block_ok.all()),
        "sha256": None if got.header is None else sha256(got.payload_bits),
        "esn0_db": got.stats.esn0_measured_db,
        "cfo_hz": got.stats.cfo_hz,
        "clock_ppm": frame.assembled.bursts[0].clock_offset_ppm,
    }


def warm_up() -> None:
    """Load the compiled kernels into the fork server, where each process finds them."""
    bits = np.zeros(40, np.uint8)
    bursts = frame_bursts(Frame(b"h", bits), FrameFormat(), 0)
    samples = np.concatenate([*map(Transmitter().modulate, bursts), np.zeros(4000, np.complex64)])
    everything = parse_air_impairments(["cheap-sdr,cfo=1,rx.ppm=1,multipath=short,esn0=20"]).everywhere
    received = AirReceiver().push(everything.apply(samples, 1e6, 0))
    assert received[0].received.block_ok.all()


warm_up()
