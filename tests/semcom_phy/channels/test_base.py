import json
import math

import numpy as np
import pytest

from semcom_phy.channels import CHANNELS, make_channel
from semcom_phy.channels.base import add_noise, noise_variance
from semcom_phy.errors import ConfigurationError

PARAMETERS = {
    "awgn": {"snr_db": 4.0},
    "bsc": {"flip_probability": 0.2},
    "ideal": {},
    "rayleigh": {"snr_db": 4.0, "doppler_hz": 50.0, "symbol_rate_hz": 1e4, "scatterers": 8},
}
NOISY = ["awgn", "bsc", "rayleigh"]
SYMBOLS = np.where(np.arange(5000) % 3 == 0, 1.0, -1.0) + 0j


def test_every_channel_of_the_package_is_registered() -> None:
    assert CHANNELS.names() == sorted(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_description_survives_json_and_builds_an_equal_channel(name: str) -> None:
    channel = make_channel(name, **PARAMETERS[name])
    description = json.loads(json.dumps(channel.describe(), allow_nan=False))
    assert description == {"channel": name, **PARAMETERS[name]}
    assert make_channel(description.pop("channel"), **description) == channel
    assert channel.name == name


def test_numbers_of_numpy_are_described_as_plain_numbers() -> None:
    channel = make_channel("rayleigh", snr_db=np.float32(3), scatterers=np.int64(4))
    assert json.loads(json.dumps(channel.describe()))["scatterers"] == 4
    assert type(channel.describe()["snr_db"]) is float


@pytest.mark.parametrize("name", PARAMETERS)
def test_channels_are_frozen_configurations(name: str) -> None:
    channel = make_channel(name, **PARAMETERS[name])
    with pytest.raises(AttributeError):
        channel.snr_db = 1.0  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", PARAMETERS)
def test_output_shapes_and_types(name: str) -> None:
    output = make_channel(name, **PARAMETERS[name]).transmit(SYMBOLS.astype(np.complex64), np.random.default_rng(0))
    assert output.received.shape == SYMBOLS.shape
    assert output.received.dtype == np.complex128
    assert np.shape(output.gain) in ((), SYMBOLS.shape)
    assert output.noise_variance >= 0


@pytest.mark.parametrize("name", PARAMETERS)
def test_sent_symbols_are_left_alone_and_nothing_is_an_empty_frame(name: str) -> None:
    channel = make_channel(name, **PARAMETERS[name])
    symbols = SYMBOLS.copy()
    output = channel.transmit(symbols, np.random.default_rng(0))
    output.received[:] = 9
    assert np.array_equal(symbols, SYMBOLS)
    assert channel.transmit(np.zeros(0), np.random.default_rng(0)).received.shape == (0,)


@pytest.mark.parametrize("name", NOISY)
def test_the_seed_decides_every_byte(name: str) -> None:
    channel = make_channel(name, **PARAMETERS[name])
    first, again, other = (
        channel.transmit(SYMBOLS, np.random.default_rng(seed)).received.tobytes() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize("name", NOISY)
def test_calls_on_one_generator_are_independent(name: str) -> None:
    channel, rng = make_channel(name, **PARAMETERS[name]), np.random.default_rng(1)
    first, second = (channel.transmit(SYMBOLS, rng).received for _ in range(2))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("symbols", [np.ones((2, 2)), np.array([1.0, math.nan]), np.array([1.0, math.inf])])
def test_symbols_must_be_a_finite_sequence(name: str, symbols: np.ndarray) -> None:
    with pytest.raises(ConfigurationError, match="symbols must be"):
        make_channel(name, **PARAMETERS[name]).transmit(symbols, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("awgm", {}, "Did you mean 'awgn'"),
        ("awgn", {"snr": 3.0}, "has no parameter 'snr'. Did you mean 'snr_db'"),
        ("awgn", {}, "needs the parameter 'snr_db'"),
        ("ideal", {"snr_db": 3.0}, "It takes: no parameters"),
        ("awgn", {"snr_db": math.nan}, "-200 to 200 dB"),
        ("awgn", {"snr_db": math.inf}, "-200 to 200 dB"),
        ("awgn", {"snr_db": 200.1}, "-200 to 200 dB"),
        ("awgn", {"snr_db": "3"}, "-200 to 200 dB"),
        ("rayleigh", {"snr_db": -201}, "-200 to 200 dB"),
        ("rayleigh", {"snr_db": 0, "doppler_hz": -1}, "doppler_hz must be a number from 0 to 1e\\+09 Hz"),
        ("rayleigh", {"snr_db": 0, "symbol_rate_hz": 0}, "symbol_rate_hz must be a number from 0.001"),
        ("rayleigh", {"snr_db": 0, "symbol_rate_hz": math.nan}, "symbol_rate_hz"),
        ("rayleigh", {"snr_db": 0, "scatterers": 0}, "scatterers must be an integer from 1 to 1024"),
        ("rayleigh", {"snr_db": 0, "scatterers": 2.5}, "scatterers must be an integer"),
        ("bsc", {"flip_probability": -0.01}, "flip_probability must be a number from 0 to 0.5"),
        ("bsc", {"flip_probability": 0.51}, "flip_probability must be a number from 0 to 0.5"),
        ("bsc", {"flip_probability": math.nan}, "flip_probability must be a number from 0 to 0.5"),
    ],
)
def test_bad_parameters_are_answered_with_what_is_allowed(name: str, parameters: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as failure:
        make_channel(name, **parameters)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("snr_db", [-200.0, 200.0])
def test_the_ends_of_the_range_are_allowed_and_finite(snr_db: float) -> None:
    for name in ("awgn", "rayleigh"):
        output = make_channel(name, snr_db=snr_db).transmit(SYMBOLS, np.random.default_rng(0))
        assert np.all(np.isfinite(output.received))


def test_noise_variance_is_the_inverse_of_esn0() -> None:
    assert noise_variance(0.0) == 1.0
    assert noise_variance(10.0) == pytest.approx(0.1, rel=1e-15)
    assert noise_variance(-3.0) == pytest.approx(10**0.3, rel=1e-14)


def test_noise_is_circular_with_half_the_variance_per_dimension() -> None:
    count, n0 = 1_500_000, 0.37  # longer than one chunk
    noise = np.zeros(count, dtype=np.complex128)
    add_noise(noise, n0, np.random.default_rng(3))
    # The mean square of a Gaussian has the deviation √2·σ²/√n; the cross product σ²/√n.
    half, root = n0 / 2, math.sqrt(count)
    assert np.mean(noise.real**2) == pytest.approx(half, abs=4 * math.sqrt(2) * half / root)
    assert np.mean(noise.imag**2) == pytest.approx(half, abs=4 * math.sqrt(2) * half / root)
    assert np.mean(noise.real * noise.imag) == pytest.approx(0, abs=4 * half / root)
    assert np.mean(noise[1:] * noise[:-1].conj()).real == pytest.approx(0, abs=4 * n0 / root)
    assert abs(noise.mean()) < 4 * math.sqrt(n0) / root


def test_chunks_do_not_show_in_the_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, pieces = np.zeros(1000, dtype=np.complex128), np.zeros(1000, dtype=np.complex128)
    add_noise(whole, 1.0, np.random.default_rng(3))
    monkeypatch.setattr("semcom_phy.channels.base._NOISE_CHUNK", 7)
    add_noise(pieces, 1.0, np.random.default_rng(3))
    assert np.array_equal(whole, pieces)
    assert np.count_nonzero(whole) == 1000
