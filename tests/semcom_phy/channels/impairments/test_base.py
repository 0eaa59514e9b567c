import json
import math
import subprocess
import sys

import numpy as np
import pytest

from semcom_phy.channels import CHANNELS
from semcom_phy.channels.impairments import IMPAIRMENTS, SampleChannel, make_impairment
from semcom_phy.channels.impairments.base import BlockSource
from semcom_phy.errors import ConfigurationError

PARAMETERS: dict[str, dict] = {
    "amplitude": {"level_dbfs": -3.0},
    "cfo": {"cfo_hz": 1234.5, "drift_hz_s": 10.0, "phase_deg": 30.0},
    "clock": {"offset_ppm": 120.0, "delay_samples": 2.25},
    "dc_offset": {"level_dbc": -20.0, "phase_deg": 45.0},
    "fading": {"doppler_hz": 100.0, "scatterers": 8},
    "interferer": {
        "kind": "qpsk",
        "level_db": -10.0,
        "offset_hz": 1e5,
        "relative_to": "signal",
        "samples_per_symbol": 8,
        "active_slots": 3,
    },
    "iq_imbalance": {"gain_db": 1.0, "phase_deg": 5.0},
    "multipath": {
        "delay": (0.0, 1.5e-6),
        "gain_db": (0.0, -3.0),
        "phase_deg": (0.0, 90.0),
        "delay_unit": "s",
        "doppler_hz": 5.0,
        "scatterers": 8,
        "normalize": True,
    },
    "noise": {
        "esn0_db": None,
        "samples_per_symbol": 4.0,
        "signal_power_db": 0.0,
        "power_db": -10.0,
        "density_db_hz": None,
    },
    "overflow": {"events_per_s": 100.0, "lost_samples": 50},
    "phase_noise": {"linewidth_hz": 1.0, "plateau_dbc_hz": -80.0, "pole_hz": (1e4,), "zero_hz": (1e5,)},
    "quantization": {"bits": 8, "full_scale": 1.0},
    "underrun": {"events_per_s": 100.0, "inserted_samples": 50},
}
RANDOM = ["fading", "interferer", "multipath", "noise", "overflow", "phase_noise", "underrun"]


def run(name: str, samples: np.ndarray, seed: int = 1) -> np.ndarray:
    return SampleChannel(air=(make_impairment(name, **PARAMETERS[name]),)).apply(samples, 1e6, seed)


def test_all_kinds_are_registered_and_no_channel_is_disturbed() -> None:
    assert IMPAIRMENTS.names() == sorted(PARAMETERS)
    assert CHANNELS.names() == ["awgn", "bsc", "ideal", "rayleigh"]


def test_importing_the_channels_loads_nothing_slow() -> None:
    program = "import sys, semcom_phy.channels; print([m for m in ('numba', 'scipy.signal') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", PARAMETERS)
def test_description_survives_json_and_builds_an_equal_impairment(name: str) -> None:
    impairment = make_impairment(name, **PARAMETERS[name])
    assert impairment.describe() == {"impairment": name, **PARAMETERS[name]}
    description = json.loads(json.dumps(impairment.describe(), allow_nan=False))
    assert make_impairment(description.pop("impairment"), **description) == impairment
    assert hash(impairment) == hash(make_impairment(name, **PARAMETERS[name]))


@pytest.mark.parametrize("name", PARAMETERS)
def test_impairments_are_frozen(name: str) -> None:
    with pytest.raises(AttributeError):
        setattr(make_impairment(name, **PARAMETERS[name]), next(iter(PARAMETERS[name])), 0)


@pytest.mark.parametrize("name", PARAMETERS)
def test_samples_are_complex64_and_the_input_is_left_alone(name: str, gaussian) -> None:
    samples = gaussian(40_000)
    samples.flags.writeable = False
    received = run(name, samples)
    assert received.dtype == np.complex64
    assert received.ndim == 1
    assert not np.shares_memory(received, samples)
    assert not np.array_equal(received, samples)
    assert np.all(np.isfinite(received.view(np.float32)))


@pytest.mark.parametrize("name", RANDOM)
def test_the_seed_decides_every_byte(name: str, gaussian) -> None:
    samples = gaussian(100_000)
    assert run(name, samples, 7).tobytes() == run(name, samples, 7).tobytes()
    assert run(name, samples, 7).tobytes() != run(name, samples, 8).tobytes()


@pytest.mark.parametrize("name", sorted(set(PARAMETERS) - set(RANDOM)))
def test_the_others_use_no_random_numbers(name: str, gaussian) -> None:
    samples = gaussian(1000)
    assert run(name, samples, 7).tobytes() == run(name, samples, 8).tobytes()


