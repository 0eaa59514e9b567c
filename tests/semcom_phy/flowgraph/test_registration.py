"""The entry in GNU Radio's settings: nothing else in the file changes, and GNU Radio reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from semcom_phy.errors import LinkError
from semcom_phy.flowgraph.python import BLOCKS, GnuRadio, environment
from semcom_phy.flowgraph.registration import register, unregister, with_blocks, without_blocks

OURS = "/somewhere/semcom_phy/gr/grc"
MINE = "# mine\n[audio]\nx = 1\n\n[grc]\n# own blocks\nlocal_blocks_path = /a:/b\nfont = 8\n"
MINE += "[other]\nlocal_blocks_path=/c\n"

lines = st.sampled_from(
    ["", "# note", "[grc]", "[audio]", " [GRC] ", "local_blocks_path = /a", "local_blocks_path=", "x = 1"]
)


def test_an_empty_file() -> None:
    assert with_blocks("", OURS) == f"[grc]\nlocal_blocks_path = {OURS}\n"


def test_other_folders_and_lines_stay() -> None:
    assert with_blocks(MINE, OURS) == MINE.replace("/a:/b", f"/a:/b:{OURS}")
    assert without_blocks(with_blocks(MINE, OURS)) == MINE
    assert without_blocks(MINE) == MINE


def test_another_checkout_is_replaced() -> None:
    text = with_blocks(with_blocks(MINE, "/old/semcom_phy/gr/grc"), OURS)
    assert text == with_blocks(MINE, OURS)


@given(st.lists(lines, max_size=8).map("\n".join))
def test_twice_is_once_and_nothing_is_lost(text: str) -> None:
    once = with_blocks(text, OURS)
    assert with_blocks(once, OURS) == once
    assert OURS in once
    kept = [line for line in text.splitlines() if "local_blocks_path" not in line]
    assert [line for line in once.splitlines() if line in kept][: len(kept)] == kept or "[grc]" in kept
    assert OURS not in without_blocks(once)


def test_the_file(tmp_path: Path) -> None:
    path = tmp_path / ".gnuradio" / "config.conf"
    blocks = Path(OURS)
    assert not unregister(path)
    assert not path.exists()
    assert register(path, blocks)
    assert not register(path, blocks)
    path.chmod(0o600)
    assert unregister(path)
    assert OURS not in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["config.conf"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.conf", tmp_path / "config.conf"
    real.write_text(MINE)
    link.symlink_to(real)
    assert register(link, Path(OURS))
    assert link.is_symlink()
    assert OURS in real.read_text()


def test_a_file_that_cannot_be_changed(tmp_path: Path) -> None:
    (tmp_path / "config.conf").mkdir()
    with pytest.raises(LinkError, match="by hand"):
        register(tmp_path / "config.conf", Path(OURS))
    path = tmp_path / "latin.conf"
    path.write_bytes(b"\xe4")
    with pytest.raises(LinkError, match="not UTF-8"):
        register(path, Path(OURS))


def test_the_program(tmp_path: Path) -> None:
    def program(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "semcom_phy.flowgraph.registration", *arguments]
        home = {**os.environ, "HOME": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, env=home, timeout=60)

    assert "changed" in program("add").stdout
    assert str(BLOCKS) in (tmp_path / ".gnuradio" / "config.conf").read_text()
    assert "as it should be" in program("add").stdout
    assert program("remove").returncode == 0
    assert program("neither").returncode == 2
    assert program("neither").stderr == "semcom: say add or remove\n"


def test_gnu_radio_reads_the_entry(tmp_path: Path, gnuradio: GnuRadio) -> None:
    path = tmp_path / ".gnuradio" / "config.conf"
    path.parent.mkdir()
    path.write_text(MINE)
    register(path)
    question = "from gnuradio import gr; print(gr.prefs().get_string('grc', 'local_blocks_path', ''))"
    home = {**environment(), "HOME": str(tmp_path)}
    done = subprocess.run([gnuradio.python, "-c", question], capture_output=True, text=True, env=home, timeout=60)
    assert done.stdout.strip() == f"/a:/b:{BLOCKS}"
