"""SigMF metadata (the JSON of ``.sigmf-meta``), parsed with bounds: nothing it says is trusted.

Whatever decides how the samples are read (datatype, sample rate, captures, channels) must be right, else FormatError.
All else (texts, dates, annotations) is left out when it is damaged, and named in `Metadata.problems`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from semcom_phy.capture.bursts import EXTENSION_NAME, MAX_INDEX, shown
from semcom_phy.errors import FormatError

MAX_METADATA_BYTES = 32 << 20
# An empty list takes three bytes in JSON and 64 in memory.
MAX_VALUES = 4_000_000
MAX_CHANNELS = 4096
MAX_PROBLEMS = 20
MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ = 1e-3, 1e12
MAX_FREQUENCY_HZ = 1e12


@dataclass(frozen=True)
class Capture:
    """One entry of ``captures``; `sample_start` and `global_index` as written, `time` in UTC."""

    sample_start: int = 0
    header_bytes: int = 0
    center_frequency_hz: float | None = None
    time: datetime | None = None
    global_index: int | None = None


@dataclass(frozen=True)
class Annotation:
    """One entry of ``annotations``. `sample_count` None: to the end. `fields`: the whole object as in the file."""

    sample_start: int
    sample_count: int | None
    label: str | None
    fields: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Metadata:
    """What ``.sigmf-meta`` says. `fields`: the whole ``global`` object, whose other values nobody has checked.

    `first_index` is ``core:offset``, the number of the dataset's first sample; `footer_bytes` is
    ``core:trailing_bytes``. `problems`: one line for each damaged part that was left out, at most `MAX_PROBLEMS` + 1.
    """

    datatype: str | None
    sample_rate_hz: float | None
    channels: int
    first_index: int
    footer_bytes: int
    dataset: str | None
    metadata_only: bool
    sha512: str | None
    hardware: str | None
    author: str | None
    description: str | None
    captures: tuple[Capture, ...]
    annotations: tuple[Annotation, ...]
    problems: tuple[str, ...]
    fields: Mapping[str, Any] = field(repr=False)


class Problems:
    """Collects one-line reports, and only counts those beyond `MAX_PROBLEMS`."""

    def __init__(self, lines: tuple[str, ...] = ()) -> None:
        self._lines = list(lines)
        self._more = 0

    def add(self, line: str) -> None:
        """Report one problem."""
        if len(self._lines) < MAX_PROBLEMS:
            self._lines.append(line)
        else:
            self._more += 1

    def lines(self) -> tuple[str, ...]:
        """Return the reports."""
        return (*self._lines, f"… and {self._more} more") if self._more else tuple(self._lines)


def parse_metadata(text: bytes, *, given_rate: bool = False, given_datatype: bool = False) -> Metadata:
    """Parse the bytes of a ``.sigmf-meta`` file.

    `given_rate`, `given_datatype`: the caller knows them, so those fields are not read. Raises FormatError for what
    is not SigMF metadata, for more than `MAX_METADATA_BYTES` or `MAX_VALUES`, and for values by which the samples
    cannot be read.
    """
    document = _load_json(text)
    if not isinstance(document, dict) or not isinstance(document.get("global"), dict):
        raise FormatError("the metadata has no 'global' object: this is not a .sigmf-meta file")
    fields: dict[str, Any] = document["global"]
    problems = Problems()
    _check_extensions(fields, problems)
    version = fields.get("core:version")
    if not (isinstance(version, str) and version.startswith(("0.", "1."))):
        problems.add(f"core:version is {shown(version)}; read as SigMF 1.2")
    captures = _objects(document, "captures", problems)
    annotations = _objects(document, "annotations", problems)
    return Metadata(
        datatype=None if given_datatype else _datatype(fields),
        sample_rate_hz=None if given_rate else _sample_rate(fields),
        channels=_integer(fields, "core:num_channels", 1, MAX_CHANNELS, 1),
        first_index=_integer(fields, "core:offset", 0, MAX_INDEX, 0),
        footer_bytes=_integer(fields, "core:trailing_bytes", 0, MAX_INDEX, 0),
        dataset=_dataset(fields),
        metadata_only=fields.get("core:metadata_only") is True,
        sha512=_text(fields, "core:sha512", problems),
        hardware=_text(fields, "core:hw", problems),
        author=_text(fields, "core:author", problems),
        description=_text(fields, "core:description", problems),
        captures=_captures(captures, problems),
        annotations=_annotations(annotations, problems),
        problems=problems.lines(),
        fields=fields,
    )


def _load_json(text: bytes) -> Any:
    if len(text) > MAX_METADATA_BYTES:
        raise FormatError(f"the metadata has more than {MAX_METADATA_BYTES} bytes; remove annotations from it")
    # Every value but the outermost follows one of these; they may be in strings as well, so this is an upper bound.
    if sum(text.count(mark) for mark in (b",", b"[", b"{", b":")) > MAX_VALUES:
        raise FormatError(f"the metadata may hold more than {MAX_VALUES} values; remove annotations from it")
    try:
        return json.loads(text.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise FormatError("the metadata is not UTF-8 text: this is not a .sigmf-meta file") from None
    except json.JSONDecodeError as error:
        raise FormatError(f"the metadata is not JSON: {error.msg}, line {error.lineno} column {error.colno}") from None
    except ValueError:
        raise FormatError("the metadata holds an integer of too many digits") from None
    except RecursionError:
        raise FormatError("the metadata is nested too deeply") from None


def _objects(document: dict[str, Any], key: str, problems: Problems) -> list[Any]:
    if key not in document:
        problems.add(f"the metadata has no {key!r}; read as an empty list")
        return []
    if not isinstance(document[key], list):
        raise FormatError(f"{key!r} in the metadata must be a list, got {shown(document[key])}")
    return document[key]


def _as_integer(value: Any) -> int | None:
    """Return a JSON integer, also one written as 5.0, or None."""
    if isinstance(value, float) and value.is_integer() and abs(value) <= 2**53:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _integer(fields: Mapping[str, Any], key: str, low: int, high: int, default: int | None) -> int:
    """Return an integer field, or raise FormatError; `default` stands for a missing one unless it is None."""
    if key not in fields and default is not None:
        return default
    number = _as_integer(fields.get(key))
    if number is None or not low <= number <= high:
        raise FormatError(f"{key} must be an integer from {low} to {high}, got {shown(fields.get(key))}; correct it")
    return number


def _number(value: Any, limit: float) -> float | None:
    """Return a finite JSON number within ±limit as a float, or None."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not -limit <= value <= limit:
        return None
    return float(value)


