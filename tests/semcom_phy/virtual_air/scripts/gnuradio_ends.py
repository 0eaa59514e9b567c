"""Stock blocks of GNU Radio at a virtual air: a transmitter (rep_sink) or a receiver (req_source).

Arguments: "transmit" or "receive", address, file of complex64. The transmitter says where it listens, sends the file
and ends when told to; the receiver writes as many samples as the file's size says.
"""

import os
import sys

from gnuradio import blocks, gr, zeromq

role, address, path = sys.argv[1:4]
graph = gr.top_block()
if role == "transmit":
    source = blocks.file_source(gr.sizeof_gr_complex, path, False)
    sink = zeromq.rep_sink(gr.sizeof_gr_complex, 1, address, 100, False, -1)
    graph.connect(source, sink)
    print(sink.last_endpoint(), flush=True)
    graph.start()
    sys.stdin.read()
    graph.stop()
else:
    count = int(sys.argv[4])
    source = zeromq.req_source(gr.sizeof_gr_complex, 1, address, 100, False, -1)
    head = blocks.head(gr.sizeof_gr_complex, count)
    sink = blocks.file_sink(gr.sizeof_gr_complex, path)
    graph.connect(source, head, sink)
    graph.run()
    sink.close()
    print("received", flush=True)
os._exit(0)
