"""The block Impairments gives what `SampleChannel` gives, however GNU Radio cuts the stream."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from semcom_phy.channels.impairments import SampleChannel, parse_impairments
from semcom_phy.errors import ConfigurationError
from semcom_phy.flowgraph.python import GnuRadio
from semcom_phy.gr.adjustable_channel import AdjustableChannel, Controls, with_control

_spec = importlib.util.spec_from_file_location("stream_harness", Path(__file__).with_name("stream_harness.py"))
assert _spec is not None
assert _spec.loader is not None
harness = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(harness)

RATE = 1e6


def some_samples(count: int, seed: int = 0) -> npt.NDArray[np.complex64]:
    rng = np.random.default_rng(seed)
    return ((rng.standard_normal(count) + 1j * rng.standard_normal(count)) / np.sqrt(2)).astype(np.complex64)


@pytest.mark.parametrize(
    ("text", "max_items"),
    [("cheap-sdr,multipath=short,fading=50,esn0=10,cfo=3000", 1001), ("ppm=-500/20.5,overflow=50/100,bits=8", 1 << 16)],
)
def test_same_samples_as_the_channel(text: str, max_items: int, tmp_path: Path, gnuradio: GnuRadio) -> None:
    samples = some_samples(100_000)
    np.save(tmp_path / "samples.npy", samples)
    block = {"impairments": text, "sample_rate_hz": RATE, "seed": 7}
    harness.run_block(gnuradio, "impair", tmp_path, block=block, max_items=max_items)
    impaired = np.load(tmp_path / "impaired.npy")
    expected = parse_impairments(text).apply(samples, RATE, 7)
    assert impaired.size == expected.size
    # The two Pythons have other versions of NumPy and numba: equal but for the rounding of single precision.
    np.testing.assert_allclose(impaired, expected, atol=2e-5 * np.abs(expected).max())


def test_tags_stay_with_their_samples(tmp_path: Path, gnuradio: GnuRadio) -> None:
    samples = np.zeros(50_000, np.complex64)
    places = [10_000, 20_003, 49_000]
    samples[places] = 1
    np.save(tmp_path / "samples.npy", samples)
    tags = [[place, "mark"] for place in places]
    block = {"impairments": "ppm=2000", "sample_rate_hz": RATE}
    harness.run_block(gnuradio, "impair", tmp_path, block=block, tags=tags, max_items=777)
    impaired = np.load(tmp_path / "impaired.npy")
    found = harness.read_tags(tmp_path)
    marks = [offset for offset, key, _ in found if key == "mark"]
    peaks = [place * 1.002 for place in places]
    # A tag is on the sample that came out next: the resampler holds back 17.
    assert len(marks) == len(peaks)
    assert all(-20 <= mark - peak <= 1 for mark, peak in zip(marks, peaks, strict=True))
    assert all(np.abs(impaired[round(peak)]) > 0.5 for peak in peaks)
    assert [(offset, key) for offset, key, _ in found if key == "stream_end"] == [(impaired.size - 1, "stream_end")]


def test_controls_act_while_it_runs(tmp_path: Path, gnuradio: GnuRadio) -> None:
    samples = np.ones(200_000, np.complex64)
    np.save(tmp_path / "samples.npy", samples)
    settings = [["set_gain_db", -20.0], ["set_cfo_hz", 1000.0], ["set_esn0_db", 30.0]]
    lines = harness.run_block(
        gnuradio,
        "impair",
        tmp_path,
        block={"sample_rate_hz": RATE, "gain_db": 0.0},
        settings=settings,
        settle=40_000,
        max_items=4096,
    )
    impaired = np.load(tmp_path / "impaired.npy")
    first = lines[0]["set_at"]
    np.testing.assert_allclose(impaired[:first], 1, atol=1e-6)
    last = impaired[-100_000:]
    assert np.mean(np.abs(last) ** 2) == pytest.approx(0.01 * (1 + 4e-3), rel=0.01)
    slope = np.angle(np.mean(last[1:] * np.conj(last[:-1]))) * RATE / (2 * np.pi)
    assert slope == pytest.approx(1000, abs=20)


def test_a_text_that_is_none(tmp_path: Path, gnuradio: GnuRadio) -> None:
    np.save(tmp_path / "samples.npy", np.zeros(1, np.complex64))
    (line,) = harness.run_block(gnuradio, "impair", tmp_path, check=False, block={"impairments": "cof=3"})
    assert "ConfigurationError: unknown impairment 'cof'. Did you mean 'cfo'?" in line["error"]


def test_without_controls_it_is_the_channel() -> None:
    channel = parse_impairments("cheap-sdr,esn0=5")
    samples = some_samples(30_000)
    adjustable = AdjustableChannel(channel, RATE, 3)
    got = np.concatenate([adjustable.push(samples[:11]), adjustable.push(samples[11:]), adjustable.flush()])
    np.testing.assert_array_equal(got, channel.apply(samples, RATE, 3))


def test_the_carrier_keeps_its_phase() -> None:
    adjustable = AdjustableChannel(SampleChannel(), RATE, 0, controls=Controls(cfo_hz=1234.5))
    ones = np.ones(10_001, np.complex64)
    parts = [adjustable.push(ones)]
    for cfo_hz in (-5000.0, None, 77.0):
        adjustable.controls = with_control(adjustable.controls, cfo_hz=cfo_hz)
        parts.append(adjustable.push(ones))
    phase = np.unwrap(np.angle(np.concatenate(parts)))
    steps = np.abs(np.diff(phase))
    # No offset at all is a phase of zero: the only place where it may jump.
    jumps = np.flatnonzero(steps > 2 * np.pi * 5100 / RATE)
    assert set(jumps) <= {2 * ones.size - 1, 3 * ones.size - 1}


def test_noise_goes_on_with_new_numbers() -> None:
    adjustable = AdjustableChannel(SampleChannel(), RATE, 0, controls=Controls(esn0_db=0.0))
    zeros = np.zeros(1000, np.complex64)
    first = adjustable.push(zeros)
    adjustable.controls = Controls(esn0_db=10.0)
    second = adjustable.push(zeros)
    assert np.mean(np.abs(second) ** 2) == pytest.approx(0.4, rel=0.15)
    assert abs(np.vdot(first, second)) < 0.15 * np.linalg.norm(first) * np.linalg.norm(second)


def test_what_is_refused_changes_nothing() -> None:
    adjustable = AdjustableChannel(SampleChannel(), RATE, 0, level_db=-20.0, controls=Controls(gain_db=-6.0))
    with pytest.raises(ConfigurationError):
        adjustable.controls = Controls(gain_db=1e6)
    with pytest.raises(ConfigurationError):
        with_control(Controls(), esn0_db=float("nan"))
    # The level is taken out, then comes the gain.
    out = adjustable.push(np.full(100, 0.1, np.complex64))
    np.testing.assert_allclose(out, 10 ** (-6 / 20), rtol=1e-5)
