"""The whole coding chain of a transport block: CRC, segmentation, turbo code, rate matching (3GPP TS 36.212 §5.1).

Order of the coded bits: code block after code block. Within a block they follow either §5.1.4.1 (a rate is
given: the circular buffer from the place that the redundancy version names), or, without a rate, the natural
order of the mother code: trellis step after trellis step, and in each step d(0), d(1), d(2), tail steps last.
The <NULL> bits that filler bits leave in d(0) and d(1) (§5.1.3.2) are sent in neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.crc import CRC24A, CRC24B, attach, check
from semcom_phy.coding.decoders import DecoderOutput, DecoderParams, decode
from semcom_phy.coding.rate_matching import (
    empty_buffer,
    gather,
    natural_order,
    scatter,
    transmission_order,
)
from semcom_phy.coding.segmentation import SegmentationPlan, block_checks, join_groups, plan, segment_groups
from semcom_phy.coding.turbo import TAIL_COLUMNS, encode
from semcom_phy.errors import ConfigurationError

Bits = npt.NDArray[np.uint8]

#: Rates are multiples of 1/840, so that a frame can name its rate in ten bits: every fraction with a denominator
#: up to 8 and every multiple of 0.05 is among them.
RATE_UNIT: Final = 840
MIN_RATE: Final = 1 / 8
MAX_RATE: Final = 0.95
MIN_RATE_CODE: Final = round(MIN_RATE * RATE_UNIT)
MAX_RATE_CODE: Final = round(MAX_RATE * RATE_UNIT)
MAX_BITS_PER_SYMBOL: Final = 16
#: Channel codes of a payload by name, and the numbers by which headers name them.
FEC_CODES: Final = {"none": 0, "turbo": 1}
#: |LLR| at which a bit counts as undecided: what rounding may make of 0.
UNDECIDED: Final = 1e-3


@dataclass(frozen=True)
class TransportOutput:
    """A decoded transport block of A bits in C code blocks. Damaged blocks deliver their bits all the same.

    `bits`: (A,) uint8. `llrs`: (A,) float32, a-posteriori ``ln P(b=1)/P(b=0)``. `block_ok`: (C,) bool, the
    verdict of CRC24B (CRC24A when C = 1). `transport_ok`: the verdict of CRC24A. Neither is ever True for a
    block of which too little was received. `iterations`: (C,) int32, decoder iterations of each block.
    """

    bits: Bits
    llrs: npt.NDArray[np.float32]
    block_ok: npt.NDArray[np.bool_]
    transport_ok: bool
    iterations: npt.NDArray[np.int32]


@dataclass(frozen=True)
class _Run:
    """Consecutive code blocks that are sent alike: blocks `start` … `stop` − 1 of one of the plan's groups."""

    group: int
    start: int
    stop: int
    size: int
    filler: int
    coded_bits: int  # E of each of these blocks
    rate_matched: bool

    @property
    def total(self) -> int:
        return (self.stop - self.start) * self.coded_bits

    def order(self, redundancy_version: int) -> npt.NDArray[np.int64]:
        if self.rate_matched:
            return transmission_order(self.size, redundancy_version, self.filler)
        if redundancy_version != 0:
            raise ConfigurationError(
                f"the mother code in natural order has no redundancy version {redundancy_version}; give a rate"
            )
        return natural_order(self.size, self.filler)


def _plan(payload_bits: int) -> SegmentationPlan:
    if payload_bits < 1:
        raise ConfigurationError(f"a transport block has at least 1 bit, got {payload_bits}")
    return plan(payload_bits + CRC24A.length)


def coded_length(payload_bits: int) -> int:
    """Return G of the mother code (no rate matching) for A = `payload_bits` ≥ 1 (ConfigurationError below)."""
    layout = _plan(payload_bits)
    return sum(count * _mother_code_bits(size, 0) for count, size in layout.groups) - 2 * layout.filler


def rate(payload_bits: int) -> float:
    """Return the rate A/G of the mother code, with both CRCs, filler and tail bits counted as overhead."""
    return payload_bits / coded_length(payload_bits)


def _mother_code_bits(size: int, filler: int) -> int:
    return 3 * (size + TAIL_COLUMNS) - 2 * filler


