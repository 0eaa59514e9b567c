"""`semcom bench gnuradio` and `semcom bench zmq`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semcom_app.benchmarks import gnuradio_link, round_trip
from semcom_app.benchmarks.gnuradio_link import GnuRadioBenchmark, median_interval, print_gnuradio
from semcom_app.benchmarks.zmq_link import ZmqBenchmark, print_zmq
from semcom_app.cli import run
from semcom_phy.errors import ConfigurationError, LinkError
from semcom_phy.flowgraph.python import GnuRadio


@pytest.mark.slow
def test_gnuradio(capsys: pytest.CaptureFixture[str], tmp_path: Path, gnuradio: GnuRadio) -> None:
    out = tmp_path / "bench.json"
    quick = "--frames 9 --bits 3000 --repeats 2 --round-trips 20"
    code = run(["bench", "gnuradio", *quick.split(), "--json", "--out", str(out)])
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    assert out.read_text() == captured.out
    assert set(result) == {"machine", "config", "round_trips", "rows", "picture", "promises"}
    assert result["machine"]["gnuradio"] == gnuradio.version
    assert result["config"] == {
        "frames": 9,
        "bits": 3000,
        "repeats": 2,
        "round_trips": 20,
        "seed": 0,
        "window": 8,
    }
    assert [trip["far_end"] for trip in result["round_trips"]] == ["GNU Radio's ZeroMQ blocks", "Application block"]
    for trip in result["round_trips"]:
        assert 0 < trip["round_trip_ms_p5"] <= trip["round_trip_ms"] <= trip["round_trip_ms_p95"]
    assert [row["flowgraph"] for row in result["rows"]] == ["bpsk_awgn", "turbo_awgn", "turbo_rayleigh"]
    for row in result["rows"]:
        for kind in ("link", "flowgraph"):
            assert 0 < row[f"{kind}_mbit_s_min"] <= row[f"{kind}_mbit_s"] <= row[f"{kind}_mbit_s_max"]
        assert 0 < row["ratio_low"] <= row["ratio"] <= row["ratio_high"]
        assert 0 < row["frame_s"] <= row["frame_s_max"]
    holds = [promise["holds"] for promise in result["promises"]]
    assert code == (0 if all(holds) else 1)
    trip, ratio, picture = result["promises"]
    assert trip["measured"] == max(trip["round_trip_ms"] for trip in result["round_trips"])
    assert ratio["measured"] == min(row["ratio"] for row in result["rows"])
    assert picture["measured"] == result["picture"]["beyond_codec_s"] > 0
    assert (result["picture"]["size"], result["picture"]["codec"]) == ("512×512", "vcsc-8bit")
    assert result["picture"]["psnr_db"] > 26
    assert result["picture"]["start_s"] > 0
    print_gnuradio(result)
    assert "turbo_rayleigh" in capsys.readouterr().out


@pytest.mark.slow
def test_zmq(capsys: pytest.CaptureFixture[str], gnuradio: GnuRadio) -> None:
    assert run(["bench", "zmq", "--repeats", "10", "--rate-pdus", "100", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {"machine", "config", "rows", "codec"}
    assert [(row["transport"], row["payload_bytes"]) for row in result["rows"]] == 2 * [
        (transport, size) for transport in ("tcp", "ipc") for size in (1, 1024, 65_536, 1_048_576)
    ]
    for row in result["rows"]:
        assert 0 < row["round_trip_ms_p5"] <= row["round_trip_ms"] <= row["round_trip_ms_p95"]
        assert ("pdus_per_s" in row) == (row["payload_bytes"] == 1024)
    assert 0 < result["codec"]["encode_us"] < 1000
    print_zmq(result)
    printed = capsys.readouterr().out
    assert "FlowgraphEnd" in printed
    assert "to encode" in printed


def row(**changes: Any) -> dict[str, Any]:
    return {"flowgraph": "turbo_awgn", "ratio": 0.95, "frame_s": 0.1} | changes


@pytest.mark.parametrize(
    ("trip_ms", "rows", "picture_s", "holds"),
    [
        (0.5, [row()], 0.1, [True, True, True]),
        (1.5, [row()], 0.1, [False, True, True]),
        (0.5, [row(), row(flowgraph="bpsk_awgn", ratio=0.89, frame_s=9.0)], 0.1, [True, False, True]),
        (0.5, [row()], 2.1, [True, True, False]),
    ],
)
def test_promises(trip_ms: float, rows: list[dict[str, Any]], picture_s: float, holds: list[bool]) -> None:
    promises = gnuradio_link._promises([{"round_trip_ms": trip_ms}], rows, {"beyond_codec_s": picture_s})
    assert [promise["holds"] for promise in promises] == holds


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"bits": 3}, {"repeats": 0}, {"round_trips": 0}, {"seed": -1}])
def test_wrong_settings(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        GnuRadioBenchmark(**wrong)
    for name in ("repeats", "rate_pdus"):
        with pytest.raises(ConfigurationError, match=name):
            ZmqBenchmark(**{name: 0})


def test_a_far_end_that_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(round_trip, "_WORKER", Path("/nowhere/worker.py"))
    with (
        pytest.raises(LinkError, match=r"process .* ended with exit code 2"),
        round_trip.far_end("end", "tcp", GnuRadio(Path("/usr/bin/python3"), "3")),
    ):
        pytest.fail("it started")


@pytest.mark.parametrize(("count", "rank"), [(2, 0), (5, 0), (6, 0), (15, 3), (100, 39)])
def test_interval_of_a_median(count: int, rank: int) -> None:
    """Ranks from the tables for the sign test, 95 % two-sided; all there is for fewer than six values."""
    values = np.random.default_rng(count).permutation(count).astype(float)
    assert median_interval(list(values)) == (rank, count - 1 - rank)


def test_the_interval_of_a_median_is_honest() -> None:
    rng = np.random.default_rng(3)
    intervals = [median_interval(list(rng.lognormal(size=15))) for _ in range(2000)]
    assert np.mean([low <= 1.0 <= high for low, high in intervals]) > 0.95
