"""GNU Radio's own pmt module as the reference of the codec.

``table`` prints a line "name hex" for each of a number of values built with pmt. ``round-trip`` reads lines of hex,
and prints for each what pmt makes of it when it reads and writes it again.
"""

import sys

import pmt

INTEGERS = (0, 1, -1, 127, -128, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**40, 2**63 - 1, -(2**63))
UNSIGNED = (0, 1, 2**32, 2**63, 2**64 - 1)
REALS = (0.0, -0.0, 1.5, -1e300, 5e-324, float("inf"), float("-inf"))
LENGTHS = (0, 1, 2, 3, 7, 100)
MAKERS = {
    "uint8": pmt.init_u8vector,
    "int8": pmt.init_s8vector,
    "uint16": pmt.init_u16vector,
    "int16": pmt.init_s16vector,
    "uint32": pmt.init_u32vector,
    "int32": pmt.init_s32vector,
    "uint64": pmt.init_u64vector,
    "int64": pmt.init_s64vector,
    "float32": pmt.init_f32vector,
    "float64": pmt.init_f64vector,
    "complex64": pmt.init_c32vector,
    "complex128": pmt.init_c64vector,
}


def items(kind, length):
    """Return 0, 1, 4, 9 … modulo 128, halved for floats and with a counting imaginary part for complex numbers."""
    squares = [(number * number) % 128 for number in range(length)]
    if kind.startswith("complex"):
        return [complex(square / 2, -number) for number, square in enumerate(squares)]
    if kind.startswith("float"):
        return [square / 2 for square in squares]
    if kind.startswith("int"):
        return [square - 64 for square in squares]
    return squares


def dictionary(*entries):
    result = pmt.make_dict()
    for key, value in entries:
        result = pmt.dict_add(result, key, value)
    return result


def table():
    a, b, one = pmt.intern("a"), pmt.intern("b"), pmt.from_long(1)
    yield from (("true", pmt.PMT_T), ("false", pmt.PMT_F), ("null", pmt.PMT_NIL))
    yield from ((f"symbol-{length}", pmt.intern("x" * length)) for length in (0, 1, 255, 256, 1024))
    yield "symbol-unicode", pmt.intern("µ → ∞")
    yield from ((f"integer{number:+d}", pmt.from_long(number)) for number in INTEGERS)
    yield from ((f"uint64+{number}", pmt.from_uint64(number)) for number in UNSIGNED)
    yield from ((f"double-{index}", pmt.from_double(number)) for index, number in enumerate(REALS))
    yield "complex", pmt.from_complex(complex(1.25, -2.5))
    for kind, make in MAKERS.items():
        yield from ((f"{kind}-{length}", make(length, items(kind, length))) for length in LENGTHS)
    yield "pair", pmt.cons(a, one)
    yield "list", pmt.list3(a, one, pmt.PMT_NIL)
    yield "tuple", pmt.make_tuple(a, one, pmt.PMT_T)
    yield "vector", pmt.make_vector(2, one)
    yield "dict-0", dictionary()
    yield "dict-1", dictionary((a, one))
    yield "dict-2", dictionary((a, one), (b, pmt.from_double(0.5)))
    yield "dict-nested", dictionary((a, dictionary((b, one))), (b, pmt.list2(one, one)))
    yield "dict-integer-keys", dictionary((one, a), (pmt.from_long(2), b))
    yield "pdu-empty", pmt.cons(pmt.make_dict(), pmt.init_u8vector(0, []))
    yield (
        "pdu",
        pmt.cons(dictionary((pmt.intern("seq"), pmt.from_uint64(7)), (a, pmt.PMT_F)), pmt.init_f32vector(1, [2])),
    )


if sys.argv[1] == "table":
    for name, value in table():
        print(name, pmt.serialize_str(value).hex())
else:
    for line in sys.stdin:
        print(pmt.serialize_str(pmt.deserialize_str(bytes.fromhex(line.strip()))).hex())
