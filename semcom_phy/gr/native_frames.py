"""Blocks at the edges of flowgraphs whose signal processing is done by GNU Radio's own stream blocks.

Streams carry items and no metadata. These blocks keep the metadata while a frame is in the stream, and send the next
frame when the one before has come back whole: frames cannot mix, and nothing piles up in the stream.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pmt

from semcom_phy.coding import crc
from semcom_phy.coding.qpp import qpp_interleaver
from semcom_phy.errors import FormatError, SemcomError
from semcom_phy.gr.metadata import ESN0_DB, is_lost, lost
from semcom_phy.gr.pdu_block import MessageBlock
from semcom_phy.links.frame_pdus import BLOCK_OK, bits_of, frame_from_pdu, frame_number
from semcom_phy.zmq import Pdu

FRAMES: Final = "frames"
RECEIVED: Final = "received"
TO_STREAM: Final = "to_stream"
FROM_STREAM: Final = "from_stream"
#: Frames that wait for the one in the stream; the application has far fewer under way.
MAX_WAITING: Final = 1024
#: A frame fills whole vectors of the processor in the stream, of 16 floats at most: GNU Radio's blocks with two inputs
#: hold back what is less until more comes.
STREAM_MULTIPLE: Final = 16
#: Bits of a frame in the stream, at most: what the stock blocks that make PDUs of a stream have room for.
MAX_STREAM_BITS: Final = 1 << 24
#: |LLR| of the hard decisions of a code block with a right and with a wrong CRC: error rates of about 1e-9 and 0.1.
LLR_GOOD: Final = 20.0
LLR_BAD: Final = 2.0

Bits = npt.NDArray[np.uint8]


class StreamedFrames(MessageBlock):
    """One frame at a time through a stream: ``frames`` → ``to_stream`` (bits) … ``from_stream`` → ``received``.

    What comes back may be cut into PDUs in any way; it has as many items as the frame has bits in the stream, but for
    `closing_bits`. Subclasses say what bits these are, and what frame the items are that come back. `esn0_db` is noted
    in the metadata of what was received; None for nothing.
    """

    #: Bits at the end of a frame in the stream that do not come back.
    closing_bits = 0

    def __init__(self, name: str, esn0_db: float | None) -> None:
        MessageBlock.__init__(self, name, [FRAMES, FROM_STREAM], [TO_STREAM, RECEIVED])
        self._esn0_db = esn0_db
        self._waiting: deque[Pdu] = deque()
        self._current: Pdu | None = None
        self._expected = 0
        self._items: list[npt.NDArray[Any]] = []
        # GNU Radio finds the handlers by the names of the methods and calls them in one thread.
        self.set_msg_handler(pmt.intern(FRAMES), self.handle_frame)
        self.set_msg_handler(pmt.intern(FROM_STREAM), self.handle_items)

    def set_esn0_db(self, esn0_db: float | None) -> None:
        """Es/N0 in dB of the frames from now on, as it is noted."""
        self._esn0_db = esn0_db

    def stream_bits(self, pdu: Pdu) -> Bits:
        """The bits (n,) that a frame is in the stream; SemcomError for what does not belong here."""
        raise NotImplementedError

    def received(self, pdu: Pdu, items: npt.NDArray[Any]) -> Pdu:
        """The PDU to pass on for the frame `pdu`, of which the stream has returned `items` (n,)."""
        raise NotImplementedError

    def handle_frame(self, message: pmt.pmt_base) -> None:
        """Handle a message at ``frames``."""
        self.guarded(message, self._queue, self._give)

    def handle_items(self, message: pmt.pmt_base) -> None:
        """Handle a message at ``from_stream``."""
        self.guarded(message, self._collect)

    def _queue(self, pdu: Pdu) -> None:
        frame_number(pdu)
        if is_lost(pdu):
            self._give(lost(pdu))
            return
        if len(self._waiting) >= MAX_WAITING:
            raise FormatError(f"more than {MAX_WAITING} frames wait for the stream")
        self._waiting.append(pdu)
        self._send_next()

    def _send_next(self) -> None:
        while self._current is None and self._waiting:
            pdu = self._waiting.popleft()
            try:
                bits = self.stream_bits(pdu)
                if bits.size > MAX_STREAM_BITS:
                    raise FormatError(f"a frame of {bits.size} bits; the stream takes {MAX_STREAM_BITS} at most")
            except SemcomError as error:
                self.report(str(error))
                self._give(lost(pdu))
                continue
            self._current, self._expected, self._items = pdu, bits.size - self.closing_bits, []
            self.publish(TO_STREAM, Pdu({}, bits))

    def _collect(self, pdu: Pdu) -> None:
        if self._current is None:
            raise FormatError(f"{pdu.vector.size} items from the stream that belong to no frame")
        self._items.append(pdu.vector)
        missing = self._expected - sum(piece.size for piece in self._items)
        if missing > 0:
            return
        current, self._current = self._current, None
        try:
            if missing < 0:
                raise FormatError(f"the stream has returned {-missing} items more than were sent")
            noted = {} if self._esn0_db is None else {ESN0_DB: float(self._esn0_db)}
            received = self.received(current, np.concatenate(self._items))
            self._give(Pdu({**received.metadata, **noted}, received.vector))
        except SemcomError as error:
            self.report(str(error))
            self._give(lost(current))
        self._items = []
        self._send_next()

    def _give(self, pdu: Pdu) -> None:
        self.publish(RECEIVED, pdu)


class NativeFrames(StreamedFrames):
    """Between Frame TX and Frame RX: all bits of a frame go into the stream, their LLRs come back (float32).

    Sign and scale of the LLRs are those of the stream: ``ln P(b=1)/P(b=0)``. At least one more bit, 0, closes a frame:
    Tags To PDU ends a PDU before the item with the end tag.
    """

    closing_bits = 1

    def __init__(self, esn0_db: float | None = None) -> None:
        StreamedFrames.__init__(self, "Native Frames", esn0_db)

    def stream_bits(self, pdu: Pdu) -> Bits:
        """See `StreamedFrames.stream_bits`."""
        bits = bits_of(pdu, MAX_STREAM_BITS)
        return np.pad(bits, (0, STREAM_MULTIPLE - bits.size % STREAM_MULTIPLE))

    def received(self, pdu: Pdu, items: npt.NDArray[Any]) -> Pdu:
        """See `StreamedFrames.received`."""
        return Pdu(pdu.metadata, items[: pdu.vector.size].astype(np.float32))


def _whole(count: int, multiple: int) -> int:
    """`count`, or the next larger multiple."""
    return -(-count // multiple) * multiple


class NativeBlocks(StreamedFrames):
    """Between the application and a block code in the stream: frames go as code blocks of one size, come back decided.

    A payload is cut into pieces of K − 24 bits, the last one filled up with zeros; each gets a CRC24A and is one block
    of the stream. Where K is no multiple of 16, blocks of zeros make the stream one. A decoder that decides gives no
    LLRs: each decision becomes ±20 in a block whose CRC holds, ±2 in another. The header stays here while the payload
    is in the stream: it meets no noise.

    `block_bits`: K, one of the 188 sizes of 3GPP TS 36.212 (ConfigurationError for others).
    """

    def __init__(self, block_bits: int = 1024, esn0_db: float | None = None) -> None:
        StreamedFrames.__init__(self, "Native Blocks", esn0_db)
        qpp_interleaver(block_bits)
        self._block_bits = block_bits

    def stream_bits(self, pdu: Pdu) -> Bits:
        """See `StreamedFrames.stream_bits`."""
        _, frame = frame_from_pdu(pdu)
        piece = self._block_bits - crc.CRC24A.length
        blocks = _whole(-(-frame.payload.size // piece), STREAM_MULTIPLE // math.gcd(STREAM_MULTIPLE, self._block_bits))
        padded = np.zeros(blocks * piece, np.uint8)
        padded[: frame.payload.size] = frame.payload
        return crc.attach(padded.reshape(blocks, piece), crc.CRC24A).ravel()

    def received(self, pdu: Pdu, items: npt.NDArray[Any]) -> Pdu:
        """See `StreamedFrames.received`."""
        # GNU Radio's bytes are signed on their way, the bits in them are not.
        used = -(-pdu.vector.size // (self._block_bits - crc.CRC24A.length))
        blocks = (items.astype(np.uint8) & 1).reshape(-1, self._block_bits)[:used]
        block_ok = crc.check(blocks, crc.CRC24A)
        signs = 2.0 * blocks[:, : -crc.CRC24A.length] - 1.0
        llrs = signs * np.where(block_ok, LLR_GOOD, LLR_BAD)[:, None]
        metadata = {**pdu.metadata, BLOCK_OK: block_ok.astype(np.uint8)}
        return Pdu(metadata, llrs.ravel()[: pdu.vector.size].astype(np.float32))
