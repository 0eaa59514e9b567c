"""Number formats of the decoder: which semiring the recursions run over, and in which numbers.

The BCJR recursions need two operations on metrics: `join` goes along a path (the metric of a path is that of its
parts), `merge` is taken where paths meet. The log domain has join = + and merge = max*(a, b) = ln(e^a + e^b) or an
approximation of it. The probability domain has join = × and merge = +; it computes exact log-MAP without a single
logarithm, and a merge is a fused multiply-add. The kernels are written once, in terms of these two.

An `Arithmetic` travels through the kernels as an argument that carries no data: its numba type says all, so
that numba compiles (and keeps on disk) one version of each kernel for each arithmetic.

Ranges. From any state every other can be reached in three steps, so two state metrics never differ by more than
three times the largest branch metric. With the clipping below all sums and products stay inside the number format
between two normalisations, also for contradictory input, whatever the block length.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.core.datamodel import models
from numba.extending import NativeValue, overload, register_model, typeof_impl, unbox

from semcom_phy.coding.decoders.interface import LINEAR_OFFSET, TABLE_STEP, table_thresholds
from semcom_phy.coding.decoders.numba_bcjr.vectors import (
    Vec,
    add_where_below,
    average,
    columns_at_once,
    distance,
    exponential,
    larger,
    logarithm,
    quartered,
    rough_reciprocal,
    smaller,
    splat,
)


@dataclass(frozen=True)
class Arithmetic:
    """One number format of the decoder, for one width of vector.

    `algorithm`: see `interface.ALGORITHMS`. `dtype`: NumPy name of an element. `lanes`: elements of a vector.
    `scale`: units per nat of the log-domain formats. `channel_limit`, `extrinsic_limit`: LLRs are clipped to ± these,
    in nats. `bias`: what is added to every state metric, so that it is never negative. `interval`: steps between
    normalisations of the state metrics, a power of two. `alpha_stride`: 1 to keep α at every step for the backward run,
    2 to compute every second one again: faster where storing costs more than a step does.
    `sources`: fingerprint of this package's source, so that kernels compiled from another version are never taken
    from the disk.
    """

    algorithm: str
    dtype: str
    lanes: int
    scale: float
    channel_limit: float
    extrinsic_limit: float
    bias: int
    interval: int
    alpha_stride: int
    sources: str

    @property
    def probability_domain(self) -> bool:
        """Whether metrics are probabilities rather than their logarithms."""
        return self.algorithm == "log-map"


class ArithmeticType(types.Type):
    """Numba type of an `Arithmetic`: all of its content, and none of it at run time."""

    def __init__(self, arithmetic: Arithmetic) -> None:
        self.arithmetic = arithmetic
        self.vec = Vec(getattr(types, arithmetic.dtype), arithmetic.lanes)
        super().__init__(name=repr(arithmetic))


@register_model(ArithmeticType)
class _ArithmeticModel(models.OpaqueModel):
    pass


@typeof_impl.register(Arithmetic)
def _typeof(value: Arithmetic, context: Any) -> ArithmeticType:
    return ArithmeticType(value)


@unbox(ArithmeticType)
def _unbox(kind: ArithmeticType, value: Any, context: Any) -> NativeValue:
    return NativeValue(ir.Constant(ir.IntType(8).as_pointer(), None))


# All: (scale, channel_limit, extrinsic_limit, bias, interval).
#: Fixed point counts in 1/16 nat: channel LLRs within ± 15.9 nats, extrinsic ones within ± 31.9. A step adds at most
#: 1021 (with a correction 1031) to a metric: after eight steps it is within ± (8·1021 + 3·1021), or with bias 8192
#: after four within 8192 ± (4·1031 + 3·1021); in both cases the sum of two metrics stays below 2^15.
_FIXED_POINT_MAX_LOG: Final = (16.0, 255 / 16, 511 / 16, 0, 8)
_FIXED_POINT: Final = (16.0, 255 / 16, 511 / 16, 8192, 4)
_FLOATING_LOG: Final = (1.0, 1e4, 1e5, 0, 8)
#: A branch gain is at most e^43 in float32, so that the sum of the states grows to at most 4·e^86 < e^88 in two steps;
#: in float64 e^340, and 4·e^680 < e^709.
_PROBABILITY: Final = {"float32": (1.0, 15.0, 13.0, 0, 2), "float64": (1.0, 80.0, 180.0, 0, 2)}

#: Arithmetics of each algorithm, the one that "auto" takes first.
ARITHMETICS_OF: Final[dict[str, tuple[str, ...]]] = {
    "log-map": ("float32", "float64"),
    "linear-log-map": ("int16", "float32"),
    "table-log-map": ("int16", "float32"),
    "max-log": ("int16", "float32"),
}


def make_arithmetic(algorithm: str, dtype: str, vector_bits: int, sources: str) -> Arithmetic:
    """Return the arithmetic for vectors of `vector_bits` bits (128, 256 or 512)."""
    if algorithm == "log-map":
        numbers = _PROBABILITY[dtype]
    elif dtype == "int16":
        numbers = _FIXED_POINT_MAX_LOG if algorithm == "max-log" else _FIXED_POINT
    else:
        numbers = _FLOATING_LOG
    alpha_stride = 2 if algorithm == "max-log" else 1
    return Arithmetic(algorithm, dtype, vector_bits // (8 * np.dtype(dtype).itemsize), *numbers, alpha_stride, sources)


# --- operations on metrics: stubs for Python, overloads for numba ----------------------------------------


def lanes_of(ar):
    """Lanes of a vector; a constant in compiled code, unlike `Geometry.lanes`."""
    raise NotImplementedError


def interval(ar):
    """Steps between normalisations of the state metrics."""
    raise NotImplementedError


def join(ar, a, b):
    """Metric of two parts of a path together."""
    raise NotImplementedError


def ratio(ar, a, b):
    """Undo `join`: the metric a without its part b."""
    raise NotImplementedError


def merge(ar, a, b):
    """Metric of two paths that meet."""
    raise NotImplementedError


def neutral(ar):
    """Metric of a path of no steps (biased, as state metrics are)."""
    raise NotImplementedError


def normalised(ar, states):
    """Eight state metrics divided by a common factor, so that they stay in range."""
    raise NotImplementedError


def weighed(ar, numerator, denominator):
    """Ratio of the metrics of bit 1 and bit 0: an extrinsic value, not yet clipped."""
    raise NotImplementedError


def limited(ar, extrinsic):
    """An extrinsic value as it enters the next decoding: scaled for max-log, and clipped."""
    raise NotImplementedError


def channel_scale(ar):
    """Units per nat."""
    raise NotImplementedError


def channel_limit(ar):
    """Largest magnitude of a channel LLR, in units."""
    raise NotImplementedError


def rounds(ar):
    """Whether LLRs are whole numbers of units."""
    raise NotImplementedError


def columns_of(ar):
    """Columns that `load_transposed` and `store_transposed` move at once."""
    raise NotImplementedError


def known_state(ar, certain):
    """Metric of a state that is certain, or impossible."""
    raise NotImplementedError


def state_metric(ar, value, metrics):
    """Metric of a state from its logarithm `value` in units, one of the eight of `metrics`."""
    raise NotImplementedError


def received(ar, llr):
    """Turn a clipped channel LLR (in units) into a metric ratio."""
    raise NotImplementedError


def decided(ar, value):
    """Turn a metric ratio into an LLR (in units)."""
    raise NotImplementedError


def _overload(function: Callable) -> Callable:
    return overload(function, jit_options={"forceinline": True, "nogil": True, "error_model": "numpy"})


@_overload(lanes_of)
def _lanes_of(ar):
    lanes = ar.arithmetic.lanes
    return lambda ar: lanes


@_overload(interval)
def _interval(ar):
    steps = ar.arithmetic.interval
    return lambda ar: steps


@_overload(join)
def _join(ar, a, b):
    if ar.arithmetic.probability_domain:
        return lambda ar, a, b: a * b
    return lambda ar, a, b: a + b


@_overload(ratio)
def _ratio(ar, a, b):
    if ar.arithmetic.probability_domain:
        return lambda ar, a, b: a / b
    return lambda ar, a, b: a - b


@_overload(neutral)
def _neutral(ar):
    one = 1.0 if ar.arithmetic.probability_domain else ar.arithmetic.bias
    return lambda ar: splat(ar, one)


@_overload(merge)
def _merge(ar, a, b):
    kind: Arithmetic = ar.arithmetic
    if kind.probability_domain:
        return lambda ar, a, b: a + b
    if kind.algorithm == "max-log":
        return lambda ar, a, b: larger(a, b)
    if kind.algorithm == "table-log-map":
        return _merge_by_table(kind)
    offset = LINEAR_OFFSET * kind.scale
    if kind.dtype == "int16":

        def fixed_point(ar, a, b):
            # M + max(0, c − (M − m)/4) = max(M, (3M + m)/4 + c), by two averages
            most = larger(a, b)
            return larger(most, average(most, average(a, b)) + splat(ar, offset))

        return fixed_point

    def floating(ar, a, b):
        most = larger(a, b)
        return larger(most, (most + most + a + b) * splat(ar, 0.25) + splat(ar, offset))

    return floating


def _merge_by_table(kind: Arithmetic) -> Callable:
    """M plus the rounded correction: as many steps as there are thresholds that |a − b| does not reach."""
    fixed = kind.dtype == "int16"
    step = round(TABLE_STEP * kind.scale) if fixed else TABLE_STEP * kind.scale
    # Whole distances below a threshold are those below its ceiling.
    limits = tuple(float(np.ceil(t * kind.scale)) if fixed else t * kind.scale for t in table_thresholds())
    t1, t2, t3, t4, t5, t6 = limits

    def merge_by_table(ar, a, b):
        d = distance(a, b)
        s = splat(ar, step)
        total = larger(a, b)
        total = add_where_below(total, d, splat(ar, t1), s)
        total = add_where_below(total, d, splat(ar, t2), s)
        total = add_where_below(total, d, splat(ar, t3), s)
        total = add_where_below(total, d, splat(ar, t4), s)
        total = add_where_below(total, d, splat(ar, t5), s)
        return add_where_below(total, d, splat(ar, t6), s)

    return merge_by_table


@_overload(normalised)
def _normalised(ar, states):
    if ar.arithmetic.probability_domain:

        def by_sum(ar, states):
            a0, a1, a2, a3, a4, a5, a6, a7 = states
            r = rough_reciprocal(((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7)))
            return (a0 * r, a1 * r, a2 * r, a3 * r, a4 * r, a5 * r, a6 * r, a7 * r)

        return by_sum

    def by_first(ar, states):
        a0, a1, a2, a3, a4, a5, a6, a7 = states
        z = neutral(ar)
        r = a0 - z
        return (z, a1 - r, a2 - r, a3 - r, a4 - r, a5 - r, a6 - r, a7 - r)

    return by_first


#: Added to numerator and denominator, so that two vanished probabilities make an erasure (ratio 1) and not 0/0.
_TINY: Final = {"float32": 1e-37, "float64": 1e-300}


@_overload(weighed)
def _weighed(ar, numerator, denominator):
    if ar.arithmetic.probability_domain:
        tiny = _TINY[ar.arithmetic.dtype]
        return lambda ar, numerator, denominator: (numerator + splat(ar, tiny)) / (denominator + splat(ar, tiny))
    return lambda ar, numerator, denominator: numerator - denominator


@_overload(limited)
def _limited(ar, extrinsic):
    kind: Arithmetic = ar.arithmetic
    high = kind.extrinsic_limit * kind.scale
    low = -high
    if kind.probability_domain:
        high, low = float(np.exp(high)), float(np.exp(low))
        return lambda ar, extrinsic: smaller(larger(extrinsic, splat(ar, low)), splat(ar, high))
    if kind.algorithm != "max-log":
        return lambda ar, extrinsic: smaller(larger(extrinsic, splat(ar, low)), splat(ar, high))
    if kind.dtype == "int16":

        def fixed_point(ar, extrinsic):
            scaled = extrinsic - quartered(extrinsic)  # × 0.75
            return smaller(larger(scaled, splat(ar, low)), splat(ar, high))

        return fixed_point
    return lambda ar, extrinsic: smaller(larger(extrinsic * splat(ar, 0.75), splat(ar, low)), splat(ar, high))


@_overload(channel_scale)
def _channel_scale(ar):
    scale = float(ar.arithmetic.scale)
    return lambda ar: scale


@_overload(channel_limit)
def _channel_limit(ar):
    limit = float(ar.arithmetic.channel_limit * ar.arithmetic.scale)
    return lambda ar: limit


@_overload(rounds)
def _rounds(ar):
    whole = ar.arithmetic.dtype.startswith("int")
    return lambda ar: whole


@_overload(columns_of)
def _columns_of(ar):
    count = columns_at_once(ar.vec)
    return lambda ar: count


@_overload(known_state)
def _known_state(ar, certain):
    kind: Arithmetic = ar.arithmetic
    if kind.probability_domain:
        return lambda ar, certain: 1.0 if certain else 0.0
    # As far apart as two states can be.
    bias = kind.bias
    far = 3 * round((2 * kind.channel_limit + kind.extrinsic_limit) * kind.scale)
    return lambda ar, certain: bias if certain else bias - far


@_overload(state_metric)
def _state_metric(ar, value, metrics):
    kind: Arithmetic = ar.arithmetic
    if kind.probability_domain:
        return lambda ar, value, metrics: np.exp(value - np.max(metrics))
    bias = kind.bias
    return lambda ar, value, metrics: bias + value - metrics[0]


@_overload(received)
def _received(ar, llr):
    if ar.arithmetic.probability_domain:
        return lambda ar, llr: exponential(llr)
    return lambda ar, llr: llr


@_overload(decided)
def _decided(ar, value):
    if ar.arithmetic.probability_domain:
        return lambda ar, value: logarithm(value)
    return lambda ar, value: value
