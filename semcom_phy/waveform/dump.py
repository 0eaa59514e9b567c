"""Writing the receiver's internal signals to named files, for debugging."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import ConfigurationError


class SignalDump:
    """A folder of signals.

    Streams are raw files that grow (`samples.cf32`: interleaved float32; `search-statistic.f32`: the detector's
    first stage, two values per symbol). What belongs to one burst goes to `burst-00000-NAME.npy`, numbered in
    the order of detection, and numbers to `bursts.jsonl`, one object per line.

    Raises ConfigurationError when the folder cannot be made.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in ("samples.cf32", "search-statistic.f32", "bursts.jsonl"):
                (self.path / name).write_bytes(b"")
        except OSError as error:
            raise ConfigurationError(
                f"cannot write signals to {self.path}: {error.strerror}; give another folder"
            ) from error

    def stream(self, name: str, values: npt.NDArray) -> None:
        """Append to a stream."""
        with (self.path / name).open("ab") as file:
            file.write(np.ascontiguousarray(values).tobytes())

    def burst(self, number: int, **signals: npt.NDArray) -> None:
        """Write signals of one burst."""
        for name, values in signals.items():
            np.save(self.path / f"burst-{number:05d}-{name.replace('_', '-')}.npy", values)

    def note(self, number: int, **facts: Any) -> None:
        """Write numbers of one burst."""
        with (self.path / "bursts.jsonl").open("a") as file:
            file.write(json.dumps({"burst": number, **facts}) + "\n")
