"""Runs ``scripts/stream_blocks.py`` in GNU Radio's Python."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from semcom_phy.flowgraph.python import GnuRadio, environment
from semcom_phy.zmq import Pdu, PmtLimits
from semcom_phy.zmq.pdu import decode_pdu, encode_pdu

SCRIPT = Path(__file__).parent / "scripts" / "stream_blocks.py"
ROOT = Path(__file__).parents[3]
LIMITS = PmtLimits(message_bytes=2**30, vector_items=2**28)


def run_block(gnuradio: GnuRadio, what: str, folder: Path, check: bool = True, **config: Any) -> list[dict[str, Any]]:
    """Run the script and return the JSON lines that it prints; without `check`, what it says on standard error."""
    done = subprocess.run(
        [gnuradio.python, SCRIPT, what, json.dumps(config), folder],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        env=environment(),
    )
    if check:
        assert done.returncode == 0, f"{done.returncode}: {done.stderr}"
    else:
        assert done.returncode == 1, done.stderr
        return [{"error": done.stderr}]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def read_pdus(folder: Path, name: str) -> list[Pdu]:
    """What a port gave, in order."""
    return [decode_pdu(path.read_bytes(), LIMITS) for path in sorted(folder.glob(f"{name}-*.pdu"))]


def write_pdus(folder: Path, pdus: list[Pdu]) -> None:
    """What goes into the block."""
    for number, pdu in enumerate(pdus):
        (folder / f"in-{number:05d}.pdu").write_bytes(encode_pdu(pdu))


def read_tags(folder: Path) -> list[tuple[int, str, str]]:
    """Tags of the output: place, key, value as GNU Radio writes it."""
    return [(offset, key, value) for offset, key, value in json.loads((folder / "tags.json").read_text())]
