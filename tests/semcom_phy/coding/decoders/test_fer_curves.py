"""The committed curves of error rates: what they say about the decoders, and whether the present code repeats them."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("numba", reason="the curves are those of the numba decoders: pip install numba")

from semcom_app.benchmarks.fer import StopRule, compare, ebn0_at, ebn0_range, load_curve
from semcom_app.benchmarks.paired import PairedCurves, PairedPoint, distance, falls, load_paired, simulate_paired

ROOT = Path(__file__).parents[4]
REFERENCES = ROOT / "tests" / "refs"


def _script() -> ModuleType:
    name = "make_fer_curves"
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


SCRIPT = _script()
CASES = {case.name: case for case in SCRIPT.CASES}
FLOORS = {case.floor_name: case for case in SCRIPT.CASES if case.has_floor}
#: dB behind exact log-MAP at a frame error rate of 1e-2, at most.
BARS = {"float32": 0.02, "linear": 0.02, "linear16": 0.05, "maxlog16": 0.15}


@cache
def committed(name: str) -> PairedCurves:
    return load_paired(REFERENCES / "turbo" / f"{name}.txt")


def test_there_is_a_file_for_every_case_and_no_other() -> None:
    files = {path.name for path in (REFERENCES / "turbo").iterdir()}
    assert files == {f"{name}.txt" for name in (*CASES, *FLOORS)}
    assert {(case.size, case.rate) for case in CASES.values()} == {
        (size, rate) for size in (40, 512, 1024, 2048, 6144) for rate in ("1/3", "1/2", "3/4", "8/9")
    }
    assert (ROOT / "docs" / "figures" / "turbo_fer.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", [*CASES, *FLOORS])
def test_headers_say_how_to_make_the_file_again(name: str) -> None:
    header = committed(name).header
    source = (CASES | FLOORS)[name].source
    assert header["command"] == f"python docs/make_fer_curves.py --only {name}"
    assert header["K"].startswith(f"{source.size} information bits")
    assert header["E"].startswith(f"{source.coded_bits} transmitted bits")
    assert header["rate"] == f"K / E = {source.size / source.coded_bits:.6f}"
    assert header["iterations"] == f"{SCRIPT.ITERATIONS}, no early stop"
    assert header["frame_errors"] == str(SCRIPT.EXACT)
    for contender in SCRIPT.CONTENDERS:
        assert header.get(contender.name) == (str(contender) if contender.name in committed(name).names else None)
    for program in ("semcom ", "numpy ", "numba "):
        assert program in header["versions"]


@pytest.mark.parametrize("name", CASES)
def test_curves_fall_from_a_half_to_a_few_thousandths(name: str) -> None:
    case, curves = CASES[name], committed(name)
    assert [point.ebn0_db for point in curves.points] == ebn0_range(SCRIPT.EBN0[case.rate, case.size])
    assert curves.names == tuple(contender.name for contender in SCRIPT.CONTENDERS)
    for decoder in (None, *curves.names):
        curve = curves.curve(decoder)
        assert falls(curve), decoder
        assert 0.3 < curve.points[0].fer < 0.95
        assert curve.points[-1].fer < 1e-2
    enough = SCRIPT.FRAME_ERRORS[case.size]
    for point in curves.points:
        assert point.frame_errors == enough or point.frames == enough * SCRIPT.MOST_FRAMES


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("decoder", BARS)
def test_decoders_are_within_their_distance_of_exact_log_map(name: str, decoder: str) -> None:
    found = distance(committed(name), decoder, 1e-2)
    bar = BARS[decoder]
    assert found.sigma_db < bar / 3
    assert found.db < bar
    # Iterative decoding is not optimal, so that an approximation may come out ahead; but not far.
    assert found.db > -0.02


@pytest.mark.parametrize("rate", SCRIPT.RATES)
def test_longer_blocks_need_less_and_max_log_more(rate: str) -> None:
    curves = [committed(case.name) for case in CASES.values() if case.rate == rate]
    levels = [ebn0_at(one.curve(), 1e-2) for one in curves]
    assert levels == sorted(levels, reverse=True)
    for one in curves[1:]:  # K = 512 and up
        assert distance(one, "maxlog16").db > distance(one, "linear16").db


def test_aff3ct_is_near() -> None:
    """Its decoder is max-log with scaled extrinsic values in float32, 6 iterations; ours run 8."""
    theirs, ours = load_curve(REFERENCES / "turbo_k6144_i6_awgn.txt"), committed("k6144_r1-3_i8_awgn")
    assert -0.35 < compare(theirs, ours.curve()) < -0.2
    assert -0.2 < compare(theirs, ours.curve("maxlog16")) < -0.05


@pytest.mark.parametrize("name", FLOORS)
def test_no_error_floor_beyond_the_waterfall(name: str) -> None:
    (point,) = committed(name).points
    waterfall = committed(FLOORS[name].name)
    assert point.ebn0_db == round(ebn0_at(waterfall.curve(), 1e-2) + 1.0, 2)
    assert point.frames >= 300_000
    for decoder in ("float32", "linear16"):
        if FLOORS[name].size >= 1024:
            assert committed(name).curve(decoder).points[0].fer < 1e-5
        else:
            # What is left is the code's: the exact decoder loses as many, up to the chance in the frames that differ.
            other = point.others[decoder]
            assert abs(other.lost - other.won) <= 3.0 * max(1.0, other.lost + other.won) ** 0.5


def test_figure_and_table_come_from_the_files() -> None:
    folder = REFERENCES / "turbo"
    cases = [case for case in SCRIPT.CASES if case.size == 40]
    assert SCRIPT.figure(folder, cases).startswith(b"\x89PNG")
    lines = list(SCRIPT.table(folder, cases))
    assert len(lines) == 2 + len(cases)
    assert lines[2].startswith("| 1/3 | 40 | ")


def _again(name: str, point: PairedPoint) -> None:
    """Simulate a committed point with the present decoders."""
    frames = StopRule(point.frames, point.frames)
    now = simulate_paired(CASES[name].source, point.ebn0_db, SCRIPT.EXACT, SCRIPT.CONTENDERS, SCRIPT.ITERATIONS, frames)
    assert now.frames == point.frames
    # Whole numbers give the same decisions everywhere.
    for decoder in ("linear16", "maxlog16"):
        assert now.errors(decoder) == point.errors(decoder), (name, point.ebn0_db, decoder)
    # Floating point may round otherwise, which turns a frame in a hundred that are lost.
    slack = 3.0 + 0.03 * point.frame_errors
    assert abs(now.frame_errors - point.frame_errors) <= slack
    for decoder in ("float32", "linear"):
        assert abs(now.errors(decoder) - point.errors(decoder)) <= slack


def test_the_present_decoders_repeat_a_few_counts() -> None:
    for name in ("k512_r8-9_i8_awgn", "k2048_r1-3_i8_awgn"):
        _again(name, committed(name).points[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_the_present_decoders_repeat_the_upper_points(name: str) -> None:
    for point in committed(name).points[:3]:
        _again(name, point)


@pytest.mark.slow
@pytest.mark.parametrize("size", [40, 512, 1024, 2048, 6144])
def test_the_present_decoders_repeat_the_point_nearest_to_one_in_a_hundred(size: int) -> None:
    name = f"k{size}_r1-2_i8_awgn"
    _again(name, min(committed(name).points, key=lambda point: abs(point.fer - 1e-2)))
