"""The far end of a round trip. Runs as a program under the Python that has GNU Radio.

    gnuradio_echo.py KIND DATA_TO DATA_FROM CONTROL_TO CONTROL_FROM

KIND: "blocks", GNU Radio's own ZeroMQ blocks and a block in Python between them; "application", the Application block
and a block that answers frames; "end", `FlowgraphEnd` alone, without GNU Radio. It runs until SIGTERM.
"""
# mypy: disable-error-code="import-not-found, import-untyped"

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

from semcom_phy.zmq import FlowgraphEnd, LinkAddresses


def stock_blocks(addresses: LinkAddresses) -> Callable[[], None]:
    """Start pull_msg_source → pass on → push_msg_sink, for data and for control; returns what ends it."""
    import pmt
    from gnuradio import gr, zeromq

    class PassOn(gr.basic_block):
        """Publishes every message that it gets."""

        def __init__(self) -> None:
            gr.basic_block.__init__(self, name="pass on", in_sig=None, out_sig=None)
            self.message_port_register_in(pmt.intern("in"))
            self.message_port_register_out(pmt.intern("out"))
            self.set_msg_handler(pmt.intern("in"), self.publish)

        def publish(self, message: Any) -> None:
            """Handle a message; GNU Radio finds handlers by the names of methods."""
            self.message_port_pub(pmt.intern("out"), message)

    graph = gr.top_block("echo")
    four = addresses.as_arguments()
    paths = [
        # The last argument: connect and do not bind. The timeout is in ms.
        (zeromq.pull_msg_source(source, 10, False), PassOn(), zeromq.push_msg_sink(sink, 10, False))
        for source, sink in (four[:2], four[2:])
    ]
    for source, between, sink in paths:
        graph.msg_connect(source, "out", between, "in")
        graph.msg_connect(between, "out", sink, "in")
    return _started(graph, paths)


def application_block(addresses: LinkAddresses) -> Callable[[], None]:
    """Start Application → answer → Application: every payload bit comes back as an LLR of ±1."""
    import numpy as np
    from gnuradio import gr

    from semcom_phy.gr.application import FRAMES, RECEIVED, Application
    from semcom_phy.gr.pdu_block import IN, OUT, PduBlock
    from semcom_phy.zmq import Pdu

    class Answer(PduBlock):
        """Makes the answer to a frame."""

        def __init__(self) -> None:
            PduBlock.__init__(self, "answer")

        def process(self, pdu: Pdu) -> Pdu:
            return Pdu({**pdu.metadata, "block_ok": np.ones(1, np.uint8)}, 2 * pdu.vector.astype(np.float32) - 1)

    graph = gr.top_block("echo")
    data_to, data_from, control_to, control_from = addresses.as_arguments()
    application, answer = Application("echo", data_to, data_from, control_to, control_from), Answer()
    graph.msg_connect(application, FRAMES, answer, IN)
    graph.msg_connect(answer, OUT, application, RECEIVED)
    return _started(graph, application, answer)


def _started(graph: Any, *blocks: Any) -> Callable[[], None]:
    graph.start()

    def end(kept: Any = blocks) -> None:  # GNU Radio needs its Python blocks to stay referenced
        graph.stop()
        graph.wait()

    return end


def flowgraph_end(addresses: LinkAddresses) -> Callable[[], None]:
    """Start a `FlowgraphEnd` that sends everything back."""
    end = FlowgraphEnd(addresses)
    thread = threading.Thread(target=end.serve, args=(lambda pdu: [pdu],))
    thread.start()

    def stop() -> None:
        end.stop()
        thread.join()
        end.close()

    return stop


KINDS = {"blocks": stock_blocks, "application": application_block, "end": flowgraph_end}


def main() -> None:
    """Run until SIGTERM."""
    # Before any thread starts: one that does not block the signal would die of it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    stop = KINDS[sys.argv[1]](LinkAddresses.from_arguments(sys.argv[2:]))
    signal.sigwait({signal.SIGTERM})
    stop()


if __name__ == "__main__":
    main()
