"""`semcom rx`: pictures out of a radio, or out of a flowgraph that receives."""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from semcom_app.commands.attaching import ReceiverAttachOption, command_line, refuse_with_attach
from semcom_app.commands.codec_options import (
    DequantizeOption,
    DeviceOption,
    JsonOption,
    VaeOption,
    check_codec_options,
    check_device,
)
from semcom_app.commands.link_options import (
    AlgorithmOption,
    IterationsOption,
    SpsOption,
    check_algorithm,
    check_iterations,
    make_waveform,
)
from semcom_app.commands.option_groups import with_options_of
from semcom_app.commands.option_names import named_as_options
from semcom_app.commands.radio_options import (
    OPENING_PARAMETERS,
    LinkIdOption,
    RadioOption,
    check_link_id,
    radio_config,
)
from semcom_phy.errors import ConfigurationError, LinkError

if TYPE_CHECKING:
    from semcom_app.received_pictures import Limits, PictureFolder
    from semcom_app.reception import PictureDecoder
    from semcom_phy.capture import Recorder
    from semcom_phy.coding.transport import TurboCode
    from semcom_phy.links.air_frames import AirFrame
    from semcom_phy.links.burst_log import LoggedBurst
    from semcom_phy.radios.base import RadioConfig, ReceiveRadio, Samples
    from semcom_phy.waveform import ReceiverConfig, Waveform

#: Options about samples, which do not come here from a flowgraph.
_OF_SAMPLES = ("record", "datatype", "overwrite")
_CHUNK = 1 << 15
_SLICE_S = 0.25
_READ_AHEAD_S = 10.0
_READ_AHEAD_MOST = 1 << 25


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rx")(rx)


@with_options_of(radio_config)
def rx(
    radio: RadioOption = "air",
    attach: ReceiverAttachOption = None,
    count: Annotated[int | None, typer.Option(help="End after so many pictures.")] = None,
    duration: Annotated[
        float | None, typer.Option(help="End after so many seconds of samples; --attach: of time.")
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(
            help="End when no samples have come for so many seconds; --attach: no frame.", show_default="never"
        ),
    ] = None,
    record: Annotated[Path | None, typer.Option("--record", help="Record the samples as SigMF of this name.")] = None,
    datatype: Annotated[
        str | None, typer.Option(help="--record: cf32_le, ci16_le or ci8.", show_default="ci16_le")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="--record: replace a recording of this name.")] = False,
    sps: SpsOption = None,
    link_id: LinkIdOption = None,
    iterations: IterationsOption = 5,
    algorithm: AlgorithmOption = "log-map",
    dequantize: DequantizeOption = None,
    vae: VaeOption = "compact",
    device: DeviceOption = "auto",
    out: Annotated[Path, typer.Option("--out", help="Folder for pictures, statistics.json and result.json.")] = Path(
        "out/rx"
    ),
    as_json: JsonOption = False,
    context: typer.Context = None,  # type: ignore[assignment]  # typer fills it in, and knows it by this very type
    **tuning: Any,
) -> int:
    """Receive pictures from a radio, or with --attach from a flowgraph that you start; each is written when it comes.

    Ctrl-C or SIGTERM ends it.

    Exit code 0 when every frame that was found was delivered, and --count was reached; 1 when not, when there was no
    frame, or the radio or flowgraph failed; 2 for wrong usage. A frame that the end of the reception cut off does not
    count.
    """
    if attach is not None:
        refuse_with_attach(context, radio_config, "sps", "link_id", "iterations", "algorithm", *_OF_SAMPLES)
    check_device(device)
    check_codec_options(vae)
    check_iterations(iterations)
    check_algorithm(algorithm)
    check_link_id(link_id)
    _check_limits(count, duration, timeout)
    if record is None and (datatype is not None or overwrite):
        raise ConfigurationError("--datatype and --overwrite are for --record; leave them out")
    asked = radio_config(**tuning)

    from semcom_app.codecs import CodecOptions, make_codec
    from semcom_app.images import check_writable
    from semcom_app.received_pictures import Limits, PictureFolder
    from semcom_app.reception import PictureDecoder
    from semcom_app.streaming import StopSignals
    from semcom_phy.coding.transport import TurboCode
    from semcom_phy.links.air_frames import MAX_BURST_SYMBOLS
    from semcom_phy.radios.read_ahead import ReadAhead
    from semcom_phy.waveform import ReceiverConfig

    iaq = {"dequantize": dequantize}
    make_codec("iaq-ia", CodecOptions(iaq=iaq))  # raises for an unknown way to dequantize
    check_writable(out)
    decoder = PictureDecoder(CodecOptions(vae=vae, device=device, iaq=iaq))
    folder, limits = PictureFolder(out, lines=not as_json), Limits(count, duration, timeout)
    if attach is not None:
        from semcom_app.commands.rx_flowgraph import receive_attached

        return receive_attached(attach, decoder, folder, limits, {"vae": vae, "device": device})
    with StopSignals() as signals, _open(radio, asked) as opened:
        waveform = make_waveform(sps, opened.sample_rate_hz)
        config = ReceiverConfig(waveform=waveform, link=link_id, max_burst_symbols=MAX_BURST_SYMBOLS)
        recorder = (
            None if record is None else _recorder(record, opened, asked.frequency_hz, datatype or "ci16_le", overwrite)
        )
        turbo = TurboCode(iterations=iterations, algorithm=algorithm)
        session = _Session(config, turbo, decoder, recorder, folder)
        ahead = int(min(opened.sample_rate_hz * _READ_AHEAD_S, _READ_AHEAD_MOST))
        with ReadAhead(opened, ahead) as source:
            try:
                failure = session.listen(source, limits, signals.stopped)
            except BaseException:
                if recorder is not None:
                    recorder.discard()
                raise
            summary = session.finish(
                source,
                {
                    "command": command_line(),
                    "samples_per_symbol": waveform.samples_per_symbol,
                    "roll_off": waveform.roll_off,
                    "link_id": link_id,
                    "iterations": iterations,
                    "algorithm": algorithm,
                    "vae": vae,
                    "device": device,
                },
            )
    lost_at_the_end = session.cut_off - session.cut_off_delivered
    return folder.conclude(summary, _lines(summary), limits, failure, _silence(summary, waveform), lost_at_the_end)


