"""`semcom doctor`: what is present, and that nothing on a machine can break it."""

from __future__ import annotations

import json
import subprocess
from importlib import metadata
from pathlib import Path

import pytest

from semcom_app.cli import run
from semcom_app.commands import doctor
from semcom_app.commands.doctor import Finding
from semcom_phy.errors import LinkError, SemcomError
from semcom_phy.flowgraph.python import GnuRadio


def test_everything_the_main_job_needs_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor", "--json"]) == 0
    captured = capsys.readouterr()
    findings = {finding["what"]: finding for finding in json.loads(captured.out)}
    for what in ("Python", "torch", "device", "weights compact"):
        assert findings[what]["state"] == "ok"
    for what in ("weights sd-vae", "GNU Radio", "SoapySDR", "UHD"):
        assert findings[what]["state"] in {"ok", "optional"}
    assert findings["torch"]["detail"] == metadata.version("torch")
    assert captured.err == ""


def test_one_line_each_for_people(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [Finding("this", "ok", "1.0"), Finding("that one", "optional", "get it there")]
    monkeypatch.setattr(doctor, "PROBES", (lambda: findings,))
    assert run(["doctor"]) == 0
    assert capsys.readouterr().out == "ok        this      1.0\noptional  that one  get it there\n"


def test_exit_code_1_when_something_needed_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "PROBES", (lambda: [Finding("torch", "missing", "run `make venv`")],))
    assert run(["doctor"]) == 1
    assert "run `make venv`" in capsys.readouterr().out


def test_missing_packages_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing_installed(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", nothing_installed)
    states = {finding.what: finding for finding in doctor._packages()}
    assert states["torch"].state == "missing"
    assert "make venv" in states["torch"].detail
    assert states["scikit-commpy"].state == "optional"


def test_a_torch_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def damaged(name: str, *args: object, **kwargs: object) -> object:
        if name == "torch":
            raise OSError("libtorch.so: cannot open shared object file\nand more")
        return real(name, *args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", damaged)
    (finding,) = doctor._device()
    assert finding.state == "missing"
    assert finding.detail == "torch cannot be imported: libtorch.so: cannot open shared object file"


def test_missing_weights_say_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Path:
        raise SemcomError(name)

    monkeypatch.setattr("semcom_app.models.weights.local_folder", missing)
    states = {finding.what: finding for finding in doctor._weights()}
    assert states["weights compact"] == Finding("weights compact", "missing", "not here: reinstall the package")
    assert states["weights taesd"].detail == "not here: semcom weights pull taesd"


def test_probes_survive_programs_that_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._run(["false"]) is None
    assert doctor._run(["true"]) is None
    assert doctor._run([str(tmp_path / "missing")]) is None
    assert doctor._run(["printf", r"\377\nsecond"]) == "\ufffd"
    monkeypatch.setattr(doctor, "PROBE_TIMEOUT_S", 0.2)
    assert doctor._run(["sleep", "5"]) is None


def _install(folder: Path, name: str, output: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{output}\nEND\n")
    program.chmod(0o755)


def test_radio_drivers_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    _install(tmp_path, "SoapySDRUtil", "Soapy SDR\nAvailable factories... rtlsdr, hackrf")
    _install(tmp_path, "uhd_config_info", "UHD 4.3.0")
    states = {finding.what: finding for finding in doctor._radios()}
    assert states["UHD"] == Finding("UHD", "ok", "UHD 4.3.0")
    assert states["SoapySDR drivers"].state == "ok"
    assert "rtlsdr" in states["SoapySDR drivers"].detail


def test_absent_radios_name_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    details = [finding.detail for finding in doctor._radios()]
    assert details == [
        "no SoapySDRUtil: run 'make gnuradio'",
        "no uhd_config_info: run 'make gnuradio'",
    ]


@pytest.fixture
def fake_gnuradio(monkeypatch: pytest.MonkeyPatch) -> GnuRadio:
    """GNU Radio where it was looked for."""
    found = GnuRadio(Path("/gr/python"), "3.10.5.1")
    monkeypatch.setattr("semcom_phy.flowgraph.python.find_gnuradio", lambda: found)
    return found


@pytest.mark.parametrize(
    ("answer", "state", "detail"),
    [
        ("nothing\n", "ok", "all that they need is there"),
        ("numba, zmq\n", "optional", "GNU Radio's Python lacks numba, zmq: run 'make gnuradio'"),
        ("", "optional", "/gr/python cannot be asked: run 'make gnuradio'"),
    ],
)
def test_what_the_blocks_need_is_asked_of_gnu_radio_s_python(
    fake_gnuradio: GnuRadio, monkeypatch: pytest.MonkeyPatch, answer: str, state: str, detail: str
) -> None:
    def run_command(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert command[0] == str(fake_gnuradio.python)
        return subprocess.CompletedProcess(command, 0, answer, "")

    monkeypatch.setattr(subprocess, "run", run_command)
    radio, blocks = doctor._gnuradio()
    assert radio.state == "ok"
    assert radio.detail.startswith("3.10.5.1, with")
    assert blocks == Finding("GNU Radio blocks", state, detail)


def test_a_missing_gnu_radio_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> GnuRadio:
        raise LinkError("GNU Radio is not installed; install it with 'make gnuradio'")

    monkeypatch.setattr("semcom_phy.flowgraph.python.find_gnuradio", missing)
    (finding,) = doctor._gnuradio()
    assert finding == Finding("GNU Radio", "optional", "GNU Radio is not installed; install it with 'make gnuradio'")
