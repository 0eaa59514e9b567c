"""Number formats of the decoder: which semiring the recursions run over, and in which numbers.

The BCJR recursions need two operations on metrics: `join` goes along a path (the metric of a path is that of its
parts), `merge` is taken where paths meet. The log domain has join = + and merge = max*(a, b) = ln(e^a + e^b) or an
approximation of it. The probability domain has join = × and merge = +; it computes exact log-MAP without a single
logarithm, and a merge is a fused multiply-add. The kernels are written once, in terms of these two.

An `Arithmetic` travels through the kernels as an argument that carries no data: its numba type says all, so
that numba compiles (and keeps on disk) one version of each kernel for each arithmetic.

Ranges. From any state every other can be reached in three steps, so two state metrics never differ by more than
three times the largest branch metric. With the clipping below all sums and products stay inside the number format
between two normalisations, also for contradictory input, whatever the block length. Eight bits are too few for
that: there sums saturate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
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
    saturating_add,
    saturating_sub,
    smaller,
    splat,
    three_quarters,
)


@dataclass(frozen=True)
class Arithmetic:
    """One number format of the decoder, for one width of vector.

    `algorithm`: see `interface.ALGORITHMS`. `dtype`: NumPy name of an element. `lanes`: elements of a vector.
    `scale`: units per nat of the log-domain formats. `channel_limit`, `extrinsic_limit`: LLRs are clipped to ± these,
    in nats. `bias`: what is added to every state metric, so that it is never negative; with sums that saturate, the
    metric of the best state after a normalisation. `interval`: steps between normalisations of the state metrics, a
    power of two. `alpha_stride`: 1 to keep α at every step for the backward run, 2 to compute every second one again:
    faster where storing costs more than a step does. `acquisition`: steps of the runs that find the metrics at the
    seams of windows, an even number. `sources`: fingerprint of this package's source, so that kernels compiled from
    another version are never taken from the disk.
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
    acquisition: int
    sources: str

    @property
    def saturates(self) -> bool:
        """Whether sums and differences are clipped to the range of an element."""
        return self.dtype == "int8"

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


@cache
def _type_of(arithmetic: Arithmetic) -> ArithmeticType:
    return ArithmeticType(arithmetic)


@typeof_impl.register(Arithmetic)
def _typeof(value: Arithmetic, context: Any) -> ArithmeticType:
    return _type_of(value)  # kept, because numba asks at every call


@unbox(ArithmeticType)
def _unbox(kind: ArithmeticType, value: Any, context: Any) -> NativeValue:
    return NativeValue(ir.Constant(ir.IntType(8).as_pointer(), None))


# All: (scale, channel_limit, extrinsic_limit, bias, interval).
#: Fixed point counts in 1/16 nat: channel LLRs within ± 15.9 nats, extrinsic ones within ± 31.9. A step adds at most
#: 1021 (with a correction 1031) to a metric: after eight steps it is within ± (8·1021 + 3·1021), or with bias 8192
#: after four within 8192 ± (4·1031 + 3·1021); in both cases the sum of two metrics stays below 2^15.
_FIXED_POINT_MAX_LOG: Final = (16.0, 255 / 16, 511 / 16, 0, 8)
_FIXED_POINT: Final = (16.0, 255 / 16, 511 / 16, 8192, 4)
#: Eight bits count in 1/3 nat: channel LLRs within ± 7.7 nats, extrinsic ones within ± 11.7. So u ≤ 58, p ≤ 23 and a
#: step adds at most 81. After every second step the best state is brought to −35 (one above 92: to at most 0). Sums
#: are clipped:
#: - below, at −128, where a state lags the best by 93 (31 nats) or, as a step may take 23 from the best, a little less:
#:   paths through it hardly count;
#: - above, at 127, when a best state that was not brought down to −35 gains more than 127 of the 162 there can be in
#:   two steps. Their LLRs are then close to the limits and favour one path; its lead shrinks by 35 at most.
#: Sums of α, β and p stay below 127, for of α and β one is fresh and the other one step old: 0 + 81 + 23. Where they
#: agree on a path, it has −70 or, after a step that took from it, at least −93. The 58 from there to the lowest are
#: enough for the largest extrinsic value: 47 before the factor 3/4.
#: More units per nat leave too little room above (blocks are lost at high rates and a high SNR), narrower limits of the
#: extrinsic values make them lose against a wrong channel LLR (a floor of the block error rate at 10^-4).
_EIGHT_BITS: Final = (3.0, 23 / 3, 35 / 3, -35, 2)
_FLOATING_LOG: Final = (1.0, 1e4, 1e5, 0, 8)
#: A branch gain is at most e^43 in float32, so that the sum of the states grows to at most 4·e^86 < e^88 in two steps;
#: in float64 e^340, and 4·e^680 < e^709.
#: Within e^43 the extrinsic LLRs need the room more than those of the channel: with ± 13 nats for them and ± 15 for the
#: channel, one frame in 10^5 ended with a wrong bit or two.
_PROBABILITY: Final = {"float32": (1.0, 12.0, 19.0, 0, 2), "float64": (1.0, 80.0, 180.0, 0, 2)}

