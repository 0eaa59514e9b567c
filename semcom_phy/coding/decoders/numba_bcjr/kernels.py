"""The decoder: windows, constituent decodings, iterations over a tile of blocks."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit, types
from numba.extending import overload

from semcom_phy.coding.decoders.numba_bcjr.arithmetic import (
    acquisition,
    channel_limit,
    channel_scale,
    columns_of,
    decided,
    interval,
    join,
    known_state,
    lanes_of,
    limited,
    lines_ahead,
    metric_reference,
    neutral,
    normalised,
    probability_domain,
    received,
    rounds,
    state_metric,
)
from semcom_phy.coding.decoders.numba_bcjr.host import FEATURES
from semcom_phy.coding.decoders.numba_bcjr.recursions import (
    KERNEL,
    STATES,
    STEP,
    backward_step,
    extrinsic,
    forward_step,
    load_states,
    store_states,
)
from semcom_phy.coding.decoders.numba_bcjr.vectors import (
    load,
    load_transposed,
    other_where_own,
    permute_for,
    prefetch,
    splat,
    store,
    store_decisions,
    store_llrs,
)
from semcom_phy.coding.kernels import crc_registers

permute = permute_for(FEATURES)

#: float32 values of a cache line.
LINE = 16

NO_STOP, STOP_BY_CRC, STOP_BY_AGREEMENT = 0, 1, 2


class Seams(NamedTuple):
    """State metrics where windows meet, for one constituent code, all flat and of the arithmetic's dtype.

    `alpha`, `beta` (P/Q·8·L,): what enters each window at its beginning and at its end. `late_alpha`, `early_beta`
    (P/Q·8·L,): α and β, in the iteration before, `acquisition` steps before the end of each window and after its
    beginning. `ends` (2·8·L,): α at the beginning of a block in the block's first lane, β at its end in the last one.
    """

    alpha: npt.NDArray
    beta: npt.NDArray
    late_alpha: npt.NDArray
    early_beta: npt.NDArray
    ends: npt.NDArray


class Workspace(NamedTuple):
    """Memory of one thread. R rows of L lanes, all flat, of the arithmetic's dtype unless stated.

    `systematic`, `parity`, `parity_interleaved`, `extrinsics`, `posterior`: (R·L,). `alphas` (W·8·L,), `inputs` (W·L,):
    what the forward run of a window leaves for the backward run. `bits` uint8 and `llrs` float32 (L/Q·K,): the
    decisions on the blocks of a tile; `previous` uint8: those of the iteration before.
    """

    systematic: npt.NDArray
    parity: npt.NDArray
    parity_interleaved: npt.NDArray
    extrinsics: npt.NDArray
    posterior: npt.NDArray
    alphas: npt.NDArray
    inputs: npt.NDArray
    bits: npt.NDArray[np.uint8]
    llrs: npt.NDArray[np.float32]
    previous: npt.NDArray[np.uint8]


# --- the order of the trellis steps: natural (None) or interleaved (an `Interleaver`) -----------------------


def row_of(order, k, lanes):
    """Where the row that has the bit of step k begins."""
    raise NotImplementedError


def to_trellis(value, order, k, lanes):
    """Bring a row of bits into the lanes in which the trellis wants them at step k."""
    raise NotImplementedError


def from_trellis(value, order, k, lanes):
    """Undo `to_trellis`."""
    raise NotImplementedError


_INLINE: dict[str, Any] = {"jit_options": {"forceinline": True, "nogil": True, "error_model": "numpy"}}


@overload(row_of, **_INLINE)
def _row_of(order, k, lanes):
    if isinstance(order, types.NoneType):
        return lambda order, k, lanes: k * lanes
    return lambda order, k, lanes: order.rows[k]


def _permutes(order: Any) -> bool:
    return not isinstance(order, types.NoneType) and not isinstance(order[1], types.NoneType)


@overload(to_trellis, **_INLINE)
def _to_trellis(value, order, k, lanes):
    if _permutes(order):
        return lambda value, order, k, lanes: permute(value, order.gather, k * lanes)
    return lambda value, order, k, lanes: value


@overload(from_trellis, **_INLINE)
def _from_trellis(value, order, k, lanes):
    if _permutes(order):
        return lambda value, order, k, lanes: permute(value, order.scatter, k * lanes)
    return lambda value, order, k, lanes: value


# --- α of a window, kept at every step or at every second one ------------------------------------------------


def keep_alpha(ar, work, k, lanes, alpha):
    """Keep α of an even step k."""
    raise NotImplementedError


def kept_alpha(ar, work, k, lanes):
    """Return α of an even step k."""
    raise NotImplementedError


def keep_alpha_between(ar, work, k, lanes, alpha):
    """Keep α of an odd step k, if the arithmetic keeps those."""
    raise NotImplementedError


def alpha_between(ar, work, k, lanes, before, u, p):
    """Return α of an odd step k: from memory, or computed again from α of the step before."""
    raise NotImplementedError


@overload(keep_alpha, **_INLINE)
def _keep_alpha(ar, work, k, lanes, alpha):
    stride = ar.arithmetic.alpha_stride
    return lambda ar, work, k, lanes, alpha: store_states(work.alphas, k // stride * STATES * lanes, lanes, alpha)


@overload(kept_alpha, **_INLINE)
def _kept_alpha(ar, work, k, lanes):
    stride = ar.arithmetic.alpha_stride
    return lambda ar, work, k, lanes: load_states(ar, work.alphas, k // stride * STATES * lanes, lanes)


@overload(keep_alpha_between, **_INLINE)
def _keep_alpha_between(ar, work, k, lanes, alpha):
    if ar.arithmetic.alpha_stride == 2:
        return lambda ar, work, k, lanes, alpha: None
    return lambda ar, work, k, lanes, alpha: store_states(work.alphas, k * STATES * lanes, lanes, alpha)


@overload(alpha_between, **_INLINE)
def _alpha_between(ar, work, k, lanes, before, u, p):
    if ar.arithmetic.alpha_stride == 2:
        return lambda ar, work, k, lanes, before, u, p: forward_step(ar, before, u, p)
    return lambda ar, work, k, lanes, before, u, p: load_states(ar, work.alphas, k * STATES * lanes, lanes)


# --- one constituent decoding ------------------------------------------------------------------------------


@njit(**STEP)
def input_at(ar, order, work, k, lanes):
    """What is known about the input bit of step k from elsewhere: channel and the other constituent decoder."""
    row = row_of(order, k, lanes)
    known = join(ar, load(ar, work.systematic, row), load(ar, work.extrinsics, row))
    return to_trellis(known, order, k, lanes)


@njit(**STEP)
def put_extrinsic(ar, order, work, k, lanes, e, u, wants_posterior):
    """Store the extrinsic value of step k, and the a-posteriori value when it is wanted."""
    row = row_of(order, k, lanes)
    store(work.extrinsics, row, from_trellis(e, order, k, lanes))
    if wants_posterior:
        store(work.posterior, row, from_trellis(join(ar, e, u), order, k, lanes))


@njit(**KERNEL)
def decode_window(ar, order, work, parity, seams, geometry, window, wants_posterior, llrs, ahead):
    """Run α forward over a window, then β backward with the extrinsic values.

    α and β are normalised at every `interval`-th step of the window, an even number: where α is fresh, β is a
    step old, and vice versa (see the ranges in `arithmetic`). On the way it asks for the channel LLRs that are
    wanted next, `lines_ahead` cache lines a step from ``llrs[ahead]`` on: they lie far away, and loading them would
    take as long as an iteration.
    """
    lanes, steps = lanes_of(ar), geometry.steps
    first = window * steps
    at = window * STATES * lanes
    mask = interval(ar) - 1

    alpha = load_states(ar, seams.alpha, at, lanes)
    for k in range(0, steps, 2):
        for line in range(2 * lines_ahead(ar)):
            prefetch(llrs, ahead + ((first + k) * lines_ahead(ar) + line) * LINE)
        keep_alpha(ar, work, k, lanes, alpha)
        u0 = input_at(ar, order, work, first + k, lanes)
        u1 = input_at(ar, order, work, first + k + 1, lanes)
        store(work.inputs, k * lanes, u0)
        store(work.inputs, (k + 1) * lanes, u1)
        alpha = forward_step(ar, alpha, u0, load(ar, parity, (first + k) * lanes))
        keep_alpha_between(ar, work, k + 1, lanes, alpha)
        alpha = forward_step(ar, alpha, u1, load(ar, parity, (first + k + 1) * lanes))
        if (k + 2) & mask == 0:
            alpha = normalised(ar, alpha)
    late = kept_alpha(ar, work, max(steps - acquisition(ar), 0), lanes)
    store_states(seams.late_alpha, at, lanes, normalised(ar, late))

    beta = load_states(ar, seams.beta, at, lanes)
    for back in range(2, steps + 1, 2):
        k = steps - back
        u0, u1 = load(ar, work.inputs, k * lanes), load(ar, work.inputs, (k + 1) * lanes)
        p0, p1 = load(ar, parity, (first + k) * lanes), load(ar, parity, (first + k + 1) * lanes)
        alpha = kept_alpha(ar, work, k, lanes)
        between = alpha_between(ar, work, k + 1, lanes, alpha, u0, p0)
        e1 = limited(ar, extrinsic(ar, between, beta, p1))
        put_extrinsic(ar, order, work, first + k + 1, lanes, e1, u1, wants_posterior)
        beta = backward_step(ar, beta, u1, p1)
        e0 = limited(ar, extrinsic(ar, alpha, beta, p0))
        put_extrinsic(ar, order, work, first + k, lanes, e0, u0, wants_posterior)
        beta = backward_step(ar, beta, u0, p0)
        if k & mask == 0:
            beta = normalised(ar, beta)
        if k == acquisition(ar):
            store_states(seams.early_beta, at, lanes, normalised(ar, beta))


@njit(**KERNEL)
def acquire(ar, order, work, parity, seams, geometry, window, neighbours):
    """Estimate α at the end and β at the beginning of a window, by short runs over its last and its first steps.

    They start from what the iteration before had there. The results are what enters the following window and
    the one before: of the same lane, or of the neighbouring lane where the lane's own windows end.
    """
    lanes, steps = lanes_of(ar), geometry.steps
    first = window * steps
    part = STATES * lanes
    mask = interval(ar) - 1
    alpha = load_states(ar, seams.late_alpha, window * part, lanes)
    for k in range(steps - acquisition(ar), steps):
        u = input_at(ar, order, work, first + k, lanes)
        alpha = forward_step(ar, alpha, u, load(ar, parity, (first + k) * lanes))
        if (k + 1) & mask == 0:
            alpha = normalised(ar, alpha)
    alpha = normalised(ar, alpha)
    if window + 1 < geometry.windows:
        store_states(seams.alpha, (window + 1) * part, lanes, alpha)
    else:
        ends = load_states(ar, seams.ends, 0, lanes)
        store_states(seams.alpha, 0, lanes, states_of_neighbours(alpha, ends, neighbours, 0))

    beta = load_states(ar, seams.early_beta, window * part, lanes)
    for back in range(acquisition(ar)):
        k = acquisition(ar) - 1 - back
        u = input_at(ar, order, work, first + k, lanes)
        beta = backward_step(ar, beta, u, load(ar, parity, (first + k) * lanes))
        if k & mask == 0:
            beta = normalised(ar, beta)
    beta = normalised(ar, beta)
    if window > 0:
        store_states(seams.beta, (window - 1) * part, lanes, beta)
    else:
        ends = load_states(ar, seams.ends, part, lanes)
        after = states_of_neighbours(beta, ends, neighbours, lanes)
        store_states(seams.beta, (geometry.windows - 1) * part, lanes, after)


@njit(**STEP)
def state_of_neighbour(metric, end, lanes, at):
    """Bring a state metric to the neighbouring lane, and `end` to the lanes that have no such neighbour."""
    return other_where_own(permute(metric, lanes, at), end, lanes, at)


@njit(**STEP)
def states_of_neighbours(states, ends, lanes, at):
    """Do so for eight state metrics."""
    return (
        state_of_neighbour(states[0], ends[0], lanes, at),
        state_of_neighbour(states[1], ends[1], lanes, at),
        state_of_neighbour(states[2], ends[2], lanes, at),
        state_of_neighbour(states[3], ends[3], lanes, at),
        state_of_neighbour(states[4], ends[4], lanes, at),
        state_of_neighbour(states[5], ends[5], lanes, at),
        state_of_neighbour(states[6], ends[6], lanes, at),
        state_of_neighbour(states[7], ends[7], lanes, at),
    )


@njit(**STEP)
def forget(ar, seams, geometry):
    """Start a block's first iteration: all states are alike wherever windows meet.

    Where there is one window only, what enters it is known already.
    """
    lanes = lanes_of(ar)
    z = neutral(ar)
    alike = normalised(ar, (z, z, z, z, z, z, z, z))
    for at in range(0, geometry.windows * STATES * lanes, STATES * lanes):
        store_states(seams.late_alpha, at, lanes, alike)
        store_states(seams.early_beta, at, lanes, alike)
    if geometry.steps == geometry.size:
        store_states(seams.alpha, 0, lanes, load_states(ar, seams.ends, 0, lanes))
        store_states(seams.beta, 0, lanes, load_states(ar, seams.ends, STATES * lanes, lanes))


@njit(**STEP)
def decode_constituent(ar, order, work, parity, seams, geometry, neighbours, wants_posterior, llrs, ahead):
    """Decode one constituent code of all blocks of a tile."""
    if geometry.steps < geometry.size:
        for window in range(geometry.windows):
            acquire(ar, order, work, parity, seams, geometry, window, neighbours)
    for window in range(geometry.windows):
        decode_window(ar, order, work, parity, seams, geometry, window, wants_posterior, llrs, ahead)


# --- a tile: the blocks that share vectors -------------------------------------------------------------------


def _tail_bits() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the systematic and the parity bits (3, 8) of the three tail steps from each state.

    A state has one path to state 0: zeros enter the register, so the input of a step is s2 ^ s3 and its parity s1 ^ s3.
    """
    state = np.arange(STATES)
    s1, s2, s3 = state >> 2 & 1, state >> 1 & 1, state & 1
    inputs, parities = [], []
    for _ in range(3):
        inputs.append(s2 ^ s3)
        parities.append(s1 ^ s3)
        s1, s2, s3 = np.zeros_like(s1), s1, s2
    return np.array(inputs, np.float64), np.array(parities, np.float64)


