"""Measurements of the air interface: detection, false alarms, loss against the ideal link, ranges, speed.

Each function returns rows, one dictionary per measurement with units in the key names, computed from a seed.
`docs/make_air_table.py` writes them into docs/air-interface.md.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from semcom_phy.channels import make_channel
from semcom_phy.channels.impairments import (
    PHASE_NOISE_PRESETS,
    AdditiveNoise,
    CarrierFrequencyOffset,
    DcOffset,
    Impairment,
    Interferer,
    IqImbalance,
    JakesFading,
    Multipath,
    SampleChannel,
    SamplingClockOffset,
)
from semcom_phy.coding.transport import TurboCode
from semcom_phy.modulation import MODULATIONS
from semcom_phy.waveform.buffer import SampleBuffer
from semcom_phy.waveform.detector import PreambleDetector
from semcom_phy.waveform.fragments import split_frame
from semcom_phy.waveform.pulse import Waveform
from semcom_phy.waveform.receiver import ReceivedBurst, Receiver, ReceiverConfig
from semcom_phy.waveform.transmitter import Burst, Transmitter, TransmitterConfig

Row = dict[str, Any]
Samples = npt.NDArray[np.complex64]

SAMPLE_RATE_HZ: Final = 1e6
SAMPLES_PER_SYMBOL: Final = 4
PAYLOAD_BITS: Final = 5416
"""Payload of a measured burst: with its CRC one code block of K = 5440, 16332 coded bits at rate 1/3."""

HEADER: Final = bytes(range(48))

_TX: Final = TransmitterConfig(Waveform(SAMPLES_PER_SYMBOL, SAMPLE_RATE_HZ))
_CODE: Final = TurboCode(iterations=6)
_CHUNK: Final = 1 << 16
_MEAN_GAP: Final = 2000
_GAIN: Final = np.float32(10 ** (-_TX.level_dbfs / 20))
"""Brings bursts to mean power 1, the reference of the impairments."""


@dataclass(frozen=True)
class Condition:
    """One line of the table of ranges: what lies between transmitter and receiver.

    `before_noise` and `after_noise` are impairments of the path and of the receiver; `fading_hz` is the Doppler
    frequency where there is Rayleigh fading, `flat` whether the ideal link beside it has the same fading.
    `level_dbfs`: of the received bursts.
    """

    name: str
    before_noise: tuple[Impairment, ...] = ()
    after_noise: tuple[Impairment, ...] = ()
    fading_hz: float | None = None
    flat: bool = True
    level_dbfs: float = -9.0


def conditions() -> list[Condition]:
    """The conditions that the air interface is made for, at 1 Msample/s and 4 samples per symbol."""
    paths = Multipath((0.0, 3.0, 7.0), (0.0, -4.0, -8.0), (0.0, 100.0, 220.0), delay_unit="samples")
    fading_paths = replace(paths, doppler_hz=10.0)
    rtl = PHASE_NOISE_PRESETS["rtl-sdr"]
    cheap = (IqImbalance(1.0, 5.0), DcOffset(-20.0))
    crystal = (SamplingClockOffset(40.0, 0.37), CarrierFrequencyOffset(10_000.0, 0.0, 77.0))
    rows = [Condition("AWGN")]
    rows += [Condition(f"CFO {hz / 1e3:+.0f} kHz", (CarrierFrequencyOffset(hz, 0.0, 50.0),)) for hz in (-1e4, 1e4)]
    rows += [Condition(f"clock {ppm:+.0f} ppm", (), (SamplingClockOffset(ppm, 0.61),)) for ppm in (-40.0, 40.0)]
    rows += [Condition(f"level {level:.0f} dBFS", level_dbfs=level) for level in (-60.0, 0.0)]
    rows += [
        Condition("IQ 1 dB / 5°, DC −20 dBc", (), cheap),
        Condition("phase noise of an RTL-SDR", (), (rtl,)),
        Condition("3 paths within 2 symbols", (paths,)),
        Condition("Rayleigh, f_D = 10 Hz", (JakesFading(10.0),), fading_hz=10.0),
        Condition("Rayleigh, f_D = 100 Hz", (JakesFading(100.0),), fading_hz=100.0),
        Condition("3 paths, each Rayleigh, f_D = 10 Hz", (fading_paths,), fading_hz=10.0, flat=False),
        Condition("CFO, clock, IQ, DC, phase noise, 3 paths", (paths, *crystal), (rtl, *cheap)),
    ]
    return rows


def coded_burst(modulation: str, number: int, rng: np.random.Generator) -> tuple[Burst, npt.NDArray[np.uint8]]:
    """A frame of one burst and its payload."""
    payload = rng.integers(0, 2, PAYLOAD_BITS, dtype=np.uint8)
    coded = _CODE.encode(payload)
    (burst,) = split_frame(HEADER, coded, payload_bits=PAYLOAD_BITS, image=number, modulation=modulation)
    return burst, payload


def receive_all(samples: Samples, config: ReceiverConfig | None = None) -> list[ReceivedBurst]:
    """Push samples in chunks, then flush."""
    receiver = Receiver(config if config is not None else ReceiverConfig(_TX.waveform))
    parts = [receiver.push(samples[start : start + _CHUNK]) for start in range(0, samples.size, _CHUNK)]
    return [burst for part in [*parts, receiver.flush()] for burst in part]


def mutual_information(bits: npt.ArrayLike, llrs: npt.ArrayLike) -> float:
    """Mean of 1 − log2(1 + exp(−(2b−1)·L)): bits that each coded bit's LLR tells about it."""
    signed = (2.0 * np.asarray(bits, np.float64) - 1.0) * np.asarray(llrs, np.float64)
    return float(1.0 - np.mean(np.logaddexp(0.0, -signed)) / math.log(2.0))