#: Steps of an acquisition run. Eight constraint lengths are enough as long as there is parity for every bit; at rate
#: 8/9 they cost 0.01 to 0.02 dB, less than 16 and 8 bits are allowed, more than the floating formats should.
_ACQUISITION: Final = 32
_FLOATING_ACQUISITION: Final = 64

#: Arithmetics of each algorithm, the one that "auto" takes first.
ARITHMETICS_OF: Final[dict[str, tuple[str, ...]]] = {
    "log-map": ("float32", "float64"),
    "linear-log-map": ("int16", "float32"),
    "table-log-map": ("int16", "float32"),
    "max-log": ("int16", "float32", "int8"),
}


def make_arithmetic(algorithm: str, dtype: str, vector_bits: int, sources: str) -> Arithmetic:
    """Return the arithmetic for vectors of `vector_bits` bits (128, 256 or 512)."""
    if algorithm == "log-map":
        numbers = _PROBABILITY[dtype]
    elif dtype == "int8":
        numbers = _EIGHT_BITS
    elif dtype == "int16":
        numbers = _FIXED_POINT_MAX_LOG if algorithm == "max-log" else _FIXED_POINT
    else:
        numbers = _FLOATING_LOG
    alpha_stride = 2 if algorithm == "max-log" else 1
    steps = _FLOATING_ACQUISITION if dtype.startswith("float") else _ACQUISITION
    lanes = vector_bits // (8 * np.dtype(dtype).itemsize)
    return Arithmetic(algorithm, dtype, lanes, *numbers, alpha_stride, steps, sources)


# --- operations on metrics: stubs for Python, overloads for numba ----------------------------------------


def lanes_of(ar):
    """Lanes of a vector; a constant in compiled code, unlike `Geometry.lanes`."""
    raise NotImplementedError


def interval(ar):
    """Steps between normalisations of the state metrics."""
    raise NotImplementedError


def acquisition(ar):
    """Steps of an acquisition run."""
    raise NotImplementedError


def lines_ahead(ar):
    """Cache lines of channel LLRs to ask for at each step, so that a tile is there after three iterations."""
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


def probability_domain(ar):
    """Whether metrics are probabilities rather than LLRs; a constant in compiled code."""
    raise NotImplementedError


def columns_of(ar):
    """Columns that `load_transposed` and `store_transposed` move at once."""
    raise NotImplementedError


def known_state(ar, certain):
    """Metric of a state that is certain, or impossible."""
    raise NotImplementedError


def metric_reference(ar, metrics):
    """What `state_metric` counts from, of eight logarithms of state metrics (float64, in units)."""
    raise NotImplementedError


def state_metric(ar, value, reference):
    """Metric of a state from its logarithm `value` in units, and the reference of all eight."""
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


@_overload(acquisition)
def _acquisition(ar):
    steps = ar.arithmetic.acquisition
    return lambda ar: steps


@_overload(lines_ahead)
def _lines_ahead(ar):
    # Three float32 a lane and step, in six passes.
    lines = max(1, 3 * 4 * ar.arithmetic.lanes // 64 // 6)
    return lambda ar: lines


@_overload(join)
def _join(ar, a, b):
    if ar.arithmetic.probability_domain:
        return lambda ar, a, b: a * b
    if ar.arithmetic.saturates:
        return lambda ar, a, b: saturating_add(a, b)
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

    if ar.arithmetic.saturates:

        def by_largest(ar, states):
            a0, a1, a2, a3, a4, a5, a6, a7 = states
            most = larger(larger(larger(a0, a1), larger(a2, a3)), larger(larger(a4, a5), larger(a6, a7)))
            r = saturating_sub(most, neutral(ar))
            return (
                saturating_sub(a0, r),
                saturating_sub(a1, r),
                saturating_sub(a2, r),
                saturating_sub(a3, r),
                saturating_sub(a4, r),
                saturating_sub(a5, r),
                saturating_sub(a6, r),
                saturating_sub(a7, r),
            )

        return by_largest

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
    if ar.arithmetic.saturates:
        return lambda ar, numerator, denominator: saturating_sub(numerator, denominator)
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
    if kind.dtype == "int8":
        return lambda ar, extrinsic: smaller(larger(three_quarters(extrinsic), splat(ar, low)), splat(ar, high))
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


@_overload(probability_domain)
def _probability_domain(ar):
    probabilities = ar.arithmetic.probability_domain
    return lambda ar: probabilities


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
    if kind.saturates:
        lowest = int(np.iinfo(kind.dtype).min)
        return lambda ar, certain: bias if certain else lowest
    far = 3 * round((2 * kind.channel_limit + kind.extrinsic_limit) * kind.scale)
    return lambda ar, certain: bias if certain else bias - far


@_overload(metric_reference)
def _metric_reference(ar, metrics):
    if ar.arithmetic.probability_domain or ar.arithmetic.saturates:
        return lambda ar, metrics: np.max(metrics)
    return lambda ar, metrics: metrics[0]


@_overload(state_metric)
def _state_metric(ar, value, reference):
    kind: Arithmetic = ar.arithmetic
    if kind.probability_domain:
        return lambda ar, value, reference: np.exp(value - reference)
    bias = kind.bias
    if kind.saturates:
        lowest = float(np.iinfo(kind.dtype).min)
        return lambda ar, value, reference: max(bias + value - reference, lowest)
    return lambda ar, value, reference: bias + value - reference


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
