"""GNU Radio block: frames in, bursts as samples out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pmt

from semcom_phy.coding.transport import TurboCode
from semcom_phy.errors import ConfigurationError, LinkError, SemcomError
from semcom_phy.gr.burst_receiver import SHOWN_SYMBOLS, STATUS, SYMBOLS
from semcom_phy.gr.metadata import SESSION
from semcom_phy.gr.stream_block import BURST, FRAME_BEGIN, FRAME_END, FrameTag, StreamBlock
from semcom_phy.gr.symbol_tap import payload_places
from semcom_phy.links.air_frames import FrameFormat, frame_bursts
from semcom_phy.links.air_link import GAP_SYMBOLS, LEAD_SYMBOLS, TAIL_SYMBOLS
from semcom_phy.links.base import Frame
from semcom_phy.links.frame_pdus import frame_from_pdu, lost_pdu
from semcom_phy.waveform import Burst, Transmitter, TransmitterConfig, Waveform
from semcom_phy.waveform.fragments import DEFAULT_FRAGMENT_SYMBOLS
from semcom_phy.waveform.layout import burst_symbols
from semcom_phy.waveform.transmitter import modulate_burst
from semcom_phy.zmq import Pdu, PmtValue, UInt64

FRAMES: Final = "frames"
SENT: Final = "sent"
REFUSED: Final = "refused"

#: Frames that wait, at most: no more than an application may have under way.
MAX_WAITING: Final = 64
#: Zeros in one go while nothing is sent: a frame that comes meanwhile waits for them.
_IDLE_SAMPLES: Final = 1024

Samples = npt.NDArray[np.complex64]
Tags = list[tuple[int, str, pmt.pmt_base]]


@dataclass
class _Piece:
    """Samples on their way out, and their tags: place within the piece, key, value."""

    samples: Samples
    tags: Tags = field(default_factory=list)


@dataclass(frozen=True)
class _Waiting:
    """A frame and whose it is."""

    tag: FrameTag
    frame: Frame


class BurstTransmitter(StreamBlock):
    """Frame PDUs at ``frames`` become bursts in a stream of complex samples.

    Each frame is silence, its bursts with gaps between them, and silence: equal frames take equal numbers of samples,
    whenever they come. Tags: `FRAME_BEGIN` on the first sample, `BURST` on the first one of every burst, `FRAME_END` in
    the silence behind the last one, far enough behind for filters.

    `continuous`: zeros fill the time between frames, as a radio needs it; if not, the stream stands still until a
    frame comes, and a loopback runs as fast as it can. `burst_tags`: ``tx_sob`` and ``tx_eob`` on the first and last
    sample of each frame, for radios that switch their transmitter off between frames.

    When the last sample of a frame is out, `SENT` gives the received PDU of a lost frame, with ``fragments_sent``: the
    answer to an application whose flowgraph only transmits. `REFUSED` gives such a PDU for frames that cannot be sent:
    more than `MAX_WAITING` at a time, or out of the bounds of `frame_bursts`.

    For displays: ``symbols``, a PDU with up to `SHOWN_SYMBOLS` payload symbols of each burst (c32vector, unit mean
    energy, before the pulse); ``status``, a PDU with counts and the level and peak of the last burst, in dB of full
    scale, after every burst and frame.

    `modulation`, `fec`, `passes`, `interleave`, `fragment_symbols`, `link`: see `FrameFormat`. `rate`: of the turbo
    code; None is 1/3, or 1/8 for payloads below 24 bits. `level_dbfs`: see `TransmitterConfig`. `first_image`: number
    of the first frame in the burst headers, None a random one.

    Raises ConfigurationError for values out of range.
    """

    def __init__(
        self,
        modulation: str = "bpsk",
        fec: str = "turbo",
        rate: float | None = None,
        samples_per_symbol: int = 4,
        passes: int = 1,
        interleave: bool = False,
        fragment_symbols: int = DEFAULT_FRAGMENT_SYMBOLS,
        level_dbfs: float = -9.0,
        continuous: bool = True,
        burst_tags: bool = False,
        link: int = 0,
        first_image: int | None = None,
    ) -> None:
        outputs = [SENT, REFUSED, SYMBOLS, STATUS]
        StreamBlock.__init__(self, "Burst Transmitter", [FRAMES], outputs, None, [np.complex64])
        self.frame_format = FrameFormat(
            modulation,
            fec,
            TurboCode(rate=rate if fec == "turbo" else None),
            int(passes),
            bool(interleave),
            int(fragment_symbols),
            int(link),
        )
        self._transmitter = Transmitter(TransmitterConfig(Waveform(int(samples_per_symbol)), level_dbfs))
        self._continuous = bool(continuous)
        self._burst_tags = bool(burst_tags)
        if first_image is None:
            first_image = int(np.random.default_rng().integers(1 << 32))
        if not 0 <= first_image < 1 << 32:
            raise ConfigurationError(f"first_image must be from 0 to 2^32 - 1, got {first_image}")
        self._next_image = first_image
        self._waiting: deque[_Waiting] = deque()
        self._current: _Waiting | None = None
        self._pieces: Iterator[_Piece] = iter(())
        self._piece: _Piece | None = None
        self._bursts = 0
        #: Frames and bursts that are out, and frames that cannot be sent.
        self.frames_sent = 0
        self.frames_refused = 0
        self.bursts_sent = 0
        self._measured: dict[str, PmtValue] = {}
        self.set_msg_handler(pmt.intern(FRAMES), self.handle_frame)
        # So that the encoder's kernels are compiled (seconds, the first time) before the first frame.
        frame_bursts(Frame(b"\0", np.zeros(64, np.uint8)), FrameFormat(modulation), 0)

    def set_level_dbfs(self, level_dbfs: float) -> None:
        """Mean power of the bursts from now on."""
        self._transmitter = Transmitter(replace(self._transmitter.config, level_dbfs=level_dbfs))

    def handle_frame(self, message: pmt.pmt_base) -> None:
        """Handle a message at ``frames``."""
        self.guarded(message, self._take, self._give_refused)

    def _take(self, pdu: Pdu) -> None:
        number, frame = frame_from_pdu(pdu)
        if len(self._waiting) >= MAX_WAITING:
            raise LinkError(f"{MAX_WAITING} frames are waiting already; send the next when one is answered")
        session = pdu.metadata.get(SESSION)
        tag = FrameTag(number, self._next_image, session if isinstance(session, str) else None)
        self._next_image = (self._next_image + 1) % (1 << 32)
        self._waiting.append(_Waiting(tag, frame))

    def general_work(self, input_items: Sequence[Samples], output_items: Sequence[Samples]) -> int:
        """Give the next samples; 0 while there are none: the next message wakes the scheduler."""
        out = output_items[0]
        produced = 0
        while produced < out.size and self._piece_at_hand():
            produced += self._move(out[produced:], self.nitems_written(0) + produced)
        if produced == 0 and self._continuous:
            produced = min(out.size, _IDLE_SAMPLES)
            out[:produced] = 0
        return produced

    def _move(self, out: Samples, at: int) -> int:
        """Copy what fits of the piece to `out`, which begins with sample `at` of the stream."""
        assert self._piece is not None
        count = min(out.size, self._piece.samples.size)
        out[:count] = self._piece.samples[:count]
        for place, key, value in self._piece.tags:
            if place < count:
                self.add_item_tag(0, at + place, pmt.intern(key), value)
        later = [(place - count, key, value) for place, key, value in self._piece.tags if place >= count]
        rest = self._piece.samples[count:]
        self._piece = _Piece(rest, later) if rest.size else None
        return count

    def _piece_at_hand(self) -> bool:
        """Get the next piece, of the next frame if need be."""
        while self._piece is None:
            try:
                self._piece = next(self._pieces, None)
            except SemcomError as error:
                self._refuse(str(error))
            except Exception as error:  # a fault of ours: no end of the flowgraph
                self._refuse(f"{type(error).__name__}: {error}")
            if self._piece is not None:
                break
            self._finish()
            if not self._waiting:
                return False
            self._current = self._waiting.popleft()
            self._pieces = self._frame_pieces(self._current)
        return True

    def _refuse(self, reason: str) -> None:
        self.report(reason)
        current, self._current = self._current, None
        self._pieces = iter(())
        if current is not None:
            self._give_refused(lost_pdu(current.tag.frame, _session(current.tag)))

    def _give_refused(self, pdu: Pdu) -> None:
        self.frames_refused += 1
        self.publish(REFUSED, pdu)
        self._publish_status()

    def _finish(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            self.frames_sent += 1
            metadata = {**_session(current.tag), "fragments_sent": self._bursts}
            self.publish(SENT, lost_pdu(current.tag.frame, metadata))
            self._publish_status()

    def _frame_pieces(self, waiting: _Waiting) -> Iterator[_Piece]:
        """The samples of a frame, burst by burst: a whole one can take a gigabyte."""
        bursts = frame_bursts(waiting.frame, self.frame_format, waiting.tag.image)
        self._bursts = len(bursts)
        tag = waiting.tag.to_pmt()
        begin: Tags = [(0, FRAME_BEGIN, tag)]
        if self._burst_tags:
            begin.append((0, "tx_sob", pmt.PMT_T))
        yield _Piece(self._silence(LEAD_SYMBOLS), begin)
        for number, burst in enumerate(bursts):
            samples = self._transmitter.modulate(burst)
            self.bursts_sent += 1
            self._show(burst, samples)
            yield _Piece(samples, [(0, BURST, pmt.from_uint64(number))])
            yield _Piece(self._silence(GAP_SYMBOLS))
        tail = self._silence(TAIL_SYMBOLS)
        end: Tags = [(tail.size // 2, FRAME_END, tag)]
        if self._burst_tags:
            end.append((tail.size - 1, "tx_eob", pmt.PMT_T))
        yield _Piece(tail, end)

    def _show(self, burst: Burst, samples: Samples) -> None:
        """Tell the displays of a burst."""
        if self.heard(SYMBOLS):
            places = payload_places(burst.header)[:SHOWN_SYMBOLS]
            symbols = modulate_burst(burst)[places].astype(np.complex64)
            self.publish(SYMBOLS, Pdu({"modulation": burst.header.modulation}, symbols))
        # The pulses spread the burst a little beyond its symbols: their duration is what its mean power refers to.
        duration = burst_symbols(burst.header.data_symbols) * self._transmitter.config.waveform.samples_per_symbol
        power = np.square(np.abs(samples), dtype=np.float64)
        self._measured = {
            "level_dbfs": float(10 * np.log10(power.sum() / duration)),
            "peak_dbfs": float(10 * np.log10(power.max())),
            "modulation": burst.header.modulation,
        }
        self._publish_status()

    def _publish_status(self) -> None:
        counts = {
            "frames_sent": self.frames_sent,
            "frames_refused": self.frames_refused,
            "frames_waiting": len(self._waiting),
            "bursts_sent": self.bursts_sent,
        }
        self.publish(STATUS, Pdu({**{name: UInt64(count) for name, count in counts.items()}, **self._measured}))

    def _silence(self, symbols: int) -> Samples:
        return np.zeros(symbols * self._transmitter.config.waveform.samples_per_symbol, np.complex64)


def _session(tag: FrameTag) -> dict[str, Any]:
    return {} if tag.session is None else {SESSION: tag.session}
