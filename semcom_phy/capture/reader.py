"""Open recordings: SigMF pairs, SigMF archives and raw sample files, through a memory map."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from semcom_phy.capture.archive import find_dataset, find_metadata, list_members
from semcom_phy.capture.bursts import EXTENSION_NAME, EXTENSION_VERSION, BurstAnnotation, checked_integer, is_burst
from semcom_phy.capture.layout import Layout, lay_out
from semcom_phy.capture.metadata import (
    MAX_METADATA_BYTES,
    MAX_SAMPLE_RATE_HZ,
    MIN_SAMPLE_RATE_HZ,
    Annotation,
    Metadata,
    Problems,
    is_sha512,
    parse_metadata,
)
from semcom_phy.capture.sample_formats import READABLE, SampleFormat, Samples, sample_format
from semcom_phy.checks import checked_number
from semcom_phy.errors import ConfigurationError, FormatError, LinkError

MAX_CHUNK = 1 << 24

META_SUFFIX, DATA_SUFFIX, ARCHIVE_SUFFIX = ".sigmf-meta", ".sigmf-data", ".sigmf"
# Datatypes that the name of a raw file tells; .iq, .bin, .raw and the like tell none.
RAW_SUFFIXES: Mapping[str, str] = {
    ".cf32": "cf32_le",
    ".fc32": "cf32_le",
    ".c64": "cf32_le",
    ".cfile": "cf32_le",
    ".cf64": "cf64_le",
    ".ci16": "ci16_le",
    ".cs16": "ci16_le",
    ".sc16": "ci16_le",
    ".ci8": "ci8",
    ".cs8": "ci8",
    ".sc8": "ci8",
    ".cu8": "cu8",
}
_HASH_CHUNK = 1 << 22


@dataclass(frozen=True)
class Segment:
    """A capture segment: samples that one setting of the receiver gave.

    `sample_start`, `sample_count`: its samples, counted from the first sample of the recording. `time`: of its first
    sample, UTC. `header_bytes`: bytes before it that are not samples. `global_index`: number of its first sample
    in the radio's stream; where it is ahead of `sample_start`, samples were lost.
    """

    sample_start: int
    sample_count: int
    center_frequency_hz: float | None = None
    time: datetime | None = None
    header_bytes: int = 0
    global_index: int | None = None


@dataclass(frozen=True)
class _Dataset:
    """The samples as bytes: `size` bytes from `offset` in `file`."""

    file: BinaryIO
    offset: int
    size: int


class Recording:
    """Samples on disk with what is known about them; `open_recording` makes it, ``with`` or `close` ends it.

    `path`: the file that was opened. `raw`: it has no metadata. `datatype`: SigMF name. `sample_rate_hz`.
    `sample_count`: whole samples per channel. `channel` of `channels`: the one that is read. `segments`: capture
    segments, at least one. `annotations`: ordered as in the file, cut to the data. `trailing_bytes`: bytes after the
    last whole sample. `problems`: one line for each part of the metadata that was wrong and left out or corrected.
    `hardware`, `author`, `description`: texts from the metadata. `global_fields`: the metadata's ``global`` object,
    unchecked. `non_finite_samples`: samples with NaN or infinity met so far, each read counted; they are returned as 0.
    """

    def __init__(
        self,
        path: Path,
        sample_type: SampleFormat,
        sample_rate_hz: float,
        data: npt.NDArray[np.uint8],
        metadata: Metadata | None,
        channel: int | None = None,
        problems: tuple[str, ...] = (),
    ) -> None:
        notes = Problems(problems)
        self.path = path
        self.datatype = sample_type.name
        self.sample_rate_hz = sample_rate_hz
        self.raw = metadata is None
        self.channels = metadata.channels if metadata else 1
        if channel is None and self.channels > 1:
            raise FormatError(f"the recording has {self.channels} channels: choose one, channel=0…{self.channels - 1}")
        self.channel = checked_integer("channel", channel or 0, 0, self.channels - 1)
        self._format = sample_type
        self._data: npt.NDArray[np.uint8] | None = data
        self._layout, self.segments = _segments(metadata, data.size, self.channels * sample_type.sample_bytes, notes)
        self.sample_count = self._layout.sample_count
        self.trailing_bytes = self._layout.trailing_bytes
        if self.trailing_bytes:
            notes.add(f"{self.trailing_bytes} bytes after the last whole sample are not used")
        if self.sample_count == 0:
            notes.add("the recording holds no samples")
        self.annotations = _placed(metadata, self.sample_count, notes) if metadata else ()
        self.hardware = metadata.hardware if metadata else None
        self.author = metadata.author if metadata else None
        self.description = metadata.description if metadata else None
        self.sha512 = metadata.sha512 if metadata else None
        self.global_fields: Mapping[str, Any] = metadata.fields if metadata else {}
        self.non_finite_samples = 0
        self.problems = notes.lines()

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds."""
        return self.sample_count / self.sample_rate_hz

    def __enter__(self) -> Recording:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory map back; nothing can be read afterwards."""
        self._data = None

    def read(self, start: int, stop: int) -> Samples:
        """Return the samples `start` … `stop` − 1 as complex64 with full scale 1.0, in memory of their own.

        Raises ConfigurationError unless 0 ≤ start ≤ stop ≤ `sample_count`.
        """
        start, stop = self._range(start, stop)
        samples = np.empty(stop - start, np.complex64)
        width = self.channels * self._format.sample_bytes
        filled = 0
        for byte, count in self._layout.pieces(start, stop):
            stored = self._bytes()[byte : byte + count * width].view(self._format.component)
            components = stored.reshape(count, self.channels, 2)[:, self.channel]
            samples[filled : filled + count], bad = self._format.decode(components)
            self.non_finite_samples += bad
            filled += count
        return samples

    def chunks(self, size: int, start: int = 0, stop: int | None = None) -> Iterator[Samples]:
        """Iterate over the samples `start` … `stop` − 1 (default: the end) in chunks of `size`, the last one shorter.

        Each is complex64 (≤ size,) with full scale 1.0. Only one chunk is in memory at a time. Raises
        ConfigurationError for a size outside 1 … 2^24 or a range outside the recording.
        """
        size = checked_integer("size", size, 1, MAX_CHUNK)
        begin, end = self._range(start, self.sample_count if stop is None else stop)
        return (self.read(at, min(at + size, end)) for at in range(begin, end, size))

    def bursts(self) -> tuple[BurstAnnotation, ...]:
        """Return the annotations of the ``semcom:`` extension, in the order of the file.

        Raises FormatError when one is damaged, or written by a later major version of the extension.
        """
        version = _extension_version(self.global_fields)
        if version.partition(".")[0] != EXTENSION_VERSION.partition(".")[0]:
            raise FormatError(
                f"the bursts follow version {version[:20]!a} of the semcom extension, this program reads "
                f"{EXTENSION_VERSION}; use a newer program"
            )
        bursts = []
        for annotation in self.annotations:
            if is_burst(annotation.fields):
                # The range is that of the data, to which the one in the file was cut.
                place = {"core:sample_start": annotation.sample_start, "core:sample_count": annotation.sample_count}
                bursts.append(BurstAnnotation.from_sigmf({**annotation.fields, **place}))
        return tuple(bursts)

    def verify(self) -> bool:
        """Compare the dataset with its SHA-512. Returns True when it holds, False when there is none to compare.

        Reads the whole dataset once. Raises FormatError when it differs.
        """
        if self.sha512 is None:
            return False
        if not is_sha512(self.sha512):
            raise FormatError(f"core:sha512 of {self.path.name} is not 128 hexadecimal digits; correct or remove it")
        digest = hashlib.sha512()
        data = self._bytes()
        for at in range(0, data.size, _HASH_CHUNK):
            digest.update(data[at : at + _HASH_CHUNK].data)
        if digest.hexdigest() != self.sha512.lower():
            raise FormatError(f"{self.path.name}: the samples do not match core:sha512; fetch the recording again")
        return True

    def _range(self, start: int, stop: int) -> tuple[int, int]:
        begin = checked_integer("start", start, 0, self.sample_count)
        return begin, checked_integer("stop", stop, begin, self.sample_count)

    def _bytes(self) -> npt.NDArray[np.uint8]:
        if self._data is None:
            raise LinkError(f"the recording {self.path.name} is closed; open it again")
        return self._data


def open_recording(
    path: str | os.PathLike[str],
    sample_rate_hz: float | None = None,
    datatype: str | None = None,
    *,
    channel: int | None = None,
) -> Recording:
    """Open a recording for reading.

    `path`: the ``.sigmf-meta`` or ``.sigmf-data`` of a pair, their common stem, a ``.sigmf`` archive (uncompressed
    tar, read in place), or a raw file of interleaved I and Q. `sample_rate_hz` and `datatype` (a name of
    `READABLE`) are needed for raw files, where the suffixes of `RAW_SUFFIXES` stand for a datatype; for SigMF they
    replace what the metadata says. `channel`: which of several interleaved channels to read, from 0.

    Raises ConfigurationError for arguments out of range, LinkError for a file that is missing or cannot be opened,
    FormatError for metadata, archives and datatypes that cannot be read; each says what to do. No sample is read here.
    """
    where = Path(path)
    if sample_rate_hz is not None:
        sample_rate_hz = checked_number("sample_rate_hz", sample_rate_hz, MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ, "Hz")
    if datatype is not None and datatype not in READABLE:
        try:
            sample_format(str(datatype))
        except FormatError as error:
            raise ConfigurationError(str(error)) from None
    try:
        return _open(where, sample_rate_hz, datatype, channel)
    except FormatError as error:
        raise FormatError(f"{where.name}: {error}") from error


def _open(where: Path, sample_rate_hz: float | None, datatype: str | None, channel: int | None) -> Recording:
    where, kind = _kind(where, raw_is_known=sample_rate_hz is not None and datatype is not None)
    metadata: Metadata | None = None
    problems = Problems()
    if kind == "raw":
        dataset = _open_dataset(where)
    else:
        given = {"given_rate": sample_rate_hz is not None, "given_datatype": datatype is not None}
        dataset, metadata = _open_pair(where, given) if kind == "pair" else _open_archive(where, given, problems)
    with dataset.file:
        datatype = datatype or (metadata.datatype if metadata else RAW_SUFFIXES.get(where.suffix.lower()))
        if datatype is None:
            raise FormatError("a raw file needs its datatype, such as datatype=cf32_le")
        sample_type = sample_format(datatype)
        sample_rate_hz = sample_rate_hz or (metadata.sample_rate_hz if metadata else None)
        if sample_rate_hz is None:
            raise FormatError("the sample rate is not known; give it as sample_rate_hz")
        data: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        if dataset.size:
            data = np.memmap(dataset.file, np.uint8, "r", dataset.offset, (dataset.size,))
        lines = (*(metadata.problems if metadata else ()), *problems.lines())
        return Recording(where, sample_type, sample_rate_hz, data, metadata, channel, lines)


def _kind(where: Path, raw_is_known: bool) -> tuple[Path, str]:
    """Return the file to open and what it is: "pair" (its metadata file), "archive" or "raw"."""
    name = where.name.lower()
    if name.endswith(META_SUFFIX):
        return where, "pair"
    if name.endswith(DATA_SUFFIX):
        partner = where.with_name(where.name[: -len(DATA_SUFFIX)] + META_SUFFIX)
        if _exists(partner):
            return partner, "pair"
        if raw_is_known:
            return where, "raw"
        raise FormatError(
            f"there is no {partner.name} beside it; give sample_rate_hz and datatype to read it as raw samples"
        )
    if name.endswith(".sigmf-collection"):
        raise FormatError("this is a collection of recordings; open one of the recordings that it names")
    if name.endswith((".sigmf.gz", ".sigmf.xz", ".sigmf.zip")):
        raise FormatError("the archive is compressed; decompress it first, then give the .sigmf file")
    if name.endswith(ARCHIVE_SUFFIX) and _exists(where):
        return where, "archive"
    if not _exists(where):
        for suffix, kind in ((META_SUFFIX, "pair"), (ARCHIVE_SUFFIX, "archive")):
            candidate = where.with_name(where.name + suffix) if where.name else where
            if _exists(candidate):
                return candidate, kind
    return where, "raw"


def _exists(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _open_pair(path: Path, given: Mapping[str, bool]) -> tuple[_Dataset, Metadata]:
    found = _open_dataset(path)
    with found.file:
        metadata = _read_metadata(found, given)
    partner = path.with_name(path.name[: -len(META_SUFFIX)] + DATA_SUFFIX)
    if metadata.dataset is not None and _exists(path.with_name(metadata.dataset)):
        partner = path.with_name(metadata.dataset)
    elif not _exists(partner):
        if metadata.metadata_only:
            raise FormatError("this is metadata without samples (core:metadata_only); there is nothing to read")
        raise FormatError(f"the samples are missing: put {metadata.dataset or partner.name!a} beside the metadata")
    return _open_dataset(partner), metadata


def _open_archive(path: Path, given: Mapping[str, bool], problems: Problems) -> tuple[_Dataset, Metadata]:
    whole = _open_dataset(path)
    try:
        members = list_members(whole.file)
        entry = find_metadata(members)
        if entry.missing:
            raise FormatError("the archive ends within its metadata; fetch it again")
        metadata = _read_metadata(_Dataset(whole.file, entry.offset, entry.size), given)
        member = find_dataset(members, entry, metadata.dataset)
    except BaseException:
        whole.file.close()
        raise
    if member.missing:
        problems.add(f"the archive ends {member.missing} bytes before the end of its samples; fetch it again")
    return _Dataset(whole.file, member.offset, member.size), metadata


def _read_metadata(source: _Dataset, given: Mapping[str, bool]) -> Metadata:
    source.file.seek(source.offset)
    text = source.file.read(min(source.size, MAX_METADATA_BYTES + 1))
    return parse_metadata(text, **given)


def _open_dataset(path: Path) -> _Dataset:
    """Open a regular file; pipes and devices, which have no size and may block, are refused."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise LinkError(f"there is no recording {str(path)!r}; check the path") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LinkError(f"cannot open {str(path)!r}: {reason}") from None
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise LinkError(f"{str(path)!r} is not a file; give the recording's file or the stem of a SigMF pair")
    return _Dataset(os.fdopen(descriptor, "rb"), 0, status.st_size)


