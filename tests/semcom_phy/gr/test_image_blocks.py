"""Image PDU Source and Sink in GNU Radio."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from semcom_phy.flowgraph.python import GnuRadio, environment
from semcom_phy.gr.image_frames import read_image, write_png

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parent / "scripts" / "image_loop.py"
PATIENCE_S = 60.0
FRAMES = 5


def images_meanwhile(png: Path, process: subprocess.Popen[str]) -> list[np.ndarray]:
    """The images that are in the file, one after the other, while the process runs; each reading finds a whole one."""
    found: list[np.ndarray] = []
    seen = None
    deadline = time.monotonic() + PATIENCE_S
    while process.poll() is None:
        assert time.monotonic() < deadline
        if png.exists() and (stamp := png.stat().st_mtime_ns) != seen:
            seen = stamp
            found.append(read_image(png, "rgb"))
    return [*found, read_image(png, "rgb")] if png.exists() else found


@pytest.mark.parametrize(("snr_db", "pace"), [(12.0, "answer"), (4.0, "strobe"), (-25.0, "strobe")])
def test_an_image_goes_round(snr_db: float, pace: str, gnuradio: GnuRadio, tmp_path: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    image, png = tmp_path / "image.png", tmp_path / "received.png"
    write_png(image, pixels)
    process = subprocess.Popen(
        [gnuradio.python, SCRIPT, image, png, "rgb", str(snr_db), pace, str(FRAMES)],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        received = images_meanwhile(png, process)
        output, _ = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
    assert process.returncode == 0
    handled, lost, failed = map(int, output.split())
    assert handled >= FRAMES
    assert failed == 0
    assert lost == (0 if snr_db > 0 else handled)
    assert bool(received) == (snr_db > 0)
    for seen in received:
        # Uncoded, 1.25 % of the bits are wrong at 4 dB, and so some 9.6 % of the bytes; at 12 dB, 1e-8.
        assert np.mean(seen != pixels) == pytest.approx(0.096 if snr_db == 4.0 else 0.0, abs=0.03)
    left = {file.name for file in tmp_path.iterdir()}
    assert left == ({"image.png", "received.png"} if snr_db > 0 else {"image.png"})