_TAIL_INPUTS, _TAIL_PARITIES = _tail_bits()


@njit(**KERNEL)
def tail_metrics(tail, at, metrics):
    """Write to `metrics` (8,) the β at step K that the tail of one constituent code gives, both float64 in units.

    From `at` on `tail` has x and z of the three tail steps.
    """
    for state in range(STATES):
        metrics[state] = 0.0
    for step in range(3):
        x, z = tail[at + 2 * step], tail[at + 2 * step + 1]
        for state in range(STATES):
            metrics[state] += x * _TAIL_INPUTS[step, state] + z * _TAIL_PARITIES[step, state]


@njit(**STEP)
def set_heads(ar, seams, lanes):
    """Set α at the beginning of the blocks: it is state 0 for certain."""
    certain, impossible = splat(ar, known_state(ar, True)), splat(ar, known_state(ar, False))
    store(seams.ends, 0, certain)
    for state in range(1, STATES):
        store(seams.ends, state * lanes, impossible)


@njit(**KERNEL)
def load_tails(ar, llrs, blocks, geometry, first_seams, second_seams, tail, metrics):
    """Set what is known of both ends of every block: α is state 0 for certain, β follows from the tail bits.

    The twelve tail bits are multiplexed over the three streams (§5.1.3.2.2): column by column they are the
    x and z of the first encoder's three steps, then those of the second's. `tail` (12,) and `metrics` (8,) float64 are
    room to work in.
    """
    lanes, size = geometry.lanes, geometry.size
    scale, limit = channel_scale(ar), channel_limit(ar)
    set_heads(ar, first_seams, lanes)
    set_heads(ar, second_seams, lanes)
    for number in range(lanes // geometry.shared):
        start = blocks[number] * 3 * (size + 4) + size
        foot = (number + 1) * geometry.shared - 1
        for column in range(4):
            for stream in range(3):
                llr = llrs[start + stream * (size + 4) + column] * scale
                llr = 0.0 if np.isnan(llr) else min(max(llr, -limit), limit)
                tail[3 * column + stream] = np.rint(llr) if rounds(ar) else llr
        for code in range(2):
            ends = first_seams.ends if code == 0 else second_seams.ends
            tail_metrics(tail, 6 * code, metrics)
            reference = metric_reference(ar, metrics)
            for state in range(STATES):
                ends[(STATES + state) * lanes + foot] = state_metric(ar, metrics[state], reference)


@njit(**KERNEL)
def load_tile(ar, llrs, starts, geometry, work):
    """Bring the channel LLRs of a tile into vectors; `starts` (L,) int64: where each lane's first stream begins."""
    lanes, rows, stream = geometry.lanes, geometry.rows, geometry.size + 4
    count = columns_of(ar)
    scale, limit = channel_scale(ar), channel_limit(ar)
    for number in range(3):
        target = work.systematic if number == 0 else work.parity if number == 1 else work.parity_interleaved
        for chunk in range(0, rows, count):
            # The last chunk ends with the rows; it may overlap the one before.
            column = min(chunk, rows - count)
            load_transposed(ar, target, column * lanes, llrs, starts, number * stream + column, scale, limit)
    neither = received(ar, splat(ar, 0))
    for row in range(0, rows * lanes, lanes):
        if probability_domain(ar):
            store(work.systematic, row, received(ar, load(ar, work.systematic, row)))
            store(work.parity, row, received(ar, load(ar, work.parity, row)))
            store(work.parity_interleaved, row, received(ar, load(ar, work.parity_interleaved, row)))
        store(work.extrinsics, row, neither)


@njit(**KERNEL)
def store_tile(ar, geometry, work, places, bits, llrs):
    """Write the tile's decisions to `bits` and `llrs` (empty: not wanted); `places` (L,) int64: where rows begin."""
    lanes, rows = geometry.lanes, geometry.rows
    count = columns_of(ar)
    unit = np.float32(1.0 / channel_scale(ar))
    if probability_domain(ar):
        for row in range(0, rows * lanes, lanes):
            store(work.posterior, row, decided(ar, load(ar, work.posterior, row)))
    for chunk in range(0, rows, count):
        # The last chunk ends with the rows; it may overlap the one before.
        column = min(chunk, rows - count)
        store_decisions(ar, work.posterior, column * lanes, bits, places, column)
        if llrs.size > 0:
            store_llrs(ar, work.posterior, column * lanes, llrs, places, column, unit)


@njit(**KERNEL)
def copy(target, source):
    """Copy an array; a plain loop, because an assignment of slices first looks whether they overlap."""
    for i in range(target.size):
        target[i] = source[i]


@njit(**KERNEL)
def crc_holds(bits, tables, octets, register):
    """Tell whether the bits (K,) of a block, CRC and all, leave no remainder.

    `tables` are those of `semcom_phy.coding.crc.octet_tables`; `octets` (1, K/8) uint8 and `register` (1,) uint32 are
    overwritten.
    """
    for at in range(octets.shape[1]):
        octet = 0
        for bit in range(8):
            octet = octet << 1 | bits[8 * at + bit]
        octets[0, at] = octet
    crc_registers(octets, tables, register)
    return register[0] == 0


@njit(**KERNEL)
def decode_tiles(
    ar,
    llrs,
    first,
    last,
    geometry,
    order,
    neighbours,
    iterations,
    stop,
    tables,
    work,
    first_seams,
    second_seams,
    bits,
    soft,
    used,
):
    """Decode blocks `first` … `last` − 1 of the batch, as many at a time as share a vector.

    `llrs` flat float32 of (B, 3, K + 4); results go to `bits` (B·K,) uint8, `soft` (B·K,) float32 (empty: not wanted)
    and `used` (B,) int32. `stop`: `NO_STOP`, `STOP_BY_CRC` (with its `tables`) or `STOP_BY_AGREEMENT`.
    """
    lanes, size, shared = geometry.lanes, geometry.size, geometry.shared
    abreast = lanes // shared
    blocks = np.empty(abreast, np.int64)
    starts = np.empty(lanes, np.int64)
    places = np.empty(lanes, np.int64)
    finished = np.empty(abreast, np.bool_)
    octets, register = np.empty((1, size // 8), np.uint8), np.empty(1, np.uint32)
    tail, metrics = np.empty(12, np.float64), np.empty(STATES, np.float64)
    for tile in range(first, last, abreast):
        valid = min(abreast, last - tile)
        for number in range(abreast):
            # Lanes without a block of their own repeat the first one.
            blocks[number] = tile + number if number < valid else tile
            finished[number] = number >= valid
            # Without a stop rule decisions go straight to their place; with one, blocks finish at different times.
            place = (blocks[number] if stop == NO_STOP else number) * size
            for q in range(shared):
                starts[number * shared + q] = blocks[number] * 3 * (size + 4) + q * geometry.rows
                places[number * shared + q] = place + q * geometry.rows
        load_tile(ar, llrs, starts, geometry, work)
        load_tails(ar, llrs, blocks, geometry, first_seams, second_seams, tail, metrics)
        forget(ar, first_seams, geometry)
        forget(ar, second_seams, geometry)
        left = valid
        for iteration in range(1, iterations + 1):
            final = iteration == iterations
            looks = final or stop != NO_STOP
            asked = geometry.rows * lines_ahead(ar) * LINE
            ahead = (tile + abreast) * 3 * (size + 4) + (iteration - 1) * 2 * asked
            decode_constituent(ar, None, work, work.parity, first_seams, geometry, neighbours, False, llrs, ahead)
            ahead += asked
            decode_constituent(
                ar, order, work, work.parity_interleaved, second_seams, geometry, neighbours, looks, llrs, ahead
            )
            if not looks:
                continue
            if stop == NO_STOP:
                store_tile(ar, geometry, work, places, bits, soft)
                for number in range(valid):
                    used[tile + number] = iteration
                continue
            store_tile(ar, geometry, work, places, work.bits, work.llrs if soft.size > 0 else soft)
            for number in range(valid):
                if finished[number]:
                    continue
                begin, end = number * size, (number + 1) * size
                done = final
                if stop == STOP_BY_CRC and not done:
                    done = crc_holds(work.bits[begin:end], tables, octets, register)
                elif stop == STOP_BY_AGREEMENT and not done and iteration > 1:
                    done = np.all(work.bits[begin:end] == work.previous[begin:end])
                if done:
                    target = blocks[number] * size
                    copy(bits[target : target + size], work.bits[begin:end])
                    if soft.size > 0:
                        copy(soft[target : target + size], work.llrs[begin:end])
                    used[blocks[number]] = iteration
                    finished[number] = True
                    left -= 1
            if left == 0:
                break
            if stop == STOP_BY_AGREEMENT:
                copy(work.previous, work.bits)
