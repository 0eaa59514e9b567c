"""What a measurement ran on: processor, instruction sets, cores, GPU, versions. Nothing names a person or a place."""

from __future__ import annotations

import contextlib
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Final

from semcom_app.benchmarks.decoders import cores
from semcom_app.results import versions

#: Instruction sets that make a difference to the decoders, as Linux names them; asimd is NEON of 64-bit ARM.
INSTRUCTION_SETS: Final = ("sse4_1", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512_vnni", "neon", "asimd", "sve")
_CPUINFO: Final = Path("/proc/cpuinfo")


def parse_cpuinfo(text: str) -> tuple[str, list[str]]:
    """Return model name and those of `INSTRUCTION_SETS` that the first processor of a Linux cpuinfo has."""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    found = ["neon" if name == "asimd" else name for name in INSTRUCTION_SETS if name in flags]
    return fields.get("model name", ""), list(dict.fromkeys(found))


def gpu_name() -> str | None:
    """Name of the first CUDA device, None without one."""
    try:
        import torch
    except (ImportError, OSError):
        return None
    return str(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else None


def describe_machine() -> dict[str, Any]:
    """Return the `machine` object of a benchmark's JSON."""
    try:
        model, instruction_sets = parse_cpuinfo(_CPUINFO.read_text(errors="replace"))
    except OSError:
        model, instruction_sets = "", []
    found = versions()
    with contextlib.suppress(metadata.PackageNotFoundError):
        found["scikit-commpy"] = metadata.version("scikit-commpy")
    return {
        "cpu": model or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "system": platform.system(),
        "instruction_sets": instruction_sets,
        "cores": cores(),
        "load_average_1_min": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "gpu": gpu_name(),
        "versions": found,
    }
