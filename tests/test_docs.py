"""The documentation's commands run, its links lead somewhere, and its figures exist."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.M | re.S)


#: Commands of the pages that are not run here, and why.
LEFT_OUT = {
    "make venv": "installs",
    "make gnuradio": "installs",
    "semcom flowgraph run bpsk_awgn -- --snr-db=-1.5 --seed 7": "endless, silent when ready: the next block has one",
    "semcom flowgraph run bpsk_awgn --gui": "opens a window: see tests/semcom_phy/flowgraph/test_flowgraphs.py",
    "semcom flowgraph open bpsk_awgn": "opens Companion: tests/semcom_app/commands/test_flowgraph.py",
    "semcom flowgraph headless bpsk_awgn": "writes into this checkout: tests/semcom_app/commands/test_flowgraph.py",
}


def lines(*names: str) -> list[str]:
    """The lines of the pages' `sh` blocks."""
    pages = [ROOT / "docs" / f"{name}.md" for name in names]
    return [line for page in pages for block in blocks(page, "sh") for line in block.splitlines() if line]


def is_endless(command: str) -> bool:
    """Whether the command goes on until it is told to stop."""
    return command.startswith("semcom air ")


# In order: what one command leaves, a later one may read.
FOUND = lines("examples", "air-link", "iaq", "radios", "virtual-air", "gnuradio", "gnuradio-link")
COMMANDS = [line for line in FOUND if line not in LEFT_OUT and not is_endless(line)]
ENDLESS = [line for line in FOUND if line not in LEFT_OUT and is_endless(line)]
#: Blocks of several processes, run by bash as they stand. That of first-over-the-air.md needs the loopback driver
#: (tests/semcom_app/commands/test_tx_rx_drivers.py).
PROCESSES = [
    (name, number)
    for name in ("virtual-air.md", "gnuradio.md")
    for number in range(len(blocks(ROOT / "docs" / name, "bash")))
]
#: The program as a process, whatever is on the path.
PROGRAM = (sys.executable, "-m", "semcom_app.cli")
SECONDS = 300.0  # for a block of processes or until an endless command is ready; machines are busy at times
# The first screen's commands: what `make` has installed, by its path.
COMMANDS += [
    line.removeprefix(".venv/bin/").partition("  #")[0].strip()
    for block in blocks(ROOT / "README.md", "sh")
    for line in block.splitlines()
    if line.startswith(".venv/bin/semcom")
]
SCRIPTS = [(page.name, number) for page in PAGES for number in range(len(blocks(page, "python")))]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository's layout as far as the examples use it, with an `out` of its own."""
    folder = tmp_path_factory.mktemp("repository")
    for name in ("semcom_app", "captures"):
        (folder / name).symlink_to(ROOT / name)
    return folder


FLOWGRAPH_PAGES = sorted((ROOT / "flowgraphs").glob("*.md"))


@pytest.mark.parametrize("page", FLOWGRAPH_PAGES, ids=lambda page: page.stem)
def test_lines_of_flowgraph_pages_fit(page: Path) -> None:
    """120 characters, as in the code; pictures stand in one line whatever they are called."""
    long = [line for line in page.read_text().splitlines() if len(line) > 120 and "![" not in line]
    assert long == []


def test_there_are_examples() -> None:
    assert len(COMMANDS) >= 30
    assert len(ENDLESS) >= 3
    assert len(PROCESSES) >= 4
    assert len(SCRIPTS) >= 3


def test_what_is_left_out_is_in_the_pages() -> None:
    assert set(LEFT_OUT) <= set(FOUND)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(
    command: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    from semcom_app.cli import run

    monkeypatch.chdir(workplace)
    program, *arguments = shlex.split(command)
    if program in ("cp", "mkdir"):
        subprocess.run([program, *arguments], check=True)
        return
    assert program == "semcom"
    if "gnuradio" in arguments or arguments[:2] == ["flowgraph", "compile"]:
        request.getfixturevalue("gnuradio")
    assert run(arguments) == 0
    if "--out" in arguments:
        out = workplace / arguments[arguments.index("--out") + 1]
        left = {
            "train": out / "training.json",
            "record": out.with_suffix(".sigmf-meta"),
            "rx": out / "result.json",
        }
        assert left.get(arguments[0], out / "report.html").is_file()


def environment(folder: Path) -> dict[str, str]:
    """With the program of this checkout on the path, in `folder`/bin."""
    bin_folder = folder / "bin"
    bin_folder.mkdir(exist_ok=True)
    script = bin_folder / "semcom"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAM)} "$@"\n')
    script.chmod(0o755)
    path = os.pathsep.join([str(bin_folder), os.environ.get("PATH", os.defpath)])
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def end_group(process: subprocess.Popen[str]) -> None:
    """Nothing that a test has started outlives it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdout is not None:
        process.stdout.close()
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(("page", "number"), PROCESSES)
def test_several_processes_run(page: str, number: int, workplace: Path, request: pytest.FixtureRequest) -> None:
    block = blocks(ROOT / "docs" / page, "bash")[number]
    if "flowgraph" in block:
        request.getfixturevalue("gnuradio")
    process = subprocess.Popen(
        ["bash", "-eu", "-c", block],
        cwd=workplace,
        env=environment(workplace),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=SECONDS)
    finally:
        end_group(process)
    assert process.returncode == 0, output
    outs = re.findall(r"--out (\S+)", block)
    assert outs
    for out in outs:
        assert (workplace / out / "result.json").is_file(), output


@pytest.mark.slow
@pytest.mark.parametrize("command", ENDLESS)
def test_endless_commands_run_until_told_to_stop(command: str, workplace: Path) -> None:
    process = subprocess.Popen(
        [*PROGRAM, *shlex.split(command)[1:]],
        cwd=workplace,
        env=environment(workplace),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(SECONDS, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        ready = process.stdout.readline()  # what it says once it has started
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()
    finally:
        watchdog.cancel()
        end_group(process)
    assert ready
    assert process.returncode == 0, ready + output


@pytest.mark.slow
@pytest.mark.parametrize(("page", "number"), SCRIPTS)
def test_python_runs(
    page: str, number: int, workplace: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.chdir(workplace)
    code = blocks(ROOT / "docs" / page, "python")[number]
    if "GnuRadioLink" in code:
        request.getfixturevalue("gnuradio")
    exec(compile(code, page, "exec"), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text())
    for target in targets:
        assert "://" not in target
        assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_modules_named_in_the_pages_exist(page: Path) -> None:
    for name in re.findall(r"`((?:semcom_phy|semcom_app|tests|docs)/[\w/.-]+)`", page.read_text()):
        assert (ROOT / name).exists() or (ROOT / f"{name}.py").exists(), f"{page.name}: {name}"


@pytest.mark.parametrize(
    "script",
    [
        "make_bench_tables.py",
        "make_gnuradio_table.py",
        "make_iaq_results.py",
        pytest.param("make_iaq_tables.py", marks=pytest.mark.slow),
    ],
)
def test_tables_are_those_of_the_committed_results(script: str) -> None:
    """make_iaq_tables.py has no committed results: it computes its tables anew."""
    command = [sys.executable, str(ROOT / "docs" / script), "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert checked.returncode == 0, checked.stdout + checked.stderr
