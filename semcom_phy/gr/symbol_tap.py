"""The payload symbols of received bursts, for displays: what `AirReceiver` measures on its way to the LLRs."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from semcom_phy.links.air_frames import AirReceiver
from semcom_phy.waveform import BurstHeader, Receiver, ReceiverConfig
from semcom_phy.waveform.burst_header import HEADER_SYMBOLS
from semcom_phy.waveform.dump import SignalDump
from semcom_phy.waveform.layout import burst_layout

Symbols = npt.NDArray[np.complex64]

_REMEMBERED: Final = 32


def payload_places(header: BurstHeader) -> npt.NDArray[np.int64]:
    """Places of the payload symbols of a burst, counted from its first preamble symbol: int64 (payload symbols,)."""
    strong = HEADER_SYMBOLS + header.application_symbols
    return burst_layout(header.data_symbols).data[strong : strong + header.payload_symbols]


class SymbolTap(SignalDump):
    """Keeps the equalised symbols of the last bursts in memory, where a `SignalDump` writes them to files."""

    def __init__(self) -> None:
        self._burst: dict[int, Symbols] = {}
        self._found: dict[float, Symbols] = {}

    def stream(self, name: str, values: npt.NDArray) -> None:
        """Streams are not kept."""

    def burst(self, number: int, **signals: npt.NDArray) -> None:
        """Keep the symbols of a burst with their gain taken out."""
        if "symbols" in signals and "gain" in signals:
            gain = np.where(signals["gain"] == 0, 1, signals["gain"])
            self._burst[number] = (signals["symbols"] / gain).astype(np.complex64)

    def note(self, number: int, **facts: Any) -> None:
        """Learn where the burst lies, by which it is asked for."""
        symbols = self._burst.pop(number, None)
        if symbols is not None:
            self._found[facts["position"]] = symbols
        while len(self._found) > _REMEMBERED:
            del self._found[next(iter(self._found))]

    def payload(self, position: float, header: BurstHeader) -> Symbols:
        """Payload symbols of the burst at this position, of unit mean energy when sent; each is given once."""
        symbols = self._found.pop(position, np.empty(0, np.complex64))
        places = payload_places(header)
        return symbols[places[places < symbols.size]]


class TappedReceiver(Receiver):
    """A receiver whose internal signals go to a tap."""

    def __init__(self, config: ReceiverConfig, tap: SymbolTap) -> None:
        super().__init__(config)
        self._dump = tap


def tap_symbols(receiver: AirReceiver) -> SymbolTap:
    """Tap a receiver that has not been given samples yet."""
    tap = SymbolTap()
    receiver.receiver = TappedReceiver(receiver.receiver.config, tap)
    return tap
