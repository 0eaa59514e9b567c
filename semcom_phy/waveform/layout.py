"""Order of the symbols of a burst: preamble, then blocks of data with pilots after each.

    preamble 256 | data 120 | pilots 8 | data 120 | pilots 8 | … | data 120 | pilots 8

The data symbols carry, in this order, the burst header, the application's header, the fragment, and symbols that fill
the last block: bursts of nearly the same length have the same layout, for which the receiver has everything ready.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.waveform.burst_header import HEADER_SYMBOLS
from semcom_phy.waveform.preamble import PREAMBLE_SYMBOLS

DATA_BLOCK: Final = 120
PILOT_BLOCK: Final = 8


@dataclass(frozen=True)
class BurstLayout:
    """Places of the symbols of a burst, counted from the first preamble symbol.

    `total`: symbols in all. `data`: int64 (blocks · DATA_BLOCK,). `pilots`: int64 (blocks, PILOT_BLOCK).
    """

    total: int
    data: npt.NDArray[np.int64]
    pilots: npt.NDArray[np.int64]


def burst_symbols(data_symbols: int) -> int:
    """Symbols of a burst in all, from the number of data symbols that it needs."""
    return PREAMBLE_SYMBOLS + (DATA_BLOCK + PILOT_BLOCK) * -(-data_symbols // DATA_BLOCK)


def burst_layout(data_symbols: int) -> BurstLayout:
    """Layout of a burst with room for so many data symbols; its arrays are read-only."""
    return _layout(-(-data_symbols // DATA_BLOCK))


@lru_cache(maxsize=32)
def _layout(blocks: int) -> BurstLayout:
    starts = PREAMBLE_SYMBOLS + (DATA_BLOCK + PILOT_BLOCK) * np.arange(blocks, dtype=np.int64)
    data = (starts[:, None] + np.arange(DATA_BLOCK)).reshape(-1)
    pilots = starts[:, None] + DATA_BLOCK + np.arange(PILOT_BLOCK)
    for array in (data, pilots):
        array.setflags(write=False)
    return BurstLayout(PREAMBLE_SYMBOLS + (DATA_BLOCK + PILOT_BLOCK) * blocks, data, pilots)


#: The first part of every burst, from the preamble to the pilots behind its header.
HEADER_LAYOUT: Final = burst_layout(HEADER_SYMBOLS)
