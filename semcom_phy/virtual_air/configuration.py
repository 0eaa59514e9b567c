"""What the virtual air is told: who takes part, and what happens to samples on which part of their way.

The way of a sample has three parts. At its transmitter: clock, converter, oscillator; once, whoever receives it. On
the path from one transmitter to one receiver: multipath, fading. At the receiver, after the sum over all paths: noise,
interferers, oscillator, clock, converter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from semcom_phy.channels.impairments import (
    AdditiveNoise,
    AmplitudeScaling,
    CarrierFrequencyOffset,
    Impairment,
    Interferer,
    JakesFading,
    Multipath,
    SampleChannel,
    parse_impairments,
)
from semcom_phy.checks import checked_number
from semcom_phy.errors import ConfigurationError
from semcom_phy.virtual_air.protocol import RECEIVER_ADDRESS, TRANSMITTER_ADDRESS
from semcom_phy.zmq.addresses import checked_address

MAX_PORTS: Final = 16
_PLACE: Final = re.compile(r"(?:tx(?P<tx>[1-9][0-9]?))?(?P<dash>-)?(?:rx(?P<rx>[1-9][0-9]?))?")
#: What a path may do to the samples: nothing that has a clock of its own, for the sum at the receiver has one.
_ON_A_PATH: Final = (Multipath, JakesFading, AmplitudeScaling, CarrierFrequencyOffset)


def _at_receiver(impairment: Impairment) -> bool:
    """Whether an impairment of the air is there once, not once for every path."""
    return isinstance(impairment, AdditiveNoise | Interferer)


@dataclass(frozen=True)
class AirImpairments:
    """What happens where; transmitters and receivers are counted from 0.

    `everywhere`: its transmitter's part at each transmitter, multipath and fading on each path, noise, interferers and
    its receiver's part at each receiver. `transmitters`, `paths` (transmitter, receiver), `receivers`: in place of that
    at single places.

    Raises ConfigurationError for impairments at a place where they cannot be.
    """

    everywhere: SampleChannel = field(default_factory=SampleChannel)
    transmitters: Mapping[int, SampleChannel] = field(default_factory=dict)
    paths: Mapping[tuple[int, int], SampleChannel] = field(default_factory=dict)
    receivers: Mapping[int, SampleChannel] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, channel in self.transmitters.items():
            if channel.air or channel.receiver:
                raise ConfigurationError(
                    f"tx{number + 1}: only what a transmitter does can stand here; write tx.cfo, tx.gain and so on"
                )
        for number, channel in self.receivers.items():
            if channel.transmitter or not all(map(_at_receiver, channel.air)):
                raise ConfigurationError(
                    f"rx{number + 1}: only noise, interferers and what a receiver does can stand here; write rx.ppm"
                )
        for (sender, receiver), channel in self.paths.items():
            if not all(isinstance(impairment, _ON_A_PATH) for impairment in channel.impairments):
                raise ConfigurationError(
                    f"tx{sender + 1}-rx{receiver + 1}: a path has multipath, fading, gain and cfo; put clocks at "
                    "the transmitter, noise and interferers at the receiver"
                )

    def transmitter(self, number: int) -> SampleChannel:
        """What one transmitter does."""
        channel = self.transmitters.get(number, self.everywhere)
        return SampleChannel(transmitter=channel.transmitter)

    def path(self, sender: int, receiver: int) -> SampleChannel:
        """What happens on one path."""
        if (sender, receiver) in self.paths:
            return self.paths[sender, receiver]
        return SampleChannel(air=tuple(one for one in self.everywhere.air if not _at_receiver(one)))

    def receiver(self, number: int) -> SampleChannel:
        """What happens at one receiver after the sum: noise, interferers, its own imperfections."""
        channel = self.receivers.get(number, self.everywhere)
        return SampleChannel(air=tuple(filter(_at_receiver, channel.air)), receiver=channel.receiver)

    def says_esn0(self, esn0_db: float) -> bool:
        """Whether all noise there is, and there is some, has this Es/N0."""
        channels = [self.everywhere, *self.receivers.values()]
        noises = [one for channel in channels for one in channel.air if isinstance(one, AdditiveNoise)]
        return bool(noises) and all(noise.esn0_db == esn0_db for noise in noises)

    def describe(self) -> dict[str, Any]:
        """For result.json."""
        return {
            "everywhere": self.everywhere.describe(),
            **{f"tx{number + 1}": channel.describe() for number, channel in self.transmitters.items()},
            **{f"tx{t + 1}-rx{r + 1}": channel.describe() for (t, r), channel in self.paths.items()},
            **{f"rx{number + 1}": channel.describe() for number, channel in self.receivers.items()},
        }


def parse_air_impairments(
    texts: Sequence[str], default_noise: str | None = None, counts: tuple[int, int] | None = None
) -> AirImpairments:
    """Read texts of the form ``[PLACE:]LIST``; LIST: see `parse_impairments`.

    PLACE is ``tx1``, ``rx2`` or ``tx1-rx2``, counted from 1; without it the list is for everywhere. `default_noise`: an
    entry such as "esn0=10" for the lists of everywhere and of receivers that say nothing about noise. `counts`: how
    many transmitters and receivers there are, None where that is not known yet.

    Raises ConfigurationError for what it does not understand, a place that does not exist or is given twice.
    """
    found: dict[tuple[int | None, int | None], SampleChannel] = {}
    for text in texts:
        place_text, colon, impairments = text.partition(":")
        place: tuple[int | None, int | None] = (None, None)
        if colon:
            place = _place(place_text.strip())
            if counts is not None:
                _check_place(place, counts)
        else:
            impairments = text
        if place in found:
            raise ConfigurationError(f"impairments are given twice for {_name(place)}")
        try:
            found[place] = _with_noise(impairments, default_noise if place[0] is None else None)
        except ConfigurationError as error:
            raise ConfigurationError(f"{_name(place)}: {error}" if colon else str(error)) from None
    return AirImpairments(
        found.get((None, None), _with_noise("", default_noise)),
        {t: channel for (t, r), channel in found.items() if t is not None and r is None},
        {(t, r): channel for (t, r), channel in found.items() if t is not None and r is not None},
        {r: channel for (t, r), channel in found.items() if t is None and r is not None},
    )


def _with_noise(text: str, noise: str | None) -> SampleChannel:
    channel = parse_impairments(text)
    if noise is None or any(isinstance(impairment, AdditiveNoise) for impairment in channel.impairments):
        return channel
    return parse_impairments(",".join(filter(None, (text, noise))))


def _place(text: str) -> tuple[int | None, int | None]:
    place = _PLACE.fullmatch(text)
    both = place is not None and place["tx"] is not None and place["rx"] is not None
    if place is None or both != (place["dash"] is not None) or (place["tx"] is None and place["rx"] is None):
        raise ConfigurationError(f"{text!r} is no place for impairments; give tx1, rx1 or tx1-rx1")
    return tuple(None if number is None else int(number) - 1 for number in (place["tx"], place["rx"]))  # type: ignore[return-value]


def _name(place: tuple[int | None, int | None]) -> str:
    parts = [f"{end}{number + 1}" for end, number in zip(("tx", "rx"), place, strict=True) if number is not None]
    return "-".join(parts) or "everywhere"


def _check_place(place: tuple[int | None, int | None], counts: tuple[int, int]) -> None:
    """Raise ConfigurationError unless there are that many transmitters and receivers; `counts`: how many of each."""
    for number, have in zip(place, counts, strict=True):
        if number is not None and number >= have:
            raise ConfigurationError(
                f"impairments for {_name(place)}, but there are {counts[0]} transmitters and {counts[1]} receivers"
            )


@dataclass(frozen=True)
class AirConfig:
    """Configuration of the virtual air.

    transmitters: addresses that the air asks for samples, 1 … 16. receivers: addresses at which it answers one
    receiver each, 1 … 16. sample_rate_hz: of everything; without `fast` also the pace.
    fast: as fast as transmitters deliver and receivers ask; time stands still while no transmitter delivers or no
    receiver asks, and begins when all of them have been there once.
    level_dbfs: mean power of a burst as it comes from a transmitter; the impairments see it as a mean power of 1.
    buffer_s: samples that wait for a receiver; beyond this they are lost (without `fast`).
    patience_s: how long a transmitter or receiver that is connected may hold up the others (with `fast`).
    seed: of everything random.
    allow_remote: addresses may be reached from other machines.

    Raises ConfigurationError for values out of range.
    """

    transmitters: tuple[str, ...] = (TRANSMITTER_ADDRESS,)
    receivers: tuple[str, ...] = (RECEIVER_ADDRESS,)
    impairments: AirImpairments = field(default_factory=AirImpairments)
    sample_rate_hz: float = 1e6
    fast: bool = False
    level_dbfs: float = -9.0
    buffer_s: float = 1.0
    patience_s: float = 10.0
    seed: int = 0
    allow_remote: bool = False

    def __post_init__(self) -> None:
        for name, unit, low, high in (
            ("sample_rate_hz", "Hz", 1.0, 1e9),
            ("level_dbfs", "dB", -100.0, 0.0),
            ("buffer_s", "s", 0.001, 60.0),
            ("patience_s", "s", 0.1, 3600.0),
        ):
            object.__setattr__(self, name, checked_number(name, getattr(self, name), low, high, unit))
        for what, addresses, bind in (("transmitters", self.transmitters, False), ("receivers", self.receivers, True)):
            if not 1 <= len(addresses) <= MAX_PORTS:
                raise ConfigurationError(f"a virtual air has 1 to {MAX_PORTS} {what}, not {len(addresses)}")
            for address in addresses:
                checked_address(address, bind=bind, allow_remote=self.allow_remote)
        named = [address for address in (*self.transmitters, *self.receivers) if not address.endswith("*")]
        if len(set(named)) < len(named):
            raise ConfigurationError("each transmitter and receiver of a virtual air has an address of its own")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < 1 << 63:
            raise ConfigurationError(f"seed must be an integer from 0 to 2^63 - 1, got {self.seed!r}")
        self._check_places()

    def _check_places(self) -> None:
        impairments = self.impairments
        places = [(t, None) for t in impairments.transmitters] + [(None, r) for r in impairments.receivers]
        for place in [*places, *impairments.paths]:
            _check_place(place, (len(self.transmitters), len(self.receivers)))

    def describe(self) -> dict[str, Any]:
        """For JSON, units in the key names."""
        return {
            "transmitters": list(self.transmitters),
            "receivers": list(self.receivers),
            "sample_rate_hz": self.sample_rate_hz,
            "fast": self.fast,
            "level_dbfs": self.level_dbfs,
            "buffer_s": self.buffer_s,
            "patience_s": self.patience_s,
            "seed": self.seed,
            "impairments": self.impairments.describe(),
        }
