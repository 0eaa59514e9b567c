"""What a flowgraph does to frames, as far as the side that sends them knows it, and what it can then count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from semcom_phy.channels import make_channel
from semcom_phy.coding import crc
from semcom_phy.coding.transport import TurboCode
from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.interleaving import interleave, permutation
from semcom_phy.links import framing
from semcom_phy.links.air_frames import FrameFormat, frame_bursts
from semcom_phy.links.base import Frame, LinkStats, ReceivedFrame
from semcom_phy.links.frame_pdus import MAX_PDU_BITS, ReceivedPdu, frame_to_pdu
from semcom_phy.links.numpy_link import NumpyLink, NumpyLinkConfig
from semcom_phy.links.payload_coding import encode_payload
from semcom_phy.links.truth import burst_stats, symbol_stats, with_payload_errors

#: What a welcome holds besides settings, and what the link says better.
_NOT_SETTINGS = ("flowgraph", "version", "link")


class Chain(Protocol):
    """How a flowgraph carries frames, as far as the side that sends them has to know.

    `silence_is_loss`: whether a frame can go astray without the flowgraph's knowing, so that no answer means nothing
    else; where not, a flowgraph that gives none hangs.
    """

    silence_is_loss: bool

    def check(self, frame: Frame) -> None:
        """Raise ConfigurationError for a frame that the chain cannot carry, before anything is sent."""

    def code_rate(self, payload_bits: int) -> float:
        """See `Link.code_rate`."""

    def describe(self) -> dict[str, Any]:
        """Configuration for result.json."""

    def account(self, frame: Frame, received: ReceivedPdu | None) -> LinkStats:
        """All that is known of a frame that was sent; `received` is None when nothing came back."""


class SymbolChain:
    """The chain of the NumPy link, block by block: every symbol arrives, and every frame is answered.

    `description`: replaces that of the configured channel, for result.json.
    """

    silence_is_loss = False

    def __init__(self, config: NumpyLinkConfig, description: Mapping[str, Any] | None = None) -> None:
        self.config = config
        self._link = NumpyLink(config)
        self._description = self._link.describe() if description is None else dict(description)

    def check(self, frame: Frame) -> None:
        """See `Chain.check`."""
        check_frame(frame)
        self.code_rate(frame.payload.size)

    def code_rate(self, payload_bits: int) -> float:
        """See `Chain.code_rate`."""
        return self._link.code_rate(payload_bits)

    def describe(self) -> dict[str, Any]:
        """See `Chain.describe`."""
        return dict(self._description)

    def account(self, frame: Frame, received: ReceivedPdu | None) -> LinkStats:
        """See `Chain.account`: every coded bit of the payload is compared."""
        hard = None if received is None else received.hard
        stats = symbol_stats(frame, _arrived(received), self._coded_payload(frame), hard)
        return replace(stats, esn0_db=self._description.get("snr_db")) if stats.esn0_db is None else stats

    def _coded_payload(self, frame: Frame) -> npt.NDArray[np.uint8]:
        """The coded bits of the payload in the order in which they are sent."""
        config = self.config
        coded = encode_payload(frame.payload, config.fec, config.turbo, config.redundancy_version)
        if config.interleave:
            coded = interleave(coded, permutation(coded.size, framing.INTERLEAVER_SEED))
        return coded


class BlockChain:
    """Code blocks of one size in a stream, K bits with their CRC24A, each of 3·K symbols; the header stays outside.

    GNU Radio's own turbo code ends its trellises nowhere, so that there are no tail bits.
    """

    silence_is_loss = False

    def __init__(self, block_bits: int, description: Mapping[str, Any]) -> None:
        if not crc.CRC24A.length < block_bits <= 6144:
            raise ConfigurationError(f"a code block has 25 to 6144 bits, not {block_bits}")
        self.block_bits = block_bits
        self._description = dict(description)

    def check(self, frame: Frame) -> None:
        """See `Chain.check`."""
        check_frame(frame)

    def code_rate(self, payload_bits: int) -> float:
        """See `Chain.code_rate`."""
        return payload_bits / self._uses(payload_bits)

    def describe(self) -> dict[str, Any]:
        """See `Chain.describe`."""
        return dict(self._description)

    def account(self, frame: Frame, received: ReceivedPdu | None) -> LinkStats:
        """See `Chain.account`; of coded bits nothing is known."""
        arrived = _arrived(received)
        stats = replace(arrived.stats, channel_uses=self._uses(frame.payload.size))
        return with_payload_errors(stats, frame, arrived)

    def _uses(self, payload_bits: int) -> int:
        return 3 * self.block_bits * -(-payload_bits // (self.block_bits - crc.CRC24A.length))


class BurstChain:
    """Bursts as samples: of a frame of which the receiver has found nothing, nothing comes back.

    `description`: of what is between transmitter and receiver, for result.json.
    """

    silence_is_loss = True

    def __init__(self, frames: FrameFormat, description: dict[str, Any], esn0_db: float | None = None) -> None:
        self.frames = frames
        self._description = description
        self._esn0_db = esn0_db

    def check(self, frame: Frame) -> None:
        """See `Chain.check`."""
        check_frame(frame)
        self.code_rate(frame.payload.size)

    def code_rate(self, payload_bits: int) -> float:
        """See `Chain.code_rate`: all passes counted."""
        return payload_bits / (self.frames.passes * self.frames.coded_length(payload_bits))

    def describe(self) -> dict[str, Any]:
        """See `Chain.describe`."""
        return dict(self._description)

    def account(self, frame: Frame, received: ReceivedPdu | None) -> LinkStats:
        """See `Chain.account`; of coded bits only what the flowgraph counts itself is known."""
        stats = burst_stats(frame, _arrived(received), frame_bursts(frame, self.frames, image=0))
        return replace(stats, esn0_db=self._esn0_db) if stats.esn0_db is None else stats


def chain_from_settings(settings: Mapping[str, Any]) -> Chain:
    """The chain of a flowgraph from what its Application block says of it: the keys of `Link.describe`.

    With ``samples_per_symbol`` it is one of bursts, with ``block_bits`` one of code blocks in a stream, otherwise one
    of symbols. Raises LinkError when something is missing or makes no sense.
    """
    try:
        described = {
            "channel": settings["channel"],
            "fec": settings["fec"],
            "modulation": "bpsk",
            **stated_settings(settings),
        }
        if "samples_per_symbol" in settings:
            return _burst_chain(settings, described)
        if "block_bits" in settings:
            return BlockChain(settings["block_bits"], described)
        return _symbol_chain(settings, described)
    except KeyError as error:
        raise LinkError(
            f"the flowgraph does not say its {error.args[0]}; add it to the settings of its Application block"
        ) from None
    except (TypeError, ValueError) as error:  # ConfigurationError is one, too
        raise LinkError(f"the flowgraph says of itself what cannot be: {error}") from None


def stated_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of what an Application block says: the settings, as far as result.json can hold them."""
    return {
        key: value
        for key, value in settings.items()
        if key not in _NOT_SETTINGS and isinstance(value, str | int | float | None)
    }


