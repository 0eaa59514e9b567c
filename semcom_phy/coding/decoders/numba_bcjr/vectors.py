"""SIMD values in numba: a type whose data model is an LLVM vector, and the operations the decoder needs.

A `Vec` holds one number per lane. Inside jitted functions it is used like a scalar: ``a + b``, ``a * b``,
``larger(a, b)``. LLVM turns each operation into the instructions of the machine at hand (AVX-512, AVX2, SSE, NEON), so
there is one source for all of them. Nothing here knows about codes.

Functions marked *lane permutation* move values between lanes; everything else works lane by lane.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba import njit
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, register_model

_ELEMENTS: Final[dict[types.Type, ir.Type]] = {
    types.int8: ir.IntType(8),
    types.uint8: ir.IntType(8),
    types.int16: ir.IntType(16),
    types.int32: ir.IntType(32),
    types.int64: ir.IntType(64),
    types.float32: ir.FloatType(),
    types.float64: ir.DoubleType(),
}
_SUFFIX: Final[dict[types.Type, str]] = {
    types.int8: "i8",
    types.int16: "i16",
    types.int32: "i32",
    types.int64: "i64",
    types.float32: "f32",
    types.float64: "f64",
}
_I32: Final = ir.IntType(32)

#: Products and sums may be fused, and the sign of a zero does not matter. NaN and infinity keep their meaning.
_FLAGS: Final = ("contract", "nsz")


class Vec(types.Type):
    """Numba type of a vector of `lanes` numbers of numba type `element`."""

    def __init__(self, element: Any, lanes: int) -> None:
        self.element, self.lanes = element, lanes
        super().__init__(name=f"Vec({element}, {lanes})")

    @property
    def is_float(self) -> bool:
        """Whether the lanes hold floating-point numbers."""
        return isinstance(self.element, types.Float)

    @property
    def llvm(self) -> ir.VectorType:
        """The LLVM type."""
        return ir.VectorType(_ELEMENTS[self.element], self.lanes)

    @property
    def index(self) -> Vec:
        """Integers as wide as the elements."""
        return Vec(types.Integer.from_bitwidth(self.element.bitwidth, True), self.lanes)

    @property
    def suffix(self) -> str:
        """How LLVM names the type in the names of its intrinsic functions."""
        return f"v{self.lanes}{_SUFFIX[self.element]}"


@register_model(Vec)
class _VecModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vec: Vec) -> None:
        super().__init__(manager, vec, vec.llvm)


# --- building blocks for the code generators below --------------------------------------------------------


def _constant(vec: Vec, value: float) -> ir.Constant:
    element = _ELEMENTS[vec.element]
    return ir.Constant(vec.llvm, [ir.Constant(element, value)] * vec.lanes)


def _call(builder: Any, name: str, result: ir.Type, args: list) -> Any:
    kind = ir.FunctionType(result, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def _lane_list(positions: list[int]) -> ir.Constant:
    return ir.Constant(ir.VectorType(_I32, len(positions)), [ir.Constant(_I32, p) for p in positions])


def _shuffle(builder: Any, first: Any, second: Any, positions: list[int]) -> Any:
    return builder.shuffle_vector(first, second, _lane_list(positions))


def _splat(builder: Any, vec: Vec, scalar: Any) -> Any:
    undefined = ir.Constant(vec.llvm, ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(_I32, 0))
    return _shuffle(builder, first, undefined, [0] * vec.lanes)


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any, index_type: Any, target: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    offset = context.cast(builder, index, index_type, types.intp)
    return builder.bitcast(builder.gep(data, [offset]), target.as_pointer())


def _load(builder: Any, pointer: Any, align: int) -> Any:
    value = builder.load(pointer)
    value.align = align
    return value


def _larger(builder: Any, vec: Vec, a: Any, b: Any) -> Any:
    if vec.is_float:
        return builder.select(builder.fcmp_ordered(">", a, b), a, b)
    return _call(builder, f"llvm.smax.{vec.suffix}", vec.llvm, [a, b])


def _smaller(builder: Any, vec: Vec, a: Any, b: Any) -> Any:
    if vec.is_float:
        return builder.select(builder.fcmp_ordered("<", a, b), a, b)
    return _call(builder, f"llvm.smin.{vec.suffix}", vec.llvm, [a, b])


def _average(builder: Any, vec: Vec, a: Any, b: Any) -> Any:
    # The wide form is what LLVM recognises as the averaging instruction.
    wide = ir.VectorType(ir.IntType(2 * vec.element.bitwidth), vec.lanes)
    one = ir.Constant(wide, [ir.Constant(wide.element, 1)] * vec.lanes)
    x, y = builder.zext(a, wide), builder.zext(b, wide)
    return builder.trunc(builder.lshr(builder.add(builder.add(x, y), one), one), vec.llvm)


# --- operators -------------------------------------------------------------------------------------------


def _operator(function: Callable, integer: str, floating: str) -> None:
    """Give `Vec` the Python operator `function` by the IR builder's methods of these names."""

    @infer_global(function)
    class Typing(AbstractTemplate):
        def generic(self, args: tuple, kws: dict) -> Any:
            if len(args) == 2 and isinstance(args[0], Vec) and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    @lower_builtin(function, Vec, Vec)
    def lower(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        if sig.return_type.is_float:
            return getattr(builder, floating)(*args, flags=_FLAGS)
        return getattr(builder, integer)(*args)


_operator(operator.add, "add", "fadd")
_operator(operator.sub, "sub", "fsub")
_operator(operator.mul, "mul", "fmul")
_operator(operator.truediv, "sdiv", "fdiv")


# --- lane by lane ----------------------------------------------------------------------------------------


def _both_of_one_type(a: Any, b: Any) -> bool:
    return isinstance(a, Vec) and a == b


@intrinsic
def larger(typingctx: Any, a: Any, b: Any) -> Any:
    """Return max(a, b)."""
    if not _both_of_one_type(a, b):
        return None
    return a(a, b), lambda context, builder, sig, args: _larger(builder, a, *args)


@intrinsic
def smaller(typingctx: Any, a: Any, b: Any) -> Any:
    """Return min(a, b)."""
    if not _both_of_one_type(a, b):
        return None
    return a(a, b), lambda context, builder, sig, args: _smaller(builder, a, *args)


@intrinsic
def saturating_add(typingctx: Any, a: Any, b: Any) -> Any:
    """Return a + b of integers, clipped to the range of their type."""
    if not _both_of_one_type(a, b):
        return None
    return a(a, b), lambda context, builder, sig, args: _call(builder, f"llvm.sadd.sat.{a.suffix}", a.llvm, list(args))


@intrinsic
def saturating_sub(typingctx: Any, a: Any, b: Any) -> Any:
    """Return a − b of integers, clipped to the range of their type."""
    if not _both_of_one_type(a, b):
        return None
    return a(a, b), lambda context, builder, sig, args: _call(builder, f"llvm.ssub.sat.{a.suffix}", a.llvm, list(args))


@intrinsic
def average(typingctx: Any, a: Any, b: Any) -> Any:
    """Return ⌈(a + b)/2⌉ of integers ≥ 0: one instruction on x86 and ARM."""
    if not _both_of_one_type(a, b):
        return None

    return a(a, b), lambda context, builder, sig, args: _average(builder, a, *args)


@intrinsic
def distance(typingctx: Any, a: Any, b: Any) -> Any:
    """Return |a − b|."""
    if not _both_of_one_type(a, b):
        return None

    def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        if a.is_float:
            return _call(builder, f"llvm.fabs.{a.suffix}", a.llvm, [builder.fsub(*args)])
        return builder.sub(_larger(builder, a, *args), _smaller(builder, a, *args))

    return a(a, b), generate


@intrinsic
def add_where_below(typingctx: Any, total: Any, x: Any, limit: Any, step: Any) -> Any:
    """Return total + step in the lanes where x < limit, total in the others."""
    if not (_both_of_one_type(total, x) and _both_of_one_type(limit, step) and total == limit):
        return None

    def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        total_, x_, limit_, step_ = args
        if total.is_float:
            return builder.select(builder.fcmp_ordered("<", x_, limit_), builder.fadd(total_, step_), total_)
        return builder.select(builder.icmp_signed("<", x_, limit_), builder.add(total_, step_), total_)

    return total(total, x, limit, step), generate


@intrinsic
def halved(typingctx: Any, a: Any) -> Any:
    """Return ⌊a/2⌋ of integers."""
    return a(a), lambda context, builder, sig, args: builder.ashr(args[0], _constant(a, 1))


@intrinsic
def quartered(typingctx: Any, a: Any) -> Any:
    """Return ⌊a/4⌋ of integers."""
    return a(a), lambda context, builder, sig, args: builder.ashr(args[0], _constant(a, 2))


@intrinsic
def three_quarters(typingctx: Any, a: Any) -> Any:
    """Return ⌊3a/4 + 1/2⌋ of integers."""

    def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        # ⌈(a + ⌊a/2⌋)/2⌉, by averages; those are of numbers ≥ 0, so all are counted from the lowest one.
        middle = 1 << (a.element.bitwidth - 1)
        raised = builder.xor(args[0], _constant(a, middle))
        half = _average(builder, a, raised, _constant(a, middle - 1))
        return builder.xor(_average(builder, a, raised, half), _constant(a, middle))

    return a(a), generate


# --- memory ----------------------------------------------------------------------------------------------


@intrinsic
def splat(typingctx: Any, like: Any, value: Any) -> Any:
    """Return `value` in every lane; `like` gives the type (a `Vec` or something with an attribute `vec`)."""
    vec = like if isinstance(like, Vec) else like.vec

    def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        return _splat(builder, vec, context.cast(builder, args[1], sig.args[1], vec.element))

    return vec(like, value), generate


@intrinsic
def load(typingctx: Any, like: Any, array: Any, index: Any) -> Any:
    """Load the lanes from the flat array at `index` (counted in elements)."""
    vec = like if isinstance(like, Vec) else like.vec
    if vec.element != array.dtype:
        return None

    def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        pointer = _address(context, builder, array, args[1], args[2], sig.args[2], vec.llvm)
        return _load(builder, pointer, vec.element.bitwidth // 8)

    return vec(like, array, index), generate


@intrinsic
def store(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Store the lanes to the flat array at `index` (counted in elements)."""
    if not isinstance(value, Vec) or value.element != array.dtype:
        return None

    def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        pointer = _address(context, builder, array, args[0], args[1], sig.args[1], value.llvm)
        builder.store(args[2], pointer).align = value.element.bitwidth // 8
        return context.get_dummy_value()

    return types.void(array, index, value), generate


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of ``array[index]``; it need not lie within the array."""

    def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        pointer = _address(context, builder, array, args[0], args[1], sig.args[1], ir.IntType(8))
        for_reading, into_second_level, data = (ir.Constant(_I32, n) for n in (0, 2, 1))
        arguments = [pointer, for_reading, into_second_level, data]
        _call(builder, "llvm.prefetch.p0", ir.VoidType(), arguments)
        return context.get_dummy_value()

    return types.void(array, index), generate


# --- lane permutation ------------------------------------------------------------------------------------

#: Instructions that permute all lanes of a register by an index vector: (bits of an element, lanes) → intrinsic
#: function of LLVM and the instruction set it needs. Without one, lanes are moved one by one.
PERMUTATIONS: Final[dict[tuple[int, int], tuple[str, str]]] = {
    (8, 64): ("llvm.x86.avx512.permvar.qi.512", "avx512vbmi"),
    (16, 32): ("llvm.x86.avx512.permvar.hi.512", "avx512bw"),
    (16, 16): ("llvm.x86.avx512.permvar.hi.256", "avx512vl"),
    (32, 16): ("llvm.x86.avx512.permvar.si.512", "avx512f"),
    (32, 8): ("llvm.x86.avx2.permd", "avx2"),
    (64, 8): ("llvm.x86.avx512.permvar.di.512", "avx512f"),
}


def _permuted(builder: Any, vec: Vec, value: Any, index: Any, features: frozenset[str]) -> Any:
    name, needed = PERMUTATIONS.get((vec.element.bitwidth, vec.lanes), ("", "none"))
    if needed in features:
        bits = builder.bitcast(value, vec.index.llvm)
        return builder.bitcast(_call(builder, name, vec.index.llvm, [bits, index]), vec.llvm)
    result = ir.Constant(vec.llvm, ir.Undefined)
    for lane in range(vec.lanes):
        position = ir.Constant(_I32, lane)
        source = builder.extract_element(index, position)
        result = builder.insert_element(result, builder.extract_element(value, source), position)
    return result


def _lane_numbers(context: Any, builder: Any, vec: Vec, lanes: Any, array: Any, at: Any, at_type: Any) -> Any:
    """Load lane numbers, one byte each, as integers as wide as the elements of `vec`."""
    narrow = Vec(types.int8, vec.lanes)
    index = _load(builder, _address(context, builder, lanes, array, at, at_type, narrow.llvm), 1)
    return index if vec.index == narrow else builder.zext(index, vec.index.llvm)


def permute_for(features: frozenset[str]) -> Callable:
    """Return the function permute(a, lanes, at): lane l of the result is lane ``lanes[at + l]`` of a.

    *Lane permutation*; `lanes` is a flat array of int8.
    """

    @intrinsic
    def permute(typingctx: Any, a: Any, lanes: Any, at: Any) -> Any:
        if not isinstance(a, Vec) or lanes.dtype != types.int8:
            return None

        def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
            index = _lane_numbers(context, builder, a, lanes, args[1], args[2], sig.args[2])
            return _permuted(builder, a, args[0], index, features)

        return a(a, lanes, at), generate

    return permute


@intrinsic
def other_where_own(typingctx: Any, a: Any, other: Any, lanes: Any, at: Any) -> Any:
    """Return `other` in the lanes l with ``lanes[at + l]`` = l, a elsewhere; `lanes` is a flat array of int8."""
    if not _both_of_one_type(a, other) or lanes.dtype != types.int8:
        return None

    def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        index = _lane_numbers(context, builder, a, lanes, args[2], args[3], sig.args[3])
        own = ir.Constant(a.index.llvm, [ir.Constant(a.index.llvm.element, lane) for lane in range(a.lanes)])
        return builder.select(builder.icmp_signed("==", index, own), args[1], args[0])

    return a(a, other, lanes, at), generate


def _transposed(builder: Any, rows: list) -> list:
    """Transpose n vectors of n numbers of 32 bits (n a power of two from 2 to 16).

    Every round pairs vectors, a with b, and makes of each pair one that takes the first of every two parts of a and of
    b, and one that takes the second. Up to four numbers (128 bits) the parts lie within such a group, as the unpack
    instructions have it; then the groups themselves are the parts.
    """
    count = len(rows)
    group = min(count, 4)
    # Where each number comes from tells at the end which column a vector holds.
    vectors = [(row, [(number, column) for column in range(count)]) for number, row in enumerate(rows)]
    distance = 1
    while distance < count:
        if distance < group:
            first = [
                start + number + source
                for start in range(0, count, group)
                for part in range(0, group // 2, distance)
                for source in (0, count)
                for number in range(part, part + distance)
            ]
            second = [position + group // 2 for position in first]
        else:
            first = [
                start + number + source
                for source in (0, count)
                for start in range(0, count, 2 * group)
                for number in range(group)
            ]
            second = [position + group for position in first]
        for i in range(count):
            if i & distance == 0:
                (a, from_a), (b, from_b) = vectors[i], vectors[i + distance]
                both = from_a + from_b
                vectors[i] = (_shuffle(builder, a, b, first), [both[position] for position in first])
                vectors[i + distance] = (_shuffle(builder, a, b, second), [both[position] for position in second])
        distance *= 2
    return [vector for vector, _ in sorted(vectors, key=lambda vector: vector[1][0][1])]


def _parts(vec: Vec) -> int:
    """Lanes that share 32 bits when vectors are transposed; 64-bit lanes travel as 32."""
    return max(1, 32 // vec.element.bitwidth)


def columns_at_once(vec: Vec) -> int:
    """Columns that `load_transposed`, `store_decisions` and `store_llrs` move at once."""
    return vec.lanes // _parts(vec)


#: 1.5 · 2^23: a float32 of magnitude below 2^22 to which it is added is rounded to the nearest whole number, which is
#: then, in two's complement, what the lowest 16 bits of the sum hold.
_ROUNDER: Final = 12582912.0


def _whole(count: int, value: int) -> ir.Constant:
    return ir.Constant(ir.VectorType(_I32, count), [ir.Constant(_I32, value)] * count)


def _packed(builder: Any, vectors: list, bits: int) -> Any:
    """Put the lowest `bits` bits of two or four vectors of 32-bit integers side by side, the first ones lowest."""
    if len(vectors) == 1:
        return vectors[0]
    half = len(vectors) // 2
    low, high = _packed(builder, vectors[:half], bits), _packed(builder, vectors[half:], bits)
    width = half * bits
    mask, shift = _whole(low.type.count, (1 << width) - 1), _whole(low.type.count, width)
    return builder.or_(builder.and_(low, mask), builder.shl(high, shift))


@intrinsic
def load_transposed(
    typingctx: Any, like: Any, target: Any, at: Any, source: Any, offsets: Any, column: Any, scale: Any, limit: Any
) -> Any:
    """Read one row of float32 per lane, convert, and store it column by column (*lane permutation*).

    Row l starts at ``source[offsets[l]]``; the C = `columns_at_once` columns from `column` on are written to
    ``target[at:]``, L lanes each. A value is multiplied by `scale`, clipped to ± `limit` and, for integers, rounded to
    the nearest; NaN becomes 0.
    """
    vec = like.vec
    count, parts = columns_at_once(vec), _parts(vec)
    wide, whole = Vec(types.float32, count), Vec(types.int32, count)

    def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        _, target_, at_, source_, offsets_, column_, scale_, limit_ = args
        starts = context.make_array(offsets)(context, builder, offsets_).data
        column_ = context.cast(builder, column_, sig.args[5], types.intp)
        scale_, limit_ = (context.cast(builder, args[n], sig.args[n], types.float32) for n in (6, 7))
        factor = _splat(builder, wide, scale_)
        high = _splat(builder, wide, builder.fdiv(limit_, scale_))
        low = builder.fneg(high)
        rows = []
        for lane in range(vec.lanes):
            start = builder.load(builder.gep(starts, [ir.Constant(ir.IntType(64), lane)]))
            start = builder.add(start, column_)
            value = _load(builder, _address(context, builder, source, source_, start, types.intp, wide.llvm), 4)
            clipped = _smaller(builder, wide, _larger(builder, wide, value, low), high)
            value = builder.select(builder.fcmp_ordered("ord", value, value), clipped, _constant(wide, 0.0))
            value = builder.fmul(value, factor)  # never fused, so that all machines round alike
            if not vec.is_float:
                value = builder.bitcast(builder.fadd(value, _constant(wide, _ROUNDER)), whole.llvm)
            rows.append(value)
        words = [_packed(builder, rows[i : i + parts], vec.element.bitwidth) for i in range(0, vec.lanes, parts)]
        first = _address(context, builder, target, target_, at_, sig.args[2], vec.llvm)
        for number, vector in enumerate(_transposed(builder, words)):
            place = builder.gep(first, [ir.Constant(ir.IntType(64), number)])
            wider = vec.element == types.float64
            vector = builder.fpext(vector, vec.llvm) if wider else builder.bitcast(vector, vec.llvm)
            builder.store(vector, place).align = vec.element.bitwidth // 8
        return context.get_dummy_value()

    return types.void(like, target, at, source, offsets, column, scale, limit), generate


def _columns(context: Any, builder: Any, vec: Vec, array_type: Any, array: Any, at: Any, at_type: Any) -> list:
    first = _address(context, builder, array_type, array, at, at_type, vec.llvm)
    places = [builder.gep(first, [ir.Constant(ir.IntType(64), number)]) for number in range(columns_at_once(vec))]
    return [_load(builder, place, vec.element.bitwidth // 8) for place in places]


def _rows(builder: Any, vec: Vec, columns: list) -> list:
    """Undo what `load_transposed` does to 32-bit words: return one vector of them for each lane.

    What a lane of 8 or 16 bits holds is in the highest bits of a word, above `_spare` bits that do not count.
    """
    count, parts, bits = columns_at_once(vec), _parts(vec), vec.element.bitwidth
    if parts == 1:
        return _transposed(builder, columns)
    words = _transposed(builder, [builder.bitcast(column, ir.VectorType(_I32, count)) for column in columns])
    return [builder.shl(word, _whole(count, 32 - part * bits)) for word in words for part in range(1, parts + 1)]


def _spare(vec: Vec) -> int:
    return max(0, 32 - vec.element.bitwidth)


@intrinsic
def store_decisions(typingctx: Any, like: Any, source: Any, at: Any, bits: Any, offsets: Any, column: Any) -> Any:
    """Write columns of LLRs as rows of hard decisions (*lane permutation*): 1 where the LLR is above 0, 0 elsewhere.

    Reads C = `columns_at_once` columns of L lanes at ``source[at:]``; row l goes to ``bits[offsets[l] + column:]``.
    """
    vec = like.vec
    count = columns_at_once(vec)

    def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        _, source_, at_, bits_, offsets_, column_ = args
        starts = context.make_array(offsets)(context, builder, offsets_).data
        column_ = context.cast(builder, column_, sig.args[5], types.intp)
        zero = _constant(vec, 0)
        ones = []
        for value in _columns(context, builder, vec, source, source_, at_, sig.args[2]):
            if vec.is_float:
                one = builder.zext(builder.fcmp_ordered(">", value, zero), ir.VectorType(_I32, vec.lanes))
            else:
                one = _smaller(builder, vec, _larger(builder, vec, value, zero), _constant(vec, 1))
            ones.append(one)
        byte = Vec(types.uint8, count).llvm
        shift = _whole(count, _spare(vec))
        for lane, row in enumerate(_rows(builder, vec, ones)):
            start = builder.load(builder.gep(starts, [ir.Constant(ir.IntType(64), lane)]))
            start = builder.add(start, column_)
            place = _address(context, builder, bits, bits_, start, types.intp, byte)
            builder.store(builder.trunc(builder.lshr(row, shift), byte), place).align = 1
        return context.get_dummy_value()

    return types.void(like, source, at, bits, offsets, column), generate


@intrinsic
def store_llrs(
    typingctx: Any, like: Any, source: Any, at: Any, llrs: Any, offsets: Any, column: Any, scale: Any
) -> Any:
    """Write columns of LLRs as rows of float32, multiplied by `scale`; otherwise as `store_decisions`."""
    vec = like.vec
    count = columns_at_once(vec)
    wide = Vec(types.float32, count)

    def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        _, source_, at_, llrs_, offsets_, column_, scale_ = args
        starts = context.make_array(offsets)(context, builder, offsets_).data
        column_ = context.cast(builder, column_, sig.args[5], types.intp)
        factor = _splat(builder, wide, context.cast(builder, scale_, sig.args[6], types.float32))
        columns = _columns(context, builder, vec, source, source_, at_, sig.args[2])
        if vec.element == types.float64:
            columns = [builder.fptrunc(value, wide.llvm) for value in columns]
        shift = _whole(count, _spare(vec))
        for lane, row in enumerate(_rows(builder, vec, columns)):
            value = row if vec.is_float else builder.sitofp(builder.ashr(row, shift), wide.llvm)
            start = builder.load(builder.gep(starts, [ir.Constant(ir.IntType(64), lane)]))
            start = builder.add(start, column_)
            place = _address(context, builder, llrs, llrs_, start, types.intp, wide.llvm)
            builder.store(builder.fmul(value, factor), place).align = 4
        return context.get_dummy_value()

    return types.void(like, source, at, llrs, offsets, column, scale), generate


# --- exponential and logarithm of float32 and float64 ----------------------------------------------------


@intrinsic
def _nearest(typingctx: Any, a: Any) -> Any:
    """Round to the nearest whole number."""
    return a(a), lambda context, builder, sig, args: _call(builder, f"llvm.rint.{a.suffix}", a.llvm, list(args))


@intrinsic
def _times_power_of_two(typingctx: Any, a: Any, n: Any) -> Any:
    """Return a · 2^n for whole n (floats), as long as neither a nor the result is subnormal."""
    mantissa_bits = 23 if a.element == types.float32 else 52

    def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        exponent = builder.shl(builder.fptosi(args[1], a.index.llvm), _constant(a.index, mantissa_bits))
        return builder.bitcast(builder.add(builder.bitcast(args[0], a.index.llvm), exponent), a.llvm)

    return a(a, n), generate


@intrinsic
def rough_reciprocal(typingctx: Any, a: Any) -> Any:
    """Return 1/a to about 12 % for normal a > 0: one subtraction, of the bit pattern from that of 2 − δ."""
    # Exponents subtract; δ balances the error that the mantissas make.
    magic = 0x7EF311C7 if a.element == types.float32 else 0x7FDE6238DA3C2118

    def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        bits = builder.bitcast(args[0], a.index.llvm)
        return builder.bitcast(builder.sub(_constant(a.index, magic), bits), a.llvm)

    return a(a), generate


@intrinsic
def _split(typingctx: Any, a: Any) -> Any:
    """Return (m, n) with a = m · 2^n and m in [√½, √2), for normal a > 0."""
    mantissa_bits = 23 if a.element == types.float32 else 52
    # Bits of √½: subtracting them before the shift makes the exponent change at √2 rather than at 2.
    root = 0x3F3504F3 if a.element == types.float32 else 0x3FE6A09E667F3BCD

    def generate(context: Any, builder: Any, sig: Any, args: tuple) -> Any:
        index = a.index
        bits = builder.bitcast(args[0], index.llvm)
        n = builder.ashr(builder.sub(bits, _constant(index, root)), _constant(index, mantissa_bits))
        m = builder.bitcast(builder.sub(bits, builder.shl(n, _constant(index, mantissa_bits))), a.llvm)
        return context.make_tuple(builder, sig.return_type, [m, builder.sitofp(n, a.llvm)])

    return types.UniTuple(a, 2)(a), generate


_TAYLOR: Final = tuple(1.0 / math.factorial(n) for n in range(11, -1, -1))
_ARTANH: Final = tuple(2.0 / n for n in range(19, 0, -2))


@njit(inline="never", nogil=True)
def exponential(x):
    """Return e^x to the precision of x, for results well inside the range of normal numbers."""
    n = _nearest(x * splat(x, 1.4426950408889634))
    # ln 2 in two parts, so that the product with n is exact.
    f = x - n * splat(x, 0.693359375) + n * splat(x, 2.121944400546905827679e-4)
    # |f| < 0.347, so that the Taylor series to f¹¹ errs by 1e-14.
    p = splat(x, _TAYLOR[0])
    for c in _TAYLOR[1:]:
        p = p * f + splat(x, c)
    return _times_power_of_two(p, n)


@njit(inline="never", nogil=True)
def logarithm(x):
    """Return ln x to the precision of x, for normal x > 0."""
    m, n = _split(x)
    one = splat(x, 1.0)
    # ln m = 2 artanh s with s = (m − 1)/(m + 1), |s| < 0.172
    s = (m - one) / (m + one)
    z = s * s
    p = splat(x, _ARTANH[0])
    for c in _ARTANH[1:]:
        p = p * z + splat(x, c)
    return n * splat(x, 0.6931471805599453) + s * p
