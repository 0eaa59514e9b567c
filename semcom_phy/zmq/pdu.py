"""Protocol data units as GNU Radio's message blocks exchange them: metadata and a vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.zmq.pmt import DEFAULT_LIMITS, Pair, PmtLimits, PmtValue, decode, element_number, encode


def _no_items() -> npt.NDArray[Any]:
    return np.empty(0, np.uint8)


@dataclass(frozen=True, eq=False)
class Pdu:
    """A PDU: the PMT pair (dict . uniform vector).

    `metadata`: str keys, values as in `semcom_phy.zmq.pmt`. `vector`: (n,) of one of PMT's element types. Two
    PDUs are equal when they hold the same types and bits, in whatever order of the keys of the metadata. `serialized`:
    the bytes that it has been read from, where they were kept, so that it can be passed on as it is.

    Raises ConfigurationError for other keys or vectors.
    """

    metadata: Mapping[str, PmtValue]
    vector: npt.NDArray[Any] = field(default_factory=_no_items)
    serialized: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.vector, np.ndarray) or self.vector.ndim != 1:
            raise ConfigurationError("the vector of a PDU is a one-dimensional numpy array")
        element_number(self.vector.dtype)
        if not all(isinstance(key, str) for key in self.metadata):
            raise ConfigurationError("the keys of a PDU's metadata are str")
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Pdu):
            return NotImplemented
        if self.vector.dtype.newbyteorder("=") != other.vector.dtype.newbyteorder("="):
            return False
        return _canonical(self) == _canonical(other)

    __hash__ = None  # type: ignore[assignment]


def _canonical(pdu: Pdu) -> bytes:
    return encode(Pair(dict(sorted(pdu.metadata.items())), pdu.vector))


def encode_pdu(pdu: Pdu, limits: PmtLimits = DEFAULT_LIMITS) -> bytes:
    """Serialize `pdu`; raises ConfigurationError for what PMT cannot express or the limits forbid."""
    return encode(Pair(pdu.metadata, pdu.vector), limits)


def decode_pdu(
    message: bytes | bytearray | memoryview, limits: PmtLimits = DEFAULT_LIMITS, *, keep: bool = False
) -> Pdu:
    """Read a serialized PDU; null stands for empty metadata. Raises FormatError for anything else.

    `keep`: the PDU keeps the message, and its arrays, big-endian and not to be written, are what lies there.
    """
    kept = bytes(message) if keep else None
    value = decode(message if kept is None else kept, limits, views=keep)
    if not isinstance(value, Pair) or not isinstance(value.cdr, np.ndarray):
        raise FormatError("a PMT that is no PDU: a pair of a dict and a uniform vector is wanted")
    metadata = {} if value.car is None else value.car
    if not isinstance(metadata, dict) or not all(isinstance(key, str) for key in metadata):
        raise FormatError("a PDU whose metadata are no dict with symbols for keys")
    return Pdu(metadata, value.cdr, kept)


def with_entries(serialized: bytes, entries: Mapping[str, PmtValue]) -> bytes:
    """The bytes of a PDU whose metadata have some `entries` more; keys must not be there already."""
    # Behind the tag of the pair stands the dict, a chain of cells or null, and either may follow another cell.
    cells = encode(dict(entries))[:-1] if entries else b""
    return b"".join((serialized[:1], cells, memoryview(serialized)[1:]))
