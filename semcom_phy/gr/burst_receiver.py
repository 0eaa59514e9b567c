"""GNU Radio block: samples in, decoded frames out."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pmt

from semcom_phy.coding.transport import TurboCode
from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.gr.metadata import SESSION
from semcom_phy.gr.stream_block import FRAME_BEGIN, FRAME_END, STREAM_END, FrameTag, StreamBlock
from semcom_phy.gr.symbol_tap import SymbolTap, tap_symbols
from semcom_phy.links.air_frames import (
    MAX_BURST_SYMBOLS,
    AirFrame,
    AirReceiver,
    FrameFormat,
    burst_verdicts,
    frame_bursts,
)
from semcom_phy.links.base import Frame, LinkStats, ReceivedFrame
from semcom_phy.links.burst_log import LoggedBurst
from semcom_phy.links.frame_pdus import MAX_PDU_BITS, ReceivedPdu, frame_number, lost_pdu, received_to_pdu
from semcom_phy.waveform import AssemblerConfig, ReceivedBurst, ReceiverConfig, Transmitter, TransmitterConfig, Waveform
from semcom_phy.zmq import Pdu, PmtValue, UInt64

FRAMES: Final = "frames"
RECEIVED: Final = "received"
STATUS: Final = "status"
BURSTS: Final = "bursts"
SYMBOLS: Final = "symbols"
ANNOTATIONS: Final = "annotations"

#: Samples that wait for the receiver, at most: 4 s at 1 Msample/s. Then the flowgraph waits.
MAX_WAITING: Final = 1 << 22
#: How long the flowgraph's end waits for what has gathered to be received.
LAST_WORK_S: Final = 1.0
#: Symbols of a burst that a display is given.
SHOWN_SYMBOLS: Final = 2048
#: Frames that were announced by a tag and not ended by one.
_MAX_ANNOUNCED: Final = 256

Samples = npt.NDArray[np.complex64]


@dataclass
class ReceptionCounts:
    """What came so far.

    `frames_lost` counts frames without a header, and announced frames of which nothing came; `unannounced` counts
    frames that no tag announces in a stream that has such tags: they are dropped.
    """

    frames: int = 0
    frames_lost: int = 0
    frames_intact: int = 0
    blocks: int = 0
    blocks_failed: int = 0
    unannounced: int = 0


class BurstReceiver(StreamBlock):
    """Complex samples in; a PDU for every frame at ``received``, as soon as its last burst is in or its time is up.

    The receiver works in a thread of its own. The flowgraph goes on while a frame is being decoded, and waits when
    `MAX_WAITING` samples have gathered. What comes out does not depend on how GNU Radio cuts the stream.

    Where the samples come from Burst Transmitter, in the same flowgraph, its tags tell which frames are in them: PDUs
    then carry the application's numbers, and a frame of which nothing has arrived when `FRAME_END` comes is reported
    as lost. Elsewhere the number of a frame is that of its image. At `STREAM_END` the receiver begins anew.

    In a flowgraph that only receives, frames that an application sends nevertheless go to ``frames``: each is reported
    as lost at once.

    Other outputs, for displays and recordings: ``bursts``, a PDU with the measurements of each burst in its metadata
    (see `ReceivedBurst`) and an empty vector; ``symbols``, a PDU with up to `SHOWN_SYMBOLS` payload symbols of each
    burst (c32vector, unit mean energy); ``status``, a PDU with all counts and the last measurements, after every
    burst and frame; ``annotations``, for SigMF Sink, a PDU with the fields of `BurstAnnotation` for each burst of a
    decoded frame.

    `samples_per_symbol`, `sample_rate_hz`: see `Waveform`. `link`: bursts of other senders are dropped, −1 takes all.
    `equalizer`: one of `waveform.equalizer.EQUALIZERS`. `iterations`, `algorithm`, `backend`: see `TurboCode`.

    Raises ConfigurationError for values out of range.
    """

    def __init__(
        self,
        samples_per_symbol: int = 4,
        sample_rate_hz: float = 1e6,
        link: int = -1,
        equalizer: str = "auto",
        iterations: int = 5,
        algorithm: str = "log-map",
        backend: str = "auto",
    ) -> None:
        outputs = [RECEIVED, STATUS, BURSTS, SYMBOLS, ANNOTATIONS]
        StreamBlock.__init__(self, "Burst Receiver", [FRAMES], outputs, [np.complex64], None)
        if iterations < 1:
            raise ConfigurationError(f"iterations must be at least 1, got {iterations}")
        self._config = ReceiverConfig(
            waveform=Waveform(int(samples_per_symbol), sample_rate_hz),
            link=None if link < 0 else int(link),
            equalizer=equalizer,
            max_burst_symbols=MAX_BURST_SYMBOLS,
        )
        self._turbo = TurboCode(int(iterations), algorithm, backend)
        self.counts = ReceptionCounts()
        self._announced: OrderedDict[int, FrameTag] = OrderedDict()
        self._tagged = False
        self._measured: dict[str, PmtValue] = {}
        self._sums: dict[str, int] = {}
        #: Where in the stream the receiver began that is in use.
        self._origin = 0
        self._receiver, self._tap = self._begin()
        self._queue: deque[tuple[Samples, list[tuple[int, str, pmt.pmt_base]]]] = deque()
        self._waiting = 0
        self._busy = False
        self._ended = False
        self._change = threading.Condition()
        self._thread: threading.Thread | None = None
        self.set_msg_handler(pmt.intern(FRAMES), self.handle_frame)
        _warm_up(self._config.waveform, self._turbo)

    def start(self) -> bool:
        """Start the receiver's thread. GNU Radio calls it when the flowgraph starts."""
        self._ended = False
        self._thread = threading.Thread(target=self._serve, name="burst receiver", daemon=True)
        self._thread.start()
        return True

    def stop(self) -> bool:
        """Receive what has gathered, but for no longer than `LAST_WORK_S`. GNU Radio calls it at the end."""
        thread, self._thread = self._thread, None
        if thread is not None:
            with self._change:
                self._ended = True
                self._change.notify_all()
                self._change.wait_for(lambda: not self._queue and not self._busy, LAST_WORK_S)
                self._queue.clear()
            thread.join()
        return True

    def handle_frame(self, message: pmt.pmt_base) -> None:
        """Handle a message at ``frames``: there is no transmitter."""
        self.guarded(message, self._refuse, lambda pdu: self.publish(RECEIVED, pdu))

    def _refuse(self, pdu: Pdu) -> None:
        raise LinkError(f"frame {frame_number(pdu)} cannot be sent: this flowgraph only receives")

    def general_work(self, input_items: Sequence[Samples], output_items: Sequence[Samples]) -> int:
        """Hand the samples to the receiver's thread."""
        samples = input_items[0]
        if samples.size:
            first = self.nitems_read(0)
            tags = [
                (tag.offset - first, pmt.symbol_to_string(tag.key), tag.value) for tag in self.tags_of(samples.size)
            ]
            with self._change:
                while self._waiting > MAX_WAITING and not self._ended:
                    self._change.wait()
                self._queue.append((samples.copy(), tags))
                self._waiting += samples.size
                self._change.notify_all()
                # Behind the end of a recording the flowgraph may end: nobody would take what comes out later.
                while any(key == STREAM_END for _, key, _ in tags) and (self._queue or self._busy) and not self._ended:
                    self._change.wait()
            self.consume(0, samples.size)
        return 0

    def _serve(self) -> None:
        while True:
            with self._change:
                self._busy = False
                self._change.notify_all()
                while not self._queue and not self._ended:
                    self._change.wait()
                if not self._queue:
                    break
                samples, tags = self._queue.popleft()
                self._waiting -= samples.size
                self._busy = True
                self._change.notify_all()
            try:
                self._receive(samples, tags)
            except Exception as error:  # a fault of ours: no end of the flowgraph
                self.report(f"{type(error).__name__}: {error}")
                self._restart()
        try:
            self._take(self._receiver.flush())
        except Exception as error:
            self.report(f"{type(error).__name__}: {error}")

    def _receive(self, samples: Samples, tags: list[tuple[int, str, pmt.pmt_base]]) -> None:
        start = 0
        for place, key, value in tags:
            if key == STREAM_END:
                self._take(self._receiver.push(samples[start : place + 1]))
                start = place + 1
                self._take(self._receiver.flush())
                self._restart()
            elif key in (FRAME_BEGIN, FRAME_END) and (tag := FrameTag.from_pmt(value)) is not None:
                self._take(self._receiver.push(samples[start:place]))
                start = place
                self._announce(tag) if key == FRAME_BEGIN else self._conclude(tag)
        self._take(self._receiver.push(samples[start:]))

    def _announce(self, tag: FrameTag) -> None:
        self._tagged = True
        self._announced[tag.image] = tag
        while len(self._announced) > _MAX_ANNOUNCED:  # the tags of their ends have been lost on the way
            self._report_lost(self._announced.popitem(last=False)[1])

    def _conclude(self, tag: FrameTag) -> None:
        """All bursts of a frame have passed: deliver what has come of it, or report it as lost."""
        self._take(self._receiver.flush())
        if self._announced.pop(tag.image, None) is not None:
            self._report_lost(tag)

    def _report_lost(self, tag: FrameTag) -> None:
        self.counts.frames_lost += 1
        self.publish(RECEIVED, lost_pdu(tag.frame, _session(tag)))
        self._publish_status()

    def _begin(self) -> tuple[AirReceiver, SymbolTap]:
        # What an application may send at all, is received; memory is bounded by that.
        bounds = AssemblerConfig(max_coded_bits=8 * MAX_PDU_BITS, max_held_llrs=8 * MAX_PDU_BITS)
        receiver = AirReceiver(self._config, self._turbo, bounds, self._on_burst)
        return receiver, tap_symbols(receiver)

    def _restart(self) -> None:
        """A new receiver: it knows nothing of the stream that has ended."""
        for name, count in asdict(self._receiver.receiver.counts).items():
            self._sums[name] = self._sums.get(name, 0) + count
        self._origin = self._sums["samples"]
        self._receiver, self._tap = self._begin()
        self._announced.clear()
        self._tagged = False

    def _on_burst(self, burst: ReceivedBurst) -> None:
        header = burst.header
        self._measured = {
            "esn0_db": burst.esn0_db,
            "cfo_hz": burst.cfo_hz,
            "clock_offset_ppm": burst.clock_offset_ppm,
            "evm_percent": burst.evm_percent,
            "level_dbfs": burst.level_dbfs,
            "equalizer": burst.equalizer,
            "modulation": header.modulation,
        }
        place = {"image": UInt64(header.image), "fragment": header.fragment, "fragments": header.fragments}
        facts = {
            **place,
            "position": self._origin + burst.position,
            "redundancy": header.redundancy,
            **_finite(self._measured),
        }
        self.publish(BURSTS, Pdu(facts))
        symbols = self._tap.payload(burst.position, header)[:SHOWN_SYMBOLS]
        if symbols.size:
            self.publish(SYMBOLS, Pdu({**place, "modulation": header.modulation}, symbols))
        self._publish_status()

    def _take(self, frames: Sequence[AirFrame]) -> None:
        for frame in frames:
            image = frame.assembled.image
            self._annotate(frame)
            tag = self._announced.pop(image, None)
            if tag is None and self._tagged:
                self.counts.unannounced += 1
                continue
            tag = tag or FrameTag(image, image)
            received = _deliverable(frame.received)
            self._count(received)
            pdu = received_to_pdu(ReceivedPdu(tag.frame, received))
            self.publish(RECEIVED, Pdu({**pdu.metadata, **_session(tag)}, pdu.vector))
            self._publish_status()

    def _annotate(self, frame: AirFrame) -> None:
        samples = self._origin + self._receiver.receiver.counts.samples
        for report, verdict in zip(frame.assembled.bursts, burst_verdicts(frame), strict=True):
            facts = {**vars(report), "position": self._origin + report.position}
            burst = LoggedBurst(**facts, equalizer="", symbols_missing=0, crc_ok=verdict)
            known = vars(burst.annotation(self._config.waveform, samples)).items()
            self.publish(ANNOTATIONS, Pdu({key: value for key, value in known if value is not None}))

    def _count(self, received: ReceivedFrame) -> None:
        lost = received.header is None
        self.counts.frames += not lost
        self.counts.frames_lost += lost
        self.counts.frames_intact += bool(received.block_ok.size) and bool(received.block_ok.all())
        self.counts.blocks += received.block_ok.size
        self.counts.blocks_failed += int(np.count_nonzero(~received.block_ok))

    def _publish_status(self) -> None:
        totals = {
            name: UInt64(count + self._sums.get(name, 0))
            for name, count in asdict(self._receiver.receiver.counts).items()
        }
        frames = {name: UInt64(count) for name, count in asdict(self.counts).items()}
        self.publish(STATUS, Pdu({**totals, **frames, **_finite(self._measured)}))


def _finite(measured: dict[str, PmtValue]) -> dict[str, PmtValue]:
    return {key: value for key, value in measured.items() if not isinstance(value, float) or math.isfinite(value)}


def _session(tag: FrameTag) -> dict[str, Any]:
    return {} if tag.session is None else {SESSION: tag.session}


def _deliverable(received: ReceivedFrame) -> ReceivedFrame:
    """A frame as it fits into a PDU; one that no application can have sent is lost."""
    if received.header is not None and not 1 <= received.payload_llrs.size <= MAX_PDU_BITS:
        return ReceivedFrame.lost(LinkStats(frames_lost=1))
    return received


def _warm_up(waveform: Waveform, turbo: TurboCode) -> None:
    """Receive one small frame, so that all kernels are compiled (seconds, the first time) before samples come."""
    frame = Frame(b"\0", np.zeros(64, np.uint8))
    (burst,) = frame_bursts(frame, FrameFormat(), 0)
    samples = Transmitter(TransmitterConfig(waveform)).modulate(burst)
    receiver = AirReceiver(ReceiverConfig(waveform=waveform), turbo)
    receiver.push(np.concatenate([np.zeros(1024, np.complex64), samples, np.zeros(1024, np.complex64)]))
