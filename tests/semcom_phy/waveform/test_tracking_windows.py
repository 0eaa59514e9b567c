import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.waveform.tracking import _windows


@given(st.integers(1, 3000))
def test_windows_cover_every_symbol_once(blocks: int) -> None:
    centres = 128.0 * np.arange(blocks) + 123.5
    total = int(centres[-1]) + 5
    windows = _windows(centres, total)
    assert windows[0].use == windows[0].symbols[0] == 0
    assert windows[-1].symbols[1] == total
    assert windows[-1].blocks.stop == blocks
    for before, after in itertools.pairwise(windows):
        # Each takes over where the one before still has pilots on both sides.
        assert before.symbols[0] < after.use < before.symbols[1]
        assert after.symbols[0] < after.use
    assert max(w.blocks.stop - w.blocks.start for w in windows) <= 256


def test_inner_windows_have_the_same_layout() -> None:
    centres = 128.0 * np.arange(2000) + 123.5
    windows = _windows(centres, 260_000)
    layouts = {(centres[w.blocks] - w.symbols[0]).tobytes() for w in windows[1:-1]}
    assert len(windows) > 5
    assert len(layouts) == 1