def _check_limits(count: int | None, duration: float | None, timeout: float | None) -> None:
    if count is not None and count < 1:
        raise ConfigurationError(f"--count must be at least 1, not {count}")
    for name, seconds in (("--duration", duration), ("--timeout", timeout)):
        if seconds is not None and not 0.0 < seconds <= 1e9:
            raise ConfigurationError(f"{name} must be a number of seconds above 0, not {seconds}")


def _open(radio: str, config: RadioConfig) -> ReceiveRadio:
    from semcom_phy.radios import open_receiver

    with named_as_options(OPENING_PARAMETERS):
        return open_receiver(radio, config)


def _recorder(path: Path, radio: ReceiveRadio, frequency: float | None, datatype: str, overwrite: bool) -> Recorder:
    from semcom_phy.capture import Recorder, RecordingInfo

    hardware = str(radio.describe().get("radio", "radio"))
    info = RecordingInfo(radio.sample_rate_hz, datatype, center_frequency_hz=frequency, hardware=hardware)
    return Recorder(path, info, overwrite=overwrite)


class _Session:
    """One reception: samples through the receiver, pictures and statistics to the disk as they come."""

    def __init__(
        self,
        config: ReceiverConfig,
        turbo: TurboCode,
        decoder: PictureDecoder,
        recorder: Recorder | None,
        folder: PictureFolder,
    ) -> None:
        from semcom_app.received_pictures import LISTED
        from semcom_phy.links.air_frames import AirReceiver
        from semcom_phy.links.burst_log import BurstLog

        #: Frames that the end of the reception may have cut off, and how many of them were delivered nevertheless.
        self.cut_off = self.cut_off_delivered = 0
        self._waveform: Waveform = config.waveform
        self._log = BurstLog()
        self._receiver = AirReceiver(config, turbo, on_burst=self._log.take)
        self._decoder, self._recorder, self._folder = decoder, recorder, folder
        self._bursts: deque[LoggedBurst] = deque(maxlen=LISTED)
        #: Bursts that the recording gets annotations of, at its end: then their verdicts are known.
        self._recorded: list[LoggedBurst] = []
        self._samples = 0
        self._lost_samples = 0
        self._overruns = 0
        self._interrupted = False
        self._problem: str | None = None
        self._began = time.monotonic()

    def listen(self, radio: ReceiveRadio, limits: Limits, stopped: Callable[[], bool]) -> LinkError | None:
        """Receive until a limit, the end of the stream or `stopped()`; return what the radio failed of, if it did."""
        from semcom_phy.radios import RadioTimeoutError

        rate = self._waveform.sample_rate_hz
        last = None if limits.duration_s is None else round(limits.duration_s * rate)
        heard = time.monotonic()
        failure: LinkError | None = None
        while not self._folder.enough(limits) and (last is None or self._samples < last):
            if stopped():
                self._interrupted = True
                break
            try:
                samples = radio.read(_CHUNK if last is None else min(_CHUNK, last - self._samples), _SLICE_S)
            except RadioTimeoutError as error:
                if limits.timeout_s is not None and time.monotonic() - heard > limits.timeout_s:
                    self._problem = str(error)
                    break
                self._write_statistics(radio)
                continue
            except LinkError as error:
                failure, self._problem = error, str(error)
                break
            if not samples.size:
                break
            heard = time.monotonic()
            self._take(samples, radio)
        # A frame that comes after the last one that was asked for is not wanted any more.
        whole = dict(self._folder.totals)
        if not self._folder.enough(limits):
            self._keep(self._receiver.flush())
        if self._interrupted or (last is not None and self._samples >= last):
            self.cut_off = self._folder.totals["frames"] - whole["frames"]
            self.cut_off_delivered = self._folder.totals["frames_delivered"] - whole["frames_delivered"]
        return failure

    def _take(self, samples: Samples, radio: ReceiveRadio) -> None:
        counts = radio.counts
        if self._recorder is not None:
            if counts.lost_samples is not None and counts.lost_samples > self._lost_samples:
                self._recorder.begin_segment(lost_samples=counts.lost_samples - self._lost_samples)
                self._lost_samples = counts.lost_samples
            self._recorder.append(samples)
        self._samples += samples.size
        self._keep(self._receiver.push(samples))
        if counts.overruns > self._overruns and self._folder.lines:
            typer.echo(f"overruns: {counts.overruns}, samples lost: {_known(counts.lost_samples)}", err=True)
        self._overruns = counts.overruns
        self._list_bursts()
        self._write_statistics(radio)

    def _keep(self, frames: list[AirFrame]) -> None:
        for frame in frames:
            self._log.settle(frame)
            self._folder.keep(self._decoder.decode(frame))

    def _list_bursts(self) -> None:
        """Move the bursts from the log to the lists, which are bounded; the verdicts of the last ones come later."""
        from semcom_phy.capture.recorder import MAX_BURSTS

        bursts = self._log.remove()
        self._bursts.extend(bursts)
        if self._recorder is not None:
            self._recorded.extend(bursts[: MAX_BURSTS - len(self._recorded)])

    def _write_statistics(self, radio: ReceiveRadio) -> None:
        self._folder.write_statistics(lambda: self._statistics(radio))

    def _statistics(self, radio: ReceiveRadio) -> dict[str, Any]:
        return {
            "radio": radio.describe(),
            "counts": radio.counts.describe(),
            "receiver": dataclasses.asdict(self._receiver.receiver.counts),
            "assembler": dataclasses.asdict(self._receiver.assembler.counts),
            "summary": {
                "bursts": self._log.taken,
                "bursts_intact": self._log.intact,
                **self._folder.totals,
                "samples": self._samples,
                "duration_s": self._samples / self._waveform.sample_rate_hz,
                "elapsed_s": time.monotonic() - self._began,
                "interrupted": self._interrupted,
                "problem": self._problem,
            },
        }

    def finish(self, radio: ReceiveRadio, config: dict[str, Any]) -> dict[str, Any]:
        """Close the recording, write statistics.json and result.json; return the content of the latter."""
        self._list_bursts()
        recording = None
        if self._recorder is not None:
            recording = self._close_recording(self._recorder)
        bursts = [burst.describe(self._waveform) for burst in self._bursts]
        return self._folder.write_result(
            config, lambda: self._statistics(radio), {"recording": recording, "bursts": bursts}
        )

    def _close_recording(self, recorder: Recorder) -> dict[str, Any] | None:
        if not recorder.samples_written:
            recorder.discard()
            return None
        for burst in self._recorded:
            recorder.annotate(burst.annotation(self._waveform, recorder.samples_written))
        recorder.close()
        return {
            "file": recorder.meta_path.name,
            "datatype": recorder.info.datatype,
            "samples": recorder.samples_written,
            "bursts": len(self._recorded),
            "saturated_samples": recorder.saturated_samples,
            "non_finite_samples": recorder.non_finite_samples,
        }


