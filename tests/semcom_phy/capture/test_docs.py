"""docs/captures.md: its example runs, and it names every field."""

import contextlib
import dataclasses
import io
import re
from pathlib import Path

import pytest

from semcom_phy.capture import EXTENSION_VERSION, READABLE, BurstAnnotation
from semcom_phy.capture.reader import RAW_SUFFIXES
from semcom_phy.capture.recorder import MAX_BURSTS, MAX_SEGMENTS

PAGE = (Path(__file__).parents[3] / "docs" / "captures.md").read_text()


def test_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.M | re.S)
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, "docs/captures.md", "exec"), {})
    lines = output.getvalue().splitlines()
    assert lines[0].startswith("0 12.5 0.")
    assert lines[1:] == ["4096"] * 4 + ["3616"]


def test_every_field_and_datatype_is_named() -> None:
    documented = re.findall(r"^\| `semcom:(\w+)` ", PAGE, re.M)
    fields = [field.name for field in dataclasses.fields(BurstAnnotation)][2:]
    assert documented == ["full_scale", "saturated_samples", "non_finite_samples", *fields]
    assert f"version {EXTENSION_VERSION}" in PAGE
    for name in {name.partition("_")[0] for name in READABLE} | set(RAW_SUFFIXES):
        assert f"`{name}`" in PAGE
    for number in (MAX_BURSTS, MAX_SEGMENTS):
        assert f"{number:,}".replace(",", " ") in PAGE