def equivalent_esn0_db(modulation: str, information: float, near_db: float) -> float:
    """Es/N0 at which an ideal AWGN link tells as much; searched from 6 dB below `near_db` to 1 dB above."""
    rng = np.random.default_rng(0)
    scheme = MODULATIONS[modulation]
    bits = rng.integers(0, 2, 200_000, dtype=np.uint8)
    symbols = scheme.modulate(bits)
    noise = rng.standard_normal((symbols.size, 2)) @ np.array([1.0, 1.0j])
    grid = np.arange(near_db - 6.0, near_db + 1.01, 0.25)
    known = []
    for esn0_db in grid:
        n0 = 10 ** (-esn0_db / 10)
        known.append(mutual_information(bits, scheme.demap(symbols + math.sqrt(n0 / 2) * noise, 1.0, n0)))
    return float(np.interp(information, known, grid))


def _ideal_decoded(modulation: str, esn0_db: float, fading_hz: float | None, bursts: int, seed: int) -> int:
    """How many code blocks an ideal link decodes: symbols in place, gain and noise known exactly."""
    rng = np.random.default_rng((seed, 1))
    name, extra = ("awgn", {}) if fading_hz is None else ("rayleigh", {"doppler_hz": fading_hz, "scatterers": 32})
    if fading_hz is not None:
        extra["symbol_rate_hz"] = _TX.waveform.symbol_rate_hz
    channel = make_channel(name, snr_db=esn0_db, **extra)
    decoded = 0
    for number in range(bursts):
        burst, payload = coded_burst(modulation, number, rng)
        output = channel.transmit(MODULATIONS[modulation].modulate(burst.coded), rng)
        llrs = MODULATIONS[modulation].demap(output.received, output.gain, output.noise_variance)
        result = _CODE.decode(llrs, PAYLOAD_BITS)
        decoded += bool(result.transport_ok and np.array_equal(result.bits, payload))
    return decoded