def _lines(summary: dict[str, Any]) -> list[str]:
    """What came, for people."""
    from semcom_app.received_pictures import frames_text
    from semcom_app.replay_tables import dropped

    total, counts = summary["summary"], summary["counts"]
    lines = [
        f"{total['duration_s']:.3g} s of samples, {total['bursts']} bursts ({total['bursts_intact']} intact); "
        f"{frames_text(total)}"
    ]
    if dropped(summary):
        lines.append(f"also: {', '.join(dropped(summary))}")
    if counts["overruns"] or counts["lost_samples"] or counts["errors"]:
        lines.append(
            f"radio: {counts['overruns']} overruns, samples lost: {_known(counts['lost_samples'])}, "
            f"{counts['errors']} errors"
        )
    if summary["recording"] is not None:
        lines.append(f"recording: {summary['recording']['file']}, {summary['recording']['samples']} samples")
    return lines


def _known(count: int | None) -> str:
    """A count that the radio may not know."""
    return "unknown" if count is None else str(count)


def _silence(summary: dict[str, Any], waveform: Waveform) -> str:
    """Why there is nothing to show, and what to try."""
    total, counts = summary["summary"], summary["receiver"]
    heard = f"{total['duration_s']:.3g} s of samples"
    if total["problem"]:
        return f"no picture: {total['problem']}"
    if not total["samples"]:
        return "no picture: no samples came; check --radio, and whether somebody transmits"
    if not counts["detections"]:
        return (
            f"no picture: no burst in {heard} at {waveform.samples_per_symbol} samples per symbol; check --sps, "
            "--frequency and --gain"
        )
    return (
        f"no picture in {heard}: {counts['detections']} preambles found, {counts['headers_failed']} headers too noisy, "
        f"{counts['headers_invalid'] + counts['oversized']} not understood"
    )
