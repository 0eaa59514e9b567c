import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.channels.impairments import (
    PRESETS,
    AdditiveNoise,
    CarrierFrequencyOffset,
    DcOffset,
    IqImbalance,
    JakesFading,
    PhaseNoise,
    Quantization,
    SampleChannel,
    SamplingClockOffset,
    parse_impairments,
)
from semcom_phy.errors import ConfigurationError, LinkError

RATE = 1e6
NOISE = AdditiveNoise(power_db=-10.0)


def test_a_clean_channel_is_a_copy(gaussian) -> None:
    sent = gaussian(50_000)
    received = SampleChannel().apply(sent, RATE, 0)
    assert np.array_equal(received, sent)
    assert not np.shares_memory(received, sent)


def test_the_order_is_transmitter_air_receiver() -> None:
    """A DC offset before a frequency offset turns with it, one behind it stands still."""
    cfo, dc = CarrierFrequencyOffset(1000.0), DcOffset(0.0)
    channel = SampleChannel(transmitter=(dc,), air=(cfo,), receiver=(DcOffset(-20.0), Quantization(16, 4.0)))
    received = channel.apply(np.zeros(10_000), RATE, 0)
    expected = np.exp(2j * np.pi * 1e-3 * np.arange(10_000)) + 0.1
    np.testing.assert_allclose(received, expected, atol=8 / 2**16)
    assert channel.impairments == (dc, cfo, DcOffset(-20.0), Quantization(16, 4.0))


@pytest.mark.parametrize(
    "others",
    [
        {"transmitter": (NOISE,)},
        {"transmitter": (CarrierFrequencyOffset(5.0), JakesFading(10.0))},
        {"receiver": (IqImbalance(1.0), PhaseNoise(1.0))},
        {"air": (JakesFading(10.0), NOISE, SamplingClockOffset(0.0))},
        {"air": (NOISE, AdditiveNoise(power_db=0.0))},
    ],
)
def test_random_numbers_do_not_depend_on_other_impairments(others: dict) -> None:
    """Noise seen through an otherwise deaf link: the noise of the air is opened with the same seed in each."""
    seen = []
    for channel in (SampleChannel(air=(NOISE,)), SampleChannel(**{"air": (NOISE,), **others})):
        stages = channel.open(RATE, 9)._stages
        position = channel.impairments.index(NOISE, len(channel.transmitter))
        seen.append(stages[position].push(np.zeros(1000, np.complex64)))
    assert np.array_equal(*seen)


def test_the_same_kind_twice_draws_twice() -> None:
    silence = np.zeros(200_000)
    once = SampleChannel(air=(NOISE,)).apply(silence, RATE, 0)
    twice = SampleChannel(air=(NOISE, NOISE)).apply(silence, RATE, 0)
    both_ends = SampleChannel(transmitter=(NOISE,), receiver=(NOISE,)).apply(silence, RATE, 0)
    assert np.mean(np.abs(once) ** 2) == pytest.approx(0.1, rel=0.01)
    for received in (twice, both_ends):
        assert np.mean(np.abs(received) ** 2) == pytest.approx(0.2, rel=0.01)
    assert not np.array_equal(twice, both_ends)


def test_flush_sends_what_is_held_back_through_the_later_stages() -> None:
    """Two resamplers and a DC offset behind them: the last samples arrive, each with its offset."""
    clock = SamplingClockOffset(0.0, 0.5)
    stream = SampleChannel(transmitter=(clock,), air=(clock,), receiver=(DcOffset(0.0),)).open(RATE, 0)
    head, tail = stream.push(np.full(100, 2.0)), stream.flush()
    assert head.size < 100
    assert head.size + tail.size == 102
    received = np.concatenate([head, tail])
    # Behind both half-sample delays the signal of amplitude 2 fills samples 1 to 100.
    np.testing.assert_allclose(received[18:84], 3.0, atol=0.02)
    assert received[100].real == pytest.approx(3.0, abs=0.3)
    assert received[101].real == pytest.approx(1.0, abs=0.3)


