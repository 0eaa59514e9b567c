"""What happens to the samples between transmitters and receivers: impairments and sums, no sockets and no clock.

All transmitters and paths run in one time, counted in samples. A transmitter whose samples are missing is silent.
"""

from __future__ import annotations

import math

import numpy as np

from semcom_phy.channels.impairments import SampleChannel
from semcom_phy.links.recording import recording_gain
from semcom_phy.virtual_air.configuration import AirConfig
from semcom_phy.virtual_air.protocol import Samples, without_junk
from semcom_phy.virtual_air.queue import SampleQueue


def _own_seed(seed: int, place: tuple[int, ...]) -> int:
    """Seed of a place. The first one has the seed itself: one transmitter and receiver make the channel of a link."""
    if not any(place):
        return seed
    return int(np.random.SeedSequence(seed, spawn_key=(len(place), *place)).generate_state(1, np.uint64)[0])


class _Sender:
    """A transmitter: what it sends, through its own impairments, until it is needed."""

    def __init__(self, channel: SampleChannel, config: AirConfig, seed: int) -> None:
        self._stream = channel.open(config.sample_rate_hz, seed)
        self._gain = np.float32(math.pow(10.0, -config.level_dbfs / 20.0))
        self._queue = SampleQueue()
        self._padded = False
        self.invalid_samples = 0

    @property
    def ready(self) -> int:
        # What a clock offset leaves over of inserted zeros is nothing that the transmitter sent.
        return 0 if self._padded else len(self._queue)

    def feed(self, samples: Samples) -> None:
        good, bad = without_junk(samples)
        self.invalid_samples += bad
        self._padded = False
        self._queue.put(self._stream.push(self._gain * good))

    def take(self, count: int) -> tuple[Samples, int]:
        """`count` samples, and how many zeros had to be put in at the transmitter's output."""
        silence = 0
        while (missing := count - len(self._queue)) > 0:
            silence += missing
            self._padded = True
            self._queue.put(self._stream.push(np.zeros(missing, np.complex64)))
        return self._queue.take(count), silence


class _Receiver:
    """A receiver: the sum of its paths through noise, interferers and its own impairments."""

    def __init__(self, number: int, config: AirConfig) -> None:
        rate, count = config.sample_rate_hz, len(config.transmitters)
        paths = [config.impairments.path(sender, number) for sender in range(count)]
        seeds = [_own_seed(config.seed, (0, sender, number)) for sender in range(count)]
        self._paths = [path.open(rate, seed) for path, seed in zip(paths, seeds, strict=True)]
        self._arrived = [SampleQueue() for _ in paths]
        channel = config.impairments.receiver(number)
        self._stream = channel.open(rate, _own_seed(config.seed, (number,)))
        self._gain = np.float32(recording_gain(channel, rate))

    def hear(self, sent: list[Samples]) -> Samples:
        """The next samples of all transmitters, equally many, into what this receiver gets."""
        for path, queue, samples in zip(self._paths, self._arrived, sent, strict=True):
            queue.put(path.push(samples))
        # Filters hold samples back, each path as many as its own needs.
        count = min(map(len, self._arrived))
        total = np.zeros(count, np.complex64)
        for queue in self._arrived:
            total += queue.take(count)
        return self._gain * self._stream.push(total)


class Medium:
    """Everything between transmitters and receivers; deterministic in its seed and in what it is fed when.

    How the samples are cut into pieces does not change what comes out. With one transmitter and one receiver it is the
    `SampleChannel` of the same impairments and seed, except for the levels: bursts of `level_dbfs` come in, and
    go out so that bursts, noise and interferers together lie at `recording_gain`'s level.
    """

    def __init__(self, config: AirConfig) -> None:
        impairments, seed = config.impairments, config.seed
        self._senders = [
            _Sender(impairments.transmitter(number), config, _own_seed(seed, (number,)))
            for number in range(len(config.transmitters))
        ]
        self._receivers = [_Receiver(number, config) for number in range(len(config.receivers))]
        #: Samples that have passed.
        self.time = 0

    def feed(self, sender: int, samples: Samples) -> None:
        """Take the next samples of a transmitter, complex64 (n,)."""
        self._senders[sender].feed(samples)

    def ready(self, sender: int) -> int:
        """How many samples of a transmitter are waiting for time to pass."""
        return self._senders[sender].ready

    def invalid_samples(self, sender: int) -> int:
        """How many samples of a transmitter were not finite or absurdly large, and counted as zero."""
        return self._senders[sender].invalid_samples

    def advance(self, count: int) -> tuple[list[Samples], list[int]]:
        """Let `count` samples of time pass.

        Returns what each receiver gets (its clock and its filters change the number), and how many zeros were sent for
        each transmitter in place of samples.
        """
        taken = [sender.take(count) for sender in self._senders]
        self.time += count
        sent = [samples for samples, _ in taken]
        return [receiver.hear(sent) for receiver in self._receivers], [silence for _, silence in taken]
