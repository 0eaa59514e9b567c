import json

import numpy as np
import pytest

from semcom_app.benchmarks import waveform as bench
from semcom_app.cli import run as semcom
from semcom_phy.errors import ConfigurationError
from semcom_phy.waveform import Waveform

SMALL = ["bench", "waveform", "--samples", "100000", "--repeats", "1", "--sps", "4"]


def test_rows_name_what_was_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert semcom([*SMALL, "--json", "--gnuradio-python", "/nonexistent/python"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {"machine", "config", "rows", "skipped"}
    assert [row["what"] for row in result["rows"]] == [
        "search in noise",
        "receive bpsk bursts",
        "receive qpsk bursts",
        "receive 16qam bursts",
    ]
    for row in result["rows"]:
        assert 0 < row["msample_s_min"] <= row["msample_s"] <= row["msample_s_max"]
        assert row.get("bursts_received", 0) == row["bursts"]
    assert [entry["program"] for entry in result["skipped"]] == ["gnuradio"]


def test_the_table_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert semcom([*SMALL, "--gnuradio-python", "/nonexistent/python"]) == 0
    shown = capsys.readouterr().out
    assert "search in noise" in shown
    assert "gnuradio:" in shown


def test_levels_of_the_samples() -> None:
    rng = np.random.default_rng(1)
    silence = bench.noise(200_000, rng)
    assert 10 * np.log10(np.mean(np.abs(silence) ** 2)) == pytest.approx(bench.NOISE_DBFS, abs=0.05)
    samples, bursts = bench.burst_train(200_000, Waveform(), "qpsk", rng)
    assert samples.size >= 200_000
    assert bursts == bench.receive(samples, Waveform())
    # Es is the energy of a symbol, sps samples of signal; the gaps between bursts hold a few per cent.
    signal = np.mean(np.abs(samples) ** 2) - np.mean(np.abs(silence) ** 2)
    esn0_db = 10 * np.log10(signal * 4 / np.mean(np.abs(silence) ** 2))
    assert esn0_db == pytest.approx(bench.ESN0_DB, abs=0.3)


@pytest.mark.slow
@pytest.mark.usefixtures("gnuradio")
def test_gnu_radio_s_chain_is_measured_where_it_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    assert semcom([*SMALL, "--json"]) == 0
    row = json.loads(capsys.readouterr().out)["rows"][-1]
    assert row["program"].startswith("GNU Radio 3.")
    assert row["msample_s"] > 0.1


def test_bad_requests() -> None:
    with pytest.raises(ConfigurationError, match="samples"):
        bench.WaveformBenchmark(samples=5)
    with pytest.raises(ConfigurationError, match="repeats"):
        bench.WaveformBenchmark(repeats=0)
    assert semcom(["bench", "waveform", "--sps", "1"]) == 2
