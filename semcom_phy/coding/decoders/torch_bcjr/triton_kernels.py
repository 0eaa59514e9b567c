"""CUDA kernels for log-MAP in float32: two launches per constituent decoding.

A lane is one window of one block; lanes are numbered window · B + block, so that neighbours in a warp read
neighbours in memory. `_approach` runs the last steps of each window forward and its first steps backward and so
finds the metrics with which its neighbours start. `_decode` then runs the whole BCJR of its lanes with the eight
state metrics in registers:

* forward over W steps, storing the metrics of every fourth step in `checkpoints` (W/4, 8, lanes);
* backward in groups of four: the forward metrics in between are computed again from the checkpoint, which
  costs a quarter of the memory traffic and nine multiply-adds more per step.

The arithmetic, its bounds and its renormalisation are those of `arithmetic.Probabilities`: forward metrics are
renormalised at even times, backward metrics too, so that of the pair α_k, β_(k+1) never more than one is a step behind.

Metrics at the edges of windows are a tensor (2, 8, P + 1, B): window t starts forward from [0, :, t] and backward
from [1, :, t + 1]. [0, :, 0] (state zero) and [1, :, P] (tail bits) never change. `_decode` leaves the metrics from
which the next `_approach` starts in `inner` (2, 8, lanes).

This module imports torch and triton; `decoder` imports it when there is a tensor for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import torch
import triton
import triton.language as tl

from semcom_phy.coding.turbo import STATES

if TYPE_CHECKING:
    from semcom_phy.coding.decoders.torch_bcjr.layout import Windows

#: Lanes of one program: one for each of its threads.
_LANES: Final = 128
#: Multiply-adds may round once; the order of the sums leaves the result open in the last bit anyway.
_OPTIONS: Final = {"num_warps": _LANES // 32, "enable_fp_fusion": True}


@triton.jit
def _forward(a, u, p):  # type: ignore[no-untyped-def]
    """α_(k+1) from α_k and the weights of step k; a[s] is the metric of state s."""
    both = u * p
    return (
        a[0] + a[1] * both,
        a[2] * u + a[3] * p,
        a[4] * p + a[5] * u,
        a[6] * both + a[7],
        a[0] * both + a[1],
        a[2] * p + a[3] * u,
        a[4] * u + a[5] * p,
        a[6] + a[7] * both,
    )


@triton.jit
def _backward(b, u, p):  # type: ignore[no-untyped-def]
    """β_k from β_(k+1) and the weights of step k."""
    both = u * p
    return (
        b[0] + b[4] * both,
        b[0] * both + b[4],
        b[1] * u + b[5] * p,
        b[1] * p + b[5] * u,
        b[2] * p + b[6] * u,
        b[2] * u + b[6] * p,
        b[3] * both + b[7],
        b[3] + b[7] * both,
    )


@triton.jit
def _renormalised(m, floor):  # type: ignore[no-untyped-def]
    """Metrics with the largest 1 and none below `floor`."""
    largest = tl.maximum(
        tl.maximum(tl.maximum(m[0], m[1]), tl.maximum(m[2], m[3])),
        tl.maximum(tl.maximum(m[4], m[5]), tl.maximum(m[6], m[7])),
    )
    scale = 1.0 / largest
    return (
        tl.maximum(m[0] * scale, floor),
        tl.maximum(m[1] * scale, floor),
        tl.maximum(m[2] * scale, floor),
        tl.maximum(m[3] * scale, floor),
        tl.maximum(m[4] * scale, floor),
        tl.maximum(m[5] * scale, floor),
        tl.maximum(m[6] * scale, floor),
        tl.maximum(m[7] * scale, floor),
    )


@triton.jit
def _extrinsic(a, b, p, bound):  # type: ignore[no-untyped-def]
    """Ratio P(u = 1)/P(u = 0) by the code alone, from α_k, β_(k+1) and the weight of the parity bit."""
    # Branches by (u, p); see `_Probabilities.extrinsic`.
    zero_zero = a[0] * b[0] + a[1] * b[4] + a[6] * b[7] + a[7] * b[3]
    one_zero = a[2] * b[1] + a[3] * b[5] + a[4] * b[6] + a[5] * b[2]
    zero_one = a[4] * b[2] + a[5] * b[6] + a[2] * b[5] + a[3] * b[1]
    one_one = a[6] * b[3] + a[7] * b[7] + a[0] * b[4] + a[1] * b[0]
    # Correctly rounded, so that equal probabilities give exactly 1: nothing received is LLR 0.
    ratio = tl.div_rn(one_zero + p * one_one, zero_zero + p * zero_one)
    return tl.minimum(tl.maximum(ratio, 1.0 / bound), bound)


@triton.jit
def _load_metrics(pointer, stride, mask):  # type: ignore[no-untyped-def]
    """Eight metrics that lie `stride` apart; lanes outside get 1."""
    return (
        tl.load(pointer, mask, 1.0),
        tl.load(pointer + stride, mask, 1.0),
        tl.load(pointer + 2 * stride, mask, 1.0),
        tl.load(pointer + 3 * stride, mask, 1.0),
        tl.load(pointer + 4 * stride, mask, 1.0),
        tl.load(pointer + 5 * stride, mask, 1.0),
        tl.load(pointer + 6 * stride, mask, 1.0),
        tl.load(pointer + 7 * stride, mask, 1.0),
    )


@triton.jit
def _store_metrics(pointer, stride, m, mask):  # type: ignore[no-untyped-def]
    for state in tl.static_range(8):
        tl.store(pointer + state * stride, m[state], mask)


@triton.jit
def _place(step, window, block, rows, windows, blocks, mask, INTERLEAVED: tl.constexpr):  # type: ignore[no-untyped-def]
    """Where the systematic bit of this constituent's `step` lies in the streams of natural order."""
    row = step * windows + window
    if INTERLEAVED:
        row = tl.load(rows + row, mask, 0)
    return row * blocks + block


