"""One stream block between stock blocks of GNU Radio. Arguments: what to run, its configuration as JSON, a folder.

``transmit``: the PDUs ``in-*.pdu`` into a Burst Transmitter; leaves ``samples.npy``, ``tags.json`` and ``sent-*.pdu``,
``refused-*.pdu``, once as many are out as ``answers`` says, and ``tail`` samples behind the end of the last frame.
``receive``: ``samples.npy`` into a Burst Receiver; leaves what comes out of its ports, ``PORT-*.pdu``.
``impair``: ``samples.npy`` through Impairments; leaves ``impaired.npy`` and ``tags.json``.
``flood``: as ``transmit``, but all PDUs are there before the block begins, and ``sent`` and ``refused`` count together.
``loop``: a Burst Transmitter, a channel that drowns the frames ``drowned`` in noise, and a Burst Receiver; leaves
``received-*.pdu``.
``replay``: a SigMF Source into a SigMF Sink.

Keys: ``block`` (parameters of the block), ``tags`` ([place, key] on the input), ``max_items`` (largest chunk of the
input), ``settings`` ([setter, value] of Impairments, called when ``settle`` samples have come out).
"""

import json
import os
import sys
import threading
from pathlib import Path

import numpy as np
import pmt
from gnuradio import blocks, gr

from semcom_phy.errors import SemcomError
from semcom_phy.gr.burst_receiver import ANNOTATIONS, BURSTS, RECEIVED, STATUS, SYMBOLS, BurstReceiver
from semcom_phy.gr.burst_transmitter import FRAMES, REFUSED, SENT, BurstTransmitter
from semcom_phy.gr.impairments import Impairments
from semcom_phy.gr.messages import pdu_from_message
from semcom_phy.gr.pdu_block import IN, MessageBlock
from semcom_phy.gr.sigmf_sink import SigmfSink
from semcom_phy.gr.sigmf_source import SigmfSource
from semcom_phy.gr.stream_block import FRAME_BEGIN, FRAME_END, STREAM_END
from semcom_phy.zmq import encode_pdu

ENOUGH = 1 << 16


class Collector(MessageBlock):
    """Writes what comes to files, and says when so many have come."""

    def __init__(self, folder, name, enough=None, counter=None):
        MessageBlock.__init__(self, f"collector of {name}", [IN], [])
        self.folder, self.name, self.enough, self.counter = folder, name, enough, counter
        self.count = 0
        self.complete = threading.Event()
        self.set_msg_handler(pmt.intern(IN), self.handle)

    def handle(self, message):
        pdu = pdu_from_message(message)
        (self.folder / f"{self.name}-{self.count:05d}.pdu").write_bytes(encode_pdu(pdu))
        self.count += 1
        if self.counter is not None:
            self.counter.release()
        if self.count == self.enough:
            self.complete.set()


def tags_of(sink):
    return [[tag.offset, pmt.symbol_to_string(tag.key), str(tag.value)] for tag in sink.tags()]


class Source(gr.sync_block):
    """Samples in chunks of random sizes, with tags (the stock source gives tagged samples all at once)."""

    def __init__(self, folder, config):
        gr.sync_block.__init__(self, "source", None, [np.complex64])
        self.samples = np.load(folder / "samples.npy")
        self.tags = dict(config.get("tags", [])) | {self.samples.size - 1: STREAM_END}
        self.most = config.get("max_items", ENOUGH)
        self.rng = np.random.default_rng(1)
        self.next = 0

    def work(self, input_items, output_items):
        if self.next == self.samples.size:
            return -1
        out = output_items[0]
        stop = min(self.next + out.size, self.next + int(self.rng.integers(1, self.most + 1)), self.samples.size)
        count = stop - self.next
        out[:count] = self.samples[self.next : stop]
        for place, key in self.tags.items():
            if self.next <= place < stop:
                self.add_item_tag(0, place, pmt.intern(key), pmt.PMT_T)
        self.next = stop
        return count


class Sink(gr.sync_block):
    """Keeps samples and tags until so many frames are over, with so many samples behind the last."""

    def __init__(self, frames, tail):
        gr.sync_block.__init__(self, "sink", [np.complex64], None)
        self.frames, self.tail = frames, tail
        self.chunks, self.tags = [], []
        self.complete = threading.Event()

    def work(self, input_items, output_items):
        samples = input_items[0]
        self.chunks.append(samples.copy())
        tags = sorted(self.get_tags_in_window(0, 0, samples.size), key=lambda tag: tag.offset)
        self.tags += [[tag.offset, pmt.symbol_to_string(tag.key), str(tag.value)] for tag in tags]
        ends = [offset for offset, key, _ in self.tags if key == FRAME_END]
        if len(ends) == self.frames and self.nitems_read(0) + samples.size >= ends[-1] + self.tail:
            self.complete.set()
        return samples.size


