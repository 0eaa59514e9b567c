"""Messages of the virtual air: a request for samples, and a reply of complex64.

Request: the number of samples wanted, uint32, little-endian, as GNU Radio's ``req_source`` sends and its ``rep_sink``
reads it; or one byte of any value, as srsRAN's ``rf_zmq`` sends it, which leaves the number to the other side. (srsRAN
reads the first byte of a request, whatever its length, so that the longer form suits both.)

Reply: complex64, little-endian, I and Q in turn, as many as the replying side likes. GNU Radio sends no more than were
asked for, and now and then none; srsRAN always whole subframes. An empty reply before the connection ends, or
`ENDING_REPLIES` of them in a row, are the end of the stream.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.errors import FormatError

Samples = npt.NDArray[np.complex64]

#: Where a transmitter answers, and where the air answers a receiver, unless told otherwise.
TRANSMITTER_ADDRESS: Final = "tcp://127.0.0.1:29101"
RECEIVER_ADDRESS: Final = "tcp://127.0.0.1:29102"

SAMPLE_BYTES: Final = 8
#: Longest reply that is taken: ten subframes of the fastest LTE rate, and more.
MAX_REPLY_SAMPLES: Final = 1 << 20
#: Longest reply that is made.
MAX_CHUNK: Final = 1 << 16
#: So many replies in a row without a sample are no chance any more.
ENDING_REPLIES: Final = 16
#: For a request that leaves the number open.
DEFAULT_CHUNK: Final = 1 << 12
#: Larger messages are refused by ZeroMQ before they are in memory.
MAX_REPLY_BYTES: Final = 2 * SAMPLE_BYTES * MAX_REPLY_SAMPLES
MAX_REQUEST_BYTES: Final = 1024
#: Larger components are no signal, and would overflow on their way.
LARGEST_COMPONENT: Final = 1e6

_COUNT = struct.Struct("<I")


def encode_request(count: int) -> bytes:
    """A request for so many samples, 1 … `MAX_CHUNK`."""
    return _COUNT.pack(min(max(count, 1), MAX_CHUNK))


def decode_request(message: bytes) -> int:
    """How many samples a request asks for, 1 … `MAX_CHUNK`. Raises FormatError if it is no request."""
    if len(message) == 1:
        return DEFAULT_CHUNK
    if len(message) == _COUNT.size and (count := _COUNT.unpack(message)[0]):
        return int(min(count, MAX_CHUNK))
    raise FormatError(f"a request for samples has 1 byte, or 4 with a number above 0, not {len(message)} bytes")


def decode_reply(message: bytes) -> Samples:
    """Samples of a reply, complex64 (n,), n ≥ 0, not to be written to.

    Raises FormatError for a length that is no multiple of 8 bytes or beyond `MAX_REPLY_SAMPLES`.
    """
    if len(message) > SAMPLE_BYTES * MAX_REPLY_SAMPLES:
        raise FormatError(f"a reply has at most {MAX_REPLY_SAMPLES} samples, not {len(message) // SAMPLE_BYTES}")
    if len(message) % SAMPLE_BYTES:
        raise FormatError(f"a reply is complex64 of 8 bytes each, not {len(message)} bytes")
    return np.frombuffer(message, "<c8").astype(np.complex64, copy=False)


def encode_reply(samples: Samples) -> bytes:
    """A reply with these samples."""
    return np.ascontiguousarray(samples, "<c8").tobytes()


def without_junk(samples: Samples) -> tuple[Samples, int]:
    """Replace samples that are not finite, or beyond `LARGEST_COMPONENT`, by zero; also return how many there were."""
    parts = samples.view(np.float32).reshape(-1, 2)
    with np.errstate(invalid="ignore"):
        good = (np.abs(parts) <= LARGEST_COMPONENT).all(axis=1)  # NaN fails the comparison
    bad = int(samples.size - np.count_nonzero(good))
    return (samples if not bad else np.where(good, samples, np.complex64(0))), bad
