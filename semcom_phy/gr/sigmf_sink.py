"""GNU Radio block: a recording of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pmt

from semcom_phy.capture import BurstAnnotation, Recorder, RecordingInfo
from semcom_phy.capture.recorder import MAX_BURSTS
from semcom_phy.errors import FormatError, SemcomError
from semcom_phy.gr.stream_block import StreamBlock
from semcom_phy.zmq import Pdu

ANNOTATIONS: Final = "annotations"
_DONE: Final = -1


class SigmfSink(StreamBlock):
    """Complex samples in, a SigMF recording out: it gets its name when the flowgraph stops, whole or not at all.

    A PDU at ``annotations`` annotates a burst: its metadata are the fields of `BurstAnnotation`, as Burst Receiver's
    ``annotations`` gives them. Of more than 30 000 bursts the first are annotated.

    `path`, `overwrite`: see `Recorder`. `datatype`: "cf32_le", "ci16_le" or "ci8". `center_frequency_hz`: 0 is unknown.
    `full_scale`: the amplitude that becomes full scale of an integer type. `description`: for the metadata.

    When the disk fails, the recording is removed and the flowgraph goes on without it. Raises ConfigurationError for
    values out of range; that the recording exists already shows when the flowgraph starts.
    """

    def __init__(
        self,
        path: str,
        sample_rate_hz: float = 1e6,
        datatype: str = "cf32_le",
        center_frequency_hz: float = 0.0,
        full_scale: float = 1.0,
        overwrite: bool = False,
        description: str = "",
    ) -> None:
        StreamBlock.__init__(self, "SigMF Sink", [ANNOTATIONS], [], [np.complex64], None)
        self._path = path
        self._overwrite = bool(overwrite)
        self._info = RecordingInfo(
            sample_rate_hz=sample_rate_hz,
            datatype=datatype,
            center_frequency_hz=center_frequency_hz or None,
            full_scale=1.0 if datatype == "cf32_le" else full_scale,
            description=description or None,
        )
        self._recorder: Recorder | None = None
        self._annotations: list[BurstAnnotation] = []
        self.set_msg_handler(pmt.intern(ANNOTATIONS), self.handle_annotation)

    def start(self) -> bool:
        """Begin the recording. GNU Radio calls it when the flowgraph starts."""
        self._annotations = []
        try:
            self._recorder = Recorder(self._path, self._info, overwrite=self._overwrite)
        except SemcomError as error:
            self.log.error(f"nothing is recorded: {error}")
            return False
        return True

    def stop(self) -> bool:
        """End the recording and give it its name. GNU Radio calls it when the flowgraph stops."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return True
        try:
            for burst in self._annotations:
                # A receiver may have had more of the stream than came here before the end.
                if burst.sample_start + burst.sample_count <= recorder.samples_written:
                    recorder.annotate(burst)
            recorder.close()
        except SemcomError as error:
            recorder.discard()
            self.log.error(str(error))
        return True

    def handle_annotation(self, message: pmt.pmt_base) -> None:
        """Handle a message at ``annotations``."""
        self.guarded(message, self._annotate)

    def _annotate(self, pdu: Pdu) -> None:
        try:
            fields: dict[str, Any] = dict(pdu.metadata)
            burst = BurstAnnotation(**fields)
        except TypeError:
            raise FormatError("the metadata of an annotation are the fields of BurstAnnotation") from None
        if len(self._annotations) < MAX_BURSTS:
            self._annotations.append(burst)

    def general_work(self, input_items: Sequence[npt.NDArray[np.complex64]], output_items: Sequence[object]) -> int:
        """Write the samples that are there."""
        samples = input_items[0]
        if self._recorder is not None:
            try:
                self._recorder.append(samples)
            except SemcomError as error:
                self._recorder = None  # it has removed what there was of it
                self.log.error(f"{error}; the flowgraph goes on without it")
        self.consume(0, samples.size)
        return 0
