"""GNU Radio block: the samples of a recording."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pmt

from semcom_phy.capture import Pacer, Recording, open_recording
from semcom_phy.capture.reader import MAX_CHUNK
from semcom_phy.errors import FormatError
from semcom_phy.gr.stream_block import STREAM_END, StreamBlock

_DONE: Final = -1
_PROJECT: Final = Path(__file__).resolve().parents[2]
#: In real time so much at a time, at most: how long the flowgraph may have to wait for it when it stops.
_CHUNK_S: Final = 0.02


class SigmfSource(StreamBlock):
    """Samples of a recording, full scale 1: as fast as they are taken, or in real time.

    `path`: anything that `open_recording` takes; a relative one is looked for in the current folder and, if it is not
    there, in the project's. `repeat`: begin again at the end. `realtime`: at the pace of the sample rate.
    `sample_rate_hz` (0: unknown) and `datatype` (empty: unknown) are for raw files.

    Tags: ``rx_rate`` and, where it is known, ``rx_freq`` at the beginning; `STREAM_END` on the last sample.

    Raises LinkError, ConfigurationError or FormatError for what cannot be opened, FormatError for a recording without
    samples.
    """

    def __init__(
        self,
        path: str,
        repeat: bool = False,
        realtime: bool = False,
        sample_rate_hz: float = 0.0,
        datatype: str = "",
    ) -> None:
        StreamBlock.__init__(self, "SigMF Source", [], [], None, [np.complex64])
        self.recording: Recording = open_recording(_located(path), sample_rate_hz or None, datatype or None)
        if self.recording.sample_count == 0:
            raise FormatError(f"{self.recording.path.name} holds no samples; take another recording")
        self._repeat = bool(repeat)
        self._most = max(int(_CHUNK_S * self.recording.sample_rate_hz), 1) if realtime else MAX_CHUNK
        self._room = 1
        self._next = 0
        chunks = self._chunks()
        self._stream: Iterator[npt.NDArray[np.complex64]] = (
            Pacer(chunks, self.recording.sample_rate_hz) if realtime else chunks
        )

    def _chunks(self) -> Iterator[npt.NDArray[np.complex64]]:
        """The recording in chunks that fit the room that there is; `_next` is the place behind the last one."""
        while True:
            self._next = 0
            while self._next < self.recording.sample_count:
                start, self._next = self._next, min(self._next + self._room, self.recording.sample_count)
                yield self.recording.read(start, self._next)
            if not self._repeat:
                return

    def general_work(self, input_items: Sequence[object], output_items: Sequence[npt.NDArray[np.complex64]]) -> int:
        """Give the next samples, or end the stream."""
        out = output_items[0]
        self._room = min(out.size, self._most)
        samples = next(self._stream, None)
        if samples is None:
            return _DONE
        out[: samples.size] = samples
        written = self.nitems_written(0)
        if self._next == samples.size:
            self.add_item_tag(0, written, pmt.intern("rx_rate"), pmt.from_double(self.recording.sample_rate_hz))
            frequency = self.recording.segments[0].center_frequency_hz
            if frequency is not None:
                self.add_item_tag(0, written, pmt.intern("rx_freq"), pmt.from_double(frequency))
        if self._next == self.recording.sample_count:
            self.add_item_tag(0, written + samples.size - 1, pmt.intern(STREAM_END), pmt.PMT_T)
        return int(samples.size)


def _located(path: str) -> Path:
    """The path, in the project's folder if nothing of that name is in the current one."""
    where = Path(path)
    if where.is_absolute() or _something_at(where) or not _something_at(_PROJECT / where):
        return where
    return _PROJECT / where


def _something_at(path: Path) -> bool:
    return any(os.path.lexists(f"{path}{suffix}") for suffix in ("", ".sigmf-meta", ".sigmf"))
