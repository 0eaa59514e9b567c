"""A GNU Radio flowgraph that sends all PDUs back: two paths, data and control, of stock message blocks.

Arguments: the four addresses of a link, which the application has bound.
"""

import signal
import sys

import pmt
from gnuradio import gr, zeromq


class Passthrough(gr.basic_block):
    """Publishes every message that it gets."""

    def __init__(self) -> None:
        gr.basic_block.__init__(self, name="passthrough", in_sig=None, out_sig=None)
        self.message_port_register_in(pmt.intern("in"))
        self.message_port_register_out(pmt.intern("out"))
        self.set_msg_handler(pmt.intern("in"), self.publish)

    def publish(self, message: pmt.pmt_base) -> None:
        """Handle a message; GNU Radio finds handlers by their names, so this cannot be a lambda."""
        self.message_port_pub(pmt.intern("out"), message)


class EchoFlowgraph(gr.top_block):
    """pull_msg_source → passthrough → push_msg_sink, twice."""

    def __init__(self, data_in: str, data_out: str, control_in: str, control_out: str) -> None:
        gr.top_block.__init__(self, "echo")
        self.blocks = []  # GNU Radio needs Python blocks to stay referenced
        for source, sink in ((data_in, data_out), (control_in, control_out)):
            # The last argument: connect and do not bind. The sources' timeout is in ms.
            path = zeromq.pull_msg_source(source, 10, False), Passthrough(), zeromq.push_msg_sink(sink, 10, False)
            self.blocks.append(path)
            self.msg_connect(path[0], "out", path[1], "in")
            self.msg_connect(path[1], "out", path[2], "in")


# Before any thread starts: one that does not block the signal would die of it.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
flowgraph = EchoFlowgraph(*sys.argv[1:])
flowgraph.start()
print("started", flush=True)
signal.sigwait({signal.SIGTERM})
flowgraph.stop()
flowgraph.wait()
