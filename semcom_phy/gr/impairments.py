"""GNU Radio block: radios and air, as they distort a stream of samples."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pmt
from gnuradio import gr

from semcom_phy.capture.sample_formats import zero_non_finite
from semcom_phy.channels.impairments import parse_impairments
from semcom_phy.gr.adjustable_channel import AdjustableChannel, Controls, with_control
from semcom_phy.gr.stream_block import STREAM_END, StreamBlock
from semcom_phy.links.air_link import for_symbols

Samples = npt.NDArray[np.complex64]


class Impairments(StreamBlock):
    """Complex samples in; complex samples out, as `SampleChannel` makes them. Their number can change.

    `impairments`: a channel in its text form (`parse_impairments`). `sample_rate_hz`, `seed`: see `SampleChannel.open`.
    `samples_per_symbol`: what an Es/N0 refers to. `level_dbfs`: mean power of the signal that comes in, to which
    all levels refer; it leaves with a mean power of 1 (0 dB). `cfo_hz`, `esn0_db`, `gain_db`: controls that can be
    set while the flowgraph runs and act behind the channel; None leaves them out.

    Tags stay with their samples. At `STREAM_END` everything that filters hold back comes out, and the tag moves to
    the last of it; a stream that goes on then begins in the channel anew. Where a stream ends without that tag, what is
    held back is lost. Samples that are not finite count as zero.

    Raises ConfigurationError for a text that it does not understand or values out of range.
    """

    def __init__(
        self,
        impairments: str = "",
        sample_rate_hz: float = 1e6,
        seed: int = 0,
        samples_per_symbol: int = 4,
        level_dbfs: float = 0.0,
        cfo_hz: float | None = None,
        esn0_db: float | None = None,
        gain_db: float | None = None,
    ) -> None:
        StreamBlock.__init__(self, "Impairments", [], [], [np.complex64], [np.complex64])
        self._description = for_symbols(parse_impairments(impairments), int(samples_per_symbol))
        self._sample_rate_hz = float(sample_rate_hz)
        self._seed = int(seed)
        self._samples_per_symbol = int(samples_per_symbol)
        self._level_dbfs = float(level_dbfs)
        self._controls = Controls()
        for change in ({"cfo_hz": cfo_hz}, {"esn0_db": esn0_db}, {"gain_db": gain_db}):
            self._controls = with_control(self._controls, **change)
        self._setting = threading.Lock()
        self._streams = 0
        self._channel = self._opened()
        self._ready: Samples = np.empty(0, np.complex64)
        self.samples_damaged = 0
        # Samples are not where they were: tags are moved below.
        self.set_tag_propagation_policy(gr.TPP_DONT)

    def set_cfo_hz(self, cfo_hz: float | None) -> None:
        """Carrier frequency offset in Hz from now on; None: none."""
        self._set(cfo_hz=cfo_hz)

    def set_esn0_db(self, esn0_db: float | None) -> None:
        """Es/N0 in dB of the noise from now on; None: no noise."""
        self._set(esn0_db=esn0_db)

    def set_gain_db(self, gain_db: float | None) -> None:
        """Gain in dB from now on; None: none."""
        self._set(gain_db=gain_db)

    def _set(self, **change: float | None) -> None:
        with self._setting:
            controls = with_control(self._controls, **change)
            self._channel.controls = controls
            self._controls = controls

    def _opened(self) -> AdjustableChannel:
        seed = self._seed
        if self._streams:  # a stream that follows another has random numbers of its own
            seed = int(np.random.default_rng((self._seed, self._streams)).integers(2**63))
        self._streams += 1
        return AdjustableChannel(
            self._description,
            self._sample_rate_hz,
            seed,
            level_db=self._level_dbfs,
            samples_per_symbol=self._samples_per_symbol,
            controls=self._controls,
        )

    def forecast(self, noutput_items: int, ninputs: int) -> list[int]:
        """What is ready goes out first, without input."""
        return [0 if self._ready.size else 1]

    def general_work(self, input_items: Sequence[Samples], output_items: Sequence[Samples]) -> int:
        """Take all samples that are there when nothing is waiting to go out; give what fits."""
        samples, out = input_items[0], output_items[0]
        if self._ready.size == 0 and samples.size:
            with self._setting:
                self._ready = self._through(samples)
            self.consume(0, samples.size)
        count = min(out.size, self._ready.size)
        out[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _through(self, samples: Samples) -> Samples:
        """What comes out for these samples; tags are set on the samples that come out next when theirs goes in."""
        values = samples.copy()
        self.samples_damaged += zero_non_finite(values)
        first, written = self.nitems_read(0), self.nitems_written(0)
        parts: list[Samples] = []
        start = made = 0

        def push(stop: int) -> int:
            parts.append(self._channel.push(values[start:stop]))
            return parts[-1].size

        for tag in self.tags_of(values.size):
            place = tag.offset - first
            at_end = pmt.symbol_to_string(tag.key) == STREAM_END
            stop = place + 1 if at_end else place
            made += push(stop)
            start = stop
            if at_end:
                parts.append(self._channel.flush())
                made += parts[-1].size
                self._channel = self._opened()
            self.add_item_tag(0, written + max(made - at_end, 0), tag.key, tag.value)
        push(values.size)
        return np.concatenate(parts)