def _text(fields: Mapping[str, Any], key: str, problems: Problems) -> str | None:
    value = fields.get(key)
    if value is None or isinstance(value, str):
        return value
    problems.add(f"{key} is {shown(value)} instead of a text; left out")
    return None


def _datatype(fields: Mapping[str, Any]) -> str:
    value = fields.get("core:datatype")
    if not isinstance(value, str):
        raise FormatError(f"core:datatype is {shown(value)}; give the datatype, for example datatype='cf32_le'")
    return value


def _sample_rate(fields: Mapping[str, Any]) -> float | None:
    if "core:sample_rate" not in fields:
        return None
    rate = _number(fields["core:sample_rate"], MAX_SAMPLE_RATE_HZ)
    if rate is None or rate < MIN_SAMPLE_RATE_HZ:
        raise FormatError(
            f"core:sample_rate is {shown(fields['core:sample_rate'])}, not a number from {MIN_SAMPLE_RATE_HZ:g} to "
            f"{MAX_SAMPLE_RATE_HZ:g} Hz; give the true one as sample_rate_hz"
        )
    return rate


def _dataset(fields: Mapping[str, Any]) -> str | None:
    """Return ``core:dataset``, the name of a file in the folder of the metadata; never a path to elsewhere."""
    name = fields.get("core:dataset")
    if name is None:
        return None
    plain = isinstance(name, str) and 0 < len(name) <= 255 and name not in (".", "..") and name.isprintable()
    if not plain or any(mark in name for mark in '/\\:*?"<>|'):
        raise FormatError(f"core:dataset must be the name of a file beside the metadata, got {shown(name)}")
    return str(name)


