"""The link in pure NumPy: coding, BPSK, a channel model and the receiver, symbol by symbol.

The receiver function `receive_frame` is given the received symbols and the channel state (perfect CSI)
and nothing of what was sent; error counts are added outside it, where the truth is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from semcom_phy.channels import Channel, ChannelOutput
from semcom_phy.coding.rate_matching import REDUNDANCY_VERSIONS
from semcom_phy.coding.transport import FEC_CODES, TurboCode
from semcom_phy.errors import ConfigurationError
from semcom_phy.links import framing
from semcom_phy.links.base import LINKS, Frame, LinkStats, ReceivedFrame, Reception
from semcom_phy.links.payload_coding import decode_payload, encode_payload, payload_coded_length
from semcom_phy.links.truth import payload_places, symbol_stats
from semcom_phy.modulation import MODULATIONS, hard_decisions
from semcom_phy.registry import nearest

_MODULATION = MODULATIONS["bpsk"]


@dataclass(frozen=True)
class NumpyLinkConfig:
    """Configuration of the NumPy link.

    channel: the channel model.
    fec: "turbo" (TS 36.212) or "none" (payload plus one CRC24A).
    turbo: rate of the turbo code; iterations, algorithm and back end of its decoder.
    redundancy_version: which one of the rate-matched turbo code is sent, 0 to 3.
    interleave: permute the coded payload bits over the whole frame.
    seed: seed of the channel; frame k of a link draws from its own generator (seed, k).
    """

    channel: Channel
    fec: str = "turbo"
    turbo: TurboCode = field(default_factory=TurboCode)
    interleave: bool = False
    seed: int = 0
    redundancy_version: int = 0

    def __post_init__(self) -> None:
        if self.fec not in FEC_CODES:
            known = list(FEC_CODES)
            raise ConfigurationError(f"unknown fec {self.fec!r}.{nearest(self.fec, known)} Known: {', '.join(known)}")
        if self.fec != "turbo" and self.turbo.rate is not None:
            raise ConfigurationError(f"a code rate is for fec 'turbo', not for {self.fec!r}; leave it out")
        if self.redundancy_version not in range(REDUNDANCY_VERSIONS if self.turbo.rate is not None else 1):
            raise ConfigurationError(
                "redundancy versions 1 to 3 are for a turbo code with a rate, "
                f"not redundancy version {self.redundancy_version} here"
            )
        if not 0 <= self.seed < 1 << 64:
            raise ConfigurationError(f"seed must be from 0 to 2^64 - 1, not {self.seed}")


def build_frame(frame: Frame, config: NumpyLinkConfig) -> npt.NDArray[np.uint8]:
    """Coded bits of a whole frame, one per BPSK symbol, in the order in which they are sent.

    Raises ConfigurationError for an empty or too large header or payload, or a payload too short for the rate.
    """
    coded_payload = encode_payload(frame.payload, config.fec, config.turbo, config.redundancy_version)
    signalling = framing.Signalling(
        config.fec,
        config.interleave,
        len(frame.header),
        frame.payload.size,
        config.turbo.rate_code,
        config.redundancy_version,
    )
    return framing.assemble_frame(signalling, frame.header, coded_payload)


def receive_frame(output: ChannelOutput, turbo: TurboCode) -> ReceivedFrame:
    """Read one frame from its received symbols and the channel state; uses nothing else.

    `turbo` says how to decode; the rate and redundancy version are those that the frame names. A frame whose
    signalling or header cannot be read, or whose sizes contradict the number of symbols that arrived, is
    returned as lost.
    """
    parts = framing.disassemble_frame(_MODULATION.demap(output.received, output.gain, output.noise_variance))
    if parts is None:
        return ReceivedFrame.lost(LinkStats(frames_lost=1))
    signalling = parts.signalling
    decoded = decode_payload(
        parts.payload_llrs,
        signalling.payload_bits,
        signalling.fec,
        turbo.with_rate_code(signalling.rate_code),
        signalling.redundancy_version,
    )
    stats = LinkStats(
        frames_received=1,
        esn0_measured_db=framing.measured_esn0_db(output.received, output.gain, parts, _MODULATION),
        blocks=decoded.block_ok.size,
        blocks_failed=int(np.count_nonzero(~decoded.block_ok)),
    )
    return ReceivedFrame(parts.header, decoded.bits, decoded.llrs, decoded.block_ok, stats)


@LINKS.register("numpy")
class NumpyLink:
    """Simulated link with perfect channel knowledge at the receiver; deterministic in its seed."""

    def __init__(self, config: NumpyLinkConfig) -> None:
        self.config = config
        self._frames_sent = 0

    def code_rate(self, payload_bits: int) -> float:
        """See `Link.code_rate`."""
        return payload_bits / payload_coded_length(payload_bits, self.config.fec, self.config.turbo)

    def describe(self) -> dict[str, Any]:
        """See `Link.describe`."""
        channel = self.config.channel.describe()
        description = {
            "link": "numpy",
            **channel,
            "modulation": _MODULATION.name,
            "fec": self.config.fec,
            "interleave": self.config.interleave,
            "seed": self.config.seed,
        }
        if self.config.fec == "turbo":
            turbo = self.config.turbo
            description |= {
                "turbo_rate": turbo.rate,
                "redundancy_version": self.config.redundancy_version,
                "turbo_iterations": turbo.iterations,
                "turbo_algorithm": turbo.algorithm,
                "turbo_backend": turbo.backend,
                "turbo_early_stop": turbo.early_stop,
            }
        return description

    def send(self, frames: Sequence[Frame]) -> Reception:
        """See `Link.send`."""
        return Reception(tuple(self._send_one(frame) for frame in frames))

    def _send_one(self, frame: Frame) -> ReceivedFrame:
        coded = build_frame(frame, self.config)
        rng = np.random.default_rng((self.config.seed, self._frames_sent))
        self._frames_sent += 1
        output = self.config.channel.transmit(_MODULATION.modulate(coded), rng)
        received = receive_frame(output, self.config.turbo)
        hard = hard_decisions(_MODULATION.demap(output.received, output.gain, output.noise_variance))
        stats = symbol_stats(frame, received, coded[payload_places(coded.size, len(frame.header))], hard)
        return replace(received, stats=replace(stats, esn0_db=getattr(self.config.channel, "snr_db", None)))
