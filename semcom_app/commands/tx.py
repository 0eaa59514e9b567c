"""`semcom tx`: pictures and videos as bursts through a radio, or through a flowgraph that transmits."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semcom_app.commands.attaching import TransmitterAttachOption, command_line, refuse_with_attach
from semcom_app.commands.codec_options import (
    picture_options,
)
from semcom_app.commands.link_options import (
    LinkOptions,
    SpsOption,
    air_config,
    burst_options,
    make_waveform,
)
from semcom_app.commands.option_groups import call_group, parameter_names, with_options_of
from semcom_app.commands.option_names import named_as_options
from semcom_app.commands.radio_options import (
    OPENING_PARAMETERS,
    LinkIdOption,
    RadioOption,
    check_link_id,
    radio_config,
)
from semcom_phy.errors import ConfigurationError

if TYPE_CHECKING:
    from semcom_app.images import LoadedImage
    from semcom_app.sent_pictures import SentPictures
    from semcom_app.streaming import PictureSource
    from semcom_phy.links import FrameFormat
    from semcom_phy.radios import TransmitRadio
    from semcom_phy.radios.base import RadioConfig, Samples
    from semcom_phy.waveform import Waveform

#: Options of bursts, besides those of `burst_options`.
_OF_BURSTS = ("level", "first_image", "link_id", "sps")
_SLICE_S = 0.25


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("tx")(tx)


@with_options_of(picture_options)
@with_options_of(burst_options)
@with_options_of(radio_config)
def tx(
    pictures: Annotated[
        list[Path], typer.Argument(help="Pictures, videos, or folders of them.", show_default=False, metavar="FILE")
    ],
    radio: RadioOption = "air",
    attach: TransmitterAttachOption = None,
    level: Annotated[float, typer.Option(help="Mean power of a burst, dB relative to full scale.")] = -9.0,
    loop: Annotated[bool, typer.Option("--loop/--once", help="Begin again after the last picture.")] = False,
    every: Annotated[int, typer.Option(help="Of a video, send each so many-th frame.")] = 1,
    first_image: Annotated[
        int | None, typer.Option("--first-image", help="Number of the first picture.", show_default="random")
    ] = None,
    link_id: LinkIdOption = None,
    timeout: Annotated[float, typer.Option(help="Seconds that the radio or flowgraph may take nothing.")] = 60.0,
    sps: SpsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON, and nothing else.")] = False,
    context: typer.Context = None,  # type: ignore[assignment]  # typer fills it in, and knows it by this very type
    **given: Any,
) -> int:
    """Send pictures, folders and videos through a radio, or with --attach through a flowgraph that you start.

    Exit code 0 when everything was sent, and for --loop ended by Ctrl-C or SIGTERM; 1 when it was ended before, or the
    radio or flowgraph failed; 2 for wrong usage.
    """
    if attach is not None:
        refuse_with_attach(context, radio_config, *parameter_names(burst_options), *_OF_BURSTS)
    encoding = call_group(picture_options, given)
    if first_image is not None and not 0 <= first_image < 1 << 32:
        raise ConfigurationError(f"--first-image must be from 0 to 2^32 - 1, not {first_image}")
    asked = call_group(radio_config, given)
    options = LinkOptions(
        **call_group(burst_options, given), seed=encoding.seed, sps=sps, sample_rate_hz=asked.sample_rate_hz
    )
    check_link_id(link_id)
    frames = air_config(options).frames
    if link_id is not None:
        frames = dataclasses.replace(frames, link=link_id)

    from semcom_app.sent_pictures import SentPictures
    from semcom_app.streaming import PictureSource, StopSignals
    from semcom_phy.zmq.waiting import checked_timeout

    checked_timeout("--timeout", timeout)
    source = PictureSource(pictures, encoding.size, every)
    if attach is not None:
        from semcom_app.commands.tx_flowgraph import send_attached

        coder = encoding.make_codec()
        coder.check_ready()
        config = {"size": encoding.size, "seed": encoding.seed}
        return send_attached(attach, _pictures(source, loop), coder, timeout, config, loop, as_json)
    with StopSignals() as signals, _open(radio, asked) as opened:
        waveform = make_waveform(sps, opened.sample_rate_hz)
        coder = encoding.make_codec()
        coder.check_ready()
        sent = SentPictures(lines=not as_json)
        with named_as_options({"level_dbfs": "--level"}):
            sender = _Sender(opened, waveform, frames, level, first_image, timeout, signals.stopped, sent)
        finished = sender.send_all(_pictures(source, loop), coder)
        summary = {
            "config": {
                "command": command_line(),
                **coder.describe(),
                "samples_per_symbol": waveform.samples_per_symbol,
                "level_dbfs": level,
                "modulation": frames.modulation,
                "fec": frames.fec,
                "passes": frames.passes,
                "link_id": frames.link,
                "size": encoding.size,
                "seed": encoding.seed,
            },
            "radio": opened.describe(),
            "counts": opened.counts.describe(),
            **sent.describe(finished, samples=opened.counts.samples),
        }
    if as_json:
        from semcom_app.results import json_bytes

        typer.echo(json_bytes(summary), nl=False)
    else:
        _print(summary)
    return 0 if finished or loop else 1


def _open(radio: str, config: RadioConfig) -> TransmitRadio:
    from semcom_phy.radios import open_transmitter

    with named_as_options(OPENING_PARAMETERS):
        return open_transmitter(radio, config)


def _pictures(source: PictureSource, loop: bool) -> Iterator[LoadedImage]:
    yield from source
    while loop:
        yield from source


class _Sender:
    """Turns pictures into bursts and writes these to a radio, until there are no more or it is told to stop."""

    def __init__(
        self,
        radio: TransmitRadio,
        waveform: Waveform,
        frames: FrameFormat,
        level_dbfs: float,
        first_image: int | None,
        timeout_s: float,
        stopped: Callable[[], bool],
        sent: SentPictures,
    ) -> None:
        import numpy as np

        from semcom_phy.links.air_link import AirTransmitter
        from semcom_phy.waveform import Transmitter, TransmitterConfig

        self._radio, self._frames, self._timeout_s, self._stopped = radio, frames, timeout_s, stopped
        self._transmitter = Transmitter(TransmitterConfig(waveform, level_dbfs))
        self._silence = AirTransmitter(waveform, frames, 0).silence
        # Two runs must not have the same numbers: a receiver would take their frames for one.
        start = np.random.default_rng().integers(1 << 32) if first_image is None else first_image
        self._image = int(start)
        self._sent = sent

    def send_all(self, pictures: Iterator[LoadedImage], codec: Any) -> bool:
        """Send until the end, True, or until stopped, False. What of a picture was sent by then is left incomplete."""
        from semcom_phy.links.air_link import LEAD_SYMBOLS, TAIL_SYMBOLS

        finished = self._write(self._silence(LEAD_SYMBOLS))
        for picture in pictures:
            if not finished or self._stopped():
                finished = False
                break
            finished = self._send(picture, codec)
        if finished and self._write(self._silence(TAIL_SYMBOLS)):
            self._drain()
        return finished

    def _send(self, picture: LoadedImage, codec: Any) -> bool:
        import numpy as np

        from semcom_phy.links import Frame
        from semcom_phy.links.air_frames import frame_bursts
        from semcom_phy.links.air_link import GAP_SYMBOLS

        encoded = codec.encode(picture.pixels)
        image, self._image = self._image, (self._image + 1) % (1 << 32)
        bursts = frame_bursts(Frame(encoded.header, encoded.bits), self._frames, image)
        for burst in bursts:
            samples = np.concatenate([self._transmitter.modulate(burst), self._silence(GAP_SYMBOLS)])
            if not self._write(samples):
                return False
            self._sent.bursts += 1
        self._sent.add(picture.name, image, len(bursts), encoded.bits)
        return True

    def _write(self, samples: Samples) -> bool:
        """Hand samples to the radio; False when told to stop. Raises RadioError when it takes nothing for too long."""
        from semcom_phy.radios import RadioTimeoutError

        until = time.monotonic() + self._timeout_s
        while not self._stopped():
            before = self._radio.counts.samples
            try:
                self._radio.write(samples, _SLICE_S)
                return True
            except RadioTimeoutError:
                taken = self._radio.counts.samples - before
                samples = samples[taken:]
                if taken:
                    until = time.monotonic() + self._timeout_s
                elif time.monotonic() > until:
                    raise
        return False

    def _drain(self) -> None:
        from semcom_phy.radios import RadioTimeoutError

        until = time.monotonic() + self._timeout_s
        while not self._stopped():
            try:
                return self._radio.drain(_SLICE_S)
            except RadioTimeoutError:
                if time.monotonic() > until:
                    raise


def _print(summary: dict[str, Any]) -> None:
    total, counts = summary["summary"], summary["counts"]
    seconds = total["samples"] / summary["radio"]["sample_rate_hz"]
    losses = "".join(f", {counts[name]} {name}" for name in ("underruns", "late", "errors") if counts[name])
    typer.echo(
        f"{total['pictures']} pictures in {total['bursts']} bursts, {seconds:.3g} s of samples{losses}"
        + ("; ended before the last one" if total["interrupted"] else "")
    )
