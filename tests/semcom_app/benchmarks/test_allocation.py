"""The benchmark of the bit allocations: what it compares, and that its figures hang together."""

from __future__ import annotations

import json

import pytest

from semcom_app.allocation import ALLOCATORS
from semcom_app.benchmarks.allocation import AllocationBenchmark, methods, print_allocations, run
from semcom_phy.errors import ConfigurationError

QUICK = AllocationBenchmark(patches=30, images=40, repeats=2)


def test_every_algorithm_has_a_row() -> None:
    assert {name for name, _ in methods(QUICK)} == set(ALLOCATORS)


def test_rows_and_table(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[str] = []
    result = run(QUICK, seen.append)
    assert json.loads(json.dumps(result)) == result
    rows = result["rows"]
    assert [row["method"] for row in rows] == seen
    for row in rows:
        assert row["allocations_s"] * row["us_per_image"] == pytest.approx(1e6)
        if row["method"] in ("ia", "mia") or (row["method"] in ("wf", "mwf") and row["order"] == "exact"):
            assert abs(row["excess_db_worst"]) < 1e-9
        elif row["method"] in ("fixed", "topk", "at", "ast"):
            assert row["excess_db_mean"] > 1
    by_paper = next(row for row in rows if row["method"] == "wf" and row["order"] == "paper")
    assert 0 < by_paper["excess_db_mean"] < by_paper["excess_db_worst"] < 1
    print_allocations(result)
    assert "ia-greedy" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", [{"patches": 0}, {"images": 0}, {"repeats": 0}, {"bits": 0.5}, {"bits": 9.0}])
def test_impossible_settings_are_refused(wrong: dict) -> None:
    with pytest.raises(ConfigurationError):
        AllocationBenchmark(**wrong)
