"""A flowgraph of which one block ends in the middle: four addresses, then which block, then the frame that ends it.

Frames come back as they were sent. Beside that runs a stream through a Python block, and from there through a valve
into a block of GNU Radio's own that throws at samples without a length tag. What ends:

    work      the Python block raises an exception in its work function; no frame is answered any more
    tags      the valve opens, and GNU Radio's own block throws; likewise
    handler   the block that sends frames back raises an exception in its message handler
    start     as `work`, but with the first samples
    done      the Python block says that it is done, which is no failure; frames are answered
"""

import signal
import sys
import threading

import numpy as np
import pmt
from gnuradio import blocks, gr, pdu

from semcom_phy.gr.application import Application
from semcom_phy.gr.messages import message_from_pdu, pdu_from_message
from semcom_phy.zmq import Pdu

*addresses, what, last = sys.argv[1:]
reached = threading.Event()


class Stream(gr.sync_block):
    def __init__(self):
        gr.sync_block.__init__(self, name="stream", in_sig=[np.uint8], out_sig=[np.uint8])

    def work(self, input_items, output_items):
        if what == "start" or (what == "work" and reached.is_set()):
            raise RuntimeError("no such antenna")
        if what == "done" and reached.is_set():
            return -1
        output_items[0][:] = input_items[0]
        return output_items[0].size


class Copy(gr.basic_block):
    def __init__(self):
        gr.basic_block.__init__(self, name="copy_frames", in_sig=None, out_sig=None)
        self.message_port_register_in(pmt.intern("in"))
        self.message_port_register_out(pmt.intern("out"))
        self.set_msg_handler(pmt.intern("in"), self.handle)

    def handle(self, message):
        frame = pdu_from_message(message)
        if frame.metadata["frame"] == int(last):
            reached.set()
            valve.set_enabled(True)
            if what == "handler":
                raise KeyError("no such key")
        if not reached.is_set() or what == "done":
            metadata = {key: frame.metadata[key] for key in ("frame", "header")}
            answer = Pdu({**metadata, "block_ok": np.ones(1, np.uint8)}, 2 * frame.vector.astype(np.float32) - 1)
            self.message_port_pub(pmt.intern("out"), message_from_pdu(answer))


graph = gr.top_block()
application = Application("dying", *addresses, settings={"channel": "ideal", "fec": "none", "interleave": False})
copy, stream, valve = Copy(), Stream(), blocks.copy(1)
valve.set_enabled(False)
graph.msg_connect(application, "frames", copy, "in")
graph.msg_connect(copy, "out", application, "received")
graph.connect(blocks.null_source(1), blocks.throttle(1, 1e5), stream, blocks.null_sink(1))
if what == "tags":
    graph.connect(stream, valve, pdu.tagged_stream_to_pdu(gr.types.byte_t, "length"))
ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: ended.set())
graph.start()
while not ended.wait(0.1):  # a signal is noticed between two waits
    pass
graph.stop()
graph.wait()
