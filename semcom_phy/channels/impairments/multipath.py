"""Multipath: delayed copies of the signal, constant or each with its own Rayleigh fading."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from semcom_phy.channels.impairments import kernels
from semcom_phy.channels.impairments.base import (
    IMPAIRMENTS,
    LEVEL_LIMIT_DB,
    ImpairmentBase,
    Samples,
    Stage,
    StreamContext,
    amplitude,
    unit_phasor,
)
from semcom_phy.channels.impairments.fading import MAX_DOPPLER_HZ, FadingGain
from semcom_phy.channels.impairments.fractional_delay import BEFORE, interpolation_taps
from semcom_phy.channels.rayleigh import MAX_SCATTERERS
from semcom_phy.checks import checked_number
from semcom_phy.errors import ConfigurationError

MAX_PATHS = 32
MAX_DELAY_SAMPLES = 100_000.0


@IMPAIRMENTS.register("multipath")
@dataclass(frozen=True)
class Multipath(ImpairmentBase):
    """y(t) = Σ_i a_i·x(t − τ_i), or Σ_i a_i·h_i(t)·x(t − τ_i) with independent Rayleigh gains h_i when it fades.

    `delay`: the τ_i, in `delay_unit` "s" or "samples"; at most 100 000 samples. Delays between samples are band-limited
    interpolation (error below −90 dB within 0.8 of the Nyquist frequency), for which 16 samples are held back until
    `flush`; whole delays are exact and hold nothing back. The stream grows by ⌈longest delay⌉ samples.
    `gain_db` (−200 … 100 dB) and `phase_deg` (−360 … 360°, empty: 0): the a_i; with `normalize`, Σ|a_i|² = 1: the mean
    power of a white signal is kept.
    `doppler_hz`: 0 for a static channel, else f_D of every path, as in "fading", with `scatterers` waves each.
    1 to 32 paths. Profiles by name: `MULTIPATH_PROFILES`.
    """

    name: ClassVar[str] = "multipath"
    delay: tuple[float, ...]
    gain_db: tuple[float, ...]
    phase_deg: tuple[float, ...] = ()
    delay_unit: str = "s"
    doppler_hz: float = 0.0
    scatterers: int = 32
    normalize: bool = True

    def __post_init__(self) -> None:
        self._check_choice("delay_unit", ("s", "samples"))
        self._check_numbers("delay", 0.0, MAX_DELAY_SAMPLES, self.delay_unit, MAX_PATHS)
        self._check_numbers("gain_db", -LEVEL_LIMIT_DB, 100.0, "dB", MAX_PATHS)
        self._check_numbers("phase_deg", -360.0, 360.0, "degrees", MAX_PATHS)
        if not self.phase_deg:
            object.__setattr__(self, "phase_deg", (0.0,) * len(self.gain_db))
        if not 1 <= len(self.delay) == len(self.gain_db) == len(self.phase_deg):
            raise ConfigurationError(
                f"multipath needs a delay, a gain and a phase for each of at least one path, got {len(self.delay)} "
                f"delays, {len(self.gain_db)} gains and {len(self.phase_deg)} phases"
            )
        self._check("doppler_hz", 0.0, MAX_DOPPLER_HZ, "Hz")
        self._check_integer("scatterers", 1, MAX_SCATTERERS)
        if not isinstance(self.normalize, bool):
            raise ConfigurationError(f"normalize must be true or false, got {self.normalize!r}")

    def amplitudes(self) -> list[complex]:
        """Return the a_i."""
        gains = [amplitude(g) * unit_phasor(p) for g, p in zip(self.gain_db, self.phase_deg, strict=True)]
        power = math.fsum(abs(g) ** 2 for g in gains) if self.normalize else 1.0
        return [gain / math.sqrt(power) for gain in gains]

    def open(self, context: StreamContext) -> Stage:
        """See `Impairment.open`."""
        scale = context.sample_rate_hz if self.delay_unit == "s" else 1.0
        delays = [
            checked_number("delay at this sample rate", delay * scale, 0.0, MAX_DELAY_SAMPLES, "samples")
            for delay in self.delay
        ]
        return _Paths([_Path(self, i, delay, context) for i, delay in enumerate(delays)], max(delays))


class _Path:
    """Tap k of a path meets the sample `offset` + k places from the current one."""

    def __init__(self, multipath: Multipath, index: int, delay: float, context: StreamContext) -> None:
        whole = math.floor(-delay)
        fraction = -delay - whole
        self.taps = np.ones(1, np.float32)
        self.offset = whole
        if fraction > 0.0:
            self.taps = interpolation_taps(fraction).astype(np.float32)
            self.offset = whole - BEFORE
        self._fir, self._multiply = kernels.active().fir, kernels.active().multiply
        self._amplitude = np.complex64(multipath.amplitudes()[index])
        self._gain = None
        if multipath.doppler_hz > 0.0:
            rng = context.rng(index)
            self._gain = FadingGain(multipath.doppler_hz, multipath.scatterers, context.sample_rate_hz, rng).source()

    def arrive(self, held: Samples, current: int, count: int) -> Samples:
        """Return this path's part of `count` outputs, the first of which belongs to held[current]."""
        delayed = self._fir(held, current + self.offset, self.taps, count)
        gains = np.full(count, self._amplitude)
        if self._gain is not None:
            gains = self._multiply(gains, self._gain.take(count))
        return np.asarray(self._multiply(delayed, gains))


