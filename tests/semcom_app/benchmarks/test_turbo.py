"""The speed benchmark: what it times, how it counts, and what it does with decoders that fail."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import pytest

from semcom_app.benchmarks import turbo
from semcom_app.benchmarks.decoders import Decoded, RegisteredDecoder, registered_decoders
from semcom_app.benchmarks.fer import StopRule
from semcom_app.benchmarks.machine import describe_machine, parse_cpuinfo
from semcom_app.benchmarks.turbo import TurboBenchmark, add_ratios, batch_size, measure, run
from semcom_phy.coding.crc import CRC24B
from semcom_phy.coding.decoders import ALGORITHMS, DecoderParams, decode
from semcom_phy.errors import ConfigurationError

QUICK = TurboBenchmark(40, 2, largest_batch=8, repeats=3, row_seconds=20.0, ebn0_db=(0.5, 12.0), stop=StopRule(20, 200))


@dataclass
class Slow:
    """Decides from the systematic bits, and says that a block took so many milliseconds."""

    block_ms: float = 1.0
    speed_up: float = 2.0
    batches: bool = True
    parallel: bool = True
    calls: list[tuple[int, int]] = field(default_factory=list)

    backend = "slow"
    algorithm = "none"
    arithmetic = "float32"
    note = "a test"

    def decode(self, llrs: np.ndarray, threads: int) -> Decoded:
        self.calls.append((len(llrs), threads))
        bits = (llrs[:, 0, :40] > 0).astype(np.uint8)
        seconds = self.block_ms * 1e-3 * len(llrs) / (self.speed_up if threads == 0 else 1.0)
        return Decoded(bits, np.ones(len(llrs), np.int32), seconds, 0.5 * seconds)


def test_a_row_holds_what_the_decoder_did() -> None:
    row = measure(Slow(), QUICK)
    # 40 bits in a millisecond; the path adds the CRC check.
    assert row["decoder_mbit_s"] == pytest.approx(0.04)
    assert row["decoder_mbit_s_min"] == row["decoder_mbit_s_max"] == pytest.approx(0.04)
    assert row["decoder_mbit_s_all_cores"] == pytest.approx(0.08)
    assert 0.0 < row["mbit_s_min"] <= row["mbit_s"] <= row["mbit_s_max"] < 0.04
    assert 1.0 < row["latency_ms_min"] <= row["latency_ms"] <= row["latency_ms_max"]
    assert row["cores_used"] == pytest.approx(0.5)
    assert row["repeats"] == 3
    assert row["blocks_per_call"] == 8
    noisy, clean = row["points"]
    assert noisy["frame_errors"] == 20
    assert clean["fer_95_low"] < clean["fer"] < clean["fer_95_high"] < noisy["fer_95_low"]
    assert noisy["bits"] == 40 * noisy["frames"]
    assert noisy["ber"] == noisy["bit_errors"] / noisy["bits"]
    assert clean["ebn0_db"] == 12.0
    assert clean["ber"] < 0.1 * noisy["ber"]


def test_a_decoder_without_threads_has_no_figure_for_all_cores() -> None:
    decoder = Slow(parallel=False)
    assert "mbit_s_all_cores" not in measure(decoder, QUICK)
    assert 1 in {threads for _, threads in decoder.calls}


@pytest.mark.parametrize(("speed_up", "threads"), [(2.0, 0), (0.01, 1)])
def test_errors_are_counted_on_as_many_cores_as_are_fastest(speed_up: float, threads: int) -> None:
    decoder = Slow(speed_up=speed_up)
    measure(decoder, QUICK)
    assert decoder.calls[-1][1] == threads


def test_repeats_end_with_their_time_but_two_are_always_made() -> None:
    row = measure(Slow(block_ms=11_000.0), QUICK)
    assert row["repeats"] == 2
    assert row["blocks_per_call"] == 1


@pytest.mark.parametrize(
    ("seconds", "batches", "expected"),
    [
        (lambda n: 1e-3 * n, True, 64),  # until a call takes long enough
        (lambda n: 1e-3 * n, False, 64),
        (lambda n: 1e-9 * n, True, 1000),  # never long enough
        (lambda n: 0.1 + 1e-5 * n, True, 1000),  # long, but batches pay
        (lambda n: 0.1 + 1e-3 * n, False, 1),  # long, and nothing is said about batches
        (lambda n: 0.1 * n, True, 4),  # long, and one try shows that batches do not pay
        (lambda n: 0.1 + 1e-3 * n, True, 64),  # and pay until a call takes too long
        (lambda n: 2.0, True, 1),  # too long for a try
    ],
)
def test_batches_grow_while_it_pays(seconds: object, batches: bool, expected: int) -> None:
    calls = []

    def call(blocks: int) -> float:
        calls.append(blocks)
        return seconds(blocks)  # type: ignore[operator]

    assert batch_size(call, 1000, 0.05, 0.15, batches) == expected
    assert calls[-1] == expected, "the last call warms up the size that is measured"


def test_registered_decoders_are_those_of_the_registry() -> None:
    there = {(d.algorithm, d.arithmetic) for d in registered_decoders(2) if d.backend == "numpy" and d.exists()}
    assert there == {(algorithm, "float64") for algorithm in ALGORITHMS}


def test_a_registered_decoder_decodes() -> None:
    llrs = np.random.default_rng(1).normal(size=(3, 3, 44)).astype(np.float32)
    decoder = RegisteredDecoder("numpy", "max-log", "float64", 3, CRC24B)
    decoded = decoder.decode(llrs, 1)
    expected = decode(llrs, DecoderParams(3, CRC24B), "max-log", "numpy")
    np.testing.assert_array_equal(decoded.bits, expected.bits)
    np.testing.assert_array_equal(decoded.iterations, expected.iterations)
    assert decoded.seconds > 0.0


def test_ratios() -> None:
    rows = [
        {"backend": "numpy", "algorithm": "log-map", "arithmetic": "float64", "mbit_s": 0.5},
        {"backend": "commpy", "algorithm": "map", "arithmetic": "float64", "mbit_s": 0.002},
        {"backend": "x", "algorithm": "y", "arithmetic": "z", "mbit_s": 100.0},
    ]
    add_ratios(rows)
    assert rows[2]["speed_vs_reference"] == pytest.approx(200.0)
    assert rows[2]["speed_vs_commpy"] == pytest.approx(50_000.0)
    add_ratios(rows[2:])
    assert rows[2]["speed_vs_reference"] is None
    assert rows[2]["speed_vs_commpy"] is None


def test_a_decoder_that_fails_is_listed_and_the_others_are_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TurboBenchmark(40, 1, 4, 1, 0.05, (2.0,), StopRule(5, 20), backends=("numpy",))

    def failing(decoder: RegisteredDecoder, _: TurboBenchmark) -> dict[str, object]:
        if decoder.algorithm == "max-log":
            raise RuntimeError("out of memory\nby far")
        return {"backend": "numpy", "algorithm": decoder.algorithm, "arithmetic": "float64", "mbit_s": 1.0}

    monkeypatch.setattr(turbo, "measure", failing)
    result = run(settings)
    assert {row["algorithm"] for row in result["rows"]} == set(ALGORITHMS) - {"max-log"}
    (skipped,) = result["skipped"]
    assert skipped == {
        "backend": "numpy",
        "algorithm": "max-log",
        "arithmetic": "float64",
        "reason": "out of memory",
    }


def test_a_missing_gnu_radio_is_listed() -> None:
    result = run(TurboBenchmark(40, backends=("gnuradio",)), gnuradio_python="/nowhere/python3")
    assert result["rows"] == []
    assert "GNU Radio is not installed" in result["skipped"][0]["reason"]


def test_bad_settings() -> None:
    with pytest.raises(ConfigurationError, match=r"'nunpy'.*'numpy'"):
        TurboBenchmark(backends=("nunpy",))
    with pytest.raises(ConfigurationError, match="nearest size"):
        TurboBenchmark(41)
    with pytest.raises(ConfigurationError, match="within"):
        TurboBenchmark(ebn0_db=(99.0,))


# --- machine ---------------------------------------------------------------------------------------


def test_cpuinfo_of_x86_and_arm() -> None:
    x86 = "processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nflags\t\t: fpu avx avx2 fma\n\nmodel name : Other\n"
    assert parse_cpuinfo(x86) == ("Some CPU @ 3 GHz", ["avx", "avx2", "fma"])
    assert parse_cpuinfo("processor : 0\nFeatures : fp asimd neon sve\n") == ("", ["neon", "sve"])
    assert parse_cpuinfo("") == ("", [])


def test_machine_names_no_host() -> None:
    machine = describe_machine()
    assert set(machine) == {
        "cpu",
        "architecture",
        "system",
        "instruction_sets",
        "cores",
        "load_average_1_min",
        "gpu",
        "versions",
    }
    assert machine["cpu"]
    assert machine["cores"] >= 1
    assert machine["versions"]["numpy"] == np.__version__
    assert all(re.fullmatch(r"[\w.+-]+", version) for version in machine["versions"].values())
