"""`semcom record`: samples into a SigMF recording, with an annotation for every burst in them."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import shlex
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from semcom_app.commands.codec_options import (
    picture_options,
)
from semcom_app.commands.link_options import (
    ImpairOption,
    LinkOptions,
    SnrOption,
    air_config,
    burst_options,
    make_waveform,
    parse_snr,
)
from semcom_app.commands.option_groups import call_group, with_options_of
from semcom_app.commands.option_names import named_as_options
from semcom_phy.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from semcom_phy.links import AirLinkConfig
    from semcom_phy.links.recording import Heard
    from semcom_phy.waveform import Waveform

    Samples = npt.NDArray[np.complex64]

CHUNK = 1 << 16

#: What errors say of recordings, and what the command line calls it.
_PARAMETERS = {
    "sample_rate_hz": "--sample-rate",
    "datatype=cf32_le": "--input-datatype cf32_le",
    "channel": "--channel",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("record")(record)


@with_options_of(picture_options)
@with_options_of(burst_options)
def record(
    images: Annotated[
        list[Path] | None,
        typer.Argument(help="Pictures, or folders of pictures, to be sent through impairments.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Name of the recording, without suffix.", show_default=False)
    ] = None,
    from_file: Annotated[
        str | None,
        typer.Option("--from-file", help="Samples to be recorded instead: a recording, or - for standard input."),
    ] = None,
    input_datatype: Annotated[
        str | None,
        typer.Option("--input-datatype", help="cf32_le, ci16_le, cu8 …, for raw samples.", metavar="TYPE"),
    ] = None,
    channel: Annotated[
        int | None, typer.Option(help="--from-file: which of several interleaved channels, from 0.")
    ] = None,
    sample_rate: Annotated[
        float | None,
        typer.Option("--sample-rate", help="Samples per second.", show_default="1e6, or the input's"),
    ] = None,
    sps: Annotated[int | None, typer.Option("--sps", help="Samples per symbol, 2 to 16.", show_default="4")] = None,
    datatype: Annotated[
        str | None,
        typer.Option(help="cf32_le, ci16_le or ci8.", show_default="ci16_le, or the input's where possible"),
    ] = None,
    frequency: Annotated[
        float | None, typer.Option("--frequency", help="Centre frequency in Hz, for the metadata.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a recording of this name.")] = False,
    snr: SnrOption = None,
    impair: ImpairOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the outcome as JSON, and nothing else.")] = False,
    **given: Any,
) -> int:
    """Record samples as SigMF: pictures as bursts through impairments, or samples from a file or a pipe.

    A receiver listens, and every burst that it finds is annotated. Ctrl-C ends a recording and keeps it.
    """
    if out is None:
        raise ConfigurationError("give the recording a name with --out")
    if bool(images) == (from_file is not None):
        raise ConfigurationError("give either pictures or --from-file, and not both")
    config: dict[str, Any] = {"command": shlex.join(["semcom", *sys.argv[1:]])}
    pictures = call_group(picture_options, given)
    options = LinkOptions(
        **call_group(burst_options, given),
        seed=pictures.seed,
        snr_db=parse_snr(snr),
        impair=impair,
        sps=sps,
        sample_rate_hz=sample_rate,
    )
    source: _Source
    if from_file is not None:
        if pictures.stated:
            raise ConfigurationError("--from-file takes samples as they are; leave out what is for pictures")
        _refuse_sending_options(options)
        source = _open_samples(from_file, sample_rate, input_datatype, channel, sps)
        config["input"] = from_file
    else:
        if input_datatype is not None or channel is not None:
            raise ConfigurationError("--input-datatype and --channel are for --from-file; leave them out")
        air = air_config(options)
        codec_object = pictures.make_codec()
        codec_object.check_ready()
        source = _PictureSource(images or [], pictures.size, codec_object, air)
        config |= {**codec_object.describe(), **air.describe(), "size": pictures.size, "seed": pictures.seed}
    return _record(source, out, datatype, frequency, overwrite, config, as_json)


def _refuse_sending_options(options: LinkOptions) -> None:
    allowed = {"seed", "sps", "sample_rate_hz"}
    default = LinkOptions()
    for field in dataclasses.fields(options):
        if field.name not in allowed and getattr(options, field.name) != getattr(default, field.name):
            raise ConfigurationError("--from-file takes samples as they are; leave out what is for sending pictures")


def _record(
    source: _Source,
    out: Path,
    datatype: str | None,
    frequency: float | None,
    overwrite: bool,
    config: dict[str, Any],
    as_json: bool,
) -> int:
    from semcom_phy.capture import Recorder, RecordingInfo
    from semcom_phy.links.air_frames import MAX_BURST_SYMBOLS
    from semcom_phy.links.recording import record as record_samples
    from semcom_phy.waveform import ReceiverConfig

    with named_as_options({"center_frequency_hz": "--frequency"}):
        info = RecordingInfo(
            source.waveform.sample_rate_hz,
            datatype or source.datatype,
            center_frequency_hz=source.frequency if frequency is None else frequency,
            hardware=source.hardware,
            description=source.description[:1000],
        )
    receiver = ReceiverConfig(waveform=source.waveform, max_burst_symbols=MAX_BURST_SYMBOLS)
    with Recorder(out, info, overwrite=overwrite) as recorder:
        heard = record_samples(source.chunks(), recorder, receiver)
    summary = {
        "config": config,
        "recording": {
            "file": recorder.meta_path.name,
            "datatype": info.datatype,
            "sample_rate_hz": info.sample_rate_hz,
            "samples": recorder.samples_written,
            "duration_s": recorder.samples_written / info.sample_rate_hz,
            "saturated_samples": recorder.saturated_samples,
            "non_finite_samples": recorder.non_finite_samples,
            "interrupted": heard.interrupted,
        },
        "sent": source.sent,
        **_found(heard, source.waveform),
    }
    if as_json:
        from semcom_app.results import json_bytes

        typer.echo(json_bytes(summary), nl=False)
    else:
        _print(summary, recorder.meta_path)
    return 0


def _found(heard: Heard, waveform: Waveform) -> dict[str, Any]:
    from semcom_app.results import versions

    return {
        "versions": versions(),
        "receiver": dataclasses.asdict(heard.receiver.receiver.counts),
        "summary": {
            "bursts": len(heard.log.bursts),
            "frames": heard.frames,
            "frames_lost": heard.frames_lost,
        },
        "bursts": [burst.describe(waveform) for burst in heard.log.bursts],
    }


def _print(summary: dict[str, Any], path: Path) -> None:
    from semcom_app.progress import printable

    recording, found = summary["recording"], summary["summary"]
    lines = [
        f"{recording['samples']} samples, {recording['duration_s']:.3g} s at {recording['sample_rate_hz']:g} samples/s "
        f"as {recording['datatype']}" + ("; ended by Ctrl-C" if recording["interrupted"] else ""),
        f"{found['bursts']} bursts annotated, {found['frames']} frames decoded, {found['frames_lost']} of them lost",
    ]
    if recording["saturated_samples"]:
        lines.append(f"{recording['saturated_samples']} samples were beyond full scale and limited")
    if recording["non_finite_samples"]:
        lines.append(f"{recording['non_finite_samples']} samples were not finite and stored as 0")
    lines.append(f"recording: {path}")
    for line in lines:
        typer.echo(printable(line))


class _Source(ABC):
    """Where the samples come from. A radio would be one more of these."""

    waveform: Waveform
    datatype = "ci16_le"
    frequency: float | None = None
    hardware: str | None = None
    description = ""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    @abstractmethod
    def chunks(self) -> Iterator[Samples]:
        """The samples, full scale 1."""


class _PictureSource(_Source):
    """Pictures as bursts through the impairments of an air link."""

    hardware = "simulated"

    def __init__(self, images: list[Path], size: int | None, codec: Any, air: AirLinkConfig) -> None:
        from semcom_app.images import find_images, load_image

        super().__init__()
        self.waveform = air.waveform
        self._air, self._codec, self._size = air, codec, size
        self._paths = find_images(images)
        for path in self._paths:
            image = load_image(path, size)  # a damaged picture is found now, not halfway through
            codec.check_size(*image.pixels.shape[:2])
        self._stream = air.channel.open(air.waveform.sample_rate_hz, air.seed)
        self.description = f"{len(self._paths)} pictures by {codec.describe()['codec']}"

    def chunks(self) -> Iterator[Samples]:
        """See `_Source.chunks`."""
        import numpy as np

        from semcom_app.images import load_image
        from semcom_app.reception import payload_sha256
        from semcom_phy.links import Frame
        from semcom_phy.links.air_link import LEAD_SYMBOLS, TAIL_SYMBOLS, AirTransmitter
        from semcom_phy.links.recording import recording_gain

        air, stream = self._air, self._stream
        gain = np.float32(recording_gain(air.channel, air.waveform.sample_rate_hz))
        transmitter = AirTransmitter(air.waveform, air.frames, air.seed)
        yield gain * stream.push(transmitter.silence(LEAD_SYMBOLS))
        for path in self._paths:
            encoded = self._codec.encode(load_image(path, self._size).pixels)
            bursts = transmitter.bursts(Frame(encoded.header, encoded.bits))
            self.sent.append(
                {
                    "file": path.name,
                    "image": bursts[0].header.image,
                    "bursts": len(bursts),
                    "payload_bits": encoded.bits.size,
                    "payload_sha256": payload_sha256(encoded.bits),
                    "header_sha256": hashlib.sha256(encoded.header).hexdigest(),
                }
            )
            for burst in bursts:
                yield gain * stream.push(transmitter.modulate(burst))
        yield gain * stream.push(transmitter.silence(TAIL_SYMBOLS))
        yield gain * stream.flush()


def _open_samples(
    name: str, sample_rate: float | None, datatype: str | None, channel: int | None, sps: int | None
) -> _Source:
    if name != "-":
        return _FileSource(name, sample_rate, datatype, channel, sps)
    if channel is not None:
        raise ConfigurationError("standard input has one channel; leave --channel out")
    return _PipeSource(sample_rate, datatype, sps)


class _FileSource(_Source):
    """An existing recording or a raw file."""

    def __init__(
        self, name: str, sample_rate: float | None, datatype: str | None, channel: int | None, sps: int | None
    ) -> None:
        from semcom_phy.capture import WRITABLE, open_recording

        super().__init__()
        with named_as_options(_PARAMETERS):
            self._recording = open_recording(name, sample_rate, datatype, channel=channel)
        self.waveform = make_waveform(sps, self._recording.sample_rate_hz)
        self.datatype = self._recording.datatype if self._recording.datatype in WRITABLE else "cf32_le"
        self.frequency = self._recording.segments[0].center_frequency_hz
        self.hardware = self._recording.hardware
        self.description = self._recording.description or f"recorded from {self._recording.path.name}"

    def chunks(self) -> Iterator[Samples]:
        """See `_Source.chunks`."""
        with self._recording as recording:
            yield from recording.chunks(CHUNK)


class _PipeSource(_Source):
    """Raw samples from standard input, I and Q in turn."""

    def __init__(self, sample_rate: float | None, datatype: str | None, sps: int | None) -> None:
        from semcom_phy.capture import WRITABLE
        from semcom_phy.capture.sample_formats import sample_format
        from semcom_phy.errors import FormatError

        super().__init__()
        if sample_rate is None or datatype is None:
            raise ConfigurationError("samples from standard input need --sample-rate and --input-datatype")
        try:
            self._format = sample_format(datatype)
        except FormatError as error:
            raise ConfigurationError(str(error)) from None
        self.waveform = make_waveform(sps, sample_rate)
        self.datatype = datatype if datatype in WRITABLE else "cf32_le"
        self.description = "recorded from standard input"

    def chunks(self) -> Iterator[Samples]:
        """See `_Source.chunks`. Bytes behind the last whole sample are left out."""
        import numpy as np

        size, rest = self._format.sample_bytes, b""
        pipe = cast(io.BufferedReader, sys.stdin.buffer)
        while raw := pipe.read1(CHUNK * size):
            rest += raw
            whole = len(rest) - len(rest) % size
            stored = np.frombuffer(rest[:whole], self._format.component).reshape(-1, 2)
            rest = rest[whole:]
            if whole:
                yield self._format.decode(stored)[0]