class _Paths(Stage):
    def __init__(self, paths: list[_Path], longest: float) -> None:
        self._paths = paths
        self._before = max(0, *(-path.offset for path in paths))
        self._after = max(0, *(path.offset + path.taps.size - 1 for path in paths))
        self._tail = math.ceil(longest)
        self._held = np.zeros(self._before, np.complex64)
        self._empty = True

    def push(self, samples: Samples) -> Samples:
        """See `Stage.push`."""
        self._empty &= samples.size == 0
        self._held = np.concatenate([self._held, samples])
        count = max(self._held.size - self._before - self._after, 0)
        out = np.zeros(count, np.complex64)
        for path in self._paths:
            out += path.arrive(self._held, self._before, count)
        self._held = self._held[count:]
        return out

    def flush(self) -> Samples:
        """See `Stage.flush`."""
        return self.push(np.zeros(0 if self._empty else self._after + self._tail, np.complex64))


def _profile(delay_unit: str, *paths: tuple[float, float]) -> dict[str, Any]:
    scale = 1e-9 if delay_unit == "s" else 1.0
    delays, gains = zip(*paths, strict=True)
    return {"delay": tuple(float(f"{d * scale:.12g}") for d in delays), "gain_db": gains, "delay_unit": delay_unit}


MULTIPATH_PROFILES: dict[str, dict[str, Any]] = {
    # Of this testbed, in samples: inter-symbol interference whatever the sample rate is.
    "short": {**_profile("samples", (0.0, 0.0), (1.5, -6.0), (3.25, -12.0)), "phase_deg": (0.0, 70.0, -130.0)},
    "two-ray": {**_profile("samples", (0.0, 0.0), (4.0, -3.0)), "phase_deg": (0.0, 120.0)},
    # Recommendation ITU-R M.1225, Annex 2: indoor office A, pedestrian A, vehicular A; delays in ns.
    "indoor": _profile("s", (0, 0.0), (50, -3.0), (110, -10.0), (170, -18.0), (290, -26.0), (310, -32.0)),
    "pedestrian": _profile("s", (0, 0.0), (110, -9.7), (190, -19.2), (410, -22.8)),
    "vehicular": _profile("s", (0, 0.0), (310, -1.0), (710, -9.0), (1090, -10.0), (1730, -15.0), (2510, -20.0)),
    # 3GPP TS 36.101, Annex B.2.1: extended pedestrian A, extended vehicular A, extended typical urban; in ns.
    "epa": _profile("s", (0, 0.0), (30, -1.0), (70, -2.0), (90, -3.0), (110, -8.0), (190, -17.2), (410, -20.8)),
    "eva": _profile(
        "s",
        (0, 0.0),
        (30, -1.5),
        (150, -1.4),
        (310, -3.6),
        (370, -0.6),
        (710, -9.1),
        (1090, -7.0),
        (1730, -12.0),
        (2510, -16.9),
    ),
    "etu": _profile(
        "s",
        (0, -1.0),
        (50, -1.0),
        (120, -1.0),
        (200, 0.0),
        (230, 0.0),
        (500, 0.0),
        (1600, -3.0),
        (2300, -5.0),
        (5000, -7.0),
    ),
}
"""Parameters of `Multipath` by name: ``Multipath(**MULTIPATH_PROFILES["epa"], doppler_hz=5.0)``."""
