"""What GNU Radio, SoapySDR and UHD print while samples flow: letters without a newline, and lines.

====================  ======================================================================================
letters               meaning
====================  ======================================================================================
``sO``, ``sU``        gr-soapy: the driver returned an overflow (samples were lost), an underflow
``O``, ``U``          a SoapySDR driver itself (rtlsdr, hackrf …), of the same events; UHD: overflow, underrun
``D``                 UHD: packets from the device were lost, and samples with them
``L``, ``S``          UHD: a packet to the device came late, or out of its order
====================  ======================================================================================

Letters stand at the beginning of a line, and a line of text may follow at once; both are written in one piece.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

_LETTERS: Final = re.compile(r"(?:s[OU]|[OULDS])+")
_ONE: Final = re.compile(r"s[OU]|[OULDS]")
#: How a line begins that may stand behind letters: SoapySDR's and UHD's ``[INFO] …``, GNU Radio's ``name :info: …``.
_TEXT: Final = re.compile(r"\[|\w+ :[a-z]+: ")
#: gr-soapy's sink says so every 0.1 s while the device takes nothing: the writer's own time limit tells of it.
_SINK_WAITS: Final = re.compile(r"Soapy sink error: TIMEOUT")
_LONGEST_LINE: Final = 4096


class DeviceMessages:
    """Counts letters and gives back the lines between them; bytes may be fed in any pieces."""

    def __init__(self) -> None:
        self._letters: Counter[str] = Counter()
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """Take what has been printed; return the lines that are complete, without those that only repeat a wait."""
        *lines, rest = (self._rest + data.decode("utf-8", "replace")).split("\n")
        if _LETTERS.fullmatch(rest):  # counted at once: the next newline may be hours away
            self._count(rest)
            rest = ""
        if len(rest) > _LONGEST_LINE:
            lines.append(rest)
            rest = ""
        self._rest = rest
        return [text for line in lines if (text := self._text(line)) and not _SINK_WAITS.search(text)]

    def _text(self, line: str) -> str:
        found = _LETTERS.match(line)
        # The last letter may already belong to the text: "OOsink :warning: …" has two, "OOsO" three.
        if found is not None:
            for end in range(found.end(), 0, -1):
                letters, text = line[:end], line[end:]
                if _LETTERS.fullmatch(letters) and (not text.strip() or _TEXT.match(text)):
                    self._count(letters)
                    return text.strip()
        return line.strip()

    def _count(self, letters: str) -> None:
        self._letters.update(_ONE.findall(letters))

    @property
    def overruns(self) -> int:
        """Times samples from the device were lost. gr-soapy repeats what a driver prints: they are not added."""
        return max(self._letters["sO"], self._letters["O"]) + self._letters["D"]

    @property
    def underruns(self) -> int:
        """Times the device had nothing to send."""
        return max(self._letters["sU"], self._letters["U"])

    @property
    def late(self) -> int:
        """Packets that came to the device too late."""
        return self._letters["L"]

    @property
    def errors(self) -> int:
        """Packets that came to the device out of their order."""
        return self._letters["S"]
