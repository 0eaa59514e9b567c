"""Pictures, and the way in which commands refuse."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semcom_app.cli import run

Refused = Callable[..., None]


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A picture of 32×24 with something in it."""
    y, x = np.mgrid[0:24, 0:32]
    pixels = np.stack([8 * x, 10 * y, 255 - 8 * x], axis=-1).clip(0, 255).astype(np.uint8)
    path = tmp_path_factory.mktemp("pictures") / "a.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Check that a command ends with this exit code and one line on standard error that holds these texts."""

    def check(arguments: list[object], code: int, *expected: str) -> None:
        assert run([str(argument) for argument in arguments]) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("semcom: ")
        assert captured.err.count("\n") == 1
        assert "unforeseen" not in captured.err
        for text in expected:
            assert text in captured.err

    return check
