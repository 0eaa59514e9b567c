"""Screenshots of the flowgraphs with frames running through them, and of their canvases in Companion.

    python docs/make_flowgraph_screenshots.py [NAME…]

Needs GNU Radio and Xvfb (`make gnuradio`). Writes flowgraphs/screenshots/NAME.png and NAME_canvas.png. Flowgraphs
that need a radio get the canvas alone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from semcom_phy.errors import LinkError
from semcom_phy.flowgraph import catalogue
from semcom_phy.flowgraph.compiler import compile_flowgraph
from semcom_phy.flowgraph.python import environment, find_gnuradio
from semcom_phy.links.base import Frame
from semcom_phy.links.frame_pdus import frame_to_pdu
from semcom_phy.zmq import ApplicationEnd

ROOT = Path(__file__).resolve().parents[1]
SCREENSHOTS = ROOT / "flowgraphs" / "screenshots"
GRAB = Path(__file__).with_name("grab_flowgraph.py")
SIZE = (1200, 960)
COLOURS = 128
PAYLOAD_BITS = 20_000
READY_S = 90.0
#: Frames that come back before the picture is taken, and how long that may take.
FRAMES = 12
TAKEN_S = 60.0
#: Flowgraphs with a window to show on a machine without radios, and the options that they need.
WINDOWS: dict[str, dict[str, str]] = {
    "bpsk_awgn": {},
    "turbo_awgn": {},
    "turbo_rayleigh": {},
    "native_bpsk": {},
    "native_turbo": {},
    "burst_loopback": {},
    "sigmf_record": {"overwrite": "1"},
    "sigmf_replay": {},
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


def feed(
    application: ApplicationEnd, process: subprocess.Popen[bytes], taken: threading.Event, enough: threading.Event
) -> None:
    """Send frames one after the other until the picture is taken."""
    rng = np.random.default_rng(1)
    number = 0
    while not taken.is_set():
        frame = Frame(b"screenshot", rng.integers(0, 2, PAYLOAD_BITS, dtype=np.uint8))
        try:
            application.send(frame_to_pdu(number, frame), 5.0)
            application.receive(5.0)
        except LinkError:
            if process.poll() is not None:  # otherwise a frame was lost
                return
        number += 1
        if number >= FRAMES:
            enough.set()


def take_window(name: str, picture: Path, home: Path) -> None:
    """The window of a flowgraph with frames running through it."""
    flowgraph = catalogue.find(name)
    program = compile_flowgraph(flowgraph.form(gui=True)).program
    directions = ("data-to-flowgraph", "data-from-flowgraph", "control-to-flowgraph", "control-from-flowgraph")
    with ExitStack() as stack:
        application = stack.enter_context(ApplicationEnd())
        places = zip(directions, application.addresses.as_arguments(), strict=True)
        options = [f"--{direction}={address}" for direction, address in places]
        options += [f"--{option}={value}" for option, value in WINDOWS[name].items()]
        command = [find_gnuradio().python, GRAB, "window", program, picture, *map(str, SIZE), *options]
        process = subprocess.Popen(command, env={**environment(), "HOME": str(home)}, stdout=subprocess.DEVNULL)
        stack.callback(process.kill)
        application.wait_ready(READY_S, pid=process.pid)
        taken, enough = threading.Event(), threading.Event()
        feeder = threading.Thread(target=feed, args=(application, process, taken, enough))
        feeder.start()
        try:
            if not enough.wait(TAKEN_S):
                raise LinkError(f"{name} has not returned {FRAMES} frames in {TAKEN_S:g} s")
            process.send_signal(signal.SIGUSR1)
            process.wait(TAKEN_S)
        finally:
            taken.set()
            feeder.join()


def take_canvas(name: str, picture: Path, home: Path) -> None:
    """The flowgraph as it looks in Companion."""
    path = catalogue.find(name).form(gui=True)
    command = [find_gnuradio().python, GRAB, "canvas", path, picture]
    subprocess.run(command, env={**environment(), "HOME": str(home)}, check=True, capture_output=True, timeout=TAKEN_S)


def shrink(picture: Path) -> None:
    """A palette is enough for drawings, and a quarter of the bytes."""
    with Image.open(picture) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(picture, optimize=True)


def main(names: list[str]) -> None:
    """Take the pictures."""
    SCREENSHOTS.mkdir(exist_ok=True)
    with display(), tempfile.TemporaryDirectory() as home:
        for name in names or catalogue.names():
            pictures = [SCREENSHOTS / f"{name}_canvas.png"]
            take_canvas(name, pictures[0], Path(home))
            if name in WINDOWS:
                pictures.append(SCREENSHOTS / f"{name}.png")
                take_window(name, pictures[1], Path(home))
            for picture in pictures:
                shrink(picture)
                print(f"{picture.relative_to(ROOT)}: {picture.stat().st_size >> 10} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
