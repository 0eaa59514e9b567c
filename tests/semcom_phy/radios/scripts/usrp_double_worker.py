"""The radio worker, as it is, with a USRP that exists in software alone. Runs as a module under GNU Radio's Python.

The source counts: sample n is n / 1e6. The sink writes what is not silence to the file that USRP_DOUBLE_FILE names. On
the way both print what UHD prints.
"""

from __future__ import annotations

import os
import sys

import numpy as np
from gnuradio import gr, uhd
from usrp_double import UsrpDouble

from semcom_phy.gr import radio_worker

PRINTED = {
    20_000: b"O",
    50_000: b"OO",
    60_000: b"[WARNING] [UHD] a line of UHD\n",
    90_000: b"DD",
    100_000: b"U",
    120_000: b"L",
    130_000: b"S",
}


def print_between(before: int, after: int) -> None:
    for place, text in PRINTED.items():
        if before < place <= after:
            os.write(2, text)


class Source(gr.sync_block, UsrpDouble):
    def __init__(self, address: str, stream: object) -> None:
        gr.sync_block.__init__(self, name="usrp_source", in_sig=None, out_sig=[np.complex64])
        self.prepare()
        self._place = 0

    def work(self, input_items: list[np.ndarray], output_items: list[np.ndarray]) -> int:
        out = output_items[0]
        out[:] = np.arange(self._place, self._place + out.size) / 1e6
        print_between(self._place, self._place + out.size)
        self._place += out.size
        return out.size


class Sink(gr.sync_block, UsrpDouble):
    def __init__(self, address: str, stream: object) -> None:
        gr.sync_block.__init__(self, name="usrp_sink", in_sig=[np.complex64], out_sig=None)
        self.prepare()
        self._place = 0
        self._file = os.open(os.environ["USRP_DOUBLE_FILE"], os.O_WRONLY | os.O_CREAT)

    def work(self, input_items: list[np.ndarray], output_items: list[np.ndarray]) -> int:
        samples = input_items[0]
        sound = samples[samples != 0]
        if sound.size:
            print_between(self._place, self._place + sound.size)
            self._place += sound.size
            os.write(self._file, sound.tobytes())
        return samples.size


if __name__ == "__main__":
    uhd.usrp_source, uhd.usrp_sink = Source, Sink
    uhd.tune_request = lambda frequency, offset: (frequency, offset)
    radio_worker.main(sys.argv[1:])
