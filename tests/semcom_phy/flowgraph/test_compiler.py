"""Compiling: results are kept by content, appear whole or not at all, and faults come as one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from semcom_phy.errors import FormatError, LinkError
from semcom_phy.flowgraph import compiler
from semcom_phy.flowgraph.compiler import cache_folder, compile_flowgraph
from semcom_phy.flowgraph.python import BLOCKS, GnuRadio, environment

GOLDEN = Path(__file__).parent / "golden" / "widgets.grc"
#: Stands in for GNU Radio's Python: writes a program with the time and counts how often it was asked.
COMPILER = """\
#!{python}
import pathlib, sys, time
output, source = pathlib.Path(sys.argv[4]), pathlib.Path(sys.argv[5])
(pathlib.Path(__file__).parent / "asked").open("a").write("x")
print("Block paths:\\n\\t/usr/share/gnuradio/grc/blocks\\n>>> Warning: this is " + source.name)
{action}
"""
WRITE = '(output / "widgets.py").write_text(str(time.time_ns()))'


@pytest.fixture
def fake(tmp_path: Path) -> GnuRadio:
    """A compiler that needs no GNU Radio."""
    return fake_compiler(tmp_path, WRITE)


def fake_compiler(folder: Path, action: str) -> GnuRadio:
    program = folder / "python"
    program.write_text(COMPILER.format(python=sys.executable, action=action))
    program.chmod(0o755)
    return GnuRadio(program, "3.10.5.1")


def asked(gnuradio: GnuRadio) -> int:
    return len((gnuradio.python.parent / "asked").read_text())


def test_what_is_compiled_is_kept(fake: GnuRadio, tmp_path: Path) -> None:
    first = compile_flowgraph(GOLDEN, fake, tmp_path / "cache")
    assert first.program.name == "widgets.py"
    assert first.warnings == ("this is widgets.grc",)
    assert compile_flowgraph(GOLDEN, fake, tmp_path / "cache") == first
    assert asked(fake) == 1
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_a_change_of_flowgraph_blocks_or_version_compiles_anew(
    fake: GnuRadio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, copy, blocks = tmp_path / "cache", tmp_path / "widgets.grc", tmp_path / "blocks"
    shutil.copy(GOLDEN, copy)
    shutil.copytree(BLOCKS, blocks)
    monkeypatch.setattr(compiler, "BLOCKS", blocks)
    programs = [compile_flowgraph(copy, fake, cache).program]
    copy.write_text(copy.read_text().replace("32000", "48000"))
    programs.append(compile_flowgraph(copy, fake, cache).program)
    (blocks / "semcom_another.block.yml").write_text("id: another")
    programs.append(compile_flowgraph(copy, fake, cache).program)
    programs.append(compile_flowgraph(copy, GnuRadio(fake.python, "3.10.12.0"), cache).program)
    assert len(set(programs)) == 4


def test_many_at_once_end_with_one_result(fake: GnuRadio, tmp_path: Path) -> None:
    results: list[str] = []
    threads = [
        threading.Thread(
            target=lambda: results.append(compile_flowgraph(GOLDEN, fake, tmp_path / "cache").program.read_text())
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(results)
    assert len(list((tmp_path / "cache").iterdir())) == 1


def test_half_a_result_is_made_whole(fake: GnuRadio, tmp_path: Path) -> None:
    program = compile_flowgraph(GOLDEN, fake, tmp_path / "cache").program
    program.unlink()
    assert compile_flowgraph(GOLDEN, fake, tmp_path / "cache").program.is_file()
    assert asked(fake) == 2


def test_nothing_is_kept_of_a_failure(tmp_path: Path) -> None:
    fake = fake_compiler(tmp_path, 'print(">>> Load Error: it is bad")')
    with pytest.raises(FormatError, match=r"widgets\.grc does not compile: Load Error: it is bad"):
        compile_flowgraph(GOLDEN, fake, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_compiler_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_TIMEOUT_S", 0.2)
    fake = fake_compiler(tmp_path, "time.sleep(60)")
    with pytest.raises(LinkError, match="took longer"):
        compile_flowgraph(GOLDEN, fake, tmp_path / "cache")


def test_a_place_that_cannot_be_written(fake: GnuRadio, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("")
    with pytest.raises(LinkError, match="XDG_CACHE_HOME"):
        compile_flowgraph(GOLDEN, fake, tmp_path / "cache")


def test_the_id_is_the_name_of_a_class(fake: GnuRadio, tmp_path: Path) -> None:
    path = tmp_path / "a.grc"
    path.write_text(GOLDEN.read_text().replace("id: widgets", "id: ../widgets"))
    with pytest.raises(FormatError, match="no name of a Python class"):
        compile_flowgraph(path, fake, tmp_path / "cache")
    assert not (tmp_path / "asked").exists()


def test_the_cache_is_the_user_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "semcom" / "flowgraphs"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "semcom" / "flowgraphs"


def test_paths_of_a_gnu_radio_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRC_BLOCKS_PATH", f"/mine{os.pathsep}{BLOCKS}")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    found = environment()
    assert found["GRC_BLOCKS_PATH"] == f"{BLOCKS}{os.pathsep}/mine"
    assert found["PYTHONPATH"] == str(Path(__file__).parents[3])
    assert found["OPENBLAS_NUM_THREADS"] == "1"


# --- with GNU Radio itself -------------------------------------------------------------------------


def test_gnu_radio_compiles_the_golden_file(gnuradio: GnuRadio, tmp_path: Path) -> None:
    compiled = compile_flowgraph(GOLDEN, gnuradio, tmp_path)
    assert compiled.warnings == ()
    done = subprocess.run(
        [gnuradio.python, compiled.program, "--help"], capture_output=True, text=True, env=environment(), timeout=60
    )
    assert done.returncode == 0
    for option in ("--frequency", "--gain", "--length", "--level", "--mute", "--waveform"):
        assert option in done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("id: blocks_throttle", "id: blocks_trottle", "blocks that are not installed here: blocks_trottle"),
        ("value: '32000'", "value: samp_rat", "samp_rat"),
        ("- [source, '0', pace, '0']\n", "", "Port is not connected"),
    ],
)
def test_gnu_radio_s_reasons_come_on_one_line(
    gnuradio: GnuRadio, tmp_path: Path, old: str, new: str, message: str
) -> None:
    path = tmp_path / "widgets.grc"
    assert old in GOLDEN.read_text()
    path.write_text(GOLDEN.read_text().replace(old, new))
    with pytest.raises(FormatError) as caught:
        compile_flowgraph(path, gnuradio, tmp_path / "cache")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
