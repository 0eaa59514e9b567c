"""Screenshots of the flowgraphs with frames running through them, and of their canvases in Companion.

    python docs/make_flowgraph_screenshots.py [NAME…]

Needs GNU Radio and Xvfb (`make gnuradio`), g++ and SoapySDR's headers. Writes flowgraphs/screenshots/NAME.png and
NAME_canvas.png. The two ends of a radio link run together, one of them with its window: over the virtual air, or over
the loopback driver of tests/soapy_loopback, which takes the place of the radios.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from semcom_phy.errors import LinkError
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.compiler import compile_flowgraph
from semcom_phy.flowgraph.launch import launcher
from semcom_phy.flowgraph.python import environment, find_gnuradio
from semcom_phy.links.base import Frame
from semcom_phy.links.frame_pdus import HEADER, frame_to_pdu
from semcom_phy.virtual_air.configuration import AirConfig, parse_air_impairments
from semcom_phy.virtual_air.server import VirtualAir
from semcom_phy.zmq import ApplicationEnd

ROOT = Path(__file__).resolve().parents[1]
SCREENSHOTS = ROOT / "flowgraphs" / "screenshots"
GRAB = Path(__file__).with_name("grab_flowgraph.py")
LOOPBACK = ROOT / "tests" / "soapy_loopback" / "plugin.py"
SIZE = (1200, 940)
COLOURS = 64
READY_S = 90.0
#: Frames that arrive before the picture is taken, and how long that may take.
FRAMES = 12
TAKEN_S = 120.0
#: A waterfall shows 200 lines, twenty a second.
WATERFALL_S = 14.0

Options = Mapping[str, str]


@contextmanager
def virtual_air(transmitter: str, receiver: str, home: Path) -> Iterator[dict[str, Options]]:
    """A cheap transmitter and receiver, as `semcom air --fast --impair …` has them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    impairments = parse_air_impairments(["cheap-sdr,cfo=3000,esn0=14"])
    stop = threading.Event()
    with VirtualAir(AirConfig((address,), ("tcp://127.0.0.1:*",), impairments, fast=True)) as air:
        thread = threading.Thread(target=air.run, args=(stop.is_set,))
        thread.start()
        try:
            yield {transmitter: {"address": address}, receiver: {"address": air.receiver_addresses[0]}}
        finally:
            stop.set()
            thread.join()


@contextmanager
def loopback_devices(home: Path) -> Iterator[str]:
    """Arguments of two SoapySDR devices that hear each other, with the driver where SoapySDR finds it, and no other.

    Transmitter and receiver wait for each other: this computer need not keep up with a million samples per second.
    """
    specification = importlib.util.spec_from_file_location("plugin", LOOPBACK)
    assert specification is not None
    assert specification.loader is not None
    plugin = importlib.util.module_from_spec(specification)
    sys.modules["plugin"] = plugin  # its dataclass looks itself up there
    specification.loader.exec_module(plugin)
    folder = str(plugin.build(home))
    os.environ |= {"SOAPY_SDR_PLUGIN_PATH": folder, "SOAPY_SDR_ROOT": folder}
    key = f"screenshot-{os.getpid()}"
    try:
        yield f"driver=semcomloop,key={key},pace=none,noise=-32,dc=-45,cfo=1500,ppm=4"
    finally:
        for left in Path("/dev/shm").glob(f"semcomloop.*.{key}"):  # of a process that was killed
            left.unlink()


@contextmanager
def soapy_loopback(transmitter: str, receiver: str, home: Path) -> Iterator[dict[str, Options]]:
    """The loopback driver as SoapySDR's flowgraphs find it."""
    with loopback_devices(home) as device:
        driver, _, rest = device.removeprefix("driver=").partition(",")
        both = {"driver": driver, "device": rest, "antenna": "TX/RX"}
        yield {transmitter: both, receiver: both}


@contextmanager
def uhd_loopback(transmitter: str, receiver: str, home: Path) -> Iterator[dict[str, Options]]:
    """The same through UHD's module for SoapySDR devices."""
    with loopback_devices(home) as device:
        both = {"device": f"type=soapy,{device}"}
        yield {transmitter: both, receiver: both}


