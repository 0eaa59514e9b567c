"""A trial run of the turbo decoder: checks its parameters, and has its kernels compiled before the first frame comes.

python -m semcom_phy.gr.trial ALGORITHM BACKEND
"""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import numpy as np

from semcom_phy.coding.transport import TurboCode
from semcom_phy.flowgraph.python import environment

_BITS: Final = 10_000  # two code blocks of two sizes


def try_decoder(turbo: TurboCode) -> None:
    """Decode a short payload. Raises ConfigurationError for a decoder that does not exist."""
    turbo.decode(np.full(turbo.coded_length(_BITS), -1.0, np.float32), _BITS)


def try_decoder_elsewhere(turbo: TurboCode) -> None:
    """Do the same in a process of its own, so that the compiled kernels are on disk.

    A compiler at work in this process keeps the other threads from running for seconds, and the application's watchdog
    takes that for a flowgraph that hangs. Errors are left to `try_decoder` here.
    """
    command = [sys.executable, "-m", "semcom_phy.gr.trial", turbo.algorithm, turbo.backend]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, env=environment(), check=False)


if __name__ == "__main__":
    algorithm, backend = sys.argv[1:]
    try_decoder(TurboCode(algorithm=algorithm, backend=backend))
