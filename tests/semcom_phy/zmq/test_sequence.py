"""Loss, duplicates and late arrivals against a plain model that remembers every number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.errors import FormatError
from semcom_phy.zmq.sequence import MAX_GAP, SequenceCounter


@given(st.lists(st.integers(0, 60)))
def test_counts(numbers: list[int]) -> None:
    counter = SequenceCounter()
    seen: set[int] = set()
    reordered = duplicates = 0
    for number in numbers:
        assert counter.accept(number) is (number not in seen)
        if number in seen:
            duplicates += 1
        elif seen and number < max(seen):
            reordered += 1
        seen.add(number)
        assert counter.lost == max(seen) + 1 - len(seen)
        assert (counter.duplicates, counter.reordered) == (duplicates, reordered)


def test_memory_is_bounded() -> None:
    counter = SequenceCounter()
    for number in range(0, 20_000, 2):
        counter.accept(number)
    assert counter.lost == 9999
    assert len(counter._gaps) == 1024
    assert counter.accept(19_997)
    assert not counter.accept(1)  # forgotten


def test_absurd_numbers_are_refused_and_change_nothing() -> None:
    counter = SequenceCounter()
    for number in (-1, MAX_GAP, 2**63):
        with pytest.raises(FormatError):
            counter.accept(number)
    assert (counter.next, counter.lost) == (0, 0)
