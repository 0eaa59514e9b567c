"""GNU Radio block: what Burst Receiver counts and measures, as a table in the window of the flowgraph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pmt
from PyQt5 import Qt

from semcom_phy.gr.pdu_block import MessageBlock
from semcom_phy.zmq import Pdu, PmtValue

STATUS: Final = "status"

#: Key in the metadata of the status, its text, and how it is written.
ROWS: Final[tuple[tuple[str, str, str], ...]] = (
    ("esn0_db", "Es/N0", "{:.1f} dB"),
    ("cfo_hz", "Carrier offset", "{:+.1f} Hz"),
    ("clock_offset_ppm", "Clock offset", "{:+.1f} ppm"),
    ("evm_percent", "Error vector", "{:.1f} %"),
    ("level_dbfs", "Level", "{:.1f} dBFS"),
    ("equalizer", "Equaliser", "{}"),
    ("modulation", "Modulation", "{}"),
    ("detections", "Preambles found", "{}"),
    ("bursts", "Bursts received", "{}"),
    ("headers_failed", "Burst headers lost", "{}"),
    ("frames", "Frames received", "{}"),
    ("frames_intact", "Frames intact", "{}"),
    ("frames_lost", "Frames lost", "{}"),
    ("blocks_failed", "Code blocks failed", "{}"),
)
_UNKNOWN: Final = "–"


def describe_status(status: Mapping[str, PmtValue]) -> list[str]:
    """The right column of the table, top to bottom: `ROWS` as text, a dash for what is not there or is no number."""
    column = []
    for key, _, form in ROWS:
        value = status.get(key)
        try:
            column.append(_UNKNOWN if value is None else form.format(value))
        except (TypeError, ValueError):
            column.append(_UNKNOWN)
    return column


class _Messenger(Qt.QObject):
    """Carries texts from the block's thread to the thread of the window."""

    arrived = Qt.pyqtSignal(list)


class BurstView(MessageBlock):
    """A table of Burst Receiver's ``status`` messages; `widget` goes into the window. `title`: above the table."""

    def __init__(self, title: str = "Bursts") -> None:
        MessageBlock.__init__(self, "Burst View", [STATUS], [])
        self.widget = Qt.QGroupBox(title)
        layout = Qt.QGridLayout(self.widget)
        self._values = []
        for row, (_, text, _) in enumerate(ROWS):
            value = Qt.QLabel(_UNKNOWN)
            value.setAlignment(Qt.Qt.AlignRight)
            # Wide enough from the start, so that the window does not move with the numbers.
            value.setMinimumWidth(value.fontMetrics().horizontalAdvance("+000000.0 ppm"))
            layout.addWidget(Qt.QLabel(text), row, 0)
            layout.addWidget(value, row, 1)
            self._values.append(value)
        layout.setRowStretch(len(ROWS), 1)
        self._messenger = _Messenger()
        self._messenger.arrived.connect(self._show)
        self.set_msg_handler(pmt.intern(STATUS), self.handle_status)

    def handle_status(self, message: pmt.pmt_base) -> None:
        """Handle a message at ``status``."""
        self.guarded(message, self._take)

    def _take(self, pdu: Pdu) -> None:
        self._messenger.arrived.emit(describe_status(pdu.metadata))

    def _show(self, column: list[str]) -> None:
        for label, text in zip(self._values, column, strict=True):
            label.setText(text)