def _segments(
    metadata: Metadata | None, data_bytes: int, sample_bytes: int, problems: Problems
) -> tuple[Layout, tuple[Segment, ...]]:
    if metadata is None or not metadata.captures:
        layout = lay_out((), data_bytes, sample_bytes, metadata.footer_bytes if metadata else 0)
        return layout, (Segment(0, layout.sample_count),)
    captures = metadata.captures
    first = metadata.first_index
    if captures[0].sample_start < first:
        problems.add(f"core:offset {first} is beyond the first capture's start; taken as 0")
        first = 0
    layout = lay_out(captures, data_bytes, sample_bytes, metadata.footer_bytes, first)
    segments = tuple(
        Segment(
            capture.sample_start - first,
            count,
            capture.center_frequency_hz,
            capture.time,
            capture.header_bytes,
            capture.global_index,
        )
        for capture, count in zip(captures, layout.segments, strict=False)
    )
    if len(segments) < len(captures):
        problems.add(f"{len(captures) - len(segments)} captures lie beyond the end of the data; left out")
    return layout, segments or (Segment(0, layout.sample_count),)


def _placed(metadata: Metadata, sample_count: int, problems: Problems) -> tuple[Annotation, ...]:
    """Count the annotations' samples from the first one of the data, and cut them at its end."""
    captures = metadata.captures
    first = metadata.first_index if not captures or captures[0].sample_start >= metadata.first_index else 0
    placed = []
    for annotation in metadata.annotations:
        start = annotation.sample_start - first
        if not 0 <= start < sample_count:
            problems.add(f"annotation at sample {annotation.sample_start} lies outside the data; left out")
            continue
        count = sample_count - start if annotation.sample_count is None else annotation.sample_count
        if count > sample_count - start:
            problems.add(f"annotation at sample {annotation.sample_start} reaches beyond the data; cut")
            count = sample_count - start
        placed.append(dataclasses.replace(annotation, sample_start=start, sample_count=count))
    return tuple(placed)


def _extension_version(fields: Mapping[str, Any]) -> str:
    extensions = fields.get("core:extensions")
    for entry in extensions if isinstance(extensions, list) else ():
        if isinstance(entry, dict) and entry.get("name") == EXTENSION_NAME:
            return str(entry["version"]) if isinstance(entry.get("version"), str) else EXTENSION_VERSION
    return EXTENSION_VERSION
