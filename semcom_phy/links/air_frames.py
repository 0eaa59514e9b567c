"""Frames as bursts and back: coding, blind repetition, and the streaming receiver up to decoded frames.

Frame → coded bits of each pass → bursts … samples → `AirReceiver` → frames.

Over the air a turbo code is always rate-matched (TS 36.212 §5.1.4.1): a burst's header names the payload's length A
and the number of coded bits G, and these two say everything. A frame is sent `passes` times without asking
whether it arrived (blind HARQ), each time with the next redundancy version of `REDUNDANCY_ORDER`; without FEC
every pass carries the same bits, whose LLRs add up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.coding import crc
from semcom_phy.coding.transport import MIN_RATE, TransportOutput, TurboCode
from semcom_phy.errors import ConfigurationError
from semcom_phy.links.base import Frame, LinkStats, ReceivedFrame
from semcom_phy.links.framing import FEC_CODES
from semcom_phy.modulation import MODULATIONS, hard_decisions
from semcom_phy.registry import nearest
from semcom_phy.units import db_to_linear, linear_to_db
from semcom_phy.waveform import (
    AssembledFrame,
    AssemblerConfig,
    Burst,
    BurstHeader,
    FrameAssembler,
    FrameVersion,
    ReceivedBurst,
    Receiver,
    ReceiverConfig,
    split_frame,
)
from semcom_phy.waveform.burst_header import MAX_APPLICATION_HEADER_BYTES, MAX_PASSES, MODULATION_CODES
from semcom_phy.waveform.fragments import DEFAULT_FRAGMENT_SYMBOLS

#: Redundancy versions of successive passes: 0 can be decoded alone, 2 adds most of what it left out.
REDUNDANCY_ORDER: Final = (0, 2, 3, 1)
DEFAULT_RATE: Final = 1 / 3
_SHORT_PAYLOAD: Final = 24  # fewer bits and their CRC do not fit rate 1/3, or too tightly to be decoded
MAX_FRAGMENT_SYMBOLS: Final = 1 << 16
#: Room for the longest application header, sent twice, and the longest fragment.
MAX_BURST_SYMBOLS: Final = 1 << 19


@dataclass(frozen=True)
class FrameFormat:
    """How a transmitter turns frames into bursts.

    modulation: "bpsk", "qpsk" or "16qam", of the payload; headers are always BPSK.
    fec: "turbo" (TS 36.212, rate-matched) or "none" (payload plus one CRC24A).
    turbo: the code; a rate of None stands for 1/3, or 1/8 where a payload of less than 24 bits needs it. Its bits per
    symbol are those of the modulation.
    passes: how many times each frame is sent, 1 … 8.
    interleave: permute the coded bits over the whole frame before it is split.
    fragment_symbols: payload symbols of a burst at most, 1 … 65536.
    link: identity of the sender in the burst headers, 0 … 65535.

    Raises ConfigurationError for values out of range.
    """

    modulation: str = "bpsk"
    fec: str = "turbo"
    turbo: TurboCode = field(default_factory=TurboCode)
    passes: int = 1
    interleave: bool = False
    fragment_symbols: int = DEFAULT_FRAGMENT_SYMBOLS
    link: int = 0

    def __post_init__(self) -> None:
        for what, value, known in (("modulation", self.modulation, MODULATION_CODES), ("fec", self.fec, FEC_CODES)):
            if value not in known:
                raise ConfigurationError(f"unknown {what} {value!r}.{nearest(value, known)} Known: {', '.join(known)}")
        for name, most in (("passes", MAX_PASSES), ("fragment_symbols", MAX_FRAGMENT_SYMBOLS)):
            if not 1 <= getattr(self, name) <= most:
                raise ConfigurationError(f"{name} must be from 1 to {most}, got {getattr(self, name)}")
        if not 0 <= self.link < 1 << 16:
            raise ConfigurationError(f"link must be from 0 to 65535, got {self.link}")
        if self.fec == "turbo":
            object.__setattr__(self, "turbo", replace(self.turbo, bits_per_symbol=self.bits_per_symbol))
        elif self.turbo.rate is not None:
            raise ConfigurationError(f"a code rate is for fec 'turbo', not for {self.fec!r}; leave it out")

    @property
    def bits_per_symbol(self) -> int:
        """Coded bits per payload symbol."""
        return MODULATIONS[self.modulation].bits_per_symbol

    def _code(self, payload_bits: int) -> TurboCode:
        if self.turbo.rate is not None:
            return self.turbo
        return replace(self.turbo, rate=DEFAULT_RATE if payload_bits >= _SHORT_PAYLOAD else MIN_RATE)

    def coded_length(self, payload_bits: int) -> int:
        """Coded bits of one pass, G."""
        if self.fec == "turbo":
            return self._code(payload_bits).coded_length(payload_bits)
        return payload_bits + crc.CRC24A.length

    def redundancy(self, number: int) -> int:
        """Redundancy version of pass `number`."""
        return REDUNDANCY_ORDER[number % len(REDUNDANCY_ORDER)] if self.fec == "turbo" else 0

    def encode(self, payload: npt.NDArray[np.uint8], number: int) -> npt.NDArray[np.uint8]:
        """Coded bits (G,) of pass `number` over a payload."""
        if self.fec == "turbo":
            return self._code(payload.size).encode(payload, self.redundancy(number))
        return crc.attach(payload, crc.CRC24A)


def frame_bursts(frame: Frame, frame_format: FrameFormat, image: int) -> list[Burst]:
    """All bursts of a frame, pass after pass, under the number `image` (32 bits).

    Raises ConfigurationError for an empty payload, a header of 0 or more than 4096 bytes, a payload too short for the
    rate (below 4 bits: for any) or too long for 65535 fragments.
    """
    if not 1 <= len(frame.header) <= MAX_APPLICATION_HEADER_BYTES:
        raise ConfigurationError(
            f"the header of a frame on the air has 1 to {MAX_APPLICATION_HEADER_BYTES} bytes, got {len(frame.header)};"
            " send a smaller picture"
        )
    if frame.payload.size == 0:
        raise ConfigurationError("a frame payload has at least 1 bit")
    return [
        burst
        for number in range(frame_format.passes)
        for burst in split_frame(
            frame.header,
            frame_format.encode(frame.payload, number),
            payload_bits=frame.payload.size,
            image=image,
            link=frame_format.link,
            modulation=frame_format.modulation,
            fec=frame_format.fec,
            redundancy=frame_format.redundancy(number),
            passes=frame_format.passes,
            interleaved=frame_format.interleave,
            fragment_symbols=frame_format.fragment_symbols,
        )
    ]


@dataclass(frozen=True)
class AirFrame:
    """A frame off the air: what arrived of it and what was decoded.

    `received.stats` counts it as received or lost, its blocks and fragments, and holds the means of what its bursts
    measured. `error`: why it was lost, None otherwise.
    """

    assembled: AssembledFrame
    received: ReceivedFrame
    error: str | None = None

    @property
    def fragments_expected(self) -> int:
        """Bursts that the transmitter sent of this frame, by what their headers say."""
        header = self.assembled.bursts[0].header
        return header.fragments * header.passes


def decode_frame(assembled: AssembledFrame, turbo: TurboCode) -> AirFrame:
    """Decode what arrived of a frame; `turbo` says how (iterations, algorithm, back end), the bursts the rest.

    Fragments that are missing count as erasures. A frame without its application header, or whose lengths contradict
    each other, is lost.
    """
    stats = _measured(assembled)
    lost = ReceivedFrame.lost(replace(stats, frames_lost=1))
    if assembled.application_header is None:
        return AirFrame(assembled, lost, "header lost")
    try:
        output = _decode_payload(assembled, turbo)
    except ConfigurationError as error:
        return AirFrame(assembled, lost, f"bursts with contradicting headers: {error}")
    stats = replace(
        stats,
        frames_received=1,
        blocks=output.block_ok.size,
        blocks_failed=int(np.count_nonzero(~output.block_ok)),
    )
    received = ReceivedFrame(assembled.application_header, output.bits, output.llrs, output.block_ok, stats)
    return AirFrame(assembled, received)


def _measured(assembled: AssembledFrame) -> LinkStats:
    bursts = assembled.bursts
    return LinkStats(
        fragments_received=len(bursts),
        esn0_measured_db=linear_to_db(float(np.mean([db_to_linear(burst.esn0_db) for burst in bursts]))),
        cfo_hz=float(np.mean([burst.cfo_hz for burst in bursts])),
    )


def _consistent(assembled: AssembledFrame) -> tuple[int, list[FrameVersion]]:
    """Coded bits G of most of what arrived, and the versions that have as many."""
    arrived: dict[int, int] = {}
    for version in assembled.versions:
        arrived[version.llrs.size] = arrived.get(version.llrs.size, 0) + version.received
    coded_bits = max(arrived, key=lambda size: arrived[size])
    return coded_bits, [version for version in assembled.versions if version.llrs.size == coded_bits]


def _decode_payload(assembled: AssembledFrame, turbo: TurboCode) -> TransportOutput:
    coded_bits, versions = _consistent(assembled)
    if assembled.fec == "none":
        return _read_uncoded(np.sum([version.llrs for version in versions], axis=0), assembled.payload_bits)
    scheme = next(burst.header.scheme for burst in assembled.bursts if burst.header.coded_bits == coded_bits)
    code = replace(turbo, rate=None, bits_per_symbol=scheme.bits_per_symbol)
    buffer = code.soft_buffer(assembled.payload_bits, coded_bits)
    for version in versions:
        buffer.add(version.llrs, version.redundancy)
    return buffer.decode()


def _read_uncoded(llrs: npt.NDArray[np.float32], payload_bits: int) -> TransportOutput:
    if llrs.size != payload_bits + crc.CRC24A.length:
        raise ConfigurationError(f"{payload_bits} payload bits and a CRC of 24 are not {llrs.size}")
    bits = hard_decisions(llrs)
    # Nothing but zeros would satisfy the CRC: what did not arrive is not intact.
    intact = bool(crc.check(bits, crc.CRC24A)) and bool(np.all(llrs != 0.0))
    return TransportOutput(
        bits[:payload_bits],
        llrs[:payload_bits].astype(np.float32),
        np.array([intact]),
        intact,
        np.zeros(1, np.int32),
    )


def burst_verdicts(frame: AirFrame) -> list[bool]:
    """For each burst in `frame.assembled.bursts`, whether the CRCs of all code blocks it carries bits of held.

    The blocks' places among the coded bits are those of TS 36.212 §5.1.4.1.2; an interleaved fragment has bits of
    all of them.
    """
    return [_blocks_held(burst.header, frame.received.block_ok) for burst in frame.assembled.bursts]


def _blocks_held(header: BurstHeader, block_ok: npt.NDArray[np.bool_]) -> bool:
    if header.interleaved or block_ok.size == 0:
        return bool(block_ok.all()) and block_ok.size > 0
    bits = header.scheme.bits_per_symbol
    symbols, longer = divmod(header.coded_bits // bits, block_ok.size)
    index = np.arange(block_ok.size)
    ends = bits * (symbols * (index + 1) + np.maximum(index + 1 - (block_ok.size - longer), 0))
    start, stop = header.fragment_range
    first, last = np.searchsorted(ends, [start, stop - 1], side="right")
    return bool(block_ok[first : last + 1].all())


class AirReceiver:
    """Samples in, decoded frames out: detection, demodulation, assembly and decoding of a stream.

    `receiver.counts` and `assembler.counts` tell what was dropped and why. `on_burst` is called with every burst, also
    with copies that come too late to be of use.
    """

    def __init__(
        self,
        config: ReceiverConfig | None = None,
        turbo: TurboCode | None = None,
        assembler: AssemblerConfig | None = None,
        on_burst: Callable[[ReceivedBurst], None] | None = None,
    ) -> None:
        self.receiver = Receiver(config or ReceiverConfig(max_burst_symbols=MAX_BURST_SYMBOLS))
        self.assembler = FrameAssembler(assembler)
        self._turbo = turbo or TurboCode()
        self._on_burst = on_burst

    def push(self, samples: npt.ArrayLike) -> list[AirFrame]:
        """Take the next samples, complex (n,); return the frames that are complete now or were waited for too long.

        What comes out, and in which order, does not depend on how the stream is cut into calls.
        """
        frames = self._take(self.receiver.push(samples))
        # No burst to come began earlier: what expires now would expire before the next burst at the latest.
        return frames + self._decode(self.assembler.expire(float(self.receiver.settled)))

    def flush(self) -> list[AirFrame]:
        """End of the stream: return what has come of all other frames. More samples begin a new stretch."""
        return self._take(self.receiver.flush()) + self._decode(self.assembler.flush())

    def _take(self, bursts: list[ReceivedBurst]) -> list[AirFrame]:
        frames = []
        for burst in bursts:
            # One call may bring many bursts: each finds open what would be open if it had come alone.
            frames += self._decode(self.assembler.expire(burst.position))
            if self._on_burst is not None:
                self._on_burst(burst)
            frames += self._decode(self.assembler.push(burst))
        return frames

    def _decode(self, assembled: list[AssembledFrame]) -> list[AirFrame]:
        return [decode_frame(frame, self._turbo) for frame in assembled]
