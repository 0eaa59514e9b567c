import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.waveform.buffer import SampleBuffer


@given(st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 9000)), max_size=20))
def test_holds_what_was_not_discarded(steps: list[tuple[int, int]]) -> None:
    buffer, everything = SampleBuffer(), np.empty(0, np.complex64)
    for count, forget in steps:
        new = (np.arange(count) + everything.size + 1).astype(np.complex64)
        everything = np.append(everything, new)
        buffer.append(new)
        buffer.discard_before(buffer.start + forget - 4000)
        assert 0 <= buffer.start <= buffer.stop == everything.size
        low, high = buffer.start - 10, buffer.stop + 10
        expected = np.zeros(high - low, np.complex64)
        expected[10 : 10 + buffer.stop - buffer.start] = everything[buffer.start :]
        np.testing.assert_array_equal(buffer.read(low, high), expected)


def test_memory_does_not_grow_with_the_stream() -> None:
    buffer = SampleBuffer()
    for _ in range(1000):
        buffer.append(np.ones(5000, np.complex64))
        buffer.discard_before(buffer.stop - 3000)
    assert buffer._data.size < 40_000