def _symbol_chain(settings: Mapping[str, Any], described: Mapping[str, Any]) -> SymbolChain:
    if described["modulation"] != "bpsk":
        raise ConfigurationError(f"modulation {described['modulation']!r}; symbols of this link are BPSK")
    # Which channel it is does not matter for what was sent.
    config = NumpyLinkConfig(
        make_channel("ideal"),
        settings["fec"],
        _turbo(settings),
        _flag(settings, "interleave"),
        redundancy_version=settings.get("redundancy_version", 0),
    )
    return SymbolChain(config, described)


def _burst_chain(settings: Mapping[str, Any], described: Mapping[str, Any]) -> BurstChain:
    given = {name: settings[name] for name in ("modulation", "passes", "fragment_symbols") if name in settings}
    frames = FrameFormat(fec=settings["fec"], turbo=_turbo(settings), interleave=_flag(settings, "interleave"), **given)
    return BurstChain(frames, {**described, "bits_per_symbol": frames.bits_per_symbol}, described.get("snr_db"))


def _turbo(settings: Mapping[str, Any]) -> TurboCode:
    if settings["fec"] != "turbo":
        return TurboCode()
    given = {name: settings[f"turbo_{name}"] for name in ("iterations", "algorithm") if f"turbo_{name}" in settings}
    return TurboCode(rate=settings.get("turbo_rate") or None, **given)


def _flag(settings: Mapping[str, Any], name: str) -> bool:
    value = settings[name]
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be true or false, not {value!r}")
    return value


def _arrived(received: ReceivedPdu | None) -> ReceivedFrame:
    return ReceivedFrame.lost(LinkStats(frames_lost=1)) if received is None else received.frame


def check_frame(frame: Frame) -> None:
    """Raise ConfigurationError for a frame that cannot travel as a PDU, or whose answer could not."""
    if frame.payload.size > MAX_PDU_BITS:
        raise ConfigurationError(
            f"a frame of {frame.payload.size} payload bits does not fit into a message to GNU Radio, which holds "
            f"{MAX_PDU_BITS}; send a smaller picture, for example with --size 1024"
        )
    frame_to_pdu(0, frame)
