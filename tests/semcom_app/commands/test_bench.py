"""`semcom bench`: results, files, and one line for everything that can go wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from semcom_app.benchmarks.fer import load_curve
from semcom_app.benchmarks.peers import commpy_missing
from semcom_app.cli import run
from semcom_app.commands.bench import parse_rate
from semcom_phy.coding.decoders import ALGORITHMS
from semcom_phy.errors import ConfigurationError

REFERENCE = Path(__file__).parents[2] / "refs" / "turbo_k6144_i6_awgn.txt"
QUICK = ["bench", "turbo", "--quick", "--seconds", "0.1", "--iterations", "2"]
FER = ["bench", "fer", "--size", "40", "--backend", "numpy", "--algorithm", "max-log", "--iterations", "2"]
FER += ["--ebn0", "0:1:0.5", "--errors", "30", "--max-frames", "500"]
ROW_KEYS = {
    "backend",
    "algorithm",
    "arithmetic",
    "note",
    "blocks_per_call",
    "repeats",
    "mbit_s",
    "mbit_s_min",
    "mbit_s_max",
    "decoder_mbit_s",
    "decoder_mbit_s_min",
    "decoder_mbit_s_max",
    "cores_used",
    "latency_ms",
    "latency_ms_min",
    "latency_ms_max",
    "speed_vs_reference",
    "speed_vs_commpy",
    "points",
}
POINT_KEYS = {
    "ebn0_db",
    "frames",
    "frame_errors",
    "fer",
    "fer_95_low",
    "fer_95_high",
    "bits",
    "bit_errors",
    "ber",
}


# --- turbo -----------------------------------------------------------------------------------------


def test_json_of_the_speed_benchmark(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "new" / "bench.json"
    assert run([*QUICK, "--backend", "numpy", "--ebn0", "0.6", "--ebn0", "4", "--json", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert out.read_text() == captured.out
    assert list(tmp_path.rglob("*.partial")) == []
    assert set(result) == {"machine", "config", "rows", "skipped", "published"}
    assert {"cpu", "instruction_sets", "cores", "versions", "gpu"} <= set(result["machine"])
    assert result["config"]["size"] == 128
    assert result["config"]["iterations"] == 2
    assert [row["algorithm"] for row in result["rows"]] == list(ALGORITHMS)
    for row in result["rows"]:
        assert set(row) >= ROW_KEYS
        assert 0.0 < row["mbit_s_min"] <= row["mbit_s"] <= row["mbit_s_max"]
        assert row["decoder_mbit_s"] >= row["mbit_s"]
        assert row["mbit_s_all_cores"] > 0.0
        assert [set(point) for point in row["points"]] == [POINT_KEYS] * 2
        assert [point["ebn0_db"] for point in row["points"]] == [0.6, 4.0]
    assert result["rows"][0]["speed_vs_reference"] == 1.0
    assert all(row["speed_vs_commpy"] is None for row in result["rows"])
    assert {entry["program"] for entry in result["published"]} >= {"srsRAN (AVX2)", "turbofec"}
    assert all("not in this run" in entry["on"] for entry in result["published"])
    assert "measuring" in captured.err


def test_tables_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*QUICK, "--backend", "numpy", "--backend", "gnuradio", "--gnuradio-python", "/nowhere/python3"]) == 0
    text = capsys.readouterr().out
    for word in (*ALGORITHMS, "1 core", "× commpy", "FER", "K = 128, 2 iterations"):
        assert word in text
    assert "not measured: gnuradio: GNU Radio is not installed" in text
    assert "AFF3CT" not in text, "figures for another size are not shown beside these"


def test_published_figures_stand_beside_the_same_code(capsys: pytest.CaptureFixture[str]) -> None:
    from semcom_app.benchmarks.turbo import TurboBenchmark
    from semcom_app.benchmarks.turbo import run as run_benchmark
    from semcom_app.benchmarks.turbo_table import print_benchmark

    result = run_benchmark(TurboBenchmark(backends=("gnuradio",)), "/nowhere/python3")
    print_benchmark(result)
    text = " ".join(capsys.readouterr().out.split())
    assert "measured on a Zen 5 core, not in this run" in text
    assert "srsRAN (AVX2) max-log int16 108" in text


@pytest.mark.skipif(commpy_missing() is not None, reason="scikit-commpy is not installed")
def test_commpy_is_measured_and_compared_with(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--size", "40", "--backend", "numpy", "--backend", "commpy", "--ebn0", "3"]
    assert run([*QUICK, *arguments, "--json"]) == 0
    rows = {(row["backend"], row["algorithm"]): row for row in json.loads(capsys.readouterr().out)["rows"]}
    commpy = rows["commpy", "map"]
    assert commpy["speed_vs_commpy"] == 1.0
    assert "mbit_s_all_cores" not in commpy
    assert "tail" in commpy["note"]
    reference = rows["numpy", "log-map"]
    assert reference["speed_vs_commpy"] == pytest.approx(reference["mbit_s"] / commpy["mbit_s"])


@pytest.mark.usefixtures("gnuradio")
def test_gnu_radio_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*QUICK, "--backend", "gnuradio", "--ebn0", "4", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert [row["algorithm"] for row in result["rows"]] == ["sum-product", "min-sum"]
    assert result["machine"]["versions"]["gnuradio"]
    assert all(row["mbit_s_all_cores"] > 0.0 for row in result["rows"])


# --- error rates -----------------------------------------------------------------------------------


def _curve(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run([*FER, *arguments]) == 0
    return capsys.readouterr().out


def test_a_curve_repeats_itself_and_depends_on_its_seed(capsys: pytest.CaptureFixture[str]) -> None:
    first = _curve(capsys, "--seed", "3")
    assert _curve(capsys, "--seed", "3", "--batch", "7", "--threads", "1") == first
    other = _curve(capsys, "--seed", "4")
    assert _numbers(other) != _numbers(first)


def _numbers(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_the_file_of_a_curve(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "new" / "curve.txt"
    assert run([*FER, "--out", str(out)]) == 0
    assert capsys.readouterr().out == ""
    assert out.read_text() == _curve(capsys)
    curve = load_curve(out)
    assert [point.ebn0_db for point in curve.points] == [0.0, 0.5, 1.0]
    assert all(p.frame_errors == 30 or p.frames == 500 for p in curve.points)
    assert curve.points[0].fer > curve.points[2].fer
    assert curve.header["K"].startswith("40 information bits")
    assert curve.header["rate"] == "K / E = 0.303030"
    assert curve.header["decoder"] == "max-log, numpy, auto"
    assert str(tmp_path) not in out.read_text()
    # The command of the header makes the same curve.
    assert run([*curve.header["command"].split()[1:]]) == 0
    assert capsys.readouterr().out == out.read_text()


def test_a_label_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "curve.txt"
    assert run([*FER, "--ebn0", "0", "--label", "max-log:\n 0.5 100  1", "--out", str(out)]) == 0
    curve = load_curve(out)
    assert curve.header["label"] == "max-log:\ufffd 0.5 100 1"
    assert len(curve.points) == 1


def test_rate_matching_and_early_stop(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    base = tmp_path / "all.txt"
    early = tmp_path / "early.txt"
    options = ["--rate", "3/4", "--ebn0", "3", "--iterations", "6"]
    assert run([*FER, *options, "--out", str(base)]) == 0
    assert run([*FER, *options, "--early-stop", "crc", "--out", str(early)]) == 0
    full, stopped = load_curve(base).points[0], load_curve(early).points[0]
    assert load_curve(base).header["E"].startswith("53 transmitted bits, rate matching")
    assert full.iterations == 6.0
    assert stopped.iterations is not None
    assert 1.0 <= stopped.iterations < 5.0
    # Stopping at a CRC that holds can only help a block of which a later iteration would spoil something.
    assert stopped.fer <= full.fer + 0.02


@pytest.mark.skipif(commpy_missing() is not None, reason="scikit-commpy is not installed")
def test_a_curve_of_commpy(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--backend", "commpy", "--algorithm", "map", "--ebn0", "5", "--max-frames", "4"]
    curve = _numbers(_curve(capsys, *arguments))
    assert len(curve) == 1
    assert curve[0].split()[:2] == ["5", "4"]


def test_comparison_and_figure(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(["bench", "fer-compare", str(REFERENCE), str(REFERENCE)]) == 0
    assert capsys.readouterr().out == "+0.000 dB at a frame error rate of 0.01\n"
    out = tmp_path / "fer.png"
    assert run(["bench", "fer-figure", str(REFERENCE), "--out", str(out), "--title", "K = 6144"]) == 0
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([*FER, "--size", "41"], 2, "nearest size"),
        ([*FER, "--rate", "0.99"], 2, "code rate"),
        ([*FER, "--rate", "1/0"], 2, "--rate must be"),
        ([*FER, "--ebn0", "0:1"], 2, "START:STOP:STEP"),
        ([*FER, "--early-stop", "genie"], 2, "unknown stop rule"),
        ([*FER, "--backend", "nunpy"], 2, "Did you mean 'numpy'?"),
        ([*FER, "--algorithm", "logmap"], 2, "'log-map'"),
        ([*FER, "--arithmetic", "int16"], 2, "float64, not int16"),
        ([*FER, "--backend", "commpy", "--early-stop", "crc"], 2, "leave them out"),
        ([*FER, "--seed", "-1"], 2, "seed"),
        ([*FER, "--out", "."], 2, "is a folder"),
        ([*FER, "--errors", "0"], 2, "--errors"),
        (["bench", "turbo", "--backend", "x"], 2, "unknown back end"),
        (["bench", "turbo", "--size", "50"], 2, "nearest size"),
        (["bench", "fer-compare", "none.txt", "none.txt"], 1, "cannot read none.txt"),
        (["bench", "fer-compare", str(REFERENCE), str(REFERENCE), "--fer", "1e-9"], 2, "does not pass"),
        (["bench"], 2, "Usage"),
    ],
)
def test_wrong_usage_is_one_line(
    arguments: list[str],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(arguments) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""
    if len(arguments) > 1:
        assert captured.err.count("\n") == 1


def test_rates() -> None:
    assert parse_rate("1/3") is None
    assert parse_rate("8/9") == 8 / 9
    assert parse_rate("0.5") == 0.5
    for text in ("", "a", "1/0", "1/2/3", "9" * 50, "1e999999999", "nan", "-1/2", "2"):
        with pytest.raises(ConfigurationError, match="--rate"):
            parse_rate(text)


# --- impairments -----------------------------------------------------------------------------------


def test_speed_of_the_impairments(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "impairments.json"
    assert run(["bench", "impairments", "--samples", "65536", "--repeats", "1", "--json", "--out", str(out)]) == 0
    result = json.loads(capsys.readouterr().out)
    assert json.loads(out.read_text()) == result
    assert {row["impairment"] for row in result["rows"]} >= {"nothing", "cfo=5000", "cheap-sdr"}
    assert all(0 < row["msample_s_min"] <= row["msample_s"] <= row["msample_s_max"] for row in result["rows"])


def test_the_impairments_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["bench", "impairments", "--samples", "65536", "--repeats", "1"]) == 0
    assert "cheap-sdr" in capsys.readouterr().out
    assert run(["bench", "impairments", "--samples", "1"]) == 2
    assert "samples must be" in capsys.readouterr().err
