"""Error rate curves: counting, files and distances."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_app.benchmarks.fer import (
    FerCurve,
    FerPoint,
    StopRule,
    compare,
    curve_text,
    ebn0_at,
    ebn0_range,
    load_curve,
    parse_curve,
    simulate_point,
)
from semcom_app.benchmarks.fer_figure import fer_figure, label, write_fer_figure
from semcom_app.benchmarks.frames import FrameSource
from semcom_phy.coding.decoders import DecoderParams, decode
from semcom_phy.errors import ConfigurationError, FormatError

REFERENCE = Path(__file__).parents[2] / "refs" / "turbo_k6144_i6_awgn.txt"
SOURCE = FrameSource(40, seed=5)


class Recorder:
    """A decoder that keeps what it was given."""

    def __init__(self, algorithm: str = "max-log") -> None:
        self.algorithm = algorithm
        self.llrs: list[np.ndarray] = []

    def __call__(self, llrs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.llrs.append(llrs)
        output = decode(llrs, DecoderParams(2), self.algorithm, "numpy")
        return output.bits, output.iterations


def test_two_decoders_see_the_same_noise() -> None:
    first, second = Recorder("max-log"), Recorder("log-map")
    points = [simulate_point(SOURCE, 1.0, decoder, StopRule(10**6, 300), 64) for decoder in (first, second)]
    np.testing.assert_array_equal(np.concatenate(first.llrs), np.concatenate(second.llrs))
    assert points[0].frames == points[1].frames == 300
    assert points[0] != points[1]


@pytest.mark.parametrize("stop", [StopRule(37, 10_000), StopRule(10_000, 333)])
def test_counts_do_not_depend_on_batch_or_workers(stop: StopRule) -> None:
    expected = simulate_point(SOURCE, 0.0, Recorder(), stop, 1000)
    for batch, workers in ((7, 1), (64, 2), (5000, 3)):
        assert simulate_point(SOURCE, 0.0, Recorder(), stop, batch, workers) == expected
    assert expected.frame_errors == stop.frame_errors or expected.frames == stop.frames


def test_counts_are_those_of_the_frames_up_to_the_last_that_counts() -> None:
    point = simulate_point(SOURCE, 0.0, Recorder(), StopRule(5, 10_000), 64)
    frames = SOURCE.group(0.0, 0)[: point.frames]
    errors = (Recorder()(frames.llrs)[0] != frames.bits).sum(axis=1)
    assert (point.frame_errors, point.bit_errors) == (5, errors.sum())
    assert np.count_nonzero(errors) == 5
    assert errors[-1] > 0
    assert point.iterations == 2.0


def test_time_ends_a_point_between_calls() -> None:
    point = simulate_point(SOURCE, 3.0, Recorder(), StopRule(10**6, 10**6), 10, go_on=lambda: False)
    assert point.frames == 10


def test_rates_and_interval() -> None:
    point = FerPoint(1.0, 1000, 10, 50)
    assert (point.fer, point.ber(40)) == (0.01, 50 / 40_000)
    assert point.interval == pytest.approx((0.004805, 0.018314), abs=1e-5)
    assert FerPoint(1.0, 100, 0).interval == pytest.approx((0.0, 0.036217), abs=1e-5)
    assert FerPoint(1.0, 100, 0).ber(40) is None
    with pytest.raises(ConfigurationError):
        StopRule(0, 1)


def test_ebn0_range() -> None:
    assert ebn0_range("0:1:0.1") == [round(0.1 * n, 1) for n in range(11)]
    assert ebn0_range("-1.5:1:1") == [-1.5, -0.5, 0.5]
    assert ebn0_range("0.55") == [0.55]
    for text in ("", "a", "0:1", "0:1:0", "1:0:0.1", "0:1:nan", "0:99:1", "0:1:0.1:2", "0:1:-1", "0:50:0.001"):
        with pytest.raises(ConfigurationError, match="--ebn0"):
            ebn0_range(text)


# --- files -----------------------------------------------------------------------------------------


def test_files_come_back_as_they_were() -> None:
    points = (FerPoint(0.5, 100, 40, 1234, 5.25), FerPoint(0.625, 10**9, 100, 300, 6.0), FerPoint(1.0, 50, 0))
    curve = FerCurve(points, {"K": "40 information bits", "decoder": "max-log: scaled"})
    again = parse_curve(curve_text("Title.", curve, 40))
    assert again.points == points
    assert again.header == curve.header


def test_the_reference_curve_can_be_read() -> None:
    curve = load_curve(REFERENCE)
    assert [point.ebn0_db for point in curve.points] == [0.4, 0.5, 0.6, 0.7, 0.8]
    assert curve.points[1].fer == 555 / 2508
    assert curve.points[1].bit_errors is None
    assert curve.header["iterations"] == "6"


GOOD = "# ebn0_db frames frame_errors bit_errors\n0.5 100 40 1234\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0.5 100 40\n",
        "# frames frame_errors ebn0_db\n0.5 100 40\n",
        "# ebn0_db frames frame_errors\n",
        "# ebn0_db frames frame_errors frames\n0.5 100 40 100\n",
        GOOD.replace("100", "x"),
        GOOD.replace("100", "0"),
        GOOD.replace("100", "-100"),
        GOOD.replace("100", "39"),
        GOOD.replace("1234", "39"),
        GOOD.replace("0.5", "nan"),
        GOOD.replace("0.5", "inf"),
        GOOD.replace(" 1234", ""),
        GOOD + "0.5 100 20 80\n",
        GOOD + "0.6 100 20 80 7\n",
        GOOD + "0.6 " + "9" * 5000 + " 20 80\n",
    ],
)
def test_damaged_files_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "curve.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"curve.txt is no curve of error rates"):
        load_curve(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "curve.txt"
    with pytest.raises(FormatError, match="cannot read"):
        load_curve(path)
    path.write_bytes(b"\xff\xfe" + GOOD.encode())
    with pytest.raises(FormatError):
        load_curve(path)
    path.write_text(GOOD + "#" * (1 << 20))
    with pytest.raises(FormatError, match="larger"):
        load_curve(path)


# --- distance --------------------------------------------------------------------------------------


def _line(offset_db: float, decades_per_db: float, levels: list[float]) -> FerCurve:
    """FER = 10^(−slope · (x − offset)), counted over so many frames that rounding does not matter."""
    frames = 10**15
    rates = [min(1.0, 10 ** (-decades_per_db * (level - offset_db))) for level in levels]
    return FerCurve(
        tuple(FerPoint(level, frames, round(frames * rate)) for level, rate in zip(levels, rates, strict=True))
    )


@given(
    st.floats(-2.0, 2.0),
    st.floats(-0.3, 0.3),
    st.floats(2.0, 12.0),
    st.floats(0.001, 0.2),
)
def test_distance_of_two_lines_is_their_shift(offset: float, shift: float, slope: float, fer: float) -> None:
    levels = [offset - 1.0 + 0.25 * n for n in range(30)]
    reference, curve = _line(offset, slope, levels), _line(offset + shift, slope, levels)
    # Exact except in the segment where the line is cut at a rate of 1.
    fer = min(fer, 10 ** (-0.3 * slope))
    assert ebn0_at(reference, fer) == pytest.approx(offset - math.log10(fer) / slope, abs=1e-6)
    assert compare(reference, curve, fer) == pytest.approx(shift, abs=1e-6)
    assert compare(curve, reference, fer) == pytest.approx(-shift, abs=1e-6)


def test_points_without_errors_and_plateaus() -> None:
    curve = FerCurve(
        (FerPoint(0.0, 100, 10), FerPoint(1.0, 100, 10), FerPoint(2.0, 100, 0), FerPoint(3.0, 1000, 1)),
    )
    assert ebn0_at(curve, 0.1) == 0.0
    assert ebn0_at(curve, 0.01) == pytest.approx(2.0)
    for fer in (0.2, 1e-4):
        with pytest.raises(ConfigurationError, match="does not pass"):
            ebn0_at(curve, fer)
    with pytest.raises(ConfigurationError, match="between 0 and 1"):
        ebn0_at(curve, 0.0)


def test_distance_to_the_reference_file() -> None:
    curve = load_curve(REFERENCE)
    shifted = FerCurve(tuple(FerPoint(p.ebn0_db + 0.05, p.frames, p.frame_errors) for p in curve.points))
    assert compare(curve, shifted) == pytest.approx(0.05)
    assert 0.6 < ebn0_at(curve, 1e-2) < 0.7


# --- figure ----------------------------------------------------------------------------------------


def test_figure_of_curves(tmp_path: Path) -> None:
    out = tmp_path / "figures" / "turbo_fer.png"
    write_fer_figure([REFERENCE], out, "title")
    once = out.read_bytes()
    assert once.startswith(b"\x89PNG")
    write_fer_figure([REFERENCE], out, "title")
    assert out.read_bytes() == once
    empty = FerCurve((FerPoint(1.0, 100, 0),), {"label": "none"})
    assert fer_figure([("none", empty)]) != fer_figure([("none", load_curve(REFERENCE))])
    assert label(REFERENCE, empty) == "none"
    assert label(REFERENCE, load_curve(REFERENCE)) == "turbo k6144 i6 awgn"
    with pytest.raises(ConfigurationError, match="1 to 20 curves"):
        write_fer_figure([], out)
