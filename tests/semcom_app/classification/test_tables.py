"""Verdicts on a terminal of 80 columns."""

from __future__ import annotations

from typing import Any

import pytest

from semcom_app.classification.tables import print_verdicts

NAMES = ("automobile", "a class of a very long name, in [brackets]", None)


def summary(name: str | None) -> dict[str, Any]:
    row = {f"class_{end}": name for end in ("true", "sent", "received")}
    row |= {f"confidence_{end}": None if name is None else 1.0 for end in ("sent", "received")}
    verdicts = {f"{rule}_{end}": name for rule in ("majority", "sum") for end in ("sent", "received")}
    entry = {"pictures": ["a.png"] * 3, "views_lost": 2, "class_true": name, **verdicts}
    shares = {"same_verdict": 1.0, "count": 12, "labelled": 0}
    found = {
        "model": "m",
        "classes": 10,
        "views": 4,
        "objects": [entry] * 12,
        "objects_incomplete": 12,
        "objects_assumed": 3,
    }
    return {
        "images": [{"image": "automobile-seen-from-the-left.png", **row}] * 12,
        "classification": {**found, "pictures": shares, "majority": shares, "sum": shares},
    }


@pytest.mark.parametrize("name", NAMES)
def test_eighty_columns_hold_every_verdict(
    name: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_verdicts(summary(name))
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert max(map(len, lines)) <= 80
    cells = [line.split() for line in lines]
    assert sum("1 of 4" in line for line in lines) == 12
    shown = "–" if name is None else name if len(name) <= 10 else f"{name[:9]}…"
    assert sum(line.count(shown) >= 5 for line in lines) == 12
    if name is not None:
        assert sum(line.count("100 %") == 2 for line in lines) == 12
    assert ["object", "class", "views", "without", "with", "link", "without", "with", "link"] in cells
    assumed, incomplete = printed.err.splitlines()
    assert assumed.startswith("3 of 12 objects are pictures of one folder, taken as views of one object;")
    assert incomplete == "12 of 12 objects have fewer than 4 views: the verdict is of those there are"
