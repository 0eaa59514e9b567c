"""timm imports whatever torchvision there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from semcom_app.models.torchvision_ops import import_timm

ROOT = Path(__file__).parents[3]

# A torchvision that registers shapes for operators of a compiled part that is not there, as the index's one does beside
# a processor-only torch; and a timm that imports it.
TORCHVISION = """
import torch
@torch.library.register_fake("torchvision::nms")
def nms(dets, scores, iou_threshold): return dets.new_empty(0)
@torch.library.register_fake("torchvision::qnms")
def qnms(dets, scores, iou_threshold): return dets.new_empty(0)
"""
PROGRAM = """
from semcom_app.models.torchvision_ops import import_timm
timm = import_timm()
assert import_timm() is timm
print(timm.__version__)
"""


def test_timm_is_imported_once() -> None:
    timm = import_timm()
    assert timm is import_timm()
    assert timm.is_model("deit_tiny_patch16_224")


@pytest.mark.slow
@pytest.mark.parametrize("torchvision", [TORCHVISION, "", "raise RuntimeError('something else')"])
def test_a_torchvision_without_its_operators(torchvision: str, tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text(torchvision)
    (tmp_path / "timm.py").write_text("import torchvision\n__version__ = 'stand-in'\n")
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"PYTHONPATH": f"{tmp_path}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if "something else" in torchvision:
        assert "RuntimeError: something else" in run.stderr
    else:
        assert run.stdout == "stand-in\n", run.stderr
