"""What happens to samples between transmitters and receivers, against the channel of a link."""

from __future__ import annotations

import numpy as np
import pytest

from semcom_phy.channels.impairments import IMPAIRMENTS, parse_impairments
from semcom_phy.errors import ConfigurationError
from semcom_phy.links.recording import recording_gain
from semcom_phy.virtual_air.configuration import AirConfig, parse_air_impairments
from semcom_phy.virtual_air.medium import Medium

RATE = 1e6
#: A text for every kind of impairment, wherever on the air it may stand.
OF_EACH_KIND = {
    "amplitude": "gain=-12,tx.gain=-3",
    "cfo": "cfo=3000/200,tx.cfo=-700",
    "clock": "ppm=-40/3.5,rx.ppm=25",
    "dc_offset": "dc=-20/30,tx.dc=-25",
    "fading": "fading=30",
    "interferer": "cw=-10/1000,gsm=-3,ofdm=-6,bpsk=-8/-2e5,qpsk=0/0/noise,esn0=10",
    "iq_imbalance": "iq=1/5,tx.iq=0.5/-2",
    "multipath": "multipath=vehicular/100",
    "noise": "esn0=3/4,noise=-20,n0=-70",
    "overflow": "overflow=100/300",
    "phase_noise": "phase_noise=rtl-sdr,tx.phase_noise=good",
    "quantization": "bits=8,tx.bits=6",
    "underrun": "underrun=100/300",
}
EVERYTHING = "cfo=3000,ppm=20,rx.ppm=-7,multipath=short,fading=30,iq=1/5,qpsk=-10,esn0=10,tx.phase_noise=good"


def noise(count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return ((rng.standard_normal(count) + 1j * rng.standard_normal(count)) / 2).astype(np.complex64)


def config(transmitters: int, receivers: int, *impair: str, level: float = 0.0, seed: int = 4) -> AirConfig:
    return AirConfig(
        tuple(f"tcp://127.0.0.1:{53000 + n}" for n in range(transmitters)),
        tuple(f"tcp://127.0.0.1:{53100 + n}" for n in range(receivers)),
        parse_air_impairments(impair),
        RATE,
        level_dbfs=level,
        seed=seed,
    )


def passed(medium: Medium, sent: list[np.ndarray], step: int, receivers: int = 1) -> list[np.ndarray]:
    """Feed in pieces, let time pass in steps while every transmitter has samples."""
    heard: list[list[np.ndarray]] = [[] for _ in range(receivers)]
    for start in range(0, max(map(len, sent)), 5000):
        for number, samples in enumerate(sent):
            medium.feed(number, samples[start : start + 5000])
        while count := min([step, *(medium.ready(number) for number in range(len(sent)))]):
            received, silences = medium.advance(count)
            assert not any(silences)
            for parts, samples in zip(heard, received, strict=True):
                parts.append(samples)
    return [np.concatenate(parts) for parts in heard]


@pytest.mark.parametrize(
    "text",
    ["", *OF_EACH_KIND.values(), EVERYTHING, "cheap-sdr,gain=-12,bits=8,noise=-20", "underrun=50/7,overflow=70/9"],
)
@pytest.mark.parametrize("step", [700, 4096])
def test_one_path_is_the_channel_of_a_link(text: str, step: int) -> None:
    samples = noise(60_000, 1)
    told = config(1, 1, text)
    (heard,) = passed(Medium(told), [samples], step)
    channel = parse_impairments(text)
    # The level is set where the receiver is: what a transmitter does to its own says nothing about it.
    gain = np.float32(recording_gain(told.impairments.receiver(0), RATE))
    expected = gain * channel.apply(samples, RATE, 4)
    assert expected.size - 100 < heard.size <= expected.size  # filters hold samples back
    np.testing.assert_array_equal(heard, expected[: heard.size])


def test_every_kind_of_impairment_is_compared_with_that_of_a_link() -> None:
    assert sorted(OF_EACH_KIND) == sorted(IMPAIRMENTS.names())
    for kind, text in OF_EACH_KIND.items():
        assert kind in {impairment.name for impairment in parse_impairments(text).impairments}


def test_gaps_of_radios_change_how_many_samples_there_are() -> None:
    """They happen at the radios: time goes on, and nobody counts what was lost or put in."""
    medium = Medium(config(1, 1, "overflow=100/300"))
    (heard,) = passed(medium, [noise(60_000, 1)], 4096)
    assert medium.time == 60_000
    assert (60_000 - heard.size) % 300 == 0
    assert heard.size < 60_000
    medium = Medium(config(1, 1, "underrun=100/300"))
    (heard,) = passed(medium, [noise(60_000, 1)], 4096)
    assert medium.time == heard.size > 60_000


def test_levels() -> None:
    samples = noise(20_000, 1)
    (reference,) = passed(Medium(config(1, 1, "esn0=10")), [samples], 4096)
    quiet = np.float32(10 ** (-9 / 20)) * samples
    (same,) = passed(Medium(config(1, 1, "esn0=10", level=-9.0)), [quiet], 4096)
    np.testing.assert_allclose(same, reference, atol=1e-6)


def test_transmitters_add_and_each_receiver_has_noise_of_its_own() -> None:
    one, two = noise(30_000, 1), noise(30_000, 2)
    clean = Medium(config(2, 2))
    first, second = passed(clean, [one, two], 4096, 2)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, np.float32(recording_gain(parse_impairments(""), RATE)) * (one + two), rtol=1e-5)
    left, right = passed(Medium(config(2, 2, "esn0=10")), [one, two], 4096, 2)
    gain = recording_gain(parse_impairments("esn0=10"), RATE)
    noises = np.stack([left / gain - one - two, right / gain - one - two])
    power = np.mean(np.abs(noises) ** 2, axis=1)
    np.testing.assert_allclose(power, 0.4, rtol=0.05)  # 4 samples per symbol at 10 dB
    assert abs(np.vdot(noises[0], noises[1])) / 30_000 < 0.01


