"""Seeded code blocks over BPSK/AWGN: what every decoder that is measured gets to see.

Frames come in groups of a fixed size, and each group has a random generator of its own, seeded by
(seed, K, E, Eb/N0, group number). Frame number n of a point is therefore the same bits and the same noise for every
decoder, however many frames are decoded in one call and on however many cores: comparisons of two decoders
are paired.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.coding.crc import CRC24B, attach
from semcom_phy.coding.qpp import BLOCK_SIZES
from semcom_phy.coding.turbo import TAIL_COLUMNS, encode
from semcom_phy.errors import ConfigurationError
from semcom_phy.units import db_to_linear

#: Bits of the code blocks in a group, about; changing this changes all frames.
GROUP_BITS: Final = 1 << 17
EBN0_LIMIT_DB: Final = 50.0
#: Steps of Eb/N0 that have frames of their own, dB.
EBN0_STEP_DB: Final = 1e-6
RATE_LIMITS: Final = (1 / 10, 0.97)


@dataclass(frozen=True)
class Frames:
    """Code blocks sent and received.

    `bits`: (n, K) uint8, the last 24 of each block its CRC24B. `llrs`: (n, 3, K + 4) float32, received
    ``ln P(b=1)/P(b=0)`` in the layout of `semcom_phy.coding.turbo.encode`, 0 for bits that were not transmitted.
    """

    bits: npt.NDArray[np.uint8]
    llrs: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, part: slice) -> Frames:
        return Frames(self.bits[part], self.llrs[part])


def coded_bits(size: int, rate: float | None) -> int:
    """Return E, the bits transmitted for a code block of `size` = K bits: ``round(K / rate)``.

    None stands for the three streams of the encoder in full, E = 3 K + 12 (rate about 1/3). Raises
    ConfigurationError for a K that the code does not have or a rate outside `RATE_LIMITS`.
    """
    if size not in BLOCK_SIZES:
        closest = min(BLOCK_SIZES, key=lambda known: abs(known - size))
        raise ConfigurationError(f"no turbo code block has {size} bits (40 to 6144); the nearest size is {closest}")
    if rate is None:
        return 3 * (size + TAIL_COLUMNS)
    low, high = RATE_LIMITS
    if not low <= rate <= high:
        raise ConfigurationError(f"code rate must be from {low:g} to {high:g} information bits per bit, not {rate:g}")
    return round(size / rate)


@dataclass(frozen=True)
class FrameSource:
    """Random code blocks of `size` bits, sent by BPSK (bit 1 ↔ +1) over AWGN.

    `rate`: information bits (CRC24B included) per transmitted bit, reached by rate matching (TS 36.212 §5.1.4.1,
    redundancy version 0); None sends the streams of the encoder as they are. Eb/N0 counts energy per
    information bit with the true rate K/E: Es/N0 = Eb/N0 · K/E. The noise variance is 1/(2 Es/N0), and the
    receiver knows it: LLR = 2 y/σ².
    """

    size: int
    rate: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        coded_bits(self.size, self.rate)
        if not 0 <= self.seed < 1 << 63:
            raise ConfigurationError(f"seed must be from 0 to 2^63 - 1, not {self.seed}")

    @property
    def coded_bits(self) -> int:
        """E, transmitted bits per code block."""
        return coded_bits(self.size, self.rate)

    @property
    def frames_per_group(self) -> int:
        """Frames drawn from one random generator: a power of two, about `GROUP_BITS` bits."""
        return 1 << int(math.log2(GROUP_BITS / self.size))

    def noise_variance(self, ebn0_db: float) -> float:
        """σ² per real dimension for BPSK symbols ±1."""
        if not abs(ebn0_db) <= EBN0_LIMIT_DB:
            raise ConfigurationError(f"Eb/N0 must be within ±{EBN0_LIMIT_DB:g} dB, not {ebn0_db:g}")
        return 1.0 / (2.0 * self.size / self.coded_bits * db_to_linear(ebn0_db))

    def group(self, ebn0_db: float, number: int) -> Frames:
        """Return group `number` (0, 1, …) of the frames at this Eb/N0."""
        variance = self.noise_variance(ebn0_db)
        point = round((ebn0_db + EBN0_LIMIT_DB) / EBN0_STEP_DB)
        rng = np.random.default_rng([self.seed, self.size, self.coded_bits, point, number])
        count = self.frames_per_group
        # Every block size is a multiple of eight.
        payload = rng.integers(0, 256, (count, (self.size - CRC24B.length) // 8), dtype=np.uint8)
        bits = attach(np.unpackbits(payload, axis=1), CRC24B)
        coded = encode(bits)
        if self.rate is not None:
            from semcom_phy.coding.rate_matching import dematch, match

            coded = match(coded, self.coded_bits, 0)
        received = rng.standard_normal(coded.shape, dtype=np.float32)
        received *= np.float32(math.sqrt(variance))
        received += 2.0 * coded.astype(np.float32) - 1.0
        received *= np.float32(2.0 / variance)
        if self.rate is not None:
            received = np.ascontiguousarray(dematch(received, self.size, 0), dtype=np.float32)
        return Frames(bits, received)

    def batches(self, ebn0_db: float, batch: int, workers: int = 1) -> Generator[Frames, None, None]:
        """Yield the frames of a point in order and without end, `batch` at a time.

        With more than one worker the groups to come are drawn in the background. Close the iterator after use.
        """
        with closing(self._groups(ebn0_db, workers)) as groups:
            held: list[Frames] = []
            while True:
                while sum(map(len, held)) < batch:
                    held.append(next(groups))
                joined = Frames(
                    np.concatenate([part.bits for part in held]), np.concatenate([part.llrs for part in held])
                )
                yield joined[:batch]
                held = [joined[batch:]]

    def _groups(self, ebn0_db: float, workers: int) -> Generator[Frames, None, None]:
        number = 0
        if workers <= 1:
            while True:
                yield self.group(ebn0_db, number)
                number += 1
        with ThreadPoolExecutor(workers) as pool:
            waiting: deque[Future[Frames]] = deque()
            try:
                while True:
                    while len(waiting) <= workers:
                        waiting.append(pool.submit(self.group, ebn0_db, number))
                        number += 1
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(wait=False, cancel_futures=True)
