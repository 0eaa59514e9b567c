"""What numba compiles for: instruction sets, width of vectors, and the fingerprint of this package's source."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from numba.core.registry import cpu_target


def _features() -> frozenset[str]:
    # "+avx2,+fma,-avx512f,…", what numba hands to LLVM; NUMBA_CPU_FEATURES and NUMBA_CPU_NAME are heeded.
    flags = cpu_target.target_context.codegen().magic_tuple()[2]
    return frozenset(flag[1:] for flag in flags.split(",") if flag.startswith("+"))


def _vector_bits(features: frozenset[str]) -> int:
    if "avx512bw" in features:
        return 512
    return 256 if "avx2" in features else 128


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


FEATURES: Final = _features()
#: Width of the vector registers; NEON and SSE have 128 bits.
VECTOR_BITS: Final = _vector_bits(FEATURES)
#: Numba notices changes of the file that a kernel is in, not of those it uses: this makes it notice.
SOURCES: Final = _fingerprint()
