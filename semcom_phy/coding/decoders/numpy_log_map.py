"""Reference turbo decoder: BCJR in float64 NumPy, vectorised over blocks, for every algorithm.

The trellis of `semcom_phy.coding.turbo` is a row of four butterflies: the states (2j, 2j+1) lead to
(j, j+4), and the four branches of butterfly j carry only two metrics, +γ_j and −γ_j (two branches into or
out of one state always differ in both the input bit u and the parity bit p). With L_u, L_p the LLRs,
γ_j = ½(±L_u ± L_p), + where the branch (2j → j) has u = 1 or p = 1.

Backward, the pairs (j, j+4) lead to (2j, 2j+1). Number the backward states with their three bits reversed
and this becomes the forward butterfly, with the roles of u and p swapped. So both recursions run in one loop
over time on one array, and a step is nine NumPy calls.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.decoders.interface import (
    DECODERS,
    LINEAR_OFFSET,
    MAX_LOG_SCALE,
    TABLE_STEP,
    DecoderOutput,
    DecoderParams,
    finished,
    sanitised,
    table_thresholds,
)
from semcom_phy.coding.qpp import qpp_interleaver
from semcom_phy.coding.turbo import INPUT_BIT, MEMORY, NEXT_STATE, PARITY_BIT, STATES, TAIL_COLUMNS
from semcom_phy.errors import ConfigurationError

Array = npt.NDArray[np.float64]

#: Blocks decoded together; bounds the state metrics to about 50 MB at K = 6144.
MAX_BATCH: Final = 64

#: Log-probability of a state that cannot be (finite, so that differences never become NaN).
_IMPOSSIBLE: Final = -1e30
#: Steps for which branch metrics are laid out at once.
_STRIDE: Final = 64
#: Steps between renormalisations; all that matters is that the metrics stay far below 2**53.
_RENORMALISE: Final = 16
#: Doubles in a temporary of the LLR computation (it should stay in cache).
_LLR_CHUNK: Final = 1 << 15

_REVERSED = np.array([(s & 1) << 2 | s & 2 | s >> 2 for s in range(STATES)])


def _tail_signs() -> Array:
    """Signs (8, 6) by which x_K, z_K, x_K+1 … enter the metric of the one tail path out of each state."""
    signs = np.empty((STATES, 2 * MEMORY))
    for first in range(STATES):
        state = first
        for step in range(MEMORY):
            signs[first, 2 * step] = 2 * INPUT_BIT[state, 0] - 1
            signs[first, 2 * step + 1] = 2 * PARITY_BIT[state, 0] - 1
            state = NEXT_STATE[state, 0]
    return signs


def _branches(bit: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Array]:
    """The eight branches with input `bit`: state, reversed next state, sign of the parity LLR as (8, 1)."""
    state, entering = np.nonzero(np.equal(INPUT_BIT, bit))
    parity = 2.0 * PARITY_BIT[state, entering] - 1.0
    following = _REVERSED[NEXT_STATE[state, entering]]
    return state.astype(np.int64), following.astype(np.int64), parity[:, None].astype(np.float64)


_TAIL_SIGNS: Final = _tail_signs()
_BRANCHES: Final = (_branches(0), _branches(1))


def _correct(distance: Array, algorithm: str) -> None:
    """Turn −|a − b|, in place, into max*(a, b) − max(a, b)."""
    if algorithm == "log-map":
        np.exp(distance, out=distance)
        distance += 1.0
        np.log(distance, out=distance)
    elif algorithm == "linear-log-map":
        distance *= 0.25
        distance += LINEAR_OFFSET
        np.maximum(distance, 0.0, out=distance)
    else:
        distance[:] = TABLE_STEP * sum((distance > -d).astype(np.float64) for d in table_thresholds())


def _state_metrics(u_half: Array, p_half: Array, tail: Array, algorithm: str) -> Array:
    """Run both recursions; return (K, 8, 2, B): [t, s, 0] = α_t(s), [t, rev(s), 1] = β_(K−t)(s)."""
    steps, batch = u_half.shape
    metrics = np.empty((steps, STATES, 2, batch))
    metrics[0] = _IMPOSSIBLE
    metrics[0, 0, 0] = 0.0
    metrics[0, _REVERSED, 1] = 0.5 * (_TAIL_SIGNS @ tail)

    # Shapes below: time, upper or lower outputs (0…3 and 4…7), butterfly, direction, block.
    outputs = metrics.reshape(steps, 2, 4, 2, batch)
    inputs = metrics.reshape(steps, 4, 2, 2, batch)
    first, second = inputs[:, :, 0], inputs[:, :, 1]
    gamma = np.empty((_STRIDE, 2, 4, 2, batch))
    via_first, via_second = np.empty((2, 2, 4, 2, batch))

    for start in range(1, steps, _STRIDE):
        count = min(_STRIDE, steps - start)
        forward = slice(start - 1, start - 1 + count)
        # β_(K−t) follows from β_(K−t+1) by the LLRs of time K−t.
        backward = slice(steps - start, steps - start - count, -1)
        u_pair = np.stack([u_half[forward], p_half[backward]], axis=1)
        p_pair = np.stack([p_half[forward], u_half[backward]], axis=1)
        upper, lower = gamma[:count, 0], gamma[:count, 1]
        np.add(u_pair, p_pair, out=upper[:, 3])
        np.subtract(u_pair, p_pair, out=upper[:, 1])
        np.negative(upper[:, 1], out=upper[:, 2])
        np.negative(upper[:, 3], out=upper[:, 0])
        np.negative(upper, out=lower)
        for t in range(start, start + count):
            metric, g = outputs[t], gamma[t - start]
            np.add(first[t - 1], g, out=via_first)
            np.subtract(second[t - 1], g, out=via_second)
            np.maximum(via_first, via_second, out=metric)
            if algorithm != "max-log":
                np.subtract(via_first, via_second, out=via_first)
                np.copysign(via_first, -1.0, out=via_first)
                _correct(via_first, algorithm)
                metric += via_first
            if t % _RENORMALISE == 0:
                metrics[t] -= metrics[t, 0].copy()
    return metrics


def _log_sum(terms: Array, algorithm: str) -> Array:
    """max* over axis 1 (eight terms); the approximations are not associative and are taken pairwise."""
    if algorithm == "max-log":
        return terms.max(axis=1)
    if algorithm == "log-map":
        largest = terms.max(axis=1)
        terms -= largest[:, None]
        np.exp(terms, out=terms)
        return largest + np.log(terms.sum(axis=1))
    while terms.shape[1] > 1:
        left, right = terms[:, 0::2], terms[:, 1::2]
        correction = -np.abs(left - right)
        _correct(correction, algorithm)
        terms = np.maximum(left, right) + correction
    return terms[:, 0]


def _extrinsic(u_llr: Array, p_llr: Array, tail: Array, algorithm: str) -> Array:
    """One constituent decoding: what the code alone says about each input bit, (K, B).

    `u_llr` (K, B): channel plus a-priori LLRs of the input bits; `p_llr` (K, B): those of the parity bits;
    `tail` (6, B): x_K z_K x_K+1 z_K+1 x_K+2 z_K+2.
    """
    steps, batch = u_llr.shape
    p_half = 0.5 * p_llr
    metrics = _state_metrics(0.5 * u_llr, p_half, tail, algorithm)
    alpha, beta = metrics[:, :, 0], metrics[::-1, :, 1]  # beta[k] belongs to time k + 1
    result = np.empty((steps, batch))
    stride = max(1, _LLR_CHUNK // (STATES * batch))
    for start in range(0, steps, stride):
        part = slice(start, start + stride)
        parity = p_half[part, None, :]
        sums = [
            _log_sum(alpha[part][:, state] + beta[part][:, following] + sign * parity, algorithm)
            for state, following, sign in _BRANCHES
        ]
        np.subtract(sums[1], sums[0], out=result[part])
    return result


def _decode_batch(llrs: npt.NDArray[np.floating], params: DecoderParams, algorithm: str) -> DecoderOutput:
    batch, _, columns = llrs.shape
    size = columns - TAIL_COLUMNS
    interleaver = qpp_interleaver(size)
    scale = MAX_LOG_SCALE if algorithm == "max-log" else 1.0

    # Time first, blocks last, so that each step of the recursions works on contiguous memory.
    streams = np.ascontiguousarray(llrs.transpose(1, 2, 0), dtype=np.float64)
    systematic, parity, parity_interleaved = (streams[row, :size] for row in range(3))
    tails = streams[:, size:].transpose(1, 0, 2).reshape(4 * MEMORY, batch)
    tail, tail_interleaved = tails[: 2 * MEMORY], tails[2 * MEMORY :]

    posterior = np.empty((batch, size), np.float32)
    bits = np.empty((batch, size), np.uint8)
    used = np.full(batch, params.iterations, np.int32)
    active = np.arange(batch)
    prior: Array = np.zeros((size, batch))
    previous: npt.NDArray[np.uint8] | None = None

    for iteration in range(1, params.iterations + 1):
        known = systematic + prior
        from_first = _extrinsic(known, parity, tail, algorithm)
        from_first *= scale
        known = (systematic + from_first)[interleaver]
        from_second = _extrinsic(known, parity_interleaved, tail_interleaved, algorithm)
        prior = np.empty_like(from_second)
        prior[interleaver] = from_second
        prior *= scale

        last = iteration == params.iterations
        if params.early_stop is None and not last:
            continue
        total = systematic + from_first + prior
        decided = np.ascontiguousarray((total > 0.0).T).astype(np.uint8)
        done = np.ones(len(active), np.bool_) if last else finished(params.early_stop, decided, previous)
        posterior[active[done]] = total.T[done]
        bits[active[done]] = decided[done]
        used[active[done]] = iteration
        if done.all():
            break
        keep = ~done
        active, previous = active[keep], decided[keep]
        systematic, parity, parity_interleaved, tail, tail_interleaved, prior = (
            np.ascontiguousarray(a[:, keep])
            for a in (systematic, parity, parity_interleaved, tail, tail_interleaved, prior)
        )
    return DecoderOutput(bits, posterior if params.posterior else None, used)


@DECODERS.register("numpy")
def decode_numpy(llrs: npt.NDArray, params: DecoderParams, algorithm: str) -> DecoderOutput:
    """Decode (B, 3, K + 4) LLRs in float64, at most `MAX_BATCH` blocks at a time; see `Decoder`.

    Every block is decoded in one piece and on one core, whatever `params.windows` and `params.threads` say.
    """
    if params.arithmetic not in ("auto", "float64"):
        raise ConfigurationError(f"the numpy decoder calculates in float64, not {params.arithmetic}")
    clean = sanitised(llrs)
    parts = [
        _decode_batch(clean[start : start + MAX_BATCH], params, algorithm) for start in range(0, len(clean), MAX_BATCH)
    ]
    llr_parts = [part.llrs for part in parts if part.llrs is not None]
    return DecoderOutput(
        np.concatenate([part.bits for part in parts]),
        np.concatenate(llr_parts) if params.posterior else None,
        np.concatenate([part.iterations for part in parts]),
    )
