"""PDUs over ZeroMQ between the application and GNU Radio flowgraphs, without GNU Radio on the application's side.

Needs numpy and pyzmq only, so that it also runs in GNU Radio's own Python.
"""

from semcom_phy.zmq.ends import ApplicationEnd, FlowgraphEnd, LinkAddresses
from semcom_phy.zmq.pdu import Pdu, decode_pdu, encode_pdu
from semcom_phy.zmq.pmt import Pair, PmtLimits, PmtValue, UInt64, Vector, decode, encode
from semcom_phy.zmq.sockets import PduReceiver, PduSender, ReceiverStats, SenderStats, SocketOptions, new_session
from semcom_phy.zmq.watchdog import Peer, Verdict, Watchdog

__all__ = [
    "ApplicationEnd",
    "FlowgraphEnd",
    "LinkAddresses",
    "Pair",
    "Pdu",
    "PduReceiver",
    "PduSender",
    "Peer",
    "PmtLimits",
    "PmtValue",
    "ReceiverStats",
    "SenderStats",
    "SocketOptions",
    "UInt64",
    "Vector",
    "Verdict",
    "Watchdog",
    "decode",
    "decode_pdu",
    "encode",
    "encode_pdu",
    "new_session",
]
