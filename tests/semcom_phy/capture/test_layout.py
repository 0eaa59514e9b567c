import json

import numpy as np
import pytest
import sigmf
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.capture.layout import lay_out
from semcom_phy.capture.metadata import Capture


@given(st.integers(0, 200), st.integers(1, 8), st.integers(0, 12))
def test_one_capture(data_bytes: int, sample_bytes: int, footer: int) -> None:
    layout = lay_out((), data_bytes, sample_bytes, footer)
    usable = max(data_bytes - footer, 0)
    assert layout.sample_count == usable // sample_bytes
    assert layout.trailing_bytes == usable % sample_bytes
    assert lay_out([Capture()], data_bytes, sample_bytes, footer).segments == (layout.sample_count,)


@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(0, 7)), min_size=1, max_size=6),
    st.integers(1, 4),
    st.integers(0, 300),
    st.integers(0, 5),
    st.integers(0, 5),
)
def test_against_a_walk_over_the_bytes(
    parts: list[tuple[int, int]], sample_bytes: int, data_bytes: int, footer: int, first_index: int
) -> None:
    """Each sample is where a reader that goes through the file byte by byte finds it."""
    starts = np.cumsum([gap for gap, _ in parts]).tolist()
    captures = [Capture(start + first_index, header) for start, (_, header) in zip(starts, parts, strict=True)]
    layout = lay_out(captures, data_bytes, sample_bytes, footer, first_index)

    usable = max(data_bytes - footer, 0)
    position, places = 0, []
    pending = list(zip(starts, [header for _, header in parts], strict=True))
    while True:
        while pending and pending[0][0] == len(places):
            position += pending.pop(0)[1]
        if position + sample_bytes > usable:
            break
        places.append(position)
        position += sample_bytes

    found = [
        byte + number * sample_bytes for byte, count in layout.pieces(0, layout.sample_count) for number in range(count)
    ]
    assert found == places
    assert layout.sample_count == len(places)
    assert 0 <= layout.trailing_bytes <= usable
    middle = layout.sample_count // 2
    halves = [*layout.pieces(0, middle), *layout.pieces(middle, layout.sample_count)]
    assert sum(count for _, count in halves) == layout.sample_count
    assert list(layout.pieces(middle, middle)) == []


@pytest.mark.parametrize("headers", [(4, 4), (0, 8), (16, 0)])
def test_same_bytes_as_the_sigmf_package(tmp_path, headers: tuple[int, int]) -> None:
    metadata = {
        "global": {"core:datatype": "ci8", "core:version": "1.2.6", "core:dataset": "x.bin", "core:sample_rate": 1.0},
        "captures": [
            {"core:sample_start": 0, "core:header_bytes": headers[0]},
            {"core:sample_start": 30, "core:header_bytes": headers[1]},
        ],
        "annotations": [],
    }
    data = np.random.default_rng(1).bytes(sum(headers) + 2 * 100)
    (tmp_path / "x.bin").write_bytes(data)
    (tmp_path / "x.sigmf-meta").write_text(json.dumps(metadata))
    reference = sigmf.fromfile(tmp_path / "x.sigmf-meta")
    layout = lay_out([Capture(0, headers[0]), Capture(30, headers[1])], len(data), 2)
    for number, extent in enumerate(layout.extents):
        begin, end = reference.get_capture_byte_boundaries(number)
        assert (extent.byte_start, extent.byte_start + 2 * extent.sample_count) == (begin, end)


def test_huge_numbers_take_no_time() -> None:
    layout = lay_out([Capture(2**63 - 1, 2**63 - 1)], 1000, 8)
    assert (layout.sample_count, layout.segments) == (125, ())
    layout = lay_out([Capture(0, 2**63 - 1)], 1000, 8)
    assert (layout.sample_count, layout.trailing_bytes, layout.segments) == (0, 1000, ())
