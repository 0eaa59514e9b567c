"""The base of the blocks that take or give samples, and the tags that say what a stream carries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import pmt
from gnuradio import gr

from semcom_phy.gr.metadata import SESSION
from semcom_phy.gr.pdu_block import MessageBlock
from semcom_phy.links.frame_pdus import FRAME

#: On the first sample of a frame of Burst Transmitter, and behind its last burst; the value is a `FrameTag`.
FRAME_BEGIN: Final = "frame_begin"
FRAME_END: Final = "frame_end"
#: On the first sample of every burst; the value is its number within the frame, all passes counted.
BURST: Final = "burst"
#: On the last sample of a recording: what filters and receivers hold back is to come out now.
STREAM_END: Final = "stream_end"

_IMAGE: Final = "image"


class StreamBlock(MessageBlock):
    """A block with sample streams and message ports. Subclasses define `general_work`.

    An exception in GNU Radio's work function ends the block's thread, and the flowgraph waits for it for ever:
    subclasses let none out.
    """

    def tags_of(self, count: int) -> list[gr.tag_t]:
        """The tags of the next `count` samples at input 0, in order."""
        return sorted(self.get_tags_in_window(0, 0, count), key=lambda tag: tag.offset)


@dataclass(frozen=True)
class FrameTag:
    """Which frame of the application the samples belong to.

    `frame`: the application's number; `image`: the number in the headers of its bursts; `session`: the application's,
    None where the frame came without one.
    """

    frame: int
    image: int
    session: str | None = None

    def to_pmt(self) -> pmt.pmt_base:
        """The value of a tag."""
        value = pmt.dict_add(pmt.make_dict(), pmt.intern(FRAME), pmt.from_uint64(self.frame))
        value = pmt.dict_add(value, pmt.intern(_IMAGE), pmt.from_uint64(self.image))
        return value if self.session is None else pmt.dict_add(value, pmt.intern(SESSION), pmt.intern(self.session))

    @classmethod
    def from_pmt(cls, value: pmt.pmt_base) -> Self | None:
        """What a tag says, None for the tag of somebody else."""
        if not pmt.is_dict(value) or pmt.is_null(value):
            return None
        frame = pmt.dict_ref(value, pmt.intern(FRAME), pmt.PMT_NIL)
        image = pmt.dict_ref(value, pmt.intern(_IMAGE), pmt.PMT_NIL)
        session = pmt.dict_ref(value, pmt.intern(SESSION), pmt.PMT_NIL)
        if not pmt.is_uint64(frame) or not pmt.is_uint64(image):
            return None
        text = pmt.symbol_to_string(session) if pmt.is_symbol(session) else None
        return cls(pmt.to_uint64(frame), pmt.to_uint64(image), text)
