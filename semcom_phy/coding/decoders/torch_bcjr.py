"""Turbo decoder on PyTorch tensors, on a processor or a CUDA device; torch is imported when something is decoded.

**Probabilities instead of logarithms.** Exact log-MAP needs ln(e^a + e^b) at every branch. Here the channel
LLRs L become likelihood ratios e^L once, and BCJR runs over products and sums: a branch has the weight
1, e^Lu, e^Lp or e^(Lu + Lp), a state metric is a sum of two products, the extrinsic ratio P(1)/P(0) is a
quotient of two sums, and ratios multiply where LLRs would add. Only the a-posteriori ratios are turned back
into LLRs. `_Range` keeps the numbers inside their format. "max-log", "linear-log-map" and "table-log-map" are
defined on LLRs (`interface.ALGORITHMS`) and run on LLRs; `_Probabilities` and `_Logarithms` are the two
arithmetics, the rest of the module does not care.

**Windows.** A block of K bits is cut into P windows of W steps that are decoded side by side. A window needs the
state metrics at its two edges: before each constituent decoding all windows run their last `APPROACH` steps forward
and their first ones backward and hand the result to their neighbours. These short runs start from the metrics
that the iteration before had at those places, in the first iteration with all states alike. (Metrics of the
iteration before taken at the edge itself cost about half an iteration.)

**Layout.** A stream of K values for B blocks is a tensor (W, P, B), step first, so that one step of all
windows of all blocks ("lanes", P·B of them) is contiguous. As a matrix (W·P, B) its row (k mod W)·P + k div W
holds time k. The interleaver is free of contention: at each step all windows read rows of one step.

The trellis is the row of four butterflies described in `numpy_log_map`; forward and backward recursion run
in one loop as they do there. On a CUDA device log-MAP in float32 takes the kernels of `triton_bcjr`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.crc import Crc, crc_bits
from semcom_phy.coding.decoders.interface import (
    ALGORITHMS,
    DECODERS,
    LINEAR_OFFSET,
    LLR_LIMIT,
    MAX_LOG_SCALE,
    TABLE_STEP,
    DecoderOutput,
    DecoderParams,
    sanitised,
    table_thresholds,
)
from semcom_phy.coding.qpp import BLOCK_SIZES, qpp_interleaver
from semcom_phy.coding.turbo import INPUT_BIT, MEMORY, NEXT_STATE, PARITY_BIT, STATES, TAIL_COLUMNS
from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import nearest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: A window has at least this many steps …
MIN_WINDOW: Final = 64
#: … and a multiple of this many (the kernels of `triton_bcjr` work on groups of four).
WINDOW_MULTIPLE: Final = 4
#: Steps of its neighbour that a window's metrics at the edge rest on in any case. A multiple of four, too.
APPROACH: Final = 32

#: Trellis steps × blocks decoded together, with 64 bytes of state metrics each in float32. On a processor tensors
#: that leave its cache cost more than the calls that larger ones save; a CUDA device wants all its units busy.
_CELLS_CPU: Final = 1 << 18
_CELLS_CUDA: Final = 1 << 24
#: Lanes are a multiple of this on a processor: torch handles what is left over with other instructions, and
#: the last bit of a result would depend on a block's place in the batch.
_VECTOR: Final = 32
#: The kernels need tuples, which Triton has since this version.
_TRITON_VERSION: Final = (3, 3)
#: Steps whose branch weights are laid out at once.
_STRIDE: Final = 8

_LOG_IMPOSSIBLE: Final = -1e30
#: Extrinsic LLRs of the logarithmic arithmetic end here, far beyond what is ever reached, so that a thousand
#: iterations on contradictory input cannot overflow.
_LOG_LIMIT: Final = 1e6

_REVERSED: Final = [(s & 1) << 2 | s & 2 | s >> 2 for s in range(STATES)]


@dataclass(frozen=True)
class TorchDecoderOutput:
    """Result of a batch of B blocks, on the device of the input.

    `bits`: (B, K) uint8 hard decisions (LLR > 0). `llrs`: (B, K) float32 a-posteriori ``ln P(b=1)/P(b=0)``, None
    unless asked for. `iterations`: (B,) int32, full iterations each block took.
    """

    bits: Tensor
    llrs: Tensor | None
    iterations: Tensor


@dataclass(frozen=True)
class _Range:
    """Bounds that keep the recursion over probabilities inside a number format.

    Channel LLRs are clipped to ± `channel`, extrinsic ones to ± `extrinsic`, in nats. Every second step the state
    metrics are divided by the largest and those below `floor` are raised to it. A step multiplies the metrics by at
    most 2·e^(2·channel + extrinsic) and the largest by at least e^−channel; with the values of `_RANGES` two
    such steps neither overflow nor leave all metrics zero, and numerator and denominator of an extrinsic ratio are
    positive: at least floor·e^(−2·channel).
    """

    channel: float
    extrinsic: float
    floor: float


_RANGES: Final = {"float32": _Range(15.0, 13.0, 1e-15), "float64": _Range(110.0, 130.0, 1e-130)}


@dataclass(frozen=True)
class Windows:
    """How the `size` steps of a block are cut: `count` windows of `length` steps."""

    size: int
    length: int

    @property
    def count(self) -> int:
        return self.size // self.length

    def row_of_time(self) -> npt.NDArray[np.int64]:
        """Row of the matrix (W·P, B) that holds time k, for k = 0 … K − 1."""
        time = np.arange(self.size)
        return (time % self.length) * self.count + time // self.length

    def time_of_row(self) -> npt.NDArray[np.int64]:
        row = np.arange(self.size)
        return (row % self.count) * self.length + row // self.count

    def interleaved_rows(self) -> npt.NDArray[np.int64]:
        """Row that holds, in natural order, what the second constituent has in row 0, 1 …"""
        return self.row_of_time()[qpp_interleaver(self.size)[self.time_of_row()]]


@cache
def windows_of(size: int, windows: bool = True) -> Windows:
    """Cut a block of `size` bits; one window if `windows` is False or the block is short.

    The window length is the smallest divisor of K that is at least `MIN_WINDOW` and a multiple of
    `WINDOW_MULTIPLE`; K = 6144 has 96 windows of 64 steps.
    """
    lengths = range(MIN_WINDOW, size, WINDOW_MULTIPLE) if windows else ()
    return Windows(size, next((length for length in lengths if size % length == 0), size))


@cache
def _tail_signs() -> tuple[tuple[float, ...], ...]:
    """For x_K, z_K, x_K+1 … the signs with which it enters the metric of the one tail path out of each state."""
    signs = np.empty((2 * MEMORY, STATES))
    for first in range(STATES):
        state = first
        for step in range(MEMORY):
            signs[2 * step, first] = 2 * INPUT_BIT[state, 0] - 1
            signs[2 * step + 1, first] = 2 * PARITY_BIT[state, 0] - 1
            state = NEXT_STATE[state, 0]
    return tuple(tuple(row) for row in signs.tolist())


def tail_metrics(tail: Tensor) -> Tensor:
    """Log-probabilities (8, B), largest 0, of the states at time K, from `tail` (6, B): x_K z_K x_K+1 …"""
    total = tail.new_zeros(STATES, tail.shape[1])
    # Term by term, because the order in which a matrix product adds depends on the batch.
    for row, signs in zip(tail, _tail_signs(), strict=True):
        total += tail.new_tensor(signs)[:, None] * (0.5 * row)
    return total - total.amax(0)


# --- arithmetics ---------------------------------------------------------------------------------------


class _Arithmetic(Protocol):
    """What the recursions calculate with: "times" along a path, "plus" over paths.

    Weights are what LLRs become; `one` is the weight of LLR 0, `impossible` the metric of a state that cannot be.
    Channel LLRs are clipped to ± `limit`. Metrics are renormalised every `period` steps.
    """

    limit: float
    one: float
    impossible: float
    period: int

    def weights(self, llrs: Tensor) -> Tensor:
        """Clipped channel LLRs, in place, as weights."""
        ...

    def metrics(self, logarithms: Tensor) -> Tensor:
        """Log-probabilities of states, largest 0, as metrics."""
        ...

    def llrs(self, weights: Tensor) -> Tensor: ...

    def times(self, a: Tensor, b: Tensor) -> Tensor: ...

    def step(
        self, first: Tensor, second: Tensor, weight: Tensor, opposite: Tensor, result: Tensor, spare: Tensor
    ) -> None:
        """Metrics after one step: first · weight + second · opposite; `spare` is (2, size of result)."""
        ...

    def renormalise(self, metrics: Tensor) -> None:
        """Take out, in place, the common factor of the eight metrics along axis 0."""
        ...

    def extrinsic(self, work: _Workspace, parity: Tensor) -> Tensor:
        """What the code alone says about each input bit, as weights (W, lanes)."""
        ...


class _Probabilities:
    """Exact log-MAP: weights are likelihood ratios."""

    one = 1.0
    impossible = 0.0
    period = 2

    def __init__(self, limits: _Range) -> None:
        self.limits = limits
        self.limit = limits.channel

    def weights(self, llrs: Tensor) -> Tensor:
        return llrs.exp_()

    def metrics(self, logarithms: Tensor) -> Tensor:
        return logarithms.exp().clamp_(min=self.limits.floor)

    def llrs(self, weights: Tensor) -> Tensor:
        return weights.log()

    def times(self, a: Tensor, b: Tensor) -> Tensor:
        return a * b

    def step(
        self, first: Tensor, second: Tensor, weight: Tensor, opposite: Tensor, result: Tensor, spare: Tensor
    ) -> None:
        import torch

        torch.mul(first, weight, out=spare[0])
        torch.addcmul(spare[0], second, opposite, out=result)

    def renormalise(self, metrics: Tensor) -> None:
        metrics.mul_(metrics.amax(0).reciprocal_()).clamp_(min=self.limits.floor)

    def extrinsic(self, work: _Workspace, parity: Tensor) -> Tensor:
        # Butterfly j joins the states (2j, 2j+1) with (j, j+4). Its branches 2j → j and 2j+1 → j+4 have one
        # pair (u, p), its other two the opposite pair, and butterfly 3−j has the same pairs the other way round.
        before, after = work.alpha_pairs(), work.beta_pairs()
        first, second = before[:, :, 0], before[:, :, 1]
        upper, lower = after[:, :, 0], after[:, :, 1]
        sums = first * upper
        sums.addcmul_(second, lower)
        for j in range(4):
            sums[:, 3 - j].addcmul_(first[:, j], lower[:, j]).addcmul_(second[:, j], upper[:, j])
        # Now (u, p) is (0, 0), (1, 0), (0, 1), (1, 1) for j = 0 … 3, still without the weight of p.
        zero = sums[:, 0].addcmul(parity, sums[:, 2])
        one = sums[:, 1].addcmul(parity, sums[:, 3])
        bound = math.exp(self.limits.extrinsic)
        return one.div_(zero).clamp_(1.0 / bound, bound)


class _Logarithms:
    """The approximations of log-MAP: weights are LLRs."""

    limit = LLR_LIMIT
    one = 0.0
    impossible = _LOG_IMPOSSIBLE
    period = 16

    def __init__(self, algorithm: str) -> None:
        self.algorithm = algorithm
        self.scale = MAX_LOG_SCALE if algorithm == "max-log" else 1.0
        self.thresholds = table_thresholds()

    def weights(self, llrs: Tensor) -> Tensor:
        return llrs

    def metrics(self, logarithms: Tensor) -> Tensor:
        return logarithms

    def llrs(self, weights: Tensor) -> Tensor:
        return weights

    def times(self, a: Tensor, b: Tensor) -> Tensor:
        return a + b

    def _correct(self, larger: Tensor, difference: Tensor) -> None:
        """Add to `larger` = max(a, b) what is missing to max*(a, b); `difference` = a − b is overwritten."""
        distance = difference.abs_()
        if self.algorithm == "linear-log-map":
            larger.add_(distance.mul_(-0.25).add_(LINEAR_OFFSET).clamp_(min=0.0))
        else:
            for threshold in self.thresholds:
                larger.add_(distance < threshold, alpha=TABLE_STEP)

    def step(
        self, first: Tensor, second: Tensor, weight: Tensor, opposite: Tensor, result: Tensor, spare: Tensor
    ) -> None:
        import torch

        via_first, via_second = spare[0], spare[1]
        torch.add(first, weight, out=via_first)
        torch.add(second, opposite, out=via_second)
        torch.maximum(via_first, via_second, out=result)
        if self.algorithm != "max-log":
            self._correct(result, via_first.sub_(via_second))

    def renormalise(self, metrics: Tensor) -> None:
        metrics.sub_(metrics[0].clone())

    def extrinsic(self, work: _Workspace, parity: Tensor) -> Tensor:
        alpha = work.alpha()
        totals = []
        for bit in (0, 1):
            terms = work.beta_after(bit)
            terms += alpha
            for state in work.states_with_parity[bit]:
                terms[:, state] += parity
            if self.algorithm == "max-log":
                totals.append(terms.amax(1))
                continue
            # These approximations are not associative: pairwise, neighbours first, as the reference does.
            while terms.shape[1] > 1:
                left, right = terms[:, 0::2], terms[:, 1::2]
                terms = left.maximum(right)
                self._correct(terms, left - right)
            totals.append(terms[:, 0])
        return totals[1].sub_(totals[0]).mul_(self.scale).clamp_(-_LOG_LIMIT, _LOG_LIMIT)


# --- recursions ------------------------------------------------------------------------------------------


class _Workspace:
    """State metrics of one constituent decoding, and the views and indices to work on them.

    `metrics` (W + 1, 8, 2, lanes): [t, s, 0] = α_t(s), [t, rev(s), 1] = β_(W−t)(s), rev = three bits reversed.
    """

    def __init__(self, arithmetic: _Arithmetic, steps: int, lanes: int, like: Tensor) -> None:
        import torch

        self.arithmetic = arithmetic
        self.steps, self.lanes = steps, lanes
        self.metrics = like.new_empty(steps + 1, STATES, 2, lanes)
        # Axes: time, upper or lower outputs (0…3 and 4…7), butterfly, direction, lane.
        self._outputs = self.metrics.view(steps + 1, 2, 4, 2, lanes).unbind(0)
        inputs = self.metrics.view(steps + 1, 1, 4, 2, 2, lanes)
        self._first, self._second = (inputs[:, :, :, which].unbind(0) for which in (0, 1))
        self._spare = like.new_empty(2, 2, 4, 2, lanes)
        # The weights 1, e^Lu, e^Lp, e^(Lu + Lp) of each step …
        self._weights = like.new_full((steps, 4, lanes), arithmetic.one)
        # … and where on the way to the upper, lower, upper outputs each of them is needed.
        self._laid_out = like.new_empty(_STRIDE * 24, lanes)
        laid_out = self._laid_out.view(_STRIDE, 3, 4, 2, lanes)
        self._weight, self._opposite = laid_out[:, :2].unbind(0), laid_out[:, 1:].unbind(0)

        def index(values: npt.NDArray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(values.reshape(-1))).to(like.device)

        upward = np.array([[0, 1, 2, 3], [0, 2, 1, 3]]).T  # weight by butterfly and direction
        by_row = np.stack([upward, upward[::-1], upward])
        time = np.stack([np.arange(steps), np.arange(steps - 1, -1, -1)], axis=1)
        self._weight_rows = index(4 * time[:, None, None] + by_row)
        self._metric_rows = self.metrics.view(-1, lanes)

        beta_time = np.arange(steps - 1, -1, -1)[:, None]  # row of β_(k+1), k = 0 … W − 1
        pairs = np.array([[j, j + 4] for j in range(4)]).ravel()
        reverse = np.array(_REVERSED)
        self._pair_rows = index(2 * (STATES * beta_time + reverse[pairs]) + 1)
        state = np.arange(STATES)
        self._after_rows, self.states_with_parity = [], []
        for bit in (0, 1):
            entering = np.argmax(np.equal(INPUT_BIT, bit), axis=1)
            self._after_rows.append(index(2 * (STATES * beta_time + reverse[NEXT_STATE[state, entering]]) + 1))
            self.states_with_parity.append(np.flatnonzero(PARITY_BIT[state, entering]).tolist())

    def load(self, known: Tensor, parity: Tensor) -> None:
        """Take the weights of the input bits, channel and a-priori, and of the parity bits, both (W, lanes)."""
        self._weights[:, 1], self._weights[:, 2] = known, parity
        self._weights[:, 3] = self.arithmetic.times(known, parity)

    def run(self, start: Tensor, begin: int = 0) -> Tensor:
        """Fill the metrics from t = `begin`, where they are `start` (8, 2, lanes), to W; return those of t = W."""
        import torch

        arithmetic = self.arithmetic
        rows = self._weights.view(-1, self.lanes)
        self.metrics[begin] = start
        for first_step in range(begin, self.steps, _STRIDE):
            count = min(_STRIDE, self.steps - first_step)
            wanted = self._weight_rows[24 * first_step : 24 * (first_step + count)]
            torch.index_select(rows, 0, wanted, out=self._laid_out[: 24 * count])
            for offset in range(count):
                t = first_step + offset
                arithmetic.step(
                    self._first[t],
                    self._second[t],
                    self._weight[offset],
                    self._opposite[offset],
                    self._outputs[t + 1],
                    self._spare,
                )
                if (t + 1) % arithmetic.period == 0:
                    arithmetic.renormalise(self.metrics[t + 1])
        if self.steps % arithmetic.period:
            arithmetic.renormalise(self.metrics[self.steps])
        return self.metrics[self.steps]

    def alpha(self) -> Tensor:
        """α_k(s), k = 0 … W − 1: (W, 8, lanes)."""
        return self.metrics[: self.steps, :, 0]

    def alpha_pairs(self) -> Tensor:
        """α_k(2j + i) as (W, 4, 2, lanes): [k, j, i]."""
        return self.alpha().unflatten(1, (4, 2))

    def beta_pairs(self) -> Tensor:
        """β_(k+1)(j + 4i) as (W, 4, 2, lanes): [k, j, i]."""
        return self._metric_rows.index_select(0, self._pair_rows).view(self.steps, 4, 2, self.lanes)

    def beta_after(self, bit: int) -> Tensor:
        """β_(k+1) of the state that follows s with the input `bit`: (W, 8, lanes), a copy."""
        return self._metric_rows.index_select(0, self._after_rows[bit]).view(self.steps, STATES, self.lanes)


class Constituents(Protocol):
    """The two constituent decoders for a set of blocks; they remember their boundary metrics."""

    def decode(self, which: int, known: Tensor, systematic: Tensor, total: bool) -> tuple[Tensor, Tensor | None]:
        """Decode the first (0) or second (1) constituent code once. All tensors are weights (W·P, B), natural order.

        `known`: channel and a-priori; `systematic`: channel alone. Returns what the other constituent has
        to know, systematic · extrinsic, and, if `total`, the a-posteriori weights known · extrinsic.
        """
        ...

    def keep(self, blocks: Tensor) -> None:
        """Go on with these blocks only."""
        ...


class _TorchConstituents:
    """`Constituents` in plain torch operations.

    `parities`, two of (W·P, B): weights in each constituent's own order; `tails`, two of (8, B): metrics of the
    states at time K.
    """

    def __init__(
        self, arithmetic: _Arithmetic, windows: Windows, parities: Sequence[Tensor], tails: Sequence[Tensor]
    ) -> None:
        import torch

        self.arithmetic, self.windows = arithmetic, windows
        self.parities, self.starts = list(parities), [self._start(tail) for tail in tails]
        # Metrics of every window `APPROACH` steps before it ends, (8, direction, lanes), of the last iteration.
        self.inner = [torch.full_like(start, arithmetic.one).flatten(2) for start in self.starts]
        self.order = torch.from_numpy(windows.interleaved_rows()).to(parities[0].device)
        self.inverse = self.order.argsort()
        self._work: _Workspace | None = None

    def _start(self, tail: Tensor) -> Tensor:
        """Metrics with which the windows start: (8, direction, P, B), backward states with reversed bits."""
        start = tail.new_full((STATES, 2, self.windows.count, tail.shape[1]), self.arithmetic.impossible)
        start[0, 0, 0] = self.arithmetic.one
        start[_REVERSED, 1, -1] = tail
        return start

    def _hand_on(self, which: int, ends: Tensor) -> None:
        """Where windows end (8, 2, lanes), their neighbours start."""
        start = self.starts[which]
        ends = ends.view(start.shape)
        start[:, 0, 1:] = ends[:, 0, :-1]
        start[:, 1, :-1] = ends[:, 1, 1:]

    def decode(self, which: int, known: Tensor, systematic: Tensor, total: bool) -> tuple[Tensor, Tensor | None]:
        steps = self.windows.length
        lanes = self.windows.count * known.shape[1]
        if self._work is None:
            self._work = _Workspace(self.arithmetic, steps, lanes, known)
        own = known.index_select(0, self.order) if which else known
        parity = self.parities[which].view(steps, lanes)
        self._work.load(own.view(steps, lanes), parity)
        if self.windows.count > 1:
            self._hand_on(which, self._work.run(self.inner[which], steps - APPROACH))
        self._work.run(self.starts[which].view(STATES, 2, lanes))
        if self.windows.count > 1:
            self.inner[which] = self._work.metrics[steps - APPROACH].clone()
        extrinsic = self.arithmetic.extrinsic(self._work, parity).view(known.shape)
        if which:
            extrinsic = extrinsic.index_select(0, self.inverse)
        following = self.arithmetic.times(systematic, extrinsic)
        return following, self.arithmetic.times(known, extrinsic) if total else None

    def keep(self, blocks: Tensor) -> None:
        self.parities = [parity.index_select(1, blocks) for parity in self.parities]
        shape = (STATES, 2, self.windows.count, -1)
        self.inner = [inner.view(shape).index_select(3, blocks).flatten(2) for inner in self.inner]
        self.starts = [start.index_select(3, blocks) for start in self.starts]
        self._work = None


# --- iterations ------------------------------------------------------------------------------------------


@cache
def _syndrome_matrix(crc: Crc, size: int) -> npt.NDArray[np.float32]:
    """Matrix (L, size) over GF(2) that sends a block, its CRC in the last L bits, to zero if the CRC holds."""
    payload = size - crc.length
    return np.concatenate([crc_bits(np.eye(payload, dtype=np.uint8), crc).T, np.eye(crc.length)], axis=1).astype(
        np.float32
    )


class _StopRule:
    """`interface.finished` on tensors: which of the blocks in the columns of (W·P, B) hard decisions are done."""

    def __init__(self, early_stop: Crc | str | None, windows: Windows, device: torch.device) -> None:
        import torch

        self.early_stop = early_stop
        self._previous: Tensor | None = None
        self._syndrome: Tensor | None = None
        if isinstance(early_stop, Crc) and windows.size >= early_stop.length:
            matrix = _syndrome_matrix(early_stop, windows.size)[:, windows.time_of_row()]
            self._syndrome = torch.from_numpy(np.ascontiguousarray(matrix)).to(device)

    def finished(self, decided: Tensor) -> Tensor:
        previous, self._previous = self._previous, decided
        if self._syndrome is not None:
            # Sums of at most K ones: float32 holds them exactly.
            return ((self._syndrome @ decided.to(self._syndrome.dtype)) % 2 == 0).all(0)
        if self.early_stop != "agreement" or previous is None:
            return decided.new_zeros(decided.shape[1])
        return (decided == previous).all(0)

    def keep(self, blocks: Tensor) -> None:
        if self._previous is not None:
            self._previous = self._previous.index_select(1, blocks)


def _padded(blocks: Tensor, multiple: int) -> Tensor:
    """Repeat the last index until the length is a multiple."""
    missing = -len(blocks) % multiple
    return blocks if missing == 0 else blocks[[*range(len(blocks)), *[-1] * missing]]


def _decode_blocks(
    llrs: Tensor, params: DecoderParams, arithmetic: _Arithmetic, windows: Windows
) -> TorchDecoderOutput:
    """Decode clean LLRs (B, 3, K + 4), B ≥ 1, all at once."""
    import torch

    size, count, device = windows.size, windows.count, llrs.device
    multiple = 1 if llrs.is_cuda else _VECTOR // math.gcd(_VECTOR, count)
    active = torch.arange(len(llrs), device=device)
    padded = llrs if len(llrs) % multiple == 0 else llrs[_padded(active, multiple)]

    def in_rows(stream: Tensor) -> Tensor:
        rows = stream.unflatten(1, (count, windows.length)).permute(2, 1, 0)
        return rows.clone(memory_format=torch.contiguous_format).view(size, -1)

    def in_time(rows: Tensor) -> Tensor:
        return rows.view(windows.length, count, -1).permute(2, 1, 0).reshape(-1, size)

    systematic, *parities = (arithmetic.weights(in_rows(padded[:, row, :size])) for row in range(3))
    tails = padded[:, :, size:].permute(2, 1, 0).reshape(4 * MEMORY, -1)
    metrics = [arithmetic.metrics(tail_metrics(tail)) for tail in tails.split(2 * MEMORY)]
    constituents = _constituents(arithmetic, windows, parities, metrics)
    stop = _StopRule(params.early_stop, windows, device)

    bits = torch.empty(len(llrs), size, dtype=torch.uint8, device=device)
    posterior = torch.empty(len(llrs), size, dtype=torch.float32, device=device) if params.posterior else None
    used = torch.full((len(llrs),), params.iterations, dtype=torch.int32, device=device)
    known = systematic
    for iteration in range(1, params.iterations + 1):
        last = iteration == params.iterations
        deciding = last or params.early_stop is not None
        known, _ = constituents.decode(0, known, systematic, False)
        known, total = constituents.decode(1, known, systematic, deciding)
        if total is None:
            continue
        decided = total > arithmetic.one
        done = stop.finished(decided)[: len(active)]
        if last:
            done = torch.ones_like(done)
        leaving = done.nonzero()[:, 0]
        if len(leaving) == 0:
            continue
        blocks = active[leaving]
        bits[blocks] = in_time(decided.index_select(1, leaving)).to(torch.uint8)
        used[blocks] = iteration
        if posterior is not None:
            posterior[blocks] = arithmetic.llrs(in_time(total.index_select(1, leaving))).float()
        if len(leaving) == len(active):
            break
        staying = (~done).nonzero()[:, 0]
        active = active[staying]
        columns = _padded(staying, multiple)
        known, systematic = known.index_select(1, columns), systematic.index_select(1, columns)
        constituents.keep(columns)
        stop.keep(columns)
    return TorchDecoderOutput(bits, posterior, used)


def _constituents(
    arithmetic: _Arithmetic, windows: Windows, parities: Sequence[Tensor], tails: Sequence[Tensor]
) -> Constituents:
    if isinstance(arithmetic, _Probabilities) and _wants_triton(parities[0]):
        from semcom_phy.coding.decoders import triton_bcjr

        limits = arithmetic.limits
        return triton_bcjr.TritonConstituents(
            windows, parities, tails, APPROACH, math.exp(limits.extrinsic), limits.floor
        )
    return _TorchConstituents(arithmetic, windows, parities, tails)


def _wants_triton(tensor: Tensor) -> bool:
    """Whether the kernels can take this tensor: on a CUDA device, or anywhere under Triton's interpreter."""
    import torch

    if tensor.dtype != torch.float32 or not (tensor.is_cuda or os.environ.get("TRITON_INTERPRET") == "1"):
        return False
    return _triton_version() >= _TRITON_VERSION


