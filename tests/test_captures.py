"""The shipped recordings give exactly what the JSON files beside them say."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semcom_app.cli import run
from semcom_app.images import load_image
from semcom_app.metrics import measure
from semcom_phy.capture import open_recording
from semcom_phy.channels.impairments import SampleChannel, parse_impairments
from semcom_phy.links.air_link import for_symbols

ROOT = Path(__file__).parents[1]
CAPTURES = ROOT / "captures"
NAMES = sorted(path.stem for path in CAPTURES.glob("*.json"))


def described(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((CAPTURES / f"{name}.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    """docs/make_captures.py as a module."""
    spec = importlib.util.spec_from_file_location("make_captures", ROOT / "docs" / "make_captures.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_captures"] = module
    spec.loader.exec_module(module)
    return module


def test_all_are_there(maker: ModuleType) -> None:
    assert sorted(scenario.name for scenario in maker.SCENARIOS) == NAMES
    assert len(NAMES) >= 10
    for name in NAMES:
        for suffix in (".sigmf-meta", ".sigmf-data"):
            assert (CAPTURES / f"{name}{suffix}").is_file()
    assert sum(path.stat().st_size for path in CAPTURES.iterdir()) < 6_000_000


@pytest.mark.parametrize("name", NAMES)
def test_replay_gives_what_the_json_says(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    content = described(name)
    expected = content["expected"]
    arguments = ["--sps", str(content["samples_per_symbol"]), "--out", str(tmp_path), "--device", "cpu"]
    assert run(["replay", str(CAPTURES / name), *arguments]) == expected["exit_code"]
    assert ("no signal" in capsys.readouterr().err) == (not expected["frames"])
    result = json.loads((tmp_path / "result.json").read_bytes())
    assert result["recording"]["samples"] == content["samples"]
    assert result["recording"]["problems"] == []
    assert result["recording"]["description"] == content["description"]
    assert len(result["bursts"]) == len(expected["bursts"])
    bursts = [
        {key: burst[key] for key in wanted} for burst, wanted in zip(result["bursts"], expected["bursts"], strict=True)
    ]
    assert bursts == expected["bursts"]
    assert len(result["images"]) == len(expected["frames"])
    sent = {one["image"]: one for one in content["made_with"]["sent"]}
    for row, frame in zip(result["images"], expected["frames"], strict=True):
        exact = {key: value for key, value in frame.items() if key != "psnr_db"}
        assert {key: row[key] for key in exact} == exact
        source = sent[frame["image"]]
        assert row["payload_bits"] == source["payload_bits"]
        if frame["intact"]:
            assert row["payload_sha256"] == source["payload_sha256"]
        pixels = load_image(ROOT / "semcom_app" / "photos" / source["photo"], source["size"]).pixels
        received = np.array(Image.open(tmp_path / row["received_file"]))
        # The network's arithmetic differs a little from machine to machine; a damaged payload may differ more.
        tolerance = 0.05 if frame["intact"] else 1.0
        assert measure(pixels, received)["psnr_db"] == pytest.approx(frame["psnr_db"], abs=tolerance)


@pytest.mark.parametrize("name", NAMES)
def test_recordings_are_valid_sigmf(name: str) -> None:
    from sigmf import sigmffile

    meta = CAPTURES / f"{name}.sigmf-meta"
    sigmffile.fromfile(str(meta)).validate()
    with open_recording(meta) as recording:
        assert recording.verify()
        assert recording.problems == ()
        annotated = [(burst.image, burst.fragment, burst.crc_ok) for burst in recording.bursts()]
    expected = described(name)["expected"]["bursts"]
    assert annotated == [(burst["image"], burst["fragment"], burst["crc_ok"]) for burst in expected]


@pytest.mark.parametrize("name", NAMES)
def test_what_they_were_made_with_can_be_built_again(name: str, maker: ModuleType) -> None:
    made = described(name)["made_with"]
    scenario = next(one for one in maker.SCENARIOS if one.name == name)
    assert SampleChannel.from_description(made["impairments"]) == maker.config_of(scenario).channel
    assert for_symbols(parse_impairments(made["impairments_text"]), 4) == maker.config_of(scenario).channel
    assert made["seed"] == scenario.seed


def test_they_are_made_again_alike(maker: ModuleType, tmp_path: Path) -> None:
    """The same scenario gives the same bits and the same expectations; a rounding may differ between machines."""
    scenario = next(one for one in maker.SCENARIOS if one.name == "clean")
    content = maker.make(scenario, tmp_path)
    shipped = described("clean")
    assert content["expected"]["bursts"] == shipped["expected"]["bursts"]
    assert content["made_with"] == shipped["made_with"]
    with open_recording(tmp_path / "clean") as new, open_recording(CAPTURES / "clean") as old:
        assert np.max(np.abs(new.read(0, new.sample_count) - old.read(0, old.sample_count))) < 2e-4


def test_a_receiver_that_got_worse_does_not_lower_the_expectations(maker: ModuleType, tmp_path: Path) -> None:
    from dataclasses import replace

    scenario = next(one for one in maker.SCENARIOS if one.name == "clean")
    with pytest.raises(SystemExit, match="clean: 0 bursts"):
        maker.make(replace(scenario, impairments="esn0=-20"), tmp_path)
    assert not (tmp_path / "clean.json").exists()
