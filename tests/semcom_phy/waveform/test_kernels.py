"""The compiled loops against the NumPy ones, and those against their definitions."""

from types import ModuleType

import numpy as np
import pytest

from semcom_phy.waveform import kernels as choice
from semcom_phy.waveform import numpy_kernels
from semcom_phy.waveform.preamble import preamble
from semcom_phy.waveform.pulse import Waveform, interpolation_bank, rrc_taps

numba_kernels = pytest.importorskip("semcom_phy.waveform.numba_kernels")


def noise(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(count) + 1j * rng.standard_normal(count)).astype(np.complex64)


def test_numba_is_chosen_and_numpy_steps_in(monkeypatch: pytest.MonkeyPatch) -> None:
    choice.kernels.cache_clear()
    assert choice.kernels() is numba_kernels
    choice.kernels.cache_clear()
    monkeypatch.setattr(choice, "kernel_module", lambda name: None)
    assert choice.kernels() is numpy_kernels
    choice.kernels.cache_clear()


@pytest.mark.parametrize("module", [numpy_kernels, numba_kernels])
@pytest.mark.parametrize("sps", [2, 3, 4, 7])
def test_half_symbol_filter_is_a_matched_filter(module: ModuleType, sps: int) -> None:
    taps = np.zeros((2, 9 * sps), np.float32)
    pulses = [rrc_taps(sps, 0.35, 4, q * sps / 2) for q in range(2)]
    for q in range(2):
        taps[q, : pulses[q].size] = pulses[q]
    samples = noise((40 + 8) * sps)
    out = module.half_symbol_filter(samples, taps.reshape(2, 9, sps), 40)
    assert out.shape == (2, 2, 40)
    assert out.dtype == np.float32
    padded = np.append(samples, np.zeros(sps))
    for q in range(2):
        for n in (0, 1, 17, 38):
            expected = np.dot(padded[n * sps : n * sps + pulses[q].size], pulses[q])
            assert out[q, 0, n] + 1j * out[q, 1, n] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("module", [numpy_kernels, numba_kernels])
def test_differential_statistic_by_its_definition(module: ModuleType) -> None:
    symbols = noise(255 + 20) + np.complex64(0.5)
    signs = preamble().astype(np.float32)
    size, energy = module.differential_statistic(symbols.real.copy(), symbols.imag.copy(), signs, 20)
    for n in (0, 7, 19):
        window = symbols[n : n + 256].astype(np.complex128)
        z = (window * signs).reshape(32, 8).sum(axis=1)
        assert size[n] == pytest.approx(abs(np.sum(np.conj(z[:-1]) * z[1:])), rel=1e-4, abs=1e-3)
        assert energy[n] == pytest.approx(np.sum(np.abs(window - window.mean()) ** 2), rel=1e-5)


@pytest.mark.parametrize("module", [numpy_kernels, numba_kernels])
def test_samples_between_samples(module: ModuleType) -> None:
    waveform = Waveform()
    bank = interpolation_bank(waveform)
    samples = noise(500)
    times = np.array([32.0, 40.25, 41.984375, 467.0, 31.9, 467.9, -3.0, 1e4])
    out = module.sample_at(samples.real.copy(), samples.imag.copy(), times, bank)
    for time, value in zip(times[:4], out[:4], strict=True):
        whole = int(np.floor(time))
        taps = rrc_taps(4, 0.35, 8, time - whole)
        assert value == pytest.approx(np.dot(taps, samples[whole - 32 : whole + 33]), abs=1e-4)
    assert not out[4]
    assert out[5]
    assert not out[6:].any()
    assert module.sample_at(samples.real[:9].copy(), samples.imag[:9].copy(), times, bank).any() == False  # noqa: E712


def test_both_implementations_agree() -> None:
    samples = noise(6000)
    re, im = samples.real.copy(), samples.imag.copy()
    signs = preamble().astype(np.float32)
    for a, b in zip(
        numpy_kernels.differential_statistic(re, im, signs, 5000),
        numba_kernels.differential_statistic(re, im, signs, 5000),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-2)
    times = np.random.default_rng(1).uniform(0, 6000, 3000)
    bank = interpolation_bank(Waveform())
    np.testing.assert_allclose(
        numpy_kernels.sample_at(re, im, times, bank), numba_kernels.sample_at(re, im, times, bank), atol=1e-4
    )
