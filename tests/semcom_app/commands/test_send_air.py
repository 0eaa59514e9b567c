"""`semcom send --link air`: options, figures, report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from semcom_app.cli import run
from semcom_app.commands.link_options import LinkOptions, air_config, make_link
from semcom_phy.channels.impairments import parse_impairments
from semcom_phy.channels.impairments.additive_noise import AdditiveNoise
from semcom_phy.links import LINKS, AirLink, NumpyLink

Refused = Callable[..., None]


def test_a_picture_over_the_air(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    air = "--link air --impair cheap-sdr,cfo=3000,esn0=10 --modulation qpsk --sps 3 --rate 1/2 --repeat 2 --interleave"
    assert run(["send", str(picture), "--codec", "vcsc-4bit", *air.split(), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "vcsc-4bit over air, clock+noise+cfo+phase_noise+iq_imbalance+dc_offset" in " ".join(printed.split())
    result = json.loads((out / "result.json").read_text())
    (row,) = result["images"]
    assert row["intact"]
    assert row["link"] == "air"
    assert row["snr_db"] == 10
    # Two passes of rate 1/2, two bits per symbol.
    assert row["rate"] == pytest.approx(1 / 4, rel=0.02)
    assert row["ebn0_db"] == pytest.approx(10 - 10 * np.log10(2 * row["rate"]))
    assert row["esn0_measured_db"] == pytest.approx(10, abs=1)
    assert row["modulation"] == "qpsk"
    assert row["fragments_sent"] == 2
    assert row["fragments_lost"] == 0
    assert row["cfo_hz"] == pytest.approx(3000, abs=20)
    config = result["config"]
    assert config["samples_per_symbol"] == 3
    assert config["passes"] == 2
    assert config["impairments"]["receiver"][0] == {
        "impairment": "cfo",
        "cfo_hz": 3000.0,
        "drift_hz_s": 0.0,
        "phase_deg": 0.0,
    }
    page = (out / "report.html").read_text()
    assert "Bursts lost" in page
    assert "Carrier offset" in page
    assert "0 of 2" in page


def test_a_lost_picture(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(["send", str(picture), "--link", "air", "--snr", "-20", "--out", str(out)]) == 1
    (row,) = json.loads((out / "result.json").read_text())["images"]
    assert not row["delivered"]
    assert row["error"] == "header lost"
    assert row["fragments_lost"] == row["fragments_sent"] == 1
    assert row["cfo_hz"] is None
    assert row["snr_db"] == -20


def test_the_numpy_link_has_no_bursts(picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert run(["send", str(picture), "--out", str(out)]) == 0
    (row,) = json.loads((out / "result.json").read_text())["images"]
    assert "fragments_sent" not in row
    assert "Bursts lost" not in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--link air --channel awgn", "link 'air' has no --channel; leave that option out"),
        ("--link air --flip 0.1", "link 'air' has no --flip"),
        ("--link air --doppler 5", "link 'air' has no --doppler"),
        ("--link numpy --impair clean", "link 'numpy' has no --impair"),
        ("--modulation qpsk", "link 'numpy' has no --modulation"),
        ("--sps 4", "link 'numpy' has no --sps"),
        ("--sample-rate 1e6", "link 'numpy' has no --sample-rate"),
        ("--repeat 2", "link 'numpy' has no --repeat"),
        ("--fragment-symbols 2", "link 'numpy' has no --fragment-symbols"),
        ("--link ai", "Did you mean 'air'?"),
        ("--link air --sps 1", "--sps must be an integer from 2 to 16, got 1"),
        ("--link air --sample-rate nan", "--sample-rate must be a number from 1"),
        ("--link air --sample-rate 0", "--sample-rate must be"),
        ("--link air --repeat 0", "--repeat must be from 1 to 8, got 0"),
        ("--link air --repeat 9", "--repeat must be from 1 to 8, got 9"),
        ("--link air --fragment-symbols 0", "--fragment-symbols must be from 1 to 65536, got 0"),
        ("--link air --modulation qam16", "Did you mean '16qam'?"),
        ("--link air --modulation ''", "unknown modulation ''"),
        ("--link air --fec turbp", "Did you mean 'turbo'?"),
        ("--link air --fec none --rate 1/2", "leave it out with --fec none"),
        ("--link air --impair cheap-sd", "Did you mean 'cheap-sdr'?"),
        ("--link air --impair cfoo=3", "Did you mean 'cfo'?"),
        ("--link air --impair cfo=x", "'cfo=x': 'x' is not a number"),
        ("--link air --impair esn0=10 --snr 3", "leave --snr out"),
        ("--link air --impair noise=-10 --snr 3", "leave --snr out"),
        ("--link air --impair esn0=10/8", "8 samples per symbol, the link has 4"),
        ("--link air --impair cw=3/600000", "within half the sample rate"),
    ],
)
def test_wrong_options(picture: Path, tmp_path: Path, refused: Refused, options: str, expected: str) -> None:
    arguments = [word.strip("'") for word in options.split(" ")]
    refused(["send", picture, "--out", tmp_path / "out", *arguments], 2, expected)
    assert not (tmp_path / "out").exists()


def test_every_link_has_a_factory() -> None:
    for name, kind in (("numpy", NumpyLink), ("air", AirLink)):
        assert isinstance(make_link(name, LinkOptions()), kind)
        assert LINKS[name] is kind


def test_snr_is_the_noise_where_impairments_have_none() -> None:
    def noise(**options: object) -> list[AdditiveNoise]:
        channel = air_config(LinkOptions(**options)).channel  # type: ignore[arg-type]
        return [i for i in channel.impairments if isinstance(i, AdditiveNoise)]

    assert noise() == [AdditiveNoise(10.0, 4.0)]
    assert noise(snr_db=-2.5, sps=2) == [AdditiveNoise(-2.5, 2.0)]
    assert noise(impair="cfo=5", snr_db=3.0) == [AdditiveNoise(3.0, 4.0)]
    assert noise(impair="tx.gain=-6", snr_db=3.0) == [AdditiveNoise(3.0, 4.0, signal_power_db=-6.0)]
    assert noise(impair="esn0=7", sps=8) == [AdditiveNoise(7.0, 8.0)]
    assert noise(impair="noise=3") == [AdditiveNoise(power_db=3.0)]
    assert noise(impair="cfo=1,n0=-60") == [AdditiveNoise(density_db_hz=-60.0)]
    assert air_config(LinkOptions(impair="clean")).channel == parse_impairments("esn0=10/4")
