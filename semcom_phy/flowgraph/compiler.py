"""Compiling flowgraphs: `grcc` under GNU Radio's Python, its result kept until the flowgraph or a block changes."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from semcom_phy.errors import FormatError, LinkError
from semcom_phy.flowgraph import grc_file
from semcom_phy.flowgraph.catalogue import APPLICATION_BLOCK
from semcom_phy.flowgraph.python import BLOCKS, GnuRadio, environment, find_gnuradio

_COMPILE: Final = "from gnuradio.grc.compiler import main; main()"
_TIMEOUT_S: Final = 180
_LOG: Final = "grcc.log"
_BLOCK_ID: Final = re.compile(r"^id:\s*['\"]?(\w+?)_?['\"]?\s*$", re.M)
#: Blocks that Companion has no description of in a file.
_BUILT_IN: Final = ("epy_block", "epy_module", "pad_source", "pad_sink", "virtual_source", "virtual_sink")
_WARNING: Final = ">>> Warning: "
#: Said of every flowgraph without a throttle or a radio; where the application paces it, there is nothing to mend.
_NO_PACE: Final = "This flow graph may not have flow control"


@dataclass(frozen=True)
class Compiled:
    """`program`: the Python program; `warnings`: what Companion had to say about the flowgraph."""

    program: Path
    warnings: tuple[str, ...]


def cache_folder() -> Path:
    """Where compiled flowgraphs are kept: ``semcom/flowgraphs`` in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "semcom" / "flowgraphs"


def compile_flowgraph(path: Path, gnuradio: GnuRadio | None = None, cache: Path | None = None) -> Compiled:
    """Compile a .grc file, or find it compiled already.

    gnuradio: the one to compile for (by default `find_gnuradio`); cache: folder of the results (by default
    `cache_folder`). A result belongs to the content of the flowgraph and of the block descriptions, and to GNU Radio's
    version.

    Raises FormatError if the flowgraph is not valid, LinkError if GNU Radio or room for the result is missing.
    """
    document = grc_file.read(path)  # bounds what Companion then reads
    name = document["options"]["parameters"]["id"]
    if not name.isidentifier():
        raise FormatError(f"{path} has the id {name!r}, which is no name of a Python class")
    gnuradio = gnuradio or find_gnuradio()
    folder = (cache or cache_folder()) / _key(path, gnuradio)
    if not (folder / f"{name}.py").is_file():
        _compile_into(folder, path, document, gnuradio)
    log = (folder / _LOG).read_text(errors="replace") if (folder / _LOG).is_file() else ""
    warnings = [line.removeprefix(_WARNING) for line in log.splitlines() if line.startswith(_WARNING)]
    if any(block["id"] == APPLICATION_BLOCK for block in document["blocks"]):
        warnings = [warning for warning in warnings if not warning.startswith(_NO_PACE)]
    return Compiled(folder / f"{name}.py", tuple(warnings))


def _key(path: Path, gnuradio: GnuRadio) -> str:
    digest = hashlib.sha256(f"{gnuradio.version}\0".encode())
    for file in (path, *sorted(BLOCKS.glob("*.yml"))):
        digest.update(f"{file.name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:32]


def _compile_into(folder: Path, path: Path, document: grc_file.Document, gnuradio: GnuRadio) -> None:
    """Compile beside `folder` and move the result there in one step, so that nobody finds half of it."""
    name = document["options"]["parameters"]["id"]
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".compiling-", dir=folder.parent) as scratch:
            made = Path(scratch) / "made"
            made.mkdir()
            log = _grcc(path, made, gnuradio)
            if not (made / f"{name}.py").is_file():
                raise FormatError(f"flowgraph {path.name} does not compile: {_reason(log, document)}")
            (made / _LOG).write_text(log)
            try:
                made.rename(folder)
            except OSError:
                if not (folder / f"{name}.py").is_file():  # otherwise somebody was faster
                    shutil.rmtree(folder)
                    made.rename(folder)
    except OSError as error:
        where = error.filename or folder.parent
        raise LinkError(
            f"cannot keep the compiled flowgraph in {where}: {error.strerror}; set XDG_CACHE_HOME"
        ) from None


def _grcc(path: Path, output: Path, gnuradio: GnuRadio) -> str:
    """Run Companion's compiler and return all that it says."""
    command: list[str | Path] = [gnuradio.python, "-c", _COMPILE, "--output", output, path.resolve()]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_S,
            check=False,
            # This checkout's blocks alone, also where those of another one are registered for Companion.
            env={**environment(), "GR_CONF_GRC_LOCAL_BLOCKS_PATH": ""},
        )
    except subprocess.TimeoutExpired:
        raise LinkError(
            f"compiling {path.name} took longer than {_TIMEOUT_S} s; see whether the machine is busy"
        ) from None
    return done.stdout


def _reason(log: str, document: grc_file.Document) -> str:
    """What is wrong, on one line: blocks that are not there, or the first error of the compiler's report."""
    lines = [line.strip() for line in log.splitlines()]
    known = _known_blocks(lines)
    missing = {block["id"] for block in document["blocks"]} - known - set(_BUILT_IN)
    if known and missing:
        return f"it needs blocks that are not installed here: {', '.join(sorted(missing))}"
    for number, line in enumerate(lines):
        if line.endswith("errors from flowgraph:"):
            report = [text for text in lines[number + 1 :] if text]
            return " ".join(report[:3]).strip("* ")
    for line in lines:
        if "Error" in line:
            return line.removeprefix(">>> ")
    return next((line for line in reversed(lines) if line), "the compiler says nothing")


def _known_blocks(log: list[str]) -> set[str]:
    """Ids of the blocks in the folders that the compiler says it has searched."""
    known: set[str] = set()
    for line in log:
        folder = Path(line)
        if line.startswith("/") and folder.is_dir():
            for file in folder.rglob("*.block.yml"):
                known.update(_BLOCK_ID.findall(file.read_text(errors="replace")))
    return known
