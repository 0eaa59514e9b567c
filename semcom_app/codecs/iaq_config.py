"""Configuration of IAQ: the paper's settings, ours, and anything between."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Any, Literal

from semcom_app.allocation import ALLOCATORS, AllocationConfig, make_distortion
from semcom_app.allocation.base import AdjustingOrder, Solver
from semcom_app.allocation.distortion import DISTORTIONS, largest_mu, require_convex
from semcom_app.codecs.iaq_samples import COLOURS, Colour, check_side
from semcom_app.patch_quantization import FILLS, PRIORS, RANGES, Fill, Ranges, dropped_bits
from semcom_app.patches import MAX_SIDE
from semcom_app.quantization import MAX_BITS
from semcom_phy.errors import ConfigurationError
from semcom_phy.registry import nearest

Header = Literal["plain", "coded"]
Dequantizer = Literal["hard", "uniform", "estimated"]

HEADERS: tuple[Header, ...] = ("plain", "coded")
DEQUANTIZERS: tuple[Dequantizer, ...] = ("hard", *PRIORS)
MAX_RHO = 2.0
_SIDES = (16, 8, 4)
_PATCHES_A_SIDE = 7
#: Allocations whose bits depend on the error rate of the channel (Section IV).
MODIFIED = ("mia", "mia-greedy", "mwf")
#: Allocations that a threshold can steer in place of a budget.
THRESHOLDED = ("at", "ast")


@dataclass(frozen=True)
class IaqConfig:
    """Configuration of IAQ; the defaults are the paper's.

    allocator: name in `ALLOCATORS`. rho: compression ratio ρ = B_target/(8KN); the header counts.
    patch: side P, pixels; None: 16, the paper's, less for pictures of less than 112 pixels (`side_for`).
    importance: measure of the importance of a patch (`semcom_app.codecs.iaq_importance`).
    minimum, maximum: M_min and M_max. gamma, epsilon: of the weight function, eq. (31).
    mu: bit flip probability that the modified allocations reckon with; None: to be measured over the link first, where
    their distortion depends on it.
    distortion, order, solver: see `AllocationConfig`.
    threshold: of AT and AST, in place of a budget; None: each picture takes what its budget allows.
    colour: samples that are quantized, "rgb" or "ycbcr420" (`semcom_app.codecs.iaq_samples`).
    ranges, fill, value_bits: of the quantizers, see `patch_ranges` and `patch_fill`.
    header: how the quantizers are written, "plain" or arithmetic "coded".
    dequantize: values from damaged payloads: "hard" bits, or posterior means with a "uniform" or an "estimated" prior.
    """

    allocator: str = "ia"
    rho: float = 0.25
    patch: int | None = None
    importance: str = "attention"
    minimum: int = 1
    maximum: int = MAX_BITS
    gamma: float = 1.0
    epsilon: float = 1e-3
    mu: float | None = None
    distortion: str = "one-flip"
    order: AdjustingOrder = "paper"
    solver: Solver = "fast"
    threshold: float | None = None
    colour: Colour = "rgb"
    ranges: Ranges = "full"
    fill: Fill = "mid-range"
    value_bits: int = 8
    header: Header = "plain"
    dequantize: Dequantizer = "hard"

    def __post_init__(self) -> None:
        if self.allocator not in ALLOCATORS:
            ALLOCATORS[self.allocator]  # raises, naming the nearest
        if not 0.0 < self.rho <= MAX_RHO:
            raise ConfigurationError(f"rho must be above 0 and at most {MAX_RHO:g}, not {self.rho}")
        if self.patch is not None and not 1 <= self.patch <= MAX_SIDE:
            raise ConfigurationError(f"patch must be 1 to {MAX_SIDE} pixels a side, not {self.patch}")
        if not 0.0 < self.gamma <= 100.0:
            raise ConfigurationError(f"gamma must be above 0 and at most 100, not {self.gamma}")
        choices: tuple[tuple[str, str, tuple[str, ...]], ...] = (
            ("colour", self.colour, COLOURS),
            ("ranges", self.ranges, RANGES),
            ("fill", self.fill, FILLS),
            ("header", self.header, HEADERS),
            ("dequantize", self.dequantize, DEQUANTIZERS),
        )
        for name, value, known in choices:
            if value not in known:
                raise ConfigurationError(f"unknown {name} {value!r}.{nearest(value, known)} Known: {', '.join(known)}")
        dropped_bits(self.value_bits)  # raises
        if self.patch is not None:
            check_side(self.patch, self.colour)
        if self.threshold is not None and self.allocator not in THRESHOLDED:
            raise ConfigurationError(f"iaq-{self.allocator} has no threshold; leave it out, or take iaq-at or iaq-ast")
        self.allocation(0.0 if self.mu is None else self.mu)  # raises

    def allocation(self, mu: float) -> AllocationConfig:
        """The allocation's part at an error rate of `mu`.

        Raises ConfigurationError when it is out of what a modified allocation can reckon with.
        """
        if self.modified:
            model = make_distortion(self.distortion, mu)
            require_convex(model, self.minimum, self.maximum, real_bits=self.allocator == "mwf")
        return AllocationConfig(
            minimum=self.minimum,
            maximum=self.maximum,
            gamma=self.gamma,
            epsilon=self.epsilon,
            mu=mu if self.modified else 0.0,
            distortion=self.distortion,
            order=self.order,
            solver=self.solver,
            threshold=self.threshold,
        )

    def side_for(self, height: int, width: int) -> int:
        """Side P of the patches of a picture: as configured, else such that a short side has 7 patches or more."""
        if self.patch is not None:
            return self.patch
        short = min(height, width)
        return next((side for side in _SIDES if short >= _PATCHES_A_SIDE * side), _SIDES[-1])

    @property
    def modified(self) -> bool:
        """Whether the bits depend on the error rate of the channel."""
        return self.allocator in MODIFIED

    @property
    def measures_mu(self) -> bool:
        """Whether the bits depend on an error rate that has not been given: `GeometricDistortion` does not."""
        return self.modified and self.mu is None and not DISTORTIONS[self.distortion].geometric

    @property
    def own_ranges(self) -> bool:
        """Whether every patch has a range of its own."""
        return self.ranges == "patch"

    @property
    def paper_header(self) -> bool:
        """Whether the header holds what eq. (12) counts, so that B_add of that equation is its price."""
        return (self.colour, self.header, self.fill) == ("rgb", "plain", "mid-range") and not self.own_ranges

    @property
    def largest_mu(self) -> float:
        """Largest μ that the modified allocations can reckon with, in thousandths (Propositions 1 and 2)."""
        return largest_mu(self.distortion, self.minimum, self.maximum, self.allocator == "mwf")

    @property
    def name(self) -> str:
        """Name of the codec, "iaq-" and the allocator's."""
        return f"iaq-{self.allocator}"


