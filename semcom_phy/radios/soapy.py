"""Radios that SoapySDR drives (RTL-SDR, HackRF, ADALM-Pluto, LimeSDR …), through gr-soapy in a worker process.

``soapy:driver=rtlsdr,serial=…``: arguments go to SoapySDR as they stand, except for this project's own:

``lo_offset=HZ``
    tune the device so far above the frequency and shift the samples back: the constant that its mixer leaves in the
    middle of its band then lies beside the signal. The sample rate has to have room for it.
``correction_ppm=PPM``
    of the device's reference oscillator, where the driver takes one.
``tail=S``
    how much silence a device has to take before what was sent has left it (2 s).
"""

from __future__ import annotations

from typing import Final

from semcom_phy.errors import ConfigurationError
from semcom_phy.radios.base import RADIOS, RadioConfig, RadioReport, ReceiveRadio, TransmitRadio, parse_arguments
from semcom_phy.radios.worker import WorkerReceiver, WorkerTransmitter, probe_worker, request_for

_OWN: Final = ("lo_offset", "correction_ppm", "tail")


class SoapyDriver:
    """See `RadioDriver`."""

    name = "soapy"

    def open_receiver(self, arguments: str, config: RadioConfig) -> ReceiveRadio:
        """Open a device for receiving."""
        request = request_for(self.name, "receive", _device(arguments), _OWN, config)
        return WorkerReceiver(f"{self.name}:{arguments}", request)

    def open_transmitter(self, arguments: str, config: RadioConfig) -> TransmitRadio:
        """Open a device for transmitting."""
        request = request_for(self.name, "transmit", _device(arguments), _OWN, config)
        return WorkerTransmitter(f"{self.name}:{arguments}", request)

    def probe(self, arguments: str) -> list[RadioReport]:
        """What devices there are, or with ``driver=…`` what the one reports."""
        return probe_worker(request_for(self.name, "probe", parse_arguments(arguments), _OWN, RadioConfig()))


def _device(arguments: str) -> dict[str, str]:
    values = parse_arguments(arguments)
    if not values.get("driver"):
        raise ConfigurationError(
            "soapy needs to know the device: soapy:driver=rtlsdr, driver=hackrf, driver=plutosdr, driver=lime …; "
            "'SoapySDRUtil --find' lists what is connected"
        )
    return values


RADIOS.register("soapy")(SoapyDriver())