def test_a_flushed_stream_is_closed() -> None:
    stream = SampleChannel().open(RATE, 0)
    stream.flush()
    with pytest.raises(LinkError, match="flushed"):
        stream.push([1.0])
    with pytest.raises(LinkError, match="flushed"):
        stream.flush()


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (np.ones((2, 2)), "one-dimensional"),
        (1.0, "one-dimensional"),
        (["a"], "array of numbers"),
        ([1.0, math.nan], "finite"),
        ([1.0, complex(0, math.inf)], "finite"),
        ([1e300], "finite"),
    ],
)
def test_samples_must_be_finite_numbers(samples: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SampleChannel().open(RATE, 0).push(samples)  # type: ignore[arg-type]


@pytest.mark.parametrize("rate", [0, -1.0, math.nan, math.inf, "1e6", 1e10])
def test_sample_rates_are_checked(rate: object) -> None:
    with pytest.raises(ConfigurationError, match="sample_rate_hz"):
        SampleChannel().open(rate, 0)  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 1.5, None, "1", True])
def test_seeds_are_checked(seed: object) -> None:
    with pytest.raises(ConfigurationError, match="seed must be an integer"):
        SampleChannel().open(RATE, seed)  # type: ignore[arg-type]


def test_the_number_of_impairments_is_bounded() -> None:
    with pytest.raises(ConfigurationError, match="at most 32"):
        SampleChannel(air=(NOISE,) * 33)


def test_two_streams_of_a_channel_are_independent(gaussian) -> None:
    sent = gaussian(1000)
    channel = parse_impairments("ppm=50/3,multipath=short,noise=0,phase_noise=good")
    one, other = channel.open(RATE, 1), channel.open(RATE, 1)
    one.push(sent)
    expected = channel.apply(sent, RATE, 1)
    assert np.array_equal(np.concatenate([other.push(sent), other.flush()]), expected)


ENTRIES = [
    "underrun=3/40",
    "ppm=12/0.25",
    "rx.ppm=-3",
    "tx.iq=0.1/-1",
    "tx.gain=-6",
    "multipath=etu/70",
    "fading=10",
    "cw=-10/1e4/signal",
    "gsm=-20",
    "esn0=7.5/2",
    "cfo=-5000/12",
    "phase_noise=good",
    "dc=-30/90",
    "bits=12/0.7",
    "overflow=1",
    "tx.cfo=1",
]


@given(st.lists(st.sampled_from(ENTRIES), unique=True), st.sampled_from(sorted(PRESETS)))
def test_description_survives_json_and_builds_an_equal_channel(entries: list[str], preset: str) -> None:
    channel = parse_impairments(",".join([preset, *entries]))
    description = channel.describe()
    again = SampleChannel.from_description(json.loads(json.dumps(description, allow_nan=False)))
    assert again == channel
    assert again.describe() == description


@pytest.mark.parametrize(
    ("description", "message"),
    [
        ([], "described by the keys"),
        ({"middle": []}, "described by the keys"),
        ({"air": {}}, "list of at most 32"),
        ({"air": "noise"}, "list of at most 32"),
        ({"air": [{}] * 40}, "list of at most 32"),
        ({"air": ["noise"]}, "an impairment is described by"),
        ({"air": [{"impairment": 3}]}, "an impairment is described by"),
        ({"air": [{"impairment": "nose"}]}, "Did you mean 'noise'"),
        ({"air": [{"impairment": "noise", "power_db": "x"}]}, "power_db must be a number"),
        ({"air": [{"impairment": "multipath", "delay": [[1]], "gain_db": [0]}]}, "delay must be a number"),
    ],
)
def test_damaged_descriptions_are_refused(description: object, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as failure:
        SampleChannel.from_description(description)  # type: ignore[arg-type]
    assert "\n" not in str(failure.value)
