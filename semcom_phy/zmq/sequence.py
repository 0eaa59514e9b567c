"""Sequence numbers: what was lost, came twice or came late."""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from semcom_phy.errors import FormatError

#: No sender runs this far ahead of its receiver.
MAX_GAP: Final = 2**40
_GAPS_REMEMBERED: Final = 1024


class SequenceCounter:
    """Counts by the numbers 0, 1, 2 … that one sender gives its messages.

    `lost`: numbers passed over that have not come since. `duplicates`: numbers that had come before.
    `reordered`: numbers that came after a higher one. Only the latest 1024 gaps are remembered; a number from an
    older one counts as a duplicate.
    """

    def __init__(self) -> None:
        self.next = 0
        self.lost = 0
        self.duplicates = 0
        self.reordered = 0
        self._gaps: list[tuple[int, int]] = []  # [start, stop) of numbers that are missing, ascending

    def accept(self, number: int) -> bool:
        """Count the message `number`; False says that it came before. Raises FormatError for an absurd number."""
        if not 0 <= number < self.next + MAX_GAP:
            raise FormatError(f"a PDU numbered {number} where {self.next} was due")
        if number < self.next:
            return self._accept_late(number)
        if number > self.next:
            self.lost += number - self.next
            self._gaps.append((self.next, number))
            del self._gaps[:-_GAPS_REMEMBERED]
        self.next = number + 1
        return True

    def _accept_late(self, number: int) -> bool:
        place = bisect_right(self._gaps, (number, MAX_GAP << 24)) - 1
        if place < 0 or number >= self._gaps[place][1]:
            self.duplicates += 1
            return False
        start, stop = self._gaps[place]
        self._gaps[place : place + 1] = [gap for gap in ((start, number), (number + 1, stop)) if gap[0] < gap[1]]
        self.lost -= 1
        self.reordered += 1
        return True
