"""A flowgraph without GNU Radio: the application's end of the ZeroMQ link and, behind it, the functions of NumpyLink.

The first argument is a JSON object:

    addresses   the four of the link
    chain       "numpy": BPSK over AWGN without FEC, as NumpyLink has it; "copy": payload bits come back as LLRs ±1
    seed, snr_db
    pause_s     before each answer, in the thread that works on frames: the watchdog is answered meanwhile
    on          {frame number: what happens on it}: "crash", "silence", "hang" (the ZeroMQ thread), "junk" (a PDU that
                is no received frame comes first), "twice" (the answer comes twice), "log" (GNU Radio's line of a block
                that has died, and no answer from then on), "tell" (the watchdog is told of one; likewise)
"""

import json
import os
import queue
import sys
import threading

import numpy as np

from semcom_phy.zmq import FlowgraphEnd, LinkAddresses, Pdu, UInt64

options = json.loads(sys.argv[1])
events = {int(number): what for number, what in options.get("on", {}).items()}
never = threading.Event()
failures: list[str] = []
LOGGED = "thread_body_wrapper :error: ERROR thread[thread-per-block[1]: <block sink(4)>]: no such antenna"
frames: queue.Queue = queue.Queue()


def copied(pdu: Pdu) -> Pdu:
    metadata = {key: pdu.metadata[key] for key in ("frame", "header")}
    return Pdu({**metadata, "block_ok": np.ones(1, np.uint8)}, 2.0 * pdu.vector.astype(np.float32) - 1.0)


def through_the_chain(pdu: Pdu) -> Pdu:
    from semcom_phy.channels import make_channel
    from semcom_phy.links.frame_pdus import ReceivedPdu, frame_from_pdu, received_to_pdu
    from semcom_phy.links.numpy_link import NumpyLinkConfig, build_frame, receive_frame
    from semcom_phy.modulation import MODULATIONS, hard_decisions

    config = NumpyLinkConfig(make_channel("awgn", snr_db=options["snr_db"]), fec="none", seed=options["seed"])
    number, frame = frame_from_pdu(pdu)
    bpsk = MODULATIONS["bpsk"]
    rng = np.random.default_rng((config.seed, number))
    output = config.channel.transmit(bpsk.modulate(build_frame(frame, config)), rng)
    hard = hard_decisions(bpsk.demap(output.received, output.gain, output.noise_variance))
    return received_to_pdu(ReceivedPdu(number, receive_frame(output, config.turbo), hard))


def work(end: FlowgraphEnd) -> None:
    answer = {"numpy": through_the_chain, "copy": copied}[options["chain"]]
    while True:
        pdu = frames.get()
        match events.get(pdu.metadata["frame"]):
            case "crash":
                print("no such antenna", file=sys.stderr, flush=True)
                os._exit(3)
            case "silence":
                continue
            case "log":
                print(LOGGED, file=sys.stderr, flush=True)
                never.wait()
            case "tell":
                failures.append("block sink(4) has died: no such antenna")
                never.wait()
            case "junk":
                end.post(Pdu({"frame": UInt64(pdu.metadata["frame"]), "header": "a symbol"}, np.ones(3, np.float32)))
                end.post(Pdu({"frame": "a symbol"}))
                end.post(Pdu({"frame": UInt64(1 << 60)}, np.empty(0, np.float32)))
            case "twice":
                end.post(answer(pdu))
        if options.get("pause_s"):
            never.wait(options["pause_s"])
        end.post(answer(pdu))


def take(pdu: Pdu) -> None:
    if events.get(pdu.metadata["frame"]) == "hang":
        never.wait()
    frames.put(pdu)


with FlowgraphEnd(
    LinkAddresses(*options["addresses"]),
    capabilities={"flowgraph": "double"},
    failure=lambda: failures[0] if failures else None,
) as end:
    threading.Thread(target=work, args=(end,), daemon=True).start()
    end.serve(take)
