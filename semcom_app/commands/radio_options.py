"""What the command line says about a radio, shared by `tx` and `rx`."""

from __future__ import annotations

from typing import Annotated

import typer

from semcom_phy.radios.base import RadioConfig

RadioOption = Annotated[
    str,
    typer.Option(
        "--radio",
        help="air:ADDRESS, file:PATH, soapy:driver=NAME,… or uhd:ARGUMENTS (docs/radios.md).",
        metavar="RADIO",
    ),
]
FrequencyOption = Annotated[float | None, typer.Option("--frequency", help="Centre frequency in Hz.")]
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
    return RadioConfig(frequency, sample_rate, gain, antenna, bandwidth, clock_source, radio_channel)
