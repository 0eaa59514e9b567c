"""The whole coding chain of a transport block: CRC, segmentation, turbo code (3GPP TS 36.212 §5.1).

Order of the coded bits: code block after code block; within a block, trellis step after trellis step, and in
each step d(0), d(1), d(2): the natural rate-1/3 order, tail steps last. The <NULL> bits that filler bits
leave in d(0) and d(1) (§5.1.3.2) are not sent: the first F steps of the first block carry d(2) alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.crc import CRC24A, CRC24B, attach, check
from semcom_phy.coding.decoders import LLR_LIMIT, DecoderParams, decode
from semcom_phy.coding.segmentation import (
    SegmentationPlan,
    desegment,
    desegment_llrs,
    plan,
    segment_groups,
)
from semcom_phy.coding.turbo import TAIL_COLUMNS, encode
from semcom_phy.errors import ConfigurationError

Bits = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class TransportOutput:
    """A decoded transport block of A bits in C code blocks. Damaged blocks deliver their bits all the same.

    `bits`: (A,) uint8. `llrs`: (A,) float32, a-posteriori ``ln P(b=1)/P(b=0)``. `block_ok`: (C,) bool, the
    verdict of CRC24B (CRC24A when C = 1). `transport_ok`: the verdict of CRC24A. Neither is ever True for a
    block of which too little was received. `iterations`: (C,) int32, decoder iterations of each block.
    """

    bits: Bits
    llrs: npt.NDArray[np.float32]
    block_ok: npt.NDArray[np.bool_]
    transport_ok: bool
    iterations: npt.NDArray[np.int32]


def _plan(payload_bits: int) -> SegmentationPlan:
    if payload_bits < 1:
        raise ConfigurationError(f"a transport block has at least 1 bit, got {payload_bits}")
    return plan(payload_bits + CRC24A.length)


def _symbols(size: int) -> int:
    """Coded bits of one block of K = `size`, <NULL> positions included."""
    return 3 * (size + TAIL_COLUMNS)


def coded_length(payload_bits: int) -> int:
    """Return G, the number of coded bits for A = `payload_bits` ≥ 1 (ConfigurationError below)."""
    layout = _plan(payload_bits)
    return sum(count * _symbols(size) for count, size in layout.groups) - 2 * layout.filler


def rate(payload_bits: int) -> float:
    """Return the true code rate A/G, with both CRCs, filler and tail bits counted as overhead."""
    return payload_bits / coded_length(payload_bits)


def _restore_nulls(llrs: npt.NDArray, layout: SegmentationPlan) -> npt.NDArray:
    """Put the <NULL> positions back, as bits known to be zero."""
    if layout.filler == 0:
        return llrs
    head = np.full((layout.filler, 3), -LLR_LIMIT, llrs.dtype)
    head[:, 2] = llrs[: layout.filler]
    return np.concatenate([head.ravel(), llrs[layout.filler :]])


@dataclass(frozen=True)
class TurboCode:
    """The turbo code of a transport block and how to decode it.

    `iterations`, `algorithm` and `backend` are those of `semcom_phy.coding.decoders.decode`; with
    `early_stop` a block is finished as soon as its CRC holds.
    """

    iterations: int = 5
    algorithm: str = "log-map"
    backend: str = "auto"
    early_stop: bool = True

    def coded_length(self, payload_bits: int) -> int:
        """Return G, the number of coded bits for A = `payload_bits` ≥ 1."""
        return coded_length(payload_bits)

    def encode(self, bits: npt.ArrayLike) -> Bits:
        """Encode `bits` (A,) of 0/1, A ≥ 1, into (G,) uint8 coded bits.

        Raises ConfigurationError for an empty or non-binary payload.
        """
        payload = np.asarray(bits)
        if payload.ndim != 1 or payload.size == 0 or payload.min() < 0 or payload.max() > 1:
            raise ConfigurationError(
                "a transport block is a one-dimensional array of 0 and 1 with at least one bit, "
                f"got shape {payload.shape}"
            )
        layout = _plan(payload.size)
        groups = segment_groups(attach(payload.astype(np.uint8), CRC24A), layout)
        coded = np.concatenate([encode(group).transpose(0, 2, 1).ravel() for group in groups])
        if layout.filler == 0:
            return coded
        head = coded[: 3 * layout.filler].reshape(layout.filler, 3)[:, 2]
        return np.concatenate([head, coded[3 * layout.filler :]])

    def decode(self, llrs: npt.ArrayLike, payload_bits: int) -> TransportOutput:
        """Decode the LLRs (G,) of a transport block of A = `payload_bits` bits; NaN and 0 are erasures.

        Raises ConfigurationError when their number is not ``coded_length(A)``.
        """
        layout = _plan(payload_bits)
        received = np.asarray(llrs)
        if received.dtype != np.float32:
            received = received.astype(np.float64)
        if received.shape != (coded_length(payload_bits),):
            raise ConfigurationError(
                f"{payload_bits} payload bits need {coded_length(payload_bits)} LLRs, "
                f"got an array of shape {received.shape}"
            )
        padded = _restore_nulls(received, layout)

        # The filler of a single block is leading zeros, which a CRC does not see.
        block_crc_kind = CRC24B if layout.crc_length else CRC24A
        params = DecoderParams(self.iterations, block_crc_kind if self.early_stop else None)

        blocks: list[Bits] = []
        soft: list[npt.NDArray[np.float32]] = []
        observed, iterations = [], []
        start = 0
        for count, size in layout.groups:
            part = padded[start : start + count * _symbols(size)].reshape(count, size + TAIL_COLUMNS, 3)
            start += part.size
            output = decode(part.transpose(0, 2, 1), params, self.algorithm, self.backend)
            blocks.extend(output.bits)
            assert output.llrs is not None  # params asks for them
            soft.extend(output.llrs)
            iterations.append(output.iterations)
            # K bits cannot follow from fewer than K observations, but an erased block decodes to zeros,
            # and zeros satisfy every CRC: such a block is lost, whatever its CRC says.
            known = (part != 0) & ~np.isnan(part)
            observed.append(known.sum(axis=(1, 2)) >= size)

        message, block_crc = desegment(blocks, layout)
        seen = np.concatenate(observed)
        transport_ok = bool(check(message, CRC24A)) and bool(seen.all())
        block_ok = block_crc & seen if layout.crc_length else np.array([transport_ok])
        return TransportOutput(
            message[:payload_bits],
            desegment_llrs(soft, layout)[:payload_bits],
            block_ok,
            transport_ok,
            np.concatenate(iterations),
        )
