"""Write a SigMF recording while the samples arrive: whole, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

import semcom_phy
from semcom_phy.capture.bursts import MAX_INDEX, PREFIX, BurstAnnotation, checked_integer, extension
from semcom_phy.capture.interrupts import interrupts_deferred
from semcom_phy.capture.metadata import (
    MAX_FREQUENCY_HZ,
    MAX_METADATA_BYTES,
    MAX_SAMPLE_RATE_HZ,
    MIN_SAMPLE_RATE_HZ,
)
from semcom_phy.capture.reader import ARCHIVE_SUFFIX, DATA_SUFFIX, META_SUFFIX
from semcom_phy.capture.sample_formats import READABLE, WRITABLE, Samples, zero_non_finite
from semcom_phy.checks import checked_number
from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.registry import nearest

# Together these fit MAX_METADATA_BYTES, so that what was written can be read.
MAX_BURSTS = 30_000
MAX_SEGMENTS = 10_000
MAX_TEXT = 10_000
_WRITE_SAMPLES = 1 << 18


@dataclass(frozen=True)
class RecordingInfo:
    """What is known of a recording before its first sample.

    `sample_rate_hz`: 1e-3 … 1e12 Hz. `datatype`: a name of `WRITABLE`. `center_frequency_hz`: −1e12 … 1e12 Hz, None:
    unknown. `hardware`, `author`, `description`: texts of up to 10 000 characters. `start_time`: of the first
    sample, with a time zone; None: the moment at which the first samples are appended. `full_scale`: the amplitude
    that becomes full scale in an integer format, 1e-9 … 1e9; cf32_le stores the samples as they are.

    Raises ConfigurationError for a value outside its range.
    """

    sample_rate_hz: float
    datatype: str = "cf32_le"
    center_frequency_hz: float | None = None
    hardware: str | None = None
    author: str | None = None
    description: str | None = None
    start_time: datetime | None = None
    full_scale: float = 1.0

    def __post_init__(self) -> None:
        rate = checked_number("sample_rate_hz", self.sample_rate_hz, MIN_SAMPLE_RATE_HZ, MAX_SAMPLE_RATE_HZ, "Hz")
        object.__setattr__(self, "sample_rate_hz", rate)
        if self.datatype not in WRITABLE:
            raise ConfigurationError(
                f"recordings are written as {', '.join(WRITABLE)}, not {self.datatype!r}."
                f"{nearest(str(self.datatype), WRITABLE)}"
            )
        object.__setattr__(self, "center_frequency_hz", _checked_frequency(self.center_frequency_hz))
        for name in ("hardware", "author", "description"):
            text = getattr(self, name)
            if text is not None and not (isinstance(text, str) and len(text) <= MAX_TEXT):
                raise ConfigurationError(f"{name} must be a text of up to {MAX_TEXT} characters")
        _checked_time(self.start_time)
        object.__setattr__(self, "full_scale", checked_number("full_scale", self.full_scale, 1e-9, 1e9))
        if self.datatype == "cf32_le" and self.full_scale != 1.0:
            raise ConfigurationError("full_scale has no meaning for cf32_le; leave it at 1 or record integers")


class Recorder:
    """Streaming writer of ``stem.sigmf-data`` and ``stem.sigmf-meta``.

    Used in a ``with`` block: its regular end publishes the recording, an exception (KeyboardInterrupt too) discards
    it. To keep what was recorded when Ctrl-C is pressed, catch KeyboardInterrupt inside the block; the samples are
    consistent at any such moment. Until both files are complete and on disk they have hidden temporary names,
    ``.stem.….partial``; the metadata, by which a recording is known, gets its name last. Not for use by several threads
    at once.

    `path`: the stem, or either file name. `overwrite`: replace an existing recording. `samples_written`,
    `saturated_samples`, `non_finite_samples`: running counts; samples with NaN or infinity are stored as 0.

    Raises ConfigurationError when the recording exists, its folder does not, or the package ``sigmf`` is missing;
    LinkError when the disk fails, after which nothing is left behind.
    """

    def __init__(self, path: str | os.PathLike[str], info: RecordingInfo, *, overwrite: bool = False) -> None:
        self.info = info
        self.stem = _stem(Path(path))
        self.meta_path = self.stem.with_name(self.stem.name + META_SUFFIX)
        self.data_path = self.stem.with_name(self.stem.name + DATA_SUFFIX)
        self.samples_written = 0
        self.saturated_samples = 0
        self.non_finite_samples = 0
        self._format = READABLE[info.datatype]
        self._overwrite = overwrite
        self._digest = hashlib.sha512()
        self._captures: list[dict[str, Any]] = [_capture(0, info.center_frequency_hz, info.start_time)]
        self._bursts: list[BurstAnnotation] = []
        self._lost_samples = 0
        self._sigmf = _SigmfPackage()
        self._sigmf.validate(self._metadata())
        self._refuse_existing(ConfigurationError)
        mark = f"{os.getpid()}-{secrets.token_hex(4)}.partial"
        self._partial_data = self.stem.with_name(f".{self.stem.name}.data-{mark}")
        self._partial_meta = self.stem.with_name(f".{self.stem.name}.meta-{mark}")
        self._open = False
        try:
            with interrupts_deferred():
                self._file = open(self._partial_data, "xb")  # noqa: SIM115  # closed by close() or discard()
                self._open = True
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigurationError(f"cannot record to {str(self.stem)!r}: {reason}") from None
        except BaseException:
            self.discard()
            raise

    def __enter__(self) -> Recorder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with interrupts_deferred():
            if error is not None:
                self.discard()
            elif self._open:
                self.close()

    def append(self, samples: npt.ArrayLike) -> None:
        """Append complex samples (N,), converted to complex64.

        Raises ConfigurationError for other arrays, LinkError when they cannot be written: the recording is then lost.
        """
        self._require_open()
        values = np.asarray(samples)
        if values.ndim != 1 or not np.iscomplexobj(values):
            raise ConfigurationError(
                f"append one-dimensional complex samples, got shape {values.shape} and dtype {values.dtype}"
            )
        if values.size and "core:datetime" not in self._captures[0]:
            self._captures[0]["core:datetime"] = _utc_text(datetime.now(UTC))
        for start in range(0, values.size, _WRITE_SAMPLES):
            self._write(values[start : start + _WRITE_SAMPLES])

    def _write(self, values: npt.NDArray) -> None:
        with np.errstate(over="ignore", invalid="ignore"):
            part: Samples = np.array(values, np.complex64)
        bad = zero_non_finite(part)
        stored, saturated = self._format.encode(part, self.info.full_scale)
        raw = stored.tobytes()
        # File, digest and counts always agree, also when Ctrl-C comes in between.
        with interrupts_deferred():
            try:
                self._file.write(raw)
            except OSError as error:
                raise self._failure(error) from error
            self._digest.update(raw)
            self.samples_written += part.size
            self.saturated_samples += saturated
            self.non_finite_samples += bad

    def annotate(self, burst: BurstAnnotation) -> None:
        """Add the annotation of a burst whose samples were appended before; the order is free.

        Raises ConfigurationError for a burst beyond the samples written so far, or more than `MAX_BURSTS`.
        """
        self._require_open()
        if burst.sample_start + burst.sample_count > self.samples_written:
            raise ConfigurationError(
                f"the burst ends at sample {burst.sample_start + burst.sample_count}, but only {self.samples_written} "
                "are written; append the samples first"
            )
        if len(self._bursts) >= MAX_BURSTS:
            raise ConfigurationError(f"a recording takes up to {MAX_BURSTS} bursts; begin another recording")
        self._bursts.append(burst)

    def begin_segment(
        self,
        center_frequency_hz: float | None = None,
        start_time: datetime | None = None,
        lost_samples: int = 0,
    ) -> None:
        """Begin a capture segment with the next sample, after a retune or an overflow.

        `start_time`: of that sample, None: now. `lost_samples`: how many the radio dropped just before it. Raises
        ConfigurationError for values out of range or more than `MAX_SEGMENTS`.
        """
        self._require_open()
        frequency = _checked_frequency(center_frequency_hz)
        _checked_time(start_time)
        room = MAX_INDEX - self.samples_written - self._lost_samples
        lost = checked_integer("lost_samples", lost_samples, 0, room)
        if len(self._captures) >= MAX_SEGMENTS:
            raise ConfigurationError(f"a recording takes up to {MAX_SEGMENTS} segments; begin another recording")
        if self._captures[-1]["core:sample_start"] == self.samples_written:
            self._captures.pop()
        self._lost_samples += lost
        capture = _capture(self.samples_written, frequency, start_time or datetime.now(UTC))
        if self._lost_samples:
            capture["core:global_index"] = self.samples_written + self._lost_samples
        self._captures.append(capture)

    def close(self) -> None:
        """Bring everything to the disk and give the recording its name.

        Raises LinkError when that fails or no sample was appended; nothing is left behind then.
        """
        self._require_open()
        if self.samples_written == 0:
            self.discard()
            raise LinkError(f"no samples arrived, so {self.stem.name} was not written; check the source")
        with interrupts_deferred():
            try:
                self._publish()
            except OSError as error:
                raise self._failure(error) from error
            except BaseException:
                self.discard()
                raise

    def _publish(self) -> None:
        metadata = self._metadata()
        self._sigmf.validate(metadata)
        text = json.dumps(metadata, indent=1, allow_nan=False).encode() + b"\n"
        if len(text) > MAX_METADATA_BYTES:
            raise LinkError(f"the metadata would have more than {MAX_METADATA_BYTES} bytes; record in shorter pieces")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        with open(self._partial_meta, "xb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self._refuse_existing(LinkError)
        # Without its metadata an older recording of this name is none, and neither is the new one until the end.
        self.meta_path.unlink(missing_ok=True)
        os.replace(self._partial_data, self.data_path)
        try:
            os.replace(self._partial_meta, self.meta_path)
        except BaseException:
            self.data_path.unlink(missing_ok=True)
            raise
        self._open = False
        _sync_folder(self.stem.parent)

    def discard(self) -> None:
        """End the recording and remove what was written of it; harmless when it has ended."""
        if not self._open:
            return
        with interrupts_deferred():
            self._open = False
            with contextlib.suppress(OSError):  # what cannot be flushed is removed anyway
                self._file.close()
            for partial in (self._partial_data, self._partial_meta):
                partial.unlink(missing_ok=True)

    def _metadata(self) -> dict[str, Any]:
        info = self.info
        fields: dict[str, Any] = {
            "core:datatype": info.datatype,
            "core:sample_rate": info.sample_rate_hz,
            "core:version": self._sigmf.specification,
            "core:sha512": self._digest.hexdigest(),
            "core:recorder": f"semcom {semcom_phy.__version__}",
            "core:extensions": [extension()],
            PREFIX + "full_scale": info.full_scale,
            PREFIX + "saturated_samples": self.saturated_samples,
            PREFIX + "non_finite_samples": self.non_finite_samples,
        }
        texts = {"core:hw": info.hardware, "core:author": info.author, "core:description": info.description}
        fields.update({key: text for key, text in texts.items() if text is not None})
        bursts = sorted(self._bursts, key=lambda burst: burst.sample_start)
        return {"global": fields, "captures": self._captures, "annotations": [burst.to_sigmf() for burst in bursts]}

    def _require_open(self) -> None:
        if not self._open:
            raise LinkError(f"the recording {self.stem.name} has ended; begin another one")

    def _refuse_existing(self, error: Callable[[str], Exception]) -> None:
        for path in (self.meta_path, self.data_path):
            if not self._overwrite and os.path.lexists(path):
                raise error(f"{path.name} exists; choose another name or allow overwriting")

    def _failure(self, error: OSError) -> LinkError:
        self.discard()
        return LinkError(f"cannot write {self.stem.name}: {error.strerror}; the recording was removed")


class _SigmfPackage:
    """The package ``sigmf``, imported when something is recorded: it brings jsonschema, and reading needs neither."""

    def __init__(self) -> None:
        try:
            package = importlib.import_module("sigmf")
            validator = importlib.import_module("sigmf.validate")
        except ImportError:
            raise ConfigurationError("recording needs the package sigmf: pip install sigmf") from None
        self.specification: str = package.__specification__
        self.validate: Callable[[dict[str, Any]], None] = validator.validate


def _stem(path: Path) -> Path:
    for suffix in (META_SUFFIX, DATA_SUFFIX):
        if path.name.endswith(suffix):
            path = path.with_name(path.name[: -len(suffix)] or " ")
    if path.name.endswith(ARCHIVE_SUFFIX):
        raise ConfigurationError("recordings are written as a pair of files, not as an archive; leave .sigmf out")
    if not path.name.strip() or path.name in (".", ".."):
        raise ConfigurationError(f"give the recording a name, got {str(path)!r}")
    return path


def _capture(start: int, frequency: float | None, moment: datetime | None) -> dict[str, Any]:
    capture: dict[str, Any] = {"core:sample_start": start}
    if frequency is not None:
        capture["core:frequency"] = frequency
    if moment is not None:
        capture["core:datetime"] = _utc_text(moment)
    return capture


def _checked_frequency(value: float | None) -> float | None:
    if value is None:
        return None
    return checked_number("center_frequency_hz", value, -MAX_FREQUENCY_HZ, MAX_FREQUENCY_HZ, "Hz")


def _checked_time(moment: datetime | None) -> None:
    if moment is not None and (not isinstance(moment, datetime) or moment.utcoffset() is None):
        raise ConfigurationError("start_time must be a datetime with a time zone, such as datetime.now(timezone.utc)")


def _utc_text(moment: datetime) -> str:
    """RFC 3339 with microseconds and Z, the only form that SigMF allows."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _sync_folder(folder: Path) -> None:
    """Bring the new names to the disk, where system and file system can do that for a folder."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