def test_oscillators_belong_to_their_transmitter_and_fading_to_the_path() -> None:
    ones = [np.ones(60_000, np.complex64)] * 2
    heard = passed(Medium(config(2, 2, "tx.phase_noise=rtl-sdr", "tx2:tx.gain=-200")), ones, 4096, 2)
    np.testing.assert_allclose(heard[0], heard[1], rtol=1e-5)  # one oscillator, heard twice
    faded = passed(Medium(config(1, 2, "fading=100")), ones[:1], 4096, 2)
    assert np.abs(np.corrcoef(faded)[0, 1]) < 0.999


def test_places() -> None:
    ones = [np.ones(20_000, np.complex64), np.ones(20_000, np.complex64)]
    gain = recording_gain(parse_impairments(""), RATE)
    near_far = config(2, 2, "tx1-rx2:gain=-20", "tx2:tx.gain=-40")
    first, second = passed(Medium(near_far), ones, 4096, 2)
    np.testing.assert_allclose(first / gain, 1.01, rtol=1e-4)
    np.testing.assert_allclose(second / gain, 0.11, rtol=1e-4)


def test_a_silent_transmitter_sends_zeros_and_time_goes_on() -> None:
    medium = Medium(config(2, 1, "ppm=20"))
    medium.feed(0, np.ones(50_000, np.complex64))
    total, zeros = 0, 0
    while count := min(4096, medium.ready(0)):
        (heard,), silences = medium.advance(count)
        total += heard.size
        zeros += silences[1]
        assert silences[0] == 0
        assert medium.ready(1) == 0  # what the clock leaves over of zeros is not a signal
    assert medium.time == total
    assert abs(zeros - total) <= 17 + 2  # what the filter of the clock holds back
    _, silences = medium.advance(1000)
    assert silences[0] >= 999


def test_samples_that_are_none_are_counted() -> None:
    medium = Medium(config(1, 1))
    medium.feed(0, np.array([1, np.nan, 1e30, 1], np.complex64))
    (heard,), _ = medium.advance(4)
    assert medium.invalid_samples(0) == 2
    np.testing.assert_array_equal(heard != 0, [True, False, False, True])


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["tx1:cfo=3"], "tx1: only what a transmitter does"),
        (["rx1:multipath=short"], "rx1: only noise"),
        (["tx1-rx1:ppm=3"], "tx1-rx1: a path has"),
        (["tx1-rx1:esn0=3"], "tx1-rx1: a path has"),
        (["tx0:tx.cfo=1"], "no place"),
        (["tx1rx1:gain=1"], "no place"),
        (["tx1-:gain=1"], "no place"),
        ([":gain=1"], "no place"),
        (["rx1:cfo"], "rx1: "),
        (["cfo=1", "cfo=2"], "twice for everywhere"),
        (["tx2:tx.cfo=1"], "1 transmitters"),
        (["rx2:overflow=1"], "1 receivers"),
    ],
)
def test_impairments_at_wrong_places(texts: list[str], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        config(1, 1, *texts)


@pytest.mark.parametrize("text", ["tx9:esn0=1", "tx9:tx.cfo=1", "tx1-rx9:ppm=3", "rx9:multipath=short", "tx9:nonsense"])
def test_a_place_that_does_not_exist_is_said_first(text: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"for (tx9|rx9|tx1-rx9), but there are 1 transmitters and 2 receivers"
    ):
        parse_air_impairments([text], counts=(1, 2))


def test_default_noise() -> None:
    impairments = parse_air_impairments(["cfo=3", "rx2:iq=1", "rx3:noise=-3"], "esn0=7.0/4")
    assert [len(impairments.receiver(number).air) for number in range(3)] == [1, 1, 1]
    assert impairments.receiver(2).air[0].describe()["power_db"] == -3.0
    assert not impairments.says_esn0(7.0)
    assert parse_air_impairments([], "esn0=7.0").says_esn0(7.0)
    assert set(impairments.describe()) == {"everywhere", "rx2", "rx3"}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"transmitters": ()}, "1 to 16 transmitters"),
        ({"receivers": ("tcp://127.0.0.1:5",) * 2}, "of its own"),
        ({"receivers": ("tcp://0.0.0.0:5",)}, "other machines"),
        ({"sample_rate_hz": 0.0}, "sample_rate_hz"),
        ({"level_dbfs": 3.0}, "level_dbfs"),
        ({"patience_s": 0.0}, "patience_s"),
        ({"buffer_s": 1e9}, "buffer_s"),
        ({"seed": -1}, "seed"),
    ],
)
def test_wrong_configurations(wrong: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        AirConfig(**wrong)