def transmit(config, folder):
    graph = gr.top_block()
    block = BurstTransmitter(**config["block"])
    sink = Sink(config["answers"]["sent"], config["tail"])
    graph.connect(block, sink)
    answers = config["answers"]
    ports = (SENT, REFUSED, STATUS, *([SYMBOLS] if config["symbols"] else []))
    collectors = [Collector(folder, port, answers.get(port, 0)) for port in ports]
    for collector in collectors:
        graph.msg_connect(block, collector.name, collector, IN)
    graph.start()
    for path in sorted(folder.glob("in-*.pdu")):
        block.to_basic_block()._post(pmt.intern(FRAMES), pmt.deserialize_str(path.read_bytes()))
    for collector in collectors:
        if collector.enough and not collector.complete.wait(60):
            end(f"only {collector.count} PDUs at {collector.name}")
    if not sink.complete.wait(60):
        end("not all samples have come")
    graph.stop()
    graph.wait()
    np.save(folder / "samples.npy", np.concatenate(sink.chunks))
    (folder / "tags.json").write_text(json.dumps(sink.tags))


def end(reason):
    """GNU Radio's threads would keep the process alive."""
    print(reason, file=sys.stderr, flush=True)
    os._exit(1)


def flood(config, folder):
    graph = gr.top_block()
    block = BurstTransmitter(**config["block"])
    graph.connect(block, blocks.null_sink(gr.sizeof_gr_complex))
    done = threading.Semaphore(0)
    collectors = [Collector(folder, port, counter=done) for port in (SENT, REFUSED)]
    for collector in collectors:
        graph.msg_connect(block, collector.name, collector, IN)
    for path in sorted(folder.glob("in-*.pdu")):
        block.to_basic_block()._post(pmt.intern(FRAMES), pmt.deserialize_str(path.read_bytes()))
    graph.start()
    for _ in range(config["answers"]):
        if not done.acquire(timeout=60):
            end("not all frames were answered")
    graph.stop()
    graph.wait()


class Drowner(gr.sync_block):
    """Puts noise 30 dB above the bursts in place of some frames."""

    def __init__(self, numbers):
        gr.sync_block.__init__(self, "drowner", [np.complex64], [np.complex64])
        self.numbers = set(numbers)
        self.frames = -1
        self.rng = np.random.default_rng(0)

    def work(self, input_items, output_items):
        samples, out = input_items[0], output_items[0]
        out[:] = samples
        noise = self.rng.standard_normal(2 * out.size).astype(np.float32).view(np.complex64) * np.float32(10)
        starts = sorted(
            tag.offset - self.nitems_read(0) for tag in self.get_tags_in_window(0, 0, out.size, pmt.intern(FRAME_BEGIN))
        )
        for number, (start, stop) in enumerate(zip([0, *starts], [*starts, out.size], strict=True)):
            self.frames += number > 0
            if self.frames in self.numbers:
                out[start:stop] += noise[start:stop]
        return out.size


def loop(config, folder):
    graph = gr.top_block()
    transmitter, receiver = BurstTransmitter(**config["block"]), BurstReceiver()
    channel = Drowner(config["drowned"])  # a block that nobody holds is gone
    graph.connect(transmitter, channel, receiver)
    collector = Collector(folder, RECEIVED, config["answers"])
    graph.msg_connect(receiver, RECEIVED, collector, IN)
    graph.start()
    for path in sorted(folder.glob("in-*.pdu")):
        transmitter.to_basic_block()._post(pmt.intern(FRAMES), pmt.deserialize_str(path.read_bytes()))
    if not collector.complete.wait(60):
        end(f"only {collector.count} frames were answered")
    graph.stop()
    graph.wait()


def receive(config, folder):
    graph = gr.top_block()
    source, block = Source(folder, config), BurstReceiver(**config["block"])
    graph.connect(source, block)
    collectors = [Collector(folder, port) for port in (RECEIVED, STATUS, BURSTS, SYMBOLS, ANNOTATIONS)]
    for collector in collectors:
        graph.msg_connect(block, collector.name, collector, IN)
    graph.run(config.get("max_items", ENOUGH))
    print(json.dumps({"failed": block.failed, "frames": block.counts.frames}))


def impair(config, folder):
    graph = gr.top_block()
    source, block, sink = Source(folder, config), Impairments(**config["block"]), blocks.vector_sink_c()
    graph.connect(source, block, sink)
    work, settings = block.general_work, list(config.get("settings", []))

    def observed(input_items, output_items):
        if settings and block.nitems_written(0) >= config["settle"]:
            setter, value = settings.pop(0)
            getattr(block, setter)(value)
            print(json.dumps({"set_at": block.nitems_written(0)}))
        return work(input_items, output_items)

    block.general_work = observed
    graph.run(config.get("max_items", ENOUGH))
    np.save(folder / "impaired.npy", np.array(sink.data(), np.complex64))
    (folder / "tags.json").write_text(json.dumps(tags_of(sink)))


def replay(config, folder):
    graph = gr.top_block()
    source, sink = SigmfSource(**config["source"]), SigmfSink(**config["sink"])
    if "head" in config:
        graph.connect(source, blocks.head(gr.sizeof_gr_complex, config["head"]), sink)
    else:
        graph.connect(source, sink)
    for fields in config.get("annotations", []):
        message = pmt.cons(pmt.to_pmt(fields), pmt.init_u8vector(0, []))
        sink.to_basic_block()._post(pmt.intern("annotations"), message)
    graph.run(config.get("max_items", ENOUGH))
    print(json.dumps({"failed": sink.failed}))


if __name__ == "__main__":
    try:
        runs = {"transmit": transmit, "flood": flood, "loop": loop, "receive": receive, "impair": impair}
        {**runs, "replay": replay}[sys.argv[1]](json.loads(sys.argv[2]), Path(sys.argv[3]))
    except SemcomError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from None