def measure_condition(condition: Condition, modulation: str, esn0_db: float, seconds: float, seed: int) -> Row:
    """Send a train of bursts, about so many seconds long, through a condition.

    Counts what is found and decoded, and measures the loss: how much less Es/N0 an ideal AWGN link needs for LLRs that
    tell as much (None in fading).
    """
    rng = np.random.default_rng((seed, 0))
    transmitter = Transmitter(_TX)
    one = transmitter.modulate(coded_burst(modulation, 0, rng)[0]).size
    bursts = max(1, round(seconds * SAMPLE_RATE_HZ / (one + _MEAN_GAP)))
    sent = [coded_burst(modulation, number, rng) for number in range(bursts)]
    parts: list[Samples] = []
    for burst, _ in sent:
        parts += [np.zeros(int(rng.integers(0, 2 * _MEAN_GAP)), np.complex64), _GAIN * transmitter.modulate(burst)]
    train = np.concatenate([*parts, np.zeros(200, np.complex64)])
    noise = AdditiveNoise(esn0_db=esn0_db, samples_per_symbol=float(SAMPLES_PER_SYMBOL))
    channel = SampleChannel(air=(*condition.before_noise, noise), receiver=condition.after_noise)
    samples = channel.apply(train, SAMPLE_RATE_HZ, seed) * np.float32(10 ** (condition.level_dbfs / 20))
    found = {burst.header.image: burst for burst in receive_all(samples)}
    decoded, information, esn0, cfo, clock = 0, [], [], [], []
    for number, (burst, payload) in enumerate(sent):
        if number not in found:
            continue
        received = found[number]
        result = _CODE.decode(received.llrs, PAYLOAD_BITS)
        decoded += bool(result.transport_ok and np.array_equal(result.bits, payload))
        information.append(mutual_information(burst.coded, received.llrs))
        esn0.append(received.esn0_db)
        cfo.append(received.cfo_hz)
        clock.append(received.clock_offset_ppm)
    ideal = None
    if condition.flat:
        ideal = _ideal_decoded(modulation, esn0_db, condition.fading_hz, bursts, seed)
    row: Row = {
        "condition": condition.name,
        "modulation": modulation,
        "esn0_db": esn0_db,
        "seconds": round(samples.size / SAMPLE_RATE_HZ, 1),
        "bursts": bursts,
        "found": len(found),
        "decoded": decoded,
        "decoded_ideal": ideal,
        "loss_db": None,
        "esn0_measured_db": round(float(np.mean(esn0)), 2) if esn0 else None,
        "cfo_deviation_hz": round(float(np.std(cfo)), 2) if cfo else None,
        "clock_deviation_ppm": round(float(np.std(clock)), 2) if clock else None,
    }
    if condition.fading_hz is None and information:
        row["loss_db"] = round(esn0_db - equivalent_esn0_db(modulation, float(np.mean(information)), esn0_db), 2)
    return row


#: Where each modulation is measured: rate 1/3 decodes from about −4, −1 and 4 dB.
OPERATING_POINTS: Final = (("bpsk", -3.0), ("qpsk", 0.5), ("16qam", 6.0))
FADING_MARGIN_DB: Final = 12.0


def range_rows(seconds: float = 2.0, seed: int = 1) -> list[Row]:
    """All conditions with all modulations at 1 to 2 dB above the code's threshold; fading 12 dB higher, five times
    as long."""
    rows = []
    for condition in conditions():
        fading = condition.fading_hz is not None
        for modulation, esn0_db in OPERATING_POINTS:
            wanted_db = esn0_db + (FADING_MARGIN_DB if fading else 0.0)
            rows.append(measure_condition(condition, modulation, wanted_db, 5 * seconds if fading else seconds, seed))
    return rows


def frame_error_rows(points: Sequence[float] = (-4.4, -4.3, -4.2), bursts: int = 400, seed: int = 2) -> list[Row]:
    """Frame error rate of BPSK at rate 1/3 over the air and over the ideal symbol link, at the same Es/N0.

    Frequency offset, delay and phase are random for every burst.
    """
    transmitter = Transmitter(_TX)
    rows = []
    for esn0_db in points:
        rng = np.random.default_rng((seed, round(1000 * esn0_db) & 0xFFFF))
        noise = math.sqrt(SAMPLES_PER_SYMBOL * 10 ** (-esn0_db / 10) / 2)
        missed = failed = 0
        for number in range(bursts):
            burst, payload = coded_burst("bpsk", number, rng)
            samples = np.append(_GAIN * transmitter.modulate(burst), np.zeros(64, np.complex64))
            frequency = np.fft.fftfreq(samples.size + 400)
            delayed = np.fft.ifft(
                np.fft.fft(samples, samples.size + 400) * np.exp(-2j * np.pi * frequency * rng.uniform(100, 300))
            )
            delayed *= np.exp(2j * np.pi * (rng.uniform(-0.01, 0.01) * np.arange(delayed.size) + rng.random()))
            delayed += noise * (rng.standard_normal((delayed.size, 2)) @ np.array([1.0, 1.0j]))
            found = receive_all(delayed.astype(np.complex64))
            if len(found) != 1:
                missed += 1
                continue
            result = _CODE.decode(found[0].llrs, PAYLOAD_BITS)
            failed += not (result.transport_ok and np.array_equal(result.bits, payload))
        ideal = bursts - _ideal_decoded("bpsk", esn0_db, None, bursts, seed)
        rows.append(
            {
                "esn0_db": esn0_db,
                "bursts": bursts,
                "missed": missed,
                "fer": (missed + failed) / bursts,
                "fer_ideal": ideal / bursts,
            }
        )
    return rows


