"""Recording a stream of samples while a receiver listens: the samples to disk, an annotation for every burst."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from semcom_phy.capture import Recorder
from semcom_phy.capture.interrupts import interrupts_deferred
from semcom_phy.capture.recorder import MAX_BURSTS
from semcom_phy.channels.impairments import SampleChannel
from semcom_phy.channels.impairments.additive_noise import AdditiveNoise
from semcom_phy.channels.impairments.amplitude_scaling import AmplitudeScaling
from semcom_phy.channels.impairments.interference import Interferer
from semcom_phy.channels.impairments.quantization import Quantization
from semcom_phy.links.air_frames import AirFrame, AirReceiver
from semcom_phy.links.burst_log import BurstLog
from semcom_phy.units import db_to_linear
from semcom_phy.waveform import ReceiverConfig

#: Mean power of what is recorded, below full scale: room for the peaks of noise and of faded signals.
HEADROOM_DB: Final = 12.0


@dataclass(frozen=True)
class Heard:
    """What the receiver found in a stream: the bursts, and how many frames were decoded and lost.

    `interrupted`: Ctrl-C ended the stream.
    """

    log: BurstLog
    receiver: AirReceiver
    frames: int
    frames_lost: int
    interrupted: bool


def listen(
    chunks: Iterable[npt.NDArray[np.complex64]],
    config: ReceiverConfig,
    on_samples: Callable[[npt.NDArray[np.complex64]], None] = lambda samples: None,
    on_frame: Callable[[AirFrame], None] = lambda frame: None,
    until_interrupted: bool = False,
) -> Heard:
    """Send a stream through a receiver. Frames go to `on_frame` as they are decoded.

    `on_samples` is given every chunk before the receiver. `until_interrupted`: Ctrl-C, which then falls between two
    chunks, is an end of the stream like any other.
    """
    log = BurstLog()
    receiver = AirReceiver(config, on_burst=log.take)
    frames, lost = 0, 0

    def keep(arrived: list[AirFrame]) -> None:
        nonlocal frames, lost
        for frame in arrived:
            log.settle(frame)
            frames += 1
            lost += frame.received.header is None
            on_frame(frame)

    interrupted = False
    try:
        for chunk in chunks:
            with interrupts_deferred() if until_interrupted else nullcontext():
                on_samples(chunk)
                keep(receiver.push(chunk))
    except KeyboardInterrupt:
        if not until_interrupted:
            raise
        interrupted = True
    keep(receiver.flush())
    return Heard(log, receiver, frames, lost, interrupted)


def record(chunks: Iterable[npt.NDArray[np.complex64]], recorder: Recorder, config: ReceiverConfig) -> Heard:
    """Append a stream to a recording, and annotate the bursts in it. Ctrl-C ends the recording and keeps it.

    The recorder stays open. Of more than 30 000 bursts the first are annotated.
    """
    heard = listen(chunks, config, recorder.append, until_interrupted=True)
    for burst in heard.log.bursts[:MAX_BURSTS]:
        recorder.annotate(burst.annotation(config.waveform, recorder.samples_written))
    return heard


def recording_gain(channel: SampleChannel, sample_rate_hz: float) -> float:
    """Factor from what leaves the channel to what is recorded, with bursts of mean power 1 at its input.

    The mean power of bursts, noise and interferers together comes to lie `HEADROOM_DB` below full scale. A channel that
    sets levels itself (a gain, a quantizer) is left alone: 1.
    """
    if any(isinstance(impairment, AmplitudeScaling | Quantization) for impairment in channel.impairments):
        return 1.0
    noise = sum(i.power(sample_rate_hz) for i in channel.impairments if isinstance(i, AdditiveNoise))
    power = 1.0 + noise
    for impairment in channel.impairments:
        if isinstance(impairment, Interferer):
            power += db_to_linear(impairment.level_db) * (noise if impairment.relative_to == "noise" else 1.0)
    return math.sqrt(db_to_linear(-HEADROOM_DB) / power)