#: Settings by name. "paper": what the publication says. "improved": what is worth it beyond (docs/iaq.md).
IAQ_PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "paper": MappingProxyType({}),
        "improved": MappingProxyType(
            {
                "minimum": 0,
                "distortion": "posterior-mean",
                "order": "exact",
                "colour": "ycbcr420",
                "ranges": "patch",
                "fill": "channel-means",
                "value_bits": 5,
                "header": "coded",
                "dequantize": "estimated",
            }
        ),
    }
)
_FIELDS = frozenset(field.name for field in fields(IaqConfig))


def make_iaq_config(allocator: str, preset: str = "paper", settings: Mapping[str, Any] | None = None) -> IaqConfig:
    """A preset of `IAQ_PRESETS` with some settings changed; None among `settings` leaves what the preset says.

    Raises ConfigurationError for an unknown preset or values out of range.
    """
    if preset not in IAQ_PRESETS:
        raise ConfigurationError(
            f"unknown preset {preset!r}.{nearest(preset, IAQ_PRESETS)} Known: {', '.join(IAQ_PRESETS)}"
        )
    given = {name: value for name, value in (settings or {}).items() if value is not None}
    unknown = set(given) - _FIELDS
    if unknown:
        raise ConfigurationError(f"IAQ has no setting {min(unknown)!r}.{nearest(min(unknown), _FIELDS)}")
    numbers = [name for name, value in given.items() if isinstance(value, float) and not math.isfinite(value)]
    if numbers:
        raise ConfigurationError(f"{numbers[0]} must be a finite number, not {given[numbers[0]]}")
    return IaqConfig(**{"allocator": allocator, **IAQ_PRESETS[preset], **given})
