"""The Python in which GNU Radio runs.

GNU Radio belongs to the system's Python; `make gnuradio` makes an environment on top of it, `.venv-gr`, with what this
project's blocks need besides. numpy 2 in that environment would break ``import gnuradio``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from semcom_phy import memory
from semcom_phy.errors import LinkError

#: Names the Python to use, before any other is looked for.
VARIABLE: Final = "SEMCOM_GNURADIO_PYTHON"
ENVIRONMENT: Final = ".venv-gr"
INSTALL: Final = "make gnuradio"
_ROOT: Final = Path(__file__).resolve().parents[2]
#: Descriptions of the project's blocks for GNU Radio Companion.
BLOCKS: Final = _ROOT / "semcom_phy" / "gr" / "grc"
_SYSTEM: Final = Path("/usr/bin/python3")
_QUESTION: Final = "from gnuradio import gr; print(gr.version())"


@dataclass(frozen=True)
class GnuRadio:
    """`python`: the interpreter that can import GNU Radio; `version`: GNU Radio's own."""

    python: Path
    version: str


def environment() -> dict[str, str]:
    """Environment of a process that runs GNU Radio: this package and its blocks on the paths, one BLAS thread.

    The receiver's matrices are small, and BLAS threads that wait for each other slow it up to twenty times. Freed
    memory is kept, unless the environment says otherwise already.
    """
    return {
        **memory.ENVIRONMENT,
        **os.environ,
        "PYTHONPATH": _before(str(_ROOT), "PYTHONPATH"),
        "GRC_BLOCKS_PATH": _before(str(BLOCKS), "GRC_BLOCKS_PATH"),
        "OPENBLAS_NUM_THREADS": "1",
    }


def _before(entry: str, variable: str) -> str:
    """The search path in `variable` with `entry` in front."""
    entries = os.environ.get(variable, "").split(os.pathsep)
    return os.pathsep.join([entry, *(other for other in entries if other and other != entry)])


@cache
def find_gnuradio() -> GnuRadio:
    """Find GNU Radio: in the Python that `SEMCOM_GNURADIO_PYTHON` names, in `.venv-gr`, in the system's.

    Raises LinkError that names the command which installs it.
    """
    named = os.environ.get(VARIABLE)
    candidates = [Path(named)] if named else [_ROOT / ENVIRONMENT / "bin" / "python", _SYSTEM, Path(sys.executable)]
    for python in candidates:
        version = _version(python)
        if version is not None:
            return GnuRadio(python, version)
    where = f"{named}, which {VARIABLE} names, has no GNU Radio" if named else "GNU Radio is not installed"
    raise LinkError(f"{where}; install it with '{INSTALL}'")


def _version(python: Path) -> str | None:
    try:
        answer = subprocess.run(
            [python, "-c", _QUESTION], capture_output=True, text=True, timeout=60, check=True, env=environment()
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip() or None
