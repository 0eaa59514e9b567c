"""Every burst that a receiver found, with the verdict of the frame that it turned out to belong to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from semcom_phy.capture import BurstAnnotation
from semcom_phy.links.air_frames import AirFrame, burst_verdicts
from semcom_phy.waveform import BurstHeader, ReceivedBurst, Waveform
from semcom_phy.waveform.fragments import MAX_REPORTS
from semcom_phy.waveform.layout import burst_symbols

#: Bursts whose verdict is waited for: many never get one (they came late), and a reception may have no end.
MAX_UNSETTLED: Final = MAX_REPORTS
_LEVEL_LIMIT_DB = 200.0


@dataclass(slots=True)
class LoggedBurst:
    """Header and measurements of a burst (see `ReceivedBurst`).

    `crc_ok`: the CRCs of all code blocks that it carries bits of held; None where its frame was not decoded: it came
    after the frame was complete, or its lengths were out of bounds.
    """

    header: BurstHeader
    position: float
    cfo_hz: float
    clock_offset_ppm: float
    esn0_db: float
    evm_percent: float
    level_dbfs: float
    equalizer: str
    symbols_missing: int
    crc_ok: bool | None = None

    def describe(self, waveform: Waveform) -> dict[str, Any]:
        """All that is known, for result.json; units in the key names."""
        header = self.header
        return {
            "time_s": self.position / waveform.sample_rate_hz,
            "position_samples": self.position,
            **header.describe(),
            "symbols": burst_symbols(header.data_symbols),
            "symbols_missing": self.symbols_missing,
            "esn0_db": self.esn0_db,
            "cfo_hz": self.cfo_hz,
            "clock_offset_ppm": self.clock_offset_ppm,
            "evm_percent": self.evm_percent,
            "level_dbfs": self.level_dbfs,
            "equalizer": self.equalizer,
            "crc_ok": self.crc_ok,
        }

    def annotation(self, waveform: Waveform, sample_count: int) -> BurstAnnotation:
        """The burst's annotation in a recording of so many samples, pulse tails included."""
        header = self.header
        symbols = burst_symbols(header.data_symbols) + 2 * waveform.span_symbols
        length = symbols * waveform.samples_per_symbol * (1.0 + self.clock_offset_ppm * 1e-6)
        first = math.floor(self.position - waveform.span_symbols * waveform.samples_per_symbol)
        start = min(max(first, 0), sample_count - 1)
        stop = min(max(first + math.ceil(length), start + 1), sample_count)
        return BurstAnnotation(
            sample_start=start,
            sample_count=stop - start,
            crc_ok=bool(self.crc_ok),
            frame=header.frame,
            image=header.image,
            fragment=header.fragment,
            fragments=header.fragments,
            modulation=header.modulation,
            # A header may claim any lengths; a rate that is none is left out.
            code_rate=rate if 1e-6 <= (rate := header.payload_bits / header.coded_bits) <= 1.0 else None,
            redundancy_version=header.redundancy,
            # Rounded to what they can mean, so that the last bits of a sum do not show in a file.
            es_n0_db=round(max(min(self.esn0_db, _LEVEL_LIMIT_DB), -_LEVEL_LIMIT_DB), 3),
            cfo_hz=round(self.cfo_hz, 3),
            clock_offset_ppm=round(self.clock_offset_ppm, 3),
            evm_rms=round(min(self.evm_percent / 100.0, 1e6), 6),
        )


class BurstLog:
    """List of bursts, in order of their ends; `take` and `settle` are for `AirReceiver` and its frames.

    `taken`, `intact`: bursts so far, and those of them whose verdict was good. They count all, also bursts that are not
    in the list any more, or not among the `MAX_UNSETTLED` whose entries can still get their verdict.
    """

    def __init__(self) -> None:
        self.bursts: list[LoggedBurst] = []
        self.taken = 0
        self.intact = 0
        self._unsettled: dict[float, LoggedBurst] = {}

    def take(self, burst: ReceivedBurst) -> None:
        """Note a burst; its soft bits are not kept."""
        entry = LoggedBurst(
            header=burst.header,
            position=float(burst.position),
            cfo_hz=float(burst.cfo_hz),
            clock_offset_ppm=float(burst.clock_offset_ppm),
            esn0_db=float(burst.esn0_db),
            evm_percent=float(burst.evm_percent),
            level_dbfs=float(burst.level_dbfs),
            equalizer=burst.equalizer,
            symbols_missing=burst.symbols_missing,
        )
        self.taken += 1
        self.bursts.append(entry)
        self._unsettled[entry.position] = entry
        if len(self._unsettled) > MAX_UNSETTLED:
            del self._unsettled[next(iter(self._unsettled))]

    def settle(self, frame: AirFrame) -> None:
        """Give the bursts of a decoded frame their verdicts, wherever their entries are by now."""
        for burst, verdict in zip(frame.assembled.bursts, burst_verdicts(frame), strict=True):
            self.intact += verdict
            entry = self._unsettled.pop(float(burst.position), None)
            if entry is not None:
                entry.crc_ok = verdict

    def remove(self) -> list[LoggedBurst]:
        """Empty the list, and return what was in it."""
        removed, self.bursts = self.bursts, []
        return removed
