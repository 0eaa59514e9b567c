"""Memory that arrays give back is kept for the next ones.

The C library of Linux gives large blocks back to the system at once. Arrays of some megabytes, made and freed for every
frame, then cost more in page faults than in arithmetic, above all in virtual machines.
"""

from __future__ import annotations

import ctypes
from typing import Final

#: Larger blocks have pages of their own, which go back when they are freed. 32 MiB is the most that glibc takes.
MMAP_THRESHOLD_BYTES: Final = 32 << 20
#: So much may lie free at the heap's end.
TRIM_THRESHOLD_BYTES: Final = 1 << 30
#: The same for processes that are started: glibc reads these.
ENVIRONMENT: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(MMAP_THRESHOLD_BYTES),
    "MALLOC_TRIM_THRESHOLD_": str(TRIM_THRESHOLD_BYTES),
}
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h


def keep_freed_memory() -> bool:
    """Set it for this process; False where the C library has no such settings."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):  # not glibc
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES) and mallopt(_M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES))
