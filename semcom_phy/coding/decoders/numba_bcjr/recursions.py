"""The trellis of the constituent code and one constituent decoding (BCJR) on vectors.

A state is 4·s1 + 2·s2 + s3 with s1 the newest register cell (see `semcom_phy.coding.turbo`). Relative to the branch
with input 0 and parity 0, the metric of a branch is 1, u, p or u·p in the notation of `arithmetic` (·: join,
⊕: merge), with u and p the likelihood ratios of its input and parity bit. From the states 2j and 2j + 1 the branches
lead to j and j + 4:

    j   from 2j       from 2j+1        to j         to j+4
    0   state 0: 1    state 1: u·p     0⊕1·up       0·up⊕1
    1   state 2: u    state 3: p       2·u⊕3·p      2·p⊕3·u
    2   state 4: p    state 5: u       4·p⊕5·u      4·u⊕5·p
    3   state 6: u·p  state 7: 1       6·up⊕7       6⊕7·up

(listed is the branch to j; the one to j + 4 has the complementary input and parity.)
"""

from __future__ import annotations

from typing import Any, Final

from numba import njit

from semcom_phy.coding.decoders.numba_bcjr.arithmetic import join, merge, weighed
from semcom_phy.coding.decoders.numba_bcjr.vectors import load, store

#: Options of all kernels. `cache` keeps machine code on disk; lanes and algorithm are part of the argument types.
KERNEL: Final[dict[str, Any]] = {"nogil": True, "error_model": "numpy", "boundscheck": False, "cache": True}
STEP: Final[dict[str, Any]] = {"nogil": True, "error_model": "numpy", "boundscheck": False, "forceinline": True}

STATES: Final = 8


@njit(**STEP)
def load_states(ar, array, at, lanes):
    """Load eight state metrics from consecutive rows."""
    return (
        load(ar, array, at),
        load(ar, array, at + lanes),
        load(ar, array, at + 2 * lanes),
        load(ar, array, at + 3 * lanes),
        load(ar, array, at + 4 * lanes),
        load(ar, array, at + 5 * lanes),
        load(ar, array, at + 6 * lanes),
        load(ar, array, at + 7 * lanes),
    )


@njit(**STEP)
def store_states(array, at, lanes, states):
    """Store eight state metrics to consecutive rows."""
    store(array, at, states[0])
    store(array, at + lanes, states[1])
    store(array, at + 2 * lanes, states[2])
    store(array, at + 3 * lanes, states[3])
    store(array, at + 4 * lanes, states[4])
    store(array, at + 5 * lanes, states[5])
    store(array, at + 6 * lanes, states[6])
    store(array, at + 7 * lanes, states[7])


@njit(**STEP)
def forward_step(ar, alpha, u, p):
    """α of time k + 1 from α of time k."""
    a0, a1, a2, a3, a4, a5, a6, a7 = alpha
    up = join(ar, u, p)
    return (
        merge(ar, a0, join(ar, a1, up)),
        merge(ar, join(ar, a2, u), join(ar, a3, p)),
        merge(ar, join(ar, a4, p), join(ar, a5, u)),
        merge(ar, join(ar, a6, up), a7),
        merge(ar, join(ar, a0, up), a1),
        merge(ar, join(ar, a2, p), join(ar, a3, u)),
        merge(ar, join(ar, a4, u), join(ar, a5, p)),
        merge(ar, a6, join(ar, a7, up)),
    )


@njit(**STEP)
def backward_step(ar, beta, u, p):
    """β of time k from β of time k + 1."""
    b0, b1, b2, b3, b4, b5, b6, b7 = beta
    up = join(ar, u, p)
    return (
        merge(ar, b0, join(ar, b4, up)),
        merge(ar, join(ar, b0, up), b4),
        merge(ar, join(ar, b1, u), join(ar, b5, p)),
        merge(ar, join(ar, b1, p), join(ar, b5, u)),
        merge(ar, join(ar, b2, p), join(ar, b6, u)),
        merge(ar, join(ar, b2, u), join(ar, b6, p)),
        merge(ar, join(ar, b3, up), b7),
        merge(ar, b3, join(ar, b7, up)),
    )


@njit(**STEP)
def both(ar, a, b, c, d):
    """a·b ⊕ c·d"""
    return merge(ar, join(ar, a, b), join(ar, c, d))


@njit(**STEP)
def extrinsic(ar, alpha, beta, p):
    """What the code says about the input bit of a step: all branches with input 1 against all with input 0.

    The sum over eight branches is taken over those with parity 1 and parity 0 apart; p enters once each.
    """
    a0, a1, a2, a3, a4, a5, a6, a7 = alpha
    b0, b1, b2, b3, b4, b5, b6, b7 = beta
    one_parity_one = merge(ar, both(ar, a0, b4, a1, b0), both(ar, a6, b3, a7, b7))
    one_parity_zero = merge(ar, both(ar, a2, b1, a3, b5), both(ar, a4, b6, a5, b2))
    zero_parity_zero = merge(ar, both(ar, a0, b0, a1, b4), both(ar, a6, b7, a7, b3))
    zero_parity_one = merge(ar, both(ar, a2, b5, a3, b1), both(ar, a4, b2, a5, b6))
    return weighed(
        ar,
        merge(ar, join(ar, one_parity_one, p), one_parity_zero),
        merge(ar, zero_parity_zero, join(ar, zero_parity_one, p)),
    )