def detection_rows(points: Sequence[float] = (-3.0, -4.0, -5.0, -6.0), bursts: int = 2000, seed: int = 3) -> list[Row]:
    """Short bursts at random offsets of ±10 kHz, delays and phases: how many are found, how many headers decode."""
    transmitter = Transmitter(_TX)
    rng = np.random.default_rng(seed)
    (burst,) = split_frame(b"x", rng.integers(0, 2, 120, dtype=np.uint8), payload_bits=40, image=1)
    samples = _GAIN * transmitter.modulate(burst)
    size = samples.size + 2000
    spectrum, frequency = np.fft.fft(samples, size), np.fft.fftfreq(size)
    rows = []
    for esn0_db in points:
        noise = math.sqrt(SAMPLES_PER_SYMBOL * 10 ** (-esn0_db / 10) / 2)
        receiver = Receiver(ReceiverConfig(_TX.waveform))
        for _ in range(bursts):
            one = np.fft.ifft(spectrum * np.exp(-2j * np.pi * frequency * rng.uniform(10, 1900)))
            one *= np.exp(2j * np.pi * (rng.uniform(-0.01, 0.01) * np.arange(size) + rng.random()))
            receiver.push(one + noise * (rng.standard_normal((size, 2)) @ np.array([1.0, 1.0j])))
        receiver.flush()
        rows.append(
            {
                "esn0_db": esn0_db,
                "bursts": bursts,
                "preambles_found": receiver.counts.detections,
                "headers_decoded": receiver.counts.bursts,
            }
        )
    return rows


def false_alarm_rows(noise_samples: float = 1e9, interferer_samples: float = 2e7, seed: int = 4) -> list[Row]:
    """Detections in noise alone, and beside interferers 10 dB above the noise in the whole band."""
    noise = AdditiveNoise(power_db=0.0)
    rows = [_count_detections("white noise", (noise,), noise_samples, seed)]
    for name, hz in (("constant (DC)", 0.0), ("carrier at 3 kHz", 3e3), ("carrier at 31.25 kHz", 31.25e3)):
        interferer = Interferer(kind="cw", level_db=10.0, offset_hz=hz, relative_to="noise")
        rows.append(_count_detections(name, (noise, interferer), interferer_samples, seed))
    for kind in ("gsm", "ofdm", "qpsk"):
        interferer = Interferer(kind=kind, level_db=10.0, relative_to="noise")
        rows.append(_count_detections(f"{kind} signal", (noise, interferer), interferer_samples, seed))
    return rows


def _count_detections(name: str, air: tuple[Impairment, ...], samples: float, seed: int) -> Row:
    detector, buffer = PreambleDetector(_TX.waveform), SampleBuffer()
    only_noise = len(air) == 1
    rng = np.random.default_rng(seed)
    stream = SampleChannel(air=air).open(SAMPLE_RATE_HZ, seed)
    silence = np.zeros(1 << 18, np.complex64)
    found = done = 0
    while done < samples:
        if only_noise:
            # Straight from the generator, which takes a third of the time.
            part = rng.standard_normal(2 * silence.size, np.float32).view(np.complex64)
        else:
            part = stream.push(silence)
        buffer.append(part)
        found += len(detector.search(buffer))
        buffer.discard_before(detector.needs_from - 100)
        done += part.size
    return {"input": name, "samples": done, "detections": found, "first_stage_share": detector.examined / (done / 2)}


def speed_rows(seconds: float = 2.0, seed: int = 5) -> list[Row]:
    """Million samples per second of processor time, one core: searching noise, and receiving back-to-back bursts."""
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal(2 * 4_000_000, np.float32).view(np.complex64)
    rows = [{"task": "search noise", **_speed(noise, seconds)}]
    transmitter = Transmitter(_TX)
    for modulation, coded_bits in (("bpsk", 16384), ("qpsk", 32768), ("16qam", 65536)):
        bits = rng.integers(0, 2, 10 * coded_bits, dtype=np.uint8)
        bursts = split_frame(HEADER, bits, payload_bits=coded_bits, image=1, modulation=modulation)
        samples = _GAIN * transmitter.modulate_train(bursts)
        noisy = samples + np.float32(0.2) * rng.standard_normal(2 * samples.size, np.float32).view(np.complex64)
        rows.append({"task": f"receive {modulation}", **_speed(noisy, seconds)})
    return rows


def _speed(samples: Samples, seconds: float) -> Row:
    receive_all(samples)  # compiles, fills caches
    start, done = time.process_time(), 0
    while time.process_time() - start < seconds:
        receive_all(samples)
        done += samples.size
    return {"msamples_s": round(done / (time.process_time() - start) / 1e6, 1)}
