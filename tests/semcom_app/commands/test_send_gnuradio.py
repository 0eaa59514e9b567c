"""`semcom send --link gnuradio`: which flowgraph, what it is told, what is refused, and whole runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from semcom_app.cli import run
from semcom_app.commands import link_options
from semcom_app.commands.link_options import LinkOptions, make_link
from semcom_phy.errors import ConfigurationError
from semcom_phy.flowgraph import catalogue, launch
from semcom_phy.flowgraph.catalogue import Flowgraph, FlowgraphParameter
from semcom_phy.flowgraph.process import FlowgraphProcess
from semcom_phy.links import GnuRadioLink
from semcom_phy.zmq import ApplicationEnd, LinkAddresses

from .conftest import Refused, free_ports


def flowgraph(name: str, *parameters: str, attaches: bool = True) -> Flowgraph:
    made = tuple(FlowgraphParameter(parameter, "str", "", parameter) for parameter in parameters)
    return Flowgraph(name, name, "", None, Path(f"{name}.grc"), made, attaches)


KNOWN = {
    "bpsk_awgn": flowgraph("bpsk_awgn", "seed", "snr_db", "interleave"),
    "turbo_awgn": flowgraph("turbo_awgn", "seed", "snr_db", "interleave", "rate", "iterations", "algorithm"),
    "turbo_rayleigh": flowgraph("turbo_rayleigh", "seed", "snr_db", "doppler_hz", "rate", "iterations", "algorithm"),
    "mine": flowgraph("mine", "seed", "esn0_db", "passes", "fec", "modulation", "cfo_hz", "turbo_rate"),
    "alone": flowgraph("alone", attaches=False),
}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[str, dict[str, Any]]]:
    """Make a link of options without GNU Radio; return the flowgraph and what it is told."""
    seen: list[tuple[str, dict[str, Any]]] = []

    def launcher(chosen: Flowgraph, values: dict[str, Any], **options: Any) -> Any:
        seen.append((chosen.name, values))
        return lambda addresses: pytest.fail("started")

    monkeypatch.setattr(catalogue, "find", KNOWN.__getitem__)
    monkeypatch.setattr(launch, "launcher", launcher)

    def make(**options: Any) -> tuple[str, dict[str, Any]]:
        link = make_link("gnuradio", LinkOptions(**options))
        assert isinstance(link, GnuRadioLink)
        assert link.config.capabilities == {"flowgraph": seen[-1][0]}
        return seen[-1]

    return make


@pytest.mark.parametrize(
    ("options", "name", "values"),
    [
        (
            {},
            "turbo_awgn",
            {"seed": 0, "snr_db": 10.0, "interleave": False, "iterations": 5, "algorithm": "log-map"},
        ),
        (
            {"snr_db": -3.0, "seed": 4, "rate": 0.5, "iterations": 7, "algorithm": "max-log", "interleave": True},
            "turbo_awgn",
            {"seed": 4, "snr_db": -3.0, "interleave": True, "rate": 0.5, "iterations": 7, "algorithm": "max-log"},
        ),
        ({"fec": "none", "channel": "awgn"}, "bpsk_awgn", {"seed": 0, "snr_db": 10.0, "interleave": False}),
        (
            {"channel": "rayleigh", "doppler_hz": 7.0},
            "turbo_rayleigh",
            {"seed": 0, "snr_db": 10.0, "doppler_hz": 7.0, "iterations": 5, "algorithm": "log-map"},
        ),
        # The channel and the code of a flowgraph that are built in may be named.
        (
            {"flowgraph": "bpsk_awgn", "fec": "none", "stated": frozenset({"fec"})},
            "bpsk_awgn",
            {"seed": 0, "snr_db": 10.0, "interleave": False},
        ),
        ({"flowgraph": "bpsk_awgn"}, "bpsk_awgn", {"seed": 0, "snr_db": 10.0, "interleave": False}),
        # Other flowgraphs may call things by other names.
        (
            {"flowgraph": "mine", "repeat": 2, "rate": 0.5, "settings": ("cfo-hz=300", "seed=5")},
            "mine",
            {"seed": "5", "esn0_db": 10.0, "passes": 2, "fec": "turbo", "turbo_rate": 0.5, "cfo_hz": "300"},
        ),
    ],
)
def test_what_the_flowgraph_is_told(
    options: dict[str, Any], name: str, values: dict[str, Any], told: Callable[..., tuple[str, dict[str, Any]]]
) -> None:
    assert told(**options) == (name, values)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"channel": "bsc"}, "no flowgraph for channel 'bsc' with fec 'turbo'; name one with --flowgraph"),
        ({"channel": "rayleigh", "fec": "none"}, "no flowgraph for channel 'rayleigh' with fec 'none'"),
        ({"channel": "raleigh"}, "unknown channel 'raleigh'. Did you mean 'rayleigh'?"),
        ({"fec": "ldpc"}, "unknown fec 'ldpc'"),
        ({"fec": "none", "rate": 0.5}, "flowgraph 'bpsk_awgn' has no --rate"),
        ({"doppler_hz": 5.0}, "flowgraph 'turbo_awgn' has no --doppler"),
        ({"flip_probability": 0.1}, "flowgraph 'turbo_awgn' has no --flip"),
        ({"impair": "clean"}, "flowgraph 'turbo_awgn' has no --impair"),
        ({"modulation": "qpsk"}, "flowgraph 'turbo_awgn' has no --modulation"),
        ({"flowgraph": "bpsk_awgn", "stated": frozenset({"iterations"})}, "flowgraph 'bpsk_awgn' has no --iterations"),
        ({"flowgraph": "bpsk_awgn", "stated": frozenset({"fec"})}, "'bpsk_awgn' is for fec 'none'; leave --fec out"),
        ({"flowgraph": "bpsk_awgn", "channel": "rayleigh"}, "'bpsk_awgn' is for channel 'awgn'; leave --channel out"),
        ({"settings": ("nonsense",)}, "--set takes NAME=VALUE, not 'nonsense'"),
    ],
)
def test_options_that_do_not_suit(
    options: dict[str, Any], expected: str, told: Callable[..., tuple[str, dict[str, Any]]]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        told(**options)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parameters_that_do_not_exist() -> None:
    with pytest.raises(ConfigurationError, match=r"mine has no parameter 'cfo'\. Did you mean 'cfo_hz'\? Known: seed"):
        launch.launcher(KNOWN["mine"], {"cfo": 1})
    with pytest.raises(ConfigurationError, match="alone has no Application block"):
        launch.launcher(KNOWN["alone"], {})


def test_parameters_as_options() -> None:
    values = {"seed": 2**63, "esn0_db": -1e-7, "modulation": "qpsk", "fec": True}
    assert launch.parameter_options(KNOWN["mine"], values) == [
        "--seed=9223372036854775808",
        "--esn0-db=-1e-07",
        "--modulation=qpsk",
        "--fec=1",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--link numpy --flowgraph bpsk_awgn", "link 'numpy' has no --flowgraph; leave that option out"),
        ("--link air --attach tcp://127.0.0.1:29001", "link 'air' has no --attach"),
        ("--link numpy --set a=1", "link 'numpy' has no --set"),
        ("--link gnuradio --attach 29001", "'29001' is no address"),
        ("--link gnuradio --attach tcp://127.0.0.1:65533", "the first of four ports"),
        ("--link gnuradio --attach tcp://192.0.2.1:29001", "can be reached from other machines"),
        ("--link gnuradio --attach tcp://127.0.0.1:29001 --snr 3", "the flowgraph itself sets --snr"),
        ("--link gnuradio --attach tcp://127.0.0.1:29001 --fec turbo", "the flowgraph itself sets --fec"),
        ("--link gnuradio --attach tcp://127.0.0.1:29001 --interleave", "the flowgraph itself sets --interleave"),
        ("--link gnuradio --attach tcp://127.0.0.1:29001 --set a=1", "the flowgraph itself sets --set"),
        ("--link gnuradio --flowgraph turbo_agwn", "unknown flowgraph 'turbo_agwn'. Did you mean 'turbo_awgn'?"),
        ("--link gnuradio --channel bsc --flip 0.1", "there is no flowgraph for channel 'bsc'"),
        ("--link gnuradio --channel rayleigh --fec none", "--flowgraph native_rayleigh"),
    ],
)
def test_wrong_usage(options: str, expected: str, picture: Path, tmp_path: Path, refused: Refused) -> None:
    refused(["send", picture, *options.split(), "--out", tmp_path / "out"], 2, expected)


@pytest.mark.slow
def test_nobody_attaches(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_options, "ATTACH_TIMEOUT_S", 0.3)
    (first,) = free_ports(1)
    arguments = ["send", str(picture), "--link", "gnuradio", "--attach", f"tcp://127.0.0.1:{first}"]
    assert run([*arguments, "--out", str(tmp_path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == (
        f"semcom: flowgraph (any): waiting 0.3 s for it to connect to tcp://127.0.0.1:{first} … {first + 3}; "
        "start it now"
    )
    assert lines[1].startswith("semcom: the flowgraph did not answer within 0.3 s; see whether it runs")
    assert len(lines) == 2


# --- whole runs ----------------------------------------------------------------------------------------------


def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


@pytest.mark.slow
@pytest.mark.parametrize("options", ["--snr -3 --rate 1/2 --interleave --seed 5", "--fec none --snr 2"])
def test_the_same_picture_as_over_the_numpy_link(
    options: str, picture: Path, tmp_path: Path, gnuradio: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for link in ("numpy", "gnuradio"):
        code = run(["send", str(picture), "--link", link, *options.split(), "--out", str(tmp_path / link), "--json"])
        assert code == 0
        captured = capsys.readouterr()
        assert json.loads(captured.out) == results(tmp_path / link)
        assert captured.err == ""
    ours, theirs = results(tmp_path / "gnuradio"), results(tmp_path / "numpy")
    (mine,), (other,) = ours["images"], theirs["images"]
    assert mine.pop("link") == "gnuradio"
    assert other.pop("link") == "numpy"
    for row in (mine, other):
        for key in [key for key in row if key.endswith("_ms")]:
            del row[key]
    assert mine.pop("esn0_measured_db") == pytest.approx(other.pop("esn0_measured_db"), abs=1e-5)
    # LLRs are rounded differently, and so the posterior means of a damaged picture.
    for key in ("psnr_db", "ssim"):
        assert mine.pop(key) == pytest.approx(other.pop(key), abs=1e-3)
    assert mine == other
    assert ours["config"]["flowgraph"] == ("bpsk_awgn" if "none" in options else "turbo_awgn")
    assert not ours["config"]["attached"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("killed", "delivered", "expected"),
    [
        (
            {2},
            [True, True, False, True, True],
            ["semcom: flowgraph bpsk_awgn: it was killed by SIGKILL; frame 2 is lost; starting it again"],
        ),
        # What had arrived until then is kept, and the last line says why there is no more.
        (
            {1, 2},
            [True, False, False],
            [
                "semcom: flowgraph bpsk_awgn: it was killed by SIGKILL; frame 1 is lost; starting it again",
                "semcom: flowgraph bpsk_awgn: it was killed by SIGKILL; frame 2 is lost",
                "semcom: flowgraph bpsk_awgn: it was killed by SIGKILL; see its output and start anew",
            ],
        ),
    ],
    ids=["once", "twice"],
)
def test_a_flowgraph_that_is_killed_costs_one_picture(
    killed: set[int],
    delivered: list[bool],
    expected: list[str],
    picture: Path,
    tmp_path: Path,
    gnuradio: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(5):
        shutil.copy(picture, folder / f"{number}.png")
    send, calls = GnuRadioLink.send, iter(range(5))

    def send_and_kill(link: GnuRadioLink, frames: Any) -> Any:
        """Stop the flowgraph, so that it cannot answer, and kill it with the frame under way."""
        if next(calls) in killed:
            assert link.connection is not None
            process = link.connection.peer.process
            assert process is not None
            os.kill(process, signal.SIGSTOP)
            threading.Timer(0.2, os.kill, (process, signal.SIGKILL)).start()
        return send(link, frames)

    monkeypatch.setattr(GnuRadioLink, "send", send_and_kill)
    out = tmp_path / "out"
    assert run(["send", str(folder), "--link", "gnuradio", "--fec", "none", "--out", str(out)]) == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("semcom: ")]
    assert lines == expected
    result = results(out)
    assert [row["delivered"] for row in result["images"]] == delivered
    assert result["link_counts"] == {"restarts": 1, "malformed": 0, "unexpected": 0}
    if len(delivered) < 5:
        assert result["not_sent"] == ["3.png", "4.png"]
        assert result["failure"] in lines[-1]
    else:
        assert "not_sent" not in result
    assert (out / "report.html").is_file()


@pytest.mark.slow
def test_attached(picture: Path, tmp_path: Path, gnuradio: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (first,) = free_ports(1)
    addresses = LinkAddresses(*(f"tcp://127.0.0.1:{port}" for port in range(first, first + 4)))
    start = launch.launcher(catalogue.find("bpsk_awgn"), {"snr_db": 12.5, "seed": 8})
    process: FlowgraphProcess = start(addresses)
    try:
        arguments = ["send", str(picture), "--link", "gnuradio", "--attach", f"tcp://127.0.0.1:{first}"]
        assert run([*arguments, "--out", str(tmp_path / "out")]) == 0
        errors = capsys.readouterr().err
        assert f"connect to tcp://127.0.0.1:{first} … {first + 3}" in errors
        found = results(tmp_path / "out")
        assert found["config"]["attached"]
        assert found["config"]["flowgraph"] == "bpsk_awgn"
        assert found["config"]["snr_db"] == found["images"][0]["snr_db"] == 12.5
        assert found["images"][0]["fec"] == "none"
        assert process.running
        assert run([*arguments, "--flowgraph", "turbo_awgn", "--out", str(tmp_path / "out")]) == 1
        assert "has flowgraph 'bpsk_awgn' and not 'turbo_awgn'" in capsys.readouterr().err
        assert process.running
    finally:
        process.stop()
    with ApplicationEnd(addresses):  # the ports are free again
        pass
