"""Bursts on the air: what a transmitter sends and a receiver finds in a stream of samples (docs/air-interface.md).

bits → split_frame → Transmitter → samples … samples → Receiver → FrameAssembler → LLRs
"""

from semcom_phy.waveform.burst_header import BurstHeader
from semcom_phy.waveform.detector import DetectorConfig
from semcom_phy.waveform.fragments import (
    AssembledFrame,
    AssemblerConfig,
    FrameAssembler,
    FrameVersion,
    split_frame,
)
from semcom_phy.waveform.pulse import Waveform
from semcom_phy.waveform.receiver import ReceivedBurst, Receiver, ReceiverConfig
from semcom_phy.waveform.transmitter import Burst, Transmitter, TransmitterConfig

__all__ = [
    "AssembledFrame",
    "AssemblerConfig",
    "Burst",
    "BurstHeader",
    "DetectorConfig",
    "FrameAssembler",
    "FrameVersion",
    "ReceivedBurst",
    "Receiver",
    "ReceiverConfig",
    "Transmitter",
    "TransmitterConfig",
    "Waveform",
    "split_frame",
]
