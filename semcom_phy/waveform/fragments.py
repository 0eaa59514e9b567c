"""A frame's coded bits over several bursts, and back: splitting, and an assembler that forgives losses.

Every burst carries the frame's identity, all its lengths and a codeword of the application's header. Any burst may be
lost, doubled or late: what is missing stays zero LLRs at its place, what came twice is added up, different
redundancy versions are kept apart for the decoder.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import ConfigurationError
from semcom_phy.interleaving import deinterleave, interleave, permutation
from semcom_phy.modulation import MODULATIONS
from semcom_phy.waveform.burst_header import (
    FIELD_BITS,
    MODULATION_CODES,
    BurstHeader,
    decode_application_header,
)
from semcom_phy.waveform.receiver import ReceivedBurst
from semcom_phy.waveform.transmitter import Burst

Bits = npt.NDArray[np.uint8]
Llrs = npt.NDArray[np.float32]

DEFAULT_FRAGMENT_SYMBOLS = 16384
"""Payload symbols of a burst: 65 ms at 250 ksym/s. Preamble, header and pilots add 17 %."""

FRAME_INTERLEAVER_SEED = 36211

MAX_REPORTS = 1 << 16
"""Bursts of one frame that are reported on; of a transmitter that repeats itself for ever, only the first."""


def split_frame(
    application_header: bytes,
    coded: npt.ArrayLike,
    *,
    payload_bits: int,
    image: int,
    frame: int = 0,
    link: int = 0,
    modulation: str = "bpsk",
    fec: str = "turbo",
    redundancy: int = 0,
    passes: int = 1,
    interleaved: bool = False,
    fragment_symbols: int = DEFAULT_FRAGMENT_SYMBOLS,
) -> list[Burst]:
    """Split the coded bits (G,) of one pass over a frame into bursts of at most `fragment_symbols` payload symbols.

    The other arguments are those of `BurstHeader`. A transmitter starts with a random `image` number and
    counts up: a receiver takes two frames with equal numbers and lengths for the same one.
    Raises ConfigurationError for what does not fit into the header.
    """
    bits = np.asarray(coded, np.uint8)
    if bits.ndim != 1 or bits.size == 0:
        raise ConfigurationError(f"a frame has a one-dimensional array of coded bits, got shape {bits.shape}")
    if fragment_symbols < 1:
        raise ConfigurationError(f"fragment_symbols must be at least 1, got {fragment_symbols}")
    if modulation not in MODULATION_CODES:
        raise ConfigurationError(f"bursts carry the modulations {', '.join(MODULATION_CODES)}, not {modulation!r}")
    fragments = -(-bits.size // (fragment_symbols * MODULATIONS[modulation].bits_per_symbol))
    if fragments >= 1 << FIELD_BITS["fragments"]:
        raise ConfigurationError(f"{bits.size} coded bits need {fragments} fragments; allow longer ones")
    if interleaved:
        bits = interleave(bits, permutation(bits.size, FRAME_INTERLEAVER_SEED))
    bursts = []
    for fragment in range(fragments):
        header = BurstHeader(
            image=image,
            frame=frame,
            fragment=fragment,
            fragments=fragments,
            coded_bits=bits.size,
            payload_bits=payload_bits,
            header_bytes=len(application_header),
            link=link,
            modulation=modulation,
            fec=fec,
            redundancy=redundancy,
            interleaved=interleaved,
            passes=passes,
        )
        bursts.append(Burst(header, application_header, bits[slice(*header.fragment_range)]))
    return bursts


@dataclass(frozen=True)
class AssemblerConfig:
    """Bounds of the assembler's memory.

    `max_coded_bits`: fragments of longer frames are dropped. `max_open_frames`, `max_held_llrs`: of all frames under
    assembly; beyond, the one that has waited longest is delivered as it is. `remembered`: so many frames are
    remembered after delivery, that late copies of their fragments open no new frame. `idle_samples`:
    :meth:`FrameAssembler.expire` delivers frames whose last burst began so long ago.
    """

    max_coded_bits: int = 1 << 24
    max_open_frames: int = 8
    max_held_llrs: int = 1 << 25
    remembered: int = 256
    idle_samples: float = 2e6

    def __post_init__(self) -> None:
        for name in ("max_coded_bits", "max_open_frames", "max_held_llrs", "remembered"):
            if not 1 <= getattr(self, name) <= 1 << 32:
                raise ConfigurationError(f"{name} must be from 1 to 2^32, got {getattr(self, name)}")


@dataclass(frozen=True)
class FrameVersion:
    """One redundancy version of a frame: `llrs` float32 (coded bits,) in the encoder's order, 0 where nothing came.

    `received` of `fragments` fragments arrived at least once.
    """

    redundancy: int
    llrs: Llrs
    received: int
    fragments: int


@dataclass(frozen=True)
class AssembledFrame:
    """What arrived of a frame.

    `application_header` is None when no codeword of it could be decoded. `versions`: by redundancy version, at least
    one. `complete`: every fragment of every pass arrived. `bursts`: what was received of it, LLRs left out
    (the first MAX_REPORTS).
    """

    link: int
    image: int
    frame: int
    fec: str
    payload_bits: int
    application_header: bytes | None
    versions: tuple[FrameVersion, ...]
    complete: bool
    bursts: tuple[BurstReport, ...]


@dataclass(frozen=True)
class BurstReport:
    """Header and measurements of one received burst (see `ReceivedBurst`)."""

    header: BurstHeader
    position: float
    cfo_hz: float
    clock_offset_ppm: float
    esn0_db: float
    evm_percent: float
    level_dbfs: float

    @classmethod
    def of(cls, burst: ReceivedBurst) -> BurstReport:
        """The report of a burst."""
        return cls(**{field.name: getattr(burst, field.name) for field in fields(cls)})


@dataclass
class AssemblerCounts:
    """Bursts taken, and dropped by reason; frames delivered."""

    bursts: int = 0
    combined: int = 0
    inconsistent: int = 0
    oversized: int = 0
    late: int = 0
    frames_complete: int = 0
    frames_incomplete: int = 0
    application_headers_failed: int = 0


_Identity = tuple[int, int, int]
_Key = tuple[_Identity, str, int, int, bool, int]
_VersionKey = tuple[int, int, int]


@dataclass
class _OpenFrame:
    last_position: float
    application_llrs: Llrs
    bursts: list[BurstReport] = field(default_factory=list)
    # (redundancy, coded bits, fragments) → fragment → LLRs and how many times it came
    parts: dict[_VersionKey, dict[int, Llrs]] = field(default_factory=dict)
    times: dict[_VersionKey, dict[int, int]] = field(default_factory=dict)
    held: int = 0

    def passes_complete(self) -> int:
        """How many whole passes over the frame have arrived."""
        return sum(min(times.values()) for key, times in self.times.items() if len(times) == key[2])


class FrameAssembler:
    """Collects bursts into frames. Memory is bounded by `AssemblerConfig`, whatever headers claim.

    Bursts whose numbers agree with a frame but whose lengths do not belong to another frame (a transmitter
    that began anew): it is assembled beside the first, and counted as inconsistent.
    """

    def __init__(self, config: AssemblerConfig | None = None) -> None:
        self.config = config if config is not None else AssemblerConfig()
        self.counts = AssemblerCounts()
        self._open: OrderedDict[_Key, _OpenFrame] = OrderedDict()
        self._delivered: deque[_Key] = deque(maxlen=self.config.remembered)

    def push(self, burst: ReceivedBurst) -> list[AssembledFrame]:
        """Take one burst; return the frames that are complete now, or had to make room."""
        header = burst.header
        if header.coded_bits > self.config.max_coded_bits:
            self.counts.oversized += 1
            return []
        identity = (header.link, header.image, header.frame)
        key = (identity, header.fec, header.payload_bits, header.header_bytes, header.interleaved, header.passes)
        if key in self._delivered:
            self.counts.late += 1
            return []
        if key not in self._open:
            self.counts.inconsistent += any(other[0] == identity for other in self._open)
            codeword = burst.application_llrs.size
            self._open[key] = _OpenFrame(burst.position, np.zeros(codeword, np.float32))
        self._take(self._open[key], burst)
        self._open.move_to_end(key)
        delivered = []
        if self._open[key].passes_complete() >= header.passes:
            delivered.append(self._deliver(key, complete=True))
        while self._open and self._over_the_limit():
            delivered.append(self._deliver(next(iter(self._open)), complete=False))
        return delivered

    def expire(self, position: float) -> list[AssembledFrame]:
        """Deliver the frames of which no burst began within `idle_samples` before `position`, as they are.

        Those that have waited longest come first. Call it before every burst with that burst's position, and no frame
        depends on whether it was called in between.
        """
        oldest = position - self.config.idle_samples
        return [self._deliver(key, False) for key in self._waiting_longest() if self._open[key].last_position < oldest]

    def flush(self) -> list[AssembledFrame]:
        """Deliver all open frames as they are, those that have waited longest first."""
        return [self._deliver(key, complete=False) for key in self._waiting_longest()]

    def _waiting_longest(self) -> list[_Key]:
        """The open frames in order of their last bursts' beginnings (bursts come in order of their ends)."""
        return sorted(self._open, key=lambda key: self._open[key].last_position)

    def _over_the_limit(self) -> bool:
        held = sum(frame.held for frame in self._open.values())
        return len(self._open) > self.config.max_open_frames or held > self.config.max_held_llrs

    def _take(self, frame: _OpenFrame, burst: ReceivedBurst) -> None:
        header = burst.header
        version = (header.redundancy, header.coded_bits, header.fragments)
        if frame.times and not any(known[1:] == version[1:] for known in frame.times):
            self.counts.inconsistent += 1
        self.counts.bursts += 1
        frame.last_position = max(frame.last_position, burst.position)
        frame.application_llrs = frame.application_llrs + burst.application_llrs
        parts = frame.parts.setdefault(version, {})
        times = frame.times.setdefault(version, {})
        if header.fragment in parts:
            self.counts.combined += 1
            parts[header.fragment] = parts[header.fragment] + burst.llrs
        else:
            parts[header.fragment] = burst.llrs
            frame.held += burst.llrs.size
        times[header.fragment] = times.get(header.fragment, 0) + 1
        if len(frame.bursts) < MAX_REPORTS:
            frame.bursts.append(BurstReport.of(burst))

    def _deliver(self, key: _Key, complete: bool) -> AssembledFrame:
        frame = self._open.pop(key)
        self._delivered.append(key)
        identity, fec, payload_bits, header_bytes, interleaved, _ = key
        application_header = decode_application_header(frame.application_llrs, header_bytes)
        self.counts.application_headers_failed += application_header is None
        self.counts.frames_complete += complete
        self.counts.frames_incomplete += not complete
        versions = tuple(_join(version, frame.parts[version], interleaved) for version in sorted(frame.parts))
        return AssembledFrame(*identity, fec, payload_bits, application_header, versions, complete, tuple(frame.bursts))


def _join(version: _VersionKey, parts: dict[int, Llrs], interleaved: bool) -> FrameVersion:
    redundancy, coded_bits, fragments = version
    llrs = np.zeros(coded_bits, np.float32)
    for fragment, values in parts.items():
        start = fragment * coded_bits // fragments
        llrs[start : start + values.size] = values
    if interleaved:
        llrs = deinterleave(llrs, permutation(coded_bits, FRAME_INTERLEAVER_SEED))
    return FrameVersion(redundancy, llrs, len(parts), fragments)
