"""What is installed is what works: weights and photographs are in the wheel, and nothing else strays in."""

from __future__ import annotations

import subprocess
import sys
import zipfile
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
        "semcom_app/report/page.py",
    ):
        assert wanted in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"semcom", "semcom_app", "semcom_phy"}


def test_semcom_phy_never_imports_upwards() -> None:
    """`semcom_app → semcom_phy`, never back; no torch and no GNU Radio in the link, its GPU kernels aside."""
    import ast

    gpu_kernels = ROOT / "semcom_phy" / "coding" / "decoders" / "triton_bcjr.py"  # imported by CUDA users only
    assert gpu_kernels.exists()
    for path in set((ROOT / "semcom_phy").rglob("*.py")) - {gpu_kernels}:
        for node in ast.walk(ast.parse(path.read_text())):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
            for name in names:
                assert name.split(".")[0] not in {"torch", "gnuradio", "semcom_app"}, f"{path.name} imports {name}"
