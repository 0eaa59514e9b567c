"""GNU Radio block: a few of the many values of a frame, for a display."""

from __future__ import annotations

import time
from typing import Final

import numpy as np

from semcom_phy.errors import ConfigurationError, FormatError
from semcom_phy.gr.pdu_block import PduBlock
from semcom_phy.interleaving import spread_positions
from semcom_phy.registry import nearest
from semcom_phy.zmq import Pdu

#: "as is": the values themselves; "power": their power in dB.
QUANTITIES: Final = ("as is", "power")
_LEAST_POWER: Final = 1e-20


class PduProbe(PduBlock):
    """Passes on at most `items` values of a PDU, evenly spread over it; displays take long over a whole frame.

    `field`: the name of a vector in the metadata, such as "gain"; empty for the vector of the PDU. `quantity`: one of
    `QUANTITIES`. `interval_s`: PDUs that come sooner after the last one are left out, and so are those of lost
    frames. Raises ConfigurationError for values out of range.
    """

    def __init__(self, items: int = 1024, field: str = "", quantity: str = "as is", interval_s: float = 0.1) -> None:
        PduBlock.__init__(self, "PDU Probe")
        if items < 1:
            raise ConfigurationError(f"a display needs at least one item, not {items}")
        if quantity not in QUANTITIES:
            raise ConfigurationError(
                f"unknown quantity {quantity!r}.{nearest(quantity, QUANTITIES)} Known: {', '.join(QUANTITIES)}"
            )
        if not interval_s >= 0.0:
            raise ConfigurationError(f"interval_s must be 0 or positive, not {interval_s}")
        self._items = items
        self._field = field
        self._quantity = quantity
        self._interval_s = interval_s
        self._due = 0.0

    def process(self, pdu: Pdu) -> Pdu:
        """See `PduBlock.process`."""
        values = pdu.metadata.get(self._field) if self._field else pdu.vector
        if not isinstance(values, np.ndarray):
            raise FormatError(f"the PDU has no vector {self._field!r} in its metadata")
        values = values[spread_positions(values.size, min(self._items, values.size))]
        if self._quantity == "power":
            power = np.maximum(np.abs(values.astype(np.complex128)) ** 2, _LEAST_POWER)
            values = (10.0 * np.log10(power)).astype(np.float32)
        return Pdu({}, values)

    def _work(self, pdu: Pdu) -> None:
        now = time.monotonic()
        if pdu.vector.size and now >= self._due:
            self._publish(self.process(pdu))
            self._due = now + self._interval_s
