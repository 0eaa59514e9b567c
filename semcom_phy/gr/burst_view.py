"""GNU Radio block: what Burst Receiver or Burst Transmitter counts, as a table in the window of the flowgraph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pmt
from PyQt5 import Qt

from semcom_phy.errors import ConfigurationError
from semcom_phy.gr.pdu_block import MessageBlock
from semcom_phy.zmq import Pdu, PmtValue

STATUS: Final = "status"

#: Key in the metadata of the status, its text, and how it is written.
Rows = tuple[tuple[str, str, str], ...]

_RECEIVER: Final[Rows] = (
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
_TRANSMITTER: Final[Rows] = (
    ("level_dbfs", "Level", "{:.1f} dBFS"),
    ("peak_dbfs", "Peak", "{:.1f} dBFS"),
    ("modulation", "Modulation", "{}"),
    ("bursts_sent", "Bursts sent", "{}"),
    ("frames_sent", "Frames sent", "{}"),
    ("frames_waiting", "Frames waiting", "{}"),
    ("frames_refused", "Frames refused", "{}"),
)
#: The tables that there are, by the block that gives the status.
TABLES: Final[dict[str, Rows]] = {"receiver": _RECEIVER, "transmitter": _TRANSMITTER}
_UNKNOWN: Final = "–"


def describe_status(status: Mapping[str, PmtValue], rows: Rows = _RECEIVER) -> list[str]:
    """The right column of a table, top to bottom: `rows` as text, a dash for what is not there or is no number."""
    column = []
    for key, _, form in rows:
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
    """A table of ``status`` messages; `widget` goes into the window.

    `title`: above the table. `end`: one of `TABLES`, the block whose status it is (ConfigurationError for others).
    """

    def __init__(self, title: str = "Bursts", end: str = "receiver") -> None:
        MessageBlock.__init__(self, "Burst View", [STATUS], [])
        if end not in TABLES:
            raise ConfigurationError(f"end must be one of {', '.join(TABLES)}, got {end!r}")
        self._rows = TABLES[end]
        self.widget = Qt.QGroupBox(title)
        layout = Qt.QGridLayout(self.widget)
        self._values = []
        for row, (_, text, _) in enumerate(self._rows):
            value = Qt.QLabel(_UNKNOWN)
            value.setAlignment(Qt.Qt.AlignRight)
            # Wide enough from the start, so that the window does not move with the numbers.
            value.setMinimumWidth(value.fontMetrics().horizontalAdvance("+000000.0 ppm"))
            layout.addWidget(Qt.QLabel(text), row, 0)
            layout.addWidget(value, row, 1)
            self._values.append(value)
        layout.setRowStretch(len(self._rows), 1)
        self._messenger = _Messenger()
        self._messenger.arrived.connect(self._show)
        self.set_msg_handler(pmt.intern(STATUS), self.handle_status)

    def handle_status(self, message: pmt.pmt_base) -> None:
        """Handle a message at ``status``."""
        self.guarded(message, self._take)

    def _take(self, pdu: Pdu) -> None:
        self._messenger.arrived.emit(describe_status(pdu.metadata, self._rows))

    def _show(self, column: list[str]) -> None:
        for label, text in zip(self._values, column, strict=True):
            label.setText(text)
