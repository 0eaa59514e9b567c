"""Impairments of complex baseband sample streams: radio front ends, propagation, interference, converters.

One module per kind. `SampleChannel` chains them, ``SampleChannel.open`` starts a stream that takes samples in chunks
of any size, and `parse_impairments` reads a channel from a text. These are no entries of
`semcom_phy.channels.CHANNELS`: those work on symbols and tell the receiver the gain, which here it must find out.
"""

from __future__ import annotations

from semcom_phy.channels.impairments.additive_noise import AdditiveNoise
from semcom_phy.channels.impairments.amplitude_scaling import AmplitudeScaling
from semcom_phy.channels.impairments.base import IMPAIRMENTS, Impairment, Stage, StreamContext, make_impairment
from semcom_phy.channels.impairments.cfo import CarrierFrequencyOffset
from semcom_phy.channels.impairments.channel import SampleChannel, SampleStream
from semcom_phy.channels.impairments.clock import SamplingClockOffset
from semcom_phy.channels.impairments.dc_offset import DcOffset
from semcom_phy.channels.impairments.fading import JakesFading
from semcom_phy.channels.impairments.gaps import Overflow, Underrun
from semcom_phy.channels.impairments.interference import Interferer
from semcom_phy.channels.impairments.iq_imbalance import IqImbalance
from semcom_phy.channels.impairments.multipath import MULTIPATH_PROFILES, Multipath
from semcom_phy.channels.impairments.phase_noise import PHASE_NOISE_PRESETS, PhaseNoise
from semcom_phy.channels.impairments.quantization import Quantization
from semcom_phy.channels.impairments.text import PRESETS, parse_impairments

__all__ = [
    "IMPAIRMENTS",
    "MULTIPATH_PROFILES",
    "PHASE_NOISE_PRESETS",
    "PRESETS",
    "AdditiveNoise",
    "AmplitudeScaling",
    "CarrierFrequencyOffset",
    "DcOffset",
    "Impairment",
    "Interferer",
    "IqImbalance",
    "JakesFading",
    "Multipath",
    "Overflow",
    "PhaseNoise",
    "Quantization",
    "SampleChannel",
    "SampleStream",
    "SamplingClockOffset",
    "Stage",
    "StreamContext",
    "Underrun",
    "make_impairment",
    "parse_impairments",
]
