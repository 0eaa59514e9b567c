"""`semcom replay`: a recording through the receiver."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semcom_app.commands.codec_options import (
    DequantizeOption,
    DeviceOption,
    JsonOption,
    VaeOption,
    check_codec_options,
    check_device,
)
from semcom_app.commands.link_options import make_waveform
from semcom_app.commands.option_names import named_as_options
from semcom_phy.errors import LinkError

if TYPE_CHECKING:
    from semcom_app.reception import ReceivedPicture
    from semcom_phy.capture import Recording
    from semcom_phy.links.recording import Heard
    from semcom_phy.waveform import Waveform

SHOWN_IN_DETAIL = 20
CHUNK = 1 << 16
REALTIME_CHUNK_S = 0.02

#: What errors say of recordings, and what the command line calls it.
_PARAMETERS = {
    "sample_rate_hz": "--sample-rate",
    "datatype=cf32_le": "--datatype cf32_le",
    "channel": "--channel",
}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("replay")(replay)


def replay(
    recording: Annotated[
        Path, typer.Argument(help="SigMF recording or archive, or a raw file of I and Q.", show_default=False)
    ],
    sample_rate: Annotated[
        float | None,
        typer.Option("--sample-rate", help="Samples per second, for raw files.", show_default="the recording's"),
    ] = None,
    datatype: Annotated[
        str | None,
        typer.Option(help="cf32_le, ci16_le, cu8 …, for raw files.", show_default="the recording's"),
    ] = None,
    channel: Annotated[int | None, typer.Option(help="Which of several interleaved channels, from 0.")] = None,
    sps: Annotated[int | None, typer.Option("--sps", help="Samples per symbol, 2 to 16.", show_default="4")] = None,
    realtime: Annotated[
        bool, typer.Option("--realtime/--file-speed", help="At the pace of the sample rate, or as fast as possible.")
    ] = False,
    vae: VaeOption = "compact",
    dequantize: DequantizeOption = None,
    device: DeviceOption = "auto",
    out: Annotated[Path, typer.Option("--out", help="Folder for pictures, report and result.json.")] = Path(
        "out/replay"
    ),
    as_json: JsonOption = False,
) -> int:
    """Receive what a recording holds: bursts, frames, pictures.

    Exit code 0 when every frame that was found was delivered, 1 when one was not or there was none, 2 for wrong usage.
    """
    check_device(device)
    check_codec_options(vae)
    from semcom_app.codecs import CodecOptions, make_codec
    from semcom_app.images import check_writable
    from semcom_app.reception import PictureDecoder
    from semcom_phy.capture import open_recording
    from semcom_phy.links.air_frames import MAX_BURST_SYMBOLS
    from semcom_phy.links.recording import listen
    from semcom_phy.waveform import ReceiverConfig

    iaq = {"dequantize": dequantize}
    make_codec("iaq-ia", CodecOptions(iaq=iaq))  # raises for an unknown way to dequantize
    with named_as_options(_PARAMETERS):
        opened = open_recording(recording, sample_rate, datatype, channel=channel)
    with opened as source:
        waveform = make_waveform(sps, source.sample_rate_hz)
        check_writable(out)
        decoder = PictureDecoder(CodecOptions(vae=vae, device=device, iaq=iaq))
        writer = _Writer(out, lines=realtime and not as_json)
        heard = listen(
            _chunks(source, realtime),
            ReceiverConfig(waveform=waveform, max_burst_symbols=MAX_BURST_SYMBOLS),
            on_frame=lambda frame: writer.take(decoder.decode(frame)),
        )
        summary = {
            "config": {
                "command": shlex.join(["semcom", *sys.argv[1:]]),
                "samples_per_symbol": waveform.samples_per_symbol,
                "roll_off": waveform.roll_off,
                "vae": vae,
                "device": device,
                "realtime": realtime,
            },
            "recording": _about(source),
            **_found(heard, waveform, writer.rows),
        }
    writer.write_summary(summary)
    if as_json:
        from semcom_app.results import json_bytes

        typer.echo(json_bytes(summary), nl=False)
    else:
        from semcom_app.replay_tables import print_replay

        print_replay(summary, out)
    if not writer.rows:
        raise LinkError(_silence(source, heard, waveform))
    return 0 if all(row["delivered"] for row in writer.rows) else 1


def _chunks(source: Recording, realtime: bool) -> Iterable[Any]:
    from semcom_phy.capture import Pacer

    if not realtime:
        return source.chunks(CHUNK)
    size = int(min(max(source.sample_rate_hz * REALTIME_CHUNK_S, 1), CHUNK))
    return Pacer(source.chunks(size), source.sample_rate_hz)


def _about(source: Recording) -> dict[str, Any]:
    return {
        "file": source.path.name,
        "datatype": source.datatype,
        "sample_rate_hz": source.sample_rate_hz,
        "samples": source.sample_count,
        "duration_s": source.duration_s,
        "channel": source.channel,
        "channels": source.channels,
        "non_finite_samples": source.non_finite_samples,
        "hardware": source.hardware,
        "author": source.author,
        "description": source.description,
        "problems": list(source.problems),
    }


def _found(heard: Heard, waveform: Waveform, rows: list[dict[str, Any]]) -> dict[str, Any]:
    from semcom_app.results import versions

    return {
        "versions": versions(),
        "receiver": dataclasses.asdict(heard.receiver.receiver.counts),
        "assembler": dataclasses.asdict(heard.receiver.assembler.counts),
        "summary": {
            "bursts": len(heard.log.bursts),
            "bursts_intact": sum(burst.crc_ok is True for burst in heard.log.bursts),
            "frames": len(rows),
            "frames_delivered": sum(row["delivered"] for row in rows),
            "frames_intact": sum(row["intact"] for row in rows),
        },
        "bursts": [burst.describe(waveform) for burst in heard.log.bursts],
        "images": rows,
    }


def _silence(source: Recording, heard: Heard, waveform: Waveform) -> str:
    """Why there is nothing to show, and what to try."""
    counts = heard.receiver.receiver.counts
    length = f"{source.sample_count} sample{'s' * (source.sample_count != 1)} ({source.duration_s:.3g} s)"
    if source.sample_count == 0:
        return f"no signal: {source.path.name} holds no samples"
    if counts.detections == 0:
        return (
            f"no signal: no burst in {length} of {source.path.name} at {waveform.samples_per_symbol} samples per "
            "symbol; check --sps and the frequency it was recorded at"
        )
    return (
        f"no frame in {length} of {source.path.name}: {counts.detections} preambles found, "
        f"{counts.headers_failed} headers too noisy, {counts.headers_invalid + counts.oversized} not understood"
    )


class _Writer:
    """Places the pictures in the folder as they come, and the results at the end."""

    def __init__(self, out: Path, lines: bool) -> None:
        self.out = out
        self.rows: list[dict[str, Any]] = []
        self._detailed: list[ReceivedPicture] = []
        self._lines = lines

    def take(self, picture: ReceivedPicture) -> None:
        """Write one picture and note its name in the row."""
        from semcom_app.images import png_bytes, write_bytes

        row = picture.row
        self.rows.append(row)
        row["received_file"] = f"frame-{len(self.rows):03d}.received.png"
        write_bytes(self.out / row["received_file"], png_bytes(picture.pixels))
        if len(self._detailed) < SHOWN_IN_DETAIL:
            self._detailed.append(picture)
        if self._lines:
            state = "lost" if not row["delivered"] else "intact" if row["intact"] else "damaged"
            typer.echo(f"frame {len(self.rows)}: image {row['image']}, {state}", err=True)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write report.html and result.json."""
        from semcom_app.images import write_bytes
        from semcom_app.report.replay_page import write_replay_report
        from semcom_app.results import json_bytes

        write_replay_report(self.out / "report.html", summary, self._detailed)
        write_bytes(self.out / "result.json", json_bytes(summary))
