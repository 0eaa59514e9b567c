"""Chains of the symbol-level blocks in one flowgraph, each with an Application block of its own.

Argument: a JSON list of chains with the keys ``addresses`` (four), ``fec``, ``encoder``, ``decoder``, ``channel``
(parameters of the blocks), ``interleave`` and ``modulation``. Then it reads commands, one JSON list a line:

``["call", chain, block, method, argument]``  calls a method of a block, as a slider does
``["junk", chain, block, port]``              posts every message of `JUNK` to a block
``["late", chain]``                           posts an answer of another session; prints what nobody has claimed
``["count", chain]``                          prints, by block, handled and failed messages and the seconds they took

It answers each with a line, and ends at the end of its input.
"""

import json
import os
import sys
import time
from itertools import pairwise

import numpy as np
import pmt
from gnuradio import gr

from semcom_phy.gr.application import FRAMES, RECEIVED, Application
from semcom_phy.gr.channel import Channel
from semcom_phy.gr.frame_rx import FrameRx
from semcom_phy.gr.frame_tx import FrameTx
from semcom_phy.gr.pdu_block import IN, OUT
from semcom_phy.gr.soft_demapper import SoftDemapper
from semcom_phy.gr.soft_mapper import SoftMapper
from semcom_phy.gr.turbo_decoder import TurboDecoder
from semcom_phy.gr.turbo_encoder import TurboEncoder


def metadata(**entries):
    result = pmt.make_dict()
    for key, value in entries.items():
        result = pmt.dict_add(result, pmt.intern(key), value)
    return result


def pdu(vector, **entries):
    return pmt.cons(metadata(**entries), pmt.to_pmt(vector))


HEAD = pmt.to_pmt(np.frombuffer(b"head", np.uint8))
BITS = np.ones(200, np.uint8)
LLRS = np.ones(5000, np.float32)
#: Nothing of this is for any of the blocks. What says a number is answered as a lost frame: those from 900 on.
JUNK = [
    pmt.PMT_NIL,
    pmt.PMT_T,
    pmt.PMT_EOF,
    pmt.from_long(-1),
    pmt.intern("x" * 3000),
    pmt.cons(pmt.PMT_NIL, pmt.PMT_NIL),
    pmt.cons(pmt.intern("frame"), pmt.from_long(3)),
    pmt.to_pmt(BITS),
    pmt.cons(pmt.dict_add(pmt.make_dict(), pmt.from_long(3), pmt.PMT_T), pmt.to_pmt(BITS)),
    pdu(BITS),
    pdu(np.empty(0, np.uint8), frame=pmt.from_long(-4)),
    pdu(BITS, frame=pmt.from_double(1.0), header=HEAD),
    pdu(BITS.astype(np.int16), frame=pmt.from_uint64(900), header=HEAD),
    pdu(BITS * 7, frame=pmt.from_uint64(901), header=HEAD, fec=pmt.intern("turbo")),
    pdu(BITS, frame=pmt.from_uint64(902), header=pmt.intern("head"), fec=pmt.PMT_T),
    pdu(LLRS * np.nan, frame=pmt.from_uint64(903), header=HEAD),
    pdu(LLRS, frame=pmt.from_uint64(904), header=HEAD, fec=pmt.intern("ldpc"), hard=pmt.PMT_T),
    pdu(np.full(9, np.inf, np.complex64), frame=pmt.from_uint64(905), noise_variance=pmt.from_double(-1.0)),
    pdu(
        LLRS.astype(np.complex128),
        frame=pmt.from_uint64(906),
        noise_variance=pmt.from_double(1.0),
        gain=pmt.to_pmt(LLRS),
    ),
]


class SymbolChain:
    """Application → … → Application, as the shipped flowgraphs have it."""

    def __init__(self, flowgraph, config):
        modulation = config.get("modulation", "bpsk")
        application = Application("chains", *config["addresses"], settings={"modulation": modulation})
        chain = [
            FrameTx(config.get("interleave", False), modulation),
            SoftMapper(modulation),
            Channel(**config["channel"]),
            SoftDemapper(modulation),
            FrameRx(modulation),
        ]
        if config["fec"] == "turbo":
            chain.insert(0, TurboEncoder(**config.get("encoder", {})))
            chain.append(TurboDecoder(**config.get("decoder", {})))
        flowgraph.msg_connect(application, FRAMES, chain[0], IN)
        for block, following in pairwise(chain):
            flowgraph.msg_connect(block, OUT, following, IN)
        flowgraph.msg_connect(chain[-1], OUT, application, RECEIVED)
        self.blocks = {block.name(): block for block in [application, *chain]}
        self.seconds = {name: [] for name in self.blocks}
        for name, block in self.blocks.items():
            self.measure(name, block)

    def measure(self, name, block):
        """Let a block note how long it is busy with each message."""
        handler = "handle_received" if name == "Application" else "handle"
        handle = getattr(block, handler)

        def measured(message):
            start = time.perf_counter()
            handle(message)
            self.seconds[name].append(time.perf_counter() - start)

        setattr(block, handler, measured)

    def counts(self):
        return {
            name: {"handled": block.handled, "failed": block.failed, "seconds": self.seconds[name]}
            for name, block in self.blocks.items()
        }


# GNU Radio logs to the standard output, in the middle of whatever stands there.
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
flowgraph = gr.top_block("symbol chains")
chains = [SymbolChain(flowgraph, config) for config in json.loads(sys.argv[1])]
flowgraph.start()
for line in sys.stdin:
    command, chain, *arguments = json.loads(line)
    blocks = chains[chain].blocks
    answer = None
    if command == "call":
        name, method, argument = arguments
        getattr(blocks[name], method)(argument)
    elif command == "junk":
        name, port = arguments
        for message in JUNK:
            blocks[name]._post(pmt.intern(port), message)
        answer = len(JUNK)
    elif command == "late":
        application = blocks["Application"]
        application.handle_received(
            pdu(np.empty(0, np.float32), frame=pmt.from_uint64(950), session=pmt.intern("another"))
        )
        answer = application.unclaimed
    else:
        answer = chains[chain].counts()
    print(json.dumps(answer), file=answers, flush=True)
flowgraph.stop()
flowgraph.wait()
