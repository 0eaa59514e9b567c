"""What the command line says about a radio, shared by `tx` and `rx`."""

from __future__ import annotations

from typing import Annotated

import typer

from semcom_app.commands.option_names import named_as_options
from semcom_phy.errors import ConfigurationError
from semcom_phy.radios.base import RadioConfig

RadioOption = Annotated[
    str,
    typer.Option(
        "--radio",
        help="air:ADDRESS, file:PATH, soapy:driver=NAME,… or uhd:ARGUMENTS (docs/radios.md).",
        metavar="RADIO",
    ),
]
FrequencyOption = Annotated[
    float | None, typer.Option("--frequency", help="Centre frequency in Hz; soapy and uhd need it.")
]
RateOfRadioOption = Annotated[
    float | None, typer.Option("--sample-rate", help="Samples per second.", show_default="1e6, or the recording's")
]
GainOption = Annotated[
    float | None, typer.Option("--gain", help="Gain in dB, on the device's scale.", show_default="the device's own")
]
AntennaOption = Annotated[str | None, typer.Option("--antenna", help="Antenna port, as the device calls it.")]
BandwidthOption = Annotated[float | None, typer.Option("--bandwidth", help="Bandwidth of the analogue filter in Hz.")]
ClockOption = Annotated[
    str | None, typer.Option("--clock-source", help="Clock reference, as the device calls it: internal, external …")
]
RadioChannelOption = Annotated[int, typer.Option("--radio-channel", help="Channel of the device, from 0.")]
LinkIdOption = Annotated[int | None, typer.Option("--link-id", help="Identity of the transmitter, 0 to 65535.")]

#: What errors say, and what the command line calls it.
_PARAMETERS = {
    "frequency_hz": "--frequency",
    "sample_rate_hz": "--sample-rate",
    "gain_db": "--gain",
    "antenna": "--antenna",
    "bandwidth_hz": "--bandwidth",
    "clock_source": "--clock-source",
    "channel": "--radio-channel",
}
#: The same of what only opening a radio shows.
OPENING_PARAMETERS = {
    "frequency_hz": "--frequency",
    "sample_rate_hz": "--sample-rate",
    "datatype=cf32_le": "--radio file:…,datatype=cf32_le",
}


def radio_config(
    frequency: FrequencyOption = None,
    sample_rate: RateOfRadioOption = None,
    gain: GainOption = None,
    antenna: AntennaOption = None,
    bandwidth: BandwidthOption = None,
    clock_source: ClockOption = None,
    radio_channel: RadioChannelOption = 0,
) -> RadioConfig:
    """Configuration of a radio; raises ConfigurationError for values that no radio could have."""
    with named_as_options(_PARAMETERS):
        return RadioConfig(frequency, sample_rate, gain, antenna, bandwidth, clock_source, radio_channel)


def check_link_id(link_id: int | None) -> None:
    """Raise ConfigurationError for an identity that no transmitter can have."""
    if link_id is not None and not 0 <= link_id < 1 << 16:
        raise ConfigurationError(f"--link-id must be from 0 to 65535, not {link_id}")
