"""`semcom send`, `record` and `replay` with IAQ, and all that can be wrong about its options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from semcom_app.cli import run

from .conftest import Refused

UNIFORM = ("--importance", "uniform")


def sent(out: Path, picture: Path, *options: object) -> dict[str, Any]:
    arguments = ["send", picture, "--out", out, "--json", *UNIFORM, *options]
    assert run([str(a) for a in arguments]) == 0
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    return result


def test_maps_and_figures_are_there(tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = sent(tmp_path, picture, "--codec", "iaq-wf", "--rho", "0.3", "--gamma", "2")
    (row,) = result["images"]
    assert json.loads(capsys.readouterr().out) == result
    assert row["codec"] == "iaq-wf"
    assert row["delivered"]
    assert row["intact"]
    assert row["patches"] == 48  # 32×24 in patches of 4×4
    assert 0.28 < row["rho_payload"] <= 0.3
    assert (result["config"]["rho"], result["config"]["gamma"]) == (0.3, 2.0)
    maps = Image.open(tmp_path / row["maps_file"])
    assert maps.width > 2 * maps.height
    report = (tmp_path / "report.html").read_text()
    assert "Importance of the patches" in report
    assert "Bits per sample" in report
    # A second run over the same folder does not take its own results for pictures.
    assert row["maps_file"].endswith(".maps.png")


def test_the_shown_bits_are_the_sent_ones(tmp_path: Path, picture: Path) -> None:
    saliency = tmp_path / "map.png"
    bright = np.zeros((6, 8), np.uint8)
    bright[2, 3] = 255
    Image.fromarray(bright).save(saliency)
    row = sent(
        tmp_path / "out", picture, "--codec", "iaq-topk", "--rho", "0.2", "--importance", f"saliency:{saliency}"
    )["images"][0]
    received = np.asarray(Image.open(tmp_path / "out" / row["received_file"])).astype(int)
    original = np.asarray(Image.open(picture)).astype(int)
    error = np.abs(received - original).max(axis=2).reshape(6, 4, 8, 4).max(axis=(1, 3))
    assert error[2, 3] <= 1  # all 8 bits where the map is bright
    assert np.median(error) > 30  # and one bit elsewhere


def test_presets_and_single_settings(tmp_path: Path, picture: Path) -> None:
    options = (
        "--codec",
        "iaq-ia",
        "--preset",
        "improved",
        "--rho",
        "0.3",
        "--fill",
        "mean",
        "--mmin",
        "1",
        "--patch",
        "8",
    )
    config = sent(tmp_path, picture, *options)["config"]
    chosen = {key: config[key] for key in ("ranges", "fill", "minimum", "patch", "header", "value_bits")}
    assert chosen == {
        "ranges": "patch",
        "fill": "mean",
        "minimum": 1,
        "patch": 8,
        "header": "coded",
        "value_bits": 5,
    }


@pytest.mark.slow
def test_mu_is_measured_unless_it_is_given(tmp_path: Path, picture: Path) -> None:
    channel = ("--channel", "bsc", "--flip", "0.05", "--fec", "none")
    result = sent(tmp_path, picture, "--codec", "iaq-mwf", *channel)
    config, mean = result["config"], result["mean"]
    assert config["mu"] == config["mu_measured"] == pytest.approx(0.05, abs=0.006)
    assert config["pilot_channel_uses"] > config["pilot_bits"]
    # What the pilots cost is divided among the pictures, here one.
    assert mean["channel_uses_with_pilots"] == mean["channel_uses"] + config["pilot_channel_uses"]
    assert mean["cbr_with_pilots"] == pytest.approx(mean["channel_uses_with_pilots"] / (32 * 24 * 3))
    config = sent(tmp_path, picture, "--codec", "iaq-mwf", "--mu", "0.2", *channel)["config"]
    assert config["mu"] == 0.2
    assert "pilot_bits" not in config


def test_rounding_in_the_papers_order_or_the_exact_one(tmp_path: Path, picture: Path) -> None:
    for given, order in ((), "paper"), (("--order", "exact"), "exact"), (("--preset", "improved"), "exact"):
        assert sent(tmp_path, picture, "--codec", "iaq-wf", *given)["config"]["order"] == order


@pytest.mark.slow
@pytest.mark.parametrize(
    "link",
    [
        ("--channel", "rayleigh", "--snr", "8", "--doppler", "1000"),
        ("--link", "air", "--snr", "6"),
        ("--link", "gnuradio", "--snr", "4"),
    ],
    ids=["rayleigh", "air", "gnuradio"],
)
def test_the_error_rate_is_measured_over_every_link(
    link: tuple[str, ...], tmp_path: Path, picture: Path, request: pytest.FixtureRequest
) -> None:
    if "gnuradio" in link:
        request.getfixturevalue("gnuradio")
    result = sent(tmp_path, picture, "--codec", "iaq-mwf", "--fec", "none", *link)
    (row,), config = result["images"], result["config"]
    assert row["delivered"]
    assert 0.0 < config["mu_measured"] < 0.1
    assert config["mu"] == config["mu_measured"]
    assert row["ber_raw"] == pytest.approx(config["mu_measured"], rel=0.5)


@pytest.mark.slow
def test_one_command_line_suits_all_allocations(tmp_path: Path, picture: Path) -> None:
    """Those that do not reckon with errors take μ, and send the same bits whatever it is."""
    qualities = {
        sent(tmp_path, picture, "--codec", "iaq-wf", "--mu", mu)["images"][0]["psnr_db"] for mu in ("auto", "0.1")
    }
    assert len(qualities) == 1


WRONG: dict[str, tuple[list[object], str]] = {
    "budget too small": (["--codec", "iaq-ia", "--rho", "0.05"], "smallest 2512 bits, rho=0.13629"),
    "order": (["--codec", "iaq-wf", "--order", "random"], "Known: exact, paper"),
    "budget too large": (["--codec", "iaq-ia", "--rho", "1.5"], "largest"),
    "rho": (["--codec", "iaq-ia", "--rho", "nan"], "rho must be a finite number"),
    "mu": (["--codec", "iaq-mia", "--mu", "much"], "--mu must be auto or"),
    "mu range": (["--codec", "iaq-mia", "--mu", "0.7"], "--mu must be from 0 to 0.5"),
    "mu limit": (["--codec", "iaq-mwf", "--mu", "0.4", "--mmin", "0"], "use mu up to 0.323"),
    "mmin": (["--codec", "iaq-ia", "--mmin", "2"], "--mmin must be 0 or 1"),
    "preset": (["--codec", "iaq-ia", "--preset", "papr"], "Did you mean 'paper'"),
    "codec": (["--codec", "iaq-ai"], "unknown codec"),
    "other codec": (["--rho", "0.3"], "codec 'vcsc-8bit' has no --rho"),
    "other codec, dashed": (["--value-bits", "6"], "has no --value-bits"),
    "importance": (["--codec", "iaq-ia", "--importance", "atention"], "Did you mean 'attention'"),
    "no map": (["--codec", "iaq-ia", "--importance", "saliency"], "saliency:PATH"),
    "uniform what": (["--codec", "iaq-ia", "--importance", "uniform:x"], "takes nothing behind its name"),
    "threshold": (["--codec", "iaq-ia", "--threshold", "0.5"], "iaq-ia has no threshold"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_options(case: str, tmp_path: Path, picture: Path, refused: Refused) -> None:
    options, expected = WRONG[case]
    if "--importance" not in options and "other codec" not in case:
        options = [*options, *UNIFORM]
    refused(["send", picture, "--out", tmp_path, *options], 2, expected)
    assert not (tmp_path / "result.json").exists()


@pytest.mark.slow
def test_a_recording_is_received_by_its_header_alone(tmp_path: Path, picture: Path) -> None:
    recording = tmp_path / "iaq"
    options = ["--codec", "iaq-ia", "--preset", "improved", "--rho", "0.4", *UNIFORM]
    assert run([str(a) for a in ("record", picture, "--out", recording, *options)]) == 0
    replay = ["replay", f"{recording}.sigmf-meta", "--out", tmp_path / "out", "--dequantize", "estimated", "--json"]
    assert run([str(a) for a in replay]) == 0
    (row,) = json.loads((tmp_path / "out" / "result.json").read_text())["images"]
    assert row["codec"] == "iaq"
    assert row["delivered"]
    assert row["intact"]
    received = np.asarray(Image.open(tmp_path / "out" / row["received_file"])).astype(float)
    original = np.asarray(Image.open(picture)).astype(float)
    assert received.shape == original.shape
    assert np.mean((received - original) ** 2) < 60


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--codec", "iaq-mwf"], "give --mu"),
        (["--codec", "iaq-ia", "--rho", "0.05"], "smallest"),
        (["--rho", "0.3"], "has no --rho"),
    ],
)
def test_wrong_options_of_record(
    arguments: list[str], expected: str, tmp_path: Path, picture: Path, refused: Refused
) -> None:
    importance = UNIFORM if "--codec" in arguments else ()
    refused(["record", picture, "--out", tmp_path / "r", *arguments, *importance], 2, expected)


def test_wrong_dequantizer_of_replay(tmp_path: Path, refused: Refused) -> None:
    refused(["replay", tmp_path / "none.sigmf-meta", "--dequantize", "soft"], 2, "unknown dequantize 'soft'")