@dataclass(frozen=True)
class Pair:
    """Two flowgraphs and what carries samples from the one to the other.

    `medium`, called with both names and a folder for its files, gives each the options with which it takes part.
    """

    transmitter: str
    receiver: str
    medium: Callable[[str, str, Path], AbstractContextManager[dict[str, Options]]]


@dataclass(frozen=True)
class Window:
    """What is to be seen in the window of a flowgraph.

    `options`: of the program; `sliders`: where they are moved to. `payload_bits`: of each frame; 0 for a flowgraph that
    has its frames from elsewhere. `seconds`: how long it runs at least. `pair`: the flowgraphs that run together.
    """

    options: Options = field(default_factory=dict)
    sliders: Mapping[str, float] = field(default_factory=dict)
    payload_bits: int = 20_000
    seconds: float = 0.0
    pair: Pair | None = None


def _both_ends(pair: Pair) -> dict[str, Window]:
    """The windows of a transmitting and a receiving flowgraph."""
    window = Window(payload_bits=6_000, seconds=WATERFALL_S, pair=pair)
    return {pair.transmitter: window, pair.receiver: window}


#: All others are as by default.
WINDOWS: dict[str, Window] = {
    # At 6 dB, its default, no frame of 20 000 bits arrives without an error.
    "bpsk_awgn": Window(sliders={"snr_db": 9.6}),
    "burst_loopback": Window(seconds=WATERFALL_S),
    "native_rayleigh": Window(sliders={"doppler_hz": 50.0}),
    "sigmf_record": Window({"overwrite": "1"}, seconds=WATERFALL_S),
    "sigmf_replay": Window(payload_bits=0, seconds=WATERFALL_S),
    **_both_ends(Pair("air_tx", "air_rx", virtual_air)),
    **_both_ends(Pair("soapy_tx", "soapy_rx", soapy_loopback)),
    **_both_ends(Pair("uhd_tx", "uhd_rx", uhd_loopback)),
}


@contextmanager
def display() -> Iterator[None]:
    """A display of its own in the environment."""
    reader, writer = os.pipe()
    screen = f"{SIZE[0] + 100}x{SIZE[1] + 100}x24"
    command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", screen, "-nolisten", "tcp"]
    server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
    os.close(writer)
    try:
        with os.fdopen(reader) as numbers:
            os.environ["DISPLAY"] = f":{numbers.readline().strip()}"
        yield
    finally:
        server.terminate()
        server.wait()


class Traffic:
    """Frames through the applications of flowgraphs, from its start to its end.

    `transmitter` sends frames of `payload_bits`, one when the one before is answered, or none; `receiver` hears them,
    and may be the same.
    """

    def __init__(self, transmitter: ApplicationEnd, receiver: ApplicationEnd, payload_bits: int) -> None:
        self._heard = threading.Semaphore(0)
        self._stop = threading.Event()
        self._threads = []
        if payload_bits:
            self._threads.append(threading.Thread(target=self._send, args=(transmitter, payload_bits)))
        if receiver is not transmitter or not payload_bits:
            self._threads.append(threading.Thread(target=self._listen, args=(receiver,)))

    def __enter__(self) -> Traffic:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait(self, frames: int, timeout_s: float) -> None:
        """Wait for so many frames that were not lost; raises LinkError if they do not arrive in time."""
        deadline = time.monotonic() + timeout_s
        for number in range(frames):
            if not self._heard.acquire(timeout=max(0.0, deadline - time.monotonic())):
                raise LinkError(f"{number} instead of {frames} frames have arrived in {timeout_s:g} s")

    def _send(self, application: ApplicationEnd, payload_bits: int) -> None:
        rng = np.random.default_rng(1)
        number = 0
        while not self._stop.is_set():
            frame = Frame(b"screenshot", rng.integers(0, 2, payload_bits, dtype=np.uint8))
            try:
                application.send(frame_to_pdu(number, frame), 5.0)
            except LinkError:  # it has ended, or has no time
                self._stop.wait(0.1)
                continue
            self._hear(application)
            number += 1

    def _listen(self, application: ApplicationEnd) -> None:
        while not self._stop.is_set():
            self._hear(application)

    def _hear(self, application: ApplicationEnd) -> None:
        try:
            answer = application.receive(1.0)
        except LinkError:
            self._stop.wait(0.1)
            return
        if HEADER in answer.metadata:
            self._heard.release()


