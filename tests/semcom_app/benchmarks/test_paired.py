"""Paired curves: counting on the same frames, files, and distances with their standard deviation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("numba", reason="the decoders compared are numba's: pip install numba")

from semcom_app.benchmarks.fer import FerPoint, StopRule, load_curve
from semcom_app.benchmarks.frames import FrameSource
from semcom_app.benchmarks.paired import (
    Contender,
    Discordance,
    PairedCurves,
    PairedPoint,
    distance,
    falls,
    load_paired,
    paired_text,
    parse_paired,
    simulate_paired,
)
from semcom_phy.errors import ConfigurationError, FormatError

SOURCE = FrameSource(40, seed=5)
EXACT = Contender("exact", "log-map", "float64", windows=False)
LINEAR16 = Contender("linear16", "linear-log-map", "int16")
MAXLOG16 = Contender("maxlog16", "max-log", "int16")

# --- simulation ------------------------------------------------------------------------------------


def test_discordant_frames_are_those_that_one_decoder_alone_loses() -> None:
    frames = SOURCE.group(1.0, 0)[:1500]
    exact, linear, maxlog = (
        (decoder.decide(frames.llrs, 4) != frames.bits).any(axis=1) for decoder in (EXACT, LINEAR16, MAXLOG16)
    )
    point = simulate_paired(SOURCE, 1.0, EXACT, (LINEAR16, MAXLOG16), 4, StopRule(10**6, 1500))
    assert (point.frames, point.frame_errors) == (1500, exact.sum())
    assert point.others == {
        "linear16": Discordance(int((linear & ~exact).sum()), int((exact & ~linear).sum())),
        "maxlog16": Discordance(int((maxlog & ~exact).sum()), int((exact & ~maxlog).sum())),
    }
    assert point.errors("maxlog16") == maxlog.sum()
    assert point.others["maxlog16"].lost > 0


def test_a_point_ends_with_the_last_error_asked_for_whatever_the_threads() -> None:
    source = FrameSource(1024, seed=5)
    points = [simulate_paired(source, 0.6, EXACT, (LINEAR16,), 3, StopRule(150, 10_000), n) for n in (1, 2)]
    assert points[0] == points[1]
    assert points[0].frame_errors == 150
    shorter = simulate_paired(source, 0.6, EXACT, (LINEAR16,), 3, StopRule(10_000, points[0].frames - 1))
    assert shorter.frame_errors == 149


# --- files -----------------------------------------------------------------------------------------

POINTS = (
    PairedPoint(-0.5, 1000, 400, {"a": Discordance(30, 4), "longer-name": Discordance(0, 0)}),
    PairedPoint(0.125, 123456789, 1234, {"a": Discordance(0, 1234), "longer-name": Discordance(7654321, 1)}),
)


def test_files_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "curves.txt"
    path.write_text(paired_text("Title.", PairedCurves(POINTS, {"K": "40 bits", "+name": "alone: lost"})))
    again = load_paired(path)
    assert again.points == POINTS
    assert again.header == {"K": "40 bits", "+name": "alone: lost"}
    assert again.names == ("a", "longer-name")
    # Any program that reads curves gets the reference's.
    assert load_curve(path).points == again.curve().points
    assert again.curve("a").points[0] == FerPoint(-0.5, 1000, 426)


GOOD = "# ebn0_db frames frame_errors +a -a\n0.5 100 40 3 40\n"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# ebn0_db frames frame_errors\n0.5 100 40\n",
        GOOD.replace("-a", "-b"),
        GOOD.replace("+a -a", "-a +a"),
        GOOD.replace(" -a", ""),
        GOOD.replace(" 3 40", " 3 x"),
        GOOD.replace(" 3 40", " 3 41"),
        GOOD.replace(" 3 40", " 61 40"),
        GOOD.replace(" 3 40", " -1 40"),
        GOOD.replace(" 3 40", " 3"),
        GOOD.replace(" 3 40", " 3 4 5"),
    ],
)
def test_damaged_files_are_refused(text: str, tmp_path: Path) -> None:
    assert parse_paired(GOOD).points[0].errors("a") == 3
    path = tmp_path / "curves.txt"
    path.write_text(text)
    with pytest.raises(FormatError, match=r"curves.txt is no file of paired curves"):
        load_paired(path)


# --- distance --------------------------------------------------------------------------------------


def synthetic(rng: np.random.Generator, steepness: float, mean: float, spread: float, frames: int) -> PairedCurves:
    """Counts of two decoders where a frame needs t dB from one and t + d from the other.

    P(t > x) = e^(−steepness·x) and d ~ N(mean, spread²), so the other's rate is E e^(steepness·d) times as high: its
    curve lies mean + steepness·spread²/2 to the right.
    """
    points = []
    for number in range(10):
        level = 3.0 / steepness + 0.7 * number / steepness
        needs = rng.exponential(1.0 / steepness, frames)
        other_needs = needs + rng.normal(mean, spread, frames)
        reference, other = needs > level, other_needs > level
        counts = Discordance(int((other & ~reference).sum()), int((reference & ~other).sum()))
        points.append(PairedPoint(level, frames, int(reference.sum()), {"other": counts}))
    return PairedCurves(tuple(points))


@pytest.mark.parametrize(
    ("steepness", "mean", "spread"), [(20.0, 0.01, 0.005), (20.0, 0.0, 0.02), (3.0, 0.12, 0.05), (20.0, 0.13, 0.01)]
)
def test_distance_and_its_standard_deviation_on_synthetic_counts(steepness: float, mean: float, spread: float) -> None:
    rng = np.random.default_rng(7)
    found = [distance(synthetic(rng, steepness, mean, spread, 20_000), "other") for _ in range(150)]
    truth = mean + steepness * spread**2 / 2
    deviations = np.array([(one.db - truth) / one.sigma_db for one in found])
    assert abs(deviations.mean()) < 0.35  # a first-order estimate: a bias of a third of σ is allowed
    assert 0.8 < deviations.std() < 1.2


def test_pairing_is_worth_many_frames() -> None:
    """The same counts, but as if no frame were lost by both decoders."""
    curves = synthetic(np.random.default_rng(8), 20.0, 0.0, 0.005, 20_000)
    strangers = PairedCurves(
        tuple(
            PairedPoint(p.ebn0_db, p.frames, p.frame_errors, {"other": Discordance(p.errors("other"), p.frame_errors)})
            for p in curves.points
        )
    )
    assert distance(strangers, "other").db == distance(curves, "other").db
    assert distance(curves, "other").sigma_db < distance(strangers, "other").sigma_db / 2


@given(st.floats(1.0, 30.0), st.floats(-0.08, 0.08), st.floats(1e-3, 0.03))
def test_distance_of_two_lines_is_their_shift(steepness: float, shift: float, fer: float) -> None:
    frames = 10**15
    points = []
    for factor in np.exp(np.arange(3.0, -9.0, -0.7)):
        if fer * factor * math.exp(steepness * shift) > 0.5:
            continue
        level = -math.log(fer * factor) / steepness
        errors = round(frames * fer * factor)
        more = round(errors * math.exp(steepness * shift)) - errors
        points.append(PairedPoint(level, frames, errors, {"other": Discordance(max(more, 0), max(-more, 0))}))
    assert distance(PairedCurves(tuple(points)), "other", fer).db == pytest.approx(shift, abs=1e-6)


def test_distances_that_the_counts_do_not_hold() -> None:
    curves = synthetic(np.random.default_rng(9), 20.0, 0.0, 0.005, 20_000)
    for wrong, fer in (("none", 1e-2), ("other", 0.4), ("other", 1e-7), ("other", 1.0)):
        with pytest.raises(ConfigurationError):
            distance(curves, wrong, fer)
    rising = tuple(PairedPoint(x, 10_000, errors, {"a": Discordance(1, 0)}) for x, errors in ((0.0, 90), (1.0, 110)))
    with pytest.raises(ConfigurationError, match="do not fall"):
        distance(PairedCurves(rising), "a")
    assert not falls(PairedCurves(rising).curve())
    assert falls(curves.curve())
