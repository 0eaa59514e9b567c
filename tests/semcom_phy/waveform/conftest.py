"""Bursts for the tests, and noise of a stated Es/N0."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from semcom_phy.waveform import Burst, BurstHeader, Transmitter, TransmitterConfig, Waveform

MakeBurst = Callable[..., Burst]
AddNoise = Callable[..., np.ndarray]


@pytest.fixture(scope="session")
def make_burst() -> MakeBurst:
    def make(coded_bits: int = 240, modulation: str = "bpsk", seed: int = 0, **fields: int) -> Burst:
        rng = np.random.default_rng(seed)
        values = {
            "image": 7,
            "frame": 1,
            "fragment": 0,
            "fragments": 1,
            "payload_bits": max(coded_bits // 3, 1),
        } | fields
        header = BurstHeader(coded_bits=coded_bits, header_bytes=4, modulation=modulation, **values)
        return Burst(header, b"head", rng.integers(0, 2, header.fragment_bits, dtype=np.uint8))

    return make


@pytest.fixture(scope="session")
def transmitter() -> Transmitter:
    return Transmitter()


@pytest.fixture(scope="session")
def add_noise() -> AddNoise:
    def add(
        samples: np.ndarray, esn0_db: float, rng: np.random.Generator, config: TransmitterConfig | None = None
    ) -> np.ndarray:
        """Noise for bursts of the transmitter's nominal level."""
        config = config or TransmitterConfig()
        energy = 10 ** (config.level_dbfs / 10) * config.waveform.samples_per_symbol
        deviation = np.sqrt(energy * 10 ** (-esn0_db / 10) / 2)
        noise = rng.standard_normal((samples.size, 2)) @ np.array([1, 1j])
        return (samples + deviation * noise).astype(np.complex64)

    return add


@pytest.fixture(scope="session")
def waveform() -> Waveform:
    return Waveform()