def _check_extensions(fields: Mapping[str, Any], problems: Problems) -> None:
    extensions = fields.get("core:extensions", [])
    if not isinstance(extensions, list):
        problems.add(f"core:extensions is {shown(extensions)} instead of a list; left out")
        return
    for number, entry in enumerate(extensions):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            problems.add(f"core:extensions[{number}] is damaged; left out")
        elif entry.get("optional") is False and entry["name"] != EXTENSION_NAME:
            raise FormatError(
                f"the recording cannot be read without the SigMF extension {shown(entry['name'])}, which is unknown "
                "here; set its 'optional' to true to read the samples all the same"
            )


def _captures(entries: list[Any], problems: Problems) -> tuple[Capture, ...]:
    captures: list[Capture] = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise FormatError(f"captures[{number}] must be an object, got {shown(entry)}; correct or remove it")
        try:
            start = _integer(entry, "core:sample_start", 0, MAX_INDEX, None)
            header = _integer(entry, "core:header_bytes", 0, MAX_INDEX, 0)
        except FormatError as error:
            raise FormatError(f"captures[{number}]: {error}") from None
        if captures and start < captures[-1].sample_start:
            raise FormatError(f"captures[{number}] starts before the one above it; sort them by core:sample_start")
        frequency = _number(entry.get("core:frequency"), MAX_FREQUENCY_HZ)
        if frequency is None and entry.get("core:frequency") is not None:
            problems.add(f"captures[{number}]: core:frequency is {shown(entry['core:frequency'])}; left out")
        index = _as_integer(entry.get("core:global_index"))
        if index is not None and not 0 <= index <= MAX_INDEX:
            index = None
        if index is None and entry.get("core:global_index") is not None:
            problems.add(f"captures[{number}]: core:global_index is {shown(entry['core:global_index'])}; left out")
        captures.append(Capture(start, header, frequency, _time(entry, number, problems), index))
    return tuple(captures)


def _time(entry: Mapping[str, Any], number: int, problems: Problems) -> datetime | None:
    text = entry.get("core:datetime")
    if text is None:
        return None
    try:
        # Seconds of more than six decimals are cut, not refused.
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        problems.add(f"captures[{number}]: core:datetime {shown(text)} is no ISO 8601 date and time; left out")
        return None


def _annotations(entries: list[Any], problems: Problems) -> tuple[Annotation, ...]:
    annotations = []
    for number, entry in enumerate(entries):
        if not isinstance(entry, dict):
            problems.add(f"annotations[{number}] is {shown(entry)} instead of an object; left out")
            continue
        start = _as_integer(entry.get("core:sample_start"))
        count = _as_integer(entry.get("core:sample_count"))
        if start is None or not 0 <= start <= MAX_INDEX:
            problems.add(
                f"annotations[{number}]: core:sample_start is {shown(entry.get('core:sample_start'))}; left out"
            )
            continue
        if (count is None and entry.get("core:sample_count") is not None) or not 0 <= (count or 0) <= MAX_INDEX:
            problems.add(f"annotations[{number}]: core:sample_count is {shown(entry['core:sample_count'])}; left out")
            continue
        label = entry.get("core:label")
        annotations.append(Annotation(start, count, label if isinstance(label, str) else None, entry))
    return tuple(annotations)


def is_sha512(text: str | None) -> bool:
    """Tell whether `text` is a SHA-512 in hexadecimal digits."""
    return text is not None and len(text) == 128 and all(digit in "0123456789abcdefABCDEF" for digit in text)
