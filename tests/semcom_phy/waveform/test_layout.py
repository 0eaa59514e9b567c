import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.waveform.burst_header import HEADER_SYMBOLS
from semcom_phy.waveform.layout import DATA_BLOCK, HEADER_LAYOUT, PILOT_BLOCK, burst_layout, burst_symbols
from semcom_phy.waveform.preamble import PREAMBLE_SYMBOLS


@given(st.integers(1, 5000))
def test_every_symbol_has_one_purpose(data_symbols: int) -> None:
    layout = burst_layout(data_symbols)
    places = np.concatenate([np.arange(PREAMBLE_SYMBOLS), layout.data, layout.pilots.reshape(-1)])
    np.testing.assert_array_equal(np.sort(places), np.arange(layout.total))
    assert layout.total == burst_symbols(data_symbols)
    assert data_symbols <= layout.data.size < data_symbols + DATA_BLOCK
    # Pilots close the burst, and no data lies further than a block from pilots.
    assert layout.pilots[-1, -1] == layout.total - 1
    assert np.all(np.diff(layout.pilots[:, 0]) <= DATA_BLOCK + PILOT_BLOCK)
    assert np.all(np.diff(layout.pilots, axis=1) == 1)


def test_header_fills_whole_blocks() -> None:
    """The body reads the header's symbols as known ones, in one piece with the pilots between them."""
    assert HEADER_SYMBOLS % DATA_BLOCK == 0
    longer = burst_layout(HEADER_SYMBOLS + 777)
    assert HEADER_LAYOUT.data.size == HEADER_SYMBOLS
    np.testing.assert_array_equal(longer.data[:HEADER_SYMBOLS], HEADER_LAYOUT.data)
    np.testing.assert_array_equal(longer.pilots[: len(HEADER_LAYOUT.pilots)], HEADER_LAYOUT.pilots)