@lru_cache(maxsize=256)
def _runs(layout: SegmentationPlan, coded_bits: int | None, bits_per_symbol: int) -> tuple[_Run, ...]:
    """Share out G = `coded_bits` among the blocks as §5.1.4.1.2 does; None sends each mother codeword whole.

    With G' = G/(N_L·Q_m) symbols in all, the last γ = G' mod C blocks get one symbol more than the others.
    """
    symbols, extra = divmod((coded_bits or 0) // bits_per_symbol, layout.blocks)
    shorter = layout.blocks - extra
    cuts = sorted({0, 1, layout.small_blocks, shorter, layout.blocks})
    runs = []
    for start, stop in pairwise(cuts):
        small = start < layout.small_blocks
        size = layout.small_size if small else layout.large_size
        group = 0 if small or not layout.small_blocks else 1
        offset = 0 if small else layout.small_blocks
        filler = layout.filler if start == 0 else 0
        if coded_bits is None:
            sent = _mother_code_bits(size, filler)
        else:
            sent = bits_per_symbol * (symbols + (start >= shorter))
        runs.append(_Run(group, start - offset, stop - offset, size, filler, sent, coded_bits is not None))
    return tuple(runs)


def _tells_something(bits: Bits, llrs: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
    """Tell which of the decoded blocks (n, K) are not zeros for want of a decision.

    Punctured parity without the systematic bits can leave most bits at LLR 0, however many observations there are.
    """
    verdicts = np.asarray(bits.any(axis=1))
    zeros = np.flatnonzero(~verdicts)
    verdicts[zeros] = (np.abs(llrs[zeros]) > UNDECIDED).all(axis=1)
    return verdicts


def _rate_matched_runs(payload_bits: int, coded_bits: int, bits_per_symbol: int) -> tuple[_Run, ...]:
    """Share out `coded_bits` if they are whole symbols, enough, and not more than the lowest rate has."""
    highest = math.ceil(payload_bits / MIN_RATE) + bits_per_symbol
    if not 0 <= coded_bits < highest or coded_bits % bits_per_symbol:
        raise ConfigurationError(
            f"{payload_bits} payload bits are coded into fewer than {highest} bits in symbols of {bits_per_symbol}, "
            f"not into {coded_bits}"
        )
    layout = _plan(payload_bits)
    runs = _runs(layout, coded_bits, bits_per_symbol)
    if any(run.coded_bits < run.size - run.filler for run in runs):
        symbols = -(-max(run.size - run.filler for run in runs) // bits_per_symbol)
        fewest = symbols * bits_per_symbol * layout.blocks
        raise ConfigurationError(
            f"{payload_bits} payload bits and their CRC need {fewest} coded bits, a rate of "
            f"{payload_bits / fewest:.3f} at most, and not {coded_bits}; lower the rate or leave it out"
        )
    return runs


@dataclass(frozen=True)
class TurboCode:
    """The turbo code of a transport block, its rate, and how to decode it.

    `iterations`, `algorithm` and `backend` are those of `semcom_phy.coding.decoders.decode`; with
    `early_stop` a block is finished as soon as its CRC holds.

    `rate` is A/G, payload bits per coded bit, from 1/8 to 0.95, rounded to a multiple of 1/`RATE_UNIT`; None
    sends the mother code whole and in natural order (about 1/3). `bits_per_symbol` is N_L·Q_m of §5.1.4.1.2
    (1 for BPSK): with a rate, G is a multiple of it, and no symbol carries bits of two code blocks.

    Redundancy version 0 can be decoded on its own up to a rate (K − F)/E of about 0.93 in each block, version 3
    up to 3/4, versions 1 and 2 up to 0.6. Beyond that the bits sent do not determine the block, with some block
    sizes even without noise, and another version has to come to their help.

    Raises ConfigurationError for a rate or a number of bits per symbol out of range.
    """

    iterations: int = 5
    algorithm: str = "log-map"
    backend: str = "auto"
    early_stop: bool = True
    rate: float | None = None
    bits_per_symbol: int = 1

    def __post_init__(self) -> None:
        if self.rate is not None and not MIN_RATE <= self.rate <= MAX_RATE:
            raise ConfigurationError(f"a code rate is from 1/8 to {MAX_RATE}, not {self.rate}")
        if not 1 <= self.bits_per_symbol <= MAX_BITS_PER_SYMBOL:
            raise ConfigurationError(
                f"bits per symbol must be from 1 to {MAX_BITS_PER_SYMBOL}, not {self.bits_per_symbol}"
            )

    @property
    def rate_code(self) -> int:
        """The rate in units of 1/`RATE_UNIT`, 105 … 798, or 0 for the mother code in natural order."""
        return 0 if self.rate is None else round(self.rate * RATE_UNIT)

    def with_rate_code(self, rate_code: int) -> TurboCode:
        """Return the same code at the rate that a frame names; raises ConfigurationError for one out of range."""
        return replace(self, rate=rate_code / RATE_UNIT if rate_code else None)

    def coded_length(self, payload_bits: int) -> int:
        """Return G, the number of coded bits of one transmission of A = `payload_bits` ≥ 1.

        Raises ConfigurationError when a block would get fewer coded bits than it has bits to tell (payload and
        CRC): a short payload cannot have a high rate.
        """
        return sum(run.total for run in self._transmission(payload_bits))

    def encode(self, bits: npt.ArrayLike, redundancy_version: int = 0) -> Bits:
        """Encode `bits` (A,) of 0/1, A ≥ 1, into (G,) uint8 coded bits of one transmission.

        Raises ConfigurationError for an empty or non-binary payload, a rate that it cannot have, or another
        redundancy version than 0 … 3 (without a rate: than 0).
        """
        payload = np.asarray(bits)
        if payload.ndim != 1 or payload.size == 0 or payload.min() < 0 or payload.max() > 1:
            raise ConfigurationError(
                "a transport block is a one-dimensional array of 0 and 1 with at least one bit, "
                f"got shape {payload.shape}"
            )
        runs = self._transmission(payload.size)
        groups = segment_groups(attach(payload.astype(np.uint8, copy=False), CRC24A), _plan(payload.size))
        streams = [encode(group) for group in groups]
        return np.concatenate(
            [
                gather(streams[run.group][run.start : run.stop], run.order(redundancy_version), run.coded_bits).ravel()
                for run in runs
            ]
        )

    def soft_buffer(
        self, payload_bits: int, coded_bits: int | None = None, dtype: npt.DTypeLike = np.float32
    ) -> SoftBuffer:
        """Return an empty buffer for the transmissions of one transport block of A = `payload_bits` bits.

        `coded_bits` is G where a frame names that instead of the rate; the block is then rate-matched. Sums are
        kept in `dtype`, float32 or float64. Raises ConfigurationError for a payload that the code cannot carry.
        """
        if coded_bits is None:
            runs = self._transmission(payload_bits)
        else:
            runs = _rate_matched_runs(payload_bits, coded_bits, self.bits_per_symbol)
        return SoftBuffer(self, payload_bits, runs, np.dtype(dtype))

    def decode(self, llrs: npt.ArrayLike, payload_bits: int, redundancy_version: int = 0) -> TransportOutput:
        """Decode one transmission from its LLRs (G,) of A = `payload_bits` bits; NaN and 0 are erasures.

        Several transmissions of one block are combined by `soft_buffer`. Raises ConfigurationError when the
        number of LLRs is not ``coded_length(A)``.
        """
        received = np.asarray(llrs)
        precision = np.float32 if received.dtype == np.float32 else np.float64
        buffer = self.soft_buffer(payload_bits, dtype=precision)
        buffer.add(received, redundancy_version)
        return buffer.decode()

    def _transmission(self, payload_bits: int) -> tuple[_Run, ...]:
        if self.rate is None:
            return _runs(_plan(payload_bits), None, 1)
        symbols = -(-payload_bits * RATE_UNIT // (self.rate_code * self.bits_per_symbol))
        return _rate_matched_runs(payload_bits, symbols * self.bits_per_symbol, self.bits_per_symbol)


class SoftBuffer:
    """Soft values of one transport block, summed over its transmissions (soft combining).

    For retransmissions on request: `add`, `decode`, and after a failure `add` the next one. For blind
    repetitions: `add` all that came, then `decode`. The same redundancy version again is Chase combining,
    another one incremental redundancy. What did not arrive is left out, or zero where it is a part.
    """

    def __init__(self, code: TurboCode, payload_bits: int, runs: tuple[_Run, ...], dtype: np.dtype) -> None:
        """Use `TurboCode.soft_buffer`."""
        self.code = code
        self.payload_bits = payload_bits
        self.coded_bits = sum(run.total for run in runs)
        self._layout = _plan(payload_bits)
        self._runs = runs
        self._dtype = dtype
        self._sums = [empty_buffer(count, size, 0, dtype) for count, size in self._layout.groups]
        self._sums[0][:1] = empty_buffer(1, self._runs[0].size, self._layout.filler, dtype)
        # What a block has to tell cannot follow from fewer observations than it has bits: K − F. Known in the
        # buffer must then be these and the 2F filler bits of d(0) and d(1).
        self._known = [np.zeros(count, np.int64) for count, _ in self._layout.groups]
        self._required = [np.full(count, size) for count, size in self._layout.groups]
        self._required[0][0] += self._layout.filler

    def add(self, llrs: npt.ArrayLike, redundancy_version: int = 0) -> None:
        """Add the LLRs (G,) of one transmission; NaN and 0 are erasures.

        Raises ConfigurationError when their number is not G, or for a redundancy version the code does not have.
        """
        received = np.asarray(llrs).astype(self._dtype, copy=False)
        if received.shape != (self.coded_bits,):
            raise ConfigurationError(
                f"{self.payload_bits} payload bits need {self.coded_bits} LLRs, got an array of shape {received.shape}"
            )
        orders = [run.order(redundancy_version) for run in self._runs]
        start = 0
        for run, order in zip(self._runs, orders, strict=True):
            blocks = slice(run.start, run.stop)
            part = received[start : start + run.total].reshape(-1, run.coded_bits)
            start += run.total
            self._known[run.group][blocks] = scatter(part, order, self._sums[run.group][blocks])

    def decode(self) -> TransportOutput:
        """Decode what has been added so far; the buffer stays as it is and can take further transmissions."""
        layout = self._layout
        # The filler of a single block is leading zeros, which a CRC does not see.
        block_crc_kind = CRC24B if layout.crc_length else CRC24A
        params = DecoderParams(self.code.iterations, block_crc_kind if self.code.early_stop else None)
        outputs = [
            self._patiently(sums, output)
            for sums, output in zip(
                self._sums, decode(self._sums, params, self.code.algorithm, self.code.backend), strict=True
            )
        ]
        bits = [output.bits for output in outputs]
        soft = [output.llrs for output in outputs if output.llrs is not None]  # params asks for them

        message = join_groups(bits, layout)
        # An erased block decodes to zeros, and zeros satisfy every CRC: a block of which too little was
        # received, or that left bits undecided, is lost, whatever its CRC says.
        seen = np.concatenate(self._known) >= np.concatenate(self._required)
        seen &= np.concatenate([_tells_something(group, llrs) for group, llrs in zip(bits, soft, strict=True)])
        transport_ok = bool(check(message, CRC24A)) and bool(seen.all())
        if layout.crc_length:
            block_ok = np.concatenate([block_checks(group, layout) for group in bits]) & seen
        else:
            block_ok = np.array([transport_ok])
        return TransportOutput(
            message[: self.payload_bits],
            join_groups(soft, layout)[: self.payload_bits],
            block_ok,
            transport_ok,
            np.concatenate([output.iterations for output in outputs]),
        )

    def _patiently(self, sums: npt.NDArray[np.floating], output: DecoderOutput) -> DecoderOutput:
        """Decode again, without early stop, the blocks that stopped as zeros before their bits were decided.

        The CRC of a block that is zero for want of a decision holds, and would stop it too early.
        """
        assert output.llrs is not None  # params asks for them
        again = np.flatnonzero(~_tells_something(output.bits, output.llrs) & (output.iterations < self.code.iterations))
        if again.size:
            full = decode(sums[again], DecoderParams(self.code.iterations), self.code.algorithm, self.code.backend)
            assert full.llrs is not None
            output.bits[again], output.llrs[again], output.iterations[again] = full.bits, full.llrs, full.iterations
        return output