@cache
def _triton_version() -> tuple[int, ...]:
    """Major and minor version of Triton, (0, 0) without it."""
    try:
        import triton
    except ImportError:
        return 0, 0
    return tuple(int(number) for number in triton.__version__.split(".")[:2])


# --- entry points ----------------------------------------------------------------------------------------


def _require_torch() -> None:
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ConfigurationError("the torch decoder needs PyTorch: install torch, or take another back end") from error


@contextmanager
def _on_device_of(llrs: Tensor, threads: int) -> Iterator[None]:
    """Work on the tensor's CUDA device, or with `threads` processor cores (0 for all) until the end of the block."""
    import torch

    if llrs.is_cuda:
        with torch.cuda.device(llrs.device):
            yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(threads or os.cpu_count() or 1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _arithmetic_of(params: DecoderParams, algorithm: str) -> tuple[str, _Arithmetic]:
    if algorithm not in ALGORITHMS:
        raise ConfigurationError(
            f"unknown decoding algorithm {algorithm!r}.{nearest(algorithm, ALGORITHMS)} Known: {', '.join(ALGORITHMS)}"
        )
    number = "float32" if params.arithmetic == "auto" else params.arithmetic
    if number not in _RANGES:
        raise ConfigurationError(f"the torch decoder calculates in float32 or float64, not {number}")
    return number, _Probabilities(_RANGES[number]) if algorithm == "log-map" else _Logarithms(algorithm)


DEFAULT_PARAMS: Final = DecoderParams()


def decode_tensor(
    llrs: Tensor, params: DecoderParams = DEFAULT_PARAMS, algorithm: str = "log-map"
) -> TorchDecoderOutput:
    """Decode a batch of turbo code blocks (TS 36.212 §5.1.3.2) where the tensor is.

    `llrs` (B, 3, K + 4), real, any strides, B ≥ 0, in the layout of `semcom_phy.coding.turbo.encode`, holds
    ``ln P(b=1)/P(b=0)``; NaN counts as 0, and what lies beyond the arithmetic's range is clipped to it. The input is
    not changed and no gradient flows through the decoder. `params.arithmetic`: "float32" (= "auto") or "float64".
    In log-MAP channel LLRs are clipped to ± 15 and extrinsic ones to ± 13 nats in float32, so that a-posteriori
    LLRs end at ± 41; ± 110, ± 130 and ± 370 in float64. The other algorithms clip channel LLRs to ± `LLR_LIMIT`.
    `params.threads` is the number of torch's threads while a tensor in main memory is decoded.

    Raises ConfigurationError for a wrong shape or type, or unknown names.
    """
    _require_torch()
    import torch

    number, arithmetic = _arithmetic_of(params, algorithm)
    if (
        llrs.ndim != 3
        or llrs.shape[1] != 3
        or llrs.shape[2] - TAIL_COLUMNS not in BLOCK_SIZES
        or llrs.is_complex()
        or llrs.dtype == torch.bool
    ):
        raise ConfigurationError(
            "turbo decoder takes real LLRs of shape (blocks, 3, K + 4) with K of BLOCK_SIZES, "
            f"got {llrs.dtype} {tuple(llrs.shape)}"
        )
    windows = windows_of(llrs.shape[2] - TAIL_COLUMNS, params.windows)
    cells = _CELLS_CUDA if llrs.is_cuda else _CELLS_CPU
    together = max(1, cells // windows.size)
    with torch.no_grad(), _on_device_of(llrs, params.threads):
        parts = []
        for start in range(0, len(llrs), together):
            part = llrs[start : start + together].detach().to(getattr(torch, number))
            clean = part.nan_to_num(0.0).clamp_(-arithmetic.limit, arithmetic.limit)
            parts.append(_decode_blocks(clean, params, arithmetic, windows))
        if not parts:
            empty = llrs.new_empty(0, windows.size, dtype=torch.float32)
            return TorchDecoderOutput(
                empty.to(torch.uint8), empty if params.posterior else None, empty.new_empty(0, dtype=torch.int32)
            )
        soft = [part.llrs for part in parts if part.llrs is not None]
        return TorchDecoderOutput(
            torch.cat([part.bits for part in parts]),
            torch.cat(soft) if params.posterior else None,
            torch.cat([part.iterations for part in parts]),
        )


@DECODERS.register("torch")
def decode_torch(llrs: npt.NDArray, params: DecoderParams, algorithm: str) -> DecoderOutput:
    """Decode (B, 3, K + 4) LLRs on the first CUDA device, or on the processor if there is none; see `decode_tensor`."""
    _require_torch()
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    output = decode_tensor(torch.from_numpy(np.ascontiguousarray(sanitised(llrs))).to(device), params, algorithm)
    return DecoderOutput(
        output.bits.cpu().numpy(),
        None if output.llrs is None else output.llrs.cpu().numpy(),
        output.iterations.cpu().numpy(),
    )