@contextmanager
def shown(
    name: str, options: Options, picture: Path, home: Path
) -> Iterator[tuple[ApplicationEnd, subprocess.Popen[bytes]]]:
    """A flowgraph with its window, which SIGUSR1 makes take its picture and end."""
    program = compile_flowgraph(catalogue.find(name).form(gui=True)).program
    sliders = ",".join(f"{slider}={value}" for slider, value in WINDOWS.get(name, Window()).sliders.items())
    with ApplicationEnd() as application:
        directions = ("data-to-flowgraph", "data-from-flowgraph", "control-to-flowgraph", "control-from-flowgraph")
        places = zip(directions, application.addresses.as_arguments(), strict=True)
        given = [f"--{option}={value}" for option, value in (*places, *options.items())]
        command: list[str | Path] = [find_gnuradio().python, GRAB, "window", program, picture]
        command += ["{}x{}".format(*SIZE), sliders, *given]
        # What it records goes where the rest of it is.
        process = subprocess.Popen(
            command, cwd=home, env={**environment(), "HOME": str(home)}, stdout=subprocess.DEVNULL
        )
        try:
            application.wait_ready(READY_S, pid=process.pid)
            yield application, process
        finally:
            process.kill()
            process.wait()


@contextmanager
def running(name: str, options: Options) -> Iterator[ApplicationEnd]:
    """A flowgraph in its headless form."""
    values = {option.replace("-", "_"): value for option, value in options.items()}
    with ApplicationEnd() as application, launcher(catalogue.find(name), values)(application.addresses) as process:
        application.wait_ready(READY_S, pid=process.pid)
        yield application


def take_window(name: str, picture: Path, home: Path) -> None:
    """The window of a flowgraph with frames running through it."""
    window = WINDOWS.get(name, Window())
    pair = window.pair
    transmitter, receiver = (name, name) if pair is None else (pair.transmitter, pair.receiver)
    with ExitStack() as stack:
        options: dict[str, Options] = {name: {}}
        if pair is not None:
            options = stack.enter_context(pair.medium(transmitter, receiver, home))
        ends: dict[str, ApplicationEnd] = {}
        # The receiver first: over the loopback driver, a transmitter waits for one.
        if receiver != name:
            ends[receiver] = stack.enter_context(running(receiver, options[receiver]))
        own = {**options[name], **window.options}
        ends[name], process = stack.enter_context(shown(name, own, picture, home))
        if transmitter != name:
            ends[transmitter] = stack.enter_context(running(transmitter, options[transmitter]))
        traffic = stack.enter_context(Traffic(ends[transmitter], ends[receiver], window.payload_bits))
        started = time.monotonic()
        try:
            traffic.wait(FRAMES, TAKEN_S)
        except LinkError as error:
            raise LinkError(f"{name}: {error}") from None
        time.sleep(max(0.0, started + window.seconds - time.monotonic()))
        process.send_signal(signal.SIGUSR1)
        if process.wait(TAKEN_S):
            raise LinkError(f"{name} has ended with exit code {process.returncode}")


def take_canvas(name: str, picture: Path, home: Path) -> None:
    """The flowgraph as it looks in Companion."""
    path = catalogue.find(name).form(gui=True)
    command: list[str | Path] = [find_gnuradio().python, GRAB, "canvas", path, picture]
    # Neither accessibility nor settings of a desktop that is not there.
    alone = {"HOME": str(home), "NO_AT_BRIDGE": "1", "GSETTINGS_BACKEND": "memory"}
    subprocess.run(command, env={**environment(), **alone}, check=True, stdout=subprocess.DEVNULL, timeout=TAKEN_S)


def shrink(picture: Path) -> None:
    """A palette is enough for drawings, and a quarter of the bytes."""
    with Image.open(picture) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)


def main(names: list[str]) -> None:
    """Take the pictures."""
    SCREENSHOTS.mkdir(exist_ok=True)
    with display(), tempfile.TemporaryDirectory() as home:
        for name in names or catalogue.names():
            pictures = {SCREENSHOTS / f"{name}_canvas.png": take_canvas, SCREENSHOTS / f"{name}.png": take_window}
            for picture, take in pictures.items():
                take(name, picture, Path(home))
                shrink(picture)
                print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size >> 10} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
