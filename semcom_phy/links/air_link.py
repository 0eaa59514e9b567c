"""The air link in one process: bursts as samples through impairments into a receiver that knows nothing of them.

Frame → bursts → complex64 samples → `SampleChannel` → streaming receiver → `ReceivedFrame`. The receiving half has
the waveform in common with the transmitter and nothing else; error counts are added where the truth is known.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from semcom_phy.channels.impairments import SampleChannel
from semcom_phy.channels.impairments.additive_noise import AdditiveNoise
from semcom_phy.errors import ConfigurationError
from semcom_phy.links.air_frames import (
    DEFAULT_RATE,
    MAX_BURST_SYMBOLS,
    AirFrame,
    AirReceiver,
    FrameFormat,
    frame_bursts,
)
from semcom_phy.links.base import LINKS, Frame, LinkStats, ReceivedFrame, Reception
from semcom_phy.links.truth import burst_stats
from semcom_phy.waveform import (
    AssemblerConfig,
    Burst,
    ReceivedBurst,
    ReceiverConfig,
    Transmitter,
    TransmitterConfig,
    Waveform,
)

Samples = npt.NDArray[np.complex64]

GAP_SYMBOLS: Final = 32
LEAD_SYMBOLS: Final = 256
#: Silence behind the last burst: drives it out of the channel's filters.
TAIL_SYMBOLS: Final = 512
#: The transmitter's level, far enough down that no peak is ever limited; what is sent has a mean power of 1.
_LEVEL_DBFS: Final = -40.0
_MAX_LLRS: Final = 1 << 31


@dataclass(frozen=True)
class AirLinkConfig:
    """Configuration of the air link.

    channel: what happens to the samples; a burst enters it with a mean power of 1 (0 dB). Noise stated as Es/N0 is
    that per symbol of this link.
    waveform: pulse shape, samples per symbol and sample rate.
    frames: how frames become bursts, and the code.
    equalizer: of the receiver (`semcom_phy.waveform.equalizer.EQUALIZERS`).
    seed: of everything random in the channel; it also gives the first image number.
    """

    channel: SampleChannel = field(default_factory=SampleChannel)
    waveform: Waveform = field(default_factory=Waveform)
    frames: FrameFormat = field(default_factory=FrameFormat)
    equalizer: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 1 << 64:
            raise ConfigurationError(f"seed must be from 0 to 2^64 - 1, not {self.seed}")
        object.__setattr__(self, "channel", for_symbols(self.channel, self.waveform.samples_per_symbol))

    @property
    def receiver(self) -> ReceiverConfig:
        """Configuration of the receiver."""
        return ReceiverConfig(
            waveform=self.waveform,
            link=self.frames.link,
            equalizer=self.equalizer,
            max_burst_symbols=MAX_BURST_SYMBOLS,
        )

    def describe(self) -> dict[str, Any]:
        """Configuration for result.json, units in the key names."""
        frames, waveform = self.frames, self.waveform
        names = [impairment.name for impairment in self.channel.impairments]
        description = {
            "link": "air",
            "channel": "+".join(dict.fromkeys(names)) or "clean",
            "snr_db": asked_esn0_db(self.channel),
            "modulation": frames.modulation,
            "bits_per_symbol": frames.bits_per_symbol,
            "samples_per_symbol": waveform.samples_per_symbol,
            "sample_rate_hz": waveform.sample_rate_hz,
            "symbol_rate_hz": waveform.symbol_rate_hz,
            "roll_off": waveform.roll_off,
            "equalizer": self.equalizer,
            "fec": frames.fec,
            "interleave": frames.interleave,
            "passes": frames.passes,
            "fragment_symbols": frames.fragment_symbols,
            "impairments": self.channel.describe(),
            "seed": self.seed,
        }
        if frames.fec == "turbo":
            description |= {
                "turbo_rate": DEFAULT_RATE if frames.turbo.rate is None else frames.turbo.rate,
                "turbo_iterations": frames.turbo.iterations,
                "turbo_algorithm": frames.turbo.algorithm,
                "turbo_backend": frames.turbo.backend,
                "turbo_early_stop": frames.turbo.early_stop,
            }
        return description


def for_symbols(channel: SampleChannel, samples_per_symbol: int) -> SampleChannel:
    """The channel with its Es/N0 stated for symbols of so many samples.

    Raises ConfigurationError when it is stated for symbols of another length, not left at its default.
    """

    def adapted(impairment: Any) -> Any:
        if not isinstance(impairment, AdditiveNoise) or impairment.esn0_db is None:
            return impairment
        if impairment.samples_per_symbol not in (AdditiveNoise.samples_per_symbol, samples_per_symbol):
            raise ConfigurationError(
                f"the Es/N0 is stated for {impairment.samples_per_symbol:g} samples per symbol, the link has "
                f"{samples_per_symbol}; leave it out behind the Es/N0"
            )
        return replace(impairment, samples_per_symbol=float(samples_per_symbol))

    return SampleChannel(*(tuple(map(adapted, end)) for end in (channel.transmitter, channel.air, channel.receiver)))


def asked_esn0_db(channel: SampleChannel) -> float | None:
    """The Es/N0 that the channel states, None when it states none or several."""
    stated = [i.esn0_db for i in channel.impairments if isinstance(i, AdditiveNoise) and i.esn0_db is not None]
    return stated[0] if len(stated) == 1 else None


class AirTransmitter:
    """Frames in, samples out: numbers the images and shapes the bursts, with a mean power of 1 each."""

    def __init__(self, waveform: Waveform, frames: FrameFormat, seed: int) -> None:
        self.frames = frames
        self._waveform = waveform
        self._transmitter = Transmitter(TransmitterConfig(waveform, level_dbfs=_LEVEL_DBFS, peak=1.0))
        self._next_image = int(np.random.default_rng((seed, 1)).integers(1 << 32))

    def bursts(self, frame: Frame) -> list[Burst]:
        """Bursts of the next frame (see `frame_bursts`)."""
        image = self._next_image
        self._next_image = (image + 1) % (1 << 32)
        return frame_bursts(frame, self.frames, image)

    def modulate(self, burst: Burst) -> Samples:
        """Samples of a burst and of the silence behind it."""
        samples = self._transmitter.modulate(burst)
        gain = np.float32(10 ** (-_LEVEL_DBFS / 20))
        return np.concatenate([gain * samples, self.silence(GAP_SYMBOLS)])

    def silence(self, symbols: int) -> Samples:
        """Zeros for so many symbols."""
        return np.zeros(symbols * self._waveform.samples_per_symbol, np.complex64)

    def stream(self, bursts: Sequence[Burst]) -> Iterator[Samples]:
        """Samples of several bursts, piece by piece, with silence before the first and behind the last."""
        yield self.silence(LEAD_SYMBOLS)
        for burst in bursts:
            yield self.modulate(burst)
        yield self.silence(TAIL_SYMBOLS)


@dataclass
class _Sent:
    """A frame under way: its place in the reception, what was sent of it, and what has come back."""

    number: int
    frame: Frame
    bursts: list[Burst]
    start: int = 0  # sample at which its first burst begins
    delay: float | None = None
    raw_bits: int = 0
    raw_errors: int = 0
    arrived: AirFrame | None = None

    def compare(self, burst: ReceivedBurst, ramp: int) -> None:
        """Count the errors of a burst at the demodulator's output; erasures are no bits."""
        for sent in self.bursts:
            if sent.header == burst.header:
                known = burst.llrs != 0.0
                self.raw_bits += int(np.count_nonzero(known))
                self.raw_errors += int(np.count_nonzero(((burst.llrs > 0.0) != sent.coded)[known]))
        if self.delay is None and burst.header == self.bursts[0].header:
            self.delay = float(burst.position) - self.start - ramp

    def stats(self, esn0_db: float | None) -> LinkStats:
        """All that is known of the frame."""
        received = ReceivedFrame.lost(LinkStats(frames_lost=1)) if self.arrived is None else self.arrived.received
        return replace(
            burst_stats(self.frame, received, self.bursts),
            esn0_db=esn0_db,
            timing_offset_samples=self.delay,
            raw_bits=self.raw_bits,
            raw_errors=self.raw_errors,
        )


