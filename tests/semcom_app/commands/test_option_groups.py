"""Options written down once for several commands."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from semcom_app.commands.option_groups import with_options_of

Level = Annotated[int, typer.Option("--level", help="How much of it.")]


def inner(level: Level = 3, name: str = "inner") -> tuple[int, str]:
    return level, name


@with_options_of(inner)
def middle(speed: float = 1.5, **rest: Any) -> tuple[Any, ...]:
    return (speed, *inner(**rest))


@with_options_of(middle)
def outer(words: list[str], name: str = "outer", **rest: Any) -> None:
    typer.echo(repr((words, name, *middle(**rest))))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["a"], (["a"], "outer", 1.5, 3, "inner")),
        (["a", "b", "--level", "7", "--speed", "2", "--name", "n"], (["a", "b"], "n", 2.0, 7, "inner")),
    ],
)
def test_a_command_gets_the_options_of_its_groups(arguments: list[str], expected: tuple[Any, ...]) -> None:
    app = typer.Typer()
    app.command()(outer)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert result.output == f"{expected!r}\n"
    help_text = CliRunner().invoke(app, ["--help"]).output
    assert help_text.count("--level") == help_text.count("--name") == 1
    assert "How much of it." in help_text


def test_called_from_python() -> None:
    assert middle() == (1.5, 3, "inner")
    assert middle(level=2, speed=0.5) == (0.5, 2, "inner")
    with pytest.raises(TypeError, match="unknown"):
        middle(unknown=1)
