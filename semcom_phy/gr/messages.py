"""GNU Radio's messages as the PDUs of `semcom_phy.zmq`, and back.

Both ways go through the serialized form, which GNU Radio writes and reads in C++: four times as fast as ``pmt.to_pmt``
and ``pmt.to_python`` with their lists of Python numbers, and checked by `decode_pdu` like whatever comes from outside.
"""

from __future__ import annotations

from typing import Final

import pmt

from semcom_phy.errors import FormatError
from semcom_phy.zmq import Pdu, PmtLimits, decode_pdu, encode_pdu

#: Inside a flowgraph there is no socket to protect; what a symbol-level frame grows to fits.
LIMITS: Final = PmtLimits(message_bytes=2**31, vector_items=2**28)


def pdu_from_message(message: pmt.pmt_base, *, keep: bool = False) -> Pdu:
    """The PDU that a message is. Raises FormatError for every other message. `keep`: see `decode_pdu`."""
    try:
        serialized = pmt.serialize_str(message)
    except (RuntimeError, TypeError, ValueError) as error:  # a PMT without serialized form
        raise FormatError(f"a message that is no PDU ({error})") from None
    return decode_pdu(serialized, LIMITS, keep=keep)


def message_from_pdu(pdu: Pdu) -> pmt.pmt_base:
    """The message that says the same. Raises ConfigurationError for a PDU beyond `LIMITS`."""
    return pmt.deserialize_str(pdu.serialized or encode_pdu(pdu, LIMITS))


def without_entry(message: pmt.pmt_base, key: str) -> pmt.pmt_base:
    """The message of a PDU without one of the entries of its metadata."""
    return pmt.cons(pmt.dict_delete(pmt.car(message), pmt.intern(key)), pmt.cdr(message))