@pytest.mark.parametrize("name", PARAMETERS)
def test_nothing_in_gives_nothing_out(name: str) -> None:
    stream = SampleChannel(air=(make_impairment(name, **PARAMETERS[name]),)).open(1e6, 0)
    assert stream.push([]).shape == (0,)
    assert stream.flush().shape == (0,)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("cfq", {}, "Did you mean 'cfo'"),
        ("cfo", {}, "needs the parameter 'cfo_hz'"),
        ("cfo", {"hz": 1}, "has no parameter 'hz'"),
        ("cfo", {"cfo_hz": math.nan}, "cfo_hz must be a number from -1e\\+09 to 1e\\+09 Hz"),
        ("cfo", {"cfo_hz": 0, "drift_hz_s": math.inf}, "drift_hz_s"),
        ("cfo", {"cfo_hz": "5"}, "cfo_hz"),
        ("clock", {"offset_ppm": 10_001}, "offset_ppm"),
        ("clock", {"offset_ppm": 0, "delay_samples": -0.1}, "delay_samples"),
        ("dc_offset", {"level_dbc": 21}, "level_dbc"),
        ("iq_imbalance", {"gain_db": 20.5}, "gain_db"),
        ("iq_imbalance", {"gain_db": 0, "phase_deg": 46}, "phase_deg"),
        ("fading", {"doppler_hz": -1}, "doppler_hz"),
        ("fading", {"doppler_hz": 1, "scatterers": 0}, "scatterers must be an integer from 1 to 1024"),
        ("fading", {"doppler_hz": 1, "scatterers": True}, "scatterers"),
        ("noise", {}, "exactly one of"),
        ("noise", {"esn0_db": 1, "power_db": 1}, "exactly one of"),
        ("noise", {"esn0_db": 201}, "esn0_db"),
        ("noise", {"esn0_db": 1, "samples_per_symbol": 0.5}, "samples_per_symbol"),
        ("quantization", {"bits": 0}, "bits must be an integer from 1 to 16"),
        ("quantization", {"bits": 17}, "bits"),
        ("quantization", {"bits": 8.5}, "bits"),
        ("quantization", {"bits": 8, "full_scale": 0}, "full_scale"),
        ("interferer", {"kind": "wifi", "level_db": 0}, "kind must be one of cw, gsm, ofdm, bpsk, qpsk"),
        ("interferer", {"kind": "cw", "level_db": 0, "relative_to": "nois"}, "Did you mean 'noise'"),
        ("interferer", {"kind": "ofdm", "level_db": 0, "samples_per_symbol": 1}, "samples_per_symbol"),
        ("interferer", {"kind": "gsm", "level_db": 0, "active_slots": 9}, "active_slots"),
        ("multipath", {"delay": [], "gain_db": []}, "at least one path"),
        ("multipath", {"delay": [0, 1], "gain_db": [0]}, "2 delays, 1 gains"),
        ("multipath", {"delay": [-1], "gain_db": [0]}, "delay"),
        ("multipath", {"delay": "0", "gain_db": [0]}, "delay must be a list of at most 32 numbers"),
        ("multipath", {"delay": [0] * 33, "gain_db": [0] * 33}, "at most 32"),
        ("multipath", {"delay": [0], "gain_db": [0], "delay_unit": "ms"}, "delay_unit must be one of s, samples"),
        ("multipath", {"delay": [0], "gain_db": [0], "normalize": 1}, "normalize"),
        ("phase_noise", {"linewidth_hz": -1}, "linewidth_hz"),
        ("phase_noise", {"plateau_dbc_hz": -10}, "plateau_dbc_hz"),
        ("phase_noise", {"plateau_dbc_hz": -90, "zero_hz": (1e3,)}, "at least as many pole_hz"),
        ("phase_noise", {"pole_hz": (0.0,)}, "pole_hz"),
        ("overflow", {"events_per_s": 1e5}, "events_per_s"),
        ("overflow", {"events_per_s": 1, "lost_samples": 0}, "lost_samples"),
        ("underrun", {"events_per_s": 1, "inserted_samples": 2.5}, "inserted_samples"),
        ("amplitude", {"level_dbfs": 101}, "level_dbfs"),
    ],
)
def test_bad_parameters_are_answered_in_one_line(name: str, parameters: dict, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as failure:
        make_impairment(name, **parameters)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("fading", {"doppler_hz": 501.0}, "half the sample rate"),
        ("interferer", {"kind": "cw", "level_db": 0, "offset_hz": -501.0}, "half the sample rate"),
        ("multipath", {"delay": [1000.0], "gain_db": [0]}, "delay at this sample rate"),
        ("underrun", {"events_per_s": 10, "inserted_samples": 101}, "insert more than"),
    ],
)
def test_what_does_not_fit_the_sample_rate_is_refused_when_opened(name: str, parameters: dict, message: str) -> None:
    channel = SampleChannel(air=(make_impairment(name, **parameters),))
    with pytest.raises(ConfigurationError, match=message):
        channel.open(1000.0, 0)


def test_a_block_source_hands_out_its_blocks_in_any_portions() -> None:
    def block(index: int) -> np.ndarray:
        return (np.arange(10) + 10 * index).astype(np.complex64)

    source, taken = BlockSource(block), []
    for count in (0, 3, 7, 0, 10, 1, 25, 4):
        taken.append(source.take(count))
        assert taken[-1].size == count
    assert np.array_equal(np.concatenate(taken), np.arange(50))
