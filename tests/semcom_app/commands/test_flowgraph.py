"""`semcom flowgraph`: what is listed and derived, what a program is started with, and one line for what goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from semcom_app.cli import run
from semcom_phy.flowgraph import catalogue, compiler
from semcom_phy.flowgraph.compiler import Compiled
from semcom_phy.flowgraph.python import GnuRadio
from semcom_phy.zmq import ApplicationEnd

Refused = Callable[..., None]
GOLDEN = Path(__file__).parents[2] / "semcom_phy" / "flowgraph" / "golden"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one flowgraph in both forms, and one with a GUI alone, in place of the project's."""
    folder = tmp_path / "flowgraphs"
    folder.mkdir()
    for name in ("widgets", "widgets_gui"):
        shutil.copy(GOLDEN / f"{name}.grc", folder)
    text = (GOLDEN / "widgets_gui.grc").read_text()
    (folder / "new_gui.grc").write_text(text.replace("id: widgets_gui", "id: new_gui"))
    for function in (catalogue.names, catalogue.flowgraphs, catalogue.find):
        monkeypatch.setattr(function, "__defaults__", (folder,))
    return folder


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The commands that the process would have become."""
    commands: list[list[str]] = []

    def become(program: str, command: list[str], environment: dict[str, str]) -> None:
        assert program == command[0]
        assert environment["OPENBLAS_NUM_THREADS"] == "1"
        commands.append(command)
        raise SystemExit

    monkeypatch.setattr(os, "execve", become)
    monkeypatch.setattr("semcom_phy.flowgraph.python.find_gnuradio", lambda: GnuRadio(Path("/gr/python"), "3.10"))
    compiled = Compiled(Path("/cache/widgets.py"), ())
    monkeypatch.setattr(compiler, "compile_flowgraph", lambda path, gnuradio=None: compiled)
    monkeypatch.setenv("DISPLAY", ":7")
    return commands


def becomes(arguments: list[str], started: list[list[str]]) -> list[str]:
    with pytest.raises(SystemExit):
        run(["flowgraph", *arguments])
    (command,) = started
    return command


# --- list ------------------------------------------------------------------------------------------


def test_the_list_is_one_line_each(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["flowgraph", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["new", "widgets"]


def test_the_options_of_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["flowgraph", "list", "widgets"]) == 0
    text = capsys.readouterr().out
    assert "--frequency" in text
    assert "Frequency (Hz) [1000]" in text
    assert run(["flowgraph", "list", "widget"]) == 2
    assert "widgets" in capsys.readouterr().err


def test_the_list_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["flowgraph", "list", "--json"]) == 0
    new, widgets = json.loads(capsys.readouterr().out)
    assert (new["name"], new["headless"], widgets["headless"]) == ("new", False, True)
    assert widgets["parameters"][0]["option"] == "--frequency"


# --- run and open ----------------------------------------------------------------------------------


def test_run_becomes_the_program(folder: Path, started: list[list[str]]) -> None:
    command = becomes(["run", "widgets", "--", "--frequency=-1e3", "--mute", "1"], started)
    assert command == ["/gr/python", "-u", "/cache/widgets.py", "--frequency=-1e3", "--mute", "1"]


def test_a_form_with_a_gui_has_its_own_options(folder: Path, started: list[list[str]], refused: Refused) -> None:
    assert becomes(["run", "widgets", "--gui", "--", "--level", "1"], started)[-2:] == ["--level", "1"]
    refused(["flowgraph", "run", "widgets", "--gui", "--", "--frequency=1"], 2, "no option --frequency", "--level")


def test_run_refuses(folder: Path, started: list[list[str]], refused: Refused) -> None:
    refused(["flowgraph", "run", "wigdets"], 2, "Did you mean 'widgets'?")
    refused(["flowgraph", "run", "widgets", "--", "--frequenzy", "1"], 2, "Did you mean '--frequency'?")
    refused(["flowgraph", "run", "new"], 2, "has no headless form; run it with --gui")
    refused(["flowgraph", "run", "widgets", "--frequency", "1"], 2, "see `semcom flowgraph run --help`")
    (folder / "widgets.grc").write_text("options: [")
    refused(["flowgraph", "run", "widgets"], 1, "widgets.grc is no flowgraph")
    assert started == []


def test_a_gui_needs_a_display(
    folder: Path, started: list[list[str]], monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    for variable in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(variable, raising=False)
    refused(["flowgraph", "run", "widgets", "--gui"], 1, "no display", "xvfb-run")
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert becomes(["run", "widgets", "--gui"], started)


def test_without_gnu_radio_the_command_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused, tmp_path: Path
) -> None:
    from semcom_phy.flowgraph import python

    python.find_gnuradio.cache_clear()
    monkeypatch.setenv("SEMCOM_GNURADIO_PYTHON", str(tmp_path / "none"))
    monkeypatch.setenv("DISPLAY", ":7")
    for command in (["run", "widgets"], ["open", "widgets"], ["compile", "widgets"]):
        refused(["flowgraph", *command], 1, "install it with 'make gnuradio'")


def test_open_starts_companion_under_gnu_radio_s_python(
    folder: Path, started: list[list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    refused(["flowgraph", "open", "widgets"], 1, "no gnuradio-companion", "make gnuradio")
    companion = tmp_path / "gnuradio-companion"
    companion.write_text("#!/bin/sh\n")
    companion.chmod(companion.stat().st_mode | stat.S_IXUSR)
    expected = ["/gr/python", str(companion)]
    assert becomes(["open", "widgets"], started) == [*expected, str(folder / "widgets_gui.grc")]
    started.clear()
    assert becomes(["open", "widgets", "--headless"], started) == [*expected, str(folder / "widgets.grc")]
    started.clear()
    assert becomes(["open"], started) == expected


def test_a_program_that_cannot_be_started(
    folder: Path, started: list[list[str]], monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    def fail(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "execve", fail)
    refused(["flowgraph", "run", "widgets"], 1, "cannot start /gr/python", "make gnuradio")


# --- compile ---------------------------------------------------------------------------------------


def test_compile_prints_the_program(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    program = tmp_path / "widgets.py"
    program.write_text("pass\n")
    monkeypatch.setattr(compiler, "compile_flowgraph", lambda path: Compiled(program, ("mind the gap",)))
    assert run(["flowgraph", "compile", "widgets"]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{program}\n"
    assert captured.err == "semcom: widgets.grc: mind the gap\n"
    assert run(["flowgraph", "compile", "widgets", "--out", str(tmp_path / "new")]) == 0
    assert (tmp_path / "new" / "widgets.py").read_text() == "pass\n"


# --- headless --------------------------------------------------------------------------------------


def test_headless_derives_what_is_stale(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["flowgraph", "headless", "--check"]) == 1
    assert capsys.readouterr().err == "semcom: new.grc is stale: run `semcom flowgraph headless new`\n"
    assert not (folder / "new.grc").exists()
    assert run(["flowgraph", "headless"]) == 0
    assert capsys.readouterr().out == f"{folder / 'new.grc'}\n"
    assert run(["flowgraph", "headless", "--check"]) == 0
    (folder / "widgets.grc").write_text((folder / "new.grc").read_text())
    assert run(["flowgraph", "headless", "--check", "new"]) == 0
    assert run(["flowgraph", "headless", "--check", "widgets"]) == 1


def test_headless_needs_a_gui_form(folder: Path, refused: Refused) -> None:
    (folder / "widgets_gui.grc").unlink()
    refused(["flowgraph", "headless", "widgets"], 2, "no form with a GUI")
    assert run(["flowgraph", "headless"]) == 0


# --- with GNU Radio itself -------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.usefixtures("gnuradio")
def test_a_flowgraph_runs_from_the_command_line() -> None:
    with ApplicationEnd() as application:
        names = ("data-to-flowgraph", "data-from-flowgraph", "control-to-flowgraph", "control-from-flowgraph")
        options = [f"--{n}={a}" for n, a in zip(names, application.addresses.as_arguments(), strict=True)]
        command = [sys.executable, "-m", "semcom_app.cli", "flowgraph", "run", "native_bpsk", "--", *options]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            peer = application.wait_ready(90, pid=process.pid)
            assert peer.capabilities["flowgraph"] == "native_bpsk"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
        assert process.returncode == 0, errors
