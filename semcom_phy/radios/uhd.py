"""USRPs, through gr-uhd in a worker process.

``uhd`` takes the first device, ``uhd:serial=…`` or ``uhd:addr=…`` a certain one: arguments go to UHD as they stand,
except for this project's own:

``subdev=SPEC``
    which frontend: ``A:A``, ``A:0`` …
``time_source=NAME``
    where the device takes its time from.
``lo_offset=HZ``
    how far off the signal the local oscillator is tuned; UHD shifts the samples back.
``tail=S``
    how much silence a device has to take before what was sent has left it (2 s).
"""

from __future__ import annotations

from typing import Final

from semcom_phy.radios.base import RADIOS, RadioConfig, RadioReport, ReceiveRadio, TransmitRadio, parse_arguments
from semcom_phy.radios.worker import WorkerReceiver, WorkerTransmitter, probe_worker, request_for

_OWN: Final = ("subdev", "time_source", "lo_offset", "tail")


class UhdDriver:
    """See `RadioDriver`."""

    name = "uhd"

    def open_receiver(self, arguments: str, config: RadioConfig) -> ReceiveRadio:
        """Open a device for receiving."""
        request = request_for(self.name, "receive", parse_arguments(arguments), _OWN, config)
        return WorkerReceiver(f"{self.name}:{arguments}", request)

    def open_transmitter(self, arguments: str, config: RadioConfig) -> TransmitRadio:
        """Open a device for transmitting."""
        request = request_for(self.name, "transmit", parse_arguments(arguments), _OWN, config)
        return WorkerTransmitter(f"{self.name}:{arguments}", request)

    def probe(self, arguments: str) -> list[RadioReport]:
        """What USRPs there are that the arguments fit, and what each reports."""
        return probe_worker(request_for(self.name, "probe", parse_arguments(arguments), _OWN, RadioConfig()))


RADIOS.register("uhd")(UhdDriver())
