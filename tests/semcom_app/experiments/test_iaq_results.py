"""What docs/make_iaq_results.py makes of measured rows: the bar at half the paper's ρ, headers that are charged."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from semcom_app.experiments.iaq_accuracy import pack_verdicts

SCRIPT = Path(__file__).parents[3] / "docs" / "make_iaq_results.py"


@pytest.fixture(scope="module")
def results() -> ModuleType:
    specification = importlib.util.spec_from_file_location("make_iaq_results", SCRIPT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def row(curve: str, rho: float, right: int, gamma: float = 1.0, **more: Any) -> dict[str, Any]:
    """Of 100 pictures the first `right` are right."""
    return {
        "curve": curve,
        "allocator": "fixed" if curve == "fixed" else "ia",
        "rho": rho,
        "rho_spent": rho,
        "gamma": gamma,
        "single_accuracy": right / 100,
        "single_low": right / 100 - 0.05,
        "single_high": right / 100 + 0.05,
        "single_count": 100,
        "verdicts": pack_verdicts(np.arange(100) < right),
        **more,
    }


def measured(**groups: list[dict[str, Any]]) -> dict[str, Any]:
    error_free = [row("ia", 0.25, 60), row("ia", 0.5, 80), row("topk", 0.5, 99), row("ia, improved", 0.25, 81)]
    return {"view_sets": None, "pictures": 100, "error_free": error_free, "gamma": [], **groups}


def test_the_bar_is_that_of_all_the_papers_settings(results: ModuleType) -> None:
    """IA and WF, IA over γ, and Fixed-M; not what the paper compares itself with beside these."""
    found = measured()
    bar = results.bar(found)
    assert (bar["paper"]["rho"], bar["improved"]["rho"], bar["reached"]) == (0.5, 0.25, True)
    found["gamma"] = [row("γ = 4", 0.4, 83, 4.0)]
    bar = results.bar(found)
    assert (bar["paper"]["gamma"], bar["improved"], bar["reached"]) == (4.0, None, False)
    found["error_free"].append(row("fixed", 0.6, 84))
    bar = results.bar(found)
    assert (bar["paper"]["curve"], bar["improved"]["rho"], bar["reached"]) == ("fixed", 0.25, False)
    assert "missed by 3.0 points" in results.bar_table({"tasks": {"some": {**found, "bar": bar}}})


def test_ours_are_no_dearer_than_half_of_the_papers(results: ModuleType) -> None:
    ours = [row("ia, improved", 0.2501, 95), row("ia, improved", 0.25, 82, 0.5), row("ia, improved", 0.2, 82, 2.0)]
    bar = results.bar(measured(gamma_improved=ours))
    assert (bar["improved"]["rho"], bar["improved"]["gamma"]) == (0.2, 2.0)
    paired = bar["paired"]
    assert (paired["only_first_right"], paired["only_second_right"], paired["difference"]) == (0, 2, 0.02)


def test_rows_without_verdicts_are_not_paired(results: ModuleType) -> None:
    found = measured()
    del found["error_free"][1]["verdicts"]
    assert results.bar(found)["paired"] is None


def test_a_header_is_charged_by_the_capacity(results: ModuleType) -> None:
    """At μ = 0.11 the capacity of a binary symmetric channel is half a bit."""
    found = {"cost": [row("ia", 0.2, 0, header_share=0.25)]}
    assert results.charged_rho(found, "ia", 0.2, 0.11) == pytest.approx(0.25, abs=1e-4)
    assert results.charged_rho(found, "wf", 0.2, 0.11) is None


def test_differences_under_errors_are_paired(results: ModuleType) -> None:
    """Each picture gives one difference, the mean over all points; between points they are not independent."""
    right = np.zeros((2, 100), bool)
    right[0, :60], right[1, 20:60] = True, True
    rows = [
        row(curve, rho, 0, flip_probability=mu, verdicts=pack_verdicts(verdicts), single_accuracy=verdicts.mean())
        for curve, verdicts in zip(("mia", "ia"), right, strict=True)
        for rho in (0.25, 0.5)
        for mu in results.FLIPS
    ]
    mean, low, high = results.mean_difference(measured(channel=rows), "mia", "ia")
    assert mean == pytest.approx(0.2)
    reach = 1.96 * np.sqrt(0.2 * 0.8 / 99)
    assert (low, high) == (pytest.approx(0.2 - reach, abs=1e-4), pytest.approx(0.2 + reach, abs=1e-4))
    shown = results.under_errors("mia", "ia")(measured(channel=rows))
    assert shown == f"+20.0 ± {100 * reach:.1f} (+20.0 … +20.0)"


def test_results_of_two_runs(results: ModuleType) -> None:
    first = {"tasks": {"photos": {"pictures": 1}, "cifar10": {"pictures": 2}}, "versions": {"numpy": "2"}, "seed": 1}
    other = {"tasks": {"multiview": {}, "photos": {"pictures": 3}}, "versions": {"numpy": "2"}, "seed": 1}
    results.merge(first, other)
    assert list(first["tasks"]) == ["photos", "cifar10", "multiview"]
    assert first["tasks"]["photos"] == {"pictures": 3}
    with pytest.raises(SystemExit, match="than the results of cifar10"):
        results.merge(first, {**other, "seed": 2})
