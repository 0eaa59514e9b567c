"""GNU Radio block with a QT widget: how many frames have arrived, and how well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import pmt
from PyQt5 import QtCore, QtWidgets

from semcom_phy.gr.pdu_block import IN, MessageBlock
from semcom_phy.links.base import LinkStats
from semcom_phy.links.frame_pdus import received_from_pdu
from semcom_phy.zmq import Pdu

_REFRESH_MS: Final = 200


@dataclass(frozen=True)
class Counts:
    """Sums over the received PDUs so far, and the Es/N0 of the last one."""

    received: int = 0
    lost: int = 0
    blocks: int = 0
    blocks_failed: int = 0
    last: LinkStats | None = None

    def with_frame(self, stats: LinkStats) -> Counts:
        """The counts with one more frame."""
        return replace(
            self,
            received=self.received + stats.frames_received,
            lost=self.lost + stats.frames_lost,
            blocks=self.blocks + stats.blocks,
            blocks_failed=self.blocks_failed + stats.blocks_failed,
            last=stats,
        )

    def rows(self) -> list[tuple[str, str]]:
        """What to show: names and values."""
        asked, measured = (self.last.esn0_db, self.last.esn0_measured_db) if self.last else (None, None)
        return [
            ("Frames received", str(self.received)),
            ("Frames lost", _with_share(self.lost, self.received + self.lost)),
            ("Code blocks received", str(self.blocks)),
            ("Code blocks failed", _with_share(self.blocks_failed, self.blocks)),
            ("Es/N0 asked", _decibels(asked)),
            ("Es/N0 measured", _decibels(measured)),
        ]


def _with_share(part: int, whole: int) -> str:
    return f"{part} ({part / whole:.2%})" if whole else str(part)


def _decibels(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f} dB"


class FrameCounters(MessageBlock):
    """Display ``in`` of received frames: counts, and the Es/N0 of the last frame, as asked for and as measured.

    `widget` is the QT widget; it is made, and shown, in the GUI's thread.
    """

    def __init__(self, title: str = "Frames") -> None:
        MessageBlock.__init__(self, "Frame Counters", [IN], [])
        self.counts = Counts()
        self.set_msg_handler(pmt.intern(IN), self.handle)
        self.widget = QtWidgets.QGroupBox(title)
        layout = QtWidgets.QFormLayout(self.widget)
        self._values = []
        for name, _ in self.counts.rows():
            value = QtWidgets.QLabel()
            value.setTextInteractionFlags(QtCore.Qt.TextSelectableByMouse)
            layout.addRow(f"{name}:", value)
            self._values.append(value)
        reset = QtWidgets.QPushButton("Reset")
        reset.clicked.connect(self.reset)
        layout.addRow(reset)
        # Widgets belong to the GUI's thread; it looks at the counts, which the block's thread replaces as a whole.
        self._timer = QtCore.QTimer(self.widget)
        self._timer.timeout.connect(self.refresh)
        self._timer.start(_REFRESH_MS)
        self.refresh()

    def reset(self) -> None:
        """Count anew."""
        self.counts = Counts()
        self.refresh()

    def refresh(self) -> None:
        """Show the counts as they are now."""
        for value, (_, text) in zip(self._values, self.counts.rows(), strict=True):
            value.setText(text)

    def handle(self, message: pmt.pmt_base) -> None:
        """Handle a message at ``in``."""
        self.guarded(message, self._count)

    def _count(self, pdu: Pdu) -> None:
        self.counts = self.counts.with_frame(received_from_pdu(pdu).frame.stats)
