"""The documentation's commands run, its links lead somewhere, and its figures exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.M | re.S)


# In order: what one command leaves, a later one may read.
COMMANDS = [
    line
    for name in ("examples.md", "air-link.md", "iaq.md")
    for block in blocks(ROOT / "docs" / name, "sh")
    for line in block.splitlines()
    if line
]
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


def test_there_are_examples() -> None:
    assert len(COMMANDS) >= 12
    assert len(SCRIPTS) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(
    command: str, workplace: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    from semcom_app.cli import run

    monkeypatch.chdir(workplace)
    program, *arguments = shlex.split(command)
    assert program == "semcom"
    if "gnuradio" in arguments:
        request.getfixturevalue("gnuradio")
    assert run(arguments) == 0
    if "--out" in arguments:
        out = workplace / arguments[arguments.index("--out") + 1]
        left = {"train": out / "training.json", "record": out.with_suffix(".sigmf-meta")}
        assert left.get(arguments[0], out / "report.html").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("page", "number"), SCRIPTS)
def test_python_runs(page: str, number: int, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    exec(compile(blocks(ROOT / "docs" / page, "python")[number], page, "exec"), {})


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


def test_tables_are_those_of_the_committed_results() -> None:
    script = ROOT / "docs" / "make_bench_tables.py"
    checked = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
