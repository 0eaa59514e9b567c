"""What is installed is what works: weights and photographs are in the wheel, and nothing else strays in."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_the_wheel_holds_weights_and_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("semcom-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entry_points = next(archive.read(n).decode() for n in names if n.endswith("entry_points.txt"))
    assert "semcom = semcom_app.cli:main" in entry_points
    for wanted in (
        "semcom_app/models/weights/compact/diffusion_pytorch_model.safetensors",
        "semcom_app/models/weights/compact/config.json",
        "semcom_app/models/weights/compact/README.md",
        "semcom_app/photos/astronaut.png",
        "semcom_app/photos/CREDITS.md",
        "semcom_phy/py.typed",
        "semcom_phy/channels/rayleigh.py",
        "semcom_phy/gr/grc/semcom_application.block.yml",
        "semcom_app/report/page.py",
    ):
        assert wanted in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"semcom", "semcom_app", "semcom_phy"}


def _imported(nodes: Iterable[ast.AST]) -> set[str]:
    """Top-level packages that these statements import."""
    names: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names.append(node.module or "")
    return {name.split(".")[0] for name in names}


def test_semcom_phy_never_imports_upwards() -> None:
    """`semcom_app → semcom_phy`, never back; importing the link imports neither torch nor GNU Radio."""
    gpu_kernels = (
        ROOT / "semcom_phy" / "coding" / "decoders" / "torch_bcjr" / "triton_kernels.py"
    )  # imported by CUDA users only
    blocks = ROOT / "semcom_phy" / "gr"  # run in GNU Radio's Python only
    paths = set((ROOT / "semcom_phy").rglob("*.py"))
    assert gpu_kernels in paths
    for path in paths:
        tree = ast.parse(path.read_text())
        assert "semcom_app" not in _imported(ast.walk(tree)), path.name
        if path != gpu_kernels and blocks not in path.parents:
            assert not _imported(tree.body) & {"torch", "gnuradio"}, path.name


def test_importing_the_link_is_light() -> None:
    """Nothing heavy comes along by accident: torch and numba are imported when they are used."""
    script = (
        "import sys, pkgutil, importlib, semcom_phy\n"
        "for module in pkgutil.walk_packages(semcom_phy.__path__, 'semcom_phy.'):\n"
        "    if not any(part in module.name for part in ('kernels', 'numba_bcjr', 'semcom_phy.gr.')):\n"
        "        importlib.import_module(module.name)\n"
        "print(*sorted({'torch', 'numba', 'gnuradio', 'sigmf', 'semcom_app'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
