"""Make the recordings in captures/, and the JSON files that say what each must give.

    .venv/bin/python docs/make_captures.py

Everything is seeded. What a recording must give is stated here as well (`Scenario.outcome`), so that a receiver that
has become worse stops this script instead of lowering the expectations.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from semcom_app.codecs import CodecOptions, make_codec
from semcom_app.images import load_image
from semcom_app.metrics import measure
from semcom_app.reception import PictureDecoder, ReceivedPicture, payload_sha256
from semcom_phy.capture import Recorder, RecordingInfo, open_recording
from semcom_phy.channels.impairments import parse_impairments
from semcom_phy.coding.transport import TurboCode
from semcom_phy.links import AirLinkConfig, Frame, FrameFormat
from semcom_phy.links.air_link import AirTransmitter
from semcom_phy.links.recording import listen, record, recording_gain
from semcom_phy.waveform import Burst, Waveform

ROOT = Path(__file__).parents[1]
CAPTURES = ROOT / "captures"
PHOTOS = ROOT / "semcom_app" / "photos"
CODEC, SIZE = "vcsc-4bit", 96
START = datetime(2025, 1, 1, tzinfo=UTC)
CHUNK = 1 << 16

Trains = list[list[Burst]]


def one_after_another(trains: Trains) -> list[Burst]:
    """The bursts of the frames in the order in which a transmitter sends them."""
    return [burst for train in trains for burst in train]


def in_turn(trains: Trains) -> list[Burst]:
    """One burst of each frame in turn, as two transmitters that share a channel would."""
    return [burst for turn in zip(*trains, strict=True) for burst in turn]


@dataclass(frozen=True)
class Scenario:
    """One recording.

    `impairments`: in the text form. `photos`: what is sent. `frames`: how. `order`: of the bursts. `first`, `last`: the
    part of the samples that is kept, as shares of them. `outcome`: of each frame that must be found, "intact" or
    "damaged". `bursts`: how many must be found.
    """

    name: str
    description: str
    impairments: str
    outcome: tuple[str, ...]
    bursts: int
    photos: tuple[str, ...] = ("coffee.png",)
    frames: FrameFormat = field(default_factory=lambda: _format("qpsk", 1 / 2))
    order: Callable[[Trains], list[Burst]] = one_after_another
    first: float = 0.0
    last: float = 1.0
    datatype: str = "ci8"
    seed: int = 1


def _format(modulation: str, rate: float, **fields: Any) -> FrameFormat:
    return FrameFormat(modulation=modulation, turbo=TurboCode(rate=rate), **fields)


SCENARIOS = (
    Scenario("clean", "One picture, Es/N0 30 dB.", "esn0=30", ("intact",), 1, datatype="ci16_le"),
    Scenario(
        "low-snr",
        "Es/N0 -3 dB; BPSK, rate 1/3, sent twice.",
        "esn0=-3",
        ("intact",),
        2,
        frames=_format("bpsk", 1 / 3, passes=2),
        photos=("rocket.jpg",),
    ),
    Scenario(
        "cfo-clock",
        "Carrier 9 kHz off and drifting by 20 kHz/s, sampling clock 40 ppm off, phase noise of a cheap receiver.",
        "cfo=9000/20000,ppm=40,phase_noise=rtl-sdr,esn0=12",
        ("intact",),
        3,
        frames=_format("qpsk", 1 / 3, fragment_symbols=1200),
    ),
    Scenario(
        "multipath",
        "Three paths within two symbols; 16-QAM, rate 1/2.",
        "multipath=short,esn0=18",
        ("intact",),
        1,
        frames=_format("16qam", 1 / 2),
        photos=("astronaut.png",),
    ),
    Scenario(
        "fading",
        "Flat Rayleigh fading of 30 Hz, interleaved, sent twice.",
        "fading=30,esn0=14",
        ("intact",),
        8,
        frames=_format("qpsk", 1 / 3, passes=2, interleave=True, fragment_symbols=1000),
    ),
    Scenario(
        "two-images",
        "Two pictures whose bursts come in turn.",
        "cfo=-1500,esn0=15",
        ("intact", "intact"),
        6,
        photos=("astronaut.png", "rocket.jpg"),
        frames=_format("qpsk", 1 / 2, fragment_symbols=800),
        order=in_turn,
    ),
    Scenario(
        "truncated-start",
        "Begins within the first of four bursts; at rate 1/3 the other three are enough.",
        "cfo=700,esn0=20",
        ("intact",),
        3,
        frames=_format("qpsk", 1 / 3, fragment_symbols=900),
        first=0.1,
    ),
    Scenario(
        "truncated-end",
        "Ends within the last of three bursts; at rate 0.8 the picture is damaged.",
        "cfo=700,esn0=20",
        ("damaged",),
        3,
        frames=_format("qpsk", 0.8, fragment_symbols=500),
        last=0.88,
    ),
    Scenario(
        "interferer",
        "A carrier as strong as the signal beside it, and a weak GSM-like one within it.",
        "cw=0/230000,gsm=-20/40000,esn0=15",
        ("intact",),
        1,
        photos=("astronaut.png",),
    ),
    Scenario(
        "cheap-sdr",
        "What a cheap receiver gives: 20 ppm, phase noise, IQ imbalance, DC offset, 8 bits; two pictures.",
        "cheap-sdr,cfo=4000,esn0=12",
        ("intact", "intact"),
        2,
        photos=("coffee.png", "rocket.jpg"),
    ),
    Scenario(
        "no-signal", "Noise, a carrier and an OFDM signal, but no burst.", "cw=-3/50000,ofdm=-3,esn0=0", (), 0, ()
    ),
)


def config_of(scenario: Scenario) -> AirLinkConfig:
    """The link that a scenario is sent over."""
    return AirLinkConfig(
        parse_impairments(scenario.impairments), Waveform(), frames=scenario.frames, seed=scenario.seed
    )


def transmit(scenario: Scenario) -> tuple[list[dict[str, Any]], np.ndarray]:
    """What was sent, picture by picture, and the samples that are recorded."""
    config = config_of(scenario)
    transmitter = AirTransmitter(config.waveform, config.frames, config.seed)
    codec = make_codec(CODEC, CodecOptions(device="cpu"))
    sent, trains = [], []
    for photo in scenario.photos:
        encoded = codec.encode(load_image(PHOTOS / photo, SIZE).pixels)
        trains.append(transmitter.bursts(Frame(encoded.header, encoded.bits)))
        sent.append(
            {
                "photo": photo,
                "size": SIZE,
                "image": trains[-1][0].header.image,
                "bursts": len(trains[-1]),
                "payload_bits": encoded.bits.size,
                "payload_sha256": payload_sha256(encoded.bits),
            }
        )
    clean = np.concatenate(list(transmitter.stream(scenario.order(trains))))
    if not trains:
        clean = np.zeros(60_000, np.complex64)
    rate = config.waveform.sample_rate_hz
    samples = recording_gain(config.channel, rate) * config.channel.apply(clean, rate, config.seed)
    kept = samples[round(scenario.first * samples.size) : round(scenario.last * samples.size)]
    return sent, kept.astype(np.complex64)


def outcome_of(picture: ReceivedPicture, sent: list[dict[str, Any]]) -> dict[str, Any]:
    """What must come out for one frame."""
    row = picture.row
    source = next(one for one in sent if one["image"] == row["image"])
    pixels = load_image(PHOTOS / source["photo"], source["size"]).pixels
    kept = ("image", "delivered", "intact", "fragments_expected", "fragments_received", "blocks", "blocks_failed")
    outcome = {key: row[key] for key in kept}
    outcome["psnr_db"] = round(measure(pixels, picture.pixels)["psnr_db"], 2)
    if row["intact"]:
        assert row["payload_sha256"] == source["payload_sha256"], "an intact frame with other bits than were sent"
        outcome["payload_sha256"] = row["payload_sha256"]
    return outcome


def replay(path: Path, config: AirLinkConfig) -> tuple[list[dict[str, Any]], list[ReceivedPicture]]:
    """Bursts and pictures that the receiver finds in a recording."""
    decoder = PictureDecoder(CodecOptions(device="cpu"))
    pictures: list[ReceivedPicture] = []
    with open_recording(path) as recording:
        heard = listen(
            recording.chunks(CHUNK),
            dataclasses.replace(config.receiver, link=None),
            on_frame=lambda frame: pictures.append(decoder.decode(frame)),
        )
    kept = ("image", "frame", "fragment", "fragments", "modulation", "redundancy", "crc_ok")
    bursts = [{key: burst.describe(config.waveform)[key] for key in kept} for burst in heard.log.bursts]
    return bursts, pictures


def make(scenario: Scenario, folder: Path) -> dict[str, Any]:
    """Write a recording and its JSON; raises SystemExit when it does not give what the scenario says."""
    config = config_of(scenario)
    sent, samples = transmit(scenario)
    info = RecordingInfo(
        config.waveform.sample_rate_hz,
        scenario.datatype,
        hardware="simulated",
        description=scenario.description,
        start_time=START,
    )

    def chunks() -> Iterator[np.ndarray]:
        for start in range(0, samples.size, CHUNK):
            yield samples[start : start + CHUNK]

    with Recorder(folder / scenario.name, info, overwrite=True) as recorder:
        record(chunks(), recorder, config.receiver)
    bursts, pictures = replay(folder / scenario.name, config)
    found = tuple("intact" if picture.row["intact"] else "damaged" for picture in pictures if picture.row["delivered"])
    if found != scenario.outcome or len(pictures) != len(found) or len(bursts) != scenario.bursts:
        raise SystemExit(
            f"{scenario.name}: {len(bursts)} bursts and frames {[p.row for p in pictures]} instead of "
            f"{scenario.bursts} and {scenario.outcome}"
        )
    content = {
        "description": scenario.description,
        "made_with": {
            "impairments_text": scenario.impairments,
            "codec": CODEC,
            **config.describe(),
            "kept_from": scenario.first,
            "kept_to": scenario.last,
            "sent": sent,
        },
        "samples": samples.size,
        "samples_per_symbol": config.waveform.samples_per_symbol,
        "expected": {
            "exit_code": 0 if pictures else 1,
            "bursts": bursts,
            "frames": [outcome_of(picture, sent) for picture in pictures],
        },
    }
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    (folder / f"{scenario.name}.json").write_text(text, encoding="utf-8")
    return content


def main() -> None:
    """Make all recordings, or those that are named."""
    parser = argparse.ArgumentParser(description="Make the recordings in captures/.")
    parser.add_argument("names", nargs="*", help="scenarios; all when left out")
    parser.add_argument("--out", type=Path, default=CAPTURES)
    arguments = parser.parse_args()
    arguments.out.mkdir(exist_ok=True)
    for scenario in SCENARIOS:
        if not arguments.names or scenario.name in arguments.names:
            expected = make(scenario, arguments.out)["expected"]
            print(scenario.name, len(expected["bursts"]), [frame["psnr_db"] for frame in expected["frames"]])


if __name__ == "__main__":
    main()
