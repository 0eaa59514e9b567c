"""What the application and the radio worker (`semcom_phy.gr.radio_worker`) say to each other.

The request is an argument of the worker's command line. Then PDUs, in both directions:

==================  ===============================================================================================
to the worker
==================  ===============================================================================================
``do`` = start      the flowgraph shall run
``do`` = samples    c32vector of at most `CHUNK` samples to be sent. A part of a write of at most `PART` samples is
                    sent without a gap once its last chunk is there (``complete``); ``more`` if parts of the same
                    write follow
``do`` = drain      report when ``samples`` samples, all so far, have left the device
``do`` = stop       stop the flowgraph and report ``ended``
==================  ===============================================================================================

==================  ===============================================================================================
from the worker
==================  ===============================================================================================
``first``           c32vector of received samples; the number of the first
``taken``           how many samples the flowgraph has taken so far. The application keeps at most `WINDOW` more
                    under way
``drained``         so many samples have left the device
``ended``           the flowgraph has stopped
==================  ===============================================================================================

All that come from the worker carry its counts: ``overruns``, ``underruns``, ``late``, ``errors``.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.radios.base import RadioCapabilities, RadioConfig, RadioReport, Range

CHUNK: Final = 1 << 14
PART: Final = 1 << 18
WINDOW: Final = 1 << 19
COUNTS: Final = ("overruns", "underruns", "late", "errors")
#: Begin the worker's last line of output when it fails, and its answer to a probe.
ERROR_MARK: Final = "semcom-radio-error "
REPORT_MARK: Final = "semcom-radio-report "
DIRECTIONS: Final = ("receive", "transmit", "probe")
_LONGEST_ERROR: Final = 600


@dataclass(frozen=True)
class WorkerRequest:
    """What the worker is to do.

    `driver`: soapy or uhd. `direction`: receive, transmit or probe. `device`: arguments for the device itself, in the
    driver's form. `options`: this project's own, such as ``lo_offset``.
    """

    driver: str
    direction: str
    device: Mapping[str, str]
    options: Mapping[str, str] = field(default_factory=dict)
    config: RadioConfig = field(default_factory=RadioConfig)

    def to_json(self) -> str:
        """As one argument of a command line."""
        return json.dumps({**dataclasses.asdict(self), "device": dict(self.device), "options": dict(self.options)})

    @classmethod
    def from_json(cls, text: str) -> WorkerRequest:
        """Read what `to_json` gave; raises FormatError or ConfigurationError for anything else."""
        try:
            values = json.loads(text)
            request = cls(**{**values, "config": RadioConfig(**values["config"])})
        except (TypeError, KeyError, json.JSONDecodeError) as error:
            raise FormatError(f"no request for a radio worker: {error}") from None
        if request.direction not in DIRECTIONS:
            raise FormatError(f"a radio worker can {', '.join(DIRECTIONS)}, not {request.direction!r}")
        return request

    def option_number(self, name: str, low: float, high: float, default: float) -> float:
        """A number among `options`; raises ConfigurationError unless it is in [low, high]."""
        text = self.options.get(name)
        if text is None:
            return default
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            raise ConfigurationError(f"{name} must be a number from {low:g} to {high:g}, got {text!r:.60}")
        return value


def error_line(error: Exception) -> str:
    """The line with which a worker that fails takes its leave."""
    kind = "configuration" if isinstance(error, ConfigurationError) else "radio"
    message = " ".join(str(error).split())[:_LONGEST_ERROR] or type(error).__name__
    return ERROR_MARK + json.dumps({"kind": kind, "message": message}, ensure_ascii=False)


def parse_error(line: str) -> tuple[str, str] | None:
    """Kind and message of such a line; None for every other."""
    if not line.startswith(ERROR_MARK):
        return None
    try:
        values = json.loads(line[len(ERROR_MARK) :])
        return str(values["kind"]), str(values["message"])
    except (ValueError, KeyError, TypeError):
        return None


def reports_to_json(reports: list[RadioReport]) -> str:
    """The answer to a probe."""
    return json.dumps([dataclasses.asdict(report) for report in reports])


def reports_from_json(text: str) -> list[RadioReport]:
    """Read the answer to a probe; raises FormatError for anything else."""
    try:
        return [
            RadioReport(
                str(report["device"]),
                _capabilities(report["receiver"]),
                _capabilities(report["transmitter"]),
                dict(report["details"]),
            )
            for report in json.loads(text)
        ]
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise FormatError(f"no report of a radio: {error}") from None


def _capabilities(values: dict[str, Any] | None) -> RadioCapabilities | None:
    if values is None:
        return None
    ranges = {
        name: tuple(Range(float(one["minimum"]), float(one["maximum"]), float(one["step"])) for one in values[name])
        for name in ("frequency_hz", "sample_rate_hz", "gain_db", "bandwidth_hz")
    }
    return RadioCapabilities(
        **ranges,
        antennas=tuple(map(str, values["antennas"])),
        clock_sources=tuple(map(str, values["clock_sources"])),
        channels=None if values["channels"] is None else int(values["channels"]),
    )
