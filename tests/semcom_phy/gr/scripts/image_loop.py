"""An image round and round: Image PDU Source → uncoded symbol chain → Image PDU Sink.

Arguments: image, PNG file, pixel format, Es/N0 in dB, what asks for the next frame: "answer" or "strobe", and after how
many received frames it ends. Then it prints how many frames the sink has handled, lost and refused.
"""

import os
import sys
import threading
from itertools import pairwise

import pmt
from gnuradio import blocks, gr

from semcom_phy.gr.channel import Channel
from semcom_phy.gr.frame_rx import FrameRx
from semcom_phy.gr.frame_tx import FrameTx
from semcom_phy.gr.image_pdu_sink import ImagePduSink
from semcom_phy.gr.image_pdu_source import NEXT, ImagePduSource
from semcom_phy.gr.pdu_block import IN, OUT
from semcom_phy.gr.soft_demapper import SoftDemapper
from semcom_phy.gr.soft_mapper import SoftMapper

image, png, pixel_format, snr_db, pace, count = sys.argv[1:]
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


class CountingSink(ImagePduSink):
    """Tells when it has handled enough."""

    def handle(self, message):
        ImagePduSink.handle(self, message)
        if self.handled + self.failed >= int(count):
            done.set()


done = threading.Event()
flowgraph = gr.top_block("image loop")
sink = CountingSink(png)
chain = [
    ImagePduSource(image, pixel_format, start_at_once=pace == "answer"),
    FrameTx(),
    SoftMapper(),
    Channel("awgn", float(snr_db)),
    SoftDemapper(),
    FrameRx(),
]
for block, following in pairwise(chain):
    flowgraph.msg_connect(block, OUT, following, IN)
flowgraph.msg_connect(chain[-1], OUT, sink, IN)
strobe = blocks.message_strobe(pmt.PMT_T, 20)
if pace == "answer":
    flowgraph.msg_connect(chain[-1], OUT, chain[0], NEXT)
else:
    flowgraph.msg_connect(strobe, "strobe", chain[0], NEXT)
flowgraph.start()
done.wait()
flowgraph.stop()
flowgraph.wait()
print(sink.handled, sink.lost, sink.failed, file=answers, flush=True)
