"""Radios behind one interface: samples out, samples in, and what the device reports.

`parse_radio` turns a text such as ``soapy:driver=rtlsdr`` into a driver and its arguments; `open_receiver` and
`open_transmitter` open the device. Drivers are in a module each and register themselves in `RADIOS`.
"""

from __future__ import annotations

import importlib

from semcom_phy.radios.base import (
    RADIOS,
    RadioCapabilities,
    RadioConfig,
    RadioCounts,
    RadioDriver,
    RadioError,
    RadioReport,
    RadioTimeoutError,
    Range,
    ReceiveRadio,
    TransmitRadio,
    check_config,
    open_receiver,
    open_transmitter,
    parse_arguments,
    parse_radio,
    probe,
)

for _name in ("air", "file", "soapy", "uhd"):
    importlib.import_module(f"semcom_phy.radios.{_name}")

__all__ = [
    "RADIOS",
    "RadioCapabilities",
    "RadioConfig",
    "RadioCounts",
    "RadioDriver",
    "RadioError",
    "RadioReport",
    "RadioTimeoutError",
    "Range",
    "ReceiveRadio",
    "TransmitRadio",
    "check_config",
    "open_receiver",
    "open_transmitter",
    "parse_arguments",
    "parse_radio",
    "probe",
]
