"""The flowgraph's end of a link without a flowgraph: sends all PDUs back, with its own numbers.

Arguments: the four addresses. On a PDU with "hang" its ZeroMQ thread hangs while the process lives on.
"""

import signal
import sys
import threading

from semcom_phy.zmq import FlowgraphEnd, LinkAddresses, Pdu

never = threading.Event()


def echo(pdu: Pdu) -> list[Pdu]:
    if pdu.metadata.get("hang"):
        never.wait()
    return [pdu]


with FlowgraphEnd(LinkAddresses.from_arguments(sys.argv[1:]), capabilities={"echo": True}) as end:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    thread = threading.Thread(target=end.serve, args=(echo,), daemon=True)
    thread.start()
    print("started", flush=True)
    signal.sigwait({signal.SIGTERM})
    end.stop()
    thread.join()
