"""GNU Radio's polymorphic types (PMT) in their serialized form, without GNU Radio.

What GNU Radio's message blocks exchange over ZeroMQ is the output of ``pmt.serialize_str``: a tag byte, then the
value, all numbers big-endian. `encode` writes the same bytes as GNU Radio 3.10 does for the same value, `decode`
reads them under limits. Python values stand for PMTs as follows:

=========================  =====================================================================================
PMT                        Python
=========================  =====================================================================================
null                       None; an empty dict or list is written as null too, as GNU Radio does
bool, double, complex      bool, float, complex
symbol                     str (UTF-8, at most 1024 bytes: GNU Radio reads no longer ones)
integer (int32 or int64)   int; from 2^63 on it is written as uint64
uint64                     `UInt64`, an int that remembers its type
pair                       `Pair`; chains of pairs that end in null are lists
list                       list
dict                       dict with str or int keys, in the order of their insertion
vector (of anything)       `Vector`
tuple                      tuple, not empty
uniform vector             one-dimensional numpy array of u/int8 … u/int64, float32/64, complex64/128
=========================  =====================================================================================

Wire format of GNU Radio 3.10: pmt_serial_tags.h and pmt::serialize.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import ConfigurationError, FormatError


class _Tag:
    """The first byte of a serialized PMT."""

    TRUE: Final = 0x00
    FALSE: Final = 0x01
    SYMBOL: Final = 0x02
    INT32: Final = 0x03
    DOUBLE: Final = 0x04
    COMPLEX: Final = 0x05
    NULL: Final = 0x06
    PAIR: Final = 0x07
    VECTOR: Final = 0x08
    DICT: Final = 0x09
    UNIFORM_VECTOR: Final = 0x0A
    UINT64: Final = 0x0B
    TUPLE: Final = 0x0C
    INT64: Final = 0x0D


#: Element types of uniform vectors by their number on the wire. The names have a byte order that is sent.
_ELEMENTS: Final = tuple(
    np.dtype(name) for name in ("u1", "i1", ">u2", ">i2", ">u4", ">i4", ">u8", ">i8", ">f4", ">f8", ">c8", ">c16")
)
_ELEMENT_NUMBERS: Final = {(dtype.kind, dtype.itemsize): number for number, dtype in enumerate(_ELEMENTS)}
_SYMBOL_BYTES: Final = 1024  # the buffer into which GNU Radio reads a symbol

_TAGGED_INT32: Final = struct.Struct(">Bi")
_TAGGED_INT64: Final = struct.Struct(">Bq")
_TAGGED_UINT64: Final = struct.Struct(">BQ")
_TAGGED_DOUBLE: Final = struct.Struct(">Bd")
_TAGGED_COMPLEX: Final = struct.Struct(">Bdd")
_TAGGED_U16: Final = struct.Struct(">BH")
_TAGGED_U32: Final = struct.Struct(">BI")
_UNIFORM_HEAD: Final = struct.Struct(">BBIBB")  # tag, element type, items, length of the padding, padding
_U16: Final = struct.Struct(">H")
_U32: Final = struct.Struct(">I")
_UINT64_BODY: Final = struct.Struct(">Q")
_INT32_BODY: Final = struct.Struct(">i")
_INT64_BODY: Final = struct.Struct(">q")
_DOUBLE_BODY: Final = struct.Struct(">d")
_COMPLEX_BODY: Final = struct.Struct(">dd")
_UNIFORM_BODY: Final = struct.Struct(">BIB")


class UInt64(int):
    """An integer 0 … 2^64 − 1 that travels as PMT uint64; otherwise an int like any other."""


@dataclass(frozen=True)
class Pair:
    """A PMT pair (car . cdr) whose cdr is neither null nor a list; with those it would be a list itself."""

    car: PmtValue
    cdr: PmtValue


@dataclass(frozen=True)
class Vector:
    """A PMT vector of values of any kind, which is what ``pmt.to_pmt`` of GNU Radio makes of a Python list."""

    items: tuple[PmtValue, ...]


PmtValue: TypeAlias = (
    bool
    | int
    | float
    | complex
    | str
    | Pair
    | Vector
    | Mapping[Any, "PmtValue"]
    | list["PmtValue"]
    | tuple["PmtValue", ...]
    | npt.NDArray[Any]
    | None
)


@dataclass(frozen=True)
class PmtLimits:
    """What a message may hold at most; more is refused before anything is allocated for it.

    `message_bytes`: the whole message. `vector_items`: elements of one uniform vector. `symbol_bytes`: one symbol,
    at most the 1024 that GNU Radio reads. `depth`: nesting, and the cells of a chain of pairs that is not a list.
    `values`: all values of a message together, an array being one.
    """

    message_bytes: int = 64 * 2**20
    vector_items: int = 64 * 2**20
    symbol_bytes: int = _SYMBOL_BYTES
    depth: int = 16
    values: int = 4096

    def __post_init__(self) -> None:
        highest = {"message_bytes": 2**31, "vector_items": 2**31, "symbol_bytes": _SYMBOL_BYTES, "depth": 64}
        for name in ("message_bytes", "vector_items", "symbol_bytes", "depth", "values"):
            value, top = getattr(self, name), highest.get(name, 2**20)
            if not 1 <= value <= top:
                raise ConfigurationError(f"{name} must be from 1 to {top}, not {value}")


DEFAULT_LIMITS: Final = PmtLimits()


def element_number(dtype: np.dtype) -> int:
    """Return the number by which PMT names an element type; raises ConfigurationError for one that it lacks."""
    try:
        return _ELEMENT_NUMBERS[dtype.kind, dtype.itemsize]
    except KeyError:
        raise ConfigurationError(
            f"PMT has no uniform vector of {dtype}; use integers of 8 to 64 bits, float32/64 or complex64/128"
        ) from None


def encode(value: PmtValue, limits: PmtLimits = DEFAULT_LIMITS) -> bytes:
    """Serialize `value` as ``pmt.serialize_str`` does. Numpy scalars are taken for the Python numbers they hold.

    Raises ConfigurationError for what PMT cannot express or the limits forbid.
    """
    writer = _Writer(limits)
    writer.write(value, 1)
    return b"".join(writer.parts)


def decode(
    message: bytes | bytearray | memoryview, limits: PmtLimits = DEFAULT_LIMITS, *, views: bool = False
) -> PmtValue:
    """Read one serialized PMT that fills `message`; arrays are new, writable and in the machine's byte order.

    `views`: arrays are what lies in the message, big-endian, for whoever only looks at it. Integers come back as int,
    those that were sent as uint64 as `UInt64`. Raises FormatError for everything that GNU Radio would not have written
    or that exceeds the limits.
    """
    view = memoryview(message)
    if view.nbytes > limits.message_bytes:
        raise FormatError(f"a PMT message of {view.nbytes} bytes; {limits.message_bytes} are allowed")
    reader = _Reader(view.cast("B"), limits, views)
    value = reader.read(1)
    if reader.position != len(reader.view):
        raise FormatError(f"{len(reader.view) - reader.position} bytes follow the end of the PMT message")
    return value


class _Writer:
    """Collects the serialized parts of one message."""

    def __init__(self, limits: PmtLimits) -> None:
        self.parts: list[bytes | memoryview] = []
        self._limits = limits
        self._bytes = 0
        self._values = 0

    def write(self, value: PmtValue, depth: int) -> None:
        """Append `value`, which lies `depth` levels deep."""
        self._values += 1
        if depth > self._limits.depth:
            raise ConfigurationError(f"a PMT may be nested {self._limits.depth} deep; this one is deeper or a cycle")
        if self._values > self._limits.values:
            raise ConfigurationError(f"a PMT message may hold {self._limits.values} values; send more as an array")
        if isinstance(value, np.generic):
            value = UInt64(value) if isinstance(value, np.uint64) else value.item()
        match value:
            case None:
                self._append(bytes((_Tag.NULL,)))
            case bool():
                self._append(bytes((_Tag.TRUE if value else _Tag.FALSE,)))
            case int():
                self._append(_encoded_integer(value))
            case float():
                self._append(_TAGGED_DOUBLE.pack(_Tag.DOUBLE, value))
            case complex():
                self._append(_TAGGED_COMPLEX.pack(_Tag.COMPLEX, value.real, value.imag))
            case str():
                self._write_symbol(value)
            case np.ndarray():
                self._write_uniform_vector(value)
            case Pair():
                self._write_pairs(value, depth)
            case list():
                for item in value:
                    self._append(bytes((_Tag.PAIR,)))
                    self.write(item, depth + 1)
                self._append(bytes((_Tag.NULL,)))
            case Mapping():
                self._write_dict(value, depth)
            case tuple():
                if not value:
                    raise ConfigurationError("GNU Radio cannot read an empty PMT tuple; use None")
                self._write_items(_Tag.TUPLE, value, depth)
            case Vector():
                self._write_items(_Tag.VECTOR, value.items, depth)
            case _:
                raise ConfigurationError(f"PMT has no form for a {type(value).__name__}; see semcom_phy.zmq.pmt")

    def _append(self, part: bytes | memoryview) -> None:
        self._bytes += len(part)
        if self._bytes > self._limits.message_bytes:
            raise ConfigurationError(f"a PMT message may have {self._limits.message_bytes} bytes; send it in parts")
        self.parts.append(part)

    def _write_symbol(self, text: str) -> None:
        try:
            encoded = text.encode()
        except UnicodeEncodeError:
            raise ConfigurationError(f"a PMT symbol is UTF-8, which cannot hold {text[:40]!r}") from None
        if len(encoded) > self._limits.symbol_bytes:
            raise ConfigurationError(
                f"a PMT symbol may have {self._limits.symbol_bytes} bytes, not {len(encoded)}; send it as an array"
            )
        self._append(_TAGGED_U16.pack(_Tag.SYMBOL, len(encoded)) + encoded)

    def _write_uniform_vector(self, array: npt.NDArray[Any]) -> None:
        number = element_number(array.dtype)
        if array.ndim != 1 or array.size > self._limits.vector_items:
            raise ConfigurationError(
                f"a PMT vector has one dimension and at most {self._limits.vector_items} items, not {array.shape}"
            )
        if array.nbytes > self._limits.message_bytes:
            raise ConfigurationError(f"a PMT message may have {self._limits.message_bytes} bytes; send it in parts")
        self._append(_UNIFORM_HEAD.pack(_Tag.UNIFORM_VECTOR, number, array.size, 1, 0))
        self._append(np.ascontiguousarray(array, _ELEMENTS[number]).view(np.uint8).data)

    def _write_pairs(self, value: PmtValue, depth: int) -> None:
        while isinstance(value, Pair):
            self._append(bytes((_Tag.PAIR,)))
            depth += 1
            self.write(value.car, depth)
            value = value.cdr
        self.write(value, depth)

    def _write_dict(self, entries: Mapping[Any, PmtValue], depth: int) -> None:
        # GNU Radio puts each new entry in front of the others.
        for key in reversed(list(entries)):
            if isinstance(key, bool) or not isinstance(key, str | int):
                raise ConfigurationError(f"keys of a PMT dict are str or int, not {key!r}")
            self._append(bytes((_Tag.DICT, _Tag.PAIR)))
            self.write(key, depth + 1)
            self.write(entries[key], depth + 1)
        self._append(bytes((_Tag.NULL,)))

    def _write_items(self, tag: int, items: tuple[PmtValue, ...], depth: int) -> None:
        self._append(_TAGGED_U32.pack(tag, len(items)))
        for item in items:
            self.write(item, depth + 1)


def _encoded_integer(value: int) -> bytes:
    if isinstance(value, UInt64) or value >= 2**63:
        if not 0 <= value < 2**64:
            raise ConfigurationError(f"a PMT uint64 is from 0 to 2^64 − 1, not {value}")
        return _TAGGED_UINT64.pack(_Tag.UINT64, value)
    if -(2**31) <= value < 2**31:
        return _TAGGED_INT32.pack(_Tag.INT32, value)
    if value < -(2**63):
        raise ConfigurationError(f"a PMT integer is at least −2^63, not {value}")
    return _TAGGED_INT64.pack(_Tag.INT64, value)


class _Reader:
    """Reads one message from its beginning; `position` is the next byte."""

    def __init__(self, view: memoryview, limits: PmtLimits, views: bool) -> None:
        self.view = view
        self._views = views
        self.position = 0
        self._limits = limits
        self._values = 0

    def read(self, depth: int) -> PmtValue:
        """Read the value at `position`, which lies `depth` levels deep."""
        self._values += 1
        if depth > self._limits.depth:
            raise FormatError(f"a PMT nested more than {self._limits.depth} deep")
        if self._values > self._limits.values:
            raise FormatError(f"a PMT message of more than {self._limits.values} values")
        tag = self._take(1)[0]
        match tag:
            case _Tag.TRUE:
                return True
            case _Tag.FALSE:
                return False
            case _Tag.NULL:
                return None
            case _Tag.SYMBOL:
                return self._read_symbol()
            case _Tag.INT32:
                return int(self._unpack(_INT32_BODY)[0])
            case _Tag.INT64:
                return int(self._unpack(_INT64_BODY)[0])
            case _Tag.UINT64:
                return UInt64(self._unpack(_UINT64_BODY)[0])
            case _Tag.DOUBLE:
                return float(self._unpack(_DOUBLE_BODY)[0])
            case _Tag.COMPLEX:
                return complex(*self._unpack(_COMPLEX_BODY))
            case _Tag.PAIR:
                return self._read_pairs(depth)
            case _Tag.DICT:
                return self._read_dict(depth)
            case _Tag.UNIFORM_VECTOR:
                return self._read_uniform_vector()
            case _Tag.TUPLE:
                items = self._read_items(depth)
                if not items:
                    raise FormatError("an empty PMT tuple, which GNU Radio cannot read either")
                return items
            case _Tag.VECTOR:
                return Vector(self._read_items(depth))
        raise FormatError(f"{tag:#04x} at byte {self.position - 1} is no PMT tag")

    def _take(self, count: int) -> memoryview:
        if count > len(self.view) - self.position:
            raise FormatError(f"a PMT message ends in the middle of a value, at byte {len(self.view)}")
        part = self.view[self.position : self.position + count]
        self.position += count
        return part

    def _unpack(self, layout: struct.Struct) -> tuple[Any, ...]:
        return layout.unpack(self._take(layout.size))

    def _read_symbol(self) -> str:
        (length,) = self._unpack(_U16)
        if length > self._limits.symbol_bytes:
            raise FormatError(f"a PMT symbol of {length} bytes; {self._limits.symbol_bytes} are allowed")
        try:
            return bytes(self._take(length)).decode()
        except UnicodeDecodeError:
            raise FormatError("a PMT symbol that is not UTF-8") from None

    def _read_pairs(self, depth: int) -> PmtValue:
        """Read a chain of pairs, of which the first tag has been taken."""
        items = [self.read(depth + 1)]
        while True:
            following = self._take(1)[0]
            if following == _Tag.NULL:
                return items
            if following != _Tag.PAIR:
                break
            items.append(self.read(depth + 1))
        self.position -= 1
        if depth + len(items) > self._limits.depth:
            raise FormatError(f"a PMT nested more than {self._limits.depth} deep")
        value = self.read(depth + len(items))
        for item in reversed(items):
            value = Pair(item, value)
        return value

    def _read_dict(self, depth: int) -> dict[Any, PmtValue]:
        """Read a chain of dict cells, of which the first tag has been taken."""
        entries: list[tuple[str | int, PmtValue]] = []
        while True:
            if self._take(1)[0] != _Tag.PAIR:
                raise FormatError(f"an entry of a PMT dict is not a pair, at byte {self.position - 1}")
            key = self.read(depth + 1)
            if isinstance(key, bool) or not isinstance(key, str | int):
                raise FormatError(f"a PMT dict with a {type(key).__name__} as key; str and int are read")
            entries.append((key, self.read(depth + 1)))
            following = self._take(1)[0]
            if following == _Tag.NULL:
                break
            if following != _Tag.DICT:
                raise FormatError(f"a PMT dict that goes on with something else, at byte {self.position - 1}")
        values = dict(reversed(entries))
        if len(values) != len(entries):
            raise FormatError("a PMT dict that has a key twice")
        return values

    def _read_items(self, depth: int) -> tuple[PmtValue, ...]:
        (count,) = self._unpack(_U32)
        # Every item has a tag byte, so that a longer count cannot be true.
        if count > len(self.view) - self.position:
            raise FormatError(f"a PMT of {count} items in {len(self.view) - self.position} bytes")
        return tuple(self.read(depth + 1) for _ in range(count))

    def _read_uniform_vector(self) -> npt.NDArray[Any]:
        number, count, padding = self._unpack(_UNIFORM_BODY)
        if number >= len(_ELEMENTS):
            raise FormatError(f"a PMT uniform vector of unknown element type {number:#04x}")
        if count > self._limits.vector_items:
            raise FormatError(f"a PMT vector of {count} items; {self._limits.vector_items} are allowed")
        self._take(padding)
        dtype = _ELEMENTS[number]
        content = self._take(count * dtype.itemsize)
        items = np.frombuffer(content, dtype)
        return items if self._views else items.astype(dtype.newbyteorder("="))
