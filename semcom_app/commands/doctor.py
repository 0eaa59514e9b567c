"""`semcom doctor`: what is installed and what is missing."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import Annotated

import typer

from semcom_phy.errors import SemcomError
from semcom_phy.flowgraph.python import INSTALL

PROBE_TIMEOUT_S = 30
REQUIRED = (
    "numpy",
    "scipy",
    "numba",
    "sigmf",
    "pyzmq",
    "pyyaml",
    "torch",
    "diffusers",
    "torchmetrics",
    "safetensors",
    "pillow",
    "matplotlib",
    "typer",
    "rich",
)
#: Asks GNU Radio's Python which of the blocks' needs it lacks.
_BLOCKS_QUESTION = (
    "from importlib.util import find_spec;"
    "print(', '.join(m for m in ('numpy', 'scipy', 'numba', 'zmq', 'sigmf') if not find_spec(m)) or 'nothing')"
)
_NOTHING = "nothing"
OPTIONAL = {"scikit-commpy": "the cross-check of the turbo code in the tests, and a peer in its benchmark"}


@dataclass(frozen=True)
class Finding:
    """One line of the report; `state` is "ok", "optional" (not here, not needed to start) or "missing"."""

    what: str
    state: str
    detail: str


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("doctor")(doctor)


def doctor(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> int:
    """Print what is present: Python, torch and device, GNU Radio, weights, SDR drivers.

    Exit code 1 when something is missing that the main job needs.
    """
    import json

    findings = [finding for probe in PROBES for finding in probe()]
    if as_json:
        typer.echo(json.dumps([asdict(f) for f in findings], indent=2))
    else:
        width = max(len(f.what) for f in findings)
        for finding in findings:
            typer.echo(f"{finding.state:8}  {finding.what:{width}}  {finding.detail}")
    return int(any(f.state == "missing" for f in findings))


def _python() -> list[Finding]:
    state = "ok" if sys.version_info >= (3, 11) else "missing"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [Finding("Python", state, f"{platform.python_version()}, {platform.machine()}, {cores} cores")]


def _packages() -> list[Finding]:
    findings = []
    for name in (*REQUIRED, *OPTIONAL):
        try:
            findings.append(Finding(name, "ok", metadata.version(name)))
        except metadata.PackageNotFoundError:
            if name in REQUIRED:
                findings.append(Finding(name, "missing", "run `make venv`, or pip install ."))
            else:
                findings.append(Finding(name, "optional", f"not installed: {OPTIONAL[name]}"))
    return findings


def _device() -> list[Finding]:
    if importlib.util.find_spec("torch") is None:
        return [Finding("device", "missing", "torch is not installed")]
    try:
        import torch
    except (ImportError, OSError) as error:  # installed, but a library of it is missing or damaged
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return [Finding("device", "missing", f"torch cannot be imported: {reason}")]

    if torch.cuda.is_available():
        return [Finding("device", "ok", f"CUDA: {torch.cuda.get_device_name(0)}")]
    return [Finding("device", "ok", f"CPU, {torch.get_num_threads()} threads (no CUDA device)")]


def _weights() -> list[Finding]:
    from semcom_app.models.weights import WEIGHTS, local_folder

    findings = []
    for name in WEIGHTS.names():
        try:
            findings.append(Finding(f"weights {name}", "ok", str(local_folder(name))))
        except SemcomError:
            embedded = WEIGHTS[name].hub_id is None
            hint = "reinstall the package" if embedded else f"semcom weights pull {name}"
            findings.append(Finding(f"weights {name}", "missing" if embedded else "optional", f"not here: {hint}"))
    return findings


def _run(command: list[str], environment: dict[str, str] | None = None) -> str | None:
    """First line that a probing command prints, None when it is missing or fails."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_TIMEOUT_S,
            stdin=subprocess.DEVNULL,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.strip().splitlines()
    return lines[0] if done.returncode == 0 and lines else None


def _gnuradio() -> list[Finding]:
    # GNU Radio lives in the system's Python, not in ours.
    from semcom_phy.flowgraph.python import environment, find_gnuradio

    try:
        found = find_gnuradio()
    except SemcomError as error:
        return [Finding("GNU Radio", "optional", str(error))]
    companion = "with" if shutil.which("gnuradio-companion") else "without"
    findings = [Finding("GNU Radio", "ok", f"{found.version}, {companion} Companion, {found.python}")]
    answer = _run([str(found.python), "-c", _BLOCKS_QUESTION], environment())
    if answer is None:
        detail = f"{found.python} cannot be asked: run '{INSTALL}'"
    elif answer == _NOTHING:
        detail = "all that they need is there"
    else:
        detail = f"GNU Radio's Python lacks {answer}: run '{INSTALL}'"
    return [*findings, Finding("GNU Radio blocks", "ok" if answer == _NOTHING else "optional", detail)]


def _radios() -> list[Finding]:
    findings = []
    for what, program, question in (
        ("SoapySDR", "SoapySDRUtil", "SoapySDRUtil --info | grep -i 'lib version'"),
        ("UHD", "uhd_config_info", "uhd_config_info --version"),
    ):
        if shutil.which(program) is None:
            findings.append(Finding(what, "optional", f"no {program}: run '{INSTALL}'"))
        else:
            findings.append(Finding(what, "ok", _run(["sh", "-c", question]) or "installed"))
    if shutil.which("SoapySDRUtil"):
        listed = _run(["sh", "-c", "SoapySDRUtil --info | grep -i 'available factories'"])
        detail = listed or f"none found: run '{INSTALL}'"
        findings.append(Finding("SoapySDR drivers", "ok" if listed else "optional", detail))
    return findings


PROBES: tuple[Callable[[], list[Finding]], ...] = (_python, _packages, _device, _weights, _gnuradio, _radios)