# The batch shrinks as blocks leave; its sizes must not each ask for a compilation of their own.
@triton.jit(do_not_specialize=["windows", "blocks"])
def _decode(  # type: ignore[no-untyped-def]
    known,
    parity,
    systematic,
    following,
    total,
    rows,
    edges,
    inner,
    checkpoints,
    windows,
    blocks,
    bound,
    floor,
    STEPS: tl.constexpr,
    APPROACH: tl.constexpr,
    INTERLEAVED: tl.constexpr,
    TOTAL: tl.constexpr,
    LANES: tl.constexpr,
):
    """One constituent decoding of `LANES` lanes; see `recursions.Constituents.decode` for the streams."""
    lanes = windows * blocks
    lane = tl.program_id(0) * LANES + tl.arange(0, LANES)
    inside = lane < lanes
    window = lane // blocks
    block = lane - window * blocks
    edge = lanes + blocks

    a = _load_metrics(edges + lane, edge, inside)
    for group in range(STEPS // 4):
        if 4 * group == STEPS - APPROACH:
            _store_metrics(inner + lane, lanes, a, inside)
        _store_metrics(checkpoints + group * 8 * lanes + lane, lanes, a, inside)
        for pair in tl.static_range(2):
            step = 4 * group + 2 * pair
            at0 = _place(step, window, block, rows, windows, blocks, inside, INTERLEAVED)
            at1 = _place(step + 1, window, block, rows, windows, blocks, inside, INTERLEAVED)
            u0 = tl.load(known + at0, inside, 1.0)
            u1 = tl.load(known + at1, inside, 1.0)
            p0 = tl.load(parity + step * lanes + lane, inside, 1.0)
            p1 = tl.load(parity + (step + 1) * lanes + lane, inside, 1.0)
            a = _renormalised(_forward(_forward(a, u0, p0), u1, p1), floor)

    b = _load_metrics(edges + 8 * edge + lane + blocks, edge, inside)
    for backward_group in range(STEPS // 4):
        group = STEPS // 4 - 1 - backward_group
        step = 4 * group
        if step + 4 == APPROACH:
            _store_metrics(inner + 8 * lanes + lane, lanes, b, inside)
        at0 = _place(step, window, block, rows, windows, blocks, inside, INTERLEAVED)
        at1 = _place(step + 1, window, block, rows, windows, blocks, inside, INTERLEAVED)
        at2 = _place(step + 2, window, block, rows, windows, blocks, inside, INTERLEAVED)
        at3 = _place(step + 3, window, block, rows, windows, blocks, inside, INTERLEAVED)
        u0 = tl.load(known + at0, inside, 1.0)
        u1 = tl.load(known + at1, inside, 1.0)
        u2 = tl.load(known + at2, inside, 1.0)
        u3 = tl.load(known + at3, inside, 1.0)
        own = parity + step * lanes + lane
        p0 = tl.load(own, inside, 1.0)
        p1 = tl.load(own + lanes, inside, 1.0)
        p2 = tl.load(own + 2 * lanes, inside, 1.0)
        p3 = tl.load(own + 3 * lanes, inside, 1.0)
        a0 = _load_metrics(checkpoints + group * 8 * lanes + lane, lanes, inside)
        a1 = _forward(a0, u0, p0)
        a2 = _renormalised(_forward(a1, u1, p1), floor)
        a3 = _forward(a2, u2, p2)

        e3 = _extrinsic(a3, b, p3, bound)
        b = _backward(b, u3, p3)
        e2 = _extrinsic(a2, b, p2, bound)
        b = _renormalised(_backward(b, u2, p2), floor)
        e1 = _extrinsic(a1, b, p1, bound)
        b = _backward(b, u1, p1)
        e0 = _extrinsic(a0, b, p0, bound)
        b = _renormalised(_backward(b, u0, p0), floor)

        tl.store(following + at0, tl.load(systematic + at0, inside, 1.0) * e0, inside)
        tl.store(following + at1, tl.load(systematic + at1, inside, 1.0) * e1, inside)
        tl.store(following + at2, tl.load(systematic + at2, inside, 1.0) * e2, inside)
        tl.store(following + at3, tl.load(systematic + at3, inside, 1.0) * e3, inside)
        if TOTAL:
            tl.store(total + at0, u0 * e0, inside)
            tl.store(total + at1, u1 * e1, inside)
            tl.store(total + at2, u2 * e2, inside)
            tl.store(total + at3, u3 * e3, inside)


# The batch shrinks as blocks leave; its sizes must not each ask for a compilation of their own.
@triton.jit(do_not_specialize=["windows", "blocks"])
def _approach(  # type: ignore[no-untyped-def]
    known,
    parity,
    rows,
    edges,
    inner,
    windows,
    blocks,
    floor,
    STEPS: tl.constexpr,
    APPROACH: tl.constexpr,
    INTERLEAVED: tl.constexpr,
    LANES: tl.constexpr,
):
    """Find what a window hands to its neighbours: run its last and its first `APPROACH` steps from `inner`."""
    lanes = windows * blocks
    lane = tl.program_id(0) * LANES + tl.arange(0, LANES)
    inside = lane < lanes
    window = lane // blocks
    block = lane - window * blocks
    edge = lanes + blocks

    a = _load_metrics(inner + lane, lanes, inside)
    b = _load_metrics(inner + 8 * lanes + lane, lanes, inside)
    for pair in range(APPROACH // 2):
        first = STEPS - APPROACH + 2 * pair
        at0 = _place(first, window, block, rows, windows, blocks, inside, INTERLEAVED)
        at1 = _place(first + 1, window, block, rows, windows, blocks, inside, INTERLEAVED)
        u0 = tl.load(known + at0, inside, 1.0)
        u1 = tl.load(known + at1, inside, 1.0)
        p0 = tl.load(parity + first * lanes + lane, inside, 1.0)
        p1 = tl.load(parity + (first + 1) * lanes + lane, inside, 1.0)
        a = _renormalised(_forward(_forward(a, u0, p0), u1, p1), floor)

        first = APPROACH - 2 - 2 * pair
        at0 = _place(first, window, block, rows, windows, blocks, inside, INTERLEAVED)
        at1 = _place(first + 1, window, block, rows, windows, blocks, inside, INTERLEAVED)
        u0 = tl.load(known + at0, inside, 1.0)
        u1 = tl.load(known + at1, inside, 1.0)
        p0 = tl.load(parity + first * lanes + lane, inside, 1.0)
        p1 = tl.load(parity + (first + 1) * lanes + lane, inside, 1.0)
        b = _renormalised(_backward(_backward(b, u1, p1), u0, p0), floor)
    # The two edges that are known are not among these.
    _store_metrics(edges + lane + blocks, edge, a, inside)
    _store_metrics(edges + 8 * edge + lane, edge, b, inside)


class TritonConstituents:
    """`recursions.Constituents` as kernels.

    `parities`, two of (W·P, B) float32: likelihood ratios in each constituent's own order; `tails`, two of (8, B):
    metrics of the states at time K. `approach`: steps (a multiple of four, at most W) that find the metrics at the
    edges of windows; `bound`: largest extrinsic ratio; `floor`: smallest metric where the largest is 1.
    """

    def __init__(
        self,
        windows: Windows,
        parities: Sequence[torch.Tensor],
        tails: Sequence[torch.Tensor],
        approach: int,
        bound: float,
        floor: float,
    ) -> None:
        self.windows, self.approach = windows, approach
        self.bound, self.floor = bound, floor
        self.parities = list(parities)
        self.edges = [self._edges(tail) for tail in tails]
        blocks = parities[0].shape[1]
        self.inner = [tail.new_ones(2, STATES, windows.count, blocks) for tail in tails]
        self.rows = torch.from_numpy(windows.interleaved_rows()).to(parities[0].device, torch.int32)
        self._checkpoints = parities[0].new_empty(STATES // 4 * parities[0].numel())

    def _edges(self, tail: torch.Tensor) -> torch.Tensor:
        edges = tail.new_zeros(2, STATES, self.windows.count + 1, tail.shape[1])
        edges[0, 0, 0] = 1.0
        edges[1, :, -1] = tail
        return edges

    def decode(
        self, which: int, known: torch.Tensor, systematic: torch.Tensor, total: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """See `recursions.Constituents.decode`."""
        windows, blocks = self.windows.count, known.shape[1]
        parity, edges, inner = self.parities[which], self.edges[which], self.inner[which]
        grid = (triton.cdiv(windows * blocks, _LANES),)
        constants = {
            "STEPS": self.windows.length,
            "APPROACH": self.approach,
            "INTERLEAVED": bool(which),
            "LANES": _LANES,
            **_OPTIONS,
        }
        if windows > 1:
            _approach[grid](known, parity, self.rows, edges, inner, windows, blocks, self.floor, **constants)
        following = torch.empty_like(known)
        posterior = torch.empty_like(known) if total else None
        _decode[grid](
            known,
            parity,
            systematic,
            following,
            following if posterior is None else posterior,
            self.rows,
            edges,
            inner,
            self._checkpoints,
            windows,
            blocks,
            self.bound,
            self.floor,
            TOTAL=total,
            **constants,
        )
        return following, posterior

    def keep(self, blocks: torch.Tensor) -> None:
        """Go on with these blocks only."""
        self.parities = [parity.index_select(1, blocks) for parity in self.parities]
        self.edges = [edges.index_select(3, blocks) for edges in self.edges]
        self.inner = [inner.index_select(3, blocks) for inner in self.inner]
