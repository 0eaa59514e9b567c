"""The ``semcom:`` extension of SigMF: one annotation per detected burst (docs/captures.md)."""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from semcom_phy.checks import checked_number
from semcom_phy.errors import ConfigurationError, FormatError

EXTENSION_NAME: Final = "semcom"
EXTENSION_VERSION: Final = "1.0.0"
PREFIX: Final = f"{EXTENSION_NAME}:"
MAX_INDEX: Final = 2**63 - 1

_MAX_U32 = 2**32 - 1
_INTEGERS = {
    "sample_start": (0, MAX_INDEX),
    "sample_count": (1, MAX_INDEX),
    "frame": (0, _MAX_U32),
    "image": (0, _MAX_U32),
    "fragment": (0, _MAX_U32 - 1),
    "fragments": (1, _MAX_U32),
    "redundancy_version": (0, 3),
}
_NUMBERS = {
    "code_rate": (1e-6, 1.0, ""),
    "es_n0_db": (-200.0, 200.0, "dB"),
    "cfo_hz": (-1e9, 1e9, "Hz"),
    "clock_offset_ppm": (-1e6, 1e6, "ppm"),
    "evm_rms": (0.0, 1e6, ""),
}
_CORE = ("sample_start", "sample_count")
_MODULATION = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


@dataclass(frozen=True)
class BurstAnnotation:
    """A burst that a receiver found in a recording. None: not known, for instance because the header was lost.

    `sample_start`, `sample_count`: the burst's samples, counted from the first sample of the recording.
    `crc_ok`: True when every CRC of the burst, header and payload, held. `frame`, `image`: their numbers, 0 … 2^32−1.
    `fragment` of `fragments`: the part of the image, 0 … fragments−1. `modulation`: its name in
    `semcom_phy.modulation`, lower case. `code_rate`: payload bits per coded bit, 0 … 1. `redundancy_version`: 0 … 3
    (3GPP TS 36.212 §5.1.4.1.2). `es_n0_db`: measured Es/N0 in dB. `cfo_hz`: carrier frequency offset, transmitter
    minus receiver. `clock_offset_ppm`: sample clock offset, transmitter minus receiver. `evm_rms`: RMS error vector
    over RMS constellation, as a ratio.

    Raises ConfigurationError for a value outside its range (all real numbers must be finite).
    """

    sample_start: int
    sample_count: int
    crc_ok: bool
    frame: int | None = None
    image: int | None = None
    fragment: int | None = None
    fragments: int | None = None
    modulation: str | None = None
    code_rate: float | None = None
    redundancy_version: int | None = None
    es_n0_db: float | None = None
    cfo_hz: float | None = None
    clock_offset_ppm: float | None = None
    evm_rms: float | None = None

    def __post_init__(self) -> None:
        for name, (low, high) in _INTEGERS.items():
            value = getattr(self, name)
            if value is not None or name in _CORE:
                object.__setattr__(self, name, checked_integer(name, value, low, high))
        for name, (lowest, highest, unit) in _NUMBERS.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, checked_number(name, value, lowest, highest, unit))
        if not isinstance(self.crc_ok, bool | np.bool_):
            raise ConfigurationError(f"crc_ok must be True or False, got {self.crc_ok!r}")
        object.__setattr__(self, "crc_ok", bool(self.crc_ok))
        if self.modulation is not None and not (
            isinstance(self.modulation, str) and _MODULATION.fullmatch(self.modulation)
        ):
            raise ConfigurationError(
                f"modulation must be a name of up to 32 lower-case letters, digits and hyphens, got {self.modulation!r}"
            )
        if self.sample_start > MAX_INDEX - self.sample_count:
            raise ConfigurationError("sample_start + sample_count must stay below 2^63")
        if self.fragment is not None and self.fragments is not None and self.fragment >= self.fragments:
            raise ConfigurationError(
                f"fragment must be less than fragments, got fragment {self.fragment} of {self.fragments}"
            )

    def to_sigmf(self) -> dict[str, Any]:
        """Return the SigMF annotation object; unknown values are left out."""
        fields = dataclasses.asdict(self)
        annotation: dict[str, Any] = {f"core:{name}": fields.pop(name) for name in _CORE}
        annotation["core:label"] = "burst" if self.frame is None else f"frame {self.frame}"
        annotation.update({PREFIX + name: value for name, value in fields.items() if value is not None})
        return annotation

    @classmethod
    def from_sigmf(cls, annotation: Mapping[str, Any]) -> BurstAnnotation:
        """Parse a SigMF annotation object; fields that this version does not know are ignored.

        Raises FormatError when a required field is missing or a value is of the wrong type or out of range.
        """
        values = {}
        for field in dataclasses.fields(cls):
            key = ("core:" if field.name in _CORE else PREFIX) + field.name
            value = annotation.get(key)
            if value is not None:
                if not _is_plain(value):
                    raise FormatError(f"damaged burst annotation: {key} is {shown(value)}")
                values[field.name] = value
            elif field.default is dataclasses.MISSING:
                raise FormatError(f"burst annotation without {key}: it is required, see docs/captures.md")
        try:
            return cls(**values)
        except ConfigurationError as error:
            raise FormatError(f"damaged burst annotation: {error}") from None


def is_burst(annotation: Mapping[str, Any]) -> bool:
    """Tell whether a SigMF annotation object has fields of the ``semcom:`` extension."""
    return any(key.startswith(PREFIX) for key in annotation)


def extension() -> dict[str, Any]:
    """Return the extension's entry of ``core:extensions``."""
    return {"name": EXTENSION_NAME, "version": EXTENSION_VERSION, "optional": True}


def checked_integer(name: str, value: Any, low: int, high: int) -> int:
    """Return `value` as an int, or raise ConfigurationError unless it is an integer in [low, high]."""
    try:
        number = operator.index(value) if not isinstance(value, bool) else None
    except TypeError:
        number = None
    if number is None or not low <= number <= high:
        raise ConfigurationError(f"{name} must be an integer from {low} to {high}, got {shown(value)}")
    return number


def _is_plain(value: Any) -> bool:
    """Tell whether a JSON value is a short string or a number that a float can hold."""
    if isinstance(value, str):
        return len(value) <= 64
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= MAX_INDEX)


def shown(value: Any) -> str:
    """A short repr of anything a file may hold, nested objects and integers of a thousand digits included."""
    if isinstance(value, float) or (isinstance(value, int) and abs(value) < 10**40):
        return repr(value)
    if isinstance(value, str):
        return repr(value if len(value) <= 60 else value[:60] + "…")
    return "null" if value is None else "a huge integer" if isinstance(value, int) else f"a {type(value).__name__}"