@LINKS.register("air")
class AirLink:
    """Bursts through impairments into a receiver, all in one process; deterministic in its seed.

    Channel and receiver run on from one `send` to the next, as on the air: fading, drifts and noise continue.
    """

    def __init__(self, config: AirLinkConfig) -> None:
        self.config = config
        self._transmitter = AirTransmitter(config.waveform, config.frames, config.seed)
        self._channel = config.channel.open(config.waveform.sample_rate_hz, config.seed)
        # The frames are this link's own, so nobody can fill the memory by what headers claim.
        bounds = AssemblerConfig(max_coded_bits=_MAX_LLRS, max_held_llrs=_MAX_LLRS)
        self._receiver = AirReceiver(config.receiver, config.frames.turbo, bounds, self._on_burst)
        self._samples_sent = 0
        self._under_way: dict[int, _Sent] = {}

    def code_rate(self, payload_bits: int) -> float:
        """See `Link.code_rate`: all passes counted."""
        frames = self.config.frames
        return payload_bits / (frames.passes * frames.coded_length(payload_bits))

    def describe(self) -> dict[str, Any]:
        """See `Link.describe`."""
        return self.config.describe()

    def send(self, frames: Sequence[Frame]) -> Reception:
        """See `Link.send`. Frames of which nothing came are lost."""
        sent = [_Sent(number, frame, self._transmitter.bursts(frame)) for number, frame in enumerate(frames)]
        self._under_way = {one.bursts[0].header.image: one for one in sent}
        if sent:
            self._push(self._transmitter.silence(LEAD_SYMBOLS))
            for one in sent:
                one.start = self._samples_sent
                for burst in one.bursts:
                    self._push(self._transmitter.modulate(burst))
            self._push(self._transmitter.silence(TAIL_SYMBOLS))
            self._keep(self._receiver.flush())
        self._under_way = {}
        esn0_db = asked_esn0_db(self.config.channel)
        return Reception(tuple(_outcome(one, esn0_db) for one in sent))

    def _push(self, samples: Samples) -> None:
        self._samples_sent += samples.size
        self._keep(self._receiver.push(self._channel.push(samples)))

    def _on_burst(self, burst: ReceivedBurst) -> None:
        one = self._under_way.get(burst.header.image)
        if one is not None:
            waveform = self.config.waveform
            one.compare(burst, waveform.span_symbols * waveform.samples_per_symbol)

    def _keep(self, frames: Sequence[AirFrame]) -> None:
        for frame in frames:
            one = self._under_way.get(frame.assembled.image)
            if one is not None and frame.assembled.payload_bits == one.frame.payload.size:
                one.arrived = frame


def _outcome(one: _Sent, esn0_db: float | None) -> ReceivedFrame:
    stats = one.stats(esn0_db)
    return ReceivedFrame.lost(stats) if one.arrived is None else replace(one.arrived.received, stats=stats)
