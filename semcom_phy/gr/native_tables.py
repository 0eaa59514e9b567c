"""The turbo code of 3GPP TS 36.212 as arguments of GNU Radio's trellis blocks.

GNU Radio's ``trellis.fsm(k, n, G)`` cannot express a recursive code and its interleavers are not random, so both are
given as tables. The blocks know a trellis that starts in state zero and ends anywhere: there are no tail bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from semcom_phy.coding.qpp import qpp_interleaver
from semcom_phy.coding.turbo import INPUT_BIT, NEXT_STATE, PARITY_BIT, STATES

if TYPE_CHECKING:
    from gnuradio import trellis

#: Coded bits of a payload bit: systematic bit, parity of the first and of the second encoder.
DIMENSIONS: Final = 3
#: BPSK symbols of the encoder's output 4 u + 2 p + p', one row after the other; bit 1 ↔ +1.
SYMBOLS: Final = tuple(2.0 * (value >> shift & 1) - 1.0 for value in range(1 << DIMENSIONS) for shift in (2, 1, 0))


def trellis_by_input() -> tuple[list[int], list[int]]:
    """Return next states and parity bits as lists of 16, indexed by 2 · state + input bit."""
    entering = np.argsort(INPUT_BIT, axis=1)  # the register bit for input 0, then for input 1
    state = np.arange(STATES)[:, None]
    return NEXT_STATE[state, entering].ravel().tolist(), PARITY_BIT[state, entering].ravel().tolist()


def first_fsm() -> trellis.fsm:
    """The first constituent encoder: its output is 2 · input bit + parity bit."""
    from gnuradio import trellis

    next_state, parity = trellis_by_input()
    return trellis.fsm(2, STATES, 4, next_state, [2 * (index % 2) + bit for index, bit in enumerate(parity)])


def second_fsm() -> trellis.fsm:
    """The second constituent encoder, which sends its parity bit alone."""
    from gnuradio import trellis

    return trellis.fsm(2, STATES, 2, *trellis_by_input())


def interleaver(size: int) -> trellis.interleaver:
    """The QPP interleaver for blocks of `size` bits; ConfigurationError if the standard has none."""
    from gnuradio import trellis

    return trellis.interleaver(size, qpp_interleaver(size).tolist())
